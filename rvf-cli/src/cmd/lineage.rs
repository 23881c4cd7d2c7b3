//! `rvf lineage`: a file and what it builds on.

use super::Outcome;
use super::custody::Custody;
use super::parents::{Opened, open_with_or_without};
use crate::args::ReadArgs;
use crate::failure::Failure;
use crate::output::{Ui, grouped, hex, plain, short_hex};
use clap::Args;
use rvf_engine::{Error, ParentError, ParentFault, Snapshot};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Show what a store builds on: its parent, the parent's parent, and so on
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rvf lineage draft.rvf\n  rvf lineage draft.rvf --verify\n\n`rvf log FILE --all` shows what builds on a store."
)]
pub(crate) struct LineageArgs {
    /// The store
    file: PathBuf,
    /// Also check that the audit entries of each file carry the commit of its parent, and that of the newest merge; exit code 1 if not.
    /// `rvf verify` checks the bytes, and signatures
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    read: ReadArgs,
}

pub(crate) fn run(args: &LineageArgs, ui: &Ui) -> Outcome {
    let Opened { snapshot, missing } = open_with_or_without(&args.file, &args.read, ui)?;
    let mut chain: Vec<Link> = snapshot.chain().map(|layer| Link::of(layer, &args.file)).collect();
    chain.extend(missing.iter().flat_map(|error| Link::needed(error)));
    let custody = args.verify.then(|| Custody::of(&snapshot, &args.file));
    let mut value = json!({ "chain": chain.iter().map(Link::to_json).collect::<Vec<Value>>() });
    if let Some(custody) = &custody {
        value["custody"] = custody.to_json();
    }
    ui.result(&value, || {
        chain.iter().enumerate().try_for_each(|(depth, link)| ui.line(link.line(depth)))?;
        custody.as_ref().map_or(Ok(()), |custody| custody.tell(ui))
    })?;
    match missing {
        Some(error) => Err(Failure::of(&args.file)(Error::Parent(error))),
        None => Ok(custody.map_or(0, |custody| custody.exit())),
    }
}

/// A commit of a file of the lineage.
struct Link {
    file_id: [u8; 16],
    path: PathBuf,
    epoch: u64,
    root_hash: [u8; 32],
    /// Records that it sees; unknown of what is missing.
    count: Option<u64>,
    found: bool,
}

impl Link {
    fn of(layer: &Snapshot, asked: &Path) -> Self {
        let id = layer.commit_id();
        let path = layer.found_at().map_or(asked, PathBuf::as_path).to_owned();
        let (file_id, epoch, root_hash) = (id.file_id, id.epoch, id.state_hash);
        Self { file_id, path, epoch, root_hash, count: Some(layer.count()), found: true }
    }

    /// The parents that an error is about: those that are there themselves and lack a parent of their own, then the one that is missing.
    fn needed(error: &ParentError) -> Vec<Self> {
        let (mut links, mut next) = (Vec::new(), Some(error));
        while let Some(ParentError { needed, why, .. }) = next {
            let (found_at, deeper) = match why {
                ParentFault::Unreadable { path, error } => match error.as_ref() {
                    Error::Parent(deeper) => (Some(path), Some(deeper.as_ref())),
                    _ => (None, None),
                },
                _ => (None, None),
            };
            links.push(Self {
                file_id: needed.file_id,
                path: found_at.map_or_else(|| PathBuf::from(&needed.path), PathBuf::clone),
                epoch: needed.epoch,
                root_hash: needed.state_hash,
                count: None,
                found: found_at.is_some(),
            });
            next = deeper;
        }
        links
    }

    fn to_json(&self) -> Value {
        let mut value = json!({
            "file_id": hex(&self.file_id),
            "path": self.path.display().to_string(),
            "epoch": self.epoch,
            "root_hash": hex(&self.root_hash),
            "found": self.found,
        });
        if let Some(count) = self.count {
            value["count"] = json!(count);
        }
        value
    }

    fn line(&self, depth: usize) -> String {
        let branch = if depth == 0 { String::new() } else { format!("{}└─ ", "   ".repeat(depth - 1)) };
        let count = self.count.map_or_else(String::new, |count| format!(", {} records", grouped(count)));
        let missing = if self.found { "" } else { ": not here" };
        let (path, epoch, hash) = (plain(&self.path.display().to_string()), self.epoch, short_hex(&self.root_hash));
        format!("{branch}{path}  epoch {epoch}{count}, root hash {hash}{missing}")
    }
}

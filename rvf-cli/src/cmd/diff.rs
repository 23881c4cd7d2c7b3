//! `rvf diff`: what differs between two commits of a lineage.

use super::Outcome;
use crate::args::{ModeArgs, parse_epoch};
use crate::failure::Failure;
use crate::output::{self, Ui, grouped, hex, plain};
use clap::Args;
use rvf_engine::ingest::metadata_to_json;
use rvf_engine::{Diff, Id, Record, Snapshot};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Ids that a line of the text names, unless all are asked for.
const SHOWN: usize = 10;

/// Compare two stores of one lineage, or two commits of a store, record by record
///
/// FILE@EPOCH is an earlier commit of a file. A record whose vector and metadata are equal does not differ, however it came about.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rvf diff notes.rvf draft.rvf\n  rvf diff notes.rvf@3 notes.rvf --ids\n  \
    rvf diff notes.rvf --at 3 --at 5 --vectors --json")]
pub(crate) struct DiffArgs {
    /// The store that is compared, or FILE@EPOCH
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The store that it is compared with, or FILE@EPOCH; A itself unless given
    #[arg(value_name = "B")]
    b: Option<PathBuf>,
    /// Commits: given twice, that of A and that of B; given once, that of A, where B is not named
    #[arg(long, value_name = "EPOCH", value_parser = parse_epoch, allow_negative_numbers = true)]
    at: Vec<u64>,
    /// List the ids, not only how many there are
    #[arg(long)]
    ids: bool,
    /// Show what the records were and are: vectors and metadata that differ
    #[arg(long)]
    vectors: bool,
    /// With --vectors, show at most so many records
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "vectors")]
    limit: u64,
    #[command(flatten)]
    mode: ModeArgs,
}

pub(crate) fn run(args: &DiffArgs, ui: &Ui) -> Outcome {
    let (named_a, named_b) = args.named()?;
    let (a, b) = (named_a.open(args, ui)?, named_b.open(args, ui)?);
    let diff = a.diff(&b).map_err(Failure::of(&named_b.path))?;
    let shown = Shown { args, names: [&named_a, &named_b], snapshots: [&a, &b], diff: &diff };
    let records = if args.vectors { shown.records()? } else { Vec::new() };
    ui.result(&shown.to_json(&records), || shown.tell(&records, ui))?;
    Ok(0)
}

/// A commit as the command line names it.
struct Named {
    path: PathBuf,
    epoch: Option<u64>,
}

impl Named {
    /// A path, or FILE@EPOCH where no file has that name as a whole.
    fn parse(path: &Path) -> Self {
        let whole = || Self { path: path.to_owned(), epoch: None };
        if path.exists() {
            return whole();
        }
        let parts = path.to_str().and_then(|text| text.rsplit_once('@'));
        match parts.and_then(|(file, epoch)| Some((file, epoch.parse().ok()?))) {
            Some((file, epoch)) => Self { path: PathBuf::from(file), epoch: Some(epoch) },
            None => whole(),
        }
    }

    fn at(self, epoch: Option<u64>) -> Result<Self, Failure> {
        match (self.epoch, epoch) {
            (Some(_), Some(_)) => Err(usage("a commit is given by @ and by --at")),
            (own, given) => Ok(Self { epoch: given.or(own), ..self }),
        }
    }

    fn open(&self, args: &DiffArgs, ui: &Ui) -> Result<Arc<Snapshot>, Failure> {
        let newest = args.mode.open(&self.path, ui)?.snapshot();
        match self.epoch {
            Some(epoch) => newest.at_epoch(epoch).map(Arc::new).map_err(Failure::of(&self.path)),
            None => Ok(newest),
        }
    }
}

fn usage(message: &str) -> Failure {
    Failure::usage(
        "usage",
        message,
        "name two commits: rvf diff A B, rvf diff FILE@3 FILE@5, rvf diff FILE --at 3 --at 5",
    )
}

impl DiffArgs {
    fn named(&self) -> Result<(Named, Named), Failure> {
        let a = Named::parse(&self.a);
        let b = self.b.as_deref().map(Named::parse);
        let (at_a, at_b) = match (self.at.as_slice(), &b) {
            ([], _) => (None, None),
            ([at], None) => (Some(*at), None),
            ([_], Some(_)) => return Err(usage("--at is given once, and it is not clear for which of the two")),
            ([at_a, at_b], _) => (Some(*at_a), Some(*at_b)),
            (_, _) => return Err(usage("--at is given more than twice")),
        };
        if b.is_none() && a.epoch.or(at_a).is_none() {
            return Err(usage("there is nothing to compare the store with"));
        }
        let b = b.unwrap_or_else(|| Named { path: a.path.clone(), epoch: None });
        Ok((a.at(at_a)?, b.at(at_b)?))
    }
}

/// A record that differs.
struct Differing {
    id: Id,
    change: &'static str,
    before: Option<Record>,
    after: Option<Record>,
}

impl Differing {
    /// Whether this part of the record is to be shown: it is equal in no two that were compared.
    fn differs(&self, equal: impl Fn(&Record, &Record) -> bool) -> bool {
        !self.before.as_ref().zip(self.after.as_ref()).is_some_and(|(before, after)| equal(before, after))
    }

    fn vectors_differ(&self) -> bool {
        self.differs(|before, after| before.vector == after.vector)
    }

    fn metadata_differs(&self) -> bool {
        self.differs(|before, after| before.metadata == after.metadata)
    }

    fn to_json(&self) -> Value {
        let mut value = json!({ "id": output::id(&self.id), "change": self.change });
        for (record, vector, metadata) in
            [(&self.before, "vector_before", "metadata_before"), (&self.after, "vector_after", "metadata_after")]
        {
            let Some(record) = record else { continue };
            if self.vectors_differ() {
                value[vector] = output::vector(&record.vector);
            }
            if self.metadata_differs() {
                value[metadata] = metadata_to_json(&record.metadata);
            }
        }
        value
    }

    fn tell(&self, ui: &Ui) -> Result<(), Failure> {
        for (sign, record) in [("-", &self.before), ("+", &self.after)] {
            let Some(record) = record else { continue };
            let mut line = format!("{sign} {}", plain(&self.id.to_string()));
            if self.metadata_differs() {
                line = format!("{line}  {}", plain(&metadata_to_json(&record.metadata).to_string()));
            }
            if self.vectors_differ() {
                line = format!("{line}  {}", output::vector(&record.vector));
            }
            ui.line(line)?;
        }
        Ok(())
    }
}

/// What differs, and between which commits.
struct Shown<'d> {
    args: &'d DiffArgs,
    names: [&'d Named; 2],
    snapshots: [&'d Snapshot; 2],
    diff: &'d Diff,
}

impl Shown<'_> {
    fn changed_ids(&self) -> Vec<Id> {
        self.diff.changed.iter().map(|changed| changed.id.clone()).collect()
    }

    fn total(&self) -> u64 {
        (self.diff.added.len() + self.diff.changed.len() + self.diff.deleted.len()) as u64
    }

    /// The records that differ, as far as the limit goes.
    fn records(&self) -> Result<Vec<Differing>, Failure> {
        let changed = self.changed_ids();
        let kinds = [("added", &self.diff.added), ("changed", &changed), ("deleted", &self.diff.deleted)];
        let all = kinds.into_iter().flat_map(|(change, ids)| ids.iter().map(move |id| (change, id)));
        let get = |side: usize, id: &Id| self.snapshots[side].get(id).map_err(Failure::of(&self.names[side].path));
        all.take(usize::try_from(self.args.limit).unwrap_or(usize::MAX))
            .map(|(change, id)| {
                let before = if change == "added" { None } else { get(0, id)? };
                let after = if change == "deleted" { None } else { get(1, id)? };
                Ok(Differing { id: id.clone(), change, before, after })
            })
            .collect()
    }

    fn to_json(&self, records: &[Differing]) -> Value {
        let diff = self.diff;
        let listed = self.args.ids || self.args.vectors;
        let told = |ids: &[Id]| match listed {
            true => ids.iter().map(output::id).collect(),
            false => json!(ids.len()),
        };
        let side = |side: usize| {
            let id = self.snapshots[side].commit_id();
            let path = self.names[side].path.display().to_string();
            json!({ "file": path, "file_id": hex(&id.file_id), "epoch": id.epoch, "root_hash": hex(&id.state_hash) })
        };
        let mut value = json!({
            "a": side(0),
            "b": side(1),
            "added": told(&diff.added),
            "changed": told(&self.changed_ids()),
            "deleted": told(&diff.deleted),
            "changed_vectors": diff.changed.iter().filter(|changed| changed.vector).count(),
            "changed_metadata": diff.changed.iter().filter(|changed| changed.metadata).count(),
        });
        if self.args.vectors {
            value["records"] = records.iter().map(Differing::to_json).collect();
            value["records_left_out"] = json!(self.total() - records.len() as u64);
        }
        value
    }

    fn tell(&self, records: &[Differing], ui: &Ui) -> Result<(), Failure> {
        let side = |side: usize| {
            let (path, epoch) = (self.names[side].path.display(), self.snapshots[side].epoch());
            plain(&format!("{path} at epoch {epoch}"))
        };
        ui.line(format!("{} -> {}", side(0), side(1)))?;
        if self.diff.is_empty() {
            return ui.line("no record differs");
        }
        let count = |which: fn(&rvf_engine::Changed) -> bool| self.diff.changed.iter().filter(|c| which(c)).count();
        let (vectors, metadata) = (count(|changed| changed.vector), count(|changed| changed.metadata));
        let parts = format!("  (vectors: {}, metadata: {})", grouped(vectors as u64), grouped(metadata as u64));
        self.tell_ids("added", "", &self.diff.added, ui)?;
        self.tell_ids("changed", &parts, &self.changed_ids(), ui)?;
        self.tell_ids("deleted", "", &self.diff.deleted, ui)?;
        records.iter().try_for_each(|record| record.tell(ui))?;
        match self.total() - records.len() as u64 {
            left if left > 0 && self.args.vectors => ui.line(format!("and {left} more: --limit shows them")),
            _ => Ok(()),
        }
    }

    fn tell_ids(&self, what: &str, parts: &str, ids: &[Id], ui: &Ui) -> Result<(), Failure> {
        if ids.is_empty() {
            return Ok(());
        }
        let most = if self.args.ids { ids.len() } else { SHOWN };
        let names: Vec<String> = ids.iter().take(most).map(|id| plain(&id.to_string())).collect();
        let more = if ids.len() > most { ", …" } else { "" };
        ui.line(format!(" {what:8} {:>9}{parts}  {}{more}", grouped(ids.len() as u64), names.join(", ")))
    }
}

//! `rvf log`: the commits of a store, and the tree of files that it belongs to.

use super::Outcome;
use super::parents::open_with_or_without;
use super::trusted::key_id;
use crate::args::ReadArgs;
use crate::failure::Failure;
use crate::output::{Ui, grouped, hex, plain, short_hex, time};
use clap::Args;
use rvf_engine::{LogEntry, Note, Relative, Snapshot, family};
use rvf_format::lineage::ParentRef;
use rvf_format::storage::FilePlace;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// List the commits of a store, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rvf log notes.rvf --limit 5\n  rvf log notes.rvf --all")]
pub(crate) struct LogArgs {
    /// The store
    file: PathBuf,
    /// At most so many commits
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    limit: Option<usize>,
    /// Also show the files that build on the store, or that it builds on: those in its folder and in --parent-dir
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    read: ReadArgs,
}

pub(crate) fn run(args: &LogArgs, ui: &Ui) -> Outcome {
    let opened = open_with_or_without(&args.file, &args.read, ui)?;
    opened.warn(ui);
    let snapshot = opened.snapshot;
    let log = snapshot.log(args.limit.unwrap_or(usize::MAX)).map_err(Failure::of(&args.file))?;
    let signers = signers(&snapshot, ui);
    let mut value = json!({ "commits": log.iter().map(|entry| to_json(entry, &signers)).collect::<Vec<Value>>() });
    let files = match args.all {
        true => family(&FilePlace, &args.file, &snapshot, &ui.parent_folders),
        false => Vec::new(),
    };
    if args.all {
        value["files"] = files.iter().map(|file| file_json(file, &files)).collect();
    }
    ui.result(&value, || {
        let rows: Vec<Vec<String>> = log.iter().map(|entry| cells(entry, &signers)).collect();
        let mut head = vec!["epoch", "time", "operation", "added", "deleted", "records", "root hash", "kept", "actor"];
        head.extend((!signers.is_empty()).then_some("signed by"));
        ui.table(&head, &rows)?;
        match args.all {
            true => Tree::new(&files, &args.file).tell(ui),
            false => Ok(()),
        }
    })?;
    Ok(0)
}

/// Who signed which commit, as the file says: nobody's signature is judged.
fn signers(snapshot: &Snapshot, ui: &Ui) -> BTreeMap<u64, String> {
    let notes = snapshot.notes().unwrap_or_else(|error| {
        ui.warn(format!("the signed notes cannot be read: {error}; `rvf verify` tells more"));
        Vec::new()
    });
    let signer = |note: &Note| Some((note.statement().epoch, key_id(&note.signatures().first()?.name).to_owned()));
    notes.iter().filter_map(signer).collect()
}

fn is_here(parent: &ParentRef, files: &[Relative]) -> bool {
    files.iter().any(|file| file.newest.file_id == parent.file_id)
}

fn file_json(file: &Relative, files: &[Relative]) -> Value {
    let parent = file.parent.as_ref().map(|parent| {
        let found = is_here(parent, files);
        json!({ "file_id": hex(&parent.file_id), "epoch": parent.epoch, "path": parent.path, "found": found })
    });
    json!({
        "path": file.path.display().to_string(),
        "file_id": hex(&file.newest.file_id),
        "epoch": file.newest.epoch,
        "parent": parent,
        "count": file.count,
        "frozen": file.frozen,
    })
}

/// Branches of one file: the commits that they go on from, and which of the files they are.
type Branches = Vec<(u64, usize)>;

/// Files, each under the one that it is a branch of.
struct Tree<'f> {
    files: &'f [Relative],
    asked: &'f Path,
    told: Vec<bool>,
}

impl<'f> Tree<'f> {
    fn new(files: &'f [Relative], asked: &'f Path) -> Self {
        Self { files, asked, told: vec![false; files.len()] }
    }

    fn tell(mut self, ui: &Ui) -> Result<(), Failure> {
        ui.line("")?;
        let files = self.files;
        // Files whose parents are not here, under a line for the parent.
        let mut orphans: BTreeMap<[u8; 16], (&ParentRef, Branches)> = BTreeMap::new();
        for (at, file) in files.iter().enumerate() {
            match &file.parent {
                None => self.tell_file(at, &Place::default(), ui)?,
                Some(parent) if is_here(parent, files) => {}
                Some(parent) => {
                    orphans.entry(parent.file_id).or_insert((parent, Vec::new())).1.push((parent.epoch, at));
                }
            }
        }
        for (parent, branches) in orphans.into_values() {
            ui.line(format!("{}  not found (file {})", plain(&parent.path), hex(&parent.file_id)))?;
            self.tell_branches(branches, &Place::default(), ui)?;
        }
        Ok(())
    }

    /// A file and its branches. Of copies of a file, which have one id, the first has them.
    fn tell_file(&mut self, at: usize, place: &Place, ui: &Ui) -> Result<(), Failure> {
        if std::mem::replace(&mut self.told[at], true) {
            return Ok(());
        }
        ui.line(format!("{}{}", place.before, self.line(at)))?;
        let id = self.files[at].newest.file_id;
        let epoch = |file: &Relative| file.parent.as_ref().filter(|on| on.file_id == id).map(|on| on.epoch);
        let all = self.files.iter().enumerate();
        let branches = all.filter(|(at, _)| !self.told[*at]).filter_map(|(at, file)| Some((epoch(file)?, at)));
        self.tell_branches(branches.collect(), place, ui)
    }

    /// Branches of one file, by the commits that they go on from.
    fn tell_branches(&mut self, mut branches: Branches, place: &Place, ui: &Ui) -> Result<(), Failure> {
        branches.sort_unstable();
        let last = branches.last().copied();
        branches.into_iter().try_for_each(|branch| self.tell_file(branch.1, &place.below(Some(branch) == last), ui))
    }

    fn line(&self, at: usize) -> String {
        let file = &self.files[at];
        let from = file.parent.as_ref().map_or_else(String::new, |parent| format!("from epoch {}: ", parent.epoch));
        let (path, epoch, count) = (plain(&file.path.display().to_string()), file.newest.epoch, grouped(file.count));
        let frozen = if file.frozen { ", frozen" } else { "" };
        let is_asked = file.path == self.asked;
        let asked = if is_asked { "  <- this file" } else { "" };
        format!("{from}{path}  epoch {epoch}, {count} records{frozen}{asked}")
    }
}

/// Where a line of the tree hangs.
#[derive(Default)]
struct Place {
    /// What stands before the file itself.
    before: String,
    /// What stands before the sign of each file below it.
    under: String,
}

impl Place {
    /// The place of a file below this one.
    fn below(&self, is_last: bool) -> Self {
        let (sign, under) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        Self { before: format!("{}{sign}", self.under), under: format!("{}{under}", self.under) }
    }
}

/// What `log` and `audit` both say of an entry.
pub(super) fn entry_json(entry: &LogEntry) -> Value {
    json!({
        "epoch": entry.epoch,
        "time": time(entry.time_ns),
        "time_ns": entry.time_ns,
        "operation": entry.operation.name(),
        "added": entry.added,
        "deleted": entry.deleted,
        "root_hash": hex(&entry.state_hash),
        "entry_hash": hex(&entry.entry_hash),
        "index": entry.index,
        "actor": entry.actor,
    })
}

fn to_json(entry: &LogEntry, signers: &BTreeMap<u64, String>) -> Value {
    let mut value = entry_json(entry);
    value["count"] = json!(entry.count);
    value["automatic"] = json!(entry.automatic);
    value["kept"] = json!(entry.kept);
    if let Some(signer) = signers.get(&entry.epoch) {
        value["signer"] = json!(signer);
    }
    value
}

fn cells(entry: &LogEntry, signers: &BTreeMap<u64, String>) -> Vec<String> {
    let mut cells = vec![
        entry.epoch.to_string(),
        time(entry.time_ns),
        format!("{}{}", entry.operation.name(), if entry.automatic { " (automatic)" } else { "" }),
        format!("+{}", entry.added),
        format!("-{}", entry.deleted),
        entry.count.to_string(),
        short_hex(&entry.state_hash),
        if entry.kept { "yes" } else { "no" }.to_owned(),
        entry.actor.clone(),
    ];
    if !signers.is_empty() {
        cells.push(signers.get(&entry.epoch).cloned().unwrap_or_default());
    }
    cells
}

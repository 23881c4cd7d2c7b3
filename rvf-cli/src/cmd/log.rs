//! `rvf log`: the commits of a store, and the tree of files that it belongs to.

use super::Outcome;
use super::parents::open_with_or_without;
use crate::args::ReadArgs;
use crate::failure::Failure;
use crate::output::{Ui, grouped, hex, plain, short_hex, time};
use clap::Args;
use rvf_engine::{LogEntry, Relative, family};
use rvf_format::storage::FilePlace;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// List the commits of a store, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rvf log notes.rvf --limit 5\n  rvf log notes.rvf --all")]
pub(crate) struct LogArgs {
    /// The store
    file: PathBuf,
    /// At most so many commits
    #[arg(long, value_name = "N")]
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
    let mut value = json!({ "commits": log.iter().map(to_json).collect::<Vec<Value>>() });
    let files = match args.all {
        true => family(&FilePlace, &args.file, &snapshot, &ui.parent_folders),
        false => Vec::new(),
    };
    if args.all {
        value["files"] = files.iter().map(file_json).collect();
    }
    ui.result(&value, || {
        let rows: Vec<Vec<String>> = log.iter().map(cells).collect();
        ui.table(&["epoch", "time", "operation", "added", "deleted", "records", "root hash", "kept", "actor"], &rows)?;
        match args.all {
            true => Tree::new(&files, &args.file).tell(ui),
            false => Ok(()),
        }
    })?;
    Ok(0)
}

fn file_json(file: &Relative) -> Value {
    let parent = file
        .parent
        .as_ref()
        .map(|parent| json!({ "file_id": hex(&parent.file_id), "epoch": parent.epoch, "path": parent.path }));
    json!({
        "path": file.path.display().to_string(),
        "file_id": hex(&file.newest.file_id),
        "epoch": file.newest.epoch,
        "parent": parent,
        "count": file.count,
        "frozen": file.frozen,
    })
}

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
        let has_parent = |file: &Relative| {
            let id = file.parent.as_ref().map(|parent| parent.file_id);
            id.is_some_and(|id| self.files.iter().any(|other| other.newest.file_id == id))
        };
        let first: Vec<usize> = (0..self.files.len()).filter(|at| !has_parent(&self.files[*at])).collect();
        first.into_iter().try_for_each(|at| self.tell_file(at, 0, ui))
    }

    /// A file and its branches, by the commits that they go on from. Of copies of a file, which have one id, the first has them.
    fn tell_file(&mut self, at: usize, depth: usize, ui: &Ui) -> Result<(), Failure> {
        if std::mem::replace(&mut self.told[at], true) {
            return Ok(());
        }
        ui.line(self.line(at, depth))?;
        let id = self.files[at].newest.file_id;
        let of =
            |file: &Relative| file.parent.as_ref().filter(|parent| parent.file_id == id).map(|parent| parent.epoch);
        let mut branches: Vec<(u64, usize)> =
            self.files.iter().enumerate().filter_map(|(at, file)| Some((of(file)?, at))).collect();
        branches.sort_unstable();
        branches.into_iter().try_for_each(|(_, branch)| self.tell_file(branch, depth + 1, ui))
    }

    fn line(&self, at: usize, depth: usize) -> String {
        let file = &self.files[at];
        let from = file.parent.as_ref().map_or_else(String::new, |parent| format!("from epoch {}: ", parent.epoch));
        let branch = if depth == 0 { from } else { format!("{}└─ {from}", "   ".repeat(depth - 1)) };
        let (path, epoch, count) = (plain(&file.path.display().to_string()), file.newest.epoch, grouped(file.count));
        let frozen = if file.frozen { ", frozen" } else { "" };
        let is_asked = file.path == self.asked;
        let asked = if is_asked { "  <- this file" } else { "" };
        format!("{branch}{path}  epoch {epoch}, {count} records{frozen}{asked}")
    }
}

fn to_json(entry: &LogEntry) -> Value {
    json!({
        "epoch": entry.epoch,
        "time": time(entry.time_ns),
        "time_ns": entry.time_ns,
        "operation": entry.operation.name(),
        "added": entry.added,
        "deleted": entry.deleted,
        "count": entry.count,
        "root_hash": hex(&entry.state_hash),
        "entry_hash": hex(&entry.entry_hash),
        "index": entry.index,
        "actor": entry.actor,
        "automatic": entry.automatic,
        "kept": entry.kept,
    })
}

fn cells(entry: &LogEntry) -> Vec<String> {
    vec![
        entry.epoch.to_string(),
        time(entry.time_ns),
        format!("{}{}", entry.operation.name(), if entry.automatic { " (automatic)" } else { "" }),
        format!("+{}", entry.added),
        format!("-{}", entry.deleted),
        entry.count.to_string(),
        short_hex(&entry.state_hash),
        if entry.kept { "yes" } else { "no" }.to_owned(),
        entry.actor.clone(),
    ]
}

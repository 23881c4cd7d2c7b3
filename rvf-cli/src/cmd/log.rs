//! `rvf log`: the commits of a store.

use super::{Outcome, open_reader};
use crate::args::ReadArgs;
use crate::failure::Failure;
use crate::output::{Ui, hex, short_hex, time};
use clap::Args;
use rvf_engine::LogEntry;
use serde_json::{Value, json};
use std::path::PathBuf;

/// List the commits of a store, newest first
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf log notes.rvf --limit 5")]
pub(crate) struct LogArgs {
    /// The store
    file: PathBuf,
    /// At most so many commits
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    read: ReadArgs,
}

pub(crate) fn run(args: &LogArgs, ui: &Ui) -> Outcome {
    let snapshot = open_reader(&args.file, &args.read, ui)?;
    let log = snapshot.log(args.limit.unwrap_or(usize::MAX)).map_err(Failure::of(&args.file))?;
    let value = json!({ "commits": log.iter().map(to_json).collect::<Vec<Value>>() });
    ui.result(&value, || {
        let rows: Vec<Vec<String>> = log.iter().map(cells).collect();
        ui.table(&["epoch", "time", "operation", "added", "deleted", "records", "root hash", "kept", "actor"], &rows)
    })?;
    Ok(0)
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

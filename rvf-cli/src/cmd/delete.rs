//! `rvf delete`: records by their ids, in one commit.

use super::{Outcome, fold, matches_of, open_writer, parse_id};
use crate::args::WriterArgs;
use crate::failure::{Failure, NO};
use crate::output::Ui;
use crate::progress::catch_interrupts;
use clap::Args;
use rvf_engine::Id;
use serde_json::json;
use std::path::PathBuf;

/// Delete records by their ids or by a filter, in one commit; exit code 1 if an id is absent
///
/// The vectors stay readable at earlier epochs until `rvf compact`. When half of the index is deleted, a second commit renews it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rvf delete notes.rvf --id 17,18,19\n  rvf delete notes.rvf --filter \"source = 'mdn'\""
)]
pub(crate) struct DeleteArgs {
    /// The store
    file: PathBuf,
    /// Ids of records; may be given several times. An id that holds a comma is taken whole if a record has it
    #[arg(long, value_name = "ID,..", required_unless_present = "filter")]
    id: Vec<String>,
    /// Records that this filter finds, as "lang = 'de' AND words < 40"
    #[arg(long, value_name = "EXPR", conflicts_with = "id")]
    filter: Option<String>,
    #[command(flatten)]
    writer: WriterArgs,
}

pub(crate) fn run(args: &DeleteArgs, ui: &Ui) -> Outcome {
    let mut db = open_writer(&args.file, &args.writer.options()?, ui)?;
    let snapshot = db.snapshot();
    let mut ids: Vec<Id> = Vec::new();
    for text in &args.id {
        let whole = Id::parse(text, snapshot.schema().id_type);
        match whole.filter(|id| snapshot.get(id).is_ok_and(|record| record.is_some())) {
            Some(id) => ids.push(id),
            None => {
                let parts = text.split(',').map(|part| parse_id(part, &snapshot, &args.file));
                ids.extend(parts.collect::<Result<Vec<Id>, Failure>>()?);
            }
        }
    }
    if let Some(text) = &args.filter {
        let matches = matches_of(text, &snapshot, &args.file, ui)?;
        // What is misspelt must not delete: a field that no record has is null in all.
        if let Some(field) = matches.unknown_fields().first() {
            let message = format!("{field}: nothing was deleted ({})", args.file.display());
            return Err(Failure::usage("unknown_field", message, "`rvf info` lists the fields"));
        }
        ids = matches.ids(&snapshot).map_err(Failure::of(&args.file))?;
    }
    ids.sort_unstable();
    ids.dedup();
    let done = db.delete(&ids).map_err(Failure::of(&args.file))?;
    let mut epoch = done.epoch;
    // A store that was left without an index gets none for having fewer records.
    if !snapshot.graphs().is_empty() {
        catch_interrupts();
        epoch = fold(&mut db, &args.file, ui)?.epoch;
    }
    let value = json!({
        "deleted": done.deleted,
        "missing": done.missing,
        "count": done.count,
        "epoch": epoch,
    });
    ui.result(&value, || {
        let (deleted, missing, count) = (done.deleted, done.missing, done.count);
        ui.line(format!("deleted {deleted} records, {missing} absent; {count} records at epoch {epoch}"))
    })?;
    Ok(if done.missing == 0 { 0 } else { NO })
}

//! `rvf export`: all records to a file of vectors.

use super::{FILTER_HELP, Outcome, matches_of, open_reader};
use crate::args::ReadArgs;
use crate::failure::{Failure, NO};
use crate::output::{self, Ui, plain};
use crate::progress::{Bar, catch_interrupts};
use clap::Args;
use rvf_engine::ingest::{Exported, Format, feedback_companion, ids_companion, metadata_companion};
use rvf_engine::salvage::{Loss, Salvaged};
use rvf_engine::{Error, salvage_path};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Ids of lost records that the text names.
const SHOWN: usize = 20;

/// Write all records to a file of vectors
///
/// Vectors keep the store's dtype, bits as packed bytes. Ids and metadata stand in a .jsonl or .csv file itself, else beside it in
/// OUT's name with .ids.npy and .metadata.jsonl, as `rvf import --ids --metadata` reads them. With --salvage the store may be damaged: exit code 1 says that something is lost or not certain.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  rvf export notes.rvf notes.npy    # and notes.ids.npy, and notes.metadata.jsonl if there are fields
  rvf export notes.rvf notes.csv    # columns id, one a field as lang:string, vector
  rvf export damaged.rvf saved.jsonl --salvage")]
pub(crate) struct ExportArgs {
    /// The store
    file: PathBuf,
    /// The file to be written: .npy, .fvecs, .bvecs, .jsonl, .csv; .parquet where built with it
    out: PathBuf,
    /// The format of OUT, where its extension does not say
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Replace OUT if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    read: ReadArgs,
    /// Only records that this filter finds, as "lang = 'de' AND words < 40"
    #[arg(long, value_name = "EXPR", conflicts_with = "salvage", long_help = FILTER_HELP)]
    filter: Option<String>,
    /// Write every record of a damaged store that is intact, and list what is lost
    #[arg(long, conflicts_with = "at")]
    salvage: bool,
    /// Leave out the feedback, which is written to OUT's name with .feedback.jsonl otherwise, as `rvf feedback --input` reads it; with
    /// --filter or --salvage it is left out anyway
    #[arg(long)]
    no_feedback: bool,
}

pub(crate) fn run(args: &ExportArgs, ui: &Ui) -> Outcome {
    catch_interrupts();
    if args.salvage {
        return save(args, ui);
    }
    let snapshot = open_reader(&args.file, &args.read, ui)?;
    let fields = !snapshot.fields().map_err(Failure::of(&args.file))?.is_empty();
    let matches = args.filter.as_ref().map(|text| matches_of(text, &snapshot, &args.file, ui)).transpose()?;
    let takes_feedback = !args.no_feedback && args.filter.is_none();
    let feedback = takes_feedback && !snapshot.feedback().map_err(Failure::of(&args.file))?.is_empty();
    check_targets(args, fields, feedback)?;
    let mut bar = Bar::items(ui, "exporting");
    let progress = &mut |done, total| bar.update(done, total);
    let done = match &matches {
        Some(matches) => snapshot.export_matches(matches, &args.out, args.format, progress),
        None => snapshot.export(&args.out, args.format, progress),
    };
    drop(bar);
    let done = done.map_err(Failure::of(&args.file))?;
    let beside = feedback.then(|| feedback_companion(&args.out));
    let queries = beside.as_ref().map(|path| snapshot.export_feedback(path)).transpose();
    let queries = queries.map_err(Failure::of(&args.file))?.unwrap_or(0);
    let value = json!({
        "exported": done.exported, "out": args.out.display().to_string(), "ids": text_of(done.ids.as_deref()),
        "metadata": text_of(done.metadata.as_deref()), "epoch": snapshot.epoch(), "feedback": text_of(beside.as_deref()), "feedback_queries": queries,
    });
    ui.result(&value, || {
        ui.line(format!("exported {} records to {}", done.exported, args.out.display()))?;
        tell_companions(&done, ui)?;
        match &beside {
            Some(path) => ui.line(format!("feedback on {queries} queries is in {}", path.display())),
            None => Ok(()),
        }
    })?;
    Ok(0)
}

/// Writes what is intact of a damaged store.
fn save(args: &ExportArgs, ui: &Ui) -> Outcome {
    let saved = salvage_path(&args.file).map_err(Failure::of(&args.file))?;
    check_targets(args, !saved.fields().is_empty(), false)?;
    let mut bar = Bar::items(ui, "exporting");
    let done = saved.export(&args.out, args.format, &mut |done, total| bar.update(done, total));
    drop(bar);
    let done = done.map_err(Failure::of(&args.file))?;
    let list = |losses: &[Loss]| losses.iter().map(to_json).collect::<Vec<Value>>();
    let value = json!({
        "exported": done.exported, "out": args.out.display().to_string(), "ids": text_of(done.ids.as_deref()),
        "metadata": text_of(done.metadata.as_deref()), "epoch": saved.epoch, "expected": saved.expected,
        "without_fields": saved.without_fields,
        "whole": saved.whole.map(|(epoch, count)| json!({ "epoch": epoch, "count": count })),
        "lost": list(&saved.lost), "notes": list(&saved.notes),
    });
    ui.result(&value, || tell(args, &saved, &done, ui))?;
    Ok(if saved.lost.is_empty() { 0 } else { NO })
}

fn to_json(loss: &Loss) -> Value {
    let mut value =
        json!({ "segment": loss.segment, "kind": loss.kind, "offset": loss.offset, "message": loss.message });
    if let Some(rows) = loss.rows {
        value["rows"] = json!(rows);
    }
    if let Some(fields) = loss.fields {
        value["fields"] = json!(fields);
    }
    if !loss.ids.is_empty() {
        value["ids"] = loss.ids.iter().map(output::id).collect();
    }
    value
}

fn text_of(path: Option<&Path>) -> Option<String> {
    path.map(|path| path.display().to_string())
}

/// Names the files that stand beside OUT.
fn tell_companions(done: &Exported, ui: &Ui) -> Result<(), Failure> {
    for (what, path) in [("ids", &done.ids), ("metadata", &done.metadata)] {
        if let Some(path) = path {
            ui.line(format!("their {what} {} in {}", if what == "ids" { "are" } else { "is" }, path.display()))?;
        }
    }
    Ok(())
}

fn tell(args: &ExportArgs, saved: &Salvaged, done: &Exported, ui: &Ui) -> Result<(), Failure> {
    let exported = done.exported;
    let (of, but) = match saved.expected {
        Some(expected) if exported <= expected => (format!("of {expected} "), String::new()),
        Some(expected) => {
            let but = format!(", more than the {expected} of the newest epoch: some were deleted or replaced");
            (String::new(), but)
        }
        None => (String::new(), String::new()),
    };
    ui.line(format!("exported {exported} {of}records to {}{but}", args.out.display()))?;
    tell_companions(done, ui)?;
    for (title, losses) in [("lost, or not certain:", &saved.lost), ("damaged, without loss of records:", &saved.notes)]
    {
        if losses.is_empty() {
            continue;
        }
        let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
        let cells = |loss: &Loss| {
            let (segment, rows) = (number(loss.segment), number(loss.rows));
            vec![segment, loss.kind.to_owned(), loss.offset.to_string(), rows, loss.message.clone()]
        };
        ui.line("")?;
        ui.line(title)?;
        let rows: Vec<Vec<String>> = losses.iter().map(cells).collect();
        ui.table(&["segment", "kind", "offset", "rows", "what"], &rows)?;
    }
    tell_ids(saved, ui)?;
    if saved.without_fields > 0 {
        ui.line("")?;
        ui.line(format!("records without their metadata, which is damaged or not known: {}", saved.without_fields))?;
    }
    let Some((epoch, count)) = saved.whole else { return Ok(()) };
    let file = args.file.display();
    ui.line("")?;
    ui.line(format!("epoch {epoch} lost nothing: `rvf export {file} OUT --at {epoch}` writes its {count} records"))
}

/// Which records are lost, as far as their ids are intact.
fn tell_ids(saved: &Salvaged, ui: &Ui) -> Result<(), Failure> {
    let known: Vec<String> = saved.lost.iter().flat_map(|loss| &loss.ids).map(|id| plain(&id.to_string())).collect();
    let lost: u64 = saved.lost.iter().filter_map(|loss| loss.rows).sum();
    let unknown = lost.saturating_sub(known.len() as u64);
    if lost == 0 {
        return Ok(());
    }
    ui.line("")?;
    if !known.is_empty() {
        let more = known.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more: see --json") } else { String::new() };
        ui.line(format!("ids of lost records: {}{more}", known[..known.len().min(SHOWN)].join(", ")))?;
    }
    if unknown > 0 {
        ui.line(format!("lost records whose ids are unknown: {unknown}"))?;
    }
    Ok(())
}

/// Nothing is replaced unless that is asked; the store itself never.
fn check_targets(args: &ExportArgs, fields: bool, feedback: bool) -> Result<(), Failure> {
    let exists = |path: &Path| Failure::of(path)(Error::Exists { path: path.to_owned() });
    let same = |path: &Path| path.canonicalize().ok().is_some_and(|out| args.file.canonicalize().ok() == Some(out));
    if same(&args.out) {
        return Err(exists(&args.out).with_hint("name another file: this one is the store"));
    }
    let format = args.format.or_else(|| Format::of_path(&args.out).ok());
    let beside = !format.is_some_and(Format::holds_records);
    let ids = beside.then(|| ids_companion(&args.out));
    let metadata = (beside && fields).then(|| metadata_companion(&args.out));
    let feedback = feedback.then(|| feedback_companion(&args.out));
    for path in [Some(args.out.clone()), ids, metadata, feedback].into_iter().flatten() {
        if !args.force && path.exists() && !path.is_dir() {
            return Err(exists(&path).with_hint("choose another name, or give --force to replace it"));
        }
    }
    Ok(())
}

//! `rvf convert`: a file of the published RVF crates, or of vectors, to a new store.

use super::upkeep::fold;
use super::{Outcome, open_writer};
use crate::args::WriterArgs;
use crate::failure::Failure;
use crate::output::{Ui, grouped};
use crate::progress::{Bar, catch_interrupts};
use clap::Args;
use rvf_engine::ingest::door::Rounding;
use rvf_engine::ingest::{ConvertOptions, Converted, Format, ImportOptions, SkippedRow, SkippedSegment, convert};
use rvf_engine::store::Context;
use rvf_engine::{Dtype, IdType, IndexOptions, Indexed, Metric, OpenOptions};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Make a store of a file of the published RVF crates, or of a plain file of vectors
///
/// A branch is flattened: its parents are looked for where it records them (not outside its folder), beside it, in --parent-dir and
/// in $RVF_PARENT_PATH. Fields, which such files number, become field.0, field.1 and so on. What is not carried over is listed with the reason.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf convert old.rvf new.rvf")]
pub(crate) struct ConvertArgs {
    /// The file to be read
    source: PathBuf,
    /// The store to be created
    out: PathBuf,
    /// Metric: needed for a plain file; for a published one only where it records none
    #[arg(long)]
    metric: Option<Metric>,
    /// Dtype of the store, that of the source unless given; f16 accepts rounding of f32
    #[arg(long)]
    dtype: Option<Dtype>,
    /// Id type, for a plain file
    #[arg(long, value_name = "TYPE")]
    id_type: Option<IdType>,
    /// The format of a plain file, where its extension does not say
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Name of the embedding model, to be kept in the store
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Records a commit
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Of a plain file: leave out and count vectors that are not finite, or all zero under cosine
    #[arg(long)]
    skip_invalid: bool,
    /// Threads that build the index; all of the machine's unless given
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Build no index
    #[arg(long)]
    no_index: bool,
    #[command(flatten)]
    writer: WriterArgs,
}

pub(crate) fn run(args: &ConvertArgs, ui: &Ui) -> Outcome {
    catch_interrupts();
    let options = options(args, ui)?;
    let mut bar = Bar::items(ui, "converting");
    let done = convert(&args.source, &args.out, &options, &mut |done, total| bar.update(done, total));
    drop(bar);
    let done = done.map_err(|error| {
        let named = match &error {
            rvf_engine::Error::Exists { path } => path.clone(),
            _ => args.source.clone(),
        };
        Failure::of(&named)(error)
    })?;
    done.warnings.iter().for_each(|warning| ui.warn(warning));
    if let Some(row) = done.rows_skipped.first() {
        ui.warn(format!("{} records were left out; the first, {}, {}", done.rejected, row.id, row.why));
    }
    let indexed = index(args, ui)?;
    ui.result(&to_json(args, &done, &indexed), || tell(args, &done, &indexed, ui))?;
    Ok(0)
}

/// Opens the store that was made, and indexes it unless that is not wanted.
fn index(args: &ConvertArgs, ui: &Ui) -> Result<Indexed, Failure> {
    let index = IndexOptions { threads: args.threads, ..IndexOptions::default() };
    let mut db = open_writer(&args.out, &OpenOptions { index, ..args.writer.options(ui)? }, ui)?;
    match args.no_index {
        true => Ok(Indexed { epoch: db.snapshot().epoch(), ..Indexed::default() }),
        false => fold(&mut db, &args.out, ui),
    }
}

fn options(args: &ConvertArgs, ui: &Ui) -> Result<ConvertOptions, Failure> {
    let writer = args.writer.options(ui)?;
    let from_env = std::env::var_os("RVF_PARENT_PATH").unwrap_or_default();
    let parent_dirs = ui.parent_folders.iter().cloned().chain(std::env::split_paths(&from_env));
    let parent_dirs = parent_dirs.filter(|dir| !dir.as_os_str().is_empty()).collect();
    let defaults = ConvertOptions::default();
    Ok(ConvertOptions {
        context: Context {
            clock: writer.clock,
            actor: writer.actor,
            lock_wait: writer.lock_wait,
            parent_folders: writer.parent_folders,
            signer: writer.signer,
        },
        metric: args.metric,
        dtype: args.dtype,
        id_type: args.id_type,
        format: args.format,
        model: args.model.clone(),
        parent_dirs,
        import: ImportOptions {
            batch: args.batch as usize,
            rounding: if args.dtype == Some(Dtype::F16) { Rounding::ToF16 } else { Rounding::Refuse },
            skip_invalid: args.skip_invalid,
            ..defaults.import
        },
    })
}

fn to_json(args: &ConvertArgs, done: &Converted, indexed: &Indexed) -> Value {
    let segment = |segment: &SkippedSegment| {
        let mut value = json!({
            "kind": segment.kind,
            "why": segment.why,
            "segment_id": segment.segment_id,
            "offset": segment.offset,
        });
        if let Some(parent) = &segment.parent {
            value["parent"] = json!(parent.display().to_string());
        }
        value
    };
    let row = |row: &SkippedRow| json!({ "id": row.id, "why": row.why });
    json!({
        "out": args.out.display().to_string(),
        "imported": done.imported,
        "rejected": done.rejected,
        "rows_skipped": done.rows_skipped.iter().map(row).collect::<Vec<Value>>(),
        "segments_read": done.segments_read,
        "segments_skipped": done.segments_skipped.iter().map(segment).collect::<Vec<Value>>(),
        "warnings": done.warnings,
        "indexed": indexed.indexed,
        "epoch": indexed.epoch,
    })
}

fn tell(args: &ConvertArgs, done: &Converted, indexed: &Indexed, ui: &Ui) -> Result<(), Failure> {
    let (imported, read, out) = (done.imported, done.segments_read, args.out.display());
    ui.line(format!("converted {imported} records to {out} from {read} segments"))?;
    ui.line(format!("{} of them indexed", grouped(indexed.indexed)))?;
    if done.segments_skipped.is_empty() {
        return Ok(());
    }
    let cells = |segment: &SkippedSegment| {
        vec![segment.kind.clone(), segment.segment_id.to_string(), segment.offset.to_string(), segment.why.clone()]
    };
    let rows: Vec<Vec<String>> = done.segments_skipped.iter().map(cells).collect();
    ui.line("\nnot carried over:")?;
    ui.table(&["kind", "segment", "offset", "why"], &rows)
}

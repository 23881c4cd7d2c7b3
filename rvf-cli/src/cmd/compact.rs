//! `rvf compact`: a store without what is dead.

use super::{Outcome, open_writer};
use crate::args::{ModeArgs, WriterArgs};
use crate::failure::Failure;
use crate::output::{Ui, size};
use crate::progress::{Bar, catch_interrupts};
use clap::Args;
use rvf_engine::CompactOptions;
use serde_json::json;
use std::path::PathBuf;

/// Rewrite a store without what is dead
///
/// Older epochs than the kept ones can no longer be opened. File id and log stay.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rvf compact notes.rvf --keep 3\n  rvf compact notes.rvf --output small.rvf")]
pub(crate) struct CompactArgs {
    /// The store
    file: PathBuf,
    /// How many epochs stay open to --at, the one that compaction makes included
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    keep: u64,
    /// Write the compacted store here, and leave FILE as it is
    #[arg(long, value_name = "NEW")]
    output: Option<PathBuf>,
    #[command(flatten)]
    writer: WriterArgs,
}

pub(crate) fn run(args: &CompactArgs, ui: &Ui) -> Outcome {
    catch_interrupts();
    let writer = args.writer.options(ui)?;
    let mut bar = Bar::items(ui, "indexing");
    let mut progress = |done, total| bar.update(done, Some(total));
    let done = match &args.output {
        Some(output) => {
            let reader = ModeArgs::default().open(&args.file, ui)?;
            ui.writes(output);
            reader.compact_to_with(output, args.keep, &writer, &mut progress)
        }
        None => {
            let options = CompactOptions { keep: args.keep, output: None };
            open_writer(&args.file, &writer, ui)?.compact_with(&options, &mut progress)
        }
    };
    drop(bar);
    let done = done.map_err(Failure::of(&args.file))?;
    let file = args.output.as_ref().unwrap_or(&args.file).display().to_string();
    let value = json!({
        "file": file,
        "before_bytes": done.before_bytes,
        "after_bytes": done.after_bytes,
        "epoch": done.epoch,
    });
    ui.result(&value, || {
        let (before, after, epoch) = (size(done.before_bytes), size(done.after_bytes), done.epoch);
        ui.line(format!("compacted {before} to {after}: {file} at epoch {epoch}"))
    })?;
    Ok(0)
}

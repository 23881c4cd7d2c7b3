//! `rvf flatten`: all that a branch sees, in a store that needs no parent.

use super::upkeep::fold;
use super::{Outcome, open_reader, open_writer};
use crate::args::{ReadArgs, WriterArgs};
use crate::failure::Failure;
use crate::output::{Ui, grouped, size};
use crate::progress::{Bar, catch_interrupts, is_interrupted};
use clap::Args;
use rvf_engine::{Error, IndexOptions, OpenOptions, flatten};
use rvf_format::storage::FilePlace;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Write all that a branch sees to a new store that needs no parent
///
/// Its history begins anew. Of a store without a parent it makes a copy.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf flatten draft.rvf whole.rvf")]
pub(crate) struct FlattenArgs {
    /// The branch
    child: PathBuf,
    /// The store to be created
    out: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
    /// Threads that build the index; all of the machine's unless given
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Leave the index as the files of the lineage have it: `rvf index` makes one graph of it
    #[arg(long)]
    no_index: bool,
    #[command(flatten)]
    writer: WriterArgs,
}

pub(crate) fn run(args: &FlattenArgs, ui: &Ui) -> Outcome {
    catch_interrupts();
    let index = IndexOptions { threads: args.threads, ..IndexOptions::default() };
    let options = OpenOptions { index, ..args.writer.options(ui)? };
    let source = open_reader(&args.child, &args.read, ui)?;
    let mut bar = Bar::bytes(ui, "flattening");
    let done = flatten(Arc::new(FilePlace), &source, &args.out, None, &options, &mut |done, total| {
        bar.update(done, Some(total))
    });
    drop(bar);
    let mut done = done.map_err(Failure::of(&args.child))?;
    let mut db = open_writer(&args.out, &options, ui)?;
    if !args.no_index {
        let folded = fold(&mut db, &args.out, ui);
        if folded.is_err() && is_interrupted() {
            drop(db);
            std::fs::remove_file(&args.out).map_err(|error| Failure::of_io("removing", &args.out, error))?;
            return Err(Failure::of(&args.child)(Error::Interrupted));
        }
        folded?;
    }
    let snapshot = db.snapshot();
    done.bytes = snapshot.root().end();
    let out = args.out.display().to_string();
    let value = json!({
        "out": out,
        "bytes": done.bytes,
        "count": done.count,
        "indexed": snapshot.indexed(),
        "epoch": snapshot.epoch(),
    });
    ui.result(&value, || {
        let (count, bytes) = (grouped(done.count), size(done.bytes));
        ui.line(format!("flattened {count} records to {out}, {bytes}, which needs no parent"))
    })?;
    Ok(0)
}

//! `rvf freeze`: a store that takes no further commits.

use super::{Outcome, open_writer};
use crate::args::WriterArgs;
use crate::failure::Failure;
use crate::output::Ui;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Make a store one that takes no further commits: a base for branches
///
/// Nothing undoes it. Branches of a frozen store pin nothing, for it never changes.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf freeze notes.rvf && rvf branch notes.rvf mine.rvf")]
pub(crate) struct FreezeArgs {
    /// The store
    file: PathBuf,
    #[command(flatten)]
    writer: WriterArgs,
}

pub(crate) fn run(args: &FreezeArgs, ui: &Ui) -> Outcome {
    let mut db = open_writer(&args.file, &args.writer.options(ui)?, ui)?;
    let is_frozen = db.snapshot().root().is_frozen();
    if !is_frozen && !args.writer.signs() && db.snapshot().policy().map_err(Failure::of(&args.file))?.is_some() {
        let message =
            format!("the store is signed, and a frozen one cannot be signed afterwards ({})", args.file.display());
        return Err(Failure::usage("unsigned", message, "freeze it with --sign-with PREFIX.key"));
    }
    let epoch = db.freeze().map_err(Failure::of(&args.file))?;
    let file = args.file.display().to_string();
    ui.result(&json!({ "file": file, "epoch": epoch, "frozen": true }), || {
        ui.line(format!("{file} is frozen at epoch {epoch}: it takes no further commits, branches go on from it"))
    })?;
    Ok(0)
}

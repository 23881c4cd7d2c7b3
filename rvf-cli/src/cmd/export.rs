//! `rvf export`: all records to a file of vectors.

use super::{Outcome, open_reader};
use crate::args::ReadArgs;
use crate::failure::Failure;
use crate::output::Ui;
use crate::progress::{Bar, catch_interrupts};
use clap::Args;
use rvf_engine::Error;
use rvf_engine::ingest::{Format, ids_companion};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Write all records to a file of vectors
///
/// Vectors keep the store's dtype, bits as packed bytes. Ids stand in a .jsonl file itself, else beside it in OUT's name with
/// .ids.npy.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf export notes.rvf notes.npy    # and notes.ids.npy")]
pub(crate) struct ExportArgs {
    /// The store
    file: PathBuf,
    /// The file to be written: .npy, .fvecs, .bvecs, .jsonl
    out: PathBuf,
    /// The format of OUT, where its extension does not say
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Replace OUT if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    read: ReadArgs,
    #[arg(long, hide = true)]
    filter: Option<String>,
    #[arg(long, hide = true)]
    salvage: bool,
    #[arg(long, hide = true)]
    no_feedback: bool,
}

pub(crate) fn run(args: &ExportArgs, ui: &Ui) -> Outcome {
    if args.filter.is_some() {
        return Err(Failure::not_yet("--filter", "no metadata in this version, so no filters"));
    }
    if args.salvage {
        return Err(Failure::not_yet("--salvage", "this version does not salvage damaged files"));
    }
    catch_interrupts();
    let snapshot = open_reader(&args.file, &args.read, ui)?;
    check_targets(args)?;
    let mut bar = Bar::items(ui, "exporting");
    let done = snapshot.export(&args.out, args.format, &mut |done, total| bar.update(done, total));
    drop(bar);
    let done = done.map_err(Failure::of(&args.file))?;
    let ids = done.ids.as_ref().map(|path| path.display().to_string());
    let value = json!({ "exported": done.exported, "out": args.out.display().to_string(), "ids": ids });
    ui.result(&value, || {
        ui.line(format!("exported {} records to {}", done.exported, args.out.display()))?;
        ids.iter().try_for_each(|ids| ui.line(format!("their ids are in {ids}")))
    })?;
    Ok(0)
}

/// Nothing is replaced unless that is asked; the store itself never.
fn check_targets(args: &ExportArgs) -> Result<(), Failure> {
    let exists = |path: &Path| Failure::of(path)(Error::Exists { path: path.to_owned() });
    let same = |path: &Path| path.canonicalize().ok().is_some_and(|out| args.file.canonicalize().ok() == Some(out));
    if same(&args.out) {
        return Err(exists(&args.out).with_hint("name another file: this one is the store"));
    }
    let format = args.format.or_else(|| Format::of_path(&args.out).ok());
    let ids = (format != Some(Format::Jsonl)).then(|| ids_companion(&args.out));
    for path in [Some(args.out.clone()), ids].into_iter().flatten() {
        if !args.force && path.exists() && !path.is_dir() {
            return Err(exists(&path).with_hint("choose another name, or give --force to replace it"));
        }
    }
    Ok(())
}

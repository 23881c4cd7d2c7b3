//! `rvf bundle` and `rvf unbundle`: a branch and what it needs of its parents, in one archive and out of it.

use super::Outcome;
use crate::args::ModeArgs;
use crate::failure::Failure;
use crate::output::{Ui, grouped, hex, plain, size};
use crate::progress::{Bar, catch_interrupts};
use clap::Args;
use rvf_engine::{Bundled, BundledFile, bundle};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Write a branch, and what it needs of its parents, to one archive
///
/// The archive is one of tar, whose files are stores: the branch and, of each parent, what there was up to the commit that is needed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf bundle draft.rvf draft.tar && rvf unbundle draft.tar elsewhere")]
pub(crate) struct BundleArgs {
    /// The branch
    child: PathBuf,
    /// The archive to be written
    out: PathBuf,
    #[command(flatten)]
    mode: ModeArgs,
}

pub(crate) fn run(args: &BundleArgs, ui: &Ui) -> Outcome {
    let done = write_bundle(&args.child, &args.out, &args.mode, ui)?;
    ui.result(&to_json(&args.out, &done), || tell_bundle(&args.out, &done, ui))?;
    Ok(0)
}

pub(super) fn write_bundle(child: &Path, out: &Path, mode: &ModeArgs, ui: &Ui) -> Result<Bundled, Failure> {
    catch_interrupts();
    let source = mode.open(child, ui)?.snapshot();
    let mut bar = Bar::bytes(ui, "bundling");
    let done = bundle(&source, child, out, &mut |done, total| bar.update(done, Some(total)));
    drop(bar);
    done.map_err(Failure::of(child))
}

pub(super) fn to_json(out: &Path, done: &Bundled) -> Value {
    let mut value = contents(done);
    value["out"] = json!(out.display().to_string());
    value["bytes"] = json!(done.bytes);
    value
}

fn contents(done: &Bundled) -> Value {
    let file = |file: &BundledFile| json!({ "file": file.name, "file_id": hex(&file.file_id), "bytes": file.bytes });
    json!({
        "child": done.files.first().map(|file| &file.name),
        "files": done.files.iter().map(file).collect::<Vec<Value>>(),
    })
}

pub(super) fn tell_bundle(out: &Path, done: &Bundled, ui: &Ui) -> Result<(), Failure> {
    let (files, bytes) = (grouped(done.files.len() as u64), size(done.bytes));
    ui.line(format!("bundled in {}, {bytes}; files: {files}", plain(&out.display().to_string())))?;
    tell_files(done, ui)
}

fn tell_files(done: &Bundled, ui: &Ui) -> Result<(), Failure> {
    let cells = |file: &BundledFile| vec![file.name.clone(), size(file.bytes), hex(&file.file_id)];
    let rows: Vec<Vec<String>> = done.files.iter().map(cells).collect();
    ui.table(&["file", "size", "file id"], &rows)
}

/// Take a branch and its parents out of an archive that `rvf bundle` wrote
///
/// Every file is verified, and the branch opened, before any is in the folder. Nothing there is replaced.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf unbundle draft.tar elsewhere && rvf info elsewhere/draft.rvf")]
pub(crate) struct UnbundleArgs {
    /// The archive
    archive: PathBuf,
    /// The folder that the files are put into; made where it is missing
    dir: PathBuf,
}

pub(crate) fn unbundle(args: &UnbundleArgs, ui: &Ui) -> Outcome {
    let done = rvf_engine::unbundle(&args.archive, &args.dir).map_err(Failure::of(&args.archive))?;
    let mut value = contents(&done);
    value["dir"] = json!(args.dir.display().to_string());
    ui.result(&value, || {
        let child = done.files.first().map_or(PathBuf::new(), |file| args.dir.join(&file.name));
        ui.line(format!("{} is here, with what it needs", plain(&child.display().to_string())))?;
        tell_files(&done, ui)
    })?;
    Ok(0)
}

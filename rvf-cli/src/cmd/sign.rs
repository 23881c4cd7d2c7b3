//! `rvf sign`: the newest state of a store, signed; and what commands say that leave one unsigned.

use super::key::{algorithms, failure_of};
use super::{Outcome, open_writer};
use crate::args::CommitArgs;
use crate::failure::Failure;
use crate::output::Ui;
use clap::Args;
use rvf_engine::{ReadOptions, Reader, SecretKey};
use rvf_format::storage::FilePlace;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Sign the newest state of a store, and its whole history with it
///
/// A small commit of its own. From then on `rvf verify FILE --key PREFIX.pub` tells whether the newest commit is signed by that key, so
/// sign again after each change, or let commands that change the store sign with --sign-with. What is signed is what was committed; whether
/// the bytes are still so `rvf verify` tells, before and after.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf key new release && rvf sign notes.rvf --key release.key")]
pub(crate) struct SignArgs {
    /// The store
    file: PathBuf,
    /// The secret key
    #[arg(long, value_name = "PREFIX.key")]
    key: PathBuf,
    #[command(flatten)]
    commit: CommitArgs,
}

pub(crate) fn run(args: &SignArgs, ui: &Ui) -> Outcome {
    let key = Arc::new(SecretKey::load(&args.key).map_err(failure_of(&args.key))?);
    let mut db = open_writer(&args.file, &args.commit.options(ui), ui)?;
    let before = db.snapshot().epoch();
    let epoch = db.sign(key.clone()).map_err(Failure::of(&args.file))?;
    check_newest(&db.snapshot(), &key, &args.file)?;
    let (key_id, already) = (key.public().id().to_string(), epoch == before);
    let file = args.file.display().to_string();
    let value =
        json!({ "file": file, "key_id": key_id, "epoch": epoch, "algorithms": algorithms(), "already": already });
    ui.result(&value, || {
        let did = if already { "is signed already" } else { "is signed" };
        ui.line(format!("{file} {did} by {key_id} at epoch {epoch}: {}", algorithms().join(" and ")))
    })?;
    Ok(0)
}

/// A note that was there before bears the name of the key, which anybody can write.
fn check_newest(snapshot: &rvf_engine::Snapshot, key: &SecretKey, path: &Path) -> Result<(), Failure> {
    let newest = snapshot.notes().map_err(Failure::of(path))?.pop();
    let judged = newest.map(|note| (note.statement().epoch, key.public().verify(&note)));
    let Some((epoch, Err(fault))) = judged else { return Ok(()) };
    Err(Failure::no(
        "signature",
        format!("the note of epoch {epoch} bears the name of this key, and {fault} ({})", path.display()),
        "somebody else wrote it: get the file anew from where it came",
    ))
}

/// Says that a command left the newest commit of a store unsigned which was signed before.
pub(super) fn warn_if_unsigned(path: &Path, ui: &Ui) {
    // Where it cannot be read, the command has told more than this would.
    let Ok(snapshot) = Reader::open_alone(Arc::new(FilePlace), path, &ReadOptions::default()) else { return };
    let asks = matches!(snapshot.policy(), Ok(Some(_)));
    if asks && snapshot.signed_epoch() != Some(snapshot.epoch()) {
        ui.warn(format!(
            "the newest commit of {path}, epoch {}, is not signed: `rvf sign {path} --key PREFIX.key` signs it, --sign-with PREFIX.key signs what a command commits",
            snapshot.epoch(),
            path = path.display()
        ));
    }
}

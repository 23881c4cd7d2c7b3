//! `rvf key`: pairs of keys for signing.

use super::Outcome;
use crate::failure::Failure;
use crate::output::Ui;
use clap::{Args, Subcommand};
use rvf_engine::{Algorithm, Error, KeyFault, KeyFileFault, KeyId, PublicKey, SecretKey};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Make keys for signing stores, and tell which one a file holds
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf key new release && rvf sign notes.rvf --key release.key")]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    action: KeyAction,
}

#[derive(Debug, Subcommand)]
enum KeyAction {
    New(NewArgs),
    Show(ShowArgs),
}

/// Make a pair of keys: PREFIX.key, which signs and which only its owner may read, and PREFIX.pub, which judges signatures
///
/// Each holds two keys, Ed25519 and ML-DSA-65, and both sign. Nothing is replaced. Whoever has PREFIX.key can sign in your name: keep it
/// away from the stores, and keep a copy. Give PREFIX.pub to whoever is to verify your stores, by another way than the stores.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf key new release && rvf sign notes.rvf --key release.key")]
struct NewArgs {
    /// Path of the two files without their endings
    prefix: PathBuf,
}

/// Tell the id of the key in a file, secret or public
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf key show release.pub")]
struct ShowArgs {
    /// The key file
    file: PathBuf,
}

pub(crate) fn run(args: &KeyArgs, ui: &Ui) -> Outcome {
    match &args.action {
        KeyAction::New(args) => new(args, ui),
        KeyAction::Show(args) => show(args, ui),
    }
}

/// An error about a key file.
pub(crate) fn failure_of(path: &Path) -> impl Fn(Error) -> Failure + '_ {
    move |error| Failure::of(path)(error).if_missing("check the path; `rvf key new PREFIX` makes a pair of keys")
}

/// Names of the algorithms of every key.
pub(super) fn algorithms() -> [&'static str; 2] {
    Algorithm::BOTH.map(Algorithm::name)
}

fn new(args: &NewArgs, ui: &Ui) -> Outcome {
    if args.prefix.file_name().is_none() {
        let message = format!("{} names a folder, not the files to make", args.prefix.display());
        return Err(Failure::usage("prefix", message, "give their path without the ending: `rvf key new release`"));
    }
    let key = SecretKey::generate().map_err(Failure::of(&args.prefix))?;
    let (secret, public) = key.save(&args.prefix).map_err(Failure::of(&args.prefix))?;
    let (key_id, secret, public) = (key.public().id().to_string(), secret.display(), public.display());
    let value = json!({
        "key_id": key_id,
        "algorithms": algorithms(),
        "secret": secret.to_string(),
        "public": public.to_string(),
    });
    ui.result(&value, || {
        ui.line(format!("made key {key_id}: {}", algorithms().join(" and ")))?;
        ui.facts(&[
            ("signs", format!("{secret}  keep it secret, and keep a copy")),
            ("judges", format!("{public}  give it to whoever verifies your stores")),
        ])
    })?;
    Ok(0)
}

fn show(args: &ShowArgs, ui: &Ui) -> Outcome {
    let (key_id, holds) = id_in(&args.file).map_err(failure_of(&args.file))?;
    let (key_id, file) = (key_id.to_string(), args.file.display().to_string());
    let value = json!({ "key_id": key_id, "algorithms": algorithms(), "file": file, "holds": holds });
    ui.result(&value, || ui.line(format!("{key_id}  {holds} key, {}", algorithms().join(" and "))))?;
    Ok(0)
}

/// The id, and which half of the pair the file holds.
fn id_in(path: &Path) -> rvf_engine::Result<(KeyId, &'static str)> {
    match PublicKey::load(path) {
        Ok(key) => Ok((key.id(), "public")),
        Err(Error::Key(error)) if matches!(error.fault, KeyFault::File(KeyFileFault::IsSecret)) => {
            Ok((SecretKey::load(path)?.public().id(), "secret"))
        }
        Err(error) => Err(error),
    }
}

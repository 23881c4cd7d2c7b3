//! One file a command. What several need: opening files, naming records (`choose.rs`), what follows commits (`upkeep.rs`), telling of
//! parents (`parents.rs`). What one command alone needs: `decisions.rs` (merge), `proofs.rs` (audit), `trusted.rs` (verify), `custody.rs`
//! (lineage).

pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod branch;
pub(crate) mod bundle;
pub(crate) mod choose;
pub(crate) mod compact;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod create;
mod custody;
mod decisions;
pub(crate) mod delete;
pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod feedback;
pub(crate) mod flatten;
pub(crate) mod freeze;
pub(crate) mod get;
pub(crate) mod import;
pub(crate) mod index;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod key;
pub(crate) mod learn;
mod learned;
pub(crate) mod lineage;
pub(crate) mod log;
pub(crate) mod merge;
mod parents;
mod proofs;
pub(crate) mod query;
pub(crate) mod sign;
mod trusted;
pub(crate) mod update;
pub(crate) mod upkeep;
pub(crate) mod verify;

use crate::args::{Command, ReadArgs};
use crate::failure::Failure;
use crate::output::{Ui, size};
use crate::progress::is_interrupted;
use rvf_engine::filter::{Filter, MAX_FILTER_BYTES};
use rvf_engine::{Db, Error, Id, Matches, OpenOptions, Snapshot};
use rvf_format::storage::FilePlace;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a writer waits for another one before it looks whether it is to stop.
const WAIT_STEP: Duration = Duration::from_millis(100);

/// The exit code of a command that ran, or why it did not.
pub(crate) type Outcome = Result<u8, Failure>;

pub(crate) fn run(command: &Command, ui: &Ui) -> Outcome {
    let outcome = dispatch(command, ui);
    ui.written().iter().for_each(|store| sign::warn_if_unsigned(store, ui));
    outcome
}

fn dispatch(command: &Command, ui: &Ui) -> Outcome {
    match command {
        Command::Demo(args) => demo::run(args, ui),
        Command::Create(args) => create::run(args, ui),
        Command::Import(args) => import::run(args, ui),
        Command::Index(args) => index::run(args, ui),
        Command::Feedback(args) => feedback::run(args, ui),
        Command::Learn(args) => learn::run(args, ui),
        Command::Query(args) => query::run(args, ui),
        Command::Bench(args) => bench::run(args, ui),
        Command::Get(args) => get::run(args, ui),
        Command::Update(args) => update::run(args, ui),
        Command::Delete(args) => delete::run(args, ui),
        Command::Export(args) => export::run(args, ui),
        Command::Info(args) => info::run(args, ui),
        Command::Inspect(args) => inspect::run(args, ui),
        Command::Verify(args) => verify::run(args, ui),
        Command::Compact(args) => compact::run(args, ui),
        Command::Log(args) => log::run(args, ui),
        Command::Branch(args) => branch::run(args, ui),
        Command::Diff(args) => diff::run(args, ui),
        Command::Merge(args) => merge::run(args, ui),
        Command::Lineage(args) => lineage::run(args, ui),
        Command::Flatten(args) => flatten::run(args, ui),
        Command::Freeze(args) => freeze::run(args, ui),
        Command::Key(args) => key::run(args, ui),
        Command::Sign(args) => sign::run(args, ui),
        Command::Audit(args) => audit::run(args, ui),
        Command::Bundle(args) => bundle::run(args, ui),
        Command::Unbundle(args) => bundle::unbundle(args, ui),
        Command::Convert(args) => convert::run(args, ui),
        Command::Completions(args) => completions::run(args, ui),
    }
}

/// Opens a file for reading, at an earlier commit if that is asked. Warns where a later commit may be lost.
fn open_reader(path: &Path, args: &ReadArgs, ui: &Ui) -> Result<Arc<Snapshot>, Failure> {
    at_epoch(args.mode.open(path, ui)?.snapshot(), path, args, ui)
}

/// The commit that is asked for of a file that is open at its newest.
fn at_epoch(snapshot: Arc<Snapshot>, path: &Path, args: &ReadArgs, ui: &Ui) -> Result<Arc<Snapshot>, Failure> {
    if snapshot.tail().is_some_and(|tail| tail.holds_manifest) {
        ui.warn(format!(
            "{} holds a manifest behind epoch {}: a commit under way, interrupted or damaged (see `rvf verify`)",
            path.display(),
            snapshot.epoch()
        ));
    }
    match args.at {
        Some(epoch) => snapshot.at_epoch(epoch).map(Arc::new).map_err(Failure::of(path)),
        None => Ok(snapshot),
    }
}

/// Opens a file for writing, and says so if that cut an uncommitted tail.
fn open_writer(path: &Path, options: &OpenOptions, ui: &Ui) -> Result<Db, Failure> {
    let db = open_waiting(path, options).map_err(Failure::of(path))?;
    ui.writes(path);
    if let Some(tail) = db.tail_report() {
        let length = size(tail.length);
        match &tail.saved {
            Some(saved) => ui.warn(format!(
                "an uncommitted tail of {length} was cut from {}; it held a manifest and is saved as {}; to look into it, append it to a copy of the file",
                path.display(),
                saved.display()
            )),
            None => ui.warn(format!("an uncommitted tail of {length} was cut from {}", path.display())),
        }
    }
    Ok(db)
}

/// Waits for another writer in short steps: Ctrl-C ends that as well.
fn open_waiting(path: &Path, options: &OpenOptions) -> rvf_engine::Result<Db> {
    let until = Instant::now() + options.lock_wait;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let step = OpenOptions { lock_wait: left.min(WAIT_STEP), ..options.clone() };
        match Db::open_with(Arc::new(FilePlace), path, &step) {
            Err(Error::Locked { .. }) if is_interrupted() => return Err(Error::Interrupted),
            Err(Error::Locked { .. }) if left > step.lock_wait => {}
            outcome => return outcome,
        }
    }
}

/// The language of filters, for the help of commands that take one.
const FILTER_HELP: &str = "\
Only records that this filter finds; @PATH reads it from a file. `rvf info FILE` lists the fields.

  source = 'mdn' AND words >= 40        strings in single quotes; = != < <= > >=
  lang IN ('en', 'fr') OR NOT draft     a bool stands alone; AND binds before OR
  year BETWEEN 2019 AND 2024            both ends count
  title LIKE 'Intro%' AND NOT a LIKE '_b'   % any run, _ one character, \\ takes the next as it is
  tags CONTAINS 'api'                   in a list of strings
  summary IS NULL                       the record has no such field
  id IN (3, 5) AND \"my field\" = 1       the record's id; names with other characters in double quotes

A test of a field that a record lacks is neither true nor false (as in SQL), so NOT does not find it either.";

/// The records that a filter finds; warns of fields that no record has.
fn matches_of(text: &str, snapshot: &Snapshot, path: &Path, ui: &Ui) -> Result<Matches, Failure> {
    let matches = snapshot.matches(&filter_of(text, path)?).map_err(Failure::of(path))?;
    matches.unknown_fields().iter().for_each(|field| ui.warn(field));
    Ok(matches)
}

fn filter_of(text: &str, path: &Path) -> Result<Filter, Failure> {
    let of_file = text.strip_prefix('@').map(|file| filter_in(Path::new(file))).transpose()?;
    Filter::parse(of_file.as_deref().unwrap_or(text)).map_err(|error| Failure::of(path)(error.into()))
}

/// The filter that a file holds; no more of it is read than a filter may have.
fn filter_in(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| {
        let message = format!("the filter cannot be read: {error} ({})", path.display());
        Failure::usage("filter_file", message, "@ is followed by the path of a text in UTF-8; a filter itself has no @")
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILTER_BYTES as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// A share of neighbours to be found.
fn parse_recall(text: &str) -> Result<f64, String> {
    let recall: f64 = text.parse().map_err(|_| format!("\"{text}\" is no number"))?;
    match recall > 0.0 && recall <= 1.0 {
        true => Ok(recall),
        false => Err("a recall is above 0 and at most 1".to_owned()),
    }
}

/// Says that searches are slower than they should be.
fn warn_of_damage(graphs: usize, path: &Path, ui: &Ui) {
    let path = path.display();
    ui.warn(format!("damaged graphs of the index, whose records are compared instead: {graphs}; `rvf verify {path}` tells more, `rvf index {path}` builds them anew"));
}

/// An id as a person writes it.
fn parse_id(text: &str, snapshot: &Snapshot, path: &Path) -> Result<Id, Failure> {
    let expected = snapshot.schema().id_type;
    Id::parse(text, expected).ok_or_else(|| {
        let failure = Failure::of(path)(Error::IdKind { expected });
        Failure::usage(failure.kind(), format!("\"{text}\" is no id: {}", failure.message()), failure.hint())
    })
}

//! `rvf update`: metadata of records, in one commit, without their vectors.

use super::choose::ChooseArgs;
use super::upkeep::{Changed, SpaceArgs, settle};
use super::{Outcome, open_writer};
use crate::args::{ModeArgs, WriterArgs};
use crate::failure::Failure;
use crate::output::Ui;
use crate::progress::catch_interrupts;
use clap::Args;
use rvf_engine::ingest::{Changes, changes_from_json};
use rvf_engine::{Error, Id, Metadata, Snapshot, Value};
use serde_json::Map;
use std::path::{Path, PathBuf};

/// Change the metadata of records, in one commit; exit code 1 if an id is absent
///
/// Fields that are not named stay as they are, and so do vectors and the index.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rvf update notes.rvf --id 17,20..29 --set lang='\"en\"' --set words=40 --unset draft\n  \
    rvf update notes.rvf --filter \"source = 'mdn'\" --set reviewed=true\n  rvf update notes.rvf --input changes.jsonl"
)]
pub(crate) struct UpdateArgs {
    /// The store
    file: PathBuf,
    #[command(flatten)]
    chosen: ChooseArgs,
    /// A field and its new value, as JSON: words=40, lang='"en"', tags='["a","b"]'; may be given several times
    #[arg(long, value_name = "NAME=JSON")]
    set: Vec<String>,
    /// A field to be removed; may be given several times
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
    /// Changes, a line a record, as {"id":17,"metadata":{"lang":"en","draft":null}}: null removes the field
    #[arg(long, value_name = "F.jsonl")]
    input: Option<PathBuf>,
    /// Say what would be changed, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    writer: WriterArgs,
    #[command(flatten)]
    space: SpaceArgs,
}

/// Changes that are known to be of records which are there.
struct Planned {
    changes: Vec<(Id, Metadata)>,
    missing: u64,
}

pub(crate) fn run(args: &UpdateArgs, ui: &Ui) -> Outcome {
    let fields = fields(args)?;
    if args.chosen.is_empty() && args.input.is_none() {
        let hint = "name records by --id or --filter, or give lines by --input";
        return Err(Failure::usage("usage", "no record is named", hint));
    }
    if args.chosen.is_empty() != fields.is_empty() {
        let hint = "--set and --unset go with --id or --filter";
        return Err(Failure::usage("usage", "records and their new fields go together", hint));
    }
    if args.dry_run {
        let snapshot = ModeArgs::default().open(&args.file, ui)?.snapshot();
        let planned = plan(args, &fields, &snapshot, ui)?;
        let count = planned.changes.len() as u64;
        let done = Changed { count, missing: planned.missing, snapshot: &snapshot, settled: None };
        return done.tell(["updated", "would update"], ui);
    }
    let mut db = open_writer(&args.file, &args.writer.options(ui)?, ui)?;
    let planned = plan(args, &fields, &db.snapshot(), ui)?;
    let mut batch = db.batch();
    for (id, fields) in planned.changes {
        batch.update(id, fields).map_err(Failure::of(&args.file))?;
    }
    let updated = batch.commit().map_err(Failure::of(&args.file))?.updated;
    catch_interrupts();
    let index = !db.snapshot().graphs().is_empty();
    let settled = settle(&mut db, &args.file, index, &args.space, ui)?;
    let snapshot = db.snapshot();
    let done = Changed { count: updated, missing: planned.missing, snapshot: &snapshot, settled: Some(settled) };
    done.tell(["updated", "would update"], ui)
}

/// What --set and --unset say; null for fields to be removed.
fn fields(args: &UpdateArgs) -> Result<Metadata, Failure> {
    let mut fields = Metadata::new();
    let mut add = |name: &str, value: Value| match fields.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(Failure::usage("usage", format!("field {name} is given twice"), "give each field once")),
    };
    for text in &args.set {
        let quotes = "a value is JSON, so text stands in double quotes: --set 'lang=\"en\"'";
        let wrong = |why: String| Failure::usage("bad_value", format!("--set {text}: {why}"), quotes);
        let (name, value) = text.split_once('=').ok_or_else(|| wrong("there is no \"=\"".to_owned()))?;
        let value = serde_json::from_str(value).map_err(|error| wrong(error.to_string()))?;
        let object = Map::from_iter([(name.to_owned(), value)]);
        let value = changes_from_json(&object)
            .map_err(|(_, fault)| Failure::usage("field", format!("--set {text}: the value {fault}"), fault.hint()))?;
        value.into_values().try_for_each(|value| add(name, value))?;
    }
    args.unset.iter().try_for_each(|name| add(name, Value::Null))?;
    Ok(fields)
}

/// The lines first, then what --set and --unset say.
fn plan(args: &UpdateArgs, fields: &Metadata, snapshot: &Snapshot, ui: &Ui) -> Result<Planned, Failure> {
    let mut planned = Planned { changes: Vec::new(), missing: 0 };
    if let Some(path) = &args.input {
        read_lines(path, snapshot, &args.file, &mut planned)?;
    }
    let known = snapshot.fields().map_err(Failure::of(&args.file))?;
    if let Some(name) = args.unset.iter().find(|name| !known.contains_key(*name)) {
        let message = format!("no record has a field {name}: nothing was changed ({})", args.file.display());
        return Err(Failure::usage("unknown_field", message, "`rvf info` lists the fields"));
    }
    let chosen = args.chosen.choose(snapshot, &args.file, "nothing was changed", ui)?;
    planned.missing += chosen.missing;
    planned.changes.extend(chosen.found.into_iter().map(|id| (id, fields.clone())));
    snapshot.check_update(&planned.changes).map_err(Failure::of(&args.file))?;
    Ok(planned)
}

fn read_lines(path: &Path, snapshot: &Snapshot, file: &Path, planned: &mut Planned) -> Result<(), Failure> {
    let expected = snapshot.schema().id_type;
    let mut changes = Changes::open(path).map_err(Failure::of_input)?;
    while let Some(change) = changes.next().map_err(Failure::of(path))? {
        let no_id = || {
            let source = Box::new(Error::IdKind { expected });
            Failure::of(path)(Error::InFile { path: path.to_owned(), record: None, line: Some(change.line), source })
        };
        let id = Id::parse(&change.id, expected).ok_or_else(no_id)?;
        match snapshot.metadata(&id).map_err(Failure::of(file))? {
            Some(_) => planned.changes.push((id, change.fields)),
            None => planned.missing += 1,
        }
    }
    Ok(())
}

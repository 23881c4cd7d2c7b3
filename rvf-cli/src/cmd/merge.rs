//! `rvf merge`: what a branch changed, brought into another store of its lineage.

use super::upkeep::{Settled, SpaceArgs, settle};
use super::{Outcome, open_writer};
use crate::args::{ModeArgs, WriterArgs};
use crate::failure::{Failure, NO};
use crate::output::{self, Ui};
use crate::progress::catch_interrupts;
use clap::Args;
use rvf_engine::{Conflict, Decision, Id, IdType, Merged, Resolve, Side};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Conflicts that the text lists.
const SHOWN: usize = 50;

/// Bring what a branch changed into its parent, or into any store of the lineage, in one commit
///
/// What one side changed since the two parted is taken. What both changed differently is a conflict: it is listed, nothing is merged,
/// and the exit code is 1, until a flag or a decision says whose change is taken. Vector and metadata of a record count apart. Merging again
/// takes only what is new.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rvf merge draft.rvf notes.rvf\n  rvf merge draft.rvf notes.rvf --theirs\n  \
    rvf merge notes.rvf draft.rvf    # the other way: the branch catches up\n  \
    rvf merge draft.rvf notes.rvf --decisions taken.jsonl\n\n\
    A line of the file of decisions: {\"id\":17,\"take\":\"ours\"}, \"theirs\" or \"renumber\". Ours is what INTO has, theirs what CHILD has.")]
pub(crate) struct MergeArgs {
    /// The store whose changes are taken; it is only read
    child: PathBuf,
    /// The store that they are brought into
    into: PathBuf,
    /// In conflicts, keep what INTO has
    #[arg(long, conflicts_with = "theirs")]
    ours: bool,
    /// In conflicts, take what CHILD has
    #[arg(long)]
    theirs: bool,
    /// What is taken in which conflict; --ours and --theirs are for the others
    #[arg(long, value_name = "F.jsonl")]
    decisions: Option<PathBuf>,
    /// Of records that both added under one id keep both: those of CHILD get new ids
    #[arg(long)]
    renumber: bool,
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    space: SpaceArgs,
    #[command(flatten)]
    writer: WriterArgs,
}

pub(crate) fn run(args: &MergeArgs, ui: &Ui) -> Outcome {
    let theirs = args.mode.open(&args.child, ui)?.snapshot();
    let decisions = match &args.decisions {
        Some(path) => read_decisions(path, theirs.schema().id_type)?,
        None => BTreeMap::new(),
    };
    let otherwise = match (args.ours, args.theirs) {
        (true, _) => Some(Side::Ours),
        (_, true) => Some(Side::Theirs),
        _ => None,
    };
    let resolve = Resolve { decisions, renumber: args.renumber, otherwise };
    let mut db = open_writer(&args.into, &args.writer.options(ui)?, ui)?;
    // A store that was left without an index gets none by a merge of another that has none.
    let index = !(db.snapshot().graphs().is_empty() && theirs.graphs().is_empty());
    let mut done = db.merge(&theirs, &resolve).map_err(Failure::of(&args.into))?;
    let mut settled = None;
    if done.merged > 0 {
        catch_interrupts();
        settled = Some(settle(&mut db, &args.into, index, &args.space, ui)?);
        done.epoch = db.snapshot().epoch();
    }
    let count = db.snapshot().count();
    ui.result(&to_json(args, &done, count, settled.as_ref()), || tell(args, &done, count, settled.as_ref(), ui))?;
    Ok(if done.conflicts.is_empty() { 0 } else { NO })
}

/// A line of the file of decisions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Value,
    take: Take,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Take {
    Ours,
    Theirs,
    Renumber,
}

fn read_decisions(path: &Path, id_type: IdType) -> Result<BTreeMap<Id, Decision>, Failure> {
    let file = File::open(path).map_err(|error| Failure::of_io("opening", path, error))?;
    let mut decisions = BTreeMap::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let wrong = |what: String| {
            let hint = "a line is {\"id\":17,\"take\":\"ours\"}, \"theirs\" or \"renumber\"";
            Failure::usage("decisions", format!("{what} ({}, line {})", path.display(), number + 1), hint)
        };
        let line = line.map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => wrong("the line is no text in UTF-8".to_owned()),
            _ => Failure::of_io("reading", path, error),
        })?;
        if line.trim().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        let id = match (&line.id, id_type) {
            (Value::Number(number), IdType::U64) => Id::parse(&number.to_string(), id_type),
            (Value::String(text), IdType::Str) => Id::parse(text, id_type),
            _ => None,
        };
        let id = id.ok_or_else(|| wrong(format!("{} is no id of a store with ids of type {id_type}", line.id)))?;
        let decision = match line.take {
            Take::Ours => Decision::Take(Side::Ours),
            Take::Theirs => Decision::Take(Side::Theirs),
            Take::Renumber => Decision::Renumber,
        };
        if decisions.insert(id, decision).is_some() {
            return Err(wrong(format!("a line before decides about id {} already", line.id)));
        }
    }
    Ok(decisions)
}

fn to_json(args: &MergeArgs, done: &Merged, count: u64, settled: Option<&Settled>) -> Value {
    let conflict = |conflict: &Conflict| json!({ "id": output::id(&conflict.id), "ours": conflict.ours.name(), "theirs": conflict.theirs.name() });
    let renumbered = |(from, to): &(Id, Id)| json!({ "from": output::id(from), "to": output::id(to) });
    json!({
        "child": args.child.display().to_string(),
        "into": args.into.display().to_string(),
        "merged": done.merged,
        "conflicts": done.conflicts.iter().map(|conflict| output::id(&conflict.id)).collect::<Vec<Value>>(),
        "conflict_details": done.conflicts.iter().map(conflict).collect::<Vec<Value>>(),
        "renumbered": done.renumbered.iter().map(renumbered).collect::<Vec<Value>>(),
        "resolved": done.resolved,
        "count": count,
        "epoch": done.epoch,
        "compacted": settled.is_some_and(|settled| settled.compacted.is_some()),
    })
}

fn tell(args: &MergeArgs, done: &Merged, count: u64, settled: Option<&Settled>, ui: &Ui) -> Result<(), Failure> {
    let (child, into) = (args.child.display(), args.into.display());
    if !done.conflicts.is_empty() {
        return tell_conflicts(args, done, ui);
    }
    if done.merged == 0 && done.resolved == 0 {
        return ui.line(format!("nothing was to be done: {into} has all that {child} changed"));
    }
    let resolved = if done.resolved > 0 { format!(", conflicts resolved: {}", done.resolved) } else { String::new() };
    let merged = done.merged;
    ui.line(format!(
        "merged {merged} records of {child} into {into}{resolved}; {count} records at epoch {}",
        done.epoch
    ))?;
    for (from, to) in &done.renumbered {
        ui.line(format!("{} of {child} is now {to}", output::plain(&from.to_string())))?;
    }
    settled.map_or(Ok(()), |settled| settled.tell(ui))
}

fn tell_conflicts(args: &MergeArgs, done: &Merged, ui: &Ui) -> Result<(), Failure> {
    let open = done.conflicts.len();
    ui.line(format!("nothing was merged: records that both changed, and not alike: {open}"))?;
    let cells = |conflict: &Conflict| {
        vec![conflict.id.to_string(), conflict.ours.name().to_owned(), conflict.theirs.name().to_owned()]
    };
    let rows: Vec<Vec<String>> = done.conflicts.iter().take(SHOWN).map(cells).collect();
    let (into, child) = (args.into.display().to_string(), args.child.display().to_string());
    ui.table(&["id", &format!("ours: {into}"), &format!("theirs: {child}")], &rows)?;
    if open > SHOWN {
        ui.line(format!("and {} more: --json lists them", open - SHOWN))?;
    }
    ui.line(
        "say whose is taken: --ours or --theirs for all, --decisions F.jsonl one by one; --renumber keeps both of what both added",
    )
}

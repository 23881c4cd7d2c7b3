//! `rvf merge`: what a branch changed, brought into another store of its lineage.

use super::decisions::read_decisions;
use super::upkeep::{Settled, SpaceArgs, settle};
use super::{Outcome, open_writer};
use crate::args::{ModeArgs, WriterArgs};
use crate::failure::{Failure, NO};
use crate::output::{self, Ui};
use crate::progress::catch_interrupts;
use clap::Args;
use rvf_engine::{Conflict, Db, Id, IdType, Merged, Resolve, Side, Snapshot};
use rvf_format::storage::{FilePlace, Place};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Conflicts that the text lists.
const SHOWN: usize = 50;

/// Decisions without effect that are listed.
const SHOWN_UNUSED: usize = 10;

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
    refuse_one_file(args)?;
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
    let (mut merged, unused) = merge(&mut db, &theirs, &resolve).map_err(Failure::of(&args.into))?;
    let mut settled = None;
    if merged.merged > 0 {
        catch_interrupts();
        settled = Some(settle(&mut db, &args.into, index, &args.space, ui)?);
        merged.epoch = db.snapshot().epoch();
    }
    let done = Done { merged, unused, count: db.snapshot().count(), settled };
    ui.result(&done.to_json(args), || done.tell(args, ui))?;
    Ok(if done.merged.conflicts.is_empty() { 0 } else { NO })
}

fn refuse_one_file(args: &MergeArgs) -> Result<(), Failure> {
    let identity = |path| FilePlace.identity(path).ok();
    match identity(&args.child).filter(|child| identity(&args.into) == Some(*child)) {
        None => Ok(()),
        Some(_) => {
            let message = format!("{} and {} are one file", args.child.display(), args.into.display());
            Err(Failure::usage("usage", message, "name a branch, and the store that it is to be merged into"))
        }
    }
}

/// Merges; returns also the ids of decisions that had no effect.
fn merge(db: &mut Db, theirs: &Snapshot, resolve: &Resolve) -> rvf_engine::Result<(Merged, Vec<Id>)> {
    let is_refused = resolve.renumber && theirs.schema().id_type == IdType::Str;
    if resolve.decisions.is_empty() || is_refused {
        return Ok((db.merge(theirs, resolve)?, Vec::new()));
    }
    // Undecided, a conflict stops the merge and all of them are named; where there is none, this was the merge.
    let undecided = db.merge(theirs, &Resolve::default())?;
    if undecided.conflicts.is_empty() {
        return Ok((undecided, resolve.decisions.keys().cloned().collect()));
    }
    let merged = db.merge(theirs, resolve)?;
    let ids = |conflicts: &[Conflict]| conflicts.iter().map(|conflict| conflict.id.clone()).collect::<BTreeSet<Id>>();
    let (before, open) = (ids(&undecided.conflicts), ids(&merged.conflicts));
    let is_unused = |id: &&Id| !before.contains(id) || open.contains(id);
    let unused = resolve.decisions.keys().filter(is_unused).cloned().collect();
    Ok((merged, unused))
}

/// What the command did.
struct Done {
    merged: Merged,
    /// The ids of decisions that had no effect.
    unused: Vec<Id>,
    /// Records that INTO has now.
    count: u64,
    settled: Option<Settled>,
}

impl Done {
    fn to_json(&self, args: &MergeArgs) -> Value {
        let Self { merged: done, unused, count, settled } = self;
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
            "decisions_unused": unused.len(),
            "decisions_unused_ids": unused.iter().take(SHOWN_UNUSED).map(output::id).collect::<Vec<Value>>(),
            "count": count,
            "epoch": done.epoch,
            "compacted": settled.as_ref().is_some_and(|settled| settled.compacted.is_some()),
        })
    }

    fn tell(&self, args: &MergeArgs, ui: &Ui) -> Result<(), Failure> {
        match self.merged.conflicts.is_empty() {
            true => self.tell_merged(args, ui)?,
            false => tell_conflicts(args, &self.merged, ui)?,
        }
        self.tell_unused(ui)
    }

    fn tell_merged(&self, args: &MergeArgs, ui: &Ui) -> Result<(), Failure> {
        let (child, into, done) = (args.child.display(), args.into.display(), &self.merged);
        if done.merged == 0 && done.resolved == 0 {
            return ui.line(format!("nothing was to be done: {into} has all that {child} changed"));
        }
        let resolved =
            if done.resolved > 0 { format!(", conflicts resolved: {}", done.resolved) } else { String::new() };
        let (merged, count) = (done.merged, self.count);
        ui.line(format!(
            "merged {merged} records of {child} into {into}{resolved}; {count} records at epoch {}",
            done.epoch
        ))?;
        for (from, to) in &done.renumbered {
            ui.line(format!("{} of {child} is now {to}", output::plain(&from.to_string())))?;
        }
        self.settled.as_ref().map_or(Ok(()), |settled| settled.tell(ui))
    }

    fn tell_unused(&self, ui: &Ui) -> Result<(), Failure> {
        if self.unused.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = self.unused.iter().take(SHOWN_UNUSED).map(|id| output::plain(&id.to_string())).collect();
        let more = if self.unused.len() > SHOWN_UNUSED { ", …" } else { "" };
        ui.line(format!(
            "decisions without effect: {}, about ids that are in no conflict, or to renumber what not both added: {}{more}",
            self.unused.len(),
            ids.join(", ")
        ))
    }
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

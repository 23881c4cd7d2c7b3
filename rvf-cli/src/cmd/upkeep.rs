//! What follows commits that stand whatever comes of this: space given back, the index renewed.

use super::Outcome;
use crate::failure::{Failure, NO};
use crate::output::{Ui, size};
use crate::progress::Bar;
use clap::Args;
use rvf_engine::{Compacted, Db, Error, Indexed, Snapshot};
use serde_json::json;
use std::path::Path;

/// For commands after which the file may be due for compaction.
#[derive(Debug, Args)]
pub(crate) struct SpaceArgs {
    /// Leave the file as large as it gets, and its earlier commits readable: `rvf compact` gives space back
    #[arg(long)]
    pub(crate) no_compact: bool,
}

/// What was done.
pub(crate) struct Settled {
    pub(crate) indexed: Indexed,
    pub(crate) compacted: Option<Compacted>,
}

impl Settled {
    /// Says that space was given back.
    pub(crate) fn tell(&self, ui: &Ui) -> Result<(), Failure> {
        let Some(done) = &self.compacted else { return Ok(()) };
        let (before, after) = (size(done.before_bytes), size(done.after_bytes));
        ui.line(format!("compacted {before} to {after}, without earlier commits (--no-compact keeps them)"))
    }
}

/// Records that a command changed, or would change.
pub(crate) struct Changed<'s> {
    pub(crate) count: u64,
    /// How many that it was told of are not there.
    pub(crate) missing: u64,
    /// The store after it.
    pub(crate) snapshot: &'s Snapshot,
    /// What followed; nothing on a dry run.
    pub(crate) settled: Option<Settled>,
}

impl Changed<'_> {
    /// Tells of it in these words, for what was done and for what would be; the first is the key of their number, too.
    pub(crate) fn tell(&self, [did, would]: [&str; 2], ui: &Ui) -> Outcome {
        let Self { count: changed, missing, snapshot, settled } = self;
        let (count, epoch, is_dry) = (snapshot.count(), snapshot.epoch(), settled.is_none());
        let compacted = settled.as_ref().is_some_and(|settled| settled.compacted.is_some());
        let mut value =
            json!({ "missing": missing, "count": count, "epoch": epoch, "dry_run": is_dry, "compacted": compacted });
        value[did] = json!(changed);
        ui.result(&value, || {
            let what = if is_dry { would } else { did };
            ui.line(format!("{what} {changed} records, {missing} absent; {count} records at epoch {epoch}"))?;
            settled.as_ref().map_or(Ok(()), |settled| settled.tell(ui))
        })?;
        Ok(if *missing == 0 { 0 } else { NO })
    }
}

/// Compacts the file if that is due, and renews the index if that is wished and due. Space first: a compaction brings all rows under
/// one graph as it is.
pub(crate) fn settle(db: &mut Db, path: &Path, index: bool, space: &SpaceArgs, ui: &Ui) -> Result<Settled, Failure> {
    // Rows that move need another graph.
    let compacts = !space.no_compact && (index || db.snapshot().graphs().is_empty());
    let mut compacted = if compacts { give_space_back(db, path, ui)? } else { None };
    let snapshot = db.snapshot();
    let graphs = snapshot.graphs().len() as u64;
    let mut indexed = Indexed { indexed: snapshot.indexed(), graphs, epoch: snapshot.epoch(), written: false };
    if index {
        indexed = fold(db, path, ui)?;
    }
    if compacts && indexed.written {
        // The graphs of before are no longer needed.
        compacted = give_space_back(db, path, ui)?.or(compacted);
        indexed.epoch = db.snapshot().epoch();
    }
    Ok(Settled { indexed, compacted })
}

/// Compacts the file if that is due.
pub(crate) fn give_space_back(db: &mut Db, path: &Path, ui: &Ui) -> Result<Option<Compacted>, Failure> {
    let mut bar = Bar::items(ui, "compacting");
    let done = db.compact_if_due(&mut |done, total| bar.update(done, Some(total)));
    drop(bar);
    match done {
        Ok(done) => return Ok(done),
        // It is meant to have them, and stays as it is.
        Err(Error::HardLinks { .. }) => {}
        Err(error @ Error::Interrupted) => {
            let failure = Failure::of(path)(error).and("what was committed stays, but the file was not compacted");
            return Err(failure.with_hint(format!("`rvf compact {}` gives space back", path.display())));
        }
        Err(error) => ui.warn(format!(
            "{}: the next commit tries again",
            Failure::of(path)(error).and("what was committed stays, but the file was not compacted").message()
        )),
    }
    Ok(None)
}

/// Renews the index where that is due.
pub(crate) fn fold(db: &mut Db, path: &Path, ui: &Ui) -> Result<Indexed, Failure> {
    let mut bar = Bar::items(ui, "indexing");
    let done = db.fold(&mut |done, total| bar.update(done, Some(total)));
    drop(bar);
    let builds = format!("`rvf index {}` builds the index", path.display());
    match done {
        Ok(done) => return Ok(done),
        Err(error @ Error::Interrupted) => {
            let failure = Failure::of(path)(error).and("what was committed stays, but its index was not built");
            return Err(failure.with_hint(builds));
        }
        // What was asked for is done: it would be wrong to do it again.
        Err(error) => ui.warn(format!(
            "{}: searches compare what has no index; {builds}",
            Failure::of(path)(error).and("what was committed stays, but its index was not built").message()
        )),
    }
    let snapshot = db.snapshot();
    let graphs = snapshot.graphs().len() as u64;
    Ok(Indexed { indexed: snapshot.indexed(), graphs, epoch: snapshot.epoch(), written: false })
}

//! Branches through the front door: making, releasing, freezing, merging, flattening.

use super::{Db, OpenOptions, ReadOptions, Reader};
use crate::branch::{self, Branched, Merged, Pinned, Plan, Resolve};
use crate::filter::Filter;
use crate::search::Matches;
use crate::store::compaction::Target;
use crate::store::{Edit, Snapshot, Store, flatten, random_file_id};
use crate::{Error, Result};
use rvf_format::payload::witness::Operation;
use rvf_format::storage::Place;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// How a branch is made.
#[derive(Clone, Debug, Default)]
pub struct BranchOptions {
    /// The commit of the parent that it goes on from; the newest unless given.
    pub at: Option<u64>,
    /// The records that it sees; all unless given.
    pub filter: Option<Filter>,
    /// The file id; random unless given.
    pub file_id: Option<[u8; 16]>,
    /// Options of the handles: of the parent, where it is opened for this, and of the branch.
    pub open: OpenOptions,
}

impl Db {
    /// Makes a branch of this file: a new file that shares everything with a commit of this one and holds what will differ. The commit is
    /// pinned here by a commit of its own, so that no compaction drops it.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// let mut db = Db::create(folder.path().join("base.rvf"), &Schema::new(2, Metric::L2))?;
    /// db.add(&[1.0f32, 2.0, 3.0, 4.0])?;
    /// let child = folder.path().join("child.rvf");
    /// let done = db.branch(&child, &BranchOptions::default())?;
    /// assert!(done.child_bytes <= 16 << 10 && done.pinned.is_kept());
    /// let mut branch = Db::open(&child)?;
    /// branch.delete(&[Id::U64(0)])?;
    /// branch.add(&[5.0f32, 6.0])?;
    /// assert_eq!((branch.snapshot().count(), db.snapshot().count()), (2, 2));
    /// let diff = db.snapshot().diff(&branch.snapshot())?;
    /// assert_eq!((diff.added, diff.deleted), (vec![Id::U64(2)], vec![Id::U64(0)]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NoEpoch`], [`Error::TooDeep`]; [`Error::Filter`]; [`Error::Io`]; corruption of what is read. Nothing is
    /// changed then.
    pub fn branch(&mut self, child: impl AsRef<Path>, options: &BranchOptions) -> Result<Branched> {
        branch_of(&mut self.store, child.as_ref(), options)
    }

    /// Releases a commit that [`Db::branch`] pinned: the next compaction may drop it. Returns how many branches are known to need it.
    ///
    /// # Errors
    /// [`Error::NotPinned`]; those of a commit.
    pub fn unpin(&mut self, epoch: u64) -> Result<u64> {
        branch::unpin(&mut self.store, epoch)
    }

    /// Makes the file one that takes no further commits: a base for branches. Nothing undoes it. Does nothing to one that is frozen.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// let mut db = Db::create(folder.path().join("base.rvf"), &Schema::new(2, Metric::L2))?;
    /// db.freeze()?;
    /// assert!(matches!(db.add(&[1.0f32, 2.0]), Err(Error::Frozen)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of a commit.
    pub fn freeze(&mut self) -> Result<u64> {
        if !self.store.snapshot().root().is_frozen() {
            let edit = Edit { freezes: true, ..Edit::new(Operation::FREEZE) };
            self.store.commit(&edit)?;
        }
        Ok(self.store.snapshot().epoch())
    }

    /// Merges what another file of the lineage changed since the two parted, by id, in one commit. Where both changed a record
    /// differently, `resolve` says whose change is taken; what it leaves open is listed, and nothing is merged.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// let mut db = Db::create(folder.path().join("base.rvf"), &Schema::new(1, Metric::L2))?;
    /// db.add(&[1.0f32, 2.0])?;
    /// let child = folder.path().join("child.rvf");
    /// db.branch(&child, &BranchOptions::default())?;
    /// let mut branch = Db::open(&child)?;
    /// branch.delete(&[Id::U64(0)])?;
    /// let done = db.merge(&branch.snapshot(), &Resolve::default())?;
    /// assert_eq!((done.merged, done.conflicts.len(), db.snapshot().count()), (1, 0, 1));
    /// assert_eq!(db.merge(&branch.snapshot(), &Resolve::default())?.merged, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotRelated`], [`Error::NoRenumber`]; [`Error::Field`] for a field of another type here; those of a commit; corruption of
    /// what is read.
    pub fn merge(&mut self, theirs: &Snapshot, resolve: &Resolve) -> Result<Merged> {
        let done = branch::merge(&mut self.store, theirs, resolve)?;
        if done.merged > 0 {
            self.after_commit();
        }
        Ok(done)
    }
}

/// Makes a branch of the file at `parent`. Where the parent cannot be written, the branch is made all the same, and
/// [`Branched::pinned`] says why its commit is not pinned.
///
/// # Errors
/// Those of [`Db::branch`] and [`Reader::open`].
pub fn branch_path(
    place: Arc<dyn Place>,
    parent: impl AsRef<Path>,
    child: impl AsRef<Path>,
    options: &BranchOptions,
) -> Result<Branched> {
    let (parent, child) = (parent.as_ref(), child.as_ref());
    branch::is_there(place.as_ref(), child)?;
    let why = match Store::open(place.clone(), parent, options.open.context()) {
        Ok((mut store, _)) => return branch_of(&mut store, child, options),
        Err(error @ (Error::Locked { .. } | Error::ReadOnlyFeature)) => error,
        Err(Error::Io { action, path, source }) if source.kind() != std::io::ErrorKind::NotFound => {
            Error::Io { action, path, source }
        }
        Err(error) => return Err(error),
    };
    let read = ReadOptions { parent_folders: options.open.parent_folders.clone(), ..ReadOptions::default() };
    let reader = Reader::open_as(place.clone(), parent, &read)?;
    let snapshot = at(&reader.snapshot(), options.at)?;
    let matches = matches(&snapshot, options)?;
    let plan = plan(&snapshot, parent, child, options, matches.as_ref())?;
    let made = plan.write(place, options.open.context(), || Ok(()))?;
    let pinned = if snapshot.root().is_frozen() { Pinned::Frozen } else { Pinned::Not(why) };
    Ok(branched(&snapshot, &made, pinned))
}

fn branch_of(store: &mut Store, child: &Path, options: &BranchOptions) -> Result<Branched> {
    branch::is_there(store.place.as_ref(), child)?;
    let snapshot = at(store.snapshot(), options.at)?;
    let matches = matches(&snapshot, options)?;
    let (place, parent_path) = (store.place.clone(), store.path().to_owned());
    let plan = plan(&snapshot, &parent_path, child, options, matches.as_ref())?;
    let frozen = store.snapshot().root().is_frozen();
    let mut has_pinned = false;
    let made = plan.write(place, options.open.context(), || {
        if frozen {
            return Ok(());
        }
        branch::pin(store, &snapshot, plan.file_id)?;
        has_pinned = true;
        Ok(())
    });
    if made.is_err() && has_pinned {
        // Best effort: a pin too many costs space, nothing else.
        drop(branch::unpin(store, snapshot.epoch()));
    }
    Ok(branched(&snapshot, &made?, if frozen { Pinned::Frozen } else { Pinned::ByCommit }))
}

fn branched(parent: &Snapshot, made: &Store, pinned: Pinned) -> Branched {
    let root = made.snapshot().root();
    Branched {
        file_id: root.file_id,
        parent_epoch: parent.epoch(),
        count: root.live_count.get(),
        child_bytes: root.end(),
        pinned,
    }
}

fn at(newest: &Arc<Snapshot>, epoch: Option<u64>) -> Result<Arc<Snapshot>> {
    match epoch {
        Some(epoch) if epoch != newest.epoch() => newest.at_epoch(epoch).map(Arc::new),
        _ => Ok(newest.clone()),
    }
}

fn matches(parent: &Snapshot, options: &BranchOptions) -> Result<Option<Matches>> {
    let matches = options.filter.as_ref().map(|filter| parent.matches(filter)).transpose()?;
    match matches.as_ref().and_then(|matches| matches.unknown_fields().first()) {
        // A view by a field that is misspelt would see nothing, or too much.
        Some(field) => Err(Error::UnknownField(field.clone())),
        None => Ok(matches),
    }
}

fn plan<'p>(
    parent: &'p Arc<Snapshot>,
    parent_path: &'p Path,
    child: &'p Path,
    options: &BranchOptions,
    matches: Option<&'p Matches>,
) -> Result<Plan<'p>> {
    let file_id = match options.file_id {
        Some(id) => id,
        None => random_file_id(child)?,
    };
    Ok(Plan { parent, parent_path, child, file_id, matches })
}

/// What flattening did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flattened {
    /// Records in the new file.
    pub count: u64,
    /// Its size, bytes.
    pub bytes: u64,
}

/// Writes all that a snapshot sees to a new file that needs no parent, with a history of its own. Its index is renewed where that is
/// due, unless the options leave it to the caller. `progress` is told of bytes.
///
/// ```
/// # use rvf_engine::*;
/// # use std::ops::ControlFlow;
/// # let folder = tempfile::tempdir()?;
/// let mut db = Db::create(folder.path().join("base.rvf"), &Schema::new(1, Metric::L2))?;
/// db.add(&[1.0f32, 2.0])?;
/// let (child, flat) = (folder.path().join("child.rvf"), folder.path().join("flat.rvf"));
/// db.branch(&child, &BranchOptions::default())?;
/// let place = std::sync::Arc::new(rvf_format::storage::FilePlace);
/// let source = Reader::open(&child)?.snapshot();
/// let done = flatten(place, &source, &flat, None, &OpenOptions::default(), &mut |_, _| ControlFlow::Continue(()))?;
/// assert_eq!((done.count, Reader::open(&flat)?.parent().is_none()), (2, true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Exists`], [`Error::Io`], [`Error::Interrupted`]; corruption of what is copied.
pub fn flatten(
    place: Arc<dyn Place>,
    source: &Snapshot,
    out: impl AsRef<Path>,
    file_id: Option<[u8; 16]>,
    options: &OpenOptions,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Flattened> {
    let out = out.as_ref();
    source.whole()?;
    let file_id = match file_id {
        Some(id) => id,
        None => random_file_id(out)?,
    };
    let target = Target::beside(place.as_ref(), out)?;
    let written = flatten::write(source, (target.storage(), out), file_id, &options.context(), progress);
    if let Err(error) = written.and_then(|_| source.check()) {
        target.discard();
        return Err(error);
    }
    drop(target.publish().map_err(|failed| failed.error)?);
    if !options.manual_index {
        let mut db = Db::open_with(place, out, options)?;
        db.fold(&mut |_, _| ControlFlow::Continue(()))?;
        return Ok(Flattened { count: db.snapshot().count(), bytes: db.snapshot().root().end() });
    }
    let flat = Reader::open_with(place, out, super::ReadMode::Mapped)?;
    Ok(Flattened { count: flat.count(), bytes: flat.root().end() })
}

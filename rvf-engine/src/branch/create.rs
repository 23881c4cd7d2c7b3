//! Making a branch: a new file of a few pages whose first commit names the commit that it goes on from.
//!
//! ```text
//! child written under a temporary name, synced -> epoch pinned in the parent by a commit -> child gets its name
//! ```
//! A crash in between leaves a pin too many, never a branch whose parent may lose what it needs.

use crate::search::Matches;
use crate::store::{Context, Edit, First, Snapshot, Store, hex, new_root, relative};
use crate::{Error, Result};
use rvf_format::Kind;
use rvf_format::lineage::{FACT_MERGED, MAX_DEPTH, ParentRef};
use rvf_format::manifest::{FACT_PINS, pins};
use rvf_format::payload::cow;
use rvf_format::payload::refcount::{self, BranchEntry};
use rvf_format::payload::witness::Operation;
use rvf_format::storage::Place;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What making a branch did.
#[derive(Debug)]
pub struct Branched {
    /// The id of the new file.
    pub file_id: [u8; 16],
    /// The commit of the parent that it goes on from.
    pub parent_epoch: u64,
    /// Records that the branch sees.
    pub count: u64,
    /// Size of the new file, bytes.
    pub child_bytes: u64,
    /// Whether the parent keeps that commit.
    pub pinned: Pinned,
}

/// Whether a parent keeps the commit that a branch goes on from.
#[derive(Debug)]
pub enum Pinned {
    /// It does, and said so by a commit of its own.
    ByCommit,
    /// It is frozen: it never changes.
    Frozen,
    /// It could not be written, for this reason: a compaction may drop the commit.
    Not(Error),
}

impl Pinned {
    /// Whether nothing that the branch needs can get lost.
    pub fn is_kept(&self) -> bool {
        !matches!(self, Pinned::Not(_))
    }
}

/// A branch that is to be made.
pub(crate) struct Plan<'a> {
    /// The commit that it goes on from.
    pub(crate) parent: &'a Arc<Snapshot>,
    /// Where its file is.
    pub(crate) parent_path: &'a Path,
    pub(crate) child: &'a Path,
    pub(crate) file_id: [u8; 16],
    /// The records that it is to see, where not all.
    pub(crate) matches: Option<&'a Matches>,
}

impl Plan<'_> {
    /// Writes the branch; `ready` is called when it is on the medium, before it gets its name.
    ///
    /// # Errors
    /// [`Error::TooDeep`], [`Error::Exists`], [`Error::OtherSnapshot`], [`Error::Io`]; what `ready` says; corruption of the parent.
    pub(crate) fn write(
        &self,
        place: Arc<dyn Place>,
        context: Context,
        ready: impl FnOnce() -> Result<()>,
    ) -> Result<Store> {
        let parent = self.parent;
        parent.whole()?;
        let depth = parent.root().lineage_depth.get() + 1;
        if depth > MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        let mut root = new_root(parent.schema(), self.file_id, context.clock.now_ns());
        root.next_row = parent.root().next_row;
        root.next_id = parent.root().next_id;
        root.live_count.set(self.matches.map_or(parent.count(), Matches::count));
        let mut first = First::new(root, Operation::BRANCH);
        // What was merged into the parent is in the branch as well.
        let merged = parent.state().facts.get(&FACT_MERGED).cloned();
        first.facts.extend(merged.map(|merged| (FACT_MERGED, merged)));
        first.drafts.extend(self.matches.map(|matches| self.membership(matches)).transpose()?);
        let id = parent.commit_id();
        let named = ParentRef {
            file_id: id.file_id,
            epoch: id.epoch,
            state_hash: id.state_hash,
            depth,
            first_row: root.next_row.get(),
            count: root.live_count.get(),
            root_offset: parent.root().own_offset.get(),
            path: relative(self.child, self.parent_path),
        };
        named.write(&mut first.root, &mut first.facts);
        first.parameters = id.to_string();
        parent.check()?;
        Store::create_with(place, self.child, &first, Some(parent.clone()), context, ready)
    }

    /// The set of rows to be seen, or of those that are not, whichever is smaller.
    fn membership(&self, matches: &Matches) -> Result<rvf_format::build::Draft<'static>> {
        matches.check(self.parent)?;
        let row = |at| self.parent.global_row(at);
        let include = matches.count() <= self.parent.count() / 2;
        let rows: Vec<u64> = match include {
            true => matches.rows().map(row).collect(),
            false => self.parent.live_rows()?.filter(|at| !matches.has(*at)).map(row).collect(),
        };
        Ok(cow::membership(include, &rows))
    }
}

/// Pins an epoch of the store for a branch, by a commit.
///
/// # Errors
/// [`Error::NoEpoch`] if the epoch, or what was in it, is gone meanwhile; those of [`Store::commit`].
pub(crate) fn pin(store: &mut Store, parent: &Snapshot, child_id: [u8; 16]) -> Result<()> {
    let snapshot = store.snapshot().clone();
    let epoch = parent.epoch();
    if snapshot.epoch() != epoch && snapshot.at_epoch(epoch)?.commit_id() != parent.commit_id() {
        return Err(Error::NoEpoch { epoch, oldest: snapshot.epoch(), newest: snapshot.epoch() });
    }
    let mut pinned = pins(&snapshot.state().facts, snapshot.root().manifest_offset.get())?;
    let mut edit = Edit::new(Operation::BRANCH);
    if let Err(place) = pinned.binary_search(&epoch) {
        pinned.insert(place, epoch);
        edit.facts.insert(FACT_PINS, pinned.iter().flat_map(|epoch| epoch.to_le_bytes()).collect());
    }
    let mut entry = BranchEntry::zeroed();
    entry.epoch.set(epoch);
    entry.child_id = child_id;
    edit.drafts.push(refcount::draft(&[entry]).into_owned());
    edit.parameters = format!("epoch={epoch} child={}", hex(&child_id));
    store.commit(&edit).map(drop)
}

/// Releases an epoch of the store. Returns how many branches are known to go on from it.
///
/// # Errors
/// [`Error::NotPinned`]; those of [`Store::commit`].
pub(crate) fn unpin(store: &mut Store, epoch: u64) -> Result<u64> {
    let snapshot = store.snapshot().clone();
    let mut pinned = pins(&snapshot.state().facts, snapshot.root().manifest_offset.get())?;
    let place = pinned.binary_search(&epoch).map_err(|_| Error::NotPinned { epoch })?;
    pinned.remove(place);
    let mut edit = Edit::new(Operation::UNPIN);
    edit.facts.insert(FACT_PINS, pinned.iter().flat_map(|epoch| epoch.to_le_bytes()).collect());
    let (mut known, mut kept) = (0, Vec::new());
    for segment in snapshot.state().of_kind(Kind::REFCOUNT) {
        // What a damaged one says is not known: it goes.
        let Some(view) = snapshot.refcount(segment)? else {
            edit.removed.push(segment.segment_id.get());
            continue;
        };
        if view.entries().iter().all(|entry| entry.epoch.get() != epoch) {
            continue;
        }
        edit.removed.push(segment.segment_id.get());
        let (gone, stay): (Vec<BranchEntry>, Vec<BranchEntry>) =
            view.entries().iter().partition(|entry| entry.epoch.get() == epoch);
        known += gone.len() as u64;
        kept.extend(stay);
    }
    if !kept.is_empty() {
        kept.sort_by_key(|entry| (entry.epoch.get(), entry.child_id));
        kept.dedup_by_key(|entry| (entry.epoch.get(), entry.child_id));
        edit.drafts.push(refcount::draft(&kept).into_owned());
    }
    edit.parameters = format!("epoch={epoch}");
    store.commit(&edit)?;
    Ok(known)
}

/// A branch that goes on from a commit of a file, as the file knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownBranch {
    /// The commit that it goes on from.
    pub epoch: u64,
    /// The branch's file id.
    pub file_id: [u8; 16],
}

impl Snapshot {
    /// Epochs that compaction keeps for branches, ascending.
    ///
    /// # Errors
    /// MAN-9.
    pub fn pinned_epochs(&self) -> Result<Vec<u64>> {
        Ok(pins(&self.state().facts, self.root().manifest_offset.get())?)
    }

    /// The branches that were pinned in this file, by the commits that they go on from, as far as the REFCOUNT segments that name them
    /// are intact: verifying tells of one that is not.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn known_branches(&self) -> Result<Vec<KnownBranch>> {
        let mut known = Vec::new();
        for segment in self.state().of_kind(Kind::REFCOUNT) {
            let Some(view) = self.refcount(segment)? else { continue };
            known.extend(
                view.entries().iter().map(|entry| KnownBranch { epoch: entry.epoch.get(), file_id: entry.child_id }),
            );
        }
        known.sort_by_key(|branch| (branch.epoch, branch.file_id));
        known.dedup();
        Ok(known)
    }
}

/// Where a branch is to be made.
pub(crate) fn is_there(place: &dyn Place, child: &Path) -> Result<()> {
    match place.is_taken(child) {
        true => Err(Error::Exists { path: PathBuf::from(child) }),
        false => Ok(()),
    }
}

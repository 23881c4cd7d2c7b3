//! A snapshot and those of its parents: which file a row stands in, what a branch takes away from what it inherits.
//!
//! ```text
//! rows:   | those of the parent's commit, below `first_row` | the branch's own |
//! seen:   what the parent sees, but for COW_MAP and MEMBERSHIP    but for JOURNAL
//! ```
//! A layer is one file of the lineage; its depth is 0 for the one without a parent.

use super::rows::{Bits, DeadRows, mark, ranges_of};
use super::snapshot::Snapshot;
use crate::{Error, Result};
use rvf_format::digest::Hash;
use rvf_format::lineage::{self, Merged, ParentRef};
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::cow::RowSet;
use rvf_format::payload::journal::JournalView;
use rvf_format::payload::refcount::RefcountView;
use rvf_format::{Clause, Error as RvfError, Kind};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// One commit of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitId {
    /// The file.
    pub file_id: [u8; 16],
    /// Number of the commit.
    pub epoch: u64,
    /// Its state hash.
    pub state_hash: Hash,
}

/// As the parameters of audit entries name it.
impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file_id, epoch, state_hash } = self;
        write!(f, "file_id={} epoch={epoch} root_hash={}", hex(file_id), hex(state_hash))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Snapshot {
    /// The commit that this is.
    pub fn commit_id(&self) -> CommitId {
        let root = self.root();
        CommitId { file_id: root.file_id, epoch: root.epoch(), state_hash: root.state_hash }
    }

    /// Which commit of which file this file is a branch of; `None` for a file that stands alone.
    ///
    /// # Errors
    /// BRN-1.
    pub fn parent_ref(&self) -> Result<Option<ParentRef>> {
        Ok(ParentRef::of(self.root(), &self.state().facts)?)
    }

    /// The commit of the parent that a branch goes on from; `None` for a file that stands alone.
    pub fn parent(&self) -> Option<&Arc<Snapshot>> {
        self.parent.as_ref()
    }

    /// This commit, that of the parent, and so on.
    pub fn chain(&self) -> impl Iterator<Item = &Snapshot> {
        std::iter::successors(Some(self), |layer| layer.parent.as_deref())
    }

    /// Newest commits of other files that were merged into this one.
    ///
    /// # Errors
    /// MAN-9.
    pub fn merged(&self) -> Result<Vec<Merged>> {
        Ok(lineage::merged(&self.state().facts, self.root().manifest_offset.get())?)
    }

    /// That the parents are there: without them a branch cannot tell which records there are.
    ///
    /// # Errors
    /// [`Error::Parent`].
    pub fn whole(&self) -> Result<()> {
        match self.root().has_parent() && self.parent.is_none() {
            true => Err(self.parent_ref()?.map_or(Error::NoRoot, Error::parent_unknown)),
            false => Ok(()),
        }
    }

    /// What a REFCOUNT segment says; `None` if it is damaged, for it is a help that can be done without.
    pub(crate) fn refcount(&self, segment: &ManifestEntry) -> Result<Option<RefcountView>> {
        let view = self.intact(segment).and_then(|bytes| Ok(RefcountView::parse(bytes, segment.offset.get())?));
        // A file that was cut meanwhile is another matter.
        self.settle_own(Ok(view.ok()))
    }

    /// How many files this one builds on.
    pub(crate) fn depth(&self) -> u32 {
        self.root().lineage_depth.get()
    }

    /// Where the rows of the file itself begin.
    pub(crate) fn first_row(&self) -> u64 {
        self.parent.as_ref().map_or(0, |parent| parent.root().next_row.get())
    }

    /// The parts of the file itself.
    pub(crate) fn own_parts(&self) -> Range<u32> {
        self.inherited_parts()..self.parts().len() as u32
    }

    /// How many of the parts are of parents.
    pub(crate) fn inherited_parts(&self) -> u32 {
        self.parent.as_ref().map_or(0, |parent| parent.parts().len() as u32)
    }

    /// How many of the graphs are of parents.
    pub(crate) fn inherited_graphs(&self) -> usize {
        self.parent.as_ref().map_or(0, |parent| parent.graphs().len())
    }

    /// Live records that stand in the file itself.
    pub(crate) fn own_live(&self) -> Result<u64> {
        self.own_parts().try_fold(0, |live, part| Ok(live + self.live_in(part)?))
    }

    /// The snapshot of the file of this depth.
    pub(crate) fn layer(&self, depth: u32) -> &Self {
        self.chain().find(|layer| layer.depth() <= depth).unwrap_or(self)
    }

    /// [`Snapshot::intact`] of the file of this depth.
    pub(crate) fn intact_in(&self, depth: u32, entry: &ManifestEntry) -> Result<rvf_format::storage::Bytes> {
        self.layer(depth).intact(entry).map_err(|error| self.blame_layer(depth, error))
    }

    /// [`Snapshot::intact_once`] of the file of this depth.
    pub(crate) fn intact_once_in(&self, depth: u32, entry: &ManifestEntry) -> Result<()> {
        self.layer(depth).intact_once(entry).map_err(|error| self.blame_layer(depth, error))
    }

    /// Says of an error that it is about the file of this depth, where that is a parent's.
    pub(crate) fn blame_layer(&self, depth: u32, error: Error) -> Error {
        if depth < self.depth() { self.layer(depth).blame(error) } else { error }
    }

    /// Says of an error that it is about this file, which is the parent of another.
    pub(super) fn blame(&self, error: Error) -> Error {
        match (&error, &self.path) {
            (Error::InParent { .. } | Error::Parent(_), _) | (_, None) => error,
            (_, Some(path)) => Error::InParent { path: path.clone(), source: Box::new(error) },
        }
    }

    /// The path by which a parent was found; `None` for the file that was asked for.
    pub fn found_at(&self) -> Option<&PathBuf> {
        self.path.as_ref()
    }

    pub(super) fn collect_dead(&self) -> Result<DeadRows> {
        self.whole()?;
        let mut dead = match &self.parent {
            Some(parent) => self.inherited_dead(parent)?,
            None => Vec::new(),
        };
        dead.resize(self.parts().len(), None);
        for entry in self.state().of_kind(Kind::JOURNAL) {
            // A bit decides which records there are: against the hash also where nothing is written.
            let journal = JournalView::parse(self.intact(entry)?, entry.offset.get())?;
            self.mark(&mut dead, journal.words().iter().flat_map(ranges_of))?;
        }
        Ok(dead)
    }

    fn inherited_dead(&self, parent: &Snapshot) -> Result<DeadRows> {
        let mut dead = parent.dead().map_err(|error| parent.blame(error))?.clone();
        for rows in self.row_sets(Kind::COW_MAP)? {
            self.mark(&mut dead, rows.ranges())?;
        }
        self.mark_outside(&mut dead)?;
        Ok(dead)
    }

    /// The sets of inherited rows in segments of a kind, COW_MAP or MEMBERSHIP.
    fn row_sets(&self, kind: Kind) -> Result<Vec<RowSet>> {
        let read = |entry: &ManifestEntry| {
            let rows = RowSet::parse(self.intact(entry)?, entry.offset.get(), kind)?;
            rows.check(self.first_row())?;
            Ok(rows)
        };
        self.state().of_kind(kind).map(read).collect()
    }

    /// Marks the rows of the parent that are not among those that this branch was made for; says whether it is made for some only.
    fn mark_outside(&self, rows: &mut DeadRows) -> Result<bool> {
        let sets = self.row_sets(Kind::MEMBERSHIP)?;
        for set in &sets {
            match set.is_include() {
                true => self.mark(rows, between(set.ranges(), self.first_row()))?,
                false => self.mark(rows, set.ranges())?,
            }
        }
        Ok(!sets.is_empty())
    }

    /// The rows of the parent that are not among those that this branch was made for, a set a part; `None` where it sees all.
    ///
    /// # Errors
    /// Corruption of the MEMBERSHIP segment.
    pub(crate) fn outside(&self) -> Result<Option<DeadRows>> {
        let Some(parent) = &self.parent else { return Ok(None) };
        let mut outside: DeadRows = vec![None; parent.parts().len()];
        Ok(self.mark_outside(&mut outside)?.then_some(outside))
    }

    fn mark(&self, dead: &mut DeadRows, ranges: impl IntoIterator<Item = Range<u64>>) -> Result<()> {
        // Only as many parts as there are bits for: those of the parent come first.
        let parts = self.parts().get(..dead.len()).unwrap_or_default();
        mark(parts, dead, ranges, |part| self.view_of(part).map(drop))
    }

    /// The rows that COW_MAP segments hide of what the parent sees, ascending.
    ///
    /// # Errors
    /// Corruption of these segments and of the parents' journals.
    pub(crate) fn hidden_rows(&self) -> Result<Vec<u64>> {
        let Some(parent) = &self.parent else { return Ok(Vec::new()) };
        let mut hidden: DeadRows = vec![None; parent.parts().len()];
        for set in self.row_sets(Kind::COW_MAP)? {
            self.mark(&mut hidden, set.ranges())?;
        }
        let dead = parent.dead().map_err(|error| parent.blame(error))?;
        let mut rows = Vec::new();
        for (part, bits) in hidden.iter().enumerate() {
            let is_dead = |row: &u32| dead.get(part).and_then(Option::as_ref).is_some_and(|dead| dead.get(*row));
            let base = parent.parts()[part].entry.base_row.get();
            rows.extend(
                bits.iter().flat_map(Bits::iter).filter(|row| !is_dead(row)).map(|row| base.saturating_add(row.into())),
            );
        }
        Ok(rows)
    }

    /// Where the parent's part of the file ends, as the file itself says it.
    pub(super) fn check_first_row(&self, needed: &ParentRef) -> Result<()> {
        let at = self.root().own_offset.get() + 0x170;
        match self.root().next_row.get() >= needed.first_row {
            true => Ok(()),
            false => Err(RvfError::corrupt(Clause::Brn2, at, "the rows of a branch begin behind its next row").into()),
        }
    }
}

/// What lies between ascending ranges, up to `end`.
fn between(ranges: impl Iterator<Item = Range<u64>>, end: u64) -> impl Iterator<Item = Range<u64>> {
    let mut next = 0;
    ranges.chain(std::iter::once(end..end)).filter_map(move |range| {
        let gap = next..range.start.min(end);
        next = next.max(range.end);
        (!gap.is_empty()).then_some(gap)
    })
}

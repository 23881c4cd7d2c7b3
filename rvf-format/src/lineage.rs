//! Where a file comes from: the parent of a branch, and other files that were merged into this one (`spec/branching.md`). What the
//! root and the facts of a commit say of it; which file is the parent is for the engine to find.

use crate::digest::Hash;
use crate::manifest::Facts;
use crate::root::{FEATURE_BRANCH, RootPage};
use crate::{Clause, Error, Result, layout};
use zerocopy::byteorder::little_endian::U64;
use zerocopy::{FromBytes, IntoBytes};

layout! {
    /// The fixed part of what a branch says of its parent; the parent's path follows.
    pub struct BranchFacts = "branch-facts", 32 bytes {
        /// `next_row` of the parent's commit: the first row of the branch's own.
        0x00 first_row: "u64" U64,
        /// Records that were inherited when the branch was made.
        0x08 count: "u64" U64,
        /// Where the parent's root page stood then.
        0x10 root_offset: "u64" U64,
        /// 0.
        0x18 reserved: "u64" U64,
    }
}

layout! {
    /// A commit of another file that was merged into this one.
    pub struct MergeParent = "merge-parent", 64 bytes {
        /// Of the other file.
        0x00 file_id: "[16]" [u8; 16],
        /// Of the commit.
        0x10 epoch: "u64" U64,
        /// 0.
        0x18 reserved: "u64" U64,
        /// Of the commit.
        0x20 state_hash: "[32]" [u8; 32],
    }
}

/// Fact: what was merged into the file, [`MergeParent`] structures.
pub const FACT_MERGED: u32 = 17;
/// Fact: [`BranchFacts`], then the path of the parent.
pub const FACT_BRANCH: u32 = 18;
/// The most parents above a file.
pub const MAX_DEPTH: u32 = 64;
/// Longest path of a parent, bytes.
pub const MAX_PARENT_PATH: usize = 4096;

/// The parent of a branch, as the branch names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentRef {
    /// File id of the parent.
    pub file_id: [u8; 16],
    /// The commit of the parent at which the branch begins.
    pub epoch: u64,
    /// State hash of that commit.
    pub state_hash: Hash,
    /// Parents above the branch, 1 to [`MAX_DEPTH`].
    pub depth: u32,
    /// The first row of the branch's own; rows below it are inherited.
    pub first_row: u64,
    /// Records that were inherited when the branch was made.
    pub count: u64,
    /// File offset of the parent's root page when the branch was made: a hint, as compaction moves it.
    pub root_offset: u64,
    /// Path of the parent: relative to the folder of the branch with `/` between its parts, or absolute.
    pub path: String,
}

impl ParentRef {
    /// The parent that a commit names; `None` for a file without one. `facts` are those at the commit.
    ///
    /// # Errors
    /// BRN-1.
    pub fn of(root: &RootPage, facts: &Facts) -> Result<Option<Self>> {
        let at = root.own_offset.get();
        let fact = facts.get(&FACT_BRANCH);
        let unused = root.parent_id == [0; 16] && root.parent_hash == [0; 32] && root.parent_epoch.get() == 0;
        if !root.has_parent() && fact.is_none() && unused {
            return Ok(None);
        }
        let is_branch = root.features_incompatible.get() & FEATURE_BRANCH != 0;
        let depth = root.lineage_depth.get();
        let named = root.parent_epoch.get() > 0 && root.parent_id != [0; 16] && root.parent_id != root.file_id;
        if !is_branch || !(1..=MAX_DEPTH).contains(&depth) || !named {
            return Err(Error::corrupt(
                Clause::Brn1,
                at + 0x1D0,
                "what a root says of its parent does not go together",
            ));
        }
        let wrong =
            Error::corrupt(Clause::Brn1, root.manifest_offset.get(), "the fact of a branch is missing or malformed");
        let (facts, path) = fact.and_then(|bytes| read_fact(bytes)).ok_or(wrong)?;
        Ok(Some(Self {
            file_id: root.parent_id,
            epoch: root.parent_epoch.get(),
            state_hash: root.parent_hash,
            depth,
            first_row: facts.first_row.get(),
            count: facts.count.get(),
            root_offset: facts.root_offset.get(),
            path: path.to_owned(),
        }))
    }

    /// Names the parent in the root and the facts of a commit of the branch.
    pub fn write(&self, root: &mut RootPage, facts: &mut Facts) {
        root.features_incompatible.set(root.features_incompatible.get() | FEATURE_BRANCH);
        root.parent_id = self.file_id;
        root.parent_hash = self.state_hash;
        root.parent_epoch.set(self.epoch);
        root.lineage_depth.set(self.depth);
        let mut fixed = BranchFacts::zeroed();
        fixed.first_row.set(self.first_row);
        fixed.count.set(self.count);
        fixed.root_offset.set(self.root_offset);
        facts.insert(FACT_BRANCH, [fixed.as_bytes(), self.path.as_bytes()].concat());
    }
}

/// The fixed part and the path.
fn read_fact(bytes: &[u8]) -> Option<(BranchFacts, &str)> {
    let (fixed, path) = BranchFacts::read_from_prefix(bytes).ok()?;
    let path = core::str::from_utf8(path).ok()?;
    let fits = (1..=MAX_PARENT_PATH).contains(&path.len()) && !path.contains('\0') && fixed.reserved.get() == 0;
    fits.then_some((fixed, path))
}

/// The newest commit of another file that was merged into this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Of the other file.
    pub file_id: [u8; 16],
    /// Of the commit.
    pub epoch: u64,
    /// Of the commit.
    pub state_hash: Hash,
}

/// What was merged into a file, by ascending file id, a file once.
///
/// # Errors
/// MAN-9, at file offset `at`.
pub fn merged(facts: &Facts, at: u64) -> Result<Vec<Merged>> {
    let bytes = facts.get(&FACT_MERGED).map(Vec::as_slice).unwrap_or_default();
    let wrong = || Error::corrupt(Clause::Man9, at, "merge parents are malformed or out of order");
    let parents = <[MergeParent]>::ref_from_bytes(bytes).map_err(|_| wrong())?;
    let sound = parents.is_sorted_by(|a, b| a.file_id < b.file_id) && parents.iter().all(|one| one.reserved.get() == 0);
    if !sound {
        return Err(wrong());
    }
    let read = |one: &MergeParent| Merged { file_id: one.file_id, epoch: one.epoch.get(), state_hash: one.state_hash };
    Ok(parents.iter().map(read).collect())
}

/// The value of [`FACT_MERGED`]. No two are of one file; their order is free.
pub fn encode_merged(merged: &[Merged]) -> Vec<u8> {
    let mut sorted = merged.to_vec();
    sorted.sort_unstable_by_key(|one| one.file_id);
    let stored = |one: &Merged| MergeParent {
        file_id: one.file_id,
        epoch: one.epoch.into(),
        reserved: U64::ZERO,
        state_hash: one.state_hash,
    };
    sorted.iter().flat_map(|one| stored(one).as_bytes().to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent() -> ParentRef {
        ParentRef {
            file_id: [7; 16],
            epoch: 4,
            state_hash: [8; 32],
            depth: 1,
            first_row: 100,
            count: 90,
            root_offset: 4096,
            path: "../a.rvf".to_owned(),
        }
    }

    fn written() -> (RootPage, Facts) {
        let (mut root, mut facts) = (RootPage::new(), Facts::new());
        root.file_id = [1; 16];
        parent().write(&mut root, &mut facts);
        (root, facts)
    }

    #[test]
    fn round_trip() {
        let (mut root, mut facts) = written();
        assert_eq!(ParentRef::of(&root, &facts).unwrap(), Some(parent()));
        assert!(root.has_parent() && root.first_reserved_set().is_none());
        let longest = ParentRef { path: "p".repeat(MAX_PARENT_PATH), depth: MAX_DEPTH, ..parent() };
        longest.write(&mut root, &mut facts);
        assert_eq!(ParentRef::of(&root, &facts).unwrap(), Some(longest));
        assert_eq!(ParentRef::of(&RootPage::new(), &Facts::new()).unwrap(), None);
    }

    #[test]
    fn each_part_alone_is_refused() {
        type Change = fn(&mut RootPage, &mut Facts);
        // Of a whole branch.
        let changes: [Change; 12] = [
            |root, _| root.features_incompatible.set(0),
            |root, _| root.lineage_depth.set(0),
            |root, _| root.lineage_depth.set(MAX_DEPTH + 1),
            |root, _| root.parent_epoch.set(0),
            |root, _| root.parent_id = [0; 16],
            |root, _| root.parent_id = root.file_id,
            |_, facts| drop(facts.remove(&FACT_BRANCH)),
            |_, facts| facts.entry(FACT_BRANCH).or_default().truncate(32),
            |_, facts| facts.entry(FACT_BRANCH).or_default().extend([b'a'; MAX_PARENT_PATH]),
            |_, facts| facts.entry(FACT_BRANCH).or_default().push(0),
            |_, facts| facts.entry(FACT_BRANCH).or_default().push(0xFF),
            |_, facts| facts.entry(FACT_BRANCH).or_default()[0x18] = 1,
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let (mut root, mut facts) = written();
            change(&mut root, &mut facts);
            let error = ParentRef::of(&root, &facts).unwrap_err();
            assert_eq!(error.clause(), Some(Clause::Brn1), "change {index}");
        }
        // Of a file without a parent.
        let changes: [Change; 6] = [
            |root, _| root.features_incompatible.set(FEATURE_BRANCH),
            |root, _| root.lineage_depth.set(1),
            |root, _| root.parent_epoch.set(1),
            |root, _| root.parent_id = [7; 16],
            |root, _| root.parent_hash = [7; 32],
            |_, facts| *facts = written().1,
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let (mut root, mut facts) = (RootPage::new(), Facts::new());
            change(&mut root, &mut facts);
            let error = ParentRef::of(&root, &facts).unwrap_err();
            assert_eq!(error.clause(), Some(Clause::Brn1), "change {index} of a file without a parent");
        }
    }

    #[test]
    fn merge_parents_are_sorted_and_checked() {
        let one = |id: u8| Merged { file_id: [id; 16], epoch: u64::from(id) << 33, state_hash: [id; 32] };
        let value = encode_merged(&[one(2), one(1)]);
        let facts = |value: Vec<u8>| Facts::from([(FACT_MERGED, value)]);
        assert_eq!(merged(&facts(value.clone()), 0).unwrap(), [one(1), one(2)]);
        assert!(merged(&Facts::new(), 0).unwrap().is_empty());
        let mut reserved = value.clone();
        reserved[0x18] = 1;
        for broken in [value[..127].to_vec(), [&value[64..], &value[..64]].concat(), value[..64].repeat(2), reserved] {
            assert_eq!(merged(&facts(broken), 5).unwrap_err().clause(), Some(Clause::Man9));
        }
    }
}

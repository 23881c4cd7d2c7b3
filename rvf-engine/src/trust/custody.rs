//! [`custody`]: whether the audit entries of a file say what the file says of its parent, and of what was merged into it. The entry of a
//! branch or merge carries the hash of the commit that it took over, and is itself in the tree that is signed.

use crate::{CommitId, Result, Snapshot};
use core::fmt;
use rvf_format::digest::{Hash, blake3};
use rvf_format::payload::witness::{Entry, Operation};

/// How audit entries and file contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CustodyFault {
    /// An entry does not carry the hash of the one before, or the root that of the last.
    Unlinked {
        /// Index of the entry, or their number where it is the root.
        index: u64,
    },
    /// The newest entry is about another commit than this.
    OtherCommit,
    /// The first entry is not one of a branch from the parent's commit that the file names.
    OtherParent {
        /// The commit that the file names.
        epoch: u64,
    },
    /// The first entry is one of a branch, and the file names no parent.
    NoParent,
    /// The newest entry of a merge carries a commit that is not among those which the file says were merged.
    OtherMerge {
        /// The commit of this file.
        epoch: u64,
    },
}

impl fmt::Display for CustodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CustodyFault::Unlinked { index } => write!(f, "the audit entries are not linked, at index {index}"),
            CustodyFault::OtherCommit => f.write_str("the newest audit entry is about another commit"),
            CustodyFault::OtherParent { epoch } => write!(
                f,
                "the first audit entry does not carry the parent's commit that the file names, epoch {epoch}: the parent was exchanged"
            ),
            CustodyFault::NoParent => {
                f.write_str("the first audit entry is that of a branch, and the file names no parent")
            }
            CustodyFault::OtherMerge { epoch } => write!(
                f,
                "the audit entry of the merge at epoch {epoch} carries none of the commits that the file says were merged"
            ),
        }
    }
}

/// What is wrong between the audit entries of a commit's file and what it says of its parent and of merges; `None` if nothing is. Nobody's
/// signature is judged, and no byte of the records read.
///
/// ```
/// use rvf_engine::{BranchOptions, Db, Metric, Reader, Schema, branch_path, trust::custody};
/// use rvf_format::storage::FilePlace;
/// # let folder = tempfile::tempdir()?;
/// let [parent, child] = ["a.rvf", "b.rvf"].map(|name| folder.path().join(name));
/// Db::create(&parent, &Schema::new(2, Metric::L2))?.add(&[1.0f32, 2.0])?;
/// branch_path(std::sync::Arc::new(FilePlace), &parent, &child, &BranchOptions::default())?;
/// assert_eq!(custody(&Reader::open(&child)?.snapshot())?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Corruption of roots, manifests and WITNESS segments on the way; BRN-1; MAN-9.
pub fn custody(file: &Snapshot) -> Result<Option<CustodyFault>> {
    let entries = file.audit_entries()?;
    let fault = unlinked(&entries, &file.root().witness_head)
        .or_else(|| other_commit(&entries, &file.commit_id()).then_some(CustodyFault::OtherCommit));
    Ok(match fault {
        Some(fault) => Some(fault),
        None => other_parent(&entries, file)?.or(other_merge(&entries, file)?),
    })
}

fn unlinked(entries: &[Entry], head: &Hash) -> Option<CustodyFault> {
    let mut before = Hash::default();
    for entry in entries {
        if entry.fixed.previous != before {
            return Some(CustodyFault::Unlinked { index: entry.fixed.index.get() });
        }
        before = entry.hash();
    }
    (before != *head).then_some(CustodyFault::Unlinked { index: entries.len() as u64 })
}

fn other_commit(entries: &[Entry], commit: &CommitId) -> bool {
    let newest = entries.last().map(|entry| (entry.fixed.epoch.get(), entry.fixed.state_hash));
    newest != Some((commit.epoch, commit.state_hash))
}

fn carries(entry: &Entry, commit: &CommitId) -> bool {
    entry.fixed.parameters == blake3(commit.to_string().as_bytes())
}

fn other_parent(entries: &[Entry], file: &Snapshot) -> Result<Option<CustodyFault>> {
    let first = entries.first().filter(|entry| entry.operation() == Operation::BRANCH);
    Ok(match (file.parent_ref()?, first) {
        (None, None) => None,
        (None, Some(_)) => Some(CustodyFault::NoParent),
        (Some(named), first) => {
            let named = CommitId { file_id: named.file_id, epoch: named.epoch, state_hash: named.state_hash };
            let is_carried = first.is_some_and(|entry| carries(entry, &named));
            (!is_carried).then_some(CustodyFault::OtherParent { epoch: named.epoch })
        }
    })
}

/// A file knows the newest commit of each file that was merged into it, so only that of its newest merge is there for certain.
fn other_merge(entries: &[Entry], file: &Snapshot) -> Result<Option<CustodyFault>> {
    let newest = entries.iter().rev().find(|entry| entry.operation() == Operation::MERGE);
    let Some(entry) = newest else { return Ok(None) };
    let merged = file.merged()?;
    let mut commits =
        merged.iter().map(|one| CommitId { file_id: one.file_id, epoch: one.epoch, state_hash: one.state_hash });
    let is_carried = commits.any(|commit| carries(entry, &commit));
    Ok((!is_carried).then_some(CustodyFault::OtherMerge { epoch: entry.fixed.epoch.get() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Context, Edit, First, Store, new_root};
    use crate::{Db, Metric, Schema};
    use rvf_format::lineage::ParentRef;
    use rvf_format::storage::FilePlace;
    use std::path::Path;
    use std::sync::Arc;

    /// A file of one commit, made as a branch of `parent`; its audit entry carries `parameters`.
    fn branch_of(path: &Path, parent: Option<&Arc<Snapshot>>, parameters: &str) -> Arc<Snapshot> {
        let mut first = First::new(new_root(&Schema::new(2, Metric::L2), [7; 16], 0), Operation::BRANCH);
        first.parameters = parameters.to_owned();
        if let Some(CommitId { file_id, epoch, state_hash }) = parent.map(|parent| parent.commit_id()) {
            let path = "a.rvf".to_owned();
            let named =
                ParentRef { file_id, epoch, state_hash, depth: 1, first_row: 0, count: 0, root_offset: 0, path };
            named.write(&mut first.root, &mut first.facts);
        }
        let made =
            Store::create_with(Arc::new(FilePlace), path, &first, parent.cloned(), Context::default(), || Ok(()));
        made.unwrap().snapshot().clone()
    }

    #[test]
    fn what_a_file_says_of_its_parent_is_in_its_first_entry() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let parent = Db::create(path("a.rvf"), &Schema::new(2, Metric::L2)).unwrap().snapshot();
        let id = parent.commit_id();
        let found = |name, parent, parameters: &str| custody(&branch_of(&path(name), parent, parameters)).unwrap();
        assert_eq!(found("b.rvf", Some(&parent), &id.to_string()), None);
        let other = CommitId { state_hash: [1; 32], ..id };
        assert_eq!(
            found("c.rvf", Some(&parent), &other.to_string()),
            Some(CustodyFault::OtherParent { epoch: id.epoch })
        );
        assert_eq!(found("d.rvf", None, &id.to_string()), Some(CustodyFault::NoParent));
    }

    #[test]
    fn entries_are_linked_and_the_last_is_that_of_the_commit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rvf");
        drop(Db::create(&path, &Schema::new(2, Metric::L2)).unwrap());
        let mut store = Store::open(Arc::new(FilePlace), &path, Context::default()).unwrap().0;
        let file = store.commit(&Edit::new(Operation::UPDATE)).unwrap();
        let (mut entries, head) = (file.audit_entries().unwrap(), file.root().witness_head);
        assert_eq!((unlinked(&entries, &head), other_commit(&entries, &file.commit_id())), (None, false));
        assert_eq!(unlinked(&entries[..1], &head), Some(CustodyFault::Unlinked { index: 1 }));
        assert!(other_commit(&entries[..1], &file.commit_id()));
        entries[0].fixed.count.set(9);
        assert_eq!(unlinked(&entries, &head), Some(CustodyFault::Unlinked { index: 1 }));
    }
}

//! What a file says of its parent and of its branches, judged without them: BRN-1, BRN-2, REF-1, merge parents and pins (MAN-9).

use super::Findings;
use super::history::History;
use super::meaning::segment;
use super::walk::Walked;
use crate::chain::Replay;
use crate::lineage::{ParentRef, merged};
use crate::manifest::{ManifestEntry, first_feedback, pins};
use crate::payload::journal::JournalView;
use crate::payload::refcount::RefcountView;
use crate::root::RootPage;
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, Result};

/// What the root, the facts and the entries of a commit say together.
pub(super) fn check_commit(root: &RootPage, state: &Replay, findings: &mut Findings) {
    findings.check(None, merged(&state.facts, root.manifest_offset.get()));
    findings.check(None, check_pins(root, state));
    findings.check(None, first_feedback(&state.facts, root.manifest_offset.get()));
    let Some(parent) = findings.check(None, ParentRef::of(root, &state.facts)) else { return };
    let listed = || state.live.values().filter(|entry| entry.space.get() == 0);
    let mut memberships = 0;
    for entry in listed().filter(|entry| [Kind::COW_MAP, Kind::MEMBERSHIP].contains(&entry.kind())) {
        memberships += usize::from(entry.kind() == Kind::MEMBERSHIP);
        if parent.is_none() {
            add(entry, "a COW_MAP or MEMBERSHIP in a file without a parent", findings);
        } else if memberships > 1 {
            add(entry, "more than one MEMBERSHIP is listed", findings);
        }
    }
    let Some(parent) = parent else { return };
    if root.next_row.get() < parent.first_row {
        let at = root.own_offset.get() + 0x170;
        findings.add(Clause::Brn2, at, None, "the next row of a branch is one that it inherits");
    }
    for entry in listed().filter(|entry| entry.kind() == Kind::VEC && entry.base_row.get() < parent.first_row) {
        add(entry, "a VEC segment of a branch has rows among those that it inherits", findings);
    }
}

/// A commit pins what is there.
fn check_pins(root: &RootPage, state: &Replay) -> Result<()> {
    let at = root.manifest_offset.get();
    match pins(&state.facts, at)?.last().is_some_and(|epoch| *epoch > root.epoch()) {
        true => Err(Error::corrupt(Clause::Man9, at, "an epoch is pinned that is later than the commit")),
        false => Ok(()),
    }
}

fn add(entry: &ManifestEntry, what: &str, findings: &mut Findings) {
    findings.add(Clause::Brn2, entry.offset.get(), Some(entry.segment_id.get()), what);
}

/// That a sound journal at file offset `at` names no inherited row: those are for COW_MAP.
pub(super) fn check_journal(journal: &JournalView, first_row: u64, at: u64) -> Result<()> {
    let lowest = journal.words().first().map(|word| {
        let bit = u64::from(word.mask.get().trailing_zeros());
        word.word.get().saturating_mul(64).saturating_add(bit)
    });
    match lowest.is_some_and(|row| row < first_row) {
        true => Err(Error::corrupt(Clause::Brn2, at, "a JOURNAL of a branch names a row that it inherits")),
        false => Ok(()),
    }
}

/// In the newest epoch branches begin at pinned epochs.
pub(super) fn check_branches(file: &Bytes, history: &History, walked: &Walked, findings: &mut Findings) {
    let Ok(pinned) = pins(&history.newest.facts, 0) else { return };
    let listed = history.newest.live.values().filter(|entry| entry.kind() == Kind::REFCOUNT && entry.space.get() == 0);
    for entry in listed.filter(|entry| history.resolved && !walked.damaged.contains(&entry.segment_id.get())) {
        let (at, id) = (entry.offset.get(), Some(entry.segment_id.get()));
        let Ok(branches) = segment(file, entry).and_then(|bytes| RefcountView::parse(bytes, at)) else { continue };
        for branch in branches.entries().iter().filter(|branch| pinned.binary_search(&branch.epoch.get()).is_err()) {
            let message = format!("a branch begins at epoch {}, which is not pinned", branch.epoch.get());
            findings.add(Clause::Ref1, at, id, message);
        }
    }
}

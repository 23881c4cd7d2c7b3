//! What both sides of a merge changed differently, and whose change is taken.

use crate::store::Id;
use std::collections::BTreeMap;

/// A side of a merge: "ours" is the file that is merged into, "theirs" the one that is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What the file has that is merged into.
    Ours,
    /// What the file has that is merged.
    Theirs,
}

/// What is done about one conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// One side's record, or its deletion, is taken.
    Take(Side),
    /// Both stay: theirs gets an id that neither file ever gave. For records that both sides added, in stores with numeric ids.
    Renumber,
}

/// How conflicts are resolved. Those that nothing here resolves stop the merge.
#[derive(Clone, Debug, Default)]
pub struct Resolve {
    /// Decisions about single records.
    pub decisions: BTreeMap<Id, Decision>,
    /// Whether records that both sides added are all kept, theirs under new ids.
    pub renumber: bool,
    /// Whose change is taken where nothing else says.
    pub otherwise: Option<Side>,
}

/// What a side did to a record since the common ancestor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was added.
    Added,
    /// Its vector, its metadata or both were changed.
    Changed,
    /// It was deleted.
    Deleted,
}

impl Change {
    /// Its name: added, changed, deleted.
    pub fn name(self) -> &'static str {
        match self {
            Change::Added => "added",
            Change::Changed => "changed",
            Change::Deleted => "deleted",
        }
    }
}

/// A record that both sides changed since their common ancestor, and not alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The record.
    pub id: Id,
    /// What the file did that is merged into.
    pub ours: Change,
    /// What the file did that is merged.
    pub theirs: Change,
}

impl Resolve {
    /// What is done about a conflict; `None` leaves it open.
    pub(super) fn of(&self, conflict: &Conflict) -> Option<Decision> {
        // Ours may have changed what it has under an id that is new to theirs.
        let both_added = conflict.theirs == Change::Added && conflict.ours != Change::Deleted;
        match self.decisions.get(&conflict.id) {
            Some(Decision::Renumber) if !both_added => None,
            Some(decision) => Some(*decision),
            None if self.renumber && both_added => Some(Decision::Renumber),
            None => self.otherwise.map(Decision::Take),
        }
    }
}

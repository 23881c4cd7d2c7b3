//! What a store should hold: the calls of batches, and what they do to a map.

use rvf_engine::{Id, Metadata};
use rvf_tests::fields::{self, Fields};
use rvf_tests::oracle::Records;
use std::collections::BTreeSet;

/// A call of a batch.
#[derive(Clone, Debug)]
pub enum Op {
    Put(Id, Vec<f32>, Metadata),
    /// Null fields are taken away.
    Update(Id, Metadata),
    Delete(Id),
    /// From one id to another, both included: as a range or as a filter.
    Sweep(Id, Id, bool),
}

impl Op {
    /// Whether it deletes what has this id by then.
    pub fn deletes(&self, id: &Id) -> bool {
        match self {
            Op::Put(..) | Op::Update(..) => false,
            Op::Delete(other) => other == id,
            Op::Sweep(from, to, _) => from <= id && id <= to,
        }
    }
}

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    pub records: Records,
    pub fields: Fields,
}

/// Accepted, replaced, deleted, missing, updated: what a commit says that it did.
pub type Counts = [u64; 5];

/// What the operations of one batch do to `held`: the sentences of the documentation of `Batch` and `Committed`.
pub fn apply(held: &mut Held, ops: &[Op]) -> Counts {
    let before = held.records.clone();
    let kept: Vec<&Id> = ops
        .iter()
        .enumerate()
        .filter_map(|(at, op)| match op {
            Op::Put(id, ..) if !ops[at + 1..].iter().any(|later| later.deletes(id)) => Some(id),
            _ => None,
        })
        .collect();
    let stored: BTreeSet<&Id> = kept.iter().copied().collect();
    let is_gone = |id: &&Id| ops.iter().any(|op| op.deletes(id)) && !stored.contains(id);
    let gone = before.keys().filter(is_gone).count();
    let fresh = stored.iter().filter(|id| !before.contains_key(id)).count();
    // What a range or a filter does not find is not missing.
    let lost = ops.iter().filter(|op| matches!(op, Op::Delete(id) if !before.contains_key(id))).count();
    let (updated, missed) = ops.iter().fold((0, 0), |(updated, missed), op| match held.apply(op) {
        None => (updated, missed),
        Some(true) => (updated + 1, missed),
        Some(false) => (updated, missed + 1),
    });
    [kept.len(), kept.len() - fresh, gone, lost + missed, updated].map(|count| count as u64)
}

impl Held {
    /// Does one thing after another; of an update, whether it found its record.
    pub fn apply(&mut self, op: &Op) -> Option<bool> {
        match op {
            Op::Delete(_) | Op::Sweep(..) => {
                self.records.retain(|id, _| !op.deletes(id));
                self.fields.retain(|id, _| !op.deletes(id));
                None
            }
            Op::Put(id, vector, fields) => {
                self.records.insert(id.clone(), vector.clone());
                self.tell(id, fields.clone());
                None
            }
            Op::Update(id, _) if !self.records.contains_key(id) => Some(false),
            Op::Update(id, fields) => {
                let mut metadata = self.fields.remove(id).unwrap_or_default();
                fields::change(&mut metadata, fields);
                self.tell(id, metadata);
                Some(true)
            }
        }
    }

    fn tell(&mut self, id: &Id, metadata: Metadata) {
        self.fields.remove(id);
        if !metadata.is_empty() {
            self.fields.insert(id.clone(), fields::told(metadata));
        }
    }
}

pub fn counts(done: &rvf_engine::Committed) -> Counts {
    [done.accepted, done.replaced, done.deleted, done.missing, done.updated]
}

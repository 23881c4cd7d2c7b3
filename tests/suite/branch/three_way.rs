//! What merging should do, over maps: the oracle of `model.rs`. Written from what `rvf merge` promises, id by id.

use crate::sequences::held::Held;
use rvf_engine::{Change, Conflict, Decision, Id, Metadata, Resolve, Side};
use std::collections::{BTreeMap, BTreeSet};

/// A record, or that there is none.
pub type Record = Option<(Vec<f32>, Metadata)>;

pub fn record(held: &Held, id: &Id) -> Record {
    let fields = || held.fields.get(id).cloned().unwrap_or_default();
    held.records.get(id).map(|vector| (vector.clone(), fields()))
}

fn set(held: &mut Held, id: &Id, record: Record) {
    held.records.remove(id);
    held.fields.remove(id);
    if let Some((vector, fields)) = record {
        held.records.insert(id.clone(), vector);
        if !fields.is_empty() {
            held.fields.insert(id.clone(), fields);
        }
    }
}

/// What a side did to one record: the kind, whether to its vector, whether to its metadata.
#[derive(Clone, Copy, Debug)]
pub struct Did {
    pub change: Change,
    pub vector: bool,
    pub metadata: bool,
}

fn ids(a: &Held, b: &Held) -> BTreeSet<Id> {
    a.records.keys().chain(b.records.keys()).cloned().collect()
}

/// What differs between two maps.
pub fn differences(a: &Held, b: &Held) -> BTreeMap<Id, Did> {
    let did = |id: Id| {
        let whole = |change| Some(Did { change, vector: true, metadata: true });
        let did = match (record(a, &id), record(b, &id)) {
            (None, Some(_)) => whole(Change::Added),
            (Some(_), None) => whole(Change::Deleted),
            (before, now) => change_of(before, now),
        };
        did.map(|did| (id, did))
    };
    ids(a, b).into_iter().filter_map(did).collect()
}

fn change_of(before: Record, now: Record) -> Option<Did> {
    let ((v, m), (w, n)) = (before?, now?);
    let (vector, metadata) = (v != w, !alike(&m, &n));
    (vector || metadata).then_some(Did { change: Change::Changed, vector, metadata })
}

/// Written out, numbers tell all of their bits: -0 is not 0.
fn alike<T: std::fmt::Debug>(a: &T, b: &T) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

/// One side of a merge: what it holds, and what views on its way never saw, the nearest first.
#[derive(Clone)]
pub struct Sees {
    pub held: Held,
    pub unseen: Vec<Held>,
}

impl Sees {
    fn outside(&self, id: &Id) -> Record {
        self.unseen.iter().find_map(|unseen| record(unseen, id))
    }
}

/// What a side did since the common ancestor. Views neither delete what they do not see, nor is it new to them.
pub fn changes(base: &Sees, side: &Sees) -> BTreeMap<Id, Did> {
    let judge = |(id, did): (Id, Did)| match did.change {
        Change::Deleted if side.outside(&id).is_some() => None,
        Change::Added => match base.outside(&id) {
            Some(before) => change_of(Some(before), record(&side.held, &id)).map(|did| (id, did)),
            None => Some((id, did)),
        },
        // Put under an id that the side did not know to be taken.
        Change::Changed if side.outside(&id).is_some() => Some((id, Did { change: Change::Added, ..did })),
        _ => Some((id, did)),
    };
    differences(&base.held, &side.held).into_iter().filter_map(judge).collect()
}

/// What a merge came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub held: Held,
    pub merged: u64,
    pub resolved: u64,
    pub conflicts: Vec<Conflict>,
    pub renumbered: Vec<(Id, Id)>,
    /// Whether it makes a commit.
    pub commits: bool,
}

/// `next` is the first id that neither side ever gave.
pub fn merge(base: &Sees, theirs: &Sees, ours: &Sees, resolve: &Resolve, mut next: u64) -> Outcome {
    let (did, we_did) = (changes(base, theirs), changes(base, ours));
    let mut done = Outcome { held: ours.held.clone(), commits: !did.is_empty(), ..Outcome::default() };
    for (id, did) in did {
        let (their, our) = (record(&theirs.held, &id), record(&ours.held, &id));
        let taken = (did.change == Change::Added && our.is_some()).then_some(did);
        let Some(we) = we_did.get(&id).copied().or(taken) else {
            if our.is_some() || ours.outside(&id).is_none() {
                done.put(&id, combined(did, their, our));
            }
            continue;
        };
        let both_changed = (did.change, we.change) == (Change::Changed, Change::Changed);
        if alike(&their, &our) {
            continue;
        }
        if both_changed && !(did.vector && we.vector || did.metadata && we.metadata) {
            done.put(&id, combined(did, their, our));
            continue;
        }
        let both_added = did.change == Change::Added && we.change != Change::Deleted;
        let decision = match resolve.renumber && both_added {
            true => Some(Decision::Renumber),
            false => resolve.otherwise.map(Decision::Take),
        };
        done.resolved += u64::from(decision.is_some());
        match decision {
            None => done.conflicts.push(Conflict { id, ours: we.change, theirs: did.change }),
            Some(Decision::Take(Side::Ours)) => {}
            Some(Decision::Take(Side::Theirs)) => done.put(&id, their),
            Some(Decision::Renumber) => {
                done.put(&Id::U64(next), their);
                done.renumbered.push((id, Id::U64(next)));
                next += 1;
            }
        }
    }
    if !done.conflicts.is_empty() {
        (done.held, done.commits, done.merged) = (ours.held.clone(), false, 0);
    }
    done
}

impl Outcome {
    fn put(&mut self, id: &Id, record: Record) {
        set(&mut self.held, id, record);
        self.merged += 1;
    }
}

/// Our record with what they changed of it.
fn combined(did: Did, their: Record, our: Record) -> Record {
    match (did.change, their, our) {
        (Change::Changed, Some((w, n)), Some((v, m))) => {
            Some((if did.vector { w } else { v }, if did.metadata { n } else { m }))
        }
        (_, their, _) => their,
    }
}

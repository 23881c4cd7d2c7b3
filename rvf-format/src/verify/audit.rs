//! The audit entries together: the tree over them, and what signed notes say of them.

use super::Findings;
use super::history::History;
use super::walk::Walked;
use crate::digest::Hash;
use crate::manifest::policy;
use crate::merkle::{Edge, leaf};
use crate::note::Note;
use crate::payload::witness::Entry;
use crate::root::RootPage;
use crate::{Clause, Kind};
use std::collections::BTreeMap;

/// All audit entries of a file, linked, by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// One an entry.
    pub entries: Vec<Recorded>,
}

/// What an audit entry says of its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The leaf of the tree that stands for it.
    pub leaf: Hash,
    /// Of the commit.
    pub epoch: u64,
    /// State hash of the commit.
    pub state_hash: Hash,
    /// Nanoseconds since 1970.
    pub time_ns: u64,
}

impl Trail {
    pub(super) fn of<'e>(entries: impl Iterator<Item = &'e Entry>) -> Self {
        let recorded = |entry: &Entry| Recorded {
            leaf: leaf(&entry.hash()),
            epoch: entry.fixed.epoch.get(),
            state_hash: entry.fixed.state_hash,
            time_ns: entry.fixed.time_ns.get(),
        };
        Self { entries: entries.map(recorded).collect() }
    }

    /// The leaves of the tree.
    pub fn leaves(&self) -> Vec<Hash> {
        self.entries.iter().map(|entry| entry.leaf).collect()
    }

    /// The root of the tree over the first `size` entries; `None` if there are not so many.
    pub fn root(&self, size: u64) -> Option<Hash> {
        let entries = self.entries.get(..usize::try_from(size).ok()?)?;
        let mut edge = Edge::default();
        entries.iter().for_each(|entry| edge.push(entry.leaf));
        Some(edge.root())
    }

    /// The entry that is the last of the first `size`.
    pub fn last_of(&self, size: u64) -> Option<&Recorded> {
        self.entries.get(usize::try_from(size.checked_sub(1)?).ok()?)
    }
}

pub(super) fn check(trail: Option<&Trail>, history: &History, walked: &Walked, findings: &mut Findings) {
    let notes = placed_notes(history, walked);
    check_notes(&notes, history, findings);
    if let Some(trail) = trail {
        check_tree(trail, history, &notes, findings);
    }
    check_policy(&notes, history, walked, findings);
}

/// The notes of live CRYPTO segments, each with the file offset and id of its segment, by epoch.
fn placed_notes<'w>(history: &History, walked: &'w Walked) -> Vec<(u64, u64, &'w Note)> {
    let is_live = |id: u64| history.newest.live.contains_key(&id);
    let live = walked.notes.iter().filter(|(entry, _)| is_live(entry.segment_id.get()));
    let place = |entry: &crate::manifest::ManifestEntry| (entry.offset.get(), entry.segment_id.get());
    let mut notes: Vec<(u64, u64, &Note)> = live
        .flat_map(|(entry, notes)| {
            let (at, id) = place(entry);
            notes.iter().map(move |note| (at, id, note))
        })
        .collect();
    notes.sort_by_key(|(.., note)| note.statement().epoch);
    notes
}

/// The notes of the newest epoch, by epoch.
pub(super) fn live_notes(history: &History, walked: &Walked) -> Vec<Note> {
    placed_notes(history, walked).into_iter().map(|(.., note)| note.clone()).collect()
}

/// SIG-1, and the half of SIG-2 that notes say of each other.
fn check_notes(notes: &[(u64, u64, &Note)], history: &History, findings: &mut Findings) {
    let Some(newest) = history.newest_root() else { return };
    let mut before = 0;
    for (at, id, note) in notes {
        let statement = note.statement();
        if statement.file_id != newest.file_id {
            findings.add(Clause::Sig1, *at, Some(*id), "a signed note is about another file");
        }
        if statement.previous != before || statement.epoch <= before {
            let message =
                format!("the note of epoch {} does not follow the one before, of epoch {before}", statement.epoch);
            findings.add(Clause::Sig2, *at, Some(*id), message);
        }
        before = statement.epoch;
    }
}

/// AUD-1 of each kept root, SIG-2 of each note: the tree grows once.
fn check_tree(trail: &Trail, history: &History, notes: &[(u64, u64, &Note)], findings: &mut Findings) {
    let roots: BTreeMap<u64, &RootPage> =
        history.commits.iter().map(|commit| (commit.root.witness_size.get(), &commit.root)).collect();
    let mut waiting: BTreeMap<u64, Vec<&(u64, u64, &Note)>> = BTreeMap::new();
    for placed in notes {
        waiting.entry(placed.2.statement().size).or_default().push(placed);
    }
    let mut edge = Edge::default();
    for entry in &trail.entries {
        edge.push(entry.leaf);
        if let Some(root) = roots.get(&edge.size()).filter(|root| root.has_tree())
            && (root.witness_tree != edge.root() || root.witness_edge != edge.to_bytes())
        {
            let message = "the tree over the audit entries is not that of the entries";
            findings.add(Clause::Aud1, root.own_offset.get() + 0x1B0, None, message);
        }
        for (at, id, note) in waiting.remove(&edge.size()).unwrap_or_default() {
            let statement = note.statement();
            let stated = (statement.epoch, statement.state_hash, statement.root);
            if stated != (entry.epoch, entry.state_hash, edge.root()) {
                let message =
                    format!("the note of epoch {} does not state what the audit entries say", statement.epoch);
                findings.add(Clause::Sig2, *at, Some(*id), message);
            }
        }
    }
    for (at, id, note) in waiting.into_values().flatten() {
        let statement = note.statement();
        let message = format!(
            "the note of epoch {} states {} audit entries, which there are not",
            statement.epoch, statement.size
        );
        findings.add(Clause::Sig2, *at, Some(*id), message);
    }
}

/// SIG-3.
fn check_policy(notes: &[(u64, u64, &Note)], history: &History, walked: &Walked, findings: &mut Findings) {
    let Some(newest) = history.newest_root().filter(|_| history.resolved) else { return };
    let at = newest.own_offset.get();
    let Some(asked) = findings.check(None, policy(&history.newest.facts, at)) else { return };
    let Some(policy) = asked else {
        if !notes.is_empty() {
            findings.add(Clause::Sig3, at, None, "the file holds signed notes, and does not ask for signatures");
        }
        return;
    };
    // A damaged segment is a finding of its own.
    let crypto = history.newest.live.values().filter(|entry| entry.kind() == Kind::CRYPTO);
    let is_damaged = crypto.into_iter().any(|entry| walked.damaged.contains(&entry.segment_id.get()));
    let signed = notes.last().map_or(0, |(.., note)| note.statement().epoch);
    if signed != newest.epoch() && !is_damaged {
        let last = if signed == 0 { "none is".to_owned() } else { format!("the newest signed one is {signed}") };
        let message = format!(
            "epoch {} is not signed, though the file asks for signatures by {}: {last}",
            newest.epoch(),
            policy.name()
        );
        findings.add(Clause::Sig3, at, None, message);
    }
}

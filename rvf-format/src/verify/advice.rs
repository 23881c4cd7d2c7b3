//! What to do about findings: says of each whether the newest epoch suffers from it.

use super::Finding;
use super::history::History;
use crate::manifest::FACT_PINS;
use crate::{Clause, Kind};
use std::collections::BTreeSet;

/// What helps against damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Advice {
    /// The newest epoch is damaged: write what is intact to another file, or restore the file from a copy.
    Salvage,
    /// Only graphs or codes of the newest epoch are damaged: build them anew.
    Index,
    /// Only the list of known branches is damaged: no record and no branch suffers, and a flattened copy is without it.
    Branches,
    /// The newest epoch does not need what is damaged: compaction removes it.
    Compact,
    /// The newest commit is not signed, and has to be: sign it.
    Sign,
    /// An uncommitted tail: the next writer cuts it.
    Tail,
    /// A tail with a manifest: perhaps a commit that was damaged. Salvage reads it, the next writer moves it aside.
    LostCommit,
}

/// Tells findings that the newest epoch can do without, in their messages, and what to do.
pub(super) fn advise(history: &History, findings: &mut [Finding]) -> Vec<Advice> {
    let listed: BTreeSet<u64> = history.listed.values().map(|entry| entry.segment_id.get()).collect();
    // What pinned epochs need is kept by compaction.
    let pinned = history.newest.facts.contains_key(&FACT_PINS);
    let mut advice = BTreeSet::new();
    for finding in findings {
        let given = judge(history, &listed, finding);
        if given == Advice::Compact && finding.segment.is_some() {
            finding.message.push_str("; the newest epoch does not need it");
            if !pinned {
                finding.message.push_str(": `rvf compact` removes it");
            }
        }
        advice.insert(given);
    }
    advice.into_iter().collect()
}

fn judge(history: &History, listed: &BTreeSet<u64>, finding: &Finding) -> Advice {
    match finding.clause {
        Clause::Tail1 if !history.commits.is_empty() => return Advice::Tail,
        Clause::Sig3 => return Advice::Sign,
        Clause::Tail2 if !history.commits.is_empty() => return Advice::LostCommit,
        _ => {}
    }
    if !history.resolved {
        return Advice::Salvage;
    }
    let live = finding.segment.and_then(|id| history.newest.live.get(&id));
    match (live.map(|entry| entry.kind()), finding.segment) {
        (Some(Kind::INDEX | Kind::QUANT), _) => Advice::Index,
        (Some(Kind::REFCOUNT), _) => Advice::Branches,
        (None, Some(id)) if listed.contains(&id) => Advice::Compact,
        // Epochs before the newest full manifest are lost, the newest is not.
        (None, None) if finding.clause == Clause::Root6 => Advice::Compact,
        _ => Advice::Salvage,
    }
}

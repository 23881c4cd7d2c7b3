//! Which rows a new graph covers, and when one is due.
//!
//! Rows in no graph are the tail; a search compares them all. When scanning the tail costs about as much as a walk, it becomes
//! a graph. Graphs at most three times as large as what is folded are folded with it, so that sizes grow geometrically: a store has a
//! few graphs, and a row is written again a few times in its life.

use super::IndexOptions;
use crate::Result;
use crate::store::{Graph, GraphView, Snapshot};
use rvf_format::limits::{MAX_SEGMENT, TREE_MIN};
use std::collections::BTreeSet;

/// What is to be covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// What is due, if anything is.
    Due,
    /// All rows by one graph.
    All,
}

/// So few rows are faster compared than found.
const LEAST_ROWS: u64 = 1_000;
/// A tail of so many bytes takes about as long to scan as a walk takes (1.5 MiB: 40 microseconds at 39 GB/s); rows of few
/// bytes cost more than their bytes.
const TAIL_BYTES: u64 = 3 << 19;
const MOST_TAIL_ROWS: u64 = 4_096;
/// The same of a branch, which inherits a graph that takes far less time than such a scan: what it adds may cost a tenth of it. Its tail
/// is that of the whole lineage.
const BRANCH_TAIL_BYTES: u64 = 96 << 10;
const LEAST_BRANCH_ROWS: u64 = 128;
/// A branch folds what it inherits along with rows of its own only where these are one in so many: few edits stay few bytes.
const MOST_INHERITED: u64 = 8;
/// Links of a node at most, whatever the options say.
const MOST_DEGREE: usize = 128;
/// Graphs up to so many times as large are folded along.
const GROWTH: u64 = 3;
/// A graph with a larger share of dead nodes is due without a tail; one with a larger share than the second is renewed by
/// [`Scope::All`].
const DEAD_SHARE_DUE: f64 = 0.5;
const DEAD_SHARE_ALL: f64 = 0.1;

/// One graph to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Graphs that it takes the place of.
    pub(crate) replaces: Vec<usize>,
    /// Parts that it covers, ascending.
    pub(crate) parts: Vec<u32>,
    /// Those of them that are gathered into one segment: small and mostly dead ones.
    pub(crate) gathered: Vec<u32>,
}

/// Whether so many live rows are to be found by a graph.
pub(crate) fn is_worth_a_graph(snapshot: &Snapshot, live: u64) -> bool {
    live > if snapshot.parent().is_some() { LEAST_BRANCH_ROWS } else { LEAST_ROWS }
}

/// The graphs to be written; none if nothing is to be done.
pub(crate) fn plan(snapshot: &Snapshot, scope: Scope, options: &IndexOptions) -> Result<Vec<Planned>> {
    if scope == Scope::Due && nothing_is_due(snapshot)? {
        return Ok(Vec::new());
    }
    // The large check is for who asks for an index, not for each commit.
    let stays = |(at, _): &(usize, &GraphView)| scope == Scope::Due || snapshot.graphs()[*at].is_intact(snapshot);
    let inherited = snapshot.inherited_graphs();
    let (places, graphs): (Vec<usize>, Vec<&GraphView>) = snapshot.sound_graphs().filter(stays).unzip();
    // What is small of what a branch inherits goes into a graph of its own; the large stays its parents'.
    let own = places.iter().map(|at| *at >= inherited).collect::<Vec<bool>>();
    let covered: BTreeSet<u32> = graphs.iter().flat_map(|graph| graph.parts.iter().copied()).collect();
    let tail: Vec<u32> = (0..snapshot.parts().len() as u32).filter(|part| !covered.contains(part)).collect();
    let damaged: Vec<usize> = (inherited..snapshot.graphs().len()).filter(|place| !places.contains(place)).collect();
    let chosen = match scope {
        Scope::Due => due(snapshot, &tail, &graphs, &own)?,
        Scope::All => all(snapshot, &tail, &graphs, &own, options),
    };
    let Some(chosen) = chosen.or_else(|| (!damaged.is_empty()).then(Vec::new)) else { return Ok(Vec::new()) };
    let folds_tail = scope == Scope::All || is_tail_due(snapshot, &tail)?;
    let mut parts = if folds_tail { tail } else { Vec::new() };
    parts.extend(chosen.iter().flat_map(|graph| graphs[*graph].parts.iter().copied()));
    parts.sort_unstable();
    let replaces = chosen.into_iter().map(|graph| places[graph]).chain(damaged).collect();
    split(snapshot, replaces, parts)
}

/// Whether the manifest alone shows that no fold is due: what small commits pay.
fn nothing_is_due(snapshot: &Snapshot) -> Result<bool> {
    if snapshot.parent().is_some() {
        // Its own parts alone do not tell.
        return Ok(false);
    }
    let rows: u64 = snapshot.parts().iter().map(|part| u64::from(part.entry.rows.get())).sum();
    let graphs = snapshot.graphs();
    let in_graph = |graph: &Graph| u64::from(graph.entry.rows.get());
    let dead = rows.saturating_sub(snapshot.count());
    let few_dead = graphs.iter().all(|graph| dead as f64 <= in_graph(graph) as f64 * DEAD_SHARE_DUE);
    Ok(rows.saturating_sub(graphs.iter().map(in_graph).sum()) <= most_tail_rows(snapshot) && few_dead)
}

fn is_tail_due(snapshot: &Snapshot, tail: &[u32]) -> Result<bool> {
    let (mut rows, mut own) = (0, 0);
    for part in tail {
        let live = snapshot.live_in(*part)?;
        rows += live;
        own += if *part >= snapshot.inherited_parts() { live } else { 0 };
    }
    Ok(rows > most_tail_rows(snapshot) && own.saturating_mul(MOST_INHERITED) >= rows)
}

fn most_tail_rows(snapshot: &Snapshot) -> u64 {
    let (bytes, least) = match snapshot.parent() {
        Some(_) if !snapshot.graphs().is_empty() => (BRANCH_TAIL_BYTES, LEAST_BRANCH_ROWS),
        _ => (TAIL_BYTES, LEAST_ROWS),
    };
    (bytes / snapshot.schema().row_len().max(1) as u64).clamp(least, MOST_TAIL_ROWS)
}

/// The graphs to be folded with the tail, or renewed for their dead nodes.
fn due(snapshot: &Snapshot, tail: &[u32], graphs: &[&GraphView], own: &[bool]) -> Result<Option<Vec<usize>>> {
    let mut chosen: Vec<usize> =
        (0..graphs.len()).filter(|graph| own[*graph] && graphs[*graph].dead_share() > DEAD_SHARE_DUE).collect();
    let tail_due = is_tail_due(snapshot, tail)?;
    if !tail_due && chosen.is_empty() {
        return Ok(None);
    }
    let mut folded: u64 = chosen.iter().map(|graph| u64::from(graphs[*graph].live)).sum();
    if tail_due {
        for part in tail {
            folded += snapshot.live_in(*part)?;
        }
    }
    let mut others: Vec<usize> = (0..graphs.len()).filter(|graph| !chosen.contains(graph)).collect();
    others.sort_by_key(|graph| graphs[*graph].live);
    for graph in others {
        let live = u64::from(graphs[graph].live);
        if live > folded * GROWTH {
            break;
        }
        chosen.push(graph);
        folded += live;
    }
    Ok(Some(chosen))
}

/// All graphs, unless there is one that covers everything, is as wished and has few dead nodes.
fn all(
    snapshot: &Snapshot,
    tail: &[u32],
    graphs: &[&GraphView],
    own: &[bool],
    options: &IndexOptions,
) -> Option<Vec<usize>> {
    // Of a branch: all of its own, and of the tail what it inherits only together with that.
    let chosen: Vec<usize> = (0..graphs.len()).filter(|graph| own[*graph]).collect();
    let tail = tail.iter().filter(|part| **part >= snapshot.inherited_parts()).count();
    let as_wished = |graph: &GraphView| options.are_met_by(graph.index.facts()) && graph.dead_share() <= DEAD_SHARE_ALL;
    let done = tail == 0 && chosen.len() <= 1 && chosen.iter().all(|graph| as_wished(graphs[*graph]));
    (!done).then_some(chosen)
}

/// Cuts what is to be covered into graphs whose segments are not too large.
fn split(snapshot: &Snapshot, replaces: Vec<usize>, parts: Vec<u32>) -> Result<Vec<Planned>> {
    let most_rows = most_rows(snapshot);
    let rows_of = |part: u32| snapshot.parts().get(part as usize).map_or(0, |part| u64::from(part.entry.rows.get()));
    let mut planned: Vec<Planned> = Vec::new();
    let mut rows = 0;
    for part in parts {
        match planned.last_mut().filter(|_| rows + rows_of(part) <= most_rows) {
            Some(last) => last.parts.push(part),
            None => {
                planned.push(Planned { replaces: Vec::new(), parts: vec![part], gathered: Vec::new() });
                rows = 0;
            }
        }
        rows += rows_of(part);
    }
    for planned in &mut planned {
        let is_small = |part: &u32| snapshot.parts()[*part as usize].entry.length.get() < TREE_MIN;
        let is_gathered = |part: &u32| *part >= snapshot.inherited_parts() && is_small(part);
        let small = planned.parts.iter().copied().filter(is_gathered).count();
        for part in planned.parts.iter().copied() {
            // What is mostly dead is rewritten too: else its dead rows would be nodes again and again.
            let mostly_dead = snapshot.live_in(part)? * 2 < rows_of(part);
            let is_own = part >= snapshot.inherited_parts();
            if is_own && (mostly_dead || (small > 1 && is_small(&part))) {
                planned.gathered.push(part);
            }
        }
    }
    if planned.is_empty() && !replaces.is_empty() {
        planned.push(Planned { replaces: Vec::new(), parts: Vec::new(), gathered: Vec::new() });
    }
    if let Some(first) = planned.first_mut() {
        first.replaces = replaces;
    }
    Ok(planned)
}

/// Rows of one graph at most: neither its codes nor its links, with the rows of its pivots, may pass the size of a segment.
pub(super) fn most_rows(snapshot: &Snapshot) -> u64 {
    let row = snapshot.schema().row_len().max(4 * MOST_DEGREE) as u64;
    (MAX_SEGMENT / 2 / row).max(1)
}

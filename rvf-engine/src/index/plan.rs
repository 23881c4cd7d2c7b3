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
pub(crate) fn is_worth_a_graph(live: u64) -> bool {
    live > LEAST_ROWS
}

/// The graphs to be written; none if nothing is to be done.
pub(crate) fn plan(snapshot: &Snapshot, scope: Scope, options: &IndexOptions) -> Result<Vec<Planned>> {
    if scope == Scope::Due && nothing_is_due(snapshot)? {
        return Ok(Vec::new());
    }
    // The large check is for who asks for an index, not for each commit.
    let stays = |(at, _): &(usize, &GraphView)| scope == Scope::Due || snapshot.graphs()[*at].is_intact(snapshot);
    // What a branch inherits is its parents' to index.
    let inherited = snapshot.inherited_graphs();
    let own = snapshot.sound_graphs().filter(|(at, _)| *at >= inherited);
    let (places, graphs): (Vec<usize>, Vec<&GraphView>) = own.filter(stays).unzip();
    let covered: BTreeSet<u32> = graphs.iter().flat_map(|graph| graph.parts.iter().copied()).collect();
    let tail: Vec<u32> = snapshot.own_parts().filter(|part| !covered.contains(part)).collect();
    let damaged: Vec<usize> = (inherited..snapshot.graphs().len()).filter(|place| !places.contains(place)).collect();
    let chosen = match scope {
        Scope::Due => due(snapshot, &tail, &graphs)?,
        Scope::All => all(&tail, &graphs, options),
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
    let parts = snapshot.own_parts().map(|part| u64::from(snapshot.parts()[part as usize].entry.rows.get()));
    let (rows, graphs) = (parts.sum::<u64>(), &snapshot.graphs()[snapshot.inherited_graphs()..]);
    let in_graph = |graph: &Graph| u64::from(graph.entry.rows.get());
    let live = if snapshot.parent().is_some() { snapshot.own_live()? } else { snapshot.count() };
    let dead = rows.saturating_sub(live);
    let few_dead = graphs.iter().all(|graph| dead as f64 <= in_graph(graph) as f64 * DEAD_SHARE_DUE);
    Ok(rows.saturating_sub(graphs.iter().map(in_graph).sum()) <= most_tail_rows(snapshot) && few_dead)
}

fn is_tail_due(snapshot: &Snapshot, tail: &[u32]) -> Result<bool> {
    let mut rows = 0;
    for part in tail {
        rows += snapshot.live_in(*part)?;
    }
    Ok(rows > most_tail_rows(snapshot))
}

fn most_tail_rows(snapshot: &Snapshot) -> u64 {
    (TAIL_BYTES / snapshot.schema().row_len().max(1) as u64).clamp(LEAST_ROWS, MOST_TAIL_ROWS)
}

/// The graphs to be folded with the tail, or renewed for their dead nodes.
fn due(snapshot: &Snapshot, tail: &[u32], graphs: &[&GraphView]) -> Result<Option<Vec<usize>>> {
    let mut chosen: Vec<usize> =
        (0..graphs.len()).filter(|graph| graphs[*graph].dead_share() > DEAD_SHARE_DUE).collect();
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
fn all(tail: &[u32], graphs: &[&GraphView], options: &IndexOptions) -> Option<Vec<usize>> {
    let as_wished = |graph: &GraphView| options.are_met_by(graph.index.facts()) && graph.dead_share() <= DEAD_SHARE_ALL;
    let nothing = tail.is_empty() && graphs.len() <= 1;
    let done = nothing && graphs.iter().all(|graph| as_wished(graph));
    (!done).then(|| (0..graphs.len()).collect())
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
        let small = planned.parts.iter().copied().filter(is_small).count();
        for part in planned.parts.iter().copied() {
            // What is mostly dead is rewritten too: else its dead rows would be nodes again and again.
            let mostly_dead = snapshot.live_in(part)? * 2 < rows_of(part);
            if mostly_dead || (small > 1 && is_small(&part)) {
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

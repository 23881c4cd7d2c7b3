//! [`Among`]: the nearest of some nodes, the others being there to be passed through at most.
//!
//! ```text
//! one by one:  measure each of them, keep the ef nearest
//! two hops:    as a walk, but of a node's links only those among them are measured; from the others, their links are looked at
//!              in turn, until there is enough to measure
//! ```
//! The second is ACORN-1 (Patel et al., "ACORN: Performant and Predicate-Agnostic Search Over Vector Embeddings and Structured
//! Data", 2024, section 5.2). Departures: a walk begins with the nearest pivots that are among the nodes, wherever they are: where
//! what is asked for lies far from all of them, nothing near it leads there. And it gives up when it has measured more than a bound,
//! as measuring all of them one by one would have done.
//!
//! Both are rounds of the same kind: a [`Source`] names the nodes that are to be measured next. So the code that measures is there
//! once, for each kind of row and instruction set; a source is compiled once.

use super::manner::Stop;
use super::pool::Pool;
use super::rows::Rows;
use super::visited::Visited;
use super::walk::{ENTRIES, Entry, Found, Links, Scratch, is_set, measure_nodes, spread};
use crate::kernel::{Pair, Task, prefetch};
use core::ops::Range;

/// Nodes of a round, one by one.
const BLOCK: usize = 64;
/// Pivots among the nodes that a walk of two hops looks at before it begins.
const ENOUGH: usize = 96;

/// How the nearest of some nodes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Each of them is measured.
    OneByOne,
    /// A walk of two hops; at most so many distances.
    TwoHops(u64),
}

/// A search to be run by [`crate::kernel::Kernels::run`]; what it finds is in the scratch afterwards.
pub(crate) struct Among<'a, T> {
    pub(crate) rows: &'a Rows<'a, T>,
    pub(crate) links: Links<'a>,
    pub(crate) entry: Entry<'a, T>,
    /// Nodes to keep.
    pub(crate) ef: usize,
    /// A bit a node, set for those that are not to be found.
    pub(crate) excluded: &'a [u64],
    pub(crate) way: Way,
    /// When a walk of two hops ends before all it keeps is expanded.
    pub(crate) stop: Option<Stop>,
    pub(crate) scratch: &'a mut Scratch,
}

impl<T> Task<T> for Among<'_, T> {
    /// What it cost; `None` if it gave up.
    type Output = Option<Found>;

    #[inline(always)]
    fn run<P: Pair<T>>(self, pair: P) -> Option<Found> {
        let Scratch { pool, visited, distances, nodes, waiting, through, .. } = self.scratch;
        let (count, most) = match self.way {
            Way::OneByOne => (self.ef, u64::MAX),
            Way::TwoHops(most) => (self.ef.min(ENTRIES), most),
        };
        pool.begin(count);
        visited.begin(self.rows.len());
        let mut is_begun = false;
        let mut source = Source::new(&self.entry, self.links, self.excluded, self.rows.len(), self.way, through);
        let mut found = Found::default();
        waiting.clear();
        while source.next(pool, visited, self.ef, nodes) || !waiting.is_empty() {
            for node in nodes.iter() {
                prefetch(self.rows.row_of::<P>(*node));
            }
            // What comes next does not hang on these: those are measured that were asked for a round before.
            if source.is_ahead() {
                std::mem::swap(nodes, waiting);
            }
            measure_nodes(pair, self.rows, nodes, distances);
            found.distances += nodes.len() as u64;
            if found.distances > most {
                return None;
            }
            if let Some(Stop { k, kept, slack }) = self.stop.filter(|_| !std::mem::replace(&mut is_begun, true)) {
                // The first round measures the leaders.
                pool.stop_beyond(k, slack * spread(distances), kept);
            }
            source.measured(pool, nodes, distances);
        }
        found.hops = source.hops;
        Some(found)
    }
}

/// Which nodes are to be measured next.
struct Source<'a> {
    pivots: Pivots<'a>,
    links: Links<'a>,
    excluded: &'a [u64],
    nodes: u32,
    state: State,
    hops: u64,
    /// The node to be expanded next: its links were asked for.
    after: Option<u32>,
    /// Nodes that a hop passes through.
    through: &'a mut Vec<u32>,
}

/// The pivots of a graph, without their rows.
#[derive(Clone, Copy)]
struct Pivots<'a> {
    nodes: &'a [zerocopy::byteorder::little_endian::U32],
    offsets: &'a [zerocopy::byteorder::little_endian::U32],
}

/// How far a search is.
enum State {
    /// All nodes from this one on.
    All(u32),
    /// The leaders of all cells.
    Leaders,
    /// The cells by their leaders, nearest last; how many pivots were measured.
    Cells(Vec<(f32, usize)>, usize),
    Hops,
}

impl<'a> Source<'a> {
    fn new<T>(
        entry: &Entry<'a, T>,
        links: Links<'a>,
        excluded: &'a [u64],
        nodes: u32,
        way: Way,
        through: &'a mut Vec<u32>,
    ) -> Self {
        let pivots = Pivots { nodes: entry.nodes, offsets: entry.offsets };
        let state = if way == Way::OneByOne { State::All(0) } else { State::Leaders };
        Self { pivots, links, excluded, nodes, state, hops: 0, after: None, through }
    }

    /// The nodes of the next round; false if there is none.
    fn next(&mut self, pool: &mut Pool, visited: &mut Visited, ef: usize, to: &mut Vec<u32>) -> bool {
        to.clear();
        loop {
            match &mut self.state {
                State::All(from) => {
                    *from = fill(self.excluded, self.nodes, *from, to);
                    return !to.is_empty();
                }
                State::Leaders => {
                    let leaders = self.pivots.nodes.get(..self.pivots.cells()).unwrap_or_default();
                    to.extend(leaders.iter().map(|node| node.get()).filter(|node| *node < self.nodes));
                    return !to.is_empty();
                }
                State::Cells(cells, measured) => {
                    let cell = if *measured < ENOUGH { cells.pop() } else { None };
                    let Some((_, cell)) = cell else {
                        self.state = State::Hops;
                        pool.widen(ef);
                        continue;
                    };
                    let members = self.pivots.nodes.get(self.pivots.members(cell)).unwrap_or_default().iter();
                    let leader = self.pivots.nodes.get(cell).into_iter();
                    let among = leader
                        .chain(members)
                        .map(|node| node.get())
                        .filter(|node| *node < self.nodes && !is_set(self.excluded, *node) && visited.insert(*node));
                    to.extend(among);
                    *measured += to.len();
                    if !to.is_empty() {
                        return true;
                    }
                }
                State::Hops => return self.hop(pool, visited, to),
            }
        }
    }

    /// The nodes that the links of the nearest node not yet expanded lead to.
    fn hop(&mut self, pool: &mut Pool, visited: &mut Visited, to: &mut Vec<u32>) -> bool {
        let enough = 2 * self.links.degree();
        while let Some(node) = self.after.take().or_else(|| pool.expand()) {
            self.hops += 1;
            self.through.clear();
            for link in self.links.of(node, self.nodes) {
                if is_set(self.excluded, link) {
                    self.through.push(link);
                    prefetch(self.links.slots(link));
                } else if visited.insert(link) {
                    to.push(link);
                }
            }
            for other in self.through.iter() {
                if to.len() >= enough {
                    break;
                }
                // From one that was passed through before everything was seen.
                if !visited.mark(*other) {
                    continue;
                }
                let links = self.links.of(*other, self.nodes);
                to.extend(links.filter(|link| !is_set(self.excluded, *link) && visited.insert(*link)));
            }
            self.after = pool.expand();
            if let Some(node) = self.after {
                prefetch(self.links.slots(node));
            }
            if !to.is_empty() {
                return true;
            }
        }
        false
    }

    /// Whether the nodes of a round may be measured after the next ones are known.
    fn is_ahead(&self) -> bool {
        matches!(self.state, State::All(_) | State::Hops)
    }

    /// Takes in what was measured.
    fn measured(&mut self, pool: &mut Pool, nodes: &[u32], distances: &[f32]) {
        if matches!(self.state, State::Leaders) {
            let mut cells: Vec<(f32, usize)> = distances.iter().copied().zip(0..).collect();
            cells.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
            self.state = State::Cells(cells, 0);
            return;
        }
        for (distance, node) in distances.iter().zip(nodes) {
            if *distance < pool.bound() {
                pool.insert(*distance, *node, false);
            }
        }
    }
}

impl Pivots<'_> {
    fn cells(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// The places of the pivots of a cell, but for its leader.
    fn members(&self, cell: usize) -> Range<usize> {
        let offset = |cell: usize| self.offsets.get(cell).map_or(0, |offset| offset.get() as usize);
        let (first, end) = (self.cells() + offset(cell), self.cells() + offset(cell + 1));
        first..end.max(first).min(self.nodes.len().max(first))
    }
}

/// The next nodes from `from` on whose bits are not set; where to go on.
fn fill(excluded: &[u64], nodes: u32, from: u32, to: &mut Vec<u32>) -> u32 {
    let first = from as usize / 64;
    for (at, word) in excluded.iter().enumerate().skip(first) {
        let mut bits = if at == first { !word & (u64::MAX << (from % 64)) } else { !word };
        while bits != 0 {
            let node = at as u32 * 64 + bits.trailing_zeros();
            if node >= nodes {
                return nodes;
            }
            to.push(node);
            bits &= bits - 1;
            if to.len() == BLOCK {
                return node + 1;
            }
        }
    }
    nodes
}

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
//! Which way costs less depends on how many of the nodes around the query are among them; a [`Probe`] tells.

use super::pool::Pool;
use super::rows::Rows;
use super::walk::{ENTRIES, Entry, Found, Links, Scratch, enter, is_set, measure_leaders, measure_nodes};
use crate::kernel::{Pair, Task, prefetch};

/// Rows that are asked for ahead of being measured, one by one.
const BLOCK: usize = 32;

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
    pub(crate) scratch: &'a mut Scratch,
}

impl<T> Task<T> for Among<'_, T> {
    /// What it cost; `None` if it gave up.
    type Output = Option<Found>;

    #[inline(always)]
    fn run<P: Pair<T>>(self, pair: P) -> Option<Found> {
        match self.way {
            Way::OneByOne => Some(self.one_by_one(pair)),
            Way::TwoHops(most) => self.two_hops(pair, most),
        }
    }
}

impl<T> Among<'_, T> {
    #[inline(always)]
    fn one_by_one<P: Pair<T>>(self, pair: P) -> Found {
        let Scratch { pool, distances, nodes, .. } = self.scratch;
        pool.begin(self.ef);
        let mut found = Found::default();
        nodes.clear();
        nodes.resize(2 * BLOCK, 0);
        let (mut ahead, mut waiting) = nodes.split_at_mut(BLOCK);
        let mut included = Included::new(self.excluded, self.rows.len());
        let mut count = included.fill(ahead);
        while count > 0 {
            for node in &ahead[..count] {
                prefetch(self.rows.row_of::<P>(*node));
            }
            std::mem::swap(&mut ahead, &mut waiting);
            let next = included.fill(ahead);
            for node in &ahead[..next] {
                prefetch(self.rows.row_of::<P>(*node));
            }
            measure_nodes(pair, self.rows, &waiting[..count], distances);
            keep(pool, distances, &waiting[..count]);
            found.distances += count as u64;
            count = next;
        }
        found
    }

    /// Fills the pool with pivots that are among the nodes: of the nearest cells, until there are enough.
    #[inline(always)]
    fn enter_among<P: Pair<T>>(&mut self, pair: P) -> u64 {
        let mut cells = measure_leaders(pair, &self.entry, self.rows, self.scratch);
        let mut measured = cells.len() as u64;
        cells.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let Scratch { pool, visited, distances, nodes, .. } = &mut *self.scratch;
        let mut kept = 0;
        for (_, cell) in cells {
            nodes.clear();
            for pivot in self.entry.members(cell) {
                let node = self.entry.nodes.get(pivot).map(|node| node.get()).filter(|node| *node < self.rows.len());
                if let Some(node) = node.filter(|node| !is_set(self.excluded, *node) && visited.insert(*node)) {
                    prefetch(self.rows.row_of::<P>(node));
                    nodes.push(node);
                }
            }
            measure_nodes(pair, self.rows, nodes, distances);
            keep(pool, distances, nodes);
            kept += nodes.len();
            if kept >= ENOUGH {
                break;
            }
        }
        measured += kept as u64;
        measured
    }

    #[inline(always)]
    fn two_hops<P: Pair<T>>(mut self, pair: P, most: u64) -> Option<Found> {
        let nodes = self.rows.len();
        self.scratch.pool.begin(self.ef.min(ENTRIES));
        self.scratch.visited.begin(nodes);
        let measured = self.enter_among(pair);
        let mut found = Found { distances: measured, ..Found::default() };
        let Scratch { pool, visited, distances, nodes: through, .. } = self.scratch;
        pool.widen(self.ef);
        let enough = 2 * self.links.degree();
        while let Some(node) = pool.expand() {
            found.hops += 1;
            let before = visited.met().len();
            through.clear();
            for link in self.links.of(node, nodes) {
                if is_set(self.excluded, link) {
                    through.push(link);
                    prefetch(self.links.slots(link));
                } else if visited.insert(link) {
                    prefetch(self.rows.row_of::<P>(link));
                }
            }
            for other in through.iter() {
                if visited.met().len() - before >= enough {
                    break;
                }
                // Of those that are passed through a second time everything was seen.
                if !visited.mark(*other) {
                    continue;
                }
                for link in self.links.of(*other, nodes) {
                    if !is_set(self.excluded, link) && visited.insert(link) {
                        prefetch(self.rows.row_of::<P>(link));
                    }
                }
            }
            let fresh = visited.met().get(before..).unwrap_or_default();
            measure_nodes(pair, self.rows, fresh, distances);
            keep(pool, distances, fresh);
            found.distances += fresh.len() as u64;
            if found.distances > most {
                return None;
            }
        }
        Some(found)
    }
}

/// How a walk over all nodes would begin: with pivots of the nearest cells.
pub(crate) struct Probe<'a, T> {
    pub(crate) rows: &'a Rows<'a, T>,
    pub(crate) entry: Entry<'a, T>,
    pub(crate) ef: usize,
    /// A bit a node, set for those that are not to be found.
    pub(crate) excluded: &'a [u64],
    pub(crate) scratch: &'a mut Scratch,
}

impl<T> Task<T> for Probe<'_, T> {
    /// How many distances were computed, and which share of the nearest pivots is among the nodes.
    type Output = (u64, f64);

    #[inline(always)]
    fn run<P: Pair<T>>(self, pair: P) -> (u64, f64) {
        self.scratch.pool.begin(self.ef.min(ENTRIES));
        self.scratch.visited.begin(self.rows.len());
        let measured = enter(pair, &self.entry, self.rows, self.excluded, self.scratch);
        (measured, self.scratch.pool.live_share())
    }
}

#[inline(always)]
fn keep(pool: &mut Pool, distances: &[f32], nodes: &[u32]) {
    for (distance, node) in distances.iter().zip(nodes) {
        if *distance < pool.bound() {
            pool.insert(*distance, *node, false);
        }
    }
}

/// The nodes whose bits are not set, ascending.
struct Included<'a> {
    excluded: &'a [u64],
    nodes: u32,
    word: usize,
    bits: u64,
}

impl<'a> Included<'a> {
    fn new(excluded: &'a [u64], nodes: u32) -> Self {
        Self { excluded, nodes, word: 0, bits: excluded.first().map_or(0, |word| !word) }
    }

    /// The next ones; how many.
    #[inline(always)]
    fn fill(&mut self, to: &mut [u32]) -> usize {
        let mut count = 0;
        while let Some(slot) = to.get_mut(count) {
            while self.bits == 0 {
                self.word += 1;
                match self.excluded.get(self.word) {
                    Some(word) => self.bits = !word,
                    None => return count,
                }
            }
            let node = self.word as u32 * 64 + self.bits.trailing_zeros();
            self.bits &= self.bits - 1;
            if node < self.nodes {
                *slot = node;
                count += 1;
            }
        }
        count
    }
}

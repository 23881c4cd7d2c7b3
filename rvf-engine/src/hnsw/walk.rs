//! [`Walk`]: the nearest nodes to a query, found by following links.
//!
//! ```text
//! leaders of all cells -> the pivots of the PROBES nearest cells -> pool
//! until every node of the pool is expanded:
//!     take the nearest (a):                    ask the cache for its links
//!     of the one that was taken before (b):    ask for the rows of its links that were not met
//!     of the one before that (c):              measure those rows, keep those nearer than the ef-th live node of the pool
//! ```
//! One dispatch a walk: the loop is compiled once for each kind of row and instruction set.

use super::manner::{Manner, Stop, Warm};
use super::pool::Pool;
use super::rows::Rows;
use super::visited::Visited;
use crate::kernel::{Pair, Task, prefetch};
use zerocopy::byteorder::little_endian::U32;

/// Cells whose pivots are measured at most.
const PROBES: usize = 4;
/// Pivots that a walk begins with.
pub(super) const ENTRIES: usize = 16;
/// The nearest nodes, of which alone are expanded while nothing is met that is of use.
const WHILE_FAR: usize = 3;

/// Pivots that tell what is around a query: few enough for those of other clusters to be left out.
const AROUND: usize = 48;

/// The links of all nodes: `degree` slots a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links<'a> {
    slots: &'a [U32],
    degree: usize,
}

impl<'a> Links<'a> {
    pub(crate) fn new(slots: &'a [U32], degree: usize) -> Self {
        Self { slots, degree }
    }

    /// Slots of a node.
    pub(super) fn degree(&self) -> usize {
        self.degree
    }

    /// The slots of a node; none for a node that is not there.
    #[inline(always)]
    pub(super) fn slots(&self, node: u32) -> &'a [U32] {
        let start = node as usize * self.degree;
        self.slots.get(start..start + self.degree).unwrap_or_default()
    }

    /// The nodes that a node links to, of `nodes` in all: up to the first slot that is empty or names none of them.
    #[inline(always)]
    pub(super) fn of(&self, node: u32, nodes: u32) -> impl Iterator<Item = u32> + 'a {
        self.slots(node).iter().map(|slot| slot.get()).take_while(move |link| *link < nodes)
    }
}

/// Where a walk begins: see [`super::Pivots`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a, T> {
    pub(crate) nodes: &'a [U32],
    pub(crate) offsets: &'a [U32],
    pub(crate) rows: &'a [T],
}

impl<T> Entry<'_, T> {
    /// Where the members of a cell begin, after the leaders; 0 for one that is not there.
    #[inline(always)]
    fn offset(&self, cell: usize) -> usize {
        self.offsets.get(cell).map_or(0, |offset| offset.get() as usize)
    }
}

/// What walks need and keep for the next one.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(super) pool: Pool,
    pub(super) visited: Visited,
    pub(super) distances: Vec<f32>,
    /// Of a search among some nodes: those of a round, those of the round before, and those that are passed through.
    pub(super) nodes: Vec<u32>,
    pub(super) waiting: Vec<u32>,
    pub(super) through: Vec<u32>,
    /// The standard deviation of the leaders' distances.
    pub(super) spread: f32,
    /// The cell whose leader is nearest.
    pub(super) cell: usize,
}

impl Scratch {
    /// The share of live nodes among the nearest that were met: after a beginning, of the pivots around the query.
    pub(crate) fn live_share(&self) -> f64 {
        self.pool.live_share(AROUND)
    }

    /// The cell that the last walk came by.
    pub(crate) fn cell(&self) -> u32 {
        u32::try_from(self.cell).unwrap_or(u32::MAX)
    }

    /// What the last walk found: live nodes, nearest first, with their distances.
    pub(crate) fn found(&self) -> impl Iterator<Item = (f32, u32)> + '_ {
        self.pool.live()
    }
}

/// How much of a walk is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// All of it.
    Whole,
    /// Its beginning: pivots of the nearest cells.
    Begin,
    /// What follows on a beginning that took so many distances.
    GoOn(u64),
}

/// What a walk cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Distances that were computed.
    pub(crate) distances: u64,
    /// Nodes that were expanded.
    pub(crate) hops: u64,
    /// Whether a walk gave up before its end.
    pub(crate) gave_up: bool,
}

/// A walk to be run by [`crate::kernel::Kernels::run`]; what it finds is in the scratch afterwards.
pub(crate) struct Walk<'a, T> {
    pub(crate) rows: &'a Rows<'a, T>,
    pub(crate) links: Links<'a>,
    pub(crate) entry: Entry<'a, T>,
    /// Live nodes to keep.
    pub(crate) ef: usize,
    /// A bit a node, set for those that are not to be found; empty if there are none.
    pub(crate) dead: &'a [u64],
    /// Whether to begin and to stop then, or to go on with what was begun on the same scratch.
    pub(crate) stage: Stage,
    /// Distances after which the walk gives up.
    pub(crate) most: u64,
    /// A node that is to be walked around, as if it were not there: the one that the query is, when recall is measured.
    pub(crate) without: Option<u32>,
    /// Nodes at this distance or farther are of no use: until a nearer one is met, little is expanded.
    pub(crate) wanted: f32,
    pub(crate) manner: Manner<'a>,
    pub(crate) scratch: &'a mut Scratch,
}

impl<'a, T> Walk<'a, T> {
    /// The whole of a walk, to all nodes, that keeps `ef` of them.
    pub(crate) fn new(
        rows: &'a Rows<'a, T>,
        links: Links<'a>,
        entry: Entry<'a, T>,
        ef: usize,
        scratch: &'a mut Scratch,
    ) -> Self {
        Self {
            rows,
            links,
            entry,
            ef,
            dead: &[],
            stage: Stage::Whole,
            most: u64::MAX,
            without: None,
            wanted: f32::INFINITY,
            manner: Manner::default(),
            scratch,
        }
    }
}

impl<T> Task<T> for Walk<'_, T> {
    type Output = Found;

    #[inline(always)]
    fn run<P: Pair<T>>(self, pair: P) -> Found {
        let nodes = self.rows.len();
        let measured = match self.stage {
            Stage::GoOn(measured) => measured,
            Stage::Begin | Stage::Whole => {
                // Of the pivots few are worth an expansion: the rest of the pool is for what they lead to.
                self.scratch.pool.begin(self.ef.min(ENTRIES));
                self.scratch.visited.begin(nodes);
                if let Some(node) = self.without {
                    self.scratch.visited.insert(node);
                }
                enter(pair, &self.entry, self.rows, self.dead, &self.manner, self.scratch)
            }
        };
        let mut found = Found { distances: measured, hops: 0, gave_up: false };
        if self.stage == Stage::Begin {
            return found;
        }
        self.scratch.pool.widen(self.ef);
        let mut on_the_way = self.manner.approach > 0;
        let mut followed = if on_the_way { self.manner.approach } else { self.manner.links };
        if on_the_way {
            self.scratch.pool.approach();
        }
        if let Some(Stop { k, kept, slack }) = self.manner.stop {
            self.scratch.pool.stop_beyond(k, slack * self.scratch.spread, kept);
        }
        if self.wanted < f32::INFINITY {
            self.scratch.pool.narrow(self.wanted, WHILE_FAR);
        }
        let Scratch { pool, visited, distances, .. } = self.scratch;
        // Three nodes are under way: the links of one are asked for, the rows that the one before leads to are asked for, and those
        // that the one before that led to are measured. Links are asked for before rows: memory answers in turn.
        let mut pending = visited.met().len();
        let mut next = pool.expand();
        while next.is_some() || pending < visited.met().len() {
            let asked = visited.met().len();
            let after = pool.expand();
            if let Some(node) = after {
                prefetch(self.links.slots(node));
            }
            if let Some(node) = next {
                found.hops += 1;
                let links = self.links.slots(node);
                visited.insert_all(links.get(..followed).unwrap_or(links), nodes);
            }
            for fresh in visited.met().get(asked..).unwrap_or_default() {
                prefetch(self.rows.row_of::<P>(*fresh));
            }
            let fresh = visited.met().get(pending..asked).unwrap_or_default();
            pending = asked;
            found.distances += fresh.len() as u64;
            measure(pair, OfNodes { rows: self.rows, nodes: fresh }, distances);
            for (distance, node) in distances.iter().zip(fresh) {
                if *distance < pool.bound() {
                    pool.insert(*distance, *node, is_set(self.dead, *node));
                }
            }
            if found.distances > self.most {
                found.gave_up = true;
                break;
            }
            next = after.or_else(|| pool.expand());
            if on_the_way && next.is_none() && pending == visited.met().len() {
                (on_the_way, followed) = (false, self.manner.links);
                pool.arrive();
                next = pool.expand();
            }
        }
        found
    }
}

/// Rows to be measured. (A trait and no closure: closures are not compiled for the instruction set.)
trait Listed<'a, T> {
    fn count(&self) -> usize;

    /// The four rows from `4 * place` on; the last of all is repeated where there are fewer.
    fn four<P: Pair<T>>(&self, place: usize) -> [&'a [T]; 4];
}

/// Those of nodes.
struct OfNodes<'a, 'r, T> {
    rows: &'r Rows<'a, T>,
    nodes: &'r [u32],
}

impl<'a, T> Listed<'a, T> for OfNodes<'a, '_, T> {
    #[inline(always)]
    fn count(&self) -> usize {
        self.nodes.len()
    }

    #[inline(always)]
    fn four<P: Pair<T>>(&self, place: usize) -> [&'a [T]; 4] {
        let nodes = match *self.nodes.get(4 * place..).unwrap_or_default() {
            [a, b, c, d, ..] => [a, b, c, d],
            [a, b, c] => [a, b, c, c],
            [a, b] => [a, b, b, b],
            [a] => [a; 4],
            [] => [u32::MAX; 4],
        };
        nodes.map(|node| self.rows.row_of::<P>(node))
    }
}

/// Those that lie side by side, of `width` elements.
struct InOnePiece<'a, T> {
    rows: &'a [T],
    width: usize,
}

impl<'a, T> Listed<'a, T> for InOnePiece<'a, T> {
    #[inline(always)]
    fn count(&self) -> usize {
        self.rows.len() / self.width.max(1)
    }

    #[inline(always)]
    fn four<P: Pair<T>>(&self, place: usize) -> [&'a [T]; 4] {
        let (width, last) = (if P::WIDTH > 0 { P::WIDTH } else { self.width }, self.count().saturating_sub(1));
        let row = |at: usize| {
            let at = at.min(last);
            self.rows.get(at * width..(at + 1) * width).unwrap_or_default()
        };
        [row(4 * place), row(4 * place + 1), row(4 * place + 2), row(4 * place + 3)]
    }
}

/// The distances of rows, which are kept for as many as there are. Kernels that are not short are called four rows at a time, and
/// no other way: a loop with five copies of them is too long to be inlined.
#[inline(always)]
fn measure<'a, T: 'a, P: Pair<T>>(pair: P, rows: impl Listed<'a, T>, distances: &mut Vec<f32>) {
    let (count, is_short) = (rows.count(), P::WIDTH > 0);
    distances.clear();
    distances.resize(if is_short { count } else { count.next_multiple_of(4) }, 0.0);
    let (fours, rest) = distances.as_chunks_mut::<4>();
    let whole = fours.len();
    for (place, to) in fours.iter_mut().enumerate() {
        *to = pair.distances_of_four(rows.four::<P>(place));
    }
    if is_short {
        for (to, row) in rest.iter_mut().zip(rows.four::<P>(whole)) {
            *to = pair.distance(row);
        }
    }
    distances.truncate(count);
}

/// The distances of the rows of nodes.
#[inline(always)]
pub(super) fn measure_nodes<T, P: Pair<T>>(pair: P, rows: &Rows<'_, T>, nodes: &[u32], distances: &mut Vec<f32>) {
    measure(pair, OfNodes { rows, nodes }, distances);
}

/// Fills the pool with the pivots of the nearest cells; how many distances that took.
#[inline(always)]
fn enter<T, P: Pair<T>>(
    pair: P,
    entry: &Entry<'_, T>,
    rows: &Rows<'_, T>,
    dead: &[u64],
    manner: &Manner<'_>,
    scratch: &mut Scratch,
) -> u64 {
    let width = if P::WIDTH > 0 { P::WIDTH } else { rows.width() };
    let leaders = entry.offsets.len().saturating_sub(1);
    let mut nearest = [(f32::INFINITY, NO_CELL); PROBES];
    let mut distances = std::mem::take(&mut scratch.distances);
    let mut measured = 0;
    // The leaders of all cells, then the members of the nearest ones.
    for stage in 0..=PROBES {
        let (first, end) = match stage.checked_sub(1).map(|probe| nearest[probe].1) {
            None => (0, leaders),
            Some(cell) => (leaders + entry.offset(cell), leaders + entry.offset(cell + 1)),
        };
        // On a way of its own a walk looks at no more than it is told to; else at whole cells.
        let most = if manner.approach > 0 && stage > 0 {
            first + (leaders + manner.probed).saturating_sub(measured)
        } else {
            end
        };
        let end = end.min(most).min(entry.rows.len() / width.max(1));
        let members = entry.rows.get(first * width..end * width).unwrap_or_default();
        for row in members.chunks_exact(width) {
            prefetch(row);
        }
        measure(pair, InOnePiece { rows: members, width }, &mut distances);
        for (at, distance) in distances.iter().enumerate() {
            admit(entry, first + at, *distance, rows.len(), dead, scratch);
            if stage == 0 {
                keep_nearest(&mut nearest, (*distance, at));
            }
        }
        measured += distances.len();
        if stage == 0 {
            (scratch.cell, scratch.spread) = (nearest[0].1, spread(&distances));
        }
        if measured >= leaders + manner.probed {
            break;
        }
    }
    if let Some(warm) = manner.warm {
        measured += enter_warm(pair, warm, rows, dead, &mut distances, scratch);
    }
    scratch.distances = distances;
    measured as u64
}

/// Puts into the pool what walks that came by the same cell ended at; how many distances that took.
#[inline(always)]
fn enter_warm<T, P: Pair<T>>(
    pair: P,
    warm: &Warm,
    rows: &Rows<'_, T>,
    dead: &[u64],
    distances: &mut Vec<f32>,
    scratch: &mut Scratch,
) -> usize {
    let Scratch { pool, visited, nodes, .. } = scratch;
    nodes.clear();
    nodes.extend(warm.of(scratch.cell).filter(|node| *node < rows.len() && visited.insert(*node)));
    for node in nodes.iter() {
        prefetch(rows.row_of::<P>(*node));
    }
    measure(pair, OfNodes { rows, nodes }, distances);
    for (distance, node) in distances.iter().zip(nodes.iter()) {
        if *distance < pool.bound() {
            pool.insert(*distance, *node, is_set(dead, *node));
        }
    }
    nodes.len()
}

/// The standard deviation of distances; 0 of none.
pub(super) fn spread(distances: &[f32]) -> f32 {
    let count = distances.len().max(1) as f32;
    let mean = distances.iter().sum::<f32>() / count;
    let square: f32 = distances.iter().map(|distance| (distance - mean) * (distance - mean)).sum();
    let spread = (square / count).sqrt();
    if spread.is_finite() { spread } else { f32::INFINITY }
}

/// Puts a pivot into the pool, if it is a node and near enough.
#[inline(always)]
fn admit<T>(entry: &Entry<'_, T>, pivot: usize, distance: f32, nodes: u32, dead: &[u64], scratch: &mut Scratch) {
    let Some(node) = entry.nodes.get(pivot).map(|node| node.get()).filter(|node| *node < nodes) else { return };
    if distance < scratch.pool.bound() && scratch.visited.insert(node) {
        scratch.pool.insert(distance, node, is_set(dead, node));
    }
}

/// Stands where there is no cell; the number after it is one, too.
const NO_CELL: usize = usize::MAX - 1;

/// Puts a cell among the nearest, if it is one of them; the farthest falls out. They are sorted.
#[inline(always)]
fn keep_nearest(nearest: &mut [(f32, usize); PROBES], cell: (f32, usize)) {
    let is_nearer = |a: (f32, usize), b: (f32, usize)| a.0 < b.0 || b.1 == NO_CELL;
    if is_nearer(cell, nearest[PROBES - 1]) {
        let mut carried = cell;
        for kept in nearest {
            if is_nearer(carried, *kept) {
                std::mem::swap(kept, &mut carried);
            }
        }
    }
}

/// Whether the bit of `node` is set.
#[inline(always)]
pub(super) fn is_set(bits: &[u64], node: u32) -> bool {
    bits.get(node as usize / 64).is_some_and(|word| word >> (node % 64) & 1 == 1)
}

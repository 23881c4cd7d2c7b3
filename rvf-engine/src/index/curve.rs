//! [`curve`]: the recall that walks reach, effort by effort, measured when a graph is written.
//!
//! What is measured is what a search will do for queries that are like the rows and are none of them: rows that are held back,
//! searched for in the graph without them, and inserted last. Where a graph is carried on with few new rows there are none to
//! hold back: then walks go around the row that is looked for, which finds less, because its neighbours were linked by way of
//! it: as a rule more effort is spent than the promise needs.

use super::draft::{Nodes, RERANKED, SEED, stopped};
use super::judge::{Judge, Truth};
use crate::Result;
use crate::hnsw::{Entry, Links, Pivots, Rows, RunTable, Scorer, Scratch, Walk, alone, in_parallel};
use crate::kernel::{Against, KernelError, Kernels};
use crate::random::Random;
use bytemuck::{AnyBitPattern, NoUninit};
use rvf_format::payload::index::EffortPoint;
use std::collections::HashSet;
use zerocopy::byteorder::little_endian::U32;

/// Rows that recall is measured on: their mean is off by half a hundredth where one query misses one in twenty. (Each takes an
/// exact scan.)
const SAMPLE: usize = 400;
/// Rows whose neighbours a thread looks for at a time.
const TOGETHER: usize = 8;
/// At most one row in so many is held back, and rows are held back where at least one in so many is new.
const LEAST_A_HELD: usize = 16;
const LADDER: [u32; 13] = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024];

/// Rows that recall is measured on.
pub(super) struct Sample {
    pub(super) truths: Vec<Truth>,
    /// Those rows, where they are to be held back; else none.
    pub(super) held: Vec<u32>,
}

impl Sample {
    /// A sample of the new rows if they are many, else of all; at random, since order may mean something: a row in ten may be all of
    /// some cluster. Rows that have equals are not held back: their equals hang from them.
    pub(super) fn choose<S: Scorer>(
        scorer: &S,
        rows: &Rows<'_, S::Row>,
        nodes: &Nodes<'_>,
        threads: usize,
    ) -> Result<Self>
    where
        S::Row: NoUninit,
    {
        let live = nodes.live.len();
        let alone = alone(rows, &nodes.live);
        let mut new = nodes.new.clone();
        new.retain(|node| alone.binary_search(node).is_ok());
        let holds = nodes.new.len() * LEAST_A_HELD >= live && new.len() >= LEAST_A_HELD;
        let mut chosen = if holds { new } else { nodes.live.clone() };
        Random(SEED + 1).shuffle(&mut chosen);
        chosen.truncate(SAMPLE.min(chosen.len() / LEAST_A_HELD).max(1));
        let held = if holds { chosen.clone() } else { Vec::new() };
        let left_out: HashSet<u32> = held.iter().copied().collect();
        let others: Vec<u32> = nodes.live.iter().copied().filter(|node| !left_out.contains(node)).collect();
        let judge = || Judge::new(scorer, Kernels::detect(), rows);
        let judges: std::result::Result<Vec<_>, KernelError> = (0..threads.max(1)).map(|_| judge()).collect();
        let groups: Vec<&[u32]> = chosen.chunks(TOGETHER).collect();
        let truths = |judge: &mut Judge<'_, S>, at: usize| judge.truths(groups[at], &others);
        let truths = stopped(in_parallel(&mut stopped(judges)?, groups.len(), truths))?;
        Ok(Self { truths: truths.into_iter().flatten().collect(), held })
    }
}

/// A curve that is being measured: more and more candidates, until nothing is missed.
#[derive(Debug)]
pub(crate) struct Curve {
    pub(crate) points: Vec<EffortPoint>,
    wanted: usize,
    is_done: bool,
}

impl Curve {
    /// Of `wanted` true neighbours in all.
    pub(crate) fn new(wanted: usize) -> Self {
        Self { points: Vec::new(), wanted, is_done: false }
    }

    /// How many candidates are next, of `nodes`.
    pub(crate) fn next(&self, nodes: u64) -> Option<u32> {
        let ef = LADDER.get(self.points.len()).copied().filter(|_| !self.is_done)?;
        (ef == LADDER[0] || u64::from(ef) < nodes).then_some(ef)
    }

    /// With `ef` candidates so many neighbours were found. More never find less.
    pub(crate) fn add(&mut self, ef: u32, right: usize) {
        let recall = right as f64 / self.wanted.max(1) as f64;
        let best = self.points.last().map_or(0, |point| point.recall_ppm.get());
        self.points.push(EffortPoint { ef: U32::new(ef), recall_ppm: U32::new(((recall * 1e6) as u32).max(best)) });
        self.is_done = right == self.wanted;
    }
}

/// A walk whose recall is measured.
pub(super) struct Measured<'m> {
    links: Links<'m>,
    ef: usize,
    without: Option<u32>,
    scratch: &'m mut Scratch,
}

impl Measured<'_> {
    pub(super) fn run<T, Q: Against<T>>(self, query: &Q, rows: &Rows<'_, T>, entry: Entry<'_, T>) {
        let Measured { links, ef, without, scratch } = self;
        Kernels::detect().run(query, Walk { without, ..Walk::new(rows, links, entry, ef, scratch) });
    }

    pub(super) fn on_codes<T: AnyBitPattern, Q: Against<T>>(
        self,
        query: &Q,
        codes: &[u8],
        table: &RunTable,
        pivots: &Pivots<i8>,
        pivot_rows: &[u8],
    ) {
        let cast = |bytes| bytemuck::try_cast_slice(bytes).unwrap_or_default();
        let rows = Rows::whole(cast(codes), query.row_len(), table);
        self.run(query, &rows, Entry { nodes: &pivots.nodes, offsets: &pivots.offsets, rows: cast(pivot_rows) });
    }
}

/// The recall of walks from the sample, for more and more candidates until nothing is gained.
pub(super) fn curve<S: Scorer>(
    links: Links<'_>,
    judge: &mut Judge<'_, S>,
    truths: &[Truth],
    nodes: u32,
    mut walk: impl FnMut(&Truth, Measured<'_>) -> Result<()>,
) -> Result<Vec<EffortPoint>> {
    let mut scratch = Scratch::default();
    let mut curve = Curve::new(truths.iter().map(|truth| truth.wanted).sum());
    while let Some(ef) = curve.next(u64::from(nodes)) {
        let mut right = 0;
        for truth in truths {
            // A row that was held back is not met in any case; around one that was not, or its links would lead to its neighbours
            // at once, as no link of a query does. (Twins may hang from it.)
            let without = Some(truth.node).filter(|_| !truth.has_twin);
            walk(truth, Measured { links, ef: ef as usize, without, scratch: &mut scratch })?;
            let found: Vec<u32> = scratch.found().map(|(_, node)| node).take(RERANKED).collect();
            right += stopped(judge.right(truth, &found))?;
        }
        curve.add(ef, right);
    }
    Ok(curve.points)
}

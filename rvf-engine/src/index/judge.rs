//! What a graph is measured by: the exact neighbours of a sample of its rows.

use crate::hnsw::{Rows, Scorer};
use crate::kernel::{KernelError, Kernels, Pair, Task, as_near_as};

/// Neighbours that recall is measured over.
pub(crate) const K: usize = 10;
/// Rows that are measured against several nodes in turn: as many as a second-level cache holds.
const BLOCK: usize = 256;

/// Rows in the store's own dtype.
pub(super) struct Judge<'r, S: Scorer> {
    scorer: &'r S,
    kernels: Kernels,
    rows: &'r Rows<'r, S::Row>,
    query: S::Query,
}

/// The distances from one node to all candidates, and the farthest that counts as near.
pub(super) struct Truth {
    pub(super) node: u32,
    /// Candidates that count.
    pub(super) wanted: usize,
    /// Whether another row is as near to the node as the node itself: its twin.
    pub(super) has_twin: bool,
    threshold: f32,
}

impl<'r, S: Scorer> Judge<'r, S> {
    pub(super) fn new(scorer: &'r S, kernels: Kernels, rows: &'r Rows<'r, S::Row>) -> Result<Self, KernelError> {
        Ok(Self { scorer, kernels, rows, query: scorer.blank(rows.width())? })
    }

    /// The distances of `others` from `node`.
    pub(super) fn distances(&mut self, node: u32, others: &[u32]) -> Result<Vec<f32>, KernelError> {
        self.scorer.set(&mut self.query, self.rows.row(node))?;
        Ok(self.kernels.run(&self.query, Distances { rows: self.rows, nodes: others }))
    }

    /// The K nearest of `others` to each of `nodes`, itself left out. Rows are measured against all of them while they are in the
    /// cache.
    pub(super) fn truths(&mut self, nodes: &[u32], others: &[u32]) -> Result<Vec<Truth>, KernelError> {
        let mut nearest = vec![Nearest::default(); nodes.len()];
        for block in others.chunks(BLOCK) {
            for (node, nearest) in nodes.iter().zip(&mut nearest) {
                let distances = self.distances(*node, block)?;
                let others = block.iter().zip(distances).filter(|(other, _)| *other != node);
                others.for_each(|(_, distance)| nearest.offer(distance));
            }
        }
        nodes.iter().zip(nearest).map(|(node, nearest)| self.truth(*node, nearest)).collect()
    }

    fn truth(&mut self, node: u32, mut nearest: Nearest) -> Result<Truth, KernelError> {
        let own = self.distances(node, &[node])?.into_iter().fold(f32::NEG_INFINITY, f32::max);
        nearest.shrink();
        let farthest = nearest.distances.iter().copied().reduce(f32::max).unwrap_or(f32::NEG_INFINITY);
        let has_twin = nearest.distances.contains(&own);
        Ok(Truth { node, wanted: nearest.distances.len(), has_twin, threshold: as_near_as(farthest) })
    }

    /// How many of the K nearest of `found` are right, `found` in any order.
    pub(super) fn right(&mut self, truth: &Truth, found: &[u32]) -> Result<usize, KernelError> {
        let distances = self.distances(truth.node, found)?;
        let near = found.iter().zip(distances).filter(|(node, d)| **node != truth.node && *d <= truth.threshold);
        Ok(near.count().min(truth.wanted))
    }
}

/// The K smallest distances so far, and some larger ones.
#[derive(Clone, Default)]
struct Nearest {
    distances: Vec<f32>,
    /// The K-th of them, once there are so many.
    limit: Option<f32>,
}

impl Nearest {
    fn offer(&mut self, distance: f32) {
        if self.limit.is_none_or(|limit| distance < limit) {
            self.distances.push(distance);
            if self.distances.len() >= 8 * K {
                self.shrink();
            }
        }
    }

    fn shrink(&mut self) {
        if self.distances.len() >= K {
            self.limit = Some(*self.distances.select_nth_unstable_by(K - 1, f32::total_cmp).1);
            self.distances.truncate(K);
        }
    }
}

/// Distances of some nodes.
struct Distances<'a, T> {
    rows: &'a Rows<'a, T>,
    nodes: &'a [u32],
}

impl<T> Task<T> for Distances<'_, T> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<P: Pair<T>>(self, pair: P) -> Vec<f32> {
        let mut distances = Vec::with_capacity(self.nodes.len());
        for node in self.nodes {
            distances.push(pair.distance_in_stream(self.rows.row(*node)));
        }
        distances
    }
}

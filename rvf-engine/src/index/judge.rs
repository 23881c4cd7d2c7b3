//! What a graph is measured by: the exact neighbours of a sample of its rows.

use crate::hnsw::{Rows, Scorer};
use crate::kernel::{KernelError, Kernels, Pair, Task, as_near_as};

/// Neighbours that recall is measured over.
pub(crate) const K: usize = 10;

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

    /// The K nearest of `others` to `node`, itself left out.
    pub(super) fn truth(&mut self, node: u32, others: &[u32]) -> Result<Truth, KernelError> {
        let own = self.distances(node, &[node])?.into_iter().fold(f32::NEG_INFINITY, f32::max);
        let distances = self.distances(node, others)?;
        let mut distances: Vec<f32> =
            others.iter().zip(distances).filter(|(other, _)| **other != node).map(|(_, distance)| distance).collect();
        let has_twin = distances.contains(&own);
        let wanted = distances.len().min(K);
        let threshold = match wanted.checked_sub(1) {
            Some(last) => *distances.select_nth_unstable_by(last, f32::total_cmp).1,
            None => f32::NEG_INFINITY,
        };
        Ok(Truth { node, wanted, has_twin, threshold: as_near_as(threshold) })
    }

    /// How many of the K nearest of `found` are right, `found` in any order.
    pub(super) fn right(&mut self, truth: &Truth, found: &[u32]) -> Result<usize, KernelError> {
        let distances = self.distances(truth.node, found)?;
        let near = found.iter().zip(distances).filter(|(node, d)| **node != truth.node && *d <= truth.threshold);
        Ok(near.count().min(truth.wanted))
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

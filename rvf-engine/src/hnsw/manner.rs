//! [`Manner`]: how a walk spends its distances; [`Warm`]: where walks of queries like this one ended.

use std::sync::atomic::{AtomicU32, Ordering};

/// How a walk spends its distances. The default is a walk that is given nothing but the number of candidates.
///
/// ```text
/// leaders -> pivots, until `probed` -> [ from nearest to nearest, by `approach` links a node ] -> by `links` links a node,
///            until the nearest that is not expanded is `slack` spreads farther than the k-th nearest
/// ```
/// The way of few links is greedy search on the upper layers of HNSW, on the one layer that there is: all that it has to find is a node
/// nearer than the last. The stop is that of distance-adaptive beam search (Al-Jazzazi et al., "Distance Adaptive Beam Search for
/// Provably Accurate Graph-Based Nearest Neighbor Search", 2025); departures: the slack is added, not a factor, as distances may be
/// negative, and its unit is the standard deviation of the leaders' distances, which are those of nodes drawn at random: so one number
/// means the same for every metric, code and graph.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner<'a> {
    /// Pivots beside the leaders that are measured at the beginning: whole cells, until so many are; with a way of its own, so many.
    pub(crate) probed: usize,
    /// Links of a node that are followed on a way of its own to what is near; 0: there is no such way.
    pub(crate) approach: usize,
    /// Links of a node that are followed.
    pub(crate) links: usize,
    /// How much farther than the nearest so many a node may be and be expanded; `None`: as far as the candidates reach.
    pub(crate) stop: Option<Stop>,
    /// Where walks that came by the same cell ended: further entry points.
    pub(crate) warm: Option<&'a Warm>,
}

/// When a walk ends before all of its candidates are expanded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stop {
    /// So many are asked for.
    pub(crate) k: usize,
    /// So many of the nearest are wanted however far they are: to be measured again.
    pub(crate) kept: usize,
    /// In standard deviations of the leaders' distances.
    pub(crate) slack: f32,
}

impl Default for Manner<'_> {
    fn default() -> Self {
        Self { probed: PROBED, approach: 0, links: usize::MAX, stop: None, warm: None }
    }
}

/// Of many pivots few cells do; of few, which may leave out clusters, a larger part is looked at.
pub(super) const PROBED: usize = 64;

/// Nodes that a cell remembers.
const REMEMBERED: usize = 32;
/// Stands in a slot that is empty.
const NONE: u32 = u32::MAX;

/// For each cell of pivots, the nodes that walks which came by it ended at, the oldest making room. Shared between threads without a lock:
/// what is read may be of any age, and is a place to begin, nothing more.
#[derive(Debug, Default)]
pub(crate) struct Warm {
    slots: Vec<AtomicU32>,
    next: Vec<AtomicU32>,
}

impl Warm {
    /// Room for so many cells.
    pub(crate) fn new(cells: usize) -> Self {
        let empty = |count: usize, value: u32| (0..count).map(|_| AtomicU32::new(value)).collect();
        Self { slots: empty(cells * REMEMBERED, NONE), next: empty(cells, 0) }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        (self.slots.len() + self.next.len()) * size_of::<AtomicU32>()
    }

    /// What a cell remembers.
    #[inline(always)]
    pub(super) fn of(&self, cell: usize) -> impl Iterator<Item = u32> + '_ {
        let start = cell.saturating_mul(REMEMBERED);
        let slots = self.slots.get(start..start.saturating_add(REMEMBERED)).unwrap_or_default();
        slots.iter().map(|slot| slot.load(Ordering::Relaxed)).take_while(|node| *node != NONE)
    }

    /// Remembers a node, if the cell does not.
    pub(crate) fn remember(&self, cell: u32, node: u32) {
        let cell = cell as usize;
        let Some(next) = self.next.get(cell).filter(|_| node != NONE) else { return };
        if self.of(cell).any(|known| known == node) {
            return;
        }
        let at = next.fetch_add(1, Ordering::Relaxed) as usize % REMEMBERED;
        if let Some(slot) = self.slots.get(cell * REMEMBERED + at) {
            slot.store(node, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_remembers_each_node_once_and_forgets_the_oldest() {
        let warm = Warm::new(2);
        (0..40).for_each(|node| (0..2).for_each(|_| warm.remember(1, node)));
        let mut known: Vec<u32> = warm.of(1).collect();
        known.sort_unstable();
        assert_eq!(known, (8..40).collect::<Vec<u32>>());
        assert_eq!((warm.of(0).count(), warm.of(7).count()), (0, 0));
        // A cell that is not there remembers nothing.
        warm.remember(7, 1);
        assert_eq!(warm.of(7).count(), 0);
    }
}

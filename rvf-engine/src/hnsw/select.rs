//! Diverse neighbours: algorithm 4 of the paper. A candidate is linked unless one that is linked already is nearer to it
//! than the node itself.

use super::rows::Rows;
use super::scorer::Scorer;
use crate::kernel::{KernelError, Kernels, Pair, Task, prefetch};

/// A node and its distance to the node that is to be linked.
pub(super) type Candidate = (f32, u32);

/// What selecting needs and keeps for the next time.
pub(super) struct Selector<'s, S: Scorer> {
    scorer: &'s S,
    kernels: Kernels,
    rows: &'s Rows<'s, S::Row>,
    query: S::Query,
    rest: Vec<Candidate>,
}

impl<'s, S: Scorer> Selector<'s, S> {
    pub(super) fn new(scorer: &'s S, kernels: Kernels, rows: &'s Rows<'s, S::Row>) -> Result<Self, KernelError> {
        Ok(Self { scorer, kernels, rows, query: scorer.blank(rows.width())?, rest: Vec::new() })
    }

    /// Up to `most` of `candidates`, which are sorted, nearest first. None of them is the node itself.
    pub(super) fn diverse(&mut self, candidates: &[Candidate], most: usize) -> Result<Vec<u32>, KernelError> {
        let mut chosen = Vec::with_capacity(most);
        self.rest.clear();
        self.rest.extend(candidates.iter().rev());
        while let Some((_, nearest)) = self.rest.pop() {
            chosen.push(nearest);
            if chosen.len() == most {
                break;
            }
            if !self.rest.is_empty() {
                self.scorer.set(&mut self.query, self.rows.row(nearest))?;
                self.kernels.run(&self.query, Screen { rows: self.rows, rest: &mut self.rest });
            }
        }
        Ok(chosen)
    }

    /// `nodes` with their distances to `node`, nearest first; the node itself and repetitions are left out.
    pub(super) fn measured(&mut self, node: u32, nodes: &[u32]) -> Result<Vec<Candidate>, KernelError> {
        self.scorer.set(&mut self.query, self.rows.row(node))?;
        let mut candidates: Vec<Candidate> =
            nodes.iter().filter(|other| **other != node).map(|other| (0.0, *other)).collect();
        candidates.sort_unstable_by_key(|candidate| candidate.1);
        candidates.dedup_by_key(|candidate| candidate.1);
        self.kernels.run(&self.query, Measure { rows: self.rows, candidates: &mut candidates });
        candidates.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        Ok(candidates)
    }
}

/// Drops from `rest` what is nearer to the query, the one chosen last, than to the node that is to be linked.
struct Screen<'a, T> {
    rows: &'a Rows<'a, T>,
    rest: &'a mut Vec<Candidate>,
}

impl<T> Task<T> for Screen<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<P: Pair<T>>(self, pair: P) {
        // A loop in place: a closure given to `retain` would not be compiled for the instruction set.
        let mut kept = 0;
        for at in 0..self.rest.len() {
            let (distance, node) = self.rest[at];
            if pair.distance(self.rows.row(node)) >= distance {
                self.rest[kept] = (distance, node);
                kept += 1;
            }
        }
        self.rest.truncate(kept);
    }
}

/// Fills in the distances from the query.
struct Measure<'a, T> {
    rows: &'a Rows<'a, T>,
    candidates: &'a mut [Candidate],
}

impl<T> Task<T> for Measure<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<P: Pair<T>>(self, pair: P) {
        for (_, node) in self.candidates.iter() {
            prefetch(self.rows.row(*node));
        }
        for (distance, node) in self.candidates.iter_mut() {
            *distance = pair.distance(self.rows.row(*node));
        }
    }
}

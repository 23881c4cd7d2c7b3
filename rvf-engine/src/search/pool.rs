//! [`Pool`]: the nearest candidates so far, any number of them, ties by id.

use crate::Result;
use crate::store::{RowId, Snapshot};
use core::cmp::Ordering;

/// A row and its approximate distance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) distance: f32,
    pub(super) at: RowId,
}

/// Keeps the `capacity` candidates that are smallest by (distance, id). Candidates are appended; when the buffer has
/// doubled, all but the smallest are dropped: constant work a candidate, for any capacity.
#[derive(Debug)]
pub(super) struct Pool<'s> {
    snapshot: &'s Snapshot,
    capacity: usize,
    candidates: Vec<Candidate>,
    threshold: f32,
}

impl<'s> Pool<'s> {
    pub(super) fn new(snapshot: &'s Snapshot, capacity: usize) -> Self {
        Self { snapshot, capacity, candidates: Vec::new(), threshold: f32::INFINITY }
    }

    /// No candidate farther than this can enter.
    pub(super) fn threshold(&self) -> f32 {
        self.threshold
    }

    pub(super) fn push(&mut self, candidate: Candidate) -> Result<()> {
        self.candidates.push(candidate);
        if self.candidates.len() >= self.capacity.saturating_mul(2).saturating_add(256) {
            self.shrink()?;
        }
        Ok(())
    }

    pub(super) fn append(&mut self, other: Pool<'_>) {
        self.candidates.extend(other.candidates);
    }

    /// The rows that are left, in no order.
    pub(super) fn finish(mut self) -> Result<Vec<RowId>> {
        self.shrink()?;
        Ok(self.candidates.into_iter().map(|candidate| candidate.at).collect())
    }

    fn shrink(&mut self) -> Result<()> {
        if self.candidates.len() <= self.capacity || self.capacity == 0 {
            self.candidates.truncate(self.capacity);
            return Ok(());
        }
        let mut failed = None;
        let snapshot = self.snapshot;
        self.candidates.select_nth_unstable_by(self.capacity - 1, |a, b| {
            nearer(a.distance, b.distance, || compare_ids(snapshot, a.at, b.at, &mut failed))
        });
        self.candidates.truncate(self.capacity);
        self.threshold = self.candidates.last().map_or(f32::INFINITY, |last| last.distance);
        failed.map_or(Ok(()), Err)
    }
}

/// By distance, then by id.
pub(super) fn nearer(a: f32, b: f32, ids: impl FnOnce() -> Ordering) -> Ordering {
    a.total_cmp(&b).then_with(ids)
}

fn compare_ids(snapshot: &Snapshot, a: RowId, b: RowId, failed: &mut Option<crate::Error>) -> Ordering {
    match (snapshot.id_of(a), snapshot.id_of(b)) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Err(error), _) | (_, Err(error)) => {
            *failed = Some(error);
            a.cmp(&b)
        }
    }
}

//! [`Trajectory`]: a query, what was chosen and what was not; [`Reservoir`]: a fair sample of the past.

use super::super::math::normalise;
use super::contrast::{Documents, Pair, scales};
use crate::random::Random;

/// A query, what was chosen for it and what was not: candidates that were passed over, or documents that it was not shown.
///
/// What was not chosen decides what the adapter does to queries of another kind. The most similar documents teach most, and most of them are
/// right for some other query, from which they are pushed away; documents drawn from all do no such harm and teach less. (`learn_bench
/// --only adapters`.)
#[derive(Clone, Debug, PartialEq)]
pub struct Trajectory {
    dimension: usize,
    /// The query, then the documents, those that were chosen first; all of unit length.
    vectors: Vec<f32>,
    chosen: usize,
}

impl Trajectory {
    /// `None` where a length is not that of the query, a number is not finite, or nothing is left to tell apart: one document that was chosen
    /// and one that was not and is no duplicate of a chosen one.
    pub fn new(query: &[f32], chosen: &[&[f32]], others: &[&[f32]]) -> Option<Self> {
        let is_sound = |row: &&[f32]| row.len() == query.len() && row.iter().all(|x| x.is_finite());
        if !is_sound(&query) || !chosen.iter().chain(others).all(is_sound) {
            return None;
        }
        let (pair, mut known) = (Pair { chosen, others }, Vec::new());
        scales(&pair, &mut known);
        let (mut vectors, mut count) = (query.to_vec(), 0);
        for (at, _) in known.iter().enumerate().filter(|(_, scale)| **scale > 0.0) {
            vectors.extend_from_slice(pair.row(at));
            count += usize::from(at < chosen.len());
        }
        vectors.chunks_exact_mut(query.len().max(1)).for_each(normalise);
        let found = Self { dimension: query.len(), vectors, chosen: count };
        let has_direction = query.iter().any(|x| *x != 0.0);
        (has_direction && count > 0 && found.all() > count).then_some(found)
    }

    /// Elements of the query.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The query, of unit length.
    pub fn query(&self) -> &[f32] {
        self.vectors.get(..self.dimension).unwrap_or_default()
    }
}

impl Documents for Trajectory {
    fn chosen(&self) -> usize {
        self.chosen
    }

    fn all(&self) -> usize {
        (self.vectors.len() / self.dimension.max(1)).saturating_sub(1)
    }

    fn row(&self, at: usize) -> &[f32] {
        let start = (at + 1) * self.dimension;
        self.vectors.get(start..start + self.dimension).unwrap_or_default()
    }
}

/// A sample of everything that came by, in which each has the same chance to be (algorithm R, Vitter 1985).
#[derive(Clone, Debug)]
pub struct Reservoir<T> {
    capacity: usize,
    came: usize,
    seed: u64,
    kept: Vec<T>,
}

impl<T> Reservoir<T> {
    /// An empty one that keeps `capacity` at most.
    pub fn new(capacity: usize, seed: u64) -> Self {
        Self::with(capacity, seed, Vec::new(), 0)
    }

    /// One that goes on: what it kept, of how many that came by.
    pub fn with(capacity: usize, seed: u64, mut kept: Vec<T>, came: usize) -> Self {
        kept.truncate(capacity);
        Self { capacity, came: came.max(kept.len()), seed, kept }
    }

    /// Takes one in, perhaps in place of another.
    pub fn push(&mut self, item: T) {
        self.came += 1;
        if self.kept.len() < self.capacity {
            self.kept.push(item);
            return;
        }
        // A state of its own for each: what is kept depends on the seed and the number alone, so that it can be gone on with.
        let at =
            Random(self.seed.wrapping_add((self.came as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93))).below(self.came);
        if let Some(place) = self.kept.get_mut(at) {
            *place = item;
        }
    }

    /// What it keeps.
    pub fn kept(&self) -> &[T] {
        &self.kept
    }

    /// How many came by.
    pub fn came(&self) -> usize {
        self.came
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_told_apart_is_a_trajectory() {
        let (x, y, z) = ([1.0, 0.0], [0.0, 3.0], [3.0, 4.0]);
        let found = Trajectory::new(&[2.0, 0.0], &[&y], &[&[0.0, 1.0], &x, &[0.0, 0.0], &z]).unwrap();
        assert_eq!((found.query(), found.chosen(), found.all()), (&[1.0, 0.0][..], 1, 3));
        assert_eq!((found.row(0), found.row(1), found.row(3)), (&[0.0, 1.0][..], &[1.0, 0.0][..], &[][..]));
        assert!(Trajectory::new(&x, &[&y], &[&y]).is_none() && Trajectory::new(&x, &[], &[&y]).is_none());
        assert!(Trajectory::new(&x, &[&[f32::NAN, 0.0]], &[&y]).is_none());
        assert!(Trajectory::new(&x, &[&y], &[&[1.0]]).is_none() && Trajectory::new(&[], &[&[]], &[&[]]).is_none());
        assert!(Trajectory::new(&[0.0, 0.0], &[&y], &[&x]).is_none());
    }

    /// Catches a sample that prefers the old or the new.
    #[test]
    fn a_reservoir_keeps_each_as_often_as_any_other() {
        let mut kept = [0; 40];
        for seed in 0..2000 {
            let mut reservoir = Reservoir::new(10, seed);
            (0..40).for_each(|item| reservoir.push(item));
            assert_eq!((reservoir.kept().len(), reservoir.came()), (10, 40));
            reservoir.kept().iter().for_each(|item| kept[*item] += 1);
        }
        assert!(kept.iter().all(|count| (420..580).contains(count)), "{kept:?}");
        let mut none = Reservoir::new(0, 1);
        none.push(1);
        assert!(none.kept().is_empty());
    }
}

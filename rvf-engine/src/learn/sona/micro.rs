//! [`MicroLora`]: one bounded step a request.

use super::super::tensors::Tensors;
use super::contrast::{Pair, Work, scales};
use super::low_rank::{Gradient, LowRank};

/// Temperature of the loss.
const TEMPERATURE: f32 = 0.1;
/// Length of a step, and the norm that a gradient is clipped to.
const STEP: f32 = 0.05;
const MOST_GRADIENT: f32 = 1.0;
/// What is left of B with each step: half of it after 700.
const KEPT: f32 = 0.999;
/// Largest norm of BA: queries are turned by 30 degrees at most.
const MOST_NORM: f32 = 0.5;

/// An adapter of rank 1 or 2 that follows each request with one step.
///
/// It forgets evenly and its drift is bounded: a query u = q + BAq has |BAq| of at most half of |q|, whatever was chosen.
///
/// It sees a query in one or two directions, so what it learns of one is felt by all: with one step a query it neither gains nor loses
/// anything that can be measured (`learn_bench --only adapters`).
#[derive(Clone, Debug)]
pub struct MicroLora {
    adapter: LowRank,
    gradient: Gradient,
    work: Work,
    scales: Vec<f32>,
}

impl MicroLora {
    /// The identity; `rank` is brought into 1 to 2.
    pub fn new(dimension: usize, rank: usize, seed: u64) -> Self {
        Self::with(LowRank::new(dimension, rank.clamp(1, 2), seed))
    }

    fn with(adapter: LowRank) -> Self {
        Self { gradient: Gradient::of(&adapter), adapter, work: Work::default(), scales: Vec::new() }
    }

    /// The adapter.
    pub fn adapter(&self) -> &LowRank {
        &self.adapter
    }

    /// Writes the adapted query to `out`, as [`LowRank::apply`] does.
    pub fn apply(&self, query: &[f32], out: &mut [f32]) -> bool {
        self.adapter.apply(query, out)
    }

    /// One step of gradient descent down the InfoNCE loss of a query, what was chosen for it and what was not. The gradient is clipped by its
    /// norm; then B falls back a little, and BA is brought within its bound. Duplicates of chosen documents do not count as passed over.
    ///
    /// `false`, and nothing changes, where a length is wrong, a number is not finite, or there is nothing to tell apart. Nothing is allocated
    /// once as many documents have been seen.
    pub fn adapt(&mut self, query: &[f32], chosen: &[&[f32]], others: &[&[f32]]) -> bool {
        let dimension = self.adapter.dimension();
        if query.len() != dimension || !chosen.iter().chain(others).all(|row| row.len() == dimension) {
            return false;
        }
        let pair = Pair { chosen, others };
        scales(&pair, &mut self.scales);
        if self.work.contrast(&self.adapter, query, &pair, &self.scales, TEMPERATURE).is_none() {
            return false;
        }
        self.gradient.clear();
        let Work { forward, slope, .. } = &self.work;
        self.adapter.add_gradient(query, &forward.hidden, slope, 1.0, &mut self.gradient);
        if !self.gradient.clip(MOST_GRADIENT) {
            return false;
        }
        self.descend();
        true
    }

    fn descend(&mut self) {
        let Self { adapter, gradient, .. } = self;
        adapter.a.iter_mut().zip(&gradient.a).for_each(|(x, slope)| *x -= STEP * slope);
        adapter.b.iter_mut().zip(&gradient.b).for_each(|(x, slope)| *x = KEPT * (*x - STEP * slope));
        let norm = adapter.norm();
        if norm > MOST_NORM {
            adapter.b.iter_mut().for_each(|x| *x *= MOST_NORM / norm);
        }
    }

    /// The weights: `sona.micro.a` and `sona.micro.b`, each `[rank, dimension]`; B is transposed.
    pub fn to_tensors(&self) -> Tensors {
        let mut tensors = Tensors::default();
        self.adapter.put("sona.micro", &mut tensors);
        tensors
    }

    /// One from its weights; `None` where they are not for queries of this dimension, or their rank is above 2.
    pub fn from_tensors(tensors: &Tensors, dimension: usize) -> Option<Self> {
        let adapter = LowRank::get("sona.micro", tensors, dimension)?;
        (adapter.rank() <= 2).then(|| Self::with(adapter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn vectors(count: usize, seed: u64) -> Vec<Vec<f32>> {
        let mut random = Random(seed);
        (0..count).map(|_| (0..16).map(|_| random.below(2000) as f32 / 1000.0 - 1.0).collect()).collect()
    }

    fn likeness(micro: &MicroLora, query: &[f32], document: &[f32]) -> f32 {
        let mut out = vec![0.0; query.len()];
        assert!(micro.apply(query, &mut out));
        let [ab, aa, bb] = [(&*out, document), (&*out, &*out), (document, document)]
            .map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>());
        ab / (aa * bb).sqrt()
    }

    /// Catches steps up the loss, and a gradient that depends on the length of the query.
    #[test]
    fn each_step_brings_what_was_chosen_nearer() {
        let all = vectors(10, 1);
        let (chosen, others) = ([&*all[1]], all[2..].iter().map(Vec::as_slice).collect::<Vec<_>>());
        let mut micro = MicroLora::new(16, 2, 3);
        let before = likeness(&micro, &all[0], &all[1]);
        let long: Vec<f32> = all[0].iter().map(|x| x * 10.0).collect();
        let mut of_long = micro.clone();
        for _ in 0..20 {
            assert!(micro.adapt(&all[0], &chosen, &others) && of_long.adapt(&long, &chosen, &others));
        }
        let after = likeness(&micro, &all[0], &all[1]);
        assert!(after > before + 0.05, "{before} {after}");
        assert!((likeness(&of_long, &all[0], &all[1]) - after).abs() < 1e-3);
        // Buffers are used again.
        let buffers = |micro: &MicroLora| (micro.gradient.a.as_ptr(), micro.work.slope.as_ptr(), micro.scales.as_ptr());
        let then = buffers(&micro);
        assert!(micro.adapt(&all[5], &chosen, &others[4..]) && buffers(&micro) == then);
    }

    /// Catches drift without a bound, and what is never forgotten.
    #[test]
    fn its_drift_is_bounded_and_decays() {
        let mut micro = MicroLora::new(16, 2, 3);
        let all = vectors(40, 2);
        for step in 0..600 {
            let at = step % 30;
            micro.adapt(&all[at], &[&all[at + 1]], &[&all[at + 2], &all[at + 3]]);
            assert!(micro.adapter().norm() <= MOST_NORM * 1.0001);
        }
        let norm = micro.adapter().norm();
        assert!(norm > MOST_NORM * 0.5, "{norm}: the bound was not tried");
        // What is already told apart pulls nowhere: B falls back.
        let (query, other) = ([1.0; 16], [-1.0; 16]);
        (0..1000).for_each(|_| assert!(micro.adapt(&query, &[&query], &[&other])));
        assert!(micro.adapter().norm() < norm * 0.5);
    }

    #[test]
    fn what_teaches_nothing_changes_nothing() {
        let mut micro = MicroLora::new(2, 1, 3);
        let kept = micro.to_tensors();
        let (x, y) = ([1.0, 0.0], [0.0, 1.0]);
        assert!(!micro.adapt(&x, &[&y], &[]) && !micro.adapt(&x, &[], &[&y]) && !micro.adapt(&x, &[&y], &[&y]));
        assert!(!micro.adapt(&[1.0], &[&y], &[&x]) && !micro.adapt(&x, &[&y], &[&[1.0]]));
        assert!(!micro.adapt(&x, &[&y], &[&[f32::NAN, 1.0], &x]) && !micro.adapt(&[f32::INFINITY, 0.0], &[&y], &[&x]));
        assert!(!micro.adapt(&[0.0, 0.0], &[&y], &[&x]));
        assert_eq!(micro.to_tensors(), kept);
        assert!(micro.adapt(&x, &[&y], &[&x]));
        assert_ne!(micro.to_tensors(), kept);
        let again = MicroLora::from_tensors(&micro.to_tensors(), 2).unwrap();
        assert_eq!((again.to_tensors(), again.adapter()), (micro.to_tensors(), micro.adapter()));
        assert!(MicroLora::from_tensors(&kept, 3).is_none());
    }
}

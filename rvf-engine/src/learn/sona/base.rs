//! [`BaseLora`]: what training makes, with what it must not forget.

use super::super::tensors::Tensors;
use super::fisher::{Anchor, fisher};
use super::low_rank::LowRank;
use super::training::{Training, TrainingOptions, TrainingReport};
use super::trajectory::Trajectory;

/// What is left of the Fisher information of earlier topics with each consolidation (gamma of Schwarz et al. 2018).
const KEPT: f32 = 0.9;

/// An adapter that is trained in the background, of rank 8 to 16 as a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseLora {
    pub(super) adapter: LowRank,
    /// Once something was consolidated.
    pub(super) anchor: Option<Anchor>,
}

impl BaseLora {
    /// The identity; `rank` is brought into 1 to `dimension`.
    pub fn new(dimension: usize, rank: usize, seed: u64) -> Self {
        Self { adapter: LowRank::new(dimension, rank, seed), anchor: None }
    }

    /// The adapter.
    pub fn adapter(&self) -> &LowRank {
        &self.adapter
    }

    /// Whether something was consolidated, so that there is something to keep.
    pub fn has_anchor(&self) -> bool {
        self.anchor.is_some()
    }

    /// Writes the adapted query to `out`, as [`LowRank::apply`] does.
    pub fn apply(&self, query: &[f32], out: &mut [f32]) -> bool {
        self.adapter.apply(query, out)
    }

    /// Trains on `new` trajectories and, by the share of the options, on `past` ones; all at once. [`Training`] does it in pieces.
    pub fn train(&mut self, new: &[Trajectory], past: &[Trajectory], options: &TrainingOptions) -> TrainingReport {
        let mut training = Training::new(self, new, past, options);
        training.step(usize::MAX);
        let (trained, report) = training.finish();
        *self = trained;
        report
    }

    /// Keeps what was learned from these trajectories: the Fisher information of earlier ones is decayed and theirs added, and the anchor moves
    /// to the adapter as it is (online EWC, Schwarz et al. 2018). Takes about dimension^2 steps a trajectory: some hundreds say enough.
    ///
    /// `false`, and nothing changes, where there is none, one has another dimension, or the temperature of the options is refused.
    pub fn consolidate(&mut self, trajectories: &[Trajectory], options: &TrainingOptions) -> bool {
        let dimension = self.adapter.dimension();
        if trajectories.is_empty() || !options.is_sound() || trajectories.iter().any(|of| of.dimension() != dimension) {
            return false;
        }
        let mut found = fisher(&self.adapter, trajectories, options.temperature);
        if let Some(anchor) = &self.anchor {
            found.iter_mut().zip(&anchor.fisher).for_each(|(x, earlier)| *x += KEPT * earlier);
        }
        let is_finite = found.iter().all(|x| x.is_finite());
        if is_finite {
            self.anchor = Some(Anchor { adapter: self.adapter.clone(), fisher: found });
        }
        is_finite
    }

    /// Everything that is needed to go on: `sona.base.a` and `sona.base.b`, each `[rank, dimension]`, B transposed; once consolidated,
    /// `sona.base.fisher` `[dimension, dimension]` and the factors at the anchor, `sona.anchor.a` and `sona.anchor.b`.
    pub fn to_tensors(&self) -> Tensors {
        let mut tensors = Tensors::default();
        self.adapter.put("sona.base", &mut tensors);
        if let Some(Anchor { adapter, fisher }) = &self.anchor {
            let dimension = adapter.dimension();
            adapter.put("sona.anchor", &mut tensors);
            tensors.put("sona.base.fisher", &[dimension, dimension], fisher.clone());
        }
        tensors
    }

    /// One from its weights; `None` where they are not for queries of this dimension, or a part is missing.
    pub fn from_tensors(tensors: &Tensors, dimension: usize) -> Option<Self> {
        let adapter = LowRank::get("sona.base", tensors, dimension)?;
        let parts = ["sona.base.fisher", "sona.anchor.a", "sona.anchor.b"].map(|name| tensors.tensor(name).is_some());
        if parts == [false; 3] {
            return Some(Self { adapter, anchor: None });
        }
        let fisher = tensors.get("sona.base.fisher", &[dimension, dimension])?.to_vec();
        let anchor = Anchor { adapter: LowRank::get("sona.anchor", tensors, dimension)?, fisher };
        anchor.fisher.iter().all(|x| *x >= 0.0).then_some(Self { adapter, anchor: Some(anchor) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::training::tests::topic;
    use super::*;

    #[test]
    fn weights_carry_everything_that_is_needed_to_go_on() {
        let (new, next) = (topic(12, 30, 1), topic(12, 30, 2));
        let mut base = BaseLora::new(12, 3, 5);
        assert_eq!(BaseLora::from_tensors(&base.to_tensors(), 12), Some(base.clone()));
        base.train(&new, &[], &TrainingOptions::default());
        assert!(base.consolidate(&new, &TrainingOptions::default()) && base.has_anchor());
        let mut again = BaseLora::from_tensors(&base.to_tensors(), 12).unwrap();
        assert_eq!(again, base);
        base.train(&next, &new, &TrainingOptions::default());
        again.train(&next, &new, &TrainingOptions::default());
        assert_eq!(again.to_tensors(), base.to_tensors());
        assert_eq!(BaseLora::from_tensors(&base.to_tensors(), 12), Some(base.clone()));
        assert_eq!(BaseLora::from_tensors(&base.to_tensors(), 13), None);
        let mut broken = base.to_tensors();
        assert!(broken.put("sona.base.fisher", &[1], vec![0.0]));
        assert_eq!(BaseLora::from_tensors(&broken, 12), None);
    }

    /// Catches a Fisher information that is replaced rather than carried on.
    #[test]
    fn earlier_topics_count_less_but_count() {
        let (new, options) = (topic(8, 10, 1), TrainingOptions::default());
        let mut base = BaseLora::new(8, 2, 5);
        let sum = |base: &BaseLora| base.anchor.as_ref().unwrap().fisher.iter().sum::<f32>();
        assert!(base.consolidate(&new, &options));
        let once = sum(&base);
        assert!(base.consolidate(&new, &options) && (sum(&base) / once - 1.9).abs() < 1e-3);
        let kept = base.clone();
        assert!(!base.consolidate(&[], &options) && !base.consolidate(&topic(9, 1, 1), &options) && base == kept);
    }
}

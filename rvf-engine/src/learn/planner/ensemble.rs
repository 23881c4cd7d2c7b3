//! [`Ensemble`]: several mechanisms at once, weighed by what they earned. It does not know which they are.

use super::super::math::{exp, ln};
use super::attention::Attended;
use super::dag::FEATURES;

/// Least weight of a mechanism: none is ever given up.
const FLOOR: f32 = 0.01;

/// Weights of mechanisms by Hedge (Freund and Schapire 1997): each weight is multiplied by e to the power of rate times reward.
///
/// Departures: (1) No weight falls below 0.01, or an equal share where there are so many that this is less. (2) A logarithm stays within that
/// of the floor of the best one: what was bad for long is back after as few rewards as what was bad for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    /// Of the weights, the largest 0.
    logs: Vec<f32>,
    rate: f32,
}

impl Ensemble {
    /// All alike. With a rate of 0 (or one that is no number from 0 to 10, which counts as 0) they stay so.
    pub fn new(mechanisms: usize, rate: f32) -> Self {
        let rate = if (0.0..=10.0).contains(&rate) { rate } else { 0.0 };
        Self { logs: vec![0.0; mechanisms], rate }
    }

    /// By mechanism, with sum 1.
    pub fn weights(&self) -> Vec<f32> {
        let count = self.logs.len() as f32;
        let floor = FLOOR.min(1.0 / count);
        let powers: Vec<f32> = self.logs.iter().map(|log| exp(*log)).collect();
        let sum: f32 = powers.iter().sum();
        powers.iter().map(|power| floor + (1.0 - floor * count).max(0.0) * power / sum).collect()
    }

    /// Takes over what each mechanism earned, from 0 to 1. `false`, and nothing changes, where these are not so many such numbers.
    pub fn learn(&mut self, rewards: &[f32]) -> bool {
        if rewards.len() != self.logs.len() || !rewards.iter().all(|reward| (0.0..=1.0).contains(reward)) {
            return false;
        }
        self.logs.iter_mut().zip(rewards).for_each(|(log, reward)| *log += self.rate * reward);
        let top = self.logs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let least = ln(f64::from(FLOOR)) as f32;
        self.logs.iter_mut().for_each(|log| *log = (*log - top).max(least));
        true
    }

    /// The mean of what the mechanisms say of one plan. `None` where there is not one for each, or their plans differ in length.
    pub fn mix(&self, attended: &[Attended]) -> Option<Attended> {
        let operators = attended.first()?.weights.len();
        let is_sound = attended.len() == self.logs.len() && attended.iter().all(|one| one.weights.len() == operators);
        is_sound.then(|| self.mean(attended, operators))
    }

    fn mean(&self, attended: &[Attended], operators: usize) -> Attended {
        let mut mean = Attended { weights: vec![0.0; operators], embedding: [0.0; FEATURES] };
        for (share, one) in self.weights().into_iter().zip(attended) {
            mean.weights.iter_mut().zip(&one.weights).for_each(|(sum, x)| *sum += share * x);
            mean.embedding.iter_mut().zip(&one.embedding).for_each(|(sum, x)| *sum += share * x);
        }
        mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(weights: &[f32]) -> f32 {
        weights.iter().sum()
    }

    /// Catches rewards that are punished, a floor that is not kept, weights that do not add up to 1, and what is never taken back.
    #[test]
    fn what_earns_more_weighs_more_and_nothing_vanishes() {
        let mut ensemble = Ensemble::new(7, 0.5);
        assert!(ensemble.weights().iter().all(|weight| (weight - 1.0 / 7.0).abs() < 1e-6));
        let mut rewards = [0.2; 7];
        rewards[3] = 0.9;
        let mut before = 1.0 / 7.0;
        for round in 0..500 {
            assert!(ensemble.learn(&rewards));
            let weights = ensemble.weights();
            assert!((sum(&weights) - 1.0).abs() < 1e-5 && weights.iter().all(|weight| *weight >= FLOOR));
            assert!(weights[3] >= before && (round > 10 || weights[3] > before), "{round}: {weights:?}");
            before = weights[3];
        }
        assert!(before > 0.88);
        rewards.swap(3, 5);
        (0..30).for_each(|_| assert!(ensemble.learn(&rewards)));
        assert!(ensemble.weights()[5] > 0.8, "{:?}", ensemble.weights());
        let many = Ensemble::new(400, 1.0).weights();
        assert!((sum(&many) - 1.0).abs() < 1e-4 && many.iter().all(|weight| (weight - 0.0025).abs() < 1e-6));
        assert!(Ensemble::new(0, 1.0).weights().is_empty());
    }

    #[test]
    fn what_is_no_reward_changes_nothing() {
        let mut ensemble = Ensemble::new(2, 1.0);
        let kept = ensemble.clone();
        for rewards in [&[0.5][..], &[0.5, f32::NAN], &[0.5, 1.5], &[-0.1, 0.0]] {
            assert!(!ensemble.learn(rewards) && ensemble == kept);
        }
        for rate in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let mut fixed = Ensemble::new(2, rate);
            assert!(fixed.learn(&[1.0, 0.0]));
            assert_eq!(fixed.weights(), [0.5, 0.5]);
        }
    }

    #[test]
    fn a_mixture_is_the_weighted_mean() {
        let mut ensemble = Ensemble::new(2, 1.0);
        assert!(ensemble.learn(&[1.0, 0.0]));
        let (a, b) = (
            Attended { weights: vec![1.0, 0.0, 0.0], embedding: [2.0; FEATURES] },
            Attended { weights: vec![0.0, 0.5, 0.5], embedding: [-1.0; FEATURES] },
        );
        let share = ensemble.weights()[0];
        let mixed = ensemble.mix(&[a.clone(), b]).unwrap();
        assert!((mixed.weights[0] - share).abs() < 1e-6 && (sum(&mixed.weights) - 1.0).abs() < 1e-6);
        assert!((mixed.embedding[7] - (3.0 * share - 1.0)).abs() < 1e-5);
        let short = Attended { weights: vec![1.0], embedding: [0.0; FEATURES] };
        assert!(ensemble.mix(&[a.clone(), short]).is_none() && ensemble.mix(&[a]).is_none());
        assert!(ensemble.mix(&[]).is_none() && Ensemble::new(0, 1.0).mix(&[]).is_none());
    }
}

//! What a bandit knows of one arm: what it earned, what it cost, and what audits tell of its recall.

use super::super::math::ln;
use super::posterior::{self, FADED, Recall};

/// Rewards that are remembered of an arm; beyond, all that was seen counts half: what an arm costs may change.
const MOST: f64 = 1_048_576.0;
/// Largest variance that a reward between 0 and 1 can have.
const WIDEST: f64 = 0.25;
/// Rewards of that variance which are taken for seen.
const UNSEEN: f64 = 2.0;
/// Numbers of a state.
pub(super) const NUMBERS: usize = 4 + posterior::NUMBERS;

/// What is known of an arm.
#[derive(Clone, Debug)]
pub(super) struct Arm {
    /// Rewards, as far as they still count.
    pub(super) count: f64,
    /// Of rewards.
    mean: f64,
    /// Sum of squared deviations from the mean.
    spread: f64,
    /// Mean nanoseconds.
    pub(super) cost_ns: f64,
    /// What audits tell.
    pub(super) recall: Recall,
    /// A target and the chance to reach it, until an audit comes.
    chance: Option<(f64, f64)>,
}

/// What a query earns: 1 at `low` nanoseconds and less, 0 at `high` and more, by the logarithm between. 0 where that makes no sense.
pub fn reward(ns: f64, low: f64, high: f64) -> f64 {
    if !(low > 0.0 && high > low && high.is_finite()) || ns.is_nan() {
        return 0.0;
    }
    1.0 - ((ln(ns.max(low)) - ln(low)) / (ln(high) - ln(low))).clamp(0.0, 1.0)
}

impl Arm {
    /// One that was never served, of this recall.
    pub(super) fn new(recall: Recall) -> Self {
        Self { count: 0.0, mean: 0.0, spread: 0.0, cost_ns: 0.0, recall, chance: None }
    }

    /// Welford's mean and sum of squared deviations (1962).
    pub(super) fn observe(&mut self, ns: f64, earned: f64) {
        if self.count >= MOST {
            (self.count, self.spread) = (self.count * 0.5, self.spread * 0.5);
        }
        self.count += 1.0;
        let off = earned - self.mean;
        self.mean = (self.mean + off / self.count).clamp(0.0, 1.0);
        // Rounding must not leave it below 0.
        self.spread = (self.spread + off * (earned - self.mean)).max(0.0);
        // Finite as a number of 32 bits, too.
        self.cost_ns += (ns.min(1e30) - self.cost_ns) / self.count;
    }

    /// What the reward of this arm could be, where the logarithm of all rounds is this.
    pub(super) fn bound(&self, rounds: f64) -> f64 {
        let variance = (self.spread + UNSEEN * WIDEST) / (self.count + UNSEEN - 1.0);
        self.mean + (2.0 * rounds / self.count * variance.min(WIDEST)).sqrt()
    }

    /// The chance to reach the target: asked for each query, computed once an audit.
    pub(super) fn chance(&mut self, target: f64) -> f64 {
        match self.chance {
            Some((asked, chance)) if asked == target => chance,
            _ => {
                let chance = self.recall.probability_at_least(target);
                self.chance = Some((target, chance));
                chance
            }
        }
    }

    /// Takes an audit: `right` of the `wanted` true answers were found.
    pub(super) fn audit(&mut self, right: u32, wanted: u32) {
        self.recall.observe(right, wanted);
        self.chance = None;
    }

    /// Lets all that was seen count less, by a factor from 0 to 1.
    pub(super) fn discount(&mut self, factor: f64) {
        self.recall.discount(factor);
        self.chance = None;
        (self.count, self.spread) = (self.count * factor, self.spread * factor);
        // Smaller numbers would lose digits.
        if self.count < FADED {
            (self.count, self.spread) = (0.0, 0.0);
        }
    }

    /// What was seen, without the prior.
    pub(super) fn to_state(&self) -> impl Iterator<Item = f32> {
        let timing = [self.count, self.mean, self.spread, self.cost_ns].map(|x| x as f32);
        timing.into_iter().chain(self.recall.to_state())
    }

    /// The same prior with what was seen; `None` where no arm could have been seen like that.
    pub(super) fn with_state(&self, state: &[f32; NUMBERS]) -> Option<Self> {
        let (timing, recall) = state.split_first_chunk::<4>()?;
        let [count, mean, spread, cost_ns] = timing.map(f64::from);
        // Rewards between 0 and 1 deviate by 1/2 at most; numbers were rounded on their way.
        let is_sound = (0.0..=MOST).contains(&count)
            && (0.0..=1.0).contains(&mean)
            && (0.0..=count * WIDEST * 1.001).contains(&spread)
            && cost_ns >= 0.0
            && cost_ns.is_finite();
        let recall = self.recall.with_state(recall.first_chunk()?)?;
        is_sound.then_some(Self { count, mean, spread, cost_ns, recall, chance: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_are_by_the_logarithm() {
        for (ns, right) in [(1e3, 1.0), (10.0, 1.0), (0.0, 1.0), (1e6, 0.0), (1e9, 0.0), (1e4, 2.0 / 3.0)] {
            assert!((reward(ns, 1e3, 1e6) - right).abs() < 1e-12, "{ns}");
        }
        for (ns, low, high) in [(f64::NAN, 1.0, 2.0), (1.0, 2.0, 1.0), (1.0, 0.0, 2.0), (1.0, 1.0, f64::INFINITY)] {
            assert_eq!(reward(ns, low, high), 0.0);
        }
        assert_eq!((reward(f64::INFINITY, 1.0, 2.0), reward(1.0, f64::NAN, 2.0)), (0.0, 0.0));
    }
}

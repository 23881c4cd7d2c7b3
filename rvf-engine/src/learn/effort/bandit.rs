//! [`Bandit`]: which arm to serve among those proven to find enough, and which one to audit next. An arm is a set of settings of a plan.

use super::super::math::ln;
use super::arm::{Arm, NUMBERS, reward};
use super::posterior::Recall;

/// Most arms of a bandit.
pub const MOST_ARMS: usize = 16;

/// Arms less likely than this to find enough are not audited.
const HOPELESS: f64 = 0.02;
/// Costs closer than this are taken for the same.
const SAME: f64 = 1.01;
/// First number of a state.
const VERSION: f32 = 1.0;

/// What a bandit is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Nanoseconds of a query that earn the whole reward.
    pub low_ns: f64,
    /// Nanoseconds of a query that earn none.
    pub high_ns: f64,
    /// Recall that an arm is taken to have before audits,
    pub prior_mean: f64,
    /// and how many answers that counts as.
    pub prior_strength: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { low_ns: 1e4, high_ns: 1e8, prior_mean: 0.9, prior_strength: 2.0 }
    }
}

/// Why an arm is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// Of those proven, none could be cheaper as far as is known.
    Best,
    /// It is proven and was never timed.
    Untried,
    /// No arm is proven.
    Fallback,
}

/// Which arm is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Choice {
    /// The arm, or the fallback that the caller named.
    pub arm: usize,
    /// Why.
    pub reason: Reason,
}

/// Serves the arm that could be the cheapest among those whose recall audits have proven.
///
/// ```text
/// proven:  P(recall >= target) >= confidence
/// choose:  the proven arm of the largest  mean + sqrt 2 sqrt(ln N / n min(1/4, V));   n: its rewards, N: those of all proven arms
/// V        = (sum of squared deviations + 2 / 4) / (n + 1)
/// explore: of the others with P >= 0.02, the cheapest; of those as cheap, the one audited least
/// ```
/// This is UCB-tuned (Auer et al. 2002, section 4) with another V. Theirs adds sqrt(2 ln N / n) to the variance, which outweighs that of
/// latencies for thousands of rounds; here, two rewards of the largest possible variance are taken for seen instead. There is no share of
/// random choices: it would cost as much in the end as in the beginning. What is not proven is tried off the path only.
#[derive(Clone, Debug)]
pub struct Bandit {
    options: Options,
    arms: Vec<Arm>,
}

impl Bandit {
    /// One that has seen nothing, of at most [`MOST_ARMS`] arms.
    pub fn new(arms: usize, options: Options) -> Self {
        let recall = Recall::new(options.prior_mean, options.prior_strength);
        Self { options, arms: vec![Arm::new(recall); arms.min(MOST_ARMS)] }
    }

    /// Which arm is to be served; `fallback`, the static setting, where none is proven.
    pub fn choose(&mut self, target: f64, confidence: f64, fallback: usize) -> Choice {
        let proven: Vec<bool> = self.arms.iter_mut().map(|arm| arm.chance(target) >= confidence).collect();
        let all = || self.arms.iter().enumerate().zip(&proven).filter_map(|(arm, is_proven)| is_proven.then_some(arm));
        if let Some((arm, _)) = all().find(|(_, arm)| arm.count <= 0.0) {
            return Choice { arm, reason: Reason::Untried };
        }
        let rounds: f64 = all().map(|(_, arm)| arm.count).sum();
        let mut best = None;
        for (at, arm) in all() {
            let bound = arm.bound(ln(rounds.max(1.0)));
            // Of arms alike the first one, so that the choice is the same everywhere.
            if best.is_none_or(|(_, most)| bound > most) {
                best = Some((at, bound));
            }
        }
        match best {
            Some((arm, _)) => Choice { arm, reason: Reason::Best },
            None => Choice { arm: fallback, reason: Reason::Fallback },
        }
    }

    /// Which arm that is neither proven nor hopeless should be audited next, if there is one. `expected_ns` says what the arms cost that were
    /// never timed; one for which it says nothing comes last.
    pub fn explore(&mut self, target: f64, confidence: f64, expected_ns: &[f64]) -> Option<usize> {
        let mut open: Vec<(usize, f64, f64)> = Vec::new();
        for (at, arm) in self.arms.iter_mut().enumerate() {
            let chance = arm.chance(target);
            if chance >= HOPELESS && chance < confidence {
                let told = expected_ns.get(at).copied().filter(|ns| ns.is_finite()).unwrap_or(f64::MAX);
                let cost = if arm.count > 0.0 { arm.cost_ns } else { told.max(0.0) };
                open.push((at, cost, arm.recall.queries()));
            }
        }
        let least = open.iter().map(|(_, cost, _)| *cost).fold(f64::INFINITY, f64::min);
        let cheap = open.into_iter().filter(|(_, cost, _)| *cost <= least * SAME);
        cheap.min_by(|a, b| a.2.total_cmp(&b.2)).map(|(at, ..)| at)
    }

    /// Takes what a query served by this arm cost; no such arm, or what is no time, is passed over.
    pub fn observe_cost(&mut self, arm: usize, ns: f64) {
        let earned = reward(ns, self.options.low_ns, self.options.high_ns);
        if let Some(arm) = self.arms.get_mut(arm).filter(|_| ns >= 0.0 && ns.is_finite()) {
            arm.observe(ns, earned);
        }
    }

    /// Takes an audit of this arm: `right` of the `wanted` true answers were found.
    pub fn observe_recall(&mut self, arm: usize, right: u32, wanted: u32) {
        if let Some(arm) = self.arms.get_mut(arm) {
            arm.audit(right, wanted);
        }
    }

    /// Lets all that was seen of all arms count less, as after a drift; a factor outside 0..=1 changes nothing.
    pub fn discount(&mut self, factor: f64) {
        for arm in self.arms.iter_mut().filter(|_| (0.0..=1.0).contains(&factor)) {
            arm.discount(factor);
        }
    }

    /// How many arms there are.
    pub fn len(&self) -> usize {
        self.arms.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.arms.is_empty()
    }

    /// What audits tell of an arm.
    pub fn recall(&self, arm: usize) -> Option<&Recall> {
        self.arms.get(arm).map(|arm| &arm.recall)
    }

    /// What queries served by an arm cost in the mean, in nanoseconds, and of how many that is known.
    pub fn cost(&self, arm: usize) -> Option<(f64, f64)> {
        self.arms.get(arm).map(|arm| (arm.cost_ns, arm.count))
    }

    /// What was learned, without the options.
    pub fn to_state(&self) -> Vec<f32> {
        let mut state = vec![VERSION];
        for arm in &self.arms {
            state.extend(arm.to_state());
        }
        state
    }

    /// One from what was learned; `None` where that is no such state.
    pub fn from_state(options: Options, state: &[f32]) -> Option<Self> {
        let (version, rest) = state.split_first()?;
        let (arms, none) = rest.as_chunks::<NUMBERS>();
        if *version != VERSION || arms.len() > MOST_ARMS || !none.is_empty() {
            return None;
        }
        let mut bandit = Self::new(arms.len(), options);
        for (arm, numbers) in bandit.arms.iter_mut().zip(arms) {
            *arm = arm.with_state(numbers)?;
        }
        Some(bandit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const TARGET: f64 = 0.95;
    const SURE: f64 = 0.95;

    /// About normal, of mean 0 and deviation 1.
    fn normal(random: &mut Random) -> f64 {
        (0..12).map(|_| random.below(1 << 30) as f64 / f64::from(1 << 30)).sum::<f64>() - 6.0
    }

    fn options() -> Options {
        Options { low_ns: 1e3, high_ns: 1e6, ..Options::default() }
    }

    /// The time that earns this.
    fn time(earned: f64) -> f64 {
        1e3 * 1e3f64.powf(1.0 - earned)
    }

    /// Audits without a miss.
    fn prove(bandit: &mut Bandit, arm: usize) {
        (0..60).for_each(|_| bandit.observe_recall(arm, 10, 10));
    }

    /// What 10,000 rounds on seven arms lose against the best one.
    fn regret(seed: u64) -> f64 {
        let means: Vec<f64> = (0..7).map(|arm| 0.5 + 0.1 * f64::from((arm * 3 + 2) % 7) / 6.0).collect();
        let (mut bandit, mut random, mut lost) = (Bandit::new(7, options()), Random(seed), 0.0);
        (0..7).for_each(|arm| prove(&mut bandit, arm));
        for _ in 0..10_000 {
            let Choice { arm, reason } = bandit.choose(TARGET, SURE, 9);
            assert_ne!(reason, Reason::Fallback);
            lost += 0.6 - means[arm];
            bandit.observe_cost(arm, time(means[arm] + 0.1 * normal(&mut random)));
        }
        lost
    }

    /// Catches a choice at random, one that never settles, and one that settles on the first arm.
    #[test]
    fn little_is_lost_against_the_best_arm() {
        let uniform = 10_000.0 * 0.05;
        let lost: Vec<f64> = (0..20).map(regret).collect();
        assert!(lost.iter().all(|lost| *lost < uniform / 3.0), "{lost:?}");
    }

    #[test]
    fn the_fallback_serves_until_an_arm_is_proven() {
        let mut bandit = Bandit::new(3, options());
        assert_eq!(bandit.choose(TARGET, SURE, 42), Choice { arm: 42, reason: Reason::Fallback });
        // Fast and wrong is not served.
        (0..50).for_each(|_| bandit.observe_cost(0, 1e3));
        (0..50).for_each(|_| bandit.observe_recall(0, 9, 10));
        assert_eq!(bandit.choose(TARGET, SURE, 42).reason, Reason::Fallback);
        prove(&mut bandit, 1);
        assert_eq!(bandit.choose(TARGET, SURE, 42), Choice { arm: 1, reason: Reason::Untried });
        bandit.observe_cost(1, 5e5);
        assert_eq!(bandit.choose(TARGET, SURE, 42), Choice { arm: 1, reason: Reason::Best });
        // Another target is another question.
        assert_eq!(bandit.choose(0.9999, SURE, 42).reason, Reason::Fallback);
        assert_eq!(Bandit::new(0, options()).choose(TARGET, SURE, 7), Choice { arm: 7, reason: Reason::Fallback });
    }

    #[test]
    fn an_arm_whose_recall_falls_is_no_longer_served() {
        let mut bandit = Bandit::new(2, options());
        for (arm, ns) in [(0, 2e3), (1, 4e5)] {
            prove(&mut bandit, arm);
            (0..300).for_each(|_| bandit.observe_cost(arm, ns));
        }
        assert_eq!(bandit.choose(TARGET, SURE, 9).arm, 0);
        let mut audits = 0;
        while bandit.choose(TARGET, SURE, 9).arm == 0 && audits < 100 {
            bandit.observe_recall(0, 8, 10);
            audits += 1;
        }
        assert!((1..40).contains(&audits), "{audits}");
        assert_eq!(bandit.choose(TARGET, SURE, 9), Choice { arm: 1, reason: Reason::Best });
        // After a drift nothing is proven any more.
        bandit.discount(0.02);
        assert_eq!(bandit.choose(TARGET, SURE, 9).reason, Reason::Fallback);
    }

    #[test]
    fn the_cheapest_open_arm_is_audited_next() {
        let mut bandit = Bandit::new(5, options());
        let expected = [5e3, 2e3, 2.01e3, 1e3, 500.0];
        assert_eq!(bandit.explore(TARGET, SURE, &expected), Some(4));
        // Hopeless, and proven.
        (0..100).for_each(|_| bandit.observe_recall(4, 5, 10));
        prove(&mut bandit, 3);
        assert_eq!(bandit.explore(TARGET, SURE, &expected), Some(1));
        bandit.observe_recall(1, 10, 10);
        assert_eq!(bandit.explore(TARGET, SURE, &expected), Some(2));
        // What was measured counts more than what was expected.
        bandit.observe_cost(0, 1e3);
        assert_eq!(bandit.explore(TARGET, SURE, &expected), Some(0));
        // Arms of which nothing is told come last.
        assert_eq!(bandit.explore(TARGET, SURE, &[]), Some(0));
        prove(&mut bandit, 0);
        assert_eq!(bandit.explore(TARGET, SURE, &[0.0, f64::NAN, f64::INFINITY]), Some(2));
        [1, 2].into_iter().for_each(|arm| prove(&mut bandit, arm));
        assert_eq!(bandit.explore(TARGET, SURE, &expected), None);
    }

    #[test]
    fn its_state_survives_and_no_other_is_taken() {
        let (mut bandit, mut random) = (Bandit::new(3, options()), Random(1));
        prove(&mut bandit, 2);
        for _ in 0..500 {
            let arm = random.below(3);
            bandit.observe_cost(arm, time(0.4 + 0.1 * arm as f64 + 0.1 * normal(&mut random)));
            bandit.observe_recall(arm, 9 + random.below(2) as u32, 10);
        }
        bandit.observe_cost(3, 1e3);
        bandit.observe_recall(3, 1, 10);
        let seen = bandit.to_state();
        [f64::NAN, f64::INFINITY, -1.0].into_iter().for_each(|ns| bandit.observe_cost(0, ns));
        [f64::NAN, -0.1, 1.1].into_iter().for_each(|factor| bandit.discount(factor));
        assert_eq!(bandit.to_state(), seen);
        let mut again = Bandit::from_state(options(), &seen).unwrap();
        assert_eq!((again.to_state(), again.len()), (seen.clone(), 3));
        assert_eq!(again.choose(0.9, SURE, 9), bandit.choose(0.9, SURE, 9));
        assert!(Bandit::from_state(options(), &Bandit::new(16, options()).to_state()).is_some());

        // Neither rounding nor what has faded away keeps it from coming back.
        for factor in [0.0, 1e-30, 1e-44, 0.3, 1e-3, 1e-3, 1e-3] {
            bandit.observe_cost(0, 7777.7);
            bandit.observe_recall(1, 7, 9);
            bandit.discount(factor);
            assert!(Bandit::from_state(options(), &bandit.to_state()).is_some(), "{factor}");
            bandit.observe_cost(1, 4321.1);
            assert!(Bandit::from_state(options(), &bandit.to_state()).is_some(), "{factor}");
        }

        let refused = |state: &[f32]| Bandit::from_state(options(), state).is_none();
        assert!(refused(&[]) && refused(&seen[1..]) && refused(&[&seen[..], &[0.0]].concat()));
        assert!(refused(&[&[VERSION][..], &[0.0; 17 * NUMBERS]].concat()));
        let broken = [
            (0, 2.0),
            (1, -1.0),
            (1, 1e9),
            (2, 1.5),
            (3, f32::NAN),
            (3, 1e6),
            (4, f32::INFINITY),
            (4, -1.0),
            (6, -3.0),
        ];
        for (at, value) in broken {
            let mut state = seen.clone();
            state[at] = value;
            assert!(refused(&state), "{at} {value}");
        }
    }
}

//! [`Policy`]: which mechanism is used, by what was observed, and why. It measures only how long queries took; the rest it is told.
//!
//! | the first that holds | mechanism |
//! | --- | --- |
//! | tension above 0.7, until below 0.5 | min-cut gated |
//! | 99th percentile of latency above twice the median, of the last 256 queries | critical path |
//! | depth above 10 | hierarchical Lorentz |
//! | more than 3 branches | parallel branch |
//! | more than 0.3 of the operations write | causal cone |
//! | repeats above 0.5 | temporal BTSP |
//! | otherwise | what the bandit says |

use super::mechanism::Mechanism;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// Latencies that are looked back on, and how few tell nothing yet.
const WINDOW: usize = 256;
const LEAST_LATENCIES: usize = 32;
/// Queries that a mechanism is used for at least.
const DWELL: u32 = 8;
/// Tension is high from the first on, until it is below the second.
const TENSE: f32 = 0.7;
const CALM: f32 = 0.5;
/// What the other rules begin above.
const TAIL: f64 = 2.0;
const DEEP: usize = 10;
const WIDE: usize = 3;
const WRITES: f32 = 0.3;
const REPEATS: f32 = 0.5;

/// What the policy is told of a plan and of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Observed {
    /// How near the store or the plan is to breaking apart, from 0 to 1.
    pub tension: f32,
    /// [`Dag::depth`](super::Dag::depth).
    pub depth: usize,
    /// [`Dag::branches`](super::Dag::branches).
    pub branches: usize,
    /// The part of recent operations that write.
    pub write_share: f32,
    /// How much queries repeat: [`repeats`].
    pub repeats: f32,
}

/// Why a mechanism is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Tension is high.
    Tension,
    /// Some queries take far longer than most.
    Tail,
    /// The plan is deep.
    Depth,
    /// The plan parts into many ways.
    Branches,
    /// Much is written.
    Writes,
    /// Queries repeat.
    Repeats,
    /// No rule holds.
    Bandit,
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Tension => "high tension",
            Self::Tail => "slow tail",
            Self::Depth => "deep plan",
            Self::Branches => "many branches",
            Self::Writes => "many writes",
            Self::Repeats => "repeated queries",
            Self::Bandit => "the bandit's choice",
        })
    }
}

/// What is used for a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// What is used; it may not be what the bandit said, which should learn from it only if it is.
    pub mechanism: Mechanism,
    /// Why it is used; where another one is due, why it was chosen.
    pub reason: Reason,
    /// Another one is due, but this one has not been used for 8 queries.
    pub is_held: bool,
}

/// Chooses a mechanism for each query.
#[derive(Clone, Debug)]
pub struct Policy {
    latencies: VecDeque<f64>,
    is_tense: bool,
    /// What is used, why, and for how many queries it was.
    used: Option<(Mechanism, Reason, u32)>,
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy {
    /// One that has seen nothing.
    pub fn new() -> Self {
        Self { latencies: VecDeque::with_capacity(WINDOW), is_tense: false, used: None }
    }

    /// How long a query took, in any unit; what is no number of 0 or more is passed over.
    pub fn record(&mut self, latency: f64) {
        if latency >= 0.0 && latency.is_finite() {
            if self.latencies.len() == WINDOW {
                self.latencies.pop_front();
            }
            self.latencies.push_back(latency);
        }
    }

    /// The median and the 99th percentile of the last 256 latencies; `None` below 32.
    pub fn percentiles(&self) -> Option<(f64, f64)> {
        let mut sorted: Vec<f64> = self.latencies.iter().copied().collect();
        if sorted.len() < LEAST_LATENCIES {
            return None;
        }
        sorted.sort_unstable_by(f64::total_cmp);
        // The nearest rank: the least value that so many hundredths do not exceed.
        let rank = |hundredths: usize| sorted.get((sorted.len() * hundredths).div_ceil(100) - 1).copied();
        rank(50).zip(rank(99))
    }

    /// What to use for the next query. `bandit` is used where no rule holds.
    pub fn choose(&mut self, observed: &Observed, bandit: Mechanism) -> Decision {
        let (due, why) = self.due(observed, bandit);
        let (mechanism, reason, queries) = match self.used {
            Some((used, _, queries)) if used == due => (used, why, queries.saturating_add(1)),
            Some((used, reason, queries)) if queries < DWELL => (used, reason, queries + 1),
            _ => (due, why, 1),
        };
        self.used = Some((mechanism, reason, queries));
        Decision { mechanism, reason, is_held: mechanism != due }
    }

    fn due(&mut self, observed: &Observed, bandit: Mechanism) -> (Mechanism, Reason) {
        self.is_tense = observed.tension > TENSE || self.is_tense && observed.tension >= CALM;
        if self.is_tense {
            (Mechanism::MIN_CUT_GATED, Reason::Tension)
        } else if self.percentiles().is_some_and(|(median, tail)| tail > TAIL * median) {
            (Mechanism::CRITICAL_PATH, Reason::Tail)
        } else if observed.depth > DEEP {
            (Mechanism::LORENTZ, Reason::Depth)
        } else if observed.branches > WIDE {
            (Mechanism::PARALLEL_BRANCH, Reason::Branches)
        } else if observed.write_share > WRITES {
            (Mechanism::CAUSAL_CONE, Reason::Writes)
        } else if observed.repeats > REPEATS {
            (Mechanism::TEMPORAL_BTSP, Reason::Repeats)
        } else {
            (bandit, Reason::Bandit)
        }
    }
}

/// How much a sequence repeats itself: its largest autocorrelation at a lag from 1 to `lags`, from 0 to 1. That of names is how often two that
/// far apart are equal, above what it would be in a random order; at least as many pairs as half the names must tell.
pub fn repeats(names: &[u64], lags: usize) -> f32 {
    let count = names.len() as f32;
    let mut counts = BTreeMap::new();
    names.iter().for_each(|name| *counts.entry(name).or_insert(0usize) += 1);
    let chance: f32 = counts.values().map(|times| (*times as f32 / count) * (*times as f32 / count)).sum();
    let equal = |lag: usize| {
        let pairs = names.iter().zip(&names[lag..]);
        let share = pairs.filter(|(a, b)| a == b).count() as f32 / (names.len() - lag) as f32;
        (share - chance) / (1.0 - chance)
    };
    match counts.len() {
        0 => 0.0,
        // One name only: chance explains it, but nothing repeats more.
        1 => f32::from(u8::from(names.len() > 1)),
        _ => (1..=lags.min(names.len() / 2)).map(equal).fold(0.0, f32::max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANDIT: Mechanism = Mechanism::TOPOLOGICAL;

    /// What is used once the dwell is over.
    fn settled(policy: &mut Policy, observed: &Observed) -> (Mechanism, Reason) {
        let decisions: Vec<Decision> = (0..=DWELL).map(|_| policy.choose(observed, BANDIT)).collect();
        let last = decisions[DWELL as usize];
        assert!(!last.is_held);
        (last.mechanism, last.reason)
    }

    fn tense(tension: f32) -> Observed {
        Observed { tension, ..Observed::default() }
    }

    /// Catches rules in another order and other limits: each is tried at its limit and above, with all rules below it holding.
    #[test]
    fn the_first_rule_that_holds_decides() {
        use Mechanism as M;
        let mut observed = Observed { tension: 0.71, depth: 11, branches: 4, write_share: 0.31, repeats: 0.51 };
        let mut policy = Policy::new();
        (0..256).for_each(|at| policy.record(if at % 50 == 0 { 2.1 } else { 1.0 }));
        assert_eq!(settled(&mut policy, &observed), (M::MIN_CUT_GATED, Reason::Tension));
        observed.tension = 0.49;
        assert_eq!(settled(&mut policy, &observed), (M::CRITICAL_PATH, Reason::Tail));
        (0..256).for_each(|at| policy.record(if at % 50 == 0 { 2.0 } else { 1.0 }));
        observed.tension = 0.7;
        assert_eq!(settled(&mut policy, &observed), (M::LORENTZ, Reason::Depth));
        observed.depth = 10;
        assert_eq!(settled(&mut policy, &observed), (M::PARALLEL_BRANCH, Reason::Branches));
        observed.branches = 3;
        assert_eq!(settled(&mut policy, &observed), (M::CAUSAL_CONE, Reason::Writes));
        observed.write_share = 0.3;
        assert_eq!(settled(&mut policy, &observed), (M::TEMPORAL_BTSP, Reason::Repeats));
        observed.repeats = 0.5;
        assert_eq!(settled(&mut policy, &observed), (BANDIT, Reason::Bandit));
        let not_numbers = Observed { tension: f32::NAN, write_share: f32::NAN, repeats: f32::NAN, ..observed };
        assert_eq!(settled(&mut policy, &not_numbers), (BANDIT, Reason::Bandit));
    }

    /// Catches a single limit: between 0.5 and 0.7 it matters where one came from.
    #[test]
    fn tension_is_left_later_than_it_is_entered() {
        let mut policy = Policy::new();
        assert_eq!(settled(&mut policy, &tense(0.6)).1, Reason::Bandit);
        assert_eq!(settled(&mut policy, &tense(0.7)).1, Reason::Bandit);
        assert_eq!(settled(&mut policy, &tense(0.8)).1, Reason::Tension);
        assert_eq!(settled(&mut policy, &tense(0.6)).1, Reason::Tension);
        assert_eq!(settled(&mut policy, &tense(0.5)).1, Reason::Tension);
        assert_eq!(settled(&mut policy, &tense(0.49)).1, Reason::Bandit);
        assert_eq!(settled(&mut policy, &tense(0.6)).1, Reason::Bandit);
    }

    /// Catches a mechanism that is left before it was used for 8 queries, and one that is kept for longer.
    #[test]
    fn a_mechanism_is_used_for_eight_queries_at_least() {
        let mut policy = Policy::new();
        assert_eq!(
            policy.choose(&tense(0.0), BANDIT),
            Decision { mechanism: BANDIT, reason: Reason::Bandit, is_held: false }
        );
        for _ in 1..DWELL {
            let held = policy.choose(&tense(0.9), BANDIT);
            assert_eq!(held, Decision { mechanism: BANDIT, reason: Reason::Bandit, is_held: true });
        }
        let gated = policy.choose(&tense(0.9), BANDIT);
        let expected = Decision { mechanism: Mechanism::MIN_CUT_GATED, reason: Reason::Tension, is_held: false };
        assert_eq!(gated, expected);
        // Each query asks for something else: eight are used for each.
        let mut runs = vec![1];
        let mut before = gated.mechanism;
        for at in 0..80 {
            let wanted = [Mechanism::Uniform, BANDIT, Mechanism::LORENTZ][at % 3];
            let used = policy.choose(&tense(0.0), wanted).mechanism;
            if used != before {
                runs.push(0);
            }
            *runs.last_mut().unwrap() += 1;
            before = used;
        }
        runs.pop();
        assert!(runs.len() > 7 && runs.iter().all(|run| (8..=10).contains(run)), "{runs:?}");
    }

    #[test]
    fn percentiles_are_those_of_the_last_256() {
        let mut policy = Policy::new();
        (1..32).for_each(|at| policy.record(f64::from(at)));
        [f64::NAN, -1.0, f64::INFINITY].iter().for_each(|latency| policy.record(*latency));
        assert_eq!(policy.percentiles(), None);
        policy.record(32.0);
        assert_eq!(policy.percentiles(), Some((16.0, 32.0)));
        (0..256).for_each(|at| policy.record(f64::from(1000 + at)));
        assert_eq!(policy.percentiles(), Some((1127.0, 1253.0)));
    }

    /// Catches chance that counts as repetition.
    #[test]
    fn only_order_repeats() {
        let cycle: Vec<u64> = (0..120).map(|at| at % 5).collect();
        assert!(repeats(&cycle, 8) > 0.99 && repeats(&cycle, 4) < 0.1);
        let mut random = crate::random::Random(2);
        let mixed: Vec<u64> = (0..2000).map(|_| random.below(3) as u64).collect();
        assert!(repeats(&mixed, 8) < 0.15, "{}", repeats(&mixed, 8));
        let runs: Vec<u64> = (0..200).map(|at| at / 20).collect();
        assert!(repeats(&runs, 8) > 0.9);
        assert_eq!([repeats(&[], 8), repeats(&[1], 8), repeats(&[1, 1], 8), repeats(&[1, 2], 8)], [0.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn reasons_are_short() {
        for reason in [Reason::Tension, Reason::Tail, Reason::Bandit] {
            assert!((5..25).contains(&reason.to_string().len()));
        }
    }
}

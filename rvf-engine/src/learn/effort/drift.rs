//! [`PageHinkley`]: a mean that moved. [`Burst`]: what audits may cost, and more of them once something moved.

use std::collections::VecDeque;

/// Samples that are held back from what they are compared with: a mean that follows what moved would hide it.
const HELD_BACK: usize = 96;
/// Samples that have to be known before anything is said.
const FEWEST: f64 = 128.0;
/// Samples that are remembered; beyond, the older ones fade.
const MOST: f64 = 4096.0;
/// Deviations that a sample may lie off without a sum that grows.
const TOLERANCE: f64 = 0.2;
/// And the more of them, the fewer samples the mean is known by: this many of its standard errors.
const UNSURE: f64 = 0.5;
/// A sum of deviations that is a drift.
const ENOUGH: f64 = 21.0;
/// A single sample counts for no more deviations than this.
const WIDEST: f64 = 4.0;
/// Samples further from 0 are none.
const FURTHEST: f64 = 1e9;

/// Which way a mean moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// It fell.
    Down,
    /// It rose.
    Up,
}

/// Tells where the mean of a stream has moved, both ways.
///
/// ```text
/// z     = (sample - mean) / deviation, held to [-4, 4]         of all samples but the last 96
/// rose <- max(0, rose + z - slack)     fell <- max(0, fell - z - slack)          slack = 0.2 + 0.5 / sqrt n
/// a drift: rose or fell beyond 21; the level after it is learned anew
/// ```
/// This is the test of Page (1954) against a mean that is learned, as Hinkley (1971) has it, with three departures. Sums are of standard
/// deviations, so that one setting serves recall and the logarithm of costs. What is compared with ends 96 samples ago, else a drift that takes
/// a hundred samples to show would move it. Single samples are cut, for a stall is no drift.
#[derive(Clone, Debug)]
pub struct PageHinkley {
    /// Least deviation that is believed.
    floor: f64,
    held_back: VecDeque<f64>,
    count: f64,
    mean: f64,
    spread: f64,
    rose: f64,
    fell: f64,
}

impl PageHinkley {
    /// For recall, from 0 to 1, one sample an audit. A stream without any misses is taken to deviate by 0.02.
    pub fn of_recall() -> Self {
        Self::new(0.02)
    }

    /// For natural logarithms of costs, one sample a query. A stream that is always the same is taken to deviate by 5 of 100.
    pub fn of_log_cost() -> Self {
        Self::new(0.05)
    }

    fn new(floor: f64) -> Self {
        Self { floor, held_back: VecDeque::new(), count: 0.0, mean: 0.0, spread: 0.0, rose: 0.0, fell: 0.0 }
    }

    /// Takes a sample; which way the mean has moved, where it is sure by now that it has. After that, all begins anew. What is no
    /// number, or beyond 10^9, is passed over.
    pub fn push(&mut self, sample: f64) -> Option<Turn> {
        if sample.is_nan() || sample.abs() > FURTHEST {
            return None;
        }
        self.held_back.push_back(sample);
        if self.held_back.len() > HELD_BACK
            && let Some(known) = self.held_back.pop_front()
        {
            self.know(known);
        }
        if self.count < FEWEST {
            return None;
        }
        self.compare(sample);
        let turn = if self.fell > ENOUGH {
            Turn::Down
        } else if self.rose > ENOUGH {
            Turn::Up
        } else {
            return None;
        };
        *self = Self::new(self.floor);
        Some(turn)
    }

    /// Welford's mean and sum of squared deviations (1962), of the last 4096 or so.
    fn know(&mut self, sample: f64) {
        if self.count >= MOST {
            self.spread *= (self.count - 1.0) / self.count;
            self.count -= 1.0;
        }
        self.count += 1.0;
        let off = sample - self.mean;
        self.mean += off / self.count;
        self.spread += off * (sample - self.mean);
    }

    fn compare(&mut self, sample: f64) {
        let deviation = (self.spread / (self.count - 1.0)).sqrt().max(self.floor);
        let z = ((sample - self.mean) / deviation).clamp(-WIDEST, WIDEST);
        let slack = TOLERANCE + UNSURE / self.count.sqrt();
        self.rose = (self.rose + z - slack).max(0.0);
        self.fell = (self.fell - z - slack).max(0.0);
    }
}

/// What audits may cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowance {
    /// Part of the time of queries that audits may take.
    pub share: f64,
    /// Most nanoseconds that are saved: a quiet year does not pay for a busy hour.
    pub most_saved_ns: f64,
    /// Nanoseconds that a burst may take in advance.
    pub most_owed_ns: f64,
    /// Audits of a burst.
    pub audits: u32,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { share: 0.05, most_saved_ns: 1e9, most_owed_ns: 2.5e8, audits: 64 }
    }
}

/// A budget of audits: a share of the time of queries, saved up; after a drift, some audits in advance.
///
/// ```text
/// saved = share of the time of queries - time of audits; what is more than `most_saved_ns` is lost
/// an audit: where saved >= what it is expected to take;  of a burst: where saved + `most_owed_ns` >= that
/// ```
/// Whatever happens, audits have never taken more than the share and what may be owed, as long as expectations were right; where one was
/// wrong, the next ones wait.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Burst {
    allowance: Allowance,
    /// Audits of a burst that are left.
    left: u32,
    /// Nanoseconds that were lost.
    lost: f64,
}

impl Burst {
    /// One that has saved nothing.
    pub fn new(allowance: Allowance) -> Self {
        Self { allowance, left: 0, lost: 0.0 }
    }

    /// Begins a burst, or begins it anew; what is owed stays owed.
    pub fn drifted(&mut self) {
        self.left = self.allowance.audits;
    }

    /// Audits of a burst that are left: while there are any, every query is worth an audit.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Whether an audit may be made now that is expected to take so long; if so, it is counted as one of the burst. Totals are those since
    /// this value was made.
    pub fn may_audit(&mut self, query_ns_total: u64, audit_ns_total: u64, expected_ns: u64) -> bool {
        let share = if self.allowance.share > 0.0 { self.allowance.share.min(1.0) } else { 0.0 };
        let earned = share * query_ns_total as f64 - audit_ns_total as f64;
        self.lost = self.lost.max(earned - self.allowance.most_saved_ns.max(0.0));
        let owed = if self.left > 0 { self.allowance.most_owed_ns.max(0.0) } else { 0.0 };
        let may = earned - self.lost + owed >= expected_ns as f64;
        if may {
            self.left = self.left.saturating_sub(1);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn normal(random: &mut Random) -> f64 {
        (0..12).map(|_| random.below(1 << 30) as f64 / f64::from(1 << 30)).sum::<f64>() - 6.0
    }

    /// After how many samples of this mean and deviation a drift is told, and which way.
    fn told(
        detector: &mut PageHinkley,
        random: &mut Random,
        mean: f64,
        deviation: f64,
        most: usize,
    ) -> Option<(usize, Turn)> {
        (1..=most).find_map(|step| Some((step, detector.push(mean + deviation * normal(random))?)))
    }

    /// Catches a test that cries always, and one that is too slow to be of use.
    #[test]
    fn recall_that_falls_is_told_and_quiet_is_left_alone() {
        let (mut detected, mut false_alarms) = (0, 0);
        for seed in 0..100 {
            let (mut detector, mut random) = (PageHinkley::of_recall(), Random(seed));
            let quiet = told(&mut detector, &mut random, 0.93, 0.1, 500);
            let drop = told(&mut detector, &mut random, 0.88, 0.1, 150);
            detected += usize::from(quiet.is_none() && drop.is_some_and(|(_, turn)| turn == Turn::Down));
        }
        for seed in 1000..1400 {
            let (mut detector, mut random) = (PageHinkley::of_recall(), Random(seed));
            // Recall that rises is no alarm for who asks whether it fell.
            let cried = (0..2000).any(|_| detector.push(0.93 + 0.1 * normal(&mut random)) == Some(Turn::Down));
            false_alarms += usize::from(cried);
        }
        assert!(detected >= 95, "{detected} of 100");
        assert!(false_alarms < 20, "{false_alarms} of 400");
    }

    #[test]
    fn costs_that_move_are_told_both_ways_and_the_new_level_is_learned() {
        for seed in 0..20 {
            let (mut detector, mut random) = (PageHinkley::of_log_cost(), Random(seed));
            assert_eq!(told(&mut detector, &mut random, 12.0, 0.3, 500), None, "{seed}");
            for (mean, turn) in [(12.5, Turn::Up), (12.0, Turn::Down), (11.5, Turn::Down)] {
                let (after, found) = told(&mut detector, &mut random, mean, 0.3, 100).unwrap();
                assert!(found == turn && after < 60, "{seed} {mean}: {after} {found:?}");
                assert_eq!(told(&mut detector, &mut random, mean, 0.3, 400), None, "{seed} {mean}");
            }
        }
    }

    /// A stream that never deviated has a floor; a single stall is no drift; what is no number is passed over.
    #[test]
    fn single_samples_are_no_drift() {
        let mut detector = PageHinkley::of_recall();
        assert!((0..500).all(|_| detector.push(1.0).is_none()));
        assert_eq!((detector.push(0.0), detector.push(0.0), detector.push(f64::NAN)), (None, None, None));
        assert!((0..500).all(|_| detector.push(1.0).is_none()));
        assert!((0..20).any(|_| detector.push(0.9) == Some(Turn::Down)));
        for far in [f64::INFINITY, f64::NEG_INFINITY, 1e308, -1e308].into_iter().cycle().take(1000) {
            assert_eq!(detector.push(far), None);
        }
        assert!(detector.mean.is_finite() && detector.held_back.iter().all(|sample| sample.abs() <= 1.0));
        let mut costs = PageHinkley::of_log_cost();
        assert!((0..3000).all(|step| costs.push(if step % 100 == 99 { 50.0 } else { 12.0 }).is_none()));
    }

    #[test]
    fn audits_take_no_more_than_their_share() {
        let mut burst =
            Burst::new(Allowance { most_saved_ns: 1e6, most_owed_ns: 2e5, audits: 4, ..Allowance::default() });
        assert!(!burst.may_audit(0, 0, 1) && burst.may_audit(0, 0, 0));
        assert!(!burst.may_audit(1_000_000, 0, 50_001) && burst.may_audit(1_000_000, 0, 50_000));
        assert!(!burst.may_audit(1_000_000, 50_000, 1));
        // A burst owes up to 200,000, and has four.
        burst.drifted();
        assert!(!burst.may_audit(1_000_000, 50_000, 200_001) && burst.may_audit(1_000_000, 50_000, 200_000));
        assert_eq!(burst.left(), 3);
        assert!(!burst.may_audit(1_000_000, 250_000, 1));
        assert!((0..3).all(|_| burst.may_audit(1_000_000, 50_000, 10)) && !burst.may_audit(1_000_000, 50_000, 10));
        // What is saved is bounded, whatever comes before.
        assert!(!burst.may_audit(1_000_000_000, 50_000, 1_000_001));
        assert!(burst.may_audit(1_000_000_000, 50_000, 1_000_000));
        assert!(!burst.may_audit(1_000_000_000, 1_050_000, 1) && !burst.may_audit(0, u64::MAX, 0));
    }

    /// Whatever comes: no more than the share, and what may be owed.
    #[test]
    fn no_burst_owes_more_than_it_may() {
        let (mut burst, mut random) = (Burst::new(Allowance { most_owed_ns: 5e6, ..Allowance::default() }), Random(2));
        let (mut queries, mut audits, mut made) = (0u64, 0u64, 0);
        for _ in 0..50_000 {
            queries += 1 + random.below(100_000) as u64;
            if random.below(100) == 0 {
                burst.drifted();
            }
            let expected = random.below(2_000_000) as u64;
            if burst.may_audit(queries, audits, expected) {
                (audits, made) = (audits + expected, made + 1);
            }
            assert!(audits as f64 <= 0.05 * queries as f64 + 5e6);
        }
        assert!(made > 100 && audits as f64 > 0.04 * queries as f64, "{made} {audits}");
    }
}

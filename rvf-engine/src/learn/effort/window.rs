//! [`RobustZ`]: how unlike the last 256 samples a sample is, whatever a few of them were.

use super::super::math::ln;
use std::collections::VecDeque;

/// Samples that are remembered.
const WINDOW: usize = 256;
/// Samples without which nothing is said.
const FEWEST: usize = 32;
/// The median of absolute deviations of a normal distribution times this is its standard deviation.
const OF_NORMAL: f64 = 1.4826;
/// Least deviation of logarithms that is believed: clocks and caches are no better.
const FLOOR: f64 = 0.02;
/// A score beyond this is a spike: of normal samples, one in 300,000 is.
const SPIKE: f64 = 4.5;

/// Scores latencies by the median of the last 256 and the median of their deviations from it, all by their logarithms.
///
/// A sample is scored before it is remembered. One that is in the window it is held against can hardly stand out: with means and deviations,
/// never by more than the root of the window's length. Half of the window may be spikes before they hide each other.
#[derive(Clone, Debug, Default)]
pub struct RobustZ {
    /// In the order they came,
    recent: VecDeque<f64>,
    /// and in the order of their size.
    sorted: Vec<f64>,
}

impl RobustZ {
    /// One that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many deviations a latency lies above the median of those before it, below 0 where it lies under it; then remembers it. `None` for
    /// the first 32, and for what is not above 0 or not finite, which is not remembered.
    pub fn score(&mut self, ns: f64) -> Option<f64> {
        if !(ns > 0.0 && ns.is_finite()) {
            return None;
        }
        let sample = ln(ns);
        let found = (self.sorted.len() >= FEWEST).then(|| {
            let median = middle(&self.sorted);
            (sample - median) / (OF_NORMAL * deviation(&self.sorted, median)).max(FLOOR)
        });
        self.remember(sample);
        found
    }

    /// Whether a latency is a spike: [`RobustZ::score`] above 4.5.
    pub fn is_spike(&mut self, ns: f64) -> bool {
        self.score(ns).is_some_and(|score| score > SPIKE)
    }

    fn remember(&mut self, sample: f64) {
        if self.recent.len() == WINDOW
            && let Some(oldest) = self.recent.pop_front()
        {
            let at = self.sorted.partition_point(|x| *x < oldest);
            self.sorted.drain(at..(at + 1).min(self.sorted.len()));
        }
        self.recent.push_back(sample);
        self.sorted.insert(self.sorted.partition_point(|x| *x < sample), sample);
    }
}

/// The median of sorted numbers; 0 where there are none.
fn middle(sorted: &[f64]) -> f64 {
    let at = |place: usize| sorted.get(place).copied().unwrap_or(0.0);
    0.5 * (at(sorted.len().saturating_sub(1) / 2) + at(sorted.len() / 2))
}

/// The median of absolute deviations of sorted numbers from their median: they grow to both sides of it, so the two sides are merged halfway.
fn deviation(sorted: &[f64], median: f64) -> f64 {
    let split = sorted.partition_point(|x| *x < median);
    let (below, above) = sorted.split_at(split);
    let (mut below, mut above) = (below.iter().rev().peekable(), above.iter().peekable());
    let mut nearest = Vec::with_capacity(sorted.len() / 2 + 1);
    while nearest.len() < sorted.len() / 2 + 1 {
        let (left, right) = (below.peek().map(|x| median - **x), above.peek().map(|x| **x - median));
        let is_left = left.is_some_and(|left| right.is_none_or(|right| left <= right));
        let Some(least) = (if is_left { left } else { right }) else { break };
        nearest.push(least);
        if is_left {
            below.next()
        } else {
            above.next()
        };
    }
    let last = nearest.len().saturating_sub(1);
    let at = |place: usize| nearest.get(place).copied().unwrap_or(0.0);
    0.5 * (at(last) + at(if sorted.len().is_multiple_of(2) { last.saturating_sub(1) } else { last }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn normal(random: &mut Random) -> f64 {
        let even = |random: &mut Random| (random.below(1 << 30) as f64 + 0.5) / f64::from(1 << 30);
        // Box and Muller (1958): with the tails that sums of twelve lack.
        (-2.0 * even(random).ln()).sqrt() * (std::f64::consts::TAU * even(random)).cos()
    }

    /// A latency around 200 microseconds.
    fn latency(random: &mut Random) -> f64 {
        2e5 * (0.25 * normal(random)).exp()
    }

    /// Catches medians that are off by one, and a window that forgets the wrong one.
    #[test]
    fn medians_are_those_of_the_last_256() {
        let (mut window, mut random) = (RobustZ::new(), Random(1));
        let mut all: Vec<f64> = Vec::new();
        for step in 0..700 {
            // Many are the same.
            let ns = if step % 3 == 0 { 100.0 } else { (1 + random.below(300)) as f64 };
            let last = &all[all.len().saturating_sub(WINDOW)..];
            let median = |mut values: Vec<f64>| {
                values.sort_by(f64::total_cmp);
                0.5 * (values[(values.len() - 1) / 2] + values[values.len() / 2])
            };
            let right = (last.len() >= FEWEST).then(|| {
                let center = median(last.to_vec());
                let spread = median(last.iter().map(|x| (x - center).abs()).collect());
                (ln(ns) - center) / (OF_NORMAL * spread).max(FLOOR)
            });
            let found = window.score(ns);
            assert_eq!(found.is_some(), right.is_some(), "{step}");
            assert!((found.unwrap_or(0.0) - right.unwrap_or(0.0)).abs() < 1e-9, "{step}: {found:?} {right:?}");
            all.push(ln(ns));
        }
    }

    #[test]
    fn tenfold_spikes_are_found_and_quiet_is_left_alone() {
        let (mut found, mut spikes, mut false_alarms, mut quiet) = (0, 0, 0, 0);
        for seed in 0..20 {
            let (mut window, mut random) = (RobustZ::new(), Random(seed));
            for step in 0..5000 {
                let is_spike = step > 300 && random.below(50) == 0;
                let ns = latency(&mut random) * if is_spike { 10.0 } else { 1.0 };
                let said = window.is_spike(ns);
                (spikes, quiet) = (spikes + i32::from(is_spike), quiet + i32::from(!is_spike));
                (found, false_alarms) =
                    (found + i32::from(said && is_spike), false_alarms + i32::from(said && !is_spike));
            }
        }
        assert!(spikes > 1500 && found * 100 >= spikes * 99, "{found} of {spikes}");
        assert!(false_alarms * 1000 <= quiet, "{false_alarms} of {quiet}");
    }

    #[test]
    fn a_sample_is_scored_before_it_is_remembered() {
        let mut window = RobustZ::new();
        for _ in 0..FEWEST {
            assert_eq!(window.score(100.0), None);
        }
        // All were the same: the floor stands for their deviation.
        let score = window.score(100.0 * 0.5f64.exp()).unwrap();
        assert!((score - 0.5 / FLOOR).abs() < 1e-9, "{score}");
        for ns in [0.0, -5.0, f64::NAN, f64::INFINITY] {
            assert_eq!(window.score(ns), None);
        }
        assert_eq!((window.recent.len(), window.sorted.len()), (FEWEST + 1, FEWEST + 1));
        // Two in five are spikes, and still are.
        let hits =
            (0..1000).filter(|step| window.is_spike(if step % 5 < 2 { 1e4 } else { 100.0 + f64::from(step % 7) }));
        assert!(hits.count() >= 398);
    }
}

//! [`Network`]: a small perceptron over the features of a candidate, beside a linear part; its loss and exact gradients.

use super::features::{FEATURES, Row};
use super::math::{exp, softsign, softsign_slope};
use crate::random::Random;

/// Hidden units.
pub(super) const HIDDEN: usize = 16;
/// Numbers of a network: weights and biases of the hidden units, their weights, those of the linear part.
pub(super) const WEIGHTS: usize = FEATURES * HIDDEN + HIDDEN + HIDDEN + FEATURES;

const BIAS: usize = FEATURES * HIDDEN;
const OUT: usize = BIAS + HIDDEN;
const LINEAR: usize = OUT + HIDDEN;

/// Mean and spread of the features, by which they are brought to one scale, and between which numbers each was seen: a network knows nothing
/// of what lies beyond.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    mean: Row,
    spread: Row,
    low: Row,
    high: Row,
}

impl Scale {
    /// That of some rows. Features that never change are told apart by nothing: their spread is 1.
    pub fn of<'r>(rows: impl Iterator<Item = &'r Row> + Clone) -> Self {
        let count = rows.clone().count().max(1) as f64;
        let mut scale =
            Self { mean: [0.0; FEATURES], spread: [1.0; FEATURES], low: [0.0; FEATURES], high: [0.0; FEATURES] };
        for feature in 0..FEATURES {
            let mean = rows.clone().map(|row| f64::from(row[feature])).sum::<f64>() / count;
            let square = rows.clone().map(|row| (f64::from(row[feature]) - mean).powi(2)).sum::<f64>() / count;
            scale.mean[feature] = mean as f32;
            let spread = square.sqrt() as f32;
            scale.spread[feature] = if spread > 1e-6 { spread } else { 1.0 };
            scale.low[feature] = rows.clone().map(|row| row[feature]).reduce(f32::min).unwrap_or(0.0);
            scale.high[feature] = rows.clone().map(|row| row[feature]).reduce(f32::max).unwrap_or(0.0);
        }
        scale
    }

    /// Means, then spreads, then the smallest, then the largest numbers.
    pub(super) fn numbers(&self) -> Vec<f32> {
        [self.mean, self.spread, self.low, self.high].concat()
    }

    /// What [`Scale::numbers`] gave; `None` where a spread is not above 0.
    pub(super) fn of_numbers(numbers: &[f32]) -> Option<Self> {
        let rows = numbers.as_chunks::<FEATURES>().0;
        let &[mean, spread, low, high] = rows else { return None };
        let is_sound =
            spread.iter().all(|spread| *spread > 0.0) && low.iter().zip(&high).all(|(low, high)| low <= high);
        is_sound.then_some(Self { mean, spread, low, high })
    }

    fn apply(&self, row: &Row) -> Row {
        let seen = |feature: usize| row[feature].max(self.low[feature]).min(self.high[feature]);
        std::array::from_fn(|feature| (seen(feature) - self.mean[feature]) / self.spread[feature])
    }
}

/// A network and the scale of what it sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    scale: Scale,
    pub(super) weights: Vec<f32>,
}

impl Network {
    /// One that orders by similarity alone: the hidden units begin with small random weights and are not heard.
    pub fn new(scale: Scale, seed: u64) -> Self {
        let mut random = Random(seed);
        let mut weights = vec![0.0; WEIGHTS];
        let reach = (3.0 / FEATURES as f32).sqrt();
        for weight in &mut weights[..BIAS] {
            *weight = (random.below(1 << 24) as f32 / (1 << 23) as f32 - 1.0) * reach;
        }
        weights[LINEAR] = 10.0 * scale.spread[0];
        Self { scale, weights }
    }

    /// One with these weights, [`WEIGHTS`] of them.
    pub(super) fn of_weights(scale: Scale, weights: &[f32]) -> Self {
        Self { scale, weights: weights.to_vec() }
    }

    /// The scale of what it sees.
    pub(super) fn scale(&self) -> &Scale {
        &self.scale
    }

    /// The score of a candidate: larger is better.
    pub fn score(&self, row: &Row) -> f32 {
        let seen = self.scale.apply(row);
        self.forward(&seen, &self.hidden(&seen))
    }

    fn hidden(&self, seen: &Row) -> [f32; HIDDEN] {
        let mut sums: [f32; HIDDEN] = std::array::from_fn(|unit| self.weights[BIAS + unit]);
        // Feature by feature, all units at once.
        for (weights, x) in self.weights[..BIAS].as_chunks::<HIDDEN>().0.iter().zip(seen) {
            for unit in 0..HIDDEN {
                sums[unit] += weights[unit] * x;
            }
        }
        sums.map(softsign)
    }

    fn forward(&self, seen: &Row, hidden: &[f32; HIDDEN]) -> f32 {
        let out: f32 = self.weights[OUT..LINEAR].iter().zip(hidden).map(|(weight, x)| weight * x).sum();
        let linear: f32 = self.weights[LINEAR..].iter().zip(seen).map(|(weight, x)| weight * x).sum();
        out + linear
    }

    /// The loss of one query, and its gradient, which is added to `gradient`: the cross entropy between the softmax of the scores and the
    /// grades, shared out to a sum of 1 (ListNet, Cao et al. 2007; InfoNCE where one is right). 0 where nothing is right.
    pub(super) fn loss(&self, rows: &[Row], grades: &[f32], gradient: &mut [f32]) -> f32 {
        let total: f32 = grades.iter().sum();
        if total <= 0.0 {
            return 0.0;
        }
        let seen: Vec<Row> = rows.iter().map(|row| self.scale.apply(row)).collect();
        let hidden: Vec<[f32; HIDDEN]> = seen.iter().map(|row| self.hidden(row)).collect();
        let scores: Vec<f32> = seen.iter().zip(&hidden).map(|(row, hidden)| self.forward(row, hidden)).collect();
        let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f32> = scores.iter().map(|score| exp(score - top)).collect();
        let sum: f32 = powers.iter().sum();
        let mut loss = 0.0;
        for at in 0..rows.len() {
            let right = grades[at] / total;
            loss -= f64::from(right) * (f64::from(scores[at] - top) - f64::from(sum).ln());
            self.add_gradient(&seen[at], &hidden[at], powers[at] / sum - right, gradient);
        }
        loss as f32
    }

    /// Adds the gradient of one candidate whose score has the slope `slope`.
    fn add_gradient(&self, seen: &Row, hidden: &[f32; HIDDEN], slope: f32, gradient: &mut [f32]) {
        let mut inner = [0f32; HIDDEN];
        for unit in 0..HIDDEN {
            gradient[OUT + unit] += slope * hidden[unit];
            inner[unit] = slope * self.weights[OUT + unit] * softsign_slope(hidden[unit]);
            gradient[BIAS + unit] += inner[unit];
        }
        for (weights, x) in gradient[..BIAS].as_chunks_mut::<HIDDEN>().0.iter_mut().zip(seen) {
            for unit in 0..HIDDEN {
                weights[unit] += inner[unit] * x;
            }
        }
        gradient[LINEAR..].iter_mut().zip(seen).for_each(|(weight, x)| *weight += slope * x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize) -> Vec<Row> {
        let mut random = Random(9);
        (0..count).map(|_| std::array::from_fn(|_| random.below(2000) as f32 / 1000.0 - 1.0)).collect()
    }

    /// A network whose every weight is heard.
    fn network(rows: &[Row]) -> Network {
        let mut network = Network::new(Scale::of(rows.iter()), 4);
        let mut random = Random(1);
        network.weights.iter_mut().for_each(|weight| *weight += random.below(1000) as f32 / 2000.0 - 0.25);
        network
    }

    #[test]
    fn untrained_it_orders_by_similarity() {
        let rows = rows(40);
        let network = Network::new(Scale::of(rows.iter()), 3);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|a, b| network.score(&rows[*b]).total_cmp(&network.score(&rows[*a])));
        assert!(order.windows(2).all(|pair| rows[pair[0]][0] >= rows[pair[1]][0]), "{order:?}");
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let rows = rows(7);
        let network = network(&rows);
        let grades = [0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0];
        let mut gradient = vec![0.0; WEIGHTS];
        network.loss(&rows, &grades, &mut gradient);
        let mut unused = vec![0.0; WEIGHTS];
        let mut largest = 0f32;
        for (at, slope) in gradient.iter().enumerate() {
            let mut moved = |by: f32| {
                let mut moved = network.clone();
                moved.weights[at] += by;
                moved.loss(&rows, &grades, &mut unused)
            };
            let by_difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((by_difference - slope).abs() < 2e-3, "{at}: {by_difference} {slope}");
            largest = largest.max(slope.abs());
        }
        assert!(largest > 0.1, "{largest}: nothing was measured");
    }

    #[test]
    fn without_anything_right_there_is_nothing_to_learn() {
        let rows = rows(3);
        let mut gradient = vec![0.0; WEIGHTS];
        assert_eq!(network(&rows).loss(&rows, &[0.0; 3], &mut gradient), 0.0);
        assert!(gradient.iter().all(|slope| *slope == 0.0));
    }
}

//! The InfoNCE loss of an adapted query, down to the slope of the adapted query.
//!
//! ```text
//! u = q + B(Aq)        z = u / |u|        s(d) = z . d / |d|
//! loss = mean over chosen p of  -ln  e^(s(p)/T) / (e^(s(p)/T) + sum over not chosen n of e^(s(n)/T))
//! slope by z:  h = sum over documents of dloss/ds(d) d / |d|
//! slope by u:  g = (h - (h . z) z) / |u|
//! ```
//! (van den Oord et al. 2018, equation 4.) Another chosen document is no rival of p, nor is one that is the same as a chosen one.

use super::super::math::{dot, exp};
use super::low_rank::{Forward, LowRank, add};

/// Temperatures that are allowed: scores lie 2 apart at most, so that no exponential becomes 0.
const TEMPERATURES: std::ops::RangeInclusive<f32> = 0.025..=10.0;
/// Documents at least this similar are the same one, stored twice.
const SAME: f32 = 0.999;

/// Whether scores may be divided by it.
pub(super) fn is_temperature(temperature: f32) -> bool {
    TEMPERATURES.contains(&temperature)
}

/// Documents of a query: the first `chosen` were chosen. All have the dimension of the query.
pub(super) trait Documents {
    fn chosen(&self) -> usize;
    fn all(&self) -> usize;
    fn row(&self, at: usize) -> &[f32];
}

/// Chosen and not chosen, as a caller has them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'d> {
    pub(super) chosen: &'d [&'d [f32]],
    pub(super) others: &'d [&'d [f32]],
}

impl Documents for Pair<'_> {
    fn chosen(&self) -> usize {
        self.chosen.len()
    }

    fn all(&self) -> usize {
        self.chosen.len() + self.others.len()
    }

    fn row(&self, at: usize) -> &[f32] {
        self.chosen.get(at).or_else(|| self.others.get(at - self.chosen.len())).copied().unwrap_or_default()
    }
}

/// Writes 1 / |d| of every document to `scales`, and 0 for what does not count: documents without a direction, and those not chosen that are
/// the same as a chosen one.
pub(super) fn scales(documents: &impl Documents, scales: &mut Vec<f32>) {
    scales.clear();
    for at in 0..documents.all() {
        let row = documents.row(at);
        let scale = 1.0 / dot(row, row).sqrt();
        let is_same = |chosen: usize| dot(documents.row(chosen), row) * scale * scales[chosen] >= SAME;
        let counts =
            scale > 0.0 && scale.is_finite() && (at < documents.chosen() || !(0..documents.chosen()).any(is_same));
        scales.push(if counts { scale } else { 0.0 });
    }
}

/// What a loss is worked out in; kept, so that nothing is allocated anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    pub(super) forward: Forward,
    /// By document: the score over the temperature, then its power, then the slope by the score.
    slopes: Vec<f32>,
    /// The slope by u.
    pub(super) slope: Vec<f32>,
}

impl Work {
    /// The error of a query, and the slope of its loss by u, in `slope`. The error is the mean over chosen documents of 1 less their
    /// probability: like the loss it falls as they are told apart, and it is bounded. `None` where there is nothing to tell apart.
    pub(super) fn contrast(
        &mut self,
        adapter: &LowRank,
        query: &[f32],
        documents: &impl Documents,
        scales: &[f32],
        temperature: f32,
    ) -> Option<f32> {
        if !adapter.forward(query, &mut self.forward) {
            return None;
        }
        let adapted = &self.forward.adapted;
        let score = |(at, scale): (usize, &f32)| dot(documents.row(at), adapted) * scale / temperature;
        self.slopes.clear();
        self.slopes.extend(scales.iter().enumerate().map(score));
        let error = slopes(&mut self.slopes, scales, documents.chosen(), temperature)?;
        self.slope.clear();
        self.slope.resize(query.len(), 0.0);
        for (at, (slope, scale)) in self.slopes.iter().zip(scales).enumerate() {
            add(slope * scale, documents.row(at), &mut self.slope);
        }
        through_length(&self.forward, &mut self.slope);
        error.is_finite().then_some(error)
    }
}

/// Turns a slope by z into one by u.
pub(super) fn through_length(forward: &Forward, slope: &mut [f32]) {
    let along = dot(slope, &forward.adapted);
    slope.iter_mut().zip(&forward.adapted).for_each(|(slope, x)| *slope = (*slope - along * x) / forward.length);
}

/// Turns scores over the temperature into slopes of the loss by the scores, and tells the error.
fn slopes(scores: &mut [f32], scales: &[f32], chosen: usize, temperature: f32) -> Option<f32> {
    let top = scores.iter().zip(scales).filter(|(_, scale)| **scale > 0.0).map(|(score, _)| *score);
    let top = top.fold(f32::NEG_INFINITY, f32::max);
    let powers = scores;
    for (score, scale) in powers.iter_mut().zip(scales) {
        *score = if *scale > 0.0 { exp(*score - top) } else { 0.0 };
    }
    let (powers, others) = powers.split_at_mut_checked(chosen)?;
    let (of_others, count) = (others.iter().sum::<f32>(), powers.iter().filter(|power| **power > 0.0).count() as f32);
    if of_others <= 0.0 || count == 0.0 {
        return None;
    }
    // What a power of an other is multiplied by: the sum over chosen ones of 1 / (power + powers of the others).
    let (mut share, mut error) = (0.0, 0.0);
    for power in powers.iter_mut().filter(|power| **power > 0.0) {
        let sum = *power + of_others;
        share += 1.0 / sum;
        error += of_others / sum;
        *power = -of_others / sum / (count * temperature);
    }
    others.iter_mut().for_each(|power| *power *= share / (count * temperature));
    Some(error / count)
}

#[cfg(test)]
mod tests {
    use super::super::low_rank::Gradient;
    use super::*;
    use crate::random::Random;

    const TEMPERATURE: f32 = 0.2;

    fn vectors(count: usize, seed: u64) -> Vec<Vec<f32>> {
        let mut random = Random(seed);
        (0..count).map(|_| (0..8).map(|_| random.below(2000) as f32 / 1000.0 - 1.0).collect()).collect()
    }

    /// The loss, from its definition, in f64.
    fn loss(adapter: &LowRank, query: &[f32], pair: &Pair<'_>, left_out: &[usize]) -> f64 {
        let mut adapted = vec![0.0; query.len()];
        assert!(adapter.apply(query, &mut adapted));
        let score = |document: &[f32]| {
            let [dot, a, b] = [(&*adapted, document), (&*adapted, &*adapted), (document, document)]
                .map(|(a, b)| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>());
            (dot / (a * b).sqrt() / f64::from(TEMPERATURE)).exp()
        };
        let others = pair.others.iter().enumerate().filter(|(at, _)| !left_out.contains(at));
        let others: f64 = others.map(|(_, document)| score(document)).sum();
        let of = |document: &&[f32]| -(score(document) / (score(document) + others)).ln();
        pair.chosen.iter().map(of).sum::<f64>() / pair.chosen.len() as f64
    }

    /// Catches a wrong term anywhere on the way from the loss to the factors: softmax, mask, length of documents, length of u, A, B.
    #[test]
    fn gradients_are_those_of_finite_differences() {
        let all = vectors(8, 3);
        let twice: Vec<f32> = all[1].iter().map(|x| x * 3.0).collect();
        let (chosen, others) = ([&*all[1], &all[2]], [&*all[3], &all[4], &twice, &all[5], &all[6]]);
        let pair = Pair { chosen: &chosen, others: &others };
        let mut adapter = LowRank::new(8, 3, 5);
        adapter.b.copy_from_slice(&LowRank::new(8, 3, 6).a);
        let mut known = Vec::new();
        scales(&pair, &mut known);
        assert_eq!(
            known.iter().map(|scale| *scale > 0.0).collect::<Vec<_>>(),
            [true, true, true, true, false, true, true]
        );
        let (mut work, mut gradient) = (Work::default(), Gradient::of(&adapter));
        work.contrast(&adapter, &all[0], &pair, &known, TEMPERATURE).unwrap();
        adapter.add_gradient(&all[0], &work.forward.hidden, &work.slope, 1.0, &mut gradient);
        let mut largest = 0f64;
        for at in 0..adapter.a.len() {
            for (is_a, slope) in [(true, gradient.a[at]), (false, gradient.b[at])] {
                let moved = |by: f32| {
                    let mut moved = adapter.clone();
                    if is_a {
                        moved.a[at] += by
                    } else {
                        moved.b[at] += by
                    }
                    loss(&moved, &all[0], &pair, &[2])
                };
                let by_difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!((by_difference - f64::from(slope)).abs() < 3e-3, "{is_a} {at}: {by_difference} {slope}");
                largest = largest.max(by_difference.abs());
            }
        }
        assert!(largest > 0.1, "{largest}: nothing was measured");
    }

    #[test]
    fn errors_are_what_is_left_of_the_probability() {
        let adapter = LowRank::new(2, 1, 1);
        let (chosen, others) = ([&[0.0, 1.0][..]], [&[0.0, 2.0][..], &[1.0, 0.0], &[0.0, 0.0]]);
        let error = |others: &[&[f32]]| {
            let (pair, mut known) = (Pair { chosen: &chosen, others }, Vec::new());
            scales(&pair, &mut known);
            Work::default().contrast(&adapter, &[1.0, 0.0], &pair, &known, 0.5)
        };
        let right = 1.0 - 1.0 / (1.0 + 2f32.exp());
        assert!((error(&others).unwrap() - right).abs() < 1e-6);
        // The same document again, one without a direction, nothing: nothing to tell apart.
        assert_eq!((error(&others[..1]), error(&others[2..]), error(&[])), (None, None, None));
    }
}

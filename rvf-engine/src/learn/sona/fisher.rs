//! Online EWC on the product of the factors: what the adapter must not forget, and what it costs to leave it.
//!
//! ```text
//! W = BA                                 penalty = strength / 2 * sum over i, j of F_ij (W_ij - W*_ij)^2
//! slope by W of one example: g q^T       F_ij = mean over examples of  E over labels c of g(c)_i^2  *  q_j^2
//! g(c) = P (m - d_c) / T,  m = sum over c of p_c d_c,  P = (1 - z z^T) / |u|      so  E g_i^2 = Var over c of (P d_c)_i / T^2
//! ```
//! Departures from online EWC (Schwarz et al. 2018, section 3; Kirkpatrick et al. 2017, equation 3):
//!
//! 1. The penalty is on W, not on A and B: factors AR and R^-1 B are the same adapter, and a penalty on them would not see that.
//! 2. Labels are the model's own, as the Fisher information wants it, and their expectation is exact, not drawn: a softmax over the documents
//!    of a query has few outcomes. Observed labels (the empirical Fisher) would vanish where the model is well fitted.
//! 3. Squares are of each example's gradient, never of a mean of gradients, which vanishes with the size of a batch.

use super::super::math::{dot, exp};
use super::contrast::{Documents, through_length};
use super::low_rank::{Forward, Gradient, LowRank, add};
use super::trajectory::Trajectory;

/// What is remembered of past topics: where the adapter was, and how much each element of W mattered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Anchor {
    /// The adapter at the last consolidation: W*.
    pub(super) adapter: LowRank,
    /// F: `dimension` rows of `dimension`.
    pub(super) fisher: Vec<f32>,
}

impl Anchor {
    /// Adds the slopes of EWC's penalty by the factors: with G = strength F (W - W*), they are B^T G by A and G A^T by B. Row by row, since
    /// W is never whole.
    pub(super) fn add_gradient(&self, adapter: &LowRank, strength: f32, row: &mut Vec<f32>, sum: &mut Gradient) {
        let width = adapter.dimension().max(1);
        row.resize(width, 0.0);
        for (at, fisher) in self.fisher.chunks_exact(width).enumerate() {
            row.fill(0.0);
            adapter.rows().for_each(|(a, b)| add(b[at], a, row));
            self.adapter.rows().for_each(|(a, b)| add(-b[at], a, row));
            row.iter_mut().zip(fisher).for_each(|(x, weight)| *x *= strength * weight);
            let sums = sum.a.chunks_exact_mut(width).zip(sum.b.chunks_exact_mut(width));
            for ((a, b), (sum_a, sum_b)) in adapter.rows().zip(sums) {
                add(b[at], row, sum_a);
                sum_b[at] += dot(row, a);
            }
        }
    }
}

/// Adds the slopes of `strength / 2 * |W - W*|^2` by the factors, of which W* may be 0. Products of factors with factors are enough: by A it
/// is B^T (BA - B*A*), by B it is (BA - B*A*) A^T.
pub(super) fn add_pull(adapter: &LowRank, to: Option<&LowRank>, strength: f32, sum: &mut Gradient) {
    let width = adapter.dimension().max(1);
    let sums = sum.a.chunks_exact_mut(width).zip(sum.b.chunks_exact_mut(width));
    for ((a, b), (sum_a, sum_b)) in adapter.rows().zip(sums) {
        let now = adapter.rows().map(|rows| (strength, rows));
        let then = to.into_iter().flat_map(LowRank::rows).map(|rows| (-strength, rows));
        for (strength, (other_a, other_b)) in now.chain(then) {
            add(strength * dot(b, other_b), other_a, sum_a);
            add(strength * dot(a, other_a), other_b, sum_b);
        }
    }
}

/// The diagonal of the Fisher information of W over trajectories of the adapter's dimension: the mean of theirs. All 0 where there are none.
pub(super) fn fisher(adapter: &LowRank, trajectories: &[Trajectory], temperature: f32) -> Vec<f32> {
    let width = adapter.dimension();
    let mut sum = vec![0.0; width * width];
    let weight = 1.0 / trajectories.len().max(1) as f32;
    let mut forward = Forward::default();
    for trajectory in trajectories {
        let Some(variance) = variance(adapter, trajectory, temperature, &mut forward) else { continue };
        let squares: Vec<f32> = trajectory.query().iter().map(|x| x * x).collect();
        for (row, variance) in sum.chunks_exact_mut(width.max(1)).zip(variance) {
            add(weight * variance, &squares, row);
        }
    }
    sum
}

/// E over labels of g_i^2 for one trajectory.
fn variance(adapter: &LowRank, of: &Trajectory, temperature: f32, forward: &mut Forward) -> Option<Vec<f32>> {
    if !adapter.forward(of.query(), forward) {
        return None;
    }
    let scores: Vec<f32> = (0..of.all()).map(|at| dot(of.row(at), &forward.adapted) / temperature).collect();
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|score| exp(score - top)).collect();
    let total: f32 = powers.iter().sum();
    let projected: Vec<Vec<f32>> = (0..of.all())
        .map(|at| {
            let mut row = of.row(at).to_vec();
            through_length(forward, &mut row);
            row
        })
        .collect();
    let mut mean = vec![0.0; adapter.dimension()];
    projected.iter().zip(&powers).for_each(|(row, power)| add(power / total, row, &mut mean));
    let mut found = vec![0.0; adapter.dimension()];
    for (row, power) in projected.iter().zip(&powers) {
        let weight = power / total / (temperature * temperature);
        for ((found, x), mean) in found.iter_mut().zip(row).zip(&mean) {
            *found += weight * (x - mean) * (x - mean);
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::super::contrast::{Work, scales};
    use super::super::training::tests::topic;
    use super::*;
    use crate::random::Random;

    const DIMENSION: usize = 8;

    fn adapter(seed: u64) -> LowRank {
        let mut adapter = LowRank::new(DIMENSION, 2, seed);
        adapter.b.copy_from_slice(&LowRank::new(DIMENSION, 2, seed + 1).a);
        adapter
    }

    fn product(adapter: &LowRank) -> Vec<f32> {
        let mut product = vec![0.0; DIMENSION * DIMENSION];
        for (a, b) in adapter.rows() {
            for (row, b) in product.chunks_exact_mut(DIMENSION).zip(b) {
                add(*b, a, row);
            }
        }
        product
    }

    /// Catches gradients that are averaged before they are squared, observed labels in place of the model's, and a lost factor: each label's
    /// gradient is taken from the loss, as if that document alone had been chosen.
    #[test]
    fn the_fisher_information_is_the_mean_of_squared_gradients_over_the_models_labels() {
        let (adapter, trajectories) = (adapter(3), topic(DIMENSION, 5, 1));
        let mut right = vec![0f64; DIMENSION * DIMENSION];
        for of in &trajectories {
            let rows: Vec<&[f32]> = (0..of.all()).map(|at| of.row(at)).collect();
            for label in 0..rows.len() {
                let mut turned = rows.clone();
                turned.swap(0, label);
                let alone = Trajectory::new(of.query(), &turned[..1], &turned[1..]).unwrap();
                let (mut work, mut known) = (Work::default(), Vec::new());
                scales(&alone, &mut known);
                let error = work.contrast(&adapter, alone.query(), &alone, &known, 0.3).unwrap();
                for i in 0..DIMENSION {
                    for j in 0..DIMENSION {
                        let slope = f64::from(work.slope[i] * of.query()[j]);
                        right[i * DIMENSION + j] += f64::from(1.0 - error) * slope * slope / 5.0;
                    }
                }
            }
        }
        let found = fisher(&adapter, &trajectories, 0.3);
        let largest = right.iter().copied().fold(0.0, f64::max);
        assert!(largest > 0.01, "{largest}");
        for (found, right) in found.iter().zip(&right) {
            assert!((f64::from(*found) - right).abs() < largest * 1e-4, "{found} {right}");
        }
    }

    #[test]
    fn slopes_of_the_penalty_are_those_of_finite_differences() {
        let mut random = Random(7);
        let weights = (0..DIMENSION * DIMENSION).map(|_| random.below(100) as f32 / 100.0).collect();
        let (anchor, adapter) = (Anchor { adapter: adapter(5), fisher: weights }, adapter(9));
        for penalty in ["EWC", "L2", "to the identity"] {
            let mut gradient = Gradient::of(&adapter);
            match penalty {
                "EWC" => anchor.add_gradient(&adapter, 0.7, &mut Vec::new(), &mut gradient),
                "L2" => add_pull(&adapter, Some(&anchor.adapter), 0.7, &mut gradient),
                _ => add_pull(&adapter, None, 0.7, &mut gradient),
            }
            let cost = |adapter: &LowRank| {
                let (now, then) = (product(adapter), product(&anchor.adapter));
                let of = |((now, then), weight): ((&f32, &f32), &f32)| {
                    let weight = if penalty == "EWC" { f64::from(*weight) } else { 1.0 };
                    let then = if penalty == "to the identity" { 0.0 } else { *then };
                    0.35 * weight * f64::from(now - then).powi(2)
                };
                now.iter().zip(&then).zip(&anchor.fisher).map(of).sum::<f64>()
            };
            for at in 0..adapter.a.len() {
                for (is_a, slope) in [(true, gradient.a[at]), (false, gradient.b[at])] {
                    let moved = |by: f32| {
                        let mut moved = adapter.clone();
                        if is_a {
                            moved.a[at] += by
                        } else {
                            moved.b[at] += by
                        }
                        cost(&moved)
                    };
                    let by_difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                    assert!((by_difference - f64::from(slope)).abs() < 1e-3, "{penalty} {at}: {by_difference} {slope}");
                }
            }
        }
    }

    /// Catches a penalty on the factors: other factors of the same product cost nothing.
    #[test]
    fn other_factors_of_the_same_product_cost_nothing() {
        let then = adapter(3);
        let mut now = then.clone();
        now.a.iter_mut().for_each(|x| *x *= 2.0);
        now.b.iter_mut().for_each(|x| *x *= 0.5);
        let anchor = Anchor { adapter: then, fisher: vec![1.0; DIMENSION * DIMENSION] };
        let mut gradient = Gradient::of(&now);
        anchor.add_gradient(&now, 100.0, &mut Vec::new(), &mut gradient);
        assert!(gradient.a.iter().chain(&gradient.b).all(|slope| slope.abs() < 1e-3), "{gradient:?}");
    }
}

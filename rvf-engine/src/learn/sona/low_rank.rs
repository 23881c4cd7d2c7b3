//! [`LowRank`]: a residual of low rank on the query, and its gradient.

use super::super::math::dot;
use super::super::tensors::Tensors;
use crate::random::Random;

/// A residual of low rank: q' = |q| u / |u| with u = q + B(Aq); for queries of unit length, u normalised.
///
/// As in LoRA (Hu et al. 2021, section 4.1) A is random and B is 0 at the start; here the matrix that is adapted is the identity. Keeping the
/// length of the query makes it fit for every metric.
#[derive(Clone, Debug, PartialEq)]
pub struct LowRank {
    dimension: usize,
    rank: usize,
    /// A: `rank` rows of `dimension`.
    pub(super) a: Vec<f32>,
    /// B transposed, so that both are read by rows.
    pub(super) b: Vec<f32>,
}

/// What applying an adapter leaves for its gradient.
#[derive(Clone, Debug, Default)]
pub(super) struct Forward {
    /// Aq.
    pub(super) hidden: Vec<f32>,
    /// u / |u|.
    pub(super) adapted: Vec<f32>,
    /// |u|.
    pub(super) length: f32,
}

/// Slopes of a loss by the factors, laid out as these.
#[derive(Clone, Debug, Default)]
pub(super) struct Gradient {
    pub(super) a: Vec<f32>,
    pub(super) b: Vec<f32>,
}

impl LowRank {
    /// The identity. `rank` is brought into 1 to `dimension`; elements of A have mean 0 and variance 1 / `rank`, so that a query of unit
    /// length has a hidden vector of about unit length.
    pub fn new(dimension: usize, rank: usize, seed: u64) -> Self {
        let rank = rank.clamp(1, dimension.max(1));
        let mut random = Random(seed);
        let spread = 1.0 / (rank as f32).sqrt();
        let a = (0..rank * dimension).map(|_| spread * normal(&mut random)).collect();
        Self { dimension, rank, a, b: vec![0.0; rank * dimension] }
    }

    /// Elements of a query.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The rank of the residual.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Whether it leaves every query as it is.
    pub fn is_identity(&self) -> bool {
        self.b.iter().all(|x| *x == 0.0)
    }

    /// Writes the adapted query to `out`. While B is 0 these are the bits of the query. `false` where the lengths are wrong (`out` is left
    /// as it was) or the result is not finite (`out` is the query).
    pub fn apply(&self, query: &[f32], out: &mut [f32]) -> bool {
        if query.len() != self.dimension || out.len() != self.dimension {
            return false;
        }
        out.copy_from_slice(query);
        if self.is_identity() {
            return true;
        }
        for (a, b) in self.rows() {
            add(dot(a, query), b, out);
        }
        let scale = (dot(query, query) / dot(out, out)).sqrt();
        if scale.is_finite() {
            out.iter_mut().for_each(|x| *x *= scale);
        } else {
            out.copy_from_slice(query);
        }
        scale.is_finite()
    }

    /// The Frobenius norm of BA: how far a query of unit length can be moved at most.
    pub fn norm(&self) -> f32 {
        let mut square = 0.0;
        for (a, b) in self.rows() {
            for (other_a, other_b) in self.rows() {
                square += dot(a, other_a) * dot(b, other_b);
            }
        }
        square.max(0.0).sqrt()
    }

    /// Rows of A, each with its column of B.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&[f32], &[f32])> {
        self.a.chunks_exact(self.dimension.max(1)).zip(self.b.chunks_exact(self.dimension.max(1)))
    }

    /// Applies itself to a query of the right length, and keeps what the gradient needs. `false` where there is no direction.
    pub(super) fn forward(&self, query: &[f32], forward: &mut Forward) -> bool {
        forward.hidden.clear();
        forward.adapted.clear();
        forward.adapted.extend_from_slice(query);
        for (a, b) in self.rows() {
            let hidden = dot(a, query);
            forward.hidden.push(hidden);
            add(hidden, b, &mut forward.adapted);
        }
        forward.length = dot(&forward.adapted, &forward.adapted).sqrt();
        let is_sound = forward.length > 0.0 && forward.length.is_finite();
        if is_sound {
            forward.adapted.iter_mut().for_each(|x| *x /= forward.length);
        }
        is_sound
    }

    /// Adds `weight` times the gradient of a loss whose slope by u is `slope`: by B it is slope (Aq)^T, by A it is (B^T slope) q^T.
    pub(super) fn add_gradient(&self, query: &[f32], hidden: &[f32], slope: &[f32], weight: f32, sum: &mut Gradient) {
        let width = self.dimension.max(1);
        let sums = sum.a.chunks_exact_mut(width).zip(sum.b.chunks_exact_mut(width));
        for (((_, b), hidden), (sum_a, sum_b)) in self.rows().zip(hidden).zip(sums) {
            add(weight * dot(b, slope), query, sum_a);
            add(weight * hidden, slope, sum_b);
        }
    }

    /// Puts the factors under `prefix.a` and `prefix.b`, each `[rank, dimension]`; B is transposed. `false` where they are not finite.
    pub(super) fn put(&self, prefix: &str, tensors: &mut Tensors) -> bool {
        let shape = [self.rank, self.dimension];
        tensors.put(&format!("{prefix}.a"), &shape, self.a.clone())
            && tensors.put(&format!("{prefix}.b"), &shape, self.b.clone())
    }

    /// What [`Self::put`] has put, if it is for queries of this dimension.
    pub(super) fn get(prefix: &str, tensors: &Tensors, dimension: usize) -> Option<Self> {
        let a = tensors.tensor(&format!("{prefix}.a"))?;
        let rank = *a.shape.first()?;
        let shape = [rank, dimension];
        let (a, b) = (tensors.get(&format!("{prefix}.a"), &shape)?, tensors.get(&format!("{prefix}.b"), &shape)?);
        (1..=dimension).contains(&rank).then(|| Self { dimension, rank, a: a.to_vec(), b: b.to_vec() })
    }
}

impl Gradient {
    /// None, for an adapter.
    pub(super) fn of(adapter: &LowRank) -> Self {
        Self { a: vec![0.0; adapter.a.len()], b: vec![0.0; adapter.b.len()] }
    }

    pub(super) fn clear(&mut self) {
        self.a.fill(0.0);
        self.b.fill(0.0);
    }

    /// Scales itself to a norm of at most `most` (Pascanu et al. 2013, algorithm 1); `false` where it is not finite.
    pub(super) fn clip(&mut self, most: f32) -> bool {
        let norm = (dot(&self.a, &self.a) + dot(&self.b, &self.b)).sqrt();
        if norm > most {
            self.a.iter_mut().chain(&mut self.b).for_each(|x| *x *= most / norm);
        }
        norm.is_finite()
    }
}

/// Adds `weight` times `vector` to `sum`.
pub(super) fn add(weight: f32, vector: &[f32], sum: &mut [f32]) {
    sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += weight * x);
}

/// A number of mean 0 and variance 1, about normal: the sum of twelve even ones less 6.
fn normal(random: &mut Random) -> f32 {
    const STEPS: usize = 1 << 20;
    let sum: usize = (0..12).map(|_| random.below(STEPS)).sum();
    sum as f32 / STEPS as f32 - 6.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a start that changes results, if only in the last bits: 0.1 x 3 is not of unit length.
    #[test]
    fn untrained_it_is_the_identity_to_the_bit() {
        let adapter = LowRank::new(3, 2, 5);
        let query = [0.1, -0.0, 0.3];
        let mut out = [9.0; 3];
        assert!(adapter.is_identity() && adapter.apply(&query, &mut out));
        assert_eq!(out.map(f32::to_bits), query.map(f32::to_bits));
        assert_eq!(adapter.norm(), 0.0);
    }

    #[test]
    fn it_applies_its_factors_and_keeps_the_length() {
        let adapter = LowRank { dimension: 2, rank: 1, a: vec![1.0, 2.0], b: vec![0.0, 1.0] };
        let mut out = [0.0; 2];
        // u = (3, 0) + 3 (0, 1).
        assert!(adapter.apply(&[3.0, 0.0], &mut out));
        assert!(out.iter().all(|x| (x - 4.5f32.sqrt()).abs() < 1e-6), "{out:?}");
        assert!((adapter.norm() - 5f32.sqrt()).abs() < 1e-6);
        // BA = (1, 2; 3, -1).
        let two = LowRank { dimension: 2, rank: 2, a: vec![1.0, 2.0, 3.0, -1.0], b: vec![1.0, 0.0, 0.0, 1.0] };
        assert!((two.norm() - 15f32.sqrt()).abs() < 1e-6);
        let alike = LowRank { dimension: 2, rank: 2, a: vec![1.0, 2.0, 1.0, 2.0], b: vec![1.0, 0.0, -1.0, 0.0] };
        assert_eq!(alike.norm(), 0.0);
        // u = 0: there is no direction.
        let adapter = LowRank { dimension: 2, rank: 1, a: vec![1.0, 0.0], b: vec![-1.0, 0.0] };
        assert!(!adapter.apply(&[1.0, 0.0], &mut out) && out == [1.0, 0.0]);
        assert!(!adapter.apply(&[1.0], &mut out) && !adapter.apply(&[1.0, 0.0], &mut out[..1]));
        assert!(!adapter.apply(&[f32::NAN, 0.0], &mut out) && LowRank::new(0, 1, 1).apply(&[], &mut []));
    }

    #[test]
    fn random_elements_have_the_spread_that_is_promised() {
        let adapter = LowRank::new(1000, 4, 3);
        let mean = adapter.a.iter().sum::<f32>() / 4000.0;
        let square = adapter.a.iter().map(|x| x * x).sum::<f32>() / 4000.0;
        assert!(mean.abs() < 0.03 && (square - 0.25).abs() < 0.02, "{mean} {square}");
        assert_eq!((LowRank::new(3, 9, 1).rank(), LowRank::new(3, 0, 1).rank()), (3, 1));
    }

    #[test]
    fn gradients_are_clipped_by_their_norm() {
        let mut gradient = Gradient { a: vec![3.0], b: vec![4.0] };
        assert!(gradient.clip(10.0) && gradient.a == [3.0]);
        assert!(gradient.clip(1.0) && (gradient.a[0] - 0.6).abs() < 1e-6 && (gradient.b[0] - 0.8).abs() < 1e-6);
        gradient.b[0] = f32::NAN;
        assert!(!gradient.clip(1.0));
    }
}

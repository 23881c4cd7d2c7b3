//! [`Projection`]: rows to fewer, evenly spread components: principal components, rotated at random.
//!
//! ```text
//! x' = x - mean (l2) | x (dot) | x / |x| (cosine)         y = M x', M of signed bytes
//! M ~ R V: V the main components of a sample, of as many dimensions as are kept; R a random rotation of those
//! ```
//! V keeps what tells rows apart (principal components; here by orthogonal iteration: Golub and Van Loan, Matrix Computations,
//! 8.2.4). R spreads it over all components, so that one step fits them all (as RaBitQ rotates: Gao and Long 2024; by signs and
//! Hadamard transforms: Ailon and Chazelle 2009). Where all dimensions are kept M is R alone. All sums are those of
//! [`Kernels::exact_distances`] or in a fixed order: the same M on every machine.

use super::{MOST, inverse_norm, means};
use crate::kernel::{KernelError, Kernels, Op, Query};
use crate::random::Random;
use std::borrow::Cow;

/// How rows become components.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Projection<'a> {
    pub(crate) op: Op,
    pub(crate) dimension: usize,
    pub(crate) outputs: usize,
    /// `outputs` rows of `dimension`.
    pub(crate) map: Cow<'a, [i8]>,
    /// Subtracted from rows, one a component; empty if all are 0.
    pub(crate) offsets: Cow<'a, [f32]>,
}

/// Applications of the covariance, and rows that it is of at most.
const ROUNDS: usize = 6;
const MOST_SAMPLED: usize = 2048;
/// The share of a row that must be left beside the span of others, for it to be more than rounding.
const SPANNED: f64 = 1e-5;
/// Rounds of signs and transforms of a rotation.
const SPREADS: usize = 4;
/// A row whose bytes would be off by more than this share of its squares is projected as it is.
const COARSE: f32 = 3e-4;
const SEED: u64 = 0x0034_5051_5200;

/// What projections of a file's rows have in common.
#[derive(Clone, Debug)]
pub(crate) struct Trained {
    op: Op,
    dimension: usize,
    offsets: Vec<f32>,
    /// The main components, the first of them first; none where no dimension is dropped.
    main: Vec<Vec<f32>>,
}

impl Trained {
    /// Learns up to `kept` main components, fewer than `dimension`, from a sample of rows that are finite; none for 0.
    ///
    /// # Errors
    /// [`KernelError`] for rows beyond the range of the arithmetic.
    pub(crate) fn new(
        kernels: Kernels,
        op: Op,
        dimension: usize,
        kept: usize,
        sample: &[Vec<f32>],
    ) -> Result<Self, KernelError> {
        let offsets = if op == Op::L2 { means(dimension, sample) } else { Vec::new() };
        let mut trained = Self { op, dimension, offsets, main: Vec::new() };
        if kept > 0 {
            let shifted: Vec<Vec<f32>> = sample.iter().map(|row| shifted(op, &trained.offsets, row)).collect();
            trained.main = main_components(kernels, &shifted, dimension, kept)?;
        }
        Ok(trained)
    }

    /// The projection to so many components: to main ones if that is fewer than there are, and they are known. Components beyond
    /// the dimension are 0.
    pub(crate) fn projection(&self, outputs: usize) -> Projection<'static> {
        let kept = outputs.min(self.dimension);
        let rotation = rotation(kept);
        let rows = match self.main.get(..kept) {
            Some(main) if kept < self.dimension => rotation.iter().map(|weights| combined(weights, main)).collect(),
            _ => rotation,
        };
        let largest = rows.iter().flatten().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
        let byte = |value: &f32| (value / largest * MOST).round_ties_even() as i8;
        let mut map: Vec<i8> = rows.iter().flatten().map(byte).collect();
        map.resize(outputs * self.dimension, 0);
        let (map, offsets) = (Cow::Owned(map), Cow::Owned(self.offsets.clone()));
        Projection { op: self.op, dimension: self.dimension, outputs, map, offsets }
    }
}

impl Projection<'_> {
    /// The components of `row`; the same on every machine. By signed bytes where they are fine enough, which is a fifth of the
    /// work, else in binary64.
    ///
    /// # Errors
    /// [`KernelError`] for a row that is not finite, or beyond the range of the arithmetic.
    pub(crate) fn apply(&self, kernels: Kernels, row: &[f32], to: &mut [f32]) -> Result<(), KernelError> {
        let shifted = match self.offsets.is_empty() {
            true => Cow::Borrowed(row),
            false => Cow::Owned(shifted(self.op, &self.offsets, row)),
        };
        let mut bytes = vec![0i8; row.len()];
        let scale = kernels.bytes_of(&shifted, &mut bytes);
        if !scale.is_finite {
            return Err(KernelError::QueryNotFinite);
        }
        let error = scale.step * scale.step / 12.0 * row.len() as f32;
        // Also false where the squares leave the range.
        let fine = error <= COARSE * scale.squares && scale.squares <= f32::MAX;
        let length = if self.op == Op::Cosine { inverse_length(row, scale.squares, fine) } else { 1.0 };
        if fine {
            kernels.distances(&Query::new(Op::Dot, &bytes)?, &self.map, to)?;
            let factor = -scale.step * length as f32;
            to.iter_mut().for_each(|value| *value *= factor);
            return Ok(());
        }
        let rows: Vec<&[i8]> = self.map.chunks_exact(row.len().max(1)).collect();
        let mut sums = Vec::new();
        kernels.exact_distances(Op::Dot, &shifted, &rows, &mut sums)?;
        let bounded = |sum: f64| (-sum * length).clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
        to.iter_mut().zip(sums).for_each(|(to, sum)| *to = bounded(sum));
        Ok(())
    }
}

/// x'.
fn shifted(op: Op, offsets: &[f32], row: &[f32]) -> Vec<f32> {
    if op == Op::Cosine {
        let factor = inverse_norm(row);
        return row.iter().map(|value| (f64::from(*value) * factor) as f32).collect();
    }
    let offsets = offsets.iter().copied().chain(std::iter::repeat(0.0));
    // The largest numbers of either sign stay finite.
    row.iter().zip(offsets).map(|(value, offset)| (value - offset).clamp(f32::MIN, f32::MAX)).collect()
}

/// One over the norm of a row; 0 for a row of zeros.
fn inverse_length(row: &[f32], squares: f32, fine: bool) -> f64 {
    if fine && squares.is_normal() { 1.0 / f64::from(squares).sqrt() } else { inverse_norm(row) }
}

/// `kept` orthonormal rows that are about the main components of the sample.
fn main_components(
    kernels: Kernels,
    sample: &[Vec<f32>],
    dimension: usize,
    kept: usize,
) -> Result<Vec<Vec<f32>>, KernelError> {
    let largest = sample.iter().flatten().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    let some = || sample.iter().step_by(sample.len().div_ceil(MOST_SAMPLED).max(1));
    let column = |at: usize| some().map(|row| row[at] / largest).collect::<Vec<f32>>();
    let columns: Vec<Vec<f32>> = (0..dimension).map(column).collect();
    let mut covariance = vec![vec![0f32; dimension]; dimension];
    for (at, column) in columns.iter().enumerate() {
        for (other, product) in products(kernels, column, &columns[..=at])?.into_iter().enumerate() {
            (covariance[at][other], covariance[other][at]) = (product, product);
        }
    }
    let mut random = Random(SEED);
    let mut even = || random.below(1 << 24) as f32 / (1 << 23) as f32 - 1.0;
    let mut basis: Vec<Vec<f32>> = (0..kept).map(|_| (0..dimension).map(|_| even()).collect()).collect();
    for _ in 0..ROUNDS {
        for row in &mut basis {
            *row = products(kernels, row, &covariance)?;
        }
        orthonormalise(kernels, &mut basis)?;
    }
    Ok(basis)
}

/// The inner products of `row` with each of `rows`.
fn products(kernels: Kernels, row: &[f32], rows: &[Vec<f32>]) -> Result<Vec<f32>, KernelError> {
    let slices: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
    let mut sums = Vec::new();
    kernels.exact_distances(Op::Dot, row, &slices, &mut sums)?;
    Ok(sums.into_iter().map(|sum| (-sum) as f32).collect())
}

/// Makes the rows orthonormal, each from those before it, twice (Gram and Schmidt; "twice is enough": Giraud et al. 2005). What
/// lies in the span of those before becomes 0.
fn orthonormalise(kernels: Kernels, rows: &mut [Vec<f32>]) -> Result<(), KernelError> {
    for at in 0..rows.len() {
        let (before, rest) = rows.split_at_mut(at);
        let Some(row) = rest.first_mut() else { return Ok(()) };
        let inverse_before = inverse_norm(row);
        for _ in 0..2 {
            let along = products(kernels, row, before)?;
            let span = combined(&along, before);
            row.iter_mut().zip(span).for_each(|(value, span)| *value -= span);
        }
        let inverse = inverse_norm(row);
        let factor = if inverse * SPANNED < inverse_before { inverse as f32 } else { 0.0 };
        row.iter_mut().for_each(|value| *value *= factor);
    }
    Ok(())
}

/// The sum of the rows, each times its weight.
fn combined(weights: &[f32], rows: &[Vec<f32>]) -> Vec<f32> {
    let mut sum = vec![0f32; rows.first().map_or(0, Vec::len)];
    for (weight, row) in weights.iter().zip(rows) {
        sum.iter_mut().zip(row).for_each(|(to, value)| *to += weight * value);
    }
    sum
}

/// The rows of a rotation that looks random: of signs, and of Hadamard transforms of the first and of the last so many components,
/// the largest power of two that there is room for, in turn.
fn rotation(size: usize) -> Vec<Vec<f32>> {
    let span = (size / 2 + 1).next_power_of_two();
    let mut random = Random(SEED);
    let signs: Vec<Vec<f32>> =
        (0..SPREADS).map(|_| (0..size).map(|_| if random.below(2) == 0 { 1.0 } else { -1.0 }).collect()).collect();
    let image = |at: usize| {
        let mut row = vec![0f32; size];
        row[at] = 1.0;
        for signs in &signs {
            row.iter_mut().zip(signs).for_each(|(value, sign)| *value *= sign);
            hadamard(&mut row[..span]);
            if span < size {
                hadamard(&mut row[size - span..]);
            }
        }
        row
    };
    (0..size).map(image).collect()
}

/// The orthonormal Hadamard transform of a power of two of numbers.
fn hadamard(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (a, b) = pair.split_at_mut(half);
            for (a, b) in a.iter_mut().zip(b) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    let norm = 1.0 / (values.len() as f32).sqrt();
    values.iter_mut().for_each(|value| *value *= norm);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    #[test]
    fn a_rotation_is_orthonormal_and_favours_no_axis() {
        for size in [1, 2, 3, 48, 64, 100, 384] {
            let rows = rotation(size);
            for (i, a) in rows.iter().enumerate() {
                for (j, b) in rows.iter().enumerate() {
                    let expected = f64::from(u8::from(i == j));
                    assert!((dot(a, b) - expected).abs() < 1e-5, "{size}: {i} {j}");
                }
            }
            let most = rows.iter().flatten().fold(0f32, |most, value| most.max(value.abs()));
            assert!(size < 48 || most < 0.75, "{size}: {most}");
        }
    }

    #[test]
    fn main_components_are_those_of_the_spectrum() {
        // Component i of a row is spread by 0.7^i: the first 8 hold what the others do not.
        let mut random = Random(3);
        let mut even = || random.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0;
        let scales: Vec<f32> = std::iter::successors(Some(1.0f32), |spread| Some(spread * 0.7)).take(40).collect();
        let sample: Vec<Vec<f32>> = (0..500).map(|_| scales.iter().map(|scale| even() * scale).collect()).collect();
        let main = main_components(Kernels::detect(), &sample, 40, 8).unwrap();
        for (i, a) in main.iter().enumerate() {
            assert!((dot(a, a) - 1.0).abs() < 1e-5);
            assert!(main[..i].iter().all(|b| dot(a, b).abs() < 1e-5));
            let within: f64 = a[..9].iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
            assert!(within > 0.98, "component {i}: {within} of it is in the first nine");
        }
    }
}

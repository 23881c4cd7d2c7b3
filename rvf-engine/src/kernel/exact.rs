//! The distances in f64, in order, one term after the other: the reference, and the last word on the final candidates.

use super::{Element, KernelError, Op};

/// The distance of `op` from `query` to `row` in f64: sequential, the same on every machine. `row` has as many elements
/// as `query`. Within 2^-37 of the sum of the magnitudes of the terms; a norm of zero gives Cosine distance 1.
///
/// # Errors
/// [`KernelError::RowsLength`] when the lengths differ.
pub fn exact_distance<T: Element>(op: Op, query: &[f32], row: &[T]) -> Result<f64, KernelError> {
    super::check_rows(row.len(), query.len())?;
    Ok(match op {
        Op::L2 => l2(query, row),
        Op::Dot => dot(query, row),
        Op::Cosine => cosine(query, row),
    })
}

/// The number of bits in which `query` and `row` differ.
///
/// # Errors
/// [`KernelError::RowsLength`] when the lengths differ.
pub fn exact_hamming(query: &[u8], row: &[u8]) -> Result<u64, KernelError> {
    super::check_rows(row.len(), query.len())?;
    let pairs = query.iter().zip(row);
    Ok(pairs.map(|(q, r)| u64::from((q ^ r).count_ones())).sum())
}

fn l2<Q: Element, T: Element>(query: &[Q], row: &[T]) -> f64 {
    pairs(query, row).map(|(q, r)| (q - r) * (q - r)).sum()
}

/// The negated inner product. Products of two f32 are exact in f64, and cannot overflow it.
pub(super) fn dot<Q: Element, T: Element>(query: &[Q], row: &[T]) -> f64 {
    0.0 - pairs(query, row).map(|(q, r)| q * r).sum::<f64>()
}

pub(super) fn cosine<Q: Element, T: Element>(query: &[Q], row: &[T]) -> f64 {
    let (mut qq, mut rr) = (0.0, 0.0);
    for (q, r) in pairs(query, row) {
        qq += q * q;
        rr += r * r;
    }
    cosine_from_sums(-dot(query, row), qq, rr)
}

/// The Cosine distance from the inner product and the two sums of squares. Sums of squares of f32 are zero or within
/// 2^-298..2^272, so their product is normal.
#[inline(always)]
pub(super) fn cosine_from_sums(dot: f64, query_squares: f64, row_squares: f64) -> f64 {
    let norms = (query_squares * row_squares).sqrt();
    if norms == 0.0 { 1.0 } else { (1.0 - dot / norms).clamp(0.0, 2.0) }
}

fn pairs<Q: Element, T: Element>(query: &[Q], row: &[T]) -> impl Iterator<Item = (f64, f64)> {
    query.iter().zip(row).map(|(q, r)| (q.to_f64(), r.to_f64()))
}

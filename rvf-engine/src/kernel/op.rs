//! L2, Dot and Cosine as types: the terms that each sums, and how the sums become a distance.

use super::element::{Byte, Element};
use super::exact;
use super::query::Query;
use super::simd::{ByteSimd, Simd};

/// The two sums of one pass over a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sums<V> {
    /// Of the op's own terms: squared differences, or products.
    pub(super) main: V,
    /// Of the squares of the row, where the op asks for them; else left at zero, and optimised away.
    pub(super) squares: V,
}

/// An operation as a type.
pub(super) trait Measure: Copy {
    /// Adds the terms of one vector of f32 lanes.
    fn add_lanes<S: Simd>(simd: S, sums: &mut Sums<S::F>, q: S::F, r: S::F);

    /// Adds the terms of one step of bytes.
    fn add_bytes<T: Byte, S: ByteSimd<T>>(simd: S, sums: &mut Sums<S::Acc>, q: &[T], r: &[T]);

    /// The terms of one pair of f32.
    fn float_terms(q: f32, r: f32) -> Sums<f32>;

    /// The terms of one pair of bytes, each below 2^16 in magnitude.
    fn byte_terms(q: i32, r: i32) -> Sums<i32>;

    /// The main sum, from its residue modulo 2^32 as `ByteSimd` computes it.
    fn byte_total<T: Byte>(residue: u32, dot_correction: u32) -> i64 {
        T::inner_product(residue.wrapping_add(dot_correction))
    }

    /// The distance from the sums over f32.
    fn float_distance<T: Element>(query: &Query<f32>, row: &[T], sums: Sums<f32>) -> f32;

    /// The distance from the exact sums over bytes, rounded once.
    fn byte_distance<T>(query: &Query<T>, sums: Sums<i64>) -> f32;
}

/// Squared Euclidean distance.
#[derive(Clone, Copy)]
pub(super) struct L2;

/// Negated inner product.
#[derive(Clone, Copy)]
pub(super) struct Dot;

/// One minus the cosine of the angle.
#[derive(Clone, Copy)]
pub(super) struct Cosine;

impl Measure for L2 {
    #[inline(always)]
    fn add_lanes<S: Simd>(simd: S, sums: &mut Sums<S::F>, q: S::F, r: S::F) {
        let difference = simd.sub(q, r);
        sums.main = simd.mul_add(difference, difference, sums.main);
    }

    #[inline(always)]
    fn add_bytes<T: Byte, S: ByteSimd<T>>(simd: S, sums: &mut Sums<S::Acc>, q: &[T], r: &[T]) {
        sums.main = simd.add_squared_difference(sums.main, q, r);
    }

    #[inline(always)]
    fn float_terms(q: f32, r: f32) -> Sums<f32> {
        Sums { main: (q - r) * (q - r), squares: 0.0 }
    }

    #[inline(always)]
    fn byte_terms(q: i32, r: i32) -> Sums<i32> {
        Sums { main: (q - r) * (q - r), squares: 0 }
    }

    /// Squares of differences of bytes, 0..=65,025 each, sum to less than 2^32 up to the largest dimension.
    #[inline(always)]
    fn byte_total<T: Byte>(residue: u32, _dot_correction: u32) -> i64 {
        i64::from(residue)
    }

    /// Terms are not negative, so nothing can cancel an overflow: infinity is the sum rounded.
    #[inline(always)]
    fn float_distance<T: Element>(_: &Query<f32>, _: &[T], sums: Sums<f32>) -> f32 {
        sums.main
    }

    #[inline(always)]
    fn byte_distance<T>(_: &Query<T>, sums: Sums<i64>) -> f32 {
        sums.main as f32
    }
}

impl Measure for Dot {
    #[inline(always)]
    fn add_lanes<S: Simd>(simd: S, sums: &mut Sums<S::F>, q: S::F, r: S::F) {
        sums.main = simd.mul_add(q, r, sums.main);
    }

    #[inline(always)]
    fn add_bytes<T: Byte, S: ByteSimd<T>>(simd: S, sums: &mut Sums<S::Acc>, q: &[T], r: &[T]) {
        sums.main = simd.add_products(sums.main, q, r);
    }

    #[inline(always)]
    fn float_terms(q: f32, r: f32) -> Sums<f32> {
        Sums { main: q * r, squares: 0.0 }
    }

    #[inline(always)]
    fn byte_terms(q: i32, r: i32) -> Sums<i32> {
        Sums { main: q * r, squares: 0 }
    }

    /// Large terms of either sign can overflow on the way to a small sum: then it is computed again, in f64.
    #[inline(always)]
    fn float_distance<T: Element>(query: &Query<f32>, row: &[T], sums: Sums<f32>) -> f32 {
        if sums.main.is_finite() { 0.0 - sums.main } else { dot_again(query, row) }
    }

    #[inline(always)]
    fn byte_distance<T>(_: &Query<T>, sums: Sums<i64>) -> f32 {
        -sums.main as f32
    }
}

impl Measure for Cosine {
    #[inline(always)]
    fn add_lanes<S: Simd>(simd: S, sums: &mut Sums<S::F>, q: S::F, r: S::F) {
        sums.main = simd.mul_add(q, r, sums.main);
        sums.squares = simd.mul_add(r, r, sums.squares);
    }

    #[inline(always)]
    fn add_bytes<T: Byte, S: ByteSimd<T>>(simd: S, sums: &mut Sums<S::Acc>, q: &[T], r: &[T]) {
        sums.main = simd.add_products(sums.main, q, r);
        sums.squares = simd.add_squares(sums.squares, r);
    }

    #[inline(always)]
    fn float_terms(q: f32, r: f32) -> Sums<f32> {
        Sums { main: q * r, squares: r * r }
    }

    #[inline(always)]
    fn byte_terms(q: i32, r: i32) -> Sums<i32> {
        Sums { main: q * r, squares: r * r }
    }

    /// The query's norm is in [1, 2) (or zero). With the row's squares between 2^-64 and 2^100 no term overflows, and
    /// the terms that underflow lose at most 2^16 x 2^-149, which is 2^-69 of the sum. Any other row is computed again.
    #[inline(always)]
    fn float_distance<T: Element>(query: &Query<f32>, row: &[T], sums: Sums<f32>) -> f32 {
        const LEAST: f32 = 1.0 / (1u128 << 64) as f32;
        const MOST: f32 = (1u128 << 100) as f32;
        if (LEAST..=MOST).contains(&sums.squares) {
            let cosine = sums.main * query.inverse_norm / sums.squares.sqrt();
            (1.0 - cosine).clamp(0.0, 2.0)
        } else {
            cosine_again(query, row)
        }
    }

    #[inline(always)]
    fn byte_distance<T>(query: &Query<T>, sums: Sums<i64>) -> f32 {
        exact::cosine_from_sums(sums.main as f64, query.squares, sums.squares as f64) as f32
    }
}

#[cold]
#[inline(never)]
fn dot_again<T: Element>(query: &Query<f32>, row: &[T]) -> f32 {
    exact::dot(query.values(), row) as f32
}

#[cold]
#[inline(never)]
fn cosine_again<T: Element>(query: &Query<f32>, row: &[T]) -> f32 {
    exact::cosine(query.values(), row) as f32
}

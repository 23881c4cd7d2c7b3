//! The per-pair bodies, written once over the instruction sets. Safe code: a token's methods are single instructions
//! that the token proves the CPU to have, and take slices.

use super::dispatch::{Isa, Pair, Work};
use super::element::{Byte, Element};
use super::op::{Measure, Sums};
use super::query::{BitQuery, Query, QueryElement};
use super::scan::prefetch_ahead;
use std::marker::PhantomData;

/// The f32 lanes of an instruction set. Loads take the first `WIDTH` elements of a slice, and put zeros where there are
/// fewer: zeros add nothing to any sum.
pub(super) trait Simd: Isa {
    /// `WIDTH` lanes of f32.
    type F: Copy;
    const WIDTH: usize;

    fn zero(self) -> Self::F;
    fn load_f32(self, chunk: &[f32]) -> Self::F;
    fn load_f16(self, chunk: &[half::f16]) -> Self::F;
    fn load_i8(self, chunk: &[i8]) -> Self::F;
    fn load_u8(self, chunk: &[u8]) -> Self::F;
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The sum of the lanes, by halves.
    fn sum(self, a: Self::F) -> f32;

    /// As many lanes of f64.
    type D: Copy;

    fn zero_f64(self) -> Self::D;
    fn widen(self, a: Self::F) -> Self::D;
    fn add_f64(self, a: Self::D, b: Self::D) -> Self::D;
    fn sub_f64(self, a: Self::D, b: Self::D) -> Self::D;
    fn mul_f64(self, a: Self::D, b: Self::D) -> Self::D;
    /// Writes the lanes to the first `WIDTH` elements of `to`; to none of fewer.
    fn store_f64(self, a: Self::D, to: &mut [f64]);
}

/// Sums over bytes `T` in 32-bit lanes, all modulo 2^32. What is summed is below 2^32 (or 2^31 in magnitude) up to the
/// largest dimension, so the residue determines it, whichever lanes wrap on the way.
///
/// A step takes at most `STEP` elements of both slices, as many of the one as of the other.
pub(super) trait ByteSimd<T>: Isa {
    /// Lanes of 32 bits.
    type Acc: Copy;
    const STEP: usize;
    /// The sum of products, as `add_products` has it, is short of the inner product by this times the query's sum.
    const DOT_CORRECTION: i32 = 0;

    fn zero(self) -> Self::Acc;
    fn add_products(self, acc: Self::Acc, q: &[T], r: &[T]) -> Self::Acc;
    fn add_squared_difference(self, acc: Self::Acc, q: &[T], r: &[T]) -> Self::Acc;
    fn add_squares(self, acc: Self::Acc, r: &[T]) -> Self::Acc;
    fn add(self, a: Self::Acc, b: Self::Acc) -> Self::Acc;
    fn sum(self, acc: Self::Acc) -> u32;
}

/// Counts of differing bits.
pub(super) trait BitSimd: Isa {
    type Acc: Copy;
    const STEP: usize;

    fn zero(self) -> Self::Acc;
    /// Counts over the first `STEP` bytes of both, or all if they are fewer.
    fn add_differing(self, acc: Self::Acc, q: &[u8], r: &[u8]) -> Self::Acc;
    fn add(self, a: Self::Acc, b: Self::Acc) -> Self::Acc;
    fn sum(self, acc: Self::Acc) -> u32;
}

/// Independent sums, so that an addition need not wait for the one before it.
const WAYS: usize = 4;

/// Something summed over two slices in steps.
trait Fold<A, B> {
    const STEP: usize;

    /// Adds at most `STEP` elements of each slice to the sum numbered `way`.
    fn step(&mut self, way: usize, a: &[A], b: &[B]);
}

/// Feeds two slices to `fold`, as far as both go: full steps in turn to each way, then the rest of them to way 0, and
/// what is less than a step to way 1. In a `STREAM`, what lies beyond `b` is asked for on the way.
#[inline(always)]
fn fold<const STREAM: bool, A, B, F: Fold<A, B>>(fold: &mut F, a: &[A], b: &[B]) {
    let len = a.len().min(b.len());
    let span = F::STEP * WAYS;
    let ((a, a_rest), (b, b_rest)) = (split(&a[..len], span), split(&b[..len], span));
    for (a, b) in a.chunks_exact(span).zip(b.chunks_exact(span)) {
        if STREAM {
            prefetch_ahead(b);
        }
        for way in 0..WAYS {
            let range = way * F::STEP..(way + 1) * F::STEP;
            fold.step(way, &a[range.clone()], &b[range]);
        }
    }
    if STREAM {
        prefetch_ahead(b_rest);
    }
    let ((a, a_rest), (b, b_rest)) = (split(a_rest, F::STEP), split(b_rest, F::STEP));
    for (a, b) in a.chunks_exact(F::STEP).zip(b.chunks_exact(F::STEP)) {
        fold.step(0, a, b);
    }
    if !a_rest.is_empty() {
        fold.step(1, a_rest, b_rest);
    }
}

/// The part of `slice` that is a multiple of `step`, and the rest.
#[inline(always)]
fn split<T>(slice: &[T], step: usize) -> (&[T], &[T]) {
    slice.split_at(slice.len() - slice.len() % step)
}

/// An f32 query against rows of any element.
#[derive(Clone, Copy)]
pub(super) struct FloatPair<'q, S, M> {
    simd: S,
    query: &'q Query<f32>,
    values: &'q [f32],
    measure: PhantomData<M>,
}

impl<'q, S, M> FloatPair<'q, S, M> {
    pub(super) fn new(simd: S, query: &'q Query<f32>) -> Self {
        FloatPair { simd, query, values: query.values(), measure: PhantomData }
    }
}

impl<T: Element, S: Simd, M: Measure> Pair<T> for FloatPair<'_, S, M> {
    #[inline(always)]
    fn distance(self, row: &[T]) -> f32 {
        self.sum_up::<false, T>(row)
    }

    #[inline(always)]
    fn distance_in_stream(self, row: &[T]) -> f32 {
        self.sum_up::<true, T>(row)
    }
}

impl<S: Simd, M: Measure> FloatPair<'_, S, M> {
    #[inline(always)]
    fn sum_up<const STREAM: bool, T: Element>(self, row: &[T]) -> f32 {
        let simd = self.simd;
        let zero = Sums { main: simd.zero(), squares: simd.zero() };
        let mut floats = Floats::<S, M> { simd, ways: [zero; WAYS], measure: PhantomData };
        fold::<STREAM, _, _, _>(&mut floats, self.values, row);
        let [a, b, c, d] = floats.ways;
        let sums = Sums {
            main: sum_ways(simd, [a.main, b.main, c.main, d.main]),
            squares: sum_ways(simd, [a.squares, b.squares, c.squares, d.squares]),
        };
        M::float_distance(self.query, row, sums)
    }
}

#[inline(always)]
fn sum_ways<S: Simd>(simd: S, [a, b, c, d]: [S::F; WAYS]) -> f32 {
    simd.sum(simd.add(simd.add(a, b), simd.add(c, d)))
}

struct Floats<S: Simd, M> {
    simd: S,
    ways: [Sums<S::F>; WAYS],
    measure: PhantomData<M>,
}

impl<T: Element, S: Simd, M: Measure> Fold<f32, T> for Floats<S, M> {
    const STEP: usize = S::WIDTH;

    #[inline(always)]
    fn step(&mut self, way: usize, q: &[f32], r: &[T]) {
        let (q, r) = (self.simd.load_f32(q), T::load(self.simd, r));
        M::add_lanes(self.simd, &mut self.ways[way], q, r);
    }
}

/// A query of bytes against rows of the same.
#[derive(Clone, Copy)]
pub(super) struct BytePair<'q, S, T, M> {
    simd: S,
    query: &'q Query<T>,
    values: &'q [T],
    measure: PhantomData<M>,
}

impl<'q, S, T: QueryElement, M> BytePair<'q, S, T, M> {
    pub(super) fn new(simd: S, query: &'q Query<T>) -> Self {
        BytePair { simd, query, values: query.values(), measure: PhantomData }
    }
}

impl<T: Byte, S: ByteSimd<T>, M: Measure> Pair<T> for BytePair<'_, S, T, M> {
    #[inline(always)]
    fn distance(self, row: &[T]) -> f32 {
        self.sum_up::<false>(row)
    }

    #[inline(always)]
    fn distance_in_stream(self, row: &[T]) -> f32 {
        self.sum_up::<true>(row)
    }
}

impl<T: Byte, S: ByteSimd<T>, M: Measure> BytePair<'_, S, T, M> {
    #[inline(always)]
    fn sum_up<const STREAM: bool>(self, row: &[T]) -> f32 {
        let simd = self.simd;
        let zero = Sums { main: simd.zero(), squares: simd.zero() };
        let mut bytes = Bytes::<S, T, M> { simd, ways: [zero; WAYS], measure: PhantomData };
        fold::<STREAM, _, _, _>(&mut bytes, self.values, row);
        let [a, b, c, d] = bytes.ways;
        let main = sum_byte_ways::<T, S>(simd, [a.main, b.main, c.main, d.main]);
        let squares = sum_byte_ways::<T, S>(simd, [a.squares, b.squares, c.squares, d.squares]);
        let correction = self.query.sum.wrapping_mul(S::DOT_CORRECTION.cast_unsigned());
        let main = M::byte_total::<T>(main, correction);
        M::byte_distance(self.query, Sums { main, squares: i64::from(squares) })
    }
}

#[inline(always)]
fn sum_byte_ways<T, S: ByteSimd<T>>(simd: S, [a, b, c, d]: [S::Acc; WAYS]) -> u32 {
    simd.sum(simd.add(simd.add(a, b), simd.add(c, d)))
}

struct Bytes<S: ByteSimd<T>, T, M> {
    simd: S,
    ways: [Sums<S::Acc>; WAYS],
    measure: PhantomData<M>,
}

impl<T: Byte, S: ByteSimd<T>, M: Measure> Fold<T, T> for Bytes<S, T, M> {
    const STEP: usize = S::STEP;

    #[inline(always)]
    fn step(&mut self, way: usize, q: &[T], r: &[T]) {
        M::add_bytes(self.simd, &mut self.ways[way], q, r);
    }
}

/// Bits against bits.
#[derive(Clone, Copy)]
pub(super) struct BitPair<'q, S> {
    simd: S,
    bytes: &'q [u8],
}

impl<'q, S> BitPair<'q, S> {
    pub(super) fn new(simd: S, query: &'q BitQuery) -> Self {
        BitPair { simd, bytes: query.bytes() }
    }
}

impl<S: BitSimd> Pair<u8> for BitPair<'_, S> {
    #[inline(always)]
    fn distance(self, row: &[u8]) -> f32 {
        self.count::<false>(row)
    }

    #[inline(always)]
    fn distance_in_stream(self, row: &[u8]) -> f32 {
        self.count::<true>(row)
    }
}

impl<S: BitSimd> BitPair<'_, S> {
    #[inline(always)]
    fn count<const STREAM: bool>(self, row: &[u8]) -> f32 {
        let simd = self.simd;
        let mut bits = Bits { simd, ways: [simd.zero(); WAYS] };
        fold::<STREAM, _, _, _>(&mut bits, self.bytes, row);
        let [a, b, c, d] = bits.ways;
        simd.sum(simd.add(simd.add(a, b), simd.add(c, d))) as f32
    }
}

struct Bits<S: BitSimd> {
    simd: S,
    ways: [S::Acc; WAYS],
}

impl<S: BitSimd> Fold<u8, u8> for Bits<S> {
    const STEP: usize = S::STEP;

    #[inline(always)]
    fn step(&mut self, way: usize, q: &[u8], r: &[u8]) {
        self.ways[way] = self.simd.add_differing(self.ways[way], q, r);
    }
}

/// The plain sum of a slice.
pub(super) struct Sum<'a, S> {
    simd: S,
    values: &'a [f32],
}

impl<'a, S> Sum<'a, S> {
    pub(super) fn new(simd: S, values: &'a [f32]) -> Self {
        Sum { simd, values }
    }
}

impl<S: Simd> Work for Sum<'_, S> {
    type Output = f32;

    #[inline(always)]
    fn run(self) -> f32 {
        let simd = self.simd;
        let mut total = Total { simd, ways: [simd.zero(); WAYS] };
        fold::<false, _, _, _>(&mut total, self.values, self.values);
        sum_ways(simd, total.ways)
    }
}

struct Total<S: Simd> {
    simd: S,
    ways: [S::F; WAYS],
}

impl<S: Simd> Fold<f32, f32> for Total<S> {
    const STEP: usize = S::WIDTH;

    #[inline(always)]
    fn step(&mut self, way: usize, values: &[f32], _: &[f32]) {
        self.ways[way] = self.simd.add(self.ways[way], self.simd.load_f32(values));
    }
}

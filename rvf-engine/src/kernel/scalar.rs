//! The distances in plain Rust: the fallback of CPUs without a level of their own, and the oracle of the others.
//! Shares with `simd` what becomes of the sums, and nothing of how they are summed.

use super::dispatch::Pair;
use super::element::{Byte, Element};
use super::op::{Measure, Sums};
use super::query::{BitQuery, Query, QueryElement};
use super::scan::prefetch_ahead;
use std::marker::PhantomData;

/// f32 sums are kept in this many lanes, which compilers turn into vectors where they can.
const LANES: usize = 8;

/// An f32 query against rows of any element.
#[derive(Clone, Copy)]
pub(super) struct FloatPair<'q, M> {
    query: &'q Query<f32>,
    measure: PhantomData<M>,
}

impl<'q, M> FloatPair<'q, M> {
    pub(super) fn new(query: &'q Query<f32>) -> Self {
        FloatPair { query, measure: PhantomData }
    }
}

impl<M: Measure, T: Element> Pair<T> for FloatPair<'_, M> {
    #[inline(always)]
    fn distance(self, row: &[T]) -> f32 {
        let (q_chunks, q_rest) = self.query.values().as_chunks::<LANES>();
        let (r_chunks, r_rest) = row.as_chunks::<LANES>();
        let mut lanes = [Sums { main: 0.0, squares: 0.0 }; LANES];
        for (q, r) in q_chunks.iter().zip(r_chunks) {
            add::<M, T>(&mut lanes, q, r);
        }
        add::<M, T>(&mut lanes, q_rest, r_rest);
        let sums = lanes.into_iter().reduce(plus).unwrap_or(lanes[0]);
        M::float_distance(self.query, row, sums)
    }
}

#[inline(always)]
fn add<M: Measure, T: Element>(lanes: &mut [Sums<f32>; LANES], q: &[f32], r: &[T]) {
    for (lane, (q, r)) in lanes.iter_mut().zip(q.iter().zip(r)) {
        *lane = plus(*lane, M::float_terms(*q, r.to_f32()));
    }
}

#[inline(always)]
fn plus(a: Sums<f32>, b: Sums<f32>) -> Sums<f32> {
    Sums { main: a.main + b.main, squares: a.squares + b.squares }
}

/// A query of bytes against rows of the same.
#[derive(Clone, Copy)]
pub(super) struct BytePair<'q, T, M> {
    query: &'q Query<T>,
    measure: PhantomData<M>,
}

impl<'q, T, M> BytePair<'q, T, M> {
    pub(super) fn new(query: &'q Query<T>) -> Self {
        BytePair { query, measure: PhantomData }
    }
}

/// So many terms below 2^16 sum to less than 2^31.
const BLOCK: usize = 16_384;

impl<T: Byte + QueryElement, M: Measure> Pair<T> for BytePair<'_, T, M> {
    #[inline(always)]
    fn distance(self, row: &[T]) -> f32 {
        let mut total = Sums { main: 0, squares: 0 };
        for (q, r) in self.query.values().chunks(BLOCK).zip(row.chunks(BLOCK)) {
            let mut block = Sums { main: 0, squares: 0 };
            for (q, r) in q.iter().zip(r) {
                let terms = M::byte_terms(q.to_i32(), r.to_i32());
                block.main += terms.main;
                block.squares += terms.squares;
            }
            total.main += i64::from(block.main);
            total.squares += i64::from(block.squares);
        }
        M::byte_distance(self.query, total)
    }
}

/// Bits against bits.
#[derive(Clone, Copy)]
pub(super) struct BitPair<'q> {
    query: &'q BitQuery,
}

impl<'q> BitPair<'q> {
    pub(super) fn new(query: &'q BitQuery) -> Self {
        BitPair { query }
    }
}

impl Pair<u8> for BitPair<'_> {
    #[inline(always)]
    fn distance(self, row: &[u8]) -> f32 {
        let (q_words, q_rest) = self.query.bytes().as_chunks();
        let (r_words, r_rest) = row.as_chunks();
        let mut count = 0;
        for (q, r) in q_words.iter().zip(r_words) {
            count += (u64::from_le_bytes(*q) ^ u64::from_le_bytes(*r)).count_ones();
        }
        for (q, r) in q_rest.iter().zip(r_rest) {
            count += (q ^ r).count_ones();
        }
        count as f32
    }

    #[inline(always)]
    fn distance_in_stream(self, row: &[u8]) -> f32 {
        prefetch_ahead(row);
        self.distance(row)
    }
}

/// The sum of `values`.
pub(super) fn sum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().chain(rest).sum()
}

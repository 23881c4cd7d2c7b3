//! The distances in f64, in a fixed order: the reference, and the last word on the final candidates.
//!
//! Component i is added to lane i mod 16, and the lanes are added by halves, at every level: the same bits on every machine.

use super::dispatch::{Cpu, Isa, Work};
use super::scan::prefetch_all;
use super::simd::Simd;
use super::{Element, KernelError, Kernels, Op};

/// Independent sums: so that an addition need not wait for the one before, and a vector can hold several.
const LANES: usize = 16;

type Lanes = [f64; LANES];

/// The distance of `op` from `query` to `row` in f64, the same on every machine. `row` has as many elements as `query`. Within
/// 2^-37 of the sum of the magnitudes of the terms; a norm of zero gives Cosine distance 1.
///
/// # Errors
/// [`KernelError::RowsLength`] when the lengths differ.
pub fn exact_distance<T: Element>(op: Op, query: &[f32], row: &[T]) -> Result<f64, KernelError> {
    super::check_rows(row.len(), query.len())?;
    Ok(match op {
        Op::L2 => sums(Plain, query, row, squared_difference),
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

impl Kernels {
    /// [`exact_distance`] of each of `rows`, bit for bit, in `out`, which is cleared first.
    ///
    /// # Errors
    /// [`KernelError::RowsLength`] when a row does not have as many elements as `query`.
    pub fn exact_distances<T: Element>(
        self,
        op: Op,
        query: &[f32],
        rows: &[&[T]],
        out: &mut Vec<f64>,
    ) -> Result<(), KernelError> {
        out.clear();
        rows.iter().try_for_each(|row| super::check_rows(row.len(), query.len()))?;
        match self.cpu {
            Cpu::Scalar => Exact { load: Plain, op, query, rows, out }.run(),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2(isa) => isa.enter(Exact { load: Vectors(isa), op, query, rows, out }),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512(isa) => isa.enter(Exact { load: Vectors(isa), op, query, rows, out }),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512Vnni(isa) => isa.base().enter(Exact { load: Vectors(isa.base()), op, query, rows, out }),
            #[cfg(target_arch = "aarch64")]
            Cpu::Neon(isa) => isa.enter(Exact { load: Vectors(isa), op, query, rows, out }),
        }
        Ok(())
    }
}

/// How elements become f32: exactly, whichever way.
trait Load: Copy {
    fn load<T: Element>(self, chunk: &[T; LANES]) -> [f32; LANES];
}

#[derive(Clone, Copy)]
struct Plain;

impl Load for Plain {
    #[inline(always)]
    fn load<T: Element>(self, chunk: &[T; LANES]) -> [f32; LANES] {
        chunk.map(T::to_f32)
    }
}

/// By the conversions of an instruction set.
#[derive(Clone, Copy)]
struct Vectors<S>(S);

impl<S: Simd> Load for Vectors<S> {
    #[inline(always)]
    fn load<T: Element>(self, chunk: &[T; LANES]) -> [f32; LANES] {
        let mut floats = [0f32; LANES];
        for (to, from) in floats.chunks_exact_mut(S::WIDTH).zip(chunk.chunks_exact(S::WIDTH)) {
            self.0.store(T::load(self.0, from), to);
        }
        floats
    }
}

struct Exact<'a, L, T> {
    load: L,
    op: Op,
    query: &'a [f32],
    rows: &'a [&'a [T]],
    out: &'a mut Vec<f64>,
}

impl<L: Load, T: Element> Work for Exact<'_, L, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (load, query) = (self.load, self.query);
        self.rows.iter().for_each(|row| prefetch_all(row));
        let query_squares = if self.op == Op::Cosine { sums(load, query, query, product) } else { 0.0 };
        for row in self.rows {
            self.out.push(match self.op {
                Op::L2 => sums(load, query, row, squared_difference),
                Op::Dot => 0.0 - sums(load, query, row, product),
                Op::Cosine => {
                    let (dot, squares) = sums_and_squares(load, query, row);
                    cosine_from_sums(dot, query_squares, squares)
                }
            });
        }
    }
}

/// Rounded twice, never fused: the same everywhere.
#[inline(always)]
fn squared_difference(q: f64, r: f64) -> f64 {
    (q - r) * (q - r)
}

/// Products of two f32 are exact in f64, and cannot overflow it.
#[inline(always)]
fn product(q: f64, r: f64) -> f64 {
    q * r
}

#[inline(always)]
fn sums<L: Load, T: Element>(load: L, query: &[f32], row: &[T], term: impl Fn(f64, f64) -> f64 + Copy) -> f64 {
    let mut lanes = [0f64; LANES];
    let (q_chunks, q_rest) = query.as_chunks::<LANES>();
    let (r_chunks, r_rest) = row.as_chunks::<LANES>();
    for (q, r) in q_chunks.iter().zip(r_chunks) {
        let r = load.load(r);
        for lane in 0..LANES {
            lanes[lane] += term(f64::from(q[lane]), f64::from(r[lane]));
        }
    }
    for (lane, (q, r)) in lanes.iter_mut().zip(q_rest.iter().zip(r_rest)) {
        *lane += term(f64::from(*q), r.to_f64());
    }
    by_halves(lanes)
}

/// The inner product, and the sum of the squares of the row.
#[inline(always)]
fn sums_and_squares<L: Load, T: Element>(load: L, query: &[f32], row: &[T]) -> (f64, f64) {
    let (mut dots, mut squares) = ([0f64; LANES], [0f64; LANES]);
    let (q_chunks, q_rest) = query.as_chunks::<LANES>();
    let (r_chunks, r_rest) = row.as_chunks::<LANES>();
    for (q, r) in q_chunks.iter().zip(r_chunks) {
        let r = load.load(r).map(f64::from);
        for lane in 0..LANES {
            dots[lane] += f64::from(q[lane]) * r[lane];
            squares[lane] += r[lane] * r[lane];
        }
    }
    for (lane, (q, r)) in q_rest.iter().zip(r_rest).enumerate() {
        dots[lane] += f64::from(*q) * r.to_f64();
        squares[lane] += r.to_f64() * r.to_f64();
    }
    (by_halves(dots), by_halves(squares))
}

#[inline(always)]
fn by_halves(mut lanes: Lanes) -> f64 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The negated inner product.
pub(super) fn dot<T: Element>(query: &[f32], row: &[T]) -> f64 {
    0.0 - sums(Plain, query, row, product)
}

pub(super) fn cosine<T: Element>(query: &[f32], row: &[T]) -> f64 {
    let (dot, squares) = sums_and_squares(Plain, query, row);
    cosine_from_sums(dot, sums(Plain, query, query, product), squares)
}

/// The Cosine distance from the inner product and the two sums of squares. Sums of squares of f32 are zero or within
/// 2^-298..2^272, so their product is normal.
#[inline(always)]
pub(super) fn cosine_from_sums(dot: f64, query_squares: f64, row_squares: f64) -> f64 {
    let norms = (query_squares * row_squares).sqrt();
    if norms == 0.0 { 1.0 } else { (1.0 - dot / norms).clamp(0.0, 2.0) }
}

//! The distances in f64, in a fixed order: the reference, and the last word on the final candidates.
//!
//! Component i is added to lane i mod 16, and the lanes are added by halves, at every level: the same bits on every machine.

use super::dispatch::{Cpu, Isa, Work};
use super::scan::{SCATTERED_AHEAD, prefetch_all};
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
        Op::L2 => squared_distance(Plain, query, row),
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
            Cpu::Scalar => Exact { wide: Plain, op, query, rows, out }.run(),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2(isa) => isa.enter(Exact { wide: Vectors(isa), op, query, rows, out }),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512(isa) => isa.enter(Exact { wide: Vectors(isa), op, query, rows, out }),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512Vnni(isa) => isa.base().enter(Exact { wide: Vectors(isa.base()), op, query, rows, out }),
            #[cfg(target_arch = "aarch64")]
            Cpu::Neon(isa) => isa.enter(Exact { wide: Vectors(isa), op, query, rows, out }),
        }
        Ok(())
    }
}

/// Sixteen lanes of f64, in which each level does the same.
trait Wide: Copy {
    type D: Copy;

    fn zero(self) -> Self::D;
    fn load<T: Element>(self, chunk: &[T; LANES]) -> Self::D;
    /// `a + b x c`, rounded twice, never fused: the same everywhere.
    fn add_product(self, a: Self::D, b: Self::D, c: Self::D) -> Self::D;
    fn sub(self, a: Self::D, b: Self::D) -> Self::D;
    fn lanes(self, a: Self::D) -> Lanes;
}

/// Plain Rust.
#[derive(Clone, Copy)]
struct Plain;

impl Wide for Plain {
    type D = Lanes;

    #[inline(always)]
    fn zero(self) -> Lanes {
        [0.0; LANES]
    }

    #[inline(always)]
    fn load<T: Element>(self, chunk: &[T; LANES]) -> Lanes {
        chunk.map(T::to_f64)
    }

    #[inline(always)]
    fn add_product(self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        std::array::from_fn(|lane| a[lane] + b[lane] * c[lane])
    }

    #[inline(always)]
    fn sub(self, a: Lanes, b: Lanes) -> Lanes {
        std::array::from_fn(|lane| a[lane] - b[lane])
    }

    #[inline(always)]
    fn lanes(self, a: Lanes) -> Lanes {
        a
    }
}

/// The vectors of an instruction set, as many as it takes: at most four.
#[derive(Clone, Copy)]
struct Vectors<S>(S);

impl<S: Simd> Wide for Vectors<S> {
    type D = [S::D; 4];

    #[inline(always)]
    fn zero(self) -> [S::D; 4] {
        [self.0.zero_f64(); 4]
    }

    #[inline(always)]
    fn load<T: Element>(self, chunk: &[T; LANES]) -> [S::D; 4] {
        const { assert!(S::WIDTH * 4 >= LANES) };
        let mut wide = self.zero();
        for (to, from) in wide.iter_mut().zip(chunk.chunks_exact(S::WIDTH)) {
            *to = self.0.widen(T::load(self.0, from));
        }
        wide
    }

    #[inline(always)]
    fn add_product(self, mut a: [S::D; 4], b: [S::D; 4], c: [S::D; 4]) -> [S::D; 4] {
        for at in 0..LANES / S::WIDTH {
            a[at] = self.0.add_f64(a[at], self.0.mul_f64(b[at], c[at]));
        }
        a
    }

    #[inline(always)]
    fn sub(self, mut a: [S::D; 4], b: [S::D; 4]) -> [S::D; 4] {
        for at in 0..LANES / S::WIDTH {
            a[at] = self.0.sub_f64(a[at], b[at]);
        }
        a
    }

    #[inline(always)]
    fn lanes(self, a: [S::D; 4]) -> Lanes {
        let mut lanes = [0.0; LANES];
        for (a, to) in a.into_iter().zip(lanes.chunks_exact_mut(S::WIDTH)) {
            self.0.store_f64(a, to);
        }
        lanes
    }
}

struct Exact<'a, W, T> {
    wide: W,
    op: Op,
    query: &'a [f32],
    rows: &'a [&'a [T]],
    out: &'a mut Vec<f64>,
}

impl<W: Wide, T: Element> Work for Exact<'_, W, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (wide, query) = (self.wide, self.query);
        self.rows.iter().take(SCATTERED_AHEAD).for_each(|row| prefetch_all(row));
        let query_squares = if self.op == Op::Cosine { dot_and_squares(wide, query, query).1 } else { 0.0 };
        for (at, row) in self.rows.iter().enumerate() {
            if let Some(later) = self.rows.get(at + SCATTERED_AHEAD) {
                prefetch_all(later);
            }
            self.out.push(match self.op {
                Op::L2 => squared_distance(wide, query, row),
                Op::Dot => 0.0 - inner_product(wide, query, row),
                Op::Cosine => {
                    let (dot, squares) = dot_and_squares(wide, query, row);
                    cosine_from_sums(dot, query_squares, squares)
                }
            });
        }
    }
}

/// What is summed over chunks of a query and a row. (A trait and no closure: closures are not compiled for the instruction set.)
trait Terms<W: Wide> {
    fn add<T: Element>(&mut self, wide: W, q: &[f32; LANES], r: &[T; LANES]);
}

/// Whole chunks of both, and what is left, filled up with zeros: they add nothing.
#[inline(always)]
fn sum_up<W: Wide, T: Element, S: Terms<W>>(wide: W, query: &[f32], row: &[T], mut terms: S) -> S {
    let (q_chunks, q_rest) = query.as_chunks::<LANES>();
    let (r_chunks, r_rest) = row.as_chunks::<LANES>();
    for (q, r) in q_chunks.iter().zip(r_chunks) {
        terms.add(wide, q, r);
    }
    if !q_rest.is_empty() {
        let (mut q, mut r) = ([0.0; LANES], [T::ZERO; LANES]);
        q.iter_mut().zip(q_rest).for_each(|(to, from)| *to = *from);
        r.iter_mut().zip(r_rest).for_each(|(to, from)| *to = *from);
        terms.add(wide, &q, &r);
    }
    terms
}

/// Squares of differences.
struct Differences<D>(D);

impl<W: Wide> Terms<W> for Differences<W::D> {
    #[inline(always)]
    fn add<T: Element>(&mut self, wide: W, q: &[f32; LANES], r: &[T; LANES]) {
        let difference = wide.sub(wide.load(q), wide.load(r));
        self.0 = wide.add_product(self.0, difference, difference);
    }
}

#[inline(always)]
fn squared_distance<W: Wide, T: Element>(wide: W, query: &[f32], row: &[T]) -> f64 {
    by_halves(wide.lanes(sum_up(wide, query, row, Differences(wide.zero())).0))
}

/// Products. Those of two f32 are exact in f64, and cannot overflow it.
struct Products<D>(D);

impl<W: Wide> Terms<W> for Products<W::D> {
    #[inline(always)]
    fn add<T: Element>(&mut self, wide: W, q: &[f32; LANES], r: &[T; LANES]) {
        self.0 = wide.add_product(self.0, wide.load(q), wide.load(r));
    }
}

#[inline(always)]
fn inner_product<W: Wide, T: Element>(wide: W, query: &[f32], row: &[T]) -> f64 {
    by_halves(wide.lanes(sum_up(wide, query, row, Products(wide.zero())).0))
}

/// Products, and squares of the row.
struct ProductsAndSquares<D>(D, D);

impl<W: Wide> Terms<W> for ProductsAndSquares<W::D> {
    #[inline(always)]
    fn add<T: Element>(&mut self, wide: W, q: &[f32; LANES], r: &[T; LANES]) {
        let r = wide.load(r);
        self.0 = wide.add_product(self.0, wide.load(q), r);
        self.1 = wide.add_product(self.1, r, r);
    }
}

/// The inner product, and the sum of the squares of the row.
#[inline(always)]
fn dot_and_squares<W: Wide, T: Element>(wide: W, query: &[f32], row: &[T]) -> (f64, f64) {
    let sums = sum_up(wide, query, row, ProductsAndSquares(wide.zero(), wide.zero()));
    (by_halves(wide.lanes(sums.0)), by_halves(wide.lanes(sums.1)))
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
    0.0 - inner_product(Plain, query, row)
}

pub(super) fn cosine<T: Element>(query: &[f32], row: &[T]) -> f64 {
    let (dot, squares) = dot_and_squares(Plain, query, row);
    cosine_from_sums(dot, dot_and_squares(Plain, query, query).1, squares)
}

/// The Cosine distance from the inner product and the two sums of squares. Sums of squares of f32 are zero or within
/// 2^-298..2^272, so their product is normal.
#[inline(always)]
pub(super) fn cosine_from_sums(dot: f64, query_squares: f64, row_squares: f64) -> f64 {
    let norms = (query_squares * row_squares).sqrt();
    if norms == 0.0 { 1.0 } else { (1.0 - dot / norms).clamp(0.0, 2.0) }
}

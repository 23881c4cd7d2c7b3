//! Rows of 4-bit codes: [`NibbleQuery`] and the per-pair bodies, in exact integers that are combined in f32 once.
//!
//! ```text
//! byte i of a row of B bytes: component i in the low four bits, component B + i in the high four
//! a code c stands for r = 2c - 15, in half steps
//! dot:  -sum q r                                 = -(2 sum q c - 15 sum q)
//! l2:   weight x sum r r - sum q r, which orders like the squared distance;    sum r r = 4 sum c (c - 15) + 225 x 2B
//! ```
//! Codes are 0 to 15 and the query is signed bytes: what a multiplying instruction wants. Up to the largest row, 32,768
//! bytes, sums are below 2^31: 65,536 x 15 x 127 and 65,536 x 225.

use super::dispatch::{Against, Cpu, Dispatch, Isa, Pair, Task, enter};
use super::query::Aligned;
use super::{KernelError, Kernels, Op};

/// Bytes of the longest row.
const MOST_BYTES: usize = 32_768;

/// A query against rows of 4-bit codes, prepared once.
#[derive(Clone, Debug)]
pub struct NibbleQuery {
    op: Op,
    /// Those against the low halves of bytes, then those against the high halves.
    values: Aligned<i8>,
    sum: i32,
    /// What the squares of a row weigh, for [`Op::L2`].
    weight: f32,
}

impl NibbleQuery {
    /// Prepares `values`, two for each byte of a row, against codes that lie `step` apart, for [`Op::L2`] or, whatever
    /// else is given, the inner product. Distances are in an order that is that of the op's; their scale is the query's own.
    ///
    /// # Errors
    /// [`KernelError::Dimension`] unless there are 2 to 65,536 values, an even number; [`KernelError::QueryNotFinite`]
    /// when one of them is NaN or infinite, or `step` is not a finite number above 0.
    pub fn new(op: Op, values: &[f32], step: f32) -> Result<NibbleQuery, KernelError> {
        if values.is_empty() || !values.len().is_multiple_of(2) || values.len() > 2 * MOST_BYTES {
            return Err(KernelError::Dimension { got: values.len() });
        }
        if !(step.is_finite() && step > 0.0) {
            return Err(KernelError::QueryNotFinite);
        }
        let mut codes = Aligned::zeroed(values.len());
        let scale = Kernels::detect().bytes_of(values, codes.get_mut());
        if !scale.is_finite {
            return Err(KernelError::QueryNotFinite);
        }
        let sum = codes.get().iter().map(|code| i32::from(*code)).sum();
        let weight = (step / scale.step / 4.0).min(f32::MAX);
        Ok(NibbleQuery { op, values: codes, sum, weight })
    }

    fn row_bytes(&self) -> usize {
        self.values.get().len() / 2
    }

    /// The distance from sum q c and sum c (c - 15).
    #[inline(always)]
    fn distance(&self, products: i32, squares: i32) -> f32 {
        let dot = (2 * products - 15 * self.sum) as f32;
        if self.op == Op::L2 {
            let squares = 4 * squares + 450 * self.row_bytes() as i32;
            // Fused neither here nor there: the same bits at every level.
            return self.weight * squares as f32 - dot;
        }
        -dot
    }
}

/// Sums over bytes of codes in lanes of 32 bits. A step takes at most `STEP` bytes, and zeros where there are fewer.
pub(super) trait NibbleSimd: Isa {
    /// Lanes of 32 bits.
    type Acc: Copy;
    const STEP: usize;

    fn zero(self) -> Self::Acc;
    /// Adds q c, of `low` with the low halves of `row` and `high` with the high ones.
    fn add_products(self, acc: [Self::Acc; 2], low: &[i8], high: &[i8], row: &[u8]) -> [Self::Acc; 2];
    /// Adds c (c - 15) of both halves.
    fn add_squares(self, acc: Self::Acc, row: &[u8]) -> Self::Acc;
    fn add(self, a: Self::Acc, b: Self::Acc) -> Self::Acc;
    fn sum(self, acc: Self::Acc) -> i32;

    /// [`NibbleSimd::sum`] of each: lanes of four can be added up together.
    #[inline(always)]
    fn sum_four(self, acc: [Self::Acc; 4]) -> [i32; 4] {
        [self.sum(acc[0]), self.sum(acc[1]), self.sum(acc[2]), self.sum(acc[3])]
    }
}

/// Rows of `BYTES`, or, for 0, of any length.
#[derive(Clone, Copy)]
struct Vectors<'q, S, const L2: bool, const BYTES: usize> {
    simd: S,
    query: &'q NibbleQuery,
    low: &'q [i8],
    high: &'q [i8],
}

impl<'q, S: NibbleSimd, const L2: bool, const BYTES: usize> Vectors<'q, S, L2, BYTES> {
    fn new(simd: S, query: &'q NibbleQuery) -> Self {
        let (low, high) = query.values.get().split_at(query.row_bytes());
        Vectors { simd, query, low, high }
    }

    /// The bytes from `at` on: a number that the compiler knows, where it knows the length of rows.
    #[inline(always)]
    fn rest<T>(slice: &[T], at: usize) -> &[T] {
        let end = if BYTES > 0 { BYTES } else { slice.len() };
        slice.get(at..end).unwrap_or_default()
    }
}

impl<S: NibbleSimd, const L2: bool, const BYTES: usize> Vectors<'_, S, L2, BYTES> {
    /// Sums of q c and of c (c - 15) of a row, in lanes.
    #[inline(always)]
    fn sums(self, row: &[u8]) -> (S::Acc, S::Acc) {
        let simd = self.simd;
        let (mut products, mut squares) = ([simd.zero(); 2], simd.zero());
        let [low, high] = [Self::rest(self.low, 0), Self::rest(self.high, 0)];
        let row = Self::rest(row, 0);
        let whole = low.len() - low.len() % S::STEP;
        let halves = low.chunks_exact(S::STEP).zip(high.chunks_exact(S::STEP));
        for ((low, high), row) in halves.zip(row.chunks_exact(S::STEP)) {
            products = simd.add_products(products, low, high, row);
            if L2 {
                squares = simd.add_squares(squares, row);
            }
        }
        if whole < low.len() {
            let row = Self::rest(row, whole);
            products = simd.add_products(products, Self::rest(low, whole), Self::rest(high, whole), row);
            if L2 {
                squares = simd.add_squares(squares, row);
            }
        }
        (simd.add(products[0], products[1]), squares)
    }
}

impl<S: NibbleSimd, const L2: bool, const BYTES: usize> Pair<u8> for Vectors<'_, S, L2, BYTES> {
    const WIDTH: usize = BYTES;

    #[inline(always)]
    fn distance(self, row: &[u8]) -> f32 {
        let (products, squares) = self.sums(row);
        let squares = if L2 { self.simd.sum(squares) } else { 0 };
        self.query.distance(self.simd.sum(products), squares)
    }

    #[inline(always)]
    fn distances_of_four(self, rows: [&[u8]; 4]) -> [f32; 4] {
        let [a, b, c, d] = rows;
        let [a, b, c, d] = [self.sums(a), self.sums(b), self.sums(c), self.sums(d)];
        let products = self.simd.sum_four([a.0, b.0, c.0, d.0]);
        let squares = if L2 { self.simd.sum_four([a.1, b.1, c.1, d.1]) } else { [0; 4] };
        let mut distances = [0.0; 4];
        for at in 0..4 {
            distances[at] = self.query.distance(products[at], squares[at]);
        }
        distances
    }
}

/// In plain Rust.
#[derive(Clone, Copy)]
struct Plain<'q>(&'q NibbleQuery);

impl Pair<u8> for Plain<'_> {
    #[inline(always)]
    fn distance(self, row: &[u8]) -> f32 {
        let (low, high) = self.0.values.get().split_at(self.0.row_bytes());
        let (mut products, mut squares) = (0, 0);
        for ((low, high), byte) in low.iter().zip(high).zip(row) {
            let [c, d] = [i32::from(byte & 15), i32::from(byte >> 4)];
            products += i32::from(*low) * c + i32::from(*high) * d;
            squares += c * (c - 15) + d * (d - 15);
        }
        self.0.distance(products, squares)
    }
}

impl Against<u8> for NibbleQuery {
    fn row_len(&self) -> usize {
        self.row_bytes()
    }
}

impl Dispatch<u8> for NibbleQuery {
    fn dispatch<K: Task<u8>>(&self, cpu: Cpu, task: K) -> K::Output {
        match cpu {
            Cpu::Scalar => task.run(Plain(self)),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2(isa) => vectors(isa, self, task),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512(isa) => vectors(isa, self, task),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512Vnni(isa) => vectors(isa, self, task),
            #[cfg(target_arch = "aarch64")]
            Cpu::Neon(isa) => vectors(isa, self, task),
        }
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn vectors<S: NibbleSimd, K: Task<u8>>(isa: S, query: &NibbleQuery, task: K) -> K::Output {
    match query.op {
        Op::L2 => of_length::<S, K, true>(isa, query, task),
        _ => of_length::<S, K, false>(isa, query, task),
    }
}

/// The lengths that most rows have are known to the compiler.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn of_length<S: NibbleSimd, K: Task<u8>, const L2: bool>(isa: S, query: &NibbleQuery, task: K) -> K::Output {
    match query.row_bytes() {
        64 => enter(isa, Vectors::<_, L2, 64>::new(isa, query), task),
        128 => enter(isa, Vectors::<_, L2, 128>::new(isa, query), task),
        192 => enter(isa, Vectors::<_, L2, 192>::new(isa, query), task),
        _ => enter(isa, Vectors::<_, L2, 0>::new(isa, query), task),
    }
}

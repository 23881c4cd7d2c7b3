//! Distance kernels: numbers in, numbers out. Owns every SIMD instruction of the engine; knows no file, graph or id.
//!
//! | file | duty |
//! | --- | --- |
//! | `mod` | the public face: [`Kernels`], [`Level`], [`Op`], the block calls and their length checks |
//! | `error` | [`KernelError`] |
//! | `element` | [`Element`]: what a row may be made of |
//! | `query` | [`Query`] and [`BitQuery`]: a query prepared once, with its norm |
//! | `dispatch` | `Pair`, `Task`, `Isa`: one dispatch per call, after which everything is inlined |
//! | `scan` | the tasks behind the block calls |
//! | `op` | L2, Dot and Cosine: their terms, and how sums become a distance |
//! | `simd` | the per-pair bodies, written once over the instruction sets |
//! | `scalar` | the same distances in plain Rust: the fallback and the oracle |
//! | `x86`, `aarch64` | the instruction sets, a token type each |
//! | `bytes` | floats as signed bytes |
//! | `nibble` | [`NibbleQuery`] against rows of 4-bit codes |
//! | `exact` | the same distances in f64, for the final candidates |
//!
//! **How a call runs.** `Kernels::distances(query, rows, out)` checks the lengths, then picks (level, op, element) once.
//! That choice is a `Pair` value; the block loop is a `Task`. `Isa::enter` calls the task with the pair inside a
//! `#[target_feature]` function, into which the loop and the per-pair body are inlined. Any other loop over distances
//! (a graph walk) is another `Task`.
//!
//! **Why it is sound.** A token such as `Avx2` can be had only by asking the CPU. Its methods are single instructions,
//! so all code above the tokens is safe code; slices carry all lengths.
//!
//! **Determinism.** At one level the distance of a pair depends on its values alone: not on its address, its place in a
//! block, or the call that asked. Levels differ in the last bits of f32 sums; integer distances are equal at all levels.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod bytes;
mod dispatch;
mod element;
mod error;
mod exact;
mod nibble;
mod op;
mod query;
mod scalar;
mod scan;
mod simd;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use dispatch::Against;
pub use element::Element;
pub use error::KernelError;
pub use exact::{exact_distance, exact_hamming};
pub use nibble::NibbleQuery;
pub use query::{BitQuery, Query, QueryElement};

pub(crate) use {
    bytes::rounded,
    dispatch::{Pair, Task},
    scan::prefetch,
};

use dispatch::Cpu;
use scan::{One, Scan, ScanAt, Scattered};

/// The largest dimension of a query or row, in elements (for [`BitQuery`], in bits rounded up to whole bytes).
///
/// Up to it the sums of integer kernels cannot overflow: 65,535 x 255 x 255 < 2^32.
pub const MAX_DIMENSION: usize = 65_535;

/// The largest distance that counts as no farther than `distance`: levels and orders of summing differ by less than a millionth of it.
///
/// ```
/// use rvf_engine::kernel::as_near_as;
/// assert!(as_near_as(2.0) > 2.000_001 && as_near_as(-2.0) < -1.999_997);
/// ```
pub fn as_near_as(distance: f32) -> f32 {
    const TOLERANCE: f32 = 1e-6;
    distance + distance.abs() * TOLERANCE
}

/// An instruction set with kernels of its own. Which of them exist depends on the architecture and the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// Plain Rust, on every CPU.
    Scalar,
    /// x86-64 with AVX2, FMA, F16C and POPCNT.
    Avx2,
    /// x86-64 with AVX-512 F, BW and VL.
    Avx512,
    /// [`Level::Avx512`] with VNNI for the integer kernels and VPOPCNTDQ for bits.
    Avx512Vnni,
    /// AArch64 with NEON.
    Neon,
}

impl Level {
    /// Every level, from the least to the most capable of each architecture.
    pub const ALL: [Level; 5] = [Level::Scalar, Level::Avx2, Level::Avx512, Level::Avx512Vnni, Level::Neon];
}

/// A distance between two vectors of numbers. The smaller, the nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Squared Euclidean distance, 0 and up.
    L2,
    /// The negated inner product.
    Dot,
    /// One minus the cosine of the angle, in 0..=2. A vector of norm zero is at distance 1 from everything.
    Cosine,
}

impl Op {
    /// Every operation.
    pub const ALL: [Op; 3] = [Op::L2, Op::Dot, Op::Cosine];
}

/// The kernels of one [`Level`]. A value is the proof that this CPU has the instructions: there is no other way to one.
///
/// Rows are passed row-major and without gaps: `rows.len()` is the number of rows times `query.row_len()`. No
/// alignment is asked for. Elements must be finite, as those of every query are; then no distance is NaN, and only L2
/// and Dot beyond the range of f32 are infinite.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    cpu: Cpu,
}

impl Kernels {
    /// The kernels of the most capable level of this CPU.
    pub fn detect() -> Kernels {
        let mut best = Cpu::Scalar;
        for level in Level::ALL {
            best = Cpu::detect(level).unwrap_or(best);
        }
        Kernels { cpu: best }
    }

    /// The kernels of `level`, if this CPU has it.
    pub fn with_level(level: Level) -> Option<Kernels> {
        Cpu::detect(level).map(|cpu| Kernels { cpu })
    }

    /// The levels that this CPU has, the most capable last.
    pub fn available() -> Vec<Level> {
        let has = |level: &Level| Cpu::detect(*level).is_some();
        Level::ALL.into_iter().filter(has).collect()
    }

    /// The level of these kernels.
    pub fn level(self) -> Level {
        self.cpu.level()
    }

    /// The distance from `query` to `row`, which has `query.row_len()` elements.
    ///
    /// # Errors
    /// [`KernelError::RowsLength`] when `row` has another length.
    pub fn distance<T, Q: Against<T>>(self, query: &Q, row: &[T]) -> Result<f32, KernelError> {
        check_rows(row.len(), query.row_len())?;
        Ok(query.dispatch(self.cpu, One { row }))
    }

    /// The distance from `query` to each of `rows`, in order: `out.len()` rows of `query.row_len()` elements.
    ///
    /// # Errors
    /// [`KernelError::RowsLength`] when `rows` does not have exactly that many elements; `out` is then untouched.
    pub fn distances<T, Q: Against<T>>(self, query: &Q, rows: &[T], out: &mut [f32]) -> Result<(), KernelError> {
        let width = query.row_len();
        check_rows(rows.len(), out.len().saturating_mul(width))?;
        query.dispatch(self.cpu, Scan { rows, width, out });
        Ok(())
    }

    /// The distance from `query` to the rows with the numbers `indices`, in that order, one per entry of `out`.
    ///
    /// # Errors
    /// [`KernelError::RowsLength`] when `rows` is not a whole number of rows, [`KernelError::OutLength`] when `out` and
    /// `indices` differ in length, [`KernelError::IndexOutOfRange`] for the first index beyond the last row; `out` is
    /// then untouched.
    pub fn distances_at<T, Q: Against<T>>(
        self,
        query: &Q,
        rows: &[T],
        indices: &[u32],
        out: &mut [f32],
    ) -> Result<(), KernelError> {
        let width = query.row_len();
        let count = rows.len() / width.max(1);
        check_rows(rows.len(), count * width)?;
        check_indices(indices, count, out.len())?;
        query.dispatch(self.cpu, ScanAt { rows, width, indices, out });
        Ok(())
    }

    /// The distance from `query` to each of `rows`, which lie anywhere, in `out`, which is cleared first.
    ///
    /// # Errors
    /// [`KernelError::RowsLength`] when a row does not have `query.row_len()` elements.
    pub fn distances_of<T, Q: Against<T>>(
        self,
        query: &Q,
        rows: &[&[T]],
        out: &mut Vec<f32>,
    ) -> Result<(), KernelError> {
        out.clear();
        rows.iter().try_for_each(|row| check_rows(row.len(), query.row_len()))?;
        out.resize(rows.len(), 0.0);
        query.dispatch(self.cpu, Scattered { rows, out });
        Ok(())
    }

    /// The plain sum of `values`, in a fixed order for this level: what a scan costs when nothing is computed.
    pub fn sum_f32(self, values: &[f32]) -> f32 {
        dispatch::sum_f32(self.cpu, values)
    }

    /// The door for loops of other modules: runs `task` with the pair of (this level, the query's op, `T`), inside a
    /// function compiled for the level.
    pub(crate) fn run<T, Q: Against<T>, K: dispatch::Task<T>>(self, query: &Q, task: K) -> K::Output {
        query.dispatch(self.cpu, task)
    }
}

fn check_rows(got: usize, want: usize) -> Result<(), KernelError> {
    if got == want { Ok(()) } else { Err(KernelError::RowsLength { got, want }) }
}

fn check_indices(indices: &[u32], rows: usize, out: usize) -> Result<(), KernelError> {
    if out != indices.len() {
        return Err(KernelError::OutLength { got: out, want: indices.len() });
    }
    match indices.iter().find(|&&index| index as usize >= rows) {
        Some(&index) => Err(KernelError::IndexOutOfRange { index, rows }),
        None => Ok(()),
    }
}

//! The loops behind the block calls. Lengths and indices were checked by `Kernels`; the slicing here checks them again,
//! once a row, and so needs no proof.

use super::dispatch::{Pair, Task};

/// One row.
pub(super) struct One<'a, T> {
    pub(super) row: &'a [T],
}

impl<T> Task<T> for One<'_, T> {
    type Output = f32;

    #[inline(always)]
    fn run<P: Pair<T>>(self, pair: P) -> f32 {
        pair.distance(self.row)
    }
}

/// Rows one after the other, in one stream: taking two rows at a time measured slower here.
pub(super) struct Scan<'a, T> {
    pub(super) rows: &'a [T],
    pub(super) width: usize,
    pub(super) out: &'a mut [f32],
}

impl<T> Task<T> for Scan<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<P: Pair<T>>(self, pair: P) {
        for (row, out) in self.rows.chunks_exact(self.width).zip(self.out) {
            *out = pair.distance_in_stream(row);
        }
    }
}

/// How far beyond the chunk at hand a sequential scan asks for memory, in bytes: a page, because the prefetchers of
/// CPUs stop at its end. (Measured for f32, 384 dimensions, Zen 5: Cosine 0.91 of the bandwidth of a sum at 0 or 1024
/// bytes, 0.99 at 2048, 0.95 at 4096 and 8192; L2 and Dot are nearest to it at 4096.)
const AHEAD: usize = 4096;

/// Asks for the lines `AHEAD` of those of `chunk`.
#[inline(always)]
pub(super) fn prefetch_ahead<T>(chunk: &[T]) {
    let start = chunk.as_ptr().cast::<u8>().wrapping_add(AHEAD);
    for line in 0..size_of_val(chunk).div_ceil(LINE_BYTES) {
        prefetch_line::<true>(start.wrapping_add(line * LINE_BYTES));
    }
}

/// Rows by their numbers.
pub(super) struct ScanAt<'a, T> {
    pub(super) rows: &'a [T],
    pub(super) width: usize,
    pub(super) indices: &'a [u32],
    pub(super) out: &'a mut [f32],
}

impl<T> Task<T> for ScanAt<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<P: Pair<T>>(self, pair: P) {
        let ahead = rows_ahead::<T>(self.width);
        for (i, (&index, out)) in self.indices.iter().zip(self.out).enumerate() {
            if let Some(&later) = self.indices.get(i + ahead) {
                prefetch(row(self.rows, self.width, later));
            }
            *out = pair.distance(row(self.rows, self.width, index));
        }
    }
}

/// Rows wherever they are, each of the query's length.
pub(super) struct Scattered<'a, T> {
    pub(super) rows: &'a [&'a [T]],
    pub(super) out: &'a mut [f32],
}

impl<T> Task<T> for Scattered<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<P: Pair<T>>(self, pair: P) {
        self.rows.iter().take(SCATTERED_AHEAD).for_each(|row| prefetch_all(row));
        for (i, (row, out)) in self.rows.iter().zip(self.out).enumerate() {
            if let Some(later) = self.rows.get(i + SCATTERED_AHEAD) {
                prefetch_all(later);
            }
            *out = pair.distance(row);
        }
    }
}

/// How many rows ahead of the one at hand a scattered row is asked for, all of it. (Measured: of 12 lines a row 16 are 7 % of a
/// search faster than 8; of 13 lines, which the cache holds, they are the same.)
pub(super) const SCATTERED_AHEAD: usize = 16;

/// How many rows ahead of the one at hand a row is asked for: so many that about 128 lines are under way. (Measured at 128, 768 and
/// 784 bytes a row, Zen 4, second-level cache: as good as 256, a little better than 48.)
#[inline(always)]
fn rows_ahead<T>(width: usize) -> usize {
    let lines = (width * size_of::<T>()).div_ceil(LINE_BYTES).max(1);
    (128 / lines).clamp(4, 64)
}

/// How many cache lines of a row are asked for; the hardware notices the stream and fetches the rest.
const PREFETCH_LINES: usize = 8;

/// The bytes of a cache line.
const LINE_BYTES: usize = 64;

#[inline(always)]
fn row<T>(rows: &[T], width: usize, index: u32) -> &[T] {
    &rows[index as usize * width..][..width]
}

/// Asks the second-level cache for the first lines of `row`: it keeps track of more lines at a time than the first. (Measured on
/// Zen 4, walks of 620 rows of two lines each: 22 us instead of 30, and 25 instead of 40 when the memory is busy.)
#[inline(always)]
pub(crate) fn prefetch<T>(row: &[T]) {
    ask_for(row, PREFETCH_LINES);
}

/// The same for all lines of `row`, up to 32: of longer rows the hardware fetches the rest.
#[inline(always)]
pub(super) fn prefetch_all<T>(row: &[T]) {
    ask_for(row, 4 * PREFETCH_LINES);
}

#[inline(always)]
fn ask_for<T>(row: &[T], lines: usize) {
    let bytes = size_of_val(row).min(lines * LINE_BYTES);
    let start = row.as_ptr().cast::<u8>();
    for offset in (0..bytes).step_by(LINE_BYTES) {
        prefetch_line::<false>(start.wrapping_add(offset));
    }
}

/// Asks for the line at `at`, of the first-level cache if `NEAR`, else of the second.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
fn prefetch_line<const NEAR: bool>(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
    // SAFETY: a prefetch reads nothing and faults on no address; SSE is part of every x86-64.
    unsafe {
        if NEAR {
            _mm_prefetch::<_MM_HINT_T0>(at.cast());
        } else {
            _mm_prefetch::<_MM_HINT_T1>(at.cast());
        }
    }
}

#[inline(always)]
#[cfg(target_arch = "aarch64")]
fn prefetch_line<const NEAR: bool>(at: *const u8) {
    // SAFETY: a prefetch reads nothing, faults on no address and changes no register.
    unsafe {
        if NEAR {
            std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) at, options(readonly, nostack, preserves_flags));
        } else {
            std::arch::asm!("prfm pldl2keep, [{0}]", in(reg) at, options(readonly, nostack, preserves_flags));
        }
    }
}

#[inline(always)]
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn prefetch_line<const NEAR: bool>(_at: *const u8) {}

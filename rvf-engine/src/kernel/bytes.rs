//! Floats as signed bytes: compiled for each instruction set, the same at every level.

use super::Kernels;
use super::dispatch::{Cpu, Isa, Work};

/// The largest byte.
const MOST: f32 = 127.0;
const LANES: usize = 16;

/// What floats were before they became bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    /// What a byte counts; 1 where all are zero or as good as that.
    pub(crate) step: f32,
    /// The sum of the squares: NaN if a value is, at most infinite.
    pub(crate) squares: f32,
    /// Whether all values are finite.
    pub(crate) is_finite: bool,
}

impl Kernels {
    /// Writes the values over their largest magnitude, times 127, rounded to the nearest (ties to even), to as many bytes.
    /// Values that are not finite give any bytes.
    pub(crate) fn bytes_of(self, values: &[f32], bytes: &mut [i8]) -> Scale {
        let work = Bytes { values, bytes };
        match self.cpu {
            Cpu::Scalar => work.run(),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2(isa) => isa.enter(work),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512(isa) => isa.enter(work),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512Vnni(isa) => isa.enter(work),
            #[cfg(target_arch = "aarch64")]
            Cpu::Neon(isa) => isa.enter(work),
        }
    }
}

struct Bytes<'a> {
    values: &'a [f32],
    bytes: &'a mut [i8],
}

impl Work for Bytes<'_> {
    type Output = Scale;

    #[inline(always)]
    fn run(self) -> Scale {
        let (largest, squares) = largest_and_squares(self.values);
        // Below the smallest normal number values are as good as zero.
        let step = if largest / MOST >= f32::MIN_POSITIVE { largest / MOST } else { 1.0 };
        let inverse = 1.0 / step;
        for (to, value) in self.bytes.iter_mut().zip(self.values) {
            *to = rounded(*value * inverse);
        }
        Scale { step, squares, is_finite: largest.is_finite() && !squares.is_nan() }
    }
}

#[inline(always)]
fn largest_and_squares(values: &[f32]) -> (f32, f32) {
    let (mut largest, mut squares) = ([0f32; LANES], [0f32; LANES]);
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            let magnitude = chunk[lane].abs();
            largest[lane] = if magnitude > largest[lane] { magnitude } else { largest[lane] };
            squares[lane] += chunk[lane] * chunk[lane];
        }
    }
    for (lane, value) in rest.iter().enumerate() {
        largest[lane] = largest[lane].max(value.abs());
        squares[lane] += value * value;
    }
    let most = largest.into_iter().fold(0f32, f32::max);
    (most, squares.iter().sum())
}

/// The nearest whole number, ties to even, cut to -127..=127: adding 1.5 x 2^23 leaves it, and no fraction, in the lowest bits. (A
/// loop of it becomes vector instructions, `round_ties_even` a call.)
#[inline(always)]
pub(crate) fn rounded(value: f32) -> i8 {
    const MAGIC: f32 = 12_582_912.0;
    (value.clamp(-MOST, MOST) + MAGIC).to_bits() as u8 as i8
}

//! The search for NaN and infinity. Readers of binary formats leave it to the engine's door; this is what the door
//! calls, at the speed of memory.
//!
//! A float is finite unless every bit of its exponent is set. A block is tested without leaving early, so that the
//! compiler makes it a few vector instructions; only a block with a hit is searched element by element.

use half::f16;
use half::slice::HalfFloatSliceExt;

const F32_EXPONENT: u32 = 0x7f80_0000;
const F16_EXPONENT: u16 = 0x7c00;
const BLOCK: usize = 256;

/// The index of the first NaN or infinity.
#[must_use]
pub fn first_non_finite(values: &[f32]) -> Option<usize> {
    let bits: &[u32] = bytemuck::cast_slice(values);
    let wrong = |bits: u32| bits & F32_EXPONENT == F32_EXPONENT;
    first_in_blocks(bits, wrong)
}

/// The index of the first NaN or infinity.
#[must_use]
pub fn first_non_finite_f16(values: &[f16]) -> Option<usize> {
    let bits: &[u16] = values.reinterpret_cast();
    let wrong = |bits: u16| bits & F16_EXPONENT == F16_EXPONENT;
    first_in_blocks(bits, wrong)
}

#[inline]
fn first_in_blocks<T: Copy>(bits: &[T], wrong: impl Fn(T) -> bool + Copy) -> Option<usize> {
    for (index, block) in bits.chunks(BLOCK).enumerate() {
        let hit = block.iter().fold(false, |hit, &bits| hit | wrong(bits));
        if hit {
            return block.iter().position(|&bits| wrong(bits)).map(|at| index * BLOCK + at);
        }
    }
    None
}

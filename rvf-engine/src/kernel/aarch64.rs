//! NEON, the vectors of AArch64: 4 lanes of f32, 16 bytes a step. What is `unsafe` here is single instructions, which
//! the token proves the CPU to have, and loads, whose bounds the line above each shows.

use super::dispatch::{Isa, Work};
use super::nibble::NibbleSimd;
use super::simd::{BitSimd, ByteSimd, Simd};
use half::f16;
use std::arch::aarch64::*;
use std::arch::asm;

/// The proof that the CPU has NEON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neon(());

impl Isa for Neon {
    #[inline]
    fn enter<W: Work>(self, work: W) -> W::Output {
        #[target_feature(enable = "neon")]
        fn inside<W: Work>(work: W) -> W::Output {
            work.run()
        }
        // SAFETY: a token exists only after `detect` found NEON in the CPU.
        unsafe { inside(work) }
    }
}

/// Defines methods that are register-to-register instructions.
macro_rules! instructions {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty = $body:expr;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        fn $name(self, $($arg: $type),*) -> $out {
            // SAFETY: these instructions touch no memory, and `self` is the proof that the CPU has them.
            unsafe { $body }
        }
    )*};
}

/// The first `N` elements of `chunk`, or all and zeros.
#[inline(always)]
fn padded<T: Copy + Default, const N: usize>(chunk: &[T]) -> [T; N] {
    let mut full = [T::default(); N];
    for (to, from) in full.iter_mut().zip(chunk) {
        *to = *from;
    }
    full
}

impl Neon {
    pub(super) fn detect() -> Option<Neon> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Neon(()))
    }

    /// Four f16 as f32. (The intrinsic is not stable; the instruction is part of NEON.)
    #[inline(always)]
    fn f16_to_f32(self, bits: uint16x4_t) -> float32x4_t {
        let wide: float32x4_t;
        // SAFETY: FCVTL reads one register and writes another; `self` is the proof that the CPU has it.
        unsafe {
            asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) wide, in(vreg) bits,
                options(pure, nomem, nostack, preserves_flags));
        }
        wide
    }

    #[inline(always)]
    fn load_4_floats(self, floats: &[f32; 4]) -> float32x4_t {
        // SAFETY: reads the 4 elements of the array, at any alignment; `self` is the proof of NEON.
        unsafe { vld1q_f32(floats.as_ptr()) }
    }

    #[inline(always)]
    fn load_4_halves(self, halves: &[f16; 4]) -> uint16x4_t {
        // SAFETY: reads the 4 elements of 2 bytes of the array, at any alignment; `self` is the proof of NEON.
        unsafe { vld1_u16(halves.as_ptr().cast()) }
    }

    #[inline(always)]
    fn magnitude_u8(self, a: uint8x16_t) -> uint8x16_t {
        a
    }

    instructions! {
        /// Four i8, the first in the lowest byte of `a`, as f32.
        fn i8_to_f32(a: u64) -> float32x4_t =
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(a)))));
        /// Four u8, the first in the lowest byte of `a`, as f32.
        fn u8_to_f32(a: u64) -> float32x4_t =
            vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(a)))));
        fn add_u32(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t = vaddq_u32(a, b);
        fn sum_u32(a: uint32x4_t) -> u32 = vaddvq_u32(a);
        /// The sums of pairs of lanes of `a`, then those of `b`.
        fn sums_of_pairs(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t = vpaddq_u32(a, b);
        fn zero_u32() -> uint32x4_t = vdupq_n_u32(0);
        /// Adds squares of bytes: each below 2^16, widened as it is added.
        fn add_squares_of_u8(acc: uint32x4_t, a: uint8x16_t) -> uint32x4_t = {
            let low = vmull_u8(vget_low_u8(a), vget_low_u8(a));
            vpadalq_u16(vpadalq_u16(acc, low), vmull_high_u8(a, a))
        };
        fn add_products_u8(acc: uint32x4_t, a: uint8x16_t, b: uint8x16_t) -> uint32x4_t = {
            let low = vmull_u8(vget_low_u8(a), vget_low_u8(b));
            vpadalq_u16(vpadalq_u16(acc, low), vmull_high_u8(a, b))
        };
        /// Products of i8 are at most 2^14 in magnitude.
        fn add_products_i8(acc: uint32x4_t, a: int8x16_t, b: int8x16_t) -> uint32x4_t = {
            let low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
            let sums = vpadalq_s16(vreinterpretq_s32_u32(acc), low);
            vreinterpretq_u32_s32(vpadalq_s16(sums, vmull_high_s8(a, b)))
        };
        fn widen_low(a: float32x4_t) -> float64x2_t = vcvt_f64_f32(vget_low_f32(a));
        fn widen_high(a: float32x4_t) -> float64x2_t = vcvt_high_f64_f32(a);
        fn zero_2_f64() -> float64x2_t = vdupq_n_f64(0.0);
        fn add_2_f64(a: float64x2_t, b: float64x2_t) -> float64x2_t = vaddq_f64(a, b);
        fn sub_2_f64(a: float64x2_t, b: float64x2_t) -> float64x2_t = vsubq_f64(a, b);
        fn mul_2_f64(a: float64x2_t, b: float64x2_t) -> float64x2_t = vmulq_f64(a, b);
        /// Codes of 4 bits as signed bytes.
        fn low_halves(a: uint8x16_t) -> int8x16_t = vreinterpretq_s8_u8(vandq_u8(a, vdupq_n_u8(15)));
        fn high_halves(a: uint8x16_t) -> int8x16_t = vreinterpretq_s8_u8(vshrq_n_u8::<4>(a));
        fn less_15(a: int8x16_t) -> int8x16_t = vsubq_s8(a, vdupq_n_s8(15));
        fn difference_u8(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t = vabdq_u8(a, b);
        /// |a - b| fits u8, and is what VABD leaves in the bits of an i8.
        fn difference_i8(a: int8x16_t, b: int8x16_t) -> uint8x16_t = vreinterpretq_u8_s8(vabdq_s8(a, b));
        /// The magnitude 128 of -128 is what VABS leaves, read as u8.
        fn magnitude_i8(a: int8x16_t) -> uint8x16_t = vreinterpretq_u8_s8(vabsq_s8(a));
        fn add_bits(acc: uint32x4_t, a: uint8x16_t, b: uint8x16_t) -> uint32x4_t =
            vpadalq_u16(acc, vpaddlq_u8(vcntq_u8(veorq_u8(a, b))));
    }
}

impl Simd for Neon {
    type F = float32x4_t;
    const WIDTH: usize = 4;

    #[inline(always)]
    fn load_f32(self, chunk: &[f32]) -> float32x4_t {
        match chunk.first_chunk() {
            Some(full) => self.load_4_floats(full),
            None => self.load_4_floats(&padded(chunk)),
        }
    }

    #[inline(always)]
    fn load_f16(self, chunk: &[f16]) -> float32x4_t {
        match chunk.first_chunk() {
            Some(full) => self.f16_to_f32(self.load_4_halves(full)),
            None => self.f16_to_f32(self.load_4_halves(&padded(chunk))),
        }
    }

    #[inline(always)]
    fn load_i8(self, chunk: &[i8]) -> float32x4_t {
        let four: [i8; 4] = chunk.first_chunk().copied().unwrap_or_else(|| padded(chunk));
        self.i8_to_f32(u32::from_le_bytes(four.map(i8::cast_unsigned)).into())
    }

    #[inline(always)]
    fn load_u8(self, chunk: &[u8]) -> float32x4_t {
        let four: [u8; 4] = chunk.first_chunk().copied().unwrap_or_else(|| padded(chunk));
        self.u8_to_f32(u32::from_le_bytes(four).into())
    }

    instructions! {
        fn zero() -> float32x4_t = vdupq_n_f32(0.0);
        fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t = vaddq_f32(a, b);
        fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t = vsubq_f32(a, b);
        fn mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t = vfmaq_f32(c, a, b);
        fn sum(a: float32x4_t) -> f32 = vaddvq_f32(a);
    }

    type D = [float64x2_t; 2];

    #[inline(always)]
    fn widen(self, a: float32x4_t) -> [float64x2_t; 2] {
        [self.widen_low(a), self.widen_high(a)]
    }

    #[inline(always)]
    fn zero_f64(self) -> [float64x2_t; 2] {
        [self.zero_2_f64(); 2]
    }

    #[inline(always)]
    fn add_f64(self, a: [float64x2_t; 2], b: [float64x2_t; 2]) -> [float64x2_t; 2] {
        [self.add_2_f64(a[0], b[0]), self.add_2_f64(a[1], b[1])]
    }

    #[inline(always)]
    fn sub_f64(self, a: [float64x2_t; 2], b: [float64x2_t; 2]) -> [float64x2_t; 2] {
        [self.sub_2_f64(a[0], b[0]), self.sub_2_f64(a[1], b[1])]
    }

    #[inline(always)]
    fn mul_f64(self, a: [float64x2_t; 2], b: [float64x2_t; 2]) -> [float64x2_t; 2] {
        [self.mul_2_f64(a[0], b[0]), self.mul_2_f64(a[1], b[1])]
    }

    #[inline(always)]
    fn store_f64(self, a: [float64x2_t; 2], to: &mut [f64]) {
        if let Some((halves, _)) = to.first_chunk_mut::<4>().map(|full| full.as_chunks_mut::<2>()) {
            for (half, a) in halves.iter_mut().zip(a) {
                // SAFETY: writes the 2 elements of the array, at any alignment; `self` is the proof of NEON.
                unsafe { vst1q_f64(half.as_mut_ptr(), a) }
            }
        }
    }
}

macro_rules! byte_simd {
    ($type:ty, $vector:ty, $vld1q:ident, $load:ident, $products:ident, $difference:ident, $magnitude:ident) => {
        impl Neon {
            /// The first 16 bytes of `chunk`, or all and zeros.
            #[inline(always)]
            fn $load(self, chunk: &[$type]) -> $vector {
                let sixteen: [$type; 16] = chunk.first_chunk().copied().unwrap_or_else(|| padded(chunk));
                // SAFETY: reads the 16 bytes of the array, at any alignment; `self` is the proof of NEON.
                unsafe { $vld1q(sixteen.as_ptr()) }
            }
        }

        impl ByteSimd<$type> for Neon {
            type Acc = uint32x4_t;
            const STEP: usize = 16;

            #[inline(always)]
            fn zero(self) -> uint32x4_t {
                self.zero_u32()
            }

            #[inline(always)]
            fn add_products(self, acc: uint32x4_t, q: &[$type], r: &[$type]) -> uint32x4_t {
                self.$products(acc, self.$load(q), self.$load(r))
            }

            #[inline(always)]
            fn add_squared_difference(self, acc: uint32x4_t, q: &[$type], r: &[$type]) -> uint32x4_t {
                self.add_squares_of_u8(acc, self.$difference(self.$load(q), self.$load(r)))
            }

            #[inline(always)]
            fn add_squares(self, acc: uint32x4_t, r: &[$type]) -> uint32x4_t {
                self.add_squares_of_u8(acc, self.$magnitude(self.$load(r)))
            }

            #[inline(always)]
            fn add(self, a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
                self.add_u32(a, b)
            }

            #[inline(always)]
            fn sum(self, acc: uint32x4_t) -> u32 {
                self.sum_u32(acc)
            }
        }
    };
}

byte_simd!(i8, int8x16_t, vld1q_s8, load_16_i8, add_products_i8, difference_i8, magnitude_i8);
byte_simd!(u8, uint8x16_t, vld1q_u8, load_16_u8, add_products_u8, difference_u8, magnitude_u8);

impl BitSimd for Neon {
    type Acc = uint32x4_t;
    const STEP: usize = 16;

    #[inline(always)]
    fn zero(self) -> uint32x4_t {
        self.zero_u32()
    }

    #[inline(always)]
    fn add_differing(self, acc: uint32x4_t, q: &[u8], r: &[u8]) -> uint32x4_t {
        self.add_bits(acc, self.load_16_u8(q), self.load_16_u8(r))
    }

    #[inline(always)]
    fn add(self, a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
        self.add_u32(a, b)
    }

    #[inline(always)]
    fn sum(self, acc: uint32x4_t) -> u32 {
        self.sum_u32(acc)
    }
}

impl NibbleSimd for Neon {
    type Acc = uint32x4_t;
    const STEP: usize = 16;

    #[inline(always)]
    fn zero(self) -> uint32x4_t {
        self.zero_u32()
    }

    #[inline(always)]
    fn add_products(self, acc: [uint32x4_t; 2], low: &[i8], high: &[i8], row: &[u8]) -> [uint32x4_t; 2] {
        let row = self.load_16_u8(row);
        [
            self.add_products_i8(acc[0], self.low_halves(row), self.load_16_i8(low)),
            self.add_products_i8(acc[1], self.high_halves(row), self.load_16_i8(high)),
        ]
    }

    #[inline(always)]
    fn add_squares(self, acc: uint32x4_t, row: &[u8]) -> uint32x4_t {
        let row = self.load_16_u8(row);
        let [low, high] = [self.low_halves(row), self.high_halves(row)];
        let acc = self.add_products_i8(acc, low, self.less_15(low));
        self.add_products_i8(acc, high, self.less_15(high))
    }

    #[inline(always)]
    fn add(self, a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
        self.add_u32(a, b)
    }

    #[inline(always)]
    fn sum(self, acc: uint32x4_t) -> i32 {
        self.sum_u32(acc).cast_signed()
    }
    #[inline(always)]
    fn sum_four(self, acc: [uint32x4_t; 4]) -> [i32; 4] {
        let [a, b, c, d] = acc;
        let sums = self.sums_of_pairs(self.sums_of_pairs(a, b), self.sums_of_pairs(c, d));
        let mut lanes = [0u32; 4];
        // SAFETY: writes the four lanes of the array; NEON is part of AArch64.
        unsafe { vst1q_u32(lanes.as_mut_ptr(), sums) };
        [lanes[0] as i32, lanes[1] as i32, lanes[2] as i32, lanes[3] as i32]
    }
}

//! AVX-512 with VNNI and VPOPCNTDQ: 64 bytes a step, multiplied and summed in one instruction.
//!
//! VPDPBUSD multiplies u8 by i8 only. So one side of an inner product is moved by 128, by flipping its top bit, and the
//! sum corrected by 128 times the sum of the query, which is computed once:
//!
//! ```text
//! u8:  sum q (r - 128) = sum q r - 128 sum q        q as u8, r flipped is i8
//! i8:  sum (r + 128) q = sum r q + 128 sum q        r flipped is u8, q as i8
//! ```
//!
//! Squares are of magnitudes, which are u8: of a difference, as of an i8 (-128 has magnitude 128). They are taken from
//! the even and the odd bytes in 16-bit lanes by VPDPWSSD. Both instructions wrap modulo 2^32 and do not saturate.

use super::avx512::first;
use super::{Avx512, instructions, isa};
use crate::kernel::nibble::NibbleSimd;
use crate::kernel::simd::{BitSimd, ByteSimd};
use std::arch::x86_64::*;

/// The proof that the CPU has AVX-512 VNNI and VPOPCNTDQ, and all of [`Avx512`].
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel) struct Avx512Vnni(Avx512);

isa!(Avx512Vnni, "avx2,fma,f16c,popcnt,avx512f,avx512bw,avx512vl,avx512vnni,avx512vpopcntdq");

impl Avx512Vnni {
    pub(in crate::kernel) fn detect() -> Option<Avx512Vnni> {
        let has = is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512vpopcntdq");
        Avx512::detect().filter(|_| has).map(Avx512Vnni)
    }

    /// The token of the level below, whose f32 kernels serve this one too.
    #[inline(always)]
    pub(in crate::kernel) fn base(self) -> Avx512 {
        self.0
    }

    /// The first 64 bytes of `chunk`, or all and zeros.
    #[inline(always)]
    fn load<T: Copy>(self, chunk: &[T]) -> __m512i {
        const { assert!(size_of::<T>() == 1) };
        if let Some(full) = chunk.first_chunk::<64>() {
            // SAFETY: reads the 64 bytes of the array, at any alignment; `self` is the proof of AVX-512F.
            return unsafe { _mm512_loadu_si512(full.as_ptr().cast()) };
        }
        let mask = first(chunk.len());
        // SAFETY: reads only the bytes in the mask, which are those of `chunk`; `self` is the proof of AVX-512BW.
        unsafe { _mm512_maskz_loadu_epi8(mask, chunk.as_ptr().cast()) }
    }

    instructions! {
        fn flip(a: __m512i) -> __m512i = _mm512_xor_si512(a, _mm512_set1_epi8(i8::MIN));
        /// Adds products of bytes, of `a` as u8 and `b` as i8, to `acc`.
        fn add_u8_by_i8(acc: __m512i, a: __m512i, b: __m512i) -> __m512i =
            _mm512_dpbusd_epi32(acc, a, b);
        /// The same with `a` as i8 and `b` as u8.
        fn add_i8_by_u8(acc: __m512i, a: __m512i, b: __m512i) -> __m512i =
            _mm512_dpbusd_epi32(acc, b, a);
        fn even_u8(a: __m512i) -> __m512i = _mm512_and_si512(a, _mm512_set1_epi16(0xFF));
        fn odd_u8(a: __m512i) -> __m512i = _mm512_srli_epi16::<8>(a);
        /// Adds squares of 16-bit lanes to `acc`.
        fn add_squares_i16(acc: __m512i, a: __m512i) -> __m512i = _mm512_dpwssd_epi32(acc, a, a);
        fn difference_u8(a: __m512i, b: __m512i) -> __m512i =
            _mm512_sub_epi8(_mm512_max_epu8(a, b), _mm512_min_epu8(a, b));
        fn difference_i8(a: __m512i, b: __m512i) -> __m512i =
            _mm512_sub_epi8(_mm512_max_epi8(a, b), _mm512_min_epi8(a, b));
        fn magnitude_i8(a: __m512i) -> __m512i = _mm512_abs_epi8(a);
        fn add_bits(acc: __m512i, a: __m512i) -> __m512i =
            _mm512_add_epi64(acc, _mm512_popcnt_epi64(a));
        fn xor(a: __m512i, b: __m512i) -> __m512i = _mm512_xor_si512(a, b);
        fn add_i64(a: __m512i, b: __m512i) -> __m512i = _mm512_add_epi64(a, b);
        fn sum_i64(a: __m512i) -> i64 = _mm512_reduce_add_epi64(a);
        fn low_halves(a: __m512i) -> __m512i = _mm512_and_si512(a, _mm512_set1_epi8(15));
        fn high_halves(a: __m512i) -> __m512i =
            _mm512_and_si512(_mm512_srli_epi16::<4>(a), _mm512_set1_epi8(15));
        fn less_15(a: __m512i) -> __m512i = _mm512_sub_epi8(a, _mm512_set1_epi8(15));
    }

    #[inline(always)]
    fn magnitude_u8(self, a: __m512i) -> __m512i {
        a
    }

    /// Adds squares of bytes, as u8, to `acc`.
    #[inline(always)]
    fn add_squares_u8(self, acc: __m512i, a: __m512i) -> __m512i {
        self.add_squares_i16(self.add_squares_i16(acc, self.even_u8(a)), self.odd_u8(a))
    }
}

macro_rules! byte_simd {
    ($type:ty, $correction:literal, $multiply:ident, $difference:ident, $magnitude:ident) => {
        impl ByteSimd<$type> for Avx512Vnni {
            type Acc = __m512i;
            const STEP: usize = 64;
            const DOT_CORRECTION: i32 = $correction;

            #[inline(always)]
            fn add_products(self, acc: __m512i, q: &[$type], r: &[$type]) -> __m512i {
                self.$multiply(acc, self.load(q), self.flip(self.load(r)))
            }

            #[inline(always)]
            fn add_squared_difference(self, acc: __m512i, q: &[$type], r: &[$type]) -> __m512i {
                let (q, r) = (self.load(q), self.load(r));
                self.add_squares_u8(acc, self.$difference(q, r))
            }

            #[inline(always)]
            fn add_squares(self, acc: __m512i, r: &[$type]) -> __m512i {
                self.add_squares_u8(acc, self.$magnitude(self.load(r)))
            }

            #[inline(always)]
            fn zero(self) -> __m512i {
                self.0.zero_i32()
            }

            #[inline(always)]
            fn add(self, a: __m512i, b: __m512i) -> __m512i {
                self.0.add_i32(a, b)
            }

            #[inline(always)]
            fn sum(self, acc: __m512i) -> u32 {
                self.0.sum_i32(acc)
            }
        }
    };
}

byte_simd!(u8, 128, add_u8_by_i8, difference_u8, magnitude_u8);
byte_simd!(i8, -128, add_i8_by_u8, difference_i8, magnitude_i8);

impl BitSimd for Avx512Vnni {
    type Acc = __m512i;
    const STEP: usize = 64;

    #[inline(always)]
    fn zero(self) -> __m512i {
        self.0.zero_i32()
    }

    #[inline(always)]
    fn add_differing(self, acc: __m512i, q: &[u8], r: &[u8]) -> __m512i {
        self.add_bits(acc, self.xor(self.load(q), self.load(r)))
    }

    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        self.add_i64(a, b)
    }

    #[inline(always)]
    fn sum(self, acc: __m512i) -> u32 {
        self.sum_i64(acc) as u32
    }
}

impl NibbleSimd for Avx512Vnni {
    type Acc = __m512i;
    const STEP: usize = 64;

    #[inline(always)]
    fn zero(self) -> __m512i {
        self.0.zero_i32()
    }

    #[inline(always)]
    fn add_products(self, acc: [__m512i; 2], low: &[i8], high: &[i8], row: &[u8]) -> [__m512i; 2] {
        let row = self.load(row);
        [
            self.add_u8_by_i8(acc[0], self.low_halves(row), self.load(low)),
            self.add_u8_by_i8(acc[1], self.high_halves(row), self.load(high)),
        ]
    }

    #[inline(always)]
    fn add_squares(self, acc: __m512i, row: &[u8]) -> __m512i {
        let row = self.load(row);
        let [low, high] = [self.low_halves(row), self.high_halves(row)];
        let acc = self.add_u8_by_i8(acc, low, self.less_15(low));
        self.add_u8_by_i8(acc, high, self.less_15(high))
    }

    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.add_i32(a, b)
    }

    #[inline(always)]
    fn sum(self, acc: __m512i) -> i32 {
        self.0.sum_i32(acc).cast_signed()
    }

    #[inline(always)]
    fn sum_four(self, acc: [__m512i; 4]) -> [i32; 4] {
        self.0.sum_four_i32(acc)
    }
}

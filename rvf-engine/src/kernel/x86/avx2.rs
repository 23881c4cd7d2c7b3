//! AVX2 with FMA and F16C: 8 lanes of f32, 16 bytes a step.

use super::{instructions, isa, padded};
use crate::kernel::nibble::NibbleSimd;
use crate::kernel::simd::{ByteSimd, Simd};
use half::f16;
use std::arch::x86_64::*;

/// The proof that the CPU has AVX2, FMA, F16C and POPCNT.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel) struct Avx2(());

isa!(Avx2, "avx2,fma,f16c,popcnt");

impl Avx2 {
    pub(in crate::kernel) fn detect() -> Option<Avx2> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("popcnt");
        has.then_some(Avx2(()))
    }

    #[inline(always)]
    fn load_8_bytes<T>(self, bytes: &[T; 8]) -> __m128i {
        const { assert!(size_of::<T>() == 1) };
        // SAFETY: SSE2 is part of x86-64; it reads the 8 bytes of the array, at any alignment.
        unsafe { _mm_loadl_epi64(bytes.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_16_bytes<T, const N: usize>(self, elements: &[T; N]) -> __m128i {
        const { assert!(size_of::<[T; N]>() == 16) };
        // SAFETY: SSE2 is part of x86-64; it reads the 16 bytes of the array, at any alignment.
        unsafe { _mm_loadu_si128(elements.as_ptr().cast()) }
    }

    /// The first 32 bytes of `chunk`, or all and zeros.
    #[inline(always)]
    fn load_32_bytes<T: Copy + Default>(self, chunk: &[T]) -> __m256i {
        const { assert!(size_of::<T>() == 1) };
        let full = match chunk.first_chunk::<32>() {
            Some(full) => full,
            None => &padded(chunk),
        };
        // SAFETY: reads the 32 bytes of the array, at any alignment; `self` is the proof of AVX.
        unsafe { _mm256_loadu_si256(full.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_8_floats(self, floats: &[f32; 8]) -> __m256 {
        // SAFETY: reads the 8 elements of the array, at any alignment; `self` is the proof of AVX.
        unsafe { _mm256_loadu_ps(floats.as_ptr()) }
    }

    instructions! {
        fn f16_to_f32(a: __m128i) -> __m256 = _mm256_cvtph_ps(a);
        fn i8_to_f32(a: __m128i) -> __m256 = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(a));
        fn u8_to_f32(a: __m128i) -> __m256 = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(a));
        fn widen_i8(a: __m128i) -> __m256i = _mm256_cvtepi8_epi16(a);
        fn widen_u8(a: __m128i) -> __m256i = _mm256_cvtepu8_epi16(a);
        fn add_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi32(a, b);
        fn sub_i16(a: __m256i, b: __m256i) -> __m256i = _mm256_sub_epi16(a, b);
        /// Adds products of 16-bit lanes to `acc`, two to a 32-bit lane. Lanes of widened bytes, or their differences,
        /// are at most 255 in magnitude: no pair of products overflows.
        fn add_products_i16(acc: __m256i, a: __m256i, b: __m256i) -> __m256i =
            _mm256_add_epi32(acc, _mm256_madd_epi16(a, b));
        fn low_half(a: __m256) -> __m128 = _mm256_castps256_ps128(a);
        fn high_half(a: __m256) -> __m128 = _mm256_extractf128_ps::<1>(a);
        fn widen_half(a: __m128) -> __m256d = _mm256_cvtps_pd(a);
        fn zero_4_f64() -> __m256d = _mm256_setzero_pd();
        fn add_4_f64(a: __m256d, b: __m256d) -> __m256d = _mm256_add_pd(a, b);
        fn sub_4_f64(a: __m256d, b: __m256d) -> __m256d = _mm256_sub_pd(a, b);
        fn mul_4_f64(a: __m256d, b: __m256d) -> __m256d = _mm256_mul_pd(a, b);
        fn zero_i32() -> __m256i = _mm256_setzero_si256();
        /// Adds products of bytes, of `a` as u8 of at most 15 and `b` as i8, to `acc`: two of them are below 2^15.
        fn add_u8_by_i8(acc: __m256i, a: __m256i, b: __m256i) -> __m256i =
            _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
        fn low_halves(a: __m256i) -> __m256i = _mm256_and_si256(a, _mm256_set1_epi8(15));
        fn high_halves(a: __m256i) -> __m256i =
            _mm256_and_si256(_mm256_srli_epi16::<4>(a), _mm256_set1_epi8(15));
        fn less_15(a: __m256i) -> __m256i = _mm256_sub_epi8(a, _mm256_set1_epi8(15));
        fn halves(a: __m256) -> __m128 =
            _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
        fn halves_i32(a: __m256i) -> __m128i =
            _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a));
        /// Of each half: the sums of pairs of lanes of `a`, then those of `b`.
        fn sums_of_pairs(a: __m256i, b: __m256i) -> __m256i = _mm256_hadd_epi32(a, b);
        fn quarters(a: __m128) -> __m128 = _mm_add_ps(a, _mm_movehl_ps(a, a));
        fn quarters_i32(a: __m128i) -> __m128i = _mm_add_epi32(a, _mm_unpackhi_epi64(a, a));
        fn last(a: __m128) -> f32 = _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)));
        fn last_i32(a: __m128i) -> i32 =
            _mm_cvtsi128_si32(_mm_add_epi32(a, _mm_shuffle_epi32::<0b01>(a)));
    }

    /// The sums of the lanes of each, modulo 2^32.
    #[inline(always)]
    pub(super) fn sum_four_i32(self, acc: [__m256i; 4]) -> [i32; 4] {
        let [a, b, c, d] = acc;
        self.lanes_i32(self.halves_i32(self.sums_of_pairs(self.sums_of_pairs(a, b), self.sums_of_pairs(c, d))))
    }

    #[inline(always)]
    fn lanes_i32(self, a: __m128i) -> [i32; 4] {
        let mut lanes = [0; 4];
        // SAFETY: writes the 16 bytes of the array, at any alignment; SSE2 is part of x86-64.
        unsafe { _mm_storeu_si128(lanes.as_mut_ptr().cast(), a) };
        lanes
    }

    /// The sum of four lanes, by halves.
    #[inline(always)]
    pub(super) fn sum_4(self, a: __m128) -> f32 {
        self.last(self.quarters(a))
    }

    /// The sum of eight lanes, by halves.
    #[inline(always)]
    pub(super) fn sum_8(self, a: __m256) -> f32 {
        self.sum_4(self.halves(a))
    }
}

impl Simd for Avx2 {
    type F = __m256;
    const WIDTH: usize = 8;

    #[inline(always)]
    fn load_f32(self, chunk: &[f32]) -> __m256 {
        match chunk.first_chunk::<8>() {
            Some(full) => self.load_8_floats(full),
            None => self.load_8_floats(&padded(chunk)),
        }
    }

    #[inline(always)]
    fn load_f16(self, chunk: &[f16]) -> __m256 {
        match chunk.first_chunk::<8>() {
            Some(full) => self.f16_to_f32(self.load_16_bytes(full)),
            None => self.f16_to_f32(self.load_16_bytes(&padded::<f16, 8>(chunk))),
        }
    }

    #[inline(always)]
    fn load_i8(self, chunk: &[i8]) -> __m256 {
        match chunk.first_chunk::<8>() {
            Some(full) => self.i8_to_f32(self.load_8_bytes(full)),
            None => self.i8_to_f32(self.load_8_bytes(&padded(chunk))),
        }
    }

    #[inline(always)]
    fn load_u8(self, chunk: &[u8]) -> __m256 {
        match chunk.first_chunk::<8>() {
            Some(full) => self.u8_to_f32(self.load_8_bytes(full)),
            None => self.u8_to_f32(self.load_8_bytes(&padded(chunk))),
        }
    }

    instructions! {
        fn zero() -> __m256 = _mm256_setzero_ps();
        fn add(a: __m256, b: __m256) -> __m256 = _mm256_add_ps(a, b);
        fn sub(a: __m256, b: __m256) -> __m256 = _mm256_sub_ps(a, b);
        fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 = _mm256_fmadd_ps(a, b, c);
    }

    #[inline(always)]
    fn sum(self, a: __m256) -> f32 {
        self.sum_8(a)
    }

    type D = [__m256d; 2];

    #[inline(always)]
    fn widen(self, a: __m256) -> [__m256d; 2] {
        [self.widen_half(self.low_half(a)), self.widen_half(self.high_half(a))]
    }

    #[inline(always)]
    fn zero_f64(self) -> [__m256d; 2] {
        [self.zero_4_f64(); 2]
    }

    #[inline(always)]
    fn add_f64(self, a: [__m256d; 2], b: [__m256d; 2]) -> [__m256d; 2] {
        [self.add_4_f64(a[0], b[0]), self.add_4_f64(a[1], b[1])]
    }

    #[inline(always)]
    fn sub_f64(self, a: [__m256d; 2], b: [__m256d; 2]) -> [__m256d; 2] {
        [self.sub_4_f64(a[0], b[0]), self.sub_4_f64(a[1], b[1])]
    }

    #[inline(always)]
    fn mul_f64(self, a: [__m256d; 2], b: [__m256d; 2]) -> [__m256d; 2] {
        [self.mul_4_f64(a[0], b[0]), self.mul_4_f64(a[1], b[1])]
    }

    #[inline(always)]
    fn store_f64(self, a: [__m256d; 2], to: &mut [f64]) {
        if let Some((halves, _)) = to.first_chunk_mut::<8>().map(|full| full.as_chunks_mut::<4>()) {
            for (half, a) in halves.iter_mut().zip(a) {
                // SAFETY: writes the 4 elements of the array, at any alignment; `self` is the proof of AVX.
                unsafe { _mm256_storeu_pd(half.as_mut_ptr(), a) }
            }
        }
    }
}

/// Bytes are widened to 16 bits and multiplied there. (VPMADDUBSW would save the widening, but saturates: two products
/// of 255 x 127 do not fit its 16 bits.)
macro_rules! byte_simd {
    ($type:ty, $widen:ident) => {
        impl ByteSimd<$type> for Avx2 {
            type Acc = __m256i;
            const STEP: usize = 16;

            #[inline(always)]
            fn add_products(self, acc: __m256i, q: &[$type], r: &[$type]) -> __m256i {
                self.add_products_i16(acc, Load16::load(self, q), Load16::load(self, r))
            }

            #[inline(always)]
            fn add_squared_difference(self, acc: __m256i, q: &[$type], r: &[$type]) -> __m256i {
                let difference = self.sub_i16(Load16::load(self, q), Load16::load(self, r));
                self.add_products_i16(acc, difference, difference)
            }

            #[inline(always)]
            fn add_squares(self, acc: __m256i, r: &[$type]) -> __m256i {
                let r = Load16::load(self, r);
                self.add_products_i16(acc, r, r)
            }

            instructions! {
                fn zero() -> __m256i = _mm256_setzero_si256();
            }

            #[inline(always)]
            fn add(self, a: __m256i, b: __m256i) -> __m256i {
                self.add_i32(a, b)
            }

            #[inline(always)]
            fn sum(self, acc: __m256i) -> u32 {
                self.last_i32(self.quarters_i32(self.halves_i32(acc))).cast_unsigned()
            }
        }

        impl Load16 for $type {
            #[inline(always)]
            fn load(avx2: Avx2, chunk: &[$type]) -> __m256i {
                match chunk.first_chunk::<16>() {
                    Some(full) => avx2.$widen(avx2.load_16_bytes(full)),
                    None => avx2.$widen(avx2.load_16_bytes(&padded::<$type, 16>(chunk))),
                }
            }
        }
    };
}

/// The first 16 elements of a slice, or fewer and zeros, in 16 bits each.
trait Load16: Sized {
    fn load(avx2: Avx2, chunk: &[Self]) -> __m256i;
}

byte_simd!(i8, widen_i8);
byte_simd!(u8, widen_u8);

impl NibbleSimd for Avx2 {
    type Acc = __m256i;
    const STEP: usize = 32;

    #[inline(always)]
    fn zero(self) -> __m256i {
        self.zero_i32()
    }

    #[inline(always)]
    fn add_products(self, acc: [__m256i; 2], low: &[i8], high: &[i8], row: &[u8]) -> [__m256i; 2] {
        let row = self.load_32_bytes(row);
        [
            self.add_u8_by_i8(acc[0], self.low_halves(row), self.load_32_bytes(low)),
            self.add_u8_by_i8(acc[1], self.high_halves(row), self.load_32_bytes(high)),
        ]
    }

    #[inline(always)]
    fn add_squares(self, acc: __m256i, row: &[u8]) -> __m256i {
        let row = self.load_32_bytes(row);
        let [low, high] = [self.low_halves(row), self.high_halves(row)];
        let acc = self.add_u8_by_i8(acc, low, self.less_15(low));
        self.add_u8_by_i8(acc, high, self.less_15(high))
    }

    #[inline(always)]
    fn add(self, a: __m256i, b: __m256i) -> __m256i {
        self.add_i32(a, b)
    }

    #[inline(always)]
    fn sum(self, acc: __m256i) -> i32 {
        self.last_i32(self.quarters_i32(self.halves_i32(acc)))
    }

    #[inline(always)]
    fn sum_four(self, acc: [__m256i; 4]) -> [i32; 4] {
        self.sum_four_i32(acc)
    }
}

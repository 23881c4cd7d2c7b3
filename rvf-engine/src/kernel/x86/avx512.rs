//! AVX-512 F, BW and VL: 16 lanes of f32, 32 bytes a step. Rests of vectors are masked loads, which cost as much as
//! full ones.

use super::{Avx2, instructions, isa};
use crate::kernel::nibble::NibbleSimd;
use crate::kernel::simd::{ByteSimd, Simd};
use half::f16;
use std::arch::x86_64::*;

/// The proof that the CPU has AVX-512 F, BW and VL, and all of [`Avx2`].
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel) struct Avx512(Avx2);

isa!(Avx512, "avx2,fma,f16c,popcnt,avx512f,avx512bw,avx512vl");

/// The mask of the first `count` lanes, of at most 63.
#[inline(always)]
pub(super) fn first(count: usize) -> u64 {
    (1 << count) - 1
}

impl Avx512 {
    pub(in crate::kernel) fn detect() -> Option<Avx512> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        Avx2::detect().filter(|_| has).map(Avx512)
    }

    /// The first 16 bytes of `chunk`, or all and zeros.
    #[inline(always)]
    fn load_16_bytes<T: Copy>(self, chunk: &[T]) -> __m128i {
        const { assert!(size_of::<T>() == 1) };
        if let Some(full) = chunk.first_chunk::<16>() {
            // SAFETY: reads the 16 bytes of the array, at any alignment; SSE2 is part of x86-64.
            return unsafe { _mm_loadu_si128(full.as_ptr().cast()) };
        }
        let mask = first(chunk.len()) as __mmask16;
        // SAFETY: reads only the bytes in the mask, which are those of `chunk`; `self` is the proof of BW and VL.
        unsafe { _mm_maskz_loadu_epi8(mask, chunk.as_ptr().cast()) }
    }

    /// The first 32 bytes of `chunk`, or all and zeros.
    #[inline(always)]
    fn load_32_bytes<T: Copy>(self, chunk: &[T]) -> __m256i {
        const { assert!(size_of::<T>() == 1) };
        if let Some(full) = chunk.first_chunk::<32>() {
            // SAFETY: reads the 32 bytes of the array, at any alignment; `self` is the proof of AVX.
            return unsafe { _mm256_loadu_si256(full.as_ptr().cast()) };
        }
        let mask = first(chunk.len()) as __mmask32;
        // SAFETY: reads only the bytes in the mask, which are those of `chunk`; `self` is the proof of BW and VL.
        unsafe { _mm256_maskz_loadu_epi8(mask, chunk.as_ptr().cast()) }
    }

    instructions! {
        fn f16_to_f32(a: __m256i) -> __m512 = _mm512_cvtph_ps(a);
        fn i8_to_f32(a: __m128i) -> __m512 = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(a));
        fn u8_to_f32(a: __m128i) -> __m512 = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(a));
        fn widen_i8(a: __m256i) -> __m512i = _mm512_cvtepi8_epi16(a);
        fn widen_u8(a: __m256i) -> __m512i = _mm512_cvtepu8_epi16(a);
        fn sub_i16(a: __m512i, b: __m512i) -> __m512i = _mm512_sub_epi16(a, b);
        pub(super) fn zero_i32() -> __m512i = _mm512_setzero_si512();
        pub(super) fn add_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_add_epi32(a, b);
        /// Adds products of 16-bit lanes to `acc`, two to a 32-bit lane. Lanes of widened bytes, or their differences,
        /// are at most 255 in magnitude: no pair of products overflows.
        fn add_products_i16(acc: __m512i, a: __m512i, b: __m512i) -> __m512i =
            _mm512_add_epi32(acc, _mm512_madd_epi16(a, b));
        fn low_half(a: __m512) -> __m256 = _mm512_castps512_ps256(a);
        fn high_half(a: __m512) -> __m256 =
            _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(a)));
        fn widen_half(a: __m256) -> __m512d = _mm512_cvtps_pd(a);
        fn zero_8_f64() -> __m512d = _mm512_setzero_pd();
        fn add_8_f64(a: __m512d, b: __m512d) -> __m512d = _mm512_add_pd(a, b);
        fn sub_8_f64(a: __m512d, b: __m512d) -> __m512d = _mm512_sub_pd(a, b);
        fn mul_8_f64(a: __m512d, b: __m512d) -> __m512d = _mm512_mul_pd(a, b);
        fn low_halves(a: __m256i) -> __m256i = _mm256_and_si256(a, _mm256_set1_epi8(15));
        fn high_halves(a: __m256i) -> __m256i =
            _mm256_and_si256(_mm256_srli_epi16::<4>(a), _mm256_set1_epi8(15));
        fn less_15(a: __m256i) -> __m256i = _mm256_sub_epi8(a, _mm256_set1_epi8(15));
        fn halves(a: __m512) -> __m256 = _mm256_add_ps(
            _mm512_castps512_ps256(a),
            _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(a)))
        );
        /// The sum of the lanes, modulo 2^32.
        pub(super) fn sum_i32(a: __m512i) -> u32 = _mm512_reduce_add_epi32(a).cast_unsigned();
        /// Lane by lane, the sum of both halves.
        pub(super) fn halves_i32(a: __m512i) -> __m256i =
            _mm256_add_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64::<1>(a));
    }

    /// The sums of the lanes of each, modulo 2^32.
    #[inline(always)]
    pub(super) fn sum_four_i32(self, acc: [__m512i; 4]) -> [i32; 4] {
        let [a, b, c, d] = acc;
        self.0.sum_four_i32([self.halves_i32(a), self.halves_i32(b), self.halves_i32(c), self.halves_i32(d)])
    }
}

impl Simd for Avx512 {
    type F = __m512;
    const WIDTH: usize = 16;

    #[inline(always)]
    fn load_f32(self, chunk: &[f32]) -> __m512 {
        if let Some(full) = chunk.first_chunk::<16>() {
            // SAFETY: reads the 16 elements of the array, at any alignment; `self` is the proof of AVX-512F.
            return unsafe { _mm512_loadu_ps(full.as_ptr()) };
        }
        let mask = first(chunk.len()) as __mmask16;
        // SAFETY: reads only the elements in the mask, which are those of `chunk`; `self` is the proof of AVX-512F.
        unsafe { _mm512_maskz_loadu_ps(mask, chunk.as_ptr()) }
    }

    #[inline(always)]
    fn load_f16(self, chunk: &[f16]) -> __m512 {
        if let Some(full) = chunk.first_chunk::<16>() {
            // SAFETY: reads the 16 elements of 2 bytes of the array, at any alignment; `self` is the proof of AVX.
            return self.f16_to_f32(unsafe { _mm256_loadu_si256(full.as_ptr().cast()) });
        }
        let mask = first(chunk.len()) as __mmask16;
        // SAFETY: reads only the elements in the mask, which are those of `chunk`; `self` is the proof of BW and VL.
        self.f16_to_f32(unsafe { _mm256_maskz_loadu_epi16(mask, chunk.as_ptr().cast()) })
    }

    #[inline(always)]
    fn load_i8(self, chunk: &[i8]) -> __m512 {
        self.i8_to_f32(self.load_16_bytes(chunk))
    }

    #[inline(always)]
    fn load_u8(self, chunk: &[u8]) -> __m512 {
        self.u8_to_f32(self.load_16_bytes(chunk))
    }

    instructions! {
        fn zero() -> __m512 = _mm512_setzero_ps();
        fn add(a: __m512, b: __m512) -> __m512 = _mm512_add_ps(a, b);
        fn sub(a: __m512, b: __m512) -> __m512 = _mm512_sub_ps(a, b);
        fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_ps(a, b, c);
    }

    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        self.0.sum_8(self.halves(a))
    }

    type D = [__m512d; 2];

    #[inline(always)]
    fn widen(self, a: __m512) -> [__m512d; 2] {
        [self.widen_half(self.low_half(a)), self.widen_half(self.high_half(a))]
    }

    #[inline(always)]
    fn zero_f64(self) -> [__m512d; 2] {
        [self.zero_8_f64(); 2]
    }

    #[inline(always)]
    fn add_f64(self, a: [__m512d; 2], b: [__m512d; 2]) -> [__m512d; 2] {
        [self.add_8_f64(a[0], b[0]), self.add_8_f64(a[1], b[1])]
    }

    #[inline(always)]
    fn sub_f64(self, a: [__m512d; 2], b: [__m512d; 2]) -> [__m512d; 2] {
        [self.sub_8_f64(a[0], b[0]), self.sub_8_f64(a[1], b[1])]
    }

    #[inline(always)]
    fn mul_f64(self, a: [__m512d; 2], b: [__m512d; 2]) -> [__m512d; 2] {
        [self.mul_8_f64(a[0], b[0]), self.mul_8_f64(a[1], b[1])]
    }

    #[inline(always)]
    fn store_f64(self, a: [__m512d; 2], to: &mut [f64]) {
        if let Some((halves, _)) = to.first_chunk_mut::<16>().map(|full| full.as_chunks_mut::<8>()) {
            for (half, a) in halves.iter_mut().zip(a) {
                // SAFETY: writes the 8 elements of the array, at any alignment; `self` is the proof of AVX-512F.
                unsafe { _mm512_storeu_pd(half.as_mut_ptr(), a) }
            }
        }
    }
}

macro_rules! byte_simd {
    ($type:ty, $widen:ident) => {
        impl ByteSimd<$type> for Avx512 {
            type Acc = __m512i;
            const STEP: usize = 32;

            #[inline(always)]
            fn add_products(self, acc: __m512i, q: &[$type], r: &[$type]) -> __m512i {
                let (q, r) = (self.load_32_bytes(q), self.load_32_bytes(r));
                self.add_products_i16(acc, self.$widen(q), self.$widen(r))
            }

            #[inline(always)]
            fn add_squared_difference(self, acc: __m512i, q: &[$type], r: &[$type]) -> __m512i {
                let (q, r) = (self.load_32_bytes(q), self.load_32_bytes(r));
                let difference = self.sub_i16(self.$widen(q), self.$widen(r));
                self.add_products_i16(acc, difference, difference)
            }

            #[inline(always)]
            fn add_squares(self, acc: __m512i, r: &[$type]) -> __m512i {
                let r = self.$widen(self.load_32_bytes(r));
                self.add_products_i16(acc, r, r)
            }

            #[inline(always)]
            fn zero(self) -> __m512i {
                self.zero_i32()
            }

            #[inline(always)]
            fn add(self, a: __m512i, b: __m512i) -> __m512i {
                self.add_i32(a, b)
            }

            #[inline(always)]
            fn sum(self, acc: __m512i) -> u32 {
                self.sum_i32(acc)
            }
        }
    };
}

byte_simd!(i8, widen_i8);
byte_simd!(u8, widen_u8);

/// Codes are widened like any bytes: this is the level of CPUs that lack VNNI, and 32 bytes of codes fill its 16-bit lanes.
impl NibbleSimd for Avx512 {
    type Acc = __m512i;
    const STEP: usize = 32;

    #[inline(always)]
    fn zero(self) -> __m512i {
        self.zero_i32()
    }

    #[inline(always)]
    fn add_products(self, acc: [__m512i; 2], low: &[i8], high: &[i8], row: &[u8]) -> [__m512i; 2] {
        let row = self.load_32_bytes(row);
        let [low, high] = [self.load_32_bytes(low), self.load_32_bytes(high)];
        [
            self.add_products_i16(acc[0], self.widen_u8(self.low_halves(row)), self.widen_i8(low)),
            self.add_products_i16(acc[1], self.widen_u8(self.high_halves(row)), self.widen_i8(high)),
        ]
    }

    #[inline(always)]
    fn add_squares(self, acc: __m512i, row: &[u8]) -> __m512i {
        let row = self.load_32_bytes(row);
        let [low, high] = [self.low_halves(row), self.high_halves(row)];
        let acc = self.add_products_i16(acc, self.widen_u8(low), self.widen_i8(self.less_15(low)));
        self.add_products_i16(acc, self.widen_u8(high), self.widen_i8(self.less_15(high)))
    }

    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        self.add_i32(a, b)
    }

    #[inline(always)]
    fn sum(self, acc: __m512i) -> i32 {
        self.sum_i32(acc).cast_signed()
    }

    #[inline(always)]
    fn sum_four(self, acc: [__m512i; 4]) -> [i32; 4] {
        self.sum_four_i32(acc)
    }
}

//! What a row may be made of: f32, f16, i8 or u8, and how each becomes f32 lanes.

use super::simd::Simd;
use half::f16;

/// A number that rows are made of: `f32`, [`half::f16`], `i8` or `u8`. Sealed.
#[expect(private_bounds, reason = "the private bound is the seal")]
pub trait Element: Lanes {
    /// 0.
    const ZERO: Self;

    /// The value, exactly.
    fn to_f32(self) -> f32;

    /// The value, exactly.
    fn to_f64(self) -> f64 {
        f64::from(self.to_f32())
    }
}

/// How the elements become f32 lanes.
pub(super) trait Lanes: Copy + Send + Sync + 'static {
    /// The first `S::WIDTH` elements of `chunk`, as f32; zeros where it has fewer.
    fn load<S: Simd>(simd: S, chunk: &[Self]) -> S::F;
}

/// An element whose distances can be computed in integers.
pub(super) trait Byte: Element {
    /// The value.
    fn to_i32(self) -> i32;

    /// An inner product from its residue modulo 2^32, which determines it: up to the largest dimension, products of u8
    /// sum to 0..=65,535 x 255 x 255 < 2^32, those of i8 to at most 65,535 x 128 x 128 < 2^31 in magnitude.
    fn inner_product(residue: u32) -> i64;
}

macro_rules! element {
    ($type:ty, $zero:expr, $load:ident, $to_f32:expr) => {
        impl Element for $type {
            const ZERO: Self = $zero;

            #[inline(always)]
            fn to_f32(self) -> f32 {
                $to_f32(self)
            }
        }

        impl Lanes for $type {
            #[inline(always)]
            fn load<S: Simd>(simd: S, chunk: &[Self]) -> S::F {
                simd.$load(chunk)
            }
        }
    };
}

element!(f32, 0.0, load_f32, std::convert::identity);
element!(f16, f16::ZERO, load_f16, f16::to_f32);
element!(i8, 0, load_i8, f32::from);
element!(u8, 0, load_u8, f32::from);

impl Byte for i8 {
    #[inline(always)]
    fn to_i32(self) -> i32 {
        i32::from(self)
    }

    #[inline(always)]
    fn inner_product(residue: u32) -> i64 {
        i64::from(residue.cast_signed())
    }
}

impl Byte for u8 {
    #[inline(always)]
    fn to_i32(self) -> i32 {
        i32::from(self)
    }

    #[inline(always)]
    fn inner_product(residue: u32) -> i64 {
        i64::from(residue)
    }
}

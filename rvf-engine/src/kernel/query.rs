//! A query prepared once, with everything about it that each distance would otherwise compute again.

use super::element::Element;
use super::{KernelError, MAX_DIMENSION, Op};
use std::marker::PhantomData;

/// A query of `f32`, `i8` or `u8` elements, prepared for one [`Op`].
///
/// An `f32` query is measured against rows of any [`Element`], an `i8` query against `i8` rows and a `u8` query
/// against `u8` rows, the latter two in exact integer arithmetic that is rounded to f32 once.
#[derive(Clone, Debug)]
pub struct Query<Q> {
    pub(super) op: Op,
    /// For Cosine over f32, scaled by a power of two so that the norm is in [1, 2); else as given.
    values: Aligned<Q>,
    /// The sum of the squares of `values`: exact for integers.
    pub(super) squares: f64,
    /// One over the norm of `values`, or 0 for a norm of zero.
    pub(super) inverse_norm: f32,
    /// The sum of `values`, modulo 2^32; 0 for f32, which has no use for it.
    pub(super) sum: u32,
}

impl<Q: QueryElement> Query<Q> {
    /// Prepares `values` for `op`.
    ///
    /// # Errors
    /// [`KernelError::Dimension`] unless there are 1 to [`MAX_DIMENSION`] values; [`KernelError::QueryNotFinite`] when
    /// one of them is NaN or infinite.
    pub fn new(op: Op, values: &[Q]) -> Result<Query<Q>, KernelError> {
        check_dimension(values.len())?;
        let norm = squares(values).sqrt();
        if !norm.is_finite() {
            return Err(KernelError::QueryNotFinite);
        }
        let scale = if op == Op::Cosine && norm > 0.0 { norm.log2().floor().exp2().recip() } else { 1.0 };
        let values = Aligned::new(values, |v| v.scaled(scale));
        let squares = squares(values.get());
        let inverse_norm = if squares > 0.0 { (1.0 / squares.sqrt()) as f32 } else { 0.0 };
        let sum = values.get().iter().fold(0, |sum: u32, v| sum.wrapping_add(v.residue()));
        Ok(Query { op, values, squares, inverse_norm, sum })
    }

    /// The operation it was prepared for.
    pub fn op(&self) -> Op {
        self.op
    }

    /// The number of elements.
    pub fn dimension(&self) -> usize {
        self.values.len
    }

    #[inline(always)]
    pub(super) fn values(&self) -> &[Q] {
        self.values.get()
    }
}

/// A query of packed bits, measured against packed bits by the Hamming distance: the number of bits that differ.
///
/// Rows are bytes. Where the number of bits is not a multiple of 8, the rest of the last byte counts like any bits:
/// writers set it to zero.
#[derive(Clone, Debug)]
pub struct BitQuery {
    bytes: Aligned<u8>,
}

impl BitQuery {
    /// Prepares a query of `bytes.len()` x 8 bits.
    ///
    /// # Errors
    /// [`KernelError::Dimension`] unless there are 1 to 8,192 bytes.
    pub fn new(bytes: &[u8]) -> Result<BitQuery, KernelError> {
        if bytes.is_empty() || bytes.len() > MAX_DIMENSION.div_ceil(8) {
            return Err(KernelError::Dimension { got: bytes.len().saturating_mul(8) });
        }
        Ok(BitQuery { bytes: Aligned::new(bytes, |byte| byte) })
    }

    #[inline(always)]
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get()
    }
}

/// An element that queries are made of: `f32`, `i8` or `u8`. Sealed.
#[expect(private_bounds, reason = "the private bound is the seal")]
pub trait QueryElement: Element + Prepare {}

impl QueryElement for f32 {}
impl QueryElement for i8 {}
impl QueryElement for u8 {}

/// What preparing depends on the element for.
pub(super) trait Prepare: Element + bytemuck::Pod {
    /// The value times `scale`, a power of two, for f32; integers stay as they are. What falls below the smallest f32
    /// was less than 2^-148 of the norm.
    fn scaled(self, _scale: f64) -> Self {
        self
    }

    /// The value modulo 2^32, for integers.
    fn residue(self) -> u32;
}

impl Prepare for f32 {
    fn scaled(self, scale: f64) -> f32 {
        (f64::from(self) * scale) as f32
    }

    fn residue(self) -> u32 {
        0
    }
}

impl Prepare for i8 {
    fn residue(self) -> u32 {
        i32::from(self).cast_unsigned()
    }
}

impl Prepare for u8 {
    fn residue(self) -> u32 {
        u32::from(self)
    }
}

/// Elements from the start of a cache line on: a query is read once for every row, and loads that straddle two lines
/// cost twice.
#[derive(Clone, Debug)]
struct Aligned<Q> {
    lines: Box<[Line]>,
    len: usize,
    element: PhantomData<Q>,
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u8; 64]);

// SAFETY: all zeros is a value of an array of bytes.
unsafe impl bytemuck::Zeroable for Line {}
// SAFETY: an array of 64 bytes aligned to 64 has no padding, and any bytes are a value of it.
unsafe impl bytemuck::Pod for Line {}

impl<Q: Prepare> Aligned<Q> {
    fn new(values: &[Q], map: impl Fn(Q) -> Q) -> Aligned<Q> {
        let lines = size_of_val(values).div_ceil(size_of::<Line>());
        let mut lines = vec![Line([0; 64]); lines].into_boxed_slice();
        for (to, from) in bytemuck::cast_slice_mut(&mut lines).iter_mut().zip(values) {
            *to = map(*from);
        }
        Aligned { lines, len: values.len(), element: PhantomData }
    }

    #[inline(always)]
    fn get(&self) -> &[Q] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

fn check_dimension(got: usize) -> Result<(), KernelError> {
    if (1..=MAX_DIMENSION).contains(&got) { Ok(()) } else { Err(KernelError::Dimension { got }) }
}

fn squares<Q: Element>(values: &[Q]) -> f64 {
    values.iter().map(|v| v.to_f64() * v.to_f64()).sum()
}

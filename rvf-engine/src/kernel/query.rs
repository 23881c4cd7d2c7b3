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
        let mut query = Query { op, values: Aligned::new(values), squares: 0.0, inverse_norm: 0.0, sum: 0 };
        query.prepare()?;
        Ok(query)
    }

    /// Makes it the query of other values, as many as before, without allocating.
    ///
    /// # Errors
    /// [`KernelError::RowsLength`] for fewer or more values; [`KernelError::QueryNotFinite`]. The query is then unusable.
    pub(crate) fn set(&mut self, values: impl ExactSizeIterator<Item = Q>) -> Result<(), KernelError> {
        super::check_rows(values.len(), self.dimension())?;
        self.values.fill(values);
        self.prepare()
    }

    /// Works out what each distance would otherwise compute again.
    fn prepare(&mut self) -> Result<(), KernelError> {
        self.squares = Q::squares(self.values.get());
        let norm = self.squares.sqrt();
        if !norm.is_finite() {
            return Err(KernelError::QueryNotFinite);
        }
        if Q::SCALES && self.op == Op::Cosine && norm > 0.0 {
            // The power of two at or below the norm, inverted, from its bits: the same on every machine.
            let exponent = ((norm.to_bits() >> 52) as i64 - 1023).clamp(-1022, 1022);
            let scale = f64::from_bits(((1023 - exponent) as u64) << 52);
            self.values.get_mut().iter_mut().for_each(|value| *value = value.scaled(scale));
            self.squares = Q::squares(self.values.get());
        }
        self.inverse_norm = if self.squares > 0.0 { (1.0 / self.squares.sqrt()) as f32 } else { 0.0 };
        self.sum = Q::residues(self.values.get());
        Ok(())
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
        Ok(BitQuery { bytes: Aligned::new(bytes) })
    }

    /// Makes it the query of other bytes, as many as before, without allocating.
    ///
    /// # Errors
    /// [`KernelError::RowsLength`] for fewer or more bytes.
    pub(crate) fn set(&mut self, bytes: &[u8]) -> Result<(), KernelError> {
        super::check_rows(bytes.len(), self.bytes.len)?;
        self.bytes.fill(bytes.iter().copied());
        Ok(())
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
    /// Whether Cosine scales the query.
    const SCALES: bool = false;

    /// The value times `scale`, a power of two, for f32; integers stay as they are. What falls below the smallest f32
    /// was less than 2^-148 of the norm.
    fn scaled(self, _scale: f64) -> Self {
        self
    }

    /// The sum of the squares: exact for integers.
    fn squares(values: &[Self]) -> f64;

    /// The sum of the values modulo 2^32, for integers; 0 for f32.
    fn residues(values: &[Self]) -> u32;
}

impl Prepare for f32 {
    const SCALES: bool = true;

    fn scaled(self, scale: f64) -> f32 {
        (f64::from(self) * scale) as f32
    }

    /// In eight lanes: an addition need not wait for the one before it.
    fn squares(values: &[f32]) -> f64 {
        let (chunks, rest) = values.as_chunks::<8>();
        let mut lanes = [0f64; 8];
        let last = |at: usize| rest.get(at).copied().unwrap_or(0.0);
        for chunk in chunks.iter().chain([&std::array::from_fn(last)]) {
            lanes.iter_mut().zip(chunk).for_each(|(lane, v)| *lane += f64::from(*v) * f64::from(*v));
        }
        lanes.iter().sum()
    }

    fn residues(_: &[f32]) -> u32 {
        0
    }
}

macro_rules! prepare_bytes {
    ($type:ty) => {
        impl Prepare for $type {
            /// In blocks whose sums fit 31 bits: a loop that compilers turn into vectors.
            fn squares(values: &[$type]) -> f64 {
                let block = |block: &[$type]| block.iter().map(|v| i32::from(*v) * i32::from(*v)).sum::<i32>();
                values.chunks(16_384).map(|values| i64::from(block(values))).sum::<i64>() as f64
            }

            fn residues(values: &[$type]) -> u32 {
                values.iter().fold(0i32, |sum, v| sum.wrapping_add(i32::from(*v))).cast_unsigned()
            }
        }
    };
}

prepare_bytes!(i8);
prepare_bytes!(u8);

/// Elements from the start of a cache line on: a query is read once for every row, and loads that straddle two lines
/// cost twice.
#[derive(Clone, Debug)]
pub(super) struct Aligned<Q> {
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

impl<Q: bytemuck::Pod> Aligned<Q> {
    pub(super) fn new(values: &[Q]) -> Aligned<Q> {
        let mut aligned = Self::zeroed(values.len());
        aligned.get_mut().copy_from_slice(values);
        aligned
    }

    pub(super) fn zeroed(len: usize) -> Aligned<Q> {
        let lines = (len * size_of::<Q>()).div_ceil(size_of::<Line>());
        Aligned { lines: vec![Line([0; 64]); lines].into_boxed_slice(), len, element: PhantomData }
    }

    fn fill(&mut self, values: impl Iterator<Item = Q>) {
        self.get_mut().iter_mut().zip(values).for_each(|(to, from)| *to = from);
    }

    pub(super) fn get_mut(&mut self) -> &mut [Q] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }

    #[inline(always)]
    pub(super) fn get(&self) -> &[Q] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

fn check_dimension(got: usize) -> Result<(), KernelError> {
    if (1..=MAX_DIMENSION).contains(&got) { Ok(()) } else { Err(KernelError::Dimension { got }) }
}

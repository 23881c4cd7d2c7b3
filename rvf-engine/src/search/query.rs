//! [`QueryVector`]: what is looked for, and its check against the store.

use crate::{Error, Result};
use half::f16;
use rvf_format::{Dtype, Metric, Schema};
use std::borrow::Cow;

/// A query vector as the caller has it.
///
/// ```
/// use rvf_engine::{Db, Metric, QueryVector, Schema};
/// let folder = tempfile::tempdir()?;
/// let mut db = Db::create(folder.path().join("a.rvf"), &Schema::new(12, Metric::Hamming))?;
/// db.add(&[0b1111_0000u8, 0b0011_0000])?;
/// let bits = [1.0f32, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0];
/// for query in [QueryVector::from(&bits), QueryVector::from(&[0b1111_0000u8, 0b0010_0000][..])] {
///     assert_eq!(db.snapshot().search(query).run()?[0].distance, 1.0);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub enum QueryVector<'a> {
    /// Floats, for stores of f32, f16, i8 and u8; for a binary store numbers 0 and 1, one a bit.
    F32(Cow<'a, [f32]>),
    /// Bytes: signed.
    I8(Cow<'a, [i8]>),
    /// Bytes: unsigned, or packed bits for a binary store.
    U8(Cow<'a, [u8]>),
}

impl<'a> From<&'a [f32]> for QueryVector<'a> {
    fn from(values: &'a [f32]) -> Self {
        QueryVector::F32(values.into())
    }
}

impl<'a> From<&'a Vec<f32>> for QueryVector<'a> {
    fn from(values: &'a Vec<f32>) -> Self {
        QueryVector::F32(values.as_slice().into())
    }
}

impl<'a, const N: usize> From<&'a [f32; N]> for QueryVector<'a> {
    fn from(values: &'a [f32; N]) -> Self {
        QueryVector::F32(values.as_slice().into())
    }
}

impl<'a> From<&'a [u8]> for QueryVector<'a> {
    fn from(values: &'a [u8]) -> Self {
        QueryVector::U8(values.into())
    }
}

impl<'a> From<&'a [i8]> for QueryVector<'a> {
    fn from(values: &'a [i8]) -> Self {
        QueryVector::I8(values.into())
    }
}

impl From<&[f16]> for QueryVector<'_> {
    fn from(values: &[f16]) -> Self {
        QueryVector::F32(values.iter().map(|value| value.to_f32()).collect())
    }
}

/// A query in the form that the store's rows are compared with.
#[derive(Debug)]
pub(super) enum Checked<'a> {
    /// Against rows of any dtype but binary.
    F32(Cow<'a, [f32]>),
    /// Whole numbers in range, against i8 rows. The floats are the same numbers.
    I8(Vec<i8>, Vec<f32>),
    /// Whole numbers in range, against u8 rows. The floats are the same numbers.
    U8(Vec<u8>, Vec<f32>),
    /// Packed bits.
    Bits(Cow<'a, [u8]>),
}

impl<'a> QueryVector<'a> {
    /// The same, borrowing nothing.
    pub(crate) fn owned(&self) -> QueryVector<'static> {
        match self {
            QueryVector::F32(values) => QueryVector::F32(values.to_vec().into()),
            QueryVector::I8(values) => QueryVector::I8(values.to_vec().into()),
            QueryVector::U8(values) => QueryVector::U8(values.to_vec().into()),
        }
    }

    /// Its numbers, one a component; packed bits stay bytes.
    pub fn to_vec(&self) -> Vec<f32> {
        match self {
            QueryVector::F32(values) => values.to_vec(),
            QueryVector::I8(values) => values.iter().map(|value| f32::from(*value)).collect(),
            QueryVector::U8(values) => values.iter().map(|value| f32::from(*value)).collect(),
        }
    }

    pub(super) fn check(&'a self, schema: &Schema) -> Result<Checked<'a>> {
        if schema.dtype == Dtype::Binary {
            return self.as_bits(schema).map(Checked::Bits);
        }
        let floats: Cow<'a, [f32]> = match self {
            QueryVector::F32(values) => Cow::Borrowed(values),
            QueryVector::I8(values) => values.iter().map(|value| f32::from(*value)).collect(),
            QueryVector::U8(values) => values.iter().map(|value| f32::from(*value)).collect(),
        };
        if floats.len() != schema.dimension as usize {
            return Err(Error::Dimension { expected: schema.dimension, found: floats.len() });
        }
        if !all(&floats, f32::is_finite) {
            let component = floats.iter().position(|value| !value.is_finite()).unwrap_or(0);
            return Err(Error::NotFinite { row: 0, component });
        }
        if schema.metric == Metric::Cosine && floats.iter().all(|value| *value == 0.0) {
            return Err(Error::ZeroVector { row: 0 });
        }
        Ok(match schema.dtype {
            Dtype::I8 if all(&floats, |v| f32::from(v as i8) == v) => {
                Checked::I8(floats.iter().map(|value| *value as i8).collect(), floats.into_owned())
            }
            Dtype::U8 if all(&floats, |v| f32::from(v as u8) == v) => {
                Checked::U8(floats.iter().map(|value| *value as u8).collect(), floats.into_owned())
            }
            _ => Checked::F32(floats),
        })
    }

    /// Packed bits, or numbers that are all 0 or 1, one a bit; floats may also be the packed bytes.
    fn as_bits(&'a self, schema: &Schema) -> Result<Cow<'a, [u8]>> {
        let (dimension, bytes) = (schema.dimension as usize, schema.row_len());
        let packed: Cow<'a, [u8]> = match self {
            QueryVector::U8(values) if values.len() == bytes => Cow::Borrowed(values),
            QueryVector::F32(values) if values.len() == dimension => pack(values, schema)?.into(),
            QueryVector::F32(values) if values.len() == bytes => {
                let whole = values.iter().all(|v| v.fract() == 0.0 && (0.0..=255.0).contains(v));
                if !whole {
                    return Err(Error::Element { found: "numbers that are not bytes", dtype: schema.dtype });
                }
                values.iter().map(|value| *value as u8).collect()
            }
            QueryVector::F32(values) => {
                return Err(Error::Dimension { expected: schema.dimension, found: values.len() });
            }
            QueryVector::U8(values) => {
                return Err(Error::Dimension { expected: schema.dimension, found: values.len() * 8 });
            }
            QueryVector::I8(_) => return Err(Error::Element { found: "i8", dtype: schema.dtype }),
        };
        let unused = bytes * 8 - dimension;
        if packed.last().is_some_and(|last| last & ((1u16 << unused) - 1) as u8 != 0) {
            return Err(Error::Dimension { expected: schema.dimension, found: bytes * 8 });
        }
        Ok(packed)
    }
}

/// Whether all values are such. Without a way out: a loop that compilers turn into vectors.
#[inline(always)]
fn all(values: &[f32], is_such: impl Fn(f32) -> bool) -> bool {
    values.iter().fold(true, |so_far, value| so_far & is_such(*value))
}

fn pack(values: &[f32], schema: &Schema) -> Result<Vec<u8>> {
    let mut bytes = vec![0; schema.row_len()];
    for (at, value) in values.iter().enumerate() {
        match *value {
            0.0 => {}
            1.0 => bytes[at / 8] |= 0x80 >> (at % 8),
            _ => return Err(Error::Element { found: "numbers other than 0 and 1", dtype: schema.dtype }),
        }
    }
    Ok(bytes)
}

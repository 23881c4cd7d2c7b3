//! Codes that walks read instead of rows. Sees numbers; knows no file.
//!
//! | file | owns |
//! | --- | --- |
//! | `sq8.rs` | [`Sq8`]: a signed byte a component |
//! | `projection.rs` | [`Projection`]: rows to fewer, evenly spread components |
//! | `sq4.rs` | [`Sq4`]: four bits a component of a projection |

mod projection;
mod sq4;
mod sq8;

pub(crate) use projection::{Projection, Trained};
pub(crate) use sq4::Sq4;
pub(crate) use sq8::Sq8;

use crate::kernel::{KernelError, Kernels, NibbleQuery, Op, Query};

/// How rows become codes.
#[derive(Clone, Debug)]
pub(crate) enum Codec<'a> {
    /// A signed byte a component.
    Sq8(Sq8),
    /// Four bits a projected component.
    Sq4(Sq4<'a>),
}

/// A query against codes.
#[derive(Clone, Debug)]
pub(crate) enum CodeQuery {
    /// Against signed bytes: as a code, fast.
    Code(Query<i8>),
    /// Against signed bytes: as floats in units of the step, where a code would be cut off.
    Floats(Query<f32>),
    /// Against codes of four bits.
    Nibbles(NibbleQuery),
}

impl Codec<'_> {
    /// The same, its own master.
    pub(crate) fn into_owned(self) -> Codec<'static> {
        match self {
            Codec::Sq8(sq8) => Codec::Sq8(sq8),
            Codec::Sq4(Sq4 { projection: Projection { op, dimension, outputs, map, offsets }, step }) => {
                let (map, offsets) = (map.into_owned().into(), offsets.into_owned().into());
                Codec::Sq4(Sq4 { projection: Projection { op, dimension, outputs, map, offsets }, step })
            }
        }
    }

    /// Bytes of a code.
    pub(crate) fn stride(&self) -> usize {
        match self {
            Codec::Sq8(sq8) => sq8.stride(),
            Codec::Sq4(sq4) => sq4.stride(),
        }
    }

    /// Prepares a query: for inner products at a scale of its own, for squared distances at that of the codes.
    ///
    /// # Errors
    /// [`KernelError`] for a query beyond the range of the arithmetic.
    pub(crate) fn query(&self, kernels: Kernels, query: &[f32]) -> Result<CodeQuery, KernelError> {
        match self {
            Codec::Sq8(sq8) => sq8.query(query),
            Codec::Sq4(sq4) => sq4.query(kernels, query).map(CodeQuery::Nibbles),
        }
    }
}

/// The operation on codes: what remains of cosine is the inner product, because rows are brought to norm 1.
fn code_op(op: Op) -> Op {
    if op == Op::L2 { Op::L2 } else { Op::Dot }
}

/// The largest signed byte that is a code.
const MOST: f32 = 127.0;

fn inverse_norm(row: &[f32]) -> f64 {
    let squares: f64 = row.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    if squares > 0.0 { 1.0 / squares.sqrt() } else { 0.0 }
}

fn means(dimension: usize, sample: &[Vec<f32>]) -> Vec<f32> {
    let mut sums = vec![0f64; dimension];
    for row in sample {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    sums.iter().map(|sum| (sum / sample.len().max(1) as f64) as f32).collect()
}

/// The squared error that codes of `step` make, made by `code` in units of it, over the row's squares; at most about 1 for a row
/// that is lost.
fn relative_error(row: &[f32], step: f32, code: impl Fn(f32) -> f32) -> f64 {
    let (mut error, mut squares) = (0f64, 0f64);
    for value in row {
        let off = f64::from(*value) - f64::from(code(value / step)) * f64::from(step);
        error += off * off;
        squares += f64::from(*value) * f64::from(*value);
    }
    if squares > 0.0 { error / squares } else { 0.0 }
}

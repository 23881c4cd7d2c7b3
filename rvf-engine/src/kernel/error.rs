//! What a caller of the kernels can get wrong.

use std::fmt;

/// Why a kernel refused its arguments. Nothing was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelError {
    /// A query of no elements, or of more than [`MAX_DIMENSION`](super::MAX_DIMENSION).
    Dimension {
        /// The number of elements given.
        got: usize,
    },
    /// A query with an element that is NaN or infinite.
    QueryNotFinite,
    /// Rows that do not hold exactly the elements asked for; lengths in elements.
    RowsLength {
        /// The length given.
        got: usize,
        /// The length that query and output imply.
        want: usize,
    },
    /// An output that does not have one entry per index; lengths in entries.
    OutLength {
        /// The length given.
        got: usize,
        /// The number of indices.
        want: usize,
    },
    /// An index that is not the number of a row.
    IndexOutOfRange {
        /// The first such index.
        index: u32,
        /// The number of rows.
        rows: usize,
    },
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dimension { got } => write!(f, "a query of {got} elements, outside 1..=65535"),
            Self::QueryNotFinite => write!(f, "a query element that is not finite"),
            Self::RowsLength { got, want } => write!(f, "rows of {got} elements, not {want}"),
            Self::OutLength { got, want } => write!(f, "room for {got} distances, not {want}"),
            Self::IndexOutOfRange { index, rows } => write!(f, "row {index} of {rows}"),
        }
    }
}

impl std::error::Error for KernelError {}

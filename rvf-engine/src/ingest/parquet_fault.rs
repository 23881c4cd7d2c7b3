//! The faults of a `.parquet` file, what each is called, and the hint that goes with it.

use std::fmt;

/// What is wrong with a `.parquet` file.
#[derive(Debug, PartialEq, Eq)]
pub enum ParquetFault {
    /// Not such a file, damaged, or written with what is not read here.
    File {
        /// The parser's words, shortened.
        message: String,
    },
    /// No column is named `vector`.
    NoVector,
    /// Two columns of one name.
    ColumnTwice {
        /// The name, shortened.
        column: String,
    },
    /// A value of a sort that does not belong there.
    Value {
        /// The column, shortened.
        column: String,
        /// What stands there.
        found: &'static str,
        /// What belongs there.
        wanted: &'static str,
    },
}

impl ParquetFault {
    pub(super) fn hint(&self) -> &'static str {
        match self {
            ParquetFault::File { .. } => {
                "write it again, without encryption, compressed by snappy, zstd, gzip or not at all"
            }
            ParquetFault::NoVector => "name the column of vectors vector, that of ids id; every other is a field",
            ParquetFault::ColumnTwice { .. } => "keep one of the two, or rename it",
            ParquetFault::Value { .. } => "cast the column, or leave it out",
        }
    }
}

impl fmt::Display for ParquetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParquetFault::File { message } => write!(f, "cannot be read as parquet: {message}"),
            ParquetFault::NoVector => f.write_str("no column is named vector"),
            ParquetFault::ColumnTwice { column } => write!(f, "the column {column:?} stands twice"),
            ParquetFault::Value { column, found, wanted } => {
                write!(f, "column {column:?} holds {found}, where {wanted} belongs")
            }
        }
    }
}

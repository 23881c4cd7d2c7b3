//! The faults of a `.csv` file, what each is called, and the hint that goes with it.

use std::fmt;

use crate::value::FieldType;

/// What is wrong with a `.csv` file.
#[derive(Debug, PartialEq, Eq)]
pub enum CsvFault {
    /// A record, with the lines in its cells, longer than [`super::MAX_LINE_BYTES`].
    RecordTooLong,
    /// A record with another number of cells than the header.
    Cells {
        /// Cells in the header.
        header: usize,
        /// Cells in this record.
        found: usize,
    },
    /// A cell that is not UTF-8.
    NotText {
        /// The column, shortened.
        column: String,
    },
    /// No column holds vectors.
    NoVector,
    /// Columns of elements are not numbered 0, 1, 2 and so on from left to right.
    Numbering {
        /// The column that breaks it, shortened.
        column: String,
    },
    /// Two columns of one name.
    ColumnTwice {
        /// The name, shortened.
        column: String,
    },
    /// A column without a name.
    NoName {
        /// The column, from 1.
        column: usize,
    },
    /// A cell that the type of its column does not allow.
    Type {
        /// The column without its type, shortened.
        column: String,
        /// What it holds.
        held: CellType,
        /// The type is written in the header, and not told by the cells above.
        declared: bool,
        /// The cell, shortened.
        cell: String,
    },
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellType {
    /// Values of a field.
    Field(FieldType),
    /// Ids that are numbers.
    Id,
    /// An element of each vector.
    Element,
}

impl CsvFault {
    pub(super) fn hint(&self) -> String {
        match self {
            CsvFault::RecordTooLong => "a record has 64 MiB at most: is a quote not closed?".to_owned(),
            CsvFault::Cells { .. } => "is the file cut short, or does a cell with a comma stand without quotes?".to_owned(),
            CsvFault::NotText { .. } => "write the file as UTF-8".to_owned(),
            CsvFault::NoVector => {
                "name columns in the first line: vector, with cells like \"[0.5,1]\", or v0,v1,v2; commas between columns".to_owned()
            }
            CsvFault::Numbering { .. } => "number the columns of elements without a gap: v0,v1,v2".to_owned(),
            CsvFault::ColumnTwice { .. } => "keep one of the two, or rename it".to_owned(),
            CsvFault::NoName { .. } => "name it in the first line, or leave it out (pandas: index=False)".to_owned(),
            CsvFault::Type { held: CellType::Element, .. } => "elements are numbers within the range of f32".to_owned(),
            CsvFault::Type { column, held, declared: false, .. } if *held != CellType::Field(FieldType::Str) => {
                format!("name the column {column}:string in the first line to take all its cells as text")
            }
            CsvFault::Type { held, .. } => match held {
                CellType::Field(FieldType::Bool) => "give true or false, or leave the cell empty".to_owned(),
                CellType::Field(FieldType::List) => "give a JSON array of strings, as [\"a\",\"b\"]".to_owned(),
                CellType::Field(FieldType::Bytes) => "give two hexadecimal digits a byte, as 0x00ff".to_owned(),
                CellType::Id => "ids are whole numbers from 0 to 18446744073709551614; id:string takes any text".to_owned(),
                _ => "give a number that the type holds exactly, or leave the cell empty".to_owned(),
            },
        }
    }
}

impl fmt::Display for CsvFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CsvFault::RecordTooLong => f.write_str("a record of more than 64 MiB"),
            CsvFault::Cells { header, found } => write!(f, "{found} cells, where the header has {header}"),
            CsvFault::NotText { column } => write!(f, "the cell of column {column:?} is not UTF-8"),
            CsvFault::NoVector => f.write_str("no column of the header holds vectors"),
            CsvFault::Numbering { column } => write!(f, "the column {column:?} of elements is out of its turn"),
            CsvFault::ColumnTwice { column } => write!(f, "the column {column:?} stands twice"),
            CsvFault::NoName { column } => write!(f, "column {column} has no name"),
            CsvFault::Type { column, held, declared, cell } => {
                let why = if *declared { "by the header" } else { "by the cells above it" };
                write!(f, "the cell {cell:?} is no {held}, which column {column:?} holds {why}")
            }
        }
    }
}

impl fmt::Display for CellType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CellType::Field(field) => field.fmt(f),
            CellType::Id => f.write_str("number of an id"),
            CellType::Element => f.write_str("f32"),
        }
    }
}

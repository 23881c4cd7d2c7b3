//! The faults of input files, by what they concern. Their words and hints are in `fault_words`; where a fault lies is
//! the business of `error`.

use std::io;

use super::batch::IdKind;
use super::csv_fault::CsvFault;
#[cfg(feature = "parquet")]
use super::parquet_fault::ParquetFault;

/// What is wrong with a file of vectors.
#[derive(Debug)]
pub enum InputFault {
    /// The file itself.
    File(FileFault),
    /// The head of an `.npy` file, or what it promises.
    Npy(NpyFault),
    /// A row of a binary file.
    Row(RowFault),
    /// A line of JSON.
    Json(JsonFault),
    /// A record of a `.csv` file, or its header.
    Csv(CsvFault),
    /// A `.parquet` file.
    #[cfg(feature = "parquet")]
    Parquet(ParquetFault),
}

/// What is wrong with a file before its content matters.
#[derive(Debug)]
pub enum FileFault {
    /// There is none.
    NotFound,
    /// It is a directory.
    Directory,
    /// It is a pipe or a device, and the format needs to know the length.
    NotRegular,
    /// It holds no record at all.
    Empty,
    /// No format of that name.
    UnknownFormat {
        /// The extension or name; empty where there is none.
        given: String,
    },
    /// Fewer lines of metadata than records.
    LessMetadata,
    /// More lines of metadata than records.
    MoreMetadata,
    /// Records that have metadata, and lines of metadata for them.
    MetadataTwice,
    /// The system refused.
    Io(io::Error),
}

/// What is wrong with an `.npy` file.
#[derive(Debug, PartialEq, Eq)]
pub enum NpyFault {
    /// It does not begin as such files do.
    Magic,
    /// A version that is not 1.0, 2.0 or 3.0.
    Version {
        /// The first number.
        major: u8,
        /// The second number.
        minor: u8,
    },
    /// The header claims more than 1 MiB.
    HeaderTooLong {
        /// Its claim in bytes.
        bytes: u64,
    },
    /// The header is not the dictionary it has to be.
    Header {
        /// What was expected.
        wanted: &'static str,
    },
    /// Elements with the most significant byte first.
    BigEndian {
        /// NumPy's name of the type.
        descr: String,
    },
    /// Several named fields in an element.
    Structured,
    /// Python objects.
    Pickled,
    /// A type that does not serve here.
    Dtype {
        /// NumPy's name of the type.
        descr: String,
        /// What serves.
        wanted: &'static str,
    },
    /// A number of dimensions that does not serve here.
    Shape {
        /// The dimensions found.
        shape: Vec<u64>,
        /// How many are wanted.
        wanted: usize,
    },
    /// Columns are stored one after another.
    Fortran {
        /// Rows of the array.
        rows: u64,
        /// Columns of the array.
        columns: u64,
    },
    /// The header promises more rows than the file holds.
    ShortPayload {
        /// Rows promised.
        rows: u64,
        /// Bytes in each row.
        row_bytes: u64,
        /// Bytes that follow the header.
        present: u64,
    },
    /// Bytes follow the array.
    TrailingBytes {
        /// How many.
        count: u64,
    },
    /// A negative number where an id has to be.
    NegativeId {
        /// The number.
        value: i64,
    },
    /// A string that is not valid Unicode.
    NotText,
}

/// What is wrong with a row of a binary file.
#[derive(Debug, PartialEq, Eq)]
pub enum RowFault {
    /// The file ends inside.
    Truncated {
        /// Bytes needed.
        needed: u64,
        /// Bytes there.
        present: u64,
    },
    /// A dimension out of range.
    Dim {
        /// The dimension found.
        found: i64,
    },
    /// A dimension other than that of the first row.
    DimChanged {
        /// That of the first row.
        expected: usize,
        /// That of this row.
        found: i64,
    },
}

/// The part of a JSON record that a fault concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonPart {
    /// The whole line.
    Record,
    /// The id.
    Id,
    /// The vector as a whole.
    Vector,
    /// An element of the vector, from 0.
    Element(usize),
    /// The metadata.
    Metadata,
}

/// What is wrong with a line of JSON.
#[derive(Debug, PartialEq, Eq)]
pub enum JsonFault {
    /// Longer than [`super::MAX_LINE_BYTES`].
    LineTooLong,
    /// Not JSON.
    Syntax {
        /// The parser's words.
        message: String,
    },
    /// The same key twice in one object.
    DuplicateKey {
        /// The key, shortened.
        key: String,
    },
    /// A key that a record does not have.
    UnknownKey {
        /// The key, shortened.
        key: String,
    },
    /// A record without a vector.
    MissingVector,
    /// JSON, but of a sort that does not belong there.
    WrongType {
        /// Where.
        part: JsonPart,
    },
    /// A negative id.
    NegativeId,
    /// An id with a fraction or an exponent.
    FractionalId,
    /// An id of 2^64 or more.
    IdTooLarge,
    /// The sort of id changed; `None` is a record without an id.
    MixedIds {
        /// That of the first record.
        first: Option<IdKind>,
        /// That of this record.
        here: Option<IdKind>,
    },
    /// A line of metadata with the id of another record than the one in its place.
    OtherRecord {
        /// Its id, shortened.
        given: String,
        /// That of the record.
        record: String,
    },
    /// A change of metadata that names no record.
    MissingId,
    /// A line that is no feedback.
    Feedback {
        /// What is wrong with it, after "the line".
        what: &'static str,
    },
    /// An element beyond the largest f32.
    OutOfRange {
        /// Which element, from 0.
        position: usize,
    },
}

impl InputFault {
    /// A stable name of the group, for programs that read errors.
    #[must_use]
    pub fn group(&self) -> &'static str {
        match self {
            InputFault::File(FileFault::Io(_)) => "io",
            InputFault::File(_) => "input_file",
            InputFault::Npy(_) => "input_npy",
            InputFault::Row(_) => "input_row",
            InputFault::Json(_) => "input_json",
            InputFault::Csv(_) => "input_csv",
            #[cfg(feature = "parquet")]
            InputFault::Parquet(_) => "input_parquet",
        }
    }
}

impl From<FileFault> for InputFault {
    fn from(fault: FileFault) -> InputFault {
        InputFault::File(fault)
    }
}

impl From<NpyFault> for InputFault {
    fn from(fault: NpyFault) -> InputFault {
        InputFault::Npy(fault)
    }
}

impl From<RowFault> for InputFault {
    fn from(fault: RowFault) -> InputFault {
        InputFault::Row(fault)
    }
}

impl From<CsvFault> for InputFault {
    fn from(fault: CsvFault) -> InputFault {
        InputFault::Csv(fault)
    }
}

#[cfg(feature = "parquet")]
impl From<ParquetFault> for InputFault {
    fn from(fault: ParquetFault) -> InputFault {
        InputFault::Parquet(fault)
    }
}

impl From<JsonFault> for InputFault {
    fn from(fault: JsonFault) -> InputFault {
        InputFault::Json(fault)
    }
}

//! What is told when a file of vectors cannot be written.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::batch::{Element, IdKind};
use super::format::Format;

/// Why a file of vectors cannot be written.
#[derive(Debug)]
pub struct SinkError {
    path: PathBuf,
    fault: SinkFault,
}

/// What stands against writing a file of vectors.
#[derive(Debug)]
pub enum SinkFault {
    /// The system refused.
    Io(io::Error),
    /// The target is a directory.
    Directory,
    /// No format of that name.
    UnknownFormat {
        /// The extension; empty where there is none.
        given: String,
    },
    /// A dimension that is not 1 to 65,535.
    Dim {
        /// The dimension.
        given: usize,
    },
    /// Elements of the wrong type.
    Element {
        /// The type given.
        given: Element,
        /// The type that the file holds.
        wanted: Element,
    },
    /// Ids of the wrong sort.
    IdKind {
        /// The sort given.
        given: Option<IdKind>,
        /// The sort announced.
        wanted: Option<IdKind>,
    },
    /// The last vector is incomplete.
    PartialVector {
        /// Elements in each vector.
        dim: usize,
        /// Elements given.
        elements: usize,
    },
    /// Ids or metadata of another number of records.
    Count {
        /// Vectors given.
        vectors: usize,
        /// Ids or metadata given.
        given: usize,
    },
    /// Metadata, where none was announced.
    MetadataNotKept,
    /// Metadata with a field that was not announced, or not with such a value.
    Field {
        /// The record, from 0.
        row: u64,
        /// The field, shortened.
        field: String,
    },
    /// NaN or infinity, which JSON does not have.
    NotFinite {
        /// The record, from 0.
        row: u64,
        /// The element, from 0.
        position: usize,
    },
    /// An id that ends in NUL, which NumPy would drop.
    IdEndsInNul {
        /// The record, from 0.
        row: u64,
    },
}

impl SinkFault {
    pub(super) fn of_field(row: u64, name: &str) -> SinkFault {
        SinkFault::Field { row, field: name.chars().take(64).collect() }
    }
}

impl SinkError {
    pub(super) fn new(path: &Path, fault: SinkFault) -> SinkError {
        SinkError { path: path.to_owned(), fault }
    }

    pub(super) fn of_io(path: &Path, error: io::Error) -> SinkError {
        SinkError::new(path, SinkFault::Io(error))
    }

    /// The file that was going to be written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was found.
    #[must_use]
    pub fn fault(&self) -> &SinkFault {
        &self.fault
    }

    /// What to do about it, in one line.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self.fault {
            SinkFault::Io(_) => "check the folder's permissions and the space left",
            SinkFault::Directory => "name a file in it",
            SinkFault::UnknownFormat { .. } => {
                "name a file *.npy, *.fvecs, *.bvecs, *.jsonl or *.csv, or give --format"
            }
            SinkFault::Dim { .. } => "vectors have 1 to 65535 elements",
            SinkFault::Element { .. } => "choose .npy, which holds every type of element",
            SinkFault::IdKind { .. } => "announce the sort of ids in the options",
            SinkFault::PartialVector { .. } | SinkFault::Count { .. } => "give as many ids and metadata as vectors",
            SinkFault::MetadataNotKept | SinkFault::Field { .. } => "announce the fields of metadata in the options",
            SinkFault::NotFinite { .. } => "choose .npy, which holds every value",
            SinkFault::IdEndsInNul { .. } => "choose .jsonl, which holds every id",
        }
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.fault, self.path.display())
    }
}

impl fmt::Display for SinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SinkFault::Io(error) => write!(f, "cannot write: {error}"),
            SinkFault::Directory => f.write_str("a directory where a file is needed"),
            SinkFault::UnknownFormat { given } => {
                write!(f, "unknown format of vectors \"{given}\": the known ones are {}", Format::names())
            }
            SinkFault::Dim { given } => write!(f, "vectors of {given} elements"),
            SinkFault::Element { given, wanted } => {
                write!(f, "elements are {}, the file holds {}", given.name(), wanted.name())
            }
            SinkFault::IdKind { given, wanted } => {
                write!(f, "ids are {given:?}, announced were {wanted:?}")
            }
            SinkFault::PartialVector { dim, elements } => {
                write!(f, "{elements} elements are no whole number of vectors of {dim}")
            }
            SinkFault::Count { vectors, given } => {
                write!(f, "{given} ids or metadata for {vectors} vectors")
            }
            SinkFault::MetadataNotKept => f.write_str("metadata was not announced"),
            SinkFault::Field { row, field } => {
                write!(f, "the field {field:?} of record {row} was not announced, or holds another type")
            }
            SinkFault::NotFinite { row, position } => {
                write!(f, "element {position} of record {row} is not finite, which JSON cannot hold")
            }
            SinkFault::IdEndsInNul { row } => {
                write!(f, "the id of record {row} ends in NUL, which npy drops")
            }
        }
    }
}

impl std::error::Error for SinkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            SinkFault::Io(error) => Some(error),
            _ => None,
        }
    }
}

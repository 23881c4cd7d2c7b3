//! What is told when a file of vectors is refused: which file, where in it, what was found, what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::fault::{FileFault, InputFault};

/// Why a file of vectors is refused.
#[derive(Debug)]
pub struct InputError {
    path: Option<PathBuf>,
    place: Place,
    fault: InputFault,
}

/// Where in a file something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    Whole,
    /// A byte of the file.
    Offset(u64),
    /// A row of a binary file, from 0, and the byte where the row begins.
    Row {
        /// The row, from 0.
        row: u64,
        /// The byte where it begins.
        offset: u64,
    },
    /// A record of a file in which no byte is where it begins.
    Record {
        /// The record, from 0.
        record: u64,
    },
    /// A line and column of a text, both from 1; columns count bytes, in `.csv` files cells.
    Line {
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
    },
}

impl InputError {
    pub(super) fn new(path: &Path, place: Place, fault: impl Into<InputFault>) -> InputError {
        InputError { path: Some(path.to_owned()), place, fault: fault.into() }
    }

    pub(super) fn of_file(path: &Path, fault: FileFault) -> InputError {
        InputError::new(path, Place::Whole, fault)
    }

    pub(super) fn of_io(path: &Path, place: Place, error: io::Error) -> InputError {
        InputError::new(path, place, FileFault::Io(error))
    }

    pub(super) fn without_path(fault: impl Into<InputFault>) -> InputError {
        InputError { path: None, place: Place::Whole, fault: fault.into() }
    }

    pub(super) fn in_text(place: Place, fault: impl Into<InputFault>) -> InputError {
        InputError { path: None, place, fault: fault.into() }
    }

    /// The file; none where a text or a name of a format was given.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Where in the file.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// What was found.
    #[must_use]
    pub fn fault(&self) -> &InputFault {
        &self.fault
    }

    /// What to do about it, in one line.
    #[must_use]
    pub fn hint(&self) -> String {
        self.fault.hint()
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fault)?;
        match (&self.path, self.place) {
            (None, Place::Whole) => Ok(()),
            (None, place) => write!(f, " ({place})"),
            (Some(path), Place::Whole) => write!(f, " ({})", path.display()),
            (Some(path), place) => write!(f, " ({}, {place})", path.display()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Whole => f.write_str("the file"),
            Place::Offset(offset) => write!(f, "offset {offset}"),
            Place::Row { row, offset } => write!(f, "row {row} at offset {offset}"),
            Place::Record { record } => write!(f, "record {record}"),
            Place::Line { line, column } => write!(f, "line {line} column {column}"),
        }
    }
}

impl std::error::Error for InputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            InputFault::File(FileFault::Io(error)) => Some(error),
            _ => None,
        }
    }
}

//! The error type of the format: what is wrong, which clause it breaks, where.

use crate::Clause;
use core::fmt;
use std::io;

/// A result with this crate's [`Error`].
pub type Result<T> = core::result::Result<T, Error>;

/// Why bytes could not be read as an RVF file, or not be read or written at all.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The bytes break a sentence of the specification.
    Corrupt {
        /// The sentence.
        clause: Clause,
        /// File offset of the place, bytes.
        at: u64,
        /// What was found.
        what: &'static str,
    },
    /// Neither ours nor a published RVF file.
    NotRvf,
    /// A file of the published RVF crates; `rvf convert` reads it.
    PublishedRvf,
    /// Made by a newer version: a version number or feature bit that this reader does not know.
    Newer {
        /// VER-1, FILE-3 or ROOT-1.
        clause: Clause,
        /// File offset of the field.
        at: u64,
    },
    /// Recognisably ours, but no whole root is in it.
    NoRoot,
    /// The epoch is not in the file's history.
    NoEpoch {
        /// The epoch asked for.
        epoch: u64,
        /// The oldest epoch that is kept.
        oldest: u64,
        /// The newest epoch.
        newest: u64,
    },
    /// A segment would be larger than 4 GiB.
    SegmentTooLarge,
    /// A mapped file was cut by another program; what was read of it counts for nothing.
    Truncated {
        /// Bytes from this offset on are gone.
        at: u64,
    },
    /// Reading or writing failed.
    Io(io::Error),
}

impl Error {
    /// A [`Error::Corrupt`].
    pub const fn corrupt(clause: Clause, at: u64, what: &'static str) -> Self {
        Error::Corrupt { clause, at, what }
    }

    /// The clause that the error names, if it names one.
    pub const fn clause(&self) -> Option<Clause> {
        match self {
            Error::Corrupt { clause, .. } | Error::Newer { clause, .. } => Some(*clause),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Corrupt { clause, at, what } => write!(f, "{what} ({clause} at offset {at})"),
            Error::NotRvf => f.write_str("not an RVF file"),
            Error::PublishedRvf => f.write_str("a file of the published RVF crates"),
            Error::Newer { clause, at } => {
                write!(f, "made by a newer version of RVF ({clause} at offset {at})")
            }
            Error::NoRoot => {
                f.write_str("an RVF file without a whole root: nothing in it was committed, or it is damaged")
            }
            Error::NoEpoch { epoch, oldest, newest } => {
                write!(f, "epoch {epoch} is not in the file, which keeps epochs {oldest} to {newest}")
            }
            Error::SegmentTooLarge => f.write_str("a segment would be larger than 4 GiB"),
            Error::Truncated { at } => write!(f, "the file was cut while it was being read (at offset {at})"),
            Error::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(error)
    }
}

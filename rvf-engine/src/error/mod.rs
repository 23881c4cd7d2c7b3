//! The one error type of the engine: what can go wrong, and by which names machines know it. What it says stands in `words.rs`.

mod archive;
mod feedback;
mod key;
mod parent;
mod words;

pub use archive::{ArchiveError, ArchiveFault};
pub use feedback::FeedbackFault;
pub use key::{KeyError, KeyFault};
pub use parent::{ParentError, ParentFault};

use crate::filter::{FilterError, UnknownField};
use crate::ingest::{FieldFault, FileFault, InputError, InputFault, SinkError, SinkFault};
use rvf_format::legacy::LegacyError;
use rvf_format::{Clause, Dtype, IdType};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A result with the engine's [`Error`].
pub type Result<T> = core::result::Result<T, Error>;

/// Why something could not be done. [`Error::kind`] names the case for machines, [`Error::hint`] says what to do.
///
/// ```
/// use rvf_engine::{Error, Reader};
/// let error = Reader::open("no such file.rvf").err().ok_or("opened")?;
/// assert!(matches!(error, Error::Io { .. }));
/// assert_eq!(error.kind(), "not_found");
/// assert!(error.hint().contains("check the path"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The file breaks a sentence of the specification.
    Corrupt {
        /// The sentence.
        clause: Clause,
        /// File offset, bytes.
        at: u64,
        /// What was found.
        what: &'static str,
    },
    /// Another program cut the file, or wrote over its end, while it was mapped: what was read of it counts for nothing.
    Truncated {
        /// Bytes from this file offset on are not what they were.
        at: u64,
    },
    /// A file that was to be verified before use is not sound.
    Unsound {
        /// The sentence of the first finding.
        clause: Clause,
        /// Its file offset, bytes.
        at: u64,
        /// What it says.
        what: String,
        /// How many findings there are.
        findings: usize,
    },
    /// Neither ours nor a published RVF file.
    NotRvf,
    /// A file of the published RVF crates.
    PublishedRvf,
    /// Made by a newer version of RVF.
    Newer {
        /// The clause of the version or feature field.
        clause: Clause,
        /// Its file offset, bytes.
        at: u64,
    },
    /// Ours, but without a whole root.
    NoRoot,
    /// The epoch is not in the file's history.
    NoEpoch {
        /// The epoch asked for.
        epoch: u64,
        /// The oldest epoch kept.
        oldest: u64,
        /// The newest epoch.
        newest: u64,
    },
    /// The parent of a branch is missing, or what was found is not it.
    Parent(Box<ParentError>),
    /// Something is wrong with a parent of the file that was asked for.
    InParent {
        /// The parent.
        path: PathBuf,
        /// What.
        source: Box<Error>,
    },
    /// An archive of a branch cannot be used.
    Archive(Box<ArchiveError>),
    /// The newest commit is not the one that was asked for by its state hash.
    OtherState {
        /// The newest epoch.
        epoch: u64,
        /// Its state hash.
        found: [u8; 32],
    },
    /// A key file is refused.
    Key(Box<KeyError>),
    /// Feedback is refused.
    Feedback(FeedbackFault),
    /// A signature was computed that does not verify; it was not given out.
    SigningFailed,
    /// Two files have no commit in common.
    NotRelated,
    /// A branch of a branch, so many times, is one more than there may be.
    TooDeep,
    /// An epoch that is to be unpinned is not pinned.
    NotPinned {
        /// The epoch.
        epoch: u64,
    },
    /// A merge of a store with string ids was to give new ids.
    NoRenumber,
    /// Reading or writing failed.
    Io {
        /// What was being done.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file to be created is there already.
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file has several names, and only one of them would get the compacted file.
    HardLinks {
        /// The file.
        path: PathBuf,
    },
    /// The file that is open for writing is not the one under its path any more: a commit to it would be lost.
    Moved {
        /// The path that it was opened by.
        path: PathBuf,
    },
    /// Another writer has the file.
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file is frozen: it takes no further commits.
    Frozen,
    /// The file uses a feature that this version may read but not write.
    ReadOnlyFeature,
    /// An earlier write failed in a way that leaves the medium unknown; open the file anew.
    Poisoned,
    /// The parts of a schema do not go together.
    Schema(&'static str),
    /// A vector has another dimension than the store.
    Dimension {
        /// Of the store.
        expected: u32,
        /// Of the vector.
        found: usize,
    },
    /// A component is not a finite number.
    NotFinite {
        /// Row of the batch, from 0.
        row: u64,
        /// Component, from 0.
        component: usize,
    },
    /// A vector of zeros has no cosine.
    ZeroVector {
        /// Row of the batch, from 0.
        row: u64,
    },
    /// A component would not be stored exactly.
    Precision {
        /// Row of the batch, from 0.
        row: u64,
        /// Component, from 0.
        component: usize,
        /// The component.
        value: f64,
        /// Dtype of the store.
        dtype: Dtype,
    },
    /// Vectors of this element type do not go into the store.
    Element {
        /// Name of the element type.
        found: &'static str,
        /// Dtype of the store.
        dtype: Dtype,
    },
    /// A field of a record may not be stored.
    Field {
        /// Row of the batch, from 0.
        row: u64,
        /// Its name, at most 64 characters of it.
        field: String,
        /// Why.
        fault: FieldFault,
    },
    /// A field of a record that is there may not be changed to this.
    FieldOf {
        /// The id of the record.
        id: String,
        /// Its name, at most 64 characters of it.
        field: String,
        /// Why.
        fault: FieldFault,
    },
    /// A filter is malformed, or does not go with the fields of the store.
    Filter(FilterError),
    /// A filter by which records were to be deleted, or to be seen by a branch, names a field that no record has.
    UnknownField(UnknownField),
    /// What a filter finds in one snapshot was given to a search of another.
    OtherSnapshot,
    /// An id of the other type.
    IdKind {
        /// Id type of the store.
        expected: IdType,
    },
    /// An id that no record can have.
    BadId {
        /// Row of the batch, from 0.
        row: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The number of ids is not the number of vectors.
    IdCount {
        /// Number of ids.
        ids: usize,
        /// Number of vectors.
        vectors: usize,
    },
    /// Records of a store with string ids need ids.
    IdsMissing,
    /// A file of vectors gives ids, and so does the caller.
    IdsTwice,
    /// Default ids have come to their end.
    IdsExhausted,
    /// A commit would be larger than a segment can be.
    TooLarge,
    /// An option of the index is out of its range, or is nothing for this store.
    IndexOption {
        /// Its name.
        name: &'static str,
        /// What was given.
        value: String,
        /// What it must be.
        must_be: String,
    },
    /// An input file could not be read.
    Input(InputError),
    /// An output file could not be written.
    Output(SinkError),
    /// A file of the published crates could not be read.
    Legacy(LegacyError),
    /// The file to be converted is one of this version already.
    AlreadyRvf,
    /// What an input file holds does not fit the store.
    InFile {
        /// The input file.
        path: PathBuf,
        /// The record, from 0, where one is to blame; `source` counts likewise.
        record: Option<u64>,
        /// Its line, from 1, where the file is a text.
        line: Option<u64>,
        /// What does not fit.
        source: Box<Error>,
    },
    /// An import stopped after it had committed something, which stays.
    Partly {
        /// Records that were committed.
        committed: u64,
        /// Why it stopped.
        source: Box<Error>,
    },
    /// The commit that several threads shared failed; each of them gets this.
    Group {
        /// Why.
        source: Arc<Error>,
    },
    /// The caller asked to stop.
    Interrupted,
}

impl Error {
    /// Of a branch that is open on its own.
    pub(crate) fn parent_unknown(needed: rvf_format::lineage::ParentRef) -> Self {
        Error::Parent(Box::new(ParentError { branch: PathBuf::new(), needed, why: ParentFault::NotLookedFor }))
    }

    /// A key file that is refused.
    pub(crate) fn key(path: &Path, fault: KeyFault) -> Self {
        Error::Key(Box::new(KeyError { path: path.to_owned(), fault }))
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Error::Io { action, path: path.to_owned(), source }
    }

    /// Reading up to a length that the file had a moment before.
    pub(crate) fn reading(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => {
                Error::Truncated { at: std::fs::metadata(path).map_or(0, |found| found.len()) }
            }
            _ => Self::io("reading", path, source),
        }
    }

    /// The case, for machines: stable names.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Corrupt { .. } => "corrupt",
            Error::Truncated { .. } => "truncated",
            Error::Unsound { .. } => "unsound",
            Error::NotRvf => "not_rvf",
            Error::PublishedRvf => "published_rvf",
            Error::Newer { .. } => "newer_version",
            Error::NoRoot => "no_root",
            Error::NoEpoch { .. } => "no_epoch",
            Error::Parent(error) if matches!(error.why, ParentFault::Missing | ParentFault::OtherFile { .. }) => {
                "parent_missing"
            }
            Error::Parent(_) => "parent_unusable",
            Error::Archive(_) => "archive",
            Error::Key(error) => match error.fault {
                KeyFault::File(_) => "key_file",
                KeyFault::Exposed { .. } => "key_exposed",
            },
            Error::Feedback(_) => "feedback",
            Error::SigningFailed => "signing_failed",
            Error::OtherState { .. } => "other_state",
            Error::NotRelated => "not_related",
            Error::TooDeep => "too_deep",
            Error::NotPinned { .. } => "not_pinned",
            Error::NoRenumber => "no_renumber",
            Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => "not_found",
            Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => "no_space",
            Error::Io { source, .. } if source.kind() == io::ErrorKind::IsADirectory => "directory",
            Error::Io { .. } => "io",
            Error::Exists { .. } => "exists",
            Error::HardLinks { .. } => "hard_links",
            Error::Moved { .. } => "moved",
            Error::Locked { .. } => "locked",
            Error::Frozen => "frozen",
            Error::ReadOnlyFeature => "read_only_feature",
            Error::Poisoned => "poisoned",
            Error::Schema(_) => "schema",
            Error::Dimension { .. } => "dimension",
            Error::NotFinite { .. } => "not_finite",
            Error::ZeroVector { .. } => "zero_vector",
            Error::Precision { .. } => "precision",
            Error::Element { .. } => "element",
            Error::Field { .. } | Error::FieldOf { .. } => "field",
            Error::Filter(_) => "filter",
            Error::UnknownField(_) => "unknown_field",
            Error::OtherSnapshot => "other_snapshot",
            Error::IdKind { .. } => "id_type",
            Error::BadId { .. } => "bad_id",
            Error::IdCount { .. } => "id_count",
            Error::IdsMissing => "ids_missing",
            Error::IdsExhausted => "ids_exhausted",
            Error::TooLarge => "too_large",
            Error::IndexOption { .. } => "index_option",
            Error::IdsTwice => "ids_twice",
            Error::Input(error) => input_kind(error),
            Error::Output(error) => output_kind(error),
            Error::Legacy(error) => legacy_kind(error),
            Error::AlreadyRvf => "already_rvf",
            Error::InFile { source, .. } | Error::Partly { source, .. } | Error::InParent { source, .. } => {
                source.kind()
            }
            Error::Group { source } => source.kind(),
            Error::Interrupted => "interrupted",
        }
    }

    /// The exit code of a command that ends with it, and the status of a call from C: 2 what was asked makes no sense, 3 not now,
    /// 4 the file is refused.
    ///
    /// ```
    /// use rvf_engine::{Error, Reader};
    /// assert_eq!(Reader::open("no such file.rvf").err().map(|error| error.exit_code()), Some(3));
    /// assert_eq!(Error::NotRvf.exit_code(), 4);
    /// ```
    pub fn exit_code(&self) -> u8 {
        const USAGE: u8 = 2;
        const NOT_NOW: u8 = 3;
        const REFUSED: u8 = 4;
        match self {
            Error::Corrupt { .. }
            | Error::Unsound { .. }
            | Error::NotRvf
            | Error::PublishedRvf
            | Error::Newer { .. }
            | Error::NoRoot
            | Error::ReadOnlyFeature
            | Error::Parent(_)
            | Error::Archive(_)
            | Error::Key(_)
            | Error::OtherState { .. }
            | Error::Legacy(_) => REFUSED,
            Error::Io { .. }
            | Error::Truncated { .. }
            | Error::Moved { .. }
            | Error::Locked { .. }
            | Error::Frozen
            | Error::Poisoned
            | Error::SigningFailed
            | Error::Interrupted => NOT_NOW,
            Error::Input(error) => match error.fault() {
                InputFault::File(
                    FileFault::NotFound | FileFault::Directory | FileFault::NotRegular | FileFault::Io(_),
                ) => NOT_NOW,
                _ => USAGE,
            },
            Error::Output(error) => match error.fault() {
                SinkFault::Io(_) | SinkFault::Directory => NOT_NOW,
                _ => USAGE,
            },
            Error::InFile { source, .. } | Error::Partly { source, .. } | Error::InParent { source, .. } => {
                source.exit_code()
            }
            Error::Group { source } => source.exit_code(),
            _ => USAGE,
        }
    }

    /// The clause that the file breaks, if that is what is wrong.
    pub fn clause(&self) -> Option<Clause> {
        match self {
            Error::Corrupt { clause, .. } | Error::Newer { clause, .. } | Error::Unsound { clause, .. } => {
                Some(*clause)
            }
            Error::InFile { source, .. } | Error::Partly { source, .. } | Error::InParent { source, .. } => {
                source.clause()
            }
            Error::Group { source } => source.clause(),
            _ => None,
        }
    }

    /// The file offset of what is wrong, bytes.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Error::Corrupt { at, .. }
            | Error::Newer { at, .. }
            | Error::Truncated { at }
            | Error::Unsound { at, .. } => Some(*at),
            Error::Legacy(error) => error.at(),
            Error::InFile { source, .. } | Error::Partly { source, .. } | Error::InParent { source, .. } => {
                source.offset()
            }
            Error::Group { source } => source.offset(),
            _ => None,
        }
    }

    /// The error of row `row` of many, by whoever saw that one only and took it for the first.
    ///
    /// ```
    /// use rvf_engine::Error;
    /// assert!(matches!(Error::ZeroVector { row: 0 }.at_row(7), Error::ZeroVector { row: 7 }));
    /// ```
    pub fn at_row(self, row: u64) -> Self {
        match self {
            Error::NotFinite { component, .. } => Error::NotFinite { row, component },
            Error::ZeroVector { .. } => Error::ZeroVector { row },
            Error::Field { field, fault, .. } => Error::Field { row, field, fault },
            other => other,
        }
    }
}

fn input_kind(error: &InputError) -> &'static str {
    match error.fault() {
        InputFault::File(FileFault::NotFound) => "not_found",
        InputFault::File(FileFault::Directory) => "directory",
        InputFault::File(FileFault::UnknownFormat { .. }) => "unknown_format",
        InputFault::File(FileFault::Io(_)) => "io",
        _ => "input",
    }
}

fn output_kind(error: &SinkError) -> &'static str {
    match error.fault() {
        SinkFault::Io(error) if error.kind() == io::ErrorKind::StorageFull => "no_space",
        SinkFault::Io(error) if error.kind() == io::ErrorKind::NotFound => "not_found",
        SinkFault::Io(_) => "io",
        SinkFault::Directory => "directory",
        SinkFault::UnknownFormat { .. } => "unknown_format",
        _ => "output",
    }
}

fn legacy_kind(error: &LegacyError) -> &'static str {
    match error {
        LegacyError::NotPublished => "not_rvf",
        LegacyError::ParentUnavailable { .. } => "parent_missing",
        LegacyError::WrongParent { .. } | LegacyError::ParentDimension { .. } => "wrong_parent",
        LegacyError::InParent { error, .. } => legacy_kind(error),
        _ => "published_rvf_damaged",
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::Filter(error) => Some(error),
            Error::Input(error) => Some(error),
            Error::Output(error) => Some(error),
            Error::Legacy(error) => Some(error),
            Error::InFile { source, .. } | Error::Partly { source, .. } | Error::InParent { source, .. } => {
                Some(source)
            }
            Error::Group { source } => Some(source.as_ref()),
            _ => None,
        }
    }
}

impl From<rvf_format::Error> for Error {
    fn from(error: rvf_format::Error) -> Self {
        use rvf_format::Error as Format;
        match error {
            Format::Corrupt { clause, at, what } => Error::Corrupt { clause, at, what },
            Format::NotRvf => Error::NotRvf,
            Format::PublishedRvf => Error::PublishedRvf,
            Format::Newer { clause, at } => Error::Newer { clause, at },
            Format::NoRoot => Error::NoRoot,
            Format::NoEpoch { epoch, oldest, newest } => Error::NoEpoch { epoch, oldest, newest },
            Format::SegmentTooLarge => Error::TooLarge,
            Format::Truncated { at } => Error::Truncated { at },
            Format::Io(source) => Error::Io { action: "reading", path: PathBuf::new(), source },
            _ => Error::NoRoot,
        }
    }
}

impl From<FilterError> for Error {
    fn from(error: FilterError) -> Self {
        Error::Filter(error)
    }
}

impl From<InputError> for Error {
    fn from(error: InputError) -> Self {
        Error::Input(error)
    }
}

impl From<SinkError> for Error {
    fn from(error: SinkError) -> Self {
        Error::Output(error)
    }
}

impl From<LegacyError> for Error {
    fn from(error: LegacyError) -> Self {
        Error::Legacy(error)
    }
}

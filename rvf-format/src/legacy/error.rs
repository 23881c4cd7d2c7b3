//! Owns every reason for which a published file is refused.
//!
//! An error names the place by its offset in the file, and the sentence of the published dialect that is broken by
//! [`LegacyError::clause`]. What does not stop a reading is a [`super::Warning`] or a [`super::Skipped`].

use core::fmt;

use super::header::SegmentKind;

/// Why a published file is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LegacyError {
    /// The first bytes are not a segment header of the published crates.
    NotPublished,
    /// No complete manifest was found.
    NoManifest {
        /// How many bytes were searched.
        searched: u64,
    },
    /// The last 4,096 bytes claim to be a root page and are not a sound one.
    RootPage {
        /// Where the page starts.
        at: u64,
        /// What is wrong.
        fault: Fault,
    },
    /// The payload is not what was hashed when it was written.
    HashMismatch {
        /// Where the segment starts.
        at: u64,
        /// What it holds.
        kind: SegmentKind,
        /// Its id.
        segment_id: u64,
    },
    /// The content hash is all zero, which switches the check off in the published crates.
    HashMissing {
        /// Where the segment starts.
        at: u64,
        /// What it holds.
        kind: SegmentKind,
        /// Its id.
        segment_id: u64,
    },
    /// The header names a checksum that the published crates do not have.
    UnknownChecksum {
        /// Where the segment starts.
        at: u64,
        /// The algorithm byte.
        algorithm: u8,
    },
    /// The manifest names a metric that the published crates do not have.
    UnknownMetric {
        /// Where the manifest starts.
        at: u64,
        /// The metric byte.
        metric: u8,
    },
    /// A segment that is needed breaks its layout.
    Malformed {
        /// Where the segment starts; for [`Fault::Directory`] where the directory says that it starts.
        at: u64,
        /// What it holds.
        kind: SegmentKind,
        /// Its id.
        segment_id: u64,
        /// What is wrong.
        fault: Fault,
    },
    /// Two segments that are needed lie over each other, or one is named twice.
    Overlap {
        /// Where the second starts.
        at: u64,
        /// Where the first starts.
        over: u64,
    },
    /// The file is a branch, and the caller did not supply the parent.
    ParentUnavailable {
        /// The recorded path, relative to the child's directory.
        path: String,
        /// The recorded file id of the parent.
        file_id: [u8; 16],
        /// What the caller said.
        why: String,
    },
    /// The file that was supplied as parent is another one.
    WrongParent {
        /// The recorded file id of the parent.
        expected: [u8; 16],
        /// The id of the file that was supplied, if it has one.
        found: Option<[u8; 16]>,
    },
    /// The parent holds vectors of another dimension.
    ParentDimension {
        /// The child's.
        child: u16,
        /// The parent's.
        parent: u16,
    },
    /// A file is its own ancestor.
    Cycle {
        /// The file id that comes back.
        file_id: [u8; 16],
    },
    /// There are more ancestors than [`super::MAX_PARENTS`].
    TooDeep,
    /// One of the ancestors is refused.
    InParent {
        /// 1 for the parent, 2 for its parent, and so on.
        generation: u32,
        /// Why.
        error: Box<LegacyError>,
    },
}

/// What is wrong with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Header flags, which are never set.
    Flags(u16),
    /// Compression, which is never used.
    Compressed(u8),
    /// The payload ends before what it should hold; the field that is cut.
    Short(&'static str),
    /// A count promises more than the bytes that remain.
    Count {
        /// Of what.
        of: &'static str,
        /// The count.
        count: u64,
    },
    /// Bytes after the last thing that the layout knows.
    Trailing(u64),
    /// The manifest says that vectors have no dimension.
    ZeroDimension,
    /// The directory and the segment's header disagree, or there is no segment.
    Directory,
    /// The manifest's list of hashes says otherwise than the segment's header, or leaves the segment out.
    HashList,
    /// A field has a value that this reader knows no meaning for.
    Field {
        /// The field.
        name: &'static str,
        /// Its value.
        value: u64,
    },
    /// Two places that state the same fact disagree.
    Disagree(&'static str),
    /// The parent path is empty, absolute, or not text.
    ParentPath,
    /// A text that is not UTF-8.
    NotText,
    /// A branch without the segment that says what it shows of its parent.
    NoMembership,
}

impl LegacyError {
    /// The sentence of the published dialect that the file breaks, as a short name that does not change.
    pub fn clause(&self) -> &'static str {
        match self {
            Self::NotPublished => "PUB-MAGIC",
            Self::NoManifest { .. } => "PUB-MANIFEST",
            Self::RootPage { .. } => "PUB-ROOT",
            Self::HashMismatch { .. } | Self::HashMissing { .. } => "PUB-HASH",
            Self::UnknownChecksum { .. } => "PUB-CHECKSUM",
            Self::UnknownMetric { .. } => "PUB-METRIC",
            Self::Malformed { fault: Fault::Directory, .. } | Self::Overlap { .. } => "PUB-DIRECTORY",
            Self::Malformed { .. } => "PUB-LAYOUT",
            Self::ParentUnavailable { .. } | Self::WrongParent { .. } | Self::ParentDimension { .. } => "PUB-PARENT",
            Self::Cycle { .. } | Self::TooDeep => "PUB-LINEAGE",
            Self::InParent { error, .. } => error.clause(),
        }
    }

    /// The offset of the damage in the file that has it, where one place is to blame.
    pub fn at(&self) -> Option<u64> {
        match self {
            Self::NotPublished => Some(0),
            Self::RootPage { at, .. }
            | Self::HashMismatch { at, .. }
            | Self::HashMissing { at, .. }
            | Self::UnknownChecksum { at, .. }
            | Self::UnknownMetric { at, .. }
            | Self::Malformed { at, .. }
            | Self::Overlap { at, .. } => Some(*at),
            Self::InParent { error, .. } => error.at(),
            _ => None,
        }
    }
}

impl core::error::Error for LegacyError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::InParent { error, .. } => Some(error.as_ref()),
            _ => None,
        }
    }
}

impl fmt::Display for LegacyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPublished => write!(f, "not a file of the published RVF crates: no segment header at offset 0"),
            Self::NoManifest { searched } => write!(f, "no complete manifest in the {searched} bytes of the file"),
            Self::RootPage { at, fault } => write!(f, "root page at offset {at}: {fault}"),
            Self::HashMismatch { at, kind, segment_id } => {
                write!(f, "{kind} segment {segment_id} at offset {at}: the payload does not match its content hash")
            }
            Self::HashMissing { at, kind, segment_id } => {
                write!(f, "{kind} segment {segment_id} at offset {at}: no content hash, so damage could not be seen")
            }
            Self::UnknownChecksum { at, algorithm } => {
                write!(f, "segment at offset {at}: unknown checksum algorithm {algorithm}")
            }
            Self::UnknownMetric { at, metric } => {
                write!(f, "manifest at offset {at}: unknown metric {metric}")
            }
            Self::Malformed { at, kind, segment_id, fault } => {
                write!(f, "{kind} segment {segment_id} at offset {at}: {fault}")
            }
            Self::Overlap { at, over } => {
                write!(f, "the segment at offset {at} lies over the one at offset {over}, or is named twice")
            }
            Self::ParentUnavailable { path, file_id, why } => {
                write!(f, "parent {path:?} (file id {}) is not available: {why}", Hex(file_id))
            }
            Self::WrongParent { expected, found: Some(found) } => {
                write!(f, "the parent should have file id {} and has {}", Hex(expected), Hex(found))
            }
            Self::WrongParent { expected, found: None } => {
                write!(f, "the parent should have file id {} and has none", Hex(expected))
            }
            Self::ParentDimension { child, parent } => {
                write!(f, "the branch has dimension {child}, its parent {parent}")
            }
            Self::Cycle { file_id } => write!(f, "file id {} is its own ancestor", Hex(file_id)),
            Self::TooDeep => write!(f, "more than {} ancestors", super::MAX_PARENTS),
            Self::InParent { generation, error } => write!(f, "in ancestor {generation}: {error}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flags(flags) => write!(f, "unknown header flags {flags:#06x}"),
            Self::Compressed(algorithm) => write!(f, "compressed (algorithm {algorithm}), which is not supported"),
            Self::Short(field) => write!(f, "ends within {field}"),
            Self::Count { of, count } => {
                write!(f, "promises {count} {of}, more than its bytes can hold")
            }
            Self::Trailing(bytes) => write!(f, "{bytes} bytes too many"),
            Self::ZeroDimension => write!(f, "dimension 0"),
            Self::Directory => write!(f, "the directory names it, and no such segment is there"),
            Self::HashList => write!(f, "its hash is not the one in the manifest's list"),
            Self::Field { name, value } => write!(f, "{name} {value} is not known"),
            Self::Disagree(what) => write!(f, "{what} disagrees with another place that states it"),
            Self::ParentPath => {
                write!(f, "the path of the parent is empty, absolute, or not UTF-8")
            }
            Self::NotText => write!(f, "a text is not UTF-8"),
            Self::NoMembership => write!(f, "a branch without MEMBERSHIP"),
        }
    }
}

/// Bytes as lower-case hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

//! Owns what is said of a file besides its rows: what was read, what was left, and what is odd.
//!
//! Every segment that the directory names, and every segment that a walk over the file meets, is in exactly one of
//! [`FileReport::segments_read`] and [`FileReport::segments_skipped`], so that a conversion can account for all of
//! its source.

use core::fmt;

use super::header::SegmentKind;
use super::locate::Dialect;
use super::manifest::{Identity, Metric};
use super::root::RootPage;

/// What one file says, apart from its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileReport {
    /// How the file is laid out.
    pub dialect: Dialect,
    /// Length of the file.
    pub bytes: u64,
    /// Number of the last commit.
    pub epoch: u32,
    /// Dimension of the vectors.
    pub dimension: u16,
    /// What the store ranks by.
    pub metric: Metric,
    /// The profile byte, whose meaning the crates never settled.
    pub profile: u8,
    /// Who the file is, and of which file it was made.
    pub identity: Option<Identity>,
    /// The file is a branch, and shows rows of the parent with this path, relative to its own directory.
    pub parent_path: Option<String>,
    /// The root page, if the file has one. Its signature is not verified.
    pub root_page: Option<RootPage>,
    /// Where the manifest that counts starts.
    pub manifest_at: u64,
    /// Bytes after the last commit, the root page not counted.
    pub uncommitted_bytes: u64,
    /// What was used: the manifest, then the rest in the order of the directory.
    pub segments_read: Vec<Segment>,
    /// What was not used: first what the directory names, then what a walk over the file met besides.
    pub segments_skipped: Vec<Skipped>,
    /// The META segments that the directory names.
    pub metadata: Vec<MetaSegment>,
    /// Keys of what the metadata says of the file as a whole, ascending. Their values are not kept.
    pub file_keys: Vec<String>,
    /// What is odd and does not stop a reading.
    pub warnings: Vec<Warning>,
}

impl FileReport {
    /// The id of the file, if it has one.
    pub fn file_id(&self) -> Option<[u8; 16]> {
        self.identity.map(|identity| identity.file_id)
    }
}

/// A segment that was read, its content hash verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// What it holds.
    pub kind: SegmentKind,
    /// Its id.
    pub segment_id: u64,
    /// Where it starts.
    pub offset: u64,
    /// Length of its payload.
    pub payload_len: u64,
}

/// A segment that was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// What it holds.
    pub kind: SegmentKind,
    /// Its id.
    pub segment_id: u64,
    /// Where it starts.
    pub offset: u64,
    /// Why it was not read.
    pub why: Why,
}

/// Why a segment was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// A search graph: it is built anew from the vectors.
    Derived,
    /// Metadata that is damaged, or that changes metadata that is.
    MetadataUnreadable,
    /// The audit chain of the source is not carried over.
    HistoryNotCarried,
    /// Deletions: the manifest has the list of deleted ids.
    InManifest,
    /// An older one of the kind, replaced by a later one.
    Superseded,
    /// A program or page that the file carries along.
    AttachmentNotCarried,
    /// Vectors of another dimension than the manifest's; the published readers skip them as well.
    DimensionDiffers {
        /// The dimension of the segment.
        found: u16,
    },
    /// MEMBERSHIP in a file that is not a branch: the published readers do not apply it.
    NotABranch,
    /// This reader knows no meaning for the kind.
    UnknownKind,
    /// The directory names it, and no such segment is there.
    NotThere,
    /// In the file, before the last commit, and not in the directory.
    NotInDirectory,
    /// After the last commit.
    Uncommitted,
}

/// A META segment, as its first fields describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetaSegment {
    /// Its segment id.
    pub segment_id: u64,
    /// Where it starts.
    pub offset: u64,
    /// It holds all records and not only changes.
    pub full: bool,
    /// Its number.
    pub generation: u64,
    /// The number of the one that it changes; `u64::MAX` if it holds all records.
    pub base: u64,
    /// How many records it says that it holds. Not verified.
    pub records: u32,
}

/// Something odd that does not stop a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// There is more after the last commit than whole WITNESS segments, which the crates put there themselves. The
    /// last commit may be older than the last one that was made.
    UncommittedTail {
        /// Where it starts.
        offset: u64,
        /// How long it is.
        bytes: u64,
    },
    /// Bytes before the last commit that are no segment.
    Gap {
        /// Where they start.
        offset: u64,
        /// How many they are.
        bytes: u64,
    },
    /// The last manifest lies within what another segment says is its payload.
    ManifestInSegment {
        /// Where that segment starts.
        offset: u64,
    },
    /// rvf-runtime 0.2 did not record the metric: L2 may have been anything.
    MetricNotRecorded,
    /// The signature of the root page was not verified: the file does not hold the key.
    SignatureNotVerified,
    /// The manifest's count of rows is not what its VEC segments hold.
    TotalDiffers {
        /// What the manifest says.
        recorded: u64,
        /// Ids in the file's own VEC segments, deleted ones counted.
        found: u64,
    },
    /// The root page's count of live rows is not what was found.
    LiveDiffers {
        /// What the root page says.
        recorded: u64,
        /// The file's own live rows.
        found: u64,
    },
    /// Live vectors have values that are infinite or not a number.
    NotFinite {
        /// How many vectors.
        rows: u64,
        /// The least id of them.
        first_id: u64,
    },
    /// Metadata from this segment on cannot be read: records have that of before, or none.
    MetadataDamaged {
        /// Where the segment starts.
        offset: u64,
    },
    /// The parent changed after the branch was made. The published crates would refuse to open the branch.
    ParentChanged,
    /// The parent ranks by another metric.
    ParentMetric {
        /// The parent's.
        parent: Metric,
    },
    /// The file is a branch of a branch. The published crates gave it the ids of its parent's own rows only, so rows
    /// of older ancestors are hidden.
    BranchOfBranch,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Derived => "derived data, built anew",
            Self::MetadataUnreadable => "metadata that is damaged, or changes what is",
            Self::HistoryNotCarried => "the history of the source is not carried over",
            Self::InManifest => "its deletions are in the manifest",
            Self::Superseded => "replaced by a later one",
            Self::AttachmentNotCarried => "attachments are not carried over",
            Self::DimensionDiffers { found } => {
                return write!(f, "dimension {found} is not the store's");
            }
            Self::NotABranch => "not applied: the file is not a branch",
            Self::UnknownKind => "unknown kind",
            Self::NotThere => "the directory names it, and it is not there",
            Self::NotInDirectory => "not part of the last commit",
            Self::Uncommitted => "after the last commit",
        };
        f.write_str(text)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UncommittedTail { offset, bytes } => {
                write!(f, "{bytes} bytes from offset {offset} on are after the last commit, and not read")
            }
            Self::Gap { offset, bytes } => {
                write!(f, "{bytes} bytes at offset {offset} are no segment")
            }
            Self::ManifestInSegment { offset } => {
                write!(f, "the last manifest lies within the segment at offset {offset}")
            }
            Self::MetricNotRecorded => write!(f, "rvf-runtime 0.2 did not record the metric: l2 is an assumption"),
            Self::SignatureNotVerified => write!(f, "the signature was not verified: the file does not hold the key"),
            Self::TotalDiffers { recorded, found } => {
                write!(f, "the manifest counts {recorded} rows, its segments hold {found}")
            }
            Self::LiveDiffers { recorded, found } => {
                write!(f, "the root page counts {recorded} live rows, {found} were found")
            }
            Self::NotFinite { rows, first_id } => {
                write!(f, "{rows} vectors have infinite or not-a-number values, the first is id {first_id}")
            }
            Self::ParentChanged => write!(f, "the parent changed after the branch was made"),
            Self::ParentMetric { parent } => write!(f, "the parent ranks by {parent}"),
            Self::MetadataDamaged { offset } => {
                write!(f, "metadata is damaged from offset {offset} on: records have that of before, or none")
            }
            Self::BranchOfBranch => {
                write!(f, "a branch of a branch: the published crates hide the rows of older ancestors")
            }
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L2 => "l2",
            Self::InnerProduct => "inner product",
            Self::Cosine => "cosine",
        })
    }
}

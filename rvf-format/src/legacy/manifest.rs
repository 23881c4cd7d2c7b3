//! Owns the payload of a MANIFEST.
//!
//! ```text
//! epoch u32 | dimension u16 | total u64 | segments u32 | profile u8 | metric u8 | 0 u16      22 bytes
//! segments x (id u64, offset u64, payload length u64, kind u8)                              25 each
//! deleted u32 | deleted x id u64
//! "IDIF" | file id 16 | parent id 16 | parent hash 32 | depth u32                           may be absent
//! "SHDG" | count u32 | count x (segment id u64, hash 16)                                    signed files
//! ```
//!
//! No number in here is believed: a count is used only after as many bytes were found, and `total` only to compare.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::error::{Fault, LegacyError};
use super::header::{Header, SegmentKind};

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHead {
    epoch: U32,
    dimension: U16,
    total_vectors: U64,
    segments: U32,
    profile: u8,
    metric: u8,
    zero: U16,
}
const _: () = assert!(size_of::<RawHead>() == 22);

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawEntry {
    segment_id: U64,
    at: U64,
    payload_len: U64,
    kind: u8,
}
const _: () = assert!(size_of::<RawEntry>() == 25);

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RawIdentity {
    file_id: [u8; 16],
    parent_id: [u8; 16],
    parent_hash: [u8; 32],
    depth: U32,
}
const _: () = assert!(size_of::<RawIdentity>() == 68);

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHash {
    segment_id: U64,
    hash: [u8; 16],
}
const _: () = assert!(size_of::<RawHash>() == 24);

/// Which number the store ranks by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Squared Euclidean distance.
    L2,
    /// Inner product, the larger the nearer.
    InnerProduct,
    /// One minus the cosine of the angle.
    Cosine,
}

/// Who a file is, and of which file it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its own id.
    pub file_id: [u8; 16],
    /// The id of its parent; zeros if there is none.
    pub parent_id: [u8; 16],
    /// The fold of the parent's last 64 KiB; zeros if there is none.
    pub parent_hash: [u8; 32],
    /// How many ancestors it has.
    pub depth: u32,
}

impl RawIdentity {
    pub(super) fn identity(&self) -> Identity {
        Identity {
            file_id: self.file_id,
            parent_id: self.parent_id,
            parent_hash: self.parent_hash,
            depth: self.depth.get(),
        }
    }
}

/// One line of the directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) segment_id: u64,
    pub(super) at: u64,
    pub(super) payload_len: u64,
    pub(super) kind: SegmentKind,
}

/// A manifest that was read whole.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) epoch: u32,
    pub(super) dimension: u16,
    pub(super) metric: Metric,
    pub(super) profile: u8,
    pub(super) total_vectors: u64,
    pub(super) directory: Vec<Entry>,
    /// Ascending, each once.
    pub(super) deleted: Vec<u64>,
    pub(super) identity: Option<Identity>,
    /// Segment id and hash, ascending.
    pub(super) hashes: Option<Vec<(u64, [u8; 16])>>,
}

/// Reads the payload of the manifest that `header` introduces.
pub(super) fn read(header: &Header, payload: &[u8]) -> Result<Manifest, LegacyError> {
    let mut rest = Rest { header, bytes: payload };
    let head: &RawHead = rest.one("the fixed fields")?;
    if head.dimension.get() == 0 {
        return Err(header.malformed(Fault::ZeroDimension));
    }
    let metric = match head.metric {
        0 => Metric::L2,
        1 => Metric::InnerProduct,
        2 => Metric::Cosine,
        metric => {
            return Err(LegacyError::UnknownMetric { at: header.at as u64, metric });
        }
    };
    let entries: &[RawEntry] = rest.many("segments", head.segments.get())?;
    let deletions: &U32 = rest.one("the count of deleted ids")?;
    let deleted: &[U64] = rest.many("deleted ids", deletions.get())?;
    let identity = match rest.marker(b"IDIF") {
        true => Some(rest.one::<RawIdentity>("the file identity")?.identity()),
        false => None,
    };
    let hashes = match rest.marker(b"SHDG") {
        true => {
            let count: &U32 = rest.one("the count of hashes")?;
            Some(rest.many::<RawHash>("hashes", count.get())?)
        }
        false => None,
    };
    if !rest.bytes.is_empty() {
        return Err(header.malformed(Fault::Trailing(rest.bytes.len() as u64)));
    }
    Ok(Manifest {
        epoch: head.epoch.get(),
        dimension: head.dimension.get(),
        metric,
        profile: head.profile,
        total_vectors: head.total_vectors.get(),
        directory: entries.iter().map(RawEntry::entry).collect(),
        deleted: ascending(deleted.iter().map(|id| id.get())),
        identity,
        hashes: hashes.map(|list| ascending(list.iter().map(|raw| (raw.segment_id.get(), raw.hash)))),
    })
}

impl RawEntry {
    fn entry(&self) -> Entry {
        Entry {
            segment_id: self.segment_id.get(),
            at: self.at.get(),
            payload_len: self.payload_len.get(),
            kind: SegmentKind::from_byte(self.kind),
        }
    }
}

fn ascending<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.dedup();
    items
}

/// The bytes of a payload that were not read yet.
struct Rest<'h, 'a> {
    header: &'h Header,
    bytes: &'a [u8],
}

impl<'a> Rest<'_, 'a> {
    fn one<T: FromBytes + KnownLayout + Immutable + Unaligned>(
        &mut self,
        field: &'static str,
    ) -> Result<&'a T, LegacyError> {
        let (value, rest) = T::ref_from_prefix(self.bytes).map_err(|_| self.header.malformed(Fault::Short(field)))?;
        self.bytes = rest;
        Ok(value)
    }

    fn many<T: FromBytes + Immutable + Unaligned>(
        &mut self,
        of: &'static str,
        count: u32,
    ) -> Result<&'a [T], LegacyError> {
        let refuse = || self.header.malformed(Fault::Count { of, count: count.into() });
        let elements = usize::try_from(count).map_err(|_| refuse())?;
        let (values, rest) = <[T]>::ref_from_prefix_with_elems(self.bytes, elements).map_err(|_| refuse())?;
        self.bytes = rest;
        Ok(values)
    }

    fn marker(&mut self, marker: &[u8; 4]) -> bool {
        match self.bytes.strip_prefix(marker) {
            Some(rest) => {
                self.bytes = rest;
                true
            }
            None => false,
        }
    }
}

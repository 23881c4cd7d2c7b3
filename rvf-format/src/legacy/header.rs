//! Owns the 64-byte segment header of the published dialect, and the names of the segment kinds.
//!
//! ```text
//! 00 magic "SFVR" | 04 version | 05 kind | 06 flags u16 | 08 segment id u64 | 10 payload length u64
//! 18 timestamp u64 | 20 checksum | 21 compression | 22 reserved 6 | 28 content hash 16
//! 38 uncompressed length u32 | 3c alignment pad u32 | 40 payload ...
//! ```
//!
//! A [`Header`] says where its payload would lie. Only [`Header::payload`] proves that it is there, and only
//! `hash::check` that it is intact. The header bytes themselves are covered by no hash.

use core::fmt;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::error::{Fault, LegacyError};

/// Bytes before a payload.
pub(super) const HEADER_LEN: usize = 64;
/// What a segment begins with: magic and the only version that was ever written.
pub(super) const MAGIC: [u8; 5] = *b"SFVR\x01";

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHeader {
    magic: [u8; 5],
    kind: u8,
    flags: U16,
    segment_id: U64,
    payload_len: U64,
    timestamp_ns: U64,
    checksum: u8,
    compression: u8,
    reserved: [u8; 6],
    content_hash: [u8; 16],
    uncompressed_len: U32,
    alignment_pad: U32,
}
const _: () = assert!(size_of::<RawHeader>() == HEADER_LEN);

/// What a segment holds, by its type byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SegmentKind {
    /// Vectors with their ids.
    Vec,
    /// A search graph.
    Index,
    /// Deletions, as they were made.
    Journal,
    /// One commit.
    Manifest,
    /// Metadata records.
    Meta,
    /// Entries of the audit chain.
    Witness,
    /// An embedded kernel image.
    Kernel,
    /// An embedded eBPF program.
    Ebpf,
    /// An embedded WebAssembly module.
    Wasm,
    /// An embedded dashboard.
    Dashboard,
    /// Where a branch finds its parent.
    CowMap,
    /// Reference counts of clusters.
    RefCount,
    /// Which of the parent's ids a branch shows.
    Membership,
    /// A type byte that the published crates define and never write, or do not define.
    Other(u8),
}

impl SegmentKind {
    /// The kind that a type byte stands for.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            0x01 => Self::Vec,
            0x02 => Self::Index,
            0x04 => Self::Journal,
            0x05 => Self::Manifest,
            0x07 => Self::Meta,
            0x0a => Self::Witness,
            0x0e => Self::Kernel,
            0x0f => Self::Ebpf,
            0x10 => Self::Wasm,
            0x11 => Self::Dashboard,
            0x20 => Self::CowMap,
            0x21 => Self::RefCount,
            0x22 => Self::Membership,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for SegmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Vec => "VEC",
            Self::Index => "INDEX",
            Self::Journal => "JOURNAL",
            Self::Manifest => "MANIFEST",
            Self::Meta => "META",
            Self::Witness => "WITNESS",
            Self::Kernel => "KERNEL",
            Self::Ebpf => "EBPF",
            Self::Wasm => "WASM",
            Self::Dashboard => "DASHBOARD",
            Self::CowMap => "COW_MAP",
            Self::RefCount => "REFCOUNT",
            Self::Membership => "MEMBERSHIP",
            Self::Other(byte) => return write!(f, "type {byte:#04x}"),
        };
        f.write_str(name)
    }
}

/// How segments follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stride {
    /// Each starts at a multiple of 64.
    Aligned,
    /// Each starts where the one before ends.
    Byte,
}

impl Stride {
    /// Where the segment after one that ends at `end` starts.
    pub(super) fn after(self, end: usize) -> usize {
        match self {
            Self::Aligned => end.checked_next_multiple_of(HEADER_LEN).unwrap_or(usize::MAX),
            Self::Byte => end,
        }
    }
}

/// A header that was found at an offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) at: usize,
    pub(super) kind: SegmentKind,
    pub(super) segment_id: u64,
    pub(super) payload_len: u64,
    pub(super) checksum: u8,
    pub(super) content_hash: [u8; 16],
    flags: u16,
    compression: u8,
    uncompressed_len: u32,
}

impl Header {
    /// The header at `at`, if magic and version are there.
    pub(super) fn read(body: &[u8], at: usize) -> Option<Self> {
        let (raw, _) = RawHeader::ref_from_prefix(body.get(at..)?).ok()?;
        (raw.magic == MAGIC).then(|| Self {
            at,
            kind: SegmentKind::from_byte(raw.kind),
            segment_id: raw.segment_id.get(),
            payload_len: raw.payload_len.get(),
            checksum: raw.checksum,
            content_hash: raw.content_hash,
            flags: raw.flags.get(),
            compression: raw.compression,
            uncompressed_len: raw.uncompressed_len.get(),
        })
    }

    /// Where the payload starts.
    pub(super) fn payload_at(&self) -> usize {
        self.at.saturating_add(HEADER_LEN)
    }

    /// Where the payload ends, if that can be said in a `usize`.
    pub(super) fn end(&self) -> Option<usize> {
        self.payload_at().checked_add(usize::try_from(self.payload_len).ok()?)
    }

    /// The payload, if the body holds all of it.
    pub(super) fn payload<'a>(&self, body: &'a [u8]) -> Option<&'a [u8]> {
        body.get(self.payload_at()..self.end()?)
    }

    /// Refuses what the published crates never write and this reader would have to guess at.
    pub(super) fn check_plain(&self) -> Result<(), LegacyError> {
        if self.flags != 0 {
            return Err(self.malformed(Fault::Flags(self.flags)));
        }
        if self.compression != 0 || self.uncompressed_len != 0 {
            return Err(self.malformed(Fault::Compressed(self.compression)));
        }
        Ok(())
    }

    /// An error about this segment.
    pub(super) fn malformed(&self, fault: Fault) -> LegacyError {
        LegacyError::Malformed { at: self.at as u64, kind: self.kind, segment_id: self.segment_id, fault }
    }
}

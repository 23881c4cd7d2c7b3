//! The MANIFEST segment: what a commit added and removed, its audit entry, its facts.

use crate::build::{Draft, seal};
use crate::digest::{self, Hash};
use crate::limits::{HEADER_LEN, PAGE_LEN};
use crate::note::Policy;
use crate::root::RootPage;
use crate::segment::{Payload, SegmentHeader};
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, Result, layout};
use std::collections::BTreeMap;
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

layout! {
    /// One listed segment.
    pub struct ManifestEntry = "manifest-entry", 96 bytes {
        /// As in the segment's header.
        0x00 segment_id: "u64" U64,
        /// File offset of the header.
        0x08 offset: "u64" U64,
        /// Header and payload, bytes.
        0x10 length: "u64" U64,
        /// Code of the [`Kind`].
        0x18 kind: "u8" u8,
        /// Reserved, 0.
        0x19 cipher: "u8" u8,
        /// Reserved, 0.
        0x1A key_slot: "u16" U16,
        /// Vector space.
        0x1C space: "u32" U32,
        /// First row, or first audit entry.
        0x20 base_row: "u64" U64,
        /// Number of rows or audit entries.
        0x28 rows: "u32" U32,
        /// 0.
        0x2C reserved_a: "u32" U32,
        /// Of the commit that wrote the segment.
        0x30 epoch: "u64" U64,
        /// 0.
        0x38 reserved_b: "u64" U64,
        /// BLAKE3 of header and payload.
        0x40 hash: "[32]" [u8; 32],
    }
}

/// Section of the entries.
pub const TAG_ADDED: u32 = 1;
/// Section of the removed segment ids.
pub const TAG_REMOVED: u32 = 2;
/// Section of this commit's audit entry.
pub const TAG_WITNESS: u32 = 3;
/// First tag of facts.
pub const TAG_FIRST_FACT: u32 = 16;
/// Fact: pinned epochs.
pub const FACT_PINS: u32 = 16;

/// Fact: which signatures the newest commit has to have.
pub const FACT_POLICY: u32 = 19;

/// Fact: number of the first event of feedback that counts.
pub const FACT_FEEDBACK: u32 = 20;

/// Facts by tag.
pub type Facts = BTreeMap<u32, Vec<u8>>;

/// A manifest in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Lists every live segment (form 1); else what changed (form 2).
    pub full: bool,
    /// Entries by ascending segment id.
    pub added: Vec<ManifestEntry>,
    /// Removed segment ids, ascending; empty in a full manifest.
    pub removed: Vec<u64>,
    /// The audit entry of this commit, as stored.
    pub witness: Vec<u8>,
    /// Facts that this manifest sets; an empty value ends a fact.
    pub facts: Facts,
}

impl ManifestEntry {
    /// The kind.
    pub fn kind(&self) -> Kind {
        Kind(self.kind)
    }

    /// Offset of the byte after the segment.
    pub fn end(&self) -> u64 {
        self.offset.get().saturating_add(self.length.get())
    }

    /// Row after the last.
    pub fn end_row(&self) -> u64 {
        self.base_row.get().saturating_add(u64::from(self.rows.get()))
    }
}

impl Manifest {
    /// The sealed MANIFEST segment with `root` as its last page. `root` gets its place, the manifest hash and its checksum here.
    ///
    /// # Errors
    /// [`Error::SegmentTooLarge`].
    pub fn encode(&self, at: u64, segment_id: u64, root: &mut RootPage) -> Result<Vec<u8>> {
        let mut draft =
            Draft::new(Kind::MANIFEST, if self.full { 1 } else { 2 }).section(TAG_ADDED, self.added.as_bytes());
        if !self.full {
            let removed: Vec<u8> = self.removed.iter().flat_map(|id| id.to_le_bytes()).collect();
            draft = draft.section(TAG_REMOVED, removed);
        }
        draft = draft.section(TAG_WITNESS, &self.witness[..]);
        for (tag, value) in &self.facts {
            draft = draft.section(*tag, &value[..]);
        }
        let mut bytes = draft.encode_unsealed(segment_id, root.modified_ns.get(), 1)?;
        let body = bytes.len() - PAGE_LEN;
        root.manifest_offset.set(at);
        root.manifest_length.set(bytes.len() as u64);
        root.own_offset.set(at + body as u64);
        root.manifest_hash = manifest_hash(&bytes[..body]);
        root.seal();
        bytes[body..].copy_from_slice(root.as_bytes());
        seal(&mut bytes);
        Ok(bytes)
    }

    /// Reads the MANIFEST that ends with `root` after checking its hash. `segment` is the whole segment.
    ///
    /// # Errors
    /// MAN-1, MAN-3, PAY-1, PAY-2, PAY-6.
    pub fn read(segment: Bytes, root: &RootPage) -> Result<Self> {
        let at = root.manifest_offset.get();
        let body = segment.get(..segment.len().saturating_sub(PAGE_LEN)).unwrap_or_default();
        if manifest_hash(body) != root.manifest_hash {
            return Err(Error::corrupt(Clause::Man1, at, "the manifest is not the one that its root names"));
        }
        let header = SegmentHeader::read(body, at, at.saturating_add(segment.len() as u64))?;
        if header.kind() != Kind::MANIFEST || header.length() != root.manifest_length.get() {
            return Err(Error::corrupt(Clause::Man1, at, "the root's manifest is another segment"));
        }
        let payload = Payload::parse(segment, at, Kind::MANIFEST, &[1, 2])?;
        let manifest = Self::of_payload(&payload)?;
        manifest.check(&payload)?;
        Ok(manifest)
    }

    /// What a MANIFEST at file offset `at` says whose hash is wrong or unknown: a guess, until a state hash proves it.
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6.
    pub fn read_unproven(segment: Bytes, at: u64) -> Result<Self> {
        Self::of_payload(&Payload::parse(segment, at, Kind::MANIFEST, &[1, 2])?)
    }

    fn of_payload(payload: &Payload) -> Result<Self> {
        Ok(Self {
            full: payload.form == 1,
            added: array::<ManifestEntry>(payload, TAG_ADDED)?,
            removed: removed_ids(payload)?,
            witness: payload.required(TAG_WITNESS)?.to_vec(),
            facts: facts(payload),
        })
    }

    fn check(&self, payload: &Payload) -> Result<()> {
        let ascending = self.added.is_sorted_by(|a, b| a.segment_id.get() < b.segment_id.get());
        let zero = self.added.iter().all(|entry| {
            entry.cipher == 0 && entry.key_slot.get() == 0 && entry.reserved_a.get() == 0 && entry.reserved_b.get() == 0
        });
        if !ascending || !zero {
            let place = payload.place_of(TAG_ADDED);
            return Err(Error::corrupt(
                Clause::Man3,
                place,
                "added segments are out of order or have reserved fields set",
            ));
        }
        if !self.removed.is_sorted_by(|a, b| a < b) || (self.full && !self.removed.is_empty()) {
            return Err(Error::corrupt(
                Clause::Man3,
                payload.place_of(TAG_REMOVED),
                "removed segments are out of order",
            ));
        }
        Ok(())
    }
}

/// Whether the bytes from `at` on look like the header of a MANIFEST (TAIL-2).
pub fn is_manifest_header(bytes: &[u8]) -> bool {
    let header = SegmentHeader::read_from_prefix(bytes).map(|read| read.0);
    header.is_ok_and(|header| {
        header.magic.get() == crate::limits::SEGMENT_MAGIC && header.version == 1 && header.kind() == Kind::MANIFEST
    })
}

/// BLAKE3 of a MANIFEST up to its root page, its content hash taken as zero.
pub fn manifest_hash(body: &[u8]) -> Hash {
    let before = body.get(..0x28).unwrap_or_default();
    let rest = body.get(0x38..).unwrap_or_default();
    debug_assert_eq!(HEADER_LEN, 0x40);
    digest::blake3_pieces(&[before, &[0; 16], rest])
}

/// Pinned epochs of a set of facts.
///
/// # Errors
/// MAN-9, at file offset `at`, if they are not ascending numbers.
pub fn pins(facts: &Facts, at: u64) -> Result<Vec<u64>> {
    let bytes = facts.get(&FACT_PINS).map(Vec::as_slice).unwrap_or_default();
    let numbers = <[U64]>::ref_from_bytes(bytes).map(|pins| pins.iter().map(|pin| pin.get()).collect::<Vec<_>>());
    match numbers {
        Ok(pins) if pins.is_sorted_by(|a, b| a < b) => Ok(pins),
        _ => Err(Error::corrupt(Clause::Man9, at, "pinned epochs are not ascending numbers")),
    }
}

/// Which signatures a file with these facts has to have for its newest commit; `None` if it asks for none.
///
/// # Errors
/// MAN-9, at file offset `at`, if it is a policy that there is not.
pub fn policy(facts: &Facts, at: u64) -> Result<Option<Policy>> {
    match facts.get(&FACT_POLICY).map(Vec::as_slice) {
        None => Ok(None),
        Some(bytes) if bytes == policy_fact(Policy::Ed25519AndMlDsa65) => Ok(Some(Policy::Ed25519AndMlDsa65)),
        Some(_) => Err(Error::corrupt(Clause::Man9, at, "an unknown policy of signatures")),
    }
}

/// Number of the first event of feedback that counts; 0 without the fact.
///
/// # Errors
/// MAN-9, at file offset `at`, if it is not one number.
pub fn first_feedback(facts: &Facts, at: u64) -> Result<u64> {
    let Some(bytes) = facts.get(&FACT_FEEDBACK) else { return Ok(0) };
    let number = <[u8; 8]>::try_from(&bytes[..]).map(u64::from_le_bytes);
    number.map_err(|_| Error::corrupt(Clause::Man9, at, "the first event of feedback is not one number"))
}

/// The value of [`FACT_POLICY`].
pub fn policy_fact(policy: Policy) -> [u8; 4] {
    let code: u32 = match policy {
        Policy::Ed25519AndMlDsa65 => 1,
    };
    code.to_le_bytes()
}

fn array<T: FromBytes + Clone + zerocopy::Immutable + zerocopy::KnownLayout>(
    payload: &Payload,
    tag: u32,
) -> Result<Vec<T>> {
    let bytes = payload.required(tag)?;
    let wrong =
        || Error::corrupt(Clause::Pay6, payload.place_of(tag), "a section is not a whole number of its structures");
    bytes.as_slice::<T>().map(<[T]>::to_vec).ok_or_else(wrong)
}

fn removed_ids(payload: &Payload) -> Result<Vec<u64>> {
    if payload.form == 1 {
        return Ok(Vec::new());
    }
    Ok(array::<U64>(payload, TAG_REMOVED)?.iter().map(|id| id.get()).collect())
}

fn facts(payload: &Payload) -> Facts {
    let tags = payload.entries().iter().map(|entry| entry.tag.get()).filter(|tag| *tag >= TAG_FIRST_FACT);
    tags.filter_map(|tag| Some((tag, payload.section(tag)?.to_vec()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PAGE;

    #[test]
    fn round_trip() {
        let mut entry = ManifestEntry::zeroed();
        entry.segment_id.set(7);
        entry.kind = Kind::VEC.0;
        let manifest = Manifest {
            full: false,
            added: vec![entry],
            removed: vec![1, 5],
            witness: vec![3; 160],
            facts: [(16, vec![1, 0, 0, 0, 0, 0, 0, 0]), (99, b"unknown".to_vec())].into(),
        };
        let mut root = RootPage::new();
        let bytes = manifest.encode(5 * PAGE, 9, &mut root).unwrap();
        assert_eq!((root.own_offset.get(), root.end()), (6 * PAGE, 7 * PAGE));
        assert_eq!(Manifest::read(Bytes::from(bytes.clone()), &root).unwrap(), manifest);
        assert_eq!(pins(&manifest.facts, 0).unwrap(), [1]);
        let mut broken = bytes;
        broken[100] ^= 4;
        assert!(matches!(Manifest::read(Bytes::from(broken), &root), Err(Error::Corrupt { clause: Clause::Man1, .. })));
    }
}

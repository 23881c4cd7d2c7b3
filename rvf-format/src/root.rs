//! The root page: the last page of every MANIFEST, from which alone a file opens.

use crate::limits::{PAGE, PAGE_LEN, ROOT_MAGIC, ROOT_VERSION};
use crate::merkle::{EDGE_LEN, Edge};
use crate::{Clause, Dtype, Error, IdType, Metric, Result, Schema, digest, layout};
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

layout! {
    /// The root page: the published root layout, version 2, with our block at 0x100.
    pub struct RootPage = "root", 4096 bytes {
        /// 0x52564D30.
        0x000 magic: "u32" U32,
        /// 2.
        0x004 version: "u16" U16,
        /// Bit 0: frozen.
        0x006 flags: "u16" U16,
        /// Of the MANIFEST segment that ends with this page.
        0x008 manifest_offset: "u64" U64,
        /// Its header and payload, bytes.
        0x010 manifest_length: "u64" U64,
        /// Live rows of space 0.
        0x018 live_count: "u64" U64,
        /// Of space 0.
        0x020 dimension: "u16" U16,
        /// Of space 0.
        0x022 dtype: "u8" u8,
        /// 0.
        0x023 profile: "u8" u8,
        /// Low half of the epoch.
        0x024 epoch_low: "u32" U32,
        /// Creation of the file, nanoseconds since 1970.
        0x028 created_ns: "u64" U64,
        /// This commit, nanoseconds since 1970.
        0x030 modified_ns: "u64" U64,
        /// Reserved hot pointer.
        0x038 entry_points: "[16]" [u8; 16],
        /// Reserved hot pointer.
        0x048 top_layer: "[16]" [u8; 16],
        /// Reserved hot pointer.
        0x058 centroids: "[16]" [u8; 16],
        /// Reserved hot pointer.
        0x068 quant_dictionary: "[16]" [u8; 16],
        /// Reserved hot pointer.
        0x078 hot_cache: "[16]" [u8; 16],
        /// Reserved hot pointer.
        0x088 prefetch_map: "[16]" [u8; 16],
        /// 0.
        0x098 signature_algorithm: "u16" U16,
        /// 0.
        0x09A signature_length: "u16" U16,
        /// 0.
        0x09C reserved_a: "[100]" [u8; 100],
        /// File offset of this page.
        0x100 own_offset: "u64" U64,
        /// File offset of the root before, 0 for the oldest kept.
        0x108 previous_root: "u64" U64,
        /// High half of the epoch.
        0x110 epoch_high: "u32" U32,
        /// Code of the [`Metric`].
        0x114 metric: "u8" u8,
        /// Code of the [`IdType`].
        0x115 id_type: "u8" u8,
        /// 0.
        0x116 reserved_b: "u16" U16,
        /// Unknown bits are ignored.
        0x118 features_compatible: "u64" U64,
        /// Unknown bits forbid writing.
        0x120 features_read_only: "u64" U64,
        /// Unknown bits forbid reading.
        0x128 features_incompatible: "u64" U64,
        /// BLAKE3 of the MANIFEST up to this page.
        0x130 manifest_hash: "[32]" [u8; 32],
        /// State hash of the commit.
        0x150 state_hash: "[32]" [u8; 32],
        /// Row number of the next new row.
        0x170 next_row: "u64" U64,
        /// Largest numeric id ever stored, plus 1.
        0x178 next_id: "u64" U64,
        /// Id of the next new segment.
        0x180 next_segment_id: "u64" U64,
        /// Number of audit entries.
        0x188 witness_size: "u64" U64,
        /// Hash of the newest audit entry.
        0x190 witness_head: "[32]" [u8; 32],
        /// Root of the Merkle tree over the audit entries.
        0x1B0 witness_tree: "[32]" [u8; 32],
        /// Of the parent's commit, 0 without a parent.
        0x1D0 parent_epoch: "u64" U64,
        /// Manifests since the newest full one.
        0x1D8 since_full: "u32" U32,
        /// 0.
        0x1DC reserved_c: "u32" U32,
        /// The right edge of that tree.
        0x1E0 witness_edge: "[2048]" [u8; EDGE_LEN],
        /// 0.
        0x9E0 reserved_d: "[1312]" [u8; 1312],
        /// As in the FILE segment.
        0xF00 file_id: "[16]" [u8; 16],
        /// File id of the parent, 0 without one.
        0xF10 parent_id: "[16]" [u8; 16],
        /// State hash of the parent's commit, 0 without a parent.
        0xF20 parent_hash: "[32]" [u8; 32],
        /// 0 without a parent, else one more than the parent's.
        0xF40 lineage_depth: "u32" U32,
        /// 0.
        0xF44 reserved_e: "[184]" [u8; 184],
        /// CRC-32 of the bytes before it.
        0xFFC checksum: "u32" U32,
    }
}

/// The flag of a frozen file.
pub const FLAG_FROZEN: u16 = 1;
/// The bit of `features_incompatible` of files with a parent: who does not know it would miss inherited rows.
pub const FEATURE_BRANCH: u64 = 1;
/// Bits of `features_incompatible` that this version knows.
pub const KNOWN_INCOMPATIBLE: u64 = FEATURE_BRANCH;
/// The bit of `features_read_only` of files whose roots hold the tree over the audit entries: who does not know it would leave it behind.
pub const FEATURE_TREE: u64 = 1;
/// Bits of `features_read_only` that this version knows.
pub const KNOWN_READ_ONLY: u64 = FEATURE_TREE;

impl RootPage {
    /// A root page with magic and version.
    pub fn new() -> Self {
        let mut root = Self::zeroed();
        root.magic.set(ROOT_MAGIC);
        root.version.set(ROOT_VERSION);
        root
    }

    /// Reads the page at file offset `at` and checks what the page alone can show: ROOT-1 to ROOT-3 (its place) and VER-1.
    ///
    /// # Errors
    /// ROOT-1, ROOT-2, ROOT-3, VER-1 (both version clauses as [`Error::Newer`]).
    pub fn read(page: &[u8], at: u64, file_id: Option<[u8; 16]>) -> Result<Self> {
        let Ok(root) = Self::read_from_bytes(page) else {
            return Err(Error::corrupt(Clause::Root1, at, "a root is one page"));
        };
        if root.magic.get() != ROOT_MAGIC {
            return Err(Error::corrupt(Clause::Root1, at, "no root magic"));
        }
        if root.checksum.get() != root.computed_checksum() {
            return Err(Error::corrupt(Clause::Root2, at + 0xFFC, "the root's checksum is wrong"));
        }
        match root.version.get() {
            ROOT_VERSION => {}
            newer if newer > ROOT_VERSION => return Err(Error::Newer { clause: Clause::Root1, at: at + 4 }),
            _ => return Err(Error::corrupt(Clause::Root1, at + 4, "unknown version of the root")),
        }
        root.check_place(at, file_id)?;
        if root.features_incompatible.get() & !KNOWN_INCOMPATIBLE != 0 {
            return Err(Error::Newer { clause: Clause::Ver1, at: at + 0x128 });
        }
        Ok(root)
    }

    fn check_place(&self, at: u64, file_id: Option<[u8; 16]>) -> Result<()> {
        if self.own_offset.get() != at {
            return Err(Error::corrupt(Clause::Root3, at + 0x100, "the root names another place than its own"));
        }
        if file_id.is_some_and(|id| id != self.file_id) {
            return Err(Error::corrupt(Clause::Root3, at + 0xF00, "the root names another file"));
        }
        let manifest_end = self.manifest_offset.get().checked_add(self.manifest_length.get());
        let fits = manifest_end == at.checked_add(PAGE)
            && self.manifest_offset.get().is_multiple_of(PAGE)
            && self.manifest_length.get() >= 2 * PAGE;
        if fits { Ok(()) } else { Err(Error::corrupt(Clause::Root3, at + 8, "the root does not end its manifest")) }
    }

    /// CRC-32 of all bytes before the checksum.
    pub fn computed_checksum(&self) -> u32 {
        digest::crc32(&self.as_bytes()[..PAGE_LEN - 4])
    }

    /// Sets the checksum.
    pub fn seal(&mut self) {
        self.checksum.set(self.computed_checksum());
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        u64::from(self.epoch_high.get()) << 32 | u64::from(self.epoch_low.get())
    }

    /// Sets the epoch.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.epoch_low.set(epoch as u32);
        self.epoch_high.set((epoch >> 32) as u32);
    }

    /// Whether the file takes no further commits.
    pub fn is_frozen(&self) -> bool {
        self.flags.get() & FLAG_FROZEN != 0
    }

    /// Whether the file is a branch of another, by its depth or its feature bit (BRN-1 asks for both).
    pub fn has_parent(&self) -> bool {
        self.lineage_depth.get() != 0 || self.features_incompatible.get() & FEATURE_BRANCH != 0
    }

    /// Whether the root holds the tree over the audit entries.
    pub fn has_tree(&self) -> bool {
        self.features_read_only.get() & FEATURE_TREE != 0
    }

    /// The edge of the tree over the audit entries; `None` in a file without the tree.
    ///
    /// # Errors
    /// AUD-1.
    pub fn edge(&self) -> Result<Option<Edge>> {
        if !self.has_tree() {
            return Ok(None);
        }
        let edge = Edge::from_bytes(self.witness_size.get(), &self.witness_edge);
        let wrong = Error::corrupt(
            Clause::Aud1,
            self.own_offset.get() + 0x1B0,
            "the tree over the audit entries is not that of its edge",
        );
        edge.filter(|edge| edge.root() == self.witness_tree).map(Some).ok_or(wrong)
    }

    /// Sets size, root and edge of the tree.
    pub fn set_edge(&mut self, edge: &Edge) {
        self.features_read_only.set(self.features_read_only.get() | FEATURE_TREE);
        self.witness_size.set(edge.size());
        self.witness_tree = edge.root();
        self.witness_edge = edge.to_bytes();
    }

    /// End of the page: where an uncommitted tail would start.
    pub fn end(&self) -> u64 {
        self.own_offset.get().saturating_add(PAGE)
    }

    /// Dimension, dtype, metric and id type.
    ///
    /// # Errors
    /// ROOT-5.
    pub fn schema(&self) -> Result<Schema> {
        let wrong = |offset, what| Error::corrupt(Clause::Root5, self.own_offset.get() + offset, what);
        let schema = Schema {
            dimension: u32::from(self.dimension.get()),
            dtype: Dtype::from_code(self.dtype).ok_or(wrong(0x22, "unknown dtype"))?,
            metric: Metric::from_code(self.metric).ok_or(wrong(0x114, "unknown metric"))?,
            id_type: IdType::from_code(self.id_type).ok_or(wrong(0x115, "unknown id type"))?,
        };
        schema.check().map_err(|what| wrong(0x20, what))?;
        Ok(schema)
    }

    /// Sets the schema. The dimension was checked to fit.
    pub fn set_schema(&mut self, schema: &Schema) {
        self.dimension.set(schema.dimension as u16);
        self.dtype = schema.dtype.code();
        self.metric = schema.metric.code();
        self.id_type = schema.id_type.code();
    }

    /// Offset of the first reserved field that is set, or unknown flag (ROOT-4), from the start of the page.
    pub fn first_reserved_set(&self) -> Option<u64> {
        let unknown = self.features_compatible.get()
            | self.features_read_only.get() & !KNOWN_READ_ONLY
            | self.features_incompatible.get() & !KNOWN_INCOMPATIBLE;
        if unknown != 0 {
            // A later version may have given a reserved field a meaning.
            return None;
        }
        if self.flags.get() & !FLAG_FROZEN != 0 {
            return Some(6);
        }
        let reserved = [
            "profile",
            "entry_points",
            "top_layer",
            "centroids",
            "quant_dictionary",
            "hot_cache",
            "prefetch_map",
            "signature_algorithm",
            "signature_length",
            "reserved_a",
            "reserved_b",
            "reserved_c",
            "reserved_d",
            "reserved_e",
        ];
        // Without the bit they have no meaning.
        let tree: &[&str] = if self.has_tree() { &[] } else { &["witness_tree", "witness_edge"] };
        let is_reserved = |name: &str| reserved.contains(&name) || tree.contains(&name);
        let fields = Self::LAYOUT.fields.iter().filter(|field| is_reserved(field.name));
        let bytes = self.as_bytes();
        fields
            .flat_map(|field| field.offset..field.offset + field.length)
            .find(|at| bytes.get(*at).is_some_and(|byte| *byte != 0))
            .map(|at| at as u64)
    }
}

impl Default for RootPage {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> RootPage {
        let mut root = RootPage::new();
        root.own_offset.set(3 * PAGE);
        root.manifest_offset.set(2 * PAGE);
        root.manifest_length.set(2 * PAGE);
        root.set_epoch(5 << 32 | 9);
        root.seal();
        root
    }

    #[test]
    fn round_trip_and_every_bit_matters() {
        let root = sealed();
        let read = RootPage::read(root.as_bytes(), 3 * PAGE, Some([0; 16])).unwrap();
        assert_eq!((read.epoch(), read.end()), (5 << 32 | 9, 4 * PAGE));
        for bit in 0..PAGE_LEN * 8 {
            let mut bytes = root.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(RootPage::read(&bytes, 3 * PAGE, None).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn newer_versions_are_told_from_damage() {
        let mut root = sealed();
        root.version.set(3);
        root.seal();
        assert!(matches!(
            RootPage::read(root.as_bytes(), 3 * PAGE, None),
            Err(Error::Newer { clause: Clause::Root1, .. })
        ));
        let mut root = sealed();
        root.features_incompatible.set(FEATURE_BRANCH | 2);
        root.seal();
        assert!(matches!(
            RootPage::read(root.as_bytes(), 3 * PAGE, None),
            Err(Error::Newer { clause: Clause::Ver1, .. })
        ));
    }

    #[test]
    fn reserved_fields_are_found() {
        let mut root = sealed();
        assert_eq!(root.first_reserved_set(), None);
        root.reserved_e[183] = 1;
        assert_eq!(root.first_reserved_set(), Some(0xFFB));
        root.features_incompatible.set(FEATURE_BRANCH);
        assert_eq!(root.first_reserved_set(), Some(0xFFB), "a known feature changes nothing");
        root.witness_edge[0] = 1;
        assert_eq!(root.first_reserved_set(), Some(0x1E0), "no tree");
        root.features_read_only.set(FEATURE_TREE);
        assert_eq!(root.first_reserved_set(), Some(0xFFB));
        root.features_compatible.set(1);
        assert_eq!(root.first_reserved_set(), None);
    }
}

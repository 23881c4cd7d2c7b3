//! Fixed numbers of the format. Each stands in the specification.

/// Bytes of a page; segments start on pages.
pub const PAGE: u64 = 4096;
/// [`PAGE`] as a length in memory.
pub const PAGE_LEN: usize = 4096;
/// Bytes of a segment header.
pub const HEADER_LEN: usize = 64;
/// Largest segment: header and payload, bytes (SEG-2).
pub const MAX_SEGMENT: u64 = 4 << 30;
/// Most sections in a payload (PAY-1).
pub const MAX_SECTIONS: u32 = 64;
/// Alignment of sections within a segment, bytes (PAY-2).
pub const SECTION_ALIGN: usize = 64;
/// Sections of this length and more are aligned to [`LARGE_ALIGN`] (PAY-7).
pub const LARGE_SECTION: usize = 16 << 20;
/// Alignment of large sections in the file, bytes: one huge page.
pub const LARGE_ALIGN: u64 = 2 << 20;
/// Segments of this length and more keep a hash tree (TREE-2).
pub const TREE_MIN: u64 = 1 << 20;
/// Bytes of one group of a hash tree.
pub const GROUP_LEN: usize = 16 << 10;
/// Largest dimension of a vector.
pub const MAX_DIMENSION: u32 = 65_535;
/// Most fields of a META or DELTA segment (META-2), and of a store that this engine writes.
pub const MAX_FIELDS: usize = 4096;
/// Longest name of a field of metadata, bytes (META-2).
pub const MAX_FIELD_NAME: usize = 1024;
/// Longest string id, bytes (VEC-4).
pub const MAX_ID_LEN: usize = 1024;
/// Longest actor of an audit entry, bytes.
pub const MAX_ACTOR_LEN: usize = 1024;
/// A full manifest comes at least every so many commits.
pub const FULL_EVERY: u32 = 64;
/// Version in the FILE segment.
pub const FORMAT_VERSION: u32 = 1;
/// Version of the root page.
pub const ROOT_VERSION: u16 = 2;
/// First bytes of every root page.
pub const ROOT_MAGIC: u32 = 0x5256_4D30;
/// First bytes of every segment.
pub const SEGMENT_MAGIC: u32 = 0x5256_4653;

/// `n` rounded up to a multiple of `align` (a power of two); `None` on overflow.
pub const fn align_up(n: u64, align: u64) -> Option<u64> {
    match n.checked_add(align - 1) {
        Some(sum) => Some(sum & !(align - 1)),
        None => None,
    }
}

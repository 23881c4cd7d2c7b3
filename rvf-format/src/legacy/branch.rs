//! Owns the two segments that make a file a branch: COW_MAP says who the parent is, MEMBERSHIP which of its ids show.
//!
//! The map of clusters in a COW_MAP is decoration: the runtime never copies a cluster, a child's own rows lie in its
//! VEC segments. A map that claims otherwise is refused, because this reader would not find the rows.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::error::{Fault, LegacyError};
use super::hash;
use super::header::Header;

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawMap {
    magic: [u8; 4],
    version: U16,
    map_format: u8,
    compression: u8,
    cluster_size: U32,
    vectors_per_cluster: U32,
    base_file_id: [u8; 16],
    base_file_hash: [u8; 32],
    bytes_per_vector: U32,
    frozen: u8,
    snapshot_epoch: U32,
    path_len: U32,
    map_len: U32,
}
const _: () = assert!(size_of::<RawMap>() == 81);

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawClusters {
    format: u8,
    count: U32,
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawCluster {
    tag: u8,
    value: U64,
}
const _: () = assert!(size_of::<RawClusters>() == 5 && size_of::<RawCluster>() == 9);

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawMembership {
    magic: [u8; 4],
    version: U16,
    filter_type: u8,
    mode: u8,
    vector_count: U64,
    member_count: U64,
    filter_offset: U64,
    filter_size: U32,
    generation: U32,
    filter_hash: [u8; 32],
    bloom: [u8; 24],
}
const _: () = assert!(size_of::<RawMembership>() == 96);

/// What a COW_MAP says of the parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) path: String,
    pub(super) parent_id: [u8; 16],
    pub(super) parent_hash: [u8; 32],
}

/// Reads a COW_MAP.
pub(super) fn link(header: &Header, payload: &[u8]) -> Result<Link, LegacyError> {
    let refuse = |fault| header.malformed(fault);
    let (raw, rest) = RawMap::ref_from_prefix(payload).map_err(|_| refuse(Fault::Short("the fixed fields")))?;
    let fields = [
        ("magic", u32::from_le_bytes(raw.magic), u32::from_le_bytes(*b"MCVR")),
        ("version", raw.version.get().into(), 1),
        ("map format", raw.map_format.into(), 0),
        ("compression", raw.compression.into(), 0),
    ];
    expect(header, &fields)?;
    let (path, map) = usize::try_from(raw.path_len.get())
        .ok()
        .and_then(|len| rest.split_at_checked(len))
        .ok_or(refuse(Fault::Short("the path of the parent")))?;
    if map.len() as u64 != u64::from(raw.map_len.get()) {
        return Err(refuse(Fault::Disagree("the length of the map")));
    }
    clusters(header, map)?;
    let path = core::str::from_utf8(path).ok().filter(|path| relative(path)).ok_or(refuse(Fault::ParentPath))?;
    Ok(Link { path: path.to_owned(), parent_id: raw.base_file_id, parent_hash: raw.base_file_hash })
}

/// Refuses a map with anything but "in the parent".
fn clusters(header: &Header, map: &[u8]) -> Result<(), LegacyError> {
    let (head, rest) =
        RawClusters::ref_from_prefix(map).map_err(|_| header.malformed(Fault::Short("the map of clusters")))?;
    expect(header, &[("map format", head.format.into(), 0)])?;
    let count = u64::from(head.count.get());
    if count.checked_mul(size_of::<RawCluster>() as u64) != Some(rest.len() as u64) {
        return Err(header.malformed(Fault::Count { of: "clusters", count }));
    }
    let tags = rest.chunks_exact(size_of::<RawCluster>()).filter_map(|entry| entry.first());
    match tags.copied().find(|&tag| tag != 1) {
        Some(tag) => Err(header.malformed(Fault::Field { name: "cluster tag", value: tag.into() })),
        None => Ok(()),
    }
}

/// Relative on every system that a caller may run on.
fn relative(path: &str) -> bool {
    let rooted = path.starts_with(['/', '\\']) || path.get(1..2) == Some(":");
    !path.is_empty() && !rooted && !path.contains('\0')
}

fn expect(header: &Header, fields: &[(&'static str, u32, u32)]) -> Result<(), LegacyError> {
    match fields.iter().find(|(_, found, wanted)| found != wanted) {
        Some(&(name, found, _)) => Err(header.malformed(Fault::Field { name, value: found.into() })),
        None => Ok(()),
    }
}

/// Which of the parent's ids a branch shows. The bits stay in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Membership {
    header: Header,
    bits_at: usize,
    vector_count: u64,
    /// The bits name what is hidden.
    exclude: bool,
}

/// Reads a MEMBERSHIP.
pub(super) fn membership(header: &Header, payload: &[u8]) -> Result<Membership, LegacyError> {
    let (raw, bits) =
        RawMembership::ref_from_prefix(payload).map_err(|_| header.malformed(Fault::Short("the fixed fields")))?;
    let fields = [
        ("magic", u32::from_le_bytes(raw.magic), u32::from_le_bytes(*b"BMVR")),
        ("version", raw.version.get().into(), 1),
        ("filter type", raw.filter_type.into(), 0),
        ("mode", raw.mode.into(), raw.mode.min(1).into()),
        ("filter size", raw.filter_size.get(), u32::try_from(bits.len()).unwrap_or(u32::MAX)),
    ];
    expect(header, &fields)?;
    let facts = [
        ("the offset of the bits", raw.filter_offset.get() == size_of::<RawMembership>() as u64),
        ("the number of ids", raw.vector_count.get() <= (bits.len() as u64).saturating_mul(8)),
        ("the number of members", raw.member_count.get() == ones(bits)),
        ("the hash of the bits", raw.filter_hash == hash::fold(bits)),
    ];
    if let Some((what, _)) = facts.iter().find(|(_, agrees)| !agrees) {
        return Err(header.malformed(Fault::Disagree(what)));
    }
    Ok(Membership {
        header: *header,
        bits_at: header.payload_at() + size_of::<RawMembership>(),
        vector_count: raw.vector_count.get(),
        exclude: raw.mode == 1,
    })
}

fn ones(bits: &[u8]) -> u64 {
    bits.iter().map(|byte| u64::from(byte.count_ones())).sum()
}

impl Membership {
    /// Whether the branch shows this id of its parent. `body` is the child's.
    pub(super) fn shows(&self, body: &[u8], id: u64) -> bool {
        let within = id < self.vector_count;
        let byte = usize::try_from(id / 8).ok().and_then(|index| body.get(self.bits_at.checked_add(index)?));
        let set = byte.is_some_and(|byte| byte >> (id % 8) & 1 == 1);
        within && set != self.exclude
    }

    /// With excluded ids listed, the dialect does not say what an id beyond the list is.
    pub(super) fn check_covers(&self, largest_id: Option<u64>) -> Result<(), LegacyError> {
        let beyond = self.exclude && largest_id.is_some_and(|id| id >= self.vector_count);
        if beyond { Err(self.header.malformed(Fault::Disagree("the number of ids"))) } else { Ok(()) }
    }
}

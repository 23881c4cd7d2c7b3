//! Owns the root page: the last 4,096 bytes of a signed file.
//!
//! Its CRC-32C, and what it says of the manifest, are verified. The signature is not: the page holds a fingerprint of
//! the key and not the key.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::error::{Fault, LegacyError};
use super::hash;
use super::manifest::{Identity, RawIdentity};

const PAGE_LEN: usize = 4096;
/// What a root page begins with.
const MAGIC: [u8; 4] = *b"0MVR";

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawPage {
    magic: [u8; 4],
    version: U16,
    zero_0: U16,
    manifest_at: U64,
    manifest_len: U64,
    live_vectors: U64,
    dimension: U16,
    dtype: u8,
    profile: u8,
    epoch: U32,
    zero_1: [u8; 0x70],
    signature_algorithm: U16,
    signature_len: U16,
    signature: [u8; 64],
    zero_2: [u8; 0xE24],
    identity: RawIdentity,
    zero_3: [u8; 0x8C],
    manifest_hash: [u8; 16],
    key_fingerprint: [u8; 16],
    manifest_segment_id: U64,
    zero_4: U32,
    crc32c: U32,
}
const _: () = {
    assert!(size_of::<RawPage>() == PAGE_LEN);
    assert!(core::mem::offset_of!(RawPage, epoch) == 0x024);
    assert!(core::mem::offset_of!(RawPage, signature_algorithm) == 0x098);
    assert!(core::mem::offset_of!(RawPage, identity) == 0xF00);
    assert!(core::mem::offset_of!(RawPage, manifest_hash) == 0xFD0);
    assert!(core::mem::offset_of!(RawPage, crc32c) == 0xFFC);
};

/// What the root page says, apart from the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootPage {
    /// Where the page starts.
    pub at: u64,
    /// Where the manifest starts.
    pub manifest_at: u64,
    /// Length of the manifest's header and payload.
    pub manifest_len: u64,
    /// How many vectors are live, as the writer says.
    pub live_vectors: u64,
    /// Dimension of the vectors.
    pub dimension: u16,
    /// Number of the commit.
    pub epoch: u32,
    /// Who the file is.
    pub identity: Identity,
    /// SHAKE-256, 16 bytes, of the manifest's payload.
    pub manifest_hash: [u8; 16],
    /// SHAKE-256, 16 bytes, of the public key.
    pub key_fingerprint: [u8; 16],
    /// Segment id of the manifest.
    pub manifest_segment_id: u64,
}

/// The file without its root page, if its last 4,096 bytes begin like one.
pub(super) fn body(bytes: &[u8]) -> &[u8] {
    match bytes.len().checked_sub(PAGE_LEN).and_then(|at| bytes.split_at_checked(at)) {
        Some((body, page)) if page.starts_with(&MAGIC) => body,
        _ => bytes,
    }
}

/// Reads the page at the end of a file that has one.
pub(super) fn read(bytes: &[u8]) -> Result<RootPage, LegacyError> {
    let at = body(bytes).len() as u64;
    let refuse = |fault| Err(LegacyError::RootPage { at, fault });
    let page = bytes.get(body(bytes).len()..).unwrap_or_default();
    let Ok(raw) = RawPage::ref_from_bytes(page) else {
        return refuse(Fault::Short("the page"));
    };
    let summed = page.get(..PAGE_LEN - 4).unwrap_or_default();
    if hash::crc32c(summed) != raw.crc32c.get() {
        return refuse(Fault::Disagree("its CRC-32C"));
    }
    if raw.version.get() != 1 {
        return refuse(Fault::Field { name: "version", value: raw.version.get().into() });
    }
    if raw.dtype != 1 {
        return refuse(Fault::Field { name: "dtype", value: raw.dtype.into() });
    }
    Ok(RootPage {
        at,
        manifest_at: raw.manifest_at.get(),
        manifest_len: raw.manifest_len.get(),
        live_vectors: raw.live_vectors.get(),
        dimension: raw.dimension.get(),
        epoch: raw.epoch.get(),
        identity: raw.identity.identity(),
        manifest_hash: raw.manifest_hash,
        key_fingerprint: raw.key_fingerprint,
        manifest_segment_id: raw.manifest_segment_id.get(),
    })
}

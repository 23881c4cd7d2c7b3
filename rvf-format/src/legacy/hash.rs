//! Owns the digests of the published dialect: the three content hashes, the root page's CRC-32C, and the byte fold
//! that the crates call SHAKE-256 and is not.

use shake::Shake256;
use shake::digest::{ExtendableOutput, Update, XofReader};
use xxhash_rust::xxh3::xxh3_128;

use super::error::LegacyError;
use super::header::Header;

/// Proves that a payload is what was written, or says which sentence is broken.
///
/// An all-zero hash is refused. The published readers take it for "not checked", which lets whoever can write the
/// header switch the check off; their writers never leave it out.
pub(super) fn check(header: &Header, payload: &[u8]) -> Result<(), LegacyError> {
    let (at, kind, segment_id) = (header.at as u64, header.kind, header.segment_id);
    let hash = header.content_hash;
    let matches = match header.checksum {
        0 => hash == crc32_rotations(payload) || hash == xxh3(payload),
        1 => hash == xxh3(payload),
        2 => hash == shake128(payload),
        algorithm => return Err(LegacyError::UnknownChecksum { at, algorithm }),
    };
    match matches {
        true => Ok(()),
        false if hash == [0; 16] => Err(LegacyError::HashMissing { at, kind, segment_id }),
        false => Err(LegacyError::HashMismatch { at, kind, segment_id }),
    }
}

/// Checksum 1: XXH3-128, seed 0, little-endian.
pub(super) fn xxh3(bytes: &[u8]) -> [u8; 16] {
    xxh3_128(bytes).to_le_bytes()
}

/// Checksum 2: the first 16 bytes of SHAKE-256.
pub(super) fn shake128(bytes: &[u8]) -> [u8; 16] {
    let mut state = Shake256::default();
    state.update(bytes);
    let mut digest = [0; 16];
    state.finalize_xof().read(&mut digest);
    digest
}

/// Checksum 0 of the 0.2 runtime: CRC-32 (IEEE) four times, rotated left by 0, 8, 16 and 24 bits.
pub(super) fn crc32_rotations(bytes: &[u8]) -> [u8; 16] {
    let crc = crc32fast::hash(bytes);
    let mut digest = [0; 16];
    for (lane, rotation) in digest.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
        lane.copy_from_slice(&crc.rotate_left(rotation).to_le_bytes());
    }
    digest
}

/// The fold over the last 64 KiB of a parent file that a branch records. It finds accidents, not attacks.
pub(super) fn tail_fold(bytes: &[u8]) -> [u8; 32] {
    fold(bytes.get(bytes.len().saturating_sub(64 << 10)..).unwrap_or_default())
}

/// The 32 running sums that the crates call SHAKE-256. Each step adds a byte to one, and that sum, rotated, to
/// another.
pub(super) fn fold(bytes: &[u8]) -> [u8; 32] {
    let mut sums = [0u8; 32];
    for (place, byte) in bytes.iter().enumerate() {
        let (near, far) = (place % 32, (place + 13) % 32);
        sums[near] = sums[near].wrapping_add(*byte);
        sums[far] = sums[far].wrapping_add(sums[near].rotate_left(3));
    }
    sums
}

/// CRC-32C (Castagnoli), reflected.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        let slot = (crc ^ u32::from(byte)) & 0xff;
        (crc >> 8) ^ CRC32C_TABLE.get(slot as usize).copied().unwrap_or_default()
    })
}

const CRC32C_TABLE: [u32; 256] = crc32c_table();

const fn crc32c_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut slot = 0;
    while slot < 256 {
        let mut crc = slot as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[slot] = crc;
        slot += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32c_of_the_check_string() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn crc32_lanes_are_rotations() {
        // CRC-32 of the check string is cbf43926.
        let expected = [0x26, 0x39, 0xf4, 0xcb, 0xcb, 0x26, 0x39, 0xf4, 0xf4, 0xcb, 0x26, 0x39, 0x39, 0xf4, 0xcb, 0x26];
        assert_eq!(crc32_rotations(b"123456789"), expected);
    }

    #[test]
    fn the_fold_sees_the_last_64_kib_only() {
        let mut bytes = vec![1; (64 << 10) + 1];
        let fold = tail_fold(&bytes);
        bytes[0] = 9;
        assert_eq!(tail_fold(&bytes), fold);
        bytes[1] = 9;
        assert_ne!(tail_fold(&bytes), fold);
    }
}

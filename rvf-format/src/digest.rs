//! The hashes of the format, and the hash tree over 16 KiB groups.
//!
//! The tree is BLAKE3's own: a group is a subtree of 16 chunks, so that the tree's top is the segment's ordinary
//! BLAKE3 (the BLAKE3 paper, section 2.1; see `spec/format.md`, "Hash trees").

use crate::limits::GROUP_LEN;
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use shake::digest::{ExtendableOutput, Update, XofReader};

/// A 32-byte hash.
pub type Hash = [u8; 32];

/// BLAKE3, 32 bytes.
pub fn blake3(bytes: &[u8]) -> Hash {
    *blake3::hash(bytes).as_bytes()
}

/// BLAKE3 of several pieces, one after another.
pub fn blake3_pieces(pieces: &[&[u8]]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    for piece in pieces {
        hasher.update(piece);
    }
    *hasher.finalize().as_bytes()
}

/// XXH3-128 with seed 0 as a little-endian integer: the content hash of a segment.
pub fn xxh3_128(bytes: &[u8]) -> [u8; 16] {
    xxhash_rust::xxh3::xxh3_128(bytes).to_le_bytes()
}

/// CRC-32 (IEEE).
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// SHAKE-256 with 32 bytes of output.
pub fn shake256(bytes: &[u8]) -> Hash {
    let mut hasher = shake::Shake256::default();
    hasher.update(bytes);
    let mut out = [0; 32];
    hasher.finalize_xof().read(&mut out);
    out
}

/// A hash in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The levels of the hash tree of `segment`: level 0 first, the level of two nodes last.
/// Empty for a segment of one group.
pub fn group_tree(segment: &[u8]) -> Vec<Vec<Hash>> {
    if segment.len() <= GROUP_LEN {
        return Vec::new();
    }
    let mut levels = vec![group_leaves(segment)];
    while let Some(level) = levels.last().filter(|level| level.len() > 2) {
        let next = parent_level(level);
        levels.push(next);
    }
    levels
}

/// The hash that a tree leads to: the parent of its two topmost nodes. `None` if the last level has not two.
pub fn tree_top(levels: &[Vec<Hash>]) -> Option<Hash> {
    match levels.last()?.as_slice() {
        [left, right] => Some(*merge_subtrees_root(left, right, Mode::Hash).as_bytes()),
        _ => None,
    }
}

/// The number of nodes of each level for a segment of `length` bytes.
pub fn tree_shape(length: u64) -> Vec<u64> {
    let mut nodes = length.div_ceil(GROUP_LEN as u64);
    let mut shape = Vec::new();
    while nodes > 1 {
        shape.push(nodes);
        if nodes == 2 {
            break;
        }
        nodes = nodes.div_ceil(2);
    }
    shape
}

/// The level above `level`: parents of pairs, an odd last node moved up unchanged.
pub fn parent_level(level: &[Hash]) -> Vec<Hash> {
    level
        .chunks(2)
        .map(|pair| match pair {
            [left, right] => merge_subtrees_non_root(left, right, Mode::Hash),
            rest => rest.first().copied().unwrap_or_default(),
        })
        .collect()
}

/// The chaining values of the 16 KiB groups of `segment`.
pub fn group_leaves(segment: &[u8]) -> Vec<Hash> {
    let groups = segment.chunks(GROUP_LEN).enumerate();
    groups
        .map(|(index, group)| {
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset(index as u64 * GROUP_LEN as u64);
            hasher.update(group).finalize_non_root()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_leads_to_the_plain_hash() {
        for len in
            [GROUP_LEN + 1, 2 * GROUP_LEN, 3 * GROUP_LEN, 5 * GROUP_LEN + 4096, 16 * GROUP_LEN, 33 * GROUP_LEN + 64]
        {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 31 % 251) as u8).collect();
            let levels = group_tree(&bytes);
            assert_eq!(tree_top(&levels), Some(blake3(&bytes)), "length {len}");
            let shape: Vec<u64> = levels.iter().map(|level| level.len() as u64).collect();
            assert_eq!(tree_shape(len as u64), shape, "length {len}");
        }
        assert!(group_tree(&[0; GROUP_LEN]).is_empty() && tree_shape(GROUP_LEN as u64).is_empty());
    }

    #[test]
    fn shake_of_nothing_is_the_published_value() {
        assert!(hex(&shake256(b"")).starts_with("46b9dd2b0ba88d13233b3feb743eeb24"));
    }
}

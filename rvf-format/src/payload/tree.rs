//! TREE: the hash tree of another segment.

use crate::build::Draft;
use crate::digest::{self, Hash};
use crate::limits::GROUP_LEN;
use crate::manifest::ManifestEntry;
use crate::segment::Payload;
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, Result, layout};
use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::{U32, U64};

layout! {
    /// Facts of a TREE segment.
    pub struct TreeFacts = "tree-facts", 32 bytes {
        /// The segment that it describes.
        0x00 segment_id: "u64" U64,
        /// Its header and payload, bytes.
        0x08 segment_length: "u64" U64,
        /// 16,384.
        0x10 group_size: "u32" U32,
        /// Number of levels.
        0x14 levels: "u32" U32,
        /// 0.
        0x18 reserved: "u64" U64,
    }
}

const TAG_FACTS: u32 = 1;
const TAG_NODES: u32 = 2;

/// A draft of the TREE of a segment, from [`digest::group_tree`].
pub fn draft(segment_id: u64, segment_length: u64, levels: &[Vec<Hash>]) -> Draft<'static> {
    let mut facts = TreeFacts::zeroed();
    facts.segment_id.set(segment_id);
    facts.segment_length.set(segment_length);
    facts.group_size.set(GROUP_LEN as u32);
    facts.levels.set(levels.len() as u32);
    let nodes: Vec<u8> = levels.iter().flatten().flatten().copied().collect();
    Draft::new(Kind::TREE, 1).section(TAG_FACTS, facts.as_bytes().to_vec()).section(TAG_NODES, nodes)
}

/// A TREE segment in place.
#[derive(Clone, Debug)]
pub struct TreeView {
    /// Its facts.
    pub facts: TreeFacts,
    nodes: Bytes,
    at: u64,
}

impl TreeView {
    /// Parses the TREE at file offset `at`.
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6, TREE-1 where the shape is not that of the segment's length.
    pub fn parse(segment: Bytes, at: u64) -> Result<Self> {
        let payload = Payload::parse(segment, at, Kind::TREE, &[1])?;
        let facts: TreeFacts = payload.facts(TAG_FACTS)?;
        let shape = digest::tree_shape(facts.segment_length.get());
        let nodes = payload.required(TAG_NODES)?;
        let total: u64 = shape.iter().sum();
        let fits = facts.group_size.get() as usize == GROUP_LEN
            && facts.reserved.get() == 0
            && facts.levels.get() as usize == shape.len()
            && total.checked_mul(32) == Some(nodes.len() as u64);
        if !fits {
            return Err(Error::corrupt(Clause::Tree1, payload.place_of(TAG_FACTS), "a hash tree has the wrong shape"));
        }
        Ok(Self { facts, nodes, at })
    }

    /// Level `index`, 0 the leaves.
    pub fn level(&self, index: usize) -> &[Hash] {
        let shape = digest::tree_shape(self.facts.segment_length.get());
        let before: u64 = shape.iter().take(index).sum();
        let all: &[Hash] = self.nodes.as_slice().unwrap_or_default();
        let length = shape.get(index).copied().unwrap_or_default() as usize;
        all.get(before as usize..before as usize + length).unwrap_or_default()
    }

    /// Checks every level against the one below and the top against the listed hash of the segment.
    ///
    /// # Errors
    /// TREE-1.
    pub fn check(&self, described: &ManifestEntry) -> Result<()> {
        let wrong = |what| Err(Error::corrupt(Clause::Tree1, self.at, what));
        if described.length.get() != self.facts.segment_length.get() {
            return wrong("a hash tree describes a segment of another length");
        }
        let levels: Vec<Vec<Hash>> =
            (0..self.facts.levels.get() as usize).map(|index| self.level(index).to_vec()).collect();
        for pair in levels.windows(2) {
            if digest::parent_level(&pair[0]) != pair[1] {
                return wrong("a level of a hash tree does not follow from the one below");
            }
        }
        if digest::tree_top(&levels) != Some(described.hash) {
            return wrong("a hash tree does not lead to the segment's hash");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_check() {
        let segment = vec![5; 5 * GROUP_LEN + 4096];
        let levels = digest::group_tree(&segment);
        let bytes = draft(3, segment.len() as u64, &levels).encode(4, 0).unwrap();
        let view = TreeView::parse(Bytes::from(bytes), 0).unwrap();
        let mut entry = ManifestEntry::zeroed();
        entry.length.set(segment.len() as u64);
        entry.hash = digest::blake3(&segment);
        view.check(&entry).unwrap();
        assert_eq!(view.level(0), levels[0]);
        entry.hash[0] ^= 1;
        assert_eq!(view.check(&entry).unwrap_err().clause(), Some(Clause::Tree1));
    }
}

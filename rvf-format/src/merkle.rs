//! The Merkle tree over audit entries: RFC 6962, section 2.1, with SHA-256, so that the tools of transparency logs can check proofs.
//!
//! ```text
//! leaf = SHA-256(0x00 || entry hash)      node = SHA-256(0x01 || left || right)
//!
//! 7 leaves:  [ 4 ]   [ 2 ]  [ 1 ]    <- the edge: the roots of the perfect subtrees, as many as one-bits in the size
//!            root = node(4, node(2, 1))
//! ```
//! From the edge alone the next leaf is added. Checks of proofs follow RFC 9162, sections 2.1.3.2 and 2.1.4.2.

use crate::digest::Hash;
use sha2::{Digest, Sha256};

/// Bytes of a stored edge.
pub const EDGE_LEN: usize = 64 * 32;

/// The hash of a leaf that stands for `data`: of an audit entry, its hash.
pub fn leaf(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The right edge of a tree: what it takes to add leaves and to know the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// The roots of the perfect subtrees, the largest first.
    roots: Vec<Hash>,
}

impl Edge {
    /// That of the tree over these leaves.
    pub fn of(leaves: &[Hash]) -> Self {
        let mut edge = Self::default();
        leaves.iter().for_each(|leaf| edge.push(*leaf));
        edge
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut carried = leaf;
        let mut size = self.size;
        while size & 1 == 1 {
            let Some(left) = self.roots.pop() else { break };
            carried = node(&left, &carried);
            size >>= 1;
        }
        self.roots.push(carried);
        self.size += 1;
    }

    /// The root of the tree; of no leaves the hash of nothing.
    pub fn root(&self) -> Hash {
        let folded = self.roots.iter().rev().copied().reduce(|right, left| node(&left, &right));
        folded.unwrap_or_else(|| Sha256::digest([]).into())
    }

    /// As a root page holds it: the rest is zero.
    pub fn to_bytes(&self) -> [u8; EDGE_LEN] {
        let mut bytes = [0; EDGE_LEN];
        for (to, root) in bytes.as_chunks_mut::<32>().0.iter_mut().zip(&self.roots) {
            *to = *root;
        }
        bytes
    }

    /// A stored edge of a tree of `size` leaves; `None` if what is behind it is not zero.
    pub fn from_bytes(size: u64, bytes: &[u8; EDGE_LEN]) -> Option<Self> {
        let (own, rest) = bytes.as_chunks::<32>().0.split_at_checked(size.count_ones() as usize)?;
        rest.iter().all(|hash| *hash == [0; 32]).then(|| Self { size, roots: own.to_vec() })
    }
}

/// The largest power of two below `count`, which is at least 2.
fn split(count: usize) -> usize {
    count.next_power_of_two() / 2
}

/// The proof that the leaf at `index` is in the tree over `leaves`: what it takes to come from it to the root, from the bottom up.
/// `None` if there is no such leaf.
pub fn inclusion(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    (index < leaves.len()).then(|| path(leaves, index))
}

fn path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut proof, other) = match index.checked_sub(left.len()) {
        None => (path(left, index), right),
        Some(index) => (path(right, index), left),
    };
    proof.push(Edge::of(other).root());
    proof
}

/// Whether `proof` shows that the leaf at `index` is in the tree of `size` leaves with this root.
pub fn includes(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    let Some(mut last) = size.checked_sub(1).filter(|last| index <= *last) else { return false };
    let (mut at, mut hash) = (index, *leaf);
    for other in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node(other, &hash);
            let skipped = if at == 0 { 0 } else { at.trailing_zeros() };
            (at, last) = (at >> skipped, last >> skipped);
        } else {
            hash = node(&hash, other);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// The proof that the tree over `leaves` goes on from that over the first `before` of them; `None` if there are not so many.
pub fn consistency(leaves: &[Hash], before: usize) -> Option<Vec<Hash>> {
    match before {
        0 => Some(Vec::new()),
        _ => (before <= leaves.len()).then(|| subproof(leaves, before, true)),
    }
}

fn subproof(leaves: &[Hash], before: usize, is_whole: bool) -> Vec<Hash> {
    if before == leaves.len() {
        return if is_whole { Vec::new() } else { vec![Edge::of(leaves).root()] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut proof, other) = match before.checked_sub(left.len()).filter(|rest| *rest > 0) {
        None => (subproof(left, before, is_whole), right),
        Some(rest) => (subproof(right, rest, false), left),
    };
    proof.push(Edge::of(other).root());
    proof
}

/// Whether `proof` shows that the tree `after` (size, root) goes on from the tree `before`.
pub fn extends(before: (u64, &Hash), after: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((old, old_root), (new, new_root)) = (before, after);
    if old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == Edge::default().root();
    }
    // A perfect tree is a node of the later one: its root is not repeated in the proof.
    let (first, rest) = match (old.is_power_of_two(), proof.split_first()) {
        (true, _) => (old_root, proof),
        (false, Some((first, rest))) => (first, rest),
        (false, None) => return false,
    };
    let skipped = (old - 1).trailing_ones();
    let (mut at, mut last) = ((old - 1) >> skipped, (new - 1) >> skipped);
    let (mut to_old, mut to_new) = (*first, *first);
    for other in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            to_old = node(other, &to_old);
            to_new = node(other, &to_new);
            let skipped = if at == 0 { 0 } else { at.trailing_zeros() };
            (at, last) = (at >> skipped, last >> skipped);
        } else {
            to_new = node(&to_new, other);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && to_old == *old_root && to_new == *new_root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::hex;
    use proptest::prelude::*;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|at| leaf(&(at as u64).to_le_bytes())).collect()
    }

    /// The definition of RFC 6962, section 2.1, word by word.
    fn defined(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            more => {
                let mut left = 1;
                while left * 2 < more.len() {
                    left *= 2;
                }
                node(&defined(&more[..left]), &defined(&more[left..]))
            }
        }
    }

    #[test]
    fn roots_are_those_that_certificate_transparency_publishes() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let leaves = inputs.map(leaf);
        let root = |count: usize| hex(&Edge::of(&leaves[..count]).root());
        assert_eq!(root(0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(root(1), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(root(2), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
        assert_eq!(root(8), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }

    #[test]
    fn edges_are_kept() {
        for count in 0..if cfg!(miri) { 5 } else { 70 } {
            let edge = Edge::of(&leaves(count));
            assert_eq!(edge.root(), defined(&leaves(count)), "{count}");
            assert_eq!(Edge::from_bytes(count as u64, &edge.to_bytes()), Some(edge.clone()));
            let mut bytes = edge.to_bytes();
            bytes[EDGE_LEN - 1] = 1;
            assert_eq!(Edge::from_bytes(count as u64, &bytes), None);
        }
    }

    #[test]
    fn every_proof_of_small_trees_checks_and_no_other_does() {
        for size in 1..=if cfg!(miri) { 3 } else { 33usize } {
            let all = leaves(size);
            let root = Edge::of(&all).root();
            for index in 0..size {
                let proof = inclusion(&all, index).unwrap();
                for other in 0..size + 2 {
                    let is_in = includes(&all[index], other as u64, size as u64, &proof, &root);
                    assert_eq!(is_in, other == index, "{size} {index} {other}");
                }
            }
            for old in 0..=size {
                let proof = consistency(&all, old).unwrap();
                for claimed in 0..=size + 1 {
                    let before = Edge::of(&all[..claimed.min(size)]).root();
                    let holds = extends((claimed as u64, &before), (size as u64, &root), &proof);
                    let is_of_another = claimed != old && !(proof.is_empty() && (claimed == 0 || claimed == size));
                    assert_eq!(holds, claimed <= size && !is_of_another, "{size} {old} {claimed}");
                }
            }
        }
        assert_eq!((inclusion(&leaves(3), 3), consistency(&leaves(3), 4)), (None, None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 256 }))]

        #[test]
        fn altered_proofs_do_not_check(size in 2usize..if cfg!(miri) { 12 } else { 300 }, at in any::<prop::sample::Index>(), bit in 0usize..256, cut: bool) {
            let all = leaves(size);
            let (index, root) = (at.index(size), Edge::of(&all).root());
            let spoil = |proof: &[Hash]| {
                let mut proof = proof.to_vec();
                match (cut, at.index(proof.len().max(1))) {
                    (true, _) => drop(proof.pop()),
                    (false, place) => proof.get_mut(place).into_iter().for_each(|hash| hash[bit / 8] ^= 1 << (bit % 8)),
                }
                proof
            };
            let proof = inclusion(&all, index).unwrap();
            prop_assert!(includes(&all[index], index as u64, size as u64, &proof, &root));
            prop_assert!(!includes(&all[index], index as u64, size as u64, &spoil(&proof), &root));
            let before = Edge::of(&all[..index]).root();
            let proof = consistency(&all, index).unwrap();
            prop_assert!(extends((index as u64, &before), (size as u64, &root), &proof));
            if !proof.is_empty() {
                prop_assert!(!extends((index as u64, &before), (size as u64, &root), &spoil(&proof)));
            }
        }
    }
}

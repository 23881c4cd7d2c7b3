//! Equal rows. Only the first of them is inserted; the others hang from it in a tree: a walk that meets one meets all, and
//! thousands of duplicates neither fill each other's lists nor those of their neighbours.

use super::rows::Rows;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// Links from a twin to others; two of the first one's links lead to its first two.
const CHILDREN: usize = 8;
const FIRST_CHILDREN: usize = 2;

/// Nodes with equal rows, the first of them and the others in ascending order.
pub(super) struct Twins {
    pub(super) first: u32,
    pub(super) others: Vec<u32>,
}

/// Parts `nodes`, ascending, into those whose row no earlier one has, and groups of equals.
pub(super) fn part<T: bytemuck::NoUninit>(rows: &Rows<'_, T>, nodes: &[u32]) -> (Vec<u32>, Vec<Twins>) {
    let hasher = BuildHasherDefault::<DefaultHasher>::new();
    let bytes = |node: u32| bytemuck::cast_slice::<T, u8>(rows.row(node));
    let mut first_of: HashMap<u64, u32> = HashMap::with_capacity(nodes.len());
    let mut others_of: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut unique = Vec::with_capacity(nodes.len());
    for node in nodes.iter().copied() {
        let first = *first_of.entry(hasher.hash_one(bytes(node))).or_insert(node);
        // A node whose hash is another's by chance is one of its own: a duplicate of it would be linked like any node.
        if first == node || bytes(first) != bytes(node) {
            unique.push(node);
        } else {
            others_of.entry(first).or_default().push(node);
        }
    }
    let mut twins: Vec<Twins> = others_of.into_iter().map(|(first, others)| Twins { first, others }).collect();
    twins.sort_unstable_by_key(|twins| twins.first);
    (unique, twins)
}

/// Those of `nodes`, ascending, whose row no other of them has.
pub(crate) fn alone<T: bytemuck::NoUninit>(rows: &Rows<'_, T>, nodes: &[u32]) -> Vec<u32> {
    let (mut unique, twins) = part(rows, nodes);
    unique.retain(|node| twins.binary_search_by_key(node, |twins| twins.first).is_err());
    unique
}

impl Twins {
    /// The links of all of them: of the first those to its first children, which are to come before its others; of each
    /// other one its parent's and those to its children.
    pub(super) fn links(&self) -> impl Iterator<Item = (u32, Vec<u32>)> + '_ {
        let first = (self.first, self.others.iter().copied().take(FIRST_CHILDREN).collect());
        let others = self.others.iter().enumerate().map(|(at, node)| {
            let children = FIRST_CHILDREN + at * CHILDREN..FIRST_CHILDREN + (at + 1) * CHILDREN;
            let children = children.filter_map(|child| self.others.get(child).copied());
            (*node, std::iter::once(self.first).chain(children).collect())
        });
        std::iter::once(first).chain(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hnsw::RunTable;

    #[test]
    fn every_twin_is_reached_from_the_first_once() {
        let rows: Vec<u8> = (0..1000u32).map(|node| if node % 3 == 0 { 7 } else { (node % 240) as u8 + 8 }).collect();
        let table = RunTable::new([1000]);
        let rows = Rows::whole(&rows, 1, &table);
        let (unique, twins) = part(&rows, &(0..1000).collect::<Vec<_>>());
        assert_eq!(unique.len() + twins.iter().map(|twins| twins.others.len()).sum::<usize>(), 1000);
        let sevens = &twins[0];
        assert_eq!((sevens.first, sevens.others.len()), (0, 333));
        assert_eq!(alone(&rows, &[0, 1, 2, 3, 4]), [1, 2, 4], "0 and 3 are equal");
        let links: HashMap<u32, Vec<u32>> = sevens.links().collect();
        let (mut met, mut at) = (vec![0], 0);
        while let Some(node) = met.get(at).copied() {
            met.extend(links[&node].iter().filter(|next| **next != 0));
            at += 1;
        }
        met.sort_unstable();
        assert_eq!(met, (0..1000).filter(|node| node % 3 == 0).collect::<Vec<_>>());
    }
}

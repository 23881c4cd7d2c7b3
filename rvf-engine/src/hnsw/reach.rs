//! What a walk can reach. Nodes that no list leads to are linked from near them, or become pivots.

use super::NO_LINK;
use super::build::{Built, Params, Stopped};
use super::cells::Pivots;
use super::rows::Rows;
use super::scorer::Scorer;
use super::walk::{Entry, Links, Scratch, Walk};
use crate::kernel::Kernels;
use zerocopy::byteorder::little_endian::U32;

/// Nodes near a lost one that are asked for room.
const NEAR: usize = 64;

/// Nodes that were reached.
struct Reached {
    seen: Vec<bool>,
    open: Vec<u32>,
}

impl Reached {
    /// Goes on from `node`.
    fn from(&mut self, node: u32, links: &[U32], degree: usize) {
        self.open.push(node);
        while let Some(node) = self.open.pop() {
            if std::mem::replace(&mut self.seen[node as usize], true) {
                continue;
            }
            let slots = &links[node as usize * degree..][..degree];
            let next = slots.iter().map(|slot| slot.get()).take_while(|link| *link != NO_LINK);
            self.open.extend(next.filter(|next| !self.seen[*next as usize]));
        }
    }
}

/// Makes every one of `live` reachable from the pivots.
pub(super) fn make_sure<S: Scorer>(
    built: &mut Built<S::Row>,
    scorer: &S,
    kernels: Kernels,
    rows: &Rows<'_, S::Row>,
    shuffled: &[u32],
    live: &[u32],
    params: &Params,
) -> Result<(), Stopped> {
    let degree = params.degree;
    let mut reached = Reached { seen: vec![false; rows.len() as usize], open: Vec::new() };
    for pivot in &built.pivots.nodes {
        reached.from(pivot.get(), &built.links, degree);
    }
    let (mut query, mut scratch) = (scorer.blank(rows.width())?, Scratch::default());
    let mut further = Vec::new();
    for node in live.iter().copied() {
        if reached.seen[node as usize] {
            continue;
        }
        scorer.set(&mut query, rows.row(node))?;
        let links = Links::new(&built.links, degree);
        let pivots = &built.pivots;
        let entry = Entry { nodes: &pivots.nodes, offsets: &pivots.offsets, rows: &pivots.rows };
        kernels.run(&query, Walk::new(rows, links, entry, NEAR, &mut scratch));
        let near: Vec<u32> = scratch.found().map(|(_, near)| near).collect();
        let free =
            |near: &u32| built.links[*near as usize * degree..][..degree].iter().position(|s| s.get() == NO_LINK);
        match near.iter().find_map(|near| Some((*near, free(near)?))) {
            Some((near, slot)) => built.links[near as usize * degree + slot].set(node),
            None => further.push(node),
        }
        reached.from(node, &built.links, degree);
    }
    if !further.is_empty() {
        built.pivots = Pivots::choose(scorer, kernels, rows, shuffled, &further)?;
    }
    Ok(())
}

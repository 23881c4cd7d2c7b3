//! The graph of before without the nodes that are gone: each node that linked to one chooses again among its other links
//! and the links of those that are gone (as FreshDiskANN consolidates: Singh et al. 2021, algorithm 4), and is then inserted
//! anew.

use super::build::{Builder, Kept};
use super::parallel;
use super::scorer::Scorer;
use crate::kernel::KernelError;

/// Puts what is left of `kept` into `builder`; which nodes are linked now. `unique` are the nodes that may be.
pub(super) fn carry_on<S: Scorer>(
    builder: &mut Builder<'_, S>,
    kept: &Kept<'_>,
    unique: &[u32],
) -> Result<Vec<bool>, KernelError> {
    let mut wanted = vec![false; builder.rows.len() as usize];
    unique.iter().for_each(|node| wanted[*node as usize] = true);
    let before = kept.becomes.len() as u32;
    let is_wanted = |now: &u32| wanted.get(*now as usize).copied().unwrap_or(false);
    let now = |old: u32| kept.becomes.get(old as usize).copied().filter(is_wanted);
    let stays: Vec<(u32, u32)> = (0..before).filter_map(|old| Some((old, now(old)?))).collect();
    let (rows, degree, links) = (builder.rows, builder.params.degree, kept.links);
    let lists = parallel::map(&mut builder.workers, stays.len(), |worker, item| {
        let (old, node) = stays[item];
        let (mut list, mut whole) = (Vec::new(), true);
        for link in links.of(old, before) {
            match now(link) {
                Some(next) => list.push(next),
                None => {
                    whole = false;
                    list.extend(links.of(link, before).filter_map(now));
                }
            }
        }
        list.retain(|next| *next != node);
        if whole && list.len() <= degree {
            return Ok(list);
        }
        let candidates = worker.selector.measured(node, &list)?;
        worker.selector.diverse(&candidates, degree)
    })?;
    let mut inserted = vec![false; rows.len() as usize];
    for ((old, node), list) in stays.iter().zip(&lists) {
        // A node that lost a neighbour, or never had many because its twin was linked for it, is inserted anew, with these links
        // to begin with: what lies behind a gap is found by a walk only. (Measured: healed by these links alone, a graph that lost
        // 4 % found 0.02 less than a new one at ef 12; inserted anew 0.006 less.)
        let whole = links.of(*old, before).all(|link| now(link).is_some());
        inserted[*node as usize] = whole && list.len() * FEW >= degree;
        builder.put(*node, list);
    }
    Ok(inserted)
}

/// Fewer links than this share of the degree are too few.
const FEW: usize = 8;

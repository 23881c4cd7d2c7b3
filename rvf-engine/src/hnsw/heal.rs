//! The graph of before without the nodes that are gone: each node that linked to one chooses again among its other links
//! and the links of those that are gone (as FreshDiskANN consolidates: Singh et al. 2021, algorithm 4).

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
    for ((_, node), list) in stays.iter().zip(&lists) {
        // A node with too few links left, as one whose twin was linked for it, is inserted anew.
        inserted[*node as usize] = list.len() * FEW >= degree;
        builder.put(*node, list);
    }
    Ok(inserted)
}

/// Fewer links than this share of the degree are too few.
const FEW: usize = 8;

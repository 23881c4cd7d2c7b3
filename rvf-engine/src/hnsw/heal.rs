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
        let (mut list, mut gone) = (Vec::new(), 0);
        for link in links.of(old, before) {
            match now(link) {
                Some(next) => list.push(next),
                None => {
                    gone += 1;
                    list.extend(links.of(link, before).filter_map(now));
                }
            }
        }
        list.retain(|next| *next != node);
        let stays_whole = gone * MOST_GONE <= links.of(old, before).count();
        if gone == 0 && list.len() <= degree {
            return Ok((list, true));
        }
        let candidates = worker.selector.measured(node, &list)?;
        Ok((worker.selector.diverse(&candidates, degree)?, stays_whole))
    })?;
    let mut inserted = vec![false; rows.len() as usize];
    for ((_, node), (list, stays_whole)) in stays.iter().zip(&lists) {
        // A node that lost much of its neighbourhood, or never had one because its twin was linked for it, is inserted anew:
        // what lies behind a gap is found by a walk only.
        inserted[*node as usize] = *stays_whole && list.len() * FEW >= degree;
        builder.put(*node, list);
    }
    Ok(inserted)
}

/// More links gone than this share are too many; fewer left than that share of the degree are too few.
const MOST_GONE: usize = 4;
const FEW: usize = 8;

//! [`Pivots`]: where walks begin: live nodes drawn at random, grouped into cells, their rows side by side.

use super::rows::Rows;
use super::scorer::Scorer;
use crate::kernel::{KernelError, Kernels};
use zerocopy::byteorder::little_endian::U32;

/// One node in so many is a pivot: a cluster of 400 has none with a chance of 3 in a million.
const NODES_A_PIVOT: usize = 32;

/// Entry points in cells. The first `offsets.len() - 1` pivots are the leaders of the cells; the members of cell c follow
/// from `cells + offsets[c]` to `cells + offsets[c + 1]`.
#[derive(Clone, Debug)]
pub(crate) struct Pivots<T> {
    pub(crate) nodes: Vec<U32>,
    pub(crate) offsets: Vec<U32>,
    /// The rows of `nodes`, in their order.
    pub(crate) rows: Vec<T>,
}

impl<T: Copy> Pivots<T> {
    /// The first pivots of `shuffled`, nodes in random order, with further ones that must be pivots, in cells.
    pub(super) fn choose<S: Scorer<Row = T>>(
        scorer: &S,
        kernels: Kernels,
        rows: &Rows<'_, T>,
        shuffled: &[u32],
        further: &[u32],
    ) -> Result<Self, KernelError> {
        let drawn = &shuffled[..shuffled.len().div_ceil(NODES_A_PIVOT)];
        let count = drawn.len() + further.len();
        let cells = ((count as f64).sqrt().round() as usize).min(drawn.len());
        let (leaders, members) = drawn.split_at(cells);
        let leader_rows: Vec<T> = leaders.iter().flat_map(|node| rows.row(*node)).copied().collect();
        let mut grouped: Vec<Vec<u32>> = vec![Vec::new(); cells];
        let mut query = scorer.blank(rows.width())?;
        let mut distances = vec![0f32; cells];
        for node in members.iter().chain(further) {
            scorer.set(&mut query, rows.row(*node))?;
            kernels.distances(&query, &leader_rows, &mut distances)?;
            let nearest = distances.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
            if let Some(cell) = nearest.and_then(|(cell, _)| grouped.get_mut(cell)) {
                cell.push(*node);
            }
        }
        let mut nodes: Vec<u32> = leaders.to_vec();
        let mut offsets = vec![U32::new(0)];
        for cell in grouped {
            nodes.extend(cell);
            offsets.push(U32::new((nodes.len() - cells) as u32));
        }
        let pivot_rows = nodes.iter().flat_map(|node| rows.row(*node)).copied().collect();
        Ok(Self { nodes: nodes.into_iter().map(U32::new).collect(), offsets, rows: pivot_rows })
    }
}

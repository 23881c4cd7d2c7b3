//! [`Rows`]: the rows of nodes where they are: in one piece, or in several runs of different segments.

use crate::kernel::Pair;

/// Nodes that one entry of the look-up table covers, as a power of two.
const BLOCK_BITS: u32 = 10;

/// Which run a node is in. Made once a graph; a few bytes a thousand nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunTable {
    /// First node of each run, and the end of the last.
    starts: Vec<u32>,
    /// For each block of nodes the run that its first node is in.
    blocks: Vec<u32>,
}

impl RunTable {
    /// Runs of these lengths, one after the other; at most 2^32 - 1 nodes, the rest is left out.
    pub(crate) fn new(lengths: impl IntoIterator<Item = u32>) -> Self {
        let mut starts = vec![0u32];
        let mut blocks = Vec::new();
        for (run, length) in lengths.into_iter().enumerate() {
            let start = starts.last().copied().unwrap_or(0);
            let end = start.saturating_add(length);
            while ((blocks.len() as u64) << BLOCK_BITS) < u64::from(end) {
                blocks.push(run as u32);
            }
            starts.push(end);
        }
        Self { starts, blocks }
    }

    /// Number of nodes.
    pub(crate) fn nodes(&self) -> u32 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The run of a node, and the node's place in it. Of a node that is not there: beyond the last run.
    #[inline(always)]
    pub(crate) fn find(&self, node: u32) -> (usize, u32) {
        let mut run = self.blocks.get((node >> BLOCK_BITS) as usize).map_or(self.starts.len(), |run| *run as usize);
        while self.starts.get(run + 1).is_some_and(|end| *end <= node) {
            run += 1;
        }
        (run, node - self.starts.get(run).copied().unwrap_or(node))
    }
}

/// The rows of the nodes of a graph.
#[derive(Clone, Debug)]
pub(crate) struct Rows<'a, T> {
    /// All rows, where they are in one piece.
    whole: &'a [T],
    runs: Vec<&'a [T]>,
    table: &'a RunTable,
    width: usize,
}

impl<'a, T> Rows<'a, T> {
    /// Rows of `width` elements, in one piece.
    pub(crate) fn whole(rows: &'a [T], width: usize, table: &'a RunTable) -> Self {
        Self { whole: rows, runs: Vec::new(), table, width }
    }

    /// Rows in the runs of `table`.
    pub(crate) fn in_runs(mut runs: Vec<&'a [T]>, width: usize, table: &'a RunTable) -> Self {
        if runs.len() == 1 {
            return Self::whole(runs.pop().unwrap_or_default(), width, table);
        }
        Self { whole: &[], runs, table, width }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> u32 {
        self.table.nodes()
    }

    /// Elements of a row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The row of a node; empty for one that is not there.
    #[inline(always)]
    pub(crate) fn row(&self, node: u32) -> &'a [T] {
        self.row_of_width(node, self.width)
    }

    /// The same, for the width that a pair of vectors says that rows have: the compiler may know it.
    #[inline(always)]
    pub(super) fn row_of<P: Pair<T>>(&self, node: u32) -> &'a [T] {
        self.row_of_width(node, if P::WIDTH > 0 { P::WIDTH } else { self.width })
    }

    #[inline(always)]
    fn row_of_width(&self, node: u32, width: usize) -> &'a [T] {
        let (run, place) = if self.runs.is_empty() { (self.whole, node) } else { self.run_of(node) };
        let start = place as usize * width;
        run.get(start..start + width).unwrap_or_default()
    }

    #[inline(always)]
    fn run_of(&self, node: u32) -> (&'a [T], u32) {
        let (run, place) = self.table.find(node);
        (self.runs.get(run).copied().unwrap_or_default(), place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_in_every_run() {
        let lengths = [3u32, 0, 1500, 1, 2000];
        let total: u32 = lengths.iter().sum();
        let all: Vec<u32> = (0..total * 2).collect();
        let mut runs = Vec::new();
        let mut rest = all.as_slice();
        for length in lengths {
            let (run, after) = rest.split_at(length as usize * 2);
            runs.push(run);
            rest = after;
        }
        let table = RunTable::new(lengths);
        let rows = Rows::in_runs(runs, 2, &table);
        assert_eq!(rows.len(), total);
        for node in 0..total {
            assert_eq!(rows.row(node), [node * 2, node * 2 + 1], "node {node}");
        }
        assert!(rows.row(total).is_empty() && rows.row(u32::MAX).is_empty());
    }
}

//! The graph of an INDEX: IDX-3, and what is reached from the pivots.

use super::{Checked, IndexView, NO_LINK};
use crate::{Clause, Error, Result};

impl IndexView {
    /// Checks links, pivots, cells and effort; `at` is the file offset that an error names.
    ///
    /// # Errors
    /// IDX-3.
    pub fn check_links(&self, at: u64) -> Result<()> {
        let checked = self.check_slots().and_then(|()| self.check_pivots()).and_then(|()| self.check_effort());
        checked.map_err(|what| Error::corrupt(Clause::Idx3, at, what))
    }

    fn check_slots(&self) -> Checked<()> {
        let nodes = self.facts.nodes.get();
        // The node that named each node last: a degree's square for each node could take hours.
        let mut named_by = vec![NO_LINK; nodes as usize];
        for (node, slots) in (0..nodes).zip(self.links().chunks(self.facts.degree.get().max(1) as usize)) {
            let mut ended = false;
            for link in slots.iter().map(|slot| slot.get()) {
                if link == NO_LINK {
                    ended = true;
                    continue;
                }
                if ended {
                    return Err("a link stands behind an empty slot");
                }
                let last = named_by.get_mut(link as usize).ok_or("a link names a node that is not there")?;
                if link == node || *last == node {
                    return Err("a node is linked to itself, or twice to another");
                }
                *last = node;
            }
        }
        Ok(())
    }

    fn check_pivots(&self) -> Checked<()> {
        let mut seen = vec![false; self.facts.nodes.get() as usize];
        for pivot in self.pivots() {
            let seen = seen.get_mut(pivot.get() as usize).ok_or("a pivot names a node that is not there")?;
            if core::mem::replace(seen, true) {
                return Err("a node is a pivot twice");
            }
        }
        let cells = self.cells();
        let members = self.facts.pivots.get().checked_sub(self.facts.cells.get());
        let ends = (cells.first().map(|cell| cell.get()), cells.last().map(|cell| cell.get()));
        if ends != (Some(0), members) || !cells.is_sorted_by(|a, b| a.get() <= b.get()) {
            return Err("the cells do not share out the pivots");
        }
        Ok(())
    }

    fn check_effort(&self) -> Checked<()> {
        let points = self.effort();
        let ascend = points.is_sorted_by(|a, b| a.ef.get() < b.ef.get());
        if !ascend || points.iter().any(|point| point.recall_ppm.get() > 1_000_000) {
            return Err("the measured widths do not ascend, or a recall is above 1");
        }
        Ok(())
    }

    /// Which nodes are reached from the pivots over links, pivots included. Bad links end a node's list, as in a walk.
    pub fn reachable(&self) -> Vec<bool> {
        let mut reached = vec![false; self.facts.nodes.get() as usize];
        let mut open: Vec<u32> = Vec::new();
        let visit = |node: u32, reached: &mut [bool], open: &mut Vec<u32>| {
            if let Some(seen) = reached.get_mut(node as usize).filter(|seen| !**seen) {
                *seen = true;
                open.push(node);
            }
        };
        for pivot in self.pivots() {
            visit(pivot.get(), &mut reached, &mut open);
        }
        while let Some(node) = open.pop() {
            for link in self.links_of(node) {
                visit(link, &mut reached, &mut open);
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::super::IndexParts;
    use super::super::tests::{changed, le};
    use super::*;
    use std::borrow::Cow;

    #[track_caller]
    fn bad_links(change: impl FnOnce(&mut IndexParts<'static>)) {
        assert_eq!(changed(change).unwrap().check_links(0).unwrap_err().clause(), Some(Clause::Idx3));
    }

    #[test]
    fn reached_is_what_pivots_lead_to() {
        let view = changed(|_| {}).unwrap();
        assert_eq!(view.reachable(), [true, true, true, true, false]);
        let view = changed(|parts| {
            // Node 3 alone leads on; a link that names no node ends its list.
            (parts.facts.pivots, parts.pivots, parts.cells) = (2.into(), le(&[3, 99]), le(&[0, 1]));
            parts.pivot_rows = vec![7; 16].into();
            parts.links = le(&[99, 1, 99, 0, 1, 4, 2, 99, 1, 2]);
        });
        assert_eq!(view.unwrap().reachable(), [false, true, true, true, true]);
    }

    #[test]
    fn links_name_other_nodes_once() {
        changed(|_| {}).unwrap().check_links(0).unwrap();
        bad_links(|parts| parts.links = le(&[5, NO_LINK, 2, 0, 0, 1, 0, 1, 0, 1]));
        bad_links(|parts| parts.links = le(&[NO_LINK, 1, 2, 0, 0, 1, 0, 1, 0, 1]));
        bad_links(|parts| parts.links = le(&[1, 2, 1, 0, 0, 1, 0, 1, 0, 1]));
        bad_links(|parts| parts.links = le(&[1, 2, 2, 2, 0, 1, 0, 1, 0, 1]));
        let full = changed(|parts| parts.links = le(&[1, 2, 2, 0, 0, 1, 0, 1, 0, 1])).unwrap();
        full.check_links(0).unwrap();
    }

    #[test]
    fn cells_share_out_distinct_pivots() {
        bad_links(|parts| parts.pivots = le(&[3, 0, 3]));
        bad_links(|parts| parts.pivots = le(&[3, 0, 5]));
        bad_links(|parts| parts.pivots = le(&[3, 0, NO_LINK]));
        bad_links(|parts| parts.cells = le(&[1, 2]));
        bad_links(|parts| parts.cells = le(&[0, 1]));
        bad_links(|parts| parts.cells = le(&[0, 3]));
        bad_links(|parts| {
            (parts.facts.pivots, parts.facts.cells) = (5.into(), 3.into());
            (parts.pivots, parts.pivot_rows) = (le(&[0, 1, 2, 3, 4]), vec![7; 40].into());
            parts.cells = le(&[0, 2, 1, 2]);
        });
        changed(|parts| {
            (parts.facts.pivots, parts.facts.cells, parts.facts.linked) = (0.into(), 0.into(), 0.into());
            (parts.pivots, parts.pivot_rows, parts.cells) = (le(&[]), le(&[]), le(&[0]));
        })
        .unwrap()
        .check_links(0)
        .unwrap();
    }

    #[test]
    fn widths_ascend_and_recall_is_at_most_one() {
        bad_links(|parts| parts.effort.to_mut()[1].ef = 16.into());
        bad_links(|parts| parts.effort.to_mut()[1].recall_ppm = 1_000_001.into());
        let none = changed(|parts| parts.effort = Cow::Borrowed(&[])).unwrap();
        none.check_links(0).unwrap();
        assert!(none.effort().is_empty());
    }
}

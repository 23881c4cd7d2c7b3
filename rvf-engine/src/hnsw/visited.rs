//! [`Visited`]: which nodes a walk has met. A bit a node; cleared by what was set, not by its size.

#[derive(Debug, Default)]
pub(super) struct Visited {
    words: Vec<u64>,
    touched: Vec<u32>,
}

impl Visited {
    /// Makes room for `nodes` and forgets the walk before.
    pub(super) fn begin(&mut self, nodes: u32) {
        for word in self.touched.drain(..) {
            self.words[word as usize] = 0;
        }
        let words = (nodes as usize).div_ceil(64);
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
    }

    /// Whether `node`, which is below the number of nodes, is met for the first time.
    #[inline(always)]
    pub(super) fn insert(&mut self, node: u32) -> bool {
        let index = node / 64;
        let Some(word) = self.words.get_mut(index as usize) else { return false };
        let bit = 1u64 << (node % 64);
        if *word & bit != 0 {
            return false;
        }
        if *word == 0 {
            self.touched.push(index);
        }
        *word |= bit;
        true
    }
}

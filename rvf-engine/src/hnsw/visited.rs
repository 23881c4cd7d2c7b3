//! [`Visited`]: which nodes a walk has met. A bit a node; cleared by what was set, not by its size.

use zerocopy::byteorder::little_endian::U32;

#[derive(Debug, Default)]
pub(super) struct Visited {
    words: Vec<u64>,
    met: Vec<u32>,
    passed: Vec<u32>,
}

impl Visited {
    /// Makes room for `nodes` and forgets the walk before.
    pub(super) fn begin(&mut self, nodes: u32) {
        for node in self.met.drain(..).chain(self.passed.drain(..)) {
            self.words[node as usize / 64] = 0;
        }
        let words = (nodes as usize).div_ceil(64);
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
    }

    /// The nodes that were met, in that order.
    #[inline(always)]
    pub(super) fn met(&self) -> &[u32] {
        &self.met
    }

    /// Whether `node`, which is below the number of nodes, is met for the first time.
    #[inline(always)]
    pub(super) fn insert(&mut self, node: u32) -> bool {
        let Some(word) = self.words.get_mut(node as usize / 64) else { return false };
        let is_new = *word >> (node % 64) & 1 == 0;
        *word |= 1 << (node % 64);
        if is_new {
            self.met.push(node);
        }
        is_new
    }

    /// Whether `node` is passed through for the first time. It does not count as met: rows of those that do are measured.
    #[inline(always)]
    pub(super) fn mark(&mut self, node: u32) -> bool {
        let Some(word) = self.words.get_mut(node as usize / 64) else { return false };
        let is_new = *word >> (node % 64) & 1 == 0;
        *word |= 1 << (node % 64);
        if is_new {
            self.passed.push(node);
        }
        is_new
    }

    /// Meets the links of a list, up to the first that names none of `nodes`. No branch depends on whether a node is new: that is
    /// as good as random.
    #[inline(always)]
    pub(super) fn insert_all(&mut self, links: &[U32], nodes: u32) {
        let mut count = self.met.len();
        self.met.resize(count + links.len(), 0);
        for link in links {
            let node = link.get();
            if node >= nodes {
                break;
            }
            let (Some(word), Some(slot)) = (self.words.get_mut(node as usize / 64), self.met.get_mut(count)) else {
                break;
            };
            *slot = node;
            count += (*word >> (node % 64) & 1 ^ 1) as usize;
            *word |= 1 << (node % 64);
        }
        self.met.truncate(count);
    }
}

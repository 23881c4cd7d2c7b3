//! [`Memory`]: what was chosen for past queries, and what a new query finds in it.

use super::math::{dot, normalise};
use std::collections::BTreeMap;

/// Past queries whose choices make documents candidates.
const NEIGHBOURS: usize = 20;
/// Least similarity of a past query whose choices do.
const LEAST: f32 = 0.2;

/// A document that was chosen for a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The document.
    pub document: u64,
    /// How right it is: 1 for a plain choice.
    pub grade: f32,
}

/// What was chosen for past queries.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    dimension: usize,
    /// Of unit length, one after another.
    queries: Vec<f32>,
    chosen: Vec<Vec<Choice>>,
    /// By document: the queries that it was chosen for, ascending.
    choosers: BTreeMap<u64, Vec<usize>>,
}

impl Memory {
    /// An empty memory of queries with `dimension` elements.
    pub fn new(dimension: usize) -> Self {
        Self { dimension, ..Self::default() }
    }

    /// Elements of a query.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// How many queries it holds.
    pub fn len(&self) -> usize {
        self.chosen.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }

    /// Adds a query and what was chosen for it. One of another dimension, or that is not finite, is left out: `false`.
    pub fn push(&mut self, query: &[f32], chosen: &[Choice]) -> bool {
        if query.len() != self.dimension || !query.iter().all(|x| x.is_finite()) {
            return false;
        }
        let (at, start) = (self.chosen.len(), self.queries.len());
        self.queries.extend_from_slice(query);
        normalise(&mut self.queries[start..]);
        for choice in chosen {
            let choosers = self.choosers.entry(choice.document).or_default();
            if choosers.last() != Some(&at) {
                choosers.push(at);
            }
        }
        self.chosen.push(chosen.to_vec());
        true
    }

    /// A past query, of unit length; empty where there is none.
    pub fn query(&self, at: usize) -> &[f32] {
        self.queries.get(at * self.dimension..(at + 1) * self.dimension).unwrap_or_default()
    }

    /// What was chosen for a past query.
    pub fn chosen(&self, at: usize) -> &[Choice] {
        self.chosen.get(at).map_or(&[], Vec::as_slice)
    }

    /// Looks a query up, as if the past one `without` had never been: what is learned from a query must not be found in it again.
    ///
    /// `query` has unit length and the dimension of the memory.
    pub fn recall(&self, query: &[f32], without: Option<usize>) -> Recalled<'_> {
        let similarity = |past: &[f32]| dot(past, query);
        let mut similarities: Vec<f32> = match self.dimension {
            0 => Vec::new(),
            dimension => self.queries.chunks_exact(dimension).map(similarity).collect(),
        };
        let mut order: Vec<usize> = (0..similarities.len()).filter(|at| Some(*at) != without).collect();
        order.sort_by(|a, b| similarities[*b].total_cmp(&similarities[*a]));
        if let Some(own) = without.and_then(|own| similarities.get_mut(own)) {
            *own = f32::NEG_INFINITY;
        }
        Recalled { memory: self, similarities, order, without }
    }
}

/// What a query finds in a memory.
#[derive(Clone, Debug)]
pub struct Recalled<'m> {
    memory: &'m Memory,
    similarities: Vec<f32>,
    /// Past queries, the most similar first.
    order: Vec<usize>,
    without: Option<usize>,
}

/// What a memory says of a document.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Queries that it was chosen for.
    pub count: usize,
    /// The largest similarities among them, the larger first; 0 where there is none.
    pub similarities: [f32; 2],
    /// How many past queries are nearer than the nearest of them.
    pub nearer: usize,
    /// The nearest of them.
    pub nearest: usize,
    /// Their sum.
    pub sum: Vec<f32>,
}

impl Recalled<'_> {
    /// The similarity of the nearest past query; 0 where there is none.
    pub fn nearest(&self) -> f32 {
        self.order.first().map_or(0.0, |at| self.similarities[*at])
    }

    /// Documents that were chosen for queries like this one, ascending.
    pub fn documents(&self) -> Vec<u64> {
        let near = self.order.iter().take(NEIGHBOURS).take_while(|at| self.similarities[**at] > LEAST);
        let mut found: Vec<u64> = near.flat_map(|at| &self.memory.chosen[*at]).map(|choice| choice.document).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// What is known of a document; `None` if it was never chosen.
    pub fn evidence(&self, document: u64) -> Option<Evidence> {
        let all = self.memory.choosers.get(&document)?;
        let choosers: Vec<usize> = all.iter().copied().filter(|at| Some(*at) != self.without).collect();
        let by_similarity = |a: &&usize, b: &&usize| self.similarities[**a].total_cmp(&self.similarities[**b]);
        let nearest = *choosers.iter().max_by(by_similarity)?;
        let best = self.similarities[nearest];
        let others = choosers.iter().filter(|at| **at != nearest).map(|at| self.similarities[*at]);
        let second = others.max_by(f32::total_cmp).unwrap_or(0.0);
        let nearer = self.order.partition_point(|at| self.similarities[*at] > best);
        let mut sum = vec![0.0; self.memory.dimension];
        for at in &choosers {
            sum.iter_mut().zip(self.memory.query(*at)).for_each(|(sum, x)| *sum += x);
        }
        Some(Evidence { count: choosers.len(), similarities: [best, second], nearer, nearest, sum })
    }

    /// The memory that was asked.
    pub fn memory(&self) -> &Memory {
        self.memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(document: u64) -> Choice {
        Choice { document, grade: 1.0 }
    }

    fn memory() -> Memory {
        let mut memory = Memory::new(2);
        assert!(memory.push(&[2.0, 0.0], &[choice(7), choice(8), choice(7)]));
        assert!(memory.push(&[0.0, 3.0], &[choice(8)]));
        assert!(memory.push(&[3.0, 4.0], &[]));
        memory
    }

    #[test]
    fn what_was_chosen_is_found_by_queries_alike() {
        let memory = memory();
        let found = memory.recall(&[1.0, 0.0], None);
        assert_eq!((found.nearest(), found.documents()), (1.0, vec![7, 8]));
        let of_7 = found.evidence(7).unwrap();
        assert_eq!((of_7.count, of_7.similarities, of_7.nearer, of_7.nearest), (1, [1.0, 0.0], 0, 0));
        let of_8 = found.evidence(8).unwrap();
        assert_eq!((of_8.count, of_8.similarities, of_8.sum), (2, [1.0, 0.0], vec![1.0, 1.0]));
        assert!(found.evidence(9).is_none());
    }

    /// Catches evidence that a query is judged by and trained on at once.
    #[test]
    fn a_query_left_out_leaves_nothing() {
        let memory = memory();
        let found = memory.recall(&[1.0, 0.0], Some(0));
        assert!(found.evidence(7).is_none());
        let of_8 = found.evidence(8).unwrap();
        assert_eq!((of_8.count, of_8.similarities, of_8.nearer, of_8.sum), (1, [0.0, 0.0], 1, vec![0.0, 1.0]));
        let mut without = Memory::new(2);
        without.push(&[0.0, 3.0], &[choice(8)]);
        without.push(&[3.0, 4.0], &[]);
        let anew = without.recall(&[1.0, 0.0], None);
        assert_eq!((found.nearest(), found.documents()), (anew.nearest(), anew.documents()));
    }

    #[test]
    fn what_is_no_query_is_left_out() {
        let mut memory = memory();
        assert!(!memory.push(&[1.0], &[choice(1)]) && !memory.push(&[f32::NAN, 1.0], &[choice(1)]));
        assert_eq!((memory.len(), memory.query(9).len(), memory.chosen(9).len()), (3, 0, 0));
        assert!(Memory::new(0).recall(&[], None).documents().is_empty());
    }
}

//! [`Memory`]: what was chosen for past queries, and what a new query finds in it.

use super::math::{dot, normalise};
use crate::kernel::{Kernels, Op, Query};
use std::collections::BTreeMap;

/// Past queries whose choices make documents candidates.
const NEIGHBOURS: usize = 20;
/// Least similarity of a past query whose choices do. A query without such a past one is answered as if nothing was learned.
pub const LIKE: f32 = 0.5;

/// A document that was chosen for a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The document.
    pub document: u64,
    /// How much it counts: 1 for a plain choice. Less is evidence of a query that much less alike, more is as much as that many choices.
    pub grade: f32,
}

/// What was chosen for past queries.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    dimension: usize,
    /// Of unit length, one after another.
    queries: Vec<f32>,
    /// The same as signed bytes, and what a byte of each stands for: how alike all are to a query is told by sums of whole numbers, which are the
    /// same on every machine.
    codes: Vec<i8>,
    steps: Vec<f32>,
    chosen: Vec<Vec<Choice>>,
    /// By document: the queries that it was chosen for, ascending, and how much each choice counts.
    choosers: BTreeMap<u64, Vec<(usize, f32)>>,
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
        let step = encode(&self.queries[start..], &mut self.codes);
        self.steps.push(step);
        for choice in chosen {
            let choosers = self.choosers.entry(choice.document).or_default();
            if choosers.last().is_none_or(|last| last.0 != at) {
                choosers.push((at, choice.grade));
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
    pub fn recall<'m>(&'m self, query: &[f32], without: Option<usize>) -> Recalled<'m> {
        let mut similarities = self.similarities(query);
        if let Some(own) = without.and_then(|own| similarities.get_mut(own)) {
            *own = f32::NEG_INFINITY;
        }
        let like = |at: &usize| similarities[*at] > LIKE - SLACK;
        let exact = |at: usize| (dot(self.query(at), query), at);
        let mut nearest: Vec<(f32, usize)> =
            (0..similarities.len()).filter(like).map(exact).filter(|(similarity, _)| *similarity > LIKE).collect();
        nearest.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        Recalled { memory: self, query: query.to_vec(), similarities, nearest, without }
    }

    /// About how similar a query is to all past ones: by bytes.
    fn similarities(&self, query: &[f32]) -> Vec<f32> {
        let mut codes = Vec::with_capacity(self.dimension);
        let step = encode(query, &mut codes);
        let mut distances = vec![0.0; self.chosen.len()];
        // A query of another dimension, or none at all: like nothing.
        let asked = Query::new(Op::Dot, &codes).ok();
        let measured = asked.map(|asked| Kernels::detect().distances(&asked, &self.codes, &mut distances));
        if measured.is_none_or(|measured| measured.is_err()) {
            distances.fill(0.0);
        }
        distances.iter_mut().zip(&self.steps).for_each(|(distance, own)| *distance *= -step * own);
        distances
    }
}

/// What bytes may miss of a similarity.
const SLACK: f32 = 0.02;

/// Appends a vector as signed bytes; what one stands for.
fn encode(vector: &[f32], codes: &mut Vec<i8>) -> f32 {
    let largest = vector.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let step = if largest > 0.0 { largest / 127.0 } else { 1.0 };
    codes.extend(vector.iter().map(|x| (x / step).round() as i8));
    step
}

/// What a query finds in a memory.
#[derive(Clone, Debug)]
pub struct Recalled<'m> {
    memory: &'m Memory,
    query: Vec<f32>,
    /// About how similar each past query is.
    similarities: Vec<f32>,
    /// Past queries that are like it, the most similar first, with how similar they are.
    nearest: Vec<(f32, usize)>,
    without: Option<usize>,
}

/// What a memory says of a document.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Queries that it was chosen for.
    pub count: usize,
    /// What these choices count together.
    pub weight: f32,
    /// The largest similarities among them, the larger first; 0 where there is none.
    pub similarities: [f32; 2],
    /// How many past queries are nearer than the nearest of them.
    pub nearer: usize,
    /// The nearest of them.
    pub nearest: usize,
    /// Their sum, each as often as its choice counts.
    pub sum: Vec<f32>,
}

impl Recalled<'_> {
    /// The similarity of the nearest past query; 0 where none is like it.
    pub fn nearest(&self) -> f32 {
        self.nearest.first().map_or(0.0, |(similarity, _)| *similarity)
    }

    /// Whether nothing like it was asked before.
    pub fn is_unlike_all(&self) -> bool {
        self.nearest.is_empty()
    }

    /// Documents that were chosen for queries like this one, ascending.
    pub fn documents(&self) -> Vec<u64> {
        let near = self.nearest.iter().take(NEIGHBOURS);
        let mut found: Vec<u64> =
            near.flat_map(|(_, at)| &self.memory.chosen[*at]).map(|choice| choice.document).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// What is known of a document; `None` if it was never chosen.
    pub fn evidence(&self, document: u64) -> Option<Evidence> {
        let all = self.memory.choosers.get(&document)?;
        let choosers = || all.iter().copied().filter(|(at, _)| Some(*at) != self.without);
        let (mut best, mut second, mut nearest) = (f32::NEG_INFINITY, 0f32, None);
        let (mut sum, mut count, mut weight) = (vec![0.0; self.memory.dimension], 0, 0f32);
        for (at, grade) in choosers() {
            let past = self.memory.query(at);
            let similarity = dot(past, &self.query) * grade.clamp(0.0, 1.0);
            if similarity > best {
                second = if count > 0 { second.max(best) } else { 0.0 };
                (best, nearest) = (similarity, Some(at));
            } else {
                second = second.max(similarity);
            }
            sum.iter_mut().zip(past).for_each(|(sum, x)| *sum += grade * x);
            count += 1;
            weight += grade;
        }
        let nearest = nearest?;
        let nearer = self.similarities.iter().filter(|similarity| **similarity > best).count();
        Some(Evidence { count, weight, similarities: [best, second], nearer, nearest, sum })
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

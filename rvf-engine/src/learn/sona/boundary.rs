//! [`Boundary`]: whether queries have moved to another topic.

use super::super::math::{dot, normalise};
use super::super::tensors::Tensors;
use super::low_rank::add;
use super::trajectory::Reservoir;
use crate::random::Random;

/// Queries of a block, and those that stand for the topic so far.
const BLOCK: usize = 64;
/// Divisions that are drawn; a boundary is where none of them is as uneven as the true one, by chance once in 200 blocks.
const DRAWS: usize = 199;

/// Tells where the queries of a stream turn to another topic.
///
/// Each block of 64 queries is held against a fair sample of 64 of those since the last boundary: is the distance between their means larger
/// than those of all of 199 random divisions of the 128? This permutation test (Fisher 1935; Good 2005, section 3.2) is exact whatever the
/// distribution: queries that keep coming from one topic, each on its own, are taken for another at one block in 200. It sees moves of the
/// mean; and it sees more where queries of a session follow each other, which are not drawn each on their own.
#[derive(Clone, Debug)]
pub struct Boundary {
    dimension: usize,
    topic: Reservoir<Vec<f32>>,
    block: Vec<Vec<f32>>,
}

impl Boundary {
    /// One that has seen nothing.
    pub fn new(dimension: usize) -> Self {
        Self { dimension, topic: Reservoir::new(BLOCK, 1), block: Vec::new() }
    }

    /// Takes a query; whether the block that it ends is of another topic than what came before: that is the time to consolidate. Queries of
    /// another dimension, or that are not finite, are passed over.
    pub fn push(&mut self, query: &[f32]) -> bool {
        if query.len() != self.dimension || !query.iter().all(|x| x.is_finite()) {
            return false;
        }
        let mut query = query.to_vec();
        normalise(&mut query);
        self.block.push(query);
        if self.block.len() < BLOCK {
            return false;
        }
        let block = std::mem::take(&mut self.block);
        let is_other =
            self.topic.kept().len() == BLOCK && is_apart(self.topic.kept(), &block, self.topic.came() as u64);
        if is_other {
            self.topic = Reservoir::new(BLOCK, 1);
        }
        block.into_iter().for_each(|query| self.topic.push(query));
        is_other
    }

    /// What it has seen: `sona.boundary.topic` and `sona.boundary.block`, each `[queries, dimension]`, and how many came by.
    pub fn to_tensors(&self) -> Tensors {
        let mut tensors = Tensors::default();
        for (name, queries) in [("topic", self.topic.kept()), ("block", &self.block)] {
            tensors.put(&format!("sona.boundary.{name}"), &[queries.len(), self.dimension], queries.concat());
        }
        // Exact below 2^24; above it one more or less changes no chance.
        tensors.put("sona.boundary.came", &[1], vec![self.topic.came() as f32]);
        tensors
    }

    /// One from what it had seen; `None` where that is not of queries of this dimension.
    pub fn from_tensors(tensors: &Tensors, dimension: usize) -> Option<Self> {
        let queries = |name: &str, most: usize| {
            let count = *tensors.tensor(name)?.shape.first()?;
            let values = tensors.get(name, &[count, dimension])?;
            (count <= most).then(|| values.chunks_exact(dimension.max(1)).map(<[f32]>::to_vec).collect::<Vec<_>>())
        };
        let (topic, block) = (queries("sona.boundary.topic", BLOCK)?, queries("sona.boundary.block", BLOCK - 1)?);
        let came = tensors.number("sona.boundary.came").filter(|came| *came >= topic.len() as f32)?;
        Some(Self { dimension, topic: Reservoir::with(BLOCK, 1, topic, came as usize), block })
    }
}

/// Whether the means of two samples lie further apart than those of all random divisions of both.
fn is_apart(topic: &[Vec<f32>], block: &[Vec<f32>], seed: u64) -> bool {
    let all: Vec<&Vec<f32>> = topic.iter().chain(block).collect();
    let (mut total, width) = (vec![0.0; all.first().map_or(0, |query| query.len())], topic.len());
    all.iter().for_each(|query| add(1.0, query, &mut total));
    // Of two halves of one sum, the means lie the further apart the further one is from half of it.
    let apart = |half: &[usize]| {
        let mut sum = total.iter().map(|x| -0.5 * x).collect::<Vec<f32>>();
        half.iter().for_each(|at| add(1.0, all[*at], &mut sum));
        dot(&sum, &sum)
    };
    let mut order: Vec<usize> = (0..all.len()).collect();
    let found = apart(&order[..width]);
    let mut random = Random(seed);
    (0..DRAWS).all(|_| {
        random.shuffle(&mut order);
        apart(&order[..width]) < found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queries around a mean.
    fn queries(count: usize, seed: u64, mean: f32) -> Vec<Vec<f32>> {
        let mut random = Random(seed);
        let of = |random: &mut Random| (0..8).map(|_| random.below(2000) as f32 / 1000.0 - 1.0).collect::<Vec<f32>>();
        (0..count)
            .map(|_| {
                let mut query = of(&mut random);
                query[0] += mean;
                query
            })
            .collect()
    }

    fn boundaries(boundary: &mut Boundary, queries: &[Vec<f32>]) -> Vec<usize> {
        queries.iter().enumerate().filter_map(|(at, query)| boundary.push(query).then_some(at)).collect()
    }

    /// Catches a rule that cries always or never.
    #[test]
    fn another_topic_is_told_and_the_same_one_is_not() {
        let mut boundary = Boundary::new(8);
        let stream = [queries(512, 1, 0.0), queries(512, 2, 0.8), queries(256, 3, 0.0)].concat();
        assert_eq!(boundaries(&mut boundary, &stream), [575, 1087]);
        // One block in 200, of 4 x 39.
        let false_alarms: usize =
            (0..4).map(|seed| boundaries(&mut Boundary::new(8), &queries(2560, seed, 0.0)).len()).sum();
        assert!(false_alarms <= 4, "{false_alarms}");
        assert!(!boundary.push(&[1.0]) && !boundary.push(&[f32::NAN; 8]));
    }

    #[test]
    fn it_can_be_gone_on_with() {
        let (first, second) = (queries(200, 1, 0.0), queries(300, 2, 0.8));
        let mut boundary = Boundary::new(8);
        boundaries(&mut boundary, &first);
        let mut again = Boundary::from_tensors(&boundary.to_tensors(), 8).unwrap();
        let found = boundaries(&mut again, &second);
        assert_eq!((found.len(), &found), (1, &boundaries(&mut boundary, &second)));
        assert_eq!(again.to_tensors(), boundary.to_tensors());
        assert!(Boundary::from_tensors(&boundary.to_tensors(), 9).is_none());
        assert!(Boundary::from_tensors(&Boundary::new(8).to_tensors(), 8).is_some());
    }
}

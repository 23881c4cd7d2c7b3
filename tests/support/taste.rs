//! A world whose right answers are not the nearest records: kinds of queries, each with one record that people choose.

use crate::oracle::Rng;
use rvf_engine::{Feedback, Id};

/// Components of a vector.
pub const DIMENSION: usize = 16;
/// Records of the store, with ids from 0 on.
pub const RECORDS: u64 = 120;
/// Kinds of queries.
pub const KINDS: u64 = 24;

/// The world.
pub struct Taste {
    /// One vector a record.
    pub records: Vec<Vec<f32>>,
    kinds: Vec<Vec<f32>>,
    rng: Rng,
}

fn unit(rng: &mut Rng) -> Vec<f32> {
    let vector: Vec<f32> = (0..DIMENSION).map(|_| rng.below(2001) as f32 / 1000.0 - 1.0).collect();
    scaled(vector)
}

fn scaled(vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.into_iter().map(|x| x / length).collect()
}

impl Taste {
    /// The same for the same seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let records = (0..RECORDS).map(|_| unit(&mut rng)).collect();
        let kinds = (0..KINDS).map(|_| unit(&mut rng)).collect();
        Self { records, kinds, rng }
    }

    /// A query of a kind, not so near to others of it that they are taken for one.
    pub fn query(&mut self, kind: u64) -> Vec<f32> {
        let noise = unit(&mut self.rng);
        scaled(self.kinds[kind as usize].iter().zip(noise).map(|(x, noise)| x + 0.45 * noise).collect())
    }

    /// The record that is right for a kind: the sixth nearest.
    pub fn right(&self, kind: u64) -> u64 {
        let kind = &self.kinds[kind as usize];
        let dot = |at: &u64| self.records[*at as usize].iter().zip(kind).map(|(x, y)| x * y).sum::<f32>();
        let mut order: Vec<u64> = (0..RECORDS).collect();
        order.sort_by(|a, b| dot(b).total_cmp(&dot(a)));
        order[5]
    }

    /// A query of some kind, and that kind.
    pub fn draw(&mut self) -> (u64, Vec<f32>) {
        let kind = self.rng.below(KINDS);
        (kind, self.query(kind))
    }

    /// Judgements: what is right, told outright.
    pub fn judgements(&mut self, count: usize) -> Vec<Feedback> {
        let judgement = |_| {
            let (kind, query) = self.draw();
            Feedback { query, chosen: vec![Id::U64(self.right(kind))], ..Feedback::default() }
        };
        (0..count).map(judgement).collect()
    }
}

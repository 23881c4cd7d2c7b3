//! What a store should hold and answer, worked out without the engine: a map of records and distances in f64.

use rvf_engine::{Dtype, Id, Metric, Schema};
use std::collections::BTreeMap;

/// Numbers that look random and are the same everywhere (splitmix64).
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end.max(1)
    }

    /// A vector that `schema` holds exactly, as numbers; bytes for a binary store. Never all zero.
    pub fn vector(&mut self, schema: &Schema) -> Vec<f32> {
        let elements = rvf_engine::ingest::door::row_elements(schema);
        let mut vector: Vec<f32> = (0..elements)
            .map(|_| match schema.dtype {
                Dtype::F32 => (self.below(2_000_001) as f32 - 1e6) / 65536.0,
                Dtype::F16 => (self.below(2049) as f32 - 1024.0) / 256.0,
                Dtype::I8 => self.below(256) as f32 - 128.0,
                Dtype::U8 | Dtype::Binary => self.below(256) as f32,
            })
            .collect();
        if schema.dtype == Dtype::Binary {
            let unused = (elements * 8 - schema.dimension as usize) as u32;
            if let Some(last) = vector.last_mut() {
                *last = f32::from((*last as u8) >> unused << unused);
            }
        } else if let Some(first) = vector.first_mut().filter(|first| **first == 0.0) {
            *first = 1.0;
        }
        vector
    }
}

/// Records by id.
pub type Records = BTreeMap<Id, Vec<f32>>;

/// The distance of two vectors, as `spec/search.md` defines it.
pub fn distance(schema: &Schema, a: &[f32], b: &[f32]) -> f32 {
    let pairs = || a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let dot: f64 = pairs().map(|(a, b)| a * b).sum();
    let distance = match schema.metric {
        Metric::L2 => pairs().map(|(a, b)| (a - b) * (a - b)).sum(),
        Metric::Dot => -dot,
        Metric::Cosine => {
            let norms = pairs().fold((0.0, 0.0), |sum, (a, b)| (sum.0 + a * a, sum.1 + b * b));
            1.0 - dot / (norms.0 * norms.1).sqrt()
        }
        Metric::Hamming => pairs().map(|(a, b)| f64::from((a as u8 ^ b as u8).count_ones())).sum(),
    };
    distance as f32
}

/// The exact answer: the `k` nearest records, ties by id.
pub fn nearest(schema: &Schema, records: &Records, query: &[f32], k: usize) -> Vec<(Id, f32)> {
    let mut hits: Vec<(Id, f32)> = records.iter().map(|(id, v)| (id.clone(), distance(schema, query, v))).collect();
    hits.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    hits.truncate(k);
    hits
}

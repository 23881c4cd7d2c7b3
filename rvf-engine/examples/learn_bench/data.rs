//! Vectors and what is right for them, from files.

use rvf_engine::learn::{ndcg10, normalise};
use std::collections::BTreeMap;
use std::path::Path;

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Vectors of unit length, one after another.
pub(crate) struct Vectors {
    pub(crate) dimension: usize,
    values: Vec<f32>,
}

impl Vectors {
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        let bytes = std::fs::read(path)?;
        let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let header = std::str::from_utf8(&bytes[10..10 + length])?;
        let after = |key: &str| header.split(key).nth(1).ok_or(format!("no {key} in {}", path.display()));
        let shape = after("'shape': (")?.split(')').next().unwrap_or_default();
        let dimension: usize = shape.split(',').nth(1).unwrap_or_default().trim().parse()?;
        let data = &bytes[10 + length..];
        let mut values: Vec<f32> = match after("'descr': '")?.get(..3) {
            Some("<f4") => data.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect(),
            Some("<f2") => {
                data.as_chunks::<2>().0.iter().map(|x| rvf_engine::f16::from_le_bytes(*x).to_f32()).collect()
            }
            other => return Err(format!("{other:?} in {}", path.display()).into()),
        };
        values.chunks_exact_mut(dimension).for_each(normalise);
        Ok(Self { dimension, values })
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.dimension
    }

    pub(crate) fn row(&self, at: usize) -> &[f32] {
        &self.values[at * self.dimension..(at + 1) * self.dimension]
    }
}

/// What is right for each query.
pub(crate) type Right = Vec<BTreeMap<u64, f32>>;

pub(crate) fn read_right(path: &Path, queries: usize) -> Outcome<Right> {
    let mut right = vec![BTreeMap::new(); queries];
    for line in std::fs::read_to_string(path)?.lines().skip(1) {
        let mut parts = line.split('\t');
        let mut next = || parts.next().ok_or(format!("a short line: {line}"));
        let (query, document, grade): (usize, u64, f32) = (next()?.parse()?, next()?.parse()?, next()?.parse()?);
        right[query].insert(document, grade);
    }
    Ok(right)
}

/// nDCG@10 of scores over all documents.
pub(crate) fn judge(scores: &[f32], right: &BTreeMap<u64, f32>) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let by_score = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
    order.select_nth_unstable_by(10, by_score);
    order.truncate(10);
    order.sort_by(by_score);
    let grade = |at: &usize| right.get(&(*at as u64)).copied().unwrap_or(0.0);
    let (ranked, grades): (Vec<f32>, Vec<f32>) = (order.iter().map(grade).collect(), right.values().copied().collect());
    ndcg10(&ranked, &grades)
}

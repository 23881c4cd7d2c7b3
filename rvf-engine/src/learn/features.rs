//! What the re-ranker sees of a candidate: its similarity, and what a memory says of it.

use super::math::dot;
use super::memory::{Evidence, Recalled};

/// Numbers that stand for a candidate.
pub const FEATURES: usize = 17;
/// Which of them tells that it was chosen before.
pub(super) const WAS_CHOSEN: usize = 5;
/// Which of them tells how often.
pub(super) const HOW_OFTEN: usize = 4;

/// Numbers of one candidate.
pub type Row = [f32; FEATURES];

/// A result that may be moved.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'v> {
    /// The document.
    pub document: u64,
    /// Its cosine similarity to the query.
    pub similarity: f32,
    /// Its vector, of unit length.
    pub vector: &'v [f32],
}

/// The numbers of all candidates of a query, which has unit length.
pub fn rows(query: &[f32], recalled: &Recalled<'_>, candidates: &[Candidate<'_>]) -> Vec<Row> {
    let known: Vec<Option<Evidence>> =
        candidates.iter().map(|candidate| recalled.evidence(candidate.document)).collect();
    let mut rows: Vec<Row> = candidates
        .iter()
        .zip(&known)
        .map(|(candidate, evidence)| alone(query, recalled, candidate, evidence.as_ref()))
        .collect();
    beside_each_other(&mut rows);
    rows
}

/// The row as it would be if the candidate had never been chosen.
pub fn without_evidence(row: &Row) -> Row {
    let mut without = *row;
    without[1..=7].fill(0.0);
    (without[11], without[12], without[13]) = (0.0, row[0], 0.0);
    without
}

/// What a candidate says by itself.
fn alone(query: &[f32], recalled: &Recalled<'_>, candidate: &Candidate<'_>, evidence: Option<&Evidence>) -> Row {
    let similarity = candidate.similarity;
    let mut row = [0.0; FEATURES];
    row[0] = similarity;
    row[10] = recalled.nearest();
    row[12] = similarity;
    let Some(evidence) = evidence else { return row };
    let [best, second] = evidence.similarities;
    let (sum, count) = (&evidence.sum, evidence.weight.max(f32::MIN_POSITIVE));
    let length = dot(sum, sum).sqrt();
    row[1] = best;
    row[2] = second;
    row[3] = if length > 0.0 { dot(sum, query) / length } else { 0.0 };
    row[HOW_OFTEN] = count / (1.0 + count);
    row[WAS_CHOSEN] = 1.0;
    row[6] = 1.0 / (1.0 + evidence.nearer as f32);
    row[7] = (best - 0.6).max(0.0);
    row[11] = (best - 0.8).max(0.0);
    // Rocchio (1971), of the document: its vector moved by the mean of the queries that chose it.
    let moved = (1.0 + 2.0 * dot(sum, candidate.vector) / count + length * length / (count * count)).max(0.0).sqrt();
    row[12] = if moved > 0.0 { (similarity + dot(sum, query) / count) / moved } else { similarity };
    row[13] = dot(recalled.memory().query(evidence.nearest), candidate.vector);
    row
}

/// What it is beside the others.
fn beside_each_other(rows: &mut [Row]) {
    let top = rows.iter().map(|row| row[0]).fold(f32::NEG_INFINITY, f32::max);
    let new = rows.iter().filter(|row| row[WAS_CHOSEN] == 0.0).map(|row| row[0]).fold(f32::NEG_INFINITY, f32::max);
    let (mut first, mut second) = (0f32, 0f32);
    for row in rows.iter() {
        second = second.max(row[1].min(first));
        first = first.max(row[1]);
    }
    let share = rows.iter().map(|row| row[WAS_CHOSEN]).sum::<f32>() / rows.len().max(1) as f32;
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|a, b| rows[*b][0].total_cmp(&rows[*a][0]));
    for (rank, at) in order.into_iter().enumerate() {
        let row = &mut rows[at];
        row[8] = row[0] - top;
        row[9] = 1.0 / (1.0 + rank as f32);
        row[14] = row[1] - if row[1] >= first { second } else { first };
        row[15] = row[0] - if new.is_finite() { new } else { 0.0 };
        row[16] = share;
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::{Choice, Memory};
    use super::*;

    #[test]
    fn a_candidate_that_was_never_chosen_has_no_evidence() {
        let mut memory = Memory::new(2);
        memory.push(&[1.0, 0.0], &[Choice { document: 1, grade: 1.0 }]);
        let query = [0.6, 0.8];
        let recalled = memory.recall(&query, None);
        let candidate =
            |document, vector: &'static [f32; 2]| Candidate { document, similarity: dot(&query, vector), vector };
        let found = rows(&query, &recalled, &[candidate(1, &[1.0, 0.0]), candidate(2, &[0.0, 1.0])]);
        assert_eq!([found[0][WAS_CHOSEN], found[1][WAS_CHOSEN]], [1.0, 0.0]);
        assert_eq!((found[0][1], found[0][6], found[0][13]), (0.6, 1.0, 1.0));
        // The document and the query that chose it are one: moved, it stays where it is.
        assert!((found[0][12] - 0.6).abs() < 1e-6);
        assert_eq!((found[0][9], found[1][9], found[1][8]), (0.5, 1.0, 0.0));
        assert_eq!((found[0][14], found[1][14]), (0.6, -0.6));
        assert!(found[1][1..5].iter().all(|x| *x == 0.0), "{:?}", found[1]);
        assert!(rows(&query, &recalled, &[]).is_empty());
    }
}

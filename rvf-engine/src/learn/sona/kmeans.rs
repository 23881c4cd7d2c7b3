//! [`kmeans`]: vectors in groups of like direction.

use super::super::math::{dot, normalise};
use super::low_rank::add;
use crate::random::Random;

/// Least squared distance of a vector that may become a seed: below it lie rounding errors.
const LEAST: f64 = 1e-6;

/// Groups of vectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clusters {
    /// Of unit length, one after another.
    pub centroids: Vec<f32>,
    /// By vector: its centroid.
    pub of: Vec<usize>,
}

/// K-means over directions, with the seeds of k-means++ (Arthur and Vassilvitskii 2007, section 2.2).
///
/// `vectors` have unit length and stand one after another. The first seed is drawn evenly, each further one with a probability in proportion
/// to its squared distance to the nearest seed, 2 - 2 cos. Then come at most `rounds` of Lloyd's steps, whose means are brought to unit length
/// (spherical k-means, Dhillon and Modha 2001, section 3), until none changes its group. There are fewer than `count` groups where there
/// are fewer different vectors.
pub fn kmeans(vectors: &[f32], dimension: usize, count: usize, rounds: usize, seed: u64) -> Clusters {
    let rows: Vec<&[f32]> = vectors.chunks_exact(dimension.max(1)).collect();
    let mut clusters = Clusters { centroids: seeds(&rows, count, seed), of: vec![0; rows.len()] };
    if clusters.centroids.is_empty() {
        return Clusters::default();
    }
    let mut is_settled = assign(&rows, &mut clusters);
    for _ in 0..rounds {
        if is_settled {
            break;
        }
        let mut sums = vec![0.0; clusters.centroids.len()];
        for (row, group) in rows.iter().zip(&clusters.of) {
            add(1.0, row, &mut sums[group * dimension..(group + 1) * dimension]);
        }
        for (sum, centroid) in sums.chunks_exact_mut(dimension).zip(clusters.centroids.chunks_exact_mut(dimension)) {
            // An empty group keeps its centroid.
            if sum.iter().any(|x| *x != 0.0) {
                normalise(sum);
                centroid.copy_from_slice(sum);
            }
        }
        is_settled = assign(&rows, &mut clusters);
    }
    clusters
}

fn seeds(rows: &[&[f32]], count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let mut centroids = Vec::new();
    let mut distances = vec![f64::INFINITY; rows.len()];
    let mut next = (!rows.is_empty() && count > 0).then(|| random.below(rows.len()));
    for _ in 0..count {
        let Some(seed) = next.and_then(|at| rows.get(at)) else { break };
        centroids.extend_from_slice(seed);
        for (distance, row) in distances.iter_mut().zip(rows) {
            *distance = distance.min((2.0 - 2.0 * f64::from(dot(row, seed))).max(0.0));
        }
        next = draw(&distances, &mut random);
    }
    centroids
}

/// A place with a probability in proportion to its weight.
fn draw(weights: &[f64], random: &mut Random) -> Option<usize> {
    const STEPS: usize = 1 << 52;
    let mut left = weights.iter().sum::<f64>() * (random.below(STEPS) as f64 / STEPS as f64);
    let mut last = None;
    for (at, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > LEAST) {
        last = Some(at);
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    last
}

/// Puts each vector with its most similar centroid; whether all were there already.
fn assign(rows: &[&[f32]], clusters: &mut Clusters) -> bool {
    let mut is_settled = true;
    for (row, group) in rows.iter().zip(&mut clusters.of) {
        let similarity = |centroid: &[f32]| dot(centroid, row);
        let all = clusters.centroids.chunks_exact(row.len()).map(similarity).enumerate();
        // Of equal ones the first.
        let best = all.fold((0, f32::NEG_INFINITY), |best, one| if one.1 > best.1 { one } else { best }).0;
        is_settled &= best == *group;
        *group = best;
    }
    is_settled
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four bundles of ten vectors each, around the axes.
    fn bundles() -> Vec<f32> {
        let mut random = Random(3);
        let mut all = Vec::new();
        for at in 0..40 {
            let mut row: Vec<f32> = (0..8).map(|_| random.below(1000) as f32 / 5000.0 - 0.1).collect();
            row[at % 4] += 1.0;
            normalise(&mut row);
            all.extend(row);
        }
        all
    }

    /// Catches seeds that are drawn evenly: of four, two would fall into one bundle in 9 of 10 cases, and few of these are mended.
    #[test]
    fn bundles_are_found() {
        let all = bundles();
        for seed in 0..20 {
            let found = kmeans(&all, 8, 4, 20, seed);
            let mut groups: Vec<usize> = found.of[..4].to_vec();
            groups.sort_unstable();
            assert_eq!(groups, [0, 1, 2, 3], "{seed}");
            assert!((0..40).all(|at| found.of[at] == found.of[at % 4]), "{seed}: {:?}", found.of);
            let centroid = &found.centroids[found.of[0] * 8..][..8];
            assert!((dot(centroid, centroid) - 1.0).abs() < 1e-5 && centroid[0] > 0.95);
        }
        assert_eq!(kmeans(&all, 8, 4, 20, 1), kmeans(&all, 8, 4, 20, 1));
    }

    #[test]
    fn there_are_no_more_groups_than_different_vectors() {
        let all = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0];
        let found = kmeans(&all, 2, 5, 5, 1);
        assert_eq!((found.centroids.len(), found.of[0] == found.of[1], found.of[0] == found.of[2]), (4, true, false));
        assert_eq!(kmeans(&[], 2, 3, 5, 1), Clusters::default());
        assert_eq!((kmeans(&all, 2, 0, 5, 1), kmeans(&all, 0, 0, 5, 1)), (Clusters::default(), Clusters::default()));
    }
}

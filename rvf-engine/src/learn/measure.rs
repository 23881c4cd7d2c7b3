//! How good an order of results is, and whether one is better than another.

use crate::random::Random;

/// Results that count: the 10 of nDCG@10.
pub const DEPTH: usize = 10;

/// nDCG@10 (Järvelin and Kekäläinen 2002): gains of the first ten results, each divided by log2 of its place plus one, over those of the
/// best order of everything that is right, `grades`. 0 where nothing is right.
///
/// `ranked` are the grades of the results in their order, 0 for what is not right.
pub fn ndcg10(ranked: &[f32], grades: &[f32]) -> f64 {
    let gain = |grades: &mut dyn Iterator<Item = f32>| -> f64 {
        (2..).zip(grades.take(DEPTH)).map(|(place, grade)| f64::from(grade) / f64::from(place as f32).log2()).sum()
    };
    let mut best = grades.to_vec();
    best.sort_by(|a, b| b.total_cmp(a));
    let ideal = gain(&mut best.into_iter());
    if ideal > 0.0 { gain(&mut ranked.iter().copied()) / ideal } else { 0.0 }
}

/// A mean with an interval that holds the true one in 95 of 100 cases.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interval {
    /// The mean of what was measured.
    pub mean: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Means that are drawn for an interval.
const DRAWS: usize = 2000;

/// The paired bootstrap (Efron 1979; for retrieval Sakai 2006): the mean of differences, one a query, and the 2.5th and 97.5th of a hundred
/// means of as many differences drawn with replacement. All 0 where nothing was measured.
pub fn bootstrap(differences: &[f64], seed: u64) -> Interval {
    if differences.is_empty() {
        return Interval::default();
    }
    let mut random = Random(seed);
    let count = differences.len();
    let mut means: Vec<f64> =
        (0..DRAWS).map(|_| (0..count).map(|_| differences[random.below(count)]).sum::<f64>() / count as f64).collect();
    means.sort_by(f64::total_cmp);
    let mean = differences.iter().sum::<f64>() / count as f64;
    Interval { mean, low: means[DRAWS / 40], high: means[DRAWS - 1 - DRAWS / 40] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measure_is_that_of_its_definition() {
        assert_eq!(ndcg10(&[1.0, 0.0], &[1.0]), 1.0);
        assert!((ndcg10(&[0.0, 1.0], &[1.0]) - 1.0 / 3f64.log2()).abs() < 1e-12);
        // Two right ones, found first and third.
        let right = (1.0 + 0.5) / (1.0 + 1.0 / 3f64.log2());
        assert!((ndcg10(&[1.0, 0.0, 1.0], &[1.0, 1.0]) - right).abs() < 1e-12);
        let mut late = [0.0; 12];
        late[10] = 1.0;
        assert_eq!((ndcg10(&late, &[1.0]), ndcg10(&[1.0], &[])), (0.0, 0.0));
        // More right ones than places: the best order fills all ten.
        assert_eq!(ndcg10(&[1.0; 10], &[1.0; 30]), 1.0);
    }

    #[test]
    fn intervals_hold_the_mean_as_often_as_they_say() {
        let mut random = Random(3);
        let mut held = 0;
        for round in 0..200 {
            let sample: Vec<f64> = (0..60).map(|_| random.below(1000) as f64 / 999.0 - 0.5).collect();
            let Interval { mean, low, high } = bootstrap(&sample, round);
            assert!(low <= mean && mean <= high);
            held += usize::from(low <= 0.0 && 0.0 <= high);
        }
        assert!((178..=199).contains(&held), "{held} of 200");
        assert_eq!(bootstrap(&[], 1), Interval::default());
        assert_eq!(bootstrap(&[0.25; 9], 1), Interval { mean: 0.25, low: 0.25, high: 0.25 });
    }
}

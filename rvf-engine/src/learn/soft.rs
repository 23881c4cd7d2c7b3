//! [`SoftNeighbours`]: nearest neighbours by degrees, so that a loss of what is found has a slope in the query.

use super::math::{dot, exp};

/// The mean of candidates, weighted by how near they are to a query: soft nearest neighbours at a temperature (Plötz and Roth 2018, section
/// 3; one step of their relaxation). At a low temperature all weight falls on the nearest one.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftNeighbours {
    /// Of each candidate, softmax(similarity / temperature); they sum to 1.
    pub weights: Vec<f32>,
    /// The weighted mean of the candidates' vectors, which in general has not unit length.
    pub vector: Vec<f32>,
    temperature: f32,
}

impl SoftNeighbours {
    /// Of the cosine similarities of some candidates to a query, and their vectors, one after another, of `dimension` elements each.
    ///
    /// `None` where there are no candidates, the temperature is not above 0, something is not finite, or lengths do not match.
    pub fn new(similarities: &[f32], vectors: &[f32], dimension: usize, temperature: f32) -> Option<Self> {
        let are_finite = similarities.iter().chain(vectors).all(|x| x.is_finite());
        let is_whole = similarities.len().checked_mul(dimension) == Some(vectors.len());
        let has_temperature = temperature.is_finite() && temperature > 0.0;
        if similarities.is_empty() || dimension == 0 || !(are_finite && is_whole && has_temperature) {
            return None;
        }
        let top = similarities.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut weights: Vec<f32> =
            similarities.iter().map(|similarity| exp((similarity - top) / temperature)).collect();
        let sum: f32 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        let mut vector = vec![0.0; dimension];
        for (weight, candidate) in weights.iter().zip(vectors.chunks_exact(dimension)) {
            vector.iter_mut().zip(candidate).for_each(|(x, y)| *x += weight * y);
        }
        let is_finite = vector.iter().all(|x| x.is_finite());
        is_finite.then_some(Self { weights, vector, temperature })
    }

    /// The slope of a loss in the query, told its slope in the soft vector; exact, through the similarities, which are those of unit vectors
    /// `vectors` to the query brought to unit length: how the query is brought there is included, so that the slope is at right angles to it.
    /// `query` may have any length but 0.
    ///
    /// With s_i = v_i . q / |q| and w = softmax(s / T): dL/ds_i = w_i (v_i - v) . g / T, g the slope in the soft vector v;
    /// dL/dq = sum of dL/ds_i (v_i - s_i q / |q|) / |q|.
    ///
    /// `None` where lengths do not match, the query has length 0, or something is not finite.
    pub fn slope(&self, query: &[f32], vectors: &[f32], of_vector: &[f32]) -> Option<Vec<f32>> {
        let dimension = self.vector.len();
        let length = dot(query, query).sqrt();
        let is_whole = query.len() == dimension
            && of_vector.len() == dimension
            && self.weights.len().checked_mul(dimension) == Some(vectors.len());
        if !is_whole || !length.is_finite() || length <= 0.0 {
            return None;
        }
        let mean = dot(&self.vector, of_vector);
        let mut slope = vec![0.0; dimension];
        for (weight, candidate) in self.weights.iter().zip(vectors.chunks_exact(dimension)) {
            let of_similarity = weight * (dot(candidate, of_vector) - mean) / self.temperature;
            slope.iter_mut().zip(candidate).for_each(|(sum, x)| *sum += of_similarity * x);
        }
        // What would only make the query longer or shorter changes no cosine.
        let along = dot(&slope, query) / (length * length);
        slope.iter_mut().zip(query).for_each(|(x, q)| *x = (*x - along * q) / length);
        slope.iter().all(|x| x.is_finite()).then_some(slope)
    }
}

#[cfg(test)]
mod tests {
    use super::super::math::normalise;
    use super::*;
    use crate::random::Random;

    const DIMENSION: usize = 12;

    fn vectors(count: usize, seed: u64) -> Vec<f32> {
        let mut random = Random(seed);
        let mut vectors: Vec<f32> = (0..count * DIMENSION).map(|_| random.below(2000) as f32 / 1000.0 - 1.0).collect();
        vectors.chunks_exact_mut(DIMENSION).for_each(normalise);
        vectors
    }

    fn similarities(query: &[f32], vectors: &[f32]) -> Vec<f32> {
        let length = dot(query, query).sqrt();
        vectors.chunks_exact(DIMENSION).map(|vector| dot(vector, query) / length).collect()
    }

    fn soft(query: &[f32], vectors: &[f32], temperature: f32) -> SoftNeighbours {
        SoftNeighbours::new(&similarities(query, vectors), vectors, DIMENSION, temperature).unwrap()
    }

    /// Catches a slope that leaves out the mean, the temperature, or how the query is brought to unit length.
    #[test]
    fn slopes_are_those_of_finite_differences() {
        let vectors = vectors(9, 1);
        let target = &vectors[4 * DIMENSION..5 * DIMENSION];
        for (length, temperature) in [(1.0f32, 0.3), (2.5, 0.5), (0.4, 1.0)] {
            let mut query = self::vectors(1, 7);
            query.iter_mut().for_each(|x| *x *= length);
            // Half the squared distance to a vector.
            let loss = |query: &[f32]| -> f64 {
                let found = soft(query, &vectors, temperature);
                found.vector.iter().zip(target).map(|(x, y)| 0.5 * f64::from(x - y).powi(2)).sum()
            };
            let found = soft(&query, &vectors, temperature);
            let of_vector: Vec<f32> = found.vector.iter().zip(target).map(|(x, y)| x - y).collect();
            let slope = found.slope(&query, &vectors, &of_vector).unwrap();
            assert!(slope.iter().any(|x| x.abs() > 0.02) && dot(&slope, &query).abs() < 1e-5, "{slope:?}");
            for at in 0..DIMENSION {
                let moved = |by: f32| {
                    let mut query = query.clone();
                    query[at] += by * length;
                    loss(&query)
                };
                let step = 1e-2;
                let difference = |step: f32| moved(step) - moved(-step);
                let by_difference =
                    ((8.0 * difference(step) - difference(2.0 * step)) / f64::from(12.0 * step * length)) as f32;
                assert!((by_difference - slope[at]).abs() < 2e-4, "{temperature} {at}: {by_difference} {}", slope[at]);
            }
        }
    }

    #[test]
    fn a_low_temperature_takes_the_nearest_and_a_high_one_the_mean() {
        let vectors = vectors(5, 2);
        let query = &vectors[2 * DIMENSION..3 * DIMENSION];
        let cold = soft(query, &vectors, 1e-3);
        assert!(cold.weights[2] > 0.9999 && cold.vector.iter().zip(query).all(|(x, y)| (x - y).abs() < 1e-3));
        let hot = soft(query, &vectors, 1e4);
        assert!(hot.weights.iter().all(|weight| (weight - 0.2).abs() < 1e-3));
        assert!((soft(query, &vectors, 0.1).weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn what_has_no_answer_is_refused() {
        let vectors = vectors(3, 3);
        let new = |similarities: &[f32], temperature| {
            SoftNeighbours::new(similarities, &vectors, DIMENSION, temperature).is_some()
        };
        assert!(new(&[0.1, 0.2, 0.3], 0.5) && !new(&[0.1, 0.2], 0.5) && !new(&[], 0.5));
        for temperature in [0.0, -0.1, f32::NAN, f32::INFINITY] {
            assert!(!new(&[0.1, 0.2, 0.3], temperature), "{temperature}");
        }
        assert!(!new(&[0.1, f32::NAN, 0.3], 0.5));
        assert!(SoftNeighbours::new(&[0.1], &[f32::INFINITY], 1, 0.5).is_none());
        assert!(SoftNeighbours::new(&[0.1], &[], 0, 0.5).is_none());
        let found = soft(&vectors[..DIMENSION], &vectors, 0.5);
        let slope = |query: &[f32], of_vector: &[f32]| found.slope(query, &vectors, of_vector).is_some();
        let one = [1.0; DIMENSION];
        assert!(slope(&one, &one) && !slope(&[0.0; DIMENSION], &one) && !slope(&one[1..], &one));
        assert!(
            !slope(&one, &one[1..]) && !slope(&one, &[f32::NAN; DIMENSION]) && !slope(&[f32::NAN; DIMENSION], &one)
        );
        assert!(found.slope(&one, &vectors[1..], &one).is_none());
    }
}

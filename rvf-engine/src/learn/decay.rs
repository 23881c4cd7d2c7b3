//! What counts less with time, and what the edges of a new vector weigh; the age comes in as a value.

use super::math::exp;

/// How much something of an age still counts: 2^(-age / half-life), 1 at once, 0.5 after one half-life, and 0 once it is below 1e-37. Both in
/// seconds. Without a half-life, or with one of 0, nothing fades.
///
/// The age in half-lives is split into whole ones, which halve exactly, and a rest, so that whole half-lives give exact powers of two.
pub fn decay(age: u64, half_life: Option<u64>) -> f32 {
    let Some(half_life) = half_life.filter(|half_life| *half_life > 0) else { return 1.0 };
    let (whole, rest) = (age / half_life, age % half_life);
    // Halved 123 times it is 1e-37; below that numbers lose digits.
    if whole > 122 {
        return 0.0;
    }
    let part = (rest as f64 / half_life as f64) as f32;
    // Rounded, it must not fall below what the next whole half-life leaves.
    let halved = exp(-part * std::f32::consts::LN_2).max(0.5);
    (0..whole).fold(halved, |left, _| left * 0.5)
}

/// The time between a moment and a later one, in seconds; 0 where clocks ran backwards.
pub fn age(then: u64, now: u64) -> u64 {
    now.saturating_sub(then)
}

/// A neighbour of a new vector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Neighbour {
    /// Cosine similarity to the new vector.
    pub similarity: f32,
    /// Its edges to other neighbours of the new vector: their places in the list, and what those edges weigh.
    pub shared: Vec<(usize, f32)>,
}

/// How the edges of a new vector are weighed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewEdges {
    /// Temperature of the softmax of similarities; above 0.
    pub temperature: f32,
    /// How much of a weight comes from its neighbours in a step: from 0 to 1.
    pub share: f32,
    /// Steps of refinement.
    pub steps: usize,
}

impl Default for NewEdges {
    fn default() -> Self {
        Self { temperature: 0.1, share: 0.5, steps: 3 }
    }
}

/// What the edges of a new vector to its neighbours weigh, so that it can be used before anything was learned about it: not negative, with a
/// sum of 1; empty without neighbours.
///
/// ```text
/// w0_i     = softmax(similarity_i / temperature)
/// support_i = sum over shared edges (i, j) of w_ij w_j / sum over them of w_ij      (w_i itself where there are none)
/// w_i      <- (1 - share) w0_i + share support_i,   then brought to a sum of 1;     `steps` times
/// ```
/// A neighbour that is linked to other near ones gains, one that is near by itself loses: local and global consistency (Zhou et al. 2004,
/// section 2) on the graph of the neighbours, cut off after a few steps, with rows of weights that sum to 1 instead of the symmetric form.
///
/// `None` where a number is not finite, a place is out of range or its own, a weight is below 0, the temperature is not above 0, or the share
/// is not from 0 to 1.
pub fn new_edges(neighbours: &[Neighbour], how: &NewEdges) -> Option<Vec<f32>> {
    let is_sound = |(at, neighbour): (usize, &Neighbour)| {
        let are_sound =
            |(to, weight): &(usize, f32)| *to < neighbours.len() && *to != at && weight.is_finite() && *weight >= 0.0;
        neighbour.similarity.is_finite() && neighbour.shared.iter().all(are_sound)
    };
    let has_temperature = how.temperature.is_finite() && how.temperature > 0.0;
    if !has_temperature || !(0.0..=1.0).contains(&how.share) || !neighbours.iter().enumerate().all(is_sound) {
        return None;
    }
    let top = neighbours.iter().map(|neighbour| neighbour.similarity).fold(f32::NEG_INFINITY, f32::max);
    let power = |neighbour: &Neighbour| exp((neighbour.similarity - top) / how.temperature);
    let mut first: Vec<f32> = neighbours.iter().map(power).collect();
    share_out(&mut first);
    let mut weights = first.clone();
    for _ in 0..how.steps {
        let mut next: Vec<f32> = (0..weights.len())
            .map(|at| (1.0 - how.share) * first[at] + how.share * support(at, &neighbours[at], &weights))
            .collect();
        share_out(&mut next);
        weights = next;
    }
    weights.iter().all(|weight| weight.is_finite()).then_some(weights)
}

/// The mean weight of those that a neighbour shares edges with.
fn support(at: usize, neighbour: &Neighbour, weights: &[f32]) -> f32 {
    // In binary64 no sum of weights overflows.
    let total: f64 = neighbour.shared.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let sum: f64 = neighbour.shared.iter().map(|(to, weight)| f64::from(*weight) * f64::from(weights[*to])).sum();
    if total > 0.0 { (sum / total) as f32 } else { weights[at] }
}

/// Brings weights to a sum of 1.
fn share_out(weights: &mut [f32]) {
    let sum: f32 = weights.iter().sum();
    if sum > 0.0 {
        weights.iter_mut().for_each(|weight| *weight /= sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a decay that is not by halves, and one that ends in the range of small numbers where digits are lost.
    #[test]
    fn half_is_left_after_a_half_life() {
        assert_eq!((decay(0, Some(60)), decay(60, Some(60)), decay(600, Some(60))), (1.0, 0.5, 0.5f32.powi(10)));
        for age in [1, 17, 59, 61, 200, 4000] {
            let right = 2f64.powf(-(age as f64) / 60.0);
            let found = f64::from(decay(age, Some(60)));
            assert!((found - right).abs() <= 3e-7 * right, "{age}: {found} {right}");
            assert!(decay(age, Some(60)) <= decay(age - 1, Some(60)));
        }
        assert!(decay(122 * 60, Some(60)) > 1e-37);
        assert_eq!((decay(123 * 60, Some(60)), decay(u64::MAX, Some(1))), (0.0, 0.0));
        assert_eq!((decay(u64::MAX, None), decay(u64::MAX, Some(0)), decay(u64::MAX, Some(u64::MAX))), (1.0, 1.0, 0.5));
        assert_eq!((age(5, 9), age(9, 5)), (4, 0));
    }

    fn neighbour(similarity: f32, shared: &[(usize, f32)]) -> Neighbour {
        Neighbour { similarity, shared: shared.to_vec() }
    }

    /// Catches a refinement that does nothing, one that takes from the linked, and weights that do not sum to 1.
    #[test]
    fn those_linked_to_other_near_ones_gain() {
        let alike = [
            neighbour(0.6, &[(1, 1.0)]),
            neighbour(0.7, &[(0, 1.0)]),
            neighbour(0.6, &[(3, 1.0)]),
            neighbour(0.2, &[(2, 1.0)]),
        ];
        let how = NewEdges::default();
        let of = |steps| new_edges(&alike, &NewEdges { steps, ..how }).unwrap();
        let (start, refined) = (of(0), of(3));
        assert!(start[0] == start[2] && start[1] > start[0] && start[3] < 0.01, "{start:?}");
        // 0 and 2 are equally near; 0 is linked to the nearest, 2 to one that is far.
        assert!(refined[0] > start[0] && refined[2] < start[2], "{start:?} {refined:?}");
        for weights in [&start, &refined] {
            assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6 && weights.iter().all(|weight| *weight >= 0.0));
        }
        // One step by hand, with weights of edges that differ.
        let three = [neighbour(0.5, &[(1, 3.0), (2, 1.0)]), neighbour(0.5, &[]), neighbour(0.4, &[])];
        let how = NewEdges { temperature: 0.1, share: 0.25, steps: 1 };
        let start = new_edges(&three, &NewEdges { steps: 0, ..how }).unwrap();
        let found = new_edges(&three, &how).unwrap();
        let raw = [0.75 * start[0] + 0.25 * (3.0 * start[1] + start[2]) / 4.0, start[1], start[2]];
        let sum: f32 = raw.iter().sum();
        assert!(found.iter().zip(raw).all(|(found, raw)| (found - raw / sum).abs() < 1e-6), "{found:?} {raw:?}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let how = NewEdges::default();
        let two = |shared: &[(usize, f32)]| [neighbour(0.6, shared), neighbour(0.7, &[])];
        assert!(new_edges(&two(&[(1, 1.0)]), &how).is_some());
        assert_eq!(new_edges(&[], &how), Some(Vec::new()));
        for shared in [(2, 1.0), (0, 1.0), (1, -1.0), (1, f32::NAN), (1, f32::INFINITY)] {
            assert!(new_edges(&two(&[shared]), &how).is_none(), "{shared:?}");
        }
        assert!(new_edges(&[neighbour(f32::NAN, &[])], &how).is_none());
        for how in [
            NewEdges { temperature: 0.0, ..how },
            NewEdges { temperature: f32::NAN, ..how },
            NewEdges { share: 1.5, ..how },
            NewEdges { share: f32::NAN, ..how },
        ] {
            assert!(new_edges(&two(&[]), &how).is_none(), "{how:?}");
        }
        let sum = new_edges(&two(&[(1, f32::MAX), (1, f32::MAX)]), &how).unwrap().iter().sum::<f32>();
        assert!((sum - 1.0).abs() < 1e-6);
    }
}

//! [`Bank`]: patterns of past queries, found by k-means++.

use super::super::math::{dot, normalise};
use super::super::memory::Choice;
use super::super::tensors::Tensors;
use super::kmeans::kmeans;
use super::low_rank::add;
use super::pattern::Pattern;

/// Patterns at least this similar are one.
const NEAR: f32 = 0.9;
/// Lloyd's steps.
const ROUNDS: usize = 10;

/// Patterns of past queries: a centroid each, what was chosen, and how far it is to be trusted.
///
/// The time comes in as a number, in the unit of the half-life. A bank holds `capacity` patterns at most; those go first that are trusted least.
#[derive(Clone, Debug, PartialEq)]
pub struct Bank {
    dimension: usize,
    capacity: usize,
    half_life: f64,
    /// Of unit length, one after another.
    centroids: Vec<f32>,
    patterns: Vec<Pattern>,
}

/// A pattern that a query finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FoundPattern {
    /// Its place in the bank.
    pub pattern: usize,
    /// The similarity of the query and its centroid.
    pub similarity: f32,
    /// How far it is to be trusted by now.
    pub confidence: f32,
}

impl Bank {
    /// An empty bank.
    pub fn new(dimension: usize, capacity: usize, half_life: f64) -> Self {
        Self { dimension, capacity, half_life, centroids: Vec::new(), patterns: Vec::new() }
    }

    /// Elements of a query.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Its patterns.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The centroid of a pattern, of unit length; empty where there is none.
    pub fn centroid(&self, pattern: usize) -> &[f32] {
        self.centroids.get(pattern * self.dimension..(pattern + 1) * self.dimension).unwrap_or_default()
    }

    /// Finds `count` patterns at most in past queries and what was chosen for each, and takes them in: one that is near a known pattern is
    /// merged with it. Queries of another dimension, that are not finite or have no direction are left out; how many were not.
    pub fn learn(&mut self, queries: &[(&[f32], &[Choice])], count: usize, now: f64, seed: u64) -> usize {
        if self.dimension == 0 || !now.is_finite() {
            return 0;
        }
        let (mut vectors, mut chosen) = (Vec::new(), Vec::new());
        for (query, of) in queries.iter().filter(|(query, _)| query.len() == self.dimension) {
            let mut query = query.to_vec();
            normalise(&mut query);
            let square = dot(&query, &query);
            if (0.9..1.1).contains(&square) {
                vectors.extend(query);
                chosen.push(*of);
            }
        }
        let clusters = kmeans(&vectors, self.dimension, count, ROUNDS, seed);
        let mut members: Vec<Vec<&[Choice]>> = vec![Vec::new(); clusters.centroids.len() / self.dimension];
        for (group, chosen) in clusters.of.iter().zip(&chosen) {
            members[*group].push(chosen);
        }
        for (centroid, members) in clusters.centroids.chunks_exact(self.dimension).zip(&members) {
            if !members.is_empty() {
                self.insert(centroid.to_vec(), Pattern::of(members, now), now);
            }
        }
        chosen.len()
    }

    /// The `count` patterns whose centroids are most similar to a query of unit length, the most similar first. None for a query of another
    /// dimension or that is not finite.
    pub fn find(&self, query: &[f32], count: usize, now: f64) -> Vec<FoundPattern> {
        if query.len() != self.dimension || self.dimension == 0 || !query.iter().all(|x| x.is_finite()) {
            return Vec::new();
        }
        let mut best: Vec<(f32, usize)> = Vec::with_capacity(count.min(self.patterns.len()) + 1);
        for (at, centroid) in self.centroids.chunks_exact(self.dimension).enumerate() {
            let similarity = dot(centroid, query);
            if best.len() == count && best.last().is_none_or(|last| similarity <= last.0) {
                continue;
            }
            best.truncate(count.saturating_sub(1));
            best.insert(best.partition_point(|one| one.0 >= similarity), (similarity, at));
        }
        let found = |(similarity, pattern): (f32, usize)| {
            let confidence = self.patterns.get(pattern).map_or(0.0, |of| of.confidence(now, self.half_life));
            FoundPattern { pattern, similarity, confidence }
        };
        best.into_iter().map(found).collect()
    }

    /// Takes note that a pattern was used, and whether what it told was right. `false` where there is none, or the time is none.
    pub fn used(&mut self, pattern: usize, is_right: bool, now: f64) -> bool {
        let Some(pattern) = self.patterns.get_mut(pattern).filter(|_| now.is_finite()) else { return false };
        pattern.decay(now, self.half_life);
        pattern.count += 1.0;
        pattern.right += f32::from(u8::from(is_right));
        true
    }

    fn insert(&mut self, mut centroid: Vec<f32>, mut pattern: Pattern, now: f64) {
        // Merged, it may have come near another one.
        while let Some(near) = self.find(&centroid, 1, now).first().filter(|near| near.similarity >= NEAR).copied() {
            let (other_centroid, mut other) = self.remove(near.pattern);
            other.decay(now, self.half_life);
            centroid.iter_mut().for_each(|x| *x *= pattern.count);
            add(other.count, &other_centroid, &mut centroid);
            normalise(&mut centroid);
            pattern.merge(&other);
        }
        self.centroids.extend(centroid);
        self.patterns.push(pattern);
        if self.patterns.len() > self.capacity {
            self.evict(now);
        }
    }

    /// Lets go of the pattern that is trusted least; of equal ones, of that which was not used for longest.
    fn evict(&mut self, now: f64) {
        let worth = |pattern: &Pattern| (pattern.confidence(now, self.half_life), pattern.last);
        let worths = self.patterns.iter().map(worth).enumerate();
        let least = worths.min_by(|(_, a), (_, b)| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        if let Some((at, _)) = least {
            self.remove(at);
        }
    }

    /// Takes a pattern out; those after it move up.
    fn remove(&mut self, at: usize) -> (Vec<f32>, Pattern) {
        let centroid = self.centroids.drain(at * self.dimension..(at + 1) * self.dimension).collect();
        (centroid, self.patterns.remove(at))
    }

    /// All of it. `sona.bank.centroids` `[patterns, dimension]`; `sona.bank.evidence` `[patterns, 4]`: right, count, and when it was last used,
    /// as a sum of two; `sona.bank.chosen` `[choices, 6]`: the pattern, the document in four parts of 16 bits, the lowest first, the grade;
    /// `sona.bank.limits` `[3]`: the capacity, and the half-life as a sum of two.
    pub fn to_tensors(&self) -> Tensors {
        let mut tensors = Tensors::default();
        let count = self.patterns.len();
        let (mut evidence, mut chosen) = (Vec::new(), Vec::new());
        for (at, pattern) in self.patterns.iter().enumerate() {
            let [high, low] = halves(pattern.last);
            evidence.extend([pattern.right, pattern.count, high, low]);
            for choice in &pattern.chosen {
                let part = |shift: u32| f32::from((choice.document >> shift) as u16);
                chosen.extend([at as f32, part(0), part(16), part(32), part(48), choice.grade]);
            }
        }
        let [high, low] = halves(self.half_life);
        tensors.put("sona.bank.centroids", &[count, self.dimension], self.centroids.clone());
        tensors.put("sona.bank.evidence", &[count, 4], evidence);
        tensors.put("sona.bank.chosen", &[chosen.len() / 6, 6], chosen);
        tensors.put("sona.bank.limits", &[3], vec![self.capacity as f32, high, low]);
        tensors
    }

    /// One from [`Self::to_tensors`]; `None` where that is not of queries of this dimension, or a part is missing or out of bounds.
    pub fn from_tensors(tensors: &Tensors, dimension: usize) -> Option<Self> {
        let count = *tensors.tensor("sona.bank.evidence")?.shape.first()?;
        let choices = *tensors.tensor("sona.bank.chosen")?.shape.first()?;
        let centroids = tensors.get("sona.bank.centroids", &[count, dimension])?.to_vec();
        let pattern = |row: &[f32; 4]| {
            let [right, count, high, low] = *row;
            let is_sound = right >= 0.0 && count >= right;
            is_sound.then(|| Pattern { right, count, last: f64::from(high) + f64::from(low), chosen: Vec::new() })
        };
        let evidence = tensors.get("sona.bank.evidence", &[count, 4])?.as_chunks::<4>().0;
        let mut patterns: Vec<Pattern> = evidence.iter().map(pattern).collect::<Option<_>>()?;
        for [at, parts @ .., grade] in tensors.get("sona.bank.chosen", &[choices, 6])?.as_chunks::<6>().0 {
            let document = parts.iter().rev().fold(0, |document, part| document << 16 | u64::from(*part as u16));
            patterns.get_mut(*at as usize)?.chosen.push(Choice { document, grade: *grade });
        }
        let &[capacity, high, low] = tensors.get("sona.bank.limits", &[3])? else { return None };
        let half_life = f64::from(high) + f64::from(low);
        (capacity >= count as f32).then_some(Self {
            dimension,
            capacity: capacity as usize,
            half_life,
            centroids,
            patterns,
        })
    }
}

/// A number as a sum of two that are kept: exact to 48 bits, finite.
fn halves(x: f64) -> [f32; 2] {
    let x = x.clamp(f64::from(f32::MIN), f64::from(f32::MAX));
    let high = x as f32;
    [high, (x - f64::from(high)) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn choice(document: u64) -> [Choice; 1] {
        [Choice { document, grade: 1.0 }]
    }

    /// A query near an axis.
    fn near(axis: usize, random: &mut Random) -> Vec<f32> {
        let mut query: Vec<f32> = (0..8).map(|_| random.below(1000) as f32 / 10000.0 - 0.05).collect();
        query[axis] += 2.0;
        query
    }

    /// A bank of four patterns, of which the n-th chose n.
    fn bank() -> Bank {
        let mut random = Random(3);
        let queries: Vec<(Vec<f32>, [Choice; 1])> =
            (0..40).map(|at| (near(at % 4, &mut random), choice(at as u64 % 4))).collect();
        let queries: Vec<(&[f32], &[Choice])> = queries.iter().map(|(query, of)| (&**query, &of[..])).collect();
        let mut bank = Bank::new(8, 10, 100.0);
        assert_eq!(bank.learn(&queries, 4, 1000.0, 1), 40);
        bank
    }

    fn axis(at: usize) -> [f32; 8] {
        std::array::from_fn(|element| f32::from(u8::from(element == at)))
    }

    #[test]
    fn patterns_are_found_by_queries_alike() {
        let bank = bank();
        assert_eq!(bank.patterns().len(), 4);
        for at in 0..4 {
            let found = bank.find(&axis(at), 2, 1000.0);
            let pattern = &bank.patterns()[found[0].pattern];
            assert_eq!((found.len(), pattern.chosen[0].document, pattern.count), (2, at as u64, 10.0));
            assert!(found[0].similarity > 0.99 && found[1].similarity < 0.5);
            assert!((found[0].confidence - 10.0 / 12.0).abs() < 1e-6);
            assert!((bank.find(&axis(at), 1, 1100.0)[0].confidence - 5.0 / 7.0).abs() < 1e-6);
        }
        let all: Vec<f32> = bank.find(&axis(0), 9, 0.0).iter().map(|found| found.similarity).collect();
        assert!(all.len() == 4 && all.is_sorted_by(|a, b| a >= b), "{all:?}");
        assert!(bank.find(&axis(0), 0, 0.0).is_empty() && bank.find(&[f32::NAN; 8], 1, 0.0).is_empty());
        assert!(bank.find(&[1.0], 1, 0.0).is_empty() && bank.centroid(4).is_empty());
    }

    /// Catches patterns that pile up, and a merge that loses one side.
    #[test]
    fn near_patterns_are_merged() {
        let mut bank = bank();
        let found = bank.find(&axis(2), 1, 1000.0)[0].pattern;
        let before = bank.centroid(found).to_vec();
        let query = [0.0, 0.0, 1.0, 0.3, 0.0, 0.0, 0.0, 0.0];
        let taken = [(&query[..], &choice(7)[..]), (&query, &choice(7)), (&[1.0], &choice(8)), (&[0.0; 8], &choice(8))];
        assert_eq!((bank.learn(&taken, 3, 1100.0, 1), bank.patterns().len()), (2, 4));
        let found = bank.find(&axis(2), 1, 1100.0)[0].pattern;
        let Pattern { right, count, last, chosen } = &bank.patterns()[found];
        // Ten halved, and two more.
        assert!((right - 7.0).abs() < 1e-5 && (count - 7.0).abs() < 1e-5 && *last == 1100.0);
        assert_eq!(chosen.iter().map(|choice| choice.document).collect::<Vec<_>>(), [2, 7]);
        let centroid = bank.centroid(found);
        let moved = centroid[3] - before[3];
        assert!((0.065..0.1).contains(&moved) && (dot(centroid, centroid) - 1.0).abs() < 1e-5, "{moved}");
    }

    /// Catches a bank that grows, and one that lets go of what is trusted.
    #[test]
    fn what_is_trusted_least_goes_first() {
        let mut bank = bank();
        bank.capacity = 4;
        let [old, wrong] = [1, 3].map(|at| bank.find(&axis(at), 1, 1000.0)[0].pattern);
        (0..4).filter(|at| *at != old).for_each(|at| assert!(bank.used(at, at != wrong, 1300.0)));
        assert!((bank.patterns()[wrong].count - 2.25).abs() < 1e-5 && bank.patterns()[old].count == 10.0);
        assert!(!bank.used(9, true, 1300.0) && !bank.used(0, true, f64::NAN));
        let twice = [(&axis(5)[..], &choice(5)[..]), (&axis(5)[..], &choice(5)[..])];
        bank.learn(&twice, 1, 1300.0, 1);
        let left: Vec<u64> = bank.patterns().iter().map(|pattern| pattern.chosen[0].document).collect();
        assert_eq!((left.len(), left.contains(&5), left.contains(&1)), (4, true, true), "{left:?}");
        // Ten halved three times: 1.25 of 2.25 that were, beside 1.25 of 1.25.
        assert!(!left.contains(&3), "{left:?}");
        bank.used(0, true, 2000.0);
        bank.learn(&[(&axis(6)[..], &choice(6)[..])], 1, 2000.0, 1);
        assert_eq!((bank.patterns().len(), bank.centroids.len()), (4, 32));
    }

    #[test]
    fn it_comes_back_from_its_weights() {
        let mut bank = bank();
        bank.half_life = 86400.0 * 30.5;
        bank.patterns[1].last = 1_795_867_200.123;
        bank.patterns[2].chosen[0].document = u64::MAX - 12345;
        let again = Bank::from_tensors(&bank.to_tensors(), 8).unwrap();
        assert!((again.patterns[1].last - bank.patterns[1].last).abs() < 1e-4);
        bank.patterns[1].last = again.patterns[1].last;
        assert_eq!(again, bank);
        assert!(Bank::from_tensors(&bank.to_tensors(), 7).is_none());
        let mut broken = bank.to_tensors();
        assert!(broken.put("sona.bank.chosen", &[1, 6], vec![9.0, 0.0, 0.0, 0.0, 0.0, 1.0]));
        assert!(Bank::from_tensors(&broken, 8).is_none());
        assert_eq!(Bank::from_tensors(&Bank::new(8, 3, 1.0).to_tensors(), 8), Some(Bank::new(8, 3, 1.0)));
    }
}

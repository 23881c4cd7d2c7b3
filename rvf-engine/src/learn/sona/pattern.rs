//! [`Pattern`]: queries alike, what was chosen for them, and how far that is to be trusted.

use super::super::math::exp;
use super::super::memory::Choice;
use std::collections::BTreeMap;

/// Failures that every pattern is taken to have had: what was seen once or twice is not trusted much.
const DOUBT: f32 = 2.0;
/// Documents of a pattern.
const DOCUMENTS: usize = 32;

/// What is known of queries alike; their centroid is kept beside it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pattern {
    /// Queries that showed that its choices recur, as of `last`: what was chosen for them was chosen for others of the pattern, too.
    pub right: f32,
    /// Queries in all, as of `last`.
    pub count: f32,
    /// When it was last used, in the unit of the half-life.
    pub last: f64,
    /// The documents, the heaviest first: the grade is the mean over its queries.
    pub chosen: Vec<Choice>,
}

impl Pattern {
    /// That of some queries, by what was chosen for each. A query is right where one of its choices was made for another one of them, too: its
    /// own do not speak for it.
    pub(super) fn of(queries: &[&[Choice]], now: f64) -> Self {
        let mut choosers: BTreeMap<u64, Vec<(usize, f32)>> = BTreeMap::new();
        for (at, chosen) in queries.iter().enumerate() {
            for choice in chosen.iter().filter(|choice| choice.grade.is_finite()) {
                let choosers = choosers.entry(choice.document).or_default();
                if choosers.last().is_none_or(|last| last.0 != at) {
                    choosers.push((at, choice.grade));
                }
            }
        }
        let mut is_right = vec![false; queries.len()];
        choosers.values().filter(|all| all.len() > 1).flatten().for_each(|(at, _)| is_right[*at] = true);
        let count = queries.len() as f32;
        let grade = |all: &[(usize, f32)]| all.iter().map(|(_, grade)| grade).sum::<f32>() / count;
        let chosen = choosers.iter().map(|(document, all)| Choice { document: *document, grade: grade(all) });
        let right = is_right.iter().filter(|is_right| **is_right).count() as f32;
        Self { right, count, last: now, chosen: heaviest(chosen.collect()) }
    }

    /// How far it is to be trusted: the share of queries that were right, beside two that were not. Evidence is halved with each half-life, so
    /// confidence falls to 0.
    pub fn confidence(&self, now: f64, half_life: f64) -> f32 {
        let left = self.left(now, half_life);
        left * self.right / (left * self.count + DOUBT)
    }

    /// What is left of evidence after the time since.
    fn left(&self, now: f64, half_life: f64) -> f32 {
        let halves = (now - self.last).max(0.0) / half_life;
        exp(-(halves as f32) * std::f32::consts::LN_2)
    }

    /// Brings the evidence to `now`.
    pub(super) fn decay(&mut self, now: f64, half_life: f64) {
        let left = self.left(now, half_life);
        self.right *= left;
        self.count *= left;
        self.last = self.last.max(now);
    }

    /// Takes over another one, both as of the same time.
    pub(super) fn merge(&mut self, other: &Self) {
        let count = self.count + other.count;
        let share = |own: f32| if count > 0.0 { own / count } else { 0.5 };
        let mut grades: BTreeMap<u64, f32> = BTreeMap::new();
        for (pattern, share) in [(&*self, share(self.count)), (other, share(other.count))] {
            for choice in &pattern.chosen {
                *grades.entry(choice.document).or_default() += share * choice.grade;
            }
        }
        self.chosen = heaviest(grades.into_iter().map(|(document, grade)| Choice { document, grade }).collect());
        self.count = count;
        self.right += other.right;
        self.last = self.last.max(other.last);
    }
}

/// The heaviest choices, the heaviest first.
fn heaviest(mut chosen: Vec<Choice>) -> Vec<Choice> {
    chosen.sort_by(|a, b| b.grade.total_cmp(&a.grade).then(a.document.cmp(&b.document)));
    chosen.truncate(DOCUMENTS);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(document: u64, grade: f32) -> Choice {
        Choice { document, grade }
    }

    /// Catches queries that speak for themselves.
    #[test]
    fn choices_count_where_they_recur() {
        let queries =
            [vec![choice(1, 1.0), choice(2, 0.5)], vec![choice(1, 1.0), choice(1, 1.0)], vec![choice(9, 1.0)]];
        let queries: Vec<&[Choice]> = queries.iter().map(Vec::as_slice).collect();
        let found = Pattern::of(&queries, 5.0);
        assert_eq!((found.right, found.count, found.last), (2.0, 3.0, 5.0));
        assert_eq!(found.chosen, [choice(1, 2.0 / 3.0), choice(9, 1.0 / 3.0), choice(2, 0.5 / 3.0)]);
        assert_eq!(found.confidence(5.0, 10.0), 2.0 / 5.0);
        assert_eq!(Pattern::of(&queries[2..], 5.0).right, 0.0);
    }

    #[test]
    fn confidence_halves_its_evidence_and_merging_adds_it() {
        let mut pattern = Pattern { right: 4.0, count: 8.0, last: 100.0, chosen: vec![choice(1, 1.0)] };
        assert!((pattern.confidence(110.0, 10.0) - 2.0 / 6.0).abs() < 1e-6);
        assert_eq!((pattern.confidence(0.0, 10.0), pattern.confidence(1e9, 10.0)), (0.4, 0.0));
        pattern.decay(120.0, 10.0);
        assert!((pattern.count - 2.0).abs() < 1e-6 && pattern.last == 120.0);
        pattern.merge(&Pattern { right: 3.0, count: 6.0, last: 90.0, chosen: vec![choice(1, 0.2), choice(2, 0.8)] });
        assert!((pattern.count - 8.0).abs() < 1e-6 && (pattern.right - 4.0).abs() < 1e-6 && pattern.last == 120.0);
        let [second, first] = [&pattern.chosen[1], &pattern.chosen[0]];
        assert!(first.document == 2 && (first.grade - 0.6).abs() < 1e-6 && (second.grade - 0.4).abs() < 1e-6);
    }
}

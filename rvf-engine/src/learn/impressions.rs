//! [`Impressions`]: what was shown to whom at which place, and what of it was chosen.

use super::math::{dot, exp, normalise};
use std::collections::BTreeMap;

/// Places of a list that are told apart; what was not shown, and was chosen all the same, has none.
pub const PLACES: usize = 10;
/// Numbers that stand for a document beside a query.
pub const SIGNALS: usize = 5;
/// How fast what was chosen for another query counts less: a fall to 1/e for so much less similarity.
const REACH: f32 = 0.2;
/// Choices expected of what was not shown.
const UNSHOWN: f32 = 0.5;

/// Numbers of a document: its similarity first.
pub type Signals = [f32; SIGNALS];

/// A document beside a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shown {
    /// The document.
    pub document: u64,
    /// Its cosine similarity to the query.
    pub similarity: f32,
}

/// What was shown for one query.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// With place, and whether it was chosen.
    pub(super) documents: Vec<(Shown, Option<usize>, bool)>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    event: usize,
    place: Option<usize>,
    chosen: bool,
}

/// What was shown and chosen.
#[derive(Clone, Debug, Default)]
pub struct Impressions {
    dimension: usize,
    queries: Vec<f32>,
    pub(super) events: Vec<Event>,
    by_document: BTreeMap<u64, Vec<Seen>>,
    /// Shown and chosen, by place.
    counts: [(u64, u64); PLACES],
}

impl Impressions {
    /// None yet, of queries with `dimension` elements.
    pub fn new(dimension: usize) -> Self {
        Self { dimension, ..Self::default() }
    }

    /// How many queries there were.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// A past query, of unit length.
    pub(super) fn query(&self, at: usize) -> &[f32] {
        &self.queries[at * self.dimension..(at + 1) * self.dimension]
    }

    /// Adds what a query was shown, by place, and what was chosen, shown or not. One of another dimension, or with a number that is not
    /// finite, is left out: `false`.
    pub fn push(&mut self, query: &[f32], shown: &[Shown], chosen: &[Shown]) -> bool {
        let shown: Vec<(usize, Shown)> = shown.iter().copied().enumerate().collect();
        self.push_at(query, &shown, chosen)
    }

    /// [`Impressions::push`] of documents with the places at which they stood.
    pub fn push_at(&mut self, query: &[f32], shown: &[(usize, Shown)], chosen: &[Shown]) -> bool {
        let is_finite = |shown: &Shown| shown.similarity.is_finite();
        if query.len() != self.dimension
            || !query.iter().all(|x| x.is_finite())
            || !shown.iter().all(|(_, shown)| is_finite(shown))
            || !chosen.iter().all(is_finite)
        {
            return false;
        }
        let start = self.queries.len();
        self.queries.extend_from_slice(query);
        normalise(&mut self.queries[start..]);
        let is_chosen = |document| chosen.iter().any(|choice| choice.document == document);
        let places =
            shown.iter().map(|(place, shown)| (*shown, Some((*place).min(PLACES - 1)), is_chosen(shown.document)));
        let is_shown = |choice: &&Shown| !shown.iter().any(|(_, shown)| shown.document == choice.document);
        let others = chosen.iter().filter(is_shown).map(|choice| (*choice, None, true));
        let event = Event { documents: places.chain(others).collect() };
        for (shown, place, chosen) in &event.documents {
            let seen = Seen { event: self.events.len(), place: *place, chosen: *chosen };
            self.by_document.entry(shown.document).or_default().push(seen);
            if let Some(place) = place {
                self.counts[*place].0 += 1;
                self.counts[*place].1 += u64::from(*chosen);
            }
        }
        self.events.push(event);
        true
    }

    /// Whether a document was ever chosen.
    pub fn was_chosen(&self, document: u64) -> bool {
        self.by_document.get(&document).is_some_and(|seen| seen.iter().any(|seen| seen.chosen))
    }

    /// How many queries a document was chosen for, and the similarity of the most similar of them; 0 without one.
    pub fn choices(&self, document: u64, similarities: &[f32]) -> (usize, f32) {
        let chosen = self.by_document.get(&document).into_iter().flatten().filter(|seen| seen.chosen);
        chosen.fold((0, 0.0), |(count, nearest), seen| {
            (count + 1, similarities.get(seen.event).copied().unwrap_or(0.0).max(nearest))
        })
    }

    /// What share of what stood at each place was chosen.
    pub fn rates(&self) -> [f32; PLACES] {
        self.counts.map(|(shown, chosen)| (chosen as f32 + 0.5) / (shown as f32 + 1.0))
    }

    /// The similarities of a query of unit length to all past ones, `without` one.
    pub fn similarities(&self, query: &[f32], without: Option<usize>) -> Vec<f32> {
        let mut found: Vec<f32> = match self.dimension {
            0 => Vec::new(),
            dimension => self.queries.chunks_exact(dimension).map(|past| dot(past, query)).collect(),
        };
        if let Some(own) = without.and_then(|own| found.get_mut(own)) {
            *own = f32::NEG_INFINITY;
        }
        found
    }

    /// Documents that were chosen for the `count` nearest past queries, ascending.
    pub fn documents(&self, similarities: &[f32], count: usize) -> Vec<u64> {
        let mut order: Vec<usize> = (0..similarities.len()).collect();
        order.sort_by(|a, b| similarities[*b].total_cmp(&similarities[*a]));
        let events = order.into_iter().take(count).filter_map(|at| self.events.get(at));
        let chosen = events.flat_map(|event| &event.documents).filter(|(_, _, chosen)| *chosen);
        let mut found: Vec<u64> = chosen.map(|(shown, ..)| shown.document).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The numbers of a document: its similarity; how much more often like queries chose it than others at its places (COEC, Zhang and
    /// Jones 2007, weighted by likeness); how near the nearest of them is, beyond 0.5 and beyond 0.8; how much they chose it in all.
    ///
    /// `similarities` and `rates` are those of [`Impressions::similarities`] and [`Impressions::rates`].
    pub fn signals(&self, shown: Shown, similarities: &[f32], rates: &[f32; PLACES]) -> Signals {
        let (mut chosen, mut expected, mut nearest) = (0f32, 0f32, 0f32);
        for seen in self.by_document.get(&shown.document).into_iter().flatten() {
            let likeness = similarities.get(seen.event).copied().unwrap_or(f32::NEG_INFINITY);
            let weight = exp((likeness - 1.0) / REACH);
            expected += weight * seen.place.map_or(UNSHOWN, |place| rates[place]);
            if seen.chosen {
                chosen += weight;
                nearest = nearest.max(likeness);
            }
        }
        let surprise = (chosen - expected) / (chosen + expected + 0.05);
        let near = [(nearest - 0.5).max(0.0), (nearest - 0.8).max(0.0)];
        [shown.similarity, surprise, near[0], near[1], chosen / (chosen + 0.3)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(document: u64) -> Shown {
        Shown { document, similarity: 0.5 }
    }

    fn impressions() -> Impressions {
        let mut all = Impressions::new(2);
        assert!(all.push(&[1.0, 0.0], &[shown(1), shown(2)], &[shown(2)]));
        assert!(all.push(&[0.0, 2.0], &[shown(2), shown(3)], &[shown(9)]));
        all
    }

    #[test]
    fn what_was_shown_and_not_chosen_counts() {
        let all = impressions();
        let (like, rates) = (all.similarities(&[1.0, 0.0], None), all.rates());
        let [passed, taken, unknown] = [1, 2, 7].map(|document| all.signals(shown(document), &like, &rates));
        assert!(passed[1] < -0.5 && taken[1] > 0.3 && unknown[1] == 0.0, "{passed:?} {taken:?} {unknown:?}");
        assert_eq!((passed[2], taken[2], unknown[2]), (0.0, 0.5, 0.0));
        assert_eq!(all.documents(&like, 1), [2]);
        // For a query that is unlike it the same choice says little.
        let unlike = all.similarities(&[0.0, 1.0], None);
        assert!(all.signals(shown(2), &unlike, &rates)[4] < 0.03);
    }

    #[test]
    fn a_query_left_out_leaves_nothing() {
        let all = impressions();
        let without = all.similarities(&[1.0, 0.0], Some(0));
        let found = all.signals(shown(1), &without, &all.rates());
        assert_eq!(found, [0.5, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn rates_are_counted_by_place() {
        let rates = impressions().rates();
        assert_eq!((rates[0], rates[1], rates[5]), (0.5 / 3.0, 0.5, 0.5));
        let mut all = impressions();
        let wrong = Shown { document: 1, similarity: f32::NAN };
        assert!(!all.push(&[1.0], &[], &[]) && !all.push(&[1.0, 0.0], &[wrong], &[]));
        assert_eq!(all.len(), 2);
    }
}

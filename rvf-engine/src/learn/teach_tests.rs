//! What is taught on a world whose right answers are known: several kinds of queries, each with one right document that is not the nearest.

use super::lessons::{Corpus, Found, Lesson, Link, list, memory};
use super::math::{dot, normalise};
use super::teach::{Course, MOST_LOSS, Options, Reason, Taught, impressions, teach};
use super::{ClickModel, Ranker, Shown};
use crate::random::Random;
use std::convert::Infallible;

const DIMENSION: usize = 16;
const DOCUMENTS: usize = 120;
const KINDS: usize = 24;

/// Documents, and for each kind of query what it asks about and which document is right.
struct World {
    documents: Vec<Vec<f32>>,
    kinds: Vec<Vec<f32>>,
    random: Random,
}

fn vector(random: &mut Random) -> Vec<f32> {
    let mut vector: Vec<f32> = (0..DIMENSION).map(|_| random.below(2001) as f32 / 1000.0 - 1.0).collect();
    normalise(&mut vector);
    vector
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let documents = (0..DOCUMENTS).map(|_| vector(&mut random)).collect();
        let kinds = (0..KINDS).map(|_| vector(&mut random)).collect();
        Self { documents, kinds, random }
    }

    /// A query of a kind: not so near to others of its kind that they are taken for one.
    fn query(&mut self, kind: usize) -> Vec<f32> {
        let mut query = self.kinds[kind].clone();
        let noise = vector(&mut self.random);
        query.iter_mut().zip(noise).for_each(|(x, noise)| *x += 0.45 * noise);
        normalise(&mut query);
        query
    }

    /// What is right for a kind: about the sixth nearest document.
    fn right(&self, kind: usize) -> u64 {
        self.order(&self.kinds[kind])[5]
    }

    fn order(&self, query: &[f32]) -> Vec<u64> {
        let mut order: Vec<u64> = (0..DOCUMENTS as u64).collect();
        let similarity = |document: &u64| dot(&self.documents[*document as usize], query);
        order.sort_by(|a, b| similarity(b).total_cmp(&similarity(a)));
        order
    }

    /// Judgements: what is right, told outright.
    fn judgements(&mut self, count: usize, kinds: std::ops::Range<usize>) -> Vec<Lesson> {
        (0..count)
            .map(|_| {
                let kind = kinds.start + self.random.below(kinds.len());
                Lesson { query: self.query(kind), chosen: vec![self.right(kind)], weight: 1.0, ..Lesson::default() }
            })
            .collect()
    }

    /// Ten that were shown, the place p looked at with 1/p; what is right chosen with 0.9, others the less the more unlike; or anything with 0.2.
    fn clicks(&mut self, count: usize, right: bool) -> Vec<Lesson> {
        (0..count)
            .map(|_| {
                let kind = self.random.below(KINDS);
                let query = self.query(kind);
                let shown: Vec<u64> = self.order(&query)[..10].to_vec();
                let answer = self.order(&self.kinds[kind])[kind % 2 * 3];
                let mut chosen = Vec::new();
                for (place, document) in (1..).zip(&shown) {
                    let percent = match (right, *document == answer) {
                        (false, _) => 20,
                        (true, true) => 90 / place,
                        // Wrong ones tempt by being like the query.
                        (true, false) => {
                            (80.0 * dot(&self.documents[*document as usize], &query).powi(4)) as usize / place
                        }
                    };
                    if self.random.below(100) < percent {
                        chosen.push(*document);
                    }
                }
                Lesson { query, shown, chosen, weight: 1.0, ..Lesson::default() }
            })
            .collect()
    }
}

impl Corpus for World {
    type Error = Infallible;

    fn candidates(&self, query: &[f32], also: &[u64]) -> Result<Vec<Found>, Infallible> {
        let near = self.order(query);
        let found = near.iter().enumerate().filter(|(place, document)| *place < 30 || also.contains(document));
        let found = found.map(|(_, document)| {
            let vector = self.documents[*document as usize].clone();
            Found { document: *document, similarity: dot(&vector, query), vector, handle: 0 }
        });
        Ok(found.collect())
    }

    /// Each is linked to those that are among its eight nearest.
    fn links(&self, found: &[Found]) -> Result<Vec<Link>, Infallible> {
        let near: Vec<Vec<u64>> = found.iter().map(|found| self.order(&found.vector)[1..9].to_vec()).collect();
        let ways = |a: usize, b: usize| {
            usize::from(near[a].contains(&found[b].document)) + usize::from(near[b].contains(&found[a].document))
        };
        let pairs = (0..found.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        let link = |(a, b)| Link { between: [a, b], structure: ways(a, b) as f32 / 2.0 };
        Ok(pairs.map(link).filter(|link| link.structure > 0.0).collect())
    }

    fn sample(&self, count: usize, seed: u64) -> Result<Vec<Vec<f32>>, Infallible> {
        let mut random = Random(seed);
        Ok((0..count).map(|_| self.documents[random.below(DOCUMENTS)].clone()).collect())
    }

    fn similarities(&self, query: &[f32], documents: &[u64]) -> Result<Vec<Option<f32>>, Infallible> {
        Ok(documents.iter().map(|at| self.documents.get(*at as usize).map(|vector| dot(vector, query))).collect())
    }
}

fn taught(world: &World, lessons: &[Lesson]) -> Taught {
    let options = Options { epochs: 8, hold_out: 0.25, seed: 3, only: None };
    teach(world, DIMENSION, Course { lessons, ..Course::default() }, &options).unwrap_or_default()
}

/// nDCG@10 of one right document, averaged over new queries of these kinds: by the ranker, by distance, by how often a document was chosen.
fn measure(world: &mut World, ranker: &Ranker, lessons: &[Lesson], kinds: std::ops::Range<usize>) -> [f64; 3] {
    let memory = memory(DIMENSION, lessons);
    let unseen = world.judgements(120, kinds);
    let mut sums = [0.0; 3];
    for lesson in &unseen {
        let (list, found) = list(world, &memory, lesson, None).unwrap_or_default();
        let documents: Vec<u64> = found.iter().map(|found| found.document).collect();
        let chosen = |document: &u64| lessons.iter().filter(|lesson| lesson.chosen.contains(document)).count() as f32;
        let popular: Vec<f32> = documents.iter().zip(&list.rows).map(|(at, row)| row[0] + 0.1 * chosen(at)).collect();
        let orders = [list.by(&ranker.scores(&list.rows)), list.before(), list.by(&popular)];
        sums.iter_mut().zip(orders).for_each(|(sum, order)| *sum += order / unseen.len() as f64);
    }
    sums
}

/// Catches learning that is a no-op, that is popularity, and that only knows the queries it saw.
#[test]
fn what_was_chosen_for_like_queries_comes_first() {
    let mut world = World::new(1);
    let lessons = world.judgements(400, 0..KINDS);
    let done = taught(&world, &lessons);
    let verdict = &done.verdicts[0];
    assert_eq!((verdict.component, verdict.reason), ("ranker", Reason::Improves), "{verdict:?}");
    assert!(verdict.gain.low > 0.1 && verdict.trained_on + verdict.held_out == 400, "{verdict:?}");
    let [learned, distance, popular] = measure(&mut world, done.ranker.as_ref().unwrap(), &lessons, 0..KINDS);
    assert!(learned > distance + 0.2 && learned > popular + 0.1, "{learned} {distance} {popular}");
    assert_eq!(taught(&world, &lessons), done);
}

/// Queries of kinds that nobody gave feedback on keep their order.
#[test]
fn what_was_never_chosen_is_not_harmed() {
    let mut world = World::new(2);
    let lessons = world.judgements(400, 0..12);
    let done = taught(&world, &lessons);
    if let Some(ranker) = &done.ranker {
        let [learned, distance, _] = measure(&mut world, ranker, &lessons, 12..KINDS);
        assert!(learned > distance - 2.0 * MOST_LOSS, "{learned} {distance}");
    }
}

/// Catches a harness in which answers leak: where what is chosen has nothing to do with the query, nothing can be learned, and nothing may seem to be.
#[test]
fn nothing_is_learned_where_nothing_can_be() {
    for seed in 0..6 {
        let mut world = World::new(seed);
        let mut lessons = world.judgements(200, 0..KINDS);
        for lesson in &mut lessons {
            lesson.chosen = vec![world.order(&lesson.query)[world.random.below(20)]];
        }
        let done = taught(&world, &lessons);
        assert!(done.ranker.is_none() || done.verdicts[0].gain.low < 0.05, "{:?}", done.verdicts);
        assert!(done.verdicts[0].gain.mean < 0.08, "{:?}", done.verdicts);
    }
}

#[test]
fn choices_from_lists_are_learned_from_where_they_depend_on_what_is_right() {
    let mut world = World::new(4);
    let lessons = world.clicks(500, true);
    let done = taught(&world, &lessons);
    let verdict = &done.verdicts[0];
    assert_eq!((verdict.component, verdict.reason), ("clicks", Reason::Improves), "{verdict:?}");
    let (model, all): (ClickModel, Vec<&Lesson>) = (done.clicks.unwrap(), lessons.iter().collect());
    let seen = impressions(&world, DIMENSION, &all).unwrap_or_default();
    let (mut learned, mut distance) = (0.0, 0.0);
    for _ in 0..150 {
        let kind = world.random.below(KINDS);
        let (query, right) = (world.query(kind), world.order(&world.kinds[kind])[kind % 2 * 3]);
        let (like, rates) = (seen.similarities(&query, None), seen.rates());
        let found = world.candidates(&query, &[]).unwrap_or_default();
        let place = |scores: Vec<f32>| {
            let mut order: Vec<usize> = (0..found.len()).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            let place = order.iter().position(|at| found[*at].document == right);
            place.map_or(0.0, |place| 1.0 / (1.0 + place as f64))
        };
        let shown = |found: &Found| Shown { document: found.document, similarity: found.similarity };
        learned += place(found.iter().map(|found| model.score(&seen.signals(shown(found), &like, &rates))).collect());
        distance += place(found.iter().map(|found| found.similarity).collect());
    }
    assert!(learned > distance * 1.1, "{learned} {distance}");
}

#[test]
fn choices_that_are_chance_are_distrusted_and_few_are_not_judged() {
    let mut world = World::new(5);
    let lessons = world.clicks(400, false);
    let done = taught(&world, &lessons);
    assert_eq!((done.clicks, done.verdicts[0].reason), (None, Reason::Distrusted));
    let lessons = world.judgements(20, 0..3);
    let done = taught(&world, &lessons);
    assert_eq!((done.ranker, done.verdicts[0].reason), (None, Reason::TooFew));
    assert!(taught(&world, &[]).verdicts.is_empty());
}

/// Weights that are kept are those that were learned.
#[test]
fn weights_survive_being_kept() {
    let mut world = World::new(7);
    let lessons = world.judgements(300, 0..KINDS);
    let done = taught(&world, &lessons);
    let ranker = done.ranker.unwrap();
    assert_eq!(Ranker::from_tensors(&ranker.to_tensors()), Some(ranker.clone()));
    let mut broken = ranker.to_tensors();
    broken.put("ranker.scale", &[2, 1], vec![1.0, 1.0]);
    assert_eq!(Ranker::from_tensors(&broken), None);
    assert_eq!(Ranker::from_tensors(&super::Tensors::default()), None);
    let lessons = world.clicks(500, true);
    let clicks = taught(&world, &lessons).clicks.unwrap();
    let kept = ClickModel::from_tensors(&clicks.to_tensors()).unwrap();
    let signals = [0.7, 0.3, 0.1, 0.0, 0.5];
    assert!((kept.score(&signals) - clicks.score(&signals)).abs() < 1e-6);
}

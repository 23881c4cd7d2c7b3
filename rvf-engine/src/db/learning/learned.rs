//! [`Learned`]: what a snapshot has learned, ready to be used; and the order of results by it.

use super::corpus::{CANDIDATES, Names, Searched, lessons};
use crate::Result;
use crate::learn::{
    Candidate, ClickModel, Found, Impressions, Lesson, Memory, NEIGHBOURS, Ranker, Recalled, Shown, Tensors,
    impressions, memory, normalise, rows,
};
use crate::search::{Effort, Hit, Matches, Trace};
use crate::store::Snapshot;
use rvf_format::Kind;

/// What a snapshot has learned, in use. Made once, used by many searches.
#[derive(Debug)]
pub struct Learned {
    names: Names,
    order: Order,
    tensors: Tensors,
    epoch: u64,
}

/// By what results are ordered.
#[derive(Debug)]
enum Order {
    Ranker(Ranker, Memory),
    Clicks(ClickModel, Box<Impressions>, [f32; crate::learn::PLACES]),
}

/// How learning moved a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// Its place, from 0, among all candidates by distance.
    pub from: usize,
    /// Its learned score: the order is by descending scores.
    pub score: f32,
    /// What its score would be if nothing were known of it.
    pub without: f32,
    /// Past queries that it was chosen for.
    pub chosen: usize,
    /// Cosine similarity of the most similar of these; 0 if there is none.
    pub nearest: f32,
}

impl Learned {
    /// What `snapshot` has learned; `None` where nothing is adopted.
    ///
    /// # Errors
    /// Corruption of what was learned or of feedback.
    pub fn of(snapshot: &Snapshot) -> Result<Option<Self>> {
        let Some((tensors, epoch)) = tensors(snapshot, Kind::GRAPH)? else { return Ok(None) };
        let (ranker, clicks) = (Ranker::from_tensors(&tensors), ClickModel::from_tensors(&tensors));
        let mut names = Names::default();
        let lessons = lessons(&snapshot.feedback()?, &mut names);
        let dimension = snapshot.schema().dimension as usize;
        let order = match (ranker, clicks) {
            (Some(ranker), _) => {
                Order::Ranker(ranker, memory(dimension, lessons.iter().filter(|lesson| lesson.is_outright())))
            }
            (None, Some(clicks)) => {
                let listed: Vec<&Lesson> = lessons.iter().filter(|lesson| !lesson.is_outright()).collect();
                let searched =
                    Searched { snapshot, names: &names, effort: Effort::default(), matches: None, threads: 1 };
                let seen = impressions(&searched, dimension, &listed)?;
                let rates = seen.rates();
                Order::Clicks(clicks, Box::new(seen), rates)
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Self { names, order, tensors, epoch }))
    }

    /// The epoch of the commit that adopted it.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The weights by name, and what was measured when they were adopted (`report.*`).
    pub fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    /// The `k` best results in the learned order, with how they were moved.
    pub(super) fn search(
        &self,
        snapshot: &Snapshot,
        query: &[f32],
        k: usize,
        (effort, matches, threads): (Effort, Option<&Matches>, usize),
    ) -> Result<(Vec<(Hit, Moved)>, Trace)> {
        let mut unit = query.to_vec();
        normalise(&mut unit);
        let searched = Searched { snapshot, names: &self.names, effort, matches, threads };
        let known = Known::of(&self.order, &unit);
        let (hits, trace) = searched.hits(query, k.max(CANDIDATES), &known.documents())?;
        let mut found = Vec::with_capacity(hits.len());
        for (place, hit) in hits.iter().enumerate() {
            let has_evidence = self.names.known(&hit.id).is_some();
            found.push(searched.found(&unit, hit, place, has_evidence)?);
        }
        let moved = known.moved(&unit, &found);
        let mut order: Vec<(Hit, Moved)> = hits.into_iter().zip(moved).collect();
        order.sort_by(|a, b| b.1.score.total_cmp(&a.1.score));
        order.truncate(k);
        Ok((order, trace))
    }
}

/// What an order knows of one query.
enum Known<'l> {
    Ranker(&'l Ranker, Recalled<'l>),
    Clicks(&'l ClickModel, &'l Impressions, &'l [f32; crate::learn::PLACES], Vec<f32>),
}

impl<'l> Known<'l> {
    fn of(order: &'l Order, query: &[f32]) -> Self {
        match order {
            Order::Ranker(ranker, memory) => Known::Ranker(ranker, memory.recall(query, None)),
            Order::Clicks(model, seen, rates) => Known::Clicks(model, seen, rates, seen.similarities(query, None)),
        }
    }

    /// Documents that are candidates wherever they are.
    fn documents(&self) -> Vec<u64> {
        match self {
            Known::Ranker(_, recalled) => recalled.documents(),
            Known::Clicks(_, seen, _, like) => seen.documents(like, NEIGHBOURS),
        }
    }

    fn moved(&self, query: &[f32], found: &[Found]) -> Vec<Moved> {
        match self {
            Known::Ranker(ranker, recalled) => {
                let candidate = |found: &'_ Found| (found.document, found.similarity);
                let candidates: Vec<Candidate<'_>> = found
                    .iter()
                    .map(|found| {
                        let (document, similarity) = candidate(found);
                        Candidate { document, similarity, vector: &found.vector }
                    })
                    .collect();
                let seen = rows(query, recalled, &candidates);
                let of = |(from, (row, found)): (usize, (&crate::learn::Row, &Found))| {
                    let evidence = recalled.evidence(found.document);
                    Moved {
                        from,
                        score: ranker.score(row),
                        without: ranker.score(&crate::learn::without_evidence(row)),
                        chosen: evidence.as_ref().map_or(0, |evidence| evidence.count),
                        nearest: evidence.map_or(0.0, |evidence| evidence.similarities[0]),
                    }
                };
                seen.iter().zip(found).enumerate().map(of).collect()
            }
            Known::Clicks(model, seen, rates, like) => {
                let of = |(from, found): (usize, &Found)| {
                    let shown = Shown { document: found.document, similarity: found.similarity };
                    let signals = seen.signals(shown, like, rates);
                    let (chosen, nearest) = seen.choices(found.document, like);
                    Moved {
                        from,
                        score: model.score(&signals),
                        without: model.score(&[found.similarity, 0.0, 0.0, 0.0, 0.0]),
                        chosen,
                        nearest,
                    }
                };
                found.iter().enumerate().map(of).collect()
            }
        }
    }
}

/// The tensors of a kind, and the epoch that they are of.
pub(super) fn tensors(snapshot: &Snapshot, kind: Kind) -> Result<Option<(Tensors, u64)>> {
    let Some((view, epoch)) = snapshot.tensors(kind)? else { return Ok(None) };
    let mut tensors = Tensors::default();
    for (name, shape, values) in view.tensors() {
        let shape: Vec<usize> = shape.into_iter().map(|axis| axis as usize).collect();
        tensors.put(name, &shape, values);
    }
    Ok(Some((tensors, epoch)))
}

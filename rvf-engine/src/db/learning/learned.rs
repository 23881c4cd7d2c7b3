//! [`Learned`]: what a snapshot has learned, ready to be used; and the order of results by it.

use super::corpus::{CANDIDATES, Names, Searched, lessons, links_between};
use crate::Result;
use crate::learn::{
    Candidate, ClickModel, FEATURES, Found, GraphRanker, Impressions, Lesson, Link, Memory, NEIGHBOURS, PLACES, Ranker,
    Recalled, Row, Shown, Tensors, impressions, memory, neighbourhood, normalise, rows, without_evidence,
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
    Graph(Box<GraphRanker>, Memory),
    Clicks(ClickModel, Box<Impressions>, [f32; PLACES]),
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
        let graph = GraphRanker::from_tensors(&tensors).filter(|graph| graph.width() == FEATURES);
        let mut names = Names::default();
        let lessons = lessons(&snapshot.feedback()?, &mut names);
        let dimension = snapshot.schema().dimension as usize;
        let chosen = || memory(dimension, lessons.iter().filter(|lesson| lesson.is_outright()));
        let order = match (ranker, graph, clicks) {
            (Some(ranker), ..) => Order::Ranker(ranker, chosen()),
            (None, Some(graph), _) => Order::Graph(Box::new(graph), chosen()),
            (None, None, Some(clicks)) => {
                let listed: Vec<&Lesson> = lessons.iter().filter(|lesson| !lesson.is_outright()).collect();
                let searched =
                    Searched { snapshot, names: &names, effort: Effort::default(), matches: None, threads: 1 };
                let seen = impressions(&searched, dimension, &listed)?;
                let rates = seen.rates();
                Order::Clicks(clicks, Box::new(seen), rates)
            }
            (None, None, None) => return Ok(None),
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

    /// The `k` best results in the learned order and, where that is asked, how they were moved.
    pub(super) fn search(
        &self,
        snapshot: &Snapshot,
        query: &[f32],
        k: usize,
        how: How<'_>,
    ) -> Result<(Vec<Placed>, Trace)> {
        let mut unit = query.to_vec();
        normalise(&mut unit);
        let How { effort, matches, threads, explains } = how;
        let searched = Searched { snapshot, names: &self.names, effort, matches, threads };
        let known = Known::of(&self.order, &unit);
        let (hits, trace) = searched.hits(query, k.max(CANDIDATES), &known.documents())?;
        let sees_vectors = matches!(self.order, Order::Graph(..));
        let mut found = Vec::with_capacity(hits.len());
        for (place, hit) in hits.iter().enumerate() {
            let has_evidence = self.names.known(&hit.id).is_some();
            found.push(searched.found(&unit, hit, place, sees_vectors || has_evidence)?);
        }
        let links = if sees_vectors { links_between(snapshot, &found) } else { Vec::new() };
        let scores = known.scores(&unit, &found, &links);
        let mut moved: Vec<Option<Moved>> = vec![None; hits.len()];
        if explains {
            moved = known.moved(&unit, &found, &scores, &links).into_iter().map(Some).collect();
        }
        let mut order: Vec<(Hit, Option<Moved>, f32)> =
            hits.into_iter().zip(moved).zip(scores).map(|((hit, moved), score)| (hit, moved, score)).collect();
        order.sort_by(|a, b| b.2.total_cmp(&a.2));
        order.truncate(k);
        Ok((order.into_iter().map(|(hit, moved, _)| (hit, moved)).collect(), trace))
    }
}

/// A result, and how it was moved, where that is asked.
pub(super) type Placed = (Hit, Option<Moved>);

/// How a search in the learned order is to be done.
pub(super) struct How<'s> {
    pub(super) effort: Effort,
    pub(super) matches: Option<&'s Matches>,
    pub(super) threads: usize,
    pub(super) explains: bool,
}

/// What an order knows of one query.
enum Known<'l> {
    Ranker(&'l Ranker, Recalled<'l>),
    Graph(&'l GraphRanker, Recalled<'l>),
    Clicks(&'l ClickModel, &'l Impressions, &'l [f32; PLACES], Vec<f32>),
}

impl<'l> Known<'l> {
    fn of(order: &'l Order, query: &[f32]) -> Self {
        match order {
            Order::Ranker(ranker, memory) => Known::Ranker(ranker, memory.recall(query, None)),
            Order::Graph(graph, memory) => Known::Graph(graph, memory.recall(query, None)),
            Order::Clicks(model, seen, rates) => Known::Clicks(model, seen, rates, seen.similarities(query, None)),
        }
    }

    /// Documents that are candidates wherever they are.
    fn documents(&self) -> Vec<u64> {
        match self {
            Known::Ranker(_, recalled) | Known::Graph(_, recalled) => recalled.documents(),
            Known::Clicks(_, seen, _, like) => seen.documents(like, NEIGHBOURS),
        }
    }

    /// Larger is better.
    fn scores(&self, query: &[f32], found: &[Found], links: &[Link]) -> Vec<f32> {
        match self {
            Known::Ranker(ranker, recalled) => ranker.scores(&seen(query, recalled, found)),
            Known::Graph(graph, recalled) => graph_scores(graph, &seen(query, recalled, found), found, links),
            Known::Clicks(model, seen, rates, like) => {
                let shown = |found: &Found| Shown { document: found.document, similarity: found.similarity };
                found.iter().map(|found| model.score(&seen.signals(shown(found), like, rates))).collect()
            }
        }
    }

    /// The scores as they would be if nothing of these had ever been chosen.
    fn scores_without(&self, query: &[f32], found: &[Found], links: &[Link]) -> Vec<f32> {
        let without = |recalled: &Recalled<'_>| -> Vec<Row> {
            seen(query, recalled, found).iter().map(without_evidence).collect()
        };
        match self {
            Known::Ranker(ranker, recalled) => ranker.scores(&without(recalled)),
            Known::Graph(graph, recalled) => graph_scores(graph, &without(recalled), found, links),
            Known::Clicks(model, ..) => {
                found.iter().map(|found| model.score(&[found.similarity, 0.0, 0.0, 0.0, 0.0])).collect()
            }
        }
    }

    fn moved(&self, query: &[f32], found: &[Found], scores: &[f32], links: &[Link]) -> Vec<Moved> {
        let without = self.scores_without(query, found, links);
        let choices = |document: u64| match self {
            Known::Ranker(_, recalled) | Known::Graph(_, recalled) => {
                let evidence = recalled.evidence(document);
                evidence.map_or((0, 0.0), |evidence| (evidence.count, evidence.similarities[0]))
            }
            Known::Clicks(_, seen, _, like) => seen.choices(document, like),
        };
        let all = found.iter().zip(scores).zip(without).enumerate();
        all.map(|(from, ((found, score), without))| {
            let (chosen, nearest) = choices(found.document);
            Moved { from, score: *score, without, chosen, nearest }
        })
        .collect()
    }
}

/// What a re-ranker sees of candidates.
fn seen(query: &[f32], recalled: &Recalled<'_>, found: &[Found]) -> Vec<Row> {
    let mut candidates = Vec::with_capacity(found.len());
    for Found { document, similarity, vector, .. } in found {
        candidates.push(Candidate { document: *document, similarity: *similarity, vector });
    }
    rows(query, recalled, &candidates)
}

/// Scores by the graph; the order stays as it is where there is none.
fn graph_scores(graph: &GraphRanker, rows: &[Row], found: &[Found], links: &[Link]) -> Vec<f32> {
    let scores = neighbourhood(rows, found, links).and_then(|graph_of| graph.scores(&graph_of));
    scores.unwrap_or_else(|| vec![0.0; found.len()])
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

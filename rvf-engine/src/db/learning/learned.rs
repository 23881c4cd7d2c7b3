//! [`Learned`]: what a snapshot has learned, ready to be used; and the order of results by it.

use super::corpus::{CANDIDATES, Names, Searched, lessons, links_between, older};
use super::study::whole;
use crate::Result;
use crate::learn::{
    Bank, BaseLora, Candidate, ClickModel, FEATURES, Found, GraphRanker, Impressions, Lesson, Link, Memory, MicroLora,
    NEIGHBOURS, PLACES, Pattern, Ranker, Recalled, Row, Shown, Tensors, impressions, memory, neighbourhood, normalise,
    rows, without_evidence,
};
use crate::search::{Effort, Hit, Matches, Trace};
use crate::store::Snapshot;
use rvf_format::Kind;

/// What a snapshot has learned, in use. Made once, used by many searches.
#[derive(Debug)]
pub struct Learned {
    names: Names,
    /// What moves queries before they are searched for.
    adapter: Option<BaseLora>,
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
    /// By similarity to the query, which something moves.
    Nearest,
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
        let events = snapshot.feedback()?;
        // Numbers are given in this order, which the patterns were made in.
        older(&events, &mut names);
        let lessons = lessons(&events, whole(&tensors, "report.half_life"), &mut names);
        let dimension = snapshot.schema().dimension as usize;
        let known = Bank::from_tensors(&tensors, dimension).as_ref().map(patterns).unwrap_or_default();
        let chosen = || memory(dimension, lessons.iter().filter(|lesson| lesson.is_outright()).chain(&known));
        let overlay = self::tensors(snapshot, Kind::OVERLAY)?;
        let adapter = overlay.and_then(|(tensors, _)| BaseLora::from_tensors(&tensors, dimension));
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
        Ok(Some(Self { names, adapter, order, tensors, epoch }))
    }

    /// Nothing learned: for sessions that move their queries.
    pub(super) fn bare() -> Self {
        let (names, tensors) = Default::default();
        Self { names, adapter: None, order: Order::Nearest, tensors, epoch: 0 }
    }

    /// The epoch of the commit that adopted it.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The weights by name, and what was measured when they were adopted (`report.*`).
    pub fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    /// The `k` best results in the learned order and, where that is asked, how they were moved. `None` for a query that is like nothing that was
    /// asked before: it is to be answered as if nothing was learned.
    pub(super) fn search(
        &self,
        snapshot: &Snapshot,
        query: &[f32],
        k: usize,
        how: How<'_>,
    ) -> Result<Option<(Vec<Placed>, Trace)>> {
        let mut unit = query.to_vec();
        normalise(&mut unit);
        let How { effort, matches, threads, explains, micro } = how;
        let searched = Searched { snapshot, names: &self.names, effort, matches, threads };
        let known = Known::of(&self.order, &unit);
        let adapter = self.adapter.as_ref().filter(|_| !known.is_nothing());
        let moved = moved(adapter, &unit, micro);
        if moved.is_none() && known.is_nothing() {
            return Ok(None);
        }
        let (hits, trace) = searched.hits(query, moved.as_deref(), k.max(CANDIDATES), &known.documents())?;
        let sees_vectors = matches!(self.order, Order::Graph(..)) || moved.is_some();
        let seen_from = moved.as_deref().unwrap_or(&unit);
        let mut found = Vec::with_capacity(hits.len());
        for (place, hit) in hits.iter().enumerate() {
            let has_evidence = self.names.known(&hit.id).is_some();
            found.push(searched.found(seen_from, hit, place, sees_vectors || has_evidence, moved.is_some())?);
        }
        let links = if sees_vectors { links_between(snapshot, &found) } else { Vec::new() };
        // Nothing else is known of what is like nothing but that the session moves it.
        let scores = match known.is_nothing() {
            true => found.iter().map(|found| found.similarity).collect(),
            false => known.scores(&unit, &found, &links),
        };
        let mut moved: Vec<Option<Moved>> = vec![None; hits.len()];
        if explains {
            moved = known.moved(&unit, &found, &scores, &links).into_iter().map(Some).collect();
        }
        let mut order: Vec<(Hit, Option<Moved>, f32)> =
            hits.into_iter().zip(moved).zip(scores).map(|((hit, moved), score)| (hit, moved, score)).collect();
        order.sort_by(|a, b| b.2.total_cmp(&a.2));
        order.truncate(k);
        Ok(Some((order.into_iter().map(|(hit, moved, _)| (hit, moved)).collect(), trace)))
    }
}

/// The query that is searched for, of unit length, where it is not the query itself.
fn moved(adapter: Option<&BaseLora>, unit: &[f32], micro: Option<&MicroLora>) -> Option<Vec<f32>> {
    let mut moved = unit.to_vec();
    let mut is_moved = adapter.is_some_and(|adapter| adapter.apply(unit, &mut moved));
    if let Some(micro) = micro {
        let before = moved.clone();
        is_moved |= micro.apply(&before, &mut moved);
    }
    (is_moved && moved != unit).then_some(moved)
}

/// Half-life of patterns: any, for their age is not kept.
pub(super) const BANK_LIFE: f64 = 1.0;
/// Patterns that are trusted less are left out.
const LEAST_CONFIDENCE: f32 = 0.1;

/// Patterns as what is known of queries of before.
pub(super) fn patterns(bank: &Bank) -> Vec<Lesson> {
    let trusted = bank.patterns().iter().enumerate();
    let trusted = trusted.filter(|(_, pattern)| pattern.confidence(0.0, BANK_LIFE) >= LEAST_CONFIDENCE);
    let lesson = |(at, pattern): (usize, &Pattern)| Lesson {
        query: bank.centroid(at).to_vec(),
        chosen: pattern.chosen.iter().map(|choice| choice.document).collect(),
        weight: 1.0,
        ..Lesson::default()
    };
    trusted.map(lesson).collect()
}

/// A result, and how it was moved, where that is asked.
pub(super) type Placed = (Hit, Option<Moved>);

/// How a search in the learned order is to be done.
pub(super) struct How<'s> {
    pub(super) effort: Effort,
    pub(super) matches: Option<&'s Matches>,
    pub(super) threads: usize,
    pub(super) explains: bool,
    /// What a session has learned of its own.
    pub(super) micro: Option<&'s MicroLora>,
}

/// What an order knows of one query.
enum Known<'l> {
    Ranker(&'l Ranker, Recalled<'l>),
    Graph(&'l GraphRanker, Recalled<'l>),
    Clicks(&'l ClickModel, &'l Impressions, &'l [f32; PLACES], Vec<f32>),
    Nearest,
}

impl<'l> Known<'l> {
    fn of(order: &'l Order, query: &[f32]) -> Self {
        match order {
            Order::Ranker(ranker, memory) => Known::Ranker(ranker, memory.recall(query, None)),
            Order::Graph(graph, memory) => Known::Graph(graph, memory.recall(query, None)),
            Order::Nearest => Known::Nearest,
            Order::Clicks(model, seen, rates) => Known::Clicks(model, seen, rates, seen.similarities(query, None)),
        }
    }

    /// Whether nothing like the query was asked before.
    fn is_nothing(&self) -> bool {
        match self {
            Known::Ranker(_, recalled) | Known::Graph(_, recalled) => recalled.is_unlike_all(),
            Known::Clicks(..) | Known::Nearest => false,
        }
    }

    /// Documents that are candidates wherever they are.
    fn documents(&self) -> Vec<u64> {
        match self {
            Known::Ranker(_, recalled) | Known::Graph(_, recalled) => recalled.documents(),
            Known::Clicks(_, seen, _, like) => seen.documents(like, NEIGHBOURS),
            Known::Nearest => Vec::new(),
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
            Known::Nearest => found.iter().map(|found| found.similarity).collect(),
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
            Known::Nearest => self.scores(query, found, links),
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
            Known::Nearest => (0, 0.0),
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
pub(in super::super) fn tensors(snapshot: &Snapshot, kind: Kind) -> Result<Option<(Tensors, u64)>> {
    let Some((view, epoch)) = snapshot.tensors(kind)? else { return Ok(None) };
    let mut tensors = Tensors::default();
    for (name, shape, values) in view.tensors() {
        let shape: Vec<usize> = shape.into_iter().map(|axis| axis as usize).collect();
        tensors.put(name, &shape, values);
    }
    Ok(Some((tensors, epoch)))
}

//! A snapshot as what learning searches: documents by numbers, candidates with their vectors.

use crate::learn::{Choice, Corpus, Found, Lesson, Link, MOST_LESSONS, age, decay, dot, normalise};
use crate::random::Random;
use crate::search::{Effort, Hit, Matches, Trace};
use crate::store::{Event, Id, RowId, Snapshot};
use crate::{Error, Result};
use rvf_format::Metric;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Candidates of a query by distance, at least; what was chosen for like queries comes beside them. (More found no more: `learn_bench`.)
pub(super) const CANDIDATES: usize = 10;
/// Numbers from here on are of documents without feedback.
pub(super) const UNNAMED: u64 = 1 << 63;

/// Ids that feedback names, as numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: HashMap<Id, u64>,
    ids: Vec<Id>,
}

impl Names {
    pub(super) fn number(&mut self, id: &Id) -> u64 {
        let next = self.ids.len() as u64;
        let number = *self.numbers.entry(id.clone()).or_insert(next);
        if number == next {
            self.ids.push(id.clone());
        }
        number
    }

    pub(super) fn known(&self, id: &Id) -> Option<u64> {
        self.numbers.get(id).copied()
    }

    pub(super) fn id(&self, number: u64) -> Option<&Id> {
        self.ids.get(usize::try_from(number).ok()?)
    }
}

/// Lessons that weigh less than this are forgotten.
const LEAST_WEIGHT: f32 = 1.0 / 64.0;

/// The newest events as lessons; with a half-life, in seconds, older ones weigh less, by how much older they are than the newest.
pub(super) fn lessons(events: &[Event], half_life: Option<u64>, names: &mut Names) -> Vec<Lesson> {
    let seconds = |event: &Event| event.time_ns / 1_000_000_000;
    let now = events.iter().map(seconds).max().unwrap_or(0);
    let newest = events.get(events.len().saturating_sub(MOST_LESSONS)..).unwrap_or_default();
    let lesson = |event: &Event| {
        let mut query = event.query.clone();
        normalise(&mut query);
        Lesson {
            query,
            shown: event.shown.iter().map(|id| names.number(id)).collect(),
            first_place: event.first_place as usize,
            chosen: event.chosen.iter().map(|id| names.number(id)).collect(),
            weight: event.weight * decay(age(seconds(event), now), half_life),
        }
    };
    // All get their numbers, so that these do not hang on what is forgotten.
    let lessons = newest.iter().map(lesson);
    lessons.filter(|lesson| half_life.is_none() || lesson.weight >= LEAST_WEIGHT).collect()
}

/// Judgements that are older than the newest lessons.
pub(super) fn older(events: &[Event], names: &mut Names) -> Vec<(Vec<f32>, Vec<Choice>)> {
    let older = events.get(..events.len().saturating_sub(MOST_LESSONS)).unwrap_or_default();
    let mut judgements = Vec::new();
    for event in older.iter().filter(|event| event.shown.is_empty()) {
        let chosen = event.chosen.iter().map(|id| Choice { document: names.number(id), grade: event.weight });
        judgements.push((event.query.clone(), chosen.collect()));
    }
    judgements
}

/// What learning searches.
pub(super) struct Searched<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) names: &'s Names,
    pub(super) effort: Effort,
    /// Records that may be found, where not all.
    pub(super) matches: Option<&'s Matches>,
    pub(super) threads: usize,
}

impl Searched<'_> {
    /// The nearest `k` and, of the documents `also`, those that there are and are not among them; by distance, ties by id.
    ///
    /// With `moved` the nearest to that are looked for; distances and order are by the query all the same.
    pub(super) fn hits(
        &self,
        query: &[f32],
        moved: Option<&[f32]>,
        k: usize,
        also: &[u64],
    ) -> Result<(Vec<Hit>, Trace)> {
        let search = |query| {
            let search = self.snapshot.search(query).k(k).effort(self.effort).threads(self.threads);
            if let Some(matches) = self.matches { search.filter(matches) } else { search }
        };
        let (mut hits, trace) = search(moved.unwrap_or(query)).run_traced()?;
        let mut rows: Vec<(RowId, &Id)> = Vec::new();
        for id in also.iter().filter_map(|number| self.names.id(*number)) {
            if hits.iter().any(|hit| hit.id == *id) {
                continue;
            }
            let at = self.snapshot.find(id.as_ref())?;
            rows.extend(at.filter(|at| self.matches.is_none_or(|matches| matches.has(*at))).map(|at| (at, id)));
        }
        if rows.is_empty() && moved.is_none() {
            return Ok((hits, trace));
        }
        let places: Vec<RowId> = rows.iter().map(|(at, _)| *at).collect();
        if moved.is_some() {
            let found: Result<Vec<Option<RowId>>> =
                hits.iter().map(|hit| self.snapshot.find(hit.id.as_ref())).collect();
            let found: Vec<RowId> = found?.into_iter().flatten().collect();
            let distances = search(query).distances_of(&found)?;
            hits.iter_mut().zip(distances).for_each(|(hit, distance)| hit.distance = distance);
        }
        let distances = search(query).distances_of(&places)?;
        hits.extend(distances.into_iter().zip(rows).map(|(distance, (_, id))| Hit { id: id.clone(), distance }));
        hits.sort_by(|a, b| a.distance.total_cmp(&b.distance).then_with(|| a.id.cmp(&b.id)));
        Ok((hits, trace))
    }

    /// Number, cosine similarity and, where it is wanted, vector of a hit.
    /// Under cosine the distance tells the similarity, unless it is that to another query.
    pub(super) fn found(
        &self,
        query: &[f32],
        hit: &Hit,
        place: usize,
        with_vector: bool,
        other_query: bool,
    ) -> Result<Found> {
        let document = self.names.known(&hit.id).unwrap_or(UNNAMED + place as u64);
        let is_cosine = self.snapshot.schema().metric == Metric::Cosine && !other_query;
        if is_cosine && !with_vector {
            let (vector, handle) = (Vec::new(), u64::MAX);
            return Ok(Found { document, similarity: 1.0 - hit.distance, vector, handle });
        }
        let (mut vector, mut handle) = (Vec::new(), u64::MAX);
        if let Some(at) = self.snapshot.find(hit.id.as_ref())? {
            vector = self.snapshot.unit(at)?;
            handle = u64::from(at.part) << 32 | u64::from(at.row);
        }
        let similarity = if is_cosine { 1.0 - hit.distance } else { dot(query, &vector) };
        Ok(Found { document, similarity, vector, handle })
    }
}

/// Links of the index between records that were found: their places, the smaller first, and 1 for a link both ways or 0.5 for one way.
pub(super) fn links_between(snapshot: &Snapshot, found: &[Found]) -> Vec<Link> {
    let row = |found: &Found| RowId { part: (found.handle >> 32) as u32, row: found.handle as u32 };
    let mut structure: BTreeMap<[usize; 2], f32> = BTreeMap::new();
    for (_, graph) in snapshot.sound_graphs() {
        let nodes = found.iter().enumerate().filter_map(|(place, found)| Some((graph.node_of(row(found))?, place)));
        let places: BTreeMap<u32, usize> = nodes.collect();
        for (node, place) in &places {
            let linked = graph.linked_to(*node).filter(|to| to != node);
            // A graph may name a node twice where it is damaged.
            let linked: BTreeSet<usize> = linked.filter_map(|to| places.get(&to).copied()).collect();
            for other in linked {
                *structure.entry([*place.min(&other), *place.max(&other)]).or_default() += 0.5;
            }
        }
    }
    structure.into_iter().map(|(between, structure)| Link { between, structure }).collect()
}

impl Corpus for Searched<'_> {
    type Error = Error;

    fn candidates(&self, query: &[f32], also: &[u64]) -> Result<Vec<Found>> {
        let (hits, _) = self.hits(query, None, CANDIDATES, also)?;
        hits.iter().enumerate().map(|(place, hit)| self.found(query, hit, place, true, false)).collect()
    }

    fn links(&self, found: &[Found]) -> Result<Vec<Link>> {
        Ok(links_between(self.snapshot, found))
    }

    fn sample(&self, count: usize, seed: u64) -> Result<Vec<Vec<f32>>> {
        let rows: Vec<RowId> = self.snapshot.live_rows()?.collect();
        let mut random = Random(seed);
        let row = |_| rows.get(random.below(rows.len().max(1))).copied();
        let picked: Vec<RowId> = (0..count).filter_map(row).collect();
        picked.into_iter().map(|at| self.snapshot.unit(at)).collect()
    }

    fn similarities(&self, query: &[f32], documents: &[u64]) -> Result<Vec<Option<f32>>> {
        let similarity = |number: &u64| {
            let Some(id) = self.names.id(*number) else { return Ok(None) };
            let Some(at) = self.snapshot.find(id.as_ref())? else { return Ok(None) };
            Ok(Some(dot(query, &self.snapshot.unit(at)?)))
        };
        documents.iter().map(similarity).collect()
    }
}

//! A snapshot as what learning searches: documents by numbers, candidates with their vectors.

use super::super::reader::decode;
use crate::learn::{Corpus, Found, Lesson, MOST_LESSONS, dot, normalise};
use crate::search::{Effort, Hit, Matches, Trace};
use crate::store::{Event, Id, RowId, Snapshot};
use crate::{Error, Result};
use rvf_format::Metric;
use std::collections::HashMap;

/// Candidates of a query by distance.
pub(super) const CANDIDATES: usize = 50;
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

/// The newest events as lessons.
pub(super) fn lessons(events: &[Event], names: &mut Names) -> Vec<Lesson> {
    let newest = events.get(events.len().saturating_sub(MOST_LESSONS)..).unwrap_or_default();
    let lesson = |event: &Event| {
        let mut query = event.query.clone();
        normalise(&mut query);
        Lesson {
            query,
            shown: event.shown.iter().map(|id| names.number(id)).collect(),
            first_place: event.first_place as usize,
            chosen: event.chosen.iter().map(|id| names.number(id)).collect(),
            weight: event.weight,
        }
    };
    newest.iter().map(lesson).collect()
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
    pub(super) fn hits(&self, query: &[f32], k: usize, also: &[u64]) -> Result<(Vec<Hit>, Trace)> {
        let search = || {
            let search = self.snapshot.search(query).k(k).effort(self.effort).threads(self.threads);
            if let Some(matches) = self.matches { search.filter(matches) } else { search }
        };
        let (mut hits, trace) = search().run_traced()?;
        let mut rows: Vec<(RowId, &Id)> = Vec::new();
        for id in also.iter().filter_map(|number| self.names.id(*number)) {
            if hits.iter().any(|hit| hit.id == *id) {
                continue;
            }
            let at = self.snapshot.find(id.as_ref())?;
            rows.extend(at.filter(|at| self.matches.is_none_or(|matches| matches.has(*at))).map(|at| (at, id)));
        }
        let places: Vec<RowId> = rows.iter().map(|(at, _)| *at).collect();
        let distances = search().distances_of(&places)?;
        hits.extend(distances.into_iter().zip(rows).map(|(distance, (_, id))| Hit { id: id.clone(), distance }));
        hits.sort_by(|a, b| a.distance.total_cmp(&b.distance).then_with(|| a.id.cmp(&b.id)));
        Ok((hits, trace))
    }

    /// Number, cosine similarity and, where it is wanted, vector of a hit.
    pub(super) fn found(&self, query: &[f32], hit: &Hit, place: usize, with_vector: bool) -> Result<Found> {
        let document = self.names.known(&hit.id).unwrap_or(UNNAMED + place as u64);
        let is_cosine = self.snapshot.schema().metric == Metric::Cosine;
        if is_cosine && !with_vector {
            return Ok(Found { document, similarity: 1.0 - hit.distance, vector: Vec::new() });
        }
        let mut vector = Vec::new();
        if let Some(at) = self.snapshot.find(hit.id.as_ref())? {
            vector = decode(self.snapshot.schema().dtype, self.snapshot.view(at.part)?.row(at.row));
            normalise(&mut vector);
        }
        let similarity = if is_cosine { 1.0 - hit.distance } else { dot(query, &vector) };
        Ok(Found { document, similarity, vector })
    }
}

impl Corpus for Searched<'_> {
    type Error = Error;

    fn candidates(&self, query: &[f32], also: &[u64]) -> Result<Vec<Found>> {
        let (hits, _) = self.hits(query, CANDIDATES, also)?;
        hits.iter().enumerate().map(|(place, hit)| self.found(query, hit, place, true)).collect()
    }

    fn similarities(&self, query: &[f32], documents: &[u64]) -> Result<Vec<Option<f32>>> {
        let similarity = |number: &u64| {
            let Some(id) = self.names.id(*number) else { return Ok(None) };
            let Some(at) = self.snapshot.find(id.as_ref())? else { return Ok(None) };
            let mut vector = decode(self.snapshot.schema().dtype, self.snapshot.view(at.part)?.row(at.row));
            normalise(&mut vector);
            Ok(Some(dot(query, &vector)))
        };
        documents.iter().map(similarity).collect()
    }
}

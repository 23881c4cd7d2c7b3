//! [`Study`]: learning from a snapshot, on whatever thread the caller gives it, while the store goes on.

use super::corpus::{Names, Searched, lessons, older};
use super::learn::{COMPONENTS, Component, LearnOptions};
use super::learned::{BANK_LIFE, patterns, tensors};
use super::session::learns;
use crate::learn::{
    Bank, BaseLora, Choice, ClickModel, Course, GraphRanker, Interval, Ranker, Taught, TeachOptions, Tensors, Verdict,
    teach,
};
use crate::store::Snapshot;
use crate::{Error, FeedbackFault, Result};
use rvf_format::Kind;

/// Patterns that stand for what is older than the newest lessons, and how many queries make one.
const MOST_PATTERNS: usize = 1_024;
const A_PATTERN: usize = 8;

/// What was found out by learning from a snapshot; [`crate::Db::adopt`] makes it live if it is better.
#[derive(Clone, Debug)]
pub struct Study {
    /// What was found out about each component.
    pub verdicts: Vec<Verdict>,
    pub(super) of: State,
    /// Tensors of a GRAPH and of an OVERLAY, if something is adopted.
    pub(super) weights: Option<(Tensors, Tensors)>,
    pub(super) parameters: String,
}

/// A store and what it has learned: a study of one fits another that is the same in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    file_id: [u8; 16],
    learned: [Option<[u8; 32]>; 2],
    first: u64,
}

impl State {
    pub(super) fn of(snapshot: &Snapshot) -> Result<Self> {
        let learned = [snapshot.learned_hash(Kind::GRAPH), snapshot.learned_hash(Kind::OVERLAY)];
        Ok(Self { file_id: snapshot.root().file_id, learned, first: snapshot.oldest_feedback()? })
    }
}

impl Snapshot {
    /// Learns from the feedback that the snapshot holds, and judges it on feedback that is held out. Nothing is written: any thread may do it,
    /// while others search and write the store, and hand the result to [`crate::Db::adopt`].
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::Cosine))?;
    /// db.add(&[1.0f32, 0.0, 0.0, 1.0])?;
    /// db.record(&[Feedback { query: vec![0.8, 0.6], chosen: vec![Id::U64(1)], ..Feedback::default() }])?;
    /// let snapshot = db.snapshot();
    /// let study = std::thread::spawn(move || snapshot.study(&LearnOptions::default())).join().unwrap_or(Err(Error::Poisoned))?;
    /// // One judgement is too little.
    /// assert!(!db.adopt(&study)?.adopted());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Feedback`] for options that cannot be, and a store of bits; those of a search; corruption of feedback.
    pub fn study(&self, options: &LearnOptions) -> Result<Study> {
        if !learns(self) {
            return Err(Error::Feedback(FeedbackFault::Bits));
        }
        if !(options.hold_out > 0.0 && options.hold_out < 0.9) {
            return Err(Error::Feedback(FeedbackFault::HoldOut { share: options.hold_out }));
        }
        let mut names = Names::default();
        let events = self.feedback()?;
        let dimension = self.schema().dimension as usize;
        let bank = bank(&older(&events, &mut names), dimension, options.seed);
        let lessons = lessons(&events, options.half_life, &mut names);
        let searched = Searched { snapshot: self, names: &names, effort: options.effort, matches: None, threads: 1 };
        let known = bank.as_ref().map(patterns).unwrap_or_default();
        // An adapter goes on where it has seen the first of the same lessons.
        let is_same = options.half_life.is_none() && lessons.len() == events.len();
        let before = if is_same { adapter(self, dimension, options) } else { None };
        let LearnOptions { epochs, hold_out, seed, only, .. } = *options;
        let how = TeachOptions { epochs, hold_out, seed, only: only.map(Component::name) };
        let course = Course { lessons: &lessons, patterns: &known, before };
        let taught = self.settle(teach(&searched, dimension, course, &how))?;
        let best = best(&taught.verdicts).filter(|verdict| verdict.adopted());
        let weights = best.map(|verdict| {
            let mut graph = weights(&taught, verdict);
            graph.extend(
                bank.as_ref().filter(|_| verdict.component != "clicks").map(Bank::to_tensors).unwrap_or_default(),
            );
            if let Some(seconds) = options.half_life {
                put_whole(&mut graph, "report.half_life", seconds);
            }
            (graph, overlay(&taught, lessons.len(), options))
        });
        let parameters = format!(
            "component={} hold_out={} seed={}",
            best.map_or("none", |verdict| verdict.component),
            options.hold_out,
            options.seed
        );
        Ok(Study { verdicts: taught.verdicts.clone(), of: State::of(self)?, weights, parameters })
    }
}

/// What is adopted, or else what most feedback is for. Of two that would do, the later one was found better.
pub(super) fn best(verdicts: &[Verdict]) -> Option<&Verdict> {
    verdicts.iter().max_by_key(|verdict| (verdict.adopted(), verdict.trained_on + verdict.held_out))
}

/// Patterns of what is older than the lessons; `None` where nothing is.
fn bank(older: &[(Vec<f32>, Vec<Choice>)], dimension: usize, seed: u64) -> Option<Bank> {
    let queries: Vec<(&[f32], &[Choice])> = older
        .iter()
        .map(|(query, chosen)| (&query[..], &chosen[..]))
        .filter(|(_, chosen)| !chosen.is_empty())
        .collect();
    let count = (queries.len() / A_PATTERN).min(MOST_PATTERNS);
    let mut bank = Bank::new(dimension, MOST_PATTERNS, BANK_LIFE);
    (count > 0).then(|| bank.learn(&queries, count, 0.0, seed))?;
    Some(bank)
}

/// The adapter that is in use, if it was trained with the same options, and how many lessons it has seen.
fn adapter(snapshot: &Snapshot, dimension: usize, options: &LearnOptions) -> Option<(BaseLora, usize)> {
    // One that cannot be read is as good as none: another takes its place.
    let Ok(Some((tensors, _))) = tensors(snapshot, Kind::OVERLAY) else { return None };
    let same = whole(&tensors, "report.seed") == Some(options.seed)
        && tensors.number("report.hold_out") == Some(options.hold_out as f32);
    let seen = whole(&tensors, "report.lessons").and_then(|seen| usize::try_from(seen).ok());
    BaseLora::from_tensors(&tensors, dimension).zip(seen).filter(|_| same)
}

/// The weights of what is adopted, and what was measured.
fn weights(taught: &Taught, verdict: &Verdict) -> Tensors {
    let is = |component: &str| verdict.component == component;
    let ranker = taught.ranker.as_ref().filter(|_| is("ranker") || is("adapter")).map(Ranker::to_tensors);
    let graph = taught.graph.as_ref().filter(|_| is("graph")).map(GraphRanker::to_tensors);
    let clicks = taught.clicks.as_ref().filter(|_| is("clicks")).map(ClickModel::to_tensors);
    let mut tensors = ranker.or(graph).or(clicks).unwrap_or_default();
    let component = COMPONENTS.iter().position(|name| is(name)).unwrap_or(0);
    let counts = [verdict.trained_on, verdict.held_out, verdict.new].map(|count| count as f32);
    let interval = |of: Interval| [of.mean, of.low, of.high].map(|x| x as f32).to_vec();
    tensors.put("report.component", &[1], vec![component as f32]);
    tensors.put("report.counts", &[3], counts.to_vec());
    tensors.put("report.before", &[2], verdict.before.map(|x| x as f32).to_vec());
    tensors.put("report.after", &[2], verdict.after.map(|x| x as f32).to_vec());
    tensors.put("report.gain", &[3], interval(verdict.gain));
    tensors.put("report.gain_of_new", &[3], interval(verdict.gain_of_new));
    if let Some(over) = verdict.over_ranker {
        tensors.put("report.over_ranker", &[3], interval(over));
    }
    tensors
}

/// The adapter, and what is needed to go on from it; empty without one.
fn overlay(taught: &Taught, lessons: usize, options: &LearnOptions) -> Tensors {
    let Some(adapter) = &taught.adapter else { return Tensors::default() };
    let mut tensors = adapter.to_tensors();
    put_whole(&mut tensors, "report.lessons", lessons as u64);
    put_whole(&mut tensors, "report.seed", options.seed);
    tensors.put("report.hold_out", &[1], vec![options.hold_out as f32]);
    tensors
}

/// Keeps a whole number: four pieces of 16 bits, the lowest first.
fn put_whole(tensors: &mut Tensors, name: &str, number: u64) {
    let piece = |at: u32| ((number >> (16 * at)) & 0xFFFF) as f32;
    tensors.put(name, &[4], (0..4).map(piece).collect());
}

/// What [`put_whole`] kept.
pub(super) fn whole(tensors: &Tensors, name: &str) -> Option<u64> {
    let pieces = tensors.get(name, &[4])?;
    Some(pieces.iter().rev().fold(0, |number, piece| number << 16 | u64::from(piece.clamp(0.0, 65_535.0) as u16)))
}

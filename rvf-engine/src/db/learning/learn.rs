//! [`Db::learn`]: feedback made an order of results, adopted only if it is better; reset; what is told about it.

use super::super::Db;
use super::corpus::{Names, Searched, lessons};
use super::learned::tensors;
use super::session::learns;
use crate::learn::{ClickModel, GraphRanker, Ranker, Reason, Taught, TeachOptions, Tensors, Verdict, teach};
use crate::search::Effort;
use crate::store::{Edit, Snapshot};
use crate::{Error, FeedbackFault, Result};
use rvf_format::Kind;
use rvf_format::build::Draft;
use rvf_format::manifest::FACT_FEEDBACK;
use rvf_format::payload::tensors as payload;
use rvf_format::payload::witness::Operation;

/// How to learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearnOptions {
    /// Passes over the feedback.
    pub epochs: usize,
    /// Share of the feedback that is held out, and decides: above 0 and below 0.9.
    pub hold_out: f64,
    /// What is random follows from it.
    pub seed: u64,
    /// How hard candidates are looked for.
    pub effort: Effort,
}

impl Default for LearnOptions {
    fn default() -> Self {
        let TeachOptions { epochs, hold_out, seed } = TeachOptions::default();
        Self { epochs, hold_out, seed, effort: Effort::default() }
    }
}

/// What became of learning.
#[derive(Clone, Debug, PartialEq)]
pub struct Learning {
    /// What was found out about each component.
    pub verdicts: Vec<Verdict>,
    /// The newest epoch: that of the commit that made it live, where something was adopted.
    pub epoch: u64,
}

impl Learning {
    /// Whether something was adopted.
    pub fn adopted(&self) -> bool {
        self.verdicts.iter().any(Verdict::adopted)
    }

    /// What was found out about what is in use now, or else about what most feedback is for.
    pub fn main(&self) -> Option<&Verdict> {
        // Of two that would do, the later one was found better.
        self.verdicts.iter().max_by_key(|verdict| (verdict.adopted(), verdict.trained_on + verdict.held_out))
    }
}

/// What a snapshot holds of feedback and of what was learned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LearnedInfo {
    /// Queries with feedback.
    pub feedback: usize,
    /// Those of them with choices that were made without a list.
    pub outright: usize,
    /// Choices in all.
    pub chosen: usize,
    /// When the first and the last was recorded, nanoseconds since 1970-01-01 UTC.
    pub times: Option<(u64, u64)>,
    /// What is in use, and the epoch that adopted it.
    pub live: Option<(Verdict, u64)>,
}

impl Db {
    /// Learns from the feedback that the store holds. What improves held-out feedback with 95 % confidence, and does not harm queries whose right
    /// answers were never chosen, goes live in one commit; else nothing changes.
    ///
    /// # Errors
    /// [`Error::Feedback`] for options that cannot be, and a store of bits; those of a search and of a commit.
    pub fn learn(&mut self, options: &LearnOptions) -> Result<Learning> {
        let snapshot = self.snapshot();
        let (taught, epoch) = (self.teach(&snapshot, options)?, snapshot.epoch());
        let mut learning = Learning { verdicts: taught.verdicts.clone(), epoch };
        if let Some(verdict) = learning.main().filter(|verdict| verdict.adopted()) {
            let mut edit = Edit::new(Operation::LEARN);
            edit.removed = snapshot.own_tensors(Kind::GRAPH).iter().map(|entry| entry.segment_id.get()).collect();
            edit.drafts.push(draft(Kind::GRAPH, &weights(&taught, verdict)));
            edit.parameters =
                format!("component={} hold_out={} seed={}", verdict.component, options.hold_out, options.seed);
            learning.epoch = self.store.commit(&edit)?.epoch();
        }
        Ok(learning)
    }

    fn teach(&self, snapshot: &Snapshot, options: &LearnOptions) -> Result<Taught> {
        if !learns(snapshot) {
            return Err(Error::Feedback(FeedbackFault::Bits));
        }
        if !(options.hold_out > 0.0 && options.hold_out < 0.9) {
            return Err(Error::Feedback(FeedbackFault::HoldOut { share: options.hold_out }));
        }
        let mut names = Names::default();
        let lessons = lessons(&snapshot.feedback()?, &mut names);
        let searched = Searched { snapshot, names: &names, effort: options.effort, matches: None, threads: 1 };
        let how = TeachOptions { epochs: options.epochs, hold_out: options.hold_out, seed: options.seed };
        snapshot.settle(teach(&searched, snapshot.schema().dimension as usize, &lessons, &how))
    }

    /// Forgets what was learned, and with `feedback` that as well: from then on results are those of a store that never learned. Epochs before
    /// stay as they are until they are compacted away. Returns the newest epoch; where there is nothing to forget, nothing is committed.
    ///
    /// # Errors
    /// Those of a commit.
    pub fn reset_learned(&mut self, feedback: bool) -> Result<u64> {
        let snapshot = self.snapshot();
        let mut edit = Edit::new(Operation::LEARN);
        for kind in [Kind::GRAPH, Kind::OVERLAY] {
            edit.removed.extend(snapshot.own_tensors(kind).iter().map(|entry| entry.segment_id.get()));
            let inherited = snapshot.parent().map(|parent| parent.tensors(kind)).transpose()?.flatten();
            // An empty one stands for: nothing, whatever the parent says.
            if inherited.is_some() && snapshot.tensors(kind)?.is_some() {
                edit.drafts.push(draft(kind, &Tensors::default()));
            }
        }
        if feedback {
            edit.removed.extend(snapshot.own_feedback().iter().map(|entry| entry.segment_id.get()));
            let inherited = snapshot.parent().map(|parent| parent.next_feedback()).unwrap_or(0);
            if inherited > 0 && !snapshot.feedback()?.is_empty() {
                edit.facts.insert(FACT_FEEDBACK, snapshot.next_feedback().to_le_bytes().to_vec());
            }
        }
        if edit.removed.is_empty() && edit.drafts.is_empty() && edit.facts.is_empty() {
            return Ok(snapshot.epoch());
        }
        edit.parameters = if feedback { "reset feedback" } else { "reset" }.to_owned();
        Ok(self.store.commit(&edit)?.epoch())
    }
}

impl Snapshot {
    /// What is held of feedback and of what was learned.
    ///
    /// # Errors
    /// Corruption of either.
    pub fn learned_info(&self) -> Result<LearnedInfo> {
        let events = self.feedback()?;
        let times = events.iter().map(|event| event.time_ns);
        let times = times.clone().min().zip(times.max());
        let live = tensors(self, Kind::GRAPH)?.and_then(|(tensors, epoch)| Some((report(&tensors)?, epoch)));
        Ok(LearnedInfo {
            feedback: events.len(),
            outright: events.iter().filter(|event| event.shown.is_empty()).count(),
            chosen: events.iter().map(|event| event.chosen.len()).sum(),
            times,
            live,
        })
    }
}

/// The weights of what was adopted, and what was measured.
fn weights(taught: &Taught, verdict: &Verdict) -> Tensors {
    let ranker = taught.ranker.as_ref().filter(|_| verdict.component == "ranker").map(Ranker::to_tensors);
    let graph = taught.graph.as_ref().filter(|_| verdict.component == "graph").map(GraphRanker::to_tensors);
    let clicks = taught.clicks.as_ref().filter(|_| verdict.component == "clicks").map(ClickModel::to_tensors);
    let mut tensors = ranker.or(graph).or(clicks).unwrap_or_default();
    let counts = [verdict.trained_on, verdict.held_out, verdict.new].map(|count| count as f32);
    let interval = |of: crate::learn::Interval| [of.mean, of.low, of.high].map(|x| x as f32).to_vec();
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

/// What was measured when weights were adopted.
fn report(tensors: &Tensors) -> Option<Verdict> {
    let component = match tensors.iter().next()?.0.split('.').next()? {
        "ranker" => "ranker",
        "gnn" => "graph",
        _ => "clicks",
    };
    let numbers =
        |name, count: usize| Some(tensors.get(name, &[count])?.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>());
    let interval = |name| {
        let numbers = numbers(name, 3)?;
        Some(crate::learn::Interval { mean: numbers[0], low: numbers[1], high: numbers[2] })
    };
    let both = |name| <[f64; 2]>::try_from(numbers(name, 2)?).ok();
    let counts = numbers("report.counts", 3)?;
    Some(Verdict {
        component,
        trained_on: counts[0] as usize,
        held_out: counts[1] as usize,
        new: counts[2] as usize,
        before: both("report.before")?,
        after: both("report.after")?,
        gain: interval("report.gain")?,
        gain_of_new: interval("report.gain_of_new")?,
        over_ranker: interval("report.over_ranker"),
        reason: Reason::Improves,
    })
}

fn draft(kind: Kind, tensors: &Tensors) -> Draft<'static> {
    let shapes: Vec<Vec<u32>> =
        tensors.iter().map(|(_, tensor)| tensor.shape.iter().map(|axis| *axis as u32).collect()).collect();
    let named = tensors.iter().zip(&shapes).map(|((name, tensor), shape)| (name, &shape[..], &tensor.values[..]));
    payload::draft(kind, named)
}

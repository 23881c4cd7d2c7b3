//! [`Db::learn`]: feedback made an order of results, adopted only if it is better; reset; what is told about it.

use super::super::Db;
use super::learned::tensors;
use super::study::{State, Study, best};
use crate::learn::{Reason, TeachOptions, Tensors, Verdict};
use crate::search::Effort;
use crate::store::{Edit, Snapshot};
use crate::{Error, Result};
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
    /// Seconds after which feedback counts half as much; `None`: it never fades. Ages are those at the newest feedback.
    pub half_life: Option<u64>,
    /// The only component to be tried, where not all: it has to improve results all the same.
    pub only: Option<Component>,
}

/// What may be learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// The order of candidates by what was chosen for like queries (judgements).
    Ranker,
    /// The same, which hears of the candidates' neighbours in the index.
    Graph,
    /// The ranker on queries that a low-rank adapter moves.
    Adapter,
    /// What makes results be chosen from lists, apart from their places.
    Clicks,
}

impl Component {
    /// Its name, as verdicts have it.
    pub fn name(self) -> &'static str {
        COMPONENTS[self as usize]
    }
}

impl Default for LearnOptions {
    fn default() -> Self {
        let TeachOptions { epochs, hold_out, seed, .. } = TeachOptions::default();
        Self { epochs, hold_out, seed, effort: Effort::default(), half_life: None, only: None }
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
        best(&self.verdicts)
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
    /// Learns from the feedback that the store holds: [`Snapshot::study`], then [`Db::adopt`].
    ///
    /// # Errors
    /// Those of both.
    pub fn learn(&mut self, options: &LearnOptions) -> Result<Learning> {
        let study = self.snapshot().study(options)?;
        self.adopt(&study)
    }

    /// Makes what a study found better than before live, in one commit; else nothing changes. The store may have gone on meanwhile, unless it
    /// learned or forgot.
    ///
    /// # Errors
    /// [`Error::OtherSnapshot`] for a study of another store, or of a state before something was learned or forgotten; those of a commit.
    pub fn adopt(&mut self, study: &Study) -> Result<Learning> {
        let snapshot = self.snapshot();
        if study.of != State::of(&snapshot)? {
            return Err(Error::OtherSnapshot);
        }
        let mut learning = Learning { verdicts: study.verdicts.clone(), epoch: snapshot.epoch() };
        if let Some((graph, overlay)) = &study.weights {
            let mut edit = Edit::new(Operation::LEARN);
            for (kind, tensors) in [(Kind::GRAPH, graph), (Kind::OVERLAY, overlay)] {
                edit.removed.extend(snapshot.own_tensors(kind).iter().map(|entry| entry.segment_id.get()));
                // An empty one stands for: nothing, whatever a parent says.
                if !tensors.is_empty() || snapshot.has_learned(kind) {
                    edit.drafts.push(draft(kind, tensors));
                }
            }
            edit.parameters = study.parameters.clone();
            learning.epoch = self.store.commit(&edit)?.epoch();
        }
        Ok(learning)
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
            if snapshot.has_learned(kind) {
                edit.removed.extend(snapshot.own_tensors(kind).iter().map(|entry| entry.segment_id.get()));
                // An empty one stands for: nothing, whatever the parent says.
                if snapshot.parent().is_some_and(|parent| parent.has_learned(kind)) {
                    edit.drafts.push(draft(kind, &Tensors::default()));
                }
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
        tensors(self, Kind::OVERLAY)?;
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

/// Names of components by number.
pub(super) const COMPONENTS: [&str; 4] = ["ranker", "graph", "adapter", "clicks"];

/// What was measured when weights were adopted.
fn report(tensors: &Tensors) -> Option<Verdict> {
    let component = *COMPONENTS.get(tensors.number("report.component")? as usize)?;
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

pub(super) fn draft(kind: Kind, tensors: &Tensors) -> Draft<'static> {
    let shapes: Vec<Vec<u32>> =
        tensors.iter().map(|(_, tensor)| tensor.shape.iter().map(|axis| *axis as u32).collect()).collect();
    let named = tensors.iter().zip(&shapes).map(|((name, tensor), shape)| (name, &shape[..], &tensor.values[..]));
    payload::draft(kind, named)
}

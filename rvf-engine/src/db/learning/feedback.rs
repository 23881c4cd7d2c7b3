//! [`Feedback`]: what was shown for a query and what of it was chosen; its check and its commit.

use super::super::Db;
use super::session::learns;
use crate::store::{Edit, Event, Id, Snapshot, feedback_draft};
use crate::{Error, FeedbackFault, Result};
use rvf_format::payload::witness::Operation;
use std::collections::BTreeSet;

/// What was shown for a query, and what was chosen.
///
/// With a list in `shown`, choices are taken for what people do with lists: first places are looked at more often, and what was shown and not
/// chosen counts. Without one they are judgements: this is right for that query.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    /// The query: as many finite numbers as the store has dimensions.
    pub query: Vec<f32>,
    /// What was shown, in its order.
    pub shown: Vec<Id>,
    /// What was chosen, shown or not.
    pub chosen: Vec<Id>,
    /// How many results stood before the first of `shown`: 10 on the second page of ten.
    pub position: u32,
    /// How much it counts, above 0; 1 for a plain choice.
    pub weight: f32,
}

impl Default for Feedback {
    fn default() -> Self {
        Self { query: Vec::new(), shown: Vec::new(), chosen: Vec::new(), position: 0, weight: 1.0 }
    }
}

impl Feedback {
    /// Whether a snapshot can take it.
    ///
    /// # Errors
    /// [`Error::Dimension`], [`Error::NotFinite`], [`Error::IdKind`], [`Error::Feedback`]; corruption that finding
    /// what was chosen comes upon.
    pub fn check(&self, snapshot: &Snapshot) -> Result<()> {
        let schema = snapshot.schema();
        if !learns(snapshot) {
            return Err(Error::Feedback(FeedbackFault::Bits));
        }
        if self.query.len() != schema.dimension as usize {
            return Err(Error::Dimension { expected: schema.dimension, found: self.query.len() });
        }
        if let Some(component) = self.query.iter().position(|x| !x.is_finite()) {
            return Err(Error::NotFinite { row: 0, component });
        }
        if self.query.iter().all(|x| *x == 0.0) {
            return Err(Error::Feedback(FeedbackFault::Zero));
        }
        if !(self.weight.is_finite() && self.weight > 0.0) {
            return Err(Error::Feedback(FeedbackFault::Weight { weight: self.weight }));
        }
        if self.shown.is_empty() && self.chosen.is_empty() {
            return Err(Error::Feedback(FeedbackFault::Empty));
        }
        for list in [&self.shown, &self.chosen] {
            check_ids(list, snapshot)?;
        }
        for id in &self.chosen {
            if snapshot.find(id.as_ref())?.is_none() {
                return Err(Error::Feedback(FeedbackFault::Unknown { id: id.to_string() }));
            }
        }
        Ok(())
    }

    pub(super) fn event(&self, time_ns: u64) -> Event {
        Event {
            time_ns,
            query: self.query.clone(),
            shown: self.shown.clone(),
            chosen: self.chosen.clone(),
            weight: self.weight,
            first_place: self.position,
        }
    }
}

fn check_ids(ids: &[Id], snapshot: &Snapshot) -> Result<()> {
    let mut seen = BTreeSet::new();
    for id in ids {
        if id.id_type() != snapshot.schema().id_type {
            return Err(Error::IdKind { expected: snapshot.schema().id_type });
        }
        // What no record can be called was never shown.
        let is_id = match id {
            Id::U64(number) => *number != u64::MAX,
            Id::Str(text) => (1..=rvf_format::limits::MAX_ID_LEN).contains(&text.len()) && !text.contains('\0'),
        };
        if !is_id {
            return Err(Error::Feedback(FeedbackFault::Unknown { id: id.to_string().chars().take(64).collect() }));
        }
        if !seen.insert(id) {
            return Err(Error::Feedback(FeedbackFault::Twice { id: id.to_string() }));
        }
    }
    Ok(())
}

impl Db {
    /// Records feedback in one commit. All of it is checked before. Returns the epoch; without any feedback nothing is committed.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::Cosine))?;
    /// db.add(&[1.0f32, 0.0, 0.0, 1.0])?;
    /// let chosen = Feedback { query: vec![0.8, 0.6], chosen: vec![Id::U64(1)], ..Feedback::default() };
    /// assert_eq!(db.record(&[chosen])?, 3);
    /// assert_eq!(db.snapshot().feedback()?[0].chosen, [Id::U64(1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Feedback::check`] and of a commit.
    pub fn record(&mut self, feedback: &[Feedback]) -> Result<u64> {
        let snapshot = self.snapshot();
        feedback.iter().try_for_each(|feedback| feedback.check(&snapshot))?;
        snapshot.check()?;
        let time_ns = self.store.context.clock.now_ns();
        self.record_events(&feedback.iter().map(|feedback| feedback.event(time_ns)).collect::<Vec<Event>>())
    }

    /// Records events that were checked.
    pub(super) fn record_events(&mut self, events: &[Event]) -> Result<u64> {
        let snapshot = self.snapshot();
        if events.is_empty() {
            return Ok(snapshot.epoch());
        }
        Ok(self.store.commit(&recording(&snapshot, events))?.epoch())
    }
}

/// What records events that were checked.
pub(super) fn recording(snapshot: &Snapshot, events: &[Event]) -> Edit<'static> {
    let mut edit = Edit::new(Operation::FEEDBACK);
    edit.drafts.push(feedback_draft(snapshot, snapshot.next_feedback(), events));
    edit.parameters = format!("events={}", events.len());
    edit
}

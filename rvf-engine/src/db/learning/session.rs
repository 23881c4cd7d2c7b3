//! [`Session`]: searches of one snapshot that use what it has learned, and remember what they showed until it is known what was chosen.

use super::super::Db;
use super::feedback::{Feedback, recording};
use super::learn::draft;
use super::learned::{How, Learned, Moved, tensors};
use crate::learn::{MicroLora, normalise};
use crate::search::{Effort, Hit, Matches, QueryVector, Trace};
use crate::store::{Clock, Event, Id, Snapshot};
use crate::{Error, FeedbackFault, Result};
use rvf_format::{Kind, Metric};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Answers that are remembered until it is known what was chosen.
const REMEMBERED: usize = 4_096;
/// Rank and seed of what a session adapts by.
const RANK: usize = 2;
const SEED: u64 = 1;

/// The number of an answer in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// Searches of one snapshot that use what it has learned. Shared between threads by reference; feedback waits in it until [`Db::record_session`].
///
/// ```
/// # use rvf_engine::*;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("a.rvf");
/// let mut db = Db::create(&path, &Schema::new(2, Metric::Cosine))?;
/// db.add(&[1.0f32, 0.0, 0.0, 1.0])?;
/// let session = Session::new(db.snapshot())?;
/// let answer = session.search(&[0.8f32, 0.6]).k(2).run()?;
/// session.feedback(answer.query_id, &[answer.hits[1].id.clone()], 1.0)?;
/// db.record_session(&session)?;
/// assert_eq!(db.snapshot().feedback()?[0].shown.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Session {
    snapshot: Arc<Snapshot>,
    learned: Option<Learned>,
    /// Where it adapts to each choice: by what, and what stands for the order that nothing was learned for.
    micro: Option<Mutex<MicroLora>>,
    bare: Learned,
    clock: Clock,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    next: u64,
    answers: VecDeque<(u64, Feedback)>,
    waiting: Vec<Event>,
}

/// Results of a search of a session.
#[derive(Clone, Debug)]
pub struct Answer {
    /// By which feedback names it.
    pub query_id: QueryId,
    /// The best first: in the learned order where one is in use, else the nearest. Distances are those to the query in any case.
    pub hits: Vec<Hit>,
    /// Whether the order is a learned one: not for a query that is like nothing that was asked before.
    pub learned: bool,
    /// How learning moved each of them, where that was asked.
    pub moved: Option<Vec<Moved>>,
    /// What the search took.
    pub trace: Trace,
}

/// A search of a session, to be run.
#[derive(Debug)]
pub struct LearnedSearch<'s> {
    session: &'s Session,
    query: QueryVector<'s>,
    k: usize,
    position: u32,
    effort: Effort,
    matches: Option<&'s Matches>,
    threads: usize,
    uses_learned: bool,
    explains: bool,
}

impl Log {
    fn answer(&self, query: QueryId) -> Option<&Feedback> {
        let at = self.answers.binary_search_by_key(&query.0, |(number, _)| *number).ok()?;
        self.answers.get(at).map(|(_, answer)| answer)
    }
}

impl Session {
    /// Searches of `snapshot`, with what it has learned.
    ///
    /// # Errors
    /// Corruption of what was learned or of feedback.
    pub fn new(snapshot: Arc<Snapshot>) -> Result<Self> {
        let learned = Learned::of(&snapshot)?;
        let (micro, bare) = (None, Learned::bare());
        Ok(Self { snapshot, learned, micro, bare, clock: Clock::default(), log: Mutex::default() })
    }

    /// The same, which adapts its queries to each choice at once (MicroLoRA: a residual of rank 2 on the query). It goes on from what was recorded of
    /// another such session. Nobody has judged what this does: no gain of it was measured (`learn_bench --only adapters`), so it is the
    /// program's choice.
    ///
    /// # Errors
    /// Corruption of what was recorded.
    pub fn adapting(mut self) -> Result<Self> {
        let dimension = self.snapshot.schema().dimension as usize;
        let kept = tensors(&self.snapshot, Kind::OVERLAY)?;
        let kept = kept.and_then(|(tensors, _)| MicroLora::from_tensors(&tensors, dimension));
        let micro = kept.unwrap_or_else(|| MicroLora::new(dimension, RANK, SEED));
        self.micro = learns(&self.snapshot).then(|| Mutex::new(micro));
        Ok(self)
    }

    /// What is in use; `None` where nothing is adopted.
    pub fn learned(&self) -> Option<&Learned> {
        self.learned.as_ref()
    }

    /// The snapshot that is searched.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// A search, in the learned order where something is adopted.
    pub fn search<'s>(&'s self, query: impl Into<QueryVector<'s>>) -> LearnedSearch<'s> {
        LearnedSearch {
            session: self,
            query: query.into(),
            k: 10,
            position: 0,
            effort: Effort::default(),
            matches: None,
            threads: 1,
            uses_learned: true,
            explains: false,
        }
    }

    /// What was chosen of an answer, and how much that counts (1 is a plain choice). Waits for [`Db::record_session`]: costs microseconds, and no
    /// search waits for it. Choosing nothing is feedback as well.
    ///
    /// # Errors
    /// [`FeedbackFault::Forgotten`] for an answer that is not among the last 4,096 or had its feedback; those of [`Feedback::check`].
    pub fn feedback(&self, query: QueryId, chosen: &[Id], weight: f32) -> Result<()> {
        let forgotten = Error::Feedback(FeedbackFault::Forgotten);
        let Some(mut feedback) = self.lock().answer(query).cloned() else { return Err(forgotten) };
        (feedback.chosen, feedback.weight) = (chosen.to_vec(), weight);
        feedback.check(&self.snapshot)?;
        let event = feedback.event(self.clock.now_ns());
        self.adapt(&feedback)?;
        let mut log = self.lock();
        // Another thread may have been faster.
        match log.answers.binary_search_by_key(&query.0, |(number, _)| *number) {
            Ok(at) => drop(log.answers.remove(at)),
            Err(_) => return Err(forgotten),
        }
        log.waiting.push(event);
        Ok(())
    }

    /// How much feedback waits.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Moves queries like this one towards what was chosen, away from what was not.
    fn adapt(&self, feedback: &Feedback) -> Result<()> {
        let Some(micro) = &self.micro else { return Ok(()) };
        let vectors = |ids: &mut dyn Iterator<Item = &Id>| -> Result<Vec<Vec<f32>>> {
            let mut vectors = Vec::new();
            for id in ids {
                let at = self.snapshot.find(id.as_ref())?;
                vectors.extend(at.map(|at| self.snapshot.unit(at)).transpose()?);
            }
            Ok(vectors)
        };
        let chosen = vectors(&mut feedback.chosen.iter())?;
        let others = vectors(&mut feedback.shown.iter().filter(|id| !feedback.chosen.contains(id)))?;
        let mut query = feedback.query.clone();
        normalise(&mut query);
        let [chosen, others] = [&chosen, &others].map(|rows| rows.iter().map(Vec::as_slice).collect::<Vec<&[f32]>>());
        micro.lock().unwrap_or_else(PoisonError::into_inner).adapt(&query, &chosen, &others);
        Ok(())
    }

    /// What it has adapted to by now, if it does.
    fn adapted(&self) -> Option<MicroLora> {
        let micro = self.micro.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        (!micro.adapter().is_identity()).then(|| micro.clone())
    }

    fn remember(&self, feedback: Feedback) -> QueryId {
        let mut log = self.lock();
        let number = log.next;
        log.next += 1;
        if log.answers.len() == REMEMBERED {
            log.answers.pop_front();
        }
        log.answers.push_back((number, feedback));
        QueryId(number)
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        // Whoever panicked with it left nothing half done.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'s> LearnedSearch<'s> {
    /// How many results.
    pub fn k(mut self, k: usize) -> Self {
        self.k = k;
        self
    }

    /// How many results were shown before these: they are left out, and places count on from there.
    pub fn position(mut self, position: u32) -> Self {
        self.position = position;
        self
    }

    /// How hard to look.
    pub fn effort(mut self, effort: Effort) -> Self {
        self.effort = effort;
        self
    }

    /// Only among these records.
    pub fn filter(mut self, matches: &'s Matches) -> Self {
        self.matches = Some(matches);
        self
    }

    /// Threads that a scan may use.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Whether what was learned is used: without it the results are those of [`Snapshot::search`], bit by bit.
    pub fn learned(mut self, uses_learned: bool) -> Self {
        self.uses_learned = uses_learned;
        self
    }

    /// Whether it is told how learning moved each result.
    pub fn explain(mut self, explains: bool) -> Self {
        self.explains = explains;
        self
    }

    /// Runs it.
    ///
    /// # Errors
    /// Those of [`crate::Search::run`].
    pub fn run(self) -> Result<Answer> {
        let (session, query) = (self.session, self.query.to_vec());
        let skipped = self.position as usize;
        let wanted = self.k.saturating_add(skipped);
        let snapshot = session.snapshot.as_ref();
        let plain = || {
            let search = snapshot.search(self.query.clone()).k(wanted).effort(self.effort).threads(self.threads);
            if let Some(matches) = self.matches { search.filter(matches) } else { search }
        };
        let micro = session.adapted().filter(|_| self.uses_learned);
        let bare = micro.as_ref().map(|_| &session.bare);
        let learned = session.learned.as_ref().or(bare).filter(|_| self.uses_learned && wanted > 0);
        let Self { effort, matches, threads, explains, .. } = self;
        let how = How { effort, matches, threads, explains, micro: micro.as_ref() };
        let found =
            learned.map(|learned| snapshot.settle(learned.search(snapshot, &query, wanted, how))).transpose()?;
        let found = found.flatten();
        let is_learned = found.is_some();
        let (mut hits, moved, trace) = match found {
            Some((found, trace)) => {
                let (hits, moved): (Vec<Hit>, Vec<Option<Moved>>) = found.into_iter().unzip();
                (hits, moved.into_iter().collect::<Option<Vec<Moved>>>().filter(|_| explains), trace)
            }
            None => {
                let (hits, trace) = plain().run_traced()?;
                (hits, None, trace)
            }
        };
        hits.drain(..skipped.min(hits.len()));
        let moved = moved.map(|mut moved| {
            moved.drain(..skipped.min(moved.len()));
            moved
        });
        let shown = hits.iter().map(|hit| hit.id.clone()).collect();
        let position = self.position;
        let query_id = session.remember(Feedback { query, shown, position, ..Feedback::default() });
        Ok(Answer { query_id, hits, learned: is_learned, moved, trace })
    }
}

impl Db {
    /// Records the feedback that waits in a session, in one commit. Returns how much it was. A commit that fails leaves it waiting.
    ///
    /// # Errors
    /// Those of [`Db::record`]: also where what was chosen is gone meanwhile.
    pub fn record_session(&mut self, session: &Session) -> Result<usize> {
        let events = std::mem::take(&mut session.lock().waiting);
        let done = self.record_adapted(&events, session.adapted());
        if done.is_err() {
            session.lock().waiting.splice(..0, events.iter().cloned());
        }
        done.map(|_| events.len())
    }

    /// Records events, and what a session has adapted to beside what is adopted.
    fn record_adapted(&mut self, events: &[Event], micro: Option<MicroLora>) -> Result<u64> {
        let Some(micro) = micro.filter(|_| !events.is_empty()) else { return self.record_events(events) };
        let snapshot = self.snapshot();
        let mut overlay = tensors(&snapshot, Kind::OVERLAY)?.map(|(tensors, _)| tensors).unwrap_or_default();
        overlay.extend(micro.to_tensors());
        let mut edit = recording(&snapshot, events);
        edit.removed = snapshot.own_tensors(Kind::OVERLAY).iter().map(|entry| entry.segment_id.get()).collect();
        edit.drafts.push(draft(Kind::OVERLAY, &overlay));
        Ok(self.store.commit(&edit)?.epoch())
    }
}

/// Whether a store can learn: vectors of bits are not learned from.
pub(super) fn learns(snapshot: &Snapshot) -> bool {
    snapshot.schema().metric != Metric::Hamming
}

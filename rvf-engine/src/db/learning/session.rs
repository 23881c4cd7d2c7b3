//! [`Session`]: searches of one snapshot that use what it has learned, and remember what they showed until it is known what was chosen.

use super::super::Db;
use super::feedback::Feedback;
use super::learned::{How, Learned, Moved};
use crate::search::{Effort, Hit, Matches, QueryVector, Trace};
use crate::store::{Clock, Event, Id, Snapshot};
use crate::{Error, FeedbackFault, Result};
use rvf_format::{Dtype, Metric};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Answers that are remembered until it is known what was chosen.
const REMEMBERED: usize = 4_096;

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
    /// Whether the order is a learned one.
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

impl Session {
    /// Searches of `snapshot`, with what it has learned.
    ///
    /// # Errors
    /// Corruption of what was learned or of feedback.
    pub fn new(snapshot: Arc<Snapshot>) -> Result<Self> {
        let learned = Learned::of(&snapshot)?;
        Ok(Self { snapshot, learned, clock: Clock::default(), log: Mutex::default() })
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
        let at = self.lock().answers.binary_search_by_key(&query.0, |(number, _)| *number);
        let Ok(at) = at else { return Err(forgotten) };
        let Some(mut feedback) = self.lock().answers.get(at).map(|(_, answer)| answer.clone()) else {
            return Err(forgotten);
        };
        (feedback.chosen, feedback.weight) = (chosen.to_vec(), weight);
        feedback.check(&self.snapshot)?;
        let event = feedback.event(self.clock.now_ns());
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
        let (session, query) = (self.session, self.query.numbers());
        let skipped = self.position as usize;
        let wanted = self.k.saturating_add(skipped);
        let snapshot = session.snapshot.as_ref();
        let plain = || {
            let search = snapshot.search(self.query.clone()).k(wanted).effort(self.effort).threads(self.threads);
            if let Some(matches) = self.matches { search.filter(matches) } else { search }
        };
        let learned = session.learned.as_ref().filter(|_| self.uses_learned && wanted > 0);
        let (mut hits, moved, trace) = match learned {
            Some(learned) => {
                plain().check()?;
                let Self { effort, matches, threads, explains, .. } = self;
                let how = How { effort, matches, threads, explains };
                let (found, trace) = snapshot.settle(learned.search(snapshot, &query, wanted, how))?;
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
        Ok(Answer { query_id, hits, learned: learned.is_some(), moved, trace })
    }
}

impl Db {
    /// Records the feedback that waits in a session, in one commit. Returns how much it was. A commit that fails leaves it waiting.
    ///
    /// # Errors
    /// Those of [`Db::record`]: also where what was chosen is gone meanwhile.
    pub fn record_session(&mut self, session: &Session) -> Result<usize> {
        let events = std::mem::take(&mut session.lock().waiting);
        let done = self.record_events(&events);
        if done.is_err() {
            session.lock().waiting.splice(..0, events.iter().cloned());
        }
        done.map(|_| events.len())
    }
}

/// Whether a store can learn: vectors of bits are not learned from.
pub(super) fn learns(snapshot: &Snapshot) -> bool {
    snapshot.schema().metric != Metric::Hamming && snapshot.schema().dtype != Dtype::Binary
}

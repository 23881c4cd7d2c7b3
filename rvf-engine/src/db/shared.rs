//! [`Shared`]: one writer for many threads. Owns the queue of what they ask for, and who commits it.
//!
//! ```text
//! a thread: request -> queue -> is the Db free? yes: takes it and commits all that waits, answers, gives the Db back
//!                                               no:  sleeps until its answer is there or the Db is free
//! ```
//! The thread that has the Db leads. It makes one commit and gives the Db back, so no thread works for others forever; what
//! came meanwhile waits for the next leader, which is any of those that wait.

use super::gathered::{Gathered, tallies};
use super::{Batch, Committed, Db, committed};
use crate::ingest::Admission;
use crate::ingest::door::{Tally, Vectors};
use crate::store::{Id, Snapshot};
use crate::{Error, Result};
use rvf_format::Schema;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Most requests that share a commit: bounds what one look-up pass and one answer cost.
const MOST_REQUESTS: usize = 4_096;
/// Most bytes of vectors that share a commit; a larger request is committed alone.
const MOST_BYTES: usize = 64 << 20;

/// A store that many threads write: what they commit at the same time becomes one commit, for the price of one.
///
/// Clones are handles of the same store. A call returns when its records are on the medium. Requests take effect in one order,
/// as if they had been committed one after another; only the epoch is that of the commit which they share.
///
/// ```
/// use rvf_engine::{Db, Metric, Schema};
/// let folder = tempfile::tempdir()?;
/// let shared = Db::create(folder.path().join("a.rvf"), &Schema::new(2, Metric::L2))?.into_shared();
/// std::thread::scope(|scope| {
///     for id in 0..8 {
///         let shared = shared.clone();
///         scope.spawn(move || shared.put(id, &[id as f32, 1.0]).map(|done| assert_eq!(done.accepted, 1)));
///     }
/// });
/// assert_eq!(shared.snapshot().count(), 8);
/// let mut db = shared.into_inner().ok_or("another handle is in use")?;
/// assert_eq!(db.delete(&[3.into()])?.count, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Shared {
    inner: Arc<Inner>,
}

struct Inner {
    schema: Schema,
    state: Mutex<State>,
    /// The Db is free, answers are there, or the Db is lost.
    changed: Condvar,
}

struct State {
    /// `None` while a thread leads, and for ever if it panicked.
    db: Option<Db>,
    /// A leader panicked: what the file holds behind its last commit is unknown, and the Db is gone.
    lost: bool,
    newest: Arc<Snapshot>,
    next_ticket: u64,
    queue: Vec<(u64, Gathered)>,
    answers: HashMap<u64, Result<Committed>>,
}

impl Shared {
    pub(super) fn new(db: Db) -> Self {
        let newest = db.snapshot();
        let schema = *newest.schema();
        let state =
            State { db: Some(db), lost: false, newest, next_ticket: 0, queue: Vec::new(), answers: HashMap::new() };
        Self { inner: Arc::new(Inner { schema, state: Mutex::new(state), changed: Condvar::new() }) }
    }

    /// The newest commit that a call has returned from, or a later one.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// let shared = Db::create(folder.path().join("a.rvf"), &Schema::new(1, Metric::L2))?.into_shared();
    /// let done = shared.put(5, &[0.5])?;
    /// assert_eq!((shared.snapshot().epoch(), shared.snapshot().count()), (done.epoch, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.inner.lock().newest.clone()
    }

    /// Stores one record, or replaces the one with the same id. Several in one commit: [`Shared::batch`].
    ///
    /// # Errors
    /// Those of [`Batch::put`] and [`Batch::commit`]. A record that is refused harms no other request.
    pub fn put<'v>(&self, id: impl Into<Id>, vector: impl Into<Vectors<'v>>) -> Result<Committed> {
        let mut batch = self.batch();
        batch.put(id, vector)?;
        batch.commit()
    }

    /// Deletes one record; one that is not there is counted.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// let shared = Db::create(folder.path().join("a.rvf"), &Schema::new(1, Metric::L2))?.into_shared();
    /// assert_eq!(shared.delete(5)?.missing, 1);
    /// assert!(matches!(shared.delete("five"), Err(Error::IdKind { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Batch::delete`] and [`Batch::commit`].
    pub fn delete(&self, id: impl Into<Id>) -> Result<Committed> {
        let mut batch = self.batch();
        batch.delete(id)?;
        batch.commit()
    }

    /// Begins a batch: what it gathers becomes part of one commit, in whole or not at all.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// let shared = Db::create(folder.path().join("a.rvf"), &Schema::new(1, Metric::L2))?.into_shared();
    /// let mut batch = shared.batch();
    /// batch.put(1, &[0.5])?;
    /// batch.put(2, &[0.25])?;
    /// batch.delete(1)?;
    /// let done = batch.commit()?;
    /// assert_eq!((done.count, done.accepted, done.missing), (1, 1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn batch(&self) -> Batch<'_> {
        Batch::shared(self)
    }

    /// The writer itself, for what is done alone: compaction, the index. `None` while other handles are there, and after a
    /// thread panicked inside a commit; open the file anew then.
    pub fn into_inner(self) -> Option<Db> {
        Arc::into_inner(self.inner)?.state.into_inner().unwrap_or_else(PoisonError::into_inner).db
    }

    pub(super) fn schema(&self) -> &Schema {
        &self.inner.schema
    }

    pub(super) fn commit(&self, mut request: Gathered) -> Result<Committed> {
        // What a sweep finds is known only when it is its turn.
        if !request.sweeps() {
            request.settle();
        }
        let inner = &*self.inner;
        let mut state = inner.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.queue.push((ticket, request));
        loop {
            if let Some(answer) = state.answers.remove(&ticket) {
                return answer;
            }
            if state.lost {
                return Err(Error::Group { source: Arc::new(Error::Poisoned) });
            }
            state = match state.db.take() {
                Some(db) => {
                    let group = take_group(&mut state.queue);
                    drop(state);
                    Leader { inner, db: Some(db), finished: false }.lead(group);
                    inner.lock()
                }
                None => inner.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Inner {
    /// Nothing panics while it holds this lock, so that what it guards is whole even if the lock says otherwise.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests from the head of the queue that one commit takes; the first in any case. One that deletes by a range or a filter is
/// committed alone: what it finds depends on what was committed before.
fn take_group(queue: &mut Vec<(u64, Gathered)>) -> Vec<(u64, Gathered)> {
    if queue.first().is_some_and(|(_, request)| request.sweeps()) {
        return vec![queue.remove(0)];
    }
    let mut bytes = 0usize;
    let fits = |(_, request): &&(u64, Gathered)| {
        bytes = bytes.saturating_add(request.bytes());
        bytes <= MOST_BYTES && !request.sweeps()
    };
    let count = queue.iter().take(MOST_REQUESTS).take_while(fits).count().max(1);
    queue.drain(..count.min(queue.len())).collect()
}

/// The thread that has the Db. Dropped unfinished, it panicked: the Db goes with it, and all who wait are told.
struct Leader<'i> {
    inner: &'i Inner,
    db: Option<Db>,
    finished: bool,
}

impl Leader<'_> {
    fn lead(mut self, group: Vec<(u64, Gathered)>) {
        if let Some(db) = &mut self.db {
            let (tickets, requests): (Vec<u64>, Vec<Gathered>) = group.into_iter().unzip();
            let written = write(db, requests);
            let newest = db.snapshot();
            let changed = written.as_ref().is_ok_and(|(_, changed)| *changed);
            let answers = answers(&newest, tickets, written);
            let mut state = self.inner.lock();
            state.newest = newest;
            state.answers.extend(answers);
            drop(state);
            self.inner.changed.notify_all();
            // The group is answered: only this thread waits for a graph.
            if changed {
                db.after_commit();
            }
        }
        self.finished = true;
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        let mut state = self.inner.lock();
        match self.db.take().filter(|_| self.finished) {
            Some(db) => {
                state.newest = db.snapshot();
                state.db = Some(db);
            }
            None => state.lost = true,
        }
        drop(state);
        self.inner.changed.notify_all();
    }
}

/// What became of each request.
type Outcomes = Vec<Result<Tally>>;

/// One commit of all requests but those whose fields do not go in: what became of each, and whether there was anything to commit.
fn write(db: &mut Db, requests: Vec<Gathered>) -> Result<(Outcomes, bool)> {
    // Requests that undo each other commit nothing; a store that takes no commits must say so all the same.
    db.store.check_writable()?;
    let snapshot = db.store.snapshot().clone();
    let mut admission = Admission::new(&snapshot)?;
    let mut admitted = Vec::with_capacity(requests.len());
    let refused: Vec<Option<Error>> = requests
        .into_iter()
        .map(|mut request| {
            if request.sweeps() {
                request.resolve(&snapshot)?;
                request.settle();
            }
            request.admit(&mut admission).map(|()| admitted.push(request))
        })
        .map(Result::err)
        .collect();
    let mut counted = tallies(&snapshot, &admitted)?.into_iter();
    let mut all = Gathered::new(snapshot.schema());
    admitted.into_iter().for_each(|request| all.append(request));
    let (_, changed) = all.write(&mut db.store)?;
    let outcome = |refused: Option<Error>| refused.map_or_else(|| Ok(counted.next().unwrap_or_default()), Err);
    Ok((refused.into_iter().map(outcome).collect(), changed))
}

fn answers(newest: &Snapshot, tickets: Vec<u64>, written: Result<(Outcomes, bool)>) -> Vec<(u64, Result<Committed>)> {
    match written {
        Ok((outcomes, _)) => {
            let committed = |outcome: Result<Tally>| outcome.map(|tally| committed(newest, tally));
            tickets.into_iter().zip(outcomes).map(|(ticket, outcome)| (ticket, committed(outcome))).collect()
        }
        Err(error) => {
            let source = Arc::new(error);
            tickets.into_iter().map(|ticket| (ticket, Err(Error::Group { source: source.clone() }))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::door::Rounding;
    use crate::value::{Metadata, Value};
    use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};
    use rvf_format::storage::MemoryPlace;
    use rvf_format::{IdType, Metric};

    fn db(id_type: IdType) -> Db {
        let schema = Schema { id_type, ..Schema::new(1, Metric::L2) };
        Db::create_with(Arc::new(MemoryPlace::default()), "a.rvf", &schema, &Default::default()).unwrap()
    }

    /// A put of this number or a change of metadata, or a deletion.
    type Op = (u64, Option<i8>);

    fn gathered(schema: &Schema, ops: &[Op]) -> Gathered {
        let mut gathered = Gathered::new(schema);
        for (number, value) in ops {
            let id = if schema.id_type == IdType::U64 { Id::U64(*number) } else { Id::Str(number.to_string()) };
            match value {
                // One in four changes metadata instead.
                Some(value) if value % 4 == 0 => {
                    let (a, b) = (Value::I64(i64::from(*value)), Value::Null);
                    let fields = if value % 8 == 0 { [("a", a), ("b", b)] } else { [("a", b), ("b", a)] };
                    gathered.update(id, fields.map(|(name, value)| (name.to_owned(), value)).into()).unwrap();
                }
                Some(value) if value % 3 == 0 => {
                    let fields = Metadata::from([("a".to_owned(), Value::I64(i64::from(*value)))]);
                    gathered.put(id, Vectors::F32(&[f32::from(*value)]), fields, Rounding::Refuse).unwrap();
                }
                Some(value) => {
                    gathered.put(id, Vectors::F32(&[f32::from(*value)]), Metadata::new(), Rounding::Refuse).unwrap()
                }
                None => gathered.delete(id).unwrap(),
            }
        }
        gathered
    }

    fn records(db: &Db) -> Vec<(String, Vec<f32>, Metadata)> {
        let snapshot = db.snapshot();
        let mut all: Vec<_> = snapshot
            .records()
            .unwrap()
            .map(|record| record.map(|r| (r.id.to_string(), r.vector, r.metadata)).unwrap())
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        prop::collection::vec((0..6u64, prop::option::weighted(0.6, any::<i8>())), 0..5)
    }

    proptest! {
        /// Catches requests that are merged in another order, count what others did, or lose the later of two puts: one group
        /// against one commit a request, on two stores.
        #[test]
        fn a_group_is_its_requests_one_after_another(
            groups in prop::collection::vec(prop::collection::vec(ops(), 1..6), 1..4), strings: bool
        ) {
            let id_type = if strings { IdType::Str } else { IdType::U64 };
            let (mut grouped, mut serial) = (db(id_type), db(id_type));
            let schema = *grouped.snapshot().schema();
            for group in groups {
                let epoch = grouped.snapshot().epoch();
                let requests = group.iter().map(|ops| {
                    let mut request = gathered(&schema, ops);
                    request.settle();
                    request
                });
                let (tallies, changed) = write(&mut grouped, requests.collect()).unwrap();
                let alone = |ops: &Vec<Op>| gathered(&schema, ops).write(&mut serial.store).unwrap().0;
                let expected: Vec<Tally> = group.iter().map(alone).collect();
                prop_assert_eq!(tallies.into_iter().map(Result::unwrap).collect::<Vec<_>>(), expected);
                prop_assert_eq!(records(&grouped), records(&serial));
                prop_assert_eq!(grouped.snapshot().epoch(), epoch + u64::from(changed));
            }
        }
    }

    /// Catches a group without bounds, and a request too large for any group that waits for ever.
    #[test]
    fn groups_are_bounded_and_never_empty() {
        let schema = Schema::new(1 << 14, Metric::L2);
        let put = |count: usize| {
            let mut request = Gathered::new(&schema);
            let vector = vec![1.0f32; 1 << 14];
            (0..count as u64)
                .for_each(|id| request.put(Id::U64(id), (&vector).into(), Metadata::new(), Rounding::Refuse).unwrap());
            (0, request)
        };
        let rows = MOST_BYTES / (4 << 14);
        let mut queue = vec![put(rows + 1), put(rows / 2), put(rows / 2), put(1)];
        let sizes: Vec<usize> = std::iter::repeat_with(|| take_group(&mut queue).len()).take(3).collect();
        assert_eq!(sizes, [1, 2, 1]);
        let mut queue: Vec<_> = (0..MOST_REQUESTS + 3).map(|_| put(0)).collect();
        assert_eq!(take_group(&mut queue).len(), MOST_REQUESTS);
        assert_eq!(queue.len(), 3);
    }

    /// Catches a group whose failure is told to its first request only.
    #[test]
    fn a_failure_is_told_to_every_request() {
        let db = db(IdType::U64);
        let told = answers(&db.snapshot(), vec![4, 5, 9], Err(Error::TooLarge));
        assert_eq!(told.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), [4, 5, 9]);
        assert!(told.iter().all(|(_, answer)| answer.as_ref().is_err_and(|error| error.kind() == "too_large")));
    }
}

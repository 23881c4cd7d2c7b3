//! A thousand random sequences of everything that a store can do, against a map and an exact search.
//!
//! `RVF_MODEL_SEED=n cargo test -p rvf-tests sequences` runs sequence n alone: that is how a failure is looked at.

pub(crate) mod held;

use held::{Held, Op, apply, counts};
use rvf_engine::filter::{self, Filter};
use rvf_engine::ingest::door::Vectors;
use rvf_engine::ingest::{ImportOptions, Sidecar, open_source, read_ids};
use rvf_engine::{
    Batch, Clock, CompactOptions, CreateOptions, Db, Dtype, Effort, Error, Id, IdType, IndexOptions, Metric,
    OpenOptions, Reader, Schema, Snapshot,
};
use rvf_format::storage::{Bytes, MemoryPlace};
use rvf_format::verify::{Options, verify_with};
use rvf_tests::fields;
use rvf_tests::hooked::Hooked;
use rvf_tests::oracle::{self, Rng};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

const SEQUENCES: u64 = 1000;
/// One sequence in so many has enough records for an index.
const INDEXED_EVERY: u64 = 6;
/// The fewest records that get a graph, and an index of their metadata, and some more.
const INDEXED_RECORDS: u64 = 1030;
/// Numbers of the ids that steps draw from.
const IDS: u64 = 40;

const INDEX: IndexOptions = IndexOptions { m: Some(2), ef_construction: Some(8), threads: Some(1), code: None };

fn gather(batch: &mut Batch<'_>, schema: &Schema, ops: &[Op]) {
    for op in ops {
        match op {
            Op::Delete(id) => batch.delete(id.clone()).unwrap(),
            Op::Update(id, fields) => batch.update(id.clone(), fields.clone()).unwrap(),
            Op::Put(id, vector, fields) if schema.dtype == Dtype::Binary => {
                batch.put_with(id.clone(), &bits(vector), fields.clone()).unwrap();
            }
            Op::Put(id, vector, fields) => {
                batch.put_with(id.clone(), Vectors::F32(vector), fields.clone()).unwrap();
            }
            Op::Sweep(from, to, false) => batch.delete_range(from.clone()..=to.clone()).unwrap(),
            Op::Sweep(from, to, true) => batch.delete_where(&between(from, to)),
        }
    }
}

/// The last epoch after `epoch` that a compaction made which nobody asked for.
fn compacted_by_itself(snapshot: &Snapshot, epoch: u64) -> Option<u64> {
    let log = snapshot.log((snapshot.epoch() - epoch) as usize).unwrap();
    log.iter().find(|entry| entry.automatic).map(|entry| entry.epoch)
}

fn between(from: &Id, to: &Id) -> Filter {
    let expr = match (from, to) {
        (Id::U64(from), Id::U64(to)) => filter::id().between(*from, *to),
        _ => filter::id().between(from.to_string(), to.to_string()),
    };
    Filter::new(expr).unwrap()
}

fn bits(vector: &[f32]) -> Vec<u8> {
    vector.iter().map(|value| *value as u8).collect()
}

fn open_options() -> OpenOptions {
    OpenOptions { clock: Clock::Fixed(1_767_323_045_000_000_000), index: INDEX, ..OpenOptions::default() }
}

/// A store, and what it should hold.
struct Run<'f> {
    schema: Schema,
    place: MemoryPlace,
    path: PathBuf,
    /// There but while a step has the file closed.
    db: Option<Db>,
    held: Held,
    /// Epochs that can be opened, and what they hold where only one answer is right.
    past: BTreeMap<u64, Option<Held>>,
    reader: Option<(Reader, Held)>,
    rng: Rng,
    folder: &'f Path,
    files: u64,
}

impl<'f> Run<'f> {
    fn new(seed: u64, folder: &'f Path) -> Self {
        let mut rng = Rng(seed);
        let schema = schema(seed, &mut rng);
        let (place, path) = (MemoryPlace::default(), PathBuf::from("a.rvf"));
        let options = CreateOptions { open: open_options(), ..CreateOptions::default() };
        let db = Db::create_with(Arc::new(place.clone()), &path, &schema, &options).unwrap();
        let past = BTreeMap::from([(1, Some(Held::default()))]);
        let (held, reader) = (Held::default(), None);
        Self { schema, place, path, db: Some(db), held, past, reader, rng, folder, files: 0 }
    }

    fn db(&mut self) -> &mut Db {
        self.db.as_mut().unwrap()
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.db.as_ref().unwrap().snapshot()
    }

    fn id(&self, n: u64) -> Id {
        match self.schema.id_type {
            IdType::U64 => Id::U64(n),
            IdType::Str => Id::Str(format!("ä-{n}")),
        }
    }

    fn op(&mut self, deletes_of_ten: u64) -> Op {
        let number = self.rng.below(IDS);
        match self.rng.below(10) {
            tenth if tenth < deletes_of_ten => match self.rng.below(6) {
                0 => {
                    let last = number + self.rng.below(4);
                    Op::Sweep(self.id(number), self.id(last), self.rng.below(2) == 0)
                }
                _ => Op::Delete(self.id(number)),
            },
            tenth if tenth < deletes_of_ten + 3 => Op::Update(self.id(number), fields::draw_change(&mut self.rng)),
            _ => Op::Put(self.id(number), self.rng.vector(&self.schema), fields::draw(&mut self.rng)),
        }
    }

    fn ops(&mut self, most: u64, deletes_of_ten: u64) -> Vec<Op> {
        (0..self.rng.below(most + 1)).map(|_| self.op(deletes_of_ten)).collect()
    }

    /// The newest epoch holds what the map holds; so do those that folding and compaction made on the way.
    fn note(&mut self) {
        let snapshot = self.snapshot();
        let last = self.past.last_key_value().map_or(0, |(epoch, _)| *epoch);
        self.past.extend((last + 1..=snapshot.epoch()).map(|epoch| (epoch, Some(self.held.clone()))));
        if let Some(oldest) = compacted_by_itself(&snapshot, last) {
            self.past.retain(|epoch, _| *epoch >= oldest);
        }
    }

    fn commit(&mut self, ops: &[Op]) {
        let schema = self.schema;
        let mut batch = self.db().batch();
        gather(&mut batch, &schema, ops);
        let done = batch.commit().unwrap();
        let expected = apply(&mut self.held, ops);
        assert_eq!(counts(&done), expected, "{ops:?}");
        assert_eq!(done.count, self.held.records.len() as u64);
        self.note();
    }

    fn step(&mut self) -> &'static str {
        match self.rng.below(24) {
            0..=5 => self.step_commit(12, 0, "put"),
            6..=7 => self.step_commit(15, 10, "delete"),
            8..=10 => self.step_commit(12, 4, "batch"),
            11 => self.compact(),
            12 => self.compact_to(),
            13 => self.index(),
            14 => self.fold(),
            15 => self.reopen(),
            16 | 17 => self.refresh(),
            18 => self.round_trip(),
            19 | 20 => self.group(),
            21 | 22 => self.kill(),
            _ => self.single_commits(),
        }
    }

    fn step_commit(&mut self, most: u64, deletes_of_ten: u64, name: &'static str) -> &'static str {
        let ops = self.ops(most, deletes_of_ten);
        self.commit(&ops);
        name
    }

    /// Now and then so many that manifests are written in full and segments merged.
    fn single_commits(&mut self) -> &'static str {
        let count = if self.rng.below(8) == 0 { 70 } else { 5 };
        for _ in 0..count {
            let op = self.op(3);
            self.commit(&[op]);
        }
        "single commits"
    }

    /// The newest epochs that compaction kept, and the one that it made.
    fn forget(&mut self, keep: u64) {
        let gone = self.past.len().saturating_sub(keep as usize - 1);
        let gone: Vec<u64> = self.past.keys().take(gone).copied().collect();
        self.past.retain(|epoch, _| !gone.contains(epoch));
        let newest = self.snapshot().epoch();
        self.past.insert(newest, Some(self.held.clone()));
        if let Some(epoch) = gone.last() {
            assert!(matches!(self.snapshot().at_epoch(*epoch), Err(Error::NoEpoch { .. })));
        }
    }

    fn compact(&mut self) -> &'static str {
        let keep = 1 + self.rng.below(5);
        let before = self.snapshot().epoch();
        let done = self.db().compact(&CompactOptions { keep, output: None }).unwrap();
        assert_eq!((done.epoch, self.snapshot().epoch()), (before + 1, before + 1));
        self.forget(keep);
        "compact"
    }

    /// Compaction to another file, which the sequence goes on with.
    fn compact_to(&mut self) -> &'static str {
        let keep = 1 + self.rng.below(5);
        let output = self.next_file("rvf");
        let before = self.snapshot().epoch();
        self.db().compact(&CompactOptions { keep, output: Some(output.clone()) }).unwrap();
        assert_eq!(self.snapshot().epoch(), before, "the store itself stays as it was");
        self.check_held(&self.snapshot(), &self.held);
        self.path = output;
        self.reader = None;
        self.reopen();
        self.forget(keep);
        "compact to another file"
    }

    fn next_file(&mut self, extension: &str) -> PathBuf {
        self.files += 1;
        PathBuf::from(format!("{}.{extension}", self.files))
    }

    fn index(&mut self) -> &'static str {
        let done = self.db().index(&INDEX, &mut |_, _| ControlFlow::Continue(())).unwrap();
        assert_eq!(done.indexed, self.snapshot().indexed());
        assert!(self.held.records.len() <= 1000 || done.indexed == self.held.records.len() as u64, "{done:?}");
        self.note();
        "index"
    }

    fn fold(&mut self) -> &'static str {
        self.db().fold(&mut |_, _| ControlFlow::Continue(())).unwrap();
        self.note();
        "fold"
    }

    fn reopen(&mut self) -> &'static str {
        drop(self.db.take());
        let db = Db::open_with(Arc::new(self.place.clone()), &self.path, &open_options()).unwrap();
        assert_eq!(db.tail_report(), None);
        self.db = Some(db);
        "reopen"
    }

    /// A reader holds on to its commit, and moves to the newest when it is told to.
    fn refresh(&mut self) -> &'static str {
        let newest = (self.snapshot().epoch(), self.held.clone());
        let reader = match self.reader.take() {
            None => Reader::open_with(Arc::new(self.place.clone()), &self.path, rvf_engine::ReadMode::Mapped).unwrap(),
            Some((mut reader, held)) => {
                self.check_held(&reader.snapshot(), &held);
                let moved = reader.refresh().unwrap();
                assert!(moved || held == newest.1, "the reader did not move on");
                reader
            }
        };
        assert_eq!(reader.epoch(), newest.0);
        self.check_held(&reader.snapshot(), &newest.1);
        self.reader = Some((reader, newest.1));
        "refresh"
    }

    /// Out to a file of vectors, and into a new store.
    fn round_trip(&mut self) -> &'static str {
        let extension = ["npy", "jsonl", "csv"][self.rng.below(3) as usize];
        let name = self.next_file(extension);
        let file = self.folder.join(name);
        let mut go_on = |_: u64, _: Option<u64>| ControlFlow::Continue(());
        let written = self.snapshot().export(&file, None, &mut go_on).unwrap();
        assert_eq!(written.exported, self.held.records.len() as u64);
        // A text without a line tells no dimension, and is refused as empty.
        if self.held.records.is_empty() {
            return "export of nothing";
        }
        let ids = written.ids.as_ref().map(|path| read_ids(path).unwrap());
        let mut source = open_source(&file, None).unwrap();
        let options = ImportOptions { ids, batch: 1 + self.rng.below(20) as usize, ..ImportOptions::default() };
        let (place, schema) = (MemoryPlace::default(), self.schema);
        let create = CreateOptions { open: open_options(), ..CreateOptions::default() };
        let mut db = Db::create_with(Arc::new(place), "copy.rvf", &schema, &create).unwrap();
        let sidecar = written.metadata.as_ref().map(|path| Sidecar::open(path).unwrap());
        let done = match sidecar {
            Some(mut sidecar) => {
                let mut both = sidecar.beside(source.as_mut(), options.ids.as_ref());
                let done = db.import_from(&mut both, &file, &options, &mut go_on).unwrap();
                drop(both);
                sidecar.finish().unwrap();
                done
            }
            None => db.import_from(source.as_mut(), &file, &options, &mut go_on).unwrap(),
        };
        assert_eq!((done.imported, done.replaced, done.rejected), (self.held.records.len() as u64, 0, 0));
        self.check_held(&db.snapshot(), &self.held);
        let beside = [written.ids, written.metadata].into_iter().flatten();
        beside.chain([file]).for_each(|path| std::fs::remove_file(path).unwrap());
        "export and import"
    }

    /// Three threads commit a batch each at the same time: there is an order in which that is what happened.
    fn group(&mut self) -> &'static str {
        let batches: [Vec<Op>; 3] = std::array::from_fn(|_| self.ops(6, 3));
        drop(self.db.take());
        let pause = |_: u64| {
            std::thread::sleep(Duration::from_micros(50));
            Ok(())
        };
        let place = Hooked::new(self.place.clone(), pause);
        let shared = Db::open_with(Arc::new(place), &self.path, &open_options()).unwrap().into_shared();
        let (schema, start) = (self.schema, Barrier::new(3));
        let commit = |ops: &[Op]| {
            let mut batch = shared.batch();
            gather(&mut batch, &schema, ops);
            start.wait();
            batch.commit().unwrap()
        };
        let commit = &commit;
        let done: Vec<rvf_engine::Committed> = std::thread::scope(|scope| {
            let threads: Vec<_> = batches.iter().map(|ops| scope.spawn(move || commit(ops))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let snapshot = shared.snapshot();
        let last = self.past.last_key_value().map_or(0, |(epoch, _)| *epoch);
        let oldest = compacted_by_itself(&snapshot, last).unwrap_or(0);
        for done in done.iter().filter(|done| done.epoch >= oldest) {
            assert_eq!(snapshot.at_epoch(done.epoch).unwrap().count(), done.count);
        }
        let stored = stored(&snapshot);
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let explains = |order: &[usize; 3]| {
            let mut held = self.held.clone();
            order.iter().all(|at| apply(&mut held, &batches[*at]) == counts(&done[*at])) && held == stored
        };
        assert!(orders.iter().any(explains), "no order explains {done:?} of {batches:?}");
        self.held = stored;
        self.past.extend((last + 1..snapshot.epoch()).map(|epoch| (epoch, None)));
        self.past.retain(|epoch, _| *epoch >= oldest);
        self.db = Some(shared.into_inner().unwrap());
        self.note();
        "group"
    }

    /// A commit that a crash cut short: the state is the one before.
    fn kill(&mut self) -> &'static str {
        let ops = self.ops(8, 3);
        self.commit(&ops);
        let newest = self.snapshot();
        drop(self.db.take());
        let mut bytes = self.place.bytes(&self.path).unwrap();
        let way = self.rng.below(3);
        let previous = self.past.keys().rev().nth(1).copied().filter(|_| way > 0);
        let survivor = previous.unwrap_or(newest.epoch());
        let end = newest.at_epoch(survivor).unwrap().root().end() as usize;
        match way {
            // Something behind the last commit.
            0 => bytes.extend((0..self.rng.below(9000)).map(|at| (at * 7 % 251) as u8)),
            // The file ends within the last commit.
            1 => bytes.truncate(end + self.rng.below((bytes.len() - end) as u64) as usize),
            // It is as long as it was to be, and a sector of its last page is not there.
            _ if survivor < newest.epoch() => {
                let sector = bytes.len() - 512 * (1 + self.rng.below(8) as usize);
                bytes[sector..sector + 512].fill(0xAA);
            }
            _ => {}
        }
        let has_tail = bytes.len() > end;
        self.place.put(&self.path, bytes);
        if let Some(Some(held)) = self.past.get(&survivor) {
            self.held = held.clone();
        }
        self.past.retain(|epoch, _| *epoch <= survivor);
        let db = Db::open_with(Arc::new(self.place.clone()), &self.path, &open_options()).unwrap();
        assert_eq!((db.snapshot().epoch(), db.tail_report().is_some()), (survivor, has_tail));
        self.db = Some(db);
        if self.past[&survivor].is_none() {
            self.held = stored(&self.snapshot());
        }
        "kill"
    }

    fn check_held(&self, snapshot: &Snapshot, held: &Held) {
        assert_eq!(snapshot.count(), held.records.len() as u64);
        let stored = stored(snapshot);
        assert!(stored.records == held.records, "other records than the map's");
        let ids = held.fields.keys().chain(stored.fields.keys());
        let other = ids.into_iter().find(|id| stored.fields.get(id) != held.fields.get(id));
        let Some(id) = other else { return };
        panic!("metadata of {id}: {:?}, not {:?}", stored.fields.get(id), held.fields.get(id));
    }

    fn check(&mut self) {
        let snapshot = self.snapshot();
        self.check_held(&snapshot, &self.held);
        let query = self.rng.vector(&self.schema);
        let k = 1 + self.rng.below(15) as usize;
        let truth = oracle::nearest(&self.schema, &self.held.records, &query, k);
        assert_eq!(search(&snapshot, &query, k, Effort::Exact), truth);
        let walked = search(&snapshot, &query, k, Effort::Ef(4096));
        assert_eq!(walked.len(), truth.len(), "a walk finds fewer records than there are");
        let before = |a: &(Id, f32), b: &(Id, f32)| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)).is_lt();
        assert!(walked.is_sorted_by(before), "out of order, or twice: {walked:?}");
        for (id, distance) in &walked {
            assert_eq!(*distance, oracle::distance(&self.schema, &query, &self.held.records[id]), "{id}");
        }
        for n in 0..5 {
            let id = self.id(n * 9);
            let found = snapshot.get(&id).unwrap().map(|record| record.vector);
            assert_eq!(found.as_ref(), self.held.records.get(&id));
        }
    }

    /// Every epoch that the file is to hold, and every byte of it.
    fn finish(&mut self) {
        drop(self.db.take());
        let file = Bytes::from(self.place.bytes(&self.path).unwrap());
        let report = verify_with(&file, &Options { deep: true }, &mut |_, _| {}).unwrap();
        assert_eq!(report.findings, []);
        assert_eq!(report.epochs, self.past.len() as u64);
        let snapshot = Snapshot::newest(file).unwrap();
        for (epoch, held) in &self.past {
            let past = snapshot.at_epoch(*epoch).unwrap();
            match held {
                Some(held) => self.check_held(&past, held),
                None => assert_eq!(past.count(), stored(&past).records.len() as u64),
            }
        }
    }
}

fn stored(snapshot: &Snapshot) -> Held {
    let mut held = Held::default();
    for record in snapshot.records().unwrap().map(Result::unwrap) {
        if !record.metadata.is_empty() {
            held.fields.insert(record.id.clone(), fields::told(record.metadata));
        }
        held.records.insert(record.id, record.vector);
    }
    held
}

fn search(snapshot: &Snapshot, query: &[f32], k: usize, effort: Effort) -> Vec<(Id, f32)> {
    let bytes = bits(query);
    let binary = snapshot.schema().dtype == Dtype::Binary;
    let search = if binary { snapshot.search(&bytes[..]) } else { snapshot.search(query) };
    search.k(k).effort(effort).run().unwrap().into_iter().map(|hit| (hit.id, hit.distance)).collect()
}

fn schemas() -> Vec<(Metric, Dtype, IdType)> {
    let mut all = Vec::new();
    for metric in Metric::ALL {
        for dtype in Dtype::ALL {
            all.extend(IdType::ALL.iter().map(|id_type| (*metric, *dtype, *id_type)));
        }
    }
    let fits = |schema: &(Metric, Dtype, IdType)| {
        let (metric, dtype, id_type) = *schema;
        Schema { dimension: 8, dtype, metric, id_type }.check().is_ok()
    };
    all.retain(fits);
    all
}

fn schema(seed: u64, rng: &mut Rng) -> Schema {
    let all = schemas();
    let (metric, dtype, id_type) = all[(seed / INDEXED_EVERY) as usize % all.len()];
    Schema { dimension: 2 + rng.below(16) as u32, dtype, metric, id_type }
}

/// Says how to run a sequence again if it panics.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("RVF_MODEL_SEED={} runs this sequence alone", self.0);
        }
    }
}

fn sequence(seed: u64, folder: &Path, tells: bool) {
    let _named = Named(seed);
    let mut run = Run::new(seed, folder);
    if seed.is_multiple_of(INDEXED_EVERY) {
        let put = |run: &mut Run<'_>, n| Op::Put(run.id(n), run.rng.vector(&run.schema), fields::draw(&mut run.rng));
        let ops: Vec<Op> = (0..INDEXED_RECORDS).map(|n| put(&mut run, n)).collect();
        run.commit(&ops);
        run.index();
    }
    for number in 0..8 + run.rng.below(16) {
        let step = run.step();
        if tells {
            println!("step {number}: {step}, epoch {}, {} records", run.snapshot().epoch(), run.held.records.len());
        }
        run.check();
    }
    run.finish();
}

#[test]
fn a_thousand_random_sequences_equal_a_map() {
    let folder = tempfile::tempdir().unwrap();
    if let Ok(seed) = std::env::var("RVF_MODEL_SEED") {
        return sequence(seed.parse().unwrap(), folder.path(), true);
    }
    println!("sequences 0 to {}", SEQUENCES - 1);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in ["a", "b"] {
            let folder = folder.path().join(thread);
            std::fs::create_dir(&folder).unwrap();
            let next = &next;
            scope.spawn(move || {
                std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed))
                    .take_while(|seed| *seed < SEQUENCES)
                    .for_each(|seed| sequence(seed, &folder, false));
            });
        }
    });
}

//! Measures branches of a store: making them, their size, searching through them, comparing, merging, flattening.
//!
//! ```text
//! cargo run --release -p rvf-engine --example branch_bench -- STORE QUERIES.npy FOLDER
//! ```
//! Of a store without an index searches are left out. STORE is copied into FOLDER and changed there; its ids are numbers. Times are medians; what syncs take is told apart. Searches of
//! parent and branches take turns, at the same recall target, and recall is measured against exact searches of the same file.

use rvf_engine::ingest::{Element, open_source};
use rvf_engine::{
    BranchOptions, Db, Dtype, Effort, Id, OpenOptions, Reader, Resolve, Snapshot, branch_path, f16, flatten,
};
use rvf_format::storage::{Access, Bytes, FilePlace, Place, Storage};
use std::collections::HashSet;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const QUERIES: usize = 300;
const ROUNDS: usize = 15;
const TARGETS: [f64; 2] = [0.95, 0.98];

fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: branch_bench STORE QUERIES.npy FOLDER";
    let [store, queries, folder] = [(); 3].map(|()| arguments.next());
    let (store, queries) = (PathBuf::from(store.ok_or(usage)?), PathBuf::from(queries.ok_or(usage)?));
    let bench = Bench::new(&store, &queries, Path::new(&folder.ok_or(usage)?))?;
    bench.making()?;
    bench.hundred_new()?;
    if Reader::open(&bench.base)?.indexed() > 0 {
        bench.searching()?;
    } else {
        let edited = bench.branch(&bench.base, "edited.rvf")?;
        bench.edit(&edited, 0.01, 1)?;
    }
    bench.comparing()?;
    bench.flattening()
}

/// A store, searched: its name, its records, what exact searches find.
type Measured<'m> = (&'m str, Arc<Snapshot>, Vec<HashSet<Id>>);

struct Bench {
    folder: PathBuf,
    base: PathBuf,
    queries: Vec<Vec<f32>>,
    place: TimedPlace,
    count: u64,
}

impl Bench {
    fn new(store: &Path, queries: &Path, folder: &Path) -> Fallible<Self> {
        std::fs::create_dir_all(folder)?;
        let base = folder.join("base.rvf");
        std::fs::copy(store, &base)?;
        let count = Reader::open(&base)?.count();
        let queries = read_rows(queries, QUERIES)?;
        let schema = *Reader::open(&base)?.schema();
        println!("{count} records of {} x {}, {}", schema.dimension, schema.dtype, schema.metric);
        Ok(Self { folder: folder.to_owned(), base, queries, place: TimedPlace::default(), count })
    }

    fn file(&self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        drop(std::fs::remove_file(&path));
        path
    }

    fn branch(&self, parent: &Path, name: &str) -> Fallible<PathBuf> {
        let child = self.file(name);
        let options = BranchOptions { open: self.open(), ..BranchOptions::default() };
        branch_path(Arc::new(self.place.clone()), parent, &child, &options)?;
        Ok(child)
    }

    fn open(&self) -> OpenOptions {
        OpenOptions { manual_compaction: true, ..OpenOptions::default() }
    }

    fn making(&self) -> Fallible<()> {
        let (mut all, mut apart, mut bytes) = (Vec::new(), Vec::new(), 0);
        for _ in 0..ROUNDS {
            let before = self.place.synced_us();
            let started = Instant::now();
            let child = self.branch(&self.base, "made.rvf")?;
            let took = us(started);
            all.push(took);
            apart.push(took - (self.place.synced_us() - before));
            bytes = std::fs::metadata(child)?.len();
        }
        println!("branch: {:.0} us, {:.0} us apart from syncs; child {bytes} bytes", median(all), median(apart));
        Ok(())
    }

    fn hundred_new(&self) -> Fallible<()> {
        let child = self.branch(&self.base, "hundred.rvf")?;
        let rows = self.some_rows(&Reader::open(&self.base)?.snapshot(), 100, 7)?;
        let mut db = Db::open_with(Arc::new(FilePlace), &child, &self.open())?;
        db.add(&rows.into_iter().flat_map(|(_, row)| row).collect::<Vec<f32>>())?;
        drop(db);
        println!("100 new vectors: child {} bytes", std::fs::metadata(&child)?.len());
        Ok(())
    }

    /// Records with vectors near to some of the store, whose ids and neighbours they keep.
    fn some_rows(&self, snapshot: &Snapshot, count: usize, seed: u64) -> Fallible<Vec<(u64, Vec<f32>)>> {
        let mut random = seed;
        let mut seen = HashSet::new();
        let mut rows = Vec::new();
        while rows.len() < count {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let id = (random >> 33) % self.count;
            if !seen.insert(id) {
                continue;
            }
            let Some(record) = snapshot.get(&Id::U64(id))? else { continue };
            let mut vector = record.vector;
            for (place, component) in vector.iter_mut().enumerate() {
                let draw = ((random >> (place % 40)) & 0xFF) as f32 / 255.0 - 0.5;
                *component += *component * 0.1 * draw;
                if snapshot.schema().dtype == Dtype::F16 {
                    *component = f16::from_f32(*component).to_f32();
                }
            }
            rows.push((id, vector));
        }
        Ok(rows)
    }

    fn edit(&self, child: &Path, share: f64, seed: u64) -> Fallible<()> {
        let mut db = Db::open_with(Arc::new(FilePlace), child, &self.open())?;
        let rows = self.some_rows(&db.snapshot(), (self.count as f64 * share) as usize, seed)?;
        let mut batch = db.batch();
        for (id, vector) in rows {
            batch.put(id, &vector)?;
        }
        batch.commit()?;
        match db.index_error() {
            Some(error) => Err(error.to_string().into()),
            None => Ok(()),
        }
    }

    fn searching(&self) -> Fallible<()> {
        let plain = self.branch(&self.base, "plain.rvf")?;
        let edited = self.branch(&self.base, "edited.rvf")?;
        self.edit(&edited, 0.01, 1)?;
        let mut chain = self.base.clone();
        for depth in 1..=8 {
            chain = self.branch(&chain, &format!("chain-{depth}.rvf"))?;
            self.edit(&chain, 0.001, 100 + depth)?;
        }
        let fresh = self.file("fresh.rvf");
        let source = Reader::open(&edited)?.snapshot();
        flatten(Arc::new(FilePlace), &source, &fresh, None, &self.open(), &mut |_, _| ControlFlow::Continue(()))?;
        Db::open(&fresh)?.compact(&rvf_engine::CompactOptions::default())?;
        let files = [
            ("parent", &self.base),
            ("unedited", &plain),
            ("1 % edited", &edited),
            ("chain of 8", &chain),
            ("1 % edited, flattened and compacted", &fresh),
        ];
        let readers = files.map(|(name, path)| (name, Reader::open(path)));
        let mut measured: Vec<Measured<'_>> = Vec::new();
        for (name, reader) in readers {
            let snapshot = reader?.snapshot();
            let truth = self.truth(&snapshot)?;
            measured.push((name, snapshot, truth));
        }
        for target in TARGETS {
            let mut times = vec![Vec::new(); measured.len()];
            for _ in 0..ROUNDS {
                for ((_, snapshot, _), times) in measured.iter().zip(&mut times) {
                    let started = Instant::now();
                    for query in &self.queries {
                        snapshot.search(&query[..]).k(10).effort(Effort::Recall(target)).run()?;
                    }
                    times.push(us(started) / self.queries.len() as f64);
                }
            }
            let parent = median(times[0].clone());
            self.beside_a_fresh_build(&measured, target)?;
            for ((name, snapshot, truth), times) in measured.iter().zip(times) {
                let (recall, time) = (self.recall(snapshot, truth, Effort::Recall(target))?, median(times));
                println!(
                    "search, target {target}: {name}: {time:.1} us, {:.2} of the parent's speed, recall@10 {recall:.4}",
                    parent / time
                );
            }
        }
        Ok(())
    }

    /// What the branch finds, and what a fresh build of the same records finds with as many candidates: what a fresh build promises
    /// for a target is another number of them.
    fn beside_a_fresh_build(&self, measured: &[Measured<'_>], target: f64) -> Fallible<()> {
        let [_, _, (_, branch, truth), _, (_, fresh, fresh_truth)] = measured else { return Ok(()) };
        let query = self.queries.first().ok_or("no queries")?;
        let (_, trace) = branch.search(&query[..]).k(10).effort(Effort::Recall(target)).run_traced()?;
        let of_branch = self.recall(branch, truth, Effort::Recall(target))?;
        let of_fresh = self.recall(fresh, fresh_truth, Effort::Ef(trace.ef))?;
        println!("recall@10 of records that were edited: {:.3}", self.recall_of_edited(branch, truth, target)?);
        println!("recall@10 with {} candidates: 1 % edited {of_branch:.4}, a fresh build {of_fresh:.4}", trace.ef);
        Ok(())
    }

    /// Of the nearest that stand in the branch itself, how many are found.
    fn recall_of_edited(&self, branch: &Snapshot, truth: &[HashSet<Id>], target: f64) -> Fallible<f64> {
        let parent = Reader::open(&self.base)?.snapshot();
        let (mut found, mut wanted) = (0, 0);
        for (query, truth) in self.queries.iter().zip(truth) {
            let hits = branch.search(&query[..]).k(10).effort(Effort::Recall(target)).run()?;
            for id in truth {
                let is_edited =
                    parent.get(id)?.map(|record| record.vector) != branch.get(id)?.map(|record| record.vector);
                wanted += u32::from(is_edited);
                found += u32::from(is_edited && hits.iter().any(|hit| hit.id == *id));
            }
        }
        Ok(f64::from(found) / f64::from(wanted.max(1)))
    }

    fn truth(&self, snapshot: &Snapshot) -> Fallible<Vec<HashSet<Id>>> {
        let exact = |query: &Vec<f32>| {
            let hits = snapshot.search(&query[..]).k(10).effort(Effort::Exact).threads(2).run()?;
            Ok(hits.into_iter().map(|hit| hit.id).collect())
        };
        self.queries.iter().map(exact).collect()
    }

    fn recall(&self, snapshot: &Snapshot, truth: &[HashSet<Id>], effort: Effort) -> Fallible<f64> {
        let mut found = 0;
        for (query, truth) in self.queries.iter().zip(truth) {
            let hits = snapshot.search(&query[..]).k(10).effort(effort).run()?;
            found += hits.iter().filter(|hit| truth.contains(&hit.id)).count();
        }
        Ok(found as f64 / (10 * truth.len()) as f64)
    }

    fn comparing(&self) -> Fallible<()> {
        let (a, b) = (self.branch(&self.base, "a.rvf")?, self.branch(&self.base, "b.rvf")?);
        self.edit(&a, 1000.0 / self.count as f64, 11)?;
        self.edit(&b, 1000.0 / self.count as f64, 12)?;
        let (mut diffs, mut merges, mut apart, mut told) = (Vec::new(), Vec::new(), Vec::new(), (0, 0));
        for _ in 0..ROUNDS {
            let (a, b) = (Reader::open(&a)?.snapshot(), Reader::open(&b)?.snapshot());
            let started = Instant::now();
            told.0 = a.diff(&b)?.changed.len();
            diffs.push(us(started));
        }
        for _ in 0..5 {
            let into = self.branch(&self.base, "into.rvf")?;
            let mut db =
                Db::open_with(Arc::new(self.place.clone()), &into, &OpenOptions { manual_index: true, ..self.open() })?;
            let theirs = Reader::open(&a)?.snapshot();
            let before = self.place.synced_us();
            let started = Instant::now();
            told.1 = db.merge(&theirs, &Resolve::default())?.merged;
            let took = us(started);
            merges.push(took);
            apart.push(took - (self.place.synced_us() - before));
        }
        println!("diff of two branches: {:.1} ms ({} records differ)", median(diffs) / 1e3, told.0);
        println!(
            "merge: {:.1} ms, {:.1} ms apart from syncs ({} records)",
            median(merges) / 1e3,
            median(apart) / 1e3,
            told.1
        );
        Ok(())
    }

    fn flattening(&self) -> Fallible<()> {
        let source = Reader::open(self.folder.join("edited.rvf"))?.snapshot();
        let (mut flats, mut copies) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        for _ in 0..3 {
            let (flat, copied) = (self.file("flat.rvf"), self.file("copied.rvf"));
            let started = Instant::now();
            let options = OpenOptions { manual_index: true, ..self.open() };
            let done =
                flatten(Arc::new(FilePlace), &source, &flat, None, &options, &mut |_, _| ControlFlow::Continue(()))?;
            flats.push(us(started));
            bytes = done.bytes;
            let started = Instant::now();
            let (mut from, mut to) = (std::fs::File::open(&flat)?, std::fs::File::create(&copied)?);
            // Through memory, as any program copies between two files.
            copy(&mut from, &mut to)?;
            to.sync_all()?;
            copies.push(us(started));
        }
        let (flat, copy) = (median(flats), median(copies));
        let rate = |us: f64| bytes as f64 / us / 1e3;
        println!(
            "flatten: {:.2} GB/s, plain copy and sync {:.2} GB/s: {:.2} of it",
            rate(flat),
            rate(copy),
            copy / flat
        );
        Ok(())
    }
}

fn copy(from: &mut std::fs::File, to: &mut std::fs::File) -> io::Result<()> {
    use std::io::{Read, Write};
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            count => to.write_all(&buffer[..count])?,
        }
    }
}

fn read_rows(path: &Path, most: usize) -> Fallible<Vec<Vec<f32>>> {
    let mut source = open_source(path, None)?;
    let batch = source.next_batch(most)?.ok_or("no queries")?;
    let dimension = source.dim().ok_or("queries without a dimension")?;
    let values: Vec<f32> = match (source.element(), batch.elements) {
        (Element::F32, rvf_engine::ingest::Elements::F32(values)) => values,
        (Element::F16, rvf_engine::ingest::Elements::F16(values)) => {
            values.iter().map(|value| value.to_f32()).collect()
        }
        _ => return Err("queries are f32 or f16".into()),
    };
    Ok(values.chunks(dimension).map(<[f32]>::to_vec).collect())
}

fn us(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The file system, with the time that syncs take.
#[derive(Clone, Default)]
struct TimedPlace {
    synced: Arc<AtomicU64>,
}

struct Timed {
    storage: Arc<dyn Storage>,
    place: TimedPlace,
}

impl TimedPlace {
    fn synced_us(&self) -> f64 {
        self.synced.load(Ordering::Relaxed) as f64 / 1e3
    }

    fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        self.synced.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        done
    }
}

impl Place for TimedPlace {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn Storage>> {
        Ok(Arc::new(Timed { storage: FilePlace.open(path, access)?, place: self.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        FilePlace.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        FilePlace.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.timed(|| FilePlace.sync_dir(path))
    }

    fn identity(&self, path: &Path) -> io::Result<(u64, u64)> {
        FilePlace.identity(path)
    }
}

impl Storage for Timed {
    fn len(&self) -> io::Result<u64> {
        self.storage.len()
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.storage.read_at(buffer, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.storage.write_at(bytes, at)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.storage.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.place.timed(|| self.storage.sync())
    }

    fn view(&self, length: u64) -> io::Result<Bytes> {
        self.storage.view(length)
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.storage.try_lock()
    }

    fn identity(&self) -> io::Result<(u64, u64)> {
        self.storage.identity()
    }
}

//! Measures a store under steady replacement: its size, the speed of imports and what searches find, round by round, then a store that
//! is built anew from the same records.
//!
//! ```text
//! cargo run --release -p rvf-engine --example churn_bench -- BASE.npy --queries QUERIES.npy
//!     [--rounds 10] [--share 0.2] [--batch 10000] [--metric cosine] [--threads N] [--folder F]
//! ```
//! Each round draws that share of the records, and gives them each other's vectors, in commits of `--batch` records: so the vectors
//! stay what they are, and the truth with them. Then space is given back and the index renewed as a commit does by default, timed
//! apart. Recall@10 is measured at the default effort against an exact search.

use rvf_engine::ingest::{
    Element, Elements, Ids, ImportOptions, InputError, VectorBatch, VectorSource, open_source, schema_for,
};
use rvf_engine::{CompactOptions, CreateOptions, Db, Effort, IndexOptions, Metric, OpenOptions, Schema, Snapshot};
use rvf_format::storage::FilePlace;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const K: usize = 10;
const MOST_QUERIES: usize = 1000;

struct Given {
    base: PathBuf,
    queries: PathBuf,
    rounds: usize,
    share: f64,
    batch: usize,
    metric: Metric,
    threads: Option<usize>,
    folder: PathBuf,
}

fn given() -> Fallible<Given> {
    let mut given = Given {
        base: PathBuf::new(),
        queries: PathBuf::new(),
        rounds: 10,
        share: 0.2,
        batch: 10_000,
        metric: Metric::Cosine,
        threads: None,
        folder: std::env::temp_dir(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--queries" => given.queries = value()?.into(),
            "--rounds" => given.rounds = value()?.parse()?,
            "--share" => given.share = value()?.parse()?,
            "--batch" => given.batch = value()?.parse()?,
            "--metric" => given.metric = value()?.parse()?,
            "--threads" => given.threads = Some(value()?.parse()?),
            "--folder" => given.folder = value()?.into(),
            _ if argument.starts_with("--") => return Err(format!("{argument}?").into()),
            _ => given.base = argument.into(),
        }
    }
    if given.base.as_os_str().is_empty() || given.queries.as_os_str().is_empty() {
        return Err("name a file of vectors, and one of queries by --queries".into());
    }
    Ok(given)
}

fn main() -> Fallible<()> {
    let given = given()?;
    let mut source = open_source(&given.base, None)?;
    let schema = schema_for(source.as_ref(), given.metric, None, None)?;
    let vectors = read_all(source.as_mut())?;
    let queries = floats(&read_all(open_source(&given.queries, None)?.as_mut())?);
    let names = ["churn", "fresh"].map(|name| given.folder.join(format!("rvf-{name}-{}.rvf", std::process::id())));
    let measured = measure(&given, &schema, &vectors, &queries, &names);
    names.iter().for_each(|name| drop(std::fs::remove_file(name)));
    measured
}

fn measure(given: &Given, schema: &Schema, vectors: &Elements, queries: &[f32], names: &[PathBuf; 2]) -> Fallible<()> {
    let width = schema.dimension as usize;
    let count = len(vectors) / width;
    let changed = ((count as f64 * given.share) as usize).clamp(2, count);
    println!("{count} records, {changed} replaced a round; sizes in MiB, times in seconds");
    println!("{}", NAMES.map(|name| format!("{name:>10}")).join(""));
    let mut db = create(&names[0], schema, given)?;
    // Which vector each record has.
    let mut order: Vec<usize> = (0..count).collect();
    let mut rng = Rng(1);
    let all: Vec<usize> = (0..count).collect();
    let first = round(&mut db, &Records { vectors, width, ids: &all, order: &order }, given)?;
    first.print(0, &db.snapshot(), recall(&db.snapshot(), queries, width)?)?;
    for number in 1..=given.rounds {
        let mut ids = all.clone();
        (0..changed).for_each(|at| ids.swap(at, at + rng.below(count - at)));
        ids.truncate(changed);
        let first = order[ids[0]];
        ids.windows(2).for_each(|pair| order[pair[0]] = order[pair[1]]);
        order[ids[changed - 1]] = first;
        let took = round(&mut db, &Records { vectors, width, ids: &ids, order: &order }, given)?;
        took.print(number, &db.snapshot(), recall(&db.snapshot(), queries, width)?)?;
    }
    let mut fresh = create(&names[1], schema, given)?;
    round(&mut fresh, &Records { vectors, width, ids: &all, order: &order }, given)?;
    let (found, micros) = recall(&fresh.snapshot(), queries, width)?;
    let size = fresh.snapshot().info()?.size_bytes;
    println!("built anew: {:.1} MiB, recall@10 {found:.4}, {micros:.1} microseconds a query", mib(size));
    let start = Instant::now();
    let done = db.compact(&CompactOptions::default())?;
    let seconds = start.elapsed().as_secs_f64();
    let share = done.after_bytes as f64 / size as f64;
    println!("compacted in {seconds:.2} s: {:.1} MiB, {share:.3} of that", mib(done.after_bytes));
    Ok(())
}

fn create(path: &Path, schema: &Schema, given: &Given) -> Fallible<Db> {
    let index = IndexOptions { threads: given.threads, ..IndexOptions::default() };
    // By hand, so that each can be timed: see `round`.
    let open = OpenOptions { manual_index: true, manual_compaction: true, index, ..OpenOptions::default() };
    let create = CreateOptions { open, ..CreateOptions::default() };
    Ok(Db::create_with(Arc::new(FilePlace), path, schema, &create)?)
}

/// What a round took.
struct Took {
    records: usize,
    import: f64,
    compact: f64,
    index: f64,
}

/// One import, and what follows it where nothing is manual.
fn round(db: &mut Db, records: &Records<'_>, given: &Given) -> Fallible<Took> {
    let go_on = &mut |_: u64, _: u64| ControlFlow::Continue(());
    let start = Instant::now();
    let ids = Ids::U64(records.ids.iter().map(|id| *id as u64).collect());
    let options = ImportOptions { batch: given.batch, ids: Some(ids), ..ImportOptions::default() };
    let mut source = Source { records, next: 0 };
    db.import_from(&mut source, &given.base, &options, &mut |_, _| ControlFlow::Continue(()))?;
    let import = start.elapsed().as_secs_f64();
    db.compact_if_due(go_on)?;
    let mut compact = start.elapsed().as_secs_f64() - import;
    let started = Instant::now();
    let written = db.fold(go_on)?.written;
    let index = started.elapsed().as_secs_f64();
    if written {
        let again = Instant::now();
        db.compact_if_due(go_on)?;
        compact += again.elapsed().as_secs_f64();
    }
    Ok(Took { records: records.ids.len(), import, compact, index })
}

const NAMES: [&str; 11] =
    ["round", "epoch", "file", "needed", "ratio", "import", "compact", "index", "rec/s", "recall@10", "us/query"];

impl Took {
    fn print(&self, number: usize, snapshot: &Snapshot, (recall, micros): (f64, f64)) -> Fallible<()> {
        let info = snapshot.info()?;
        let (file, needed) = (mib(info.size_bytes), mib(info.needed_bytes));
        let rate = self.records as f64 / self.import;
        println!(
            "{number:>10}{:>10}{file:>10.1}{needed:>10.1}{:>10.3}{:>10.2}{:>10.2}{:>10.2}{rate:>10.0}{recall:>10.4}{micros:>10.1}",
            info.epoch,
            file / needed,
            self.import,
            self.compact,
            self.index
        );
        Ok(())
    }
}

/// Recall at the default effort, and the time of a query.
fn recall(snapshot: &Snapshot, queries: &[f32], width: usize) -> Fallible<(f64, f64)> {
    let queries: Vec<&[f32]> = queries.chunks_exact(width).take(MOST_QUERIES).collect();
    let (mut right, mut seconds) = (0, 0.0);
    for query in &queries {
        let truth = snapshot.search(*query).k(K).effort(Effort::Exact).run()?;
        let last = truth.last().map_or(f32::MAX, |hit| hit.distance);
        let start = Instant::now();
        let hits = snapshot.search(*query).k(K).run()?;
        seconds += start.elapsed().as_secs_f64();
        // Of records as near as the last, each is right.
        right += hits.iter().filter(|hit| hit.distance <= last).count();
    }
    let queries = queries.len().max(1) as f64;
    Ok((right as f64 / (queries * K as f64), seconds * 1e6 / queries))
}

/// Records to be stored: their ids, and which vector each id has.
struct Records<'r> {
    vectors: &'r Elements,
    width: usize,
    ids: &'r [usize],
    order: &'r [usize],
}

struct Source<'r> {
    records: &'r Records<'r>,
    next: usize,
}

impl VectorSource for Source<'_> {
    fn dim(&self) -> Option<usize> {
        Some(self.records.width)
    }

    fn element(&self) -> Element {
        self.records.vectors.element()
    }

    fn total(&self) -> Option<u64> {
        Some(self.records.ids.len() as u64)
    }

    fn next_batch(&mut self, max_rows: usize) -> Result<Option<VectorBatch>, InputError> {
        let Records { vectors, width, ids, order } = self.records;
        let first = self.next;
        self.next = ids.len().min(first + max_rows);
        let ranges = ids[first..self.next].iter().map(|id| order[*id] * width..(order[*id] + 1) * width);
        let elements = match vectors {
            Elements::F32(all) => Elements::F32(picked(all, ranges)),
            Elements::F16(all) => Elements::F16(picked(all, ranges)),
            Elements::I8(all) => Elements::I8(picked(all, ranges)),
            Elements::U8(all) => Elements::U8(picked(all, ranges)),
        };
        let batch =
            VectorBatch { dim: *width, elements, ids: None, metadata: None, first_record: first as u64, lines: None };
        Ok((first < self.next).then_some(batch))
    }
}

fn picked<T: Copy>(all: &[T], ranges: impl Iterator<Item = Range<usize>>) -> Vec<T> {
    ranges.flat_map(|range| &all[range]).copied().collect()
}

fn read_all(source: &mut dyn VectorSource) -> Fallible<Elements> {
    let batch = source.next_batch(usize::MAX)?.ok_or("a file without vectors")?;
    Ok(batch.elements)
}

fn len(elements: &Elements) -> usize {
    match elements {
        Elements::F32(all) => all.len(),
        Elements::F16(all) => all.len(),
        Elements::I8(all) => all.len(),
        Elements::U8(all) => all.len(),
    }
}

fn floats(elements: &Elements) -> Vec<f32> {
    match elements {
        Elements::F32(all) => all.clone(),
        Elements::F16(all) => all.iter().map(|value| value.to_f32()).collect(),
        Elements::I8(all) => all.iter().map(|value| f32::from(*value)).collect(),
        Elements::U8(all) => all.iter().map(|value| f32::from(*value)).collect(),
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }
}

//! `rvf demo`: a small real store with an index, a few searches that a person can judge, and what to try next.

use super::Outcome;
use crate::failure::Failure;
use crate::output::{self, Ui, duration, grouped, size};
use clap::Args;
use rvf_engine::filter::Filter;
use rvf_engine::ingest::{Elements, ImportOptions, NpySource, Sidecar, VectorSource, id_table_from};
use rvf_engine::ingest::{IdTable, Ids};
use rvf_engine::{
    CreateOptions, Db, Dtype, Effort, Error, Hit, Id, Metric, OpenOptions, Reader, Schema, Snapshot, Value as Field,
    VerifyReport, verify_path,
};
use rvf_format::storage::FilePlace;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

const BASE: &[u8] = include_bytes!("../../../fixtures/demo/base.npy");
const RECORDS: &str = include_str!("../../../fixtures/demo/records.jsonl");
const QUERIES: &[u8] = include_bytes!("../../../fixtures/demo/queries.npy");
const QUERY_TEXTS: &str = include_str!("../../../fixtures/demo/queries.jsonl");
const TRUTH: &[u8] = include_bytes!("../../../fixtures/demo/truth.npy");
const MODEL: &str = "all-MiniLM-L6-v2";
const COUNT: u64 = 4200;
const K: usize = 10;
/// What the filtered search looks among.
const FILTER: &str = "source LIKE 'rust-lang/%' AND chars < 300";
/// Queries whose texts are short and speak for themselves.
const SHOWN: [usize; 3] = [23, 69, 35];

/// Build a small real store, index it, search it, verify it
///
/// 4,200 passages of two novels, the Python enhancement proposals and the Rust book, reference and RFCs, with their vectors.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf demo --dir /tmp/rvf-demo")]
pub(crate) struct DemoArgs {
    /// Folder of the store
    #[arg(long, value_name = "D", default_value = "rvf-demo")]
    dir: PathBuf,
}

pub(crate) fn run(args: &DemoArgs, ui: &Ui) -> Outcome {
    let path = args.dir.join("demo.rvf");
    check_ours(&path)?;
    fs::create_dir_all(&args.dir).map_err(|error| Failure::of_io("creating", &args.dir, error))?;
    let built = build(&path).map_err(Failure::of(&path))?;
    let queries_file = args.dir.join("demo-queries.npy");
    if !queries_file.exists() {
        fs::write(&queries_file, QUERIES).map_err(|error| Failure::of_io("writing", &queries_file, error))?;
    }

    let open_micros = measure_open(&path).map_err(Failure::of(&path))?;
    let snapshot = Reader::open(&path).map_err(Failure::of(&path))?.snapshot();
    let answers = Answers::of(&snapshot).map_err(Failure::of(&path))?;
    let report = verify_path(&path, &mut |_, _| {}).map_err(Failure::of(&path))?;
    let demo = Demo { path, queries_file, built, open_micros, answers, report };
    ui.result(&demo.to_json(), || demo.tell(&snapshot, ui))?;
    Ok(u8::from(!demo.report.sound))
}

/// Commits of a demo store that nobody went on from: creation, import, index.
const EPOCHS: u64 = 3;

/// Refuses to replace a file that the demo did not make, or that was changed, signed, branched from or frozen since.
fn check_ours(path: &Path) -> Result<(), Failure> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let as_made = || {
        let reader = Reader::open(path)?;
        let info = reader.info()?;
        let is_own = info.model.as_deref() == Some(MODEL) && info.count == COUNT;
        Ok::<bool, Error>(is_own && reader.epoch() <= EPOCHS)
    };
    if as_made().is_ok_and(|as_made| as_made) {
        return Ok(());
    }
    let exists = Failure::of(path)(Error::Exists { path: path.to_owned() });
    Err(exists.with_hint("the demo did not make this file, or it was changed since: choose another folder with --dir"))
}

/// How long the store took to be built, microseconds.
struct Built {
    import_micros: f64,
    index_micros: f64,
    indexed: u64,
}

/// Builds the store beside its name and puts it in place.
fn build(path: &Path) -> Result<Built, Error> {
    let temporary = path.with_extension("rvf.building");
    let wrong = |action| move |source| Error::Io { action, path: path.to_owned(), source };
    if temporary.exists() {
        fs::remove_file(&temporary).map_err(wrong("removing"))?;
    }
    let mut source = NpySource::new(BASE, BASE.len() as u64, Path::new("base.npy"))?;
    let dimension = source.dim().unwrap_or(0) as u32;
    let schema = Schema { dtype: Dtype::F16, ..Schema::new(dimension, Metric::Cosine) };
    let open = OpenOptions { manual_index: true, ..OpenOptions::default() };
    let options = CreateOptions { model: Some(MODEL.to_owned()), file_id: None, open };
    let mut db = Db::create_with(Arc::new(FilePlace), &temporary, &schema, &options)?;
    let started = Instant::now();
    let name = Path::new("base.npy");
    let mut sidecar = Sidecar::new(RECORDS.as_bytes(), Path::new("records.jsonl"));
    let mut source = sidecar.beside(&mut source, None);
    db.import_from(&mut source, name, &ImportOptions::default(), &mut |_, _| ControlFlow::Continue(()))?;
    let import_micros = micros_since(started);
    let started = Instant::now();
    let indexed = db.fold(&mut |_, _| ControlFlow::Continue(()))?.indexed;
    let index_micros = micros_since(started);
    drop(db);
    fs::rename(&temporary, path).map_err(wrong("renaming"))?;
    Ok(Built { import_micros, index_micros, indexed })
}

fn micros_since(started: Instant) -> f64 {
    started.elapsed().as_nanos() as f64 / 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Median time to open the file anew, microseconds.
fn measure_open(path: &Path) -> Result<f64, Error> {
    let mut micros = Vec::new();
    for _ in 0..31 {
        let started = Instant::now();
        let reader = Reader::open(path)?;
        micros.push(micros_since(started));
        drop(reader);
    }
    Ok(median(micros))
}

/// What the 200 queries found.
struct Answers {
    hits: Vec<Vec<Hit>>,
    recall: f64,
    /// Median time of a query by the index.
    micros: f64,
    /// Median time of a query that compares all passages.
    exact_micros: f64,
    /// Distances that a query by the index computes, on average.
    distances: u64,
}

impl Answers {
    fn of(snapshot: &Snapshot) -> Result<Self, Error> {
        let mut source = NpySource::new(QUERIES, QUERIES.len() as u64, Path::new("queries.npy"))?;
        let truth = id_table_from(TRUTH, TRUTH.len() as u64, Path::new("truth.npy"))?;
        let (mut hits, mut micros, mut exact_micros) = (Vec::new(), Vec::new(), Vec::new());
        let (mut right, mut wanted, mut distances) = (0, 0, 0);
        while let Some(batch) = source.next_batch(1000)? {
            let Elements::F32(values) = &batch.elements else { continue };
            for query in values.chunks_exact(batch.dim) {
                let started = Instant::now();
                let (found, trace) = snapshot.search(query).k(K).run_traced()?;
                micros.push(micros_since(started));
                let started = Instant::now();
                snapshot.search(query).k(K).effort(Effort::Exact).run()?;
                exact_micros.push(micros_since(started));
                distances += trace.distances;
                let limit = limit_of(snapshot, query, &truth, hits.len())?;
                right += found.iter().filter(|hit| f64::from(hit.distance) <= limit).count();
                wanted += K;
                hits.push(found);
            }
        }
        let (recall, distances) = (right as f64 / wanted.max(1) as f64, distances / hits.len().max(1) as u64);
        Ok(Self { hits, recall, micros: median(micros), exact_micros: median(exact_micros), distances })
    }
}

/// The distance of the true k-th neighbour and a millionth of it: a hit that is no farther is right.
fn limit_of(snapshot: &Snapshot, query: &[f32], truth: &IdTable, row: usize) -> Result<f64, Error> {
    let Ids::U64(ids) = &truth.ids else { return Ok(f64::NEG_INFINITY) };
    let Some(id) = ids.get(row * truth.columns + K - 1) else { return Ok(f64::NEG_INFINITY) };
    let distance = snapshot.search(query).distance_to(&Id::U64(*id))?;
    let distance = distance.map_or(f64::NEG_INFINITY, f64::from);
    Ok(distance + distance.abs() * 1e-6)
}

#[derive(Deserialize)]
struct RecordLine {
    metadata: Passage,
}

#[derive(Deserialize)]
struct Passage {
    text: String,
    source: String,
}

/// The passage of a record. They come with the command: the store itself holds vectors and ids.
fn passage(id: &Id) -> Option<Passage> {
    let Id::U64(row) = id else { return None };
    let line = RECORDS.lines().nth(usize::try_from(*row).ok()?)?;
    serde_json::from_str::<RecordLine>(line).ok().map(|record| record.metadata)
}

fn query_passage(row: usize) -> Option<Passage> {
    serde_json::from_str(QUERY_TEXTS.lines().nth(row)?).ok()
}

fn shorten(text: &str, letters: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(letters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

struct Demo {
    path: PathBuf,
    queries_file: PathBuf,
    built: Built,
    open_micros: f64,
    answers: Answers,
    report: VerifyReport,
}

impl Demo {
    fn to_json(&self) -> Value {
        let hit = |hit: &Hit| {
            let text = passage(&hit.id).map(|passage| passage.text);
            json!({ "id": output::id(&hit.id), "distance": output::float(hit.distance), "text": text })
        };
        let search = |row: &usize| {
            let hits = self.answers.hits.get(*row).map_or(&[][..], Vec::as_slice);
            let hits: Vec<Value> = hits.iter().take(3).map(hit).collect();
            json!({ "text": query_passage(*row).map(|passage| passage.text), "hits": hits })
        };
        json!({
            "file": self.path.display().to_string(),
            "count": COUNT,
            "recall": self.answers.recall,
            "open_micros": self.open_micros,
            "indexed": self.built.indexed,
            "query_micros": self.answers.micros,
            "exact_query_micros": self.answers.exact_micros,
            "distances": self.answers.distances,
            "import_micros": self.built.import_micros,
            "index_micros": self.built.index_micros,
            "sound": self.report.sound,
            "searches": SHOWN.iter().map(search).collect::<Vec<Value>>(),
        })
    }

    fn tell(&self, snapshot: &Snapshot, ui: &Ui) -> Result<(), Failure> {
        let (file, bytes) = (self.path.display(), size(snapshot.root().end()));
        let (imported, indexed) = (duration(self.built.import_micros), duration(self.built.index_micros));
        let count = grouped(COUNT);
        ui.line(format!("{file}: {count} passages, {bytes}, imported in {imported}, indexed in {indexed}"))?;
        ui.line(format!("opened in {}, median of 31", duration(self.open_micros)))?;
        SHOWN.iter().try_for_each(|row| self.tell_search(*row, ui))?;
        self.tell_filtered(snapshot, ui)?;
        self.tell_speed(ui)?;
        let verdict = if self.report.sound { "sound" } else { "not sound" };
        let (verdict, checked) = (ui.verdict(self.report.sound, verdict), size(self.report.bytes_checked));
        ui.line(format!("verified: {verdict}, {checked} checked"))?;
        self.tell_next(ui)
    }

    fn tell_speed(&self, ui: &Ui) -> Result<(), Failure> {
        let answers = &self.answers;
        let (recall, micros, distances) = (answers.recall, duration(answers.micros), grouped(answers.distances));
        let (queries, exact) = (answers.hits.len(), duration(answers.exact_micros));
        ui.line(format!(
            "\n{queries} queries by the index: recall@{K} {recall:.4}, {micros} each, {distances} distances"
        ))?;
        ui.line(format!("the same by comparing all {}: {exact} each", grouped(COUNT)))
    }

    fn tell_search(&self, row: usize, ui: &Ui) -> Result<(), Failure> {
        let Some(query) = query_passage(row) else { return Ok(()) };
        ui.line(format!("\n{}", ui.heading(&shorten(&query.text, 110))))?;
        for hit in self.answers.hits.get(row).into_iter().flatten().take(3) {
            let Some(found) = passage(&hit.id) else { continue };
            let (id, text) = (hit.id.to_string(), shorten(&found.text, 80));
            ui.line(format!("  {:.3}  {id:>4}  {text}  [{}]", hit.distance, found.source))?;
        }
        Ok(())
    }

    /// The first search once more, among some passages.
    fn tell_filtered(&self, snapshot: &Snapshot, ui: &Ui) -> Result<(), Failure> {
        let wrong = |error: Error| Failure::of(&self.path)(error);
        let filter = Filter::parse(FILTER).map_err(|error| wrong(error.into()))?;
        let matches = snapshot.matches(&filter).map_err(wrong)?;
        let mut source =
            NpySource::new(QUERIES, QUERIES.len() as u64, Path::new("queries.npy")).map_err(Failure::of_input)?;
        let batch = source.next_batch(SHOWN[0] + 1).map_err(Failure::of_input)?;
        let Some(Elements::F32(values)) = batch.map(|batch| batch.elements) else { return Ok(()) };
        let dim = snapshot.schema().dimension as usize;
        let query = values.get(SHOWN[0] * dim..(SHOWN[0] + 1) * dim).unwrap_or_default();
        let hits = snapshot.search(query).k(3).filter(&matches).run().map_err(wrong)?;
        ui.line(format!("\nthe first again, where {FILTER} ({} passages)", grouped(matches.count())))?;
        for hit in &hits {
            let fields = snapshot.metadata(&hit.id).map_err(wrong)?.unwrap_or_default();
            let text = |name: &str| match fields.get(name) {
                Some(Field::Str(text)) => shorten(text, 80),
                _ => String::new(),
            };
            ui.line(format!(
                "  {:.3}  {:>4}  {}  [{}]",
                hit.distance,
                hit.id.to_string(),
                text("text"),
                text("source")
            ))?;
        }
        Ok(())
    }

    fn tell_next(&self, ui: &Ui) -> Result<(), Failure> {
        let rvf = std::env::args().next().unwrap_or_else(|| "rvf".to_owned());
        let (file, queries) = (self.path.display(), self.queries_file.display());
        let id = self.answers.hits.get(SHOWN[0]).and_then(|hits| hits.first()).map_or(Id::U64(0), |hit| hit.id.clone());
        ui.line(format!("\n{}", ui.heading("try next")))?;
        ui.line(format!("  {rvf} info {file}"))?;
        ui.line(format!("  {rvf} query {file} --id {id} -k 5"))?;
        ui.line(format!("  {rvf} query {file} --id {id} -k 5 --filter \"{FILTER}\" --explain"))?;
        ui.line(format!("  {rvf} query {file} --input {queries} -k 3 --json | head -2"))?;
        ui.line(format!("  {rvf} bench {file} --queries {queries} --exact"))?;
        ui.line(format!("  {rvf} export {file} {}", self.path.with_extension("jsonl").display()))?;
        ui.line(format!("  {rvf} log {file}"))?;
        ui.line(format!("  {rvf} inspect {file}"))?;
        ui.line(format!("  {rvf} verify {file}"))
    }
}

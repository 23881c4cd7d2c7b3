//! The golden files of `fixtures/v1`: built from fixed input, with their truth beside them as JSON (tests/python/README.md).

use crate::oracle::{self, Records, Rng};
use rvf_engine::ingest::door::Vectors;
use rvf_engine::store::Edit;
use rvf_engine::{
    Clock, CompactOptions, CreateOptions, Db, Dtype, Id, IdType, IndexOptions, Metric, OpenOptions, Schema, Snapshot,
};
use rvf_format::build::Draft;
use rvf_format::payload::witness::Operation;
use rvf_format::storage::MemoryPlace;
use rvf_format::{Kind, digest};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// A golden file: its name, its bytes, its truth.
pub struct Golden {
    /// Name without extension.
    pub name: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// What it holds.
    pub truth: Value,
}

/// A store in memory, and beside it what it should hold.
pub struct Model {
    /// Where the file is.
    pub place: MemoryPlace,
    /// The open store.
    pub db: Db,
    /// What it should hold.
    pub records: Records,
    /// Numbers for vectors.
    pub rng: Rng,
    schema: Schema,
    epochs: Vec<Value>,
}

const PATH: &str = "golden.rvf";
/// 2026-01-02 03:04:05 UTC.
const TIME_NS: u64 = 1_767_323_045_000_000_000;

fn open_options() -> OpenOptions {
    OpenOptions { clock: Clock::Fixed(TIME_NS), actor: "golden".into(), ..OpenOptions::default() }
}

impl Model {
    /// A new store in memory with a fixed id and time.
    pub fn new(schema: Schema, seed: u64) -> Self {
        let place = MemoryPlace::default();
        let file_id = std::array::from_fn(|index| (seed as u8).wrapping_add(index as u8));
        let options = CreateOptions { model: Some("golden".into()), file_id: Some(file_id), open: open_options() };
        let db = Db::create_with(Arc::new(place.clone()), PATH, &schema, &options).unwrap();
        let mut model = Self { place, db, records: Records::new(), rng: Rng(seed), schema, epochs: Vec::new() };
        model.note();
        model
    }

    fn note(&mut self) {
        let snapshot = self.db.snapshot();
        let (epoch, hash) = (snapshot.epoch(), digest::hex(&snapshot.root().state_hash));
        self.epochs.push(json!({"epoch": epoch, "count": self.records.len(), "root_hash": hash}));
    }

    /// The id that number `n` stands for.
    pub fn id(&self, n: u64) -> Id {
        match self.schema.id_type {
            IdType::U64 => Id::U64(n),
            IdType::Str => Id::Str(format!("record-{n:03}-ä")),
        }
    }

    /// Stores random vectors under these ids, in one commit.
    pub fn put(&mut self, ids: impl IntoIterator<Item = u64>) {
        let vectors: Vec<(Id, Vec<f32>)> =
            ids.into_iter().map(|n| (self.id(n), self.rng.vector(&self.schema))).collect();
        self.put_vectors(vectors);
    }

    /// Stores these vectors in one commit.
    pub fn put_vectors(&mut self, vectors: Vec<(Id, Vec<f32>)>) {
        let binary = self.schema.dtype == Dtype::Binary;
        let mut batch = self.db.batch();
        for (id, vector) in &vectors {
            let bytes: Vec<u8> = vector.iter().map(|value| *value as u8).collect();
            let given = if binary { Vectors::U8(&bytes) } else { Vectors::F32(vector) };
            batch.put(id.clone(), given).unwrap();
        }
        batch.commit().unwrap();
        self.records.extend(vectors);
        self.note();
    }

    /// Deletes these ids in one commit.
    pub fn delete(&mut self, ids: impl IntoIterator<Item = u64>) {
        let ids: Vec<Id> = ids.into_iter().map(|n| self.id(n)).collect();
        self.db.delete(&ids).unwrap();
        self.records.retain(|id, _| !ids.contains(id));
        self.note();
    }

    /// Compacts; only the newest `keep` epochs can be opened afterwards.
    pub fn compact(&mut self, keep: u64) {
        self.db.compact(&CompactOptions { keep, output: None }).unwrap();
        self.note();
        let gone = self.epochs.len().saturating_sub(keep as usize);
        self.epochs.drain(..gone);
    }

    /// Brings all rows under one graph with few links, so that files stay small.
    pub fn index(&mut self, m: usize) {
        let options = IndexOptions { m: Some(m), ef_construction: Some(32), threads: Some(1) };
        let done = self.db.index(&options, &mut |_, _| ControlFlow::Continue(())).unwrap();
        assert!(done.written && done.graphs == 1, "{done:?}");
        self.note();
    }

    /// The file as it is now.
    pub fn bytes(&self) -> Vec<u8> {
        self.place.bytes(Path::new(PATH)).unwrap()
    }

    fn finish(mut self, name: &'static str) -> Golden {
        let snapshot = self.db.snapshot();
        let queries: Vec<Value> = (0..4).map(|_| self.query(3)).collect();
        // A long vector is told by its hash: the truth of a large file stays small.
        let vector = |v: &Vec<f32>| match v.len() {
            0..2000 => ("vector", json!(v)),
            _ => {
                ("vector_blake3", json!(digest::hex(&digest::blake3(&v.iter().map(|x| *x as u8).collect::<Vec<u8>>()))))
            }
        };
        let record = |(id, v)| {
            let (key, value) = vector(v);
            json!({"id": id_json(id), key: value})
        };
        let records: Vec<Value> = self.records.iter().map(record).collect();
        let schema = &self.schema;
        let truth = json!({
            "name": name, "dim": schema.dimension, "dtype": schema.dtype.name(), "metric": schema.metric.name(),
            "id_type": schema.id_type.name(), "epoch": snapshot.epoch(), "count": self.records.len(),
            "file_id": digest::hex(&snapshot.root().file_id), "root_hash": digest::hex(&snapshot.root().state_hash),
            "model": "golden", "records": records, "queries": queries, "epochs": self.epochs, "log": log_json(&snapshot),
        });
        Golden { name, bytes: self.bytes(), truth }
    }

    fn query(&mut self, k: usize) -> Value {
        let vector = self.rng.vector(&self.schema);
        let hits = oracle::nearest(&self.schema, &self.records, &vector, k);
        let hits: Vec<Value> = hits.iter().map(|(id, d)| json!({"id": id_json(id), "distance": d})).collect();
        json!({"vector": vector, "k": k, "hits": hits})
    }
}

fn id_json(id: &Id) -> Value {
    match id {
        Id::U64(number) => json!(number),
        Id::Str(text) => json!(text),
    }
}

fn log_json(snapshot: &Snapshot) -> Vec<Value> {
    let mut log = snapshot.log(usize::MAX).unwrap();
    log.reverse();
    log.iter()
        .map(|entry| {
            json!({
                "index": entry.index, "epoch": entry.epoch, "time_ns": entry.time_ns, "operation": entry.operation.name(),
                "added": entry.added, "deleted": entry.deleted, "count": entry.count, "actor": entry.actor,
                "entry_hash": digest::hex(&entry.entry_hash),
            })
        })
        .collect()
}

/// A store after some of everything: adds, a replacement, deletions.
pub fn lively(schema: Schema, seed: u64) -> Model {
    let mut model = Model::new(schema, seed);
    model.put(0..12);
    model.put([20, 15, 3, 18]);
    model.delete([1, 15]);
    model.put([1]);
    model
}

/// All golden files.
pub fn all() -> Vec<Golden> {
    let schema = |dimension, dtype, metric| Schema { dimension, dtype, metric, id_type: IdType::U64 };
    let strings = Schema { id_type: IdType::Str, ..schema(6, Dtype::F32, Metric::Cosine) };
    vec![
        Model::new(schema(5, Dtype::F32, Metric::L2), 1).finish("empty"),
        lively(schema(7, Dtype::F32, Metric::L2), 2).finish("f32-l2"),
        lively(schema(7, Dtype::F32, Metric::Cosine), 3).finish("f32-cosine"),
        lively(schema(9, Dtype::F16, Metric::Dot), 4).finish("f16-dot"),
        lively(schema(10, Dtype::I8, Metric::Cosine), 5).finish("i8-cosine"),
        lively(schema(11, Dtype::U8, Metric::L2), 6).finish("u8-l2"),
        lively(schema(20, Dtype::Binary, Metric::Hamming), 7).finish("binary-hamming"),
        lively(strings, 8).finish("string-ids"),
        many_commits().finish("many-commits"),
        compacted().finish("compacted"),
        masked().finish("masked"),
        large().finish("large"),
        unknown().finish("unknown"),
    ]
}

/// More commits than one full manifest and one merge need.
fn many_commits() -> Model {
    let mut model = Model::new(Schema { dimension: 3, dtype: Dtype::U8, metric: Metric::Dot, id_type: IdType::U64 }, 9);
    for n in 0..70 {
        match n % 10 {
            7 => model.put([n / 2]),
            9 => model.delete([n - 3]),
            _ => model.put([n]),
        }
    }
    model
}

fn compacted() -> Model {
    let mut model = lively(Schema::new(4, Metric::L2), 10);
    model.compact(2);
    model.put([30]);
    model
}

/// Rows of the root magic over and over: no shift helps, the section is masked.
fn masked() -> Model {
    let mut model = Model::new(Schema::new(1500, Metric::L2), 11);
    let magic = f32::from_bits(rvf_format::limits::ROOT_MAGIC);
    model.put_vectors(vec![(Id::U64(4), vec![magic; 1500]), (Id::U64(2), vec![1.5; 1500])]);
    model
}

/// A segment of more than 1 MiB, with its hash tree.
fn large() -> Model {
    let schema = Schema { dimension: 4096, dtype: Dtype::U8, metric: Metric::L2, id_type: IdType::U64 };
    let mut model = Model::new(schema, 12);
    let vectors = (0..260).map(|n| (Id::U64(n), (0..4096).map(|at| ((at / 64 + n * 7) % 251) as f32).collect()));
    model.put_vectors(vectors.collect());
    model
}

/// Kinds and facts that no reader of version 1 knows, carried through a compaction.
fn unknown() -> Model {
    let mut model = lively(Schema::new(4, Metric::Dot), 13);
    let mut edit = Edit::new(Operation(999));
    edit.drafts.push(Draft::new(Kind(0x7F), 9).section(1, &b"from the future"[..]));
    edit.facts.insert(77, b"a fact from the future".to_vec());
    model.commit_raw(&edit);
    model.compact(1);
    model
}

impl Model {
    /// Commits an edit that the front door has no call for.
    pub fn commit_raw(&mut self, edit: &Edit<'_>) {
        let place = Arc::new(self.place.clone());
        let other = Model::new(self.schema, 0).db;
        drop(std::mem::replace(&mut self.db, other));
        let context =
            rvf_engine::store::Context { clock: Clock::Fixed(TIME_NS), actor: "golden".into(), ..Default::default() };
        let (mut store, _) = rvf_engine::store::Store::open(place.clone(), Path::new(PATH), context).unwrap();
        store.commit(edit).unwrap();
        drop(store);
        self.db = Db::open_with(place, PATH, &open_options()).unwrap();
        self.note();
    }
}

//! The golden files of `fixtures/v1`: built from fixed input, with their truth beside them as JSON (tests/python/README.md).

use crate::golden_learned::learned_json;
use crate::oracle::{self, Records, Rng};
use rvf_engine::filter::Filter;
use rvf_engine::ingest::door::Vectors;
use rvf_engine::ingest::metadata_to_json;
use rvf_engine::store::Edit;
use rvf_engine::{
    BranchOptions, Clock, CompactOptions, CreateOptions, Db, Dtype, Id, IdType, IndexOptions, Metadata, Metric,
    OpenOptions, Schema, SecretKey, Snapshot, Value as Field,
};
use rvf_format::build::Draft;
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::index::{self, IndexParts, IndexRun, IndexView};
use rvf_format::payload::quant::QuantView;
use rvf_format::payload::witness::Operation;
use rvf_format::storage::{Bytes, MemoryPlace};
use rvf_format::{Kind, digest};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use zerocopy::IntoBytes;

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
    path: &'static str,
    schema: Schema,
    epochs: Vec<Value>,
    metadata: BTreeMap<Id, Metadata>,
}

/// The records that a branch sees: a filter, and the same by numbers.
pub type View = (&'static str, fn(u64) -> bool);

const PATH: &str = "golden.rvf";
/// 2026-01-02 03:04:05 UTC.
const TIME_NS: u64 = 1_767_323_045_000_000_000;

fn file_id(seed: u64) -> [u8; 16] {
    std::array::from_fn(|index| (seed as u8).wrapping_add(index as u8))
}

fn open_options() -> OpenOptions {
    OpenOptions { clock: Clock::Fixed(TIME_NS), actor: "golden".into(), ..OpenOptions::default() }
}

impl Model {
    /// A new store in memory with a fixed id and time.
    pub fn new(schema: Schema, seed: u64) -> Self {
        Self::at(PATH, schema, seed)
    }

    /// [`Model::new`] under this name.
    pub fn at(path: &'static str, schema: Schema, seed: u64) -> Self {
        let place = MemoryPlace::default();
        let options =
            CreateOptions { model: Some("golden".into()), file_id: Some(file_id(seed)), open: open_options() };
        let db = Db::create_with(Arc::new(place.clone()), path, &schema, &options).unwrap();
        let mut model = Self {
            place,
            db,
            records: Records::new(),
            rng: Rng(seed),
            path,
            schema,
            epochs: Vec::new(),
            metadata: BTreeMap::new(),
        };
        model.note();
        model
    }

    /// A branch of the newest commit, under this name in the same place.
    pub fn branch(&mut self, path: &'static str, seed: u64, view: Option<View>) -> Self {
        let filter = view.map(|(filter, _)| Filter::parse(filter).unwrap());
        let options = BranchOptions { at: None, filter, file_id: Some(file_id(seed)), open: open_options() };
        self.db.branch(path, &options).unwrap();
        self.note();
        let sees = |id: &Id| view.is_none_or(|(_, sees)| matches!(id, Id::U64(number) if sees(*number)));
        let (mut records, mut metadata) = (self.records.clone(), self.metadata.clone());
        records.retain(|id, _| sees(id));
        metadata.retain(|id, _| sees(id));
        let db = Db::open_with(Arc::new(self.place.clone()), path, &open_options()).unwrap();
        let (place, schema, rng, epochs) = (self.place.clone(), self.schema, Rng(seed), Vec::new());
        let mut model = Self { place, db, records, rng, path, schema, epochs, metadata };
        model.note();
        model
    }

    pub(crate) fn note(&mut self) {
        let snapshot = self.db.snapshot();
        let (epoch, hash) = (snapshot.epoch(), digest::hex(&snapshot.root().state_hash));
        self.epochs.push(json!({"epoch": epoch, "count": self.records.len(), "root_hash": hash}));
    }

    /// The id that number `n` stands for.
    pub fn id(&self, n: u64) -> Id {
        id_of(&self.schema, n)
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

    /// Stores random vectors with these fields, in one commit.
    pub fn put_fields(&mut self, records: impl IntoIterator<Item = (u64, Vec<(String, Field)>)>) {
        let mut batch = self.db.batch();
        for (n, fields) in records {
            let id = id_of(&self.schema, n);
            let vector = self.rng.vector(&self.schema);
            batch.put_with(id.clone(), &vector, fields.clone()).unwrap();
            self.records.insert(id.clone(), vector);
            self.metadata.insert(id, fields.into_iter().collect());
        }
        batch.commit().unwrap();
        self.note();
    }

    /// Changes fields, in one commit.
    pub fn update(&mut self, changes: impl IntoIterator<Item = (u64, Vec<(String, Field)>)>) {
        let mut batch = self.db.batch();
        for (n, fields) in changes {
            let id = id_of(&self.schema, n);
            batch.update(id.clone(), fields.clone()).unwrap();
            let record = self.metadata.entry(id).or_default();
            for (name, value) in fields {
                match value {
                    Field::Null => drop(record.remove(&name)),
                    value => drop(record.insert(name, value)),
                }
            }
        }
        batch.commit().unwrap();
        self.note();
    }

    /// Deletes these ids in one commit.
    pub fn delete(&mut self, ids: impl IntoIterator<Item = u64>) {
        let ids: Vec<Id> = ids.into_iter().map(|n| self.id(n)).collect();
        self.db.delete(&ids).unwrap();
        self.records.retain(|id, _| !ids.contains(id));
        self.metadata.retain(|id, _| !ids.contains(id));
        self.note();
    }

    /// Compacts; only the newest `keep` epochs and those that branches begin at can be opened afterwards.
    pub fn compact(&mut self, keep: u64) {
        self.db.compact(&CompactOptions { keep, output: None }).unwrap();
        self.note();
        let (pinned, newest) = (self.db.snapshot().pinned_epochs().unwrap(), self.db.snapshot().epoch());
        let stays = |epoch: u64| epoch + keep > newest || pinned.contains(&epoch);
        self.epochs.retain(|told| told["epoch"].as_u64().is_some_and(stays));
    }

    /// Brings all rows under one graph with few links, so that files stay small. Threads are this machine's: they must not matter.
    pub fn index(&mut self, m: usize) {
        let options = IndexOptions { m: Some(m), ef_construction: Some(32), threads: None, code: None };
        let done = self.db.index(&options, &mut |_, _| ControlFlow::Continue(())).unwrap();
        assert!(done.written && done.graphs == 1, "{done:?}");
        self.note();
    }

    /// The file as it is now.
    pub fn bytes(&self) -> Vec<u8> {
        self.place.bytes(Path::new(self.path)).unwrap()
    }

    pub(crate) fn finish(self, name: &'static str) -> Golden {
        self.finish_with(name, 4, 3)
    }

    pub(crate) fn finish_with(mut self, name: &'static str, queries: usize, k: usize) -> Golden {
        let snapshot = self.db.snapshot();
        let queries: Vec<Value> = (0..queries).map(|_| self.query(k)).collect();
        let schema = &self.schema;
        // Long vectors and many are told by their hashes: the truth of a large file stays small.
        let hashed = schema.row_len() * self.records.len() > 1 << 14;
        let record = |(id, v): (&Id, &Vec<f32>)| {
            let mut record = match hashed {
                true => json!({"id": id_json(id), "vector_blake3": vector_hash(schema, v)}),
                false => json!({"id": id_json(id), "vector": v}),
            };
            if let Some(metadata) = self.metadata.get(id).filter(|metadata| !metadata.is_empty()) {
                record["metadata"] = metadata_to_json(metadata);
            }
            record
        };
        let records: Vec<Value> = self.records.iter().map(record).collect();
        let mut truth = json!({
            "name": name, "dim": schema.dimension, "dtype": schema.dtype.name(), "metric": schema.metric.name(),
            "id_type": schema.id_type.name(), "epoch": snapshot.epoch(), "count": self.records.len(),
            "file_id": digest::hex(&snapshot.root().file_id), "root_hash": digest::hex(&snapshot.root().state_hash),
            "model": "golden", "records": records, "queries": queries, "epochs": self.epochs, "log": log_json(&snapshot),
        });
        truth["tree_root"] = json!(digest::hex(&snapshot.root().witness_tree));
        let notes = snapshot.notes().unwrap();
        if !notes.is_empty() {
            let public = signing_key().public().ed25519();
            truth["ed25519_public"] = json!(digest::hex(&public));
            truth["notes"] = notes.iter().map(|note| json!(note.render())).collect();
        }
        learned_json(&snapshot, &mut truth);
        let indexes = indexes_json(&snapshot);
        if !indexes.is_empty() {
            truth["indexes"] = json!(indexes);
        }
        Golden { name, bytes: self.bytes(), truth }
    }

    fn query(&mut self, k: usize) -> Value {
        let vector = self.rng.vector(&self.schema);
        let hits = oracle::nearest(&self.schema, &self.records, &vector, k);
        let hits: Vec<Value> = hits.iter().map(|(id, d)| json!({"id": id_json(id), "distance": d})).collect();
        json!({"vector": vector, "k": k, "hits": hits})
    }
}

/// The hash of a vector as it is stored, for the dtypes that truths need it for.
pub fn vector_hash(schema: &Schema, vector: &[f32]) -> String {
    let bytes: Vec<u8> = match schema.dtype {
        Dtype::F32 => vector.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Dtype::U8 | Dtype::Binary => vector.iter().map(|x| *x as u8).collect(),
        dtype => panic!("no hash of {dtype:?} is written"),
    };
    digest::hex(&digest::blake3(&bytes))
}

/// What INDEX and QUANT segments say about themselves, by ascending first row.
pub fn indexes_json(snapshot: &Snapshot) -> Vec<Value> {
    let entries = snapshot.state().live.iter().filter(|entry| entry.space.get() == 0);
    let bytes =
        |entry: &ManifestEntry| Bytes::from(&snapshot.file()[entry.offset.get() as usize..entry.end() as usize]);
    let quants: Vec<_> = entries.clone().filter(|entry| entry.kind() == Kind::QUANT).collect();
    let mut indexes: Vec<_> = entries.filter(|entry| entry.kind() == Kind::INDEX).collect();
    indexes.sort_by_key(|entry| entry.base_row.get());
    let json = |entry: &&ManifestEntry| {
        let view = IndexView::parse(bytes(entry), entry, snapshot.schema()).unwrap();
        let quant = quants.iter().find(|quant| quant.base_row == entry.base_row).map(|entry| {
            let quant = QuantView::parse(bytes(entry), entry, snapshot.schema()).unwrap();
            let facts = quant.facts();
            json!({
                "code": facts.code, "step": quant.step(), "stride": facts.stride.get(), "offsets": quant.offsets(),
            })
        });
        let facts = view.facts();
        let runs: Vec<_> = view.runs().iter().map(|run| (run.base_row.get(), run.rows.get())).collect();
        let effort: Vec<_> = view.effort().iter().map(|point| (point.ef.get(), point.recall_ppm.get())).collect();
        json!({
            "nodes": facts.nodes.get(), "degree": facts.degree.get(), "pivots": facts.pivots.get(),
            "cells": facts.cells.get(), "stride": facts.stride.get(), "code": facts.code, "m": facts.m.get(),
            "ef_construction": facts.ef_construction.get(), "seed": facts.seed.get(), "linked": facts.linked.get(),
            "runs": runs, "effort": effort, "quant": quant,
        })
    };
    indexes.iter().map(json).collect()
}

fn id_of(schema: &Schema, n: u64) -> Id {
    match schema.id_type {
        IdType::U64 => Id::U64(n),
        IdType::Str => Id::Str(format!("record-{n:03}-ä")),
    }
}

pub(crate) fn id_json(id: &Id) -> Value {
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
    let alone = vec![
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
        indexed().finish_with("indexed", 12, 10),
        indexed_lively().finish_with("indexed-u8", 12, 10),
        indexed_runs().finish_with("indexed-runs", 12, 10),
        indexed_sq4().finish_with("indexed-sq4", 12, 10),
        metadata().finish("metadata"),
        small_metadata().finish("metadata-small"),
        numbers_of_both_kinds().finish("metadata-numbers"),
        signed().finish("signed"),
    ];
    alone.into_iter().chain(crate::golden_branches::all()).chain(crate::golden_learned::all()).collect()
}

/// The key of golden files that are signed.
pub fn signing_key() -> SecretKey {
    SecretKey::from_seeds(&[0x11; 32], &[0x22; 32])
}

/// Signed after the fact, twice, then in each commit, then compacted.
fn signed() -> Model {
    let mut model = Model::new(Schema::new(4, Metric::L2), 21);
    let sign = |model: &mut Model| {
        model.db.sign(Arc::new(signing_key())).unwrap();
        model.note();
    };
    model.put(0..6);
    sign(&mut model);
    model.put([6, 7]);
    sign(&mut model);
    let options = OpenOptions { signer: Some(Arc::new(signing_key())), ..open_options() };
    drop(std::mem::replace(&mut model.db, Model::new(model.schema, 22).db));
    model.db = Db::open_with(Arc::new(model.place.clone()), PATH, &options).unwrap();
    model.put([3, 8]);
    model.delete([0]);
    model.compact(2);
    model.put([9]);
    model
}

/// Fields of every type, in numbers that make an index of them; some changed afterwards, twice.
fn metadata() -> Model {
    let mut model = Model::new(Schema { id_type: IdType::Str, ..Schema::new(2, Metric::L2) }, 18);
    model.put_fields((0..1040).map(|n| (n, fields(n))));
    model.delete([5, 6]);
    let set = |name: &str, value: Field| (name.to_owned(), value);
    model.update([
        (0, vec![set("flag", Field::Null), set("word", "changed".into())]),
        (9, vec![set("extra", 1.5.into())]),
        (1039, vec![set("word", "w".repeat(300).into())]),
    ]);
    model.update([(9, vec![set("extra", Field::Null), set("tags", Field::List(vec!["again".into()]))])]);
    model
}

/// The fields of record `n`: each is absent from some records.
fn fields(n: u64) -> Vec<(String, Field)> {
    let word = if n.is_multiple_of(97) { format!("long {n} ").repeat(40) } else { format!("wörd {}", n % 60) };
    let tags = (0..n % 4).map(|tag| format!("tag {}", (n + tag) % 5)).collect::<Vec<String>>();
    let all = [
        ("flag", Field::Bool(n.is_multiple_of(3)), !n.is_multiple_of(5)),
        ("count", Field::I64(n as i64 * 37 - 9000), !n.is_multiple_of(7)),
        ("edge", Field::I64(if n.is_multiple_of(2) { i64::MIN } else { i64::MAX }), n.is_multiple_of(50)),
        ("ratio", Field::F64((n % 13) as f64 / 8.0 - 0.5), !n.is_multiple_of(11)),
        ("word", Field::Str(word), !n.is_multiple_of(8)),
        ("tags", Field::List(tags), !n.is_multiple_of(6)),
        ("raw", Field::Bytes(vec![n as u8; (n % 3) as usize]), n.is_multiple_of(40)),
        ("all", Field::I64(1), true),
    ];
    all.into_iter().filter(|(.., there)| *there).map(|(name, value, _)| (name.to_owned(), value)).collect()
}

/// A whole number that became a f64, a record without fields, a compacted change.
fn small_metadata() -> Model {
    let mut model = Model::new(Schema::new(3, Metric::Cosine), 19);
    let number = |value: Field| vec![("number".to_owned(), value)];
    model.put_fields([(1, number(Field::I64(5))), (2, Vec::new()), (3, number(Field::F64(0.5)))]);
    model.put_fields([(4, number(Field::I64(7))), (5, vec![("list".to_owned(), Field::List(Vec::new()))])]);
    model.update([(2, number(Field::F64(-0.0)))]);
    model.compact(1);
    model.update([(4, vec![("number".to_owned(), Field::Null)])]);
    for value in model.metadata.values_mut().filter_map(|fields| fields.get_mut("number")) {
        if let Field::I64(whole) = value {
            *value = Field::F64(*whole as f64);
        }
    }
    model
}

/// Numbers that an index orders: zeros of both signs among them; a field that is i64 in the segment with the index and f64 in a later
/// one and in a change. Strings whose postings are a run, and lists in a set.
fn numbers_of_both_kinds() -> Model {
    let mut model = Model::new(Schema { dtype: Dtype::U8, ..Schema::new(1, Metric::L2) }, 20);
    let set = |name: &str, value: Field| (name.to_owned(), value);
    let zero = |n: u64| [0.0, -0.0, -1.5, 5e-324, -5e-324][(n * 7 % 5) as usize];
    let whole = |n: u64| [(1i64 << 53) - n as i64, -(1i64 << 53) + n as i64][n as usize % 2];
    model.put_fields((0..1024u64).map(|n| {
        let parity = if n.is_multiple_of(2) { "even" } else { "odd" };
        (
            n,
            vec![
                set("zero", zero(n).into()),
                set("both", whole(n).into()),
                set("same", "x".into()),
                set("parity", parity.into()),
            ],
        )
    }));
    model.put_fields([(2000, vec![set("both", 0.5.into())]), (2001, vec![set("both", Field::F64(-0.0))])]);
    model.update([(7, vec![set("both", (-2.25).into())]), (8, vec![set("zero", 1.0.into())])]);
    for value in model.metadata.values_mut().filter_map(|fields| fields.get_mut("both")) {
        if let Field::I64(whole) = value {
            *value = Field::F64(*whole as f64);
        }
    }
    model
}

/// A graph that is walked on codes and covers all rows.
fn indexed() -> Model {
    let mut model = Model::new(Schema::new(16, Metric::L2), 14);
    model.put(0..1200);
    model.index(6);
    model
}

/// A graph that is walked on stored rows. Some were dead when it was built, some died later; some live ones are in no graph.
fn indexed_lively() -> Model {
    let mut model = Model::new(Schema { dtype: Dtype::U8, ..Schema::new(8, Metric::L2) }, 15);
    model.put(0..1200);
    model.delete((0..1200).step_by(100));
    model.index(4);
    model.put((7..1200).step_by(50));
    model.delete((11..1200).step_by(60));
    model.put(2000..2040);
    model
}

/// A graph that is walked on codes of four bits.
fn indexed_sq4() -> Model {
    let mut model = Model::new(Schema { dtype: Dtype::U8, ..Schema::new(80, Metric::L2) }, 17);
    model.put(0..1100);
    model.index(12);
    model
}

/// A graph over the rows of three segments that are not next to each other: an engine writes such only for large segments.
fn indexed_runs() -> Model {
    let puts = |model: &mut Model| {
        model.put(0..500);
        model.put([9000]);
        model.put(500..800);
        model.put(800..1200);
        model.delete([9000]);
    };
    let schema = Schema { dtype: Dtype::I8, ..Schema::new(8, Metric::Dot) };
    let (mut model, mut gathered) = (Model::new(schema, 16), Model::new(schema, 16));
    puts(&mut model);
    puts(&mut gathered);
    gathered.index(4);
    let mut edit = Edit::new(Operation(5));
    edit.drafts.push(index_in_runs(&gathered.db.snapshot(), &[(0, 500), (501, 300), (801, 400)]));
    model.commit_raw(&edit);
    model
}

/// The one graph of a snapshot, which is walked on stored rows, over the same rows in other places: first row, rows.
pub fn index_in_runs(snapshot: &Snapshot, runs: &[(u64, u32)]) -> Draft<'static> {
    let entry = snapshot.graphs()[0].entry;
    let bytes = Bytes::from(&snapshot.file()[entry.offset.get() as usize..entry.end() as usize]);
    let view = IndexView::parse(bytes, &entry, snapshot.schema()).unwrap();
    let run = |(base_row, rows): &(u64, u32)| IndexRun {
        base_row: (*base_row).into(),
        rows: (*rows).into(),
        reserved: 0.into(),
    };
    index::draft(IndexParts {
        facts: *view.facts(),
        runs: runs.iter().map(run).collect(),
        links: view.links().as_bytes().to_vec().into(),
        pivots: view.pivots().as_bytes().to_vec().into(),
        cells: view.cells().as_bytes().to_vec().into(),
        pivot_rows: view.pivot_rows().to_vec().into(),
        effort: view.effort().to_vec().into(),
    })
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
        let (mut store, _) = rvf_engine::store::Store::open(place.clone(), Path::new(self.path), context).unwrap();
        store.commit(edit).unwrap();
        drop(store);
        self.db = Db::open_with(place, self.path, &open_options()).unwrap();
        self.note();
    }
}

//! Small valid files, built by the engine in memory. Time and file id are fixed: the same bytes in every run.

use crate::oracle::Rng;
use crate::signed::key;
use rvf_engine::filter::Filter;
use rvf_engine::store::{Context, Edit, Store};
use rvf_engine::{
    Batch, BranchOptions, Clock, CompactOptions, CreateOptions, Db, Dtype, Feedback, IdType, IndexOptions, Kind,
    Metric, OpenOptions, Schema, Value,
};
use rvf_format::manifest::FACT_PINS;
use rvf_format::payload::tensors;
use rvf_format::payload::witness::Operation;
use rvf_format::storage::MemoryPlace;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The path of a sample in its place.
pub const PATH: &str = "sample.rvf";
/// The time of every commit, nanoseconds since 1970.
pub const TIME_NS: u64 = 1_700_000_000_000_000_000;

/// f32 under l2 with numeric ids: creation, two imports, a replacement, a deletion, a pin.
pub fn small() -> Vec<u8> {
    let place = MemoryPlace::default();
    let mut db = create(&place, &Schema::new(4, Metric::L2));
    commit(&mut db, &[(1, [1.0, 0.0, 0.0, 0.0]), (2, [0.0, 1.0, 0.0, 0.0]), (9, [0.5, 0.5, 0.0, 1.0])]);
    commit(&mut db, &[(2, [2.0, 0.0, 0.0, 3.0]), (5, [0.0, -1.0, 0.5, 0.0])]);
    db.delete(&[9.into()]).unwrap();
    drop(db);
    let (mut store, _) = Store::open(Arc::new(place.clone()), Path::new(PATH), context()).unwrap();
    let mut edit = Edit::new(Operation(14));
    edit.facts.insert(FACT_PINS, 2u64.to_le_bytes().to_vec());
    edit.facts.insert(40, b"a fact of a later version".to_vec());
    store.commit(&edit).unwrap();
    bytes(&place)
}

/// f16 under cosine with string ids that do not ascend.
pub fn strings() -> Vec<u8> {
    let place = MemoryPlace::default();
    let schema = Schema { dtype: Dtype::F16, id_type: IdType::Str, ..Schema::new(3, Metric::Cosine) };
    let mut db = create(&place, &schema);
    let mut batch = db.batch();
    for (id, x) in [("zebra", 1.0), ("ä", 2.0), ("b", -3.0), ("Apple", 0.5)] {
        batch.put(id, &[x, 1.0, 0.0]).unwrap();
    }
    batch.commit().unwrap();
    db.delete(&["b".into()]).unwrap();
    bytes(&place)
}

/// Bits under hamming.
pub fn bits() -> Vec<u8> {
    let place = MemoryPlace::default();
    let mut db = create(&place, &Schema::new(12, Metric::Hamming));
    let mut batch = db.batch();
    batch.put(70, &[0xF0u8, 0x10]).unwrap();
    batch.put(3, &[0x0Fu8, 0xA0]).unwrap();
    batch.commit().unwrap();
    bytes(&place)
}

/// Compacted and then written to: a full manifest, sealed audit entries, gathered rows.
pub fn compacted() -> Vec<u8> {
    let place = MemoryPlace::default();
    let mut db = create(&place, &Schema::new(4, Metric::Dot));
    for round in 0..6u64 {
        commit(&mut db, &[(round, [round as f32, 1.0, 0.0, 2.0]), (100 - round, [0.0, round as f32, 1.0, 0.0])]);
    }
    db.delete(&[3.into()]).unwrap();
    db.compact(&CompactOptions { keep: 1, output: None }).unwrap();
    commit(&mut db, &[(4, [9.0, 9.0, 9.0, 9.0])]);
    bytes(&place)
}

/// A graph that is walked on codes, of as few rows as get one; dead rows in it, live ones in no graph.
pub fn indexed() -> Vec<u8> {
    let schema = Schema { dtype: Dtype::F16, ..Schema::new(12, Metric::L2) };
    with_graph(&schema, |rng, batch, id| {
        batch.put(id, &rng.vector(&schema)).unwrap();
    })
}

/// A graph that is walked on stored rows.
pub fn indexed_bits() -> Vec<u8> {
    let schema = Schema::new(24, Metric::Hamming);
    with_graph(&schema, |rng, batch, id| {
        let row: Vec<u8> = rng.vector(&schema).iter().map(|byte| *byte as u8).collect();
        batch.put(id, &row[..]).unwrap();
    })
}

fn with_graph(schema: &Schema, put: impl Fn(&mut Rng, &mut Batch<'_>, u64)) -> Vec<u8> {
    let (place, mut rng) = (MemoryPlace::default(), Rng(5));
    let mut db = create(&place, schema);
    let mut batch = db.batch();
    (0..1001).for_each(|id| put(&mut rng, &mut batch, id));
    batch.commit().unwrap();
    let done = db.index(&INDEX_OPTIONS, &mut |_, _| ControlFlow::Continue(())).unwrap();
    assert!(done.graphs == 1 && done.indexed == 1001, "{done:?}");
    let mut batch = db.batch();
    (0..30).for_each(|n| put(&mut rng, &mut batch, n * 40));
    batch.delete(77).unwrap();
    batch.commit().unwrap();
    bytes(&place)
}

/// Few links and little work for each.
pub const INDEX_OPTIONS: IndexOptions =
    IndexOptions { m: Some(2), ef_construction: Some(8), threads: Some(1), code: None };

/// A segment of more than 1 MiB, with its hash tree.
pub fn with_tree() -> Vec<u8> {
    let place = MemoryPlace::default();
    let schema = Schema { dtype: Dtype::U8, ..Schema::new(16_384, Metric::L2) };
    let mut db = create(&place, &schema);
    let rows: Vec<u8> = (0..65 * 16_384u32).map(|at| (at * 7 % 251) as u8).collect();
    db.add(&rows[..]).unwrap();
    bytes(&place)
}

/// Seventy commits: incremental manifests, a full one with merged segments, more incremental ones.
pub fn long() -> Vec<u8> {
    let place = MemoryPlace::default();
    let mut db = create(&place, &Schema::new(4, Metric::L2));
    for round in 0..70u64 {
        match round % 5 {
            4 => drop(db.delete(&[(round - 3).into()]).unwrap()),
            _ => commit(&mut db, &[(round, [1.0, round as f32, 0.0, 0.0])]),
        }
    }
    bytes(&place)
}

/// Every sample, built once.
pub fn all() -> &'static [Vec<u8>] {
    static ALL: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    ALL.get_or_init(|| {
        vec![
            small(),
            strings(),
            bits(),
            compacted(),
            indexed(),
            indexed_bits(),
            with_tree(),
            long(),
            with_fields(),
            signed(),
            learned(),
        ]
    })
}

/// Every commit signed by [`SIGNER`], one after compaction among them: CRYPTO segments, a policy, several notes.
pub fn signed() -> Vec<u8> {
    let place = MemoryPlace::default();
    let open = OpenOptions { signer: Some(Arc::new(key(SIGNER))), ..open_options() };
    let options = CreateOptions { model: None, file_id: Some([7; 16]), open };
    let mut db = Db::create_with(Arc::new(place.clone()), PATH, &Schema::new(4, Metric::L2), &options).unwrap();
    commit(&mut db, &[(1, [1.0, 0.0, 0.0, 0.0]), (2, [0.0, 1.0, 0.0, 0.0])]);
    commit(&mut db, &[(3, [0.0, 0.0, 1.0, 0.0])]);
    db.compact(&CompactOptions { keep: 1, output: None }).unwrap();
    db.delete(&[2.into()]).unwrap();
    bytes(&place)
}

/// The number of the key pair that signs [`signed`], and nothing else.
pub const SIGNER: u8 = 3;

/// Fields of most types with an index of them; some records are changed, some deleted.
pub fn with_fields() -> Vec<u8> {
    let place = MemoryPlace::default();
    let mut db = create(&place, &Schema::new(1, Metric::L2));
    let mut batch = db.batch();
    for id in 0..1030u64 {
        let mut fields = vec![("number", Value::I64(id as i64 % 90)), ("word", format!("word {}", id % 40).into())];
        if !id.is_multiple_of(3) {
            fields.push(("flag", Value::Bool(id.is_multiple_of(2))));
            fields.push(("ratio", Value::F64((id % 7) as f64 / 4.0 - 0.75)));
        }
        if id.is_multiple_of(5) {
            fields
                .push(("tags", Value::List((0..id % 4).map(|tag| ["a", "b", "c"][tag as usize % 3].into()).collect())));
        }
        if id.is_multiple_of(400) {
            fields.push(("note", "long ".repeat(60).into()));
        }
        batch.put_with(id, &[id as f32], fields).unwrap();
    }
    batch.commit().unwrap();
    let mut batch = db.batch();
    batch.update(7, [("word", Value::Null), ("flag", Value::Bool(true))]).unwrap();
    batch.update(8, [("extra", Value::Bytes(vec![1, 2]))]).unwrap();
    batch.delete(9).unwrap();
    batch.commit().unwrap();
    bytes(&place)
}

/// f32 under cosine, with feedback in two commits, judgements and lists, a learned order that is in use, and a planner's state.
pub fn learned() -> Vec<u8> {
    let place = MemoryPlace::default();
    let mut db = create(&place, &Schema::new(4, Metric::Cosine));
    let mut batch = db.batch();
    for id in 0..20u64 {
        batch.put(id, &[1.0, id as f32, (id % 3) as f32, 0.5]).unwrap();
    }
    batch.commit().unwrap();
    let judgement = |id: u64| Feedback {
        query: vec![1.0, id as f32, 0.0, 0.0],
        chosen: vec![(id % 20).into()],
        ..Feedback::default()
    };
    db.record(&(0..6).map(judgement).collect::<Vec<_>>()).unwrap();
    let shown = Feedback { shown: vec![4.into(), 2.into()], position: 3, ..judgement(2) };
    db.record(&[shown]).unwrap();
    drop(db);
    let (mut store, _) = Store::open(Arc::new(place.clone()), Path::new(PATH), context()).unwrap();
    let mut rng = Rng(5);
    let mut values = |count: usize| (0..count).map(|_| rng.below(2000) as f32 / 1000.0 - 1.0).collect::<Vec<f32>>();
    let weights = values(3 * 321);
    let mut scale = vec![0.0; 17];
    scale.extend([1.0; 17]);
    scale.extend([-100.0; 17]);
    scale.extend([100.0; 17]);
    let mut edit = Edit::new(Operation::LEARN);
    edit.drafts.push(tensors::draft(
        Kind::GRAPH,
        [
            ("ranker.margin", &[1][..], &[0.5f32][..]),
            ("ranker.scale", &[4, 17], &scale),
            ("ranker.weights", &[3, 321], &weights),
        ],
    ));
    edit.drafts.push(tensors::draft(Kind::POLICY_KERNEL, [("plan.version", &[1][..], &[1.0f32][..])]));
    store.commit(&edit).unwrap();
    bytes(&place)
}

/// A branch, and the parent that it is opened with.
pub struct Lineage {
    /// What is seen of the parent, changed and deleted; a branch of its own: MEMBERSHIP, COW_MAP, DELTA, REFCOUNT.
    pub branch: Vec<u8>,
    /// The parent, which went on.
    pub parent: Vec<u8>,
}

/// The path of the branch's parent in its place.
pub const PARENT: &str = "parent.rvf";

/// A branch with its parent, built once. Not among [`all`]: without the parent it tells nothing of its records.
pub fn lineage() -> &'static Lineage {
    static LINEAGE: OnceLock<Lineage> = OnceLock::new();
    LINEAGE.get_or_init(|| {
        let place = MemoryPlace::default();
        let options = CreateOptions { model: None, file_id: Some([7; 16]), open: open_options() };
        let shared = || Arc::new(place.clone());
        let mut parent = Db::create_with(shared(), PARENT, &Schema::new(2, Metric::L2), &options).unwrap();
        put_fields(&mut parent, 0..40);
        let made = |number: u8, filter: Option<&str>| BranchOptions {
            at: None,
            filter: filter.map(|text| Filter::parse(text).unwrap()),
            file_id: Some([number; 16]),
            open: open_options(),
        };
        parent.branch(PATH, &made(8, Some("number < 30 AND number != 11"))).unwrap();
        put_fields(&mut parent, 5..8);
        let mut branch = Db::open_with(shared(), PATH, &open_options()).unwrap();
        put_fields(&mut branch, [3, 50]);
        let mut batch = branch.batch();
        batch.update(2, [("word", Value::Null), ("extra", Value::F64(0.5))]).unwrap();
        batch.delete(4).unwrap();
        batch.delete(50).unwrap();
        batch.commit().unwrap();
        branch.branch("leaf.rvf", &made(9, None)).unwrap();
        let file = |path: &str| place.bytes(Path::new(path)).unwrap();
        Lineage { branch: file(PATH), parent: file(PARENT) }
    })
}

fn put_fields(db: &mut Db, ids: impl IntoIterator<Item = u64>) {
    let mut batch = db.batch();
    for id in ids {
        let fields = [("number", Value::I64(id as i64)), ("word", format!("word {}", id % 5).into())];
        batch.put_with(id, &[id as f32, 1.0], fields).unwrap();
    }
    batch.commit().unwrap();
}

/// The options that make a handle deterministic.
pub fn open_options() -> OpenOptions {
    OpenOptions {
        clock: Clock::Fixed(TIME_NS),
        actor: "sample".to_owned(),
        index: INDEX_OPTIONS,
        ..OpenOptions::default()
    }
}

fn context() -> Context {
    Context { clock: Clock::Fixed(TIME_NS), actor: "sample".to_owned(), ..Context::default() }
}

fn create(place: &MemoryPlace, schema: &Schema) -> Db {
    let options = CreateOptions { model: Some("none".to_owned()), file_id: Some([7; 16]), open: open_options() };
    Db::create_with(Arc::new(place.clone()), PATH, schema, &options).unwrap()
}

fn commit(db: &mut Db, rows: &[(u64, [f32; 4])]) {
    let mut batch = db.batch();
    for (id, vector) in rows {
        batch.put(*id, vector).unwrap();
    }
    batch.commit().unwrap();
}

fn bytes(place: &MemoryPlace) -> Vec<u8> {
    place.bytes(Path::new(PATH)).unwrap()
}

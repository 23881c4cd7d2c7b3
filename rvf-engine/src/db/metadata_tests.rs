//! Metadata through the life of a store, against a model in memory.

use super::{Batch, CreateOptions, Db, OpenOptions};
use crate::filter::Filter;
use crate::store::Clock;
use crate::value::{FieldType, Metadata, Value};
use crate::{CompactOptions, Error, Metric, Schema};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use rvf_format::storage::MemoryPlace;
use rvf_format::{Clause, Kind};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const PATH: &str = "a.rvf";

fn options() -> OpenOptions {
    OpenOptions { clock: Clock::Fixed(1), manual_index: true, ..OpenOptions::default() }
}

fn create(place: &MemoryPlace) -> Db {
    let create = CreateOptions { file_id: Some([7; 16]), open: options(), ..CreateOptions::default() };
    Db::create_with(Arc::new(place.clone()), PATH, &Schema::new(2, Metric::L2), &create).unwrap()
}

#[derive(Clone, Debug)]
enum Op {
    Put(u64, Metadata),
    Update(u64, Metadata),
    Delete(u64),
    DeleteRange(u64, u64),
    /// By the filter with this number.
    DeleteWhere(usize),
    Commit,
    /// So many commits of an update each.
    Many(u64, u8),
    Compact,
    Reopen,
}

/// A filter, the field that it asks of, and the same in plain code.
type Tested = (&'static str, &'static str, fn(&Metadata) -> bool);

const FILTERS: [Tested; 6] = [
    ("n < 1", "n", |record| matches!(record.get("n"), Some(Value::I64(n)) if *n < 1)),
    ("f >= 0.5", "f", |record| {
        matches!(record.get("f"), Some(Value::F64(f)) if *f >= 0.5)
            || matches!(record.get("f"), Some(Value::I64(f)) if *f >= 1)
    }),
    ("s IS NULL", "s", |record| !record.contains_key("s")),
    ("NOT s = 'a'", "s", |record| matches!(record.get("s"), Some(Value::Str(text)) if text != "a")),
    (
        "l CONTAINS 'b'",
        "l",
        |record| matches!(record.get("l"), Some(Value::List(items)) if items.iter().any(|item| item == "b")),
    ),
    ("b", "b", |record| record.get("b") == Some(&Value::Bool(true))),
];

fn fields() -> impl Strategy<Value = Metadata> {
    let text = prop_oneof!["[a-c]{0,2}", Just("x".repeat(300))];
    let value = move |name: &'static str| {
        let text = text.clone();
        match name {
            "n" => (-3i64..3).prop_map(Value::I64).boxed(),
            "f" => prop_oneof![(-3i64..3).prop_map(Value::I64), (-1.0..1.0).prop_map(Value::F64)].boxed(),
            "s" => text.prop_map(Value::Str).boxed(),
            "l" => proptest::collection::vec("[a-b]{1,2}", 0..3).prop_map(Value::List).boxed(),
            _ => any::<bool>().prop_map(Value::Bool).boxed(),
        }
    };
    let field = proptest::sample::select(vec!["n", "f", "s", "l", "b"]).prop_flat_map(move |name| {
        prop_oneof![4 => value(name), 1 => Just(Value::Null)].prop_map(move |value| (name.to_owned(), value))
    });
    proptest::collection::vec(field, 0..4).prop_map(|fields| fields.into_iter().collect())
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let id = 0..12u64;
    let op = prop_oneof![
        6 => (id.clone(), fields()).prop_map(|(id, fields)| Op::Put(id, fields)),
        6 => (id.clone(), fields()).prop_map(|(id, fields)| Op::Update(id, fields)),
        2 => id.clone().prop_map(Op::Delete),
        1 => (id.clone(), 0..4u64).prop_map(|(from, count)| Op::DeleteRange(from, from + count)),
        2 => (0..FILTERS.len()).prop_map(Op::DeleteWhere),
        6 => Just(Op::Commit),
        1 => (id, 1..40u8).prop_map(|(id, times)| Op::Many(id, times)),
        1 => Just(Op::Compact),
        1 => Just(Op::Reopen),
    ];
    proptest::collection::vec(op, 1..80)
}

/// What a store should hold.
#[derive(Default)]
struct Model {
    records: BTreeMap<u64, Metadata>,
}

impl Model {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Put(id, fields) => {
                self.records.insert(*id, Metadata::new());
                self.apply(&Op::Update(*id, fields.clone()));
            }
            Op::Update(id, fields) => {
                let Some(record) = self.records.get_mut(id) else { return };
                for (name, value) in fields {
                    match value {
                        Value::Null => drop(record.remove(name)),
                        value => drop(record.insert(name.clone(), value.clone())),
                    }
                }
            }
            Op::Delete(id) => drop(self.records.remove(id)),
            Op::DeleteRange(from, to) => self.records.retain(|id, _| !(from..to).contains(&id)),
            Op::DeleteWhere(filter) => self.records.retain(|_, record| !FILTERS[*filter].2(record)),
            _ => {}
        }
    }
}

/// Whether a filter of the batch asks of a field that neither the store nor the batch has.
fn asks_of_nothing(db: &Db, ops: &[Op]) -> bool {
    let fields = db.snapshot().fields().unwrap().clone();
    let given = |name: &str| {
        ops.iter().any(|op| match op {
            Op::Put(_, fields) => fields.get(name).is_some_and(|value| *value != Value::Null),
            Op::Update(_, fields) => fields.contains_key(name),
            _ => false,
        })
    };
    ops.iter().any(|op| match op {
        Op::DeleteWhere(filter) => !fields.contains_key(FILTERS[*filter].1) && !given(FILTERS[*filter].1),
        _ => false,
    })
}

fn check(db: &Db, model: &Model) {
    let snapshot = db.snapshot();
    let is_f64 = snapshot.fields().unwrap().get("f") == Some(&FieldType::F64);
    let mut found = BTreeMap::new();
    for record in snapshot.records().unwrap() {
        let record = record.unwrap();
        let crate::Id::U64(id) = record.id else { panic!("an id of another type") };
        found.insert(id, record.metadata);
    }
    let mut expected = model.records.clone();
    for value in expected.values_mut().filter_map(|record| record.get_mut("f")).filter(|_| is_f64) {
        if let Value::I64(whole) = value {
            *value = Value::F64(*whole as f64);
        }
    }
    assert_eq!(found, expected);
}

fn run(ops: &[Op]) {
    let place = MemoryPlace::default();
    let (mut db, mut model) = (create(&place), Model::default());
    let mut waiting: Vec<Op> = Vec::new();
    let commit = |db: &mut Db, model: &mut Model, waiting: &mut Vec<Op>| {
        let refused = asks_of_nothing(db, waiting);
        let before = model.records.clone();
        let mut batch = db.batch();
        for op in waiting.iter() {
            match op.clone() {
                Op::Put(id, fields) => batch.put_with(id, &[id as f32, 1.0], fields).unwrap(),
                Op::Update(id, fields) => batch.update(id, fields).unwrap(),
                Op::Delete(id) => batch.delete(id).unwrap(),
                Op::DeleteRange(from, to) => batch.delete_range(from..to).unwrap(),
                Op::DeleteWhere(filter) => batch.delete_where(&Filter::parse(FILTERS[filter].0).unwrap()),
                _ => {}
            }
            model.apply(op);
        }
        match batch.commit() {
            Err(Error::UnknownField(_)) if refused => model.records = before,
            done => assert!(!refused && done.is_ok(), "{done:?}"),
        }
        waiting.clear();
    };
    for op in ops.iter().chain([&Op::Commit]) {
        match op {
            Op::Put(..) | Op::Update(..) | Op::Delete(_) | Op::DeleteRange(..) | Op::DeleteWhere(_) => {
                waiting.push(op.clone());
            }
            Op::Commit => commit(&mut db, &mut model, &mut waiting),
            Op::Many(id, times) => {
                for at in 0..*times {
                    let fields =
                        Metadata::from([("m".to_owned(), Value::I64(i64::from(at) + db.snapshot().epoch() as i64))]);
                    waiting.push(if at % 5 == 0 {
                        Op::Put(id + u64::from(at), fields)
                    } else {
                        Op::Update(*id, fields)
                    });
                    commit(&mut db, &mut model, &mut waiting);
                }
            }
            Op::Compact => drop(db.compact(&CompactOptions::default()).unwrap()),
            Op::Reopen => {
                drop(db);
                db = Db::open_with(Arc::new(place.clone()), PATH, &options()).unwrap();
            }
        }
        if matches!(op, Op::Commit | Op::Many(..) | Op::Compact | Op::Reopen) {
            check(&db, &model);
        }
    }
    let bytes = place.bytes(Path::new(PATH)).unwrap();
    let report = rvf_format::verify::verify(&bytes.into(), &mut |_, _| {}).unwrap();
    assert!(report.sound, "{:?}", report.findings);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 24 }))]
    /// Would show metadata that a commit, a merge, a DELTA or a compaction loses, revives or gives to another record; and a range or a
    /// filter that deletes what a later call of its batch put, or misses what an earlier one did.
    #[test]
    fn metadata_is_that_of_the_model(ops in ops()) {
        run(&ops);
    }
}

#[test]
fn a_field_keeps_its_type() {
    let mut db = create(&MemoryPlace::default());
    let mut put = |id: u64, name: &str, value: Value| {
        let mut batch = db.batch();
        batch.put_with(id, &[0.0f32, 1.0], [(name, value)]).unwrap();
        batch.commit()
    };
    put(1, "n", Value::I64(1 << 53)).unwrap();
    let refused = put(2, "n", "text".into());
    assert!(matches!(&refused, Err(Error::Field { row: 0, field, .. }) if field == "n"), "{refused:?}");
    put(2, "n", Value::F64(0.5)).unwrap();
    assert!(put(3, "n", Value::I64((1 << 53) + 1)).is_err(), "it is no f64");
    put(4, "big", Value::I64((1 << 53) + 1)).unwrap();
    assert!(put(5, "big", Value::F64(0.5)).is_err(), "what is stored is no f64");
    assert!(put(5, "", Value::I64(1)).is_err() && put(5, "x", Value::F64(f64::NAN)).is_err());
    put(6, "empty", Value::List(Vec::new())).unwrap();
    let values = |id: u64| db.snapshot().metadata(&id.into()).unwrap().unwrap();
    assert_eq!(values(1)["n"], Value::F64(9_007_199_254_740_992.0));
    assert_eq!(
        (values(4)["big"].clone(), values(6)["empty"].clone()),
        (Value::I64((1 << 53) + 1), Value::List(vec![]))
    );
}

/// Would show a segment that a fold or a compaction writes without what belongs to its rows, and an index of metadata that is not
/// that of its columns.
#[test]
fn metadata_goes_where_its_rows_go() {
    let place = MemoryPlace::default();
    let mut db = create(&place);
    for first in [0u64, 1500, 3000] {
        let mut batch = db.batch();
        for id in first..first + 1500 {
            let fields = [("id", Value::I64(id as i64)), ("mod", format!("m{}", id % 7).into())];
            batch.put_with(id, &[(id * 7919 % 4001) as f32, 1.0], fields).unwrap();
        }
        batch.commit().unwrap();
    }
    let mut batch = db.batch();
    (0..4500).step_by(100).for_each(|id| batch.update(id, [("mod", Value::Null), ("new", true.into())]).unwrap());
    (1..4500).step_by(100).for_each(|id| batch.delete(id).unwrap());
    assert_eq!(batch.commit().unwrap().updated, 45);
    let check = |db: &Db| {
        let snapshot = db.snapshot();
        for id in 0..4500u64 {
            let metadata = snapshot.metadata(&id.into()).unwrap();
            let mut expected = Metadata::from([("id".to_owned(), Value::I64(id as i64))]);
            match id % 100 {
                0 => drop(expected.insert("new".to_owned(), true.into())),
                _ => drop(expected.insert("mod".to_owned(), format!("m{}", id % 7).into())),
            }
            assert_eq!(metadata, (id % 100 != 1).then_some(expected), "record {id}");
        }
        let bytes = place.bytes(Path::new(PATH)).unwrap();
        let report = rvf_format::verify::verify(&bytes.into(), &mut |_, _| {}).unwrap();
        assert!(report.sound, "{:?}", report.findings);
    };
    check(&db);
    db.index(&crate::IndexOptions::default(), &mut |_, _| std::ops::ControlFlow::Continue(())).unwrap();
    check(&db);
    db.compact(&CompactOptions::default()).unwrap();
    check(&db);
    assert_eq!(db.snapshot().metas().deltas().len(), 0);
    let before = place.bytes(Path::new(PATH)).unwrap().len();
    db.compact(&CompactOptions::default()).unwrap();
    assert!(place.bytes(Path::new(PATH)).unwrap().len() <= before + 4096, "metadata is there twice");
    let kinds = |kind| db.snapshot().state().of_kind(kind).filter(|entry| entry.rows.get() > 0).count();
    let parts = kinds(rvf_format::Kind::VEC);
    assert_eq!((kinds(rvf_format::Kind::META), kinds(rvf_format::Kind::META_IDX)), (parts, parts));
}

/// Would show damage that is copied into a new segment, where it gets a hash that says it is sound.
#[test]
fn damaged_metadata_is_refused_not_copied() {
    for kind in [Kind::META, Kind::DELTA] {
        let place = MemoryPlace::default();
        let mut db = create(&place);
        let mut batch = db.batch();
        (0..20).for_each(|id| batch.put_with(id, &[id as f32, 1.0], [("word", format!("word {id}").into())]).unwrap());
        batch.commit().unwrap();
        let mut batch = db.batch();
        batch.update(3, [("word", "changed".into())]).unwrap();
        batch.delete(5).unwrap();
        batch.commit().unwrap();
        let at = db.snapshot().state().of_kind(kind).find(|entry| entry.rows.get() > 0).unwrap().offset.get() as usize;
        drop(db);
        let mut bytes = place.bytes(Path::new(PATH)).unwrap();
        let word = bytes[at..].windows(4).position(|four| four == b"chan" || four == b"word").unwrap();
        // The name of the field stands before its values.
        let value = bytes[at + word + 4..].windows(4).position(|four| four == b"chan" || four == b"word").unwrap();
        bytes[at + word + 4 + value] ^= 1;
        place.put(Path::new(PATH), bytes.clone());
        let mut db = Db::open_with(Arc::new(place.clone()), PATH, &options()).unwrap();
        let refused = db.compact(&CompactOptions::default());
        assert!(matches!(refused, Err(Error::Corrupt { clause: Clause::Man5, .. })), "{kind}: {refused:?}");
        // The record of the damage, and one that only stands beside it.
        for id in [3, 19] {
            let mut batch = db.batch();
            batch.update(id, [("other", 1.into())]).unwrap();
            let refused = batch.commit();
            assert!(matches!(refused, Err(Error::Corrupt { clause: Clause::Man5, .. })), "{kind}: {refused:?}");
        }
        assert_eq!(place.bytes(Path::new(PATH)).unwrap(), bytes, "the file is as it was");
    }
}

/// Would show a change that goes unseen where the row that it names is damaged: what stood before it would be copied as current.
#[test]
fn a_change_whose_row_is_damaged_is_not_passed_over() {
    let place = MemoryPlace::default();
    let mut db = create(&place);
    let put = |batch: &mut Batch<'_>, id| batch.put_with(id, &[1.0, 1.0], [("n", Value::I64(1))]).unwrap();
    let mut batch = db.batch();
    (0..4).for_each(|id| put(&mut batch, id));
    batch.commit().unwrap();
    let mut batch = db.batch();
    (1..3).for_each(|id| batch.update(id, [("n", 2.into())]).unwrap());
    batch.commit().unwrap();
    let delta = *db.snapshot().state().of_kind(Kind::DELTA).next().unwrap();
    drop(db);
    let mut bytes = place.bytes(Path::new(PATH)).unwrap();
    let rows = [1u64, 2].map(u64::to_le_bytes).concat();
    let at = delta.offset.get() as usize;
    let place_of_rows = at + bytes[at..].windows(16).position(|bytes| bytes == rows).unwrap();
    // Row 3 in the place of row 2.
    bytes[place_of_rows + 8] ^= 1;
    place.put(Path::new(PATH), bytes.clone());
    let mut db = Db::open_with(Arc::new(place.clone()), PATH, &options()).unwrap();
    let mut batch = db.batch();
    batch.update(2, [("other", 1.into())]).unwrap();
    let refused = batch.commit();
    assert!(matches!(refused, Err(Error::Corrupt { clause: Clause::Man5, .. })), "{refused:?}");
    let refused = db.compact(&CompactOptions::default());
    assert!(matches!(refused, Err(Error::Corrupt { clause: Clause::Man5, .. })), "{refused:?}");
    assert_eq!(place.bytes(Path::new(PATH)).unwrap(), bytes, "the file is as it was");
}

#[test]
fn a_zero_changes_its_sign() -> crate::Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let mut db = Db::create(folder.path().join("a.rvf"), &Schema::new(2, Metric::L2))?;
    let mut batch = db.batch();
    batch.put_with(0, &[1.0, 2.0], [("x", Value::F64(-0.0))])?;
    batch.commit()?;
    let mut batch = db.batch();
    batch.update(0, [("x", Value::F64(0.0))])?;
    batch.commit()?;
    let held = db.snapshot().metadata(&0.into())?.unwrap();
    assert!(matches!(held["x"], Value::F64(zero) if zero.is_sign_positive()), "{held:?}");
    // Nothing to be written any more.
    let epoch = db.snapshot().epoch();
    let mut batch = db.batch();
    batch.update(0, [("x", Value::F64(0.0))])?;
    batch.commit()?;
    assert_eq!(db.snapshot().epoch(), epoch);
    Ok(())
}

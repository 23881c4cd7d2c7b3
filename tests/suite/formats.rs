//! Round trips through every format of vector files: ids, vectors and metadata come back bit by bit. Files that break in the middle
//! leave whole batches, and say how far they came.
//!
//! `RVF_FORMAT_RECORDS=100000 cargo test -p rvf-tests formats` takes as many records through each; with `--features parquet`
//! through parquet too.

use rvf_engine::ingest::{Exported, Format, ImportOptions, Imported, Sidecar, open_source, read_ids};
use rvf_engine::{CreateOptions, Db, Dtype, Error, Id, IdType, Metadata, Metric, Record, Schema, Value};
use rvf_format::storage::MemoryPlace;
use rvf_tests::inputs::Random;
use rvf_tests::samples::open_options;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Records unless the environment says otherwise.
const RECORDS: u64 = 4000;
const DIM: u32 = 4;
/// Smaller than what a test writes, so that several batches and row groups are there.
const BATCH: usize = 1500;

fn records() -> u64 {
    std::env::var("RVF_FORMAT_RECORDS").ok().and_then(|number| number.parse().ok()).unwrap_or(RECORDS)
}

fn go_on(_: u64, _: Option<u64>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn create(dtype: Dtype, id_type: IdType) -> Db {
    let schema = Schema { dtype, id_type, ..Schema::new(DIM, Metric::L2) };
    let options = CreateOptions { open: open_options(), ..CreateOptions::default() };
    Db::create_with(Arc::new(MemoryPlace::default()), "a.rvf", &schema, &options).unwrap()
}

const TEXTS: [&str; 12] = [
    "",
    "5",
    "-0.0",
    "true",
    "null",
    "\"",
    "\"\"",
    " a, \"b\"\n\r\nc ",
    "\u{0}",
    "0x00",
    "[\"a\"]",
    "\u{1f600}\u{feff}\\n",
];
const FLOATS: [f64; 8] = [-0.0, 0.1, 1e300, 5e-324, -2.5, 9_007_199_254_740_993.0, 1.0, f64::MAX];
const NAMES: [&str; 6] = ["n", "x y,\"z\"", "id", "vector", "metadata.id", "year:i64"];

/// Metadata of every type, with what formats may confuse. Every fifth record has none.
fn metadata(random: &mut Random, number: u64) -> Metadata {
    let mut pick = |count: usize| random.below(count as u64) as usize;
    let mut fields = Metadata::new();
    if number % 5 == 4 {
        return fields;
    }
    fields.insert(NAMES[0].into(), Value::I64([i64::MIN, i64::MAX, 0, number as i64][pick(4)]));
    fields.insert(NAMES[1].into(), Value::F64(FLOATS[pick(8)]));
    fields.insert(NAMES[2].into(), Value::Str(TEXTS[pick(12)].into()));
    if pick(2) == 0 {
        fields.insert(NAMES[3].into(), Value::Bool(pick(2) == 0));
    }
    if pick(3) == 0 {
        let count = pick(4);
        fields.insert(NAMES[4].into(), Value::List((0..count).map(|_| TEXTS[pick(12)].to_owned()).collect()));
        fields.insert(NAMES[5].into(), Value::Bytes(number.to_le_bytes()[..pick(8)].to_vec()));
    }
    fields
}

fn vector(random: &mut Random, dtype: Dtype) -> Vec<f32> {
    let bits = |random: &mut Random| {
        let float = f32::from_bits(random.draw() as u32);
        if float.is_finite() { float } else { -0.0 }
    };
    let component = |random: &mut Random| match dtype {
        Dtype::F32 => bits(random),
        Dtype::F16 => half(random),
        Dtype::I8 => random.below(256) as f32 - 128.0,
        _ => random.below(256) as f32,
    };
    (0..DIM).map(|_| component(random)).collect()
}

/// A number that f16 holds.
fn half(random: &mut Random) -> f32 {
    (random.below(4096) as f32 - 2048.0) / 256.0
}

fn id(number: u64, id_type: IdType) -> Id {
    match id_type {
        IdType::U64 => Id::U64(if number == 7 { u64::MAX - 1 } else { number * 3 }),
        IdType::Str => Id::Str(format!("{}{number}", ["", "\"", "a,\n", "\u{e9}"][(number % 4) as usize])),
    }
}

fn store(dtype: Dtype, id_type: IdType) -> Db {
    let (mut db, count) = (create(dtype, id_type), records());
    let mut random = Random::new(11, 0);
    let mut number = 0;
    while number < count {
        let mut batch = db.batch();
        for number in number..count.min(number + BATCH as u64) {
            let vector = vector(&mut random, dtype);
            batch.put_with(id(number, id_type), &vector[..], metadata(&mut random, number)).unwrap();
        }
        batch.commit().unwrap();
        number += BATCH as u64;
    }
    db
}

/// Reads what an export wrote into a new store of the same kind.
fn import(done: &Exported, path: &Path, like: &Db) -> Db {
    let schema = *like.snapshot().schema();
    let mut db = create(schema.dtype, schema.id_type);
    let ids = done.ids.as_ref().map(|path| read_ids(path).unwrap());
    let mut source = open_source(path, None).unwrap();
    let options = ImportOptions { ids: ids.clone(), batch: BATCH, ..ImportOptions::default() };
    let Imported { imported, replaced, .. } = match &done.metadata {
        None => db.import_from(source.as_mut(), path, &options, &mut go_on).unwrap(),
        Some(lines) => {
            Sidecar::check_count(lines, records()).unwrap();
            let mut sidecar = Sidecar::open(lines).unwrap();
            let mut both = sidecar.beside(source.as_mut(), ids.as_ref());
            db.import_from(&mut both, path, &options, &mut go_on).unwrap()
        }
    };
    assert_eq!((imported, replaced), (records(), 0));
    db
}

fn is_same(a: &Record, b: &Record) -> bool {
    let bits = |record: &Record| record.vector.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let floats = |record: &Record| match record.metadata.get(NAMES[1]) {
        Some(Value::F64(float)) => float.to_bits(),
        _ => 0,
    };
    a == b && bits(a) == bits(b) && floats(a) == floats(b)
}

fn check(format: Format, dtype: Dtype, id_type: IdType) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("a.{format}"));
    let db = store(dtype, id_type);
    let done = db.snapshot().export(&path, None, &mut go_on).unwrap();
    assert_eq!(done.exported, records());
    assert_eq!(done.metadata.is_some(), !format.holds_records());
    let copy = import(&done, &path, &db);
    let (before, after) = (db.snapshot(), copy.snapshot());
    assert_eq!((after.count(), after.fields().unwrap()), (records(), before.fields().unwrap()));
    let pairs = before.records().unwrap().zip(after.records().unwrap());
    for (before, after) in pairs {
        let (before, after) = (before.unwrap(), after.unwrap());
        assert!(is_same(&before, &after), "{format}: {before:?}\nbecame {after:?}");
    }
}

#[test]
fn records_come_back_through_npy() {
    check(Format::Npy, Dtype::F16, IdType::Str);
}

#[test]
fn records_come_back_through_fvecs() {
    check(Format::Fvecs, Dtype::F32, IdType::U64);
}

#[test]
fn records_come_back_through_bvecs() {
    check(Format::Bvecs, Dtype::U8, IdType::U64);
}

#[test]
fn records_come_back_through_jsonl() {
    check(Format::Jsonl, Dtype::F32, IdType::Str);
}

#[test]
fn records_come_back_through_csv() {
    check(Format::Csv, Dtype::F32, IdType::Str);
    check(Format::Csv, Dtype::I8, IdType::U64);
}

#[cfg(feature = "parquet")]
#[test]
fn records_come_back_through_parquet() {
    check(Format::Parquet, Dtype::F32, IdType::Str);
    check(Format::Parquet, Dtype::U8, IdType::U64);
}

/// A table that is cut anywhere within a record: batches before it are there, whole, and the error says how many records that are.
#[test]
fn a_cut_table_leaves_whole_batches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let mut db = create(Dtype::F32, IdType::U64);
    let mut batch = db.batch();
    let mut random = Random::new(3, 0);
    for number in 0..25u64 {
        batch.put_with(number, &vector(&mut random, Dtype::F32)[..], metadata(&mut random, 0)).unwrap();
    }
    batch.commit().unwrap();
    db.snapshot().export(&path, None, &mut go_on).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let last = bytes[..bytes.len() - 2].iter().rposition(|byte| *byte == b'[').unwrap();
    // Behind the bracket that ends the last vector nothing is missing but a quote; the cells before it are empty at least.
    for cut in (last - 6..bytes.len() - 2).rev().step_by(3) {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let mut copy = create(Dtype::F32, IdType::U64);
        let options = ImportOptions { batch: 10, ..ImportOptions::default() };
        let mut source = open_source(&path, None).unwrap();
        let error = copy.import_from(source.as_mut(), &path, &options, &mut go_on).unwrap_err();
        assert!(matches!(error, Error::Partly { committed: 20, .. }), "cut at {cut}: {error}");
        assert!(error.to_string().contains("a.csv, line "), "{error}");
        assert_eq!((copy.snapshot().count(), copy.snapshot().epoch()), (20, 3));
    }
}

//! What must hold for a file of vectors or ids, of any bytes: it is read or refused, whatever the size of batches, and
//! what is stored makes a sound store.

use super::scratch;
use crate::samples;
use rvf_engine::ingest::door::Rounding;
use rvf_engine::ingest::{
    CsvSource, Element, Format, Ids, ImportOptions, InputError, JsonlSource, NpySource, VecsSource, VectorSource,
    id_table_from, read_ids, read_json_vector, schema_for,
};
use rvf_engine::{CreateOptions, Db, Dtype, Metric};
use rvf_format::storage::{Bytes, MemoryPlace};
use rvf_format::verify::verify;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Most ids that are given to an import.
const MOST_IDS: usize = 100;

/// Reads and imports the file behind the first byte, which tells format and options:
///
/// ```text
/// choice % 5      npy, fvecs, bvecs, jsonl or csv, ids
/// choice / 5 % 4  metric: l2, dot, cosine, hamming
/// choice / 20     bit 0: a record a batch; bit 1: what does not fit is left out; bit 2: stored as f16, rounded; bit 3: csv for jsonl
/// ```
pub fn import(input: &[u8]) {
    let Some((choice, file)) = input.split_first() else { return };
    let metric = [Metric::L2, Metric::Dot, Metric::Cosine, Metric::Hamming][usize::from(choice / 5 % 4)];
    let flags = choice / 20;
    let options = ImportOptions {
        batch: if flags & 1 == 0 { 10_000 } else { 1 },
        skip_invalid: flags & 2 != 0,
        rounding: if flags & 4 == 0 { Rounding::Refuse } else { Rounding::ToF16 },
        ..ImportOptions::default()
    };
    let dtype = (flags & 4 != 0).then_some(Dtype::F16);
    match usize::from(choice % 5) {
        4 => ids(file, options),
        3 if flags & 8 != 0 => vectors(Format::Csv, file, metric, dtype, &options),
        format => vectors(Format::ALL[format], file, metric, dtype, &options),
    }
}

fn source<'f>(format: Format, file: &'f [u8]) -> Result<Box<dyn VectorSource + 'f>, InputError> {
    let (len, path) = (file.len() as u64, Path::new("input"));
    Ok(match format {
        Format::Npy => Box::new(NpySource::new(file, len, path)?),
        Format::Fvecs => Box::new(VecsSource::new(file, len, path, Element::F32)?),
        Format::Bvecs => Box::new(VecsSource::new(file, len, path, Element::U8)?),
        Format::Jsonl => Box::new(JsonlSource::new(file, path)?),
        Format::Csv => Box::new(CsvSource::new(file, path)?),
        // Its parser is a library's; it reads by the feature only.
        #[allow(unreachable_patterns)]
        _ => Box::new(NpySource::new(file, len, path)?),
    })
}

/// How many vectors a file holds if all of it is read, in batches of at most `rows`.
fn count(format: Format, file: &[u8], rows: usize) -> Result<u64, String> {
    let said = |error: InputError| format!("{error} {}", error.hint());
    let mut source = source(format, file).map_err(said)?;
    let mut count = 0;
    while let Some(batch) = source.next_batch(rows).map_err(said)? {
        assert!((1..=rows).contains(&batch.rows()) && batch.first_record == count, "a batch of {}", batch.rows());
        assert_eq!(batch.rows() * batch.dim, batch.elements.len());
        count += batch.rows() as u64;
    }
    Ok(count)
}

fn vectors(format: Format, file: &[u8], metric: Metric, dtype: Option<Dtype>, options: &ImportOptions) {
    if format == Format::Jsonl {
        let _ = read_json_vector(&String::from_utf8_lossy(file));
    }
    let counts = [1, 7, 10_000].map(|rows| count(format, file, rows));
    assert!(counts.iter().all(|count| *count == counts[0]), "batches change what is read: {counts:?}");
    let Ok(mut opened) = source(format, file) else { return };
    let Ok(schema) = schema_for(opened.as_ref(), metric, dtype, None) else { return };
    let place = MemoryPlace::default();
    let create = CreateOptions { file_id: Some([7; 16]), open: samples::open_options(), ..CreateOptions::default() };
    let mut db = Db::create_with(Arc::new(place.clone()), samples::PATH, &schema, &create).unwrap();
    match db.import_from(opened.as_mut(), Path::new("input"), options, &mut |_, _| ControlFlow::Continue(())) {
        Ok(done) => {
            assert_eq!(done.count, db.snapshot().count());
            assert_eq!(done.imported - done.replaced, done.count);
            assert_eq!(Ok(done.imported + done.rejected), counts[0]);
        }
        Err(error) => drop(error.to_string()),
    }
    check(&db, &place);
}

/// The store is sound, and gives back as many records as it counts.
fn check(db: &Db, place: &MemoryPlace) {
    let stored = Bytes::from(place.bytes(Path::new(samples::PATH)).unwrap());
    let report = verify(&stored, &mut |_, _| {}).unwrap();
    assert!(report.sound && report.findings.is_empty(), "an import made a store unsound: {:?}", report.findings);
    let snapshot = db.snapshot();
    let records = snapshot.records().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(records.len() as u64, snapshot.count());
    for record in records.iter().take(10) {
        assert_eq!(snapshot.get(&record.id).unwrap().as_ref(), Some(record));
    }
}

/// Reads ids, as a column and as a table, and gives a column to an import of as many vectors.
fn ids(file: &[u8], options: ImportOptions) {
    if let Ok(table) = id_table_from(file, file.len() as u64, Path::new("input")) {
        assert_eq!(table.rows * table.columns, table.ids.len());
    }
    let folder = scratch();
    let path = folder.path().join("ids.npy");
    std::fs::write(&path, file).unwrap();
    let read = read_ids(&path).map_err(|error| error.to_string());
    let Some(ids) = read.ok().filter(|ids| (1..=MOST_IDS).contains(&ids.len())) else { return };
    let row = [&2i32.to_le_bytes()[..], &1f32.to_le_bytes(), &2f32.to_le_bytes()].concat();
    let rows = row.repeat(ids.len());
    let mut opened = source(Format::Fvecs, &rows).unwrap();
    let id_type = match ids {
        Ids::U64(_) => rvf_engine::IdType::U64,
        Ids::Str(_) => rvf_engine::IdType::Str,
    };
    let schema = schema_for(opened.as_ref(), Metric::L2, None, Some(id_type)).unwrap();
    let place = MemoryPlace::default();
    let create = CreateOptions { file_id: Some([7; 16]), open: samples::open_options(), ..CreateOptions::default() };
    let mut db = Db::create_with(Arc::new(place.clone()), samples::PATH, &schema, &create).unwrap();
    let options = ImportOptions { ids: Some(ids), ..options };
    let _ = db.import_from(opened.as_mut(), Path::new("input"), &options, &mut |_, _| ControlFlow::Continue(()));
    check(&db, &place);
}

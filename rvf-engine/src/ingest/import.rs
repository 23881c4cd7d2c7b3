//! Import: from a file of vectors into a store, a commit a batch.
//!
//! ```text
//! source -> batch -> ids -> door (checks, encodes) -> commit -> progress -> next batch
//! ```
//! A batch that does not fit is not committed, in whole or in part; batches before it stay. Without ids of its own the record
//! with number r in its file takes the id (largest id before the import + 1) + r, also where records before it were left out,
//! so that ids keep telling rows.

use super::door::{self, IdsRef, Rounding, Tally, Upserts, Vectors};
use super::{Element, Elements, IdKind, Ids, Progress, VectorBatch, VectorSource, metadata_from_json};
use crate::store::Store;
use crate::value::Metadata;
use crate::{Error, Result};
use half::f16;
use rvf_format::payload::witness::Operation;
use rvf_format::{Dtype, IdType, Metric, Schema};
use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

/// How an import is done.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Records a commit.
    pub batch: usize,
    /// What to do with components that the store does not hold exactly.
    pub rounding: Rounding,
    /// Leave out and count vectors that are not finite, or all zero under cosine, instead of stopping at the first.
    pub skip_invalid: bool,
    /// Ids for all records of the file, where the file gives none.
    pub ids: Option<Ids>,
    /// What the audit entries say was done.
    pub operation: Operation,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self { batch: 10_000, rounding: Rounding::Refuse, skip_invalid: false, ids: None, operation: Operation::IMPORT }
    }
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Records that were stored, those that a later one of the same id superseded included.
    pub imported: u64,
    /// Records among them that replaced one with the same id.
    pub replaced: u64,
    /// Records that were left out.
    pub rejected: u64,
    /// The first of them.
    pub first_rejected: Option<RejectedRow>,
    /// Live records after it.
    pub count: u64,
    /// Number of the last commit.
    pub epoch: u64,
}

/// A record that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// Its number in the file, from 0.
    pub record: u64,
    /// Its line, from 1, where the file is a text.
    pub line: Option<u64>,
    /// Why.
    pub why: &'static str,
}

/// The schema of a store that is to hold what `source` gives: dtype and id type follow the file unless they are given.
///
/// ```
/// use rvf_engine::ingest::{JsonlSource, schema_for};
/// use rvf_engine::{IdType, Metric};
/// let text = "{\"id\":\"a\",\"vector\":[1,2,3]}";
/// let source = JsonlSource::new(text.as_bytes(), "a.jsonl".as_ref())?;
/// let schema = schema_for(&source, Metric::Dot, None, None)?;
/// assert_eq!((schema.dimension, schema.id_type), (3, IdType::Str));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Schema`] where the parts do not go together.
pub fn schema_for(
    source: &dyn VectorSource,
    metric: Metric,
    dtype: Option<Dtype>,
    id_type: Option<IdType>,
) -> Result<Schema> {
    let natural = match source.element() {
        _ if metric == Metric::Hamming => Dtype::Binary,
        Element::F32 => Dtype::F32,
        Element::F16 => Dtype::F16,
        Element::I8 => Dtype::I8,
        Element::U8 => Dtype::U8,
    };
    let dtype = dtype.unwrap_or(natural);
    let packed = dtype == Dtype::Binary && source.element() == Element::U8;
    let elements = source.dim().unwrap_or(0) as u32;
    let dimension = if packed { elements.saturating_mul(8) } else { elements };
    let id_type = id_type.unwrap_or(match source.ids() {
        Some(IdKind::Str) => IdType::Str,
        _ => IdType::U64,
    });
    let schema = Schema { dimension, dtype, metric, id_type };
    schema.check().map_err(Error::Schema)?;
    Ok(schema)
}

/// Stores rows in one commit; commits nothing if there are none.
pub(crate) fn put(
    store: &mut Store,
    (vectors, metadata): (Vectors<'_>, &[Metadata]),
    ids: Option<IdsRef<'_>>,
    rounding: Rounding,
    operation: Operation,
    parameters: &str,
) -> Result<Tally> {
    let snapshot = store.snapshot().clone();
    let encoded = door::encode(snapshot.schema(), vectors, rounding)?;
    let defaults;
    let ids = match ids {
        Some(ids) => ids,
        None => {
            defaults = door::default_ids(&snapshot, encoded.len() / snapshot.schema().row_len())?;
            IdsRef::U64(&defaults)
        }
    };
    door::check_ids(snapshot.schema(), ids)?;
    let upserts = Upserts::new(snapshot.schema(), encoded, ids)?.with_metadata(metadata);
    let (mut edit, tally) = upserts.edit(&snapshot, operation, &[])?;
    edit.parameters = parameters.to_owned();
    if tally != Tally::default() {
        store.commit(&edit)?;
    }
    Ok(tally)
}

/// Stores what `source`, the file at `path`, holds.
pub(crate) fn import(
    store: &mut Store,
    source: &mut dyn VectorSource,
    path: &Path,
    options: &ImportOptions,
    progress: Progress<'_>,
) -> Result<Imported> {
    let first_id = store.snapshot().root().next_id.get();
    let mut run = Run { store, path, options, first_id, rows: 0, done: Imported::default() };
    let outcome = run.all(source, progress);
    let mut done = run.done;
    match outcome {
        Ok(()) => {
            done.count = store.snapshot().count();
            done.epoch = store.snapshot().epoch();
            Ok(done)
        }
        Err(error) if done.imported == 0 => Err(error),
        Err(error) => Err(Error::Partly { committed: done.imported, source: Box::new(error) }),
    }
}

struct Run<'r> {
    store: &'r mut Store,
    path: &'r Path,
    options: &'r ImportOptions,
    /// The default id of the file's record 0.
    first_id: u64,
    /// Records that were read.
    rows: u64,
    done: Imported,
}

impl<'r> Run<'r> {
    fn all(&mut self, source: &mut dyn VectorSource, progress: Progress<'_>) -> Result<()> {
        let total = source.total();
        self.check_head(source)?;
        loop {
            if progress(self.rows, total).is_break() {
                return Err(Error::Interrupted);
            }
            match source.next_batch(self.options.batch)? {
                Some(batch) => self.batch(&batch)?,
                None => break,
            }
        }
        let ids = self.options.ids.as_ref().map_or(self.rows, |ids| ids.len() as u64);
        if ids == self.rows { Ok(()) } else { Err(self.id_count(self.rows as usize)) }
    }

    /// What can be seen before anything is written.
    fn check_head(&self, source: &dyn VectorSource) -> Result<()> {
        let schema = *self.store.snapshot().schema();
        let fits = |dim: usize| {
            let bits = schema.dtype == Dtype::Binary && source.element() == Element::F32;
            dim == door::row_elements(&schema) || (bits && dim == schema.dimension as usize)
        };
        if let Some(found) = source.dim().filter(|dim| !fits(*dim)) {
            let found = if schema.dtype == Dtype::Binary { found * 8 } else { found };
            return Err(self.whole(Error::Dimension { expected: schema.dimension, found }));
        }
        let Some(ids) = &self.options.ids else { return Ok(()) };
        if source.ids().is_some() {
            return Err(self.whole(Error::IdsTwice));
        }
        match source.total() {
            Some(total) if total != ids.len() as u64 => Err(self.id_count(total as usize)),
            _ => Ok(()),
        }
    }

    fn batch(&mut self, batch: &VectorBatch) -> Result<()> {
        self.rows = batch.first_record + batch.rows() as u64;
        let schema = *self.store.snapshot().schema();
        let elements = as_bits(&schema, batch);
        let defaults;
        let ids = match self.given_ids(batch)? {
            Some(ids) => ids,
            None => {
                defaults = self.default_ids(&schema, batch)?;
                IdsRef::U64(&defaults)
            }
        };
        let metadata = fields_of(batch).map_err(|error| placed(self.path, batch, error))?;
        let tally = match self.put(batch, (&elements, &metadata), ids) {
            Err(Error::NotFinite { .. } | Error::ZeroVector { .. }) if self.options.skip_invalid => {
                let stays = self.sort_out(&schema, batch);
                let (elements, ids) = (pick_elements(&elements, batch.rows(), &stays), pick_ids(ids, &stays));
                let metadata: Vec<Metadata> = stays.iter().filter_map(|row| metadata.get(*row).cloned()).collect();
                self.put(batch, (&elements, &metadata), IdsRef::from(&ids))
            }
            other => other,
        };
        let tally = tally.map_err(|error| placed(self.path, batch, error))?;
        self.done.imported += tally.accepted;
        self.done.replaced += tally.replaced;
        Ok(())
    }

    fn put(
        &mut self,
        batch: &VectorBatch,
        (elements, metadata): (&Elements, &[Metadata]),
        ids: IdsRef<'_>,
    ) -> Result<Tally> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let parameters = format!("file={name} first_record={} records={}", batch.first_record, batch.rows());
        let (rounding, operation) = (self.options.rounding, self.options.operation);
        put(self.store, (Vectors::from(elements), metadata), Some(ids), rounding, operation, &parameters)
    }

    /// The ids of the file, or those that the caller gave.
    fn given_ids<'b>(&self, batch: &'b VectorBatch) -> Result<Option<IdsRef<'b>>>
    where
        'r: 'b,
    {
        let options = self.options;
        let Some(all) = &options.ids else { return Ok(batch.ids.as_ref().map(IdsRef::from)) };
        let first = batch.first_record as usize;
        let ids = slice(all, first..first + batch.rows());
        ids.map(Some).ok_or_else(|| self.id_count(first + batch.rows()))
    }

    fn default_ids(&self, schema: &Schema, batch: &VectorBatch) -> Result<Vec<u64>> {
        if schema.id_type != IdType::U64 {
            return Err(self.whole(Error::IdsMissing));
        }
        let first = self.first_id.checked_add(batch.first_record);
        let end = first.and_then(|first| first.checked_add(batch.rows() as u64)).filter(|end| *end < u64::MAX);
        let (first, end) = first.zip(end).ok_or(Error::IdsExhausted)?;
        Ok((first..end).collect())
    }

    /// The rows that may be stored; counts the others.
    fn sort_out(&mut self, schema: &Schema, batch: &VectorBatch) -> Vec<usize> {
        let mut stays = Vec::with_capacity(batch.rows());
        for row in 0..batch.rows() {
            match fault_of(schema, &batch.elements, row * batch.dim..(row + 1) * batch.dim) {
                None => stays.push(row),
                Some(why) => {
                    self.done.rejected += 1;
                    let record = batch.first_record + row as u64;
                    let rejected = || RejectedRow { record, line: line_of(batch, row as u64), why };
                    self.done.first_rejected.get_or_insert_with(rejected);
                }
            }
        }
        stays
    }

    fn whole(&self, source: Error) -> Error {
        Error::InFile { path: self.path.to_owned(), record: None, line: None, source: Box::new(source) }
    }

    fn id_count(&self, vectors: usize) -> Error {
        let ids = self.options.ids.as_ref().map_or(0, Ids::len);
        self.whole(Error::IdCount { ids, vectors })
    }
}

/// The metadata of each record of a batch; none at all where none has any.
fn fields_of(batch: &VectorBatch) -> Result<Vec<Metadata>> {
    let of = |(row, given): (usize, &Option<serde_json::Value>)| {
        let Some(object) = given.as_ref().and_then(serde_json::Value::as_object) else { return Ok(Metadata::new()) };
        let chars = |name: String| name.chars().take(64).collect();
        metadata_from_json(object).map_err(|(name, fault)| Error::Field { row: row as u64, field: chars(name), fault })
    };
    batch.metadata.iter().flatten().enumerate().map(of).collect()
}

fn line_of(batch: &VectorBatch, row: u64) -> Option<u64> {
    batch.lines.as_ref().and_then(|lines| lines.get(row as usize)).copied()
}

/// An error about a row of a batch as one about the record of its file.
fn placed(path: &Path, batch: &VectorBatch, mut error: Error) -> Error {
    let in_batch = match &mut error {
        Error::NotFinite { row, .. }
        | Error::ZeroVector { row }
        | Error::Precision { row, .. }
        | Error::Field { row, .. }
        | Error::BadId { row, .. } => {
            let in_batch = *row;
            *row += batch.first_record;
            Some(in_batch)
        }
        Error::Dimension { .. } | Error::Element { .. } | Error::IdKind { .. } | Error::IdsMissing => None,
        _ => return error,
    };
    let record = in_batch.map(|row| batch.first_record + row);
    let line = in_batch.and_then(|row| line_of(batch, row));
    Error::InFile { path: path.to_owned(), record, line, source: Box::new(error) }
}

/// Why a vector may not be stored, where `skip_invalid` may leave it out.
fn fault_of(schema: &Schema, elements: &Elements, range: Range<usize>) -> Option<&'static str> {
    let half = schema.dtype == Dtype::F16;
    let (finite, zero) = match elements {
        Elements::F32(values) => {
            let row = &values[range];
            let is_zero = |value: &f32| if half { f16::from_f32(*value).to_f32() == 0.0 } else { *value == 0.0 };
            (row.iter().all(|value| value.is_finite()), row.iter().all(is_zero))
        }
        Elements::F16(values) => {
            let row = &values[range];
            (row.iter().all(|value| value.is_finite()), row.iter().all(|value| value.to_f32() == 0.0))
        }
        Elements::I8(values) => (true, values[range].iter().all(|value| *value == 0)),
        Elements::U8(values) => (true, values[range].iter().all(|value| *value == 0)),
    };
    match (finite, zero && schema.metric == Metric::Cosine) {
        (false, _) => Some("has a component that is not a finite number"),
        (true, true) => Some("is all zero, and the metric is cosine"),
        (true, false) => None,
    }
}

/// For a binary store: numbers 0 and 1, one a bit, or whole numbers that are packed bytes, as a text gives them.
fn as_bits<'b>(schema: &Schema, batch: &'b VectorBatch) -> Cow<'b, Elements> {
    let given = Cow::Borrowed(&batch.elements);
    let Elements::F32(values) = &batch.elements else { return given };
    if schema.dtype != Dtype::Binary {
        return given;
    }
    // One bit: what a text of bits says as 1 is 128 in one of packed bytes, as an export writes it.
    if schema.dimension == 1 && values.iter().all(|value| [0.0, 1.0, 128.0].contains(value)) {
        let bytes = values.iter().map(|value| if *value == 0.0 { 0 } else { 0x80 });
        return Cow::Owned(Elements::U8(bytes.collect()));
    }
    let one_a_bit = batch.dim == schema.dimension as usize;
    let largest = if one_a_bit { 1.0 } else { 255.0 };
    if !values.iter().all(|value| value.fract() == 0.0 && (0.0..=largest).contains(value)) {
        return given;
    }
    let pack = |bits: &[f32]| bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | (*bit as u8) << (7 - at));
    let bytes = match one_a_bit {
        true => values.chunks(batch.dim).flat_map(|row| row.chunks(8).map(pack)).collect(),
        false => values.iter().map(|value| *value as u8).collect(),
    };
    Cow::Owned(Elements::U8(bytes))
}

fn slice(ids: &Ids, range: Range<usize>) -> Option<IdsRef<'_>> {
    match ids {
        Ids::U64(ids) => ids.get(range).map(IdsRef::U64),
        Ids::Str(ids) => ids.get(range).map(IdsRef::Str),
    }
}

fn pick_elements(elements: &Elements, rows: usize, stays: &[usize]) -> Elements {
    fn pick<T: Copy>(values: &[T], rows: usize, stays: &[usize]) -> Vec<T> {
        let width = values.len() / rows.max(1);
        stays.iter().flat_map(|row| &values[row * width..(row + 1) * width]).copied().collect()
    }
    match elements {
        Elements::F32(values) => Elements::F32(pick(values, rows, stays)),
        Elements::F16(values) => Elements::F16(pick(values, rows, stays)),
        Elements::I8(values) => Elements::I8(pick(values, rows, stays)),
        Elements::U8(values) => Elements::U8(pick(values, rows, stays)),
    }
}

fn pick_ids(ids: IdsRef<'_>, stays: &[usize]) -> Ids {
    match ids {
        IdsRef::U64(ids) => Ids::U64(stays.iter().map(|row| ids[*row]).collect()),
        IdsRef::Str(ids) => Ids::Str(stays.iter().map(|row| ids[*row].clone()).collect()),
    }
}

//! Records, read one at a time, as a source of vectors: what `.jsonl`, `.csv` and `.parquet` have in common. One record is read by a
//! [`Records`].
//!
//! The first record is read when the file is opened: it decides the dimension, and whether ids are numbers, strings
//! or absent in the whole file.

use std::path::Path;

use super::VectorSource;
use super::batch::{Element, Elements, IdKind, Ids, VectorBatch};
use super::error::InputError;
use super::fault::{FileFault, InputFault, JsonFault, RowFault};
use super::json_record::{Id, Record};
use super::jsonl::MAX_LINE_BYTES;

/// Records of a file, one at a time.
pub(super) trait Records: Send {
    /// Goes to the next record; false at the end.
    fn advance(&mut self) -> Result<bool, InputError>;

    /// Reads the record, and appends its vector to `vector`.
    fn record(&mut self, vector: &mut Vec<f32>) -> Result<Record, InputError>;

    /// The line where the record begins, from 1, where the file is a text.
    fn line(&self) -> Option<u64>;

    /// The length of the record's text in bytes.
    fn text_bytes(&self) -> usize;

    /// The type of elements, all of which are values of it.
    fn element(&self) -> Element {
        Element::F32
    }

    /// How many records there are, where that is known before the end.
    fn total(&self) -> Option<u64> {
        None
    }

    /// The error that says what is wrong with the record.
    fn wrong(&self, fault: InputFault) -> InputError;
}

/// A source of such records.
pub(super) struct RecordSource<L> {
    records: L,
    dim: usize,
    id_kind: Option<IdKind>,
    /// The record that was read at the opening.
    first: Option<(Record, Vec<f32>)>,
    next: u64,
}

impl<L: Records> RecordSource<L> {
    /// Reads the first record. `path` is for messages.
    pub(super) fn new(mut records: L, path: &Path) -> Result<RecordSource<L>, InputError> {
        if !records.advance()? {
            return Err(InputError::of_file(path, FileFault::Empty));
        }
        let mut vector = Vec::new();
        let record = records.record(&mut vector)?;
        let id_kind = record.id.as_ref().map(Id::kind);
        Ok(RecordSource { records, dim: vector.len(), id_kind, first: Some((record, vector)), next: 0 })
    }

    fn check(&self, record: &Record, found: usize) -> Result<(), InputError> {
        if found != self.dim {
            let fault = RowFault::DimChanged { expected: self.dim, found: found as i64 };
            return Err(self.records.wrong(fault.into()));
        }
        let here = record.id.as_ref().map(Id::kind);
        if here != self.id_kind {
            return Err(self.records.wrong(JsonFault::MixedIds { first: self.id_kind, here }.into()));
        }
        Ok(())
    }
}

impl<L: Records> VectorSource for RecordSource<L> {
    fn dim(&self) -> Option<usize> {
        Some(self.dim)
    }

    fn element(&self) -> Element {
        self.records.element()
    }

    fn total(&self) -> Option<u64> {
        self.records.total()
    }

    fn ids(&self) -> Option<IdKind> {
        self.id_kind
    }

    fn next_batch(&mut self, max_rows: usize) -> Result<Option<VectorBatch>, InputError> {
        let mut rows = Rows::new(self.id_kind);
        let mut text_bytes = 0;
        if let Some((record, vector)) = self.first.take() {
            rows.elements = vector;
            rows.push(record, self.records.line());
            text_bytes = self.records.text_bytes();
        }
        while rows.metadata.len() < max_rows.max(1) && text_bytes < MAX_LINE_BYTES && self.records.advance()? {
            let before = rows.elements.len();
            let record = self.records.record(&mut rows.elements)?;
            self.check(&record, rows.elements.len() - before)?;
            rows.push(record, self.records.line());
            text_bytes += self.records.text_bytes();
        }
        let first_record = self.next;
        self.next += rows.metadata.len() as u64;
        Ok(rows.into_batch(self.dim, first_record, self.records.element()))
    }
}

/// The records of a batch that is being filled.
struct Rows {
    elements: Vec<f32>,
    ids: Option<Ids>,
    metadata: Vec<Option<serde_json::Value>>,
    lines: Vec<u64>,
}

impl Rows {
    fn new(id_kind: Option<IdKind>) -> Rows {
        let ids = id_kind.map(|kind| match kind {
            IdKind::U64 => Ids::U64(Vec::new()),
            IdKind::Str => Ids::Str(Vec::new()),
        });
        Rows { elements: Vec::new(), ids, metadata: Vec::new(), lines: Vec::new() }
    }

    /// Takes a record whose vector is in `elements` already, and whose sort of id was checked.
    fn push(&mut self, record: Record, line: Option<u64>) {
        match (&mut self.ids, record.id) {
            (Some(Ids::U64(ids)), Some(Id::Number(id))) => ids.push(id),
            (Some(Ids::Str(ids)), Some(Id::Text(id))) => ids.push(id),
            _ => {}
        }
        self.metadata.push(record.metadata);
        self.lines.extend(line);
    }

    fn into_batch(self, dim: usize, first_record: u64, element: Element) -> Option<VectorBatch> {
        let metadata = self.metadata.iter().any(Option::is_some).then_some(self.metadata);
        let elements = match element {
            Element::I8 => Elements::I8(self.elements.iter().map(|value| *value as i8).collect()),
            Element::U8 => Elements::U8(self.elements.iter().map(|value| *value as u8).collect()),
            Element::F32 | Element::F16 => Elements::F32(self.elements),
        };
        let lines = (!self.lines.is_empty()).then_some(self.lines);
        let batch = VectorBatch { dim, elements, ids: self.ids, metadata, first_record, lines };
        (batch.rows() > 0).then_some(batch)
    }
}

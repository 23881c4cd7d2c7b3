//! Records of a text as a source of vectors: what `.jsonl` and `.csv` have in common. One record is read by a [`Records`].
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

/// Records of a text, one at a time.
pub(super) trait Records: Send {
    /// Goes to the next record; false at the end.
    fn advance(&mut self) -> Result<bool, InputError>;

    /// Reads the record, and appends its vector to `vector`.
    fn record(&mut self, vector: &mut Vec<f32>) -> Result<Record, InputError>;

    /// The line where the record begins, from 1.
    fn line(&self) -> u64;

    /// The length of the record's text in bytes.
    fn text_bytes(&self) -> usize;

    /// The error that says what is wrong with the record.
    fn wrong(&self, fault: InputFault) -> InputError;
}

/// A source of the records of a text.
pub(super) struct TextSource<L> {
    records: L,
    dim: usize,
    id_kind: Option<IdKind>,
    /// The record that was read at the opening.
    first: Option<(Record, Vec<f32>)>,
    next: u64,
}

impl<L: Records> TextSource<L> {
    /// Reads the first record. `path` is for messages.
    pub(super) fn new(mut records: L, path: &Path) -> Result<TextSource<L>, InputError> {
        if !records.advance()? {
            return Err(InputError::of_file(path, FileFault::Empty));
        }
        let mut vector = Vec::new();
        let record = records.record(&mut vector)?;
        let id_kind = record.id.as_ref().map(Id::kind);
        Ok(TextSource { records, dim: vector.len(), id_kind, first: Some((record, vector)), next: 0 })
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

impl<L: Records> VectorSource for TextSource<L> {
    fn dim(&self) -> Option<usize> {
        Some(self.dim)
    }

    fn element(&self) -> Element {
        Element::F32
    }

    fn total(&self) -> Option<u64> {
        None
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
        while rows.lines.len() < max_rows.max(1) && text_bytes < MAX_LINE_BYTES && self.records.advance()? {
            let before = rows.elements.len();
            let record = self.records.record(&mut rows.elements)?;
            self.check(&record, rows.elements.len() - before)?;
            rows.push(record, self.records.line());
            text_bytes += self.records.text_bytes();
        }
        let first_record = self.next;
        self.next += rows.lines.len() as u64;
        Ok(rows.into_batch(self.dim, first_record))
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
    fn push(&mut self, record: Record, line: u64) {
        match (&mut self.ids, record.id) {
            (Some(Ids::U64(ids)), Some(Id::Number(id))) => ids.push(id),
            (Some(Ids::Str(ids)), Some(Id::Text(id))) => ids.push(id),
            _ => {}
        }
        self.metadata.push(record.metadata);
        self.lines.push(line);
    }

    fn into_batch(self, dim: usize, first_record: u64) -> Option<VectorBatch> {
        let metadata = self.metadata.iter().any(Option::is_some).then_some(self.metadata);
        let (elements, lines) = (Elements::F32(self.elements), Some(self.lines));
        let batch = VectorBatch { dim, elements, ids: self.ids, metadata, first_record, lines };
        (batch.rows() > 0).then_some(batch)
    }
}

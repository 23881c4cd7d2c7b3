//! `.jsonl` as a source of vectors: one JSON object a line, blank lines aside. A single record is read by
//! `json_record`.
//!
//! The first record is read when the file is opened: it decides the dimension, and whether ids are numbers, strings
//! or absent in the whole file.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::batch::{Element, Elements, IdKind, Ids, VectorBatch};
use super::error::{InputError, Place};
use super::fault::{FileFault, InputFault, JsonFault, RowFault};
use super::input::BUFFER_BYTES;
use super::json_record::{Id, Record, Wrong, parse_metadata, parse_record, parse_vector};
use super::{VectorSource, json_record};

/// The longest line of a `.jsonl` file, in bytes. A batch ends early once it holds as much text.
pub const MAX_LINE_BYTES: usize = 64 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads the records of a `.jsonl` file.
pub struct JsonlSource<R> {
    lines: Lines<R>,
    dim: usize,
    id_kind: Option<IdKind>,
    /// The record that was read at the opening.
    first: Option<(Record, Vec<f32>)>,
    next: u64,
}

impl<R: Read> JsonlSource<R> {
    /// Reads the first record. `path` is for messages.
    ///
    /// # Errors
    /// The input holds no record, or its first record is malformed.
    pub fn new(reader: R, path: &Path) -> Result<JsonlSource<R>, InputError> {
        let mut lines = Lines::new(reader, path);
        if !lines.advance()? {
            return Err(InputError::of_file(path, FileFault::Empty));
        }
        let mut vector = Vec::new();
        let record = lines.record(&mut vector)?;
        let id_kind = record.id.as_ref().map(Id::kind);
        Ok(JsonlSource { lines, dim: vector.len(), id_kind, first: Some((record, vector)), next: 0 })
    }

    fn check(&self, record: &Record, found: usize) -> Result<(), InputError> {
        if found != self.dim {
            let fault = RowFault::DimChanged { expected: self.dim, found: found as i64 };
            return Err(self.lines.wrong(1, fault));
        }
        let here = record.id.as_ref().map(Id::kind);
        if here != self.id_kind {
            return Err(self.lines.wrong(1, JsonFault::MixedIds { first: self.id_kind, here }));
        }
        Ok(())
    }
}

impl<R: Read + Send> VectorSource for JsonlSource<R> {
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
            rows.push(record, self.lines.number);
            text_bytes = self.lines.line.len();
        }
        while rows.lines.len() < max_rows.max(1) && text_bytes < MAX_LINE_BYTES && self.lines.advance()? {
            let before = rows.elements.len();
            let record = self.lines.record(&mut rows.elements)?;
            self.check(&record, rows.elements.len() - before)?;
            rows.push(record, self.lines.number);
            text_bytes += self.lines.line.len();
        }
        let first_record = self.next;
        self.next += rows.lines.len() as u64;
        Ok(rows.into_batch(self.dim, first_record))
    }
}

/// Reads the text of one vector, as `[0.5, 1]`.
///
/// # Errors
/// The text is not an array of 1 to 65,535 numbers within the range of f32; line and column are named.
pub fn read_json_vector(text: &str) -> Result<Vec<f32>, InputError> {
    parse_vector(text.as_bytes())
        .map_err(|Wrong { line, column, fault }| InputError::in_text(Place::Line { line, column }, fault))
}

impl Id {
    fn kind(&self) -> IdKind {
        match self {
            json_record::Id::Number(_) => IdKind::U64,
            json_record::Id::Text(_) => IdKind::Str,
        }
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

/// An id as text, if there is one, and the fields, if there are any.
pub(super) type MetadataLine = (Option<String>, Option<serde_json::Value>);

/// Lines of metadata, one at a time.
pub(super) struct MetadataLines<R> {
    lines: Lines<R>,
}

impl<R: Read> MetadataLines<R> {
    pub(super) fn new(reader: R, path: &Path) -> Self {
        Self { lines: Lines::new(reader, path) }
    }

    /// The id, if there is one, and the fields of the next line; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<MetadataLine>, InputError> {
        if !self.lines.advance()? {
            return Ok(None);
        }
        let (text, skipped) = self.lines.text();
        let wrong = |Wrong { column, fault, .. }| self.lines.wrong(column + skipped as u64, fault);
        parse_metadata(text).map(Some).map_err(wrong)
    }

    /// The last line is another record's.
    pub(super) fn wrong_id(&self, given: &str, record: &str) -> InputError {
        self.wrong(JsonFault::OtherRecord { given: short(given), record: short(record) })
    }

    /// Something is wrong with the last line.
    pub(super) fn wrong(&self, fault: JsonFault) -> InputError {
        self.lines.wrong(1, fault)
    }

    /// The number of the last line, from 1.
    pub(super) fn number(&self) -> u64 {
        self.lines.number
    }
}

fn short(id: &str) -> String {
    id.chars().take(64).collect()
}

/// The lines that are not blank, one at a time.
struct Lines<R> {
    reader: BufReader<R>,
    path: PathBuf,
    line: Vec<u8>,
    number: u64,
}

impl<R: Read> Lines<R> {
    fn new(reader: R, path: &Path) -> Lines<R> {
        let reader = BufReader::with_capacity(BUFFER_BYTES, reader);
        Lines { reader, path: path.to_owned(), line: Vec::new(), number: 0 }
    }

    /// Goes to the next line that is not blank; false at the end.
    fn advance(&mut self) -> Result<bool, InputError> {
        loop {
            self.line.clear();
            self.number += 1;
            let mut limited = self.reader.by_ref().take(MAX_LINE_BYTES as u64 + 1);
            if let Err(error) = limited.read_until(b'\n', &mut self.line) {
                let place = Place::Line { line: self.number, column: 1 };
                return Err(InputError::of_io(&self.path, place, error));
            }
            if self.line.is_empty() {
                return Ok(false);
            }
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
            }
            if self.line.len() > MAX_LINE_BYTES {
                return Err(self.wrong(MAX_LINE_BYTES as u64 + 1, JsonFault::LineTooLong));
            }
            if !self.text().0.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    fn record(&self, vector: &mut Vec<f32>) -> Result<Record, InputError> {
        let (text, skipped) = self.text();
        parse_record(text, vector).map_err(|Wrong { column, fault, .. }| self.wrong(column + skipped as u64, fault))
    }

    /// The line, and how many bytes of a byte-order mark stand before it.
    fn text(&self) -> (&[u8], usize) {
        match self.line.strip_prefix(BYTE_ORDER_MARK) {
            Some(text) if self.number == 1 => (text, BYTE_ORDER_MARK.len()),
            _ => (&self.line, 0),
        }
    }

    fn wrong(&self, column: u64, fault: impl Into<InputFault>) -> InputError {
        InputError::new(&self.path, Place::Line { line: self.number, column }, fault)
    }
}

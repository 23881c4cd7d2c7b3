//! `.jsonl` as a source of vectors: one JSON object a line, blank lines aside. A single record is read by
//! `json_record`; `record_source` makes batches of them.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::VectorSource;
use super::batch::{Element, IdKind, VectorBatch};
use super::error::{InputError, Place};
use super::fault::{InputFault, JsonFault};
use super::input::BUFFER_BYTES;
use super::json_record::{Record, Wrong, parse_metadata, parse_record, parse_vector};
use super::record_source::{RecordSource, Records};

/// The longest line of a `.jsonl` file, in bytes. A batch ends early once it holds as much text.
pub const MAX_LINE_BYTES: usize = 64 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads the records of a `.jsonl` file.
pub struct JsonlSource<R> {
    source: RecordSource<Lines<R>>,
}

impl<R: Read + Send> JsonlSource<R> {
    /// Reads the first record. `path` is for messages.
    ///
    /// # Errors
    /// The input holds no record, or its first record is malformed.
    pub fn new(reader: R, path: &Path) -> Result<JsonlSource<R>, InputError> {
        Ok(JsonlSource { source: RecordSource::new(Lines::new(reader, path), path)? })
    }
}

impl<R: Read + Send> VectorSource for JsonlSource<R> {
    fn dim(&self) -> Option<usize> {
        self.source.dim()
    }

    fn element(&self) -> Element {
        self.source.element()
    }

    fn total(&self) -> Option<u64> {
        self.source.total()
    }

    fn ids(&self) -> Option<IdKind> {
        self.source.ids()
    }

    fn next_batch(&mut self, max_rows: usize) -> Result<Option<VectorBatch>, InputError> {
        self.source.next_batch(max_rows)
    }
}

impl<R: Read + Send> Records for Lines<R> {
    fn advance(&mut self) -> Result<bool, InputError> {
        Lines::advance(self)
    }

    fn record(&mut self, vector: &mut Vec<f32>) -> Result<Record, InputError> {
        let (text, skipped) = self.text();
        parse_record(text, vector)
            .map_err(|Wrong { column, fault, .. }| Lines::wrong(self, column + skipped as u64, fault))
    }

    fn line(&self) -> Option<u64> {
        Some(self.number)
    }

    fn text_bytes(&self) -> usize {
        self.line.len()
    }

    fn wrong(&self, fault: InputFault) -> InputError {
        Lines::wrong(self, 1, fault)
    }
}

/// Reads the text of one vector, as `[0.5, 1]`.
///
/// # Errors
/// The text is not an array of 1 to 65,535 numbers within the range of f32; line and column are named.
pub fn read_json_vector(text: &str) -> Result<Vec<f32>, InputError> {
    let mut vector = Vec::new();
    parse_vector(text.as_bytes(), &mut vector)
        .map_err(|Wrong { line, column, fault }| InputError::in_text(Place::Line { line, column }, fault))?;
    Ok(vector)
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

    /// Goes past the next line, whatever it holds; false after the last.
    pub(super) fn skip(&mut self) -> Result<bool, InputError> {
        self.lines.advance()
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

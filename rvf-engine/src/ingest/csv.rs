//! `.csv` as a source of vectors: a header, then a record a line. Columns are told apart by `csv_header`, cells of fields read by
//! `csv_cell`, batches made by `record_source`.
//!
//! Commas stand between cells; a cell in double quotes may hold commas, lines, and quotes that are doubled. What an export writes
//! comes back exactly: every column of a field says its type, and vectors stand last, so that a record cut short is never taken for
//! a whole one.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, Reader, ReaderBuilder};
use serde_json::Map;

use super::VectorSource;
use super::batch::{Element, IdKind, VectorBatch};
use super::csv_cell::Kind;
use super::csv_fault::{CellType, CsvFault};
use super::csv_header::{Role, roles, shown};
use super::error::{InputError, Place};
use super::fault::{FileFault, InputFault, JsonFault};
use super::input::BUFFER_BYTES;
use super::json_record::{Id, Record, Wrong, parse_vector};
use super::jsonl::MAX_LINE_BYTES;
use super::record_source::{RecordSource, Records};

/// Reads the records of a `.csv` file.
pub struct CsvSource<R> {
    source: RecordSource<Table<R>>,
}

impl<R: Read + Send> CsvSource<R> {
    /// Reads the header and the first record. `path` is for messages.
    ///
    /// # Errors
    /// The input holds no record, its header names no vectors, or its first record is malformed.
    pub fn new(reader: R, path: &Path) -> Result<CsvSource<R>, InputError> {
        Ok(CsvSource { source: RecordSource::new(Table::new(reader, path)?, path)? })
    }
}

impl<R: Read + Send> VectorSource for CsvSource<R> {
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

/// A header, and the records under it, one at a time.
struct Table<R> {
    reader: Reader<Lines<R>>,
    path: PathBuf,
    roles: Vec<Role>,
    record: ByteRecord,
}

impl<R: Read + Send> Table<R> {
    fn new(reader: R, path: &Path) -> Result<Table<R>, InputError> {
        let lines = Lines { reader: BufReader::with_capacity(BUFFER_BYTES, reader), left: 0, count: 0, ended: true };
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(lines);
        let mut table = Table { reader, path: path.to_owned(), roles: Vec::new(), record: ByteRecord::new() };
        if !table.read()? {
            return Err(InputError::of_file(path, FileFault::Empty));
        }
        let names: Result<Vec<&str>, usize> =
            table.record.iter().enumerate().map(|(index, name)| std::str::from_utf8(name).map_err(|_| index)).collect();
        let names =
            names.map_err(|index| table.wrong_cell(index, CsvFault::NotText { column: (index + 1).to_string() }))?;
        let roles = roles(&names).map_err(|(column, fault)| table.wrong_cell(column - 1, fault))?;
        table.roles = roles;
        Ok(table)
    }

    /// Reads the next record; false at the end.
    fn read(&mut self) -> Result<bool, InputError> {
        self.reader.get_mut().left = MAX_LINE_BYTES;
        let line = self.reader.get_ref().count + 1;
        self.reader.read_byte_record(&mut self.record).map_err(|error| {
            let place = Place::Line { line, column: 1 };
            if self.reader.get_ref().left == 0 {
                return InputError::new(&self.path, place, CsvFault::RecordTooLong);
            }
            InputError::of_io(&self.path, place, error.into())
        })
    }

    /// The error of a cell, counted from 0.
    fn wrong_cell(&self, index: usize, fault: impl Into<InputFault>) -> InputError {
        InputError::new(&self.path, Place::Line { line: self.line().unwrap_or(1), column: index as u64 + 1 }, fault)
    }
}

impl<R: Read + Send> Records for Table<R> {
    fn advance(&mut self) -> Result<bool, InputError> {
        if !self.read()? {
            return Ok(false);
        }
        let (header, found) = (self.roles.len(), self.record.len());
        if header != found {
            return Err(self.wrong_cell(header.min(found), CsvFault::Cells { header, found }));
        }
        Ok(true)
    }

    fn record(&mut self, vector: &mut Vec<f32>) -> Result<Record, InputError> {
        let (mut id, mut fields) = (None, Map::new());
        let mut columns = std::mem::take(&mut self.roles);
        let read = columns.iter_mut().zip(&self.record).enumerate().try_for_each(|(index, (role, cell))| {
            let read = read_cell(role, cell, (&mut id, &mut fields, vector));
            read.map_err(|fault| self.wrong_cell(index, fault))
        });
        self.roles = columns;
        read?;
        Ok(Record { id, metadata: (!fields.is_empty()).then_some(fields.into()) })
    }

    fn line(&self) -> Option<u64> {
        // The last line that was given ends the record, whether or not a line feed ends that.
        let lines = self.reader.get_ref();
        let within = self.record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        Some((lines.count + u64::from(!lines.ended)).saturating_sub(within).max(1))
    }

    fn text_bytes(&self) -> usize {
        self.record.as_slice().len()
    }

    fn wrong(&self, fault: InputFault) -> InputError {
        self.wrong_cell(0, fault)
    }
}

type Parts<'p> = (&'p mut Option<Id>, &'p mut Map<String, serde_json::Value>, &'p mut Vec<f32>);

/// Reads a cell into its part of the record.
fn read_cell(role: &mut Role, cell: &[u8], (id, fields, vector): Parts<'_>) -> Result<(), InputFault> {
    let cell = std::str::from_utf8(cell).map_err(|_| CsvFault::NotText { column: role.name() })?;
    let wrong =
        |column: &str, held, declared| CsvFault::Type { column: shown(column), held, declared, cell: shown(cell) };
    match role {
        Role::Id { kind, declared } => *id = read_id(kind, *declared, cell)?,
        Role::Vector => parse_vector(cell.as_bytes(), vector).map_err(|Wrong { fault, .. }| fault)?,
        Role::Element { column } => {
            let number = serde_json::from_str::<f32>(cell).map_err(|_| wrong(column, CellType::Element, true))?;
            vector.push(number);
        }
        Role::Field { name, kind } => {
            let declared = matches!(kind, Kind::Declared(_));
            let value = kind.value(cell).map_err(|held| wrong(name, CellType::Field(held), declared))?;
            if let Some(value) = value {
                fields.insert(name.clone(), value);
            }
        }
    }
    Ok(())
}

/// The id of a cell; the first one tells the sort, unless the header does.
fn read_id(kind: &mut Option<IdKind>, declared: bool, cell: &str) -> Result<Option<Id>, InputFault> {
    let number = || cell.parse::<u64>().ok().filter(|number| number.to_string() == cell);
    if cell.is_empty() {
        return Ok(None);
    }
    let held = *kind.get_or_insert(if number().is_some() { IdKind::U64 } else { IdKind::Str });
    match (held, number()) {
        (IdKind::Str, _) => Ok(Some(Id::Text(cell.to_owned()))),
        (IdKind::U64, Some(number)) => Ok(Some(Id::Number(number))),
        (IdKind::U64, None) if cell.starts_with('-') => Err(JsonFault::NegativeId.into()),
        (IdKind::U64, None) => {
            let (column, cell) = ("id".to_owned(), shown(cell));
            Err(CsvFault::Type { column, held: CellType::Id, declared, cell }.into())
        }
    }
}

impl Role {
    fn name(&self) -> String {
        match self {
            Role::Id { .. } => "id".to_owned(),
            Role::Vector => "vector".to_owned(),
            Role::Element { column } => column.clone(),
            Role::Field { name, .. } => shown(name),
        }
    }
}

/// Gives a parser a line at a time, so that it is known how many it has taken; gives up after so many bytes, because the parser
/// would collect a quoted cell that never ends.
struct Lines<R> {
    reader: BufReader<R>,
    /// Bytes that the record may still have.
    left: usize,
    /// Lines that were given whole.
    count: u64,
    /// The last byte that was given ends a line.
    ended: bool,
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("a record is too long"));
        }
        let held = self.reader.fill_buf()?;
        let most = held.len().min(buffer.len()).min(self.left);
        let end = held[..most].iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let taken = end.unwrap_or(most);
        buffer[..taken].copy_from_slice(&held[..taken]);
        self.reader.consume(taken);
        self.left -= taken;
        self.count += u64::from(end.is_some());
        if taken > 0 {
            self.ended = end.is_some();
        }
        Ok(taken)
    }
}

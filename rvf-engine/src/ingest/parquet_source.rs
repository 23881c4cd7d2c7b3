//! `.parquet` as a source of vectors: a column `vector` of lists of numbers, a column `id` of whole numbers or strings if there are
//! ids, and a column a field. Batches are made by `record_source`.
//!
//! Rows are read page by page. Elements of 8 bits stay such, all others become f32, each number the nearest one. The parser is a
//! library's: where it panics at a damaged file, that is an error of the file.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ::parquet::basic::ConvertedType;
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{ChunkReader, FileReader};
use ::parquet::file::serialized_reader::SerializedFileReader;
use ::parquet::record::reader::RowIter;
use ::parquet::record::{Field, Row};
use ::parquet::schema::types::Type;
use serde_json::{Map, Number, Value};

use super::batch::{Element, IdKind, VectorBatch};
use super::csv_header::{field_of, shown};
use super::error::{InputError, Place};
use super::fault::{FileFault, InputFault, JsonFault, RowFault};
use super::input;
use super::json_metadata::bytes_to_json;
use super::json_record::{Id, Record};
use super::parquet_fault::ParquetFault;
use super::record_source::{RecordSource, Records};
use super::{MAX_DIM, VectorSource};

/// Reads the records of a `.parquet` file.
pub struct ParquetSource {
    source: RecordSource<Table>,
}

impl ParquetSource {
    /// Reads the footer and the first record. `path` is for messages.
    ///
    /// # Errors
    /// The input is no such file, has no column of vectors, holds no record, or its first record is malformed.
    pub fn new(reader: impl ChunkReader + 'static, path: &Path) -> Result<ParquetSource, InputError> {
        Ok(ParquetSource { source: RecordSource::new(Table::new(reader, path)?, path)? })
    }

    pub(super) fn open(path: &Path) -> Result<ParquetSource, InputError> {
        let (file, len): (File, u64) = input::open_regular(path)?;
        match len {
            0 => Err(InputError::of_file(path, FileFault::Empty)),
            _ => ParquetSource::new(file, path),
        }
    }
}

impl VectorSource for ParquetSource {
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

/// What a column holds.
enum Role {
    Id,
    Vector,
    Field(String),
}

/// Rows, one at a time.
struct Table {
    rows: RowIter<'static>,
    path: PathBuf,
    roles: Vec<Role>,
    element: Element,
    total: u64,
    row: Option<Row>,
    /// The number of the next row.
    next: u64,
}

impl Table {
    fn new(reader: impl ChunkReader + 'static, path: &Path) -> Result<Table, InputError> {
        let whole = |fault| InputError::new(path, Place::Whole, fault);
        let opened = guarded(|| {
            let file = SerializedFileReader::new(reader)?;
            let schema = file.metadata().file_metadata().schema_descr().root_schema_ptr();
            let total = file.metadata().file_metadata().num_rows();
            Ok((RowIter::from_file_into(Box::new(file)), schema, total))
        });
        let (rows, schema, total) = opened.map_err(whole)?;
        let roles = roles(&schema).map_err(whole)?;
        let vector = schema.get_fields().iter().find(|column| column.name() == "vector");
        let element = vector.map_or(Element::F32, |column| element_of(column));
        let total = u64::try_from(total).unwrap_or(0);
        Ok(Table { rows, path: path.to_owned(), roles, element, total, row: None, next: 0 })
    }
}

impl Records for Table {
    fn advance(&mut self) -> Result<bool, InputError> {
        let rows = &mut self.rows;
        let row = guarded(|| rows.next().transpose());
        self.row = row.map_err(|fault| InputError::new(&self.path, Place::Record { record: self.next }, fault))?;
        self.next += 1;
        Ok(self.row.is_some())
    }

    fn record(&mut self, vector: &mut Vec<f32>) -> Result<Record, InputError> {
        let (mut id, mut fields) = (None, Map::new());
        let columns = self.row.iter().flat_map(Row::get_column_iter);
        for (role, (name, value)) in self.roles.iter().zip(columns) {
            let read = match role {
                Role::Id => id_of(value).map(|found| id = found),
                Role::Vector => push_elements(value, vector),
                Role::Field(field) => json_of(name, value).map(|value| {
                    if !value.is_null() {
                        fields.insert(field.clone(), value);
                    }
                }),
            };
            read.map_err(|fault| self.wrong(fault))?;
        }
        Ok(Record { id, metadata: (!fields.is_empty()).then_some(fields.into()) })
    }

    fn line(&self) -> Option<u64> {
        None
    }

    fn text_bytes(&self) -> usize {
        0
    }

    fn element(&self) -> Element {
        self.element
    }

    fn total(&self) -> Option<u64> {
        Some(self.total)
    }

    fn wrong(&self, fault: InputFault) -> InputError {
        InputError::new(&self.path, Place::Record { record: self.next.saturating_sub(1) }, fault)
    }
}

/// What the parser gives; its errors and its panics as a fault.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetFault> {
    let message = match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the parser stopped at what it found".to_owned(),
    };
    Err(ParquetFault::File { message: message.chars().take(200).collect() })
}

fn roles(schema: &Type) -> Result<Vec<Role>, ParquetFault> {
    let mut roles = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for column in schema.get_fields() {
        if !seen.insert(column.name()) {
            return Err(ParquetFault::ColumnTwice { column: shown(column.name()) });
        }
        roles.push(match column.name() {
            "id" => Role::Id,
            "vector" => Role::Vector,
            name => Role::Field(field_of(name).to_owned()),
        });
    }
    let mut fields = std::collections::HashSet::new();
    let twice = roles.iter().find_map(|role| match role {
        Role::Field(name) if !fields.insert(name) => Some(shown(name)),
        _ => None,
    });
    match twice {
        Some(column) => Err(ParquetFault::ColumnTwice { column }),
        None if roles.iter().any(|role| matches!(role, Role::Vector)) => Ok(roles),
        None => Err(ParquetFault::NoVector),
    }
}

/// The type of elements of a column of vectors: lists, or as a whole bytes.
fn element_of(column: &Type) -> Element {
    if column.is_primitive() {
        return Element::U8;
    }
    let mut element = column;
    while let Type::GroupType { fields, .. } = element
        && let Some(inner) = fields.first()
    {
        element = inner;
    }
    match element.get_basic_info().converted_type() {
        ConvertedType::INT_8 if element.is_primitive() => Element::I8,
        ConvertedType::UINT_8 if element.is_primitive() => Element::U8,
        _ => Element::F32,
    }
}

fn id_of(value: &Field) -> Result<Option<Id>, InputFault> {
    let number = match value {
        Field::Null => return Ok(None),
        Field::Str(text) => return Ok(Some(Id::Text(text.clone()))),
        Field::ULong(number) => return Ok(Some(Id::Number(*number))),
        other => whole(other).ok_or_else(|| wrong("id", other, "a whole number or a string"))?,
    };
    u64::try_from(number).map(|number| Some(Id::Number(number))).map_err(|_| JsonFault::NegativeId.into())
}

fn whole(value: &Field) -> Option<i64> {
    Some(match value {
        Field::Byte(number) => (*number).into(),
        Field::Short(number) => (*number).into(),
        Field::Int(number) => (*number).into(),
        Field::Long(number) => *number,
        Field::UByte(number) => (*number).into(),
        Field::UShort(number) => (*number).into(),
        Field::UInt(number) => (*number).into(),
        _ => return None,
    })
}

fn push_elements(value: &Field, vector: &mut Vec<f32>) -> Result<(), InputFault> {
    const WANTED: &str = "a list of numbers";
    let before = vector.len();
    match value {
        Field::ListInternal(list) => {
            for (position, element) in list.elements().iter().enumerate().take(MAX_DIM + 1) {
                let element = element_from(element).ok_or_else(|| wrong("vector", element, WANTED))?;
                let element = element.map_err(|()| JsonFault::OutOfRange { position })?;
                vector.push(element);
            }
        }
        Field::Bytes(bytes) => vector.extend(bytes.data().iter().map(|byte| f32::from(*byte)).take(MAX_DIM + 1)),
        other => return Err(wrong("vector", other, WANTED)),
    }
    let found = vector.len() - before;
    if (1..=MAX_DIM).contains(&found) { Ok(()) } else { Err(RowFault::Dim { found: found as i64 }.into()) }
}

/// The nearest f32; an error where a finite number is too large for it.
fn element_from(value: &Field) -> Option<Result<f32, ()>> {
    Some(match value {
        Field::Float(number) => Ok(*number),
        Field::Float16(number) => Ok(number.to_f32()),
        Field::Double(number) => {
            let near = *number as f32;
            if number.is_finite() && !near.is_finite() { Err(()) } else { Ok(near) }
        }
        Field::ULong(number) => Ok(*number as f32),
        other => Ok(whole(other)? as f32),
    })
}

/// The value of a field.
fn json_of(column: &str, value: &Field) -> Result<Value, InputFault> {
    const WANTED: &str = "true and false, a finite number, text, bytes or a list of texts";
    let refuse = || wrong(column, value, WANTED);
    let float = |number: f64| Number::from_f64(number).map(Value::Number).ok_or_else(refuse);
    match value {
        Field::Null => Ok(Value::Null),
        Field::Bool(value) => Ok(Value::Bool(*value)),
        Field::Str(text) => Ok(Value::String(text.clone())),
        Field::ULong(number) => Ok(Value::from(*number)),
        Field::Float16(number) => float(number.to_f64()),
        Field::Float(number) => float((*number).into()),
        Field::Double(number) => float(*number),
        Field::Bytes(bytes) => {
            let digits: String = bytes.data().iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(bytes_to_json(&digits))
        }
        Field::ListInternal(list) => {
            let texts = list.elements().iter().map(|element| match element {
                Field::Str(text) => Ok(Value::String(text.clone())),
                _ => Err(refuse()),
            });
            Ok(Value::Array(texts.collect::<Result<_, _>>()?))
        }
        other => whole(other).map(Value::from).ok_or_else(refuse),
    }
}

fn wrong(column: &str, value: &Field, wanted: &'static str) -> InputFault {
    let found = match value {
        Field::Null => "null",
        Field::Bool(_) => "true and false",
        Field::Float16(_) | Field::Float(_) | Field::Double(_) => "floats, here one that is not finite or not whole",
        Field::Decimal(_) => "decimals",
        Field::Str(_) => "text",
        Field::Bytes(_) => "bytes",
        Field::Date(_) | Field::TimeMillis(_) | Field::TimeMicros(_) => "dates or times",
        Field::TimestampMillis(_) | Field::TimestampMicros(_) => "timestamps",
        Field::Group(_) | Field::MapInternal(_) => "groups of values",
        Field::ListInternal(_) => "lists",
        _ => "whole numbers",
    };
    ParquetFault::Value { column: shown(column), found, wanted }.into()
}

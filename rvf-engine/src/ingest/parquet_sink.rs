//! Records to `.parquet`: columns `id`, one a field, `vector`, in the types that `parquet_source` reads back exactly.
//!
//! ```text
//! required int64 id (UINT_64)            or required binary id (STRING)
//! optional boolean | int64 | double | binary (STRING) | binary | group (LIST) of strings      a field, by its name
//! required group vector (LIST)           of float, or int32 (INT_8), or int32 (UINT_8)
//! ```
//! f16 is written as float. What is written at once is a row group.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type};
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::types::{ColumnPath, Type, TypePtr};
use serde_json::Value;

use super::batch::{Element, Elements, IdKind, Ids};
use super::csv_header::field_name;
use super::json_metadata::bytes_of_json;
use super::sink::{SinkOptions, VectorSink};
use super::sink_error::{SinkError, SinkFault};
use super::temp_file::TempFile;
use crate::value::FieldType;

pub(super) struct ParquetSink {
    writer: SerializedFileWriter<Out>,
    target: PathBuf,
    options: SinkOptions,
    rows: u64,
}

impl ParquetSink {
    pub(super) fn create(path: &Path, options: SinkOptions) -> Result<ParquetSink, SinkError> {
        let file = TempFile::create(path)?;
        let target = file.target().to_owned();
        let wrong = |error: ParquetError| SinkError::of_io(&target, io::Error::other(error));
        let vector = ColumnPath::from(["vector", "list", "element"].map(str::to_owned).to_vec());
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_column_dictionary_enabled(vector, false)
            .build();
        let schema = schema(&options).map_err(wrong)?;
        let writer = SerializedFileWriter::new(Out(file), schema, Arc::new(properties)).map_err(wrong)?;
        Ok(ParquetSink { writer, target, options, rows: 0 })
    }

    fn check_records(&self, metadata: &[Option<Value>]) -> Result<(), SinkFault> {
        for (row, record) in (self.rows..).zip(metadata) {
            let object = record.as_ref().and_then(Value::as_object);
            self.options.check_fields(row, object)?;
            for (name, value) in object.into_iter().flatten() {
                let held = self.options.fields.get(name);
                if !value.is_null() && held.is_none_or(|field| !is_of(value, *field)) {
                    return Err(SinkFault::of_field(row, name));
                }
            }
        }
        Ok(())
    }

    /// Writes a row group.
    fn group(&mut self, ids: Option<&Ids>, vectors: &Elements, metadata: &[Option<Value>]) -> ParquetResult<()> {
        let mut group = self.writer.next_row_group()?;
        let missing = || ParquetError::General("the schema has fewer columns than were announced".to_owned());
        if let Some(ids) = ids {
            write_ids(group.next_column()?.ok_or_else(missing)?, ids)?;
        }
        for (name, field) in &self.options.fields {
            let value = |record: &'_ Option<Value>| record.as_ref().and_then(|record| record.get(name)).cloned();
            let values: Vec<Value> = metadata.iter().map(|record| value(record).unwrap_or_default()).collect();
            write_field(group.next_column()?.ok_or_else(missing)?, &values, *field)?;
        }
        write_vectors(group.next_column()?.ok_or_else(missing)?, vectors, self.options.dim)?;
        group.close().map(|_| ())
    }
}

impl VectorSink for ParquetSink {
    fn write(
        &mut self,
        ids: Option<&Ids>,
        vectors: &Elements,
        metadata: Option<&[Option<Value>]>,
    ) -> Result<(), SinkError> {
        let rows = self.options.check(ids, vectors, metadata).and_then(|rows| {
            self.check_records(metadata.unwrap_or_default())?;
            Ok(rows)
        });
        let rows = rows.map_err(|fault| SinkError::new(&self.target, fault))?;
        if rows == 0 {
            return Ok(());
        }
        let none = vec![None; if metadata.is_none() { rows } else { 0 }];
        self.group(ids, vectors, metadata.unwrap_or(&none))
            .map_err(|error| SinkError::of_io(&self.target, io::Error::other(error)))?;
        self.rows += rows as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<u64, SinkError> {
        let wrong = |error| SinkError::of_io(&self.target, io::Error::other::<ParquetError>(error));
        let Out(mut file) = self.writer.into_inner().map_err(wrong)?;
        file.complete()?;
        file.rename()?;
        Ok(self.rows)
    }
}

/// The file as the library writes it.
struct Out(TempFile);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(io::Error::other).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn schema(options: &SinkOptions) -> ParquetResult<TypePtr> {
    let required = Repetition::REQUIRED;
    let id = options.ids.map(|kind| match kind {
        IdKind::U64 => leaf("id", Physical::INT64, Some(LogicalType::integer(64, false)), required),
        IdKind::Str => leaf("id", Physical::BYTE_ARRAY, Some(LogicalType::String), required),
    });
    let fields = options.fields.iter().map(|(name, field)| field_type(&field_name(name), *field));
    let element = match options.element {
        Element::F32 | Element::F16 => leaf("element", Physical::FLOAT, None, required),
        Element::I8 => leaf("element", Physical::INT32, Some(LogicalType::integer(8, true)), required),
        Element::U8 => leaf("element", Physical::INT32, Some(LogicalType::integer(8, false)), required),
    };
    let columns = id.into_iter().chain(fields).chain([list("vector", element?, required)]);
    let columns = columns.collect::<ParquetResult<Vec<TypePtr>>>()?;
    Type::group_type_builder("schema").with_fields(columns).build().map(Arc::new)
}

fn field_type(name: &str, field: FieldType) -> ParquetResult<TypePtr> {
    let optional = Repetition::OPTIONAL;
    match field {
        FieldType::Bool => leaf(name, Physical::BOOLEAN, None, optional),
        FieldType::I64 => leaf(name, Physical::INT64, None, optional),
        FieldType::F64 => leaf(name, Physical::DOUBLE, None, optional),
        FieldType::Str => leaf(name, Physical::BYTE_ARRAY, Some(LogicalType::String), optional),
        FieldType::Bytes => leaf(name, Physical::BYTE_ARRAY, None, optional),
        FieldType::List => {
            let text = leaf("element", Physical::BYTE_ARRAY, Some(LogicalType::String), Repetition::REQUIRED);
            list(name, text?, optional)
        }
    }
}

fn leaf(
    name: &str,
    physical: Physical,
    logical: Option<LogicalType>,
    repetition: Repetition,
) -> ParquetResult<TypePtr> {
    let built = Type::primitive_type_builder(name, physical).with_repetition(repetition).with_logical_type(logical);
    built.build().map(Arc::new)
}

fn list(name: &str, element: TypePtr, repetition: Repetition) -> ParquetResult<TypePtr> {
    let items = Type::group_type_builder("list").with_repetition(Repetition::REPEATED).with_fields(vec![element]);
    Type::group_type_builder(name)
        .with_repetition(repetition)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(items.build()?)])
        .build()
        .map(Arc::new)
}

/// Writes a column: its values, and where they are optional or in lists the levels that say so.
fn put<T: DataType>(
    mut column: SerializedColumnWriter<'_>,
    values: &[T::T],
    levels: (Option<&[i16]>, Option<&[i16]>),
) -> ParquetResult<()> {
    column.typed::<T>().write_batch(values, levels.0, levels.1)?;
    column.close()
}

fn write_ids(column: SerializedColumnWriter<'_>, ids: &Ids) -> ParquetResult<()> {
    match ids {
        Ids::U64(ids) => {
            let ids: Vec<i64> = ids.iter().map(|id| id.cast_signed()).collect();
            put::<Int64Type>(column, &ids, (None, None))
        }
        Ids::Str(ids) => {
            let ids: Vec<ByteArray> = ids.iter().map(|id| id.as_str().into()).collect();
            put::<ByteArrayType>(column, &ids, (None, None))
        }
    }
}

fn write_vectors(column: SerializedColumnWriter<'_>, vectors: &Elements, dim: usize) -> ParquetResult<()> {
    let there = vec![1; vectors.len()];
    let repeats: Vec<i16> = (0..vectors.len()).map(|at| i16::from(!at.is_multiple_of(dim))).collect();
    let levels = (Some(&there[..]), Some(&repeats[..]));
    match vectors {
        Elements::F32(values) => put::<FloatType>(column, values, levels),
        Elements::F16(values) => {
            put::<FloatType>(column, &values.iter().map(|value| value.to_f32()).collect::<Vec<_>>(), levels)
        }
        Elements::I8(values) => {
            put::<Int32Type>(column, &values.iter().map(|value| (*value).into()).collect::<Vec<_>>(), levels)
        }
        Elements::U8(values) => {
            put::<Int32Type>(column, &values.iter().map(|value| (*value).into()).collect::<Vec<_>>(), levels)
        }
    }
}

/// Writes the values of a field, null where a record has none. They are of its type: that was checked.
fn write_field(column: SerializedColumnWriter<'_>, values: &[Value], field: FieldType) -> ParquetResult<()> {
    let there: Vec<i16> = values.iter().map(|value| i16::from(!value.is_null())).collect();
    let levels = (Some(&there[..]), None);
    match field {
        FieldType::Bool => {
            put::<BoolType>(column, &values.iter().filter_map(Value::as_bool).collect::<Vec<_>>(), levels)
        }
        FieldType::I64 => {
            put::<Int64Type>(column, &values.iter().filter_map(Value::as_i64).collect::<Vec<_>>(), levels)
        }
        FieldType::F64 => {
            put::<DoubleType>(column, &values.iter().filter_map(Value::as_f64).collect::<Vec<_>>(), levels)
        }
        FieldType::Str => {
            let texts: Vec<ByteArray> = values.iter().filter_map(Value::as_str).map(ByteArray::from).collect();
            put::<ByteArrayType>(column, &texts, levels)
        }
        FieldType::Bytes => {
            let bytes: Vec<ByteArray> = values.iter().filter_map(bytes_of_json).map(ByteArray::from).collect();
            put::<ByteArrayType>(column, &bytes, levels)
        }
        FieldType::List => write_lists(column, values),
    }
}

/// A list that is null has the level 0, one without items 1, an item 2.
fn write_lists(column: SerializedColumnWriter<'_>, values: &[Value]) -> ParquetResult<()> {
    let (mut texts, mut there, mut repeats) = (Vec::new(), Vec::new(), Vec::new());
    for value in values {
        let items = value.as_array().map(Vec::as_slice);
        let items_there = items.unwrap_or_default();
        if items_there.is_empty() {
            there.push(i16::from(items.is_some()));
            repeats.push(0);
        }
        for (at, item) in items_there.iter().enumerate() {
            texts.push(ByteArray::from(item.as_str().unwrap_or_default()));
            there.push(2);
            repeats.push(i16::from(at > 0));
        }
    }
    put::<ByteArrayType>(column, &texts, (Some(&there), Some(&repeats)))
}

/// Whether a value is of the type of its column.
fn is_of(value: &Value, field: FieldType) -> bool {
    match field {
        FieldType::Bool => value.is_boolean(),
        FieldType::I64 => value.is_i64(),
        FieldType::F64 => value.is_number(),
        FieldType::Str => value.is_string(),
        FieldType::List => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        FieldType::Bytes => bytes_of_json(value).is_some(),
    }
}

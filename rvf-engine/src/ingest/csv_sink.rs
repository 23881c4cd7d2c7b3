//! Records to `.csv`: a header, then a line a record. What the columns are called and the cells look like is the business of
//! `csv_header` and `csv_cell`.

use std::path::Path;

use csv::Writer;
use serde_json::Value;

use super::batch::{Elements, Ids};
use super::csv_cell::cell_of;
use super::csv_header::{field_column, id_column};
use super::jsonl_sink::write_vector;
use super::sink::{SinkOptions, VectorSink};
use super::sink_error::{SinkError, SinkFault};
use super::temp_file::TempFile;

pub(super) struct CsvSink {
    file: TempFile,
    options: SinkOptions,
    rows: u64,
}

impl CsvSink {
    pub(super) fn create(path: &Path, options: SinkOptions) -> Result<CsvSink, SinkError> {
        let mut sink = CsvSink { file: TempFile::create(path)?, options, rows: 0 };
        let ids = sink.options.ids.map(|kind| id_column(kind).to_owned());
        let fields = sink.options.fields.iter().map(|(name, field)| field_column(name, *field));
        let names: Vec<String> = ids.into_iter().chain(fields).chain(["vector".to_owned()]).collect();
        let mut lines = Writer::from_writer(Vec::new());
        sink.line(&mut lines, names)?;
        sink.flush(lines)?;
        Ok(sink)
    }

    fn line(&self, lines: &mut Writer<Vec<u8>>, cells: Vec<String>) -> Result<(), SinkError> {
        lines.write_record(cells).map_err(|error| SinkError::of_io(self.file.target(), error.into()))
    }

    fn flush(&mut self, lines: Writer<Vec<u8>>) -> Result<(), SinkError> {
        let wrong = |error: std::io::Error| SinkError::of_io(self.file.target(), error);
        let bytes = lines.into_inner().map_err(|error| wrong(error.into_error()))?;
        self.file.write(&bytes)
    }

    /// The cells of a record of a batch.
    fn cells(
        &self,
        index: usize,
        ids: Option<&Ids>,
        vectors: &Elements,
        metadata: Option<&Value>,
    ) -> Result<Vec<String>, SinkFault> {
        let mut cells = Vec::with_capacity(self.options.fields.len() + 2);
        match ids {
            Some(Ids::U64(ids)) => cells.push(ids[index].to_string()),
            Some(Ids::Str(ids)) => cells.push(ids[index].clone()),
            None => {}
        }
        let object = metadata.and_then(Value::as_object);
        self.options.check_fields(self.rows, object)?;
        for (name, field) in &self.options.fields {
            let value = object.and_then(|object| object.get(name)).unwrap_or(&Value::Null);
            let cell = cell_of(value, *field);
            cells.push(cell.ok_or_else(|| SinkFault::of_field(self.rows, name))?);
        }
        let mut vector = Vec::new();
        write_vector(&mut vector, vectors, (index, self.options.dim), self.rows)?;
        cells.push(String::from_utf8_lossy(&vector).into_owned());
        Ok(cells)
    }
}

impl VectorSink for CsvSink {
    fn write(
        &mut self,
        ids: Option<&Ids>,
        vectors: &Elements,
        metadata: Option<&[Option<Value>]>,
    ) -> Result<(), SinkError> {
        let rows = self.options.check(ids, vectors, metadata);
        let rows = rows.map_err(|fault| SinkError::new(self.file.target(), fault))?;
        let mut lines = Writer::from_writer(Vec::new());
        for index in 0..rows {
            let metadata = metadata.and_then(|metadata| metadata[index].as_ref());
            let cells = self.cells(index, ids, vectors, metadata);
            self.line(&mut lines, cells.map_err(|fault| SinkError::new(self.file.target(), fault))?)?;
            self.rows += 1;
        }
        self.flush(lines)
    }

    fn finish(mut self: Box<Self>) -> Result<u64, SinkError> {
        self.file.complete()?;
        self.file.rename()?;
        Ok(self.rows)
    }
}

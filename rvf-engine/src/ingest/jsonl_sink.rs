//! Records to `.jsonl`: `{"id":7,"vector":[0.5,1],"metadata":{..}}`, one a line.
//!
//! A float is written with the fewest digits that read back as the same f32.

use std::io::Write;
use std::path::Path;

use serde_json::Value;

use super::batch::{Elements, Ids};
use super::sink::{SinkOptions, VectorSink};
use super::sink_error::{SinkError, SinkFault};
use super::temp_file::TempFile;

pub(super) struct JsonlSink {
    file: TempFile,
    options: SinkOptions,
    rows: u64,
    line: Vec<u8>,
}

impl JsonlSink {
    pub(super) fn create(path: &Path, options: SinkOptions) -> Result<JsonlSink, SinkError> {
        Ok(JsonlSink { file: TempFile::create(path)?, options, rows: 0, line: Vec::new() })
    }

    fn compose(
        &mut self,
        index: usize,
        ids: Option<&Ids>,
        vectors: &Elements,
        metadata: Option<&Value>,
    ) -> Result<(), SinkFault> {
        self.line.clear();
        self.line.push(b'{');
        if let Some(ids) = ids {
            self.line.extend(b"\"id\":");
            write_id(&mut self.line, ids, index)?;
            self.line.push(b',');
        }
        self.line.extend(b"\"vector\":");
        write_vector(&mut self.line, vectors, (index, self.options.dim), self.rows)?;
        if let Some(metadata) = metadata {
            self.line.extend(b",\"metadata\":");
            serde_json::to_writer(&mut self.line, metadata).map_err(|error| SinkFault::Io(error.into()))?;
        }
        self.line.extend(b"}\n");
        Ok(())
    }
}

impl VectorSink for JsonlSink {
    fn write(
        &mut self,
        ids: Option<&Ids>,
        vectors: &Elements,
        metadata: Option<&[Option<Value>]>,
    ) -> Result<(), SinkError> {
        let wrong = |sink: &JsonlSink, fault| SinkError::new(sink.file.target(), fault);
        let rows = self.options.check(ids, vectors, metadata).map_err(|fault| wrong(self, fault))?;
        for index in 0..rows {
            let metadata = metadata.and_then(|metadata| metadata[index].as_ref());
            self.compose(index, ids, vectors, metadata).map_err(|fault| wrong(self, fault))?;
            self.file.write(&self.line)?;
            self.rows += 1;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<u64, SinkError> {
        self.file.complete()?;
        self.file.rename()?;
        Ok(self.rows)
    }
}

/// An id as JSON.
pub(super) fn write_id(line: &mut Vec<u8>, ids: &Ids, index: usize) -> Result<(), SinkFault> {
    match ids {
        Ids::U64(ids) => write!(line, "{}", ids[index]).map_err(SinkFault::Io),
        Ids::Str(ids) => serde_json::to_writer(line, &ids[index]).map_err(|error| SinkFault::Io(error.into())),
    }
}

/// The vector at `index` of those given, which is that of record `row`, as a JSON array.
pub(super) fn write_vector(
    line: &mut Vec<u8>,
    vectors: &Elements,
    (index, dim): (usize, usize),
    row: u64,
) -> Result<(), SinkFault> {
    line.push(b'[');
    for (position, at) in (index * dim..(index + 1) * dim).enumerate() {
        if position > 0 {
            line.push(b',');
        }
        if !write_element(line, vectors, at)? {
            return Err(SinkFault::NotFinite { row, position });
        }
    }
    line.push(b']');
    Ok(())
}

/// False where the element is NaN or infinite.
fn write_element(line: &mut Vec<u8>, elements: &Elements, at: usize) -> Result<bool, SinkFault> {
    let written = match elements {
        Elements::F32(values) => return write_float(line, values[at]),
        Elements::F16(values) => return write_float(line, values[at].to_f32()),
        Elements::I8(values) => write!(line, "{}", values[at]),
        Elements::U8(values) => write!(line, "{}", values[at]),
    };
    written.map(|()| true).map_err(SinkFault::Io)
}

fn write_float(line: &mut Vec<u8>, value: f32) -> Result<bool, SinkFault> {
    // Both forms have the fewest digits; the plain one would carry long runs of zeros outside this range.
    let plain = value == 0.0 || (1e-5..1e7).contains(&value.abs());
    let written = match plain {
        // With a point: readers that tell whole numbers from others lose the sign of -0.
        true if value == 0.0 && value.is_sign_negative() => write!(line, "-0.0"),
        true => write!(line, "{value}"),
        false => write!(line, "{value:e}"),
    };
    written.map(|()| value.is_finite()).map_err(SinkFault::Io)
}

//! Vectors to `.fvecs` (any element, widened to f32 without loss) or `.bvecs` (u8).

use std::path::Path;

use serde_json::Value;

use super::batch::{Elements, Ids};
use super::companions::Companions;
use super::format::Format;
use super::sink::{SinkOptions, VectorSink};
use super::sink_error::SinkError;
use super::temp_file::TempFile;

pub(super) struct VecsSink {
    file: TempFile,
    beside: Companions,
    format: Format,
    options: SinkOptions,
    rows: u64,
}

impl VecsSink {
    /// `format` is `.fvecs` or `.bvecs`; the caller has seen that it holds such elements.
    pub(super) fn create(path: &Path, format: Format, options: SinkOptions) -> Result<VecsSink, SinkError> {
        let file = TempFile::create(path)?;
        let beside = Companions::create(path, &options)?;
        Ok(VecsSink { file, beside, format, options, rows: 0 })
    }

    fn write_rows<T: Copy, const N: usize>(
        &mut self,
        values: &[T],
        bytes: impl Fn(T) -> [u8; N],
    ) -> Result<(), SinkError> {
        let dim = self.options.dim;
        let mut row = Vec::with_capacity(4 + dim * N);
        for vector in values.chunks_exact(dim) {
            row.clear();
            row.extend((dim as u32).to_le_bytes());
            row.extend(vector.iter().flat_map(|&value| bytes(value)));
            self.file.write(&row)?;
        }
        Ok(())
    }
}

impl VectorSink for VecsSink {
    fn write(
        &mut self,
        ids: Option<&Ids>,
        vectors: &Elements,
        metadata: Option<&[Option<Value>]>,
    ) -> Result<(), SinkError> {
        let checked = self.options.check_plain(ids, vectors, metadata);
        let rows = checked.map_err(|fault| SinkError::new(self.file.target(), fault))?;
        match vectors {
            Elements::U8(values) if self.format == Format::Bvecs => self.write_rows(values, |value| [value])?,
            Elements::U8(values) => self.write_rows(values, |value| f32::from(value).to_le_bytes())?,
            Elements::I8(values) => self.write_rows(values, |value| f32::from(value).to_le_bytes())?,
            Elements::F16(values) => self.write_rows(values, |value| value.to_f32().to_le_bytes())?,
            Elements::F32(values) => self.write_rows(values, f32::to_le_bytes)?,
        }
        self.beside.write(ids, metadata, rows)?;
        self.rows += rows as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<u64, SinkError> {
        self.beside.finish_with(self.file)?;
        Ok(self.rows)
    }
}

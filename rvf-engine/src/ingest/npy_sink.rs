//! Vectors to an `.npy` matrix. The header has room for any count of rows, and is rewritten at the end.

use std::io;
use std::path::Path;

use serde_json::Value;

use super::batch::{Element, Elements, Ids};
use super::companions::Companions;
use super::npy_header::{Header, WRITTEN_BYTES};
use super::sink::{SinkOptions, VectorSink};
use super::sink_error::SinkError;
use super::temp_file::TempFile;

pub(super) struct NpySink {
    file: TempFile,
    beside: Companions,
    options: SinkOptions,
    rows: u64,
}

impl NpySink {
    pub(super) fn create(path: &Path, options: SinkOptions) -> Result<NpySink, SinkError> {
        let mut file = TempFile::create(path)?;
        file.write(&[0; WRITTEN_BYTES])?;
        let beside = Companions::create(path, &options)?;
        Ok(NpySink { file, beside, options, rows: 0 })
    }
}

impl VectorSink for NpySink {
    fn write(
        &mut self,
        ids: Option<&Ids>,
        vectors: &Elements,
        metadata: Option<&[Option<Value>]>,
    ) -> Result<(), SinkError> {
        let checked = self.options.check_plain(ids, vectors, metadata);
        let rows = checked.map_err(|fault| SinkError::new(self.file.target(), fault))?;
        write_elements(&mut self.file, vectors)?;
        self.beside.write(ids, metadata, rows)?;
        self.rows += rows as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<u64, SinkError> {
        let descr = match self.options.element {
            Element::F32 => "<f4",
            Element::F16 => "<f2",
            Element::I8 => "|i1",
            Element::U8 => "|u1",
        };
        let shape = vec![self.rows, self.options.dim as u64];
        let header = Header { descr: descr.to_owned(), fortran: false, shape };
        let bytes = header_bytes(&header, self.file.target())?;
        self.file.rewrite_head(&bytes)?;
        self.beside.finish_with(self.file)?;
        Ok(self.rows)
    }
}

/// A header as bytes, for the file at `path`.
pub(super) fn header_bytes(header: &Header, path: &Path) -> Result<[u8; WRITTEN_BYTES], SinkError> {
    let bytes = header.to_bytes();
    bytes.ok_or_else(|| SinkError::of_io(path, io::Error::other("the npy header needs more room than was kept")))
}

/// Writes elements as little-endian.
pub(super) fn write_elements(file: &mut TempFile, elements: &Elements) -> Result<(), SinkError> {
    if cfg!(target_endian = "little") {
        return file.write(elements.bytes());
    }
    let mut swapped = elements.clone();
    swapped.swap_from_little_endian();
    file.write(swapped.bytes())
}

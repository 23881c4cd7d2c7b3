//! The metadata beside a file that has no place for it: a line a record, `{"id":7,"metadata":{..}}`, as `sidecar` reads it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::batch::Ids;
use super::jsonl_sink::write_id;
use super::sink_error::{SinkError, SinkFault};
use super::temp_file::TempFile;

/// Where the metadata of records goes that a file has no place for: `NAME.metadata.jsonl` beside `NAME.npy`, `NAME.fvecs` or
/// `NAME.bvecs`.
#[must_use]
pub fn metadata_companion(path: &Path) -> PathBuf {
    path.with_extension("metadata.jsonl")
}

/// The metadata that is being written.
pub(super) struct MetadataSink {
    file: TempFile,
}

impl MetadataSink {
    /// Begins the metadata of the vectors at `path`.
    pub(super) fn create(path: &Path) -> Result<MetadataSink, SinkError> {
        Ok(MetadataSink { file: TempFile::create(&metadata_companion(path))? })
    }

    /// Appends the lines of `rows` records.
    pub(super) fn write(
        &mut self,
        ids: Option<&Ids>,
        metadata: Option<&[Option<Value>]>,
        rows: usize,
    ) -> Result<(), SinkError> {
        for index in 0..rows {
            let metadata = metadata.and_then(|metadata| metadata[index].as_ref());
            let line = line(index, ids, metadata).map_err(|fault| SinkError::new(self.file.target(), fault))?;
            self.file.write(&line)?;
        }
        Ok(())
    }

    /// Completes the content, still under the temporary name.
    pub(super) fn complete(&mut self) -> Result<(), SinkError> {
        self.file.complete()
    }

    pub(super) fn rename(self) -> Result<(), SinkError> {
        self.file.rename()
    }
}

fn line(index: usize, ids: Option<&Ids>, metadata: Option<&Value>) -> Result<Vec<u8>, SinkFault> {
    let mut line = b"{".to_vec();
    if let Some(ids) = ids {
        line.extend(b"\"id\":");
        write_id(&mut line, ids, index)?;
        line.push(b',');
    }
    line.extend(b"\"metadata\":");
    match metadata {
        Some(metadata) => serde_json::to_writer(&mut line, metadata).map_err(|error| SinkFault::Io(error.into()))?,
        None => line.extend(b"{}"),
    }
    line.extend(b"}\n");
    Ok(line)
}

//! What stands beside a file of vectors that has no place for it: ids and metadata.

use std::path::Path;

use serde_json::Value;

use super::batch::Ids;
use super::ids_sink::IdsSink;
use super::metadata_sink::MetadataSink;
use super::sink::SinkOptions;
use super::sink_error::SinkError;
use super::temp_file::TempFile;

/// The files beside the vectors that are being written.
pub(super) struct Companions {
    ids: Option<IdsSink>,
    metadata: Option<MetadataSink>,
}

impl Companions {
    /// Begins those that the options ask for, of the vectors at `path`.
    pub(super) fn create(path: &Path, options: &SinkOptions) -> Result<Companions, SinkError> {
        let ids = IdsSink::create(path, options.ids)?;
        let metadata = (!options.fields.is_empty()).then(|| MetadataSink::create(path)).transpose()?;
        Ok(Companions { ids, metadata })
    }

    /// Appends what belongs to `rows` records.
    pub(super) fn write(
        &mut self,
        ids: Option<&Ids>,
        metadata: Option<&[Option<Value>]>,
        rows: usize,
    ) -> Result<(), SinkError> {
        if let (Some(sink), Some(ids)) = (&mut self.ids, ids) {
            sink.write(ids)?;
        }
        match &mut self.metadata {
            Some(sink) => sink.write(ids, metadata, rows),
            None => Ok(()),
        }
    }

    /// Makes these files appear, then that of the vectors. Everything that can fail for want of space comes before.
    pub(super) fn finish_with(mut self, mut file: TempFile) -> Result<(), SinkError> {
        file.complete()?;
        self.ids.as_mut().map_or(Ok(()), IdsSink::complete)?;
        self.metadata.as_mut().map_or(Ok(()), MetadataSink::complete)?;
        self.ids.map_or(Ok(()), IdsSink::rename)?;
        self.metadata.map_or(Ok(()), MetadataSink::rename)?;
        file.rename()
    }
}

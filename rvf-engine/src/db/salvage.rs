//! The front door of salvage: from a path, to a file of vectors.

use crate::ingest::{Exported, Format, Progress, Rows, export_rows, metadata_to_json};
use crate::salvage::{Salvaged, salvage};
use crate::{Error, Result};
use rvf_format::limits::PAGE;
use rvf_format::storage::{Access, FilePlace, Place, before_hole};
use std::path::Path;

/// [`salvage`] of the file at a path, which is only read: once, into memory, so that what is checked is what is written.
///
/// # Errors
/// [`Error::Io`]; those of [`salvage`].
pub fn salvage_path(path: impl AsRef<Path>) -> Result<Salvaged> {
    let path = path.as_ref();
    let storage = FilePlace.open(path, Access::Read).map_err(|error| Error::io("opening", path, error))?;
    // A hole at the end, of whatever size, is no reason to take memory.
    let end = |length| before_hole(storage.as_ref(), length).next_multiple_of(PAGE).min(length);
    let file = storage.len().and_then(|length| storage.read(end(length)));
    salvage(file.map_err(|error| Error::reading(path, error))?)
}

impl Salvaged {
    /// Writes every record to a file of vectors, as [`crate::Snapshot::export`] does, with the metadata that is known.
    ///
    /// ```
    /// use rvf_engine::{Db, Metric, Schema, salvage_path};
    /// use std::ops::ControlFlow;
    /// let folder = tempfile::tempdir()?;
    /// let (path, out) = (folder.path().join("a.rvf"), folder.path().join("a.jsonl"));
    /// Db::create(&path, &Schema::new(2, Metric::L2))?.add(&[0.5f32, 1.0])?;
    /// let done = salvage_path(&path)?.export(&out, None, &mut |_, _| ControlFlow::Continue(()))?;
    /// assert_eq!(done.exported, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Output`], [`Error::Interrupted`], [`Error::Truncated`]. The file does not appear then.
    pub fn export(&self, path: &Path, format: Option<Format>, progress: Progress<'_>) -> Result<Exported> {
        let fields = self.fields().clone();
        let source = Rows { schema: &self.schema, fields, total: self.count, check: &|| self.check() };
        let records = self.records().map(|(id, row, metadata)| {
            let metadata = metadata.filter(|metadata| !metadata.is_empty());
            Ok((id, row, metadata.as_ref().map(metadata_to_json)))
        });
        export_rows(&source, records, (path, format), progress)
    }
}

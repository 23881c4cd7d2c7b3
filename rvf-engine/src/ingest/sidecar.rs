//! Metadata from a file of its own: a line a record, in the order of the records.

use super::batch::{Element, IdKind, Ids, VectorBatch};
use super::error::InputError;
use super::jsonl::MetadataLines;
use super::{FileFault, VectorSource, input};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file of metadata that is read along with files of vectors: each line is `{"metadata":{..}}`, with an `"id"` if one likes, or the
/// fields alone.
pub struct Sidecar {
    lines: MetadataLines<Box<dyn Read + Send>>,
    path: PathBuf,
}

impl Sidecar {
    /// Opens it.
    ///
    /// # Errors
    /// The file is missing or a directory.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        Ok(Self::new(input::open_stream(path)?, path))
    }

    /// The same of any reader; `path` is for messages.
    pub fn new(reader: impl Read + Send + 'static, path: &Path) -> Self {
        Self { lines: MetadataLines::new(Box::new(reader), path), path: path.to_owned() }
    }

    /// Reads `source` with the metadata of the next lines.
    pub fn beside<'s>(&'s mut self, source: &'s mut dyn VectorSource) -> impl VectorSource + 's {
        WithMetadata { source, sidecar: self }
    }

    /// That all lines were read.
    ///
    /// # Errors
    /// There is one more; or it is malformed.
    pub fn finish(mut self) -> Result<(), InputError> {
        match self.lines.next()? {
            None => Ok(()),
            Some(_) => Err(InputError::of_file(&self.path, FileFault::MoreMetadata)),
        }
    }
}

struct WithMetadata<'s> {
    source: &'s mut dyn VectorSource,
    sidecar: &'s mut Sidecar,
}

impl VectorSource for WithMetadata<'_> {
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
        let Some(mut batch) = self.source.next_batch(max_rows)? else { return Ok(None) };
        if batch.metadata.iter().flatten().any(Option::is_some) {
            return Err(InputError::of_file(&self.sidecar.path, FileFault::MetadataTwice));
        }
        let mut metadata = Vec::with_capacity(batch.rows());
        for row in 0..batch.rows() {
            let Some((id, fields)) = self.sidecar.lines.next()? else {
                return Err(InputError::of_file(&self.sidecar.path, FileFault::LessMetadata));
            };
            // An id says whose line it is: another record's would go to the wrong one.
            let own = batch.ids.as_ref().map(|ids| text_of(ids, row));
            if let (Some(id), Some(own)) = (&id, own)
                && *id != own
            {
                return Err(self.sidecar.lines.wrong_id(id, &own));
            }
            metadata.push(fields);
        }
        batch.metadata = Some(metadata);
        Ok(Some(batch))
    }
}

fn text_of(ids: &Ids, row: usize) -> String {
    match ids {
        Ids::U64(ids) => ids.get(row).map(u64::to_string).unwrap_or_default(),
        Ids::Str(ids) => ids.get(row).cloned().unwrap_or_default(),
    }
}

//! Metadata from a file of its own: a line a record, in the order of the records.

use super::batch::{Element, IdKind, Ids, VectorBatch};
use super::error::InputError;
use super::jsonl::MetadataLines;
use super::{FileFault, VectorSource, input};
use std::cmp::Ordering;
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

    /// That the file at `path` has a line for each of `records` records, before any of them is stored. A pipe cannot be counted: then
    /// the import tells.
    ///
    /// # Errors
    /// It has fewer lines or more; it cannot be read.
    pub fn check_count(path: &Path, records: u64) -> Result<(), InputError> {
        if !path.is_file() {
            return Ok(());
        }
        let mut lines = MetadataLines::new(input::open_stream(path)?, path);
        let mut count = 0u64;
        while lines.skip()? {
            count += 1;
        }
        match count.cmp(&records) {
            Ordering::Equal => Ok(()),
            Ordering::Less => Err(InputError::of_file(path, FileFault::LessMetadata)),
            Ordering::Greater => Err(InputError::of_file(path, FileFault::MoreMetadata)),
        }
    }

    /// [`Sidecar::open`] of any reader; `path` is for messages.
    pub fn new(reader: impl Read + Send + 'static, path: &Path) -> Self {
        Self { lines: MetadataLines::new(Box::new(reader), path), path: path.to_owned() }
    }

    /// Reads `source` with the metadata of the next lines. A line with an id must be that of the record in its place: of `ids`, or of
    /// the file; where there are none, ids of lines must count with the records.
    pub fn beside<'s>(&'s mut self, source: &'s mut dyn VectorSource, ids: Option<&'s Ids>) -> impl VectorSource + 's {
        WithMetadata { source, sidecar: self, ids, first: None }
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
    ids: Option<&'s Ids>,
    /// The id that record 0 has by the first line with an id, where records have none of their own.
    first: Option<u64>,
}

impl WithMetadata<'_> {
    /// The id that the line of a record must have if it has one.
    fn expected(&mut self, batch: &VectorBatch, row: usize, given: &str) -> String {
        let record = batch.first_record + row as u64;
        if let Some(ids) = self.ids {
            return text_of(ids, usize::try_from(record).unwrap_or(usize::MAX));
        }
        if let Some(ids) = &batch.ids {
            return text_of(ids, row);
        }
        let counted = given.parse::<u64>().ok().and_then(|id| id.checked_sub(record));
        match self.first.or(counted) {
            Some(first) => {
                self.first = Some(first);
                first.saturating_add(record).to_string()
            }
            None => record.to_string(),
        }
    }
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
            if let Some(id) = &id {
                let own = self.expected(&batch, row, id);
                if *id != own {
                    return Err(self.sidecar.lines.wrong_id(id, &own));
                }
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

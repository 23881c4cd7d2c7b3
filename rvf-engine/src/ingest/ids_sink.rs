//! The ids beside a file that has no place for them, as an `.npy` array.
//!
//! Numbers are `<u8`. Strings are `<U`, each as wide as the widest: NumPy has no other text that it reads without
//! pickling. The width is known at the end only, so strings wait in a second temporary file.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::batch::{IdKind, Ids};
use super::npy_header::{Header, WRITTEN_BYTES};
use super::npy_sink::header_bytes;
use super::sink_error::{SinkError, SinkFault};
use super::temp_file::TempFile;

/// Where the ids of a file go that has no place for them: `NAME.ids.npy` beside `NAME.npy`, `NAME.fvecs` or
/// `NAME.bvecs`.
#[must_use]
pub fn ids_companion(path: &Path) -> PathBuf {
    path.with_extension("ids.npy")
}

/// The ids that are being written.
pub(super) struct IdsSink {
    file: TempFile,
    /// Strings in their order, each after its length as a u64.
    waiting: Option<TempFile>,
    count: u64,
    widest_chars: usize,
}

impl IdsSink {
    /// Begins the ids of the vectors at `path`, if there are to be any.
    pub(super) fn create(path: &Path, kind: Option<IdKind>) -> Result<Option<IdsSink>, SinkError> {
        let Some(kind) = kind else { return Ok(None) };
        let target = ids_companion(path);
        let mut file = TempFile::create(&target)?;
        file.write(&[0; WRITTEN_BYTES])?;
        let waiting = match kind {
            IdKind::U64 => None,
            IdKind::Str => Some(TempFile::create(&target)?),
        };
        Ok(Some(IdsSink { file, waiting, count: 0, widest_chars: 1 }))
    }

    pub(super) fn write(&mut self, ids: &Ids) -> Result<(), SinkError> {
        match (ids, &mut self.waiting) {
            (Ids::U64(ids), _) => {
                for id in ids {
                    self.file.write(&id.to_le_bytes())?;
                }
            }
            (Ids::Str(ids), Some(waiting)) => {
                for (row, id) in (self.count..).zip(ids) {
                    if id.ends_with('\0') {
                        return Err(SinkError::new(self.file.target(), SinkFault::IdEndsInNul { row }));
                    }
                    waiting.write(&(id.len() as u64).to_le_bytes())?;
                    waiting.write(id.as_bytes())?;
                    self.widest_chars = self.widest_chars.max(id.chars().count());
                }
            }
            (Ids::Str(_), None) => {
                let fault = SinkFault::IdKind { given: Some(IdKind::Str), wanted: Some(IdKind::U64) };
                return Err(SinkError::new(self.file.target(), fault));
            }
        }
        self.count += ids.len() as u64;
        Ok(())
    }

    /// Completes the content, still under the temporary name.
    pub(super) fn complete(&mut self) -> Result<(), SinkError> {
        let descr = match &mut self.waiting {
            None => "<u8".to_owned(),
            Some(waiting) => {
                widen(waiting, &mut self.file, self.count, self.widest_chars)?;
                format!("<U{}", self.widest_chars)
            }
        };
        let header = Header { descr, fortran: false, shape: vec![self.count] };
        let bytes = header_bytes(&header, self.file.target())?;
        self.file.rewrite_head(&bytes)?;
        self.file.complete()
    }

    pub(super) fn rename(self) -> Result<(), SinkError> {
        self.file.rename()
    }
}

/// Copies strings as UTF-32 of equal width.
fn widen(from: &mut TempFile, to: &mut TempFile, count: u64, widest_chars: usize) -> Result<(), SinkError> {
    let target = to.target().to_owned();
    let wrong = |error| SinkError::of_io(&target, error);
    let mut reader = BufReader::new(from.read_back()?);
    let mut row = Vec::new();
    for _ in 0..count {
        let mut len = [0; 8];
        reader.read_exact(&mut len).map_err(wrong)?;
        let mut id = String::new();
        reader.by_ref().take(u64::from_le_bytes(len)).read_to_string(&mut id).map_err(wrong)?;
        row.clear();
        row.extend(id.chars().flat_map(|letter| u32::from(letter).to_le_bytes()));
        row.resize(widest_chars * 4, 0);
        to.write(&row)?;
    }
    Ok(())
}

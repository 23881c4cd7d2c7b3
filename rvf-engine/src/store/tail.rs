//! The uncommitted tail of a file that is opened for writing: saved where it holds a manifest, then cut (`spec/commit.md`,
//! "Commit order", step 1).

use super::names::beside;
use super::snapshot::Snapshot;
use crate::{Error, Result};
use rvf_format::recover::Tail;
use rvf_format::storage::{Access, Bytes, Place, Storage};
use std::io;
use std::path::{Path, PathBuf};

/// What was done about an uncommitted tail when a file was opened for writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailReport {
    /// Bytes that were cut.
    pub length: u64,
    /// Where they were saved, because they hold a manifest.
    pub saved: Option<PathBuf>,
}

/// Bytes of a tail that are written at once, and left out where all are zero.
const PIECE: usize = 1 << 20;

/// Most copies of tails behind one epoch.
const MOST_COPIES: usize = 1000;

/// Cuts the tail that `snapshot` has seen. The caller syncs.
pub(super) fn cut(
    place: &dyn Place,
    path: &Path,
    storage: &dyn Storage,
    snapshot: &Snapshot,
    tail: Tail,
) -> Result<TailReport> {
    let saved = if tail.holds_manifest { Some(save(place, path, storage, snapshot.epoch(), tail)?) } else { None };
    let cut = storage.set_len(snapshot.root().end());
    cut.map_err(|error| Error::io("cutting the tail", path, error))?;
    Ok(TailReport { length: tail.length, saved })
}

/// Writes the tail to a file of its own. One that holds a beginning of the same bytes, from a recovery that was interrupted, is
/// written to its end instead.
fn save(place: &dyn Place, path: &Path, storage: &dyn Storage, epoch: u64, tail: Tail) -> Result<PathBuf> {
    let whole = storage.view(tail.start + tail.length).map_err(|error| Error::reading(path, error))?;
    let bytes = whole.slice(tail.start as usize, tail.length as usize).unwrap_or_else(|| Vec::new().into());
    let stem = beside(path, &format!(".tail-{epoch}"));
    for attempt in 0..MOST_COPIES {
        let name = if attempt == 0 { stem.clone() } else { beside(&stem, &format!(".{attempt}")) };
        let failed = |error| Error::io("saving the tail", &name, error);
        let storage = match place.open(&name, Access::CreateNew) {
            Ok(storage) => storage,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match begun(place, &name, &bytes) {
                Some(storage) => storage,
                None => continue,
            },
            Err(error) => return Err(failed(error)),
        };
        let written = copy(storage.as_ref(), &bytes).and_then(|()| storage.sync()).and_then(|()| place.sync_dir(&name));
        // What is there already can stay: the next attempt takes it up.
        return written.map(|()| name.clone()).map_err(failed);
    }
    Err(Error::io("saving the tail", &stem, io::Error::from(io::ErrorKind::AlreadyExists)))
}

/// Writes bytes from the start of a file on; what is zero stays a hole, as it may have been one.
fn copy(storage: &dyn Storage, bytes: &Bytes) -> io::Result<()> {
    for (index, piece) in bytes.chunks(PIECE).enumerate() {
        if piece.iter().any(|byte| *byte != 0) {
            storage.write_at(piece, (index * PIECE) as u64)?;
        }
    }
    storage.set_len(bytes.len() as u64)
}

/// The file at `name`, if it holds a beginning of `bytes`, or all of them.
fn begun(place: &dyn Place, name: &Path, bytes: &Bytes) -> Option<std::sync::Arc<dyn Storage>> {
    // A link leads to a file that is somebody else's.
    place.resolve(name).ok().filter(|resolved| resolved == name)?;
    let storage = place.open(name, Access::Write).ok()?;
    let length = storage.len().ok().filter(|length| *length <= bytes.len() as u64)?;
    let there = storage.view(length).ok()?;
    bytes.starts_with(&there).then_some(storage)
}

//! Compaction: a new file without what is dead, renamed over the old one (`spec/commit.md`, "History").
//!
//! ```text
//! kept epochs, oldest first:  [segments byte for byte] [entries sealed] [full manifest, root]
//! then the new epoch:         [small and holed VEC segments as new ones] [full manifest, root]
//! ```
//! Readers of the old file keep reading it; the lock moves to the new file before it gets the name.

use crate::Result;
use crate::store::compaction::{self, Reindex, Target};
use crate::store::{AUTOMATIC, Context, Snapshot, Store};
use rvf_format::storage::Place;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How to compact.
#[derive(Clone, Debug)]
pub struct CompactOptions {
    /// How many epochs stay open to [`crate::Snapshot::at_epoch`], the one that compaction makes included; at least 1. Pinned epochs
    /// stay in any case.
    pub keep: u64,
    /// Write the compacted file here and leave the store as it is.
    pub output: Option<PathBuf>,
}

impl Default for CompactOptions {
    fn default() -> Self {
        Self { keep: 1, output: None }
    }
}

/// What compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Size of the file before, bytes.
    pub before_bytes: u64,
    /// Size after, bytes.
    pub after_bytes: u64,
    /// The epoch that it made.
    pub epoch: u64,
}

/// A file that has this many times the bytes that are needed, and more, is due. What compaction writes is so at most 2.5 times
/// what was written since the last one. (The promise is 1.5 times.)
const MOST_SHARE: f64 = 1.4;
/// Below so many bytes that are not needed no compaction is due, however small the file: it costs the syncs of two commits.
const LEAST_GAIN: u64 = 1 << 20;

/// Whether so much of the file is not needed that a commit compacts it: never as long as records were only added, for then it is
/// the history that takes the place.
pub(crate) fn is_due(snapshot: &Snapshot) -> Result<bool> {
    let (bytes, lost) = (snapshot.root().end(), snapshot.has_lost_rows());
    if !lost || bytes < LEAST_GAIN {
        return Ok(false);
    }
    let needed = snapshot.needed_bytes()?;
    Ok(bytes.saturating_sub(needed) >= LEAST_GAIN && bytes as f64 > needed as f64 * MOST_SHARE)
}

/// Compacts the store: in place, or into the file that the options name. `reindex` is asked for graphs where those of before
/// cannot stay as they are.
pub(crate) fn compact(store: &mut Store, options: &CompactOptions, reindex: Reindex<'_>) -> Result<Compacted> {
    store.check_writable()?;
    if let Some(output) = &options.output {
        return compact_to(store.place.as_ref(), store.snapshot(), output, &store.context, options.keep, reindex);
    }
    replace(store, options.keep, "", reindex)
}

/// Compacts the store in place as nobody asked for: the newest epoch and the pinned ones stay, and the log says so.
pub(crate) fn compact_by_itself(store: &mut Store, reindex: Reindex<'_>) -> Result<Compacted> {
    store.check_writable()?;
    replace(store, CompactOptions::default().keep, AUTOMATIC, reindex)
}

fn replace(store: &mut Store, keep: u64, parameters: &str, reindex: Reindex<'_>) -> Result<Compacted> {
    let before = store.snapshot().clone();
    let target = write(Target::instead(store)?, &before, (&store.path, &store.context), keep, parameters, reindex)?;
    let (storage, after) = match target.publish() {
        Ok(published) => published,
        Err(failed) => {
            // Whichever file a crash leaves under the name, commits to this one might be lost with it.
            store.poisoned |= failed.moved;
            return Err(failed.error);
        }
    };
    let done = summary(&before, &after);
    store.storage = storage;
    store.snapshot = Arc::new(after);
    Ok(done)
}

/// Writes what `before` holds, compacted, to a new file. The old one is only read.
pub(crate) fn compact_to(
    place: &dyn Place,
    before: &Snapshot,
    output: &Path,
    context: &Context,
    keep: u64,
    reindex: Reindex<'_>,
) -> Result<Compacted> {
    let target = write(Target::beside(place, output)?, before, (output, context), keep, "", reindex)?;
    let (_, after) = target.publish().map_err(|failed| failed.error)?;
    Ok(summary(before, &after))
}

/// Writes the compacted file under its temporary name; removes it where that fails.
fn write<'a>(
    target: Target<'a>,
    before: &Snapshot,
    (path, context): (&Path, &Context),
    keep: u64,
    parameters: &str,
    reindex: Reindex<'_>,
) -> Result<Target<'a>> {
    let earlier = keep.max(1) - 1;
    let written = compaction::write_file(before, target.storage(), path, context, earlier, parameters, reindex);
    // What was copied was read from the file, not from where it was cut.
    match written.and_then(|_| before.check()) {
        Ok(()) => Ok(target),
        Err(error) => {
            target.discard();
            Err(error)
        }
    }
}

fn summary(before: &Snapshot, after: &Snapshot) -> Compacted {
    Compacted { before_bytes: before.root().end(), after_bytes: after.root().end(), epoch: after.epoch() }
}

//! Compaction: a new file without what is dead, renamed over the old one (`spec/commit.md`, "History").
//!
//! ```text
//! kept epochs, oldest first:  [segments byte for byte] [entries sealed] [full manifest, root]
//! then the new epoch:         [small and holed VEC segments as new ones] [full manifest, root]
//! ```
//! Readers of the old file keep reading it; the lock moves to the new file before it gets the name.

use crate::Result;
use crate::store::compaction::{self, Reindex, Target};
use crate::store::{Context, Snapshot, Store};
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

/// Compacts the store: in place, or into the file that the options name. `reindex` is asked for graphs where those of before
/// cannot stay as they are.
pub(crate) fn compact(store: &mut Store, options: &CompactOptions, reindex: Reindex<'_>) -> Result<Compacted> {
    store.check_writable()?;
    let before = store.snapshot().clone();
    if let Some(output) = &options.output {
        return compact_to(store.place.as_ref(), &before, output, &store.context, options.keep, reindex);
    }
    let target = write(Target::instead(store)?, &before, &store.path, &store.context, options.keep, reindex)?;
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
    let target = write(Target::beside(place, output)?, before, output, context, keep, reindex)?;
    let (_, after) = target.publish().map_err(|failed| failed.error)?;
    Ok(summary(before, &after))
}

/// Writes the compacted file under its temporary name; removes it where that fails.
fn write<'a>(
    target: Target<'a>,
    before: &Snapshot,
    path: &Path,
    context: &Context,
    keep: u64,
    reindex: Reindex<'_>,
) -> Result<Target<'a>> {
    let written = compaction::write_file(before, target.storage(), path, context, keep.max(1) - 1, reindex);
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

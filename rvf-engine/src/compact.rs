//! Compaction: a new file without what is dead, renamed over the old one (`spec/commit.md`, "History").
//!
//! ```text
//! kept epochs, oldest first:  [segments byte for byte] [entries sealed] [full manifest, root]
//! then the new epoch:         [small and holed VEC segments as new ones] [full manifest, root]
//! ```
//! Readers of the old file keep reading it; the lock moves to the new file before it gets the name.

use crate::Result;
use crate::store::{Store, compaction};
use std::path::PathBuf;

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

pub(crate) fn compact(store: &mut Store, options: &CompactOptions) -> Result<Compacted> {
    store.check_writable()?;
    let before = store.snapshot().clone();
    let before_bytes = before.root().end();
    let target = compaction::Target::create(store, options.output.as_deref())?;
    let written = compaction::write_file(&before, target.storage(), store, options.keep.max(1) - 1);
    match written {
        Ok(root) => {
            let after = target.publish(store)?;
            debug_assert_eq!(after, root.end());
            Ok(Compacted { before_bytes, after_bytes: after, epoch: root.epoch() })
        }
        Err(error) => {
            target.discard(store);
            Err(error)
        }
    }
}

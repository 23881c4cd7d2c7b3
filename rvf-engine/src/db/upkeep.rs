//! What follows a commit, and what it costs: space given back, the index renewed. A failure of either leaves the commit as it is.

use super::Db;
use crate::compact::{self, CompactOptions, Compacted};
use crate::index::{self, IndexProgress};
use crate::{Error, Result};
use std::ops::ControlFlow;

/// After a compaction that failed the file grows by this share before the next one is tried: it might write as much in vain.
const GROWTH_BEFORE_RETRY: f64 = 0.1;

impl Db {
    /// Compacts the file if that is due, which a commit does on its own unless [`super::OpenOptions::manual_compaction`] is set: if it
    /// is larger than 1.4 times what is needed of it and 1 MiB more than that, and something was replaced, deleted or changed since the
    /// last compaction. The newest epoch and the pinned ones stay; the log tells such a compaction from others.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # use std::ops::ControlFlow;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let open = OpenOptions { manual_compaction: true, ..OpenOptions::default() };
    /// let mut db = Db::create_with(
    ///     std::sync::Arc::new(rvf_format::storage::FilePlace),
    ///     &path,
    ///     &Schema::new(1024, Metric::L2),
    ///     &CreateOptions { open, ..CreateOptions::default() },
    /// )?;
    /// for round in 0..3 {
    ///     let mut batch = db.batch();
    ///     for id in 0..300 {
    ///         batch.put(id, &[round as f32; 1024])?;
    ///     }
    ///     batch.commit()?;
    /// }
    /// let done = db.compact_if_due(&mut |_, _| ControlFlow::Continue(()))?.ok_or("not due")?;
    /// assert!(done.after_bytes * 2 < done.before_bytes);
    /// assert!(db.snapshot().log(1)?[0].automatic);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Db::compact_with`]; [`Error::HardLinks`] for a file with several names.
    pub fn compact_if_due(&mut self, progress: IndexProgress<'_>) -> Result<Option<Compacted>> {
        if !compact::is_due(self.store.snapshot())? {
            return Ok(None);
        }
        let index = self.index;
        let reindex = &mut |before: &_, runs: &_| index::reindex(before, runs, &index, &mut *progress);
        compact::compact_by_itself(&mut self.store, reindex).map(Some)
    }

    /// Why the file was not compacted after the last commit, where it should have been. The commit itself stands; when the file
    /// has grown by a tenth, a commit tries again.
    pub fn compaction_error(&self) -> Option<&Error> {
        self.compaction_error.as_ref()
    }

    /// After a commit that changed rows. Space first: a compaction brings all rows under one graph as it is.
    pub(super) fn after_commit(&mut self) {
        self.give_space_back();
        if self.manual_index {
            return;
        }
        match self.fold(&mut |_, _| ControlFlow::Continue(())) {
            Ok(done) => {
                self.index_error = None;
                if done.written {
                    // The graphs of before are no longer needed.
                    self.give_space_back();
                }
            }
            Err(error) => self.index_error = Some(error),
        }
    }

    fn give_space_back(&mut self) {
        // Rows that move need another graph, which is the caller's to build where the index is.
        let snapshot = self.store.snapshot();
        let waits = self.manual_index && snapshot.graphs().len() > snapshot.inherited_graphs();
        let bytes = self.store.snapshot().root().end();
        if self.manual_compaction || waits || bytes < self.compact_from {
            return;
        }
        self.compaction_error = self.compact_if_due(&mut |_, _| ControlFlow::Continue(())).err();
        let failed = self.compaction_error.is_some();
        self.compact_from = if failed { bytes + (bytes as f64 * GROWTH_BEFORE_RETRY) as u64 } else { 0 };
    }

    /// Rewrites the file without what is dead: see [`CompactOptions`].
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// db.add(&[1.0f32, 2.0, 3.0, 4.0])?;
    /// db.delete(&[Id::U64(0)])?;
    /// let done = db.compact(&CompactOptions::default())?;
    /// assert!(done.after_bytes < done.before_bytes);
    /// assert!(db.snapshot().at_epoch(2).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Frozen`], [`Error::Poisoned`], [`Error::Io`], corruption.
    pub fn compact(&mut self, options: &CompactOptions) -> Result<Compacted> {
        self.compact_with(options, &mut |_, _| ControlFlow::Continue(()))
    }

    /// [`Db::compact`], told of the progress of building an index where one is built anew.
    ///
    /// # Errors
    /// Those of [`Db::compact`]; [`Error::Interrupted`].
    pub fn compact_with(&mut self, options: &CompactOptions, progress: IndexProgress<'_>) -> Result<Compacted> {
        let index = self.index;
        compact::compact(&mut self.store, options, &mut |before, runs| {
            index::reindex(before, runs, &index, &mut *progress)
        })
    }
}

//! The index as the front door sees it: renewed when that is due, and on demand.

use super::Db;
use crate::index::{self, IndexOptions, IndexProgress, Indexed, Scope};
use crate::{Error, Result, Snapshot};

impl Db {
    /// Brings all live rows under one graph, in one commit. Writes nothing where that is so already, less than a tenth of the graph
    /// died since and its bytes are those that were committed.
    /// A store of up to 1,000 records gets no graph: comparing them all is faster. Options that are not given stay as they are.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # use std::ops::ControlFlow;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// db.add(&(0..4000).map(|i| (i * 7919 % 4001) as f32).collect::<Vec<_>>())?;
    /// let done = db.index(&IndexOptions::default(), &mut |_, _| ControlFlow::Continue(()))?;
    /// assert_eq!((done.indexed, done.graphs, done.epoch), (2000, 1, 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::IndexOption`], [`Error::Interrupted`], corruption of what is read, and those of a commit.
    pub fn index(&mut self, options: &IndexOptions, progress: IndexProgress<'_>) -> Result<Indexed> {
        options.check(self.snapshot().schema())?;
        self.renew(Scope::All, options, progress)
    }

    /// Does what a commit does on its own unless [`super::OpenOptions::manual_index`] is set: makes a graph of rows that are in
    /// none, if they are many, together with graphs that are not much larger.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # use std::ops::ControlFlow;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// db.add(&[1.0f32, 2.0])?;
    /// assert!(!db.fold(&mut |_, _| ControlFlow::Continue(()))?.written);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Db::index`].
    pub fn fold(&mut self, progress: IndexProgress<'_>) -> Result<Indexed> {
        let options = self.index;
        self.renew(Scope::Due, &options, progress)
    }

    /// Why the index was not renewed after the last commit, where it should have been. The commit itself stands, and the
    /// next one tries again.
    pub fn index_error(&self) -> Option<&Error> {
        self.index_error.as_ref()
    }

    fn renew(&mut self, scope: Scope, options: &IndexOptions, progress: IndexProgress<'_>) -> Result<Indexed> {
        self.store.check_writable()?;
        let snapshot = self.snapshot();
        let planned = index::plan(&snapshot, scope, options)?;
        let mut edit = index::edit(&snapshot, &planned, options, progress)?;
        if edit.drafts.is_empty() && edit.removed.is_empty() {
            return Ok(summary(&snapshot, false));
        }
        edit.parameters = parameters(options);
        Ok(summary(&*self.store.commit(&edit)?, true))
    }
}

/// What the audit entry hashes: what the caller wished; threads change nothing.
fn parameters(options: &IndexOptions) -> String {
    let text = |value: Option<usize>| value.map_or("as before".to_owned(), |value| value.to_string());
    let code = options.code.map(|code| format!(" code={}", code.name())).unwrap_or_default();
    format!("m={} ef_construction={}{code}", text(options.m), text(options.ef_construction))
}

fn summary(snapshot: &Snapshot, written: bool) -> Indexed {
    let graphs = snapshot.graphs().len() as u64;
    Indexed { indexed: snapshot.indexed(), graphs, epoch: snapshot.epoch(), written }
}

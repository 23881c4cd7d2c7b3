//! The front door: [`Db`] writes a file, [`Shared`] lets many threads write it, [`Reader`] reads one, [`Batch`] gathers what one
//! commit is to do.
//!
//! | file | owns |
//! | --- | --- |
//! | `mod.rs` | [`Db`] and its options |
//! | `batch.rs` | [`Batch`] |
//! | `gathered.rs` | records and deletions between the door and a commit |
//! | `sweep.rs` | deletions by a range of ids or a filter, made deletions of ids |
//! | `shared.rs` | [`Shared`]: commits of several threads made one |
//! | `branches.rs` | branches: making, merging, freezing, flattening |
//! | `calibrate.rs` | the curve of effort, by queries of the caller's |
//! | `learning` | feedback, what is learned from it, searches that use it |
//! | `planning` | searches that are planned by what audits have shown |
//! | `indexing.rs` | the index: renewed when due, and on demand |
//! | `signing.rs` | signing what is there |
//! | `upkeep.rs` | what follows a commit; compaction |
//! | `reader.rs` | [`Reader`]; records read from a snapshot |
//! | `salvage.rs` | salvage, from a path to a file of vectors |

mod batch;
mod branches;
mod calibrate;
mod gathered;
mod indexing;
mod learning;
#[cfg(test)]
mod metadata_tests;
mod planning;
mod reader;
mod salvage;
mod shared;
mod signing;
mod sweep;
#[cfg(test)]
mod tests;
mod upkeep;

pub use batch::Batch;
pub use branches::{BranchOptions, Flattened, branch_path, flatten};
pub use learning::{
    Answer, Component, Feedback, GraphEdge, GraphNode, LearnOptions, Learned, LearnedInfo, LearnedSearch, Learning,
    MOST_HOPS, Moved, QueryId, Session, Soft, Study, Subgraph,
};
pub use planning::{AdaptivePlanner, ArmReport, Attending, Audited, PlannerOptions, PlannerReport, TemplateReport};
pub use reader::{ReadMode, ReadOptions, Reader, Record};
pub use salvage::salvage_path;
pub use shared::Shared;

use crate::index::IndexOptions;
use crate::ingest::door::{IdsRef, Rounding, Tally, Vectors};
use crate::ingest::{self, ImportOptions, Imported, VectorSource};
use crate::sign::Signer;
use crate::store::{Clock, Context, Id, Snapshot, Store, TailReport, first_items, random_file_id};
use crate::value::Metadata;
use crate::{Error, Result};
use rvf_format::Schema;
use rvf_format::payload::witness::Operation;
use rvf_format::storage::{FilePlace, Place};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How a file is created, beyond its schema.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// Name of the embedding model; stands in the file's facts.
    pub model: Option<String>,
    /// The file id; random unless given.
    pub file_id: Option<[u8; 16]>,
    /// Options of the handle.
    pub open: OpenOptions,
}

/// How a file is opened for writing.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Time of commits.
    pub clock: Clock,
    /// Who commits: stands in the audit entries.
    pub actor: String,
    /// How long to wait for another writer; not at all unless said otherwise.
    pub lock_wait: Duration,
    /// Folders to look for parents of branches in: see [`ReadOptions::parent_folders`].
    pub parent_folders: Vec<PathBuf>,
    /// Signs every commit of the handle, in that commit: a [`crate::SecretKey`].
    pub signer: Option<Arc<dyn Signer>>,
    /// How the index is built when a commit or a compaction renews it.
    pub index: IndexOptions,
    /// Leave the index to [`Db::index`] and [`Db::fold`]: commits do not renew it.
    pub manual_index: bool,
    /// Leave compaction to [`Db::compact`]: commits do not compact the file, and earlier epochs stay. Where only the index is manual, a file
    /// that has one is left as well.
    pub manual_compaction: bool,
}

impl OpenOptions {
    fn context(&self) -> Context {
        Context {
            clock: self.clock,
            actor: self.actor.clone(),
            lock_wait: self.lock_wait,
            parent_folders: self.parent_folders.clone(),
            signer: self.signer.clone(),
        }
    }
}

/// A file that this process may write. Holds the file's lock until it is dropped.
///
/// ```
/// use rvf_engine::{Db, Metric, Schema};
/// let folder = tempfile::tempdir()?;
/// let mut db = Db::create(folder.path().join("a.rvf"), &Schema::new(2, Metric::L2))?;
/// let done = db.add(&[1.0f32, 2.0, 3.0, 4.0])?;
/// assert_eq!((done.epoch, done.count), (2, 2));
/// db.delete(&[0.into()])?;
/// assert_eq!(db.snapshot().count(), 1);
/// assert_eq!(db.snapshot().at_epoch(2)?.count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Db {
    store: Store,
    tail: Option<TailReport>,
    index: IndexOptions,
    manual_index: bool,
    index_error: Option<Error>,
    manual_compaction: bool,
    compaction_error: Option<Error>,
    /// Below this size no compaction is tried.
    compact_from: u64,
}

/// What a commit did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Number of the commit; that of the last one where nothing was to be done. A compaction that follows it leaves no way back to it.
    pub epoch: u64,
    /// Live records after it.
    pub count: u64,
    /// Records that were given.
    pub accepted: u64,
    /// Records among them that replaced one with the same id, in the store or earlier in the batch.
    pub replaced: u64,
    /// Records deleted.
    pub deleted: u64,
    /// Ids to be deleted, or of which metadata was to be changed, that were not there.
    pub missing: u64,
    /// Records whose metadata was changed.
    pub updated: u64,
}

impl Db {
    /// Creates a file and opens it for writing.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let db = Db::create(&path, &Schema::new(384, Metric::Cosine))?;
    /// assert_eq!((db.snapshot().epoch(), db.snapshot().count()), (1, 0));
    /// assert!(matches!(Db::create(&path, &Schema::new(2, Metric::L2)), Err(Error::Exists { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Schema`], [`Error::Exists`], [`Error::Io`].
    pub fn create(path: impl AsRef<Path>, schema: &Schema) -> Result<Self> {
        Self::create_with(Arc::new(FilePlace), path, schema, &CreateOptions::default())
    }

    /// [`Db::create`] in a place of the caller's, with options.
    ///
    /// # Errors
    /// Those of [`Db::create`].
    pub fn create_with(
        place: Arc<dyn Place>,
        path: impl AsRef<Path>,
        schema: &Schema,
        options: &CreateOptions,
    ) -> Result<Self> {
        let path = path.as_ref();
        let file_id = match options.file_id {
            Some(id) => id,
            None => random_file_id(path)?,
        };
        let items = first_items(options.model.as_deref());
        options.open.index.check(schema)?;
        let store = Store::create(place, path, schema, &items, file_id, options.open.context())?;
        Ok(Self::new(store, None, &options.open))
    }

    /// Opens a file for writing. Says by [`Db::tail_report`] if an interrupted commit was cut.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// Db::create(&path, &Schema::new(2, Metric::L2))?.add(&[1.0f32, 2.0])?;
    /// let mut db = Db::open(&path)?;
    /// assert_eq!(db.add(&[3.0f32, 4.0])?.count, 2);
    /// assert!(matches!(Db::open(&path), Err(Error::Locked { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Io`], [`Error::NotRvf`], [`Error::PublishedRvf`], [`Error::Newer`], [`Error::NoRoot`],
    /// [`Error::Corrupt`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(Arc::new(FilePlace), path, &OpenOptions::default())
    }

    /// [`Db::open`] in a place of the caller's, with options.
    ///
    /// # Errors
    /// Those of [`Db::open`].
    pub fn open_with(place: Arc<dyn Place>, path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self> {
        // Before anything is cut; the codes can be held against the schema only then.
        options.index.check_ranges()?;
        let (store, tail) = Store::open(place, path.as_ref(), options.context())?;
        let db = Self::new(store, tail, options);
        options.index.check(db.snapshot().schema())?;
        Ok(db)
    }

    fn new(store: Store, tail: Option<TailReport>, options: &OpenOptions) -> Self {
        Self {
            store,
            tail,
            index: options.index,
            manual_index: options.manual_index,
            index_error: None,
            manual_compaction: options.manual_compaction,
            compaction_error: None,
            compact_from: 0,
        }
    }

    /// Opens a file for reading: see [`Reader::open`].
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// assert_eq!(Db::open_read_only(&path)?.count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Reader::open`].
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Reader> {
        Reader::open(path)
    }

    /// The newest commit: an immutable value to search and read, shared with any thread.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// let before = db.snapshot();
    /// db.add(&[1.0f32, 2.0])?;
    /// assert_eq!((before.count(), db.snapshot().count()), (0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.store.snapshot().clone()
    }

    /// What was cut when the file was opened, if anything was.
    pub fn tail_report(&self) -> Option<&TailReport> {
        self.tail.as_ref()
    }

    /// The path that the file was opened by.
    pub fn path(&self) -> &Path {
        self.store.path()
    }

    /// Begins a batch: what it gathers becomes one commit.
    pub fn batch(&mut self) -> Batch<'_> {
        Batch::alone(self)
    }

    /// Makes this a handle that any number of threads may write by: see [`Shared`].
    pub fn into_shared(self) -> Shared {
        Shared::new(self)
    }

    /// Adds row-major vectors in one commit, with ids that continue from the largest.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// let done = db.add(&vec![0.5f32; 2 * 3])?;
    /// assert_eq!((done.accepted, done.epoch), (3, 2));
    /// assert!(matches!(db.add(&[1.0f32, f32::NAN]), Err(Error::NotFinite { row: 0, component: 1 })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Batch::put`] and [`Batch::commit`]; [`Error::IdsMissing`] for a store with string ids.
    pub fn add<'v>(&mut self, vectors: impl Into<Vectors<'v>>) -> Result<Committed> {
        self.import(vectors.into(), None, Rounding::Refuse, Operation::IMPORT, "")
    }

    /// Stores row-major vectors in one commit, ids given or continuing from the largest. Borrows what it can: the way in for
    /// large batches. `parameters` is hashed into the audit entry.
    ///
    /// # Errors
    /// Those of [`Batch::put`] and [`Batch::commit`]; [`Error::IdCount`]; [`Error::IdsMissing`].
    pub fn import(
        &mut self,
        vectors: Vectors<'_>,
        ids: Option<IdsRef<'_>>,
        rounding: Rounding,
        operation: Operation,
        parameters: &str,
    ) -> Result<Committed> {
        self.import_with((vectors, &[]), ids, rounding, operation, parameters)
    }

    /// [`Db::import`] with the metadata of each row, or of none.
    ///
    /// # Errors
    /// Those of [`Db::import`]; [`Error::Field`].
    pub fn import_with(
        &mut self,
        rows: (Vectors<'_>, &[Metadata]),
        ids: Option<IdsRef<'_>>,
        rounding: Rounding,
        operation: Operation,
        parameters: &str,
    ) -> Result<Committed> {
        let tally = ingest::put(&mut self.store, rows, ids, rounding, operation, parameters)?;
        let done = committed(&self.snapshot(), tally);
        self.after_commit();
        Ok(done)
    }

    /// Stores what a file of vectors holds, a commit a batch. `path` is for messages; `progress` is asked between batches, and
    /// may stop the import there.
    ///
    /// ```
    /// use rvf_engine::ingest::{ImportOptions, open_source};
    /// use rvf_engine::{Db, Metric, Schema};
    /// use std::ops::ControlFlow;
    /// let folder = tempfile::tempdir()?;
    /// let input = folder.path().join("two.jsonl");
    /// std::fs::write(&input, "{\"id\":5,\"vector\":[1,0]}\n{\"id\":9,\"vector\":[0,1]}\n")?;
    /// let mut db = Db::create(folder.path().join("a.rvf"), &Schema::new(2, Metric::L2))?;
    /// let mut source = open_source(&input, None)?;
    /// let options = ImportOptions::default();
    /// let done = db.import_from(source.as_mut(), &input, &options, &mut |_, _| ControlFlow::Continue(()))?;
    /// assert_eq!((done.imported, done.count), (2, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InFile`] for what does not fit the store, with its place in the file; [`Error::Input`]; [`Error::IdsTwice`];
    /// [`Error::IdCount`]; [`Error::Interrupted`]; those of [`Batch::commit`]. Inside an [`Error::Partly`] where batches before
    /// were committed.
    pub fn import_from(
        &mut self,
        source: &mut dyn VectorSource,
        path: &Path,
        options: &ImportOptions,
        progress: ingest::Progress<'_>,
    ) -> Result<Imported> {
        let done = ingest::import(&mut self.store, source, path, options, progress)?;
        self.after_commit();
        Ok(done)
    }

    /// Removes the file again if it holds nothing but its creation; says whether it did.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn discard_if_new(self) -> Result<bool> {
        let fresh = self.store.snapshot().epoch() == 1;
        if fresh {
            let path = self.store.path();
            self.store.place.remove(path).map_err(|error| Error::io("removing", path, error))?;
        }
        Ok(fresh)
    }

    /// Deletes records in one commit; ids that are not there are counted. Commits nothing if none is there.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// db.add(&[1.0f32, 2.0])?;
    /// let done = db.delete(&[Id::U64(0), Id::U64(7)])?;
    /// assert_eq!((done.deleted, done.missing, done.count), (1, 1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::IdKind`]; those of [`Batch::commit`].
    pub fn delete(&mut self, ids: &[Id]) -> Result<Committed> {
        let mut batch = self.batch();
        for id in ids {
            batch.delete(id.clone())?;
        }
        batch.commit()
    }
}

fn committed(snapshot: &Snapshot, tally: Tally) -> Committed {
    Committed {
        epoch: snapshot.epoch(),
        count: snapshot.count(),
        accepted: tally.accepted,
        replaced: tally.replaced,
        deleted: tally.deleted,
        missing: tally.missing,
        updated: tally.updated,
    }
}

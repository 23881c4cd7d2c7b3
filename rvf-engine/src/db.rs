//! The front door: [`Db`] writes a file, [`Reader`] reads one, [`Batch`] gathers what one commit is to do.

use crate::compact::{self, CompactOptions, Compacted};
use crate::ingest::door::{self, IdsRef, Rounding, Tally, Upserts, Vectors};
use crate::ingest::{self, ImportOptions, Imported, VectorSource};
use crate::store::{Clock, Context, Id, RowId, Snapshot, Store, TailReport, first_items, random_file_id};
use crate::{Error, Result};
use half::f16;
use rvf_format::payload::witness::Operation;
use rvf_format::storage::{Access, FilePlace, Place};
use rvf_format::{Dtype, IdType, Schema};
use std::borrow::Cow;
use std::ops::Deref;
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
}

impl OpenOptions {
    fn context(&self) -> Context {
        Context { clock: self.clock, actor: self.actor.clone(), lock_wait: self.lock_wait }
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
}

/// What a commit did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Number of the commit; that of the last one where nothing was to be done.
    pub epoch: u64,
    /// Live records after it.
    pub count: u64,
    /// Records that were given.
    pub accepted: u64,
    /// Records among them that replaced one with the same id, in the store or earlier in the batch.
    pub replaced: u64,
    /// Records deleted.
    pub deleted: u64,
    /// Ids to be deleted that were not there.
    pub missing: u64,
}

impl Db {
    /// Creates a file and opens it for writing.
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
        let store = Store::create(place, path, schema, &items, file_id, options.open.context())?;
        Ok(Self { store, tail: None })
    }

    /// Opens a file for writing. Says by [`Db::tail_report`] if an interrupted commit was cut.
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
        let (store, tail) = Store::open(place, path.as_ref(), options.context())?;
        Ok(Self { store, tail })
    }

    /// Opens a file for reading: see [`Reader::open`].
    ///
    /// # Errors
    /// Those of [`Reader::open`].
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Reader> {
        Reader::open(path)
    }

    /// The newest commit: an immutable value to search and read, shared with any thread.
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
        Batch {
            db: self,
            rounding: Rounding::Refuse,
            vectors: Vec::new(),
            numbers: Vec::new(),
            texts: Vec::new(),
            deletes: Vec::new(),
        }
    }

    /// Adds row-major vectors in one commit, with ids that continue from the largest.
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
        let tally = ingest::put(&mut self.store, vectors, ids, rounding, operation, parameters)?;
        Ok(committed(&self.snapshot(), tally))
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
        ingest::import(&mut self.store, source, path, options, progress)
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
    /// # Errors
    /// [`Error::IdKind`]; those of [`Batch::commit`].
    pub fn delete(&mut self, ids: &[Id]) -> Result<Committed> {
        let mut batch = self.batch();
        for id in ids {
            batch.delete(id.clone())?;
        }
        batch.commit()
    }

    /// Rewrites the file without what is dead: see [`CompactOptions`].
    ///
    /// # Errors
    /// [`Error::Frozen`], [`Error::Poisoned`], [`Error::Io`], corruption.
    pub fn compact(&mut self, options: &CompactOptions) -> Result<Compacted> {
        compact::compact(&mut self.store, options)
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
    }
}

/// What one commit is to do. Nothing is written before [`Batch::commit`]; dropping a batch forgets it.
///
/// Later calls win: a record that is put twice is stored once, one that is put and then deleted not at all.
///
/// ```
/// use rvf_engine::{CreateOptions, Db, IdType, Metric, Schema};
/// let folder = tempfile::tempdir()?;
/// let schema = Schema { id_type: IdType::Str, ..Schema::new(2, Metric::Dot) };
/// let mut db = Db::create(folder.path().join("a.rvf"), &schema)?;
/// let mut batch = db.batch();
/// batch.put("intro", &[1.0, 0.0])?;
/// batch.put("intro", &[0.5, 0.5])?;
/// batch.delete("gone")?;
/// let done = batch.commit()?;
/// assert_eq!((done.count, done.replaced, done.missing), (1, 1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Batch<'d> {
    db: &'d mut Db,
    rounding: Rounding,
    vectors: Vec<u8>,
    numbers: Vec<u64>,
    texts: Vec<String>,
    /// Ids, and how many puts came before each.
    deletes: Vec<(Id, usize)>,
}

impl Batch<'_> {
    /// What to do with components that the store does not hold exactly; they are refused unless said otherwise.
    pub fn rounding(&mut self, rounding: Rounding) -> &mut Self {
        self.rounding = rounding;
        self
    }

    /// Adds a record, or replaces the one with the same id.
    ///
    /// # Errors
    /// [`Error::Dimension`], [`Error::NotFinite`], [`Error::ZeroVector`], [`Error::Precision`], [`Error::Element`],
    /// [`Error::IdKind`], [`Error::BadId`]. The batch stays as it was.
    pub fn put<'v>(&mut self, id: impl Into<Id>, vector: impl Into<Vectors<'v>>) -> Result<()> {
        let vector = vector.into();
        let schema = *self.db.store.snapshot().schema();
        if vector.len() != door::row_elements(&schema) {
            return Err(Error::Dimension { expected: schema.dimension, found: vector.len() });
        }
        let encoded = door::encode(&schema, vector, self.rounding)?;
        match id.into() {
            Id::U64(number) => {
                door::check_ids(&schema, IdsRef::U64(&[number]))?;
                self.numbers.push(number);
            }
            Id::Str(text) => {
                let texts = [text];
                door::check_ids(&schema, IdsRef::Str(&texts))?;
                self.texts.extend(texts);
            }
        }
        self.vectors.extend_from_slice(&encoded);
        Ok(())
    }

    /// Deletes a record: one of the store, and one that was put into this batch before.
    ///
    /// # Errors
    /// [`Error::IdKind`].
    pub fn delete(&mut self, id: impl Into<Id>) -> Result<()> {
        let id = id.into();
        let expected = self.db.store.snapshot().schema().id_type;
        if id.id_type() != expected {
            return Err(Error::IdKind { expected });
        }
        self.deletes.push((id, self.numbers.len().max(self.texts.len())));
        Ok(())
    }

    /// Makes the batch one commit, durable when this returns. A batch that changes nothing commits nothing.
    ///
    /// # Errors
    /// [`Error::Frozen`], [`Error::ReadOnlyFeature`], [`Error::Poisoned`], [`Error::TooLarge`], [`Error::Io`]; corruption found
    /// while looking ids up. The file holds its last commit then.
    pub fn commit(mut self) -> Result<Committed> {
        self.drop_deleted_puts();
        let snapshot = self.db.snapshot();
        let ids = match snapshot.schema().id_type {
            IdType::U64 => IdsRef::U64(&self.numbers),
            IdType::Str => IdsRef::Str(&self.texts),
        };
        let deletes: Vec<Id> = self.deletes.iter().map(|(id, _)| id.clone()).collect();
        let upserts = Upserts::new(snapshot.schema(), Cow::Borrowed(&self.vectors), ids)?;
        let operation = if ids.is_empty() { Operation::DELETE } else { Operation::IMPORT };
        let (edit, tally) = upserts.edit(&snapshot, operation, &deletes)?;
        if edit.dead.is_empty() && edit.rows.is_empty() {
            return Ok(committed(&snapshot, tally));
        }
        Ok(committed(&*self.db.store.commit(&edit)?, tally))
    }

    fn drop_deleted_puts(&mut self) {
        if self.deletes.iter().all(|(_, before)| *before == 0) {
            return;
        }
        let mut last_delete = std::collections::HashMap::new();
        for (id, before) in &self.deletes {
            last_delete.insert(id.clone(), *before);
        }
        let width = self.db.store.snapshot().schema().row_len();
        let gone = |id: Id, row: usize| last_delete.get(&id).is_some_and(|before| row < *before);
        let count = self.numbers.len().max(self.texts.len());
        let stays: Vec<bool> = (0..count)
            .map(|row| {
                let number = self.numbers.get(row).map(|number| Id::U64(*number));
                let id = number.or_else(|| self.texts.get(row).map(|text| Id::Str(text.clone())));
                id.is_none_or(|id| !gone(id, row))
            })
            .collect();
        let mut keep = stays.iter();
        self.numbers.retain(|_| keep.next().copied().unwrap_or(true));
        let mut keep = stays.iter();
        self.texts.retain(|_| keep.next().copied().unwrap_or(true));
        let rows = self.vectors.chunks(width).zip(&stays).filter(|(_, stays)| **stays);
        self.vectors = rows.flat_map(|(row, _)| row.to_vec()).collect();
    }
}

/// A file that is open for reading. Takes no lock; sees the commit that was the newest when it was opened or refreshed.
///
/// Dereferences to its [`Snapshot`].
pub struct Reader {
    place: Arc<dyn Place>,
    path: PathBuf,
    identity: (u64, u64),
    snapshot: Arc<Snapshot>,
}

impl Reader {
    /// Opens a file for reading, by mapping it.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NotRvf`], [`Error::PublishedRvf`], [`Error::Newer`], [`Error::NoRoot`], [`Error::Corrupt`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(Arc::new(FilePlace), path)
    }

    /// [`Reader::open`] in a place of the caller's.
    ///
    /// # Errors
    /// Those of [`Reader::open`].
    pub fn open_with(place: Arc<dyn Place>, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let (identity, snapshot) = open_newest(place.as_ref(), &path)?;
        Ok(Self { place, path, identity, snapshot: Arc::new(snapshot) })
    }

    /// Moves on to the newest commit; says whether it is another than before. On an error the reader stays where it was.
    ///
    /// # Errors
    /// Those of [`Reader::open`].
    pub fn refresh(&mut self) -> Result<bool> {
        let (identity, snapshot) = open_newest(self.place.as_ref(), &self.path)?;
        let moved = identity != self.identity || snapshot.epoch() != self.snapshot.epoch();
        if moved {
            (self.identity, self.snapshot) = (identity, Arc::new(snapshot));
        }
        Ok(moved)
    }

    /// The commit that this reader sees, to share with other threads.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.clone()
    }

    /// The path that the file was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for Reader {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

fn open_newest(place: &dyn Place, path: &Path) -> Result<((u64, u64), Snapshot)> {
    let storage = place.open(path, Access::Read).map_err(|error| Error::io("opening", path, error))?;
    let reading = |error| Error::io("reading", path, error);
    let identity = storage.identity().map_err(reading)?;
    let file = storage.len().and_then(|length| storage.view(length)).map_err(reading)?;
    Ok((identity, Snapshot::newest(file)?))
}

/// A record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its id.
    pub id: Id,
    /// Its components, each as the store holds it; bits of a binary store as its packed bytes.
    pub vector: Vec<f32>,
}

impl Snapshot {
    /// The record with this id; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::IdKind`]; corruption of segments that are touched.
    pub fn get(&self, id: &Id) -> Result<Option<Record>> {
        if id.id_type() != self.schema().id_type {
            return Err(Error::IdKind { expected: self.schema().id_type });
        }
        self.find(id.as_ref())?.map(|at| self.record(at)).transpose()
    }

    /// All live records in the order of their rows.
    ///
    /// ```
    /// use rvf_engine::{Db, Metric, Schema};
    /// let folder = tempfile::tempdir()?;
    /// let mut db = Db::create(folder.path().join("a.rvf"), &Schema::new(1, Metric::L2))?;
    /// db.add(&[5.0f32, 6.0])?;
    /// let vectors: Vec<f32> = db.snapshot().records()?.map(|record| record.map(|r| r.vector[0])).collect::<Result<_, _>>()?;
    /// assert_eq!(vectors, [5.0, 6.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Corruption of journals at once, of other segments when they are reached.
    pub fn records(&self) -> Result<impl Iterator<Item = Result<Record>> + '_> {
        Ok(self.live_rows()?.map(|at| self.record(at)))
    }

    /// Places of all live rows, in their order.
    pub(crate) fn live_rows(&self) -> Result<impl Iterator<Item = RowId> + '_> {
        let dead = self.dead()?;
        let all =
            self.parts().iter().enumerate().flat_map(|(part, source)| {
                (0..source.entry.rows.get()).map(move |row| RowId { part: part as u32, row })
            });
        let is_dead =
            |at: &RowId| dead.get(at.part as usize).and_then(Option::as_ref).is_some_and(|bits| bits.get(at.row));
        Ok(all.filter(move |at| !is_dead(at)))
    }

    fn record(&self, at: RowId) -> Result<Record> {
        let row = self.view(at.part)?.row(at.row);
        let vector = decode(self.schema().dtype, row);
        Ok(Record { id: Id::from(self.id_of(at)?), vector })
    }
}

fn decode(dtype: Dtype, row: &[u8]) -> Vec<f32> {
    match dtype {
        Dtype::F32 => row.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Dtype::F16 => row.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        Dtype::I8 => row.iter().map(|byte| f32::from(byte.cast_signed())).collect(),
        Dtype::U8 | Dtype::Binary => row.iter().map(|byte| f32::from(*byte)).collect(),
    }
}

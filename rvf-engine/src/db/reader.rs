//! [`Reader`]: a file that is open for reading; records read from a snapshot.

use super::OpenOptions;
use crate::compact::{Compacted, compact_to};
use crate::index::{IndexProgress, reindex};
use crate::ingest::{Exported, Format, Progress};
use crate::search::Matches;
use crate::store::{Id, Opening, RowId, Snapshot};
use crate::value::Metadata;
use crate::{Error, Result};
use half::f16;
use rvf_format::Dtype;
use rvf_format::storage::{FilePlace, Place};
use std::ops::{ControlFlow, Deref};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a file is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadMode {
    /// Mapped: nothing is read before it is touched. For files that no other program changes in place.
    #[default]
    Mapped,
    /// Read into memory as a whole, then verified, then used, so that nothing can change in between. For files from elsewhere and
    /// on shares. Takes the memory and the time of the whole file, at each refresh again.
    Verified,
}

/// How a file is opened for reading.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// How its bytes are read, and those of its parents.
    pub mode: ReadMode,
    /// Folders to look for parents of branches in, after where the branch says its parent is and its own folder. RVF_PARENT_PATH names
    /// more of them.
    pub parent_folders: Vec<PathBuf>,
    /// The state hash that the newest commit has to have: with [`ReadMode::Verified`], what is read is what was verified before, whatever
    /// became of the file in between.
    pub root_hash: Option<[u8; 32]>,
}

impl ReadOptions {
    fn check(&self, snapshot: &Snapshot) -> Result<()> {
        match self.root_hash {
            Some(expected) if expected != snapshot.root().state_hash => {
                Err(Error::OtherState { epoch: snapshot.epoch(), found: snapshot.root().state_hash })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn opening<'a>(&'a self, place: &'a dyn Place) -> Opening<'a> {
        Opening { place, folders: &self.parent_folders, verified: self.mode == ReadMode::Verified }
    }
}

/// A file that is open for reading. Takes no lock; sees the commit that was the newest when it was opened or refreshed.
///
/// Dereferences to its [`Snapshot`].
pub struct Reader {
    place: Arc<dyn Place>,
    path: PathBuf,
    options: ReadOptions,
    identity: (u64, u64),
    snapshot: Arc<Snapshot>,
}

impl Reader {
    /// Opens a file for reading, by mapping it.
    ///
    /// This assumes that no other program changes bytes of the file in place while it is open; writers of RVF never do. A file
    /// that is cut all the same ends in [`Error::Truncated`] if its length tells before the missing part is touched, or if the
    /// program called [`crate::contain_faults`]; else in a SIGBUS. Bytes that are overwritten in the middle are found by
    /// [`crate::verify_path`] and by nothing else. Where that does not do: [`Reader::open_verified`].
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NotRvf`], [`Error::PublishedRvf`], [`Error::Newer`], [`Error::NoRoot`], [`Error::Corrupt`],
    /// [`Error::Truncated`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(Arc::new(FilePlace), path, ReadMode::Mapped)
    }

    /// Opens a file for reading: reads it into memory, verifies all of it as [`crate::verify_path`] does, and uses these bytes
    /// only. An uncommitted tail is no reason to refuse, unless it holds a manifest (TAIL-2).
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// Db::create(&path, &Schema::new(2, Metric::L2))?.add(&[1.0f32, 2.0])?;
    /// assert_eq!(Reader::open_verified(&path)?.count(), 1);
    /// let mut bytes = std::fs::read(&path)?;
    /// bytes[0x4FFF] ^= 1;
    /// std::fs::write(&path, bytes)?;
    /// assert!(Reader::open(&path).is_ok() && matches!(Reader::open_verified(&path), Err(Error::Unsound { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Reader::open`]; [`Error::Unsound`].
    pub fn open_verified(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(Arc::new(FilePlace), path, ReadMode::Verified)
    }

    /// [`Reader::open`] or [`Reader::open_verified`] in a place of the caller's.
    ///
    /// # Errors
    /// Those of [`Reader::open_verified`].
    pub fn open_with(place: Arc<dyn Place>, path: impl AsRef<Path>, mode: ReadMode) -> Result<Self> {
        Self::open_as(place, path, &ReadOptions { mode, ..ReadOptions::default() })
    }

    /// [`Reader::open_with`], with folders to look for parents in.
    ///
    /// # Errors
    /// Those of [`Reader::open_verified`]; [`Error::Parent`] for a branch whose parent is not found, or is not the one recorded.
    pub fn open_as(place: Arc<dyn Place>, path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self> {
        let (path, options) = (path.as_ref().to_owned(), options.clone());
        let opening = options.opening(place.as_ref());
        let (identity, snapshot) = opening.alone(&path)?;
        options.check(&snapshot)?;
        let snapshot = opening.with_parents(&path, snapshot, None)?;
        Ok(Self { place, path, options, identity, snapshot: Arc::new(snapshot) })
    }

    /// Opens a file without its parents: what a branch holds itself can be looked at (its log, its map, what it needs); whatever asks for
    /// its records ends in [`Error::Parent`].
    ///
    /// # Errors
    /// Those of [`Reader::open_verified`].
    pub fn open_alone(place: Arc<dyn Place>, path: impl AsRef<Path>, options: &ReadOptions) -> Result<Arc<Snapshot>> {
        let (_, snapshot) = options.opening(place.as_ref()).alone(path.as_ref())?;
        Ok(Arc::new(snapshot))
    }

    /// Moves on to the newest commit, opened in the same mode; says whether it is another than before, or the same in a file that
    /// was cut and is whole again. On an error the reader stays where it was.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// let mut reader = Reader::open(&path)?;
    /// db.add(&[1.0f32, 2.0])?;
    /// assert_eq!(reader.count(), 0);
    /// assert!(reader.refresh()?);
    /// assert_eq!(reader.count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Reader::open_verified`].
    pub fn refresh(&mut self) -> Result<bool> {
        let opening = self.options.opening(self.place.as_ref());
        let (identity, snapshot) = opening.alone(&self.path)?;
        self.options.check(&snapshot)?;
        let snapshot = opening.with_parents(&self.path, snapshot, self.snapshot.parent())?;
        let other = identity != self.identity || snapshot.epoch() != self.snapshot.epoch();
        let moved = other || self.snapshot.check().is_err();
        if moved {
            (self.identity, self.snapshot) = (identity, Arc::new(snapshot));
        }
        Ok(moved)
    }

    /// Writes the newest `keep` epochs of the file, compacted, to a new file at `output`. The file itself is only read.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Io`], corruption of what is copied.
    pub fn compact_to(&self, output: &Path, keep: u64, options: &OpenOptions) -> Result<Compacted> {
        self.compact_to_with(output, keep, options, &mut |_, _| ControlFlow::Continue(()))
    }

    /// [`Reader::compact_to`], told of the progress of building an index where one is built anew.
    ///
    /// # Errors
    /// Those of [`Reader::compact_to`]; [`Error::Interrupted`].
    pub fn compact_to_with(
        &self,
        output: &Path,
        keep: u64,
        options: &OpenOptions,
        progress: IndexProgress<'_>,
    ) -> Result<Compacted> {
        compact_to(self.place.as_ref(), &self.snapshot, output, &options.context(), keep, &mut |before, runs| {
            reindex(before, runs, &options.index, &mut *progress)
        })
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

/// How many records are read between two looks at the file.
const BATCH: usize = 64;

/// A record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its id.
    pub id: Id,
    /// Its components, each as the store holds it; bits of a binary store as its packed bytes.
    pub vector: Vec<f32>,
    /// Its fields.
    pub metadata: Metadata,
}

impl Snapshot {
    /// The record with this id; `None` if there is none.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// db.add(&[1.0f32, 2.0])?;
    /// assert_eq!(db.snapshot().get(&Id::U64(0))?.map(|record| record.vector), Some(vec![1.0, 2.0]));
    /// assert_eq!(db.snapshot().get(&Id::U64(9))?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::IdKind`]; corruption of segments that are touched; [`Error::Truncated`].
    pub fn get(&self, id: &Id) -> Result<Option<Record>> {
        if id.id_type() != self.schema().id_type {
            return Err(Error::IdKind { expected: self.schema().id_type });
        }
        let found = self.find(id.as_ref());
        self.settle(found.and_then(|found| found.map(|at| self.record(at)).transpose()))
    }

    /// [`Snapshot::export`] of the records that a filter finds.
    ///
    /// # Errors
    /// Those of [`Snapshot::export`]; [`Error::OtherSnapshot`].
    pub fn export_matches(
        &self,
        matches: &Matches,
        path: &Path,
        format: Option<Format>,
        progress: Progress<'_>,
    ) -> Result<Exported> {
        matches.check(self)?;
        self.export_those(matches.rows(), matches.count(), (path, format), progress)
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
    /// Corruption of journals at once, of other segments when they are reached; [`Error::Truncated`] at any time.
    pub fn records(&self) -> Result<impl Iterator<Item = Result<Record>> + '_> {
        let mut rows = self.settle(self.live_rows())?;
        let batches = std::iter::from_fn(move || {
            let records: Vec<Result<Record>> = rows.by_ref().take(BATCH).map(|at| self.record(at)).collect();
            (!records.is_empty()).then(|| self.check().map_or_else(|error| vec![Err(error)], |()| records))
        });
        Ok(batches.flatten())
    }

    fn record(&self, at: RowId) -> Result<Record> {
        let row = self.view(at.part)?.row(at.row);
        let vector = decode(self.schema().dtype, row);
        Ok(Record { id: Id::from(self.id_of(at)?), vector, metadata: self.metadata_at(at)? })
    }
}

pub(super) fn decode(dtype: Dtype, row: &[u8]) -> Vec<f32> {
    match dtype {
        Dtype::F32 => row.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Dtype::F16 => row.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        Dtype::I8 => row.iter().map(|byte| f32::from(byte.cast_signed())).collect(),
        Dtype::U8 | Dtype::Binary => row.iter().map(|byte| f32::from(*byte)).collect(),
    }
}

//! [`Batch`]: what one commit is to do, and where it is committed.

use super::gathered::Gathered;
use super::{Committed, Db, Shared, committed};
#[cfg(doc)]
use crate::Error;
use crate::Result;
use crate::filter::Filter;
use crate::ingest::door::{Rounding, Vectors};
use crate::store::Id;
use crate::value::{Metadata, Value};
use std::ops::{Bound, RangeBounds};

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
    target: Target<'d>,
    rounding: Rounding,
    gathered: Gathered,
}

/// Who commits.
enum Target<'d> {
    Alone(&'d mut Db),
    Shared(&'d Shared),
}

impl<'d> Batch<'d> {
    pub(super) fn alone(db: &'d mut Db) -> Self {
        let gathered = Gathered::new(db.store.snapshot().schema());
        Self { target: Target::Alone(db), rounding: Rounding::Refuse, gathered }
    }

    pub(super) fn shared(shared: &'d Shared) -> Self {
        let gathered = Gathered::new(shared.schema());
        Self { target: Target::Shared(shared), rounding: Rounding::Refuse, gathered }
    }

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
        self.gathered.put(id.into(), vector.into(), Metadata::new(), self.rounding)
    }

    /// [`Batch::put`] with metadata. A record that is replaced loses what it had.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// let mut batch = db.batch();
    /// batch.put_with(7, &[1.0, 2.0], [("source", "mdn".into()), ("words", 40.into())])?;
    /// batch.commit()?;
    /// assert_eq!(db.snapshot().get(&7.into())?.ok_or("gone")?.metadata["words"], Value::I64(40));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Batch::put`]. Types of fields are checked by [`Batch::commit`].
    pub fn put_with<'v, N: Into<String>>(
        &mut self,
        id: impl Into<Id>,
        vector: impl Into<Vectors<'v>>,
        metadata: impl IntoIterator<Item = (N, Value)>,
    ) -> Result<()> {
        self.gathered.put(id.into(), vector.into(), collect(metadata), self.rounding)
    }

    /// Changes fields of a record, of the store or put into this batch before: sets those that are given, removes those that are
    /// null, and leaves the others and the vector as they are. A record that is not there is counted as missing.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// db.add(&[1.0f32, 2.0])?;
    /// let mut batch = db.batch();
    /// batch.update(0, [("lang", "en".into())])?;
    /// assert_eq!(batch.commit()?.updated, 1);
    /// assert_eq!(db.snapshot().metadata(&0.into())?.ok_or("gone")?["lang"], Value::from("en"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::IdKind`].
    pub fn update<N: Into<String>>(
        &mut self,
        id: impl Into<Id>,
        fields: impl IntoIterator<Item = (N, Value)>,
    ) -> Result<()> {
        self.gathered.update(id.into(), collect(fields))
    }

    /// Deletes a record: one of the store, and one that was put into this batch before.
    ///
    /// # Errors
    /// [`Error::IdKind`].
    pub fn delete(&mut self, id: impl Into<Id>) -> Result<()> {
        self.gathered.delete(id.into())
    }

    /// Deletes the records whose ids lie in a range: those of the store and those that were put into this batch before. None needs to be
    /// there; nothing is counted as missing.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(1, Metric::L2))?;
    /// db.add(&[0.0f32, 1.0, 2.0, 3.0, 4.0])?;
    /// let mut batch = db.batch();
    /// batch.delete_range(1..3)?;
    /// batch.delete_range(4..)?;
    /// let done = batch.commit()?;
    /// assert_eq!((done.deleted, done.missing, done.count), (3, 0, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::IdKind`].
    pub fn delete_range<I: Into<Id> + Clone>(&mut self, ids: impl RangeBounds<I>) -> Result<()> {
        let owned = |bound: Bound<&I>| bound.map(|id| id.clone().into());
        self.gathered.delete_range(owned(ids.start_bound()), owned(ids.end_bound()))
    }

    /// Deletes the records that a filter finds when the batch is committed: those of the store as the calls before this one leave them.
    /// A record that was put into this batch is found by the metadata that it was given there; one that a later call puts stays.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # use rvf_engine::filter::Filter;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(1, Metric::L2))?;
    /// let mut batch = db.batch();
    /// batch.put_with(1, &[0.0], [("lang", "en".into())])?;
    /// batch.put_with(2, &[1.0], [("lang", "de".into())])?;
    /// batch.commit()?;
    /// let mut batch = db.batch();
    /// batch.update(2, [("lang", "en".into())])?;
    /// batch.delete_where(&Filter::parse("lang = 'en'")?);
    /// batch.put(1, &[2.0])?;
    /// assert_eq!(batch.commit()?.count, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`Batch::commit`] gives [`Error::Filter`] for a test that does not go with the type of its field, and [`Error::UnknownField`] for a
    /// field that no record has: it would be null in all of them.
    pub fn delete_where(&mut self, filter: &Filter) {
        self.gathered.delete_where(filter.clone());
    }

    /// Makes the batch one commit, or part of one that several threads share; durable when this returns. A batch that changes
    /// nothing commits nothing.
    ///
    /// # Errors
    /// [`Error::Field`]; [`Error::Filter`], [`Error::UnknownField`]; [`Error::Frozen`], [`Error::ReadOnlyFeature`], [`Error::Poisoned`], [`Error::TooLarge`], [`Error::Io`]; corruption found
    /// while looking ids up. The file holds its last commit then. From a [`Shared`] handle all of them inside an
    /// [`Error::Group`].
    pub fn commit(self) -> Result<Committed> {
        let db = match self.target {
            Target::Alone(db) => db,
            Target::Shared(shared) => return shared.commit(self.gathered),
        };
        let (tally, changed) = self.gathered.write(&mut db.store)?;
        let done = committed(db.store.snapshot(), tally);
        if changed {
            db.after_commit();
        }
        Ok(done)
    }
}

fn collect<N: Into<String>>(fields: impl IntoIterator<Item = (N, Value)>) -> Metadata {
    fields.into_iter().map(|(name, value)| (name.into(), value)).collect()
}

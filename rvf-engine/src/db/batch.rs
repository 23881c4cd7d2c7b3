//! [`Batch`]: what one commit is to do.

use super::{Committed, Db, committed};
use crate::ingest::door::{self, IdsRef, Rounding, Upserts, Vectors};
use crate::store::Id;
use crate::{Error, Result};
use rvf_format::IdType;
use rvf_format::payload::witness::Operation;
use std::borrow::Cow;

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

impl<'d> Batch<'d> {
    pub(super) fn new(db: &'d mut Db) -> Self {
        Self {
            db,
            rounding: Rounding::Refuse,
            vectors: Vec::new(),
            numbers: Vec::new(),
            texts: Vec::new(),
            deletes: Vec::new(),
        }
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
        let done = committed(&*self.db.store.commit(&edit)?, tally);
        self.db.after_commit();
        Ok(done)
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

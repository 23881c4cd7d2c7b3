//! [`Gathered`]: records and deletions that passed the door and wait for a commit. Owns no file.

use crate::Error;
use crate::Result;
use crate::ingest::door::{self, IdsRef, Rounding, Tally, Upserts, Vectors};
use crate::store::{Id, Snapshot, Store};
use rvf_format::payload::vec::IdRef;
use rvf_format::payload::witness::Operation;
use rvf_format::{IdType, Schema};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Puts and deletions in the order of their calls, checked and encoded for one schema.
#[derive(Debug)]
pub(super) struct Gathered {
    schema: Schema,
    vectors: Vec<u8>,
    numbers: Vec<u64>,
    texts: Vec<String>,
    /// Ids, and how many puts came before each.
    deletes: Vec<(Id, usize)>,
}

impl Gathered {
    pub(super) fn new(schema: &Schema) -> Self {
        Self { schema: *schema, vectors: Vec::new(), numbers: Vec::new(), texts: Vec::new(), deletes: Vec::new() }
    }

    /// Takes a record, or leaves all as it was.
    pub(super) fn put(&mut self, id: Id, vector: Vectors<'_>, rounding: Rounding) -> Result<()> {
        if vector.len() != door::row_elements(&self.schema) {
            return Err(Error::Dimension { expected: self.schema.dimension, found: vector.len() });
        }
        let encoded = door::encode(&self.schema, vector, rounding)?;
        match id {
            Id::U64(number) => {
                door::check_ids(&self.schema, IdsRef::U64(&[number]))?;
                self.numbers.push(number);
            }
            Id::Str(text) => {
                let texts = [text];
                door::check_ids(&self.schema, IdsRef::Str(&texts))?;
                self.texts.extend(texts);
            }
        }
        self.vectors.extend_from_slice(&encoded);
        Ok(())
    }

    /// Takes a deletion.
    pub(super) fn delete(&mut self, id: Id) -> Result<()> {
        let expected = self.schema.id_type;
        if id.id_type() != expected {
            return Err(Error::IdKind { expected });
        }
        self.deletes.push((id, self.puts()));
        Ok(())
    }

    /// What `later` gathered comes after what this one did.
    pub(super) fn append(&mut self, mut later: Gathered) {
        let before = self.puts();
        self.vectors.append(&mut later.vectors);
        self.numbers.append(&mut later.numbers);
        self.texts.append(&mut later.texts);
        self.deletes.extend(later.deletes.into_iter().map(|(id, puts)| (id, before + puts)));
    }

    /// Number of puts.
    fn puts(&self) -> usize {
        self.numbers.len().max(self.texts.len())
    }

    /// Bytes of vectors that wait here.
    pub(super) fn bytes(&self) -> usize {
        self.vectors.len()
    }

    fn ids(&self) -> IdsRef<'_> {
        match self.schema.id_type {
            IdType::U64 => IdsRef::U64(&self.numbers),
            IdType::Str => IdsRef::Str(&self.texts),
        }
    }

    /// Makes this the next commit; commits nothing where nothing would change. What it did in numbers, and whether it committed.
    pub(super) fn write(mut self, store: &mut Store) -> Result<(Tally, bool)> {
        self.settle();
        let snapshot = store.snapshot().clone();
        let deletes: Vec<Id> = std::mem::take(&mut self.deletes).into_iter().map(|(id, _)| id).collect();
        let upserts = Upserts::new(&self.schema, Cow::Borrowed(&self.vectors), self.ids())?;
        let operation = if self.puts() == 0 { Operation::DELETE } else { Operation::IMPORT };
        let (edit, tally) = upserts.edit(&snapshot, operation, &deletes)?;
        let changes = !(edit.dead.is_empty() && edit.rows.is_empty());
        if changes {
            store.commit(&edit)?;
        }
        Ok((tally, changes))
    }

    /// Drops puts that a later call deletes. What is put and stays is put after all deletions of its id.
    pub(super) fn settle(&mut self) {
        if self.deletes.iter().all(|(_, before)| *before == 0) {
            return;
        }
        let mut last_delete = HashMap::new();
        for (id, before) in &self.deletes {
            last_delete.insert(id.as_ref(), *before);
        }
        let gone = |id: &IdRef<'_>, row: usize| last_delete.get(id).is_some_and(|before| row < *before);
        let ids = self.ids();
        let stays: Vec<bool> = (0..self.puts()).map(|row| ids.get(row).is_none_or(|id| !gone(&id, row))).collect();
        let rows = self.vectors.chunks(self.schema.row_len().max(1)).zip(&stays).filter(|(_, stays)| **stays);
        self.vectors = rows.flat_map(|(row, _)| row).copied().collect();
        let mut keep = stays.iter();
        self.numbers.retain(|_| keep.next().copied().unwrap_or(true));
        let mut keep = stays.iter();
        self.texts.retain(|_| keep.next().copied().unwrap_or(true));
        self.deletes.iter_mut().for_each(|(_, before)| *before = 0);
    }
}

/// What each of these would do, in numbers, if they were committed one after another on top of `snapshot`. All are settled.
///
/// # Errors
/// Corruption found while looking ids up.
pub(super) fn tallies(snapshot: &Snapshot, requests: &[Gathered]) -> Result<Vec<Tally>> {
    let mut there = HashMap::new();
    let mut tallies = Vec::with_capacity(requests.len());
    for request in requests {
        let ids = request.ids();
        let put: HashSet<IdRef<'_>> = (0..ids.len()).filter_map(|row| ids.get(row)).collect();
        let deletes = || request.deletes.iter().map(|(id, _)| id.as_ref());
        let deleted: HashSet<IdRef<'_>> = deletes().collect();
        for id in put.union(&deleted) {
            if !there.contains_key(id) {
                there.insert(*id, snapshot.find(*id)?.is_some());
            }
        }
        let is_there = |id: &IdRef<'_>| there.get(id).copied().unwrap_or(false);
        tallies.push(Tally {
            accepted: ids.len() as u64,
            replaced: (ids.len() - put.iter().filter(|id| !is_there(id)).count()) as u64,
            deleted: deleted.difference(&put).filter(|id| is_there(id)).count() as u64,
            missing: deletes().filter(|id| !is_there(id)).count() as u64,
        });
        there.extend(deleted.into_iter().map(|id| (id, false)));
        there.extend(put.into_iter().map(|id| (id, true)));
    }
    Ok(tallies)
}

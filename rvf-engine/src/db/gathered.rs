//! [`Gathered`]: records, changes of metadata and deletions that passed the door and wait for a commit. Owns no file.

use super::sweep::{Sweep, Swept};
use crate::filter::Filter;
use crate::ingest::door::{self, IdsRef, Rounding, Tally, Upserts, Vectors};
use crate::ingest::{Admission, FieldFault};
use crate::store::{Edit, Id, Snapshot, Store};
use crate::value::{Metadata, Value, same_metadata};
use crate::{Error, Result};
use rvf_format::payload::vec::IdRef;
use rvf_format::payload::witness::Operation;
use rvf_format::{IdType, Schema};
use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;

/// Puts and deletions in the order of their calls, checked and encoded for one schema.
#[derive(Debug)]
pub(super) struct Gathered {
    schema: Schema,
    vectors: Vec<u8>,
    numbers: Vec<u64>,
    texts: Vec<String>,
    /// Of each put.
    pub(super) metadata: Vec<Metadata>,
    /// Ids, and how many puts came before each.
    pub(super) deletes: Vec<(Id, usize)>,
    pub(super) updates: Vec<Update>,
    /// Until it is known what the store holds.
    pub(super) sweeps: Vec<Sweep>,
    /// Updates that went into a put of this batch.
    merged: u64,
    /// Updates of what this batch had deleted.
    missed: u64,
    /// Deletions, by sweeps, of what only this batch had put.
    pub(super) found_in_batch: u64,
    bytes: usize,
}

/// A change of metadata.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) id: Id,
    /// Null ones are to be removed.
    pub(super) fields: Metadata,
    /// Puts and deletions that came before it.
    pub(super) puts: usize,
    pub(super) deletes: usize,
}

impl Gathered {
    pub(super) fn new(schema: &Schema) -> Self {
        Self {
            schema: *schema,
            vectors: Vec::new(),
            numbers: Vec::new(),
            texts: Vec::new(),
            metadata: Vec::new(),
            deletes: Vec::new(),
            updates: Vec::new(),
            sweeps: Vec::new(),
            merged: 0,
            missed: 0,
            found_in_batch: 0,
            bytes: 0,
        }
    }

    /// Takes a record, or leaves all as it was.
    pub(super) fn put(
        &mut self,
        id: Id,
        vector: Vectors<'_>,
        mut metadata: Metadata,
        rounding: Rounding,
    ) -> Result<()> {
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
        metadata.retain(|_, value| *value != Value::Null);
        self.bytes += size_of_fields(&metadata);
        self.metadata.push(metadata);
        Ok(())
    }

    /// Takes a change of metadata.
    pub(super) fn update(&mut self, id: Id, fields: Metadata) -> Result<()> {
        let expected = self.schema.id_type;
        if id.id_type() != expected {
            return Err(Error::IdKind { expected });
        }
        self.bytes += size_of_fields(&fields);
        self.updates.push(Update { id, fields, puts: self.puts(), deletes: self.deletes.len() });
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

    /// Takes a deletion of a range of ids.
    pub(super) fn delete_range(&mut self, from: Bound<Id>, to: Bound<Id>) -> Result<()> {
        let expected = self.schema.id_type;
        let fits = |bound: &Bound<Id>| match bound {
            Bound::Included(id) | Bound::Excluded(id) => id.id_type() == expected,
            Bound::Unbounded => true,
        };
        if !(fits(&from) && fits(&to)) {
            return Err(Error::IdKind { expected });
        }
        self.sweep(Swept::Range(from, to));
        Ok(())
    }

    /// Takes a deletion of what a filter finds.
    pub(super) fn delete_where(&mut self, filter: Filter) {
        self.sweep(Swept::Filter(filter));
    }

    fn sweep(&mut self, swept: Swept) {
        let (puts, deletes, updates) = (self.puts(), self.deletes.len(), self.updates.len());
        self.sweeps.push(Sweep { swept, puts, deletes, updates });
    }

    /// Whether it is known only at the commit what this deletes.
    pub(super) fn sweeps(&self) -> bool {
        !self.sweeps.is_empty()
    }

    /// Whether a record or a change has a field of this name.
    pub(super) fn gives(&self, field: &str) -> bool {
        let all = self.metadata.iter().chain(self.updates.iter().map(|update| &update.fields));
        all.into_iter().any(|metadata| metadata.contains_key(field))
    }

    /// What `later` gathered comes after what this one did. Both are resolved.
    pub(super) fn append(&mut self, mut later: Gathered) {
        let (before, deletes) = (self.puts(), self.deletes.len());
        let shifted =
            |update: Update| Update { puts: before + update.puts, deletes: deletes + update.deletes, ..update };
        self.updates.extend(later.updates.into_iter().map(shifted));
        self.metadata.append(&mut later.metadata);
        self.merged += later.merged;
        self.missed += later.missed;
        self.found_in_batch += later.found_in_batch;
        self.bytes += later.bytes;
        self.vectors.append(&mut later.vectors);
        self.numbers.append(&mut later.numbers);
        self.texts.append(&mut later.texts);
        self.deletes.extend(later.deletes.into_iter().map(|(id, puts)| (id, before + puts)));
    }

    /// Number of puts.
    fn puts(&self) -> usize {
        self.numbers.len().max(self.texts.len())
    }

    /// Bytes of vectors and metadata that wait here.
    pub(super) fn bytes(&self) -> usize {
        self.vectors.len() + self.bytes
    }

    /// Whether the fields go in beside those that `admission` knows, which knows them then.
    pub(super) fn admit(&self, admission: &mut Admission<'_>) -> Result<()> {
        let all = self.metadata.iter().chain(self.updates.iter().map(|update| &update.fields));
        admission.admit_all(all.enumerate().map(|(row, metadata)| (row as u64, metadata)))
    }

    pub(super) fn ids(&self) -> IdsRef<'_> {
        match self.schema.id_type {
            IdType::U64 => IdsRef::U64(&self.numbers),
            IdType::Str => IdsRef::Str(&self.texts),
        }
    }

    /// Makes this the next commit; commits nothing where nothing would change. What it did in numbers, and whether it committed.
    pub(super) fn write(mut self, store: &mut Store) -> Result<(Tally, bool)> {
        let snapshot = store.snapshot().clone();
        self.resolve(&snapshot)?;
        self.settle();
        let deletes: Vec<Id> = self.deletes.iter().map(|(id, _)| id.clone()).collect();
        let upserts =
            Upserts::new(&self.schema, Cow::Borrowed(&self.vectors), self.ids())?.with_metadata(&self.metadata);
        let operation = match (self.puts(), deletes.len()) {
            (0, 0) => Operation::UPDATE,
            (0, _) => Operation::DELETE,
            _ => Operation::IMPORT,
        };
        let (mut edit, mut tally) = upserts.edit(&snapshot, operation, &deletes)?;
        tally.updated = self.merged;
        tally.missing = (tally.missing + self.missed).saturating_sub(self.found_in_batch);
        self.write_updates(&snapshot, &mut edit, &mut tally)?;
        let changes = !(edit.dead.is_empty() && edit.rows.is_empty() && edit.changed.is_empty());
        if changes {
            store.commit(&edit)?;
        }
        Ok((tally, changes))
    }

    /// Adds what updates make of records of the store, all fields of each, as a DELTA.
    fn write_updates(&self, snapshot: &Snapshot, edit: &mut Edit<'_>, tally: &mut Tally) -> Result<()> {
        let mut changed: BTreeMap<u64, (Metadata, Metadata)> = BTreeMap::new();
        for update in &self.updates {
            let Some(at) = snapshot.find(update.id.as_ref())? else {
                tally.missing += 1;
                continue;
            };
            tally.updated += 1;
            let row = snapshot.global_row(at);
            if edit.dead.binary_search(&row).is_ok() {
                continue;
            }
            let (_, after) = match changed.entry(row) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let before = snapshot.settle(snapshot.intact_metadata_at(at))?;
                    new.insert((before.clone(), before))
                }
            };
            merge(after, &update.fields);
        }
        changed.retain(|_, (before, after)| !same_metadata(before, after));
        if changed.is_empty() {
            return Ok(());
        }
        let records = changed.values().enumerate().map(|(row, (_, after))| (row as u64, after));
        let columns = Admission::new(snapshot)?.columns(records).map_err(|error| match error {
            Error::Field { row, field, fault } => of_record(snapshot, changed.keys().nth(row as usize), field, fault),
            other => other,
        })?;
        edit.changed = changed.into_keys().collect();
        edit.drafts.push(columns.draft(0, Some(&edit.changed))?);
        Ok(())
    }

    /// Lets updates go into the puts of this batch that they change; those of what it deleted before find nothing.
    fn settle_updates(&mut self) {
        if self.updates.is_empty() {
            return;
        }
        let updates = std::mem::take(&mut self.updates);
        let mut kept = Vec::new();
        let mut puts: HashMap<Id, Vec<usize>> = HashMap::new();
        let mut deletes: HashMap<Id, Vec<(usize, usize)>> = HashMap::new();
        let ids = self.ids();
        for (row, id) in (0..ids.len()).filter_map(|row| Some((row, ids.get(row)?))) {
            puts.entry(Id::from(id)).or_default().push(row);
        }
        for (index, (id, before)) in self.deletes.iter().enumerate() {
            deletes.entry(id.clone()).or_default().push((index, *before));
        }
        for update in updates {
            let rows = puts.get(&update.id).map(Vec::as_slice).unwrap_or_default();
            let put = rows.iter().rev().find(|row| **row < update.puts).copied();
            let deleted = deletes.get(&update.id).is_some_and(|deletes| {
                let since =
                    |(index, before): &(usize, usize)| *index < update.deletes && put.is_none_or(|row| row < *before);
                deletes.iter().any(since)
            });
            match (deleted, put.and_then(|row| self.metadata.get_mut(row))) {
                (true, _) => self.missed += 1,
                (false, Some(metadata)) => {
                    merge(metadata, &update.fields);
                    self.merged += 1;
                }
                // No put of it comes before; so it stays when others are dropped.
                (false, None) => kept.push(Update { puts: 0, ..update }),
            }
        }
        self.updates = kept;
    }

    /// Drops puts that a later call deletes. What is put and stays is put after all deletions of its id.
    pub(super) fn settle(&mut self) {
        self.settle_updates();
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
        self.metadata.retain(|_| keep.next().copied().unwrap_or(true));
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
        let updated: HashSet<IdRef<'_>> = request.updates.iter().map(|update| update.id.as_ref()).collect();
        for id in put.union(&deleted).chain(&updated) {
            if !there.contains_key(id) {
                there.insert(*id, snapshot.find(*id)?.is_some());
            }
        }
        let is_there = |id: &IdRef<'_>| there.get(id).copied().unwrap_or(false);
        let found = request.updates.iter().filter(|update| is_there(&update.id.as_ref())).count() as u64;
        tallies.push(Tally {
            accepted: ids.len() as u64,
            replaced: (ids.len() - put.iter().filter(|id| !is_there(id)).count()) as u64,
            deleted: deleted.difference(&put).filter(|id| is_there(id)).count() as u64,
            missing: (deletes().filter(|id| !is_there(id)).count() as u64).saturating_sub(request.found_in_batch)
                + request.missed
                + (request.updates.len() as u64 - found),
            updated: request.merged + found,
        });
        there.extend(deleted.into_iter().map(|id| (id, false)));
        there.extend(put.into_iter().map(|id| (id, true)));
    }
    Ok(tallies)
}

/// Sets fields, and removes those that are null.
pub(super) fn merge(metadata: &mut Metadata, fields: &Metadata) {
    for (name, value) in fields {
        match value {
            Value::Null => drop(metadata.remove(name)),
            value => drop(metadata.insert(name.clone(), value.clone())),
        }
    }
}

/// The error of a change of the record in this row.
fn of_record(snapshot: &Snapshot, row: Option<&u64>, field: String, fault: FieldFault) -> Error {
    let at = row.and_then(|row| snapshot.place_of_row(*row));
    match at.and_then(|at| snapshot.id_of(at).ok()) {
        Some(id) => Error::FieldOf { id: Id::from(id).to_string(), field, fault },
        None => Error::Field { row: 0, field, fault },
    }
}

/// About the bytes that fields take.
fn size_of_fields(metadata: &Metadata) -> usize {
    let size = |value: &Value| match value {
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.iter().map(|item| item.len() + 8).sum(),
        Value::Null | Value::Bool(_) | Value::I64(_) | Value::F64(_) => 8,
    };
    metadata.iter().map(|(name, value)| name.len() + size(value)).sum()
}

//! Three-way merging by id: what one side changed since the common ancestor is taken, what both changed differently is a conflict.
//!
//! ```text
//! ancestor -> theirs: what they did        id by id, vector and metadata apart
//! ancestor -> ours:   what we did     ->   theirs only: taken | alike: nothing | differently: conflict -> Resolve
//! ```
//! One commit, which records what was merged: merging again finds that commit as the ancestor, and nothing to do.

use super::ancestor::ancestor;
use super::diff::{Changed, changed};
use super::resolve::{Change, Conflict, Decision, Resolve, Side};
use crate::ingest::Admission;
use crate::ingest::door::{IdsRef, Upserts};
use crate::store::{DeadRows, Edit, Id, RowId, Snapshot, Store};
use crate::value::{Metadata, same_metadata};
use crate::{Error, Result};
use rvf_format::IdType;
use rvf_format::lineage::{self, FACT_MERGED};
use rvf_format::payload::witness::Operation;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What a merge did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Records that were added, changed or deleted.
    pub merged: u64,
    /// What both sides changed differently and nothing resolved: nothing was merged then.
    pub conflicts: Vec<Conflict>,
    /// Records that both sides had added, with the ids that theirs got.
    pub renumbered: Vec<(Id, Id)>,
    /// Conflicts that were resolved.
    pub resolved: u64,
    /// The newest epoch.
    pub epoch: u64,
}

/// Merges `theirs` into the store.
///
/// # Errors
/// [`Error::NotRelated`]; [`Error::NoRenumber`]; [`Error::Field`] where a field has another type here; those of [`Store::commit`];
/// corruption of what is read.
pub(crate) fn merge(store: &mut Store, theirs: &Snapshot, resolve: &Resolve) -> Result<Merged> {
    store.check_writable()?;
    let ours = store.snapshot().clone();
    let mut done = Merged { epoch: ours.epoch(), ..Merged::default() };
    let wanted = wanted(theirs, &ours, resolve, &mut done)?;
    theirs.check()?;
    // Where all of it was alike or decided for ours, that is recorded too: else the next merge would ask again.
    if !done.conflicts.is_empty() || !wanted.is_news {
        return Ok(done);
    }
    done.merged = wanted.len();
    let id = theirs.commit_id();
    let texts = wanted.texts();
    let upserts = Upserts::new(ours.schema(), Cow::Borrowed(&wanted.vectors), wanted.ids(&texts))?;
    let upserts = upserts.with_metadata(&wanted.metadata);
    let (mut edit, _) = upserts.edit(&ours, Operation::MERGE, &wanted.deletes)?;
    wanted.add_overlay(&ours, &mut edit)?;
    edit.facts.insert(FACT_MERGED, merged_fact(theirs, &ours)?);
    edit.parameters = id.to_string();
    done.epoch = store.commit(&edit)?.epoch();
    Ok(done)
}

/// What was merged into ours up to now, what was merged into theirs, and theirs itself.
fn merged_fact(theirs: &Snapshot, ours: &Snapshot) -> Result<Vec<u8>> {
    let id = theirs.commit_id();
    let own = lineage::Merged { file_id: id.file_id, epoch: id.epoch, state_hash: id.state_hash };
    let mut newest: BTreeMap<[u8; 16], lineage::Merged> = BTreeMap::new();
    for merged in ours.merged()?.into_iter().chain(theirs.merged()?).chain([own]) {
        let is_newer = newest.get(&merged.file_id).is_none_or(|known| known.epoch <= merged.epoch);
        if is_newer && merged.file_id != ours.root().file_id {
            newest.insert(merged.file_id, merged);
        }
    }
    Ok(lineage::encode_merged(&newest.into_values().collect::<Vec<_>>()))
}

/// What is to be done to ours.
#[derive(Default)]
struct Wanted {
    /// Records to be put: their ids, packed rows, metadata.
    puts: Vec<Id>,
    vectors: Vec<u8>,
    metadata: Vec<Metadata>,
    deletes: Vec<Id>,
    /// Records of ours that get other metadata, by row.
    overlay: BTreeMap<u64, Metadata>,
    /// Whether they did anything since the common ancestor.
    is_news: bool,
}

impl Wanted {
    fn len(&self) -> u64 {
        (self.puts.len() + self.deletes.len() + self.overlay.len()) as u64
    }

    fn texts(&self) -> (Vec<u64>, Vec<String>) {
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        for id in &self.puts {
            match id {
                Id::U64(number) => numbers.push(*number),
                Id::Str(text) => texts.push(text.clone()),
            }
        }
        (numbers, texts)
    }

    fn ids<'t>(&self, (numbers, texts): &'t (Vec<u64>, Vec<String>)) -> IdsRef<'t> {
        if texts.is_empty() { IdsRef::U64(numbers) } else { IdsRef::Str(texts) }
    }

    fn put(&mut self, id: Id, row: &[u8], metadata: Metadata) {
        self.puts.push(id);
        self.vectors.extend_from_slice(row);
        self.metadata.push(metadata);
    }

    /// Adds the changes of metadata alone, as a DELTA.
    fn add_overlay(&self, ours: &Snapshot, edit: &mut Edit<'_>) -> Result<()> {
        if self.overlay.is_empty() {
            return Ok(());
        }
        let records = self.overlay.values().enumerate().map(|(row, metadata)| (row as u64, metadata));
        let columns = Admission::new(ours)?.columns(records)?;
        edit.changed = self.overlay.keys().copied().collect();
        edit.drafts.push(columns.draft(0, Some(&edit.changed))?);
        Ok(())
    }
}

/// Records that a side never saw, because it, or what it builds on, is a view of part of its parent: their absence is no deletion.
struct Views<'s>(Vec<(&'s Snapshot, DeadRows)>);

impl<'s> Views<'s> {
    fn of(side: &'s Snapshot) -> Result<Self> {
        let mut views = Vec::new();
        for layer in side.chain() {
            if let (Some(parent), Some(outside)) = (layer.parent(), layer.outside()?) {
                views.push((parent.as_ref(), outside));
            }
        }
        Ok(Self(views))
    }

    /// Where the record is that was left out.
    fn outside(&self, id: &Id) -> Result<Option<(&'s Snapshot, RowId)>> {
        for (parent, outside) in &self.0 {
            let is_outside = |at: &RowId| {
                outside.get(at.part as usize).and_then(Option::as_ref).is_some_and(|rows| rows.get(at.row))
            };
            if let Some(at) = parent.find(id.as_ref())?.filter(is_outside) {
                return Ok(Some((parent, at)));
            }
        }
        Ok(None)
    }
}

/// What a side did to records, by id.
fn changes(base: &Snapshot, side: &Snapshot) -> Result<BTreeMap<Id, (Change, Changed)>> {
    let diff = base.diff(side)?;
    let whole = |id: &Id| Changed { id: id.clone(), vector: true, metadata: true };
    let mut changes = BTreeMap::new();
    let unseen = Views::of(base)?;
    for id in &diff.added {
        match (unseen.outside(id)?, side.find(id.as_ref())?) {
            // Not added: the base did not see it.
            (Some(before), Some(now)) => {
                let changed = changed(before, (side, now), id.as_ref())?;
                changes.extend(changed.map(|changed| (id.clone(), (Change::Changed, changed))));
            }
            _ => drop(changes.insert(id.clone(), (Change::Added, whole(id)))),
        }
    }
    let views = Views::of(side)?;
    for id in &diff.deleted {
        if views.outside(id)?.is_none() {
            changes.insert(id.clone(), (Change::Deleted, whole(id)));
        }
    }
    for changed in diff.changed {
        // To a side that never saw the record before it is a new one.
        let change = if views.outside(&changed.id)?.is_some() { Change::Added } else { Change::Changed };
        changes.insert(changed.id.clone(), (change, changed));
    }
    Ok(changes)
}

fn wanted(theirs: &Snapshot, ours: &Snapshot, resolve: &Resolve, done: &mut Merged) -> Result<Wanted> {
    let found = ancestor(theirs, ours)?;
    let base = found.snapshot();
    let (did, we_did) = (changes(base, theirs)?, changes(base, ours)?);
    if resolve.renumber && ours.schema().id_type == IdType::Str {
        return Err(Error::NoRenumber);
    }
    let mut work = Work { theirs, ours, wanted: Wanted::default(), next_id: 0, intact: BTreeSet::new() };
    work.next_id = ours.root().next_id.get().max(theirs.root().next_id.get());
    work.wanted.is_news = !did.is_empty();
    let views = Views::of(ours)?;
    for (id, (change, changed)) in &did {
        let is_here = ours.find(id.as_ref())?.is_some();
        let (our_change, our_changed) = match we_did.get(id) {
            Some((change, changed)) => (change, changed),
            // A view gave out an id that it did not know to be taken.
            None if *change == Change::Added && is_here => (&Change::Added, changed),
            None => {
                // What a view never saw stays outside it, whatever becomes of it.
                if is_here || views.outside(id)?.is_none() {
                    work.take(id, *change, changed)?;
                }
                continue;
            }
        };
        if work.is_alike(id)? {
            continue;
        }
        let both_changed = (*change, *our_change) == (Change::Changed, Change::Changed);
        let meet = changed.vector && our_changed.vector || changed.metadata && our_changed.metadata;
        if both_changed && !meet {
            work.take(id, *change, changed)?;
            continue;
        }
        let conflict = Conflict { id: id.clone(), ours: *our_change, theirs: *change };
        match resolve.of(&conflict) {
            None => done.conflicts.push(conflict),
            Some(decision) => {
                done.resolved += 1;
                match decision {
                    Decision::Take(Side::Ours) => {}
                    Decision::Take(Side::Theirs) => work.take_whole(id, *change)?,
                    Decision::Renumber => done.renumbered.push((id.clone(), work.renumber(id)?)),
                }
            }
        }
    }
    Ok(work.wanted)
}

/// A merge while it is being worked out.
struct Work<'s> {
    theirs: &'s Snapshot,
    ours: &'s Snapshot,
    wanted: Wanted,
    /// The next id that neither side ever gave.
    next_id: u64,
    /// Parts of theirs whose bytes were found to be those that were committed.
    intact: BTreeSet<u32>,
}

impl Work<'_> {
    /// What they did, where we did nothing to the same.
    fn take(&mut self, id: &Id, change: Change, changed: &Changed) -> Result<()> {
        if change != Change::Changed {
            return self.take_whole(id, change);
        }
        let at = self.place(id)?;
        // Gone where the common ancestor is a view that did not see it.
        let Some(our_place) = self.ours.find(id.as_ref())? else { return self.take_whole(id, change) };
        match (changed.vector, changed.metadata) {
            (true, true) => self.take_whole(id, change),
            (true, false) => {
                let metadata = self.ours.intact_metadata_at(our_place)?;
                self.put(id.clone(), at, metadata)
            }
            (false, _) => {
                let metadata = self.theirs.intact_metadata_at(at)?;
                self.wanted.overlay.insert(self.ours.global_row(our_place), metadata);
                Ok(())
            }
        }
    }

    /// Their record, or that they have none.
    fn take_whole(&mut self, id: &Id, change: Change) -> Result<()> {
        if change == Change::Deleted {
            self.wanted.deletes.push(id.clone());
            return Ok(());
        }
        let at = self.place(id)?;
        let metadata = self.theirs.intact_metadata_at(at)?;
        self.put(id.clone(), at, metadata)
    }

    /// Their record under a new id, which is returned.
    fn renumber(&mut self, id: &Id) -> Result<Id> {
        let Id::U64(_) = id else { return Err(Error::NoRenumber) };
        if self.next_id >= u64::MAX - 1 {
            return Err(Error::IdsExhausted);
        }
        let given = Id::U64(self.next_id);
        self.next_id += 1;
        let at = self.place(id)?;
        let metadata = self.theirs.intact_metadata_at(at)?;
        self.put(given.clone(), at, metadata)?;
        Ok(given)
    }

    fn put(&mut self, id: Id, at: RowId, metadata: Metadata) -> Result<()> {
        if self.intact.insert(at.part) {
            self.theirs.intact_rows(at.part)?;
        }
        self.wanted.put(id, self.theirs.view(at.part)?.row(at.row), metadata);
        Ok(())
    }

    fn place(&self, id: &Id) -> Result<RowId> {
        self.theirs.find(id.as_ref())?.ok_or_else(|| gone(self.theirs))
    }

    /// Whether both have the record alike, or neither has it.
    fn is_alike(&self, id: &Id) -> Result<bool> {
        let (theirs, ours) = (self.theirs, self.ours);
        Ok(match (theirs.find(id.as_ref())?, ours.find(id.as_ref())?) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                theirs.view(a.part)?.row(a.row) == ours.view(b.part)?.row(b.row)
                    && same_metadata(&theirs.metadata_at(a)?, &ours.metadata_at(b)?)
            }
            _ => false,
        })
    }
}

/// A record that was there a moment ago: the file was changed in place.
fn gone(snapshot: &Snapshot) -> Error {
    Error::Truncated { at: snapshot.root().own_offset.get() }
}

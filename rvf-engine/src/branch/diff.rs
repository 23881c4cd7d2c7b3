//! What differs between two commits of one lineage, by id. It costs what differs: segments that both have are compared by the rows that
//! are live in one only, and by the changes of metadata that one only has.

use crate::store::{Columns, Id, RowId, Snapshot};
use crate::value::same_metadata;
use crate::{Error, Result};
use rvf_format::digest::Hash;
use rvf_format::payload::vec::IdRef;
use std::collections::{BTreeMap, BTreeSet};

/// What differs between two commits, by ascending id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Records that only the second has.
    pub added: Vec<Id>,
    /// Records that both have, but not alike.
    pub changed: Vec<Changed>,
    /// Records that only the first has.
    pub deleted: Vec<Id>,
}

/// A record that two commits do not have alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The record.
    pub id: Id,
    /// Whether its vector differs.
    pub vector: bool,
    /// Whether its metadata does.
    pub metadata: bool,
}

impl Diff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.deleted.is_empty()
    }
}

/// A segment of a file of the lineage, the same wherever it is seen from.
type Key = ([u8; 16], u64, Hash);

impl Snapshot {
    /// What `other` has that this commit has not, and the other way round. The two are commits of one file, or of files of one lineage:
    /// a file and its branches, and theirs.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(1, Metric::L2))?;
    /// let before = db.snapshot();
    /// db.add(&[1.0f32, 2.0])?;
    /// db.delete(&[Id::U64(0)])?;
    /// let diff = before.diff(&db.snapshot())?;
    /// assert_eq!((diff.added, diff.deleted.len()), (vec![Id::U64(1)], 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotRelated`]; [`Error::Parent`]; corruption of what is read.
    pub fn diff(&self, other: &Snapshot) -> Result<Diff> {
        let diff = differing(self, other);
        self.check()?;
        other.settle(diff)
    }
}

fn differing(a: &Snapshot, b: &Snapshot) -> Result<Diff> {
    a.whole()?;
    b.whole()?;
    let ids = |snapshot: &Snapshot| snapshot.chain().map(|layer| layer.root().file_id).collect::<BTreeSet<_>>();
    if ids(a).is_disjoint(&ids(b)) {
        return Err(Error::NotRelated);
    }
    let (rows_a, rows_b) = candidates(a, b)?;
    let mut ids: Vec<IdRef<'_>> = Vec::with_capacity(rows_a.len() + rows_b.len());
    for (snapshot, rows) in [(a, &rows_a), (b, &rows_b)] {
        for at in rows {
            ids.push(snapshot.id_of(*at)?);
        }
    }
    ids.sort_unstable();
    ids.dedup();
    let mut diff = Diff::default();
    for id in ids {
        match (a.find(id)?, b.find(id)?) {
            (None, Some(_)) => diff.added.push(id.into()),
            (Some(_), None) => diff.deleted.push(id.into()),
            (Some(at_a), Some(at_b)) => diff.changed.extend(changed((a, at_a), (b, at_b), id)?),
            (None, None) => {}
        }
    }
    Ok(diff)
}

/// How a record that both have differs, if it does.
pub(super) fn changed(a: (&Snapshot, RowId), b: (&Snapshot, RowId), id: IdRef<'_>) -> Result<Option<Changed>> {
    let vector = key_of(a.0, a.1.part) != key_of(b.0, b.1.part) || a.1.row != b.1.row;
    let vector = vector && a.0.view(a.1.part)?.row(a.1.row) != b.0.view(b.1.part)?.row(b.1.row);
    let metadata = !same_metadata(&a.0.metadata_at(a.1)?, &b.0.metadata_at(b.1)?);
    Ok((vector || metadata).then(|| Changed { id: id.into(), vector, metadata }))
}

/// Which segment of which file a part is.
fn key_of(snapshot: &Snapshot, part: u32) -> Option<Key> {
    let part = snapshot.parts().get(part as usize)?;
    Some((snapshot.layer(part.depth).root().file_id, part.entry.segment_id.get(), part.entry.hash))
}

fn key_of_columns(snapshot: &Snapshot, columns: &Columns) -> Key {
    let entry = &columns.entry;
    (snapshot.layer(columns.depth).root().file_id, entry.segment_id.get(), entry.hash)
}

/// Live rows of each that may not be in the other as they are here.
fn candidates(a: &Snapshot, b: &Snapshot) -> Result<(Vec<RowId>, Vec<RowId>)> {
    let keys = |snapshot: &Snapshot| -> BTreeMap<Key, u32> {
        (0..snapshot.parts().len() as u32).filter_map(|part| Some((key_of(snapshot, part)?, part))).collect()
    };
    let (parts_a, parts_b) = (keys(a), keys(b));
    let (mut rows_a, mut rows_b) = (BTreeSet::new(), BTreeSet::new());
    for (key, part) in &parts_a {
        match parts_b.get(key) {
            None => all_live(a, *part, &mut rows_a)?,
            Some(other) => shared((a, *part), (b, *other), (&mut rows_a, &mut rows_b))?,
        }
    }
    for (_, part) in parts_b.iter().filter(|(key, _)| !parts_a.contains_key(*key)) {
        all_live(b, *part, &mut rows_b)?;
    }
    overlaid(a, b, &mut rows_a)?;
    overlaid(b, a, &mut rows_b)?;
    Ok((rows_a.into_iter().collect(), rows_b.into_iter().collect()))
}

fn all_live(snapshot: &Snapshot, part: u32, rows: &mut BTreeSet<RowId>) -> Result<()> {
    let dead = snapshot.dead()?.get(part as usize).and_then(Option::as_ref);
    let count = snapshot.view(part)?.count();
    let live = (0..count).filter(|row| !dead.is_some_and(|bits| bits.get(*row)));
    rows.extend(live.map(|row| RowId { part, row }));
    Ok(())
}

/// Rows of a segment that both have which are live in one only; all of them where their metadata was written anew.
fn shared(
    (a, part_a): (&Snapshot, u32),
    (b, part_b): (&Snapshot, u32),
    (rows_a, rows_b): (&mut BTreeSet<RowId>, &mut BTreeSet<RowId>),
) -> Result<()> {
    let meta = |snapshot: &Snapshot, part| snapshot.metas().of_part(part).map(|meta| key_of_columns(snapshot, meta));
    if meta(a, part_a) != meta(b, part_b) {
        all_live(a, part_a, rows_a)?;
        return all_live(b, part_b, rows_b);
    }
    let none = Default::default();
    let dead_a = a.dead()?.get(part_a as usize).and_then(Option::as_ref).unwrap_or(&none);
    let dead_b = b.dead()?.get(part_b as usize).and_then(Option::as_ref).unwrap_or(&none);
    for row in dead_a.differing(dead_b) {
        match dead_a.get(row) {
            false => drop(rows_a.insert(RowId { part: part_a, row })),
            true => drop(rows_b.insert(RowId { part: part_b, row })),
        }
    }
    Ok(())
}

/// Live rows whose metadata a DELTA changes that the other does not have.
fn overlaid(snapshot: &Snapshot, other: &Snapshot, rows: &mut BTreeSet<RowId>) -> Result<()> {
    let known: BTreeSet<Key> = other.metas().deltas().iter().map(|delta| key_of_columns(other, delta)).collect();
    for delta in snapshot.metas().deltas() {
        if known.contains(&key_of_columns(snapshot, delta)) {
            continue;
        }
        for row in delta.view(snapshot)?.row_numbers().unwrap_or_default() {
            if let Some(at) = snapshot.place_of_row(row.get())
                && !snapshot.is_dead(at)?
            {
                rows.insert(at);
            }
        }
    }
    Ok(())
}

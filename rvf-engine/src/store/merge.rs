//! Merging small segments when a full manifest is due (`spec/commit.md`, MAN-10), so that the number of live segments grows
//! with the logarithm of the commits and each byte is rewritten a few times at most.

use super::audit::merge_notes;
use super::edit::Edit;
use super::metadata::{self, Columns};
use super::rows::RowId;
use super::snapshot::Snapshot;
use crate::Result;
use rvf_format::build::Draft;
use rvf_format::limits::TREE_MIN;
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::columns::Builder;
use rvf_format::payload::journal::{self, JournalView, JournalWord};
use rvf_format::payload::refcount;
use rvf_format::payload::vec::{self, IdColumn, IdRef};
use rvf_format::payload::{cow, tree::TreeView, witness};
use rvf_format::{IdType, Kind};
use std::collections::BTreeSet;
use std::sync::Arc;
use zerocopy::byteorder::little_endian::U64;

/// As many segments in a tier become one.
const FAN_IN: usize = 16;

/// What merging adds and removes.
#[derive(Default)]
pub(crate) struct Merged<'a> {
    pub(crate) drafts: Vec<Draft<'a>>,
    pub(crate) removed: BTreeSet<u64>,
}

/// Rows gathered from several segments, packed, with their ids and metadata.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) vectors: Vec<u8>,
    numbers: Vec<u64>,
    texts: Vec<String>,
    metadata: Builder,
}

impl Gathered {
    /// Takes a row along.
    ///
    /// # Errors
    /// Corruption of what is read.
    pub(crate) fn push(&mut self, snapshot: &Snapshot, at: RowId) -> Result<()> {
        self.vectors.extend_from_slice(snapshot.view(at.part)?.row(at.row));
        match snapshot.id_of(at)? {
            IdRef::U64(number) => self.numbers.push(number),
            IdRef::Str(text) => self.texts.push(text.to_owned()),
        }
        snapshot.metas().append(snapshot, at, &mut self.metadata)
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len().max(self.texts.len())
    }

    /// Drafts of VEC, then of META and META_IDX where there is metadata; they own their bytes.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`].
    pub(crate) fn drafts(self, snapshot: &Snapshot, base_row: u64) -> Result<Vec<Draft<'static>>> {
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        let ids = match snapshot.schema().id_type {
            IdType::U64 => IdColumn::U64(&self.numbers),
            IdType::Str => IdColumn::Str(&texts),
        };
        let mut drafts = vec![vec::draft(snapshot.schema(), base_row, &self.vectors, ids).into_owned()];
        drafts.extend(metadata::drafts(self.metadata, base_row)?);
        Ok(drafts)
    }
}

/// Merges what `snapshot` has in excess; rows that `edit` makes dead count as dead. New rows start at `next_row`.
pub(crate) fn plan(snapshot: &Snapshot, edit: &Edit<'_>, next_row: &mut u64) -> Result<Merged<'static>> {
    let mut merged = Merged { drafts: Vec::new(), removed: edit.removed.iter().copied().collect() };
    let mut stays = covered_segments(snapshot);
    stays.extend(changed_segments(snapshot, edit)?);
    for kind in [Kind::VEC, Kind::JOURNAL, Kind::WITNESS, Kind::COW_MAP, Kind::REFCOUNT, Kind::CRYPTO] {
        for group in groups(snapshot, kind, &merged.removed, &stays) {
            let drafts = match kind {
                Kind::VEC => merge_rows(snapshot, edit, &group, next_row)?,
                Kind::JOURNAL => vec![merge_journals(snapshot, &group)?],
                Kind::COW_MAP => vec![cow::cow_map(&snapshot.hidden_rows()?)],
                Kind::CRYPTO => vec![merge_notes(snapshot, &group)?],
                Kind::REFCOUNT => vec![merge_refcounts(snapshot, &group)?],
                _ => vec![merge_witnesses(snapshot, &group)?],
            };
            merged.drafts.extend(drafts);
            merged.removed.extend(group.iter().map(|entry| entry.segment_id.get()));
        }
    }
    merge_deltas(snapshot, &mut merged)?;
    merge_feedback(snapshot, &mut merged)?;
    remove_companions(snapshot, &mut merged.removed)?;
    for id in &edit.removed {
        merged.removed.remove(id);
    }
    Ok(merged)
}

/// Size tier of a segment; `None` from 1 MiB on.
fn tier(length: u64) -> Option<usize> {
    match length {
        0..=0x4000 => Some(0),
        0x4001..=0x4_0000 => Some(1),
        _ if length < TREE_MIN => Some(2),
        _ => None,
    }
}

/// Segments whose rows a graph covers: these keep their numbers.
fn covered_segments(snapshot: &Snapshot) -> BTreeSet<u64> {
    let parts = snapshot.parts().iter().zip(snapshot.covered()).skip(snapshot.inherited_parts() as usize);
    parts.filter(|(_, covered)| *covered).map(|(part, _)| part.entry.segment_id.get()).collect()
}

/// Segments of whose rows the edit itself changes the metadata: what it says of them names rows by the numbers that they have.
fn changed_segments(snapshot: &Snapshot, edit: &Edit<'_>) -> Result<Vec<u64>> {
    let parts = edit.changed.iter().filter_map(|row| snapshot.place_of_row(*row));
    let parts = parts.filter(|at| at.part >= snapshot.inherited_parts());
    Ok(parts.filter_map(|at| snapshot.parts().get(at.part as usize)).map(|part| part.entry.segment_id.get()).collect())
}

fn groups(snapshot: &Snapshot, kind: Kind, removed: &BTreeSet<u64>, stays: &BTreeSet<u64>) -> Vec<Vec<ManifestEntry>> {
    let mut tiers: [Vec<ManifestEntry>; 3] = Default::default();
    let live = snapshot.state().of_kind(kind);
    let free = |entry: &&ManifestEntry| {
        let id = entry.segment_id.get();
        entry.space.get() == 0 && !removed.contains(&id) && !stays.contains(&id)
    };
    for entry in live.filter(free) {
        if let Some(tier) = tier(entry.length.get()) {
            tiers[tier].push(*entry);
        }
    }
    tiers.into_iter().filter(|group| group.len() >= FAN_IN).collect()
}

fn merge_rows(
    snapshot: &Snapshot,
    edit: &Edit<'_>,
    group: &[ManifestEntry],
    next_row: &mut u64,
) -> Result<Vec<Draft<'static>>> {
    let mut rows = Gathered::default();
    for (part, _) in parts_of(snapshot, group) {
        snapshot.intact_rows(part)?;
        let view = snapshot.view(part)?;
        for row in 0..view.count() {
            let at = RowId { part, row };
            if !snapshot.is_dead(at)? && edit.dead.binary_search(&snapshot.global_row(at)).is_err() {
                rows.push(snapshot, at)?;
            }
        }
    }
    if rows.len() == 0 {
        return Ok(Vec::new());
    }
    let base_row = *next_row;
    *next_row += rows.len() as u64;
    rows.drafts(snapshot, base_row)
}

/// Merges small FEEDBACK segments, unless the edit removes one of them.
fn merge_feedback(snapshot: &Snapshot, merged: &mut Merged<'static>) -> Result<()> {
    let Some((group, draft)) = snapshot.merged_feedback(false)? else { return Ok(()) };
    let ids: Vec<u64> = group.iter().map(|entry| entry.segment_id.get()).collect();
    if ids.iter().all(|id| !merged.removed.contains(id)) {
        merged.drafts.push(draft);
        merged.removed.extend(ids);
    }
    Ok(())
}

/// Merges the newest DELTA segments into one, if there are many: as far back as an older one is not much larger than all newer ones
/// together, so that each is rewritten a few times at most. What is left is older than what is written, as it must be.
fn merge_deltas(snapshot: &Snapshot, merged: &mut Merged<'static>) -> Result<()> {
    let deltas: Vec<&Columns> = snapshot.metas().own_deltas(snapshot).map(Arc::as_ref).collect();
    if deltas.len() < FAN_IN {
        return Ok(());
    }
    let mut bytes = 0;
    let newest = deltas.iter().take_while(|delta| {
        let goes = bytes == 0 || delta.entry.length.get() <= 4 * bytes;
        bytes += delta.entry.length.get();
        goes
    });
    let newest: Vec<&Columns> = newest.copied().collect();
    let mut rows = BTreeSet::new();
    for delta in &newest {
        snapshot.intact(&delta.entry)?;
        rows.extend(delta.view(snapshot)?.row_numbers().unwrap_or_default().iter().map(|row| row.get()));
        merged.removed.insert(delta.entry.segment_id.get());
    }
    // Rows that are gone, or that this very commit moves and takes along, have no further use for it.
    let stays = |row: &u64| {
        let at = snapshot.place_of_row(*row)?;
        let part = snapshot.parts().get(at.part as usize)?.entry.segment_id.get();
        (at.part < snapshot.inherited_parts() || !merged.removed.contains(&part)).then_some(at)
    };
    let rows: Vec<(u64, RowId)> = rows.iter().filter_map(|row| Some((*row, stays(row)?))).collect();
    let mut builder = Builder::new();
    for (_, at) in &rows {
        snapshot.metas().append(snapshot, *at, &mut builder)?;
    }
    if !rows.is_empty() {
        let numbers: Vec<u64> = rows.iter().map(|(row, _)| *row).collect();
        merged.drafts.push(builder.draft(0, Some(&numbers))?);
    }
    Ok(())
}

/// Parts of the file itself that are in `group`, by ascending row.
fn parts_of<'s>(
    snapshot: &'s Snapshot,
    group: &'s [ManifestEntry],
) -> impl Iterator<Item = (u32, &'s ManifestEntry)> + 's {
    let ids: BTreeSet<u64> = group.iter().map(|entry| entry.segment_id.get()).collect();
    let parts = snapshot.parts().iter().enumerate().skip(snapshot.inherited_parts() as usize);
    parts
        .filter(move |(_, part)| ids.contains(&part.entry.segment_id.get()))
        .map(|(index, part)| (index as u32, &part.entry))
}

fn merge_journals(snapshot: &Snapshot, group: &[ManifestEntry]) -> Result<Draft<'static>> {
    let mut words: Vec<JournalWord> = Vec::new();
    for entry in group {
        let view = JournalView::parse(snapshot.intact(entry)?, entry.offset.get())?;
        words.extend_from_slice(view.words());
    }
    words.sort_by_key(|word| word.word.get());
    let mut merged: Vec<JournalWord> = Vec::new();
    for word in words {
        match merged.last_mut().filter(|last| last.word == word.word) {
            Some(last) => last.mask = U64::new(last.mask.get() | word.mask.get()),
            None => merged.push(word),
        }
    }
    Ok(journal::draft(&merged).into_owned())
}

fn merge_refcounts(snapshot: &Snapshot, group: &[ManifestEntry]) -> Result<Draft<'static>> {
    let mut entries = Vec::new();
    for entry in group {
        if let Some(view) = snapshot.refcount(entry)? {
            entries.extend_from_slice(view.entries());
        }
    }
    entries.sort_by_key(|entry| (entry.epoch.get(), entry.child_id));
    entries.dedup_by_key(|entry| (entry.epoch.get(), entry.child_id));
    Ok(refcount::draft(&entries).into_owned())
}

fn merge_witnesses(snapshot: &Snapshot, group: &[ManifestEntry]) -> Result<Draft<'static>> {
    let mut entries = Vec::new();
    for entry in group {
        entries.extend(witness::parse(snapshot.intact(entry)?, entry.offset.get())?);
    }
    entries.sort_by_key(|entry| entry.fixed.index.get());
    Ok(witness::draft(&entries))
}

/// Adds what belongs to removed segments to what is removed: the metadata of rows, hash trees.
pub(crate) fn remove_companions(snapshot: &Snapshot, removed: &mut BTreeSet<u64>) -> Result<()> {
    if removed.is_empty() {
        return Ok(());
    }
    let key = |entry: &ManifestEntry| (entry.base_row.get(), entry.rows.get());
    let own = snapshot.parts().iter().skip(snapshot.inherited_parts() as usize);
    let gone = own.filter(|part| removed.contains(&part.entry.segment_id.get()));
    let gone: BTreeSet<_> = gone.map(|part| key(&part.entry)).collect();
    let listed =
        |kind| snapshot.state().of_kind(kind).filter(|entry| entry.rows.get() > 0 && gone.contains(&key(entry)));
    removed.extend([Kind::META, Kind::META_IDX].into_iter().flat_map(listed).map(|entry| entry.segment_id.get()));
    for entry in snapshot.state().of_kind(Kind::TREE) {
        let tree = TreeView::parse(snapshot.segment(entry)?, entry.offset.get())?;
        if removed.contains(&tree.facts.segment_id.get()) {
            removed.insert(entry.segment_id.get());
        }
    }
    Ok(())
}

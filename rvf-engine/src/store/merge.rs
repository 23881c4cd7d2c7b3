//! Merging small segments when a full manifest is due (`spec/commit.md`, MAN-10), so that the number of live segments grows
//! with the logarithm of the commits and each byte is rewritten a few times at most.

use super::edit::Edit;
use super::rows::RowId;
use super::snapshot::Snapshot;
use crate::Result;
use rvf_format::build::Draft;
use rvf_format::limits::TREE_MIN;
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::journal::{self, JournalView, JournalWord};
use rvf_format::payload::vec::{self, IdColumn, IdRef};
use rvf_format::payload::{tree::TreeView, witness};
use rvf_format::{IdType, Kind};
use std::collections::BTreeSet;
use zerocopy::byteorder::little_endian::U64;

/// As many segments in a tier become one.
const FAN_IN: usize = 16;

/// What merging adds and removes.
#[derive(Default)]
pub(crate) struct Merged<'a> {
    pub(crate) drafts: Vec<Draft<'a>>,
    pub(crate) removed: BTreeSet<u64>,
}

/// Rows gathered from several segments, packed, with their ids.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) vectors: Vec<u8>,
    pub(crate) numbers: Vec<u64>,
    pub(crate) texts: Vec<String>,
}

impl Gathered {
    pub(crate) fn push(&mut self, vector: &[u8], id: IdRef<'_>) {
        self.vectors.extend_from_slice(vector);
        match id {
            IdRef::U64(number) => self.numbers.push(number),
            IdRef::Str(text) => self.texts.push(text.to_owned()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len().max(self.texts.len())
    }

    /// A VEC draft that owns its bytes.
    pub(crate) fn draft(self, snapshot: &Snapshot, base_row: u64) -> Draft<'static> {
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        let ids = match snapshot.schema().id_type {
            IdType::U64 => IdColumn::U64(&self.numbers),
            IdType::Str => IdColumn::Str(&texts),
        };
        vec::draft(snapshot.schema(), base_row, &self.vectors, ids).into_owned()
    }
}

/// Merges what `snapshot` has in excess; rows that `edit` makes dead count as dead. New rows start at `next_row`.
pub(crate) fn plan(snapshot: &Snapshot, edit: &Edit<'_>, next_row: &mut u64) -> Result<Merged<'static>> {
    let mut merged = Merged { drafts: Vec::new(), removed: edit.removed.iter().copied().collect() };
    let stays = covered_segments(snapshot);
    for kind in [Kind::VEC, Kind::JOURNAL, Kind::WITNESS] {
        for group in groups(snapshot, kind, &merged.removed, &stays) {
            let draft = match kind {
                Kind::VEC => merge_rows(snapshot, edit, &group, next_row)?,
                Kind::JOURNAL => merge_journals(snapshot, &group)?,
                _ => merge_witnesses(snapshot, &group)?,
            };
            merged.drafts.extend(draft);
            merged.removed.extend(group.iter().map(|entry| entry.segment_id.get()));
        }
    }
    remove_trees(snapshot, &mut merged.removed)?;
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
    let parts = snapshot.parts().iter().zip(snapshot.covered());
    parts.filter(|(_, covered)| *covered).map(|(part, _)| part.entry.segment_id.get()).collect()
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
) -> Result<Option<Draft<'static>>> {
    let mut rows = Gathered::default();
    for (part, entry) in parts_of(snapshot, group) {
        snapshot.intact(entry)?;
        let view = snapshot.view(part)?;
        for row in 0..view.count() {
            let at = RowId { part, row };
            if !snapshot.is_dead(at)? && edit.dead.binary_search(&snapshot.global_row(at)).is_err() {
                rows.push(view.row(row), snapshot.id_of(at)?);
            }
        }
    }
    if rows.len() == 0 {
        return Ok(None);
    }
    let base_row = *next_row;
    *next_row += rows.len() as u64;
    Ok(Some(rows.draft(snapshot, base_row)))
}

/// Parts of the snapshot that are in `group`, by ascending row.
fn parts_of<'s>(
    snapshot: &'s Snapshot,
    group: &'s [ManifestEntry],
) -> impl Iterator<Item = (u32, &'s ManifestEntry)> + 's {
    let ids: BTreeSet<u64> = group.iter().map(|entry| entry.segment_id.get()).collect();
    let parts = snapshot.parts().iter().enumerate();
    parts
        .filter(move |(_, part)| ids.contains(&part.entry.segment_id.get()))
        .map(|(index, part)| (index as u32, &part.entry))
}

fn merge_journals(snapshot: &Snapshot, group: &[ManifestEntry]) -> Result<Option<Draft<'static>>> {
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
    Ok(Some(journal::draft(&merged).into_owned()))
}

fn merge_witnesses(snapshot: &Snapshot, group: &[ManifestEntry]) -> Result<Option<Draft<'static>>> {
    let mut entries = Vec::new();
    for entry in group {
        entries.extend(witness::parse(snapshot.intact(entry)?, entry.offset.get())?);
    }
    entries.sort_by_key(|entry| entry.fixed.index.get());
    Ok(Some(witness::draft(&entries)))
}

/// Adds the hash trees of removed segments to what is removed.
pub(crate) fn remove_trees(snapshot: &Snapshot, removed: &mut BTreeSet<u64>) -> Result<()> {
    if removed.is_empty() {
        return Ok(());
    }
    for entry in snapshot.state().of_kind(Kind::TREE) {
        let tree = TreeView::parse(snapshot.segment(entry)?, entry.offset.get())?;
        if removed.contains(&tree.facts.segment_id.get()) {
            removed.insert(entry.segment_id.get());
        }
    }
    Ok(())
}

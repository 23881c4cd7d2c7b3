//! The metadata of rows: from META and DELTA segments whose hashes are right, and only where no damaged one may have replaced it.
//!
//! A DELTA counts for its rows in place of all before it. Of a damaged one the manifest still tells the first row and how many there
//! are: one of a single row is known to change that row, one of more may have changed any row from the first on. What stood there
//! before is not passed off as current: such a row has no metadata here. (It is there in the epoch before: see `whole.rs`.)

use super::Loss;
use super::ground::Ground;
use super::later::Later;
use super::rows::Rows;
use crate::store::{Fields, note_fields, read_record};
use crate::value::Metadata;
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::columns::ColumnsView;
use rvf_format::{Kind, digest};
use std::collections::{BTreeMap, BTreeSet};

/// A META or DELTA segment.
struct Source {
    entry: ManifestEntry,
    /// `None` if its bytes are not those that were written, or are no columns.
    view: Option<ColumnsView>,
}

/// The metadata of all rows.
pub(super) struct Metas {
    /// By the offset of the VEC segment.
    of_parts: BTreeMap<u64, Source>,
    /// The newest first.
    deltas: Vec<Source>,
    /// Offsets of VEC segments whose row numbers no manifest tells: which changes are about their rows is not known.
    unnumbered: BTreeSet<u64>,
    fields: Fields,
}

impl Metas {
    /// That of the segments that are listed, and of those that were found behind them.
    pub(super) fn read(ground: &Ground, listed: &[&ManifestEntry], later: &Later) -> Self {
        let of = |kind| listed.iter().filter(move |entry| entry.kind() == kind && entry.rows.get() > 0);
        let key = |entry: &ManifestEntry| (entry.base_row.get(), entry.rows.get());
        let parts: BTreeMap<_, u64> = of(Kind::VEC).map(|entry| (key(entry), entry.offset.get())).collect();
        let listed_metas = of(Kind::META).filter_map(|entry| Some((*parts.get(&key(entry))?, **entry)));
        let source = |entry: ManifestEntry| Source { view: view(ground, &entry), entry };
        let found = |kind| later.found.iter().filter(move |entry| entry.kind() == kind);
        let of_parts: BTreeMap<u64, Source> =
            listed_metas.chain(later.metas.iter().copied()).map(|(at, entry)| (at, source(entry))).collect();
        let deltas = of(Kind::DELTA).copied().chain(found(Kind::DELTA));
        let mut deltas: Vec<Source> = deltas.map(|entry| source(*entry)).collect();
        deltas.sort_by_key(|delta| std::cmp::Reverse(delta.entry.segment_id.get()));
        let unnumbered = found(Kind::VEC).map(|entry| entry.offset.get()).collect();
        let mut fields = Fields::new();
        of_parts.values().chain(&deltas).filter_map(|source| source.view.as_ref()).for_each(|view| {
            note_fields(&mut fields, view);
        });
        Self { of_parts, deltas, unnumbered, fields }
    }

    /// The fields of all of it.
    pub(super) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The metadata of a row; where it is not known, the segment because of which.
    fn of(&self, part: &ManifestEntry, row: u32) -> Result<Metadata, &Source> {
        let number = part.base_row.get().saturating_add(u64::from(row));
        let read = |source: &'_ Source, position| {
            source.view.as_ref().and_then(|view| read_record(view, position, &self.fields).ok())
        };
        if self.unnumbered.contains(&part.offset.get()) {
            let is_newer = |delta: &&Source| delta.entry.segment_id > part.segment_id;
            if let Some(delta) = self.deltas.first().filter(is_newer) {
                return Err(delta);
            }
        } else {
            for delta in &self.deltas {
                match &delta.view {
                    Some(view) => {
                        if let Some(position) = view.position(number) {
                            return read(delta, position).ok_or(delta);
                        }
                    }
                    None if may_name(&delta.entry, number) => return Err(delta),
                    None => {}
                }
            }
        }
        match self.of_parts.get(&part.offset.get()) {
            Some(source) => read(source, row).ok_or(source),
            None => Ok(Metadata::new()),
        }
    }

    /// The metadata of a row; `None` where it is damaged or not known.
    pub(super) fn metadata(&self, part: &ManifestEntry, row: u32) -> Option<Metadata> {
        self.of(part, row).ok()
    }

    /// What damage costs the rows that are written, and how many of them are written without their metadata.
    pub(super) fn losses(&self, rows: &[Rows], lost: &mut Vec<Loss>, notes: &mut Vec<Loss>) -> u64 {
        let mut costs: BTreeMap<u64, u64> = BTreeMap::new();
        for (part, row) in rows.iter().flat_map(|rows| rows.kept().map(move |row| (&rows.entry, row))) {
            if let Err(source) = self.of(part, row) {
                *costs.entry(source.entry.offset.get()).or_default() += 1;
            }
        }
        for source in self.of_parts.values().chain(&self.deltas) {
            match costs.get(&source.entry.offset.get()) {
                Some(cost) => lost.push(source.loss(*cost)),
                None if source.view.is_none() => {
                    notes.push(Loss::of(&source.entry, "damaged, no record is lost, nor metadata of one"));
                }
                None => {}
            }
        }
        costs.values().sum()
    }
}

impl Source {
    fn loss(&self, cost: u64) -> Loss {
        let (delta, rows) = (self.entry.kind() == Kind::DELTA, self.entry.rows.get());
        let message = match &self.view {
            Some(_) if delta => format!(
                "its row numbers cannot be matched with records whose manifest is damaged: {cost} that it may have changed are \
                 written without metadata"
            ),
            Some(_) => {
                format!("its bytes are as they were written, but are no metadata: that of {cost} records is lost")
            }
            None if delta && rows == 1 => format!("bytes are damaged: the metadata of {cost} record is lost"),
            None if delta => format!(
                "bytes are damaged, and with them which records it changed: {cost} that it may have changed are written without \
                 metadata"
            ),
            None => format!("bytes are damaged: the metadata of {cost} records is lost"),
        };
        Loss { fields: Some(cost), ..Loss::of(&self.entry, message) }
    }
}

/// Whether a damaged DELTA may be about a row. Rows ascend from the first on; one that no manifest lists does not tell the first.
fn may_name(delta: &ManifestEntry, row: u64) -> bool {
    match delta.rows.get() {
        0 => true,
        1 => row == delta.base_row.get(),
        _ => row >= delta.base_row.get(),
    }
}

fn view(ground: &Ground, entry: &ManifestEntry) -> Option<ColumnsView> {
    let bytes = ground.bytes(entry.offset.get(), entry.length.get())?;
    let intact = digest::blake3(&bytes) == entry.hash;
    intact.then(|| ColumnsView::parse(bytes, entry).ok()).flatten()
}

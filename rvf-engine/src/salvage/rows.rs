//! The rows of one VEC segment that are intact: all, if its hash is right; else those in groups that its hash tree proves.

use super::Loss;
use super::ground::Ground;
use crate::store::{Bits, Id};
use rvf_format::limits::GROUP_LEN;
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::tree::TreeView;
use rvf_format::payload::vec::{IdRef, TAG_ID_BYTES, TAG_ID_OFFSETS, TAG_IDS, TAG_VECTORS, VecView, is_string_id};
use rvf_format::segment::Payload;
use rvf_format::{IdType, Kind, Schema, digest};
use std::collections::BTreeMap;
use zerocopy::byteorder::little_endian::U32;

/// Ids that a loss names at most.
const MOST_IDS: usize = 1000;

/// Hash trees by the segment that they describe.
pub(super) type Trees = BTreeMap<u64, TreeView>;

/// A VEC segment of which rows are intact.
pub(super) struct Rows {
    pub(super) entry: ManifestEntry,
    pub(super) view: VecView,
    /// Rows that are not written: damaged, dead, or with a newer row of their id.
    pub(super) gone: Bits,
    /// Rows whose ids are damaged.
    pub(super) nameless: Bits,
}

impl Rows {
    /// The id of a row whose id is intact.
    pub(super) fn id(&self, row: u32) -> Option<IdRef<'_>> {
        if self.nameless.get(row) { None } else { self.view.id(row) }
    }

    /// Rows that are written.
    pub(super) fn kept(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.view.count()).filter(|row| !self.gone.get(*row))
    }

    pub(super) fn drop_row(&mut self, row: u32) {
        self.gone.set(row, self.entry.rows.get());
    }
}

/// The intact rows of a listed segment that are not `dead`, and what of the others is lost: no rows where all of them are dead.
pub(super) fn read(
    ground: &Ground,
    entry: &ManifestEntry,
    schema: &Schema,
    trees: &Trees,
    dead: &Bits,
) -> (Option<Rows>, Option<Loss>) {
    let live = entry.rows.get().saturating_sub(dead.ones());
    let lost = |message: &str| (None, Some(Loss::of(entry, message).counting(u64::from(live))));
    let at = entry.offset.get();
    let Some(bytes) = ground.bytes(at, entry.length.get()) else {
        return lost("the segment lies outside the file, which is cut: its rows are lost");
    };
    let groups = if digest::blake3(&bytes) == entry.hash {
        None
    } else {
        let tree = trees.get(&entry.segment_id.get()).filter(|tree| tree.check(entry).is_ok());
        let Some(tree) = tree else {
            return lost("bytes are damaged, and no hash tree tells which: its rows are lost");
        };
        Some(intact_groups(&bytes, tree))
    };
    if groups.as_ref().is_some_and(|groups| groups.first() != Some(&true)) {
        return lost("its first 16 KiB, which say where rows stand, are damaged: its rows are lost");
    }
    let parsed = VecView::parse(bytes.clone(), entry, schema).ok();
    let Some((view, payload)) = parsed.zip(Payload::parse(bytes, at, Kind::VEC, &[1]).ok()) else {
        return lost("its bytes are as they were written, but are no rows of this store");
    };
    let mut rows = Rows { entry: *entry, view, gone: Bits::default(), nameless: Bits::default() };
    let intact = |range: Option<(u64, u64)>| match &groups {
        None => true,
        Some(groups) => range.is_some_and(|range| all_intact(groups, range)),
    };
    let loss = judge(&mut rows, dead, schema, &payload, &intact);
    (Some(rows), loss)
}

/// Which groups have the bytes that the tree, which leads to the committed hash, was made of.
fn intact_groups(bytes: &[u8], tree: &TreeView) -> Vec<bool> {
    digest::group_leaves(bytes).iter().zip(tree.level(0)).map(|(found, made)| found == made).collect()
}

/// Whether the bytes from one offset to another, relative to the segment, lie in intact groups.
fn all_intact(groups: &[bool], (start, end): (u64, u64)) -> bool {
    let first = start / GROUP_LEN as u64;
    let last = end.saturating_sub(1).max(start) / GROUP_LEN as u64;
    groups.get(first as usize..=last as usize).is_some_and(|groups| groups.iter().all(|intact| *intact))
}

/// Drops the rows that are dead, and finds those among the others whose bytes are not proven.
fn judge(
    rows: &mut Rows,
    dead: &Bits,
    schema: &Schema,
    payload: &Payload,
    intact: &dyn Fn(Option<(u64, u64)>) -> bool,
) -> Option<Loss> {
    let start = |tag| payload.place_of(tag) - payload.at;
    let (vectors, stride) = (start(TAG_VECTORS), schema.row_len() as u64);
    let names = Names::of(schema.id_type, payload);
    let count = rows.view.count();
    let (mut ids, mut lost) = (Vec::new(), 0);
    for row in 0..count {
        let from = vectors + u64::from(row) * stride;
        let well_formed = match rows.view.id(row) {
            Some(IdRef::Str(text)) => is_string_id(text),
            found => found.is_some_and(|id| id != IdRef::U64(u64::MAX)),
        };
        let named = well_formed && names.ranges(row).into_iter().all(intact);
        if !named {
            rows.nameless.set(row, count);
        }
        if dead.get(row) {
            rows.gone.set(row, count);
            continue;
        }
        if named && intact(Some((from, from + stride))) {
            continue;
        }
        lost += 1;
        if named && ids.len() < MOST_IDS {
            ids.extend(rows.view.id(row).map(Id::from));
        }
        rows.gone.set(row, count);
    }
    let message =
        format!("some bytes are damaged: {lost} of {count} rows are lost, the others are proven by the hash tree");
    (lost > 0).then(|| Loss { ids, ..Loss::of(&rows.entry, message).counting(lost) })
}

/// Where the ids of rows stand, relative to their segment.
struct Names {
    fixed: u64,
    text: u64,
    offsets: Option<rvf_format::storage::Bytes>,
}

impl Names {
    fn of(id_type: IdType, payload: &Payload) -> Self {
        let start = |tag| payload.place_of(tag) - payload.at;
        match id_type {
            IdType::U64 => Self { fixed: start(TAG_IDS), text: 0, offsets: None },
            IdType::Str => {
                let offsets = payload.section(TAG_ID_OFFSETS);
                Self { fixed: start(TAG_ID_OFFSETS), text: start(TAG_ID_BYTES), offsets }
            }
        }
    }

    /// The bytes that the id of a row is made of: its number, or its offsets and its text. `None` where it has none.
    fn ranges(&self, row: u32) -> [Option<(u64, u64)>; 2] {
        let row = u64::from(row);
        let Some(offsets) = &self.offsets else {
            let number = (self.fixed + row * 8, self.fixed + row * 8 + 8);
            return [Some(number); 2];
        };
        let both = (self.fixed + row * 4, self.fixed + row * 4 + 8);
        let at = |row: u64| Some(u64::from(offsets.as_slice::<U32>()?.get(row as usize)?.get()));
        let text = at(row).zip(at(row + 1)).map(|(from, to)| (self.text + from, self.text + to));
        [Some(both), text]
    }
}

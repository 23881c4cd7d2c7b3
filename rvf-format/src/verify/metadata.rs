//! META, DELTA and META_IDX segments of the newest epoch together: META-4, META-5, MIX-1, MIX-2.

use super::Findings;
use super::history::History;
use super::meaning::segment;
use super::walk::{Walked, holds_columns};
use crate::manifest::ManifestEntry;
use crate::payload::columns::{ColumnsView, FieldKind};
use crate::payload::lookup::{self, LookupView};
use crate::storage::Bytes;
use crate::{Clause, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// First row and number of rows.
type Key = (u64, u32);

pub(super) fn check(file: &Bytes, history: &History, walked: &Walked, findings: &mut Findings) {
    if !history.resolved {
        return;
    }
    let listed = |kind: Kind| {
        let live = history.newest.live.values();
        live.filter(move |entry| entry.kind() == kind && entry.space.get() == 0).copied()
    };
    let columns: Vec<ManifestEntry> = listed(Kind::META).filter(holds_columns).chain(listed(Kind::DELTA)).collect();
    let is_intact = |entry: &ManifestEntry| !walked.damaged.contains(&entry.segment_id.get());
    let some_damaged = !columns.iter().all(is_intact);
    let mut views = BTreeMap::new();
    let mut kinds = BTreeMap::new();
    for entry in columns.iter().filter(|entry| is_intact(entry)) {
        // What is wrong with it alone has been said.
        let Ok(view) = segment(file, entry).and_then(|bytes| ColumnsView::parse(bytes, entry)) else { continue };
        check_kinds(&view, entry, &mut kinds, findings);
        if entry.kind() == Kind::META {
            views.insert(key(entry), view);
        }
    }
    let parts: BTreeSet<Key> = listed(Kind::VEC).map(|entry| key(&entry)).collect();
    check_parts(columns.iter().filter(|entry| entry.kind() == Kind::META), &parts, findings);
    let mut seen = BTreeSet::new();
    for entry in listed(Kind::META_IDX).filter(is_intact) {
        let (at, id) = (entry.offset.get(), Some(entry.segment_id.get()));
        let Some(view) = views.get(&key(&entry)).filter(|_| seen.insert(key(&entry))) else {
            if !some_damaged {
                findings.add(Clause::Mix1, at, id, "a META_IDX belongs to no META segment, or is not its only one");
            }
            continue;
        };
        let parsed = segment(file, &entry).and_then(|bytes| LookupView::parse(bytes, &entry, view));
        findings.check(id, parsed.and_then(|lookup| lookup::check(&lookup, view, at)));
    }
}

fn key(entry: &ManifestEntry) -> Key {
    (entry.base_row.get(), entry.rows.get())
}

/// META-4: each is of the rows of one VEC segment, which has no other.
fn check_parts<'e>(metas: impl Iterator<Item = &'e ManifestEntry>, parts: &BTreeSet<Key>, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for entry in metas {
        if !parts.contains(&key(entry)) || !seen.insert(key(entry)) {
            let message = "a META segment is not that of the rows of a VEC segment, or not its only one";
            findings.add(Clause::Meta4, entry.offset.get(), Some(entry.segment_id.get()), message);
        }
    }
}

/// META-5: fields of one name hold one type, or numbers.
fn check_kinds(
    view: &ColumnsView,
    entry: &ManifestEntry,
    kinds: &mut BTreeMap<String, FieldKind>,
    findings: &mut Findings,
) {
    for column in view.columns() {
        let numbers = |kind| matches!(kind, FieldKind::I64 | FieldKind::F64);
        let kind = column.kind();
        let known = *kinds.entry(column.name().to_owned()).or_insert(kind);
        if known != kind && !(numbers(known) && numbers(kind)) {
            let message = format!("the field {:?} is of another type in another segment", column.name());
            findings.add(Clause::Meta5, entry.offset.get(), Some(entry.segment_id.get()), message);
        }
    }
}

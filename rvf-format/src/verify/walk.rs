//! The segments of a file, one after another: headers, hashes, payloads.

use super::history::History;
use super::{Findings, Progress, branch};
use crate::limits::{HEADER_LEN, PAGE, PAGE_LEN, ROOT_MAGIC};
use crate::manifest::ManifestEntry;
use crate::note::Note;
use crate::payload::columns::{self, ColumnsView};
use crate::payload::cow::RowSet;
use crate::payload::feedback::FeedbackView;
use crate::payload::index::IndexView;
use crate::payload::journal::JournalView;
use crate::payload::quant::QuantView;
use crate::payload::refcount::RefcountView;
use crate::payload::tensors::TensorsView;
use crate::payload::tree::TreeView;
use crate::payload::vec::VecView;
use crate::payload::{crypto, meta, witness};
use crate::segment::{Payload, SegmentHeader};
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, digest};
use std::collections::BTreeSet;

/// What the walk learned for the checks that follow.
#[derive(Default)]
pub(super) struct Walked {
    pub(super) segments: u64,
    /// Ids of listed segments whose bytes are not what was committed: their meaning is not judged.
    pub(super) damaged: BTreeSet<u64>,
    /// Hash trees by the segment that they describe.
    pub(super) trees: Vec<(TreeView, ManifestEntry)>,
    /// Signed notes of CRYPTO segments.
    pub(super) notes: Vec<(ManifestEntry, Vec<Note>)>,
    /// Audit entries of WITNESS segments, with the segment's offset.
    pub(super) sealed: Vec<(u64, Vec<witness::Entry>)>,
}

pub(super) fn walk(file: &Bytes, history: &History, findings: &mut Findings, progress: Progress<'_>) -> Walked {
    let mut walked = Walked::default();
    let end = history.newest_root().map_or(file.len() as u64, |root| root.end());
    let mut ids = BTreeSet::new();
    let mut at = 0;
    while at < end {
        progress(at, end);
        let bytes = file.get(at as usize..).unwrap_or_default();
        let header = match SegmentHeader::read(bytes, at, end) {
            Ok(header) => header,
            Err(error) => {
                at = stumble(history, &error, at, &mut walked, findings);
                continue;
            }
        };
        let id = header.segment_id.get();
        let known_next = history.newest_root().is_none_or(|root| id < root.next_segment_id.get());
        if !ids.insert(id) || !known_next {
            findings.add(Clause::Seg5, at + 8, Some(id), "a segment id is used twice or at or above the next one");
        }
        if let Some(segment) = file.slice(at as usize, header.length() as usize) {
            check_segment(history, &header, segment, at, &mut walked, findings);
        }
        walked.segments += 1;
        at += header.length();
    }
    progress(end, end);
    walked
}

/// A header that cannot be read: says so and finds the next place where a segment is known to start.
fn stumble(history: &History, error: &Error, at: u64, walked: &mut Walked, findings: &mut Findings) -> u64 {
    let here = history.listed.get(&at);
    findings.take(error, here.map(|entry| entry.segment_id.get()));
    walked.damaged.extend(here.map(|entry| entry.segment_id.get()));
    let segment = history.listed.range(at + 1..).next().map(|found| *found.0);
    let manifest = history.manifests.range(at + 1..).next().map(|found| *found.0);
    let known = [segment, manifest].into_iter().flatten().min();
    // Behind a header of known length the next known start is right after it; else everything until then is in doubt.
    known.unwrap_or(u64::MAX)
}

fn check_segment(
    history: &History,
    header: &SegmentHeader,
    segment: Bytes,
    at: u64,
    walked: &mut Walked,
    findings: &mut Findings,
) {
    let id = Some(header.segment_id.get());
    if at == 0 && (header.kind() != Kind::FILE || header.segment_id.get() != 0 || header.length() != PAGE) {
        findings.add(Clause::File1, at, id, "the first segment is not a FILE segment of one page");
    }
    let mut intact = true;
    if digest::xxh3_128(segment.get(HEADER_LEN..).unwrap_or_default()) != header.content_hash {
        findings.add(Clause::Seg4, at + 0x28, id, "the content hash is not that of the payload");
        intact = false;
    }
    check_false_roots(history, &segment, at, id, findings);
    if let Some(root) = history.manifests.get(&at) {
        intact &= header.length() == root.manifest_length.get();
        if intact {
            check_stray(Payload::parse(segment, at, Kind::MANIFEST, &[1, 2]), id, findings);
        }
        return;
    }
    let Some(entry) = history.listed.get(&at) else {
        if history.complete && !history.commits.is_empty() {
            findings.add(Clause::Man8, at, id, "a segment that no manifest lists");
        }
        return;
    };
    let same =
        entry.segment_id == header.segment_id && entry.kind == header.kind && entry.length.get() == header.length();
    if !same {
        findings.add(Clause::Man4, at, id, "a segment's header is not what the manifest lists");
    } else if digest::blake3(&segment) != entry.hash {
        findings.add(Clause::Man5, at, id, "a segment's bytes are not those that were committed");
        intact = false;
    }
    if intact && same {
        check_payload(history, entry, segment, walked, findings);
    } else {
        walked.damaged.insert(entry.segment_id.get());
    }
}

fn check_false_roots(history: &History, segment: &Bytes, at: u64, id: Option<u64>, findings: &mut Findings) {
    if history.commits.is_empty() || !history.complete {
        // Without the whole chain it cannot be told which pages are roots.
        return;
    }
    for (page, bytes) in segment.chunks(PAGE_LEN).enumerate() {
        let place = at + page as u64 * PAGE;
        let is_root = history.manifests.get(&at).is_some_and(|root| root.own_offset.get() == place);
        if bytes.starts_with(&ROOT_MAGIC.to_le_bytes()) && !is_root {
            findings.add(Clause::Pay4, place, id, "a page that is no root begins with the root magic");
        }
    }
}

/// The payload of an intact, listed segment, as far as it can be judged alone.
fn check_payload(
    history: &History,
    entry: &ManifestEntry,
    segment: Bytes,
    walked: &mut Walked,
    findings: &mut Findings,
) {
    let (kind, at, id) = (entry.kind(), entry.offset.get(), Some(entry.segment_id.get()));
    if !kind.has_payload_rules() || entry.space.get() != 0 {
        return;
    }
    let forms: &[u16] = match kind {
        Kind::META if holds_columns(entry) => &[columns::FORM],
        Kind::MEMBERSHIP => &[1, 2],
        _ => &[1],
    };
    check_stray(Payload::parse(segment.clone(), at, kind, forms), id, findings);
    let before = findings.list.len();
    match kind {
        Kind::VEC => check_vectors(history, entry, segment, findings),
        Kind::JOURNAL => check_journal(history, entry, segment, findings),
        Kind::COW_MAP | Kind::MEMBERSHIP => {
            let first_row = history.first_row().unwrap_or(u64::MAX);
            findings.check(id, RowSet::parse(segment, at, kind).and_then(|rows| rows.check(first_row)));
        }
        Kind::REFCOUNT => {
            findings.check(id, RefcountView::parse(segment, at).and_then(|view| view.check(at)));
        }
        Kind::GRAPH | Kind::OVERLAY | Kind::POLICY_KERNEL => {
            findings.check(id, TensorsView::parse(segment, at, kind));
        }
        Kind::FEEDBACK => {
            if let Some(schema) = history.schema() {
                findings.check(id, FeedbackView::parse(segment, entry, &schema));
            }
        }
        Kind::INDEX | Kind::QUANT => check_graph(history, entry, segment, findings),
        Kind::META | Kind::DELTA if holds_columns(entry) => {
            findings.check(id, ColumnsView::parse(segment, entry).and_then(|view| view.check()));
        }
        Kind::META => drop(findings.check(id, meta::parse(segment, at))),
        Kind::WITNESS => {
            if let Some(entries) = findings.check(id, witness::parse(segment, at)) {
                check_sealed(entry, &entries, findings);
                walked.sealed.push((at, entries));
            }
        }
        Kind::CRYPTO => {
            let notes = findings.check(id, crypto::parse(segment, entry));
            walked.notes.extend(notes.map(|notes| (*entry, notes)));
        }
        Kind::TREE => walked.trees.extend(findings.check(id, TreeView::parse(segment, at)).map(|tree| (tree, *entry))),
        Kind::FILLER if Payload::parse(segment.clone(), at, kind, &[1]).is_ok_and(|p| !p.entries().is_empty()) => {
            findings.add(Clause::Fill1, at, id, "a FILLER has sections");
        }
        _ => {}
    }
    if findings.list.len() > before {
        walked.damaged.insert(entry.segment_id.get());
    }
}

/// Whether a META or DELTA segment holds metadata of records; else it is a META with facts about the file.
pub(super) fn holds_columns(entry: &ManifestEntry) -> bool {
    entry.rows.get() > 0 || entry.kind() == Kind::DELTA
}

/// A WITNESS segment holds the entries that its own entry in the manifest names, in their order.
fn check_sealed(listed: &ManifestEntry, entries: &[witness::Entry], findings: &mut Findings) {
    let named = listed.base_row.get()..listed.end_row();
    if !entries.iter().map(|entry| entry.fixed.index.get()).eq(named) {
        let (at, id) = (listed.offset.get(), Some(listed.segment_id.get()));
        findings.add(Clause::Wit2, at, id, "a WITNESS segment holds other audit entries than the manifest lists");
    }
}

fn check_stray(payload: crate::Result<Payload>, id: Option<u64>, findings: &mut Findings) {
    let stray = findings.check(id, payload).and_then(|payload| payload.first_stray_byte());
    if let Some(at) = stray {
        findings.add(Clause::Pay3, at, id, "a byte outside sections is not zero");
    }
}

fn check_vectors(history: &History, entry: &ManifestEntry, segment: Bytes, findings: &mut Findings) {
    let Some(schema) = history.schema() else { return };
    let (at, id) = (entry.offset.get(), Some(entry.segment_id.get()));
    let Some(view) = findings.check(id, VecView::parse(segment, entry, &schema)) else { return };
    findings.check(id, view.check_rows(&schema, at));
    findings.check(id, view.check_ids(at));
}

fn check_journal(history: &History, entry: &ManifestEntry, segment: Bytes, findings: &mut Findings) {
    let (at, id) = (entry.offset.get(), Some(entry.segment_id.get()));
    let next_row = history.newest_root().map_or(u64::MAX, |root| root.next_row.get());
    let Some(view) = findings.check(id, JournalView::parse(segment, at)) else { return };
    if findings.check(id, view.check(next_row)).is_some() {
        findings.check(id, branch::check_journal(&view, history.first_row().unwrap_or(0), at));
    }
}

/// What an INDEX or a QUANT says alone.
fn check_graph(history: &History, entry: &ManifestEntry, segment: Bytes, findings: &mut Findings) {
    let Some(schema) = history.schema() else { return };
    let (at, id) = (entry.offset.get(), Some(entry.segment_id.get()));
    if entry.kind() == Kind::QUANT {
        findings.check(id, QuantView::parse(segment, entry, &schema));
    } else if let Some(view) = findings.check(id, IndexView::parse(segment, entry, &schema)) {
        findings.check(id, view.check_links(at));
    }
}

//! What segments say together: ids, counts, audit entries, hash trees.

use super::Findings;
use super::audit::{self, Trail};
use super::history::History;
use super::walk::Walked;
use crate::limits::TREE_MIN;
use crate::manifest::ManifestEntry;
use crate::payload::journal::JournalView;
use crate::payload::vec::{IdRef, VecView};
use crate::payload::witness::{Entry, read_all};
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, Result};
use std::collections::BTreeMap;

/// Returns the audit entries, if they are all there and linked.
pub(super) fn check(file: &Bytes, history: &History, walked: &Walked, findings: &mut Findings) -> Option<Trail> {
    let trail = check_audit(history, walked, findings);
    if history.resolved {
        check_trees(history, walked, findings);
        check_rows(file, history, walked, findings);
    }
    trail
}

fn check_trees(history: &History, walked: &Walked, findings: &mut Findings) {
    let mut described: BTreeMap<u64, u64> = BTreeMap::new();
    for (tree, entry) in &walked.trees {
        let target = tree.facts.segment_id.get();
        let listed = history.listed.values().find(|other| other.segment_id.get() == target);
        let id = Some(entry.segment_id.get());
        match listed {
            Some(listed) => drop(findings.check(id, tree.check(listed))),
            None => findings.add(Clause::Tree1, entry.offset.get(), id, "a hash tree of a segment that is not listed"),
        }
        if history.newest.live.contains_key(&entry.segment_id.get()) {
            *described.entry(target).or_default() += 1;
        }
    }
    for entry in history.newest.live.values() {
        let id = entry.segment_id.get();
        let trees = described.get(&id).copied().unwrap_or(0);
        let wants = !matches!(entry.kind(), Kind::FILLER | Kind::TREE) && entry.length.get() >= TREE_MIN;
        if trees > 1 || (wants && trees == 0 && !tree_is_damaged(history, walked)) {
            let message = format!("a segment of {} bytes has {trees} hash trees", entry.length.get());
            findings.add(Clause::Tree2, entry.offset.get(), Some(id), message);
        }
    }
}

/// A damaged TREE cannot say whose it is.
fn tree_is_damaged(history: &History, walked: &Walked) -> bool {
    let trees = history.newest.live.values().filter(|entry| entry.kind() == Kind::TREE);
    trees.into_iter().any(|entry| walked.damaged.contains(&entry.segment_id.get()))
}

fn check_audit(history: &History, walked: &Walked, findings: &mut Findings) -> Option<Trail> {
    let newest = history.newest_root()?;
    let mut entries: BTreeMap<u64, (u64, Entry)> = BTreeMap::new();
    let mut readable = true;
    for (at, sealed) in &walked.sealed {
        for entry in sealed {
            insert(&mut entries, *at, entry, findings);
        }
    }
    for commit in &history.commits {
        let at = commit.root.manifest_offset.get();
        match read_all(&commit.manifest.witness, at) {
            Ok(own) if own.len() == 1 => {
                insert(&mut entries, at, &own[0], findings);
                check_own(commit, &own[0], findings);
            }
            Ok(_) => {
                findings.add(Clause::Wit1, at, None, "a manifest holds not exactly one audit entry");
                readable = false;
            }
            Err(error) => {
                findings.take(&error, None);
                readable = false;
            }
        }
    }
    let sealed_is_damaged =
        history.listed.values().any(|e| e.kind() == Kind::WITNESS && walked.damaged.contains(&e.segment_id.get()));
    let is_whole = readable
        && !sealed_is_damaged
        && history.complete
        && check_links(&entries, newest.witness_size.get(), newest.own_offset.get(), findings);
    let trail = is_whole.then(|| Trail::of(entries.values().map(|(_, entry)| entry)));
    audit::check(trail.as_ref(), history, walked, findings);
    trail
}

fn insert(entries: &mut BTreeMap<u64, (u64, Entry)>, at: u64, entry: &Entry, findings: &mut Findings) {
    let index = entry.fixed.index.get();
    if entries.insert(index, (at, entry.clone())).is_some_and(|(_, other)| other != *entry) {
        findings.add(Clause::Wit2, at, None, format!("two different audit entries have index {index}"));
    }
}

/// Whether the entries are all there and linked.
fn check_links(entries: &BTreeMap<u64, (u64, Entry)>, size: u64, place: u64, findings: &mut Findings) -> bool {
    let consecutive = entries.keys().enumerate().all(|(expected, index)| expected as u64 == *index);
    if !consecutive || entries.len() as u64 != size {
        findings.add(
            Clause::Wit2,
            place + 0x188,
            None,
            format!("{} audit entries are there, the root counts {size}", entries.len()),
        );
        return false;
    }
    let (mut previous, mut linked) = ([0; 32], true);
    for (index, (at, entry)) in entries {
        if entry.fixed.previous != previous {
            findings.add(Clause::Wit2, *at, None, format!("audit entry {index} does not follow from the one before"));
            linked = false;
        }
        previous = entry.hash();
    }
    linked
}

/// The audit entry of a commit against its root.
fn check_own(commit: &crate::recover::Commit, entry: &Entry, findings: &mut Findings) {
    let (root, fixed) = (&commit.root, &entry.fixed);
    let agrees = fixed.epoch.get() == root.epoch()
        && fixed.time_ns == root.modified_ns
        && fixed.count == root.live_count
        && fixed.state_hash == root.state_hash
        && fixed.index.get().checked_add(1) == Some(root.witness_size.get())
        && entry.hash() == root.witness_head;
    if !agrees {
        findings.add(
            Clause::Wit3,
            root.own_offset.get() + 0x188,
            None,
            "the audit entry of a commit does not agree with its root",
        );
    }
}

/// Live rows of the newest epoch: each id once, as many as the root says, below the next id.
fn check_rows(file: &Bytes, history: &History, walked: &Walked, findings: &mut Findings) {
    let (Some(root), Some(schema)) = (history.newest_root(), history.schema()) else { return };
    let live = || history.newest.live.values().filter(|entry| entry.space.get() == 0);
    let judged = |entry: &&ManifestEntry| matches!(entry.kind(), Kind::VEC | Kind::JOURNAL);
    if live().filter(judged).any(|entry| walked.damaged.contains(&entry.segment_id.get())) {
        return;
    }
    let journals = journals(file, history);
    let mut views: Vec<(u64, VecView)> = Vec::new();
    for entry in live().filter(|entry| entry.kind() == Kind::VEC) {
        let view = segment(file, entry).and_then(|bytes| VecView::parse(bytes, entry, &schema));
        views.extend(view.map(|view| (entry.base_row.get(), view)));
    }
    let all = || {
        views.iter().flat_map(|(base, view)| {
            (0..view.count()).map(move |row| (base.saturating_add(u64::from(row)), view.id(row)))
        })
    };
    let largest = all().filter_map(|(_, id)| id).max();
    let count = all().filter(|(row, _)| !is_dead(&journals, *row)).count();
    let mut ids: Vec<IdRef<'_>> = Vec::with_capacity(count);
    ids.extend(all().filter(|(row, _)| !is_dead(&journals, *row)).filter_map(|(_, id)| id));
    ids.sort_unstable();
    for pair in ids.windows(2).filter(|pair| pair[0] == pair[1]) {
        findings.add(Clause::Vec5, 0, None, format!("more than one live row has the id {:?}", pair[0]));
    }
    check_counts(root, count as u64, largest, findings);
}

/// The bytes of a listed segment.
pub(super) fn segment(file: &Bytes, entry: &ManifestEntry) -> Result<Bytes> {
    let bytes = file.slice(entry.offset.get() as usize, entry.length.get() as usize);
    bytes.ok_or(Error::corrupt(Clause::Man4, entry.offset.get(), "a listed segment lies outside the file"))
}

/// The journals of the newest epoch that can be read.
pub(super) fn journals(file: &Bytes, history: &History) -> Vec<JournalView> {
    let listed = history.newest.live.values();
    let listed = listed.filter(|entry| entry.kind() == Kind::JOURNAL && entry.space.get() == 0);
    let views =
        listed.map(|entry| segment(file, entry).and_then(|bytes| JournalView::parse(bytes, entry.offset.get())));
    views.filter_map(Result::ok).collect()
}

/// Words of a journal ascend: a journal whose words do not is damaged, and rows are not judged then.
pub(super) fn is_dead(journals: &[JournalView], row: u64) -> bool {
    journals.iter().any(|journal| {
        let words = journal.words();
        let found = words.binary_search_by_key(&(row / 64), |word| word.word.get());
        found.ok().and_then(|at| words.get(at)).is_some_and(|word| word.mask.get() >> (row % 64) & 1 == 1)
    })
}

fn check_counts(root: &crate::root::RootPage, count: u64, largest: Option<IdRef<'_>>, findings: &mut Findings) {
    let at = root.own_offset.get();
    // A branch counts inherited records, too: those of its parents are not here.
    let fits = match root.has_parent() {
        true => count <= root.live_count.get(),
        false => count == root.live_count.get(),
    };
    if !fits {
        let message = format!("{count} records are live, the root says {}", root.live_count.get());
        findings.add(Clause::Root7, at + 0x18, None, message);
    }
    if let Some(IdRef::U64(largest)) = largest
        && largest >= root.next_id.get()
    {
        findings.add(Clause::Root7, at + 0x178, None, format!("id {largest} is not below the next id"));
    }
}

//! The chain of roots: every manifest, replayed from the oldest on.

use super::{Findings, branch};
use crate::chain::{Replay, check_rows};
use crate::limits::PAGE;
use crate::lineage::ParentRef;
use crate::manifest::{FACT_POLICY, ManifestEntry};
use crate::recover::{Commit, commit_at};
use crate::root::{FEATURE_BRANCH, RootPage};
use crate::state::state_hash;
use crate::storage::Bytes;
use crate::{Clause, Schema};
use std::collections::BTreeMap;
use std::ops::Bound;

/// The commits of a file and what they list.
#[derive(Default)]
pub(super) struct History {
    /// Oldest first.
    pub(super) commits: Vec<Commit>,
    /// Every segment that a manifest lists, by offset.
    pub(super) listed: BTreeMap<u64, ManifestEntry>,
    /// Offsets of manifests.
    pub(super) manifests: BTreeMap<u64, RootPage>,
    /// What is live at the newest root.
    pub(super) newest: Replay,
    /// The parent that the newest root names, if `newest` is known.
    pub(super) parent: Option<ParentRef>,
    /// Whether `newest` is known: its manifests could be replayed.
    pub(super) resolved: bool,
    /// Whether the chain reaches its oldest root. If not, unlisted segments say nothing.
    pub(super) complete: bool,
}

impl History {
    pub(super) fn newest_root(&self) -> Option<&RootPage> {
        self.commits.last().map(|commit| &commit.root)
    }

    /// Where the file's own rows begin, as far as that is known.
    pub(super) fn first_row(&self) -> Option<u64> {
        self.parent.as_ref().map(|parent| parent.first_row)
    }

    pub(super) fn schema(&self) -> Option<Schema> {
        self.newest_root().and_then(|root| root.schema().ok())
    }
}

pub(super) fn read(file: &Bytes, newest: Commit, findings: &mut Findings) -> History {
    let mut history = History { complete: true, ..History::default() };
    history.commits = collect(file, newest, &mut history.complete, findings);
    for index in 0..history.commits.len() {
        let (before, rest) = history.commits.split_at(index);
        let Some(commit) = rest.first() else { continue };
        check_root(commit, before.last(), findings);
        history.manifests.insert(commit.root.manifest_offset.get(), commit.root);
        for entry in &commit.manifest.added {
            list(&mut history.listed, entry, commit, findings);
        }
    }
    replay(&mut history, findings);
    history
}

/// From the newest root to the oldest that can be read; oldest first.
fn collect(file: &Bytes, newest: Commit, complete: &mut bool, findings: &mut Findings) -> Vec<Commit> {
    let mut commits = vec![newest];
    while let Some(last) = commits.last() {
        let offset = last.root.previous_root.get();
        let place = last.root.own_offset.get() + 0x108;
        if offset == 0 {
            break;
        }
        let earlier = offset.checked_add(PAGE).is_some_and(|end| end <= last.root.manifest_offset.get());
        let why = match commit_at(file, offset, last.root.file_id) {
            _ if !earlier => "it does not stand before".to_owned(),
            Ok(before) if before.root.epoch() < last.root.epoch() => {
                commits.push(before);
                continue;
            }
            Ok(_) => "its epoch is not smaller".to_owned(),
            Err(error) => error.to_string(),
        };
        let message = format!("the root before this one is not whole: older epochs are lost ({why})");
        findings.add(Clause::Root6, place, None, message);
        *complete = false;
        break;
    }
    commits.reverse();
    commits
}

fn check_root(commit: &Commit, before: Option<&Commit>, findings: &mut Findings) {
    let root = &commit.root;
    let at = root.own_offset.get();
    if let Some(offset) = root.first_reserved_set() {
        findings.add(Clause::Root4, at + offset, None, "a reserved field of a root is set");
    }
    findings.check(None, root.schema());
    let Some(before) = before else { return };
    let same = |root: &RootPage| {
        (root.dimension.get(), root.dtype, root.metric, root.id_type, root.created_ns.get(), root.file_id)
    };
    if same(root) != same(&before.root) {
        findings.add(Clause::Root8, at, None, "schema, creation time or file id differ from the root before");
    }
    let parent = |root: &RootPage| {
        let is_branch = root.features_incompatible.get() & FEATURE_BRANCH;
        (is_branch, root.parent_id, root.parent_hash, root.parent_epoch.get(), root.lineage_depth.get())
    };
    if parent(root) != parent(&before.root) {
        findings.add(Clause::Root8, at, None, "a root names another parent than the root before");
    }
    if before.root.has_tree() && !root.has_tree() {
        findings.add(Clause::Root8, at + 0x120, None, "a root has no tree over the audit entries, the one before has");
    }
    let numbers = |root: &RootPage| [root.next_row.get(), root.next_id.get(), root.next_segment_id.get()];
    if numbers(root).iter().zip(numbers(&before.root)).any(|(now, before)| *now < before) {
        findings.add(Clause::Root7, at + 0x170, None, "a running number is smaller than in the root before");
    }
    let follows = before.root.since_full.get().checked_add(1) == Some(root.since_full.get());
    if !commit.manifest.full && !follows {
        findings.add(Clause::Man2, at + 0x1D8, None, "an incremental manifest does not follow the one before");
    }
}

fn list(listed: &mut BTreeMap<u64, ManifestEntry>, entry: &ManifestEntry, commit: &Commit, findings: &mut Findings) {
    let at = commit.root.manifest_offset.get();
    let id = Some(entry.segment_id.get());
    if let Some(other) = listed.insert(entry.offset.get(), *entry) {
        if other != *entry {
            findings.add(Clause::Man4, at, id, "two manifests list different segments at one offset");
        }
        return;
    }
    let before =
        listed.range(..entry.offset.get()).next_back().is_some_and(|(_, other)| other.end() > entry.offset.get());
    let behind = (Bound::Excluded(entry.offset.get()), Bound::Unbounded);
    let after = listed.range(behind).next().is_some_and(|(offset, _)| *offset < entry.end());
    if before || after {
        findings.add(Clause::Man4, at, id, "listed segments overlap");
    }
}

fn replay(history: &mut History, findings: &mut Findings) {
    let mut replay = Replay::default();
    let mut whole = history.complete;
    for (index, commit) in history.commits.iter().enumerate() {
        let at = commit.root.own_offset.get();
        if index == 0 && !commit.manifest.full {
            if history.complete {
                findings.add(Clause::Man2, at + 0x1D8, None, "the oldest manifest is not a full one");
            }
            whole = false;
        }
        whole |= commit.manifest.full;
        // At most 63 follow a full one, or the work on a hostile file would grow with its square.
        let before = index.checked_sub(1).and_then(|before| history.commits.get(before));
        let follows = before
            .is_some_and(|before| before.root.since_full.get().checked_add(1) == Some(commit.root.since_full.get()));
        whole &= commit.manifest.full || follows;
        if !whole {
            continue;
        }
        let asked = replay.facts.contains_key(&FACT_POLICY);
        if findings.check(None, replay.apply(commit)).is_none() {
            whole = false;
            continue;
        }
        if asked && !replay.facts.contains_key(&FACT_POLICY) {
            findings.add(Clause::Sig3, at, None, "the file asked for signatures, and its manifest does not any more");
        }
        let live: Vec<ManifestEntry> = replay.live.values().copied().collect();
        findings.check(None, check_rows(&live));
        if state_hash(&commit.root, &replay.facts, &live) != commit.root.state_hash {
            findings.add(Clause::Man7, at + 0x150, None, "the state hash is not that of schema, facts and segments");
        }
        check_next(&commit.root, &live, findings);
        branch::check_commit(&commit.root, &replay, findings);
    }
    let newest = history.newest_root().filter(|_| whole);
    history.parent = newest.and_then(|root| ParentRef::of(root, &replay.facts).ok().flatten());
    history.newest = replay;
    history.resolved = whole;
}

/// `next_row` and `next_segment_id` are above all that is listed.
fn check_next(root: &RootPage, live: &[ManifestEntry], findings: &mut Findings) {
    use crate::Kind;
    let at = root.own_offset.get();
    let rows = live.iter().filter(|entry| entry.kind() == Kind::VEC && entry.space.get() == 0);
    if rows.map(ManifestEntry::end_row).max().is_some_and(|end| end > root.next_row.get()) {
        findings.add(Clause::Root7, at + 0x170, None, "a segment has rows at or above the next row");
    }
    if live.iter().any(|entry| entry.segment_id.get() >= root.next_segment_id.get()) {
        findings.add(Clause::Root7, at + 0x180, None, "a segment has an id at or above the next one");
    }
}

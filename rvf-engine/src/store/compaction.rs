//! The storage side of compaction: the temporary file, the last commit in it, the change of files.

use super::append::Appender;
use super::audit::{entries, next_entry};
use super::commit::{COMPACT_SUFFIX, Change, Store, beside, create_temporary, finish, next_epoch, open_newest};
use super::merge::{Gathered, remove_trees};
use super::rows::RowId;
use super::snapshot::Snapshot;
use crate::{Error, Result};
use rvf_format::chain::{self, State};
use rvf_format::limits::TREE_MIN;
use rvf_format::manifest::{Facts, ManifestEntry, pins};
use rvf_format::payload::witness::{self, Entry, Operation};
use rvf_format::root::RootPage;
use rvf_format::storage::Storage;
use rvf_format::{Clause, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows of one VEC segment that compaction makes, bytes.
const SEGMENT_BYTES: usize = 128 << 20;

/// The file that compaction writes.
pub(crate) struct Target {
    storage: Arc<dyn Storage>,
    temporary: PathBuf,
    output: Option<PathBuf>,
}

impl Target {
    pub(crate) fn create(store: &Store, output: Option<&Path>) -> Result<Self> {
        if let Some(path) = output.filter(|path| store.place.identity(path).is_ok()) {
            return Err(Error::Exists { path: path.to_owned() });
        }
        let temporary = beside(output.unwrap_or(&store.path), COMPACT_SUFFIX);
        let storage = create_temporary(store.place.as_ref(), &temporary)?;
        Ok(Self { storage, temporary, output: output.map(Path::to_owned) })
    }

    pub(crate) fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }

    /// Gives the file its name, and the store the file if it took the place of the old one. Returns its size.
    pub(crate) fn publish(self, store: &mut Store) -> Result<u64> {
        let path = self.output.clone().unwrap_or_else(|| store.path.clone());
        let snapshot = open_newest(self.storage.as_ref(), &path)?;
        let size = snapshot.root().end();
        store.place.rename(&self.temporary, &path).map_err(|error| Error::io("renaming", &path, error))?;
        if self.output.is_none() {
            store.storage = self.storage;
            store.snapshot = Arc::new(snapshot);
        }
        store.place.sync_dir(&path).map_err(|error| Error::io("syncing the folder of", &path, error))?;
        Ok(size)
    }

    pub(crate) fn discard(self, store: &Store) {
        drop(store.place.remove(&self.temporary));
    }
}

/// Writes a compacted file: the newest `earlier` epochs and the pinned ones, then the epoch of the compaction.
pub(crate) fn write_file(before: &Snapshot, storage: &dyn Storage, store: &Store, earlier: u64) -> Result<RootPage> {
    let mut writer = Writer {
        appender: Appender::new(storage, store.path(), 0, before.root().next_segment_id.get()),
        placed: BTreeMap::new(),
        sealed: Vec::new(),
        sealed_entries: 0,
        previous_root: 0,
        entries: entries(before)?,
    };
    for root in kept_roots(before, earlier)? {
        writer.keep(&before.at_epoch(root.epoch())?)?;
    }
    writer.final_commit(before, store)
}

/// Roots of the newest `count` epochs and of pinned ones, oldest first.
fn kept_roots(before: &Snapshot, count: u64) -> Result<Vec<RootPage>> {
    let pinned = pins(&before.state().facts, before.root().manifest_offset.get())?;
    let mut kept = Vec::new();
    for (age, root) in chain::roots(before.file(), before.root()).enumerate() {
        let root = root?;
        if (age as u64) < count || pinned.binary_search(&root.epoch()).is_ok() {
            kept.push(root);
        }
    }
    kept.reverse();
    Ok(kept)
}

/// Puts segments of the old file into the new one.
struct Writer<'a> {
    appender: Appender<'a>,
    /// Segments of the old file that are in the new one, by id.
    placed: BTreeMap<u64, ManifestEntry>,
    /// WITNESS segments of the new file.
    sealed: Vec<ManifestEntry>,
    sealed_entries: u64,
    previous_root: u64,
    entries: Vec<Entry>,
}

impl Writer<'_> {
    /// Writes an earlier epoch: its segments where they are not there yet, its manifest in full, its root.
    fn keep(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.appender.stamp(snapshot.epoch(), snapshot.root().modified_ns.get());
        let live = self.place(snapshot, true, |_| true)?;
        let uncounted = Error::Corrupt {
            clause: Clause::Wit3,
            at: snapshot.root().own_offset.get() + 0x188,
            what: "a root counts no audit entry, not even its own",
        };
        let own = snapshot.root().witness_size.get().checked_sub(1).ok_or(uncounted)?;
        self.seal_before(own)?;
        let entry = self.entries.get(own as usize).cloned().ok_or(Error::NoRoot)?;
        let mut root = *snapshot.root();
        root.previous_root.set(self.previous_root);
        let state = self.write_epoch(root, live, &snapshot.state().facts, entry)?;
        if state.root.state_hash != snapshot.root().state_hash {
            let at = snapshot.root().own_offset.get() + 0x150;
            return Err(Error::Corrupt {
                clause: Clause::Man7,
                at,
                what: "an epoch to be kept is not what its root says",
            });
        }
        self.previous_root = state.root.own_offset.get();
        Ok(())
    }

    /// Copies the listed segments that `wanted` picks, in the order of their offsets; WITNESS and FILLER are made anew.
    fn place(
        &mut self,
        snapshot: &Snapshot,
        same_residue: bool,
        wanted: impl Fn(&ManifestEntry) -> bool,
    ) -> Result<Vec<ManifestEntry>> {
        let mut wanted: Vec<&ManifestEntry> = snapshot
            .state()
            .live
            .iter()
            .filter(|entry| !matches!(entry.kind(), Kind::WITNESS | Kind::FILLER) && wanted(entry))
            .collect();
        wanted.sort_by_key(|entry| entry.offset.get());
        let mut live = Vec::new();
        for entry in wanted {
            let id = entry.segment_id.get();
            let placed = match self.placed.get(&id) {
                Some(placed) => *placed,
                None => {
                    let bytes = snapshot.segment(entry)?;
                    let placed = self.appender.copy(&bytes, entry, same_residue)?;
                    self.placed.insert(id, placed);
                    placed
                }
            };
            live.push(placed);
        }
        Ok(live)
    }

    /// Seals the audit entries before `index` that are not sealed yet.
    fn seal_before(&mut self, index: u64) -> Result<()> {
        let range = self.sealed_entries as usize..index as usize;
        let entries = self.entries.get(range).unwrap_or_default();
        if entries.is_empty() {
            return Ok(());
        }
        let from = self.appender.added.len();
        self.appender.append(&witness::draft(entries))?;
        self.sealed.extend_from_slice(&self.appender.added[from..]);
        self.sealed_entries = index;
        Ok(())
    }

    /// Writes the manifest and root of an epoch: it lists `live`, what sealing made and all that was appended since the last one.
    fn write_epoch(
        &mut self,
        mut root: RootPage,
        mut live: Vec<ManifestEntry>,
        facts: &Facts,
        entry: Entry,
    ) -> Result<State> {
        root.since_full.set(0);
        live.extend_from_slice(&self.sealed);
        let new: BTreeSet<u64> = self.appender.added.iter().map(|entry| entry.segment_id.get()).collect();
        live.retain(|entry| !new.contains(&entry.segment_id.get()));
        let change = Change { full: true, removed: Vec::new(), facts: Facts::new() };
        finish(&mut self.appender, root, &live, facts, change, entry)
    }

    /// The commit of the compaction itself: what is live in `before`, rows of small or holed segments gathered into new ones.
    fn final_commit(mut self, before: &Snapshot, store: &Store) -> Result<RootPage> {
        let mut root = *before.root();
        root.set_epoch(next_epoch(&root)?);
        root.modified_ns.set(store.context.clock.now_ns());
        root.previous_root.set(self.previous_root);
        self.appender.stamp(root.epoch(), root.modified_ns.get());

        let removed = removed_segments(before)?;
        let live = self.place(before, false, |entry| !removed.contains(&entry.segment_id.get()))?;
        let mut next_row = root.next_row.get();
        gather(&mut self.appender, before, &removed, &mut next_row)?;
        root.next_row.set(next_row);
        self.seal_before(before.root().witness_size.get())?;
        let entry = next_entry(Some(before.root()), Operation::COMPACT, "", &store.context.actor);
        Ok(self.write_epoch(root, live, &before.state().facts, entry)?.root)
    }
}

/// What does not go on: VEC segments with dead rows, several small ones, all journals, hash trees of those.
fn removed_segments(before: &Snapshot) -> Result<BTreeSet<u64>> {
    let dead = before.dead()?;
    let parts = before.parts().iter().zip(dead);
    let holed = parts.filter(|(_, dead)| dead.as_ref().is_some_and(|bits| bits.ones() > 0)).map(|(part, _)| part.entry);
    let small: Vec<ManifestEntry> =
        before.parts().iter().map(|part| part.entry).filter(|entry| entry.length.get() < TREE_MIN).collect();
    let mut removed: BTreeSet<u64> = holed.map(|entry| entry.segment_id.get()).collect();
    if small.len() > 1 || !removed.is_empty() {
        removed.extend(small.iter().map(|entry| entry.segment_id.get()));
    }
    removed.extend(before.state().of_kind(Kind::JOURNAL).map(|entry| entry.segment_id.get()));
    remove_trees(before, &mut removed)?;
    Ok(removed)
}

fn gather(appender: &mut Appender<'_>, before: &Snapshot, removed: &BTreeSet<u64>, next_row: &mut u64) -> Result<()> {
    let mut rows = Gathered::default();
    for (part, source) in before.parts().iter().enumerate() {
        if !removed.contains(&source.entry.segment_id.get()) {
            continue;
        }
        let view = before.view(part as u32)?;
        for row in 0..view.count() {
            let at = RowId { part: part as u32, row };
            if before.is_dead(at)? {
                continue;
            }
            rows.push(view.row(row), before.id_of(at)?);
            if rows.vectors.len() >= SEGMENT_BYTES {
                flush(appender, before, std::mem::take(&mut rows), next_row)?;
            }
        }
    }
    flush(appender, before, rows, next_row)
}

fn flush(appender: &mut Appender<'_>, before: &Snapshot, rows: Gathered, next_row: &mut u64) -> Result<()> {
    let count = rows.len();
    if count == 0 {
        return Ok(());
    }
    appender.append(&rows.draft(before, *next_row))?;
    *next_row += count as u64;
    Ok(())
}

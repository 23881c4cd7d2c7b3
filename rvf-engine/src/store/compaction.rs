//! The storage side of compaction: the temporary file, the last commit in it, the change of files.

use super::append::Appender;
use super::audit::{entries, grow_tree, merge_notes, next_entry, segment_entries};
use super::commit::{Change, Context, Store, next_epoch, open_newest, seal};
use super::graph::Graph;
use super::merge::{Gathered, remove_companions};
use super::moved::{Origin, Run};
use super::names::{self, COMPACT_SUFFIX, CREATE_SUFFIX, Unnamed, beside};
use super::relative::relative;
use super::rows::RowId;
use super::snapshot::Snapshot;
use crate::sign::Signer;
use crate::{Error, Result};
use rvf_format::build::Draft;
use rvf_format::chain::{self, State};
use rvf_format::limits::TREE_MIN;
use rvf_format::manifest::{Facts, ManifestEntry, pins};
use rvf_format::payload::columns::Builder;
use rvf_format::payload::cow;
use rvf_format::payload::vec::VecView;
use rvf_format::payload::witness::{self, Entry, Operation};
use rvf_format::root::RootPage;
use rvf_format::storage::{Place, Storage};
use rvf_format::{Clause, Error as RvfError, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Drafts the index of the compacted rows: from the snapshot of before and the rows as they stand now, by ascending number.
pub(crate) type Reindex<'a> = &'a mut dyn FnMut(&Snapshot, &[Run]) -> Result<Vec<Draft<'static>>>;

/// Rows of one VEC segment that compaction makes, bytes.
const SEGMENT_BYTES: usize = 128 << 20;

/// Audit entries of one WITNESS segment that compaction makes for an earlier epoch, bytes: it needs no hash tree, which would
/// enter the state hash.
const SEALED_BYTES: usize = TREE_MIN as usize / 2;

/// The file that compaction writes, and the name that it is to get.
pub(crate) struct Target<'a> {
    place: &'a dyn Place,
    storage: Arc<dyn Storage>,
    temporary: PathBuf,
    path: PathBuf,
    parent: Option<Arc<Snapshot>>,
}

impl<'a> Target<'a> {
    /// A file that will take the place of the store's.
    pub(crate) fn instead(store: &'a Store) -> Result<Self> {
        let path = &store.path;
        let reading = |error| Error::io("reading", path, error);
        if store.place.names(path).map_err(reading)? > 1 {
            return Err(Error::HardLinks { path: path.clone() });
        }
        let mut target = Self::create(store.place.as_ref(), path, COMPACT_SUFFIX)?;
        target.parent = store.snapshot.parent.clone();
        let copied = store.place.copy_permissions(path, &target.temporary);
        match copied.map_err(|error| Error::io("setting permissions", &target.temporary, error)) {
            Ok(()) => Ok(target),
            Err(error) => {
                target.discard();
                Err(error)
            }
        }
    }

    /// A file under a name that nothing has yet.
    pub(crate) fn beside(place: &'a dyn Place, path: &Path) -> Result<Self> {
        let target = Self::create(place, path, CREATE_SUFFIX)?;
        // Now that no other process makes a file of this name.
        if place.is_taken(path) {
            target.discard();
            return Err(Error::Exists { path: path.to_owned() });
        }
        Ok(target)
    }

    fn create(place: &'a dyn Place, path: &Path, suffix: &str) -> Result<Self> {
        let temporary = beside(path, suffix);
        let storage = names::create_temporary(place, &temporary, path)?;
        Ok(Self { place, storage, temporary, path: path.to_owned(), parent: None })
    }

    pub(crate) fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }

    /// Brings the file to the medium and gives it its name. Returns it, open and locked, with its newest commit.
    pub(crate) fn publish(self) -> std::result::Result<(Arc<dyn Storage>, Snapshot), Unnamed> {
        let ready = self.storage.sync().map_err(|error| Error::io("syncing", &self.temporary, error));
        let opened = ready.and_then(|()| open_newest(self.storage.as_ref(), &self.path));
        let opened = opened.and_then(|snapshot| match &self.parent {
            Some(parent) => snapshot.with_parent(parent.clone()),
            None => Ok(snapshot),
        });
        match opened {
            Ok(snapshot) => {
                names::rename(self.place, self.storage.as_ref(), &self.temporary, &self.path)?;
                Ok((self.storage, snapshot))
            }
            Err(error) => {
                self.discard();
                Err(Unnamed { error, moved: false })
            }
        }
    }

    pub(crate) fn discard(self) {
        drop(self.place.remove(&self.temporary));
    }
}

/// Writes a compacted file: the newest `earlier` epochs and the pinned ones, then the epoch of the compaction. The hash of
/// `parameters` goes into its audit entry.
pub(crate) fn write_file(
    before: &Snapshot,
    storage: &dyn Storage,
    path: &Path,
    context: &Context,
    earlier: u64,
    parameters: &str,
    reindex: Reindex<'_>,
) -> Result<RootPage> {
    let mut writer = Writer {
        appender: Appender::new(storage, path, 0, before.root().next_segment_id.get()),
        placed: BTreeMap::new(),
        fillers: Vec::new(),
        sealed: Vec::new(),
        previous_root: 0,
        entries: entries(before)?,
    };
    let kept: Result<Vec<Snapshot>> = kept_roots(before, earlier)?.iter().map(|r| before.at_epoch(r.epoch())).collect();
    let kept = kept?;
    writer.place_history(&kept)?;
    for snapshot in &kept {
        writer.keep(snapshot)?;
    }
    writer.final_commit(before, context, parameters, reindex)
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
    /// FILLER segments between those of earlier epochs, until a manifest lists them.
    fillers: Vec<ManifestEntry>,
    /// WITNESS segments that were made for the new file: no hash tree belongs to them.
    sealed: Vec<ManifestEntry>,
    previous_root: u64,
    entries: Vec<Entry>,
}

impl Writer<'_> {
    /// Puts the segments of all earlier epochs that are kept where they were, or 2 MiB steps before. Their manifests follow behind
    /// them all, so that no manifest can push a segment away from its place.
    fn place_history(&mut self, kept: &[Snapshot]) -> Result<()> {
        let Some(first) = kept.first() else { return Ok(()) };
        self.appender.stamp(first.epoch(), first.root().modified_ns.get());
        let by_offset: BTreeMap<u64, (&Snapshot, &ManifestEntry)> = kept
            .iter()
            .flat_map(|snapshot| snapshot.state().live.iter().map(move |entry| (entry.offset.get(), (snapshot, entry))))
            .filter(|(_, (_, entry))| is_copied(entry) && entry.kind() != Kind::WITNESS)
            .collect();
        for (snapshot, entry) in by_offset.into_values() {
            let placed = self.appender.copy(&snapshot.intact(entry)?, entry, true)?;
            self.placed.insert(entry.segment_id.get(), placed);
        }
        let added = std::mem::take(&mut self.appender.added);
        self.fillers = added.into_iter().filter(|entry| entry.kind() == Kind::FILLER).collect();
        Ok(())
    }

    /// Writes the manifest, in full, and the root of an earlier epoch.
    fn keep(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.appender.stamp(snapshot.epoch(), snapshot.root().modified_ns.get());
        let mut live = self.place(snapshot, |_| true)?;
        for segment in snapshot.state().of_kind(Kind::WITNESS) {
            // It says which entries it holds: the others are sealed now.
            segment_entries(snapshot, segment)?;
        }
        let uncounted = Error::Corrupt {
            clause: Clause::Wit3,
            at: snapshot.root().own_offset.get() + 0x188,
            what: "a root counts no audit entry, not even its own",
        };
        let own = snapshot.root().witness_size.get().checked_sub(1).ok_or(uncounted)?;
        live.extend(self.seal(&live, own, SEALED_BYTES)?);
        let entry = self.entries.get(own as usize).cloned().ok_or(Error::NoRoot)?;
        let mut root = *snapshot.root();
        root.previous_root.set(self.previous_root);
        let state = self.write_epoch(root, live, &snapshot.state().facts, entry, None)?;
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

    /// The listed segments that `wanted` picks, in the new file; those that are not there yet are copied, in the order of their
    /// offsets. FILLER are made anew.
    fn place(&mut self, snapshot: &Snapshot, wanted: impl Fn(&ManifestEntry) -> bool) -> Result<Vec<ManifestEntry>> {
        let live = snapshot.state().live.iter();
        let mut wanted: Vec<&ManifestEntry> = live.filter(|entry| is_copied(entry) && wanted(entry)).collect();
        wanted.sort_by_key(|entry| entry.offset.get());
        let mut live = Vec::new();
        for entry in wanted {
            let id = entry.segment_id.get();
            let placed = match self.placed.get(&id) {
                Some(placed) => *placed,
                None => {
                    let placed = self.appender.copy(&snapshot.intact(entry)?, entry, false)?;
                    self.placed.insert(id, placed);
                    placed
                }
            };
            live.push(placed);
        }
        Ok(live)
    }

    /// Segments with the audit entries before `count` that no WITNESS segment of `live` holds: those that an earlier epoch of the
    /// new file made, and new ones of about `most` bytes.
    fn seal(&mut self, live: &[ManifestEntry], count: u64, most: usize) -> Result<Vec<ManifestEntry>> {
        let witnesses = live.iter().filter(|entry| entry.kind() == Kind::WITNESS && entry.space.get() == 0);
        let mut held: Vec<(u64, u64)> = witnesses.map(|entry| (entry.base_row.get(), entry.end_row())).collect();
        let apart = |entry: &&ManifestEntry| {
            let (first, end) = (entry.base_row.get(), entry.end_row());
            end <= count && held.iter().all(|other| end <= other.0 || other.1 <= first)
        };
        let again: Vec<ManifestEntry> = self.sealed.iter().filter(apart).copied().collect();
        held.extend(again.iter().map(|entry| (entry.base_row.get(), entry.end_row())));
        held.push((count, count));
        held.sort_unstable();
        let mut next = 0;
        for (first, end) in held {
            let missing = self.entries.get(next as usize..first as usize).unwrap_or_default();
            for entries in pieces(missing, most) {
                self.appender.append(&witness::draft(entries))?;
            }
            next = next.max(end);
        }
        self.sealed.extend(
            self.appender.added.iter().filter(|entry| entry.kind() == Kind::WITNESS && entry.length.get() < TREE_MIN),
        );
        Ok(again)
    }

    /// Writes the manifest and root of an epoch: it lists `live` and all that was appended since the last one.
    fn write_epoch(
        &mut self,
        mut root: RootPage,
        mut live: Vec<ManifestEntry>,
        facts: &Facts,
        entry: Entry,
        signer: Option<&dyn Signer>,
    ) -> Result<State> {
        root.since_full.set(0);
        live.append(&mut self.fillers);
        let new: BTreeSet<u64> = self.appender.added.iter().map(|entry| entry.segment_id.get()).collect();
        live.retain(|entry| !new.contains(&entry.segment_id.get()));
        let change = Change { full: true, removed: Vec::new(), facts: Facts::new() };
        seal(&mut self.appender, root, (&live, facts), change, entry, signer)?.write(&mut self.appender)
    }

    /// The commit of the compaction itself: what is live in `before`, rows of small or holed segments gathered into new ones.
    fn final_commit(
        mut self,
        before: &Snapshot,
        context: &Context,
        parameters: &str,
        reindex: Reindex<'_>,
    ) -> Result<RootPage> {
        let mut root = *before.root();
        grow_tree(&mut root, before)?;
        root.set_epoch(next_epoch(&root)?);
        root.modified_ns.set(context.clock.now_ns());
        root.previous_root.set(self.previous_root);
        self.appender.stamp(root.epoch(), root.modified_ns.get());

        let mut removed = removed_segments(before)?;
        let keeps_index = remove_index(before, &mut removed);
        // Large WITNESS segments go on; the others and what stands in manifests become one.
        let witnesses = before.state().of_kind(Kind::WITNESS).filter(|entry| entry.length.get() < TREE_MIN);
        removed.extend(witnesses.map(|entry| entry.segment_id.get()));
        let notes = gather_notes(before, &mut removed)?;
        remove_companions(before, &mut removed)?;
        let feedback = before.merged_feedback(true)?;
        removed.extend(feedback.iter().flat_map(|(group, _)| group).map(|entry| entry.segment_id.get()));
        let mut live = self.place(before, |entry| !removed.contains(&entry.segment_id.get()))?;
        self.renew_inherited(before)?;
        let mut next_row = root.next_row.get();
        let goes = |part: &u32| removed.contains(&before.parts()[*part as usize].entry.segment_id.get());
        let gathered = gather(&mut self.appender, before, before.own_parts().filter(goes), &mut next_row)?;
        root.next_row.set(next_row);
        if !keeps_index {
            let runs = self.runs(before, &removed, gathered)?;
            for draft in reindex(before, &runs)? {
                self.appender.append(&draft)?;
            }
        }
        if let Some(notes) = notes {
            self.appender.append(&notes)?;
        }
        if let Some((_, draft)) = feedback {
            self.appender.append(&draft)?;
        }
        // Pieces of earlier epochs do not go on either.
        self.sealed.clear();
        live.extend(self.seal(&live, before.root().witness_size.get(), usize::MAX)?);
        let entry = next_entry(Some(before.root()), Operation::COMPACT, parameters, &context.actor);
        let facts = renewed_facts(before, self.appender.path, &mut root)?;
        Ok(self.write_epoch(root, live, &facts, entry, context.signer.as_deref())?.root)
    }

    /// What a branch says of rows that it inherits: which it hides, and the metadata that it gives them.
    fn renew_inherited(&mut self, before: &Snapshot) -> Result<()> {
        let hidden = before.hidden_rows()?;
        if !hidden.is_empty() {
            self.appender.append(&cow::cow_map(&hidden))?;
        }
        match overlay(before)? {
            Some(delta) => self.appender.append(&delta),
            None => Ok(()),
        }
    }

    /// All rows of the file itself as they stand now: parts that stay, then what was gathered, as it was written.
    fn runs(
        &self,
        before: &Snapshot,
        removed: &BTreeSet<u64>,
        gathered: Vec<(ManifestEntry, Vec<RowId>)>,
    ) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        // Rows that it inherits and has in a graph of its own.
        let own = before.sound_graphs().filter(|(at, _)| *at >= before.inherited_graphs());
        let inherited: BTreeSet<u32> = own.flat_map(|(_, graph)| graph.parts.iter().copied()).collect();
        for part in inherited.range(..before.inherited_parts()) {
            runs.push(Run::of_part(before, *part)?);
        }
        for part in before.own_parts() {
            if !removed.contains(&before.parts()[part as usize].entry.segment_id.get()) {
                runs.push(Run::of_part(before, part)?);
            }
        }
        if gathered.is_empty() {
            return Ok(runs);
        }
        let file = self.appender.view()?;
        for (entry, places) in gathered {
            let bytes = file.slice(entry.offset.get() as usize, entry.length.get() as usize);
            let missing = RvfError::corrupt(Clause::Man4, entry.offset.get(), "a listed segment lies outside the file");
            let view = VecView::parse(bytes.ok_or(missing)?, &entry, before.schema())?;
            let (base_row, rows) = (entry.base_row.get(), view.vector_bytes());
            runs.push(Run { base_row, rows, origin: Origin::Gathered(places) });
        }
        Ok(runs)
    }
}

/// The notes of CRYPTO segments that are small, as one, where there are several: those are added to what does not go on.
fn gather_notes(before: &Snapshot, removed: &mut BTreeSet<u64>) -> Result<Option<Draft<'static>>> {
    let crypto = before.state().of_kind(Kind::CRYPTO).filter(|entry| entry.length.get() < TREE_MIN);
    let small: Vec<ManifestEntry> = crypto.copied().collect();
    if small.len() < 2 {
        return Ok(None);
    }
    removed.extend(small.iter().map(|entry| entry.segment_id.get()));
    merge_notes(before, &small).map(Some)
}

/// The facts of a file that will lie at `path`: where its parent is and stands now, if that was found.
fn renewed_facts(before: &Snapshot, path: &Path, root: &mut RootPage) -> Result<Facts> {
    let mut facts = before.state().facts.clone();
    let found = before.parent().and_then(|parent| Some((parent.root().own_offset.get(), parent.found_at()?)));
    if let (Some(mut named), Some((root_offset, parent))) = (before.parent_ref()?, found) {
        named.root_offset = root_offset;
        named.path = relative(path, parent);
        named.write(root, &mut facts);
    }
    Ok(facts)
}

/// Adds the graphs and their codes to what does not go on, unless there is one graph, over all rows, whose rows all stay as
/// they are, or there is none; says whether they stay.
fn remove_index(before: &Snapshot, removed: &mut BTreeSet<u64>) -> bool {
    let covered = before.covered();
    let mut parts = before.parts().iter().zip(covered).skip(before.inherited_parts() as usize);
    let graphs = &before.graphs()[before.inherited_graphs()..];
    let stays = parts.all(|(part, covered)| covered && !removed.contains(&part.entry.segment_id.get()));
    let kinds = [Kind::INDEX, Kind::QUANT];
    let intact = |graph: &Graph| graph.is_intact(before);
    if graphs.is_empty() || (stays && graphs.len() == 1 && graphs.iter().all(intact)) {
        return true;
    }
    let live = before.state().live.iter();
    let index = live.filter(|entry| entry.space.get() == 0 && kinds.contains(&entry.kind()));
    removed.extend(index.map(|entry| entry.segment_id.get()));
    false
}

/// Whether compaction copies a segment as it is, rather than making it anew.
fn is_copied(entry: &ManifestEntry) -> bool {
    entry.kind() != Kind::FILLER
}

/// Consecutive parts of `entries`, each of one entry or of at most `most` bytes.
fn pieces(entries: &[Entry], most: usize) -> impl Iterator<Item = &[Entry]> {
    let mut left = entries;
    std::iter::from_fn(move || {
        let mut bytes = 0usize;
        let count = left.iter().take_while(|entry| {
            bytes = bytes.saturating_add(entry.encode().len());
            bytes <= most
        });
        let (piece, rest) = left.split_at_checked(count.count().max(1))?;
        left = rest;
        Some(piece)
    })
}

/// What does not go on: VEC segments with dead rows or changed metadata, several small ones, all journals, COW_MAP and DELTA segments.
fn removed_segments(before: &Snapshot) -> Result<BTreeSet<u64>> {
    let dead = before.dead()?;
    let id = |part: u32| before.parts()[part as usize].entry.segment_id.get();
    let is_holed = |part: &u32| dead.get(*part as usize).and_then(Option::as_ref).is_some_and(|bits| bits.ones() > 0);
    let is_small = |part: &u32| before.parts()[*part as usize].entry.length.get() < TREE_MIN;
    let mut removed: BTreeSet<u64> = before.own_parts().filter(is_holed).map(id).collect();
    let overlaid = before.metas().overlaid(before)?.into_iter();
    removed.extend(overlaid.filter(|part| *part >= before.inherited_parts()).map(id));
    let small: Vec<u32> = before.own_parts().filter(is_small).collect();
    if small.len() > 1 || !removed.is_empty() {
        removed.extend(small.into_iter().map(id));
    }
    for kind in [Kind::JOURNAL, Kind::COW_MAP, Kind::DELTA] {
        removed.extend(before.state().of_kind(kind).map(|entry| entry.segment_id.get()));
    }
    for entry in before.state().of_kind(Kind::REFCOUNT) {
        if before.refcount(entry)?.is_none() {
            removed.insert(entry.segment_id.get());
        }
    }
    Ok(removed)
}

/// What the DELTA segments of a branch say of rows that it inherits and sees, as one; `None` where they say nothing of any.
fn overlay(before: &Snapshot) -> Result<Option<Draft<'static>>> {
    let mut rows = BTreeSet::new();
    for delta in before.metas().own_deltas(before) {
        before.intact(&delta.entry)?;
        let named = delta.view(before)?.row_numbers().unwrap_or_default();
        rows.extend(named.iter().map(|row| row.get()).filter(|row| *row < before.first_row()));
    }
    let (mut builder, mut kept) = (Builder::new(), Vec::new());
    for row in rows {
        if let Some(at) = before.place_of_row(row)
            && !before.is_dead(at)?
        {
            before.metas().append(before, at, &mut builder)?;
            kept.push(row);
        }
    }
    if kept.is_empty() {
        return Ok(None);
    }
    Ok(Some(builder.draft(0, Some(&kept))?))
}

/// Writes the live rows of some parts as new segments: their entries, and where each row stood.
pub(super) fn gather(
    appender: &mut Appender<'_>,
    before: &Snapshot,
    parts: impl Iterator<Item = u32>,
    next_row: &mut u64,
) -> Result<Vec<(ManifestEntry, Vec<RowId>)>> {
    let mut written = Vec::new();
    let mut rows = (Gathered::default(), Vec::new());
    for part in parts {
        before.intact_rows(part)?;
        let view = before.view(part)?;
        for row in 0..view.count() {
            let at = RowId { part, row };
            if before.is_dead(at)? {
                continue;
            }
            rows.0.push(before, at)?;
            rows.1.push(at);
            if rows.0.vectors.len() >= SEGMENT_BYTES {
                let (full, places) = std::mem::take(&mut rows);
                written.push((flush(appender, before, full, next_row)?, places));
            }
        }
    }
    if !rows.1.is_empty() {
        written.push((flush(appender, before, rows.0, next_row)?, rows.1));
    }
    Ok(written)
}

fn flush(appender: &mut Appender<'_>, before: &Snapshot, rows: Gathered, next_row: &mut u64) -> Result<ManifestEntry> {
    let (count, base_row) = (rows.len(), *next_row);
    for draft in rows.drafts(before, base_row)? {
        appender.append(&draft)?;
    }
    *next_row += count as u64;
    let mut added = appender.added.iter().rev();
    let written = added.find(|entry| entry.kind() == Kind::VEC && entry.base_row.get() == base_row);
    written.copied().ok_or(Error::NoRoot)
}

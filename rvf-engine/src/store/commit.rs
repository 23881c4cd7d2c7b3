//! [`Store`]: a file that this process may write, and `commit`, the one door that writes it.
//!
//! ```text
//! lock -> cut the tail -> [ append segments -> sync -> append manifest + root -> sync -> next snapshot ] per commit
//!                                 any failure -> cut back -> sync; after a failed sync the handle takes no more
//! ```
//! Why this order survives a crash at any point is argued in `spec/commit.md`, "Commit order".

use super::append::{Appender, SYNCING};
use super::audit::{grow_tree, next_entry, unsealed};
use super::edit::Edit;
use super::merge::{self, Merged};
use super::names::{self, COMPACT_SUFFIX, CREATE_SUFFIX, beside};
use super::parents::Opening;
use super::snapshot::Snapshot;
use super::tail::{self, TailReport};
use crate::sign::Signer;
use crate::{Error, Result};
use rvf_format::build::Draft;
use rvf_format::chain::State;
use rvf_format::limits::{FULL_EVERY, PAGE};
use rvf_format::manifest::{FACT_POLICY, Facts, Manifest, ManifestEntry, policy_fact};
use rvf_format::merkle::{Edge, leaf};
use rvf_format::note::{Policy, Statement};
use rvf_format::payload::witness::{Entry, Operation};
use rvf_format::payload::{cow, crypto, journal, meta, vec, witness};
use rvf_format::root::{FEATURE_TREE, FLAG_FROZEN, KNOWN_READ_ONLY, RootPage};
use rvf_format::state::state_hash;
use rvf_format::storage::{Place, Storage};
use rvf_format::{Clause, Kind, Schema, digest, identity};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the time of a commit comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The system's clock.
    #[default]
    System,
    /// Always this time, nanoseconds since 1970: the same input gives the same bytes.
    Fixed(u64),
}

impl Clock {
    pub(crate) fn now_ns(self) -> u64 {
        match self {
            Clock::Fixed(time) => time,
            Clock::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
            }
        }
    }
}

/// What a commit needs to know beyond its edit.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The time of commits.
    pub clock: Clock,
    /// Who commits; stands in the audit entry. At most 1,024 bytes are kept.
    pub actor: String,
    /// How long to wait for another writer.
    pub lock_wait: Duration,
    /// Folders to look for parents of branches in.
    pub parent_folders: Vec<PathBuf>,
    /// Signs every commit, in that commit.
    pub signer: Option<Arc<dyn Signer>>,
}

/// A file that this process may write: holds its lock.
pub struct Store {
    pub(crate) place: Arc<dyn Place>,
    pub(crate) path: PathBuf,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) context: Context,
    pub(crate) poisoned: bool,
}

impl Store {
    /// Creates a file. It appears under its name only when its first commit is on the medium.
    ///
    /// # Errors
    /// [`Error::Schema`], [`Error::Exists`], [`Error::Locked`] while another process creates it, [`Error::Io`].
    pub fn create(
        place: Arc<dyn Place>,
        path: &Path,
        schema: &Schema,
        items: &meta::Items,
        file_id: [u8; 16],
        context: Context,
    ) -> Result<Self> {
        schema.check().map_err(Error::Schema)?;
        let root = new_root(schema, file_id, context.clock.now_ns());
        let mut first = First::new(root, Operation::CREATE);
        if !items.is_empty() {
            first.drafts.push(meta::draft(items));
        }
        first.parameters = format!(
            "dim={} metric={} dtype={} id_type={}",
            schema.dimension, schema.metric, schema.dtype, schema.id_type
        );
        Self::create_with(place, path, &first, None, context, || Ok(()))
    }

    /// Creates a file with this first commit. `ready` is called when all of it is on the medium, before it gets its name; what fails
    /// there leaves no file.
    pub(crate) fn create_with(
        place: Arc<dyn Place>,
        path: &Path,
        first: &First<'_>,
        parent: Option<Arc<Snapshot>>,
        context: Context,
        ready: impl FnOnce() -> Result<()>,
    ) -> Result<Self> {
        let exists = || Error::Exists { path: path.to_owned() };
        if place.is_taken(path) {
            return Err(exists());
        }
        let temporary = beside(path, CREATE_SUFFIX);
        let storage = names::create_temporary(place.as_ref(), &temporary, path)?;
        // Again, now that no other process creates a file of this name: one may just have done so.
        let made = match place.is_taken(path) {
            true => Err(exists()),
            false => write_first(storage.as_ref(), path, first, parent, &context),
        };
        let made = made.and_then(|snapshot| ready().map(|()| snapshot));
        let snapshot = made.inspect_err(|_| drop(place.remove(&temporary)))?;
        names::rename(place.as_ref(), storage.as_ref(), &temporary, path).map_err(|failed| {
            if failed.moved {
                // Nobody has been told of the file: creation can be tried again.
                drop(place.remove(path));
            }
            failed.error
        })?;
        Ok(Self { place, path: path.to_owned(), storage, snapshot: Arc::new(snapshot), context, poisoned: false })
    }

    /// Opens a file for writing: takes its lock, cuts an uncommitted tail (saving one that holds a manifest), removes what an
    /// interrupted compaction left.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Io`], those of [`Snapshot::newest`].
    pub fn open(place: Arc<dyn Place>, path: &Path, context: Context) -> Result<(Self, Option<TailReport>)> {
        // Through a link to the file itself: compaction must replace the file, not the link.
        let resolved = place.resolve(path).map_err(|error| Error::io("opening", path, error))?;
        let path = resolved.as_path();
        let storage = names::open_locked(place.as_ref(), path, context.lock_wait)?;
        let opening = Opening { place: place.as_ref(), folders: &context.parent_folders, verified: false };
        let mut snapshot = opening.with_parents(path, open_newest(storage.as_ref(), path)?, None)?;
        check_next(&snapshot)?;
        // Only for order: the next compaction removes what stays now.
        drop(names::remove_stale(place.as_ref(), &beside(path, COMPACT_SUFFIX)));
        names::sync_name(place.as_ref(), path)?;
        let report = match snapshot.tail() {
            Some(tail) => Some(tail::cut(place.as_ref(), path, storage.as_ref(), &snapshot, tail)?),
            None => None,
        };
        // The writer before may have been killed in front of its last sync; its commit is this one's ground.
        storage.sync().map_err(|error| Error::io(SYNCING, path, error))?;
        if report.is_some() {
            // Without what was behind it.
            snapshot = opening.with_parents(path, open_newest(storage.as_ref(), path)?, snapshot.parent.as_ref())?;
        }
        let snapshot = Arc::new(snapshot);
        Ok((Self { place, path: path.to_owned(), storage, snapshot, context, poisoned: false }, report))
    }

    /// The newest commit.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The path that the file was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes `edit` the next commit. When this returns, the commit is on the medium; when it fails, the file holds the last one.
    ///
    /// # Errors
    /// [`Error::Frozen`], [`Error::ReadOnlyFeature`], [`Error::Poisoned`], [`Error::Moved`], [`Error::TooLarge`], [`Error::Io`].
    pub fn commit(&mut self, edit: &Edit<'_>) -> Result<Arc<Snapshot>> {
        self.check_writable()?;
        // A file that another program cut would get a hole before the new segments.
        self.snapshot.check()?;
        // Until it is known how the commit ended: a panic in between must not leave a handle that goes on.
        self.poisoned = true;
        match self.append_commit(edit) {
            Ok(snapshot) => {
                self.poisoned = false;
                self.snapshot = Arc::new(snapshot);
                Ok(self.snapshot.clone())
            }
            // Somebody else's file now: what was appended to it is not ours to cut.
            Err(error @ Error::Truncated { .. }) => Err(error),
            Err(error) => {
                self.poisoned = !self.withdraw(&error);
                Err(error)
            }
        }
    }

    /// Cuts what a failed commit appended, before the lock can go to another writer: the page cache may show a root that the medium
    /// lacks, and no crash may bring the commit back once it was said to have failed. Says whether the handle may go on.
    fn withdraw(&self, error: &Error) -> bool {
        let end = self.snapshot.root().end();
        // Never longer: another program may have cut the file, and zeros in the place of what it took help nobody.
        let cut = self.storage.len().and_then(|length| if length > end { self.storage.set_len(end) } else { Ok(()) });
        let cut = cut.and_then(|()| self.storage.sync());
        // After a failed sync nothing is known about the medium (fsyncgate): the commit is not tried again. The sync above is that
        // of the cut.
        cut.is_ok() && !matches!(error, Error::Io { action: SYNCING, .. })
    }

    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.poisoned {
            return Err(Error::Poisoned);
        }
        if self.snapshot.root().is_frozen() {
            return Err(Error::Frozen);
        }
        if self.snapshot.root().features_read_only.get() & !KNOWN_READ_ONLY != 0 {
            return Err(Error::ReadOnlyFeature);
        }
        next_epoch(self.snapshot.root())?;
        names::check_name(self.place.as_ref(), self.storage.as_ref(), &self.path)
    }

    fn append_commit(&self, edit: &Edit<'_>) -> Result<Snapshot> {
        let base = &self.snapshot;
        let mut root = *base.root();
        grow_tree(&mut root, base)?;
        root.set_epoch(next_epoch(&root)?);
        root.modified_ns.set(self.context.clock.now_ns());
        root.previous_root.set(base.root().own_offset.get());
        let full = root.since_full.get() + 1 >= FULL_EVERY;
        root.since_full.set(if full { 0 } else { root.since_full.get() + 1 });

        let mut appender =
            Appender::new(self.storage.as_ref(), &self.path, base.root().end(), root.next_segment_id.get());
        appender.stamp(root.epoch(), root.modified_ns.get());
        let mut next_row = root.next_row.get();
        append_rows(&mut appender, base.schema(), edit, &mut next_row)?;
        next_row += edit.moved_rows;
        let merged = if full { merge::plan(base, edit, &mut next_row)? } else { Merged::default() };
        append_rest(&mut appender, base, edit, &merged)?;
        if full {
            let entries = unsealed(base)?;
            if !entries.is_empty() {
                appender.append(&witness::draft(&entries))?;
            }
        }
        root.next_row.set(next_row);
        root.next_id.set(root.next_id.get().max(edit.next_id));
        let live_count = root.live_count.get().checked_add(edit.added());
        let live_count = live_count.and_then(|count| count.checked_sub(edit.dead.len() as u64));
        root.live_count.set(live_count.ok_or_else(|| impossible(&root, 0x18, "the live count cannot be true"))?);
        if edit.freezes {
            root.flags.set(root.flags.get() | FLAG_FROZEN);
        }

        let mut entry = next_entry(Some(base.root()), edit.operation, &edit.parameters, &self.context.actor);
        entry.fixed.added.set(edit.added());
        entry.fixed.deleted.set(edit.dead.len() as u64);
        let removed = edit.removed.iter().copied().chain(merged.removed).collect();
        let change = Change { full, removed, facts: edit.facts.clone() };
        // Again, for what was read of the file meanwhile is in the new segments.
        base.check()?;
        let before = (&base.state().live[..], &base.state().facts);
        let sealed = seal(&mut appender, root, before, change, entry, self.context.signer.as_deref())?;
        // The first sync puts every byte that the root will name on the medium, the second the root itself.
        appender.sync()?;
        let state = sealed.write(&mut appender)?;
        // Mapped before the second sync: behind it nothing may fail, for the commit is there.
        let file = appender.view()?;
        appender.sync()?;
        // Cut by another program while this was appended: then the commit stands on nothing.
        base.check()?;
        Ok(base.followed_by(file, state))
    }
}

/// New rows and segments of a file to be written to get numbers that are free.
fn check_next(snapshot: &Snapshot) -> Result<()> {
    let root = snapshot.root();
    if snapshot.state().live.iter().any(|entry| entry.segment_id >= root.next_segment_id) {
        return Err(impossible(root, 0x180, "a segment has an id at or above the next one"));
    }
    if snapshot.parts().iter().any(|part| part.entry.end_row() > root.next_row.get()) {
        return Err(impossible(root, 0x170, "a segment has rows at or above the next row"));
    }
    Ok(())
}

/// A new file id.
pub(crate) fn random_file_id(path: &Path) -> Result<[u8; 16]> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| Error::io("asking for random bytes for", path, error.into()))?;
    Ok(id)
}

/// Facts that a new file holds about itself.
pub(crate) fn first_items(model: Option<&str>) -> meta::Items {
    let mut items = meta::Items::new();
    items.insert(meta::CREATOR, concat!("rvf ", env!("CARGO_PKG_VERSION")).as_bytes().to_vec());
    if let Some(model) = model {
        items.insert(meta::MODEL, model.as_bytes().to_vec());
    }
    items
}

/// What a manifest changes, beyond the segments that an appender added.
pub(crate) struct Change {
    pub(crate) full: bool,
    pub(crate) removed: Vec<u64>,
    pub(crate) facts: Facts,
}

/// A commit that is there but for its manifest and root.
pub(crate) struct Sealed {
    root: RootPage,
    live: Vec<ManifestEntry>,
    facts: Facts,
    change: Change,
    witness: Vec<u8>,
}

/// Works out state hash, audit entry and tree of a commit, and appends its signed note if there is a signer.
/// `root` is complete but for hashes, places and the audit chain; `live` and `facts` are those before the change. An entry that the root
/// counts already is that of an epoch that is written again.
pub(crate) fn seal(
    appender: &mut Appender<'_>,
    mut root: RootPage,
    (live, facts): (&[ManifestEntry], &Facts),
    mut change: Change,
    mut entry: Entry,
    signer: Option<&dyn Signer>,
) -> Result<Sealed> {
    change.removed.sort_unstable();
    if signer.is_some() && facts.get(&FACT_POLICY).map(Vec::as_slice) != Some(&policy_fact(POLICY)[..]) {
        change.facts.insert(FACT_POLICY, policy_fact(POLICY).to_vec());
    }
    let mut live: Vec<ManifestEntry> =
        live.iter().filter(|entry| change.removed.binary_search(&entry.segment_id.get()).is_err()).copied().collect();
    live.extend_from_slice(&appender.added);
    let mut facts = facts.clone();
    facts.extend(change.facts.clone());
    facts.retain(|_, value| !value.is_empty());

    let is_new = entry.fixed.index == root.witness_size;
    if is_new {
        root.features_read_only.set(root.features_read_only.get() | FEATURE_TREE);
    }
    root.state_hash = state_hash(&root, &facts, &live);
    entry.fixed.epoch.set(root.epoch());
    entry.fixed.time_ns.set(root.modified_ns.get());
    entry.fixed.count.set(root.live_count.get());
    entry.fixed.state_hash = root.state_hash;
    let witness = entry.encode();
    root.witness_head = digest::shake256(&witness);
    if is_new {
        let mut edge = match root.witness_size.get() {
            0 => Edge::default(),
            _ => root.edge()?.unwrap_or_default(),
        };
        edge.push(leaf(&root.witness_head));
        root.set_edge(&edge);
    }
    if let Some(signer) = signer {
        let note = signer.sign(&statement(&root, &live))?;
        appender.append(&crypto::draft(&[note]))?;
        live.extend(appender.added.last());
    }
    live.sort_by_key(|entry| entry.segment_id.get());
    Ok(Sealed { root, live, facts, change, witness })
}

/// Which signatures files ask for that are signed.
const POLICY: Policy = Policy::Ed25519AndMlDsa65;

/// What is signed of the commit of `root`.
fn statement(root: &RootPage, live: &[ManifestEntry]) -> Statement {
    let signed = live.iter().filter(|entry| entry.kind() == Kind::CRYPTO).map(|entry| entry.base_row.get());
    Statement {
        file_id: root.file_id,
        size: root.witness_size.get(),
        root: root.witness_tree,
        epoch: root.epoch(),
        state_hash: root.state_hash,
        previous: signed.max().unwrap_or(0),
        policy: POLICY,
    }
}

impl Sealed {
    /// Appends manifest and root. The caller syncs.
    pub(crate) fn write(self, appender: &mut Appender<'_>) -> Result<State> {
        let Sealed { mut root, live, facts, change, witness } = self;
        let mut added = if change.full { live.clone() } else { std::mem::take(&mut appender.added) };
        added.sort_by_key(|entry| entry.segment_id.get());
        appender.added.clear();
        let (removed, changed) = if change.full { (Vec::new(), facts.clone()) } else { (change.removed, change.facts) };
        let manifest = Manifest { full: change.full, added, removed, witness, facts: changed };
        let id = appender.take_id();
        root.next_segment_id.set(appender.next_segment_id);
        let bytes = manifest.encode(appender.cursor, id, &mut root)?;
        let schema = root.schema()?;
        appender.append_manifest(&bytes)?;
        Ok(State { root, schema, live, facts })
    }
}

/// The root of a new file before its first commit: schema, file id, creation time.
pub fn new_root(schema: &Schema, file_id: [u8; 16], created_ns: u64) -> RootPage {
    let mut root = RootPage::new();
    root.set_schema(schema);
    root.file_id = file_id;
    root.created_ns.set(created_ns);
    root.modified_ns.set(created_ns);
    root.set_epoch(1);
    root
}

/// The first commit of a new file.
pub(crate) struct First<'a> {
    /// Complete but for hashes, places and the audit chain.
    pub(crate) root: RootPage,
    pub(crate) drafts: Vec<Draft<'a>>,
    pub(crate) facts: Facts,
    pub(crate) operation: Operation,
    pub(crate) parameters: String,
}

impl First<'_> {
    pub(crate) fn new(root: RootPage, operation: Operation) -> Self {
        Self { root, drafts: Vec::new(), facts: Facts::new(), operation, parameters: String::new() }
    }
}

fn write_first(
    storage: &dyn Storage,
    path: &Path,
    first: &First<'_>,
    parent: Option<Arc<Snapshot>>,
    context: &Context,
) -> Result<Snapshot> {
    let mut appender = Appender::new(storage, path, 0, 0);
    append_file_segment(&mut appender, &first.root)?;
    for draft in &first.drafts {
        appender.append(draft)?;
    }
    let entry = next_entry(None, first.operation, &first.parameters, &context.actor);
    let change = Change { full: true, removed: Vec::new(), facts: first.facts.clone() };
    let sealed = seal(&mut appender, first.root, (&[], &Facts::new()), change, entry, context.signer.as_deref())?;
    let state = sealed.write(&mut appender)?;
    let file = appender.view()?;
    // One sync: nothing of the file can be found before it has its name.
    appender.sync()?;
    Ok(Snapshot::of_state(file, state, parent))
}

/// Page 0 of a new file.
pub(crate) fn append_file_segment(appender: &mut Appender<'_>, root: &RootPage) -> Result<()> {
    appender.stamp(1, root.created_ns.get());
    let page = identity::encode_file_segment(root.file_id, root.created_ns.get());
    let mut entry = ManifestEntry::zeroed();
    entry.kind = Kind::FILE.0;
    entry.length.set(PAGE);
    entry.epoch.set(1);
    entry.hash = digest::blake3(&page);
    appender.take_id();
    appender.put(&page, entry)
}

/// The epoch after that of `root`.
pub(crate) fn next_epoch(root: &RootPage) -> Result<u64> {
    let room = [root.epoch(), root.next_row.get(), root.next_segment_id.get(), root.witness_size.get()];
    if room.iter().any(|number| *number > u64::MAX / 2) {
        return Err(impossible(root, 0x24, "a running number of the root cannot be true"));
    }
    Ok(root.epoch() + 1)
}

/// A number of the root that no store can have come to: the file is refused before it is written.
fn impossible(root: &RootPage, field: u64, what: &'static str) -> Error {
    Error::Corrupt { clause: Clause::Root7, at: root.own_offset.get() + field, what }
}

fn append_rows(appender: &mut Appender<'_>, schema: &Schema, edit: &Edit<'_>, next_row: &mut u64) -> Result<()> {
    for rows in edit.rows.iter().filter(|rows| !rows.ids.is_empty()) {
        appender.append(&vec::draft(schema, *next_row, &rows.vectors, rows.ids))?;
        for draft in &rows.metadata {
            appender.append_at(draft, *next_row)?;
        }
        *next_row += rows.ids.len() as u64;
    }
    Ok(())
}

/// Other drafts, what merging made, and the journal of rows that no merge dropped.
fn append_rest(appender: &mut Appender<'_>, base: &Snapshot, edit: &Edit<'_>, merged: &Merged<'_>) -> Result<()> {
    // Of two DELTA segments the later one counts, and the edit's own is newer than what was merged.
    for draft in merged.drafts.iter().chain(&edit.drafts) {
        appender.append(draft)?;
    }
    let gone: Vec<(u64, u64)> = base
        .parts()
        .iter()
        .skip(base.inherited_parts() as usize)
        .filter(|part| {
            let id = part.entry.segment_id.get();
            merged.removed.contains(&id) || edit.removed.contains(&id)
        })
        .map(|part| (part.entry.base_row.get(), part.entry.end_row()))
        .collect();
    let stays = |row: &u64| !gone.iter().any(|(first, end)| (first..end).contains(&row));
    let (inherited, own) = edit.dead.split_at(edit.dead.partition_point(|row| *row < base.first_row()));
    if !inherited.is_empty() {
        appender.append(&cow::cow_map(inherited))?;
    }
    let words = journal::words_of(own.iter().copied().filter(stays));
    if !words.is_empty() {
        appender.append(&journal::draft(&words))?;
    }
    Ok(())
}

pub(crate) fn open_newest(storage: &dyn Storage, path: &Path) -> Result<Snapshot> {
    let (extent, file) = Snapshot::committed(storage, path, |end| storage.view(end))?;
    Snapshot::within(file, extent)
}

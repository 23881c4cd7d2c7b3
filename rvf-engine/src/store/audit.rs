//! Audit entries: the log of a file, and the next entry of its chain.

use super::snapshot::Snapshot;
use crate::Result;
use rvf_format::build::Draft;
use rvf_format::chain;
use rvf_format::digest::Hash;
use rvf_format::manifest::{ManifestEntry, policy};
use rvf_format::merkle::{Edge, leaf};
use rvf_format::note::{Note, Policy};
use rvf_format::payload::crypto;
use rvf_format::payload::witness::{self, Entry, Operation, WitnessEntry};
use rvf_format::recover::commit_at;
use rvf_format::root::RootPage;
use rvf_format::{Clause, Error, Kind, digest};
use std::collections::BTreeMap;

/// The parameters of a compaction that nobody asked for: their hash in its audit entry tells it from others.
pub(crate) const AUTOMATIC: &str = "automatic";

/// One line of a file's log.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Index of the audit entry, from 0.
    pub index: u64,
    /// Number of the commit.
    pub epoch: u64,
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
    /// What was done.
    pub operation: Operation,
    /// Rows that became live.
    pub added: u64,
    /// Rows that became dead.
    pub deleted: u64,
    /// Live records after it.
    pub count: u64,
    /// State hash.
    pub state_hash: Hash,
    /// Hash of the entry.
    pub entry_hash: Hash,
    /// Who committed.
    pub actor: String,
    /// Whether the commit can still be opened.
    pub kept: bool,
    /// Whether it is a compaction that a commit brought about, rather than one that was asked for.
    pub automatic: bool,
}

impl Snapshot {
    /// The log up to this commit, newest first, at most `limit` entries.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// db.add(&[1.0f32, 2.0])?;
    /// let log = db.snapshot().log(10)?;
    /// let lines: Vec<String> = log.iter().map(|entry| format!("{} {} +{}", entry.epoch, entry.operation.name(), entry.added)).collect();
    /// assert_eq!(lines, ["2 import +1", "1 create +0"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Corruption of roots, manifests and WITNESS segments on the way.
    pub fn log(&self, limit: usize) -> Result<Vec<LogEntry>> {
        self.settle_own(self.read_log(limit))
    }

    fn read_log(&self, limit: usize) -> Result<Vec<LogEntry>> {
        let kept: rvf_format::Result<Vec<u64>> =
            chain::roots(self.file(), self.root()).map(|root| root.map(|root| root.epoch())).collect();
        let kept = kept?;
        let all = entries(self)?;
        Ok(all.into_iter().rev().take(limit).map(|entry| log_entry(&entry, &kept)).collect())
    }
}

impl Snapshot {
    /// All audit entries up to this commit, by index, as they are stored. That they are linked is not judged.
    ///
    /// # Errors
    /// Corruption of roots, manifests and WITNESS segments on the way.
    pub fn audit_entries(&self) -> Result<Vec<Entry>> {
        self.settle_own(entries(self))
    }
}

/// `kept` is descending.
fn log_entry(entry: &Entry, kept: &[u64]) -> LogEntry {
    let fixed = &entry.fixed;
    let epoch = fixed.epoch.get();
    LogEntry {
        index: fixed.index.get(),
        epoch,
        time_ns: fixed.time_ns.get(),
        operation: entry.operation(),
        added: fixed.added.get(),
        deleted: fixed.deleted.get(),
        count: fixed.count.get(),
        state_hash: fixed.state_hash,
        entry_hash: entry.hash(),
        actor: entry.actor.clone(),
        kept: kept.binary_search_by(|other| epoch.cmp(other)).is_ok(),
        automatic: entry.operation() == Operation::COMPACT && fixed.parameters == digest::blake3(AUTOMATIC.as_bytes()),
    }
}

/// All audit entries up to this commit, by index.
pub(crate) fn entries(snapshot: &Snapshot) -> Result<Vec<Entry>> {
    let mut found: BTreeMap<u64, Entry> = BTreeMap::new();
    for segment in snapshot.state().of_kind(Kind::WITNESS) {
        let entries = segment_entries(snapshot, segment)?;
        found.extend(entries.into_iter().map(|entry| (entry.fixed.index.get(), entry)));
    }
    for entry in unsealed(snapshot)? {
        found.insert(entry.fixed.index.get(), entry);
    }
    let entries: Vec<Entry> = found.into_values().collect();
    let consecutive = entries.iter().enumerate().all(|(index, entry)| entry.fixed.index.get() == index as u64);
    if !consecutive || entries.len() as u64 != snapshot.root().witness_size.get() {
        let place = snapshot.root().own_offset.get() + 0x188;
        return Err(Error::corrupt(Clause::Wit2, place, "audit entries are missing").into());
    }
    Ok(entries)
}

/// The entries of a WITNESS segment: as they were committed, and those that its manifest entry names.
pub(crate) fn segment_entries(snapshot: &Snapshot, segment: &ManifestEntry) -> Result<Vec<Entry>> {
    let entries = witness::parse(snapshot.intact(segment)?, segment.offset.get())?;
    let named = segment.base_row.get()..segment.end_row();
    if entries.iter().map(|entry| entry.fixed.index.get()).eq(named) {
        return Ok(entries);
    }
    let what = "a WITNESS segment holds other audit entries than its manifest entry names";
    Err(Error::corrupt(Clause::Wit2, segment.offset.get(), what).into())
}

/// The entries that no WITNESS segment holds yet, by index: they stand in manifests.
pub(crate) fn unsealed(snapshot: &Snapshot) -> Result<Vec<Entry>> {
    let sealed =
        snapshot.state().of_kind(Kind::WITNESS).map(rvf_format::manifest::ManifestEntry::end_row).max().unwrap_or(0);
    let mut entries = Vec::new();
    for root in chain::roots(snapshot.file(), snapshot.root()) {
        let root = root?;
        if root.witness_size.get() <= sealed {
            break;
        }
        entries.push(own_entry(snapshot, &root)?);
    }
    entries.reverse();
    Ok(entries)
}

/// The audit entry of the commit of `root`.
pub(crate) fn own_entry(snapshot: &Snapshot, root: &RootPage) -> Result<Entry> {
    let commit = commit_at(snapshot.file(), root.own_offset.get(), root.file_id)?;
    let (entry, rest) = Entry::read(&commit.manifest.witness, root.manifest_offset.get())?;
    if !rest.is_empty() {
        return Err(Error::corrupt(
            Clause::Wit1,
            root.manifest_offset.get(),
            "more than one audit entry in a manifest",
        )
        .into());
    }
    Ok(entry)
}

/// The entry that follows those of `root` (none for a new file), without its state hash.
pub(crate) fn next_entry(previous: Option<&RootPage>, operation: Operation, parameters: &str, actor: &str) -> Entry {
    let mut fixed = WitnessEntry::zeroed();
    fixed.operation.set(operation.0);
    if let Some(root) = previous {
        fixed.index.set(root.witness_size.get());
        fixed.previous = root.witness_head;
    }
    if !parameters.is_empty() {
        fixed.parameters = digest::blake3(parameters.as_bytes());
    }
    Entry { fixed, actor: actor.to_owned() }
}

/// Gives a root the tree over the audit entries, if the file was written before there was one.
pub(crate) fn grow_tree(root: &mut RootPage, snapshot: &Snapshot) -> Result<()> {
    if root.has_tree() {
        return Ok(());
    }
    let leaves: Vec<Hash> = entries(snapshot)?.iter().map(|entry| leaf(&entry.hash())).collect();
    root.set_edge(&Edge::of(&leaves));
    Ok(())
}

/// The signed notes of CRYPTO segments in one.
pub(crate) fn merge_notes(snapshot: &Snapshot, segments: &[ManifestEntry]) -> Result<Draft<'static>> {
    Ok(crypto::draft(&notes_in(snapshot, segments.iter())?))
}

fn notes_in<'e>(snapshot: &Snapshot, segments: impl Iterator<Item = &'e ManifestEntry>) -> Result<Vec<Note>> {
    let mut notes = Vec::new();
    for segment in segments {
        notes.extend(crypto::parse(snapshot.intact(segment)?, segment)?);
    }
    notes.sort_by_key(|note| note.statement().epoch);
    Ok(notes)
}

impl Snapshot {
    /// The signed notes about this commit and earlier ones, by epoch. Whether their signatures are right is not judged: see
    /// [`crate::PublicKey::verify`].
    ///
    /// # Errors
    /// Corruption of CRYPTO segments.
    pub fn notes(&self) -> Result<Vec<Note>> {
        self.settle_own(notes_in(self, self.state().of_kind(Kind::CRYPTO)))
    }

    /// Epoch of the newest signed commit up to this one; `None` if there is none.
    pub fn signed_epoch(&self) -> Option<u64> {
        self.state().of_kind(Kind::CRYPTO).map(|entry| entry.base_row.get()).max()
    }

    /// Whether the file asks that its newest commit is signed.
    ///
    /// # Errors
    /// MAN-9.
    pub fn policy(&self) -> Result<Option<Policy>> {
        Ok(policy(&self.state().facts, self.root().manifest_offset.get())?)
    }
}

//! `Appender`: puts segments onto the end of a file and lists them, with FILLER and TREE segments where the format wants them.

use crate::{Error, Result};
use rvf_format::Kind;
use rvf_format::build::{self, Draft};
use rvf_format::digest::{self, Hash};
use rvf_format::limits::{LARGE_ALIGN, LARGE_SECTION, PAGE, TREE_MIN};
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::tree;
use rvf_format::storage::{Bytes, Storage};
use std::path::Path;

/// What is being done when a sync fails: after it nothing is known about the medium.
pub(crate) const SYNCING: &str = "syncing";

/// Where the id stands in a segment's header.
const SEGMENT_ID: usize = 0x08;

pub(crate) struct Appender<'a> {
    storage: &'a dyn Storage,
    pub(crate) path: &'a Path,
    /// Where the next segment goes.
    pub(crate) cursor: u64,
    /// Id of the next segment.
    pub(crate) next_segment_id: u64,
    epoch: u64,
    time_ns: u64,
    /// What was appended and is to be listed.
    pub(crate) added: Vec<ManifestEntry>,
}

impl<'a> Appender<'a> {
    pub(crate) fn new(storage: &'a dyn Storage, path: &'a Path, cursor: u64, next_segment_id: u64) -> Self {
        Self { storage, path, cursor, next_segment_id, epoch: 0, time_ns: 0, added: Vec::new() }
    }

    /// Epoch and time that new segments carry.
    pub(crate) fn stamp(&mut self, epoch: u64, time_ns: u64) {
        (self.epoch, self.time_ns) = (epoch, time_ns);
    }

    /// Appends a segment; a large one gets its hash tree too.
    pub(crate) fn append(&mut self, draft: &Draft<'_>) -> Result<()> {
        self.append_at(draft, draft.base_row)
    }

    /// The same, of rows from `base_row` on.
    pub(crate) fn append_at(&mut self, draft: &Draft<'_>, base_row: u64) -> Result<()> {
        let at = draft.place(self.cursor)?;
        self.fill_to(at)?;
        let id = self.take_id();
        let bytes = draft.encode(id, self.time_ns)?;
        let mut entry = self.entry(draft.kind, id, &bytes);
        entry.space.set(draft.space);
        entry.base_row.set(base_row);
        entry.rows.set(draft.rows);
        let levels = if bytes.len() as u64 >= TREE_MIN { digest::group_tree(&bytes) } else { Vec::new() };
        entry.hash = digest::tree_top(&levels).unwrap_or_else(|| digest::blake3(&bytes));
        self.put(&bytes, entry)?;
        self.append_tree(id, bytes.len() as u64, &levels)
    }

    fn append_tree(&mut self, described: u64, length: u64, levels: &[Vec<Hash>]) -> Result<()> {
        if levels.is_empty() {
            return Ok(());
        }
        let id = self.take_id();
        let bytes = tree::draft(described, length, levels).encode(id, self.time_ns)?;
        let mut entry = self.entry(Kind::TREE, id, &bytes);
        entry.hash = digest::blake3(&bytes);
        self.put(&bytes, entry)
    }

    /// Copies a listed segment of another file, byte for byte; where `same_residue` is set or a section may be aligned to a
    /// huge page, to the next place with the same offset modulo 2 MiB.
    pub(crate) fn copy(&mut self, bytes: &[u8], entry: &ManifestEntry, same_residue: bool) -> Result<ManifestEntry> {
        let at = self.place_like(bytes, entry, same_residue)?;
        let mut entry = *entry;
        entry.offset.set(at);
        self.put(bytes, entry)?;
        Ok(entry)
    }

    /// Where a copied segment goes, filled up to there.
    fn place_like(&mut self, bytes: &[u8], entry: &ManifestEntry, same_residue: bool) -> Result<u64> {
        let mut at = self.cursor;
        if same_residue || bytes.len() >= LARGE_SECTION {
            at = self.cursor - self.cursor % LARGE_ALIGN + entry.offset.get() % LARGE_ALIGN;
        }
        if at < self.cursor {
            at += LARGE_ALIGN;
        }
        self.fill_to(at)?;
        Ok(at)
    }

    /// Copies a listed segment of another file under an id of this one; a large one gets its hash tree.
    pub(crate) fn copy_anew(&mut self, bytes: &[u8], entry: &ManifestEntry) -> Result<()> {
        let at = self.place_like(bytes, entry, false)?;
        let id = self.take_id();
        let mut bytes = bytes.to_vec();
        if let Some(place) = bytes.get_mut(SEGMENT_ID..SEGMENT_ID + 8) {
            // The content hash is that of the payload, which stays.
            place.copy_from_slice(&id.to_le_bytes());
        }
        let mut copied = *entry;
        copied.segment_id.set(id);
        copied.offset.set(at);
        copied.epoch.set(self.epoch);
        let levels = if bytes.len() as u64 >= TREE_MIN { digest::group_tree(&bytes) } else { Vec::new() };
        copied.hash = digest::tree_top(&levels).unwrap_or_else(|| digest::blake3(&bytes));
        self.put(&bytes, copied)?;
        self.append_tree(id, bytes.len() as u64, &levels)
    }

    /// Appends the MANIFEST that ends with the root, in one write. Not listed.
    pub(crate) fn append_manifest(&mut self, bytes: &[u8]) -> Result<()> {
        self.write(bytes)
    }

    pub(crate) fn take_id(&mut self) -> u64 {
        let id = self.next_segment_id;
        self.next_segment_id += 1;
        id
    }

    fn fill_to(&mut self, at: u64) -> Result<()> {
        if at == self.cursor {
            return Ok(());
        }
        debug_assert_eq!((at - self.cursor) % PAGE, 0);
        let id = self.take_id();
        let bytes = build::filler(id, self.time_ns, at - self.cursor)?;
        let mut entry = self.entry(Kind::FILLER, id, &bytes);
        entry.hash = digest::blake3(&bytes);
        self.put(&bytes, entry)
    }

    fn entry(&self, kind: Kind, id: u64, bytes: &[u8]) -> ManifestEntry {
        let mut entry = ManifestEntry::zeroed();
        entry.segment_id.set(id);
        entry.kind = kind.0;
        entry.offset.set(self.cursor);
        entry.length.set(bytes.len() as u64);
        entry.epoch.set(self.epoch);
        entry
    }

    /// Writes a segment that is complete and lists it.
    pub(crate) fn put(&mut self, bytes: &[u8], entry: ManifestEntry) -> Result<()> {
        self.write(bytes)?;
        self.added.push(entry);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.storage.write_at(bytes, self.cursor).map_err(|error| Error::io("writing", self.path, error))?;
        self.cursor += bytes.len() as u64;
        Ok(())
    }

    /// The file as far as it is written.
    pub(crate) fn view(&self) -> Result<Bytes> {
        self.storage.view(self.cursor).map_err(|error| Error::io("mapping", self.path, error))
    }

    /// Returns when everything appended is on the medium.
    pub(crate) fn sync(&self) -> Result<()> {
        self.storage.sync().map_err(|error| Error::io(SYNCING, self.path, error))
    }
}

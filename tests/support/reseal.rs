//! Makes a changed file consistent again: hashes and checksums are worked out anew, oldest commit first, so that a change
//! reaches the code behind them. For fixtures of broken files and for fuzzing; no library code.
//!
//! ```text
//! content hash -> hash tree -> entry in the manifest -> state hash -> audit entry -> Merkle tree -> manifest hash -> root checksum
//! ```
//! Each step uses what the steps before it wrote. A sound file is left as it is. Nothing here can fail: what is too damaged to
//! be found is left alone, and [`Resealed`] counts what was.
//!
//! ```
//! use rvf_tests::reseal::{Repair, reseal};
//! use rvf_tests::samples;
//! let mut file = samples::small();
//! let root = rvf_tests::reseal::roots(&file).pop().unwrap();
//! file[root.offset + 0x18] ^= 1; // the live count
//! reseal(&mut file, &Repair::ALL);
//! let report = rvf_format::verify::verify(&file.into(), &mut |_, _| {}).unwrap();
//! assert_eq!(report.findings[0].clause.id(), "ROOT-7");
//! ```

use rvf_format::chain::Replay;
use rvf_format::digest;
use rvf_format::identity::{COPIES, FileIdentity, IDENTITY_MAGIC};
use rvf_format::limits::{GROUP_LEN, PAGE_LEN, ROOT_MAGIC, SEGMENT_MAGIC};
use rvf_format::manifest::{Facts, ManifestEntry, TAG_ADDED, TAG_FIRST_FACT, TAG_REMOVED, TAG_WITNESS, manifest_hash};
use rvf_format::merkle::{Edge, leaf};
use rvf_format::payload::tree::TreeFacts;
use rvf_format::payload::witness::WitnessEntry;
use rvf_format::root::RootPage;
use rvf_format::segment::{PayloadPrelude, SectionEntry, SegmentHeader, TABLE_START};
use rvf_format::state::state_hash;
use rvf_format::{Kind, build};
use std::collections::BTreeMap;
use std::ops::Range;
use zerocopy::{FromBytes, IntoBytes};

/// What [`reseal`] makes right. Set a field to `false` to keep the damage that a fixture is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repair {
    /// Checksums of the copies of the file's identity (FILE-2); copies without the magic are left alone.
    pub identity: bool,
    /// XXH3-128 in segment headers (SEG-4).
    pub content_hashes: bool,
    /// Nodes of TREE segments (TREE-1).
    pub trees: bool,
    /// `length` of manifest entries: that of the segment's header (MAN-4).
    pub entry_lengths: bool,
    /// `hash` of manifest entries (MAN-5).
    pub entry_hashes: bool,
    /// State hashes of roots (MAN-7).
    pub state_hash: bool,
    /// Audit entries in manifests: epoch, time, count, state hash, the hash of the entry before (WIT-2, WIT-3).
    pub witness_entry: bool,
    /// Audit entries in WITNESS segments: those whose manifests are in the file are copied from there, all are linked (WIT-2).
    pub sealed_entries: bool,
    /// `witness_head` of roots (WIT-3).
    pub witness_head: bool,
    /// `witness_tree` and `witness_edge` of roots that have them (AUD-1), where all entries are known.
    pub witness_tree: bool,
    /// `manifest_hash` of roots (MAN-1).
    pub manifest_hash: bool,
    /// Checksums of roots (ROOT-2).
    pub root_checksum: bool,
}

impl Repair {
    /// Everything.
    pub const ALL: Repair = Repair::uniform(true);
    /// Nothing.
    pub const NONE: Repair = Repair::uniform(false);

    const fn uniform(on: bool) -> Self {
        Self {
            identity: on,
            content_hashes: on,
            trees: on,
            entry_lengths: on,
            entry_hashes: on,
            state_hash: on,
            witness_entry: on,
            sealed_entries: on,
            witness_head: on,
            witness_tree: on,
            manifest_hash: on,
            root_checksum: on,
        }
    }
}

/// What [`reseal`] found to work on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Root pages.
    pub roots: usize,
    /// Segments, manifests included.
    pub segments: usize,
    /// Roots whose live segments could be told, so that their state hash could be worked out.
    pub states: usize,
}

/// A root page of a file, and the MANIFEST segment that ends with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootPlace {
    /// Where the page starts.
    pub offset: usize,
    /// The MANIFEST segment, the page included. `None` if no MANIFEST header before the page leads to its end.
    pub manifest: Option<Range<usize>>,
}

/// Every page that begins with the root magic, in the order of the file.
pub fn roots(file: &[u8]) -> Vec<RootPlace> {
    let pages = file.chunks_exact(PAGE_LEN).enumerate();
    let starts = pages.filter(|(_, page)| page.starts_with(&ROOT_MAGIC.to_le_bytes()));
    starts.map(|(page, _)| root_place(file, page * PAGE_LEN)).collect()
}

fn root_place(file: &[u8], offset: usize) -> RootPlace {
    let end = offset + PAGE_LEN;
    let mut starts = (0..offset / PAGE_LEN).rev().map(|page| page * PAGE_LEN);
    let ends_here = |start: &usize| {
        header_at(file, *start).is_some_and(|header| header.kind() == Kind::MANIFEST)
            && length_at(file, *start, end) == Some(end - start)
    };
    let start = starts.find(ends_here);
    RootPlace { offset, manifest: start.map(|start| start..end) }
}

/// Segments from `from` on that start on pages and end before `end`; pages that begin no segment are passed over.
pub fn segments(file: &[u8], from: usize, end: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = from.next_multiple_of(PAGE_LEN);
    while at < end.min(file.len()) {
        match length_at(file, at, end) {
            Some(length) => {
                found.push(at..at + length);
                at += length;
            }
            None => at += PAGE_LEN,
        }
    }
    found
}

/// The header at `at`, if one with the magic is there.
pub fn header_at(file: &[u8], at: usize) -> Option<SegmentHeader> {
    let (header, _) = SegmentHeader::read_from_prefix(file.get(at..)?).ok()?;
    (header.magic.get() == SEGMENT_MAGIC).then_some(header)
}

/// The length of the segment at `at`, if it is whole pages and ends at or before `end`.
fn length_at(file: &[u8], at: usize, end: usize) -> Option<usize> {
    let length = usize::try_from(header_at(file, at)?.length()).ok()?;
    let fits = length.is_multiple_of(PAGE_LEN) && length <= end.min(file.len()).checked_sub(at)?;
    fits.then_some(length)
}

/// Where each section of a payload lies in the file: tag, range. Lenient: entries that lead outside the segment are left out.
pub fn sections(file: &[u8], segment: &Range<usize>) -> Vec<(u32, Range<usize>)> {
    let bytes = file.get(segment.clone()).unwrap_or_default();
    let Some((prelude, rest)) = bytes.get(64..).and_then(|rest| PayloadPrelude::read_from_prefix(rest).ok()) else {
        return Vec::new();
    };
    let entries = rest.as_chunks::<32>().0.iter().take(prelude.section_count.get() as usize);
    let ranges = entries.filter_map(|entry| {
        let entry = SectionEntry::read_from_bytes(entry).ok()?;
        let start = usize::try_from(entry.offset.get()).ok()?;
        let end = start.checked_add(usize::try_from(entry.length.get()).ok()?)?;
        let inside = start >= TABLE_START && end <= bytes.len();
        inside.then(|| (entry.tag.get(), segment.start + start..segment.start + end))
    });
    ranges.collect()
}

/// Works out hashes and checksums of a changed file anew, as [`Repair`] asks, for every commit from the oldest on.
pub fn reseal(file: &mut [u8], repair: &Repair) -> Resealed {
    let mut work = Work { file, repair, done: Resealed::default(), replay: None, audit: BTreeMap::new() };
    work.identity();
    let mut from = 0;
    for root in roots(work.file) {
        work.done.roots += 1;
        match root.manifest {
            Some(manifest) => {
                work.segments(from, manifest.start);
                work.commit(root.offset, &manifest);
            }
            None => {
                work.segments(from, root.offset);
                work.checksum(root.offset);
            }
        }
        from = root.offset + PAGE_LEN;
    }
    let end = work.file.len();
    work.segments(from, end);
    work.done
}

struct Work<'a> {
    file: &'a mut [u8],
    repair: &'a Repair,
    done: Resealed,
    /// What is live so far; `None` until a full manifest was read and after one that could not be.
    replay: Option<Replay>,
    /// Audit entries by index, as the commits so far have them.
    audit: BTreeMap<u64, Vec<u8>>,
}

impl Work<'_> {
    fn identity(&mut self) {
        for at in COPIES {
            let Some(copy) = self.file.get_mut(at..at + size_of::<FileIdentity>()) else { continue };
            if self.repair.identity && copy.starts_with(&IDENTITY_MAGIC) {
                let checksum = digest::crc32(&copy[..0x3C]);
                copy[0x3C..].copy_from_slice(&checksum.to_le_bytes());
            }
        }
    }

    /// The segments of one commit, its manifest left out: trees last, because they hash the others.
    fn segments(&mut self, from: usize, end: usize) {
        let found = segments(self.file, from, end);
        self.done.segments += found.len();
        let is_tree = |file: &[u8], at: usize| header_at(file, at).is_some_and(|header| header.kind() == Kind::TREE);
        for segment in &found {
            if header_at(self.file, segment.start).is_some_and(|header| header.kind() == Kind::WITNESS) {
                self.sealed_entries(segment);
            }
            if !is_tree(self.file, segment.start) {
                self.content_hash(segment);
            }
        }
        for segment in found.iter().filter(|segment| is_tree(self.file, segment.start)).cloned().collect::<Vec<_>>() {
            self.tree(&segment);
            self.content_hash(&segment);
        }
    }

    fn content_hash(&mut self, segment: &Range<usize>) {
        if self.repair.content_hashes {
            build::seal(&mut self.file[segment.clone()]);
        }
    }

    /// Nodes of a hash tree, where their number is that of the segment that it describes.
    fn tree(&mut self, tree: &Range<usize>) {
        let sections = sections(self.file, tree);
        let place = |tag| sections.iter().find(|section| section.0 == tag).map(|section| section.1.clone());
        let (Some(facts), Some(nodes)) = (place(1), place(2)) else { return };
        let Ok((facts, _)) = TreeFacts::read_from_prefix(&self.file[facts]) else { return };
        let described = segments(self.file, 0, self.file.len()).into_iter().find(|segment| {
            header_at(self.file, segment.start).is_some_and(|header| header.segment_id == facts.segment_id)
        });
        let Some(described) = described.filter(|segment| segment.len() > GROUP_LEN && self.repair.trees) else {
            return;
        };
        let fresh: Vec<u8> = digest::group_tree(&self.file[described]).concat().concat();
        if fresh.len() == nodes.len() {
            self.file[nodes].copy_from_slice(&fresh);
        }
    }

    /// A commit whose manifest was found: entries, state, audit entry, hashes, in this order.
    fn commit(&mut self, root_at: usize, manifest: &Range<usize>) {
        self.done.segments += 1;
        let sections = sections(self.file, manifest);
        let place = |tag| sections.iter().find(|section| section.0 == tag).map(|section| section.1.clone());
        self.entries(place(TAG_ADDED).unwrap_or_default());
        let Ok(mut root) = RootPage::read_from_bytes(&self.file[root_at..root_at + PAGE_LEN]) else { return };
        self.state(&mut root, manifest, &sections);
        self.audit(&mut root, place(TAG_WITNESS).unwrap_or_default());
        if self.repair.manifest_hash {
            root.manifest_hash = manifest_hash(&self.file[manifest.start..root_at]);
        }
        if self.repair.root_checksum {
            root.seal();
        }
        self.file[root_at..root_at + PAGE_LEN].copy_from_slice(root.as_bytes());
        self.content_hash(manifest);
    }

    fn entries(&mut self, added: Range<usize>) {
        for at in added.clone().step_by(size_of::<ManifestEntry>()) {
            let row = at..at + size_of::<ManifestEntry>();
            if row.end > added.end {
                return;
            }
            let Ok(mut entry) = ManifestEntry::read_from_bytes(&self.file[row.clone()]) else { return };
            let start = usize::try_from(entry.offset.get()).unwrap_or(usize::MAX);
            if let Some(length) = length_at(self.file, start, self.file.len()).filter(|_| self.repair.entry_lengths) {
                entry.length.set(length as u64);
            }
            let end = start.saturating_add(usize::try_from(entry.length.get()).unwrap_or(usize::MAX));
            if let Some(segment) = self.file.get(start..end).filter(|_| self.repair.entry_hashes) {
                entry.hash = digest::blake3(segment);
            }
            self.file[row].copy_from_slice(entry.as_bytes());
        }
    }

    fn state(&mut self, root: &mut RootPage, manifest: &Range<usize>, sections: &[(u32, Range<usize>)]) {
        let form = self.file[manifest.clone()].get(64..66);
        let full = form == Some(&1u16.to_le_bytes());
        let mut replay = match self.replay.take() {
            _ if full => Replay::default(),
            Some(replay) => replay,
            None => return,
        };
        let section = |tag| {
            let found = sections.iter().find(|section| section.0 == tag);
            found.and_then(|section| self.file.get(section.1.clone())).unwrap_or_default()
        };
        for id in section(TAG_REMOVED).as_chunks::<8>().0 {
            replay.live.remove(&u64::from_le_bytes(*id));
        }
        for entry in section(TAG_ADDED).as_chunks::<96>().0 {
            if let Ok(entry) = ManifestEntry::read_from_bytes(entry) {
                replay.live.insert(entry.segment_id.get(), entry);
            }
        }
        apply_facts(self.file, sections, &mut replay.facts);
        if self.repair.state_hash {
            root.state_hash = state_hash(root, &replay.facts, replay.live.values());
        }
        self.done.states += 1;
        self.replay = Some(replay);
    }

    fn audit(&mut self, root: &mut RootPage, section: Range<usize>) {
        let bytes = self.file.get_mut(section).unwrap_or_default();
        let Ok((mut entry, _)) = WitnessEntry::read_from_prefix(bytes) else { return };
        if self.repair.witness_entry {
            entry.epoch.set(root.epoch());
            entry.time_ns = root.modified_ns;
            entry.count = root.live_count;
            entry.state_hash = root.state_hash;
            entry.previous = before(&self.audit, &entry);
            bytes[..size_of::<WitnessEntry>()].copy_from_slice(entry.as_bytes());
        }
        if self.repair.witness_head {
            root.witness_head = digest::shake256(bytes);
        }
        self.audit.insert(entry.index.get(), bytes.to_vec());
        let leaves: Vec<_> = self.audit.values().map(|entry| leaf(&digest::shake256(entry))).collect();
        if self.repair.witness_tree && root.has_tree() && root.witness_size.get() == leaves.len() as u64 {
            root.set_edge(&Edge::of(&leaves));
        }
    }

    fn sealed_entries(&mut self, segment: &Range<usize>) {
        let Some((_, section)) = sections(self.file, segment).into_iter().find(|section| section.0 == 1) else {
            return;
        };
        if !self.repair.sealed_entries {
            return;
        }
        let mut rest = &mut self.file[section];
        while let Ok((mut entry, _)) = WitnessEntry::read_from_prefix(rest) {
            let length = entry.length.get() as usize;
            if length < size_of::<WitnessEntry>() || length > rest.len() {
                return;
            }
            let (own, after) = rest.split_at_mut(length);
            match self.audit.get(&entry.index.get()).filter(|known| known.len() == length) {
                Some(known) => own.copy_from_slice(known),
                None => {
                    entry.previous = before(&self.audit, &entry);
                    own[..size_of::<WitnessEntry>()].copy_from_slice(entry.as_bytes());
                }
            }
            self.audit.insert(entry.index.get(), own.to_vec());
            rest = after;
        }
    }

    fn checksum(&mut self, root_at: usize) {
        let page = &mut self.file[root_at..root_at + PAGE_LEN];
        if let Ok(mut root) = RootPage::read_from_bytes(page)
            && self.repair.root_checksum
        {
            root.seal();
            page.copy_from_slice(root.as_bytes());
        }
    }
}

/// The hash of the entry before; what the entry says itself where that one is not known.
fn before(audit: &BTreeMap<u64, Vec<u8>>, entry: &WitnessEntry) -> [u8; 32] {
    let index = entry.index.get().checked_sub(1);
    let known = index.and_then(|index| audit.get(&index));
    known.map_or(entry.previous, |bytes| digest::shake256(bytes))
}

fn apply_facts(file: &[u8], sections: &[(u32, Range<usize>)], facts: &mut Facts) {
    for (tag, range) in sections.iter().filter(|section| section.0 >= TAG_FIRST_FACT) {
        let value = file.get(range.clone()).unwrap_or_default();
        match value.is_empty() {
            true => facts.remove(tag),
            false => facts.insert(*tag, value.to_vec()),
        };
    }
}

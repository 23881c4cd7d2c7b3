//! What stands in a damaged file: root pages, manifests, segments, by their places. Believes nothing: that is for `prove.rs`.

use crate::{Error, Result};
use rvf_format::identity::{self, Recognised};
use rvf_format::limits::{HEADER_LEN, PAGE, PAGE_LEN, ROOT_MAGIC};
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::columns::{self, ColumnsFacts};
use rvf_format::payload::feedback::{self, FeedbackEvent, FeedbackFacts};
use rvf_format::payload::index::{IndexFacts, IndexRun, TAG_FACTS as INDEX_FACTS, TAG_RUNS};
use rvf_format::payload::lookup::{self, LookupFacts};
use rvf_format::payload::quant::{QuantFacts, TAG_FACTS as QUANT_FACTS};
use rvf_format::payload::vec::{TAG_FACTS as VEC_FACTS, VecFacts};
use rvf_format::recover::{Commit, read_manifest};
use rvf_format::root::RootPage;
use rvf_format::segment::{Payload, SegmentHeader};
use rvf_format::storage::Bytes;
use rvf_format::{Clause, Error as Format, Kind, digest};
use std::collections::BTreeSet;
use zerocopy::byteorder::little_endian::U64;

/// A page whose checksum shows that it is a root of this file.
pub(super) struct Mark {
    pub(super) root: Box<RootPage>,
    /// The same with its manifest, if that has the hash that the root names.
    pub(super) commit: Option<Box<Commit>>,
}

/// A segment header in the file.
pub(super) struct Found {
    pub(super) at: u64,
    pub(super) header: SegmentHeader,
}

/// What stands in a file.
pub(super) struct Ground {
    pub(super) file: Bytes,
    /// By ascending offset, each with a larger epoch than the one before.
    pub(super) marks: Vec<Mark>,
    /// By ascending offset, apart from each other.
    pub(super) segments: Vec<Found>,
}

impl Ground {
    /// Looks at every page once.
    ///
    /// # Errors
    /// [`Error::NotRvf`], [`Error::PublishedRvf`], [`Error::Newer`], FILE-4.
    pub(super) fn survey(file: Bytes) -> Result<Self> {
        let file_id = match identity::open_identity(&file) {
            Ok(id) => Some(id),
            // A root tells whose file it is (FILE-5).
            Err(Format::NotRvf | Format::Corrupt { clause: Clause::File2, .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let roots = roots(&file, file_id)?;
        if roots.is_empty() && identity::recognise(&file) == Recognised::Unknown {
            return Err(Error::NotRvf);
        }
        let marks = read_manifests(&file, roots);
        let segments = walk(&file, &known_starts(&marks));
        Ok(Self { file, marks, segments })
    }

    /// Where the newest root ends: what is behind is no commit, or one whose root is damaged.
    pub(super) fn end(&self) -> u64 {
        self.marks.last().map_or(0, |mark| mark.root.end())
    }

    pub(super) fn bytes(&self, at: u64, length: u64) -> Option<Bytes> {
        self.file.slice(usize::try_from(at).ok()?, usize::try_from(length).ok()?)
    }

    /// The segments that start in a range of offsets.
    pub(super) fn between(&self, from: u64, to: u64) -> &[Found] {
        let first = self.segments.partition_point(|found| found.at < from);
        let end = self.segments.partition_point(|found| found.at < to);
        self.segments.get(first..end).unwrap_or_default()
    }

    /// Whether a MANIFEST starts in a range of offsets.
    pub(super) fn holds_manifest(&self, from: u64, to: u64) -> bool {
        self.between(from, to).iter().any(|found| found.header.kind() == Kind::MANIFEST)
    }

    /// The entry that a manifest would have for a segment whose payload has the content hash of its header, and else `None`.
    /// `next_row` is the first row number of a VEC, and moves on.
    pub(super) fn derive(&self, found: &Found, next_row: &mut u64) -> Option<ManifestEntry> {
        let bytes = self.bytes(found.at, found.header.length())?;
        if digest::xxh3_128(bytes.get(HEADER_LEN..)?) != found.header.content_hash {
            return None;
        }
        let mut entry = ManifestEntry::zeroed();
        entry.segment_id = found.header.segment_id;
        entry.offset.set(found.at);
        entry.length.set(found.header.length());
        entry.kind = found.header.kind;
        entry.hash = digest::blake3(&bytes);
        let (base_row, rows) = rows_of(found.header.kind(), bytes, found.at, next_row).unwrap_or_default();
        entry.base_row.set(base_row);
        entry.rows.set(rows);
        Some(entry)
    }
}

/// First row and number of rows, as far as a payload tells them.
fn rows_of(kind: Kind, bytes: Bytes, at: u64, next_row: &mut u64) -> Option<(u64, u32)> {
    let payload = Payload::parse(bytes, at, kind, &[1, columns::FORM]).ok()?;
    match kind {
        Kind::VEC => {
            let rows = payload.facts::<VecFacts>(VEC_FACTS).ok()?.count.get();
            let base_row = *next_row;
            *next_row = base_row.saturating_add(u64::from(rows));
            Some((base_row, rows))
        }
        Kind::INDEX => {
            let runs = payload.section(TAG_RUNS)?;
            let first = runs.as_slice::<IndexRun>()?.first()?.base_row.get();
            Some((first, payload.facts::<IndexFacts>(INDEX_FACTS).ok()?.nodes.get()))
        }
        Kind::DELTA => {
            let rows = payload.section(columns::TAG_ROWS)?;
            let first = rows.as_slice::<U64>()?.first()?.get();
            Some((first, payload.facts::<ColumnsFacts>(columns::TAG_FACTS).ok()?.count.get()))
        }
        // The first row is that of the VEC segment, which stands before it: corrected by who knows it.
        Kind::META if payload.form == columns::FORM => {
            Some((0, payload.facts::<ColumnsFacts>(columns::TAG_FACTS).ok()?.count.get()))
        }
        Kind::FEEDBACK => {
            let facts: FeedbackFacts = payload.facts(feedback::TAG_FACTS).ok()?;
            let events = payload.section(feedback::TAG_EVENTS)?.len() / size_of::<FeedbackEvent>();
            Some((facts.first.get(), u32::try_from(events).ok()?))
        }
        Kind::META_IDX => Some((0, payload.facts::<LookupFacts>(lookup::TAG_FACTS).ok()?.count.get())),
        // The first row of a QUANT is that of its INDEX, which stands elsewhere: corrected by who knows it.
        Kind::QUANT => Some((0, payload.facts::<QuantFacts>(QUANT_FACTS).ok()?.count.get())),
        _ => None,
    }
}

fn roots(file: &Bytes, file_id: Option<[u8; 16]>) -> Result<Vec<Box<RootPage>>> {
    let mut roots: Vec<Box<RootPage>> = Vec::new();
    let mut newer = None;
    for (index, page) in file.chunks_exact(PAGE_LEN).enumerate() {
        if !page.starts_with(&ROOT_MAGIC.to_le_bytes()) {
            continue;
        }
        match RootPage::read(page, index as u64 * PAGE, file_id) {
            Ok(root) => {
                roots.push(Box::new(root));
                newer = None;
            }
            Err(error @ Format::Newer { .. }) => newer = Some(error),
            Err(_) => {}
        }
    }
    if let Some(error) = newer {
        return Err(error.into());
    }
    // The newest root tells whose file it is where the identity does not; roots before it are older.
    let Some(last) = roots.last() else { return Ok(roots) };
    let (id, mut epoch) = (last.file_id, u64::MAX);
    roots.reverse();
    roots.retain(|root| {
        let fits = root.file_id == id && root.epoch() < epoch && root.schema().is_ok();
        epoch = if fits { root.epoch() } else { epoch };
        fits
    });
    roots.reverse();
    Ok(roots)
}

/// Manifests, the newest first: roots of a hostile file could name the same bytes again and again.
fn read_manifests(file: &Bytes, roots: Vec<Box<RootPage>>) -> Vec<Mark> {
    let mut budget = file.len() as u64;
    let mut marks: Vec<Mark> = Vec::with_capacity(roots.len());
    for root in roots.into_iter().rev() {
        let affordable = budget.checked_sub(root.manifest_length.get());
        budget = affordable.unwrap_or(budget);
        let manifest = affordable.and_then(|_| read_manifest(file, &root).ok());
        let commit = manifest.map(|manifest| Box::new(Commit { root: *root, manifest }));
        marks.push(Mark { root, commit });
    }
    marks.reverse();
    marks
}

/// Where segments start, as manifests and roots say.
fn known_starts(marks: &[Mark]) -> BTreeSet<u64> {
    let mut starts = BTreeSet::new();
    for mark in marks {
        starts.extend([mark.root.manifest_offset.get(), mark.root.end()]);
        let listed = mark.commit.iter().flat_map(|commit| &commit.manifest.added);
        starts.extend(listed.map(|entry| entry.offset.get()).filter(|at| at % PAGE == 0));
    }
    starts
}

/// Headers one behind the other. Where there is none, the next page is tried; none reaches over a known start.
fn walk(file: &Bytes, starts: &BTreeSet<u64>) -> Vec<Found> {
    let mut found = Vec::new();
    let (mut at, end) = (0u64, file.len() as u64);
    while at < end {
        let bytes = file.get(at as usize..).unwrap_or_default();
        let mut next = at + PAGE;
        if let Ok(header) = SegmentHeader::read(bytes, at, end) {
            let known = starts.range(at + 1..at + header.length()).next();
            next = known.copied().unwrap_or(at + header.length());
            found.push(Found { at, header });
        }
        at = next;
    }
    found
}

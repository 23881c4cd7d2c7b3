//! Accounts for every segment: which are needed, which are skipped and why, and what else lies in the file.

use super::error::{Fault, LegacyError};
use super::header::{HEADER_LEN, Header, SegmentKind};
use super::locate::Located;
use super::manifest::{Entry, Manifest};
use super::report::{Skipped, Warning, Why};

/// Segments that make up the rows, each proved by its hash.
#[derive(Debug, Default)]
pub(super) struct Needed<'a> {
    /// In the order of the directory.
    pub(super) vectors: Vec<(Header, &'a [u8])>,
    pub(super) cow_map: Option<(Header, &'a [u8])>,
    pub(super) membership: Option<(Header, &'a [u8])>,
}

/// Sorts the directory into what is needed and what is not; META segments are left to `meta`.
pub(super) fn directory<'a>(
    file: &Located<'a>,
    manifest: &Manifest,
    skipped: &mut Vec<Skipped>,
) -> Result<Needed<'a>, LegacyError> {
    let last = |kind| manifest.directory.iter().rposition(|entry| entry.kind == kind);
    let (cow_map, membership) = (last(SegmentKind::CowMap), last(SegmentKind::Membership));
    check_apart(file, manifest, [cow_map, membership.and(cow_map).and(membership)])?;
    let mut needed = Needed::default();
    for (index, entry) in manifest.directory.iter().enumerate() {
        if entry.kind == SegmentKind::Vec {
            needed.vectors.push(prove(file, manifest, entry)?);
        } else if Some(index) == cow_map {
            needed.cow_map = Some(prove(file, manifest, entry)?);
        } else if Some(index) == membership && cow_map.is_some() {
            needed.membership = Some(prove(file, manifest, entry)?);
        } else if entry.kind != SegmentKind::Meta {
            let why = if header_of(file, entry).is_some() { why(entry.kind, cow_map.is_some()) } else { Why::NotThere };
            skipped.push(skip(entry, why));
        }
    }
    Ok(needed)
}

fn why(kind: SegmentKind, branch: bool) -> Why {
    match kind {
        SegmentKind::Index | SegmentKind::RefCount => Why::Derived,
        SegmentKind::Journal => Why::InManifest,
        SegmentKind::Witness => Why::HistoryNotCarried,
        SegmentKind::Membership if !branch => Why::NotABranch,
        SegmentKind::Manifest | SegmentKind::CowMap | SegmentKind::Membership => Why::Superseded,
        SegmentKind::Kernel | SegmentKind::Ebpf | SegmentKind::Wasm | SegmentKind::Dashboard => {
            Why::AttachmentNotCarried
        }
        SegmentKind::Vec | SegmentKind::Meta | SegmentKind::Other(_) => Why::UnknownKind,
    }
}

/// The report of an entry that is not used.
pub(super) fn skip(entry: &Entry, why: Why) -> Skipped {
    Skipped { kind: entry.kind, segment_id: entry.segment_id, offset: entry.at, why }
}

/// Refuses needed segments that share bytes, which bounds all later work by the length of the file.
fn check_apart(file: &Located<'_>, manifest: &Manifest, used: [Option<usize>; 2]) -> Result<(), LegacyError> {
    let needed = |(index, entry): &(usize, &Entry)| entry.kind == SegmentKind::Vec || used.contains(&Some(*index));
    let extent = |at: u64, payload_len: u64| (at, at.saturating_add(HEADER_LEN as u64).saturating_add(payload_len));
    let mut extents: Vec<(u64, u64)> = manifest
        .directory
        .iter()
        .enumerate()
        .filter(needed)
        .map(|(_, entry)| extent(entry.at, entry.payload_len))
        .collect();
    extents.push(extent(file.manifest.at as u64, file.manifest.payload_len));
    extents.sort_unstable();
    let clash = extents.iter().zip(extents.iter().skip(1)).find(|(first, second)| second.0 < first.1);
    match clash {
        Some((first, second)) => Err(LegacyError::Overlap { at: second.0, over: first.0 }),
        None => Ok(()),
    }
}

/// The header that an entry names, if it is there and says the same, and its payload lies in the file.
pub(super) fn header_of(file: &Located<'_>, entry: &Entry) -> Option<Header> {
    let header = Header::read(file.body, usize::try_from(entry.at).ok()?)?;
    let same = header.kind == entry.kind
        && header.segment_id == entry.segment_id
        && header.payload_len == entry.payload_len
        && header.payload(file.body).is_some();
    same.then_some(header)
}

/// The segment that an entry names, proved by its hash, and by the manifest's list of hashes if there is one.
pub(super) fn prove<'a>(
    file: &Located<'a>,
    manifest: &Manifest,
    entry: &Entry,
) -> Result<(Header, &'a [u8]), LegacyError> {
    let absent = || LegacyError::Malformed {
        at: entry.at,
        kind: entry.kind,
        segment_id: entry.segment_id,
        fault: Fault::Directory,
    };
    let header = header_of(file, entry).ok_or_else(absent)?;
    let payload = header.payload(file.body).ok_or_else(absent)?;
    header.check_plain()?;
    super::hash::check(&header, payload)?;
    if let Some(list) = &manifest.hashes
        && list.binary_search(&(header.segment_id, header.content_hash)).is_err()
    {
        return Err(header.malformed(Fault::HashList));
    }
    Ok((header, payload))
}

/// What a walk over the file met.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) skipped: Vec<Skipped>,
    pub(super) warnings: Vec<Warning>,
    pub(super) uncommitted_bytes: u64,
}

/// Walks from segment to segment and reports what the directory does not name.
///
/// Where no segment starts, the walk goes on at the next place that the directory names; behind the manifest it ends.
pub(super) fn walk(file: &Located<'_>, manifest: &Manifest) -> Walk {
    let mut known: Vec<usize> = manifest.directory.iter().filter_map(|entry| usize::try_from(entry.at).ok()).collect();
    known.push(file.manifest.at);
    known.sort_unstable();
    let mut walk = Walk::default();
    let mut at = 0;
    while at < file.manifest.at {
        let next_known = known.get(known.partition_point(|&known| known <= at)).copied();
        let next_known = next_known.unwrap_or(file.manifest.at).min(file.manifest.at);
        at = match segment_at(file, at) {
            Some((header, next)) => {
                walk.meet(&header, known.binary_search(&at).is_ok(), Why::NotInDirectory);
                if next > file.manifest.at {
                    walk.warnings.push(Warning::ManifestInSegment { offset: at as u64 });
                }
                next.min(file.manifest.at)
            }
            None => {
                walk.warnings.push(Warning::Gap { offset: at as u64, bytes: (next_known - at) as u64 });
                next_known
            }
        };
    }
    walk.tail(file);
    walk
}

impl Walk {
    fn meet(&mut self, header: &Header, known: bool, why: Why) {
        if !known {
            let (kind, segment_id, offset) = (header.kind, header.segment_id, header.at as u64);
            self.skipped.push(Skipped { kind, segment_id, offset, why });
        }
    }

    /// What follows the manifest. Whole WITNESS segments are no surprise, everything else is.
    fn tail(&mut self, file: &Located<'_>) {
        let start = file.manifest.end().map_or(file.body.len(), |end| file.stride.after(end)).min(file.body.len());
        let (mut at, mut surprise) = (start, false);
        while let Some((header, next)) = segment_at(file, at) {
            self.meet(&header, false, Why::Uncommitted);
            surprise |= header.kind != SegmentKind::Witness;
            at = next;
        }
        self.uncommitted_bytes = (file.body.len() - start) as u64;
        if surprise || at < file.body.len() {
            self.warnings.push(Warning::UncommittedTail { offset: start as u64, bytes: self.uncommitted_bytes });
        }
    }
}

/// The whole segment that starts at `at`, and where the one after it would start.
fn segment_at(file: &Located<'_>, at: usize) -> Option<(Header, usize)> {
    let header = Header::read(file.body, at)?;
    header.payload(file.body)?;
    Some((header, file.stride.after(header.end()?).min(file.body.len())))
}

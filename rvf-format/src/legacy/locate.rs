//! Finds the manifest that counts: root page, dialect, then a scan backwards.
//!
//! ```text
//! | segment | segment | ... | MANIFEST | tail: not committed | root page (signed files only) |
//! <---------------------------- body ----------------------->
//! ```
//!
//! The last manifest whose payload lies within the body is the one. If it is damaged the file is refused: going on to
//! an older one, as the published readers may, would show an older state as if it were the present one.

use super::error::{Fault, LegacyError};
use super::header::{HEADER_LEN, Header, MAGIC, SegmentKind, Stride};
use super::root::{self, RootPage};

/// How a published file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// Segments start at multiples of 64 (rvf-runtime 0.3 and later).
    Aligned,
    /// Segments follow each other without padding (rvf-runtime 0.2).
    ByteGranular,
    /// Aligned, and the last 4,096 bytes are a signed root page.
    SignedRootPage,
}

/// Whether these bytes begin a file of the published crates, and in which dialect. Reads a few headers only.
///
/// `None` for noise, and for files of this project, whose first segment is of a kind that the published crates do not
/// have.
pub fn recognise(bytes: &[u8]) -> Option<Dialect> {
    let first = Header::read(bytes, 0)?;
    if matches!(first.kind, SegmentKind::Other(_)) {
        return None;
    }
    let body = root::body(bytes);
    Some(if body.len() < bytes.len() {
        Dialect::SignedRootPage
    } else {
        match stride(body) {
            Stride::Aligned => Dialect::Aligned,
            Stride::Byte => Dialect::ByteGranular,
        }
    })
}

/// What was found before any payload is read.
pub(super) struct Located<'a> {
    pub(super) dialect: Dialect,
    pub(super) stride: Stride,
    pub(super) body: &'a [u8],
    pub(super) manifest: Header,
    pub(super) payload: &'a [u8],
    pub(super) root: Option<RootPage>,
}

/// Finds the manifest, and proves it by its hash and, in a signed file, by the root page.
pub(super) fn locate(bytes: &[u8]) -> Result<Located<'_>, LegacyError> {
    let dialect = recognise(bytes).ok_or(LegacyError::NotPublished)?;
    let body = root::body(bytes);
    let root = match dialect {
        Dialect::SignedRootPage => Some(root::read(bytes)?),
        _ => None,
    };
    let none = LegacyError::NoManifest { searched: body.len() as u64 };
    let (stride, manifest, payload) = last_manifest(body).ok_or(none)?;
    manifest.check_plain()?;
    super::hash::check(&manifest, payload)?;
    if let Some(page) = &root {
        check_root(page, &manifest, payload, body.len() as u64)?;
    }
    let dialect = match (root.is_some(), stride) {
        (true, _) => Dialect::SignedRootPage,
        (false, Stride::Aligned) => Dialect::Aligned,
        (false, Stride::Byte) => Dialect::ByteGranular,
    };
    Ok(Located { dialect, stride, body, manifest, payload, root })
}

/// The page and the scan must mean the same manifest, and the page's hash must be that of its payload.
fn check_root(page: &RootPage, manifest: &Header, payload: &[u8], at: u64) -> Result<(), LegacyError> {
    let length = (HEADER_LEN as u64).saturating_add(manifest.payload_len);
    let facts = [
        ("the manifest's offset", page.manifest_at == manifest.at as u64),
        ("the manifest's length", page.manifest_len == length),
        ("the manifest's segment id", page.manifest_segment_id == manifest.segment_id),
        ("the manifest's hash", page.manifest_hash == super::hash::shake128(payload)),
    ];
    match facts.iter().find(|(_, agrees)| !agrees) {
        Some((what, _)) => Err(LegacyError::RootPage { at, fault: Fault::Disagree(what) }),
        None => Ok(()),
    }
}

/// Walks up to 8 headers until one tells padded from unpadded.
fn stride(body: &[u8]) -> Stride {
    let mut at = 0;
    let first_checksum = Header::read(body, 0).map_or(1, |header| header.checksum);
    for _ in 0..8 {
        let Some(end) = Header::read(body, at).and_then(|header| header.end()) else {
            break;
        };
        if end % HEADER_LEN == 0 {
            at = end;
            continue;
        }
        if Header::read(body, Stride::Aligned.after(end)).is_some() {
            return Stride::Aligned;
        }
        if Header::read(body, end).is_some() {
            return Stride::Byte;
        }
        break;
    }
    if first_checksum == 0 { Stride::Byte } else { Stride::Aligned }
}

/// The last manifest that fits. An aligned file in which not even a manifest header is found is searched again byte
/// by byte.
fn last_manifest(body: &[u8]) -> Option<(Stride, Header, &[u8])> {
    let scan = |step, stride| scan(body, step).map(|(header, payload)| (stride, header, payload));
    if stride(body) == Stride::Byte {
        return scan(1, Stride::Byte);
    }
    let aligned = scan(HEADER_LEN, Stride::Aligned);
    if aligned.is_some() || manifest_headers(body, HEADER_LEN).next().is_some() {
        return aligned;
    }
    scan(1, Stride::Byte)
}

fn scan(body: &[u8], step: usize) -> Option<(Header, &[u8])> {
    manifest_headers(body, step).find_map(|header| Some((header, header.payload(body)?)))
}

/// Manifest headers at multiples of `step`, the last first.
fn manifest_headers(body: &[u8], step: usize) -> impl Iterator<Item = Header> {
    let [a, b, c, d, e] = MAGIC;
    let first_bytes = [a, b, c, d, e, 0x05];
    let starts = body.len().checked_sub(HEADER_LEN).map_or(0, |last| last / step + 1);
    (0..starts)
        .rev()
        .map(move |index| index * step)
        .filter(move |&at| body.get(at..).is_some_and(|rest| rest.starts_with(&first_bytes)))
        .filter_map(|at| Header::read(body, at))
}

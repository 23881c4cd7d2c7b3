//! Reads one file, without its parents: report, own rows, and what it says of a parent.

use super::branch::{self, Link, Membership};
use super::error::{Fault, LegacyError};
use super::header::{Header, SegmentKind};
use super::locate::{Dialect, Located, locate};
use super::manifest::{self, Manifest, Metric};
use super::meta::{self, Meta};
use super::report::{FileReport, Segment, Skipped, Warning, Why};
use super::rows::{self, RowAt};
use super::survey::{self, Needed};

/// What one file holds.
#[derive(Debug)]
pub(super) struct OneFile {
    pub(super) report: FileReport,
    /// Ascending by id, deleted ones taken out.
    pub(super) rows: Vec<RowAt>,
    /// Ascending.
    pub(super) deleted: Vec<u64>,
    pub(super) branch: Option<(Link, Membership)>,
    pub(super) meta: Meta,
}

/// Reads a file.
pub(super) fn read(bytes: &[u8]) -> Result<OneFile, LegacyError> {
    let file = locate(bytes)?;
    let manifest = manifest::read(&file.manifest, file.payload)?;
    check_root(&file, &manifest)?;
    let mut skipped = Vec::new();
    let needed = survey::directory(&file, &manifest, &mut skipped)?;
    let branch = branch(&needed, &manifest)?;
    let mut segments_read = vec![segment(&file.manifest)];
    let mut rows = Vec::new();
    for (header, payload) in &needed.vectors {
        let found = rows::dimension(header, payload)?;
        if found == manifest.dimension {
            rows::collect(header, payload, found, &mut rows)?;
            segments_read.push(segment(header));
        } else {
            skipped.push(skip(header, Why::DimensionDiffers { found }));
        }
    }
    segments_read
        .extend([&needed.cow_map, &needed.membership].into_iter().flatten().map(|(header, _)| segment(header)));
    let mut meta = meta::read(&file, &manifest);
    segments_read.extend(meta.read.iter().map(segment));
    skipped.append(&mut meta.skipped);
    let mut report = report(&file, &manifest, bytes.len() as u64);
    report.parent_path = branch.as_ref().map(|(link, _)| link.path.clone());
    report.segments_read = segments_read;
    report.file_keys = meta.file_keys.iter().cloned().collect();
    report.warnings.extend(meta.warning);
    report.segments_skipped.splice(0..0, skipped);
    rows::later_wins(&mut rows);
    let total = rows.len() as u64;
    rows::remove(&mut rows, &manifest.deleted);
    check_counts(&mut report, &manifest, total, rows.len() as u64);
    Ok(OneFile { report, rows, deleted: manifest.deleted, branch, meta })
}

fn report(file: &Located<'_>, manifest: &Manifest, bytes: u64) -> FileReport {
    let walk = survey::walk(file, manifest);
    let mut warnings = walk.warnings;
    if file.root.is_some() {
        warnings.push(Warning::SignatureNotVerified);
    }
    if file.dialect == Dialect::ByteGranular && manifest.metric == Metric::L2 {
        warnings.push(Warning::MetricNotRecorded);
    }
    FileReport {
        dialect: file.dialect,
        bytes,
        epoch: manifest.epoch,
        dimension: manifest.dimension,
        metric: manifest.metric,
        profile: manifest.profile,
        identity: manifest.identity,
        parent_path: None,
        root_page: file.root,
        manifest_at: file.manifest.at as u64,
        uncommitted_bytes: walk.uncommitted_bytes,
        segments_read: Vec::new(),
        segments_skipped: walk.skipped,
        metadata: meta::segments(file, manifest),
        file_keys: Vec::new(),
        warnings,
    }
}

/// The root page repeats facts of the manifest.
fn check_root(file: &Located<'_>, manifest: &Manifest) -> Result<(), LegacyError> {
    let Some(page) = &file.root else {
        return Ok(());
    };
    let facts = [
        ("the dimension", page.dimension == manifest.dimension),
        ("the epoch", page.epoch == manifest.epoch),
        ("the file identity", manifest.identity.is_none_or(|identity| identity == page.identity)),
    ];
    match facts.iter().find(|(_, agrees)| !agrees) {
        Some((what, _)) => Err(LegacyError::RootPage { at: page.at, fault: Fault::Disagree(what) }),
        None => Ok(()),
    }
}

/// Counts are compared and never used.
fn check_counts(report: &mut FileReport, manifest: &Manifest, total: u64, live: u64) {
    if manifest.total_vectors != total {
        report.warnings.push(Warning::TotalDiffers { recorded: manifest.total_vectors, found: total });
    }
    if let Some(page) = report.root_page
        && page.live_vectors != live
    {
        report.warnings.push(Warning::LiveDiffers { recorded: page.live_vectors, found: live });
    }
}

fn branch(needed: &Needed<'_>, manifest: &Manifest) -> Result<Option<(Link, Membership)>, LegacyError> {
    let Some((map_header, map)) = &needed.cow_map else {
        return Ok(None);
    };
    let link = branch::link(map_header, map)?;
    if manifest.identity.is_some_and(|identity| identity.parent_id != link.parent_id) {
        return Err(map_header.malformed(Fault::Disagree("the parent's file id")));
    }
    let Some((header, payload)) = &needed.membership else {
        return Err(map_header.malformed(Fault::NoMembership));
    };
    Ok(Some((link, branch::membership(header, payload)?)))
}

fn segment(header: &Header) -> Segment {
    Segment {
        kind: header.kind,
        segment_id: header.segment_id,
        offset: header.at as u64,
        payload_len: header.payload_len,
    }
}

fn skip(header: &Header, why: Why) -> Skipped {
    debug_assert_eq!(header.kind, SegmentKind::Vec);
    Skipped { kind: header.kind, segment_id: header.segment_id, offset: header.at as u64, why }
}

//! Verifying a file by its path: every byte, then its meaning; of a branch also what it uses of its parents. The checks of one file live
//! in [`rvf_format::verify`].
//!
//! ```text
//! the file: every byte, every clause -> each parent: the segments of the commit that is used, by their hashes
//!           -> all together: ids, counts
//! ```

use crate::store::{CommitId, Opening, Snapshot};
use crate::{Error, Result};
use rvf_format::payload::vec::IdRef;
use rvf_format::recover;
use rvf_format::storage::{Access, FilePlace, Place};
use rvf_format::verify::{Finding, Options, Progress, Report, verify_within};
use rvf_format::{Clause, Kind, digest};
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// What verifying a file found: a [`Report`] about the file, and what it uses of its parents.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// About the file. It is sound only if its parents are there and sound as far as they are used.
    pub file: Report,
    /// About the parents of a branch, the nearest first.
    pub parents: Vec<ParentReport>,
    /// Why the parents could not be judged.
    pub parent_error: Option<Error>,
    /// File offset of the page that names the parent, bytes; 0 in a file without one.
    pub parent_named_at: u64,
}

/// What verifying the commit of a parent found.
#[derive(Debug)]
pub struct ParentReport {
    /// Where it was found.
    pub path: PathBuf,
    /// The commit that is used.
    pub commit: CommitId,
    /// Segments that are not as they were committed, by file offset.
    pub findings: Vec<Finding>,
}

impl Deref for VerifyReport {
    type Target = Report;

    fn deref(&self) -> &Report {
        &self.file
    }
}

/// How much is verified, and where parents are looked for.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Also what takes a walk over every graph and a look at every code: IDX-4, IDX-5, QNT-2.
    pub deep: bool,
    /// Folders to look for parents of branches in, as for [`crate::ReadOptions::parent_folders`].
    pub parent_folders: Vec<PathBuf>,
}

/// Reads every byte of the file and checks it against the specification; of the parents of a branch, what it uses.
///
/// ```
/// use rvf_engine::{Db, Metric, Schema, verify_path};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("a.rvf");
/// Db::create(&path, &Schema::new(2, Metric::L2))?.add(&[1.0f32, 2.0])?;
/// let report = verify_path(&path, &mut |_, _| {})?;
/// assert!(report.sound && report.findings.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Io`]; [`Error::Truncated`]; [`Error::NotRvf`], [`Error::PublishedRvf`] and [`Error::Newer`] for a file that is not one of ours to judge.
/// What is wrong with a file of ours is in the report; so is that a parent is missing.
pub fn verify_path(path: impl AsRef<Path>, progress: Progress<'_>) -> Result<VerifyReport> {
    verify_path_with(path, &VerifyOptions::default(), progress)
}

/// [`verify_path`], with options.
///
/// # Errors
/// Those of [`verify_path`].
pub fn verify_path_with(
    path: impl AsRef<Path>,
    options: &VerifyOptions,
    progress: Progress<'_>,
) -> Result<VerifyReport> {
    let path = path.as_ref();
    let storage = FilePlace.open(path, Access::Read).map_err(|error| Error::io("opening", path, error))?;
    let (extent, file) = Snapshot::committed(storage.as_ref(), path, |end| storage.view(end))?;
    // What a writer leaves uncommitted the next one may cut; what is committed stays.
    let end = recover::newest(&file).map_or(file.len(), |commit| commit.root.end() as usize);
    let report = verify_within(&file, &extent, &Options { deep: options.deep }, progress);
    file.check(end)?;
    let mut report = VerifyReport { file: report?, ..VerifyReport::default() };
    if let Ok(snapshot) = Snapshot::within(file, extent)
        && snapshot.root().has_parent()
    {
        report.parent_named_at = snapshot.root().own_offset.get();
        let opening = Opening { place: &FilePlace, folders: &options.parent_folders, verified: false };
        match opening.with_parents(path, snapshot, None) {
            Ok(snapshot) => check_lineage(&snapshot, &mut report)?,
            Err(error) => report.parent_error = Some(error),
        }
        let parents_are_sound = report.parents.iter().all(|parent| parent.findings.is_empty());
        report.file.sound &= report.parent_error.is_none() && parents_are_sound;
        report.file.sound &= report.file.findings.iter().all(Finding::leaves_sound);
    }
    Ok(report)
}

fn check_lineage(snapshot: &Snapshot, report: &mut VerifyReport) -> Result<()> {
    for layer in snapshot.chain().skip(1) {
        let path = layer.found_at().cloned().unwrap_or_default();
        report.parents.push(ParentReport { path, commit: layer.commit_id(), findings: damaged(layer) });
    }
    snapshot.check()?;
    // What is damaged does not tell how many records there are.
    let sound = report.file.findings.iter().all(Finding::leaves_sound);
    if sound && report.parents.iter().all(|parent| parent.findings.is_empty()) {
        let findings = check_records(snapshot).or_else(|error| match error {
            Error::Corrupt { clause, at, what } => {
                Ok(vec![Finding { clause, offset: at, segment: None, message: what.to_owned() }])
            }
            error => Err(error),
        });
        report.file.findings.extend(findings?);
        snapshot.check()?;
    }
    Ok(())
}

/// Segments that a commit lists and whose bytes are not those that were committed.
fn damaged(layer: &Snapshot) -> Vec<Finding> {
    let used = layer.state().live.iter().filter(|entry| entry.kind() != Kind::FILLER);
    let damaged =
        used.filter(|entry| layer.segment(entry).map(|bytes| digest::blake3(&bytes)).ok() != Some(entry.hash));
    let finding = |entry: &rvf_format::manifest::ManifestEntry| Finding {
        clause: Clause::Man5,
        offset: entry.offset.get(),
        segment: Some(entry.segment_id.get()),
        message: "a segment's bytes are not those that were committed".to_owned(),
    };
    damaged.map(finding).collect()
}

/// What all files of a lineage say together: VEC-5, ROOT-7.
fn check_records(snapshot: &Snapshot) -> Result<Vec<Finding>> {
    let root = snapshot.root();
    let finding =
        |clause, field: u64, message| Finding { clause, offset: root.own_offset.get() + field, segment: None, message };
    let mut findings = Vec::new();
    let mut ids: Vec<IdRef<'_>> = Vec::new();
    for at in snapshot.live_rows()? {
        ids.push(snapshot.id_of(at)?);
    }
    if ids.len() as u64 != root.live_count.get() {
        let message = format!("{} records are live in the lineage, the root says {}", ids.len(), root.live_count.get());
        findings.push(finding(Clause::Root7, 0x18, message));
    }
    ids.sort_unstable();
    for pair in ids.windows(2).filter(|pair| pair[0] == pair[1]).take(100) {
        findings.push(finding(
            Clause::Vec5,
            0,
            format!("more than one live row of the lineage has the id {:?}", pair[0]),
        ));
    }
    if let Some(IdRef::U64(largest)) = ids.last()
        && *largest >= root.next_id.get()
    {
        findings.push(finding(Clause::Root7, 0x178, format!("id {largest} is not below the next id")));
    }
    Ok(findings)
}

//! Verifying a file by its path: every byte, then its meaning. The checks themselves live in [`rvf_format::verify`].

use crate::store::Snapshot;
use crate::{Error, Result};
use rvf_format::recover;
use rvf_format::storage::{Access, FilePlace, Place};
use rvf_format::verify::{Options, Progress, Report, verify_within};
use std::path::Path;

/// What verifying a file found.
pub type VerifyReport = Report;

/// How much is verified.
pub type VerifyOptions = Options;

/// Reads every byte of the file and checks it against the specification.
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
/// What is wrong with a file of ours is in the report.
pub fn verify_path(path: impl AsRef<Path>, progress: Progress<'_>) -> Result<Report> {
    verify_path_with(path, &VerifyOptions::default(), progress)
}

/// [`verify_path`], with options.
///
/// # Errors
/// Those of [`verify_path`].
pub fn verify_path_with(path: impl AsRef<Path>, options: &VerifyOptions, progress: Progress<'_>) -> Result<Report> {
    let path = path.as_ref();
    let storage = FilePlace.open(path, Access::Read).map_err(|error| Error::io("opening", path, error))?;
    let (extent, file) = Snapshot::committed(storage.as_ref(), path, |end| storage.view(end))?;
    // What a writer leaves uncommitted the next one may cut; what is committed stays.
    let end = recover::newest(&file).map_or(file.len(), |commit| commit.root.end() as usize);
    let report = verify_within(&file, &extent, options, progress);
    file.check(end)?;
    Ok(report?)
}

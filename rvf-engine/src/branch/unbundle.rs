//! Taking a branch and its parents out of an archive: into a folder of their own first, judged there, then moved.
//!
//! ```text
//! DIR/.unbundle-PID-tmp/NAME.. written, synced -> each verified -> the first opened with the others as its parents -> DIR/NAME..
//! ```
//! The archive is not trusted: plain files in one folder only, none larger than the rest of the archive, none in the place of another.

use super::bundle::{Bundled, BundledFile, fits, refuse_findings, refuse_unsound};
use crate::store::{CommitId, Opening};
use crate::{ArchiveError, ArchiveFault, Error, ParentError, ParentFault, Result};
use rvf_format::lineage::MAX_DEPTH;
use rvf_format::storage::{FilePlace, Place};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Takes the files of an archive that [`super::bundle()`] wrote into a folder, which is made where it is missing. Each is verified, and
/// the branch opened, before any gets its name. Nothing is replaced; a failure leaves nothing.
///
/// # Errors
/// [`Error::Archive`]; [`Error::Exists`]; [`Error::Io`].
pub fn unbundle(archive: &Path, folder: &Path) -> Result<Bundled> {
    let made = !folder.exists();
    if made {
        fs::create_dir(folder).map_err(|error| Error::io("creating", folder, error))?;
    }
    let done = Staging::create(folder).and_then(|staging| take_out(archive, &staging, folder));
    if made && done.is_err() {
        // Only if it is empty, as it was.
        let _ = fs::remove_dir(folder);
    }
    done
}

fn take_out(archive: &Path, staging: &Staging, folder: &Path) -> Result<Bundled> {
    let done = extract(archive, staging)?;
    let taken = done.files.iter().map(|file| folder.join(&file.name)).find(|path| path.symlink_metadata().is_ok());
    if let Some(path) = taken {
        return Err(Error::Exists { path });
    }
    let done = judge(done, staging)?;
    publish(&done, staging, folder)?;
    Ok(done)
}

/// A folder in which files wait to be judged; removed on drop, with what is in it.
struct Staging(PathBuf);

impl Staging {
    fn create(folder: &Path) -> Result<Self> {
        let path = folder.join(format!(".unbundle-{}-tmp", std::process::id()));
        fs::create_dir(&path).map_err(|error| Error::io("creating", &path, error))?;
        Ok(Self(path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Nobody is left to tell; the name says what the folder is.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn wrong(entry: Option<&str>, fault: ArchiveFault) -> Error {
    let entry = entry.map(|name| name.chars().take(64).collect());
    Error::Archive(Box::new(ArchiveError { entry, fault }))
}

/// Writes the files of the archive; their ids are not known yet.
fn extract(archive: &Path, staging: &Staging) -> Result<Bundled> {
    let reading = |error| Error::io("reading", archive, error);
    let file = File::open(archive).map_err(|error| Error::io("opening", archive, error))?;
    let found = file.metadata().map_err(reading)?;
    if !found.is_file() {
        return Err(Error::io("opening", archive, io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let mut done = Bundled { files: Vec::new(), bytes: found.len() };
    let mut names = BTreeSet::new();
    let mut archive = tar::Archive::new(io::BufReader::new(file));
    // Raw: the reader follows no names and sizes but those of the entries themselves.
    for entry in archive.entries().map_err(reading)?.raw(true) {
        let mut entry = entry.map_err(|error| malformed(error, reading))?;
        let bytes = entry.path_bytes().into_owned();
        let name = String::from_utf8_lossy(&bytes).into_owned();
        let at = Some(name.as_str());
        if !entry.header().entry_type().is_file() {
            return Err(wrong(at, ArchiveFault::NotAFile));
        }
        if !fits(&name) || name.as_bytes() != bytes {
            return Err(wrong(at, ArchiveFault::Name));
        }
        if !names.insert(name.to_lowercase()) {
            return Err(wrong(at, ArchiveFault::Twice));
        }
        if names.len() > MAX_DEPTH as usize + 1 {
            return Err(wrong(None, ArchiveFault::TooMany));
        }
        let length = entry.size();
        if entry.raw_file_position().checked_add(length).is_none_or(|end| end > found.len()) {
            return Err(wrong(at, ArchiveFault::Cut));
        }
        write(&mut entry.by_ref().take(length), length, &staging.0.join(&name), at)?;
        done.files.push(BundledFile { name, file_id: [0; 16], bytes: length });
    }
    if done.files.is_empty() { Err(wrong(None, ArchiveFault::Empty)) } else { Ok(done) }
}

/// What the reader of archives says: of the archive, or of the medium.
fn malformed(error: io::Error, reading: impl Fn(io::Error) -> Error) -> Error {
    match error.raw_os_error() {
        Some(_) => reading(error),
        None => wrong(None, ArchiveFault::Malformed),
    }
}

fn write(from: &mut impl Read, length: u64, path: &Path, entry: Option<&str>) -> Result<()> {
    let writing = |error| Error::io("writing", path, error);
    let mut to = File::create_new(path).map_err(writing)?;
    let written = io::copy(from, &mut to).map_err(writing)?;
    if written != length {
        return Err(wrong(entry, ArchiveFault::Cut));
    }
    to.sync_all().map_err(writing)
}

/// Verifies each file, and opens the first with its parents, which must be the others as they are: no more, no less.
fn judge(mut done: Bundled, staging: &Staging) -> Result<Bundled> {
    let opening = Opening { place: &FilePlace, folders: &[], verified: false };
    let mut commits: Vec<CommitId> = Vec::new();
    for file in &mut done.files {
        let path = staging.0.join(&file.name);
        let unsound = |error| wrong(Some(&file.name), ArchiveFault::Unsound(Box::new(error)));
        let (_, snapshot) = opening.alone(&path).map_err(unsound)?;
        if file.bytes != snapshot.root().end() {
            return Err(wrong(Some(&file.name), ArchiveFault::Longer));
        }
        refuse_unsound(snapshot.file()).map_err(unsound)?;
        file.file_id = snapshot.root().file_id;
        commits.push(snapshot.commit_id());
    }
    let Some(first) = done.files.first() else { return Err(wrong(None, ArchiveFault::Empty)) };
    let lineage = |error| wrong(Some(&first.name), ArchiveFault::Lineage(Box::new(error)));
    let path = staging.0.join(&first.name);
    let (_, alone) = opening.alone(&path).map_err(lineage)?;
    let branch = opening.with_parents(&path, alone, None).map_err(lineage)?;
    let together = crate::verify_path(&path, &mut |_, _| {}).map_err(lineage)?;
    refuse_findings(&together.findings).map_err(lineage)?;
    for (file, commit) in done.files.iter().zip(&commits) {
        if !branch.chain().any(|layer| layer.commit_id() == *commit) {
            return Err(wrong(Some(&file.name), ArchiveFault::NotNeeded));
        }
    }
    // A parent from elsewhere is not one that the archive has.
    for layer in branch.chain() {
        let elsewhere = layer.parent().is_some_and(|parent| !commits.contains(&parent.commit_id()));
        if let Some(needed) = layer.parent_ref()?.filter(|_| elsewhere) {
            let missing = ParentError { branch: path, needed, why: ParentFault::Missing };
            return Err(lineage(Error::Parent(Box::new(missing))));
        }
    }
    Ok(done)
}

/// Gives the files their names, the branch last. A name is taken by an empty file first, which the file then replaces: so none of
/// another's is replaced.
fn publish(done: &Bundled, staging: &Staging, folder: &Path) -> Result<()> {
    let mut taken = Vec::new();
    let all: Result<()> = done.files.iter().rev().try_for_each(|file| {
        let (from, to) = (staging.0.join(&file.name), folder.join(&file.name));
        File::create_new(&to).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists { path: to.clone() },
            _ => Error::io("creating", &to, error),
        })?;
        taken.push(to.clone());
        fs::rename(&from, &to).map_err(|error| Error::io("renaming", &to, error))
    });
    let all = all
        .and_then(|()| FilePlace.sync_dir(&staging.0).map_err(|error| Error::io("syncing the folder", folder, error)));
    if all.is_err() {
        taken.iter().for_each(|path| drop(fs::remove_file(path)));
    }
    all
}

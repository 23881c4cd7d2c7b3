//! Taking a branch and its parents out of an archive: into a folder of their own first, judged there, then moved.
//!
//! ```text
//! DIR/.rvf-unbundle-N-tmp/NAME.. written, synced -> each verified -> the first opened with the others as its parents -> DIR/NAME..
//! ```
//! Who is at folder N holds the lock of `.rvf-unbundle-N-lock-tmp`: what nobody holds was left by a crash, and the next one removes it.
//! The archive is not trusted: plain files in one folder only, none larger than the rest of the archive, none in the place of another.

use super::bundle::{BLOCK, Bundled, BundledFile, fits, refuse_findings, refuse_unsound};
use crate::store::{CommitId, Opening, create_temporary};
use crate::{ArchiveError, ArchiveFault, Error, ParentError, ParentFault, Result};
use rvf_format::lineage::MAX_DEPTH;
use rvf_format::storage::{FilePlace, Place, Storage};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Takes the files of an archive that [`super::bundle()`] wrote into a folder, which is made where it is missing. Each is verified, and
/// the branch opened, before any gets its name. Nothing is replaced; a failure leaves nothing.
///
/// # Errors
/// [`Error::Archive`]; [`Error::Exists`]; [`Error::Io`].
pub fn unbundle(archive: &Path, folder: &Path) -> Result<Bundled> {
    let made = !folder.exists();
    if made {
        fs::create_dir(folder).map_err(|error| Error::io("creating", folder, error))?;
    } else if !folder.is_dir() {
        return Err(Error::io("opening", folder, io::Error::new(io::ErrorKind::NotADirectory, "not a folder")));
    }
    let done = Staging::create(folder).and_then(|staging| take_out(archive, &staging, folder));
    if made && done.is_err() {
        // Only if it is empty, as it was.
        let _ = fs::remove_dir(folder);
    }
    done
}

fn take_out(archive: &Path, staging: &Staging, folder: &Path) -> Result<Bundled> {
    let done = extract(archive, staging, folder)?;
    let taken = done.files.iter().map(|file| folder.join(&file.name)).find(|path| path.symlink_metadata().is_ok());
    if let Some(path) = taken {
        return Err(Error::Exists { path });
    }
    let done = judge(done, staging)?;
    publish(&done, staging, folder)?;
    Ok(done)
}

/// Most archives that are taken out into one folder at a time.
const MOST_AT_ONCE: usize = 100;

/// A folder in which files wait to be judged; removed on drop, with what is in it.
struct Staging {
    files: PathBuf,
    lock: PathBuf,
    /// Its lock says that the folder is in use.
    _held: Arc<dyn Storage>,
}

impl Staging {
    fn create(folder: &Path) -> Result<Self> {
        // What the staging is called is nobody's business.
        let writing = |error| Error::io("writing", folder, error);
        for number in 0..MOST_AT_ONCE {
            let (files, lock) = (format!(".rvf-unbundle-{number}-tmp"), format!(".rvf-unbundle-{number}-lock-tmp"));
            let (files, lock) = (folder.join(files), folder.join(lock));
            let held = match create_temporary(&FilePlace, &lock, folder) {
                Err(Error::Locked { .. }) => continue,
                held => held?,
            };
            let staging = Self { files, lock, _held: held };
            if staging.files.symlink_metadata().is_ok() {
                // Left by a crash: the lock was free.
                fs::remove_dir_all(&staging.files).map_err(writing)?;
            }
            fs::create_dir(&staging.files).map_err(writing)?;
            return Ok(staging);
        }
        Err(Error::Locked { path: folder.to_owned() })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Nobody is left to tell; the names say what it is.
        let _ = fs::remove_dir_all(&self.files);
        let _ = fs::remove_file(&self.lock);
    }
}

fn wrong(entry: Option<&str>, fault: ArchiveFault) -> Error {
    let entry = entry.map(|name| name.chars().take(64).collect());
    Error::Archive(Box::new(ArchiveError { entry, fault }))
}

/// Writes the files of the archive; their ids are not known yet.
fn extract(archive: &Path, staging: &Staging, folder: &Path) -> Result<Bundled> {
    let reading = |error| Error::io("reading", archive, error);
    let opening = |error| Error::io("opening", archive, error);
    // Before it is opened: a pipe would wait for somebody who writes.
    if !fs::metadata(archive).map_err(opening)?.is_file() {
        return Err(opening(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let file = File::open(archive).map_err(opening)?;
    let length = file.metadata().map_err(reading)?.len();
    let mut done = Bundled { files: Vec::new(), bytes: length };
    let mut names = BTreeSet::new();
    let mut end = 0;
    let mut archive = tar::Archive::new(io::BufReader::new(file));
    // Raw: the reader follows no names and sizes but those of the entries themselves.
    for entry in archive.entries().map_err(reading)?.raw(true) {
        let mut entry = entry.map_err(|error| malformed(error, reading))?;
        let raw = entry.path_bytes().into_owned();
        let name = String::from_utf8_lossy(&raw).into_owned();
        let at = Some(name.as_str());
        if !entry.header().entry_type().is_file() {
            return Err(wrong(at, ArchiveFault::NotAFile));
        }
        if !fits(&name) || name.as_bytes() != raw {
            return Err(wrong(at, ArchiveFault::Name));
        }
        if !names.insert(name.to_lowercase()) {
            return Err(wrong(at, ArchiveFault::Twice));
        }
        if names.len() > MAX_DEPTH as usize + 1 {
            return Err(wrong(None, ArchiveFault::TooMany));
        }
        let bytes = entry.size();
        end = match entry.raw_file_position().checked_add(bytes) {
            Some(end) if end <= length => end,
            _ => return Err(wrong(at, ArchiveFault::Cut)),
        };
        let written = write(&mut entry.by_ref().take(bytes), &staging.files.join(&name));
        if written.map_err(|error| Error::io("writing", &folder.join(&name), error))? != bytes {
            return Err(wrong(at, ArchiveFault::Cut));
        }
        done.files.push(BundledFile { name, file_id: [0; 16], bytes });
    }
    if done.files.is_empty() {
        return Err(wrong(None, ArchiveFault::Empty));
    }
    match is_ended(archive.into_inner(), end).map_err(reading)? {
        true => Ok(done),
        false => Err(wrong(None, ArchiveFault::NoEnd)),
    }
}

/// Whether two empty blocks follow the files, the last of which ends at `end`: an archive without them was cut off.
fn is_ended(mut archive: impl Read + Seek, end: u64) -> io::Result<bool> {
    let mut blocks = [1; 2 * BLOCK];
    archive.seek(SeekFrom::Start(end.next_multiple_of(BLOCK as u64)))?;
    match archive.read_exact(&mut blocks) {
        Ok(()) => Ok(blocks == [0; 2 * BLOCK]),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the reader of archives says: of the archive, or of the medium.
fn malformed(error: io::Error, reading: impl Fn(io::Error) -> Error) -> Error {
    match error.raw_os_error() {
        Some(_) => reading(error),
        None => wrong(None, ArchiveFault::Malformed),
    }
}

/// Writes a new file to the medium; how many bytes there were.
fn write(from: &mut impl Read, path: &Path) -> io::Result<u64> {
    let mut to = File::create_new(path)?;
    let written = io::copy(from, &mut to)?;
    to.sync_all()?;
    Ok(written)
}

/// Verifies each file, and opens the first with its parents, which must be the others as they are: no more, no less.
fn judge(mut done: Bundled, staging: &Staging) -> Result<Bundled> {
    let opening = Opening { place: &FilePlace, folders: &[], verified: false };
    let mut commits: Vec<CommitId> = Vec::new();
    for file in &mut done.files {
        let path = staging.files.join(&file.name);
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
    let lineage = |mut error| {
        name_as_in_archive(&mut error, &staging.files);
        wrong(Some(&first.name), ArchiveFault::Lineage(Box::new(error)))
    };
    let path = staging.files.join(&first.name);
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

/// Leaves out the folder that the files wait in where an error names one of them.
fn name_as_in_archive(error: &mut Error, staging: &Path) {
    let Error::Parent(parent) = error else { return };
    let path = match &mut parent.why {
        ParentFault::OtherFile { path } | ParentFault::NoEpoch { path } | ParentFault::Other { path, .. } => path,
        ParentFault::Unreadable { path, error } => {
            Arc::get_mut(error).into_iter().for_each(|error| name_as_in_archive(error, staging));
            path
        }
        ParentFault::Missing | ParentFault::NotLookedFor => return,
    };
    if let Ok(name) = path.strip_prefix(staging) {
        *path = name.to_owned();
    }
}

/// Gives the files their names, the branch last. A name is taken by an empty file first, which the file then replaces: so none of
/// another's is replaced.
fn publish(done: &Bundled, staging: &Staging, folder: &Path) -> Result<()> {
    let mut taken = Vec::new();
    let all: Result<()> = done.files.iter().rev().try_for_each(|file| {
        let (from, to) = (staging.files.join(&file.name), folder.join(&file.name));
        File::create_new(&to).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists { path: to.clone() },
            _ => Error::io("creating", &to, error),
        })?;
        taken.push(to.clone());
        fs::rename(&from, &to).map_err(|error| Error::io("renaming", &to, error))
    });
    let all = all.and_then(|()| {
        FilePlace.sync_dir(&staging.files).map_err(|error| Error::io("syncing the folder", folder, error))
    });
    if all.is_err() {
        taken.iter().for_each(|path| drop(fs::remove_file(path)));
    }
    all
}

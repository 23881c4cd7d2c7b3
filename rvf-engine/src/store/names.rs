//! Files under their names: opened with the lock held, made under a temporary name, cleared of what interrupted writers left.
//!
//! ```text
//! new file:  NAME.new-tmp, locked -> written -> synced -> renamed to NAME -> folder synced
//! compacted: NAME.compact-tmp, locked -> written -> synced -> renamed over NAME -> folder synced
//! ```
//! Whoever makes, renames or removes a temporary file holds its lock, so no two processes can be at one.

use crate::{Error, Result};
use rvf_format::storage::{Access, Place, Storage};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Ends the name of the file that creation writes before it gets its own.
pub(crate) const CREATE_SUFFIX: &str = ".new-tmp";

/// Ends the name of the file that compaction writes before it takes the place of the old one.
pub(crate) const COMPACT_SUFFIX: &str = ".compact-tmp";

/// How often a writer that waits looks whether the lock is free.
const LOCK_POLL: Duration = Duration::from_millis(5);

/// `path` with `suffix` after its last character.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens and locks the file that the path names, also when a compaction renames another one over it meanwhile.
pub(super) fn open_locked(place: &dyn Place, path: &Path, wait: Duration) -> Result<Arc<dyn Storage>> {
    let start = Instant::now();
    loop {
        let storage = place.open(path, Access::Write).map_err(|error| Error::io("opening", path, error))?;
        if lock(storage.as_ref(), path)? {
            if is_named(place, storage.as_ref(), path)? {
                return Ok(storage);
            }
            continue;
        }
        let left = wait.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(Error::Locked { path: path.to_owned() });
        }
        std::thread::sleep(left.min(LOCK_POLL));
    }
}

/// A new, locked file; one that an interrupted writer left is removed first. `target` is what it is made for: the path that is told
/// where no file can be made, or somebody is at it.
pub(crate) fn create_temporary(place: &dyn Place, path: &Path, target: &Path) -> Result<Arc<dyn Storage>> {
    let held = || Error::Locked { path: target.to_owned() };
    for _ in 0..2 {
        match place.open(path, Access::CreateNew) {
            Ok(storage) => {
                let locked = lock(storage.as_ref(), path).inspect_err(|_| drop(place.remove(path)))?;
                // Between the two calls another process may have taken the file for one that was left, and removed it.
                let named = is_named(place, storage.as_ref(), path).inspect_err(|_| drop(place.remove(path)))?;
                return match locked && named {
                    true => Ok(storage),
                    false => Err(held()),
                };
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !remove_stale(place, path)? {
                    return Err(held());
                }
            }
            Err(error) => return Err(Error::io("creating", target, error)),
        }
    }
    Err(held())
}

/// Removes a temporary file that nobody holds; `false` if somebody does.
pub(super) fn remove_stale(place: &dyn Place, path: &Path) -> Result<bool> {
    let storage = match place.open(path, Access::Write) {
        Ok(storage) => storage,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(Error::io("opening", path, error)),
    };
    if !lock(storage.as_ref(), path)? {
        return Ok(false);
    }
    if is_named(place, storage.as_ref(), path)? {
        place.remove(path).map_err(|error| Error::io("removing", path, error))?;
    }
    Ok(true)
}

/// Why a complete file did not get its name.
pub(crate) struct Unnamed {
    pub(crate) error: Error,
    /// The name leads to the new file, or it is not known where it leads; whether it will after a crash is open.
    pub(crate) moved: bool,
}

/// Gives a temporary file, complete and synced, its name; removes it where that fails.
pub(super) fn rename(
    place: &dyn Place,
    storage: &dyn Storage,
    temporary: &Path,
    path: &Path,
) -> std::result::Result<(), Unnamed> {
    if let Err(error) = place.rename(temporary, path) {
        let moved = !matches!(is_named(place, storage, path), Ok(false));
        if !moved {
            drop(place.remove(temporary));
        }
        return Err(Unnamed { error: Error::io("renaming", path, error), moved });
    }
    sync_folder(place, path).map_err(|error| Unnamed { error, moved: true })
}

/// Brings the name of a file that is opened for writing to the medium: the writer that made it may have been killed before it
/// could. Without this, the file of before could be back after a crash, and later commits lost with this one.
pub(super) fn sync_name(place: &dyn Place, path: &Path) -> Result<()> {
    match sync_folder(place, path) {
        // A folder that may not be listed cannot be synced either; nobody without that right compacts or creates in it.
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

fn sync_folder(place: &dyn Place, path: &Path) -> Result<()> {
    place.sync_dir(path).map_err(|error| Error::io("syncing the folder", path, error))
}

fn lock(storage: &dyn Storage, path: &Path) -> Result<bool> {
    storage.try_lock().map_err(|error| Error::io("locking", path, error))
}

/// That a file which is open for writing is still the one under its path.
pub(super) fn check_name(place: &dyn Place, storage: &dyn Storage, path: &Path) -> Result<()> {
    match is_named(place, storage, path)? {
        true => Ok(()),
        false => Err(Error::Moved { path: path.to_owned() }),
    }
}

/// Whether `path` leads to this very file.
fn is_named(place: &dyn Place, storage: &dyn Storage, path: &Path) -> Result<bool> {
    let own = storage.identity().map_err(|error| Error::io("reading", path, error))?;
    match place.identity(path) {
        Ok(named) => Ok(named == own),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("reading", path, error)),
    }
}

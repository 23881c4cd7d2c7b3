//! Where bytes live. The seams where crash, fault and fuzz tests plug in.
//!
//! | file | owns |
//! | --- | --- |
//! | `bytes.rs` | [`Bytes`]: a shared, immutable range of mapped or owned memory |
//! | `cold.rs` | [`ColdPlace`]: a file of which nothing is in memory at first, and how much of it was read |
//! | `file.rs` | [`FilePlace`]: files of the operating system |
//! | `guard.rs` | [`contain_faults`]: mapped files that other programs cut |
//! | `memory.rs` | [`MemoryPlace`]: files in memory |

mod bytes;
mod cold;
mod file;
mod guard;
mod memory;

pub use bytes::Bytes;
pub use cold::ColdPlace;
pub use file::FilePlace;
pub use guard::contain_faults;
pub use memory::MemoryPlace;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One file. Bytes before the newest root never change, which is what makes [`Storage::view`] sound.
pub trait Storage: Send + Sync {
    /// Length, bytes.
    ///
    /// # Errors
    /// As the medium reports.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// As the medium reports.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buffer` from offset `at`.
    ///
    /// # Errors
    /// As the medium reports; `UnexpectedEof` past the end.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;

    /// Writes all of `bytes` at offset `at`.
    ///
    /// # Errors
    /// As the medium reports.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Sets the length. Only ever used to cut an uncommitted tail.
    ///
    /// # Errors
    /// As the medium reports.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Returns when all writes so far are on the medium.
    ///
    /// # Errors
    /// As the medium reports; after an error nothing is known about earlier writes.
    fn sync(&self) -> io::Result<()>;

    /// The first `length` bytes as shared memory: mapped where the medium can.
    ///
    /// # Errors
    /// As the medium reports.
    fn view(&self, length: u64) -> io::Result<Bytes>;

    /// The first `length` bytes in memory of our own: what happens to the file later does not change them.
    ///
    /// # Errors
    /// As the medium reports; `UnexpectedEof` past the end; `OutOfMemory`.
    fn read(&self, length: u64) -> io::Result<Bytes> {
        if length > self.len()? {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        Bytes::filled(length, |buffer| self.read_at(buffer, 0))
    }

    /// The first offset from `from` on that is in no hole of the file, found without reading; the largest number if all that follows
    /// is one. `from` itself where the medium does not tell.
    fn data_from(&self, from: u64) -> u64 {
        from
    }

    /// Takes the exclusive lock of writers; `false` if another holds it. Released when the storage is dropped.
    ///
    /// # Errors
    /// As the medium reports.
    fn try_lock(&self) -> io::Result<bool>;

    /// Something that is equal for two storages of one file and only then.
    ///
    /// # Errors
    /// As the medium reports.
    fn identity(&self) -> io::Result<(u64, u64)>;
}

/// An offset from which on there are only holes up to `top`, found by steps back that grow while nothing is met: a file may have
/// holes of any size. `top` itself where there is none.
pub fn before_hole(storage: &dyn Storage, top: u64) -> u64 {
    const STEP: u64 = 1 << 20;
    let (mut end, mut step) = (top, STEP);
    while end > 0 {
        let from = end.saturating_sub(step);
        if storage.data_from(from) >= end {
            end = from;
            step = step.saturating_mul(2);
        } else if step == STEP {
            break;
        } else {
            step = (step / 4).max(STEP);
        }
    }
    end
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
    /// Reading and writing a file that must not exist yet.
    CreateNew,
}

/// Where files are: opening, renaming, removing them.
pub trait Place: Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// As the medium reports; `AlreadyExists` for [`Access::CreateNew`] on a file that is there.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn Storage>>;

    /// Puts `from` in the place of `to`, atomically.
    ///
    /// # Errors
    /// As the medium reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the medium reports; `NotFound` if there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Returns when names in the folder of `path` are on the medium.
    ///
    /// # Errors
    /// As the medium reports.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// [`Storage::identity`] of the file that the path names now.
    ///
    /// # Errors
    /// As the medium reports.
    fn identity(&self, path: &Path) -> io::Result<(u64, u64)>;

    /// Whether something has this name, be it a link that leads nowhere.
    fn is_taken(&self, path: &Path) -> bool {
        self.identity(path).is_ok()
    }

    /// The path of the file itself: links followed.
    ///
    /// # Errors
    /// As the medium reports; `NotFound` if there is no file.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }

    /// The files of a folder, in any order; none where the place does not tell.
    ///
    /// # Errors
    /// As the medium reports.
    fn list(&self, _folder: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    /// How many names the file has.
    ///
    /// # Errors
    /// As the medium reports.
    fn names(&self, _path: &Path) -> io::Result<u64> {
        Ok(1)
    }

    /// Gives `to` the permissions of `from`, and its owner where that is allowed.
    ///
    /// # Errors
    /// As the medium reports.
    fn copy_permissions(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Ok(())
    }
}

//! [`ColdPlace`]: a file that is read through, page by page, and how much of it was read.
//!
//! ```text
//! new: what the system keeps of the file in memory is dropped
//! open, view: mapped; a page is read from the medium when it is touched, and none ahead of it
//! bytes_read: the pages that are in memory now
//! ```
//! On Linux. For measuring what a first answer costs; the same pages are what ranges of a remote file would be.

use super::file::{FileStorage, open_file};
use super::{Access, Bytes, FilePlace, Place, Storage};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A place with one file, for reading, of which nothing is in memory at first.
#[derive(Default)]
pub struct ColdPlace {
    view: Arc<Mutex<Option<Bytes>>>,
}

impl ColdPlace {
    /// Drops what the system keeps of the file at `path` in memory. The bytes on the medium are not touched.
    ///
    /// # Errors
    /// As the medium reports; `ResourceBusy` if pages stay in memory, because another program, or a mapping of this one, uses
    /// them; `Unsupported` where the system does not say which pages are in memory.
    pub fn new(path: &Path) -> io::Result<Self> {
        let storage = open_file(path, Access::Read)?;
        drop_pages(&storage.file)?;
        let length = storage.len()?;
        if resident(&storage.view_at_random(length)?)? > 0 {
            let what = "pages of the file stay in memory: another program uses it, or it lies in memory only";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, what));
        }
        Ok(Self::default())
    }

    /// Bytes that were read from the medium since the place was made, in whole pages. (Pages that another program reads meanwhile count,
    /// too.)
    ///
    /// # Errors
    /// As the system reports; `NotFound` before a file was opened and mapped.
    pub fn bytes_read(&self) -> io::Result<u64> {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.as_ref().map_or_else(|| Err(io::Error::from(io::ErrorKind::NotFound)), resident)
    }
}

impl Place for ColdPlace {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn Storage>> {
        if access != Access::Read {
            return Err(io::Error::from(io::ErrorKind::Unsupported));
        }
        Ok(Arc::new(ColdStorage { file: open_file(path, access)?, view: self.view.clone() }))
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        FilePlace.sync_dir(path)
    }

    fn identity(&self, path: &Path) -> io::Result<(u64, u64)> {
        FilePlace.identity(path)
    }
}

/// The file of a [`ColdPlace`].
struct ColdStorage {
    file: FileStorage,
    view: Arc<Mutex<Option<Bytes>>>,
}

impl Storage for ColdStorage {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_at(buffer, at)
    }

    fn write_at(&self, _bytes: &[u8], _at: u64) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    fn set_len(&self, _length: u64) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn view(&self, length: u64) -> io::Result<Bytes> {
        let bytes = self.file.view_at_random(length)?;
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes.clone());
        Ok(bytes)
    }

    fn data_from(&self, from: u64) -> u64 {
        self.file.data_from(from)
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }

    fn identity(&self) -> io::Result<(u64, u64)> {
        self.file.identity()
    }
}

#[cfg(target_os = "linux")]
fn drop_pages(file: &File) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // Pages that are not written yet would stay.
    file.sync_all()?;
    // SAFETY: the call takes numbers only, and `file` keeps its descriptor open.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Bytes of the mapping whose pages are in memory.
#[cfg(target_os = "linux")]
fn resident(bytes: &Bytes) -> io::Result<u64> {
    if bytes.is_empty() {
        return Ok(0);
    }
    // SAFETY: sysconf reads a constant of the system.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).map_err(io::Error::other)?;
    let mut pages = vec![0u8; bytes.len().div_ceil(page)];
    // SAFETY: `bytes` is a whole mapping, which begins with a page and lives as long as it is borrowed; `pages` has a byte for
    // each page of it. Nothing is read or changed but `pages`.
    let asked = unsafe { libc::mincore(bytes.as_ptr().cast_mut().cast(), bytes.len(), pages.as_mut_ptr()) };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(pages.iter().filter(|page| **page & 1 == 1).count() as u64 * page as u64)
}

#[cfg(not(target_os = "linux"))]
fn drop_pages(_file: &File) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(not(target_os = "linux"))]
fn resident(_bytes: &Bytes) -> io::Result<u64> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

//! Files of the operating system.

use super::{Access, Bytes, Place, Storage};
use memmap2::{Mmap, MmapOptions};
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct FilePlace;

/// A file that is open. Mappings share the handle, to see how long the file is.
pub(super) struct FileStorage {
    pub(super) file: Arc<File>,
}

impl Drop for FileStorage {
    /// The lock goes with the storage, not with the last mapping that shares its handle.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl Place for FilePlace {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn Storage>> {
        Ok(Arc::new(open_file(path, access)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        sync_folder(parent)
    }

    fn identity(&self, path: &Path) -> io::Result<(u64, u64)> {
        identity_of(&std::fs::metadata(path)?)
    }

    fn is_taken(&self, path: &Path) -> bool {
        std::fs::symlink_metadata(path).is_ok()
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let files = std::fs::read_dir(folder)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        Ok(files.filter(|path| path.is_file()).collect())
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        match std::fs::symlink_metadata(path)?.is_symlink() {
            true => std::fs::canonicalize(path),
            false => Ok(path.to_owned()),
        }
    }

    #[cfg(unix)]
    fn names(&self, path: &Path) -> io::Result<u64> {
        use std::os::unix::fs::MetadataExt;
        Ok(std::fs::metadata(path)?.nlink())
    }

    fn copy_permissions(&self, from: &Path, to: &Path) -> io::Result<()> {
        let found = std::fs::metadata(from)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            // Only root may give files away: to anyone else the file belongs already, or stays with the one who compacts.
            let _ = std::os::unix::fs::chown(to, Some(found.uid()), Some(found.gid()));
        }
        std::fs::set_permissions(to, found.permissions())
    }
}

pub(super) fn open_file(path: &Path, access: Access) -> io::Result<FileStorage> {
    let mut options = OpenOptions::new();
    options.read(true);
    match access {
        Access::Read => {}
        Access::Write => {
            options.write(true);
        }
        Access::CreateNew => {
            options.write(true).create_new(true);
        }
    }
    // Before opening: to open a pipe is to wait for its other end.
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(io::Error::from(io::ErrorKind::IsADirectory)),
        Ok(found) if !found.is_file() => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        _ => {}
    }
    let file = options.open(path)?;
    Ok(FileStorage { file: Arc::new(file) })
}

impl FileStorage {
    /// [`Storage::view`] of which the system reads nothing ahead.
    pub(super) fn view_at_random(&self, length: u64) -> io::Result<Bytes> {
        self.view_with(length, |_map| {
            #[cfg(unix)]
            _map.advise(memmap2::Advice::Random)?;
            Ok(())
        })
    }

    fn view_with(&self, length: u64, advise: impl FnOnce(&Mmap) -> io::Result<()>) -> io::Result<Bytes> {
        if length > self.len()? {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        if length == 0 {
            return Ok(Bytes::from(Vec::new()));
        }
        let map = map(&self.file, length)?;
        advise(&map)?;
        Ok(Bytes::mapped(map, self.file.clone()))
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Windows cannot sync folders; NTFS journals the names itself.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn identity_of(metadata: &Metadata) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Ok((metadata.dev(), metadata.ino()))
}

/// Stable Rust has no file index on Windows; creation time changes when compaction puts a new file in place.
#[cfg(not(unix))]
fn identity_of(metadata: &Metadata) -> io::Result<(u64, u64)> {
    let created = metadata.created()?;
    let since = created.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok((since.as_secs(), u64::from(since.subsec_nanos())))
}

impl Storage for FileStorage {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&*self.file, buffer, at)
    }

    #[cfg(unix)]
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&*self.file, bytes, at)
    }

    #[cfg(windows)]
    fn read_at(&self, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(&*self.file, buffer, at)? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                read => {
                    buffer = buffer.get_mut(read..).unwrap_or_default();
                    at += read as u64;
                }
            }
        }
        Ok(())
    }

    #[cfg(windows)]
    fn write_at(&self, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_write(&*self.file, bytes, at)? {
                0 => return Err(io::Error::from(io::ErrorKind::WriteZero)),
                written => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    at += written as u64;
                }
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn view(&self, length: u64) -> io::Result<Bytes> {
        self.view_with(length, |_| Ok(()))
    }

    #[cfg(any(target_os = "linux", target_os = "macos"))]
    fn data_from(&self, from: u64) -> u64 {
        next_data(&self.file, from)
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn identity(&self) -> io::Result<(u64, u64)> {
        identity_of(&self.file.metadata()?)
    }
}

/// The first offset from `from` on that is in no hole; the largest number if all that follows is.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn next_data(file: &File, from: u64) -> u64 {
    use std::os::fd::AsRawFd;
    let Ok(from) = libc::off_t::try_from(from) else { return from };
    // SAFETY: `lseek` takes numbers only, and `file` keeps its descriptor open. It moves the descriptor's cursor, which
    // nobody uses: all reading and writing names its offset.
    let found = unsafe { libc::lseek(file.as_raw_fd(), from, libc::SEEK_DATA) };
    match u64::try_from(found) {
        Ok(found) => found,
        Err(_) if io::Error::last_os_error().raw_os_error() == Some(libc::ENXIO) => u64::MAX,
        // A file system that does not tell has no holes.
        Err(_) => from.cast_unsigned(),
    }
}

fn map(file: &File, length: usize) -> io::Result<Mmap> {
    // SAFETY: RVF never rewrites or cuts bytes before the newest root (spec/format.md, "Container"), and writers of other
    // programs are outside the contract that the engine documents for mapped files: they must not change the file while it
    // is open. Where one cuts it all the same, `guard.rs` puts zeros there and `Bytes::check` tells.
    unsafe { MmapOptions::new().len(length).map(file) }
}

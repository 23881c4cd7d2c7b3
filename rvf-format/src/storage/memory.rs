//! Files in memory: tests, and stores that never touch a disk.

use super::{Access, Bytes, Place, Storage};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A folder in memory. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryPlace {
    files: Arc<Mutex<HashMap<PathBuf, Arc<MemoryFile>>>>,
}

struct MemoryFile {
    number: u64,
    bytes: Mutex<Vec<u8>>,
    locked: AtomicBool,
}

struct MemoryStorage {
    file: Arc<MemoryFile>,
    holds_lock: AtomicBool,
}

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryPlace {
    /// Puts a file with these bytes at `path`, in the place of any other.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        guard(&self.files).insert(path.to_owned(), MemoryFile::new(bytes));
    }

    /// The bytes of the file at `path`.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        guard(&self.files).get(path).map(|file| guard(&file.bytes).clone())
    }
}

impl MemoryFile {
    fn new(bytes: Vec<u8>) -> Arc<Self> {
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { number, bytes: Mutex::new(bytes), locked: AtomicBool::new(false) })
    }
}

impl Place for MemoryPlace {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn Storage>> {
        let mut files = guard(&self.files);
        let file = match (files.get(path), access) {
            (Some(_), Access::CreateNew) => return Err(io::Error::from(io::ErrorKind::AlreadyExists)),
            (Some(file), _) => file.clone(),
            (None, Access::CreateNew) => {
                let file = MemoryFile::new(Vec::new());
                files.insert(path.to_owned(), file.clone());
                file
            }
            (None, _) => return Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        Ok(Arc::new(MemoryStorage { file, holds_lock: AtomicBool::new(false) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = guard(&self.files);
        let file = files.remove(from).ok_or(io::Error::from(io::ErrorKind::NotFound))?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        guard(&self.files).remove(path).map(drop).ok_or(io::Error::from(io::ErrorKind::NotFound))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(guard(&self.files).keys().filter(|path| path.parent() == Some(folder)).cloned().collect())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn identity(&self, path: &Path) -> io::Result<(u64, u64)> {
        let files = guard(&self.files);
        files.get(path).map(|file| (0, file.number)).ok_or(io::Error::from(io::ErrorKind::NotFound))
    }
}

impl Storage for MemoryStorage {
    fn len(&self) -> io::Result<u64> {
        Ok(guard(&self.file.bytes).len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let bytes = guard(&self.file.bytes);
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let end = start.saturating_add(buffer.len());
        let source = bytes.get(start..end).ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        buffer.copy_from_slice(source);
        Ok(())
    }

    fn write_at(&self, content: &[u8], at: u64) -> io::Result<()> {
        let mut bytes = guard(&self.file.bytes);
        let start = usize::try_from(at).map_err(|_| io::Error::from(io::ErrorKind::StorageFull))?;
        let end = start.checked_add(content.len()).ok_or(io::Error::from(io::ErrorKind::StorageFull))?;
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(content);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::StorageFull))?;
        guard(&self.file.bytes).resize(length, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn view(&self, length: u64) -> io::Result<Bytes> {
        let bytes = guard(&self.file.bytes);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        bytes.get(..length).map(Bytes::from).ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    fn try_lock(&self) -> io::Result<bool> {
        let taken = self.file.locked.swap(true, Ordering::AcqRel);
        if !taken {
            self.holds_lock.store(true, Ordering::Release);
        }
        Ok(!taken || self.holds_lock.load(Ordering::Acquire))
    }

    fn identity(&self) -> io::Result<(u64, u64)> {
        Ok((0, self.file.number))
    }
}

impl Drop for MemoryStorage {
    fn drop(&mut self) {
        if self.holds_lock.load(Ordering::Acquire) {
            self.file.locked.store(false, Ordering::Release);
        }
    }
}

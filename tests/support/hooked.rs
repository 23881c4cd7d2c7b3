//! A place, in memory unless another is given, that calls a function before each sync of a file: to count, to wait, to fail, to panic.

use rvf_format::storage::{Access, Bytes, MemoryPlace, Place, Storage};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Called with the number of the sync, from 1; its error is the sync's.
pub type Hook = Arc<dyn Fn(u64) -> io::Result<()> + Send + Sync>;

/// A place with a hook. Clones share it.
#[derive(Clone)]
pub struct Hooked<P = MemoryPlace> {
    /// Where the files are.
    pub place: P,
    hook: Hook,
    syncs: Arc<AtomicU64>,
}

struct HookedStorage<P> {
    storage: Arc<dyn Storage>,
    place: Hooked<P>,
}

impl<P> Hooked<P> {
    /// The files of `place`, seen through a hook.
    pub fn new(place: P, hook: impl Fn(u64) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self { place, hook: Arc::new(hook), syncs: Arc::default() }
    }

    /// How many syncs of files there were.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }
}

impl<P: Place + Clone + 'static> Place for Hooked<P> {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn Storage>> {
        Ok(Arc::new(HookedStorage { storage: self.place.open(path, access)?, place: self.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.place.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.place.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.place.sync_dir(path)
    }

    fn identity(&self, path: &Path) -> io::Result<(u64, u64)> {
        self.place.identity(path)
    }
}

impl<P: Send + Sync> Storage for HookedStorage<P> {
    fn len(&self) -> io::Result<u64> {
        self.storage.len()
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.storage.read_at(buffer, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.storage.write_at(bytes, at)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.storage.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        (self.place.hook)(self.place.syncs.fetch_add(1, Ordering::SeqCst) + 1)?;
        self.storage.sync()
    }

    fn view(&self, length: u64) -> io::Result<Bytes> {
        self.storage.view(length)
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.storage.try_lock()
    }

    fn identity(&self) -> io::Result<(u64, u64)> {
        self.storage.identity()
    }
}

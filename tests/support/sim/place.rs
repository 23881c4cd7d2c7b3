//! [`SimPlace`]: files in memory that log what is done to them, and that fail where they are told to.

use super::medium::{Blob, Folder, Op};
use super::states::Note;
use rvf_format::storage::{Access, Bytes, Place, Storage};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A call of [`Place`] or [`Storage`] that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// [`Storage::len`].
    Len,
    /// [`Storage::read_at`].
    Read,
    /// [`Storage::write_at`].
    Write,
    /// [`Storage::set_len`].
    SetLen,
    /// [`Storage::sync`].
    Sync,
    /// [`Storage::view`].
    View,
    /// [`Storage::try_lock`].
    Lock,
    /// [`Storage::identity`].
    Identity,
    /// [`Place::open`].
    Open,
    /// [`Place::open`] of a new file.
    Create,
    /// [`Place::rename`].
    Rename,
    /// [`Place::remove`].
    Remove,
    /// [`Place::sync_dir`].
    SyncDir,
    /// [`Place::identity`].
    PathIdentity,
    /// [`Place::resolve`].
    Resolve,
    /// [`Place::names`].
    Names,
    /// [`Place::copy_permissions`].
    Permissions,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO; nothing is done.
    Io,
    /// ENOSPC; nothing is done.
    NoSpace,
    /// EINTR; nothing is done.
    Interrupted,
    /// Half of the bytes are written, then ENOSPC.
    Short,
    /// Another holds the lock.
    Busy,
}

impl Call {
    /// The ways in which this call can fail.
    pub fn faults(self) -> &'static [Fault] {
        use Fault::*;
        match self {
            Call::Write => &[Io, NoSpace, Interrupted, Short],
            Call::Sync | Call::SetLen | Call::Create | Call::Rename | Call::SyncDir => &[Io, NoSpace, Interrupted],
            Call::Lock => &[Io, Interrupted, Busy],
            _ => &[Io, Interrupted],
        }
    }
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Fault::Io => io::Error::other("injected: the device failed"),
            Fault::NoSpace | Fault::Short => io::Error::from(io::ErrorKind::StorageFull),
            Fault::Interrupted => io::Error::from(io::ErrorKind::Interrupted),
            Fault::Busy => io::Error::from(io::ErrorKind::WouldBlock),
        }
    }
}

/// A fault that struck.
#[derive(Clone, Copy, Debug)]
pub struct Struck {
    /// The call.
    pub call: Call,
    /// Its file, where it is about one that is open.
    pub inode: Option<usize>,
    /// Length of the log when it struck.
    pub at: usize,
}

struct File {
    bytes: Arc<Vec<u8>>,
    locked: bool,
}

#[derive(Default)]
struct Inner {
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    log: Vec<Op<Note>>,
    calls: Vec<Call>,
    fault: Option<(usize, Fault)>,
    struck: Option<Struck>,
    lie: Option<Call>,
}

/// A folder in memory. Clones share it.
#[derive(Clone, Default)]
pub struct SimPlace {
    inner: Arc<Mutex<Inner>>,
}

struct SimStorage {
    place: SimPlace,
    inode: usize,
    holds_lock: Mutex<bool>,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Inner {
    /// Counts a call; the fault that is to strike it.
    fn enter(&mut self, call: Call, inode: Option<usize>) -> Option<Fault> {
        let number = self.calls.len();
        self.calls.push(call);
        let (_, fault) = self.fault.filter(|(at, _)| *at == number)?;
        self.struck = Some(Struck { call, inode, at: self.log.len() });
        Some(fault)
    }

    fn call(&mut self, call: Call, inode: Option<usize>) -> io::Result<()> {
        self.enter(call, inode).map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn put(&mut self, inode: usize, at: u64, content: &[u8]) {
        let file = Arc::make_mut(&mut self.files[inode].bytes);
        let (start, end) = (at as usize, at as usize + content.len());
        let grows = (file.len() < end).then_some(end as u64);
        if grows.is_some() {
            file.resize(end, 0);
        }
        file[start..end].copy_from_slice(content);
        self.log.push(Op::Write { inode, at, bytes: Arc::from(content), grows });
    }

    fn redo(&mut self, op: &Op<Note>) {
        match op {
            Op::Create { path, .. } => {
                self.names.insert(path.clone(), self.files.len());
                self.files.push(File { bytes: Arc::default(), locked: false });
            }
            Op::Write { inode, at, bytes, .. } => return self.put(*inode, *at, bytes),
            Op::SetLen { inode, length } => Arc::make_mut(&mut self.files[*inode].bytes).resize(*length as usize, 0),
            Op::Rename { from, to, inode } => {
                self.names.remove(from);
                self.names.insert(to.clone(), *inode);
            }
            Op::Remove { path, .. } => drop(self.names.remove(path)),
            Op::Sync { .. } | Op::SyncFailed { .. } | Op::SyncDir | Op::Note(_) => {}
        }
        self.log.push(op.clone());
    }
}

impl SimPlace {
    /// A place that holds a folder.
    pub fn holding(folder: &Folder) -> Self {
        let place = Self::default();
        let mut inner = guard(&place.inner);
        for (inode, (path, blob)) in folder.0.iter().enumerate() {
            inner.files.push(File { bytes: Arc::new(blob.bytes.clone()), locked: false });
            inner.names.insert(path.clone(), inode);
        }
        drop(inner);
        place
    }

    /// A place in which a process died after these operations: nothing is lost but its locks.
    pub fn after(folder: &Folder, log: &[Op<Note>]) -> Self {
        let place = Self::holding(folder);
        log.iter().for_each(|op| guard(&place.inner).redo(op));
        place
    }

    /// What programs see.
    pub fn folder(&self) -> Folder {
        let inner = guard(&self.inner);
        let blob = |inode: &usize| Blob::new(inner.files[*inode].bytes.to_vec());
        Folder(inner.names.iter().map(|(path, inode)| (path.clone(), blob(inode))).collect())
    }

    /// Everything that was done.
    pub fn log(&self) -> Vec<Op<Note>> {
        guard(&self.inner).log.clone()
    }

    /// How much was done.
    pub fn logged(&self) -> usize {
        guard(&self.inner).log.len()
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        guard(&self.inner).calls.clone()
    }

    /// Puts a note into the log.
    pub fn note(&self, note: Note) {
        guard(&self.inner).log.push(Op::Note(note));
    }

    /// Lets the call with this number fail.
    pub fn fail_at(&self, call: usize, fault: Fault) {
        guard(&self.inner).fault = Some((call, fault));
    }

    /// Says of all syncs of files, or of the folder, that they succeeded, and does nothing: what the checks must find out.
    pub fn lie(&self, call: Option<Call>) {
        guard(&self.inner).lie = call;
    }

    /// The fault that struck.
    pub fn struck(&self) -> Option<Struck> {
        guard(&self.inner).struck
    }

    /// The file that a path names.
    pub fn inode(&self, path: &Path) -> Option<usize> {
        guard(&self.inner).names.get(path).copied()
    }
}

impl Place for SimPlace {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn Storage>> {
        let mut inner = guard(&self.inner);
        let found = inner.names.get(path).copied();
        inner.call(if access == Access::CreateNew { Call::Create } else { Call::Open }, found)?;
        let inode = match (found, access) {
            (Some(_), Access::CreateNew) => return Err(io::Error::from(io::ErrorKind::AlreadyExists)),
            (None, Access::CreateNew) => {
                let inode = inner.files.len();
                inner.redo(&Op::Create { path: path.to_owned(), inode });
                inode
            }
            (Some(inode), _) => inode,
            (None, _) => return Err(not_found()),
        };
        Ok(Arc::new(SimStorage { place: self.clone(), inode, holds_lock: Mutex::new(false) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = guard(&self.inner);
        inner.call(Call::Rename, None)?;
        let inode = *inner.names.get(from).ok_or_else(not_found)?;
        inner.redo(&Op::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = guard(&self.inner);
        inner.call(Call::Remove, None)?;
        let inode = *inner.names.get(path).ok_or_else(not_found)?;
        inner.redo(&Op::Remove { path: path.to_owned(), inode });
        Ok(())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        let mut inner = guard(&self.inner);
        inner.call(Call::SyncDir, None)?;
        if inner.lie != Some(Call::SyncDir) {
            inner.log.push(Op::SyncDir);
        }
        Ok(())
    }

    fn identity(&self, path: &Path) -> io::Result<(u64, u64)> {
        let mut inner = guard(&self.inner);
        inner.call(Call::PathIdentity, None)?;
        inner.names.get(path).map(|inode| (0, *inode as u64)).ok_or_else(not_found)
    }

    fn is_taken(&self, path: &Path) -> bool {
        guard(&self.inner).names.contains_key(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let mut inner = guard(&self.inner);
        inner.call(Call::Resolve, None)?;
        inner.names.contains_key(path).then(|| path.to_owned()).ok_or_else(not_found)
    }

    fn names(&self, _path: &Path) -> io::Result<u64> {
        guard(&self.inner).call(Call::Names, None).map(|()| 1)
    }

    fn copy_permissions(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        guard(&self.inner).call(Call::Permissions, None)
    }
}

impl SimStorage {
    fn call(&self, call: Call) -> io::Result<MutexGuard<'_, Inner>> {
        let mut inner = guard(&self.place.inner);
        inner.call(call, Some(self.inode))?;
        Ok(inner)
    }
}

impl Storage for SimStorage {
    fn len(&self) -> io::Result<u64> {
        Ok(self.call(Call::Len)?.files[self.inode].bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let inner = self.call(Call::Read)?;
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let range = start..start.saturating_add(buffer.len());
        let source = inner.files[self.inode].bytes.get(range).ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        buffer.copy_from_slice(source);
        Ok(())
    }

    fn write_at(&self, content: &[u8], at: u64) -> io::Result<()> {
        let mut inner = guard(&self.place.inner);
        let fault = inner.enter(Call::Write, Some(self.inode));
        match fault {
            None => inner.put(self.inode, at, content),
            Some(Fault::Short) => inner.put(self.inode, at, &content[..content.len() / 2]),
            Some(_) => {}
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.call(Call::SetLen)?.redo(&Op::SetLen { inode: self.inode, length });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = guard(&self.place.inner);
        let result = inner.call(Call::Sync, Some(self.inode));
        let inode = self.inode;
        match (&result, inner.lie) {
            (_, Some(Call::Sync)) => return Ok(()),
            (Ok(()), _) => inner.log.push(Op::Sync { inode }),
            (Err(_), _) => inner.log.push(Op::SyncFailed { inode }),
        }
        result
    }

    fn view(&self, length: u64) -> io::Result<Bytes> {
        let inner = self.call(Call::View)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = inner.files[self.inode].bytes.get(..length);
        bytes.map(Bytes::from).ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut inner = guard(&self.place.inner);
        match inner.enter(Call::Lock, Some(self.inode)) {
            Some(Fault::Busy) => return Ok(false),
            Some(fault) => return Err(fault.error()),
            None => {}
        }
        let mut holds = guard(&self.holds_lock);
        let free = *holds || !inner.files[self.inode].locked;
        if free {
            (*holds, inner.files[self.inode].locked) = (true, true);
        }
        Ok(free)
    }

    fn identity(&self) -> io::Result<(u64, u64)> {
        self.call(Call::Identity).map(|_| (0, self.inode as u64))
    }
}

impl Drop for SimStorage {
    fn drop(&mut self) {
        if *guard(&self.holds_lock) {
            guard(&self.place.inner).files[self.inode].locked = false;
        }
    }
}

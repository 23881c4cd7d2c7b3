//! [`Bytes`]: a shared, immutable range of memory, mapped from a file or owned, aligned to 64 bytes at its start.

use super::guard::Watch;
use crate::{Error, Result};
use core::fmt;
use core::ops::Deref;
use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use zerocopy::{FromBytes, IntoBytes};

/// A range of shared memory. Cloning and slicing share it.
#[derive(Clone)]
pub struct Bytes {
    owner: Owner,
    start: usize,
    len: usize,
}

#[derive(Clone)]
enum Owner {
    Mapped(Arc<Mapping>),
    Owned(Arc<Vec<Line>>),
}

/// A mapping and its file. The order of fields is that of their end: no handler may look at memory that is unmapped.
struct Mapping {
    watch: Watch,
    map: Mmap,
    file: Arc<File>,
}

/// Owned memory comes in lines, so that it is aligned like mapped memory.
#[derive(Clone, Copy, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl Bytes {
    /// A whole mapping of the start of `file`.
    pub(super) fn mapped(map: Mmap, file: Arc<File>) -> Self {
        let len = map.len();
        Self { owner: Owner::Mapped(Arc::new(Mapping { watch: Watch::new(&map), map, file })), start: 0, len }
    }

    /// `len` bytes in owned, aligned memory, zero until `fill` fills them.
    ///
    /// # Errors
    /// `OutOfMemory`; those of `fill`.
    pub fn filled(len: usize, fill: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<Self> {
        let mut lines = Vec::new();
        let count = len.div_ceil(64);
        lines.try_reserve_exact(count).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        lines.resize(count, Line([0; 64]));
        fill(&mut lines.as_mut_slice().as_mut_bytes()[..len])?;
        Ok(Self { owner: Owner::Owned(Arc::new(lines)), start: 0, len })
    }

    /// A copy of `bytes` in owned, aligned memory, changed by `change`.
    pub fn copied(bytes: &[u8], change: impl FnOnce(&mut [u8])) -> Self {
        let len = bytes.len();
        let mut lines = vec![Line([0; 64]); len.div_ceil(64)];
        let target = &mut lines.as_mut_slice().as_mut_bytes()[..len];
        target.copy_from_slice(bytes);
        change(target);
        Self { owner: Owner::Owned(Arc::new(lines)), start: 0, len }
    }

    /// Whether the first `len` bytes are still those of the file, as far as its length and faults tell: what was read of them
    /// before this call was read from the file. Owned memory always is. Costs a look at the file's length.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Io`] if the file does not tell its length.
    pub fn check(&self, len: usize) -> Result<()> {
        let Owner::Mapped(mapping) = &self.owner else { return Ok(()) };
        let end = self.start.saturating_add(len.min(self.len)) as u64;
        let there = mapping.file.metadata()?.len().min(mapping.watch.lost_from() as u64);
        if there < end { Err(Error::Truncated { at: there }) } else { Ok(()) }
    }

    /// The `len` bytes from `start` on; `None` if they are not all inside.
    pub fn slice(&self, start: usize, len: usize) -> Option<Self> {
        let end = start.checked_add(len)?;
        (end <= self.len).then(|| Self { owner: self.owner.clone(), start: self.start + start, len })
    }

    /// The bytes as structures of `T`, which must be a whole number of them.
    pub fn as_slice<T: FromBytes + zerocopy::Immutable + zerocopy::KnownLayout>(&self) -> Option<&[T]> {
        <[T]>::ref_from_bytes(self).ok()
    }

    /// Whether the memory is mapped from a file.
    pub fn is_mapped(&self) -> bool {
        matches!(self.owner, Owner::Mapped(_))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all: &[u8] = match &self.owner {
            Owner::Mapped(mapping) => &mapping.map,
            Owner::Owned(lines) => lines.as_slice().as_bytes(),
        };
        all.get(self.start..self.start + self.len).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self::copied(bytes, |_| {})
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({} bytes)", self.len)
    }
}

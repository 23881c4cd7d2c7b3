//! [`Bytes`]: a shared, immutable range of memory, mapped from a file or owned, aligned to 64 bytes at its start.

use core::fmt;
use core::ops::Deref;
use memmap2::Mmap;
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
    Mapped(Arc<Mmap>),
    Owned(Arc<Vec<Line>>),
}

/// Owned memory comes in lines, so that it is aligned like mapped memory.
#[derive(Clone, Copy, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl Bytes {
    /// A whole mapping.
    pub fn mapped(map: Mmap) -> Self {
        let len = map.len();
        Self { owner: Owner::Mapped(Arc::new(map)), start: 0, len }
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
            Owner::Mapped(map) => map,
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

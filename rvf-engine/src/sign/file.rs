//! Key files: read up to their length and no further, never overwritten, secret ones for their owner only.

use crate::{Error, Result};
use rvf_format::key_file::SECRET_MAGIC;
use rvf_format::storage::{FilePlace, Place};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use zeroize::Zeroizing;

/// Who may read a key file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    All,
    OwnerOnly,
}

/// Reads a file that should have `length` bytes: one byte more where it is longer, which whoever looks at the bytes refuses.
pub(super) fn read(path: &Path, length: usize, readers: Readers) -> Result<Zeroizing<Vec<u8>>> {
    let reading = |error| Error::io("reading", path, error);
    // A pipe would keep who opens it waiting.
    if !fs::metadata(path).map_err(reading)?.is_file() {
        return Err(reading(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let file = File::open(path).map_err(reading)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    (&file).take(length as u64 + 1).read_to_end(&mut bytes).map_err(reading)?;
    // Anything else that all may read is refused for what it is.
    if readers == Readers::OwnerOnly && bytes.starts_with(&SECRET_MAGIC) {
        refuse_exposed(&file, path)?;
    }
    Ok(bytes)
}

#[cfg(unix)]
fn refuse_exposed(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().map_err(|error| Error::io("reading", path, error))?.permissions().mode();
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(Error::key(path, crate::KeyFault::Exposed { mode: mode & 0o777 })),
    }
}

/// Access is not told by modes here.
#[cfg(not(unix))]
fn refuse_exposed(_file: &File, _path: &Path) -> Result<()> {
    Ok(())
}

/// Writes a file that is not there yet, down to the medium; leaves none if that fails.
pub(super) fn create(path: &Path, bytes: &[u8], readers: Readers) -> Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if readers == Readers::OwnerOnly {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = readers;
    let mut file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists { path: path.to_owned() },
        _ => Error::io("creating", path, error),
    })?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| FilePlace.sync_dir(path));
    written.map_err(|error| {
        take_back(path);
        Error::io("writing", path, error)
    })
}

/// Removes a file that was created just now.
pub(super) fn take_back(path: &Path) {
    // Whoever calls this tells why; that the file stays besides is seen by its name.
    let _ = fs::remove_file(path);
}

//! A file that is written beside its target, and takes the target's name when it is complete.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::sink_error::SinkError;

const BUFFER_BYTES: usize = 1 << 20;

/// A file under a temporary name; it is removed on drop, unless it was renamed.
pub(crate) struct TempFile {
    writer: BufWriter<File>,
    temporary: PathBuf,
    target: PathBuf,
    renamed: bool,
}

impl TempFile {
    pub(crate) fn create(target: &Path) -> Result<TempFile, SinkError> {
        let resolved = regular_target(target).map_err(|error| SinkError::of_io(target, error))?;
        let target = resolved.as_path();
        let (file, temporary) = create_locked(target).map_err(|error| SinkError::of_io(target, error))?;
        let writer = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(TempFile { writer, temporary, target: target.to_owned(), renamed: false })
    }

    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.run(|writer| writer.write_all(bytes))
    }

    /// Overwrites the first bytes.
    pub(super) fn rewrite_head(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.run(|writer| {
            writer.seek(SeekFrom::Start(0))?;
            writer.write_all(bytes)?;
            writer.seek(SeekFrom::End(0)).map(|_| ())
        })
    }

    /// Brings everything to the medium, still under the temporary name.
    pub(crate) fn complete(&mut self) -> Result<(), SinkError> {
        self.run(|writer| {
            writer.flush()?;
            writer.get_ref().sync_all()
        })
    }

    /// Takes the target's name, in place of any file there. [`TempFile::complete`] comes first.
    pub(crate) fn rename(mut self) -> Result<(), SinkError> {
        fs::rename(&self.temporary, &self.target).map_err(|error| SinkError::of_io(&self.target, error))?;
        self.renamed = true;
        Ok(())
    }

    /// The whole content from its beginning.
    pub(super) fn read_back(&mut self) -> Result<&File, SinkError> {
        self.run(|writer| writer.seek(SeekFrom::Start(0)).map(|_| ()))?;
        Ok(self.writer.get_ref())
    }

    fn run(&mut self, action: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), SinkError> {
        action(&mut self.writer).map_err(|error| SinkError::of_io(&self.target, error))
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.renamed {
            // Nobody is left to tell; the name says what the file is.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// The file that `target` names, links followed. Devices and pipes are refused: a rename would put a file in their place.
fn regular_target(target: &Path) -> io::Result<PathBuf> {
    let Ok(found) = fs::symlink_metadata(target) else { return Ok(target.to_owned()) };
    let resolved = if found.is_symlink() { fs::canonicalize(target)? } else { target.to_owned() };
    match fs::metadata(&resolved)?.is_file() {
        true => Ok(resolved),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// Most writers of one target at a time.
const MOST_NAMES: usize = 100;

/// A new file under a temporary name, locked for as long as it is open. One that an interrupted writer left, and so nobody
/// locks, is removed first.
fn create_locked(target: &Path) -> io::Result<(File, PathBuf)> {
    for number in 0..MOST_NAMES {
        let name = temporary_name(target, number);
        if let Ok(old) = File::options().write(true).open(&name)
            && old.try_lock().is_ok()
        {
            // Fails where another process was quicker: then the next call says so.
            let _ = fs::remove_file(&name);
        }
        match File::options().read(true).write(true).create_new(true).open(&name) {
            Ok(file) if file.try_lock().is_ok() => return Ok((file, name)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

fn temporary_name(target: &Path, number: usize) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(if number == 0 { ".rvf-tmp".to_owned() } else { format!(".{number}.rvf-tmp") });
    target.with_file_name(name)
}

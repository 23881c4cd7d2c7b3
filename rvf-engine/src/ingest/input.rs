//! Opening a file of vectors, and exact reads that know their offset. It knows no format.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::batch::{Element, Elements};
use super::error::{InputError, Place};
use super::fault::{FileFault, InputFault, RowFault};

/// The least that is asked of the system at once.
pub(super) const BUFFER_BYTES: usize = 1 << 20;

/// Opens a file whose length is known.
pub(super) fn open_regular(path: &Path) -> Result<(File, u64), InputError> {
    let told = look(path)?;
    if !told.is_file() {
        return Err(InputError::of_file(path, FileFault::NotRegular));
    }
    let file = open(path)?;
    let len = file.metadata().map_err(|error| InputError::of_io(path, Place::Whole, error))?.len();
    Ok((file, len))
}

/// Opens a file that is only read forwards: a pipe will do.
pub(super) fn open_stream(path: &Path) -> Result<File, InputError> {
    look(path)?;
    open(path)
}

fn look(path: &Path) -> Result<fs::Metadata, InputError> {
    let told = fs::metadata(path).map_err(|error| of_open(path, error))?;
    if told.is_dir() {
        return Err(InputError::of_file(path, FileFault::Directory));
    }
    Ok(told)
}

fn open(path: &Path) -> Result<File, InputError> {
    File::open(path).map_err(|error| of_open(path, error))
}

fn of_open(path: &Path, error: io::Error) -> InputError {
    match error.kind() {
        io::ErrorKind::NotFound => InputError::of_file(path, FileFault::NotFound),
        _ => InputError::of_io(path, Place::Whole, error),
    }
}

/// A binary input of known length, read forwards.
///
/// Bytes that were appended after the length was taken are not read.
pub(super) struct Input<R> {
    reader: BufReader<R>,
    path: PathBuf,
    position: u64,
    len: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(reader: R, len: u64, path: &Path) -> Result<Input<R>, InputError> {
        if len == 0 {
            return Err(InputError::of_file(path, FileFault::Empty));
        }
        let reader = BufReader::with_capacity(BUFFER_BYTES, reader);
        Ok(Input { reader, path: path.to_owned(), position: 0, len })
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn remaining(&self) -> u64 {
        self.len.saturating_sub(self.position)
    }

    /// Fills `bytes` from the file; `place` is told where the file ends inside.
    pub(super) fn fill(&mut self, bytes: &mut [u8], place: Place) -> Result<(), InputError> {
        let needed = bytes.len() as u64;
        let present = self.remaining();
        if needed > present {
            return Err(self.wrong(place, RowFault::Truncated { needed, present }));
        }
        match self.reader.read_exact(bytes) {
            Ok(()) => self.position += needed,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.wrong(place, RowFault::Truncated { needed, present: 0 }));
            }
            Err(error) => return Err(InputError::of_io(&self.path, place, error)),
        }
        Ok(())
    }

    /// Reads `count` little-endian elements; the caller has checked that the file holds so many.
    pub(super) fn elements(&mut self, element: Element, count: usize, place: Place) -> Result<Elements, InputError> {
        let mut elements = Elements::zeros(element, count);
        self.fill(elements.bytes_mut(), place)?;
        elements.swap_from_little_endian();
        Ok(elements)
    }

    pub(super) fn wrong(&self, place: Place, fault: impl Into<InputFault>) -> InputError {
        InputError::new(&self.path, place, fault)
    }
}

//! `.npy` arrays of ids: a column of them, or a table (the true neighbours of each query).
//!
//! Ids are whole numbers of 32 or 64 bits, or strings: `<U` (UTF-32) or `|S` (UTF-8). NumPy pads strings with NUL, so
//! NULs at the end are not part of an id. The result is in memory as a whole.

use std::io::Read;
use std::path::Path;

use super::batch::Ids;
use super::error::{InputError, Place};
use super::fault::{NpyFault, RowFault};
use super::input::{self, BUFFER_BYTES, Input};
use super::npy::{check_payload, matrix, refuse_dtype};
use super::npy_header::Header;

const WANTED: &str = "<u8, <i8, <u4, <i4, <U, |S";

/// A table of ids, row after row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdTable {
    /// Rows of the table.
    pub rows: usize,
    /// Ids in each row.
    pub columns: usize,
    /// The ids, `rows * columns` of them.
    pub ids: Ids,
}

/// Reads an `.npy` array of one dimension as ids.
///
/// # Errors
/// The file cannot be read, or is not an array of ids of one dimension; a negative number is named with its row.
pub fn read_ids(path: &Path) -> Result<Ids, InputError> {
    let (file, len) = input::open_regular(path)?;
    ids_from(file, len, path)
}

/// Reads an `.npy` array of two dimensions as a table of ids.
///
/// # Errors
/// The file cannot be read, or is not an array of ids of two dimensions; a negative number is named with its place in
/// the whole table, counted row after row.
pub fn read_id_table(path: &Path) -> Result<IdTable, InputError> {
    let (file, len) = input::open_regular(path)?;
    id_table_from(file, len, path)
}

pub(super) fn ids_from(reader: impl Read, len: u64, path: &Path) -> Result<Ids, InputError> {
    let mut input = Input::new(reader, len, path)?;
    let header = Header::read(&mut input)?;
    let &[count] = header.shape.as_slice() else {
        let fault = NpyFault::Shape { shape: header.shape, wanted: 1 };
        return Err(input.wrong(Place::Whole, fault));
    };
    read_values(&mut input, &header.descr, count)
}

/// [`read_id_table`] from any reader of `len` bytes; `path` is for messages.
///
/// # Errors
/// Those of [`read_id_table`].
pub fn id_table_from(reader: impl Read, len: u64, path: &Path) -> Result<IdTable, InputError> {
    let mut input = Input::new(reader, len, path)?;
    let header = Header::read(&mut input)?;
    let (rows, columns) = matrix(&header).map_err(|fault| InputError::new(path, Place::Whole, fault))?;
    if columns == 0 {
        // Any number of such rows fits into no bytes at all.
        return Err(input.wrong(Place::Whole, RowFault::Dim { found: 0 }));
    }
    // A product beyond u64 is refused as one beyond the file.
    let ids = read_values(&mut input, &header.descr, rows.saturating_mul(columns))?;
    let size = |size: u64| {
        let fault = NpyFault::Shape { shape: header.shape.clone(), wanted: 2 };
        usize::try_from(size).map_err(|_| InputError::new(path, Place::Whole, fault))
    };
    Ok(IdTable { rows: size(rows)?, columns: size(columns)?, ids })
}

/// How one id lies in the file.
#[derive(Clone, Copy)]
enum Layout {
    Unsigned(usize),
    Signed(usize),
    Utf32(usize),
    Utf8(usize),
}

impl Layout {
    fn of(descr: &str) -> Result<Layout, NpyFault> {
        let width = |digits: &str| digits.parse::<u32>().ok().filter(|width| *width > 0).map(|width| width as usize);
        let layout = match descr {
            "<u8" => Some(Layout::Unsigned(8)),
            "<u4" => Some(Layout::Unsigned(4)),
            "<i8" => Some(Layout::Signed(8)),
            "<i4" => Some(Layout::Signed(4)),
            _ => match descr.split_at_checked(2) {
                Some(("<U", digits)) => width(digits).and_then(|width| width.checked_mul(4)).map(Layout::Utf32),
                Some(("|S", digits)) => width(digits).map(Layout::Utf8),
                _ => None,
            },
        };
        layout.ok_or_else(|| refuse_dtype(descr, WANTED))
    }

    fn bytes(self) -> usize {
        match self {
            Layout::Unsigned(bytes) | Layout::Signed(bytes) | Layout::Utf32(bytes) | Layout::Utf8(bytes) => bytes,
        }
    }

    fn push(self, value: &[u8], ids: &mut Ids) -> Result<(), NpyFault> {
        match (self, ids) {
            (Layout::Unsigned(_), Ids::U64(ids)) => ids.push(unsigned(value)),
            (Layout::Signed(_), Ids::U64(ids)) => ids.push(non_negative(value)?),
            (Layout::Utf32(_), Ids::Str(ids)) => ids.push(utf32(value)?),
            (Layout::Utf8(_), Ids::Str(ids)) => ids.push(utf8(value)?),
            _ => return Err(NpyFault::NotText),
        }
        Ok(())
    }
}

fn read_values<R: Read>(input: &mut Input<R>, descr: &str, count: u64) -> Result<Ids, InputError> {
    let layout = Layout::of(descr).map_err(|fault| input.wrong(Place::Whole, fault))?;
    let width = layout.bytes();
    check_payload(input, count, width as u64)?;
    // The file holds so many ids, each of at least a byte.
    let mut ids = match layout {
        Layout::Unsigned(_) | Layout::Signed(_) => Ids::U64(Vec::with_capacity(count as usize)),
        Layout::Utf32(_) | Layout::Utf8(_) => Ids::Str(Vec::with_capacity(count as usize)),
    };
    let mut block = vec![0; (BUFFER_BYTES / width).max(1).min(count as usize) * width];
    while (ids.len() as u64) < count {
        let (first, start) = (ids.len() as u64, input.position());
        let rows = ((count - first) as usize).min(block.len() / width);
        input.fill(&mut block[..rows * width], Place::Row { row: first, offset: start })?;
        for (index, value) in block[..rows * width].chunks_exact(width).enumerate() {
            let place = Place::Row { row: first + index as u64, offset: start + (index * width) as u64 };
            layout.push(value, &mut ids).map_err(|fault| input.wrong(place, fault))?;
        }
    }
    Ok(ids)
}

fn unsigned(value: &[u8]) -> u64 {
    value.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn non_negative(value: &[u8]) -> Result<u64, NpyFault> {
    let unused_bits = 64 - 8 * value.len() as u32;
    let value = (unsigned(value) << unused_bits) as i64 >> unused_bits;
    u64::try_from(value).map_err(|_| NpyFault::NegativeId { value })
}

fn utf32(value: &[u8]) -> Result<String, NpyFault> {
    let codes = value.chunks_exact(4).map(|code| unsigned(code) as u32);
    let text: Option<String> = codes.map(char::from_u32).collect();
    let mut text = text.ok_or(NpyFault::NotText)?;
    text.truncate(text.trim_end_matches('\0').len());
    Ok(text)
}

fn utf8(value: &[u8]) -> Result<String, NpyFault> {
    let text = std::str::from_utf8(value).map_err(|_| NpyFault::NotText)?;
    Ok(text.trim_end_matches('\0').to_owned())
}

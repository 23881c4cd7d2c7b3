//! Owns VEC payloads, and the table of live rows.
//!
//! ```text
//! dimension u16 | count u32 | count x (id u64, dimension x f32)
//! ```
//!
//! The table has 24 bytes a row, and a row has at least 12 bytes in a file, so the table is at most twice as long as
//! the files that it was made of. Vectors are never copied.

use zerocopy::FromBytes;
use zerocopy::little_endian::{U16, U32, U64};

use super::error::{Fault, LegacyError};
use super::header::Header;

/// Bytes before the first row.
const HEAD_LEN: usize = 6;
const ID_LEN: usize = 8;

/// Where the vector of an id lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowAt {
    pub(super) id: u64,
    /// Offset of the vector in its file.
    pub(super) at: usize,
    /// 0 for the file itself, 1 for its parent, and so on.
    pub(super) file: u32,
}

/// A live row of a published file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// The id.
    pub id: u64,
    /// The vector: little-endian f32 values, as they lie in the file, at any alignment.
    pub vector: &'a [u8],
    /// The file that holds it, as in [`RowAt`].
    pub(super) file: u32,
}

impl<'a> Row<'a> {
    /// The values of the vector.
    pub fn values(&self) -> impl ExactSizeIterator<Item = f32> + use<'a> {
        let (values, _) = self.vector.as_chunks::<4>();
        values.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }
}

/// The dimension that a VEC payload states.
pub(super) fn dimension(header: &Header, payload: &[u8]) -> Result<u16, LegacyError> {
    let (dimension, _) = U16::read_from_prefix(payload).map_err(|_| header.malformed(Fault::Short("the dimension")))?;
    Ok(dimension.get())
}

/// Appends the rows of one VEC payload of the given dimension.
pub(super) fn collect(
    header: &Header,
    payload: &[u8],
    dimension: u16,
    rows: &mut Vec<RowAt>,
) -> Result<(), LegacyError> {
    let short = || header.malformed(Fault::Short("the count of rows"));
    let (_, rest) = U16::read_from_prefix(payload).map_err(|_| short())?;
    let (count, rest) = U32::read_from_prefix(rest).map_err(|_| short())?;
    let row_len = ID_LEN + usize::from(dimension) * 4;
    let held = (rest.len() / row_len) as u64;
    if u64::from(count.get()) > held {
        return Err(header.malformed(Fault::Count { of: "rows", count: count.get().into() }));
    }
    let trailing = rest.len() as u64 - u64::from(count.get()) * row_len as u64;
    if trailing != 0 {
        return Err(header.malformed(Fault::Trailing(trailing)));
    }
    let first = header.payload_at() + HEAD_LEN + ID_LEN;
    rows.extend(rest.chunks_exact(row_len).enumerate().filter_map(|(index, row)| {
        let (id, _) = U64::read_from_prefix(row).ok()?;
        Some(RowAt { id: id.get(), at: first + index * row_len, file: 0 })
    }));
    Ok(())
}

/// Makes rows, which are in the order of their writing, ascending by id; of several with one id the last stays.
pub(super) fn later_wins(rows: &mut Vec<RowAt>) {
    rows.sort_by_key(|row| row.id);
    rows.dedup_by(|later, kept| {
        let same = later.id == kept.id;
        if same {
            *kept = *later;
        }
        same
    });
}

/// Takes ids out; `ids` ascend.
pub(super) fn remove(rows: &mut Vec<RowAt>, ids: &[u64]) {
    if !ids.is_empty() {
        rows.retain(|row| ids.binary_search(&row.id).is_err());
    }
}

/// What a branch shows: those of `inherited` that `shows` lets through and `own` does not override, and `own`.
/// All are ascending by id.
pub(super) fn overlay(mut inherited: Vec<RowAt>, own: Vec<RowAt>, shows: impl Fn(u64) -> bool) -> Vec<RowAt> {
    inherited.retain(|row| shows(row.id) && own.binary_search_by_key(&row.id, |row| row.id).is_err());
    inherited.extend(own);
    inherited.sort_unstable_by_key(|row| row.id);
    inherited
}

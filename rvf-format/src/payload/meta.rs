//! META: facts about the file, as tagged items.

use crate::build::Draft;
use crate::segment::Payload;
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, Result, layout};
use std::collections::BTreeMap;
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

layout! {
    /// One fact: its value follows, padded to a multiple of 8.
    pub struct MetaItem = "meta-item", 8 bytes {
        /// [`MODEL`], [`CREATOR`] or unknown.
        0x00 tag: "u16" U16,
        /// 0.
        0x02 reserved: "u16" U16,
        /// Bytes of the value.
        0x04 length: "u32" U32,
    }
}

/// Name of the embedding model, UTF-8.
pub const MODEL: u16 = 1;
/// Software that created the file, UTF-8.
pub const CREATOR: u16 = 2;

const TAG_ITEMS: u32 = 1;

/// Facts about a file by tag.
pub type Items = BTreeMap<u16, Vec<u8>>;

/// A draft of a META segment. Values are below 4 GiB.
pub fn draft(items: &Items) -> Draft<'static> {
    let mut bytes = Vec::new();
    for (tag, value) in items {
        let mut item = MetaItem::zeroed();
        item.tag.set(*tag);
        item.length.set(value.len() as u32);
        bytes.extend_from_slice(item.as_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    Draft::new(Kind::META, 1).section(TAG_ITEMS, bytes)
}

/// The items of the META segment at file offset `at`.
///
/// # Errors
/// PAY-1, PAY-2, PAY-6, META-1.
pub fn parse(segment: Bytes, at: u64) -> Result<Items> {
    let payload = Payload::parse(segment, at, Kind::META, &[1])?;
    let bytes = payload.required(TAG_ITEMS)?;
    let at = payload.place_of(TAG_ITEMS);
    let mut items = Items::new();
    let mut rest: &[u8] = &bytes;
    while !rest.is_empty() {
        let place = at + (bytes.len() - rest.len()) as u64;
        let (tag, value, after) =
            next_item(rest).ok_or(Error::corrupt(Clause::Meta1, place, "a fact about the file is malformed"))?;
        if items.last_key_value().is_some_and(|last| *last.0 >= tag) {
            return Err(Error::corrupt(Clause::Meta1, place, "facts about the file are out of order"));
        }
        if matches!(tag, MODEL | CREATOR) && core::str::from_utf8(value).is_err() {
            return Err(Error::corrupt(Clause::Meta1, place, "a fact about the file is not UTF-8"));
        }
        items.insert(tag, value.to_vec());
        rest = after;
    }
    Ok(items)
}

fn next_item(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (item, rest) = MetaItem::read_from_prefix(bytes).ok()?;
    let length = item.length.get() as usize;
    let (value, rest) = rest.split_at_checked(length)?;
    let (padding, rest) = rest.split_at_checked(length.next_multiple_of(8) - length)?;
    let clean = item.reserved.get() == 0 && padding.iter().all(|byte| *byte == 0);
    clean.then_some((item.tag.get(), value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_keeps_unknown_tags() {
        let items: Items =
            [(MODEL, b"all-MiniLM-L6-v2".to_vec()), (CREATOR, b"rvf".to_vec()), (77, vec![1, 2, 3])].into();
        let bytes = draft(&items).encode(1, 0).unwrap();
        assert_eq!(parse(Bytes::from(bytes), 0).unwrap(), items);
    }

    #[test]
    fn lengths_beyond_the_section_are_refused() {
        assert!(next_item(&[1, 0, 0, 0, 255, 255, 255, 255, 1]).is_none());
        assert!(next_item(&[1, 0, 0, 0, 1, 0, 0, 0, b'a', 0, 0, 0, 0, 0, 0, 1]).is_none());
    }
}

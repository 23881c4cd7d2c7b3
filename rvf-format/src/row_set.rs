//! Sets of row numbers in the 64-bit Roaring format (RoaringFormatSpec, "Extension for 64-bit implementations"), read in place: sets of
//! 32-bit numbers (`roaring.rs`) under their high halves.
//!
//! ```text
//! | u64 number of buckets | u32 high half, set of low halves | u32 high half, set of low halves | ...
//! ```
//! [`RowSetView::parse`] checks the geometry, [`RowSetView::check`] what the sets hold.

use crate::roaring::{self, RoaringView, is_padding};
use std::ops::Range;

/// Where the first bucket stands.
const FIRST: usize = 8;

/// A set of row numbers in place.
#[derive(Clone, Copy, Debug)]
pub struct RowSetView<'a> {
    bytes: &'a [u8],
    buckets: u64,
}

impl<'a> RowSetView<'a> {
    /// The set at the start of `bytes`, which may go on behind it. `None` if a bucket is not whole.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let buckets = u64::from_le_bytes(*bytes.first_chunk()?);
        let view = Self { bytes, buckets };
        // Each bucket takes bytes, so this ends with them whatever the count says.
        (view.buckets().count() as u64 == buckets).then_some(view)
    }

    /// How many rows there are, by what the heads say.
    pub fn len(&self) -> u64 {
        self.buckets().fold(0, |sum: u64, (_, set)| sum.saturating_add(set.len()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows, ascending; ranges may touch. Of a damaged set, those that can be read. (The number 2^64 - 1, which no row has, is left
    /// out.)
    pub fn ranges(self) -> impl Iterator<Item = Range<u64>> + use<'a> {
        self.stretches().map(|(first, last)| first..last.saturating_add(1))
    }

    /// The largest number of the set.
    pub fn largest(&self) -> Option<u64> {
        self.stretches().map(|(_, last)| last).max()
    }

    /// Whether the set is well-formed and ends where `bytes` does, but for less than four zero bytes: high halves ascend, no bucket is
    /// empty, each set is well-formed.
    pub fn check(&self) -> bool {
        let mut end = FIRST;
        let mut last_high = None;
        for (high, set) in self.buckets() {
            let Some(length) = set.sound_end() else { return false };
            if last_high.is_some_and(|last| last >= high) || set.is_empty() {
                return false;
            }
            last_high = Some(high);
            end += 4 + length;
        }
        is_padding(self.bytes.get(end..))
    }

    fn stretches(self) -> impl Iterator<Item = (u64, u64)> + use<'a> {
        self.buckets().flat_map(|(high, set)| {
            let base = u64::from(high) << 32;
            set.stretches().map(move |(first, last)| (base | u64::from(first), base | u64::from(last)))
        })
    }

    /// High half and set of each bucket that is whole.
    fn buckets(self) -> impl Iterator<Item = (u32, RoaringView<'a>)> + use<'a> {
        let mut place = FIRST;
        (0..self.buckets).map_while(move |_| {
            let (high, rest) = self.bytes.get(place..)?.split_first_chunk()?;
            let set = RoaringView::parse(rest)?;
            place += 4 + set.end()?;
            Some((u32::from_le_bytes(*high), set))
        })
    }
}

/// The set of `rows`, which ascend strictly, each container in its shortest form.
pub fn encode_rows(rows: &[u64]) -> Vec<u8> {
    let high = |row: &u64| (row >> 32) as u32;
    let buckets: Vec<&[u64]> = rows.chunk_by(|a, b| high(a) == high(b)).collect();
    let mut bytes = (buckets.len() as u64).to_le_bytes().to_vec();
    for bucket in buckets {
        bytes.extend(bucket.first().map(high).unwrap_or_default().to_le_bytes());
        let low: Vec<u32> = bucket.iter().map(|row| *row as u32).collect();
        bytes.extend(roaring::encode(&low));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::roaring::RoaringTreemap;
    use proptest::prelude::*;

    /// Rows in stretches near the borders of words, containers and buckets.
    fn rows() -> impl Strategy<Value = Vec<u64>> {
        let most = if cfg!(miri) { 60 } else { 9000 };
        let near =
            prop_oneof![Just(0u64), Just(65_000), Just((1 << 32) - 2000), Just(5 << 32), Just(u64::MAX - 300_000)];
        let stretch = (near, 0u64..3000, 1u64..most, 1usize..9).prop_map(|(near, first, length, step)| {
            (near + first..near + first + length).step_by(step).collect::<Vec<u64>>()
        });
        proptest::collection::vec(stretch, 0..6).prop_map(|stretches| {
            let mut all: Vec<u64> = stretches.concat();
            all.sort_unstable();
            all.dedup();
            all
        })
    }

    fn read(bytes: &[u8]) -> Vec<u64> {
        let view = RowSetView::parse(bytes).unwrap();
        assert!(view.check());
        let rows: Vec<u64> = view.ranges().flatten().collect();
        assert_eq!((view.len(), view.largest()), (rows.len() as u64, rows.last().copied()));
        rows
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 64 }))]
        #[test]
        fn sets_are_those_of_the_reference(rows in rows()) {
            let bytes = encode_rows(&rows);
            prop_assert_eq!(read(&bytes), &rows[..]);
            // Read by the reference, and written by it.
            let theirs = RoaringTreemap::deserialize_from(&bytes[..]).unwrap();
            prop_assert!(theirs.iter().eq(rows.iter().copied()));
            let mut written = Vec::new();
            theirs.serialize_into(&mut written).unwrap();
            prop_assert_eq!(read(&written), rows);
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            buckets in prop_oneof![0u64..4, Just(u64::MAX)],
            cookie in prop_oneof![Just(12_346u32), (0u32..9).prop_map(|n| 12_347 | n << 16)],
        ) {
            bytes.splice(0..0, cookie.to_le_bytes());
            bytes.splice(0..0, 7u32.to_le_bytes());
            bytes.splice(0..0, buckets.to_le_bytes());
            if let Some(view) = RowSetView::parse(&bytes) {
                let _ = (view.check(), view.len(), view.largest(), view.ranges().count());
            }
        }
    }

    #[test]
    fn what_is_out_of_order_is_found() {
        let sound = encode_rows(&[1, 7, (3 << 32) + 9]);
        assert_eq!(read(&sound), [1, 7, (3 << 32) + 9]);
        let second = sound.len() - 22;
        assert_eq!(sound[second..second + 4], 3u32.to_le_bytes());
        let changed = |at: usize, value: u8| {
            let mut bytes = sound.clone();
            bytes[at] = value;
            RowSetView::parse(&bytes).is_some_and(|view| view.check())
        };
        assert!(!changed(second, 0), "high halves ascend");
        assert!(!changed(0, 1), "nothing follows the last bucket");
        assert!(!changed(0, 3), "each bucket is whole");
        assert!(!changed(second - 2, 0), "numbers ascend");
        let padded = |length: usize, value: u8| {
            let mut bytes = sound.clone();
            bytes.resize(sound.len() + length, value);
            RowSetView::parse(&bytes).is_some_and(|view| view.check())
        };
        assert!(padded(3, 0) && !padded(4, 0) && !padded(1, 1));
        let mut empty_bucket = 1u64.to_le_bytes().to_vec();
        empty_bucket.extend([0; 4]);
        empty_bucket.extend(roaring::encode(&[]));
        assert!(RowSetView::parse(&empty_bucket).is_some_and(|view| !view.check()));
    }

    #[test]
    fn the_number_that_no_row_has_is_no_overflow() {
        let bytes = encode_rows(&[u64::MAX - 1, u64::MAX]);
        let view = RowSetView::parse(&bytes).unwrap();
        assert_eq!((view.largest(), view.ranges().next()), (Some(u64::MAX), Some(u64::MAX - 1..u64::MAX)));
    }
}

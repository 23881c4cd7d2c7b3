//! REFCOUNT: which branches were made at which epochs of this file. A help for people and tools: it can be made again from the branches.

use crate::build::Draft;
use crate::segment::Payload;
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, Result, layout};
use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::U64;

layout! {
    /// A branch of this file.
    pub struct BranchEntry = "branch-entry", 32 bytes {
        /// Of this file, where the branch begins.
        0x00 epoch: "u64" U64,
        /// File id of the branch.
        0x08 child_id: "[16]" [u8; 16],
        /// 0.
        0x18 reserved: "u64" U64,
    }
}

const TAG_ENTRIES: u32 = 1;

/// A draft of a REFCOUNT with entries by ascending epoch and child.
pub fn draft(entries: &[BranchEntry]) -> Draft<'_> {
    Draft::new(Kind::REFCOUNT, 1).section(TAG_ENTRIES, entries.as_bytes())
}

impl BranchEntry {
    /// The entry of the branch `child_id`, which begins at `epoch`.
    pub fn new(epoch: u64, child_id: [u8; 16]) -> Self {
        Self { epoch: epoch.into(), child_id, reserved: U64::ZERO }
    }
}

/// A REFCOUNT segment in place.
#[derive(Clone, Debug)]
pub struct RefcountView {
    entries: Bytes,
}

impl RefcountView {
    /// Parses the REFCOUNT at file offset `at`.
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6.
    pub fn parse(segment: Bytes, at: u64) -> Result<Self> {
        let payload = Payload::parse(segment, at, Kind::REFCOUNT, &[1])?;
        let entries = payload.required(TAG_ENTRIES)?;
        if entries.len() % size_of::<BranchEntry>() != 0 {
            let place = payload.place_of(TAG_ENTRIES);
            return Err(Error::corrupt(Clause::Pay6, place, "a REFCOUNT is not a whole number of entries"));
        }
        Ok(Self { entries })
    }

    /// The entries.
    pub fn entries(&self) -> &[BranchEntry] {
        self.entries.as_slice().unwrap_or_default()
    }

    /// Checks that entries ascend and reserved fields are zero; `at` is the file offset of the segment.
    ///
    /// # Errors
    /// REF-1.
    pub fn check(&self, at: u64) -> Result<()> {
        let key = |entry: &BranchEntry| (entry.epoch.get(), entry.child_id);
        let ascending = self.entries().is_sorted_by(|a, b| key(a) < key(b));
        if ascending && self.entries().iter().all(|entry| entry.reserved.get() == 0) {
            return Ok(());
        }
        Err(Error::corrupt(Clause::Ref1, at, "entries of a REFCOUNT are out of order or have reserved fields set"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(entries: &[BranchEntry]) -> RefcountView {
        RefcountView::parse(Bytes::from(draft(entries).encode(1, 0).unwrap()), 0).unwrap()
    }

    #[test]
    fn round_trip_and_check() {
        let entries = [BranchEntry::new(2, [9; 16]), BranchEntry::new(3, [1; 16]), BranchEntry::new(3, [2; 16])];
        let view = parse(&entries);
        assert_eq!(view.entries(), entries);
        view.check(0).unwrap();
        parse(&[]).check(0).unwrap();
    }

    #[test]
    fn entries_twice_out_of_order_or_with_reserved_fields_are_found() {
        let (a, b) = (BranchEntry::new(2, [9; 16]), BranchEntry::new(3, [1; 16]));
        let mut reserved = b;
        reserved.reserved.set(1);
        for entries in [[a, a], [b, a], [a, reserved]] {
            assert_eq!(parse(&entries).check(0).unwrap_err().clause(), Some(Clause::Ref1));
        }
        let cut = Draft::new(Kind::REFCOUNT, 1).section(TAG_ENTRIES, vec![0; 33]).encode(1, 0).unwrap();
        assert_eq!(RefcountView::parse(Bytes::from(cut), 0).unwrap_err().clause(), Some(Clause::Pay6));
    }
}

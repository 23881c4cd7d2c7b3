//! COW_MAP: rows of the parents that a branch replaced or deleted. MEMBERSHIP: those that it sees at all. Both are one set of rows.

use crate::build::Draft;
use crate::row_set::{RowSetView, encode_rows};
use crate::segment::Payload;
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, Result};
use std::ops::Range;

const TAG_ROWS: u32 = 1;
/// Form of a MEMBERSHIP of the rows that are seen.
const INCLUDE: u16 = 1;
/// Form of a MEMBERSHIP of the rows that are not.
const EXCLUDE: u16 = 2;

/// A draft of a COW_MAP of inherited rows, which ascend strictly.
pub fn cow_map(rows: &[u64]) -> Draft<'static> {
    Draft::new(Kind::COW_MAP, 1).section(TAG_ROWS, encode_rows(rows))
}

/// A draft of a MEMBERSHIP: of the inherited rows only `rows` are seen (`include`), or all but those. They ascend strictly.
pub fn membership(include: bool, rows: &[u64]) -> Draft<'static> {
    Draft::new(Kind::MEMBERSHIP, if include { INCLUDE } else { EXCLUDE }).section(TAG_ROWS, encode_rows(rows))
}

/// The rows of a COW_MAP or MEMBERSHIP segment in place.
#[derive(Clone, Debug)]
pub struct RowSet {
    rows: Bytes,
    kind: Kind,
    form: u16,
    at: u64,
}

impl RowSet {
    /// Parses the segment of this kind, COW_MAP or MEMBERSHIP, at file offset `at`.
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6; COW-1 where the parts of the set do not lie in the section.
    pub fn parse(segment: Bytes, at: u64, kind: Kind) -> Result<Self> {
        let forms: &[u16] = if kind == Kind::MEMBERSHIP { &[INCLUDE, EXCLUDE] } else { &[1] };
        let payload = Payload::parse(segment, at, kind, forms)?;
        let (rows, at) = (payload.required(TAG_ROWS)?, payload.place_of(TAG_ROWS));
        if RowSetView::parse(&rows).is_none() {
            return Err(Error::corrupt(Clause::Cow1, at, "a set of rows is cut off"));
        }
        Ok(Self { rows, kind, form: payload.form, at })
    }

    /// Whether it is a MEMBERSHIP of the rows that are seen; the rows of any other are hidden.
    pub fn is_include(&self) -> bool {
        self.kind == Kind::MEMBERSHIP && self.form == INCLUDE
    }

    /// The rows, ascending; ranges may touch.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        RowSetView::parse(&self.rows).into_iter().flat_map(RowSetView::ranges)
    }

    /// How many rows there are.
    pub fn len(&self) -> u64 {
        RowSetView::parse(&self.rows).map_or(0, |rows| rows.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks the set, and that its rows are below `first_row`: that they are inherited.
    ///
    /// # Errors
    /// COW-1, BRN-2.
    pub fn check(&self, first_row: u64) -> Result<()> {
        let wrong = |clause, what| Err(Error::corrupt(clause, self.at, what));
        let Some(rows) = RowSetView::parse(&self.rows).filter(RowSetView::check) else {
            return wrong(Clause::Cow1, "a set of rows is malformed");
        };
        if self.kind == Kind::COW_MAP && rows.is_empty() {
            return wrong(Clause::Cow1, "a COW_MAP names no row");
        }
        if rows.largest().is_some_and(|row| row >= first_row) {
            return wrong(Clause::Brn2, "a row of a COW_MAP or MEMBERSHIP is not inherited");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(draft: &Draft<'_>) -> Result<RowSet> {
        RowSet::parse(Bytes::from(draft.encode(1, 0).unwrap()), 0, draft.kind)
    }

    #[test]
    fn round_trip_and_check() {
        let rows = [3, 4, 5, 9, 70_000, 5 << 32];
        for (draft, include) in
            [(cow_map(&rows), false), (membership(true, &rows), true), (membership(false, &rows), false)]
        {
            let set = parse(&draft).unwrap();
            assert_eq!((set.is_include(), set.len()), (include, rows.len() as u64));
            assert_eq!(set.ranges().flatten().collect::<Vec<_>>(), rows);
            set.check((5 << 32) + 1).unwrap();
            assert_eq!(set.check(5 << 32).unwrap_err().clause(), Some(Clause::Brn2));
        }
    }

    #[test]
    fn only_a_cow_map_must_name_a_row() {
        assert_eq!(parse(&cow_map(&[])).unwrap().check(9).unwrap_err().clause(), Some(Clause::Cow1));
        let none = parse(&membership(true, &[])).unwrap();
        none.check(0).unwrap();
        assert!(none.is_empty() && none.is_include());
    }

    #[test]
    fn sets_that_are_not_whole_or_not_in_order_are_told_apart() {
        let mut rows = encode_rows(&[1, 2]);
        let last = rows.len() - 2;
        rows[last] = 1;
        let draft = |rows: &[u8]| Draft::new(Kind::COW_MAP, 1).section(TAG_ROWS, rows.to_vec());
        assert_eq!(parse(&draft(&rows)).unwrap().check(9).unwrap_err().clause(), Some(Clause::Cow1));
        assert_eq!(parse(&draft(&rows[..last])).unwrap_err().clause(), Some(Clause::Cow1));
        let form = Draft::new(Kind::COW_MAP, 2).section(TAG_ROWS, rows.clone());
        assert_eq!(parse(&form).unwrap_err().clause(), Some(Clause::Pay1));
        assert_eq!(parse(&Draft::new(Kind::COW_MAP, 1)).unwrap_err().clause(), Some(Clause::Pay6));
    }
}

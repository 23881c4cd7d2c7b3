//! META, form 2, and DELTA: the metadata of records, a column a field, read in place. META is that of all rows of a VEC segment,
//! DELTA that of some rows, over what META and earlier DELTA segments say of them.
//!
//! ```text
//! | FACTS | ROWS, of DELTA | FIELDS | NAMES | DATA |
//! DATA, by field:  presence bits, if any is null | values | dictionary: starts, bytes | items of lists       then long texts
//! ```
//! [`ColumnsView::parse`] checks the geometry, in the time that the fields take; what columns hold is read with checks of its own, and
//! judged by [`ColumnsView::check`].
//!
//! | file | owns |
//! | --- | --- |
//! | `mod.rs` | the layouts, [`ColumnsView`] |
//! | `column.rs` | [`Column`]: one field in place |
//! | `build.rs` | [`Builder`]: records to a draft |
//! | `check.rs` | what columns hold |

mod build;
mod check;
mod column;
#[cfg(test)]
mod tests;

pub use build::{Builder, Clash, Given};
pub use column::{Codes, Column, ListRef, Numbers, ValueRef};

use crate::limits::{MAX_FIELD_NAME, MAX_FIELDS};
use crate::manifest::ManifestEntry;
use crate::segment::Payload;
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, Result, layout};
use zerocopy::FromBytes;
use zerocopy::byteorder::little_endian::{I64, U16, U32, U64};

layout! {
    /// Facts of a META segment of form 2, and of a DELTA.
    pub struct ColumnsFacts = "columns-facts", 16 bytes {
        /// Records.
        0x00 count: "u32" U32,
        /// Fields.
        0x04 fields: "u32" U32,
        /// 0.
        0x08 reserved: "u64" U64,
    }
}

layout! {
    /// One field. Places are offsets into DATA in units of 8 bytes.
    pub struct FieldFacts = "meta-field", 64 bytes {
        /// Where its name begins in NAMES.
        0x00 name: "u32" U32,
        /// Bytes of the name.
        0x04 name_length: "u16" U16,
        /// Code of a [`FieldKind`].
        0x06 kind: "u8" u8,
        /// Bytes of a number or code: 1, 2, 4 or 8; 0 for bool.
        0x07 width: "u8" u8,
        /// Records that have a value.
        0x08 present: "u32" U32,
        /// Entries of the dictionary.
        0x0C entries: "u32" U32,
        /// What is added to each number of an i64 field.
        0x10 base: "u64" I64,
        /// Presence bits; [`NOWHERE`] where every record has a value.
        0x18 presence: "u32" U32,
        /// Values.
        0x1C values: "u32" U32,
        /// Where entries of the dictionary begin.
        0x20 starts: "u32" U32,
        /// Their bytes.
        0x24 bytes: "u32" U32,
        /// Codes of the items of lists.
        0x28 items: "u32" U32,
        /// Number of items.
        0x2C item_count: "u32" U32,
        /// Where long texts begin.
        0x30 text_starts: "u32" U32,
        /// Their bytes.
        0x34 text_bytes: "u32" U32,
        /// Number of long texts.
        0x38 texts: "u32" U32,
        /// 0.
        0x3C reserved: "u32" U32,
    }
}

/// A place that is none.
pub const NOWHERE: u32 = u32::MAX;
/// Longest string that is a dictionary's entry, bytes; a longer one is a long text.
pub const MAX_ENTRY: usize = 255;
/// Form of META segments that hold columns.
pub const FORM: u16 = 2;

/// Section of [`ColumnsFacts`].
pub const TAG_FACTS: u32 = 1;
/// Section of the rows of a DELTA.
pub const TAG_ROWS: u32 = 2;
const TAG_FIELDS: u32 = 3;
const TAG_NAMES: u32 = 4;
const TAG_DATA: u32 = 5;

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum FieldKind {
    /// A bit a record.
    Bool = 1,
    /// Whole numbers of 64 bits.
    I64 = 2,
    /// Finite binary64.
    F64 = 3,
    /// UTF-8.
    Str = 4,
    /// Strings in their order.
    List = 5,
    /// Bytes.
    Bytes = 6,
}

impl FieldKind {
    /// The kind of a code.
    pub fn of_code(code: u8) -> Option<Self> {
        [Self::Bool, Self::I64, Self::F64, Self::Str, Self::List, Self::Bytes].into_iter().find(|k| *k as u8 == code)
    }
}

/// A META segment of form 2, or a DELTA, in place.
#[derive(Clone, Debug)]
pub struct ColumnsView {
    count: u32,
    /// Row numbers, of a DELTA.
    rows: Option<Bytes>,
    fields: Vec<FieldFacts>,
    names: Bytes,
    data: Bytes,
    at: u64,
    base_row: u64,
}

impl ColumnsView {
    /// Parses the META or DELTA segment of `entry`. Reads facts of fields and their names, nothing a record.
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6, META-2.
    pub fn parse(segment: Bytes, entry: &ManifestEntry) -> Result<Self> {
        let (kind, form) = if entry.kind() == Kind::DELTA { (Kind::DELTA, 1) } else { (Kind::META, FORM) };
        let payload = Payload::parse(segment, entry.offset.get(), kind, &[form])?;
        let facts: ColumnsFacts = payload.facts(TAG_FACTS)?;
        let wrong = |tag, what| Error::corrupt(Clause::Meta2, payload.place_of(tag), what);
        let count = facts.count.get();
        let many = facts.fields.get() as usize > MAX_FIELDS;
        if count != entry.rows.get() || count == 0 || many || facts.reserved.get() != 0 {
            return Err(wrong(TAG_FACTS, "metadata does not fit its entry"));
        }
        let rows = match kind {
            Kind::DELTA => Some(payload.required_exact(TAG_ROWS, u64::from(count) * 8)?),
            _ => None,
        };
        let bytes = payload.required_exact(TAG_FIELDS, u64::from(facts.fields.get()) * 64)?;
        let names = payload.required(TAG_NAMES)?;
        let data = payload.required(TAG_DATA)?;
        let fields = bytes.as_slice::<FieldFacts>().unwrap_or_default().to_vec();
        let (at, base_row) = (entry.offset.get(), entry.base_row.get());
        let view = Self { count, rows, fields, names, data, at, base_row };
        let mut last: Option<&str> = None;
        for field in &view.fields {
            let name = view.name_of(field).ok_or_else(|| wrong(TAG_NAMES, "the name of a field is malformed"))?;
            if last.is_some_and(|last| last >= name) {
                return Err(wrong(TAG_FIELDS, "fields are not in order"));
            }
            last = Some(name);
            Column::new(&view, field).ok_or_else(|| wrong(TAG_FIELDS, "a column does not fit into its segment"))?;
        }
        if view.row_numbers().is_some_and(|rows| rows.first().is_none_or(|first| first.get() != base_row)) {
            return Err(wrong(TAG_ROWS, "the first row is not that of the entry"));
        }
        Ok(view)
    }

    /// Records.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// File offset of the segment.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The row of each record, ascending, of a DELTA.
    pub fn row_numbers(&self) -> Option<&[U64]> {
        self.rows.as_ref().and_then(|rows| rows.as_slice())
    }

    /// The row of a record.
    pub fn row(&self, position: u32) -> u64 {
        match self.row_numbers() {
            Some(rows) => rows.get(position as usize).map_or(u64::MAX, |row| row.get()),
            None => self.base_row.saturating_add(u64::from(position)),
        }
    }

    /// The record of a row.
    pub fn position(&self, row: u64) -> Option<u32> {
        match self.row_numbers() {
            Some(rows) => rows.binary_search_by_key(&row, |row| row.get()).ok().map(|at| at as u32),
            None => row.checked_sub(self.base_row).filter(|at| *at < u64::from(self.count)).map(|at| at as u32),
        }
    }

    /// All fields by ascending name.
    pub fn columns(&self) -> impl Iterator<Item = Column<'_>> {
        self.fields.iter().filter_map(|field| Column::new(self, field))
    }

    /// The fields' number.
    pub fn fields(&self) -> usize {
        self.fields.len()
    }

    /// The field at a place by ascending name.
    pub fn column_at(&self, at: usize) -> Option<Column<'_>> {
        self.fields.get(at).and_then(|field| Column::new(self, field))
    }

    /// The place of a field by its name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.fields.binary_search_by(|field| self.name_of(field).unwrap_or_default().cmp(name)).ok()
    }

    /// A field by its name.
    pub fn column(&self, name: &str) -> Option<Column<'_>> {
        self.column_at(self.find(name)?)
    }

    fn name_of(&self, field: &FieldFacts) -> Option<&str> {
        let start = field.name.get() as usize;
        let name = self.names.get(start..start.checked_add(usize::from(field.name_length.get()))?)?;
        let name = core::str::from_utf8(name).ok()?;
        is_field_name(name).then_some(name)
    }

    /// The bytes of DATA from a place on.
    fn data_at(&self, place: u32) -> Option<&[u8]> {
        self.data.get((place as usize).checked_mul(8)?..)
    }

    /// `count` structures from a place on.
    fn slice_at<T: FromBytes + zerocopy::Immutable + zerocopy::KnownLayout + zerocopy::Unaligned>(
        &self,
        place: u32,
        count: usize,
    ) -> Option<&[T]> {
        let bytes = self.data_at(place)?.get(..count.checked_mul(size_of::<T>())?)?;
        <[T]>::ref_from_bytes(bytes).ok()
    }
}

/// A whole number as binary64, if it is one exactly: only such go into a field of f64 (META-5).
pub fn whole_as_f64(value: i64) -> Option<f64> {
    let float = value as f64;
    // The largest i64 rounds to 2^63, which would come back as another number.
    (float < 9_223_372_036_854_775_808.0 && float as i64 == value).then_some(float)
}

/// Whether `name` can be a field: 1 to 1,024 bytes without U+0000.
pub fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_FIELD_NAME && !name.contains('\0')
}

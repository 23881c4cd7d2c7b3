//! META_IDX: for each field of a META segment, which records have a value.
//!
//! ```text
//! | FACTS | FIELDS, in the order of META's | DATA |
//! string, list:  starts, one an entry of the dictionary -> postings: records of each entry, a list or a Roaring set
//! i64, f64:      records by ascending number
//! ```
//! What META says decides every byte of it: [`check`] makes it anew and compares.

use super::columns::{Column, ColumnsView, FieldKind, Numbers};
use crate::build::Draft;
use crate::manifest::ManifestEntry;
use crate::roaring::{self, RoaringView};
use crate::segment::Payload;
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, Result, layout};
use zerocopy::byteorder::little_endian::{U32, U64};
use zerocopy::{FromBytes, IntoBytes};

layout! {
    /// Facts of a META_IDX segment.
    pub struct LookupFacts = "lookup-facts", 16 bytes {
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
    pub struct LookupField = "lookup-field", 16 bytes {
        /// Entries of the dictionary, or records that have a number.
        0x00 count: "u32" U32,
        /// Where the postings of each entry begin, or records by number.
        0x04 places: "u32" U32,
        /// Postings.
        0x08 postings: "u32" U32,
        /// 0.
        0x0C reserved: "u32" U32,
    }
}

/// Set in the start of a posting that is a Roaring set.
const IS_SET: u32 = 1 << 31;
/// Fewest records of a META segment that gets a META_IDX: fewer are compared as fast.
pub const LEAST_RECORDS: u32 = 1024;

/// Section of [`LookupFacts`].
pub const TAG_FACTS: u32 = 1;
const TAG_FIELDS: u32 = 2;
const TAG_DATA: u32 = 3;

/// A META_IDX segment in place.
#[derive(Clone, Debug)]
pub struct LookupView {
    fields: Bytes,
    data: Bytes,
}

/// The records of one entry.
#[derive(Clone, Copy, Debug)]
pub enum Posting<'a> {
    /// Few of them, ascending.
    List(&'a [U32]),
    /// Many.
    Set(RoaringView<'a>),
}

impl Posting<'_> {
    /// How many records there are.
    pub fn len(&self) -> u64 {
        match self {
            Posting::List(list) => list.len() as u64,
            Posting::Set(set) => set.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets the bit of each record below 64 `words.len()`.
    pub fn insert_into(&self, words: &mut [u64]) {
        match self {
            Posting::Set(set) => set.insert_into(words),
            Posting::List(list) => {
                for record in list.iter().map(|record| record.get() as usize) {
                    if let Some(word) = words.get_mut(record / 64) {
                        *word |= 1 << (record % 64);
                    }
                }
            }
        }
    }
}

impl LookupView {
    /// Parses the META_IDX segment of `entry`, which belongs to `columns`. Reads facts, nothing a record.
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6, MIX-1.
    pub fn parse(segment: Bytes, entry: &ManifestEntry, columns: &ColumnsView) -> Result<Self> {
        let payload = Payload::parse(segment, entry.offset.get(), Kind::META_IDX, &[1])?;
        let facts: LookupFacts = payload.facts(TAG_FACTS)?;
        let wrong = |tag, what| Error::corrupt(Clause::Mix1, payload.place_of(tag), what);
        let fits = facts.count.get() == columns.count()
            && facts.count.get() == entry.rows.get()
            && facts.fields.get() as usize == columns.fields()
            && facts.reserved.get() == 0;
        if !fits {
            return Err(wrong(TAG_FACTS, "a META_IDX does not fit its META segment"));
        }
        let fields = payload.required_exact(TAG_FIELDS, u64::from(facts.fields.get()) * 16)?;
        let data = payload.required(TAG_DATA)?;
        let view = Self { fields, data };
        for (at, column) in columns.columns().enumerate() {
            let fits = view.field(at).is_some_and(|field| view.fits(field, &column));
            fits.then_some(()).ok_or_else(|| wrong(TAG_FIELDS, "a field of a META_IDX does not fit its column"))?;
        }
        Ok(view)
    }

    /// The records of an entry of the dictionary of the field at a place; `None` if they cannot be read.
    pub fn posting(&self, field: usize, entry: u32) -> Option<Posting<'_>> {
        let field = self.field(field)?;
        let starts = self.slice::<U32>(field.places.get(), field.count.get() as usize + 1)?;
        let (start, end) = (starts.get(entry as usize)?.get(), starts.get(entry as usize + 1)?.get() & !IS_SET);
        let postings = self.at(field.postings.get())?;
        let bytes = postings.get((start & !IS_SET) as usize * 4..end as usize * 4)?;
        match start & IS_SET {
            0 => <[U32]>::ref_from_bytes(bytes).ok().map(Posting::List),
            _ => RoaringView::parse(bytes).map(Posting::Set),
        }
    }

    /// The records that have a number in the field at a place, by ascending number.
    pub fn by_number(&self, field: usize) -> Option<&[U32]> {
        let field = self.field(field)?;
        self.slice(field.places.get(), field.count.get() as usize)
    }

    fn field(&self, at: usize) -> Option<&LookupField> {
        self.fields.as_slice::<LookupField>()?.get(at)
    }

    fn fits(&self, field: &LookupField, column: &Column<'_>) -> bool {
        match column.kind() {
            FieldKind::Bool | FieldKind::Bytes => field.as_bytes() == [0; 16],
            FieldKind::I64 | FieldKind::F64 => {
                field.count.get() == column.present()
                    && field.postings.get() == 0
                    && self.slice::<U32>(field.places.get(), field.count.get() as usize).is_some()
            }
            FieldKind::Str | FieldKind::List => {
                let starts = self.slice::<U32>(field.places.get(), field.count.get() as usize + 1);
                let last = starts.and_then(|starts| starts.last()).map(|last| (last.get() & !IS_SET) as usize * 4);
                let postings = self.at(field.postings.get());
                let fits = last.zip(postings).is_some_and(|(last, postings)| last <= postings.len());
                field.count.get() == column.entries() && fits
            }
        }
    }

    fn at(&self, place: u32) -> Option<&[u8]> {
        self.data.get((place as usize).checked_mul(8)?..)
    }

    fn slice<T: FromBytes + zerocopy::Immutable + zerocopy::KnownLayout + zerocopy::Unaligned>(
        &self,
        place: u32,
        count: usize,
    ) -> Option<&[T]> {
        <[T]>::ref_from_bytes(self.at(place)?.get(..count.checked_mul(size_of::<T>())?)?).ok()
    }
}

/// The META_IDX of a META segment whose rows begin with `base_row`.
///
/// # Errors
/// META-3 if a value cannot be read; [`Error::SegmentTooLarge`].
pub fn draft(columns: &ColumnsView, base_row: u64) -> Result<Draft<'static>> {
    let (fields, data) = encode(columns)?;
    let mut facts = LookupFacts::zeroed();
    (facts.count, facts.fields) = (columns.count().into(), (fields.len() as u32).into());
    Ok(Draft::new(Kind::META_IDX, 1)
        .rows(base_row, columns.count())
        .section(TAG_FACTS, facts.as_bytes().to_vec())
        .section(TAG_FIELDS, fields.as_bytes().to_vec())
        .section(TAG_DATA, data))
}

/// Checks that a META_IDX at file offset `at` is that of `columns`.
///
/// # Errors
/// MIX-2; META-3 if a value cannot be read.
pub fn check(view: &LookupView, columns: &ColumnsView, at: u64) -> Result<()> {
    let (fields, data) = encode(columns)?;
    match view.fields.as_slice() == Some(&fields[..]) && *view.data == data[..] {
        true => Ok(()),
        false => Err(Error::corrupt(Clause::Mix2, at, "a META_IDX does not find what its META segment holds")),
    }
}

fn encode(columns: &ColumnsView) -> Result<(Vec<LookupField>, Vec<u8>)> {
    let (mut fields, mut data) = (Vec::new(), Vec::new());
    for column in columns.columns() {
        let field = match column.kind() {
            FieldKind::Bool | FieldKind::Bytes => Some(LookupField::zeroed()),
            FieldKind::I64 | FieldKind::F64 => encode_numbers(&column, &mut data),
            FieldKind::Str | FieldKind::List => encode_postings(&column, &mut data),
        };
        fields.push(field.ok_or(Error::corrupt(Clause::Meta3, columns.at(), "a value cannot be read"))?);
    }
    Ok((fields, data))
}

fn encode_numbers(column: &Column<'_>, data: &mut Vec<u8>) -> Option<LookupField> {
    let mut records: Vec<u32> = (0..column.count()).filter(|record| column.is_present(*record)).collect();
    match column.numbers()? {
        Numbers::I64(_, above) => {
            let above: Vec<u64> = (0..column.count()).map(|record| above.get(record)).collect::<Option<_>>()?;
            records.sort_by_key(|record| above[*record as usize]);
        }
        // -0 is 0; there are no others that are neither smaller nor larger.
        Numbers::F64(values) => records.sort_by(|a, b| {
            let of = |record: &u32| values.get(*record as usize).map_or(0.0, |value| value.get());
            of(a).partial_cmp(&of(b)).unwrap_or(core::cmp::Ordering::Equal)
        }),
    }
    let mut field = LookupField::zeroed();
    field.count.set(records.len() as u32);
    field.places = put(&records.iter().flat_map(|record| record.to_le_bytes()).collect::<Vec<u8>>(), data)?;
    Some(field)
}

fn encode_postings(column: &Column<'_>, data: &mut Vec<u8>) -> Option<LookupField> {
    let mut records = vec![Vec::new(); column.entries() as usize];
    let codes = if column.kind() == FieldKind::List { column.item_codes()? } else { column.codes()? };
    for record in (0..column.count()).filter(|record| column.is_present(*record)) {
        let (first, end) = if column.kind() == FieldKind::List { column.items(record)? } else { (record, record + 1) };
        for at in first..end {
            // Long texts have no entry. A list may name one twice.
            if let Some(records) = records.get_mut(usize::try_from(codes.get(at)?).ok()?)
                && records.last() != Some(&record)
            {
                records.push(record);
            }
        }
    }
    let (mut starts, mut postings) = (Vec::with_capacity(records.len() + 1), Vec::<u8>::new());
    for records in &records {
        let start = u32::try_from(postings.len() / 4).ok().filter(|start| *start < IS_SET)?;
        let set = roaring::encode(records);
        let is_set = set.len() < records.len() * 4;
        starts.push(U32::new(start | if is_set { IS_SET } else { 0 }));
        match is_set {
            true => postings.extend_from_slice(&set),
            false => postings.extend(records.iter().flat_map(|record| record.to_le_bytes())),
        }
        postings.resize(postings.len().next_multiple_of(4), 0);
    }
    starts.push(U32::new(u32::try_from(postings.len() / 4).ok().filter(|start| *start < IS_SET)?));
    let mut field = LookupField::zeroed();
    field.count.set(column.entries());
    field.places = put(starts.as_bytes(), data)?;
    field.postings = put(&postings, data)?;
    Some(field)
}

/// Appends bytes on the next multiple of 8; their place.
fn put(bytes: &[u8], data: &mut Vec<u8>) -> Option<U32> {
    data.resize(data.len().next_multiple_of(8), 0);
    let place = u32::try_from(data.len() / 8).ok()?;
    data.extend_from_slice(bytes);
    Some(U32::new(place))
}

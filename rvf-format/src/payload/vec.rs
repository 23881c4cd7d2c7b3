//! VEC: vectors and ids.
//!
//! ```text
//! | FACTS | VECTORS: row 0 | row 1 | ... | IDS (u64) or ID_OFFSETS + ID_BYTES (string) | ORDER, if ids do not ascend |
//! ```
//! Geometry is checked by [`VecView::parse`]; behind it `row(r)` and `id(r)` are inside the segment for r < count.

use crate::build::Draft;
use crate::manifest::ManifestEntry;
use crate::segment::Payload;
use crate::storage::Bytes;
use crate::{Clause, Dtype, Error, IdType, Kind, Metric, Result, Schema, layout};
use core::cmp::Ordering;
use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::{U16, U32, U64};

layout! {
    /// Facts of a VEC segment.
    pub struct VecFacts = "vec-facts", 32 bytes {
        /// Components of a vector.
        0x00 dimension: "u32" U32,
        /// Code of the dtype.
        0x04 dtype: "u8" u8,
        /// Code of the id type.
        0x05 id_type: "u8" u8,
        /// 0.
        0x06 reserved_a: "u16" U16,
        /// Rows.
        0x08 count: "u32" U32,
        /// Bytes from row to row.
        0x0C stride: "u32" U32,
        /// 0.
        0x10 reserved_b: "[16]" [u8; 16],
    }
}

/// Section of [`VecFacts`].
pub const TAG_FACTS: u32 = 1;
/// Section of the rows.
pub const TAG_VECTORS: u32 = 2;
/// Section of numeric ids.
pub const TAG_IDS: u32 = 3;
/// Section of offsets of string ids.
pub const TAG_ID_OFFSETS: u32 = 4;
/// Section of the text of string ids.
pub const TAG_ID_BYTES: u32 = 5;
/// Section of rows by ascending id.
pub const TAG_ORDER: u32 = 6;

/// An id without its store: borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdRef<'a> {
    /// A number.
    U64(u64),
    /// A string.
    Str(&'a str),
}

/// Ids of a VEC segment to be written.
#[derive(Clone, Copy, Debug)]
pub enum IdColumn<'a> {
    /// Numbers.
    U64(&'a [u64]),
    /// Strings.
    Str(&'a [&'a str]),
}

impl<'a> IdColumn<'a> {
    /// Number of ids.
    pub fn len(&self) -> usize {
        match self {
            IdColumn::U64(ids) => ids.len(),
            IdColumn::Str(ids) => ids.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn compare(&self, a: u32, b: u32) -> Ordering {
        let (x, y) = (a as usize, b as usize);
        match self {
            IdColumn::U64(ids) => ids[x].cmp(&ids[y]),
            IdColumn::Str(ids) => ids[x].cmp(ids[y]),
        }
    }

    /// Rows by ascending (id, row); `None` where ids ascend strictly with rows.
    pub fn order(&self) -> Option<Vec<u32>> {
        let count = self.len() as u32;
        if (1..count).all(|row| self.compare(row - 1, row) == Ordering::Less) {
            return None;
        }
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_by(|a, b| self.compare(*a, *b));
        Some(order)
    }
}

/// A draft of a VEC segment. `vectors` holds `ids.len()` packed rows. The caller has checked ids and vectors and that the
/// text of string ids is below 4 GiB.
pub fn draft<'a>(schema: &Schema, base_row: u64, vectors: &'a [u8], ids: IdColumn<'a>) -> Draft<'a> {
    let mut facts = VecFacts::zeroed();
    facts.dimension.set(schema.dimension);
    facts.dtype = schema.dtype.code();
    facts.id_type = schema.id_type.code();
    facts.count.set(ids.len() as u32);
    facts.stride.set(schema.row_len() as u32);
    let draft = Draft::new(Kind::VEC, 1).rows(base_row, ids.len() as u32);
    let draft = draft.section(TAG_FACTS, facts.as_bytes().to_vec()).section(TAG_VECTORS, vectors);
    let draft = match ids {
        IdColumn::U64(numbers) => draft.section(TAG_IDS, le_bytes_u64(numbers)),
        IdColumn::Str(texts) => {
            let mut offsets = vec![U32::new(0)];
            let mut end = 0;
            for text in texts {
                end += text.len() as u32;
                offsets.push(U32::new(end));
            }
            draft
                .section(TAG_ID_OFFSETS, offsets.as_bytes().to_vec())
                .section(TAG_ID_BYTES, texts.concat().into_bytes())
        }
    };
    match ids.order() {
        Some(order) => draft.section(TAG_ORDER, order.iter().flat_map(|row| row.to_le_bytes()).collect::<Vec<u8>>()),
        None => draft,
    }
}

fn le_bytes_u64(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// A VEC segment in place.
#[derive(Clone, Debug)]
pub struct VecView {
    count: u32,
    stride: usize,
    vectors: Bytes,
    ids: IdBytes,
    order: Option<Bytes>,
}

#[derive(Clone, Debug)]
enum IdBytes {
    U64(Bytes),
    Str { offsets: Bytes, text: Bytes },
}

impl VecView {
    /// Parses the VEC segment of `entry` in O(1): nothing is read a row.
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6, VEC-1.
    pub fn parse(segment: Bytes, entry: &ManifestEntry, schema: &Schema) -> Result<Self> {
        let payload = Payload::parse(segment, entry.offset.get(), Kind::VEC, &[1])?;
        let facts: VecFacts = payload.facts(TAG_FACTS)?;
        check_facts(&facts, entry, schema, payload.place_of(TAG_FACTS))?;
        let (count, stride) = (facts.count.get(), facts.stride.get());
        let rows = u64::from(count);
        let ids = match schema.id_type {
            IdType::U64 => IdBytes::U64(payload.required_exact(TAG_IDS, rows * 8)?),
            IdType::Str => IdBytes::Str {
                offsets: payload.required_exact(TAG_ID_OFFSETS, (rows + 1) * 4)?,
                text: payload.required(TAG_ID_BYTES)?,
            },
        };
        let order = match payload.section(TAG_ORDER) {
            Some(_) => Some(payload.required_exact(TAG_ORDER, rows * 4)?),
            None => None,
        };
        let vectors = payload.required_exact(TAG_VECTORS, rows * u64::from(stride))?;
        Ok(Self { count, stride: stride as usize, vectors, ids, order })
    }

    /// Number of rows.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// All rows, packed, aligned to 64 bytes.
    pub fn vectors(&self) -> &[u8] {
        &self.vectors
    }

    /// All rows, shared.
    pub fn vector_bytes(&self) -> Bytes {
        self.vectors.clone()
    }

    /// The bytes of a row; empty for a row that is not there.
    pub fn row(&self, row: u32) -> &[u8] {
        let start = row as usize * self.stride;
        self.vectors.get(start..start + self.stride).unwrap_or_default()
    }

    /// The id of a row; `None` for a row that is not there or an id that breaks VEC-4.
    pub fn id(&self, row: u32) -> Option<IdRef<'_>> {
        match &self.ids {
            IdBytes::U64(ids) => ids.as_slice::<U64>()?.get(row as usize).map(|id| IdRef::U64(id.get())),
            IdBytes::Str { offsets, text } => {
                let offsets = offsets.as_slice::<U32>()?;
                let start = offsets.get(row as usize)?.get() as usize;
                let end = offsets.get(row as usize + 1)?.get() as usize;
                core::str::from_utf8(text.get(start..end)?).ok().map(IdRef::Str)
            }
        }
    }

    /// The row at `place` in ascending order of ids.
    fn ordered(&self, place: u32) -> Option<u32> {
        match &self.order {
            None => (place < self.count).then_some(place),
            Some(order) => {
                order.as_slice::<U32>()?.get(place as usize).map(|row| row.get()).filter(|row| *row < self.count)
            }
        }
    }

    /// The rows with this id, by binary search (there can be several: at most one of them is live).
    /// Damaged ids or order can hide rows, never yield others.
    pub fn find<'s>(&'s self, id: IdRef<'s>) -> impl Iterator<Item = u32> + 's {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.ordered(middle).and_then(|row| self.id(row)) {
                Some(found) if found < id => low = middle + 1,
                _ => high = middle,
            }
        }
        (low..self.count).map_while(move |place| self.ordered(place).filter(|row| self.id(*row) == Some(id)))
    }

    /// The smallest and the largest id; `None` for an empty or damaged segment.
    pub fn id_range(&self) -> Option<(IdRef<'_>, IdRef<'_>)> {
        let first = self.ordered(0).and_then(|row| self.id(row))?;
        let last = self.ordered(self.count.checked_sub(1)?).and_then(|row| self.id(row))?;
        Some((first, last))
    }

    /// Checks every component (VEC-2): finite, not all zero under cosine, unused bits zero.
    ///
    /// # Errors
    /// VEC-2.
    pub fn check_rows(&self, schema: &Schema, at: u64) -> Result<()> {
        let wrong = |what| Err(Error::corrupt(Clause::Vec2, at, what));
        let finite = match schema.dtype {
            Dtype::F32 => {
                self.vectors.as_chunks::<4>().0.iter().all(|c| u32::from_le_bytes(*c) & 0x7F80_0000 != 0x7F80_0000)
            }
            Dtype::F16 => self.vectors.as_chunks::<2>().0.iter().all(|c| u16::from_le_bytes(*c) & 0x7C00 != 0x7C00),
            Dtype::I8 | Dtype::U8 | Dtype::Binary => true,
        };
        if !finite {
            return wrong("a component is not a finite number");
        }
        let mut rows = self.vectors.chunks(self.stride.max(1));
        if schema.metric == Metric::Cosine && rows.any(|row| schema.dtype.is_zero_row(row)) {
            return wrong("a row is all zero under cosine");
        }
        let unused = (self.stride * 8).saturating_sub(schema.dimension as usize);
        let dirty = |row: &[u8]| row.last().is_some_and(|last| last.trailing_zeros() < unused as u32);
        let mut rows = self.vectors.chunks(self.stride.max(1));
        if schema.dtype == Dtype::Binary && rows.any(dirty) {
            return wrong("unused bits of a row are set");
        }
        Ok(())
    }

    /// Checks order and form of every id (VEC-3, VEC-4).
    ///
    /// # Errors
    /// VEC-3, VEC-4.
    pub fn check_ids(&self, at: u64) -> Result<()> {
        self.check_text(at)?;
        let wrong = |what| Error::corrupt(Clause::Vec3, at, what);
        let mut seen = vec![false; self.count as usize];
        let mut last: Option<(IdRef<'_>, u32)> = None;
        for place in 0..self.count {
            let row = self.ordered(place).ok_or(wrong("the order of ids names a row that is not there"))?;
            let id = self.id(row).ok_or(Error::corrupt(Clause::Vec4, at, "an id is malformed"))?;
            if core::mem::replace(&mut seen[row as usize], true) {
                return Err(wrong("the order of ids names a row twice"));
            }
            let ascending = match last {
                None => true,
                Some((before, before_row)) => before < id || (before == id && self.order.is_some() && before_row < row),
            };
            if !ascending {
                return Err(wrong("ids are not in order"));
            }
            if id == IdRef::U64(u64::MAX) || matches!(id, IdRef::Str(text) if !is_string_id(text)) {
                return Err(Error::corrupt(Clause::Vec4, at, "an id is out of range"));
            }
            last = Some((id, row));
        }
        Ok(())
    }

    fn check_text(&self, at: u64) -> Result<()> {
        let IdBytes::Str { offsets, text } = &self.ids else { return Ok(()) };
        let offsets = offsets.as_slice::<U32>().unwrap_or_default();
        let first = offsets.first().map(|offset| offset.get());
        let last = offsets.last().map(|offset| u64::from(offset.get()));
        if first == Some(0) && last == Some(text.len() as u64) {
            return Ok(());
        }
        Err(Error::corrupt(Clause::Vec4, at, "the offsets of string ids do not span their text"))
    }
}

/// Whether `text` can be a string id: 1 to 1,024 bytes without U+0000.
pub fn is_string_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= crate::limits::MAX_ID_LEN && !text.contains('\0')
}

fn check_facts(facts: &VecFacts, entry: &ManifestEntry, schema: &Schema, at: u64) -> Result<()> {
    let fits = facts.dimension.get() == schema.dimension
        && facts.dtype == schema.dtype.code()
        && facts.id_type == schema.id_type.code()
        && facts.count.get() == entry.rows.get()
        && facts.stride.get() as usize == schema.row_len()
        && facts.reserved_a.get() == 0
        && facts.reserved_b == [0; 16];
    if fits {
        Ok(())
    } else {
        Err(Error::corrupt(Clause::Vec1, at, "a VEC segment does not fit the schema or its entry"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(schema: &Schema, vectors: &[u8], ids: IdColumn<'_>) -> VecView {
        let bytes = draft(schema, 40, vectors, ids).encode(2, 0).unwrap();
        let mut entry = ManifestEntry::zeroed();
        entry.rows.set(ids.len() as u32);
        VecView::parse(Bytes::from(bytes), &entry, schema).unwrap()
    }

    const SCHEMA: Schema = Schema { dimension: 4, dtype: Dtype::U8, metric: Metric::L2, id_type: IdType::U64 };

    #[test]
    fn numeric_ids_are_found_in_any_order() {
        let ids = [30, 10, 20, 10];
        let view = view(&SCHEMA, &[9; 16], IdColumn::U64(&ids));
        assert_eq!(view.find(IdRef::U64(10)).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(view.find(IdRef::U64(30)).collect::<Vec<_>>(), [0]);
        assert_eq!(view.find(IdRef::U64(15)).count(), 0);
        assert_eq!(view.id_range(), Some((IdRef::U64(10), IdRef::U64(30))));
        view.check_ids(0).unwrap();
        assert_eq!(view.row(3), [9; 4]);
        assert!(view.row(4).is_empty());
    }

    #[test]
    fn ascending_ids_need_no_order() {
        let view = view(&SCHEMA, &[1; 12], IdColumn::U64(&[1, 2, 30]));
        assert!(view.order.is_none());
        assert_eq!(view.find(IdRef::U64(30)).collect::<Vec<_>>(), [2]);
        view.check_ids(0).unwrap();
    }

    #[test]
    fn string_ids_compare_by_bytes() {
        let schema = Schema { id_type: IdType::Str, ..SCHEMA };
        let ids = ["b", "ä", "aa", "B"];
        let view = view(&schema, &[9; 16], IdColumn::Str(&ids));
        for (row, id) in ids.iter().enumerate() {
            assert_eq!(view.find(IdRef::Str(id)).collect::<Vec<_>>(), [row as u32]);
            assert_eq!(view.id(row as u32), Some(IdRef::Str(id)));
        }
        view.check_ids(0).unwrap();
    }

    #[test]
    fn a_segment_of_another_schema_is_refused() {
        let bytes = draft(&SCHEMA, 0, &[0; 8], IdColumn::U64(&[1, 2])).encode(2, 0).unwrap();
        let mut entry = ManifestEntry::zeroed();
        entry.rows.set(3);
        let error = VecView::parse(Bytes::from(bytes), &entry, &SCHEMA).unwrap_err();
        assert_eq!(error.clause(), Some(Clause::Vec1));
    }
}

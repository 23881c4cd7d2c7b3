//! The door: what may enter a store, and in which bytes. Vectors are checked and encoded here, ids checked, and the result
//! is an [`Edit`].

use super::{Admission, first_non_finite, first_non_finite_f16};
use crate::store::{Edit, Id, NewRows, Snapshot, metadata_drafts};
use crate::value::Metadata;
use crate::{Error, Result};
use half::f16;
use rvf_format::payload::vec::{IdColumn, IdRef, is_string_id};
use rvf_format::payload::witness::Operation;
use rvf_format::{Dtype, IdType, Metric, Schema};
use std::borrow::Cow;

/// Vectors as a caller has them: row-major, `dimension` components a row (for a binary store: its packed bytes).
#[derive(Clone, Copy, Debug)]
pub enum Vectors<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 16-bit floats.
    F16(&'a [f16]),
    /// Signed bytes.
    I8(&'a [i8]),
    /// Unsigned bytes; packed bits where the store is binary, most significant bit first.
    U8(&'a [u8]),
}

impl<'a> From<&'a super::Elements> for Vectors<'a> {
    fn from(elements: &'a super::Elements) -> Self {
        match elements {
            super::Elements::F32(values) => Vectors::F32(values),
            super::Elements::F16(values) => Vectors::F16(values),
            super::Elements::I8(values) => Vectors::I8(values),
            super::Elements::U8(values) => Vectors::U8(values),
        }
    }
}

macro_rules! vectors_from {
    ($($element:ty => $variant:ident,)*) => {$(
        impl<'a> From<&'a [$element]> for Vectors<'a> {
            fn from(values: &'a [$element]) -> Self {
                Vectors::$variant(values)
            }
        }

        impl<'a, const N: usize> From<&'a [$element; N]> for Vectors<'a> {
            fn from(values: &'a [$element; N]) -> Self {
                Vectors::$variant(values)
            }
        }

        impl<'a> From<&'a Vec<$element>> for Vectors<'a> {
            fn from(values: &'a Vec<$element>) -> Self {
                Vectors::$variant(values)
            }
        }
    )*};
}

vectors_from! { f32 => F32, f16 => F16, i8 => I8, u8 => U8, }

impl Vectors<'_> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Vectors::F32(values) => values.len(),
            Vectors::F16(values) => values.len(),
            Vectors::I8(values) => values.len(),
            Vectors::U8(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Name of the element type.
    pub fn element(&self) -> &'static str {
        match self {
            Vectors::F32(_) => "f32",
            Vectors::F16(_) => "f16",
            Vectors::I8(_) => "i8",
            Vectors::U8(_) => "u8",
        }
    }
}

/// What to do with a component that the store's dtype does not hold exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounding {
    /// Refuse it.
    #[default]
    Refuse,
    /// Round f32 to f16; anything else is refused still.
    ToF16,
}

/// Elements of a row as the caller counts them.
pub fn row_elements(schema: &Schema) -> usize {
    match schema.dtype {
        Dtype::Binary => schema.row_len(),
        _ => schema.dimension as usize,
    }
}

/// Checks `vectors` and encodes them in the store's dtype, borrowing where the bytes are the same.
///
/// # Errors
/// [`Error::Dimension`], [`Error::NotFinite`], [`Error::ZeroVector`], [`Error::Precision`], [`Error::Element`].
pub fn encode<'a>(schema: &Schema, vectors: Vectors<'a>, rounding: Rounding) -> Result<Cow<'a, [u8]>> {
    let width = row_elements(schema);
    if !vectors.len().is_multiple_of(width) {
        return Err(Error::Dimension { expected: schema.dimension, found: vectors.len() });
    }
    check_finite(vectors, width)?;
    let bytes = match (schema.dtype, vectors) {
        (Dtype::F32, Vectors::F32(values)) => Cow::Borrowed(bytemuck::cast_slice(values)),
        (Dtype::F16, Vectors::F16(values)) => Cow::Borrowed(bytemuck::cast_slice(values)),
        (Dtype::I8, Vectors::I8(values)) => Cow::Borrowed(bytemuck::cast_slice(values)),
        (Dtype::U8 | Dtype::Binary, Vectors::U8(values)) => Cow::Borrowed(values),
        (Dtype::F32, Vectors::F16(values)) => floats(values.iter().map(|value| value.to_f32())),
        (Dtype::F32, Vectors::I8(values)) => floats(values.iter().map(|value| f32::from(*value))),
        (Dtype::F32, Vectors::U8(values)) => floats(values.iter().map(|value| f32::from(*value))),
        (Dtype::F16, Vectors::F32(values)) => halves(values, width, rounding)?,
        (Dtype::F16, Vectors::I8(values)) => {
            Cow::Owned(values.iter().flat_map(|v| f16::from(*v).to_le_bytes()).collect())
        }
        (Dtype::F16, Vectors::U8(values)) => {
            Cow::Owned(values.iter().flat_map(|v| f16::from(*v).to_le_bytes()).collect())
        }
        (Dtype::I8 | Dtype::U8, _) => whole_numbers(schema.dtype, vectors, width)?,
        (Dtype::Binary, _) => return Err(Error::Element { found: vectors.element(), dtype: schema.dtype }),
    };
    check_rows(schema, &bytes)?;
    Ok(bytes)
}

fn check_finite(vectors: Vectors<'_>, width: usize) -> Result<()> {
    let found = match vectors {
        Vectors::F32(values) => first_non_finite(values),
        Vectors::F16(values) => first_non_finite_f16(values),
        Vectors::I8(_) | Vectors::U8(_) => None,
    };
    match found {
        Some(at) => Err(Error::NotFinite { row: (at / width) as u64, component: at % width }),
        None => Ok(()),
    }
}

fn floats<'a>(values: impl Iterator<Item = f32>) -> Cow<'a, [u8]> {
    Cow::Owned(values.flat_map(f32::to_le_bytes).collect())
}

fn halves<'a>(values: &[f32], width: usize, rounding: Rounding) -> Result<Cow<'a, [u8]>> {
    let mut bytes = Vec::with_capacity(values.len() * 2);
    for (at, value) in values.iter().enumerate() {
        let half = f16::from_f32(*value);
        let exact = half.to_f32() == *value;
        if !(exact || (rounding == Rounding::ToF16 && half.is_finite())) {
            return Err(precision(at, width, f64::from(*value), Dtype::F16));
        }
        bytes.extend_from_slice(&half.to_le_bytes());
    }
    Ok(Cow::Owned(bytes))
}

fn whole_numbers<'a>(dtype: Dtype, vectors: Vectors<'_>, width: usize) -> Result<Cow<'a, [u8]>> {
    let range = if dtype == Dtype::I8 { -128.0..=127.0 } else { 0.0..=255.0 };
    let mut bytes = Vec::with_capacity(vectors.len());
    let mut push = |at: usize, value: f32| {
        if value.fract() != 0.0 || !range.contains(&value) {
            return Err(precision(at, width, f64::from(value), dtype));
        }
        bytes.push(if dtype == Dtype::I8 { (value as i8).cast_unsigned() } else { value as u8 });
        Ok(())
    };
    match vectors {
        Vectors::F32(values) => values.iter().enumerate().try_for_each(|(at, value)| push(at, *value))?,
        Vectors::F16(values) => values.iter().enumerate().try_for_each(|(at, value)| push(at, value.to_f32()))?,
        Vectors::I8(values) => values.iter().enumerate().try_for_each(|(at, value)| push(at, f32::from(*value)))?,
        Vectors::U8(values) => values.iter().enumerate().try_for_each(|(at, value)| push(at, f32::from(*value)))?,
    }
    Ok(Cow::Owned(bytes))
}

fn precision(at: usize, width: usize, value: f64, dtype: Dtype) -> Error {
    Error::Precision { row: (at / width) as u64, component: at % width, value, dtype }
}

/// What a metric and packed bits ask of a stored row.
fn check_rows(schema: &Schema, bytes: &[u8]) -> Result<()> {
    let rows = || bytes.chunks(schema.row_len().max(1)).enumerate();
    if schema.metric == Metric::Cosine {
        let zero = rows().find(|(_, row)| schema.dtype.is_zero_row(row));
        return zero.map_or(Ok(()), |(row, _)| Err(Error::ZeroVector { row: row as u64 }));
    }
    let unused = schema.row_len() * 8 - schema.dimension as usize;
    if schema.dtype == Dtype::Binary && unused > 0 {
        let mask = (1u8 << unused) - 1;
        let dirty = rows().find(|(_, row)| row.last().is_some_and(|last| last & mask != 0));
        if let Some((row, _)) = dirty {
            let component = schema.dimension as usize;
            return Err(Error::Precision { row: row as u64, component, value: 1.0, dtype: schema.dtype });
        }
    }
    Ok(())
}

/// Ids of a batch.
#[derive(Clone, Copy, Debug)]
pub enum IdsRef<'a> {
    /// Numbers.
    U64(&'a [u64]),
    /// Strings.
    Str(&'a [String]),
}

impl<'a> IdsRef<'a> {
    /// Number of ids.
    pub fn len(&self) -> usize {
        match self {
            IdsRef::U64(ids) => ids.len(),
            IdsRef::Str(ids) => ids.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id of a row.
    pub fn get(&self, row: usize) -> Option<IdRef<'a>> {
        match self {
            IdsRef::U64(ids) => ids.get(row).map(|id| IdRef::U64(*id)),
            IdsRef::Str(ids) => ids.get(row).map(|id| IdRef::Str(id)),
        }
    }
}

impl<'a> From<&'a super::Ids> for IdsRef<'a> {
    fn from(ids: &'a super::Ids) -> Self {
        match ids {
            super::Ids::U64(ids) => IdsRef::U64(ids),
            super::Ids::Str(ids) => IdsRef::Str(ids),
        }
    }
}

/// Checks type and form of ids.
///
/// # Errors
/// [`Error::IdKind`], [`Error::BadId`].
pub fn check_ids(schema: &Schema, ids: IdsRef<'_>) -> Result<()> {
    match (schema.id_type, ids) {
        (IdType::U64, IdsRef::U64(ids)) => match ids.iter().position(|id| *id == u64::MAX) {
            Some(row) => Err(Error::BadId { row: row as u64, what: "is 2^64 - 1, which is reserved" }),
            None => Ok(()),
        },
        (IdType::Str, IdsRef::Str(ids)) => match ids.iter().position(|id| !is_string_id(id)) {
            Some(row) => Err(Error::BadId { row: row as u64, what: "is empty, longer than 1,024 bytes or holds NUL" }),
            None => Ok(()),
        },
        (expected, _) => Err(Error::IdKind { expected }),
    }
}

/// The numbers that records without ids take: they continue from the largest id that the store ever had.
///
/// # Errors
/// [`Error::IdsMissing`] for a store with string ids, [`Error::IdsExhausted`].
pub fn default_ids(snapshot: &Snapshot, count: usize) -> Result<Vec<u64>> {
    if snapshot.schema().id_type != IdType::U64 {
        return Err(Error::IdsMissing);
    }
    let first = snapshot.root().next_id.get();
    let end = first.checked_add(count as u64).filter(|end| *end < u64::MAX).ok_or(Error::IdsExhausted)?;
    Ok((first..end).collect())
}

/// What a batch will do, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records that were given and stored, or superseded by a later one of the batch.
    pub accepted: u64,
    /// Records among them that took the place of one with the same id, in the store or earlier in the batch.
    pub replaced: u64,
    /// Ids that were deleted.
    pub deleted: u64,
    /// Ids to be deleted, or of which metadata was to be changed, that were not there.
    pub missing: u64,
    /// Records whose metadata was changed.
    pub updated: u64,
}

/// Rows of a batch that stay when an id comes twice: the last ones. `None` if all stay.
fn last_of_each(ids: IdsRef<'_>) -> Option<Vec<u32>> {
    let count = ids.len() as u32;
    let ascending = match ids {
        IdsRef::U64(ids) => ids.is_sorted_by(|a, b| a < b),
        IdsRef::Str(ids) => ids.is_sorted_by(|a, b| a < b),
    };
    if ascending {
        return None;
    }
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_by(|a, b| ids.get(*a as usize).cmp(&ids.get(*b as usize)).then(a.cmp(b)));
    let superseded = |pair: &[u32]| ids.get(pair[0] as usize) == ids.get(pair[1] as usize);
    if !order.windows(2).any(superseded) {
        return None;
    }
    let mut last: Vec<u32> = Vec::with_capacity(order.len());
    for row in order {
        match last.last_mut().filter(|before| ids.get(**before as usize) == ids.get(row as usize)) {
            Some(before) => *before = row,
            None => last.push(row),
        }
    }
    last.sort_unstable();
    Some(last)
}

/// Vectors and ids of a batch after the door: encoded, no id twice.
#[derive(Clone, Debug)]
pub struct Upserts<'a> {
    vectors: Cow<'a, [u8]>,
    numbers: Cow<'a, [u64]>,
    texts: Vec<&'a str>,
    /// Of each row that was given; empty where none has any.
    metadata: &'a [Metadata],
    /// The rows that stay, where not all do.
    kept: Option<Vec<u32>>,
    superseded: u64,
}

impl<'a> Upserts<'a> {
    /// Takes encoded rows and checked ids; where an id comes twice the last row stays.
    ///
    /// # Errors
    /// [`Error::IdCount`].
    pub fn new(schema: &Schema, vectors: Cow<'a, [u8]>, ids: IdsRef<'a>) -> Result<Self> {
        let rows = vectors.len() / schema.row_len().max(1);
        if rows != ids.len() {
            return Err(Error::IdCount { ids: ids.len(), vectors: rows });
        }
        let kept = last_of_each(ids);
        let superseded = kept.as_ref().map_or(0, |kept| rows - kept.len()) as u64;
        let pick = |row: &u32| *row as usize;
        let width = schema.row_len();
        let vectors = match &kept {
            None => vectors,
            Some(kept) => {
                Cow::Owned(kept.iter().flat_map(|row| vectors[pick(row) * width..][..width].to_vec()).collect())
            }
        };
        let (numbers, texts) = match (ids, &kept) {
            (IdsRef::U64(ids), None) => (Cow::Borrowed(ids), Vec::new()),
            (IdsRef::U64(ids), Some(kept)) => (kept.iter().map(|row| ids[pick(row)]).collect(), Vec::new()),
            (IdsRef::Str(ids), None) => (Cow::default(), ids.iter().map(String::as_str).collect()),
            (IdsRef::Str(ids), Some(kept)) => {
                (Cow::default(), kept.iter().map(|row| ids[pick(row)].as_str()).collect())
            }
        };
        Ok(Self { vectors, numbers, texts, metadata: &[], kept, superseded })
    }

    /// With the metadata of each row that was given to [`Upserts::new`].
    pub fn with_metadata(self, metadata: &'a [Metadata]) -> Self {
        let any = metadata.iter().any(|metadata| !metadata.is_empty());
        Self { metadata: if any { metadata } else { &[] }, ..self }
    }

    fn ids(&self, id_type: IdType) -> IdColumn<'_> {
        match id_type {
            IdType::U64 => IdColumn::U64(&self.numbers),
            IdType::Str => IdColumn::Str(&self.texts),
        }
    }

    /// The edit that stores these rows and deletes `deletes`, and what it does in numbers.
    ///
    /// # Errors
    /// [`Error::Field`]; corruption found while looking ids up.
    pub fn edit<'s>(&'s self, snapshot: &Snapshot, operation: Operation, deletes: &[Id]) -> Result<(Edit<'s>, Tally)> {
        let mut edit = Edit::new(operation);
        let ids = self.ids(snapshot.schema().id_type);
        let count = ids.len() as u64;
        let mut tally = Tally { accepted: count + self.superseded, replaced: self.superseded, ..Tally::default() };
        edit.dead = self.replaced_rows(snapshot)?;
        tally.replaced += edit.dead.len() as u64;
        for id in deletes {
            match snapshot.find(id.as_ref())? {
                Some(at) => {
                    edit.dead.push(snapshot.global_row(at));
                    tally.deleted += 1;
                }
                None => tally.missing += 1,
            }
        }
        edit.dead.sort_unstable();
        let before = edit.dead.len();
        edit.dead.dedup();
        tally.deleted -= (before - edit.dead.len()) as u64;
        edit.next_id = self.numbers.iter().max().map_or(0, |largest| largest + 1);
        if count > 0 {
            edit.rows = split(snapshot.schema(), &self.vectors, ids);
            self.add_metadata(snapshot, &mut edit.rows)?;
        }
        Ok((edit, tally))
    }

    fn add_metadata(&self, snapshot: &Snapshot, rows: &mut [NewRows<'_>]) -> Result<()> {
        if self.metadata.is_empty() {
            return Ok(());
        }
        let given = |row: usize| self.kept.as_ref().map_or(row, |kept| kept.get(row).map_or(row, |row| *row as usize));
        let mut admission = Admission::new(snapshot)?;
        let (mut first, none) = (0, Metadata::new());
        for rows in rows {
            let end = first + rows.ids.len();
            let of = |row: usize| (given(row) as u64, self.metadata.get(given(row)).unwrap_or(&none));
            rows.metadata = metadata_drafts(admission.columns((first..end).map(of))?, 0)?;
            first = end;
        }
        Ok(())
    }

    /// Rows of the store that these ids replace.
    fn replaced_rows(&self, snapshot: &Snapshot) -> Result<Vec<u64>> {
        let fresh = self.numbers.iter().min().is_some_and(|smallest| *smallest >= snapshot.root().next_id.get());
        if fresh || snapshot.count() == 0 {
            return Ok(Vec::new());
        }
        let numbers = self.numbers.iter().map(|id| IdRef::U64(*id));
        let texts = self.texts.iter().map(|id| IdRef::Str(id));
        let mut rows = Vec::new();
        for id in numbers.chain(texts) {
            if let Some(at) = snapshot.find(id)? {
                rows.push(snapshot.global_row(at));
            }
        }
        Ok(rows)
    }
}

/// Largest VEC segment that one edit makes, bytes of rows: well below the 4 GiB of SEG-2.
const MAX_ROWS_BYTES: usize = 256 << 20;

fn split<'a>(schema: &Schema, vectors: &'a [u8], ids: IdColumn<'a>) -> Vec<NewRows<'a>> {
    let per_segment = (MAX_ROWS_BYTES / schema.row_len().max(1)).max(1);
    let mut rows = Vec::new();
    for (index, chunk) in vectors.chunks(per_segment * schema.row_len().max(1)).enumerate() {
        let first = index * per_segment;
        let count = chunk.len() / schema.row_len().max(1);
        let ids = match ids {
            IdColumn::U64(ids) => IdColumn::U64(&ids[first..first + count]),
            IdColumn::Str(ids) => IdColumn::Str(&ids[first..first + count]),
        };
        rows.push(NewRows { vectors: Cow::Borrowed(chunk), ids, metadata: Vec::new() });
    }
    rows
}

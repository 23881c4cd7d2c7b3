//! [`Column`]: one field of a META segment, in place. All that it reads is bounded; what cannot be read is `None`.

use super::{ColumnsView, FieldFacts, FieldKind, NOWHERE};
use core::cmp::Ordering;
use zerocopy::byteorder::little_endian::{F64, U16, U32, U64};

/// A value in place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    I64(i64),
    /// A finite number.
    F64(f64),
    /// A string.
    Str(&'a str),
    /// Strings.
    List(ListRef<'a>),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// The strings of a list.
#[derive(Clone, Copy, Debug)]
pub struct ListRef<'a> {
    column: Column<'a>,
    first: u32,
    end: u32,
}

/// One field in place.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    view: &'a ColumnsView,
    field: &'a FieldFacts,
    kind: FieldKind,
}

/// Codes or numbers as they stand, one a record or item.
#[derive(Clone, Copy, Debug)]
pub enum Codes<'a> {
    /// Of a byte.
    U8(&'a [u8]),
    /// Of two.
    U16(&'a [U16]),
    /// Of four.
    U32(&'a [U32]),
    /// Of eight.
    U64(&'a [U64]),
}

/// The numbers of a column.
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// Each is this much above a base.
    I64(i64, Codes<'a>),
    /// Each as it is.
    F64(&'a [F64]),
}

impl<'a> Column<'a> {
    /// The column, if all its parts lie within the segment.
    pub(super) fn new(view: &'a ColumnsView, field: &'a FieldFacts) -> Option<Self> {
        let column = Self { view, field, kind: FieldKind::of_code(field.kind)? };
        let count = view.count as usize;
        if column.has_presence() {
            view.data_at(field.presence.get())?.get(..count.div_ceil(8))?;
        }
        let width = usize::from(field.width);
        match column.kind {
            FieldKind::Bool => drop((width == 0).then_some(())?),
            FieldKind::F64 => drop((width == 8).then_some(())?),
            FieldKind::List => drop(view.slice_at::<U32>(field.values.get(), count + 1)?),
            _ => {}
        }
        match column.kind {
            FieldKind::Bool => drop(view.data_at(field.values.get())?.get(..count.div_ceil(8))?),
            FieldKind::F64 => drop(view.slice_at::<F64>(field.values.get(), count)?),
            FieldKind::List => drop(column.item_codes()?),
            FieldKind::I64 | FieldKind::Str | FieldKind::Bytes => drop(column.codes()?),
        }
        if field.entries.get() > 0 {
            let starts = column.starts()?;
            view.data_at(field.bytes.get())?.get(..starts.last()?.get() as usize)?;
        }
        if field.texts.get() > 0 {
            let starts = column.text_starts()?;
            view.data_at(field.text_bytes.get())?.get(..usize::try_from(starts.last()?.get()).ok()?)?;
        }
        Some(column)
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        self.view.name_of(self.field).unwrap_or_default()
    }

    /// Its type.
    pub fn kind(&self) -> FieldKind {
        self.kind
    }

    /// Its facts.
    pub fn facts(&self) -> &'a FieldFacts {
        self.field
    }

    /// Records of the segment.
    pub fn count(&self) -> u32 {
        self.view.count
    }

    /// Records with a value.
    pub fn present(&self) -> u32 {
        self.field.present.get()
    }

    /// A bit a record, the first the lowest of the first byte, set where there is a value; `None` where every record has one.
    pub fn presence(&self) -> Option<&'a [u8]> {
        if !self.has_presence() {
            return None;
        }
        self.view.data_at(self.field.presence.get())?.get(..(self.view.count as usize).div_ceil(8))
    }

    /// Whether a record has a value.
    pub fn is_present(&self, position: u32) -> bool {
        self.presence().is_none_or(|bits| bit(bits, position))
    }

    /// The bits of a bool field.
    pub fn bits(&self) -> Option<&'a [u8]> {
        if self.kind != FieldKind::Bool {
            return None;
        }
        self.view.data_at(self.field.values.get())?.get(..(self.view.count as usize).div_ceil(8))
    }

    /// The codes of a string or bytes field, one a record.
    pub fn codes(&self) -> Option<Codes<'a>> {
        Codes::new(self.view, self.field.values.get(), self.view.count as usize, self.field.width)
    }

    /// The codes of all items of a list field.
    pub fn item_codes(&self) -> Option<Codes<'a>> {
        Codes::new(self.view, self.field.items.get(), self.field.item_count.get() as usize, self.field.width)
    }

    /// The numbers of an i64 or f64 field.
    pub fn numbers(&self) -> Option<Numbers<'a>> {
        match self.kind {
            FieldKind::I64 => Some(Numbers::I64(self.field.base.get(), self.codes()?)),
            FieldKind::F64 => {
                Some(Numbers::F64(self.view.slice_at(self.field.values.get(), self.view.count as usize)?))
            }
            _ => None,
        }
    }

    /// Entries of the dictionary.
    pub fn entries(&self) -> u32 {
        self.field.entries.get()
    }

    /// Long texts.
    pub fn texts(&self) -> u32 {
        self.field.texts.get()
    }

    /// An entry of the dictionary.
    pub fn entry(&self, code: u32) -> Option<&'a [u8]> {
        let starts = self.starts()?;
        let (start, end) = (starts.get(code as usize)?.get(), starts.get(code as usize + 1)?.get());
        self.view.data_at(self.field.bytes.get())?.get(start as usize..end as usize)
    }

    /// The place of a string among the entries: `Err` where it would stand.
    pub fn find_entry(&self, text: &[u8]) -> Result<u32, u32> {
        self.search_entries(|entry| entry.cmp(text))
    }

    /// Binary search among the entries, which ascend.
    pub fn search_entries(&self, compare: impl Fn(&[u8]) -> Ordering) -> Result<u32, u32> {
        let (mut low, mut high) = (0, self.entries());
        while low < high {
            let middle = low + (high - low) / 2;
            match compare(self.entry(middle).unwrap_or_default()) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// A long text.
    pub fn text(&self, text: u32) -> Option<&'a [u8]> {
        let starts = self.text_starts()?;
        let (start, end) = (starts.get(text as usize)?.get(), starts.get(text as usize + 1)?.get());
        self.view.data_at(self.field.text_bytes.get())?.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    /// The bytes that a code of a string or bytes field stands for.
    pub fn decode(&self, code: u64) -> Option<&'a [u8]> {
        let entries = u64::from(self.entries());
        match code.checked_sub(entries) {
            None => self.entry(code as u32),
            Some(text) => self.text(u32::try_from(text).ok()?),
        }
    }

    /// The items of a record's list, as places among all items.
    pub fn items(&self, position: u32) -> Option<(u32, u32)> {
        let starts = self.view.slice_at::<U32>(self.field.values.get(), self.view.count as usize + 1)?;
        let (first, end) = (starts.get(position as usize)?.get(), starts.get(position as usize + 1)?.get());
        (first <= end && end <= self.field.item_count.get()).then_some((first, end))
    }

    /// The value of a record; `None` if it cannot be read.
    pub fn value(&self, position: u32) -> Option<ValueRef<'a>> {
        if position >= self.view.count {
            return None;
        }
        if !self.is_present(position) {
            return Some(ValueRef::Null);
        }
        Some(match self.kind {
            FieldKind::Bool => ValueRef::Bool(bit(self.bits()?, position)),
            FieldKind::I64 | FieldKind::F64 => match self.numbers()? {
                Numbers::I64(base, codes) => ValueRef::I64(base.wrapping_add_unsigned(codes.get(position)?)),
                Numbers::F64(values) => ValueRef::F64(values.get(position as usize)?.get()),
            },
            FieldKind::Str => ValueRef::Str(core::str::from_utf8(self.decode(self.codes()?.get(position)?)?).ok()?),
            FieldKind::Bytes => ValueRef::Bytes(self.decode(self.codes()?.get(position)?)?),
            FieldKind::List => {
                let (first, end) = self.items(position)?;
                ValueRef::List(ListRef { column: *self, first, end })
            }
        })
    }

    fn has_presence(&self) -> bool {
        self.field.presence.get() != NOWHERE
    }

    fn starts(&self) -> Option<&'a [U32]> {
        self.view.slice_at(self.field.starts.get(), (self.field.entries.get() as usize).checked_add(1)?)
    }

    fn text_starts(&self) -> Option<&'a [U64]> {
        self.view.slice_at(self.field.text_starts.get(), (self.field.texts.get() as usize).checked_add(1)?)
    }
}

impl<'a> ListRef<'a> {
    /// The strings, in their order; `None` for one that cannot be read.
    pub fn iter(&self) -> impl Iterator<Item = Option<&'a str>> + use<'a> {
        let list = *self;
        let codes = list.column.item_codes();
        (list.first..list.end).map(move |at| {
            let bytes = list.column.decode(codes?.get(at)?)?;
            core::str::from_utf8(bytes).ok()
        })
    }
}

impl PartialEq for ListRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a> Codes<'a> {
    fn new(view: &'a ColumnsView, place: u32, count: usize, width: u8) -> Option<Self> {
        Some(match width {
            1 => Codes::U8(view.slice_at(place, count)?),
            2 => Codes::U16(view.slice_at(place, count)?),
            4 => Codes::U32(view.slice_at(place, count)?),
            8 => Codes::U64(view.slice_at(place, count)?),
            _ => return None,
        })
    }

    /// One of them.
    #[inline]
    pub fn get(&self, at: u32) -> Option<u64> {
        let at = at as usize;
        match self {
            Codes::U8(codes) => codes.get(at).map(|code| u64::from(*code)),
            Codes::U16(codes) => codes.get(at).map(|code| u64::from(code.get())),
            Codes::U32(codes) => codes.get(at).map(|code| u64::from(code.get())),
            Codes::U64(codes) => codes.get(at).map(|code| code.get()),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Codes::U8(codes) => codes.len(),
            Codes::U16(codes) => codes.len(),
            Codes::U32(codes) => codes.len(),
            Codes::U64(codes) => codes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn bit(bits: &[u8], at: u32) -> bool {
    bits.get(at as usize / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}

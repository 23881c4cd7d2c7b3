//! [`Builder`]: records, one after another, to the draft of a META segment. Dictionaries are sorted when all records are there.

use super::{
    ColumnsFacts, FORM, FieldFacts, FieldKind, MAX_ENTRY, NOWHERE, TAG_DATA, TAG_FACTS, TAG_FIELDS, TAG_NAMES,
    TAG_ROWS, whole_as_f64,
};
use crate::build::Draft;
use crate::{Error, Kind, Result};
use std::collections::{BTreeMap, HashMap};
use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::U32;

/// A value to be written.
pub enum Given<'a> {
    /// True or false.
    Bool(bool),
    /// A whole number.
    I64(i64),
    /// A finite number.
    F64(f64),
    /// A string.
    Str(&'a str),
    /// Strings, in their order.
    List(&'a mut dyn Iterator<Item = &'a str>),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// A value that a field cannot hold beside those that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clash {
    /// What the field holds.
    pub held: FieldKind,
    /// What it was given. Both are numbers where a whole number is no binary64.
    pub given: FieldKind,
}

/// Records while they are gathered.
#[derive(Debug, Default)]
pub struct Builder {
    count: u32,
    fields: BTreeMap<String, Field>,
}

/// Values of one field.
#[derive(Debug)]
struct Field {
    /// The record of each value.
    positions: Vec<u32>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Bool(Vec<bool>),
    I64(Vec<i64>),
    F64(Vec<f64>),
    Str(Strings, Vec<u32>),
    /// Items of all lists, and where each list ends.
    List(Strings, Vec<u32>, Vec<u32>),
    Bytes(Vec<Vec<u8>>),
}

/// Strings with the numbers that they got as they came; long ones from [`FIRST_TEXT`] on.
#[derive(Debug, Default)]
struct Strings {
    numbers: HashMap<Box<str>, u32>,
    texts: Vec<Vec<u8>>,
}

const FIRST_TEXT: u32 = 1 << 31;

impl Builder {
    /// No records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the current record a value of a field that it has none of yet. Whole numbers become binary64 in a field that is given
    /// others.
    ///
    /// # Errors
    /// [`Clash`]; the field is as it was.
    pub fn set(&mut self, name: &str, value: Given<'_>) -> core::result::Result<(), Clash> {
        if let Some(field) = self.fields.get_mut(name) {
            return field.push(self.count, value);
        }
        let mut field = Field { positions: Vec::new(), values: Values::of(value.kind()) };
        field.push(self.count, value)?;
        self.fields.insert(name.to_owned(), field);
        Ok(())
    }

    /// Ends a record; the next values are those of the next one.
    pub fn end_record(&mut self) {
        self.count += 1;
    }

    /// Records that were ended.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether no record has a value.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Number of fields.
    pub fn fields(&self) -> usize {
        self.fields.len()
    }

    /// The draft: META of consecutive rows from `base_row` on, or DELTA of `rows`, one a record, ascending.
    ///
    /// # Errors
    /// [`Error::SegmentTooLarge`].
    pub fn draft(self, base_row: u64, rows: Option<&[u64]>) -> Result<Draft<'static>> {
        let mut facts = ColumnsFacts::zeroed();
        (facts.count, facts.fields) = (self.count.into(), (self.fields.len() as u32).into());
        let (mut fields, mut texts) = (Vec::new(), Vec::new());
        let (mut names, mut data) = (Vec::new(), Data::default());
        for (name, field) in self.fields {
            let mut facts = FieldFacts::zeroed();
            (facts.name, facts.name_length) = ((names.len() as u32).into(), (name.len() as u16).into());
            names.extend_from_slice(name.as_bytes());
            texts.push(field.write(&mut facts, self.count, &mut data)?);
            fields.push(facts);
        }
        // Behind all that filters read as a rule.
        for (facts, texts) in fields.iter_mut().zip(texts) {
            write_texts(facts, &texts, &mut data)?;
        }
        let first = rows.map_or(base_row, |rows| rows.first().copied().unwrap_or_default());
        let (kind, form) = if rows.is_some() { (Kind::DELTA, 1) } else { (Kind::META, FORM) };
        let mut draft = Draft::new(kind, form).rows(first, self.count);
        draft = draft.section(TAG_FACTS, facts.as_bytes().to_vec());
        if let Some(rows) = rows {
            draft = draft.section(TAG_ROWS, rows.iter().flat_map(|row| row.to_le_bytes()).collect::<Vec<u8>>());
        }
        let draft = draft.section(TAG_FIELDS, fields.as_bytes().to_vec()).section(TAG_NAMES, names);
        Ok(draft.section(TAG_DATA, data.bytes))
    }
}

impl Given<'_> {
    /// The kind of field that holds it.
    pub fn kind(&self) -> FieldKind {
        match self {
            Given::Bool(_) => FieldKind::Bool,
            Given::I64(_) => FieldKind::I64,
            Given::F64(_) => FieldKind::F64,
            Given::Str(_) => FieldKind::Str,
            Given::List(_) => FieldKind::List,
            Given::Bytes(_) => FieldKind::Bytes,
        }
    }
}

impl Field {
    fn push(&mut self, position: u32, value: Given<'_>) -> core::result::Result<(), Clash> {
        let clash = Clash { held: self.values.kind(), given: value.kind() };
        match (&mut self.values, value) {
            (Values::Bool(values), Given::Bool(value)) => values.push(value),
            (Values::I64(values), Given::I64(value)) => values.push(value),
            (Values::F64(values), Given::F64(value)) => values.push(value),
            (Values::F64(values), Given::I64(value)) => values.push(whole_as_f64(value).ok_or(clash)?),
            (Values::I64(whole), Given::F64(value)) => {
                let values = whole.iter().map(|whole| whole_as_f64(*whole)).collect::<Option<Vec<f64>>>();
                let mut values = values.ok_or(clash)?;
                values.push(value);
                self.values = Values::F64(values);
            }
            (Values::Str(strings, values), Given::Str(value)) => values.push(strings.number(value, MAX_ENTRY)),
            (Values::List(strings, items, ends), Given::List(value)) => {
                items.extend(value.map(|item| strings.number(item, usize::MAX)));
                ends.push(items.len() as u32);
            }
            (Values::Bytes(values), Given::Bytes(value)) => values.push(value.to_vec()),
            _ => return Err(clash),
        }
        self.positions.push(position);
        Ok(())
    }

    /// Writes all but long texts, which it returns.
    fn write(self, facts: &mut FieldFacts, count: u32, data: &mut Data) -> Result<Vec<Vec<u8>>> {
        facts.kind = self.values.kind() as u8;
        facts.present = (self.positions.len() as u32).into();
        facts.presence = U32::new(NOWHERE);
        if self.positions.len() < count as usize {
            facts.presence = data.put(&bits_of(self.positions.iter().copied(), count))?;
        }
        let at = &self.positions;
        match self.values {
            Values::Bool(values) => {
                let set = at.iter().zip(values).filter(|(_, value)| *value).map(|(position, _)| *position);
                facts.values = data.put(&bits_of(set, count))?;
            }
            Values::I64(values) => {
                let base = values.iter().copied().min().unwrap_or_default();
                let above = values.iter().map(|value| value.wrapping_sub(base).cast_unsigned());
                facts.base.set(base);
                (facts.width, facts.values) = data.put_codes(&spread(at, above, count))?;
            }
            Values::F64(values) => {
                let bits = spread(at, values.iter().map(|value| value.to_bits()), count);
                facts.width = 8;
                facts.values = data.put(&bits.iter().flat_map(|bits| bits.to_le_bytes()).collect::<Vec<u8>>())?;
            }
            Values::Str(strings, values) => {
                let (codes, texts) = strings.write(&values, facts, data)?;
                (facts.width, facts.values) = data.put_codes(&spread(at, codes.into_iter(), count))?;
                return Ok(texts);
            }
            Values::List(strings, items, ends) => {
                let (codes, texts) = strings.write(&items, facts, data)?;
                (facts.width, facts.items) = data.put_codes(&codes)?;
                facts.item_count = (items.len() as u32).into();
                facts.values = data.put(&list_starts(at, &ends, count))?;
                return Ok(texts);
            }
            Values::Bytes(values) => {
                (facts.width, facts.values) = data.put_codes(&spread(at, 0..values.len() as u64, count))?;
                return Ok(values);
            }
        }
        Ok(Vec::new())
    }
}

impl Values {
    fn of(kind: FieldKind) -> Self {
        match kind {
            FieldKind::Bool => Values::Bool(Vec::new()),
            FieldKind::I64 => Values::I64(Vec::new()),
            FieldKind::F64 => Values::F64(Vec::new()),
            FieldKind::Str => Values::Str(Strings::default(), Vec::new()),
            FieldKind::List => Values::List(Strings::default(), Vec::new(), Vec::new()),
            FieldKind::Bytes => Values::Bytes(Vec::new()),
        }
    }

    fn kind(&self) -> FieldKind {
        match self {
            Values::Bool(_) => FieldKind::Bool,
            Values::I64(_) => FieldKind::I64,
            Values::F64(_) => FieldKind::F64,
            Values::Str(..) => FieldKind::Str,
            Values::List(..) => FieldKind::List,
            Values::Bytes(_) => FieldKind::Bytes,
        }
    }
}

impl Strings {
    /// The number of a string; of a new one if it is longer than `most` bytes, for that is a text of its own.
    fn number(&mut self, text: &str, most: usize) -> u32 {
        if text.len() > most {
            self.texts.push(text.as_bytes().to_vec());
            return FIRST_TEXT + (self.texts.len() - 1) as u32;
        }
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(text.into(), number);
        number
    }

    /// Writes the dictionary. The code of each of `numbers`, and the long texts.
    fn write(self, numbers: &[u32], facts: &mut FieldFacts, data: &mut Data) -> Result<(Vec<u64>, Vec<Vec<u8>>)> {
        let mut sorted: Vec<(Box<str>, u32)> = self.numbers.into_iter().collect();
        sorted.sort_unstable();
        let mut code_of = vec![0u32; sorted.len()];
        let (mut starts, mut bytes) = (vec![0u32], Vec::new());
        for (code, (text, number)) in sorted.iter().enumerate() {
            code_of[*number as usize] = code as u32;
            bytes.extend_from_slice(text.as_bytes());
            starts.push(u32::try_from(bytes.len()).map_err(|_| Error::SegmentTooLarge)?);
        }
        facts.entries.set(sorted.len() as u32);
        if !sorted.is_empty() {
            facts.starts = data.put(&starts.iter().flat_map(|start| start.to_le_bytes()).collect::<Vec<u8>>())?;
            facts.bytes = data.put(&bytes)?;
        }
        let code = |number: &u32| match number.checked_sub(FIRST_TEXT) {
            Some(text) => (sorted.len() as u64) + u64::from(text),
            None => u64::from(code_of[*number as usize]),
        };
        Ok((numbers.iter().map(code).collect(), self.texts))
    }
}

/// The section DATA while it is written.
#[derive(Default)]
struct Data {
    bytes: Vec<u8>,
}

impl Data {
    /// Appends bytes on the next multiple of 8; their place.
    fn put(&mut self, bytes: &[u8]) -> Result<U32> {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let place = u32::try_from(self.bytes.len() / 8).ok().filter(|place| *place != NOWHERE);
        self.bytes.extend_from_slice(bytes);
        place.map(U32::new).ok_or(Error::SegmentTooLarge)
    }

    /// Appends numbers in the shortest width that holds them all: width and place.
    fn put_codes(&mut self, codes: &[u64]) -> Result<(u8, U32)> {
        let most = codes.iter().copied().max().unwrap_or_default();
        let width = [1u8, 2, 4].into_iter().find(|width| most >> (8 * width) == 0).unwrap_or(8);
        let bytes: Vec<u8> =
            codes.iter().flat_map(|code| code.to_le_bytes().into_iter().take(usize::from(width))).collect();
        Ok((width, self.put(&bytes)?))
    }
}

fn write_texts(facts: &mut FieldFacts, texts: &[Vec<u8>], data: &mut Data) -> Result<()> {
    if texts.is_empty() {
        return Ok(());
    }
    let ends = texts.iter().scan(0u64, |end, text| {
        *end += text.len() as u64;
        Some(*end)
    });
    let starts: Vec<u8> = std::iter::once(0).chain(ends).flat_map(u64::to_le_bytes).collect();
    facts.texts.set(texts.len() as u32);
    facts.text_starts = data.put(&starts)?;
    facts.text_bytes = data.put(&texts.concat())?;
    Ok(())
}

/// A bit a record.
fn bits_of(set: impl Iterator<Item = u32>, count: u32) -> Vec<u8> {
    let mut bits = vec![0u8; (count as usize).div_ceil(8)];
    set.for_each(|position| bits[position as usize / 8] |= 1 << (position % 8));
    bits
}

/// One number a record: that of its value, 0 where there is none.
fn spread(positions: &[u32], values: impl Iterator<Item = u64>, count: u32) -> Vec<u64> {
    let mut all = vec![0; count as usize];
    positions.iter().zip(values).for_each(|(position, value)| all[*position as usize] = value);
    all
}

/// Where the list of each record begins among all items, and where the last one ends.
fn list_starts(positions: &[u32], ends: &[u32], count: u32) -> Vec<u8> {
    let mut starts = vec![0u32; count as usize + 1];
    let (mut next, mut end) = (0, 0);
    for (position, start) in starts.iter_mut().enumerate() {
        *start = end;
        if positions.get(next) == Some(&(position as u32)) {
            end = ends[next];
            next += 1;
        }
    }
    starts.iter().flat_map(|start| start.to_le_bytes()).collect()
}

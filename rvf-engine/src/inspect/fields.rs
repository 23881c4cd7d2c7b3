//! What the fields of a store hold: types, counts, the commonest values.

use crate::Result;
use crate::store::{RowId, Snapshot, unreadable};
use crate::value::{FieldType, Value};
use rvf_format::payload::columns::{Column, ColumnsView, FieldKind, ValueRef};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A field in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldInfo {
    /// Its name.
    pub name: String,
    /// Its type.
    pub field_type: FieldType,
    /// Live records that have a value.
    pub count: u64,
    /// Different values; of a list, different items. 0 for bytes, which are not compared.
    pub distinct: u64,
    /// The value, or the item, that most records have, and how many: the smallest of several.
    pub commonest: Option<(Value, u64)>,
}

/// A value that can be counted. Numbers are equal as numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    Bool(bool),
    I64(i64),
    /// The bits, in the order of the numbers.
    F64(u64),
    Str(Box<str>),
}

#[derive(Default)]
struct Counted {
    count: u64,
    values: HashMap<Key, u64>,
}

impl Snapshot {
    /// The fields of live records, by name. Takes a look at every value.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// let mut batch = db.batch();
    /// for (id, lang) in [(1, "en"), (2, "de"), (3, "en")] {
    ///     batch.put_with(id, &[1.0, 2.0], [("lang", lang.into())])?;
    /// }
    /// batch.commit()?;
    /// let lang = &db.snapshot().field_infos()?[0];
    /// assert_eq!((lang.count, lang.distinct, lang.commonest.clone()), (3, 2, Some(("en".into(), 2))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Corruption of what is read.
    pub fn field_infos(&self) -> Result<Vec<FieldInfo>> {
        self.settle(self.count_fields())
    }

    fn count_fields(&self) -> Result<Vec<FieldInfo>> {
        let mut counted: BTreeMap<String, Counted> = BTreeMap::new();
        let mut told = BTreeSet::new();
        for delta in self.metas().deltas() {
            let view = delta.view(self)?;
            let mut records = Vec::new();
            for position in 0..view.count() {
                let Some(at) = self.place_of_row(view.row(position)) else { continue };
                // The newest tells first.
                if told.insert(at) && !self.is_dead(at)? {
                    records.push(position);
                }
            }
            count(view, &records, &mut counted)?;
        }
        for (part, source) in self.parts().iter().enumerate() {
            let Some(columns) = self.metas().of_part(part as u32) else { continue };
            let mut records = Vec::new();
            for row in 0..source.entry.rows.get() {
                let at = RowId { part: part as u32, row };
                if !told.contains(&at) && !self.is_dead(at)? {
                    records.push(row);
                }
            }
            count(columns.view(self)?, &records, &mut counted)?;
        }
        let fields = self.fields()?;
        let info = |(name, counted): (String, Counted)| {
            let field_type = *fields.get(&name)?;
            (counted.count > 0).then(|| counted.info(name, field_type))
        };
        Ok(counted.into_iter().filter_map(info).collect())
    }
}

fn count(view: &ColumnsView, records: &[u32], counted: &mut BTreeMap<String, Counted>) -> Result<()> {
    for column in view.columns() {
        let field = counted.entry(column.name().to_owned()).or_default();
        field.add(&column, records).ok_or_else(|| unreadable(view))?;
    }
    Ok(())
}

impl Counted {
    fn add(&mut self, column: &Column<'_>, records: &[u32]) -> Option<()> {
        // By code, so that a string is looked at once.
        let mut codes = vec![0u64; column.entries() as usize];
        for record in records.iter().filter(|record| column.is_present(**record)) {
            self.count += 1;
            if column.kind() == FieldKind::List {
                let (first, end) = column.items(*record)?;
                let items: Option<BTreeSet<u64>> = (first..end).map(|at| column.item_codes()?.get(at)).collect();
                items?.into_iter().for_each(|code| codes.get_mut(code as usize).into_iter().for_each(|n| *n += 1));
                continue;
            }
            let code = (column.kind() == FieldKind::Str).then(|| column.codes()?.get(*record)).flatten();
            if let Some(n) = code.and_then(|code| codes.get_mut(usize::try_from(code).ok()?)) {
                *n += 1;
            } else if let Some(key) = key_of(column.value(*record)?) {
                *self.values.entry(key).or_default() += 1;
            }
        }
        for (code, n) in codes.into_iter().enumerate().filter(|(_, n)| *n > 0) {
            let text = core::str::from_utf8(column.entry(code as u32)?).ok()?;
            *self.values.entry(Key::Str(text.into())).or_default() += n;
        }
        Some(())
    }

    fn info(self, name: String, field_type: FieldType) -> FieldInfo {
        let mut values = self.values;
        if field_type == FieldType::F64 {
            // Whole numbers of a field that became f64 since.
            let mut merged = HashMap::new();
            for (key, n) in values {
                let key = if let Key::I64(whole) = key { Key::F64(ordered(whole as f64)) } else { key };
                *merged.entry(key).or_default() += n;
            }
            values = merged;
        }
        let distinct = values.len() as u64;
        let commonest = values.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0)));
        let commonest = commonest.map(|(key, n)| (key.value(), n));
        FieldInfo { name, field_type, count: self.count, distinct, commonest }
    }
}

impl Key {
    fn value(self) -> Value {
        match self {
            Key::Bool(value) => Value::Bool(value),
            Key::I64(value) => Value::I64(value),
            Key::F64(bits) => Value::F64(f64::from_bits(if bits >> 63 == 1 { bits ^ 1 << 63 } else { !bits })),
            Key::Str(text) => Value::Str(text.into()),
        }
    }
}

fn key_of(value: ValueRef<'_>) -> Option<Key> {
    Some(match value {
        ValueRef::Bool(value) => Key::Bool(value),
        ValueRef::I64(value) => Key::I64(value),
        ValueRef::F64(value) => Key::F64(ordered(value)),
        ValueRef::Str(text) => Key::Str(text.into()),
        ValueRef::Null | ValueRef::List(_) | ValueRef::Bytes(_) => return None,
    })
}

/// The bits of a number in the order of numbers; those of -0 are those of 0.
fn ordered(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits ^ 1 << 63 }
}

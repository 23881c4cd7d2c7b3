//! Fields of a published file as fields of a store. The dialect knows fields by number only: number N becomes the field `field.N`.
//!
//! A store has one type a field, and no u64. What the live records hold of a field decides:
//!
//! | values | become |
//! | --- | --- |
//! | all text, all bytes, or all true and false | the same |
//! | whole numbers that i64 holds | i64 |
//! | other numbers, each of which f64 holds exactly | f64 |
//! | anything else | text: numbers in decimal, bytes in hexadecimal digits; a warning says so |

use crate::value::{Metadata, Value};
use rvf_format::legacy::{LegacyFile, MetaValue};
use rvf_format::payload::columns::whole_as_f64;
use std::collections::BTreeMap;

/// What all values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Str,
    Bytes,
    Bool,
    I64,
    F64,
    /// What no one type holds exactly.
    Mixed,
}

/// How the fields of a published file become those of a store.
pub(super) struct PublishedFields {
    kinds: BTreeMap<u16, Kind>,
}

impl PublishedFields {
    /// Looks at all live records.
    pub(super) fn of<B: AsRef<[u8]>>(file: &LegacyFile<B>) -> Self {
        let mut seen: BTreeMap<u16, Seen> = BTreeMap::new();
        for row in file.rows() {
            for (field, value) in file.fields(&row) {
                seen.entry(field).or_default().note(&value);
            }
        }
        Self { kinds: seen.into_iter().map(|(field, seen)| (field, seen.kind())).collect() }
    }

    /// The metadata of a record.
    pub(super) fn metadata(&self, fields: Vec<(u16, MetaValue<'_>)>) -> Metadata {
        let value = |(field, value)| Some((name(field), converted(*self.kinds.get(&field)?, value)));
        fields.into_iter().filter(|(_, value)| *value != MetaValue::Null).filter_map(value).collect()
    }

    /// What a person should know.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        let mixed = self.kinds.iter().filter(|(_, kind)| **kind == Kind::Mixed);
        mixed
            .map(|(field, _)| format!("{} became text: one type does not hold all of its values exactly", name(*field)))
    }
}

fn name(field: u16) -> String {
    format!("field.{field}")
}

/// Which sorts of values a field was seen with.
#[derive(Default)]
struct Seen {
    text: bool,
    bytes: bool,
    boolean: bool,
    /// Numbers that are not whole by their type.
    float: bool,
    /// Whole numbers, and among them some beyond i64, and some that f64 does not hold.
    whole: bool,
    beyond: bool,
    not_exact: bool,
}

impl Seen {
    fn note(&mut self, value: &MetaValue<'_>) {
        match value {
            MetaValue::Null => {}
            MetaValue::Str(_) => self.text = true,
            MetaValue::Bytes(_) => self.bytes = true,
            MetaValue::Bool(_) => self.boolean = true,
            MetaValue::F64(_) => self.float = true,
            MetaValue::I64(number) => {
                self.whole = true;
                self.not_exact |= whole_as_f64(*number).is_none();
            }
            MetaValue::U64(number) => {
                self.whole = true;
                self.beyond |= i64::try_from(*number).is_err();
                self.not_exact |= exact(*number).is_none();
            }
        }
    }

    fn kind(&self) -> Kind {
        let number = self.float || self.whole;
        match (self.text, self.bytes, self.boolean, number) {
            (true, false, false, false) => Kind::Str,
            (false, true, false, false) => Kind::Bytes,
            (false, false, true, false) => Kind::Bool,
            (false, false, false, true) if !self.float && !self.beyond => Kind::I64,
            (false, false, false, true) if !self.not_exact => Kind::F64,
            _ => Kind::Mixed,
        }
    }
}

/// A whole number as the f64 that is the same number.
fn exact(number: u64) -> Option<f64> {
    let float = number as f64;
    (float < 18_446_744_073_709_551_616.0 && float as u64 == number).then_some(float)
}

fn converted(kind: Kind, value: MetaValue<'_>) -> Value {
    match (kind, value) {
        (Kind::Str, MetaValue::Str(text)) => Value::Str(text.to_owned()),
        (Kind::Bytes, MetaValue::Bytes(bytes)) => Value::Bytes(bytes.to_vec()),
        (Kind::Bool, MetaValue::Bool(value)) => Value::Bool(value),
        (Kind::I64, MetaValue::I64(number)) => Value::I64(number),
        (Kind::I64, MetaValue::U64(number)) => i64::try_from(number).map_or(Value::Null, Value::I64),
        (Kind::F64, MetaValue::F64(number)) => Value::F64(number),
        (Kind::F64, MetaValue::I64(number)) => Value::F64(number as f64),
        (Kind::F64, MetaValue::U64(number)) => Value::F64(number as f64),
        (_, value) => text_of(value).map_or(Value::Null, Value::Str),
    }
}

fn text_of(value: MetaValue<'_>) -> Option<String> {
    Some(match value {
        MetaValue::Null => return None,
        MetaValue::Str(text) => text.to_owned(),
        MetaValue::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        MetaValue::Bool(value) => value.to_string(),
        MetaValue::I64(number) => number.to_string(),
        MetaValue::U64(number) => number.to_string(),
        MetaValue::F64(number) => format!("{number:?}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_fields(values: &[MetaValue<'_>]) -> Vec<Value> {
        let mut seen = Seen::default();
        values.iter().for_each(|value| seen.note(value));
        let fields = PublishedFields { kinds: BTreeMap::from([(3, seen.kind())]) };
        assert_eq!(fields.warnings().count(), usize::from(seen.kind() == Kind::Mixed));
        let one = |value: &MetaValue<'_>| fields.metadata(vec![(3, *value)]).remove("field.3").unwrap_or(Value::Null);
        values.iter().map(one).collect()
    }

    #[test]
    fn a_field_becomes_what_holds_all_its_values() {
        use MetaValue::{Bool, Bytes, F64, I64, Null, Str, U64};
        let text = |texts: &[&str]| texts.iter().map(|text| Value::from(*text)).collect::<Vec<_>>();
        assert_eq!(as_fields(&[I64(i64::MIN), Null, U64(7)]), [Value::I64(i64::MIN), Value::Null, Value::I64(7)]);
        assert_eq!(as_fields(&[U64(1 << 63), I64(-1)]), [Value::F64(9_223_372_036_854_775_808.0), Value::F64(-1.0)]);
        assert_eq!(as_fields(&[F64(0.5), U64(3)]), [Value::F64(0.5), Value::F64(3.0)]);
        assert_eq!(as_fields(&[U64(u64::MAX), U64(1)]), text(&["18446744073709551615", "1"]));
        assert_eq!(as_fields(&[F64(0.5), I64(i64::MAX)]), text(&["0.5", "9223372036854775807"]));
        assert_eq!(as_fields(&[Str("a"), Bool(true), Bytes(&[0, 255])]), text(&["a", "true", "00ff"]));
        assert_eq!(as_fields(&[Bytes(&[]), Bytes(&[1])]), [Value::Bytes(vec![]), Value::Bytes(vec![1])]);
    }
}

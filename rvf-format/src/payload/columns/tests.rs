//! Metadata of random records, written and read again.

use super::*;
use crate::payload::lookup::{self, LookupView};
use crate::storage::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
enum Held {
    Bool(bool),
    I64(i64),
    F64(f64),
    Str(String),
    List(Vec<String>),
    Bytes(Vec<u8>),
}

type Record = BTreeMap<&'static str, Held>;

fn view_of(draft: &crate::build::Draft<'_>) -> ColumnsView {
    let mut entry = ManifestEntry::zeroed();
    entry.kind = draft.kind.0;
    entry.base_row.set(draft.base_row);
    entry.rows.set(draft.rows);
    ColumnsView::parse(Bytes::from(draft.encode(7, 0).unwrap()), &entry).unwrap()
}

fn build(records: &[Record], rows: Option<&[u64]>) -> ColumnsView {
    let mut builder = Builder::new();
    for record in records {
        for (name, value) in record {
            let given = match value {
                Held::Bool(value) => builder.set(name, Given::Bool(*value)),
                Held::I64(value) => builder.set(name, Given::I64(*value)),
                Held::F64(value) => builder.set(name, Given::F64(*value)),
                Held::Str(value) => builder.set(name, Given::Str(value)),
                Held::List(value) => builder.set(name, Given::List(&mut value.iter().map(String::as_str))),
                Held::Bytes(value) => builder.set(name, Given::Bytes(value)),
            };
            given.unwrap();
        }
        builder.end_record();
    }
    view_of(&builder.draft(40, rows).unwrap())
}

fn read(view: &ColumnsView, position: u32) -> BTreeMap<String, Held> {
    let mut record = BTreeMap::new();
    for column in view.columns() {
        let value = match column.value(position).unwrap() {
            ValueRef::Null => continue,
            ValueRef::Bool(value) => Held::Bool(value),
            ValueRef::I64(value) => Held::I64(value),
            ValueRef::F64(value) => Held::F64(value),
            ValueRef::Str(value) => Held::Str(value.to_owned()),
            ValueRef::List(list) => Held::List(list.iter().map(|item| item.unwrap().to_owned()).collect()),
            ValueRef::Bytes(value) => Held::Bytes(value.to_vec()),
        };
        record.insert(column.name().to_owned(), value);
    }
    record
}

fn strings() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-c]{0,2}", 1 => Just("long ".repeat(60)), 1 => Just("é".repeat(128))]
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let whole = prop_oneof![Just(i64::MIN), Just(i64::MAX), -3i64..300, Just(70_000)];
    let float = prop_oneof![Just(-0.0), Just(f64::MIN_POSITIVE), Just(1e300), -1.0..1.0];
    let fields = (
        proptest::option::of(any::<bool>().prop_map(Held::Bool)),
        proptest::option::of(whole.prop_map(Held::I64)),
        proptest::option::of(float.prop_map(Held::F64)),
        proptest::option::of(strings().prop_map(Held::Str)),
        proptest::option::of(proptest::collection::vec(strings(), 0..4).prop_map(Held::List)),
        proptest::option::weighted(0.2, proptest::collection::vec(any::<u8>(), 0..9).prop_map(Held::Bytes)),
    );
    let record = fields.prop_map(|(bool, whole, float, text, list, bytes)| {
        let named = [("flag", bool), ("a", whole), ("f", float), ("text", text), ("tags", list), ("raw", bytes)];
        named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    });
    proptest::collection::vec(record, 1..if cfg!(miri) { 4 } else { 40 })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 200 }))]
    #[test]
    fn what_went_in_comes_back(records in records()) {
        let view = build(&records, None);
        view.check().unwrap();
        prop_assert_eq!(view.count() as usize, records.len());
        for (position, record) in records.iter().enumerate() {
            let expected: BTreeMap<String, Held> = record.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
            let found = read(&view, position as u32);
            prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"));
            prop_assert_eq!((view.row(position as u32), view.position(40 + position as u64)), (40 + position as u64, Some(position as u32)));
        }
    }

    #[test]
    fn a_lookup_finds_the_records_of_each_value(records in records()) {
        let view = build(&records, None);
        let draft = lookup::draft(&view, 40).unwrap();
        let mut entry = ManifestEntry::zeroed();
        entry.rows.set(draft.rows);
        let lookup = LookupView::parse(Bytes::from(draft.encode(8, 0).unwrap()), &entry, &view).unwrap();
        lookup::check(&lookup, &view, 0).unwrap();
        for (place, column) in view.columns().enumerate() {
            match column.kind() {
                FieldKind::Bool | FieldKind::Bytes => {}
                FieldKind::I64 | FieldKind::F64 => {
                    let order: Vec<u32> = lookup.by_number(place).unwrap().iter().map(|record| record.get()).collect();
                    let number = |record: &u32| match column.value(*record).unwrap() {
                        ValueRef::I64(value) => (value, 0.0),
                        ValueRef::F64(value) => (0, value),
                        other => panic!("{other:?}"),
                    };
                    prop_assert!(order.is_sorted_by(|a, b| number(a) <= number(b)));
                    prop_assert_eq!(order.len(), column.present() as usize);
                }
                FieldKind::Str | FieldKind::List => {
                    for entry in 0..column.entries() {
                        let mut words = [0u64; 1];
                        lookup.posting(place, entry).unwrap().insert_into(&mut words);
                        let text = core::str::from_utf8(column.entry(entry).unwrap()).unwrap();
                        for record in 0..view.count() {
                            let has = match column.value(record).unwrap() {
                                ValueRef::Str(value) => value == text,
                                ValueRef::List(list) => list.iter().any(|item| item == Some(text)),
                                _ => false,
                            };
                            prop_assert_eq!(words[0] >> record & 1 == 1, has);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn changed_bytes_are_read_without_panic(records in records(), changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6)) {
        let view = build(&records, None);
        let mut builder_bytes = Vec::new();
        for bytes in [&view.data[..], &view.names[..]] {
            builder_bytes.push(bytes.to_vec());
        }
        let mut fields: Vec<u8> = zerocopy::IntoBytes::as_bytes(&view.fields[..]).to_vec();
        for (at, value) in changes {
            let whole = match at % 3 {
                0 => &mut fields,
                1 => &mut builder_bytes[0],
                _ => &mut builder_bytes[1],
            };
            if let Some(len) = std::num::NonZero::new(whole.len()) {
                whole[at as usize / 3 % len] = value;
            }
        }
        let draft = crate::build::Draft::new(Kind::META, FORM)
            .rows(40, view.count())
            .section(TAG_FACTS, zerocopy::IntoBytes::as_bytes(&ColumnsFacts { count: view.count().into(), fields: (view.fields.len() as u32).into(), reserved: 0.into() }).to_vec())
            .section(TAG_FIELDS, fields)
            .section(TAG_NAMES, builder_bytes[1].clone())
            .section(TAG_DATA, builder_bytes[0].clone());
        let mut entry = ManifestEntry::zeroed();
        entry.kind = Kind::META.0;
        entry.base_row.set(40);
        entry.rows.set(draft.rows);
        let Ok(view) = ColumnsView::parse(Bytes::from(draft.encode(7, 0).unwrap()), &entry) else { return Ok(()) };
        let sound = view.check().is_ok();
        for column in view.columns() {
            for position in 0..view.count() + 1 {
                let value = column.value(position);
                if let Some(ValueRef::List(list)) = value {
                    let whole = list.iter().all(|item| item.is_some());
                    prop_assert!(whole || !sound);
                }
                prop_assert!(value.is_some() || !sound || position == view.count());
            }
        }
        let _ = lookup::draft(&view, 40);
    }
}

#[test]
fn whole_numbers_widen_where_that_is_exact() {
    let mut builder = Builder::new();
    builder.set("n", Given::I64(9_007_199_254_740_992)).unwrap();
    builder.end_record();
    builder.set("n", Given::F64(0.5)).unwrap();
    builder.end_record();
    let clash = builder.set("n", Given::I64(9_007_199_254_740_993)).unwrap_err();
    assert_eq!(clash, Clash { held: FieldKind::F64, given: FieldKind::I64 });
    assert!(builder.set("n", Given::I64(i64::MAX)).is_err());
    builder.set("n", Given::I64(i64::MIN)).unwrap();
    builder.end_record();
    assert!(builder.set("n", Given::Str("x")).is_err());
    builder.end_record();
    let view = view_of(&builder.draft(0, None).unwrap());
    let values: Vec<_> = (0..4).map(|at| view.column("n").unwrap().value(at).unwrap()).collect();
    let floats = [9_007_199_254_740_992.0, 0.5, i64::MIN as f64].map(ValueRef::F64);
    assert_eq!(values, [floats[0], floats[1], floats[2], ValueRef::Null]);
    let mut builder = Builder::new();
    builder.set("n", Given::I64(i64::MAX)).unwrap();
    builder.end_record();
    assert!(builder.set("n", Given::F64(0.5)).is_err(), "what is there is no binary64");
}

#[test]
fn rows_may_be_apart() {
    let record = |n| Record::from([("n", Held::I64(n))]);
    let view = build(&[record(1), record(2)], Some(&[40, 1 << 40]));
    assert_eq!((view.row(1), view.position(1 << 40), view.position(41)), (1 << 40, Some(1), None));
    view.check().unwrap();
}

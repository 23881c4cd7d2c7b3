//! Filters over columns against the same filters over one record at a time.

use crate::filter::{Expr, FieldRef, Filter, Operand, field, id};
use crate::value::{Metadata, Value};
use crate::{CompactOptions, CreateOptions, Db, Id, IdType, Metric, OpenOptions, Schema};
use proptest::prelude::{BoxedStrategy, Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use rvf_format::storage::MemoryPlace;
use std::collections::BTreeSet;
use std::sync::Arc;

fn text() -> BoxedStrategy<String> {
    prop_oneof![4 => "[a-c]{0,3}", 1 => "[ab]{1,2}".prop_map(|end| "long".repeat(70) + &end)].boxed()
}

fn whole() -> BoxedStrategy<i64> {
    prop_oneof![6 => -4i64..5, 1 => Just(i64::MIN), 1 => Just(i64::MAX), 1 => Just((1 << 53) + 1)].boxed()
}

fn decimal() -> BoxedStrategy<f64> {
    prop_oneof![
        Just(-0.0),
        Just(0.0),
        Just(9_007_199_254_740_992.0),
        Just(-9.3e18),
        (-4i64..5).prop_map(|n| n as f64 / 2.0)
    ]
    .boxed()
}

fn record() -> BoxedStrategy<Metadata> {
    let fields = (
        proptest::option::of(whole().prop_map(Value::I64)),
        proptest::option::of(decimal().prop_map(Value::F64)),
        proptest::option::of(text().prop_map(Value::Str)),
        proptest::option::of(proptest::collection::vec(text(), 0..3).prop_map(Value::List)),
        proptest::option::of(any::<bool>().prop_map(Value::Bool)),
        proptest::option::weighted(0.1, Just(Value::Bytes(vec![1]))),
    );
    let named = fields.prop_map(|(n, f, s, l, b, x)| {
        let all = [("n", n), ("f", f), ("s", s), ("l", l), ("b", b), ("x", x)];
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    });
    named.boxed()
}

fn leaf(texts: bool) -> BoxedStrategy<Expr> {
    let number = |name: &'static str| {
        prop_oneof![
            (whole(), 0..6u8).prop_map(move |(n, op)| compare(field(name), op, n)),
            (decimal(), 0..6u8).prop_map(move |(n, op)| compare(field(name), op, n)),
            (whole(), decimal()).prop_map(move |(a, b)| field(name).between(a, b)),
            proptest::collection::vec(whole(), 1..4).prop_map(move |all| field(name).is_in(all)),
        ]
    };
    let pattern = prop_oneof!["[ab%_]{0,4}", Just("long%b".to_owned()), "[ab]{1,2}%"];
    let strings = prop_oneof![
        (text(), 0..6u8).prop_map(|(text, op)| compare(field("s"), op, text)),
        (text(), text()).prop_map(|(a, b)| field("s").between(a, b)),
        proptest::collection::vec(text(), 1..4).prop_map(|all| field("s").is_in(all)),
        pattern.prop_map(|pattern| field("s").like(pattern)),
    ];
    let ids = if texts {
        prop_oneof![("[0-9]{1,2}", 0..6u8).prop_map(|(text, op)| compare(id(), op, text)), Just(id().like("1%"))]
            .boxed()
    } else {
        let numbers = proptest::collection::vec(-3i64..70, 1..4);
        prop_oneof![
            (-3i64..70, 0..6u8).prop_map(|(n, op)| compare(id(), op, n)),
            numbers.prop_map(|all| id().is_in(all)),
            (0..70u8).prop_map(|n| id().eq(f64::from(n) / 2.0)),
        ]
        .boxed()
    };
    let null = proptest::sample::select(vec!["n", "s", "l", "b", "x", "unknown"]);
    prop_oneof![
        3 => number("n"),
        2 => number("f"),
        4 => strings,
        2 => text().prop_map(|text| field("l").contains(text)),
        1 => prop_oneof![Just(field("b").is_true()), Just(field("b").eq(false)), Just(field("b").ne(true))],
        2 => null.prop_map(|name| field(name).is_null()),
        1 => Just(field("unknown").eq(1)),
        2 => ids,
    ]
    .boxed()
}

fn compare(field: crate::filter::Field, op: u8, literal: impl Into<crate::filter::Literal>) -> Expr {
    match op {
        0 => field.eq(literal),
        1 => field.ne(literal),
        2 => field.lt(literal),
        3 => field.le(literal),
        4 => field.gt(literal),
        _ => field.ge(literal),
    }
}

fn expr(texts: bool) -> BoxedStrategy<Expr> {
    let tree = leaf(texts).prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.and(b)),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.or(b)),
            inner.prop_map(Expr::negate),
        ]
    });
    tree.boxed()
}

/// What a test of one record after another finds.
fn naive(db: &Db, filter: &Filter) -> BTreeSet<Id> {
    let snapshot = db.snapshot();
    let mut found = BTreeSet::new();
    for record in snapshot.records().unwrap().map(Result::unwrap) {
        let of = |field: &FieldRef| match (field, &record.id) {
            (FieldRef::Id, Id::U64(number)) => Operand::IdNumber(*number),
            (FieldRef::Id, Id::Str(text)) => Operand::IdText(text),
            (FieldRef::Name(name), _) => Operand::Value(record.metadata.get(name).unwrap_or(&Value::Null)),
        };
        if filter.expr().eval(&of) == Some(true) {
            found.insert(record.id.clone());
        }
    }
    found
}

fn check(db: &Db, filter: &Filter) {
    let snapshot = db.snapshot();
    let matches = snapshot.matches(filter).unwrap();
    let found: BTreeSet<Id> = matches.rows().map(|at| Id::from(snapshot.id_of(at).unwrap())).collect();
    assert_eq!(found, naive(db, filter), "{filter}");
    assert_eq!(matches.count(), found.len() as u64);
}

fn db(id_type: IdType) -> Db {
    let open = OpenOptions { manual_index: true, ..OpenOptions::default() };
    let schema = Schema { id_type, ..Schema::new(2, Metric::L2) };
    let create = CreateOptions { open, ..CreateOptions::default() };
    Db::create_with(Arc::new(MemoryPlace::default()), "a.rvf", &schema, &create).unwrap()
}

fn id_of(id_type: IdType, number: u64) -> Id {
    if id_type == IdType::U64 { Id::U64(number) } else { Id::Str(number.to_string()) }
}

/// Puts, updates and deletions over several commits; then the same rows with an index of their metadata.
fn run(records: &[Metadata], changes: &[(u64, Metadata)], filters: &[Expr], id_type: IdType) {
    let mut db = db(id_type);
    for chunk in records.chunks(25).enumerate() {
        let mut batch = db.batch();
        for (at, fields) in chunk.1.iter().enumerate() {
            let number = (chunk.0 * 25 + at) as u64;
            batch.put_with(id_of(id_type, number), &[number as f32, 1.0], fields.clone()).unwrap();
        }
        batch.commit().unwrap();
    }
    let mut batch = db.batch();
    for (number, fields) in changes {
        batch.update(id_of(id_type, *number), fields.clone()).unwrap();
    }
    for number in [3, 30, 31] {
        batch.delete(id_of(id_type, number)).unwrap();
    }
    batch.commit().unwrap();
    let filters: Vec<Filter> = filters.iter().map(|expr| Filter::new(expr.clone()).unwrap()).collect();
    filters.iter().for_each(|filter| check(&db, filter));
    // Enough records for an index of metadata.
    let mut batch = db.batch();
    for number in 100..1400 {
        let fields = records[number as usize % records.len()].clone();
        batch.put_with(id_of(id_type, number), &[number as f32, 1.0], fields).unwrap();
    }
    batch.commit().unwrap();
    filters.iter().for_each(|filter| check(&db, filter));
    db.compact(&CompactOptions::default()).unwrap();
    filters.iter().for_each(|filter| check(&db, filter));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 32 }))]
    /// Would show a test of a column, an index of metadata, a DELTA or the logic of unknown values that finds too much or too little.
    #[test]
    fn columns_find_what_records_say(
        records in proptest::collection::vec(record(), 1..60),
        changes in proptest::collection::vec((0..60u64, record()), 0..12),
        filters in proptest::collection::vec(expr(false), 1..12),
    ) {
        run(&records, &changes, &filters, IdType::U64);
    }

    #[test]
    fn string_ids_are_tested_too(
        records in proptest::collection::vec(record(), 1..60),
        filters in proptest::collection::vec(expr(true), 1..6),
    ) {
        run(&records, &[], &filters, IdType::Str);
    }
}

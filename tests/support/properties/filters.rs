//! Any text as a filter: it is refused with a hint and a place, or it means what it says, written again and over columns.

use crate::samples;
use rvf_engine::filter::{FieldRef, Filter, FilterFault, Operand};
use rvf_engine::{Error, Id, Record, Snapshot, Value};
use rvf_format::storage::Bytes;
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// A store with fields, and its records.
fn store() -> &'static (Snapshot, Vec<Record>) {
    static STORE: OnceLock<(Snapshot, Vec<Record>)> = OnceLock::new();
    STORE.get_or_init(|| {
        let snapshot = Snapshot::newest(Bytes::from(samples::with_fields().as_slice())).unwrap();
        let records = snapshot.records().unwrap().map(Result::unwrap).collect();
        (snapshot, records)
    })
}

/// Reads a filter and runs it.
pub fn filter(text: &str) {
    let filter = match Filter::parse(text) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.hint().is_empty(), "{error:?}");
            assert!(error.caret().lines().count() <= 2, "{:?}", error.caret());
            return;
        }
    };
    match Filter::parse(&filter.to_string()) {
        Ok(again) => assert_eq!(again, filter, "written as {filter}"),
        Err(error) => assert!(matches!(error.kind(), FilterFault::TooLong), "{error}: {filter}"),
    }
    let (snapshot, records) = store();
    let matches = match snapshot.matches(&filter) {
        Ok(matches) => matches,
        Err(Error::Filter(_)) => return,
        Err(error) => panic!("{error}: {filter}"),
    };
    let found: BTreeSet<Id> = matches.ids(snapshot).unwrap().into_iter().collect();
    let holds = |record: &&Record| {
        let of = |field: &FieldRef| match (field, &record.id) {
            (FieldRef::Id, Id::U64(number)) => Operand::IdNumber(*number),
            (FieldRef::Id, Id::Str(text)) => Operand::IdText(text),
            (FieldRef::Name(name), _) => Operand::Value(record.metadata.get(name).unwrap_or(&Value::Null)),
        };
        filter.expr().eval(&of) == Some(true)
    };
    let expected: BTreeSet<Id> = records.iter().filter(holds).map(|record| record.id.clone()).collect();
    assert_eq!(found, expected, "{filter}");
}

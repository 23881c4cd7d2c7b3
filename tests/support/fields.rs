//! Metadata that tests store: drawn from random numbers, changed, and told in a way that can be compared.

use crate::oracle::Rng;
use rvf_engine::{Id, Metadata, Value};
use std::collections::BTreeMap;

/// The metadata of records that have any, by id.
pub type Fields = BTreeMap<Id, Metadata>;

/// Whole numbers in most records; one that is not whole makes the field f64 for good.
const SCORE: &str = "score";

/// The fields of a record: none, some or all of them, those that few records have among them.
pub fn draw(rng: &mut Rng) -> Metadata {
    let mut metadata = Metadata::new();
    if rng.below(8) == 0 {
        return metadata;
    }
    for field in 0..7 {
        if rng.below(3) > 0 {
            let (name, value) = value(rng, field);
            metadata.insert(name, value);
        }
    }
    if rng.below(4) == 0 {
        metadata.insert(format!("rare {}", rng.below(6)), Value::Bool(true));
    }
    metadata
}

/// A change of one to three fields; null ones are taken away.
pub fn draw_change(rng: &mut Rng) -> Metadata {
    let mut change = Metadata::new();
    for _ in 0..1 + rng.below(3) {
        let field = rng.below(7);
        let (name, value) = value(rng, field);
        change.insert(name, if rng.below(4) == 0 { Value::Null } else { value });
    }
    change
}

fn value(rng: &mut Rng, field: u64) -> (String, Value) {
    let (name, value) = match field {
        0 => ("lang", Value::Str(["de", "en", "fr", "ελ"][rng.below(4) as usize].to_owned())),
        1 => ("tags", Value::List((0..rng.below(4)).map(|_| format!("tag {}", rng.below(6))).collect())),
        2 => ("count", Value::I64([0, -1, i64::MIN, i64::MAX, rng.below(300) as i64][rng.below(5) as usize])),
        3 if rng.below(3) == 0 => (SCORE, Value::F64([-0.0, 0.5, 1e-300, -2.25][rng.below(4) as usize])),
        3 => (SCORE, Value::I64(rng.below(9) as i64 - 4)),
        // Longer than the longest entry of a dictionary: a text of its own.
        4 => ("text", Value::Str(format!("{} ", rng.below(100)).repeat(90 + rng.below(60) as usize))),
        5 => ("flag", Value::Bool(rng.below(2) == 0)),
        _ => ("raw", Value::Bytes((0..rng.below(5)).map(|_| rng.below(256) as u8).collect())),
    };
    (name.to_owned(), value)
}

/// Sets fields, and removes those that are null.
pub fn change(metadata: &mut Metadata, changes: &Metadata) {
    for (name, value) in changes {
        match value {
            Value::Null => drop(metadata.remove(name)),
            value => drop(metadata.insert(name.clone(), value.clone())),
        }
    }
}

/// The same metadata with the numbers of the field that may be of both kinds as f64: what was stored and what is read are told alike.
pub fn told(mut metadata: Metadata) -> Metadata {
    if let Some(value) = metadata.get_mut(SCORE)
        && let Value::I64(whole) = *value
    {
        *value = Value::F64(whole as f64);
    }
    metadata
}

//! The file of decisions that `rvf merge` takes: a line for each conflict, whose change is taken.

use crate::failure::Failure;
use rvf_engine::{Decision, Id, IdType, Side};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

const HINT: &str = "a line is {\"id\":17,\"take\":\"ours\"}, \"theirs\" or \"renumber\"";

/// A line of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Value,
    take: Take,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Take {
    Ours,
    Theirs,
    Renumber,
}

impl From<Take> for Decision {
    fn from(take: Take) -> Self {
        match take {
            Take::Ours => Decision::Take(Side::Ours),
            Take::Theirs => Decision::Take(Side::Theirs),
            Take::Renumber => Decision::Renumber,
        }
    }
}

/// The decisions about records of a store with ids of this type.
pub(super) fn read_decisions(path: &Path, id_type: IdType) -> Result<BTreeMap<Id, Decision>, Failure> {
    let unreadable = |error: io::Error| {
        let message = format!("the decisions cannot be read: {error} ({})", path.display());
        Failure::usage("decisions", message, "--decisions is followed by the path of a text in UTF-8")
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut decisions = BTreeMap::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let wrong = |what: String| {
            Failure::usage("decisions", format!("{what} ({}, line {})", path.display(), number + 1), HINT)
        };
        let line = line.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => wrong("the line is no text in UTF-8".to_owned()),
            _ => unreadable(error),
        })?;
        if line.trim().is_empty() {
            continue;
        }
        let line = parse(&line).map_err(wrong)?;
        let id = id_of(&line.id, id_type).map_err(wrong)?;
        if decisions.insert(id, line.take.into()).is_some() {
            return Err(wrong(format!("a line before decides about id {} already", line.id)));
        }
    }
    Ok(decisions)
}

/// A line, or what is wrong with it.
fn parse(text: &str) -> Result<Line, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let what = error.to_string();
        // The number of the line is that in the file, not that in the line.
        let what = what.split(" at line ").next().unwrap_or_default();
        format!("the line is no JSON: {what} at column {}", error.column())
    })?;
    if !value.is_object() {
        return Err(format!("the line is {}, not an object", named(&value)));
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn named(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The id of a line, or why it is none.
fn id_of(value: &Value, id_type: IdType) -> Result<Id, String> {
    let id = match (value, id_type) {
        (Value::Number(number), IdType::U64) => Id::parse(&number.to_string(), id_type),
        (Value::String(text), IdType::Str) => Id::parse(text, id_type),
        _ => None,
    };
    id.filter(|id| *id != Id::U64(u64::MAX)).ok_or_else(|| {
        let why = match (value, id_type) {
            (Value::Number(number), IdType::U64) => why_none(number),
            (Value::String(_), IdType::Str) => ": an id has 1 to 1,024 bytes without NUL",
            _ => "",
        };
        format!("{value} is no id of a store with ids of type {id_type}{why}")
    })
}

/// Why a number is no id.
fn why_none(number: &serde_json::Number) -> &'static str {
    let is_negative = number.as_f64().is_some_and(|number| number < 0.0);
    let is_large = number.as_f64().is_some_and(|number| number >= u64::MAX as f64);
    match (is_negative, is_large) {
        (true, _) => ": it is negative",
        (_, true) => ": the largest is 18446744073709551614",
        _ => ": it is not written as a whole number",
    }
}

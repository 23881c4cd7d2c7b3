//! The cells of fields in a `.csv` file, and the JSON values that they stand for.
//!
//! An empty cell is no value. Otherwise a column holds one type:
//!
//! | type | cell |
//! | --- | --- |
//! | bool | `true` or `false`, in any case of letters |
//! | i64, f64 | a number as JSON has it; a whole one in f64 only where it is exact |
//! | string | the text; a text that is a JSON string with its quotes stands for that string, and so `""` for the empty one |
//! | list | a JSON array of strings |
//! | bytes | `0x` and two hexadecimal digits a byte |
//!
//! A column whose header has no type takes that of its first cell that is not empty: a number, true or false, else text. Text is
//! taken as it stands, and takes whatever follows; whole numbers may be followed by others.

use super::json_metadata::{bytes_from_json, bytes_to_json};
use crate::value::FieldType;
use rvf_format::payload::columns::whole_as_f64;
use serde_json::{Number, Value as Json};

/// What is known of the type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// By the header.
    Declared(FieldType),
    /// By the cells up to now.
    Told(Option<FieldType>),
}

impl Kind {
    /// The value of a cell; none where it is empty.
    ///
    /// # Errors
    /// The type, where the cell is not of it.
    pub(super) fn value(&mut self, cell: &str) -> Result<Option<Json>, FieldType> {
        if cell.is_empty() {
            return Ok(None);
        }
        let value = match self {
            Kind::Declared(field) => declared(*field, cell).ok_or(*field),
            Kind::Told(held) => told(held, cell),
        };
        value.map(Some)
    }
}

fn declared(field: FieldType, cell: &str) -> Option<Json> {
    Some(match field {
        FieldType::Bool => Json::Bool(boolean(cell)?),
        FieldType::I64 => Json::from(number(cell)?.as_i64()?),
        FieldType::F64 => Json::Number(float(&number(cell)?)?),
        FieldType::Str => Json::String(text(cell)),
        FieldType::List => Json::from(serde_json::from_str::<Vec<String>>(cell).ok()?),
        FieldType::Bytes => bytes_to_json(cell.strip_prefix("0x").unwrap_or(cell)),
    })
    .filter(|value| field != FieldType::Bytes || bytes_from_json(value).is_some())
}

fn told(held: &mut Option<FieldType>, cell: &str) -> Result<Json, FieldType> {
    let natural = match (number(cell), boolean(cell)) {
        (Some(number), _) => Json::Number(number),
        (None, Some(boolean)) => Json::Bool(boolean),
        (None, None) => Json::String(cell.to_owned()),
    };
    let found = match &natural {
        Json::Number(number) if number.is_f64() => FieldType::F64,
        Json::Number(_) => FieldType::I64,
        Json::Bool(_) => FieldType::Bool,
        _ => FieldType::Str,
    };
    match held.unwrap_or(found) {
        FieldType::Str => {
            *held = Some(FieldType::Str);
            Ok(Json::String(cell.to_owned()))
        }
        field if field == found || (field.is_number() && found.is_number()) => {
            *held = Some(if field == FieldType::F64 { field } else { found });
            Ok(natural)
        }
        field => Err(field),
    }
}

fn number(cell: &str) -> Option<Number> {
    serde_json::from_str(cell).ok()
}

/// A number as a f64 that is the same number.
fn float(number: &Number) -> Option<Number> {
    match number.as_i64() {
        Some(whole) if whole_as_f64(whole).is_none() => None,
        _ => Number::from_f64(number.as_f64()?),
    }
}

fn boolean(cell: &str) -> Option<bool> {
    match cell {
        _ if cell.eq_ignore_ascii_case("true") => Some(true),
        _ if cell.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn text(cell: &str) -> String {
    let quoted = cell.starts_with('"').then(|| serde_json::from_str(cell).ok()).flatten();
    quoted.unwrap_or_else(|| cell.to_owned())
}

/// The cell of a value in a column of a type; `None` if it is of another.
pub(super) fn cell_of(value: &Json, field: FieldType) -> Option<String> {
    match (field, value) {
        (_, Json::Null) => Some(String::new()),
        (FieldType::Bool, Json::Bool(value)) => Some(value.to_string()),
        (FieldType::I64, Json::Number(number)) => Some(number.as_i64()?.to_string()),
        (FieldType::F64, Json::Number(number)) => Some(format!("{:?}", float(number)?.as_f64()?)),
        // What would read as a JSON string, or as no value, is written as a JSON string.
        (FieldType::Str, Json::String(text)) if text.is_empty() || text.starts_with('"') => Some(value.to_string()),
        (FieldType::Str, Json::String(text)) => Some(text.clone()),
        (FieldType::List, Json::Array(items)) => items.iter().all(Json::is_string).then(|| value.to_string()),
        (FieldType::Bytes, value) => Some(format!("0x{}", bytes_from_json(value)?)),
        _ => None,
    }
}

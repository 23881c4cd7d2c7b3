//! Metadata as JSON: an object whose members are fields. Bytes stand as `{"$bytes":"00ff"}`, in hexadecimal digits.

use super::error::{InputError, Place};
use super::fields::FieldFault;
use super::json_record::{Wrong, parse_metadata};
use crate::Error;
use crate::value::{Metadata, Value};
use serde_json::{Map, Number, Value as Json};

const BYTES: &str = "$bytes";

/// The fields of a JSON object.
///
/// ```
/// use rvf_engine::{Value, ingest::metadata_from_json};
/// let json = serde_json::json!({"lang": "en", "words": 80, "gone": null});
/// let metadata = metadata_from_json(json.as_object().ok_or("no object")?).map_err(|(_, fault)| fault.to_string())?;
/// assert_eq!((metadata.len(), &metadata["words"]), (2, &Value::I64(80)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The name of the first member that is no value of a field, and why.
pub fn metadata_from_json(object: &Map<String, Json>) -> Result<Metadata, (String, FieldFault)> {
    let mut metadata = changes_from_json(object)?;
    metadata.retain(|_, value| *value != Value::Null);
    Ok(metadata)
}

/// [`metadata_from_json`] with the members that are null: fields to be removed.
///
/// # Errors
/// The same.
pub fn changes_from_json(object: &Map<String, Json>) -> Result<Metadata, (String, FieldFault)> {
    let field = |(name, json): (&String, &Json)| match value_from_json(json) {
        Ok(value) => Ok((name.clone(), value)),
        Err(fault) => Err((name.clone(), fault)),
    };
    object.iter().map(field).collect()
}

/// The fields of the text of a JSON object.
///
/// # Errors
/// [`Error::Field`] of row 0 for a member that is no value of a field; [`Error::Input`] for a text that is no JSON object, or has a
/// member twice.
pub fn metadata_from_text(text: &str) -> crate::Result<Metadata> {
    let (_, value) = parse_metadata(text.as_bytes())
        .map_err(|Wrong { line, column, fault }| InputError::in_text(Place::Line { line, column }, fault))?;
    let object = value.as_ref().and_then(Json::as_object);
    let wrong =
        |(name, fault): (String, FieldFault)| Error::Field { row: 0, field: name.chars().take(64).collect(), fault };
    object.map_or(Ok(Metadata::new()), |object| metadata_from_json(object).map_err(wrong))
}

fn value_from_json(json: &Json) -> Result<Value, FieldFault> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => return number_from_json(number),
        Json::String(text) => Value::Str(text.clone()),
        Json::Array(items) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            Value::List(texts.collect::<Option<_>>().ok_or(FieldFault::Items)?)
        }
        Json::Object(object) => match (object.len(), object.get(BYTES)) {
            (1, Some(Json::String(digits))) => Value::Bytes(bytes_from_hex(digits).ok_or(FieldFault::Bytes)?),
            (1, Some(_)) => return Err(FieldFault::Bytes),
            _ => return Err(FieldFault::Nested),
        },
    })
}

fn number_from_json(number: &Number) -> Result<Value, FieldFault> {
    if let Some(whole) = number.as_i64() {
        return Ok(Value::I64(whole));
    }
    // Beyond i64: a f64 if that is the same number.
    if let Some(whole) = number.as_u64() {
        let float = whole as f64;
        let same = float < 18_446_744_073_709_551_616.0 && float as u64 == whole;
        return if same { Ok(Value::F64(float)) } else { Err(FieldFault::Range) };
    }
    number.as_f64().filter(|float| float.is_finite()).map(Value::F64).ok_or(FieldFault::NotFinite)
}

/// Metadata as a JSON object.
pub fn metadata_to_json(metadata: &Metadata) -> Json {
    Json::Object(metadata.iter().map(|(name, value)| (name.clone(), value_to_json(value))).collect())
}

/// A value as JSON.
pub fn value_to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::I64(value) => Json::from(*value),
        Value::F64(value) => Json::from(*value),
        Value::Str(value) => Json::String(value.clone()),
        Value::List(items) => Json::from(items.clone()),
        Value::Bytes(bytes) => {
            let digits = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            bytes_to_json(&digits)
        }
    }
}

/// Bytes, given as hexadecimal digits, as JSON.
pub(super) fn bytes_to_json(digits: &str) -> Json {
    Json::Object(Map::from_iter([(BYTES.to_owned(), Json::String(digits.to_owned()))]))
}

/// The hexadecimal digits of a value that is bytes.
pub(super) fn bytes_from_json(value: &Json) -> Option<&str> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let digits = object.get(BYTES)?.as_str()?;
    bytes_from_hex(digits).map(|_| digits)
}

/// The bytes of a value that is bytes.
#[cfg(feature = "parquet")]
pub(super) fn bytes_of_json(value: &Json) -> Option<Vec<u8>> {
    bytes_from_json(value).and_then(bytes_from_hex)
}

fn bytes_from_hex(digits: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|nibble| nibble as u8);
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    rest.is_empty().then_some(())?;
    pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_go_there_and_back() {
        let json = json!({
            "b": true, "i": i64::MIN, "j": i64::MAX, "f": 0.1, "g": -0.0, "s": "", "l": [], "m": ["a", "a"],
            "x": {"$bytes": "00fF10"}, "u": 1u64 << 63
        });
        let metadata = metadata_from_json(json.as_object().unwrap()).unwrap();
        assert_eq!(metadata["x"], Value::Bytes(vec![0, 255, 16]));
        assert_eq!(metadata["u"], Value::F64(9_223_372_036_854_775_808.0));
        assert!(matches!(metadata["g"], Value::F64(zero) if zero.is_sign_negative()));
        let back = metadata_to_json(&metadata);
        assert_eq!(metadata_from_json(back.as_object().unwrap()).unwrap(), metadata);
    }

    #[test]
    fn what_no_field_holds_is_refused() {
        let fault = |json: serde_json::Value| metadata_from_json(json.as_object().unwrap()).unwrap_err();
        assert_eq!(fault(json!({"a": {"b": 1}})), ("a".to_owned(), FieldFault::Nested));
        assert_eq!(fault(json!({"a": ["b", 1]})).1, FieldFault::Items);
        assert_eq!(fault(json!({"a": u64::MAX})).1, FieldFault::Range);
        for digits in [json!("0"), json!("0g"), json!("é"), json!(1)] {
            assert_eq!(fault(json!({"a": {"$bytes": digits}})).1, FieldFault::Bytes);
        }
    }
}

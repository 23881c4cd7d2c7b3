//! One line of a `.jsonl` file, or the text of one vector: JSON to a record, strictly. It knows no files.
//!
//! A number becomes the nearest f32, rounded once: `serde_json` with `float_roundtrip` reads a decimal as f32 where
//! f32 is asked for, and a whole number arrives exact. The depth is bounded by `serde_json`.
//!
//! `serde` carries errors as text, so a visitor notes the typed fault, and the part it was reading, in [`Notes`].

use std::cell::{Cell, RefCell};
use std::fmt;

use serde_core::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::MAX_DIM;
use super::batch::IdKind;
use super::fault::{InputFault, JsonFault, JsonPart, RowFault};

const SHOWN_KEY_CHARS: usize = 64;

/// A record without its vector, which went where the caller said.
pub(super) struct Record {
    pub(super) id: Option<Id>,
    pub(super) metadata: Option<Value>,
}

/// An id as it stands.
pub(super) enum Id {
    Number(u64),
    Text(String),
}

impl Id {
    pub(super) fn kind(&self) -> IdKind {
        match self {
            Id::Number(_) => IdKind::U64,
            Id::Text(_) => IdKind::Str,
        }
    }
}

/// What is wrong, and where: line and column from 1.
pub(super) struct Wrong {
    pub(super) line: u64,
    pub(super) column: u64,
    pub(super) fault: InputFault,
}

/// Reads a record, and appends its vector to `vector`.
pub(super) fn parse_record(text: &[u8], vector: &mut Vec<f32>) -> Result<Record, Wrong> {
    let notes = Notes::new(JsonPart::Record);
    let mut json = serde_json::Deserializer::from_slice(text);
    let visitor = RecordVisitor { vector, notes: &notes };
    let read = json.deserialize_map(visitor).and_then(|record| json.end().map(|()| record));
    read.map_err(|error| notes.wrong(&error))
}

/// Reads a line of metadata: `{"id":7,"metadata":{..}}`, or the fields alone. The id as text, if there is one, and the fields.
pub(super) fn parse_metadata(text: &[u8]) -> Result<(Option<String>, Option<Value>), Wrong> {
    let notes = Notes::new(JsonPart::Metadata);
    let mut json = serde_json::Deserializer::from_slice(text);
    let read = (MetadataSeed { notes: &notes }).deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    let Some(Value::Object(mut object)) = read.map_err(|error| notes.wrong(&error))? else { return Ok((None, None)) };
    let wraps = matches!(object.get("metadata"), None | Some(Value::Object(_) | Value::Null))
        && object.keys().all(|key| key == "id" || key == "metadata");
    if !wraps {
        return Ok((None, Some(Value::Object(object))));
    }
    let id = object.get("id").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
    Ok((id, object.remove("metadata").filter(Value::is_object)))
}

/// Reads an array of numbers, and appends it to `vector`.
pub(super) fn parse_vector(text: &[u8], vector: &mut Vec<f32>) -> Result<(), Wrong> {
    let notes = Notes::new(JsonPart::Vector);
    let mut json = serde_json::Deserializer::from_slice(text);
    let seed = VectorSeed { vector, notes: &notes };
    let read = seed.deserialize(&mut json).and_then(|()| json.end());
    read.map_err(|error| notes.wrong(&error))
}

/// What the visitors tell beside `serde`'s errors.
struct Notes {
    part: Cell<JsonPart>,
    fault: RefCell<Option<InputFault>>,
}

impl Notes {
    fn new(part: JsonPart) -> Notes {
        Notes { part: Cell::new(part), fault: RefCell::new(None) }
    }

    fn refuse<T, E: Error>(&self, fault: impl Into<InputFault>) -> Result<T, E> {
        self.fault.replace(Some(fault.into()));
        Err(E::custom("refused"))
    }

    fn wrong(&self, error: &serde_json::Error) -> Wrong {
        let fault = self.fault.take().unwrap_or_else(|| self.of_parser(error).into());
        Wrong { line: error.line().max(1) as u64, column: error.column().max(1) as u64, fault }
    }

    fn of_parser(&self, error: &serde_json::Error) -> JsonFault {
        if error.is_data() {
            return JsonFault::WrongType { part: self.part.get() };
        }
        let text = error.to_string();
        // The parser ends its words with " at line 1 column 9", which the place says already.
        let message = text.split(" at line ").next().unwrap_or_default();
        match (message, self.part.get()) {
            ("number out of range", JsonPart::Element(position)) => JsonFault::OutOfRange { position },
            ("number out of range", JsonPart::Id) => JsonFault::IdTooLarge,
            _ => JsonFault::Syntax { message: message.to_owned() },
        }
    }
}

struct RecordVisitor<'a> {
    vector: &'a mut Vec<f32>,
    notes: &'a Notes,
}

impl<'de> Visitor<'de> for RecordVisitor<'_> {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
        let notes = self.notes;
        let (mut id, mut vector, mut metadata) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            let twice = match key.as_str() {
                "id" => id.replace(map.next_value_seed(IdSeed { notes })?).is_some(),
                "vector" if vector.is_none() => {
                    let seed = VectorSeed { vector: self.vector, notes };
                    vector.replace(map.next_value_seed(seed)?).is_some()
                }
                "vector" => true,
                "metadata" => metadata.replace(map.next_value_seed(MetadataSeed { notes })?).is_some(),
                _ => return notes.refuse(JsonFault::UnknownKey { key: shown(&key) }),
            };
            if twice {
                return notes.refuse(JsonFault::DuplicateKey { key });
            }
            notes.part.set(JsonPart::Record);
        }
        match vector {
            Some(()) => Ok(Record { id, metadata: metadata.flatten() }),
            None => notes.refuse(JsonFault::MissingVector),
        }
    }
}

struct IdSeed<'a> {
    notes: &'a Notes,
}

impl<'de> DeserializeSeed<'de> for IdSeed<'_> {
    type Value = Id;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Id, D::Error> {
        self.notes.part.set(JsonPart::Id);
        json.deserialize_any(self)
    }
}

impl Visitor<'_> for IdSeed<'_> {
    type Value = Id;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a string")
    }

    fn visit_u64<E: Error>(self, id: u64) -> Result<Id, E> {
        Ok(Id::Number(id))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Id, E> {
        self.notes.refuse(JsonFault::NegativeId)
    }

    fn visit_f64<E: Error>(self, id: f64) -> Result<Id, E> {
        const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;
        self.notes.refuse(match id {
            id if id.is_sign_negative() => JsonFault::NegativeId,
            id if id >= TWO_TO_64 => JsonFault::IdTooLarge,
            _ => JsonFault::FractionalId,
        })
    }

    fn visit_str<E: Error>(self, id: &str) -> Result<Id, E> {
        Ok(Id::Text(id.to_owned()))
    }
}

struct VectorSeed<'a> {
    vector: &'a mut Vec<f32>,
    notes: &'a Notes,
}

impl<'de> DeserializeSeed<'de> for VectorSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.notes.part.set(JsonPart::Vector);
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for VectorSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let mut count = 0;
        self.notes.part.set(JsonPart::Element(0));
        while let Some(element) = elements.next_element_seed(ElementSeed)? {
            if count == MAX_DIM {
                return self.notes.refuse(RowFault::Dim { found: count as i64 + 1 });
            }
            self.vector.push(element);
            count += 1;
            self.notes.part.set(JsonPart::Element(count));
        }
        match count {
            0 => self.notes.refuse(RowFault::Dim { found: 0 }),
            _ => Ok(()),
        }
    }
}

struct ElementSeed;

impl<'de> DeserializeSeed<'de> for ElementSeed {
    type Value = f32;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<f32, D::Error> {
        json.deserialize_f32(self)
    }
}

impl Visitor<'_> for ElementSeed {
    type Value = f32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    /// The parser has rounded to f32 and refused what is out of range: nothing is lost here.
    fn visit_f64<E: Error>(self, value: f64) -> Result<f32, E> {
        Ok(value as f32)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<f32, E> {
        Ok(value as f32)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<f32, E> {
        Ok(value as f32)
    }
}

struct MetadataSeed<'a> {
    notes: &'a Notes,
}

impl<'de> DeserializeSeed<'de> for MetadataSeed<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<Value>, D::Error> {
        self.notes.part.set(JsonPart::Metadata);
        match (ValueSeed { notes: self.notes }).deserialize(json)? {
            Value::Null => Ok(None),
            value @ Value::Object(_) => Ok(Some(value)),
            _ => self.notes.refuse(JsonFault::WrongType { part: JsonPart::Metadata }),
        }
    }
}

/// Any value, in which no object has a key twice.
struct ValueSeed<'a> {
    notes: &'a Notes,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(ValueSeed { notes: self.notes })? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if values.contains_key(&key) {
                return self.notes.refuse(JsonFault::DuplicateKey { key: shown(&key) });
            }
            let value = entries.next_value_seed(ValueSeed { notes: self.notes })?;
            values.insert(key, value);
        }
        Ok(Value::Object(values))
    }
}

fn shown(key: &str) -> String {
    key.chars().take(SHOWN_KEY_CHARS).collect()
}

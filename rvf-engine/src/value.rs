//! [`Value`] and [`FieldType`]: what a field of a record may hold. Knows no file.

use core::fmt;
use std::collections::BTreeMap;

/// The value of a field.
///
/// ```
/// use rvf_engine::Value;
/// assert_eq!(Value::from("mdn"), Value::Str("mdn".to_owned()));
/// assert_eq!(Value::from(7), Value::I64(7));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value: the same as no field.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    I64(i64),
    /// A finite number.
    F64(f64),
    /// UTF-8 text of any length.
    Str(String),
    /// Texts, in their order; one may be there twice.
    List(Vec<String>),
    /// Bytes of any length.
    Bytes(Vec<u8>),
}

/// The fields of a record by name. One that is null may as well be absent.
pub type Metadata = BTreeMap<String, Value>;

/// The type of a field, the same in all records of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// [`Value::Bool`].
    Bool,
    /// [`Value::I64`].
    I64,
    /// [`Value::F64`]; whole numbers that it holds exactly become such.
    F64,
    /// [`Value::Str`].
    Str,
    /// [`Value::List`].
    List,
    /// [`Value::Bytes`].
    Bytes,
}

/// Whether both say the same: numbers to the bit, but for a whole number and the binary64 that it is.
pub(crate) fn same_metadata(one: &Metadata, other: &Metadata) -> bool {
    let is_same = |(a, b): ((&String, &Value), (&String, &Value))| match (a.1, b.1) {
        // Zeros of both signs are equal numbers, but not the same.
        (Value::F64(x), Value::F64(y)) => a.0 == b.0 && x.to_bits() == y.to_bits(),
        // A field that one store has as whole numbers and the other, since a later change, as any.
        (Value::I64(x), Value::F64(y)) | (Value::F64(y), Value::I64(x)) => {
            a.0 == b.0 && (*x as f64).to_bits() == y.to_bits()
        }
        _ => a == b,
    };
    one.len() == other.len() && one.iter().zip(other).all(is_same)
}

impl Value {
    /// Its type; none of null.
    pub fn field_type(&self) -> Option<FieldType> {
        Some(match self {
            Value::Null => return None,
            Value::Bool(_) => FieldType::Bool,
            Value::I64(_) => FieldType::I64,
            Value::F64(_) => FieldType::F64,
            Value::Str(_) => FieldType::Str,
            Value::List(_) => FieldType::List,
            Value::Bytes(_) => FieldType::Bytes,
        })
    }
}

impl FieldType {
    /// Its name: bool, i64, f64, string, list, bytes.
    pub fn name(self) -> &'static str {
        match self {
            FieldType::Bool => "bool",
            FieldType::I64 => "i64",
            FieldType::F64 => "f64",
            FieldType::Str => "string",
            FieldType::List => "list",
            FieldType::Bytes => "bytes",
        }
    }

    /// Whether its values are numbers.
    pub fn is_number(self) -> bool {
        matches!(self, FieldType::I64 | FieldType::F64)
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

macro_rules! value_from {
    ($($type:ty => $variant:ident,)*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Value::$variant(value.into())
            }
        }
    )*};
}

value_from! {
    bool => Bool, i64 => I64, i32 => I64, u32 => I64, f64 => F64, &str => Str, String => Str, Vec<String> => List, Vec<u8> => Bytes,
}

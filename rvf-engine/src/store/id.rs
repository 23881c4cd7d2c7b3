//! [`Id`] and [`Ids`]: what names records, owned.

use core::fmt;
use rvf_format::IdType;
use rvf_format::payload::vec::IdRef;

/// The name of a record.
///
/// ```
/// use rvf_engine::{Id, IdType};
/// assert_eq!(Id::parse("7", IdType::U64), Some(Id::U64(7)));
/// assert_eq!(Id::parse("7", IdType::Str), Some(Id::from("7")));
/// assert_eq!(Id::parse("seven", IdType::U64), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// A number below 2^64 - 1.
    U64(u64),
    /// 1 to 1,024 bytes of UTF-8 without U+0000.
    Str(String),
}

impl Id {
    /// The same, borrowed.
    pub fn as_ref(&self) -> IdRef<'_> {
        match self {
            Id::U64(number) => IdRef::U64(*number),
            Id::Str(text) => IdRef::Str(text),
        }
    }

    /// Reads an id of the given type, as a person writes it. `None` if the text is no such id.
    pub fn parse(text: &str, id_type: IdType) -> Option<Self> {
        match id_type {
            IdType::U64 => text.parse().ok().map(Id::U64),
            IdType::Str => Some(Id::Str(text.to_owned())),
        }
    }

    /// Its type.
    pub fn id_type(&self) -> IdType {
        match self {
            Id::U64(_) => IdType::U64,
            Id::Str(_) => IdType::Str,
        }
    }
}

impl From<IdRef<'_>> for Id {
    fn from(id: IdRef<'_>) -> Self {
        match id {
            IdRef::U64(number) => Id::U64(number),
            IdRef::Str(text) => Id::Str(text.to_owned()),
        }
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Id::U64(number)
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Id::Str(text.to_owned())
    }
}

impl From<String> for Id {
    fn from(text: String) -> Self {
        Id::Str(text)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::U64(number) => number.fmt(f),
            Id::Str(text) => text.fmt(f),
        }
    }
}

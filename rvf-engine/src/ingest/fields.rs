//! Which metadata may enter a store: names and types of fields, against those that the store has. Records in, columns out.

use crate::store::{Fields, Id, Snapshot};
use crate::value::{FieldType, Metadata, Value};
use crate::{Error, Result};
use core::fmt;
use rvf_format::limits::MAX_FIELDS;
use rvf_format::payload::columns::{Builder, Given, is_field_name, whole_as_f64};

/// Why a field of a record may not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldFault {
    /// The field holds values of another type.
    Type {
        /// Of the field.
        held: FieldType,
        /// Of the value.
        given: FieldType,
    },
    /// The field holds f64, or would have to, and a whole number is not one exactly: this one, or one that is stored.
    NotExact,
    /// NaN or infinite.
    NotFinite,
    /// No name of a field.
    Name,
    /// More fields than a store can have.
    TooMany,
    /// An object in metadata: fields have no fields.
    Nested,
    /// An array of something else than strings.
    Items,
    /// A whole number beyond i64 that is no f64 exactly.
    Range,
    /// Bytes that are no text of hexadecimal digits.
    Bytes,
}

impl FieldFault {
    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            FieldFault::Type { .. } => {
                "give a value of the field's type, or use another name; a field that no record has any more is free after `rvf compact`"
            }
            FieldFault::NotExact => "give numbers below 2^53, or store one of the two under another name",
            FieldFault::NotFinite => "leave the field out where it has no number",
            FieldFault::Name => "names of fields have 1 to 1,024 bytes without NUL",
            FieldFault::TooMany => "a store has 4,096 fields at most: put what varies into values",
            FieldFault::Nested => "give fields of their own, for example author.name",
            FieldFault::Items => "lists hold strings only",
            FieldFault::Range => "give it as a string",
            FieldFault::Bytes => "bytes are given as {\"$bytes\":\"00ff\"}, two hexadecimal digits a byte",
        }
    }
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldFault::Type { held, given } => write!(f, "is a {given}, and the field holds {held}"),
            FieldFault::NotExact => f.write_str("makes a whole number a f64 that is another number"),
            FieldFault::NotFinite => f.write_str("is not a finite number"),
            FieldFault::Name => f.write_str("has no name that a field can have"),
            FieldFault::TooMany => write!(f, "would be field number {}", MAX_FIELDS + 1),
            FieldFault::Nested => f.write_str("is an object"),
            FieldFault::Items => f.write_str("is a list of something else than strings"),
            FieldFault::Range => f.write_str("is a number that neither i64 nor f64 holds exactly"),
            FieldFault::Bytes => f.write_str("is no text of hexadecimal digits"),
        }
    }
}

/// The fields of a store with what a commit adds to them.
pub(crate) struct Admission<'s> {
    snapshot: &'s Snapshot,
    fields: Fields,
}

impl Snapshot {
    /// Whether metadata of these records may be changed like this, as [`crate::Batch::update`] would: nothing is written.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// let mut batch = db.batch();
    /// batch.put_with(7, &[1.0, 2.0], [("lang", "en".into())])?;
    /// batch.commit()?;
    /// let change = |value: Value| [(Id::U64(7), Metadata::from([("lang".to_owned(), value)]))];
    /// assert!(db.snapshot().check_update(&change("de".into())).is_ok());
    /// assert!(matches!(db.snapshot().check_update(&change(5.into())), Err(Error::FieldOf { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::FieldOf`] for the first value that does not go in; corruption of what is read.
    pub fn check_update(&self, changes: &[(Id, Metadata)]) -> Result<()> {
        let records = changes.iter().enumerate().map(|(row, (_, fields))| (row as u64, fields));
        self.settle(Admission::new(self)?.admit_all(records)).map_err(|error| match error {
            Error::Field { row, field, fault } => match changes.get(row as usize) {
                Some((id, _)) => Error::FieldOf { id: id.to_string(), field, fault },
                None => Error::Field { row, field, fault },
            },
            other => other,
        })
    }
}

impl<'s> Admission<'s> {
    pub(crate) fn new(snapshot: &'s Snapshot) -> Result<Self> {
        Ok(Self { snapshot, fields: snapshot.fields()?.clone() })
    }

    /// The columns of `records`, whose places in the batch are `row` of each.
    ///
    /// # Errors
    /// [`Error::Field`] for the first value that does not go in; corruption of what is read.
    pub(crate) fn columns<'m>(&mut self, records: impl Iterator<Item = (u64, &'m Metadata)>) -> Result<Builder> {
        let mut builder = Builder::new();
        for (row, record) in records {
            for (name, value) in record.iter().filter(|(_, value)| **value != Value::Null) {
                let wrong = |fault| Error::Field { row, field: shown(name), fault };
                self.admit(name, value)?.map_err(wrong)?;
                set(&mut builder, name, value).map_err(wrong)?;
            }
            builder.end_record();
        }
        Ok(builder)
    }

    /// Whether all values of `records` go in; if not, none counts.
    ///
    /// # Errors
    /// Those of [`Admission::columns`].
    pub(crate) fn admit_all<'m>(&mut self, records: impl Iterator<Item = (u64, &'m Metadata)>) -> Result<()> {
        let before = self.fields.clone();
        for (row, record) in records {
            for (name, value) in record {
                let admitted = self.admit(name, value)?;
                if let Err(fault) = admitted {
                    self.fields = before;
                    return Err(Error::Field { row, field: shown(name), fault });
                }
            }
        }
        Ok(())
    }

    /// Whether a value goes in; from then on its field has a type.
    fn admit(&mut self, name: &str, value: &Value) -> Result<core::result::Result<(), FieldFault>> {
        let Some(given) = value.field_type() else { return Ok(Ok(())) };
        if matches!(value, Value::F64(value) if !value.is_finite()) {
            return Ok(Err(FieldFault::NotFinite));
        }
        let Some(held) = self.fields.get(name).copied() else {
            if !is_field_name(name) {
                return Ok(Err(FieldFault::Name));
            }
            if self.fields.len() >= MAX_FIELDS {
                return Ok(Err(FieldFault::TooMany));
            }
            self.fields.insert(name.to_owned(), given);
            return Ok(Ok(()));
        };
        let exact = match (held, value) {
            _ if held == given => true,
            (FieldType::F64, Value::I64(value)) => whole_as_f64(*value).is_some(),
            (FieldType::I64, Value::F64(_)) => {
                let exact = self.snapshot.all_whole_are_exact(name)?;
                self.fields.insert(name.to_owned(), FieldType::F64);
                exact
            }
            _ => return Ok(Err(FieldFault::Type { held, given })),
        };
        Ok(if exact { Ok(()) } else { Err(FieldFault::NotExact) })
    }
}

fn set(builder: &mut Builder, name: &str, value: &Value) -> core::result::Result<(), FieldFault> {
    let set = match value {
        Value::Null => Ok(()),
        Value::Bool(value) => builder.set(name, Given::Bool(*value)),
        Value::I64(value) => builder.set(name, Given::I64(*value)),
        Value::F64(value) => builder.set(name, Given::F64(*value)),
        Value::Str(value) => builder.set(name, Given::Str(value)),
        Value::Bytes(value) => builder.set(name, Given::Bytes(value)),
        Value::List(value) => builder.set(name, Given::List(&mut value.iter().map(String::as_str))),
    };
    // Types were admitted: what is left is a whole number of the same commit that is no f64.
    set.map_err(|_| FieldFault::NotExact)
}

/// A name as messages show it.
fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

//! The first line of a `.csv` file: which column holds what. Read and written.
//!
//! | column | holds |
//! | --- | --- |
//! | `id` | ids: numbers if the first one is a number, else strings; `id:u64` and `id:string` say which |
//! | `vector` | vectors, each a JSON array of numbers |
//! | `v0`, `v1`, .. or `0`, `1`, .. or `vector_0`, .. or `dim_0`, .. | without a column `vector`: an element each |
//! | `NAME:TYPE` | a field of that type: bool, i64, f64, string, list or bytes |
//! | `NAME` | a field whose cells tell its type |
//! | `metadata.NAME` and the same with a type | a field of that name, also where that is `id` or `vector` |

use super::batch::IdKind;
use super::csv_cell::Kind;
use super::csv_fault::CsvFault;
use crate::value::FieldType;
use std::borrow::Cow;
use std::collections::HashSet;

const FIELD_PREFIX: &str = "metadata.";
const ELEMENT_PREFIXES: [&str; 4] = ["v", "", "vector_", "dim_"];
const TYPES: [FieldType; 6] =
    [FieldType::Bool, FieldType::I64, FieldType::F64, FieldType::Str, FieldType::List, FieldType::Bytes];

/// What a column holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Role {
    Id { kind: Option<IdKind>, declared: bool },
    Vector,
    Element { column: String },
    Field { name: String, kind: Kind },
}

/// The roles of columns, from left to right.
///
/// # Errors
/// The number of the column that is wrong, from 1, and why.
pub(super) fn roles(names: &[&str]) -> Result<Vec<Role>, (usize, CsvFault)> {
    let elements = if names.contains(&"vector") { Vec::new() } else { element_columns(names)? };
    let mut seen = HashSet::new();
    let mut roles = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let role =
            if elements.binary_search(&index).is_ok() { Role::Element { column: shown(name) } } else { role_of(name) };
        let fault = match &role {
            Role::Field { name, .. } if name.is_empty() => Some(CsvFault::NoName { column: index + 1 }),
            Role::Field { name, .. } if !seen.insert((true, name.clone())) => Some(twice(name)),
            Role::Id { .. } if !seen.insert((false, "id".to_owned())) => Some(twice(name)),
            Role::Vector if !seen.insert((false, "vector".to_owned())) => Some(twice(name)),
            _ => None,
        };
        if let Some(fault) = fault {
            return Err((index + 1, fault));
        }
        roles.push(role);
    }
    let any = roles.iter().any(|role| matches!(role, Role::Vector | Role::Element { .. }));
    if any { Ok(roles) } else { Err((1, CsvFault::NoVector)) }
}

fn twice(name: &str) -> CsvFault {
    CsvFault::ColumnTwice { column: shown(name) }
}

fn role_of(name: &str) -> Role {
    match name {
        "vector" => Role::Vector,
        "id" => Role::Id { kind: None, declared: false },
        "id:u64" => Role::Id { kind: Some(IdKind::U64), declared: true },
        "id:string" => Role::Id { kind: Some(IdKind::Str), declared: true },
        _ => {
            let typed = name.rsplit_once(':').and_then(|(name, last)| Some((name, type_named(last)?)));
            let (name, kind) = match typed {
                Some((name, field)) => (name, Kind::Declared(field)),
                None => (name, Kind::Told(None)),
            };
            Role::Field { name: field_of(name).to_owned(), kind }
        }
    }
}

fn type_named(name: &str) -> Option<FieldType> {
    TYPES.into_iter().find(|field| field.name() == name)
}

/// The columns that hold an element each, which have to be in their order.
fn element_columns(names: &[&str]) -> Result<Vec<usize>, (usize, CsvFault)> {
    for prefix in ELEMENT_PREFIXES {
        let number = |name: &str| {
            let digits = name.strip_prefix(prefix)?;
            let number: usize = digits.parse().ok()?;
            (number.to_string() == digits).then_some(number)
        };
        let numbered = names.iter().enumerate().filter_map(|(index, name)| Some((index, number(name)?)));
        let mut columns = Vec::new();
        for (index, number) in numbered {
            if number != columns.len() {
                return Err((index + 1, CsvFault::Numbering { column: shown(names[index]) }));
            }
            columns.push(index);
        }
        if !columns.is_empty() {
            return Ok(columns);
        }
    }
    Ok(Vec::new())
}

/// The name of the column of ids.
pub(super) fn id_column(kind: IdKind) -> &'static str {
    match kind {
        IdKind::U64 => "id",
        IdKind::Str => "id:string",
    }
}

/// The name of the column of a field, with its type.
pub(super) fn field_column(name: &str, field: FieldType) -> String {
    format!("{}:{field}", field_name(name))
}

/// The name of the column of a field, without a type.
pub(super) fn field_name(name: &str) -> Cow<'_, str> {
    match ["id", "vector"].contains(&name) || name.starts_with(FIELD_PREFIX) {
        true => format!("{FIELD_PREFIX}{name}").into(),
        false => name.into(),
    }
}

/// The field of the column with this name, which has no type.
pub(super) fn field_of(name: &str) -> &str {
    name.strip_prefix(FIELD_PREFIX).unwrap_or(name)
}

/// A name as messages show it.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

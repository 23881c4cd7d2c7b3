//! The proof of an audit entry as a file: JSON of four fields (`spec/audit.md`).

use super::EntryProof;
use core::fmt;
use rvf_format::digest::{Hash, hex};
use rvf_format::note::{Note, NoteError};
use serde_core::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::json;

/// Longest proof file, bytes: a note, an entry and a path of 64 hashes are far shorter.
pub const MOST_PROOF_BYTES: usize = 1 << 20;

/// Why bytes are no proof of an audit entry.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProofFileError {
    /// They are longer than 1 MiB.
    TooLong,
    /// They are not the JSON of a proof.
    Json(serde_json::Error),
    /// The entry is not hexadecimal.
    Entry,
    /// The path holds something else than hashes of 64 hexadecimal digits.
    Path,
    /// The note is malformed.
    Note(NoteError),
}

impl fmt::Display for ProofFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProofFileError::TooLong => f.write_str("it is longer than 1 MiB"),
            ProofFileError::Json(error) => error.fmt(f),
            ProofFileError::Entry => f.write_str("entry is not hexadecimal"),
            ProofFileError::Path => f.write_str("path holds something else than hashes of 64 hexadecimal digits"),
            ProofFileError::Note(error) => write!(f, "note: {error}"),
        }
    }
}

impl std::error::Error for ProofFileError {}

impl EntryProof {
    /// The proof as JSON: `entry` and `path` in hexadecimal, `index`, `note` as text.
    pub fn to_json(&self) -> String {
        let value = json!({
            "entry": hex(&self.entry),
            "index": self.index,
            "path": self.path.iter().map(|hash| hex(hash)).collect::<Vec<_>>(),
            "note": self.note.render(),
        });
        format!("{value:#}\n")
    }

    /// Reads what [`EntryProof::to_json`] writes, in any layout. That it can be read proves nothing: [`EntryProof::check`] does.
    ///
    /// # Errors
    /// [`ProofFileError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, ProofFileError> {
        if bytes.len() > MOST_PROOF_BYTES {
            return Err(ProofFileError::TooLong);
        }
        let fields: Fields = serde_json::from_slice(bytes).map_err(ProofFileError::Json)?;
        let hash = |text: &String| bytes_of(text)?.try_into().ok();
        let path: Option<Vec<Hash>> = fields.path.iter().map(hash).collect();
        Ok(Self {
            entry: bytes_of(&fields.entry).ok_or(ProofFileError::Entry)?,
            index: fields.index,
            path: path.ok_or(ProofFileError::Path)?,
            note: Note::parse(fields.note.as_bytes()).map_err(ProofFileError::Note)?,
        })
    }
}

/// The fields as they stand in the JSON: each once, no other.
struct Fields {
    entry: String,
    index: u64,
    path: Vec<String>,
    note: String,
}

const NAMES: &[&str] = &["entry", "index", "path", "note"];

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with entry, index, path and note")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let (mut entry, mut index, mut path, mut note) = (None, None, None, None);
        while let Some(name) = map.next_key::<String>()? {
            let is_twice = match name.as_str() {
                "entry" => entry.replace(map.next_value()?).is_some(),
                "index" => index.replace(map.next_value()?).is_some(),
                "path" => path.replace(map.next_value()?).is_some(),
                "note" => note.replace(map.next_value()?).is_some(),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    return Err(A::Error::unknown_field(&name, NAMES));
                }
            };
            if is_twice {
                return Err(A::Error::custom(format_args!("`{name}` stands there twice")));
            }
        }
        let missing = A::Error::missing_field;
        Ok(Fields {
            entry: entry.ok_or_else(|| missing("entry"))?,
            index: index.ok_or_else(|| missing("index"))?,
            path: path.ok_or_else(|| missing("path"))?,
            note: note.ok_or_else(|| missing("note"))?,
        })
    }
}

/// The bytes of hexadecimal digits in lower case.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

//! Changes of metadata from a file: a line a record, which it names.

use super::error::InputError;
use super::fault::JsonFault;
use super::input;
use super::json_metadata::changes_from_json;
use super::jsonl::MetadataLines;
use crate::value::Metadata;
use crate::{Error, Result};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file of changes: each line is `{"id":7,"metadata":{"lang":"en","draft":null}}`. A null removes the field.
pub struct Changes {
    lines: MetadataLines<Box<dyn Read + Send>>,
    path: PathBuf,
}

/// One line of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The line, from 1.
    pub line: u64,
    /// The id of the record, as text.
    pub id: String,
    /// Fields to be set, and null for those to be removed.
    pub fields: Metadata,
}

impl Changes {
    /// Opens it.
    ///
    /// # Errors
    /// The file is missing or a directory.
    pub fn open(path: &Path) -> std::result::Result<Self, InputError> {
        Ok(Self::new(input::open_stream(path)?, path))
    }

    /// The same of any reader; `path` is for messages.
    ///
    /// ```
    /// use rvf_engine::{Value, ingest::Changes};
    /// let text = "{\"id\":7,\"metadata\":{\"words\":80,\"draft\":null}}\n";
    /// let mut changes = Changes::new(text.as_bytes(), "changes.jsonl".as_ref());
    /// let change = changes.next()?.ok_or("no line")?;
    /// assert_eq!((change.id.as_str(), &change.fields["words"]), ("7", &Value::I64(80)));
    /// assert_eq!(change.fields["draft"], Value::Null);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(reader: impl Read + Send + 'static, path: &Path) -> Self {
        Self { lines: MetadataLines::new(Box::new(reader), path), path: path.to_owned() }
    }

    /// The next line; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Input`] for a line that is not of that form, or names no record; [`Error::InFile`] for a value that no field holds.
    #[expect(clippy::should_implement_trait, reason = "it fails")]
    pub fn next(&mut self) -> Result<Option<Change>> {
        let Some((id, fields)) = self.lines.next()? else { return Ok(None) };
        let line = self.lines.number();
        let id = id.ok_or_else(|| self.lines.wrong(unnamed(fields.as_ref())))?;
        let wrong = |(name, fault): (String, _)| {
            let source = Error::Field { row: 0, field: name.chars().take(64).collect(), fault };
            Error::InFile { path: self.path.clone(), record: None, line: Some(line), source: Box::new(source) }
        };
        let object = fields.as_ref().and_then(serde_json::Value::as_object);
        let fields = object.map_or(Ok(Metadata::new()), changes_from_json).map_err(wrong)?;
        Ok(Some(Change { line, id, fields }))
    }
}

/// What is wrong with a line that is not of the form: a key beside the two, or that it names no record.
fn unnamed(line: Option<&serde_json::Value>) -> JsonFault {
    let object = line.and_then(serde_json::Value::as_object).filter(|object| object.contains_key("id"));
    let other = object.and_then(|object| object.keys().find(|key| !["id", "metadata"].contains(&key.as_str())));
    other.map_or(JsonFault::MissingId, |key| JsonFault::UnknownKey { key: key.chars().take(64).collect() })
}

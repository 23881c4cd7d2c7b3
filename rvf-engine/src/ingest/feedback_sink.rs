//! Feedback as a file that [`super::FeedbackLines`] reads.

use super::sink_error::SinkError;
use super::temp_file::TempFile;
use crate::Result;
use crate::store::{Event, Id, Snapshot};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Where the feedback goes of records that are exported: `NAME.feedback.jsonl` beside `NAME.npy`.
#[must_use]
pub fn feedback_companion(path: &Path) -> PathBuf {
    path.with_extension("feedback.jsonl")
}

impl Snapshot {
    /// Writes the feedback that counts, a line a query. Returns how much it was.
    ///
    /// # Errors
    /// Corruption of feedback; [`crate::Error::Output`].
    pub fn export_feedback(&self, path: &Path) -> Result<usize> {
        let events = self.feedback()?;
        write(&events, path)?;
        Ok(events.len())
    }
}

fn write(events: &[Event], path: &Path) -> std::result::Result<(), SinkError> {
    let mut file = TempFile::create(path)?;
    for event in events {
        file.write(format!("{}\n", line(event)).as_bytes())?;
    }
    file.complete()?;
    file.rename()
}

fn line(event: &Event) -> Value {
    let id = |id: &Id| match id {
        Id::U64(number) => json!(number),
        Id::Str(text) => json!(text),
    };
    let mut line = Map::new();
    line.insert("query".to_owned(), json!(event.query));
    for (name, list) in [("shown", &event.shown), ("chosen", &event.chosen)] {
        if !list.is_empty() {
            line.insert(name.to_owned(), list.iter().map(id).collect());
        }
    }
    if event.first_place > 0 {
        line.insert("position".to_owned(), json!(event.first_place));
    }
    line.insert("weight".to_owned(), json!(event.weight));
    Value::Object(line)
}

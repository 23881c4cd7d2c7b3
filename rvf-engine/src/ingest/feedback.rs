//! Feedback from a file: a line a query.

use super::error::InputError;
use super::fault::JsonFault;
use super::input;
use super::jsonl::MetadataLines;
use serde_json::{Map, Value};
use std::io::Read;
use std::path::Path;

/// A file of feedback: each line is `{"query":[..],"shown":[ids],"chosen":[ids],"weight":1.0,"position":0}`. Only `query` has to be there: a vector, or the
/// id of a record whose vector it is.
pub struct FeedbackLines {
    lines: MetadataLines<Box<dyn Read + Send>>,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedbackQuery {
    /// A vector.
    Vector(Vec<f32>),
    /// The vector of the record with this id, as text.
    Record(String),
}

/// One line of it. Whether it fits a store is not judged here.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedbackLine {
    /// The line, from 1.
    pub line: u64,
    /// The query.
    pub query: FeedbackQuery,
    /// Ids of what was shown, as text, in its order.
    pub shown: Vec<String>,
    /// Ids of what was chosen, as text.
    pub chosen: Vec<String>,
    /// How much it counts; 1 if it does not say.
    pub weight: f32,
    /// How many results stood before the first that was shown; 0 if it does not say.
    pub first_place: u32,
}

impl FeedbackLines {
    /// Opens it.
    ///
    /// # Errors
    /// The file is missing or a directory.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        Ok(Self::new(input::open_stream(path)?, path))
    }

    /// The same of any reader; `path` is for messages.
    ///
    /// ```
    /// use rvf_engine::ingest::{FeedbackLines, FeedbackQuery};
    /// let text = "{\"query\":[0.5,1],\"shown\":[7,8],\"chosen\":[8]}\n";
    /// let mut lines = FeedbackLines::new(text.as_bytes(), "clicks.jsonl".as_ref());
    /// let line = lines.next()?.ok_or("no line")?;
    /// assert_eq!(line.query, FeedbackQuery::Vector(vec![0.5, 1.0]));
    /// assert_eq!((line.chosen, line.weight), (vec!["8".to_owned()], 1.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(reader: impl Read + Send + 'static, path: &Path) -> Self {
        Self { lines: MetadataLines::new(Box::new(reader), path) }
    }

    /// The next line; `None` after the last.
    ///
    /// # Errors
    /// A line that is not of that form.
    #[expect(clippy::should_implement_trait, reason = "it fails")]
    pub fn next(&mut self) -> Result<Option<FeedbackLine>, InputError> {
        let Some((_, fields)) = self.lines.next()? else { return Ok(None) };
        let line = self.lines.number();
        let object = match &fields {
            Some(Value::Object(object)) => object,
            _ => return Err(self.lines.wrong(JsonFault::Feedback { what: "is no object with a \"query\"" })),
        };
        read(line, object).map(Some).map_err(|fault| self.lines.wrong(fault))
    }
}

const KEYS: [&str; 5] = ["query", "shown", "chosen", "weight", "position"];

fn read(line: u64, object: &Map<String, Value>) -> Result<FeedbackLine, JsonFault> {
    if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(JsonFault::UnknownKey { key: key.chars().take(64).collect() });
    }
    let wrong = |what| JsonFault::Feedback { what };
    let asked = object.get("query").ok_or(wrong("has no \"query\""))?;
    let number = |(position, value): (usize, &Value)| {
        let value = value.as_f64().ok_or(wrong("has a \"query\" with an element that is no number"))? as f32;
        if value.is_finite() { Ok(value) } else { Err(JsonFault::OutOfRange { position }) }
    };
    let weight = match object.get("weight") {
        None => 1.0,
        Some(weight) => weight.as_f64().ok_or(wrong("has a \"weight\" that is no number"))? as f32,
    };
    let position = match object.get("position") {
        None => 0,
        Some(position) => position.as_u64().ok_or(wrong("has a \"position\" that is no whole number"))?,
    };
    Ok(FeedbackLine {
        line,
        query: match (asked, id_of(asked)) {
            (Value::Array(numbers), _) => {
                FeedbackQuery::Vector(numbers.iter().enumerate().map(number).collect::<Result<_, _>>()?)
            }
            (_, Some(id)) => FeedbackQuery::Record(id),
            _ => return Err(wrong("has a \"query\" that is no array and no id")),
        },
        shown: ids(object.get("shown"), wrong("has a \"shown\" that is no array of ids"))?,
        chosen: ids(object.get("chosen"), wrong("has a \"chosen\" that is no array of ids"))?,
        weight,
        first_place: u32::try_from(position).map_err(|_| wrong("has a \"position\" beyond 2^32"))?,
    })
}

fn ids(list: Option<&Value>, wrong: JsonFault) -> Result<Vec<String>, JsonFault> {
    let Some(list) = list else { return Ok(Vec::new()) };
    list.as_array().and_then(|list| list.iter().map(id_of).collect()).ok_or(wrong)
}

fn id_of(id: &Value) -> Option<String> {
    match id {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<Option<FeedbackLine>, String> {
        FeedbackLines::new(text.as_bytes(), "f.jsonl".as_ref()).next().map_err(|error| error.to_string())
    }

    #[test]
    fn lines_are_read() {
        let line = read(r#"{"query":[1,2.5],"shown":[3,"a"],"chosen":["a"],"weight":0.5,"position":10}"#);
        let FeedbackLine { query, shown, chosen, weight, first_place, line } = line.unwrap().unwrap();
        assert_eq!((line, query, weight, first_place), (1, FeedbackQuery::Vector(vec![1.0, 2.5]), 0.5, 10));
        let of_record = read(r#"{"query":"a7","chosen":[1]}"#).unwrap().unwrap();
        assert_eq!(of_record.query, FeedbackQuery::Record("a7".to_owned()));
        assert_eq!((shown, chosen), (vec!["3".to_owned(), "a".to_owned()], vec!["a".to_owned()]));
        assert_eq!(read("\n\n"), Ok(None));
    }

    #[test]
    fn what_is_no_feedback_is_told() {
        for (text, words) in [
            ("{}", "no object with a \"query\""),
            (r#"{"id":7,"metadata":{}}"#, "has no \"query\""),
            ("[1]", "object"),
            (r#"{"chosen":[1]}"#, "has no \"query\""),
            (r#"{"query":{}}"#, "that is no array and no id"),
            (r#"{"query":[1,"x"]}"#, "element that is no number"),
            (r#"{"query":[1e300]}"#, "f32"),
            (r#"{"query":[1],"chosen":[[1]]}"#, "\"chosen\" that is no array of ids"),
            (r#"{"query":[1],"shown":7}"#, "\"shown\" that is no array of ids"),
            (r#"{"query":[1],"weight":"x"}"#, "\"weight\" that is no number"),
            (r#"{"query":[1],"position":-1}"#, "\"position\" that is no whole number"),
            (r#"{"query":[1],"position":4294967296}"#, "beyond 2^32"),
            (r#"{"query":[1],"clicked":[1]}"#, "clicked"),
            (r#"{"query":[1],"query":[1]}"#, "query"),
            ("{\"query\":[1]", "line 1"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}

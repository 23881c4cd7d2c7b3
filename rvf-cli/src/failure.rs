//! [`Failure`]: what is told when a command fails, and the exit code.

use rvf_engine::Error;
use rvf_engine::ingest::{InputError, SinkFault};
use serde_json::{Map, Value, json};
use std::io;
use std::path::Path;

/// The answer of a command is no.
pub(crate) const NO: u8 = 1;
const USAGE: u8 = 2;
const NOT_NOW: u8 = 3;
const REFUSED: u8 = 4;

/// Why a command failed.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    pub(crate) exit: u8,
    kind: &'static str,
    message: String,
    clause: Option<Box<str>>,
    offset: Option<u64>,
    hint: String,
    /// Lines that show the place, for a terminal and for programs.
    detail: Option<Box<str>>,
    /// The reader of our output is gone: nothing is told.
    pub(crate) silent: bool,
}

impl Failure {
    /// A wrong command line.
    pub(crate) fn usage(kind: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit: USAGE, kind, message: message.into(), hint: hint.into(), ..Self::default() }
    }

    /// The answer is no, and there is nothing else to print.
    pub(crate) fn no(kind: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit: NO, ..Self::usage(kind, message, hint) }
    }

    /// It cannot be done now.
    pub(crate) fn not_now(kind: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit: NOT_NOW, ..Self::usage(kind, message, hint) }
    }

    /// A file is not what it has to be.
    pub(crate) fn refused(kind: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit: REFUSED, ..Self::usage(kind, message, hint) }
    }

    /// An error of the engine, about the file at `path` unless it names another.
    pub(crate) fn of(path: &Path) -> impl Fn(Error) -> Self + '_ {
        move |error| Self::of_engine(&error, path)
    }

    fn of_engine(error: &Error, path: &Path) -> Self {
        let clause = match error {
            Error::Legacy(error) => Some(error.clause().to_owned()),
            other => other.clause().map(|clause| clause.to_string()),
        };
        if let Some((message, hint)) = wrong_path(error) {
            return Self { exit: error.exit_code(), kind: error.kind(), message, hint, ..Self::default() };
        }
        let message = match place(error, path, clause.as_deref()) {
            Some(place) => format!("{error} ({place})"),
            None => error.to_string(),
        };
        Self {
            exit: error.exit_code(),
            kind: error.kind(),
            message,
            clause: clause.map(String::into_boxed_str),
            offset: error.offset(),
            hint: error.hint(),
            detail: match error {
                Error::Filter(error) => Some(error.caret().into()),
                _ => None,
            },
            silent: false,
        }
    }

    pub(crate) fn of_input(error: InputError) -> Self {
        Self::of_engine(&Error::Input(error), Path::new(""))
    }

    /// An error of the operating system on a file.
    pub(crate) fn of_io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::of_engine(&Error::Io { action, path: path.to_owned(), source }, path)
    }

    /// Writing to stdout failed.
    pub(crate) fn of_stdout(error: io::Error) -> Self {
        let gone = error.kind() == io::ErrorKind::BrokenPipe;
        let failure = Self::of_io("writing", Path::new("stdout"), error);
        Self { exit: if gone { 0 } else { failure.exit }, silent: gone, ..failure }
    }

    pub(crate) fn of_clap(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let mut paragraphs = text.split("\n\n");
        let first = paragraphs.next().unwrap_or_default();
        let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
        let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "));
        let message = match error.kind() {
            clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing",
            _ => first.strip_prefix("error: ").unwrap_or(first),
        };
        let hint = match (tip, usage) {
            (Some(tip), _) => tip.to_owned(),
            (None, Some(usage)) => format!("usage: {usage}"),
            (None, None) => "`rvf --help` lists commands and flags".to_owned(),
        };
        Self::usage("usage", one_line(message), one_line(&hint))
    }

    /// Another hint, where the command knows better what to do.
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// Another hint where there is no such file.
    pub(crate) fn if_missing(self, hint: &str) -> Self {
        if self.kind == "not_found" { self.with_hint(hint) } else { self }
    }

    /// What holds in spite of the failure.
    pub(crate) fn and(self, what: &str) -> Self {
        Self { message: format!("{}; {what}", self.message), ..self }
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(crate) fn message(&self) -> String {
        one_line(&self.message)
    }

    pub(crate) fn hint(&self) -> &str {
        &self.hint
    }

    pub(crate) fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut error = Map::new();
        error.insert("kind".into(), json!(self.kind));
        error.insert("message".into(), json!(self.message()));
        if let Some(clause) = &self.clause {
            error.insert("clause".into(), json!(clause));
        }
        if let Some(offset) = self.offset {
            error.insert("offset".into(), json!(offset));
        }
        if let Some(detail) = &self.detail {
            error.insert("detail".into(), json!(detail));
        }
        error.insert("hint".into(), json!(self.hint));
        Value::Object(error)
    }
}

/// What is wrong with the path itself of a file that was not found, or could not be made, and what to do.
fn wrong_path(error: &Error) -> Option<(String, String)> {
    let (path, source) = match error {
        Error::Io { path, source, .. } => (path.as_path(), source),
        Error::Output(error) => match error.fault() {
            SinkFault::Io(source) => (error.path(), source),
            _ => return None,
        },
        _ => return None,
    };
    if !matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
        return None;
    }
    let (at, whole) = (path.display(), path.ancestors().take_while(|part| !part.as_os_str().is_empty()));
    let mut missing = None;
    for part in whole {
        match std::fs::metadata(part) {
            Ok(found) if found.is_dir() => break,
            Ok(_) => {
                let hint = "name a folder, or a file in one".to_owned();
                return Some((format!("{} is a file, not a folder ({at})", part.display()), hint));
            }
            Err(_) if part != path => missing = Some(part.display()),
            Err(_) => {}
        }
    }
    if let Some(folder) = missing {
        return Some((
            format!("the folder {folder} does not exist ({at})"),
            "check the path, or make the folder first".to_owned(),
        ));
    }
    let (file, epoch) = path.to_str()?.rsplit_once('@')?;
    let epoch: u64 = epoch.parse().ok()?;
    let hint = format!("FILE@EPOCH is for `rvf diff`; commands that read a store take `{file} --at {epoch}`");
    Path::new(file).is_file().then(|| (format!("there is no file of this name ({at})"), hint))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where it went wrong; `None` where the error's own words say so.
fn place(error: &Error, path: &Path, clause: Option<&str>) -> Option<String> {
    let named = match error {
        Error::Io { path, .. } | Error::Exists { path } | Error::Locked { path } if !path.as_os_str().is_empty() => {
            path
        }
        Error::Input(_) | Error::Output(_) | Error::InFile { .. } | Error::Filter(_) => return None,
        Error::Partly { source, .. } => return place(source, path, clause),
        Error::InParent { path, source } => return place(source, path, clause),
        Error::Group { source } => return place(source, path, clause),
        _ => path,
    };
    let mut place = named.display().to_string();
    if let Some(clause) = clause {
        place = format!("{place}, {clause}");
    }
    match error.offset() {
        Some(offset) => Some(format!("{place} at offset {offset}")),
        None if place.is_empty() => None,
        None => Some(place),
    }
}

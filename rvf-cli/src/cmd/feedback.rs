//! `rvf feedback`: what people chose, from a log.

use super::{Outcome, open_writer};
use crate::args::WriterArgs;
use crate::failure::Failure;
use crate::output::{Ui, grouped};
use crate::progress::{Bar, catch_interrupts};
use clap::Args;
use rvf_engine::ingest::{FeedbackLine, FeedbackLines, FeedbackQuery};
use rvf_engine::{Error, Feedback, FeedbackFault, Id, Snapshot};
use serde_json::json;
use std::path::PathBuf;

/// Record what was shown for queries and what of it was chosen, in one commit
///
/// Each line is {"query":[..],"shown":[ids],"chosen":[ids],"weight":1.0,"position":0}; only "query" has to be there: a vector, or the id
/// of a record whose vector it is. "shown" is in the order of
/// the results, and "position" says how many stood before the first of them. A line without "shown" is a judgement: this is right for that
/// query. Lines that do not fit the store are left out, and the first of them is named. `rvf learn` learns from it all.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rvf feedback notes.rvf --input clicks.jsonl\n  \
    echo '{\"query\":[0.1,0.9],\"shown\":[7,8,9],\"chosen\":[8]}' | rvf feedback notes.rvf --input -")]
pub(crate) struct FeedbackArgs {
    /// The store
    file: PathBuf,
    /// The log, a line a query; - reads it from stdin
    #[arg(long, value_name = "F.jsonl")]
    input: PathBuf,
    #[command(flatten)]
    writer: WriterArgs,
}

pub(crate) fn run(args: &FeedbackArgs, ui: &Ui) -> Outcome {
    catch_interrupts();
    let mut lines = match args.input.as_os_str() == "-" {
        true => FeedbackLines::new(std::io::stdin(), &args.input),
        false => FeedbackLines::open(&args.input).map_err(Failure::of_input)?,
    };
    let mut db = open_writer(&args.file, &args.writer.options(ui)?, ui)?;
    let snapshot = db.snapshot();
    let (mut accepted, mut rejected, mut first) = (Vec::new(), 0u64, None);
    let mut bar = Bar::items(ui, "reading");
    while let Some(line) = lines.next().map_err(of_line)? {
        if bar.update(accepted.len() as u64 + rejected, None).is_break() {
            return Err(Failure::of(&args.file)(Error::Interrupted).and("no feedback was recorded"));
        }
        let number = line.line;
        match feedback(line, &snapshot) {
            Ok(feedback) => accepted.push(feedback),
            Err(error @ (Error::Corrupt { .. } | Error::Truncated { .. })) => {
                return Err(Failure::of(&args.file)(error));
            }
            Err(error) => {
                rejected += 1;
                first.get_or_insert((number, error));
            }
        }
    }
    drop(bar);
    if let Some((line, error)) = &first {
        let (left, path) = (grouped(rejected), args.input.display());
        ui.warn(format!("{left} lines of {path} were left out; the first, line {line}: {error}"));
    }
    let epoch = db.record(&accepted).map_err(Failure::of(&args.file))?;
    let count = accepted.len() as u64;
    let mut value = json!({
        "file": args.file.display().to_string(), "accepted": count, "rejected": rejected, "epoch": epoch,
    });
    if let Some((line, error)) = &first {
        value["first_rejected"] = json!({ "line": line, "kind": error.kind(), "message": error.to_string() });
    }
    ui.result(&value, || {
        ui.line(format!(
            "recorded feedback on {} queries; {} left out; epoch {epoch}",
            grouped(count),
            grouped(rejected)
        ))
    })?;
    Ok(0)
}

/// A line that is no feedback.
fn of_line(error: rvf_engine::ingest::InputError) -> Failure {
    let failure = Failure::of_input(error);
    match failure.exit {
        2 => failure.with_hint("give lines as {\"query\":[0.5,1],\"shown\":[7,8],\"chosen\":[8],\"weight\":1}"),
        _ => failure,
    }
}

/// A line as feedback that fits the store.
fn feedback(line: FeedbackLine, snapshot: &Snapshot) -> rvf_engine::Result<Feedback> {
    let expected = snapshot.schema().id_type;
    let ids = |texts: &[String]| {
        let id = |text: &String| Id::parse(text, expected).ok_or(Error::IdKind { expected });
        texts.iter().map(id).collect::<rvf_engine::Result<Vec<Id>>>()
    };
    let (shown, chosen) = (ids(&line.shown)?, ids(&line.chosen)?);
    let query = match line.query {
        FeedbackQuery::Vector(query) => query,
        FeedbackQuery::Record(id) => {
            let named = Id::parse(&id, expected).ok_or(Error::IdKind { expected })?;
            let unknown = Error::Feedback(FeedbackFault::Unknown { id });
            snapshot.get(&named)?.ok_or(unknown)?.vector
        }
    };
    let feedback = Feedback { query, shown, chosen, position: line.first_place, weight: line.weight };
    feedback.check(snapshot)?;
    Ok(feedback)
}

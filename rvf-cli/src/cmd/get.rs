//! `rvf get`: records by their ids.

use super::{Outcome, open_reader, parse_id};
use crate::args::ReadArgs;
use crate::failure::{Failure, NO};
use crate::output::{self, Ui};
use clap::Args;
use rvf_engine::ingest::metadata_to_json;
use rvf_engine::{Id, Record};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Print records by their ids, with their metadata; exit code 1 if any is absent
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf get notes.rvf 17 18 --with-vector --json")]
pub(crate) struct GetArgs {
    /// The store
    file: PathBuf,
    /// Ids of records
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Print the vectors, too; bits of a binary store as packed bytes
    #[arg(long)]
    with_vector: bool,
    #[command(flatten)]
    read: ReadArgs,
}

pub(crate) fn run(args: &GetArgs, ui: &Ui) -> Outcome {
    let snapshot = open_reader(&args.file, &args.read, ui)?;
    let (mut found, mut missing): (Vec<Record>, Vec<Id>) = (Vec::new(), Vec::new());
    for text in &args.ids {
        let id = parse_id(text, &snapshot, &args.file)?;
        match snapshot.get(&id).map_err(Failure::of(&args.file))? {
            Some(record) => found.push(record),
            None => missing.push(id),
        }
    }
    let record = |record: &Record| {
        let mut value = json!({ "id": output::id(&record.id), "metadata": metadata_to_json(&record.metadata) });
        if args.with_vector {
            value["vector"] = output::vector(&record.vector);
        }
        value
    };
    let value = json!({
        "records": found.iter().map(record).collect::<Vec<Value>>(),
        "missing": missing.iter().map(output::id).collect::<Vec<Value>>(),
    });
    ui.result(&value, || {
        for record in &found {
            let mut line = output::plain(&record.id.to_string());
            if !record.metadata.is_empty() {
                line = format!("{line}  {}", output::plain(&metadata_to_json(&record.metadata).to_string()));
            }
            if args.with_vector {
                line = format!("{line}  {}", output::vector(&record.vector));
            }
            ui.line(line)?;
        }
        missing.iter().try_for_each(|id| ui.line(format!("{}  absent", output::plain(&id.to_string()))))
    })?;
    Ok(if missing.is_empty() { 0 } else { NO })
}

//! `rvf info`: a store in a few numbers.

use super::{Outcome, open_reader};
use crate::args::AtArgs;
use crate::failure::Failure;
use crate::output::{Ui, hex, size, time};
use clap::Args;
use rvf_engine::Info;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Show what a store holds
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf info notes.rvf --json")]
pub(crate) struct InfoArgs {
    /// The store
    file: PathBuf,
    #[command(flatten)]
    at: AtArgs,
}

pub(crate) fn run(args: &InfoArgs, ui: &Ui) -> Outcome {
    let snapshot = open_reader(&args.file, &args.at, ui)?;
    let info = snapshot.info().map_err(Failure::of(&args.file))?;
    let told = snapshot.tail().is_some_and(|tail| tail.holds_manifest);
    if info.tail_bytes > 0 && !told && args.at.at.is_none() {
        let length = size(info.tail_bytes);
        ui.warn(format!("{length} follow the last commit: an interrupted commit, or one whose root is damaged"));
    }
    ui.result(&to_json(args, &info), || ui.facts(&facts(&info)))?;
    Ok(0)
}

fn to_json(args: &InfoArgs, info: &Info) -> Value {
    let kinds: Map<String, Value> =
        info.bytes_by_kind.iter().map(|(kind, bytes)| (kind.to_string(), json!(bytes))).collect();
    json!({
        "file": args.file.display().to_string(),
        "file_id": hex(&info.file_id),
        "dim": info.schema.dimension,
        "metric": info.schema.metric.name(),
        "dtype": info.schema.dtype.name(),
        "id_type": info.schema.id_type.name(),
        "count": info.count,
        "epoch": info.epoch,
        "root_hash": hex(&info.state_hash),
        "size_bytes": info.size_bytes,
        "live_bytes": info.live_bytes,
        "segments": info.segments,
        "bytes_by_kind": kinds,
        "dead_rows": info.dead_rows,
        "tail_bytes": info.tail_bytes,
        "indexed": 0,
        "signed": false,
        "frozen": info.frozen,
        "model": info.model,
        "creator": info.creator,
        "created": time(info.created_ns),
        "modified": time(info.modified_ns),
        "format_version": info.format_version,
    })
}

fn facts(info: &Info) -> Vec<(&'static str, String)> {
    let schema = &info.schema;
    let live = info.live_bytes as f64 * 100.0 / info.size_bytes.max(1) as f64;
    let mut facts = vec![
        ("file id", hex(&info.file_id)),
        ("vectors", format!("{} x {}, {}", schema.dimension, schema.dtype, schema.metric)),
        ("ids", schema.id_type.to_string()),
        ("records", format!("{} ({} dead rows still take space)", info.count, info.dead_rows)),
        ("epoch", info.epoch.to_string()),
        ("root hash", hex(&info.state_hash)),
        ("size", format!("{}, {live:.0} % live, {} segments", size(info.size_bytes), info.segments)),
        ("index", "none: searches are exact".to_owned()),
        ("signed", "no".to_owned()),
        ("created", time(info.created_ns)),
        ("modified", time(info.modified_ns)),
        ("format", format!("version {}", info.format_version)),
    ];
    if let Some(model) = &info.model {
        facts.push(("model", model.clone()));
    }
    if let Some(creator) = &info.creator {
        facts.push(("creator", creator.clone()));
    }
    if info.frozen {
        facts.push(("frozen", "yes".to_owned()));
    }
    facts
}

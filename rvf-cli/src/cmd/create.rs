//! `rvf create`: an empty store.

use super::Outcome;
use crate::args::WriterArgs;
use crate::failure::Failure;
use crate::output::{Ui, hex};
use clap::Args;
use rvf_engine::{CreateOptions, Db, Dtype, IdType, Metric, Schema};
use rvf_format::storage::FilePlace;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Create an empty store
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf create notes.rvf --dim 384 --metric cosine --model all-MiniLM-L6-v2")]
pub(crate) struct CreateArgs {
    /// The file to be created
    file: PathBuf,
    /// Components of a vector, 1 to 65535; bits where the dtype is binary
    #[arg(long, value_name = "N")]
    dim: u32,
    /// l2, cosine, dot or hamming
    #[arg(long)]
    metric: Metric,
    /// f32, f16, i8, u8 or binary; f32 unless given, binary for hamming
    #[arg(long)]
    dtype: Option<Dtype>,
    /// What names a record: u64 or string
    #[arg(long, value_name = "TYPE", default_value = "u64")]
    id_type: IdType,
    /// Name of the embedding model, to be kept in the file
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    #[command(flatten)]
    writer: WriterArgs,
}

pub(crate) fn run(args: &CreateArgs, ui: &Ui) -> Outcome {
    let natural = Schema::new(args.dim, args.metric);
    let schema = Schema { dtype: args.dtype.unwrap_or(natural.dtype), id_type: args.id_type, ..natural };
    let options = CreateOptions { model: args.model.clone(), file_id: None, open: args.writer.options(ui)? };
    let db = Db::create_with(Arc::new(FilePlace), &args.file, &schema, &options).map_err(Failure::of(&args.file))?;
    let snapshot = db.snapshot();
    let file_id = hex(&snapshot.root().file_id);
    let value = json!({
        "file": args.file.display().to_string(),
        "file_id": file_id,
        "dim": schema.dimension,
        "metric": schema.metric.name(),
        "dtype": schema.dtype.name(),
        "id_type": schema.id_type.name(),
        "model": args.model,
        "epoch": snapshot.epoch(),
    });
    ui.result(&value, || {
        ui.line(format!("created {}", args.file.display()))?;
        ui.facts(&[
            ("file id", file_id.clone()),
            ("vectors", format!("{} x {}, {}", schema.dimension, schema.dtype, schema.metric)),
            ("ids", schema.id_type.to_string()),
        ])
    })?;
    Ok(0)
}

//! `rvf import`: files of vectors into a store, which it can create.

use super::upkeep::{Settled, SpaceArgs, settle};
use super::{Outcome, open_writer};
use crate::args::WriterArgs;
use crate::failure::Failure;
use crate::output::Ui;
use crate::progress::{Bar, catch_interrupts};
use clap::Args;
use rvf_engine::ingest::door::Rounding;
use rvf_engine::ingest::{
    Format, IdKind, ImportOptions, Imported, Sidecar, VectorSource, open_source, read_ids, schema_for,
};
use rvf_engine::{CreateOptions, Db, Dtype, Error, IdType, IndexOptions, Metric, OpenOptions, Schema, Snapshot};
use rvf_format::storage::FilePlace;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Import files of vectors; creates FILE when --metric is given and it is missing
///
/// A record with the id of another replaces it. Records without ids are numbered on from the largest id. Each batch is one commit:
/// what was committed before an error or Ctrl-C stays. Then the file
/// is compacted, if so much of it is dead, and the index renewed, if that is due, each in a commit of its own.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rvf import notes.rvf vectors.npy --metric cosine\n  \
    rvf import notes.rvf more.jsonl again.fvecs --batch 50000\n  rvf import notes.rvf first.npy --no-index\n  \
    rvf import notes.rvf notes.npy --ids notes.ids.npy --metadata notes.metadata.jsonl    # what export wrote\n\n\
    Columns of a .csv file, named in its first line:\n  \
    vector            vectors, as \"[0.5,1]\"; without it v0,v1,.. or 0,1,.. hold an element each\n  \
    id                ids; id:string takes numbers as text too\n  \
    NAME              a field; its first cell tells whether it holds numbers, true and false, or text\n  \
    NAME:TYPE         a field of that type: bool, i64, f64, string, list ([\"a\",\"b\"]) or bytes (0x00ff)\n  \
    metadata.NAME     a field, also where NAME is id or vector\n\
    An empty cell is no value; \"\" in quotes of its own (\"\"\"\"\"\" in the file) is the empty string of NAME:string.")]
pub(crate) struct ImportArgs {
    /// The store
    file: PathBuf,
    /// Files of vectors: .npy, .fvecs, .bvecs, .jsonl, .csv; .parquet where built with it
    #[arg(required = true)]
    input: Vec<PathBuf>,
    /// The format of the inputs, where their extension does not say
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Ids of the records of the one input: an .npy array of numbers or strings
    #[arg(long, value_name = "F.npy")]
    ids: Option<PathBuf>,
    /// Metadata of records that have none of their own: a line a record, in their order, as {"metadata":{"lang":"en"}}
    #[arg(long, value_name = "F.jsonl")]
    metadata: Option<PathBuf>,
    /// Metric of a new store: l2, cosine, dot or hamming
    #[arg(long)]
    metric: Option<Metric>,
    /// Dtype of a new store, that of the input unless given; f16 also accepts rounding of f32 to f16
    #[arg(long)]
    dtype: Option<Dtype>,
    /// Id type of a new store: u64 or string; that of the input's ids unless given
    #[arg(long, value_name = "TYPE")]
    id_type: Option<IdType>,
    /// Bits of a vector of a new binary store, where not a multiple of 8
    #[arg(long, value_name = "N")]
    dim: Option<u32>,
    /// Name of the embedding model, for a new store
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Records a commit
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Leave out and count vectors that are not finite, or all zero under cosine
    #[arg(long)]
    skip_invalid: bool,
    /// Threads that build the index; all of the machine's unless given
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Leave the index as it is, and a file that has one uncompacted: `rvf index` builds it
    #[arg(long)]
    no_index: bool,
    #[command(flatten)]
    space: SpaceArgs,
    #[command(flatten)]
    writer: WriterArgs,
}

pub(crate) fn run(args: &ImportArgs, ui: &Ui) -> Outcome {
    catch_interrupts();
    let started = Instant::now();
    let ids = match &args.ids {
        Some(_) if args.input.len() > 1 => {
            return Err(Failure::usage("usage", "--ids goes with one input", "import the inputs one by one"));
        }
        Some(path) => Some(read_ids(path).map_err(Failure::of_input)?),
        None => None,
    };
    let options = ImportOptions {
        batch: args.batch as usize,
        rounding: if args.dtype == Some(Dtype::F16) { Rounding::ToF16 } else { Rounding::Refuse },
        skip_invalid: args.skip_invalid,
        ids,
        ..ImportOptions::default()
    };
    let (first, records) = open_inputs(args)?;
    if let (Some(path), Some(records)) = (&args.metadata, records) {
        Sidecar::check_count(path, records).map_err(Failure::of_input)?;
    }
    let sidecar = args.metadata.as_deref().map(Sidecar::open).transpose().map_err(Failure::of_input)?;
    let (mut db, created) = open_store(args, first.as_ref(), options.ids.as_ref().map(|ids| ids.kind()), ui)?;
    let done = import_all(args, &options, (first, sidecar), &mut db, ui);
    let done = match done {
        Ok(done) => done,
        Err(error) => {
            let failure = Failure::of(&args.file)(error);
            if created {
                db.discard_if_new().map_err(Failure::of(&args.file))?;
            }
            return Err(failure);
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    let settled = settle(&mut db, &args.file, !args.no_index, &args.space, ui)?;
    let took = Took { seconds, index_seconds: started.elapsed().as_secs_f64() - seconds };
    tell(args, &done, &settled, created, &took, ui)
}

/// Options of the handle, also where the store is new.
fn writer_options(args: &ImportArgs, ui: &Ui) -> Result<OpenOptions, Failure> {
    let index = IndexOptions { threads: args.threads, ..IndexOptions::default() };
    Ok(OpenOptions { index, ..args.writer.options(ui)? })
}

/// Opens the first input, and looks at the head of each other one, before anything is written. Also how many records they hold
/// together, where all of them tell.
fn open_inputs(args: &ImportArgs) -> Result<(Box<dyn VectorSource>, Option<u64>), Failure> {
    let open = |path: &Path| open_source(path, args.format).map_err(Failure::of_input);
    let (first, others) = args.input.split_first().ok_or_else(|| Failure::usage("usage", "no input", "name a file"))?;
    let source = open(first)?;
    let mut records = source.total();
    for path in others {
        if path.metadata().is_ok_and(|told| !told.is_file() && !told.is_dir()) {
            records = None;
            continue;
        }
        let other = open(path)?;
        records = records.zip(other.total()).and_then(|(sum, more)| sum.checked_add(more));
        let (found, expected) = (other.dim().unwrap_or(0), source.dim().unwrap_or(0) as u32);
        if found != expected as usize {
            let source = Box::new(Error::Dimension { expected, found });
            return Err(Failure::of(path)(Error::InFile { path: path.clone(), record: None, line: None, source }));
        }
    }
    Ok((source, records))
}

/// Opens the store, or creates it if it is missing and a metric is given.
fn open_store(
    args: &ImportArgs,
    source: &dyn VectorSource,
    ids: Option<IdKind>,
    ui: &Ui,
) -> Result<(Db, bool), Failure> {
    let missing = args.file.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    let Some(metric) = args.metric.filter(|_| missing) else {
        let opened = open_writer(&args.file, &writer_options(args, ui)?, ui);
        let db = opened.map_err(|failure| match missing {
            true => failure.with_hint("give --metric l2, cosine, dot or hamming to create the store"),
            false => failure,
        })?;
        check_agrees(args, &db.snapshot())?;
        return Ok((db, false));
    };
    let id_type = args.id_type.or(ids.map(|kind| match kind {
        IdKind::U64 => IdType::U64,
        IdKind::Str => IdType::Str,
    }));
    let schema = schema_for(source, metric, args.dtype, id_type).map_err(Failure::of(&args.file))?;
    let schema = Schema { dimension: args.dim.unwrap_or(schema.dimension), ..schema };
    let options = CreateOptions { model: args.model.clone(), file_id: None, open: writer_options(args, ui)? };
    let db = Db::create_with(Arc::new(FilePlace), &args.file, &schema, &options).map_err(Failure::of(&args.file))?;
    Ok((db, true))
}

/// Flags that describe a new store may be repeated for an old one, not contradict it.
fn check_agrees(args: &ImportArgs, snapshot: &Snapshot) -> Result<(), Failure> {
    let schema = snapshot.schema();
    let (dim, given_dim) = (schema.dimension.to_string(), args.dim.map(|dim| dim.to_string()));
    let model = snapshot.info().map_err(Failure::of(&args.file))?.model.unwrap_or_default();
    let pairs = [
        ("dimension", given_dim.as_deref(), dim.as_str()),
        ("model", args.model.as_deref(), model.as_str()),
        ("metric", args.metric.map(|metric| metric.name()), schema.metric.name()),
        ("dtype", args.dtype.map(|dtype| dtype.name()), schema.dtype.name()),
        ("id type", args.id_type.map(|id_type| id_type.name()), schema.id_type.name()),
    ];
    for (what, given, stored) in pairs {
        if let Some(given) = given.filter(|given| *given != stored) {
            let message = format!("the store has {what} {stored}, not {given} ({})", args.file.display());
            return Err(Failure::usage("schema", message, "leave the flag out, or import into a new file"));
        }
    }
    Ok(())
}

fn import_all(
    args: &ImportArgs,
    options: &ImportOptions,
    (first, mut sidecar): (Box<dyn VectorSource>, Option<Sidecar>),
    db: &mut Db,
    ui: &Ui,
) -> Result<Imported, Error> {
    let mut sum = Imported { count: db.snapshot().count(), epoch: db.snapshot().epoch(), ..Imported::default() };
    let mut opened = Some(first);
    for path in &args.input {
        let mut bar = Bar::items(ui, "importing");
        let source = match opened.take() {
            Some(source) => Ok(source),
            None => open_source(path, args.format).map_err(Error::from),
        };
        let progress = &mut |done, total| bar.update(done, total);
        let done = source.and_then(|mut source| match &mut sidecar {
            None => db.import_from(source.as_mut(), path, options, progress),
            Some(sidecar) => {
                db.import_from(&mut sidecar.beside(source.as_mut(), options.ids.as_ref()), path, options, progress)
            }
        });
        let done = done.map_err(|error| after(sum.imported, error))?;
        if let Some(row) = &done.first_rejected {
            let place = row.line.map_or_else(|| format!("row {}", row.record), |line| format!("line {line}"));
            let (rejected, path) = (done.rejected, path.display());
            ui.warn(format!("{rejected} vectors of {path} were left out; the first, {place}, {}", row.why));
        }
        sum.imported += done.imported;
        sum.replaced += done.replaced;
        sum.rejected += done.rejected;
        (sum.count, sum.epoch) = (done.count, done.epoch);
    }
    let read = sidecar.map_or(Ok(()), Sidecar::finish);
    read.map_err(|error| after(sum.imported, error.into()))?;
    Ok(sum)
}

/// An error after `before` records of earlier inputs were committed.
fn after(before: u64, error: Error) -> Error {
    match error {
        Error::Partly { committed, source } => Error::Partly { committed: committed + before, source },
        other if before == 0 => other,
        other => Error::Partly { committed: before, source: Box::new(other) },
    }
}

/// How long the two halves of the work took.
struct Took {
    seconds: f64,
    index_seconds: f64,
}

fn tell(args: &ImportArgs, done: &Imported, settled: &Settled, created: bool, took: &Took, ui: &Ui) -> Outcome {
    let indexed = &settled.indexed;
    let value = json!({
        "file": args.file.display().to_string(),
        "created": created,
        "imported": done.imported,
        "replaced": done.replaced,
        "rejected": done.rejected,
        "count": done.count,
        "indexed": indexed.indexed,
        "seconds": took.seconds + took.index_seconds,
        "index_seconds": took.index_seconds,
        "epoch": indexed.epoch,
        "compacted": settled.compacted.is_some(),
    });
    ui.result(&value, || {
        let rate = done.imported as f64 / took.seconds.max(1e-9);
        let (imported, count, epoch) = (done.imported, done.count, indexed.epoch);
        ui.line(format!("imported {imported} records in {:.2} s ({rate:.0} a second)", took.seconds))?;
        if indexed.written {
            let (graphs, seconds) = (indexed.graphs, took.index_seconds);
            ui.line(format!("renewed the index in {seconds:.2} s: {} records, graphs: {graphs}", indexed.indexed))?;
        }
        ui.line(format!("{} replaced, {} left out; {count} records at epoch {epoch}", done.replaced, done.rejected))?;
        settled.tell(ui)
    })?;
    Ok(0)
}

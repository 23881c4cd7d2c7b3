//! `rvf index`: one graph over all records.

use super::bench::Queries;
use super::upkeep::{SpaceArgs, give_space_back};
use super::{Outcome, open_writer};
use crate::args::WriterArgs;
use crate::failure::Failure;
use crate::output::{Ui, grouped};
use crate::progress::{Bar, catch_interrupts};
use clap::{Args, ValueEnum};
use rvf_engine::ingest::Format;
use rvf_engine::{Db, Error, IndexOptions, Indexed, QueryVector, WalkCode};
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Build or renew the index: one graph over all records, in one commit
///
/// Imports and deletions renew the index on their own where that is due: when more than 1,000 to 4,096 records (1.5 MiB of them)
/// are in no graph, or half of a graph's were deleted. This command goes further: it brings all records under one graph, renews
/// one of which a tenth was deleted, and one whose bytes are damaged. A store of up to 1,000 records needs no index: comparing
/// them all is faster. Then the file is compacted, if so much of it is dead.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rvf index notes.rvf\n  rvf index notes.rvf --m 24 --ef-construction 200\n  \
    rvf index notes.rvf --code sq8\n  \
    rvf index notes.rvf --queries asked.npy")]
pub(crate) struct IndexArgs {
    /// The store
    file: PathBuf,
    /// Links that a record chooses at most, 2 to 64 (half as many more once all records are there); 16 unless given, or that
    /// of the index
    #[arg(long, value_name = "N")]
    m: Option<usize>,
    /// Records that a record chooses its links from, 8 to 4096; 112 unless given, or that of the index
    #[arg(long, value_name = "N")]
    ef_construction: Option<usize>,
    /// What walks read of a record: its row, a byte a component (f32 and f16), or four bits of its projection (not binary); unless
    /// given the shortest that does, measured whenever an index is built anew
    #[arg(long, value_name = "CODE")]
    code: Option<Code>,
    /// Queries like those that will be asked: which effort reaches which recall is measured with them, not with records, until the
    /// index is built anew; a few hundred do
    #[arg(long, value_name = "F")]
    queries: Option<PathBuf>,
    /// The format of the queries, where their extension does not say
    #[arg(long, value_name = "FORMAT", requires = "queries")]
    format: Option<Format>,
    /// Threads; all of the machine's unless given. They do not change the result
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    space: SpaceArgs,
    #[command(flatten)]
    writer: WriterArgs,
}

/// A recall that walks should reach, however far they go.
const LOW: f64 = 0.95;

/// [`WalkCode`] as a flag's value.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Code {
    Stored,
    Sq8,
    Sq4,
}

impl Code {
    fn of_walks(self) -> WalkCode {
        match self {
            Code::Stored => WalkCode::Stored,
            Code::Sq8 => WalkCode::Sq8,
            Code::Sq4 => WalkCode::Sq4,
        }
    }
}

pub(crate) fn run(args: &IndexArgs, ui: &Ui) -> Outcome {
    catch_interrupts();
    let started = Instant::now();
    let options = IndexOptions {
        m: args.m,
        ef_construction: args.ef_construction,
        threads: args.threads,
        code: args.code.map(Code::of_walks),
    };
    let queries = args.queries.as_ref().map(|path| Queries::read(path, args.format)).transpose()?;
    let mut db = open_writer(&args.file, &args.writer.options(ui)?, ui)?;
    let mut bar = Bar::items(ui, "indexing");
    let done = db.index(&options, &mut |done, total| bar.update(done, Some(total)));
    drop(bar);
    let done = done.map_err(|error| {
        let interrupted = matches!(error, Error::Interrupted);
        let failure = Failure::of(&args.file)(error);
        match interrupted {
            true => failure.and("the store is as it was").with_hint("run it again: it begins anew"),
            false => failure,
        }
    })?;
    let compacted = match args.space.no_compact {
        true => None,
        false => give_space_back(&mut db, &args.file, ui)?,
    };
    let calibrated = queries.map_or(Ok(false), |queries| calibrate(&mut db, &queries, args, ui))?;
    for graph in db.snapshot().info().map_err(Failure::of(&args.file))?.graphs {
        let best = graph.effort.last().map_or(1.0, |(_, recall)| *recall);
        if best < LOW {
            let more = if graph.codes.is_some() { "; --code stored may find more" } else { "" };
            ui.warn(format!(
                "walks find {:.0} % of the nearest at most, as measured: searches that aim higher compare all records{more}",
                best * 100.0
            ));
        }
    }
    let (seconds, count) = (started.elapsed().as_secs_f64(), db.snapshot().count());
    let value = json!({
        "file": args.file.display().to_string(),
        "indexed": done.indexed,
        "count": count,
        "seconds": seconds,
        "epoch": db.snapshot().epoch(),
        "graphs": done.graphs,
        "written": done.written || calibrated,
        "calibrated": calibrated,
        "compacted": compacted.is_some(),
    });
    ui.result(&value, || ui.line(sentence(&done, count, seconds)))?;
    Ok(0)
}

/// Measures efforts with the queries; whether that was written.
fn calibrate(db: &mut Db, queries: &Queries, args: &IndexArgs, ui: &Ui) -> Result<bool, Failure> {
    let mut bar = Bar::items(ui, "measuring");
    let all: Vec<QueryVector<'_>> = (0..queries.len()).map(|at| queries.get(at)).collect();
    let done = db.calibrate(&all, &mut |done, total| bar.update(done, Some(total)));
    drop(bar);
    done.map_err(|error| match error {
        Error::Interrupted => Failure::of(&args.file)(error).and("the index stands, its efforts are as they were"),
        Error::NotFinite { row, .. } | Error::ZeroVector { row } => {
            queries.wrong(usize::try_from(row).unwrap_or(usize::MAX), error, &args.file)
        }
        error => queries.wrong(0, error, &args.file),
    })
}

fn sentence(done: &Indexed, count: u64, seconds: f64) -> String {
    let (indexed, epoch, graphs) = (grouped(done.indexed), done.epoch, done.graphs);
    let rate = done.indexed as f64 / seconds.max(1e-9);
    match (done.written, done.indexed) {
        (written, 0) => {
            let what = if written { "the index was removed" } else { "nothing was to be done" };
            let count = grouped(count);
            format!("{what}: up to 1,000 records need no index, and the store has {count} at epoch {epoch}")
        }
        (true, _) => {
            format!("indexed {indexed} records in {seconds:.2} s ({rate:.0} a second); graphs: {graphs}, epoch {epoch}")
        }
        (false, _) => format!("nothing was to be done: {indexed} records are indexed at epoch {epoch}"),
    }
}

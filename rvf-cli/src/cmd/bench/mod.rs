//! `rvf bench`: recall and speed of searches at several efforts.
//!
//! ```text
//! open -> first query -> true distances -> passes, round-robin over the settings -> a row a setting
//! ```
//! | file | owns |
//! | --- | --- |
//! | `mod.rs` | arguments, the settings, what is printed |
//! | `questions.rs` | the queries, and how far their true neighbours are |
//! | `measure.rs` | passes over the queries, and what follows from them |
//! | `cold.rs` | first answers from a cold cache, and the answers after |

mod cold;
mod measure;
mod questions;

use super::{FILTER_HELP, Outcome, matches_of, parse_recall, warn_of_damage};
use crate::args::ModeArgs;
use crate::failure::Failure;
use crate::output::{Ui, duration, grouped};
use clap::Args;
use measure::{Measured, Row, Setting};
pub(crate) use questions::Queries;
use rvf_engine::ingest::Format;
use rvf_engine::{Effort, Matches, QueryVector, Search, Snapshot};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;

/// Measure recall and speed of searches at several efforts
///
/// A hit is right if it is no farther than the true k-th neighbour, or by a millionth at most. Passes over the queries take turns among
/// the settings; rates are those of the median pass, times of a query those of its median pass.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rvf bench notes.rvf --queries queries.npy -k 10\n  \
    rvf bench notes.rvf --queries queries.npy -k 10 --ef 32,64 --recall 0.95,0.99 --exact --json\n  \
    rvf bench notes.rvf --queries queries.npy -k 10 --cold")]
pub(crate) struct BenchArgs {
    /// The store
    file: PathBuf,
    /// The queries: .npy, .fvecs, .bvecs, .jsonl, .csv
    #[arg(long, value_name = "F")]
    queries: PathBuf,
    /// The format of the queries, where their extension does not say
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// How many records to find
    #[arg(short, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    k: u64,
    /// Ids of the true neighbours, nearest first, a row a query; computed by comparing all records unless given
    #[arg(long, value_name = "F.npy")]
    truth: Option<PathBuf>,
    /// Candidates that a walk keeps; 16,24,32,48,64,96,128,192,256 unless --ef or --recall is given
    #[arg(long, value_name = "N,..", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    ef: Vec<u64>,
    /// Shares of the true neighbours to aim at, above 0 to 1; 1 compares all records
    #[arg(long, value_name = "R,..", value_delimiter = ',', value_parser = parse_recall)]
    recall: Vec<f64>,
    /// Measure comparing all records, too
    #[arg(long)]
    exact: bool,
    /// Threads that share the queries
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Passes of each setting
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    #[command(flatten)]
    mode: ModeArgs,
    /// Measure first answers instead: of a file of which nothing is in memory, each in a reader of its own. Bytes are those
    /// of pages that were read; 0.9 and 0.95 are aimed at unless --ef or --recall is given
    #[arg(long, conflicts_with_all = ["exact", "threads", "rounds", "verified"])]
    cold: bool,
    /// Only records that this filter finds, as "source = 'mdn'"; finding out which is not measured
    #[arg(long, value_name = "EXPR", conflicts_with = "cold", long_help = FILTER_HELP)]
    filter: Option<String>,
}

/// Begins a search, of the records that match if not of all.
fn search<'s>(snapshot: &'s Snapshot, query: QueryVector<'s>, matches: Option<&'s Matches>) -> Search<'s> {
    let search = snapshot.search(query);
    match matches {
        Some(matches) => search.filter(matches),
        None => search,
    }
}

/// What first answers aim at: soon something, then something good.
const COLD_RECALLS: [f64; 2] = [0.9, 0.95];
const EFS: [u64; 9] = [16, 24, 32, 48, 64, 96, 128, 192, 256];

pub(crate) fn run(args: &BenchArgs, ui: &Ui) -> Outcome {
    let queries = Queries::read(&args.queries, args.format)?;
    let started = Instant::now();
    let reader = args.mode.open(&args.file, ui)?;
    let open_micros = micros_since(started);
    let snapshot = reader.snapshot();
    if args.cold && snapshot.parent().is_some() {
        let message = format!("--cold measures one file, and this is a branch ({})", args.file.display());
        return Err(Failure::usage("cold_branch", message, "measure what `rvf flatten` makes of it"));
    }
    if snapshot.count() == 0 {
        let message = format!("the store is empty ({})", args.file.display());
        return Err(Failure::usage("empty_store", message, "import records first"));
    }
    let matches = args.filter.as_ref().map(|text| matches_of(text, &snapshot, &args.file, ui)).transpose()?;
    let matches = matches.as_ref();
    let count = matches.map_or(snapshot.count(), |matches| matches.count());
    if count == 0 {
        let message = format!("the filter finds no record ({})", args.file.display());
        return Err(Failure::usage("empty_filter", message, "`rvf info` lists the fields and their commonest values"));
    }
    let k = usize::try_from(args.k.min(count)).unwrap_or(usize::MAX);
    let started = Instant::now();
    let (_, trace) = search(&snapshot, queries.get(0), matches)
        .k(k)
        .run_traced()
        .map_err(|error| queries.wrong(0, error, &args.file))?;
    let first_query_micros = micros_since(started);
    if trace.damaged > 0 {
        warn_of_damage(trace.damaged, &args.file, ui);
    }
    let settings = settings(args, &snapshot, k, ui);
    let limits = questions::limits(args, (&snapshot, matches), &queries, k, ui)?;
    if args.cold {
        // Pages that are mapped stay in memory.
        let (count, dim) = (snapshot.count(), snapshot.schema().dimension);
        drop((snapshot, reader));
        return cold::run(&cold::Cold { args, queries: &queries, limits: &limits, k, count, dim }, &settings, ui);
    }
    let measured = Measured { snapshot: &snapshot, matches, queries: &queries, limits: &limits, k };
    let rows = measured.rows(&settings, args, ui)?;
    let (matches, queries) = (matches.map(Matches::count), queries.len());
    let bench = Bench { args, snapshot: &snapshot, matches, queries, open_micros, first_query_micros, rows };
    ui.result(&bench.to_json(), || bench.tell(ui))?;
    Ok(0)
}

fn micros_since(started: Instant) -> f64 {
    started.elapsed().as_nanos() as f64 / 1e3
}

/// What is measured, in the order of the rows.
fn settings(args: &BenchArgs, snapshot: &Snapshot, k: usize, ui: &Ui) -> Vec<Setting> {
    let exact = |target| Setting { effort: Effort::Exact, target };
    let warn = |text: String| {
        if !ui.is_quiet() {
            ui.warn(text)
        }
    };
    if snapshot.indexed() == 0 {
        if !args.ef.is_empty() || !args.recall.is_empty() {
            warn("the store has no index: comparing all records is measured, and nothing else".to_owned());
        }
        return vec![exact(None)];
    }
    let recalls = match args.cold && args.ef.is_empty() && args.recall.is_empty() {
        true => &COLD_RECALLS[..],
        false => &args.recall,
    };
    let asked = if args.ef.is_empty() && recalls.is_empty() { &EFS[..] } else { &args.ef };
    let mut efs: Vec<usize> = Vec::new();
    for ef in asked {
        let ef = usize::try_from(*ef).unwrap_or(usize::MAX).max(k);
        if !efs.contains(&ef) {
            efs.push(ef);
        }
    }
    if asked.iter().any(|ef| *ef < k as u64) {
        warn(format!("numbers of candidates below the {k} records to be found are raised to it"));
    }
    let mut settings: Vec<Setting> =
        efs.into_iter().map(|ef| Setting { effort: Effort::Ef(ef), target: None }).collect();
    settings.extend(recalls.iter().map(|recall| match *recall < 1.0 {
        true => Setting { effort: Effort::Recall(*recall), target: Some(*recall) },
        false => exact(Some(*recall)),
    }));
    if args.exact {
        settings.push(exact(None));
    }
    settings
}

struct Bench<'b> {
    args: &'b BenchArgs,
    snapshot: &'b Snapshot,
    /// How many records the filter finds, if there is one.
    matches: Option<u64>,
    queries: usize,
    open_micros: f64,
    first_query_micros: f64,
    rows: Vec<Row>,
}

impl Bench<'_> {
    fn to_json(&self) -> Value {
        let (args, schema) = (self.args, self.snapshot.schema());
        let truth = args.truth.as_ref().map_or("computed".to_owned(), |path| path.display().to_string());
        let mut said = json!({
            "file": args.file.display().to_string(),
            "count": self.snapshot.count(),
            "indexed": self.snapshot.indexed(),
            "dim": schema.dimension,
            "queries": self.queries,
            "k": args.k,
            "truth": truth,
            "rounds": args.rounds,
            "threads": args.threads,
            "open_micros": self.open_micros,
            "first_query_micros": self.first_query_micros,
            "rows": self.rows.iter().map(row_json).collect::<Vec<Value>>(),
        });
        if let (Some(filter), Some(matches)) = (&args.filter, self.matches) {
            said["filter"] = json!(filter);
            said["matches"] = json!(matches);
        }
        said
    }

    fn tell(&self, ui: &Ui) -> Result<(), Failure> {
        let (args, schema) = (self.args, self.snapshot.schema());
        let (count, indexed) = (grouped(self.snapshot.count()), grouped(self.snapshot.indexed()));
        let (dim, dtype, metric) = (schema.dimension, schema.dtype, schema.metric);
        let mut facts = vec![
            ("store", args.file.display().to_string()),
            ("records", format!("{count} x {dim}, {dtype}, {metric}; {indexed} indexed")),
            ("opened in", duration(self.open_micros)),
            ("first query", duration(self.first_query_micros)),
            ("queries", format!("{}, k {}", grouped(self.queries as u64), args.k)),
            ("passes", format!("rounds: {}, threads: {}", args.rounds, args.threads)),
        ];
        if let (Some(filter), Some(matches)) = (&args.filter, self.matches) {
            facts.insert(2, ("filter", format!("{filter}: {} records", grouped(matches))));
        }
        ui.facts(&facts)?;
        ui.line("")?;
        let head = ["ef", "target", "recall", "queries/s", "p50", "p99", "distances", "by"];
        ui.table(&head, &self.rows.iter().map(row_cells).collect::<Vec<_>>())
    }
}

fn row_json(row: &Row) -> Value {
    let mut value = json!({
        "ef": row.ef,
        "recall": row.recall,
        "qps": row.qps,
        "p50_micros": row.p50_micros,
        "p99_micros": row.p99_micros,
        "distances": row.distances,
        "exact": row.exact,
    });
    if let Some(target) = row.target {
        value["target"] = json!(target);
    }
    value
}

fn row_cells(row: &Row) -> Vec<String> {
    vec![
        row.ef.to_string(),
        row.target.map_or_else(String::new, |target| target.to_string()),
        format!("{:.4}", row.recall),
        grouped(row.qps.round() as u64),
        duration(row.p50_micros),
        duration(row.p99_micros),
        grouped(row.distances.round() as u64),
        if row.exact { "comparing all" } else { "index" }.to_owned(),
    ]
}

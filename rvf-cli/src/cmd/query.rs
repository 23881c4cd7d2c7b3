//! `rvf query`: the nearest records to a vector.

mod modes;
mod plan;
mod show;

use self::modes::{graph_json, soft_json};
use self::show::moved_json;
use super::{FILTER_HELP, Outcome, matches_of, open_reader, parse_id, parse_recall, warn_of_damage};
use crate::args::ReadArgs;
use crate::failure::{Failure, NO};
use crate::output::{self, Ui, duration, grouped};
use clap::{ArgGroup, Args};
use rvf_engine::ingest::metadata_to_json;
use rvf_engine::ingest::{Elements, Format, VectorBatch, open_source, read_json_vector};
use rvf_engine::search::Plan;
use rvf_engine::{
    AdaptivePlanner, Answer, Dtype, Effort, Hit, Matches, Metadata, Moved, PlannerOptions, QueryVector, Search,
    Session, Snapshot, Trace,
};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Find the nearest records to a vector, to a stored record, or to each vector of a file
///
/// Records of the index are found by walking it, the others by comparing them; distances are exact either way. Unless --ef, --recall
/// or --exact is given, a walk aims at 98 of 100 true neighbours. What a walk finds was measured when
/// the index was built, with stored records as queries; `rvf bench` measures it with queries of your own.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["vector", "id", "input"]))]
#[command(group = ArgGroup::new("effort").args(["ef", "recall", "exact"]))]
#[command(after_help = "Examples:\n  rvf query notes.rvf --vector '[0.1,-0.2,0.3]' -k 5\n  \
    rvf query notes.rvf --id 17 --recall 0.95\n  rvf query notes.rvf --input queries.npy -k 10 --json")]
pub(crate) struct QueryArgs {
    /// The store
    file: PathBuf,
    /// The vector, as a JSON array
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    vector: Option<String>,
    /// The vector of this record
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Each vector of this file: .npy, .fvecs, .bvecs, .jsonl, .csv
    #[arg(long, value_name = "F")]
    input: Option<PathBuf>,
    /// The format of the input, where its extension does not say
    #[arg(long, value_name = "FORMAT", requires = "input")]
    format: Option<Format>,
    /// How many records to find
    #[arg(short, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    k: u64,
    /// Candidates that a walk keeps, at least k: more find more and take longer
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    ef: Option<u64>,
    /// Share of the true neighbours to aim at, above 0 to 1, as measured when the index was built; 1 means --exact
    #[arg(long, value_name = "R", value_parser = parse_recall)]
    recall: Option<f64>,
    /// Compare with every record
    #[arg(long)]
    exact: bool,
    /// Threads that compare
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    threads: u64,
    /// Print the vectors of the records, too
    #[arg(long)]
    with_vector: bool,
    #[command(flatten)]
    read: ReadArgs,
    /// Only records that this filter finds, as "source = 'mdn' AND words >= 40"
    #[arg(long, value_name = "EXPR", long_help = FILTER_HELP)]
    filter: Option<String>,
    /// Print all fields of the records
    #[arg(long)]
    with_metadata: bool,
    /// Leave out what was learned: the nearest come first, found without a planner
    #[arg(long)]
    plain: bool,
    /// Print the graph of the index around the results, up to so many links away, 1 to 3
    #[arg(long, value_name = "HOPS", value_parser = clap::value_parser!(u64).range(1..=3))]
    subgraph: Option<u64>,
    /// Print how much each result counts as a soft neighbour at this temperature, above 0, and with --json the mean of their vectors
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    soft: Option<f32>,
    /// Print how the records were looked for, why, what it cost, and how learning moved each result
    #[arg(long)]
    explain: bool,
}

pub(crate) fn run(args: &QueryArgs, ui: &Ui) -> Outcome {
    let snapshot = open_reader(&args.file, &args.read, ui)?;
    let effort = effort(args, snapshot.count(), ui);
    let started = Instant::now();
    let matches = args.filter.as_ref().map(|text| matches_of(text, &snapshot, &args.file, ui)).transpose()?;
    let filtered = matches.map(|matches| Filtered { matches, micros: started.elapsed().as_nanos() as f64 / 1e3 });
    let session = if args.plain { None } else { session(&snapshot, ui) };
    let planner = if args.plain { None } else { planner(&snapshot, ui) };
    let (damage_told, told) = (Cell::new(false), RefCell::default());
    let search = Searches { args, snapshot: &snapshot, session, planner, effort, filtered, damage_told, told, ui };
    if let Some(text) = &args.vector {
        let vector = read_json_vector(text).map_err(|error| {
            let failure = Failure::of_input(error);
            Failure::usage(
                "vector",
                format!("--vector: {}", failure.message()),
                "give an array, as --vector '[0.5,-1,2]'",
            )
        })?;
        search.one(0, (&vector).into())?;
    } else if let Some(text) = &args.id {
        let id = parse_id(text, &snapshot, &args.file)?;
        let Some(record) = snapshot.get(&id).map_err(Failure::of(&args.file))? else {
            let message = format!("no record has the id {id} ({})", args.file.display());
            return Err(Failure::no("id_absent", message, "`rvf export` lists the ids of all records"));
        };
        match snapshot.schema().dtype {
            Dtype::Binary => {
                let bits: Vec<u8> = record.vector.iter().map(|byte| *byte as u8).collect();
                search.one(0, bits.as_slice().into())?;
            }
            _ => search.one(0, (&record.vector).into())?,
        }
    } else if let Some(path) = &args.input {
        search.file(path)?;
    }
    Ok(0)
}

/// The effort that the flags ask for; says so where it has to be more.
fn effort(args: &QueryArgs, count: u64, ui: &Ui) -> Effort {
    let least = args.k.min(count);
    match (args.ef, args.recall) {
        (Some(ef), _) if ef < least => {
            if !ui.is_quiet() {
                ui.warn(format!("--ef {ef} is less than the {least} records to be found, and is raised to it"));
            }
            Effort::Ef(usize::try_from(least).unwrap_or(usize::MAX))
        }
        (Some(ef), _) => Effort::Ef(usize::try_from(ef).unwrap_or(usize::MAX)),
        (_, Some(recall)) if recall < 1.0 => Effort::Recall(recall),
        (_, Some(_)) => Effort::Exact,
        _ if args.exact => Effort::Exact,
        _ => Effort::default(),
    }
}

/// What the filter finds, and what it took to know that.
/// What a search gives: the hits, how learning moved each of them, what it took, whether the order is a learned one.
type Searched = (Vec<Hit>, Option<Vec<Moved>>, Trace, bool);

/// What planning has learned of the store; `None` where that is nothing, or cannot be read: results do not depend on it.
fn planner(snapshot: &Arc<Snapshot>, ui: &Ui) -> Option<AdaptivePlanner> {
    let options = PlannerOptions { learns: false, ..PlannerOptions::default() };
    match AdaptivePlanner::new(snapshot.clone(), options) {
        Ok(planner) => Some(planner).filter(|planner| planner.report().kept > 0),
        Err(error) => {
            ui.warn(format!(
                "what planning has learned cannot be read: {error}; searches go on without it (see `rvf verify`)"
            ));
            None
        }
    }
}

/// Searches by what the store has learned; `None` where there is nothing, or it cannot be read, which is told: results do not depend on it.
fn session(snapshot: &Arc<Snapshot>, ui: &Ui) -> Option<Session> {
    match Session::new(snapshot.clone()) {
        Ok(session) => Some(session).filter(|session| session.learned().is_some()),
        Err(error) => {
            ui.warn(format!("what was learned cannot be read: {error}; the nearest come first (see `rvf verify`)"));
            None
        }
    }
}

struct Filtered {
    matches: Matches,
    micros: f64,
}

struct Searches<'s> {
    args: &'s QueryArgs,
    snapshot: &'s Snapshot,
    /// Searches in a learned order, if there is one.
    session: Option<Session>,
    /// Says what searches spend, if something was learned of that.
    planner: Option<AdaptivePlanner>,
    effort: Effort,
    filtered: Option<Filtered>,
    damage_told: Cell<bool>,
    /// The plan of the last search, where that is to be told.
    told: RefCell<Option<Plan>>,
    ui: &'s Ui,
}

impl Searches<'_> {
    fn file(&self, path: &Path) -> Result<(), Failure> {
        let mut source = open_source(path, self.args.format).map_err(Failure::of_input)?;
        while let Some(batch) = source.next_batch(1024).map_err(Failure::of_input)? {
            for row in 0..batch.rows() {
                let query = batch.first_record + row as u64;
                self.one(query, query_of(&batch, row))
                    .map_err(|failure| in_input(failure, path, &place_of(&batch, row)))?;
            }
        }
        Ok(())
    }

    fn one(&self, number: u64, query: QueryVector<'_>) -> Result<(), Failure> {
        let started = Instant::now();
        let k = usize::try_from(self.args.k).unwrap_or(usize::MAX);
        let threads = usize::try_from(self.args.threads).unwrap_or(1);
        let done = self.search(query.clone(), k, threads);
        let micros = started.elapsed().as_nanos() as f64 / 1e3;
        let (hits, moved, trace, learned) = done.map_err(Failure::of(&self.args.file)).map_err(in_query)?;
        if trace.damaged > 0 && !self.damage_told.replace(true) {
            warn_of_damage(trace.damaged, &self.args.file, self.ui);
        }
        let (graph, soft) = (self.subgraph(&hits)?, self.soft(&query, &hits)?);
        if self.ui.json {
            let told: Result<Vec<Value>, Failure> = hits.iter().map(|hit| self.hit_json(hit)).collect();
            let mut value = json!({
                "query": number,
                "hits": told?,
                "micros": micros,
                "ef": trace.ef,
                "exact": trace.exact,
                "distances": trace.distances,
                "learned": learned,
            });
            if let Some(filtered) = &self.filtered {
                value["matches"] = json!(filtered.matches.count());
            }
            if self.args.explain {
                value["plan"] = self.plan(&trace, micros);
                if let Some(plan) = self.told.take() {
                    value["plan"]["operators"] = plan::operators_json(&plan);
                }
                if let Some(moved) = &moved {
                    value["plan"]["learned"] = moved.iter().zip(&hits).map(moved_json).collect();
                }
            }
            if let Some(graph) = &graph {
                value["graph"] = graph_json(graph);
            }
            if let Some(soft) = &soft {
                value["soft"] = soft_json(soft);
            }
            return self.ui.line(value);
        }
        if !self.ui.is_quiet() {
            self.ui.line(self.headline(number, hits.len(), micros, &trace, self.session.is_some()))?;
        }
        self.table(&hits)?;
        self.tell_modes(&hits, graph.as_ref(), soft.as_ref())?;
        if !self.args.explain {
            return Ok(());
        }
        self.explain(&trace, micros)?;
        if let Some(plan) = self.told.take() {
            plan::draw(&plan, self.ui)?;
        }
        moved.map_or(Ok(()), |moved| self.explain_learned(&hits, &moved))
    }

    /// In the learned order, if there is one: then how each hit was moved.
    fn search(&self, query: QueryVector<'_>, k: usize, threads: usize) -> rvf_engine::Result<Searched> {
        let matches = self.filtered.as_ref().map(|filtered| &filtered.matches);
        if let Some(session) = &self.session {
            if self.args.explain {
                // The nearest are looked for without a planner; the learned order follows on it.
                *self.told.borrow_mut() = Some(self.unplanned(query.clone(), k, threads).run_explained()?.plan);
            }
            let search = session.search(query).k(k).threads(threads).effort(self.effort).explain(self.args.explain);
            let search = if let Some(matches) = matches { search.filter(matches) } else { search };
            let Answer { hits, moved, trace, learned, .. } = search.run()?;
            return Ok((hits, moved, trace, learned));
        }
        let search = self.plain(query, k, threads);
        if !self.args.explain {
            let (hits, trace) = search.run_traced()?;
            return Ok((hits, None, trace, false));
        }
        let explained = search.run_explained()?;
        *self.told.borrow_mut() = Some(explained.plan);
        Ok((explained.hits, None, explained.trace, false))
    }

    /// The search for the nearest.
    fn plain<'q>(&'q self, query: QueryVector<'q>, k: usize, threads: usize) -> Search<'q> {
        let search = self.unplanned(query, k, threads);
        match &self.planner {
            Some(planner) => search.planner(planner),
            None => search,
        }
    }

    fn unplanned<'q>(&'q self, query: QueryVector<'q>, k: usize, threads: usize) -> Search<'q> {
        let search = self.snapshot.search(query).k(k).threads(threads).effort(self.effort);
        match &self.filtered {
            Some(filtered) => search.filter(&filtered.matches),
            None => search,
        }
    }

    fn headline(&self, number: u64, found: usize, micros: f64, trace: &Trace, learned: bool) -> String {
        let how = match trace.exact {
            true => "exact".to_owned(),
            false => format!("ef {}, {} distances", trace.ef, grouped(trace.distances)),
        };
        let (count, took) = (grouped(self.snapshot.count()), duration(micros));
        let of = match &self.filtered {
            Some(filtered) => format!("{} matches among {count}", grouped(filtered.matches.count())),
            None => count,
        };
        let learned = if learned { ", in the learned order" } else { "" };
        format!("query {number}: {} of {of} in {took} ({how}){learned}", grouped(found as u64))
    }

    fn hit_json(&self, hit: &Hit) -> Result<Value, Failure> {
        let mut value = json!({ "id": output::id(&hit.id), "distance": output::float(hit.distance) });
        if self.args.with_metadata {
            value["metadata"] = metadata_to_json(&self.metadata_of(hit)?);
        }
        if self.args.with_vector {
            value["vector"] = output::vector(&self.vector_of(hit)?);
        }
        Ok(value)
    }

    fn metadata_of(&self, hit: &Hit) -> Result<Metadata, Failure> {
        let metadata = self.snapshot.metadata(&hit.id).map_err(Failure::of(&self.args.file))?;
        Ok(metadata.unwrap_or_default())
    }

    fn vector_of(&self, hit: &Hit) -> Result<Vec<f32>, Failure> {
        let record = self.snapshot.get(&hit.id).map_err(Failure::of(&self.args.file))?;
        Ok(record.map(|record| record.vector).unwrap_or_default())
    }
}

/// A vector of a batch as a query.
pub(super) fn query_of(batch: &VectorBatch, row: usize) -> QueryVector<'_> {
    let range = row * batch.dim..(row + 1) * batch.dim;
    match &batch.elements {
        Elements::F32(values) => values[range].into(),
        Elements::F16(values) => values[range].into(),
        Elements::I8(values) => values[range].into(),
        Elements::U8(values) => values[range].into(),
    }
}

/// A failure that a query is to blame for says so.
pub(super) fn in_query(failure: Failure) -> Failure {
    if failure.exit != 2 {
        return failure;
    }
    Failure::usage(failure.kind(), format!("the query does not fit: {}", failure.message()), failure.hint())
}

/// Where a vector of a batch stands in its file.
pub(super) fn place_of(batch: &VectorBatch, row: usize) -> String {
    let line = batch.lines.as_ref().and_then(|lines| lines.get(row));
    line.map_or_else(|| format!("row {}", batch.first_record + row as u64), |line| format!("line {line}"))
}

/// A failure about a query as one about its place in the file.
pub(super) fn in_input(failure: Failure, path: &Path, place: &str) -> Failure {
    if failure.silent || failure.exit <= NO || failure.exit > 2 {
        return failure;
    }
    let message = format!("{}; the query is {place} of {}", failure.message(), path.display());
    Failure::usage(failure.kind(), message, failure.hint())
}

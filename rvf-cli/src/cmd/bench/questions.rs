//! The queries, and how far their true neighbours are.

use super::measure::spread;
use super::{BenchArgs, search};
use crate::cmd::query::{in_input, in_query, place_of, query_of};
use crate::failure::Failure;
use crate::output::Ui;
use crate::progress::Bar;
use rvf_engine::ingest::{Format, IdTable, Ids, open_source, read_id_table};
use rvf_engine::kernel::as_near_as;
use rvf_engine::{Effort, Error, Id, IdType, Matches, QueryVector, Snapshot};
use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Queries of a thread between two looks at the progress bar.
const BLOCK: usize = 16;

/// All vectors of a file.
pub(crate) struct Queries {
    path: PathBuf,
    vectors: Vec<QueryVector<'static>>,
    /// Where each stands in the file.
    places: Vec<String>,
}

impl Queries {
    pub(crate) fn read(path: &Path, format: Option<Format>) -> Result<Self, Failure> {
        let mut queries = Self { path: path.to_owned(), vectors: Vec::new(), places: Vec::new() };
        let mut source = open_source(path, format).map_err(Failure::of_input)?;
        while let Some(batch) = source.next_batch(1024).map_err(Failure::of_input)? {
            for row in 0..batch.rows() {
                queries.vectors.push(owned(&query_of(&batch, row)));
                queries.places.push(place_of(&batch, row));
            }
        }
        if queries.vectors.is_empty() {
            let message = format!("no queries ({})", path.display());
            return Err(Failure::usage("input", message, "give a file with at least one vector"));
        }
        Ok(queries)
    }

    pub(crate) fn len(&self) -> usize {
        self.vectors.len()
    }

    /// Query `at`, without a copy.
    pub(crate) fn get(&self, at: usize) -> QueryVector<'_> {
        match &self.vectors[at] {
            QueryVector::F32(values) => QueryVector::F32(Cow::Borrowed(values)),
            QueryVector::I8(values) => QueryVector::I8(Cow::Borrowed(values)),
            QueryVector::U8(values) => QueryVector::U8(Cow::Borrowed(values)),
        }
    }

    /// What went wrong with query `at`.
    pub(crate) fn wrong(&self, at: usize, error: Error, store: &Path) -> Failure {
        let failure = in_query(Failure::of(store)(error));
        in_input(failure, &self.path, self.places.get(at).map_or("", String::as_str))
    }
}

fn owned(query: &QueryVector<'_>) -> QueryVector<'static> {
    match query {
        QueryVector::F32(values) => QueryVector::F32(Cow::Owned(values.to_vec())),
        QueryVector::I8(values) => QueryVector::I8(Cow::Owned(values.to_vec())),
        QueryVector::U8(values) => QueryVector::U8(Cow::Owned(values.to_vec())),
    }
}

/// How far a right hit may be, for each query: by exact searches, or from the ids of a file.
pub(super) fn limits(
    args: &BenchArgs,
    (snapshot, matches): (&Snapshot, Option<&Matches>),
    queries: &Queries,
    k: usize,
    ui: &Ui,
) -> Result<Vec<f32>, Failure> {
    let Some(path) = &args.truth else {
        return each(queries, args, ui, &|at| {
            let hits = search(snapshot, queries.get(at), matches).k(k).effort(Effort::Exact).run()?;
            Ok(Some(hits.last().map_or(f32::NEG_INFINITY, |hit| hit.distance)))
        });
    };
    let truth = Truth::read(path, snapshot, queries.len(), k)?;
    if let Some(matches) = matches {
        truth.check_among(matches, snapshot, path)?;
    }
    let limits = each(queries, args, ui, &|at| {
        let search = snapshot.search(queries.get(at));
        let mut farthest = f32::NEG_INFINITY;
        for id in truth.of(at) {
            match search.distance_to(&Id::U64(*id))? {
                Some(distance) => farthest = farthest.max(distance),
                None => return Ok(None),
            }
        }
        Ok(Some(farthest))
    });
    limits.map_err(|failure| match failure.kind() {
        ABSENT => failure.with_hint(format!("{} is of another store; leave out --truth to compute it", path.display())),
        _ => failure,
    })
}

const ABSENT: &str = "truth";

/// The limit of each query from the distance that `work` finds, on all cores.
fn each(
    queries: &Queries,
    args: &BenchArgs,
    ui: &Ui,
    work: &(impl Fn(usize) -> Result<Option<f32>, Error> + Sync),
) -> Result<Vec<f32>, Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut bar = Bar::items(ui, "finding true neighbours");
    let mut limits = Vec::with_capacity(queries.len());
    while limits.len() < queries.len() {
        let first = limits.len();
        let mut block: Vec<Result<Option<f32>, Error>> = Vec::new();
        block.resize_with((threads * BLOCK).min(queries.len() - first), || Ok(None));
        spread(threads, first, &mut block, &|at, slot| *slot = work(at));
        for (at, found) in block.into_iter().enumerate() {
            let found = found.map_err(|error| queries.wrong(first + at, error, &args.file))?;
            limits.push(as_near_as(found.ok_or_else(|| absent(first + at))?));
        }
        let _ = bar.update(limits.len() as u64, Some(queries.len() as u64));
    }
    Ok(limits)
}

fn absent(query: usize) -> Failure {
    let message = format!("a true neighbour of query {query} is not in the store");
    Failure::usage(ABSENT, message, "leave out --truth to compute it")
}

/// The ids of true neighbours.
struct Truth {
    ids: Vec<u64>,
    columns: usize,
    k: usize,
}

impl Truth {
    fn read(path: &Path, snapshot: &Snapshot, queries: usize, k: usize) -> Result<Self, Failure> {
        let named = |what: String| format!("{what} ({})", path.display());
        let leave_out = "leave out --truth: the true neighbours are then computed";
        if snapshot.schema().id_type == IdType::Str {
            let message = named("a file of true neighbours holds numbers, and the store has string ids".to_owned());
            return Err(Failure::usage("id_type", message, leave_out));
        }
        let IdTable { rows, columns, ids } = read_id_table(path).map_err(Failure::of_input)?;
        let Ids::U64(ids) = ids else {
            let message = named("true neighbours are given as strings, and the store has numbers as ids".to_owned());
            return Err(Failure::usage("id_type", message, leave_out));
        };
        if rows != queries {
            let message = named(format!("true neighbours of {rows} queries, and there are {queries}"));
            return Err(Failure::usage(ABSENT, message, "give a row for each query, or leave out --truth"));
        }
        if columns < k {
            let message = named(format!("{columns} true neighbours a query, and {k} are to be found"));
            return Err(Failure::usage(ABSENT, message, format!("say -k {columns}, or leave out --truth")));
        }
        Ok(Self { ids, columns, k })
    }

    /// That it is of the records that a filter finds.
    fn check_among(&self, matches: &Matches, snapshot: &Snapshot, path: &Path) -> Result<(), Failure> {
        let ids = matches.ids(snapshot).map_err(Failure::of(path))?;
        let among: HashSet<&Id> = ids.iter().collect();
        let queries = 0..self.ids.len() / self.columns.max(1);
        let other = queries.flat_map(|query| self.of(query)).find(|id| !among.contains(&Id::U64(**id)));
        other.map_or(Ok(()), |id| {
            let message = format!("the filter does not find {id}, a true neighbour ({})", path.display());
            Err(Failure::usage(ABSENT, message, "leave out --truth to compute the nearest of those that it finds"))
        })
    }

    /// The k nearest to a query.
    fn of(&self, query: usize) -> &[u64] {
        let first = query * self.columns;
        self.ids.get(first..first + self.k).unwrap_or_default()
    }
}

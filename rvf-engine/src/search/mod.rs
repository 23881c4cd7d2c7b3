//! Searching a snapshot.
//!
//! | file | owns |
//! | --- | --- |
//! | `query.rs` | [`QueryVector`]: what is looked for, checked against the store |
//! | `effort.rs` | [`Effort`]: how hard to look |
//! | `plan.rs` | which graphs are walked and which parts are scanned, and doing it |
//! | `dag.rs` | [`Plan`]: the same as data, and what makes a plan be refused |
//! | `settings.rs` | [`Settings`]: what is spent on one graph |
//! | `planner.rs` | [`Planner`]: a mind that says so |
//! | `walk.rs` | one graph searched |
//! | `exact.rs` | the scan: every live row of some parts, by the best kernel of this CPU |
//! | `filter` | [`Matches`]: which records a filter finds |
//! | `filtered.rs` | the nearest of those: how they are looked for |
//! | `pool.rs` | the nearest candidates so far |
//! | `refine.rs` | final distances in binary64 |

mod dag;
mod effort;
mod exact;
mod filter;
mod filtered;
mod plan;
mod planner;
mod pool;
mod query;
mod refine;
mod settings;
mod walk;

pub use dag::{Cost, MOST_STEPS, Operator, Plan, PlanFault, Step};
pub use effort::Effort;
pub use filter::Matches;
pub use filtered::Strategy;
pub use plan::Trace;
pub use planner::{Planner, Question};
pub use query::QueryVector;
pub use settings::{Settings, Warmth};

use self::plan::Meter;
use crate::Result;
use crate::kernel::Kernels;
use crate::store::{Id, Snapshot};

/// One result of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The record.
    pub id: Id,
    /// Its distance, as `spec/search.md` defines it for the metric; smaller is nearer.
    pub distance: f32,
}

/// A search that is being put together: `snapshot.search(&query).k(10).run()`.
///
/// ```
/// use rvf_engine::{Db, Metric, Schema};
/// let folder = tempfile::tempdir()?;
/// let mut db = Db::create(folder.path().join("a.rvf"), &Schema::new(2, Metric::L2))?;
/// db.add(&[0.0f32, 0.0, 3.0, 4.0])?;
/// let hits = db.snapshot().search(&[3.0f32, 3.0]).k(1).run()?;
/// assert_eq!((hits[0].id.to_string(), hits[0].distance), ("1".to_string(), 1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Search<'s> {
    snapshot: &'s Snapshot,
    query: QueryVector<'s>,
    k: usize,
    threads: usize,
    kernels: Kernels,
    effort: Effort,
    matches: Option<&'s Matches>,
    planner: Option<&'s dyn Planner>,
}

/// Results with how they were found.
#[derive(Clone, Debug)]
pub struct Explained {
    /// As [`Search::run`] gives them.
    pub hits: Vec<Hit>,
    /// What it took.
    pub trace: Trace,
    /// What was done, with what each step was expected to cost and did cost.
    pub plan: Plan,
}

impl Snapshot {
    /// Begins a search for the nearest records to `query`; 10 of them unless [`Search::k`] says otherwise.
    pub fn search<'s>(&'s self, query: impl Into<QueryVector<'s>>) -> Search<'s> {
        Search {
            snapshot: self,
            query: query.into(),
            k: 10,
            threads: 1,
            kernels: Kernels::detect(),
            effort: Effort::default(),
            matches: None,
            planner: None,
        }
    }
}

impl<'s> Search<'s> {
    /// Only records that a filter finds: min(k, [`Matches::count`]) hits, as near as without it.
    pub fn filter(mut self, matches: &'s Matches) -> Self {
        self.matches = Some(matches);
        self
    }

    /// Who says what the search spends. Its plan can make a search slow, and no result wrong.
    pub fn planner(mut self, planner: &'s dyn Planner) -> Self {
        self.planner = Some(planner);
        self
    }

    /// How many records to return; all of them where the store has fewer.
    pub fn k(mut self, k: usize) -> Self {
        self.k = k;
        self
    }

    /// How many threads scan; 1 unless said otherwise, at most one for each 4,096 rows.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// db.add(&vec![1.0f32; 2 * 9000])?;
    /// let hits = db.snapshot().search(&[1.0f32, 1.0]).k(2).threads(2).run()?;
    /// assert_eq!((hits[0].id.clone(), hits[1].id.clone()), (Id::U64(0), Id::U64(1)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// The kernels to use: for tests and benchmarks. The CPU's best unless said otherwise.
    pub fn kernels(mut self, kernels: Kernels) -> Self {
        self.kernels = kernels;
        self
    }

    /// How hard to look: see [`Effort`]. Unless said otherwise, walks aim at a mean recall@10 of 0.98.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// db.add(&(0..12_000).map(|i| (i * 7919 % 12_007) as f32).collect::<Vec<_>>())?;
    /// let (snapshot, query) = (db.snapshot(), [100.0f32, 100.0]);
    /// let (hits, trace) = snapshot.search(&query).effort(Effort::Ef(64)).run_traced()?;
    /// assert!(hits.len() == 10 && trace.distances < 3000 && !trace.exact);
    /// let exact = snapshot.search(&query).effort(Effort::Exact).run()?;
    /// assert_eq!(hits[0], exact[0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn effort(mut self, effort: Effort) -> Self {
        self.effort = effort;
        self
    }

    /// Searches: min(k, count) hits, nearest first, ties by id. Rows that a graph covers are found by walking it, if that is
    /// cheaper than comparing them all; the others are compared. Distances are exact, whichever way a hit was found.
    ///
    /// # Errors
    /// [`crate::Error::Dimension`], [`crate::Error::NotFinite`], [`crate::Error::ZeroVector`], [`crate::Error::Element`] for a
    /// query that does not fit; corruption of segments that are touched; [`crate::Error::Truncated`].
    pub fn run(self) -> Result<Vec<Hit>> {
        self.run_traced().map(|(hits, _)| hits)
    }

    /// The distance of one record from the query, as a hit carries it; `None` if no record has the id.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// db.add(&[0.0f32, 0.0, 3.0, 4.0])?;
    /// let (snapshot, query) = (db.snapshot(), [0.0f32, 0.0]);
    /// assert_eq!(snapshot.search(&query).distance_to(&Id::U64(1))?, Some(25.0));
    /// assert_eq!(snapshot.search(&query).distance_to(&Id::U64(9))?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::IdKind`]; those of [`Search::run`].
    pub fn distance_to(&self, id: &Id) -> Result<Option<f32>> {
        let schema = self.snapshot.schema();
        if id.id_type() != schema.id_type {
            return Err(crate::Error::IdKind { expected: schema.id_type });
        }
        let query = self.query.check(schema)?;
        let found = self.snapshot.find(id.as_ref());
        let distance = |at| {
            let distances = refine::distances(self.snapshot, &query, self.kernels, &[at])?;
            Ok(distances.first().copied())
        };
        self.snapshot.settle(found.and_then(|found| found.map_or(Ok(None), distance)))
    }

    /// Whether the query fits the store.
    ///
    /// # Errors
    /// Those of [`Search::run`] about the query.
    pub(crate) fn check(&self) -> Result<()> {
        self.query.check(self.snapshot.schema()).map(drop)
    }

    /// Exact distances of rows, in their order.
    ///
    /// # Errors
    /// Those of [`Search::run`].
    pub(crate) fn distances_of(&self, rows: &[crate::store::RowId]) -> Result<Vec<f32>> {
        let query = self.query.check(self.snapshot.schema())?;
        refine::distances(self.snapshot, &query, self.kernels, rows)
    }

    /// [`Search::run`], and what it took.
    ///
    /// # Errors
    /// Those of [`Search::run`].
    pub fn run_traced(self) -> Result<(Vec<Hit>, Trace)> {
        self.snapshot.whole()?;
        self.snapshot.settle(plan::search(&self, &Meter::default()))
    }

    /// [`Search::run`], with the plan and what each of its steps cost. Measuring takes time of its own.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// db.add(&[0.0f32, 0.0, 3.0, 4.0])?;
    /// let explained = db.snapshot().search(&[3.0f32, 3.0]).k(1).run_explained()?;
    /// let scan = explained.plan.steps.iter().find(|step| step.operator == search::Operator::ExactScan).unwrap();
    /// assert_eq!((scan.estimated.distances, scan.measured.unwrap().distances), (2.0, 2.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Search::run`].
    pub fn run_explained(self) -> Result<Explained> {
        self.snapshot.whole()?;
        let meter = Meter::measuring();
        let (hits, trace) = self.snapshot.settle(plan::search(&self, &meter))?;
        let plan = meter.filled(|| self.question(hits.len()).fixed_plan());
        Ok(Explained { hits, trace, plan })
    }

    fn question(&self, k: usize) -> Question<'_> {
        Question { snapshot: self.snapshot, query: &self.query, k, effort: self.effort, matches: self.matches }
    }

    /// What the planner says is searched, if there is one and it says so; whether its plan was refused. An exact search is not planned.
    fn planned(&self, question: &Question<'_>, meter: &Meter) -> (Option<Vec<(u32, Settings)>>, bool) {
        if self.effort == Effort::Exact {
            return (None, false);
        }
        let Some(plan) = self.planner.and_then(|planner| planner.plan(question)) else { return (None, false) };
        let is_sound = |graph: u32| question.view(graph).is_some();
        match plan.check(is_sound) {
            Ok(searched) => {
                meter.follows(&plan);
                (Some(searched), false)
            }
            Err(_) => (None, true),
        }
    }
}

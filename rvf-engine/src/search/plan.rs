//! Which graphs are walked and which parts are scanned, and doing it.
//!
//! ```text
//! graphs that are worth a walk -> walk -> the nearest few ------------+
//! parts in no graph, parts of graphs that are not -> scan -> k + 32 --+-> stored rows in binary64 -> k hits
//! ```
//! Which graphs, and what is spent on each, is for a [`super::Planner`] to say, if there is one and its plan is one. A search that finds fewer
//! than min(k, count) this way, because a graph is damaged in a way that shows nowhere else, falls back to scanning all.

use super::dag::{Cost, Operator, Plan};
use super::effort::Effort;
use super::exact::{op_of, scan};
use super::filtered::{self, Strategy};
use super::query::Checked;
use super::refine::refine;
use super::settings::Settings;
use super::walk::{GraphSearch, Near, Searched, may_be_nearest};
use super::{Hit, Search};
use crate::Result;
use crate::store::{GraphView, RowId, Snapshot};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

/// What a search took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Distances that were computed, on codes and on rows.
    pub distances: u64,
    /// Nodes whose links were followed.
    pub hops: u64,
    /// Stored rows that were measured once more, in binary64: not among the distances.
    pub reranked: u64,
    /// The largest number of candidates that a walk kept; 0 without a walk.
    pub ef: usize,
    /// Whether every live record was compared.
    pub exact: bool,
    /// Graphs that break a sentence of the specification and were not used.
    pub damaged: usize,
    /// How records that a filter finds were looked for, in the last graph; `None` without a filter or a graph.
    pub strategy: Option<Strategy>,
    /// Whether a planner said what was spent.
    pub planned: bool,
    /// Whether a planner's plan was none, and was not followed.
    pub refused: bool,
}

/// Candidates beyond k that a scan, whose distances are rounded, hands on.
pub(super) const SCAN_SLACK: usize = 32;

/// A walk with this many candidates is taken to cost as much as scanning so many rows a candidate. (Measured on 100,000 x 384,
/// SQ8: a walk with ef 64 measures 1,100 codes at random, in the time in which a scan reads about 1,500 f32 rows.)
const ROWS_A_CANDIDATE: u64 = 16;

/// Nodes near the result that walks like this one begin at, too: so many of the nearest.
const REMEMBERED: usize = 4;

/// What is searched how.
pub(super) struct Chosen<'s> {
    pub(super) walks: Vec<Planned<'s>>,
    /// Parts to be scanned.
    parts: Vec<u32>,
    /// Graphs that cannot be walked; not looked for where none is to be.
    pub(super) damaged: usize,
}

/// A graph to be walked.
#[derive(Clone, Copy)]
pub(super) struct Planned<'s> {
    graph: &'s GraphView,
    /// Its place among those of the snapshot.
    pub(super) at: u32,
    /// How many of the nearest it is asked for: k, or fewer where few of them are expected in it.
    k: usize,
    /// What is spent on it, for so many.
    pub(super) settings: Settings,
    /// Candidates to be kept where all k are asked for.
    full_ef: usize,
}

impl<'s> Planned<'s> {
    /// Asks a graph that holds a small share of the records for a small share of the nearest: as many as are expected there, two
    /// standard deviations more, and one. Where as many are found as were asked for, all are asked for after all.
    fn of_share(self, share: f64) -> Self {
        let k = share_of(self.k, share);
        Self { k, settings: self.settings.of_share(k, self.k), ..self }
    }

    fn has(&self, at: RowId) -> bool {
        self.graph.parts.binary_search(&at.part).is_ok()
    }
}

/// How many of the `k` nearest are to be asked of what holds this share of the records: as many as are expected there, two standard deviations
/// more, and one.
pub(super) fn share_of(k: usize, share: f64) -> usize {
    let expected = k as f64 * share.clamp(0.0, 1.0);
    ((expected + 2.0 * expected.sqrt() + 1.0).ceil() as usize).min(k)
}

/// What was spent on what, where that is measured.
#[derive(Debug, Default)]
pub(super) struct Meter(Option<RefCell<Measured>>);

/// The plan that is followed, if there is one, and what was spent.
#[derive(Debug, Default)]
struct Measured {
    plan: Option<Arc<Plan>>,
    spent: Vec<Spent>,
}

/// What was done, to which graph, and what it cost.
type Spent = (Operator, Option<u32>, Cost);

impl Meter {
    pub(super) fn measuring() -> Self {
        Self(Some(RefCell::default()))
    }

    /// Runs `work`, and notes what it says that it took.
    pub(super) fn run<R>(
        &self,
        operator: Operator,
        graph: Option<u32>,
        work: impl FnOnce() -> Result<(R, Cost)>,
    ) -> Result<R> {
        let Some(noted) = &self.0 else { return work().map(|(done, _)| done) };
        let started = Instant::now();
        let (done, cost) = work()?;
        let nanos = started.elapsed().as_nanos() as f64;
        noted.borrow_mut().spent.push((operator, graph, Cost { nanos, ..cost }));
        Ok(done)
    }

    /// Notes the plan that is followed: a planner is asked once.
    pub(super) fn follows(&self, plan: &Arc<Plan>) {
        if let Some(noted) = &self.0 {
            noted.borrow_mut().plan = Some(plan.clone());
        }
    }

    /// The plan that was followed, or else the one that is made without a planner, with what was spent. A graph that was asked twice cost both
    /// times.
    pub(super) fn filled(self, fixed: impl FnOnce() -> Plan) -> Plan {
        let Measured { plan, spent } = self.0.map(RefCell::into_inner).unwrap_or_default();
        let mut plan = plan.map_or_else(fixed, Arc::unwrap_or_clone);
        for (operator, graph, cost) in spent {
            // A walk may have ended as a scan of codes, which the plan did not foresee.
            let at =
                plan.steps.iter().position(|step| step.operator == operator && step.graph == graph).or_else(|| {
                    let is_search = |operator| matches!(operator, Operator::Walk | Operator::CodeScan);
                    plan.steps.iter().position(|step| {
                        is_search(operator) && is_search(step.operator) && step.graph == graph && graph.is_some()
                    })
                });
            let Some(step) = at.and_then(|at| plan.steps.get_mut(at)) else { continue };
            let before = step.measured.unwrap_or_default();
            step.measured = Some(Cost {
                distances: before.distances + cost.distances,
                bytes: before.bytes + cost.bytes,
                hops: before.hops + cost.hops,
                pages: before.pages + cost.pages,
                words: before.words + cost.words,
                inserts: before.inserts + cost.inserts,
                nanos: before.nanos + cost.nanos,
            });
        }
        plan
    }
}

/// The cost of distances that read so many bytes each.
pub(super) fn cost_of(distances: u64, hops: u64, bytes: usize) -> Cost {
    let (distances, hops) = (distances as f64, hops as f64);
    Cost { distances, hops, bytes: distances * bytes as f64, pages: distances, ..Cost::default() }
}

pub(super) fn search(search: &Search<'_>, meter: &Meter) -> Result<(Vec<Hit>, Trace)> {
    let snapshot = search.snapshot;
    let checked = search.query.check(snapshot.schema())?;
    if let Some(matches) = search.matches {
        return filtered::search(search, &checked, matches, meter);
    }
    let wanted = search.k.min(usize::try_from(snapshot.count()).unwrap_or(usize::MAX));
    if wanted == 0 {
        return Ok((Vec::new(), Trace { exact: true, ..Trace::default() }));
    }
    let question = search.question(wanted);
    let (planned, refused) = search.planned(&question, meter);
    let is_planned = planned.is_some();
    let chosen = match planned {
        Some(searched) => follow(snapshot, &searched, wanted),
        None => choose(snapshot, search.effort, wanted, false),
    };
    let found = found(search, &checked, chosen, wanted, meter);
    let (hits, trace) = found?;
    let trace = Trace { planned: is_planned, refused, ..trace };
    if let Some(planner) = search.planner {
        planner.observe(&question, &trace);
    }
    Ok((hits, trace))
}

fn found(
    search: &Search<'_>,
    query: &Checked<'_>,
    chosen: Chosen<'_>,
    k: usize,
    meter: &Meter,
) -> Result<(Vec<Hit>, Trace)> {
    if !chosen.walks.is_empty() {
        let (hits, trace) = execute(search, query, &chosen, k, meter)?;
        if hits.len() == k {
            return Ok((hits, trace));
        }
    }
    let parts = (0..search.snapshot.parts().len() as u32).collect();
    execute(search, query, &Chosen { walks: Vec::new(), parts, ..chosen }, k, meter)
}

/// What is searched how where nothing is planned. Where a filter is to be met, all graphs are searched.
pub(super) fn choose(snapshot: &Snapshot, effort: Effort, wanted: usize, filtered: bool) -> Chosen<'_> {
    let mut chosen = Chosen { walks: Vec::new(), parts: Vec::new(), damaged: 0 };
    if effort == Effort::Exact || snapshot.graphs().is_empty() {
        return chosen;
    }
    chosen.damaged = snapshot.damaged_graphs();
    for (at, view) in snapshot.sound_graphs() {
        let mut settings = Settings::fixed(effort, view);
        settings.ef = settings.ef.max(wanted);
        let mut planned = Planned { graph: view, at: at as u32, k: wanted, full_ef: settings.ef, settings };
        // Who names the number of candidates gets it in every graph.
        if matches!(effort, Effort::Recall(_)) && !filtered {
            planned = planned.of_share(f64::from(view.live) / snapshot.count().max(1) as f64);
        }
        if filtered || is_worth_a_walk(view, planned.settings.ef) {
            chosen.walks.push(planned);
        }
    }
    chosen.parts = rest(snapshot, &chosen.walks);
    chosen
}

/// What a plan says is searched.
fn follow<'s>(snapshot: &'s Snapshot, searched: &[(u32, Settings)], wanted: usize) -> Chosen<'s> {
    let mut chosen = Chosen { walks: Vec::new(), parts: Vec::new(), damaged: snapshot.damaged_graphs() };
    for (graph, settings) in searched {
        let Some((_, view)) = snapshot.sound_graphs().find(|(at, _)| *at == *graph as usize) else { continue };
        let settings = settings.bounded(wanted);
        let planned = Planned { graph: view, at: *graph, k: wanted, full_ef: settings.ef, settings };
        chosen.walks.push(planned.of_share(f64::from(view.live) / snapshot.count().max(1) as f64));
    }
    chosen.parts = rest(snapshot, &chosen.walks);
    chosen
}

/// The parts that are in none of these graphs.
fn rest(snapshot: &Snapshot, walks: &[Planned<'_>]) -> Vec<u32> {
    let mut walked = vec![false; snapshot.parts().len()];
    walks.iter().flat_map(|walk| &walk.graph.parts).for_each(|part| walked[*part as usize] = true);
    (0..walked.len() as u32).filter(|part| !walked[*part as usize]).collect()
}

/// Dead nodes cost a walk as much as live ones and yield nothing; a scan compares dead rows, too.
fn is_worth_a_walk(graph: &GraphView, ef: usize) -> bool {
    let (nodes, live) = (u64::from(graph.table.nodes()), u64::from(graph.live));
    let linked = u64::from(graph.index.facts().linked.get());
    let rows = (ef as u64).saturating_mul(ROWS_A_CANDIDATE).saturating_mul(linked) / live.max(1);
    live > 0 && rows < nodes
}

/// How near a row must be, on these codes, to be among those that are measured again; infinity if that is not known.
fn farthest_of_use(near: &[Near], codes: u32, most: usize, k: usize) -> f32 {
    let mut distances: Vec<f32> = near.iter().filter(|near| near.codes == codes).map(|near| near.distance).collect();
    if distances.len() < k {
        return f32::INFINITY;
    }
    let at = most.min(distances.len()) - 1;
    *distances.select_nth_unstable_by(at, f32::total_cmp).1
}

/// A walk that is under way.
struct Execution<'e, 's> {
    search: &'e Search<'s>,
    query: &'e Checked<'e>,
    k: usize,
    meter: &'e Meter,
    /// Candidates beyond k that are measured again.
    reranked: usize,
    trace: Trace,
    made: super::walk::Made,
    near: Vec<Near>,
    /// The cells that walks came by whose ends are to be remembered.
    came_by: Vec<(u32, u32)>,
}

fn execute(
    search: &Search<'_>,
    query: &Checked<'_>,
    chosen: &Chosen<'_>,
    k: usize,
    meter: &Meter,
) -> Result<(Vec<Hit>, Trace)> {
    let trace = Trace { exact: chosen.walks.is_empty(), damaged: chosen.damaged, ..Trace::default() };
    let reranked = chosen.walks.iter().map(|walk| walk.settings.reranked).max().unwrap_or_default();
    let (made, near, came_by) = (None, Vec::new(), Vec::new());
    let mut execution = Execution { search, query, k, meter, reranked, trace, made, near, came_by };
    let mut candidates = execution.scan(&chosen.parts)?;
    let scanned = candidates.len();
    chosen.walks.iter().try_for_each(|planned| execution.walk(planned))?;
    let most = k.saturating_add(reranked);
    may_be_nearest(&mut execution.near, most, &mut candidates);
    let (hits, places) = execution.rerank(&candidates)?;
    let found = |planned: &Planned<'_>| places.iter().filter(|at| planned.has(**at)).count();
    let is_short = |planned: &&Planned<'_>| planned.k < k && found(planned) >= planned.k;
    let full = |planned: &Planned<'_>| Settings { ef: planned.full_ef, ..planned.settings };
    let again: Vec<Planned<'_>> = chosen
        .walks
        .iter()
        .filter(is_short)
        .map(|planned| Planned { k, settings: full(planned), ..*planned })
        .collect();
    if again.is_empty() {
        execution.remember(chosen, &places);
        return Ok((hits, execution.trace));
    }
    execution.near.retain(|near| !again.iter().any(|planned| planned.has(near.at)));
    again.iter().try_for_each(|planned| execution.walk(planned))?;
    candidates.truncate(scanned);
    may_be_nearest(&mut execution.near, most, &mut candidates);
    let (hits, places) = execution.rerank(&candidates)?;
    execution.remember(chosen, &places);
    Ok((hits, execution.trace))
}

impl Execution<'_, '_> {
    /// Compares the rows of parts as they are stored.
    fn scan(&mut self, parts: &[u32]) -> Result<Vec<RowId>> {
        let (search, capacity) = (self.search, self.k.saturating_add(SCAN_SLACK));
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let sources = parts.iter().filter_map(|part| search.snapshot.parts().get(*part as usize));
        let rows: u64 = sources.map(|part| u64::from(part.entry.rows.get())).sum();
        self.trace.distances += rows;
        self.meter.run(Operator::ExactScan, None, || {
            let pool = scan(search.snapshot, self.query, parts, capacity, search.threads, search.kernels)?;
            Ok((pool.finish()?, cost_of(rows, 0, search.snapshot.schema().row_len())))
        })
    }

    fn walk(&mut self, planned: &Planned<'_>) -> Result<()> {
        let (search, Planned { graph, at, k, settings, .. }) = (self.search, *planned);
        let snapshot = search.snapshot;
        let codes = snapshot.codes_of(at as usize);
        let wanted = match k < self.k {
            true => farthest_of_use(&self.near, codes, self.k.saturating_add(self.reranked), self.k),
            false => f32::INFINITY,
        };
        let walk = GraphSearch {
            snapshot,
            graph,
            place: snapshot.graphs()[at as usize].entry.offset.get(),
            kernels: search.kernels,
            op: op_of(snapshot.schema().metric),
            settings,
            k,
            wanted,
            codes,
            among: None,
        };
        let (made, near) = (&mut self.made, &mut self.near);
        let Searched { found, cell, .. } = self.meter.run(Operator::Walk, Some(at), || {
            let searched = walk.run(self.query, made, near)?;
            let Searched { found, .. } = searched;
            Ok((searched, cost_of(found.distances, found.hops, graph.index.facts().stride.get() as usize)))
        })?;
        self.trace.distances += found.distances;
        self.trace.hops += found.hops;
        self.trace.ef = self.trace.ef.max(settings.ef);
        if settings.warmth.leaves() {
            self.came_by.push((at, cell));
        }
        Ok(())
    }

    fn rerank(&mut self, candidates: &[RowId]) -> Result<(Vec<Hit>, Vec<RowId>)> {
        let search = self.search;
        self.trace.reranked += candidates.len() as u64;
        self.meter.run(Operator::Rerank, None, || {
            let done = refine(search.snapshot, self.query, search.kernels, candidates, self.k)?;
            Ok((done, cost_of(candidates.len() as u64, 0, search.snapshot.schema().row_len())))
        })
    }

    /// Remembers where walks ended that began, too, where others had.
    fn remember(&self, chosen: &Chosen<'_>, places: &[RowId]) {
        for (graph, cell) in &self.came_by {
            let Some(planned) = chosen.walks.iter().find(|walk| walk.at == *graph) else { continue };
            remember(planned.graph, *cell, places);
        }
    }
}

/// Remembers the nearest of what was found as places to begin at, in the cell that the walk came by.
pub(super) fn remember(graph: &GraphView, cell: u32, places: &[RowId]) {
    for node in places.iter().take(REMEMBERED).filter_map(|at| graph.node_of(*at)) {
        graph.warm().remember(cell, node);
    }
}

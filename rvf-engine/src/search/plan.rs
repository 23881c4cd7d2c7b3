//! Which graphs are walked and which parts are scanned, and doing it.
//!
//! ```text
//! graphs that are worth a walk -> walk -> the nearest few ------------+
//! parts in no graph, parts of graphs that are not -> scan -> k + 32 --+-> stored rows in binary64 -> k hits
//! ```
//! A search that finds fewer than min(k, count) this way, because a graph is damaged in a way that shows nowhere else, falls
//! back to scanning all.

use super::effort::{Effort, ef_for};
use super::exact::{op_of, scan};
use super::filtered::{self, Strategy};
use super::query::Checked;
use super::refine::refine;
use super::walk::{GraphSearch, Near, RERANKED, may_be_nearest};
use super::{Hit, Search};
use crate::Result;
use crate::hnsw::Found;
use crate::store::{GraphView, RowId, Snapshot};

/// What a search took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Distances that were computed, on codes and on rows.
    pub distances: u64,
    /// Nodes whose links were followed.
    pub hops: u64,
    /// The largest number of candidates that a walk kept; 0 without a walk.
    pub ef: usize,
    /// Whether every live record was compared.
    pub exact: bool,
    /// Graphs that break a sentence of the specification and were not used.
    pub damaged: usize,
    /// How records that a filter finds were looked for, in the last graph; `None` without a filter or a graph.
    pub strategy: Option<Strategy>,
}

/// Candidates beyond k that a scan, whose distances are rounded, hands on.
pub(super) const SCAN_SLACK: usize = 32;

/// A walk with this many candidates is taken to cost as much as scanning so many rows a candidate. (Measured on 100,000 x 384,
/// SQ8: a walk with ef 64 measures 1,100 codes at random, in the time in which a scan reads about 1,500 f32 rows.)
const ROWS_A_CANDIDATE: u64 = 16;

struct Plan<'s> {
    walks: Vec<Planned<'s>>,
    /// Parts to be scanned.
    parts: Vec<u32>,
    /// Graphs that cannot be walked; not looked for where none is to be.
    damaged: usize,
}

/// A graph to be walked.
#[derive(Clone, Copy)]
struct Planned<'s> {
    graph: &'s GraphView,
    /// Of its INDEX segment, for messages.
    place: u64,
    ef: usize,
    /// How many of the nearest it is asked for: k, or fewer where few of them are expected in it.
    k: usize,
    /// Candidates to be kept where all k are asked for.
    full_ef: usize,
    /// Which codes it walks on.
    codes: u32,
}

impl<'s> Planned<'s> {
    /// Asks a graph that holds a small share of the records for a small share of the nearest: as many as are expected there, two
    /// standard deviations more, and one. Where as many are found as were asked for, all are asked for after all.
    fn of_share(self, share: f64) -> Self {
        let expected = self.k as f64 * share.clamp(0.0, 1.0);
        let k = ((expected + 2.0 * expected.sqrt() + 1.0).ceil() as usize).min(self.k);
        let ef = (self.ef as f64 * k as f64 / self.k.max(1) as f64).ceil() as usize;
        Self { k, ef: ef.max(k), ..self }
    }

    fn has(&self, at: RowId) -> bool {
        self.graph.parts.binary_search(&at.part).is_ok()
    }
}

pub(super) fn search(search: &Search<'_>) -> Result<(Vec<Hit>, Trace)> {
    let snapshot = search.snapshot;
    let checked = search.query.check(snapshot.schema())?;
    if let Some(matches) = search.matches {
        return filtered::search(search, &checked, matches);
    }
    let wanted = search.k.min(usize::try_from(snapshot.count()).unwrap_or(usize::MAX));
    if wanted == 0 {
        return Ok((Vec::new(), Trace { exact: true, ..Trace::default() }));
    }
    let plan = plan(snapshot, search.effort, wanted);
    if !plan.walks.is_empty() {
        let (hits, trace) = execute(search, &checked, &plan, wanted)?;
        if hits.len() == wanted {
            return Ok((hits, trace));
        }
    }
    let all = Plan { walks: Vec::new(), parts: (0..snapshot.parts().len() as u32).collect(), ..plan };
    execute(search, &checked, &all, wanted)
}

fn plan(snapshot: &Snapshot, effort: Effort, wanted: usize) -> Plan<'_> {
    let mut plan = Plan { walks: Vec::new(), parts: Vec::new(), damaged: 0 };
    if effort == Effort::Exact || snapshot.graphs().is_empty() {
        return plan;
    }
    let mut walked = vec![false; snapshot.parts().len()];
    plan.damaged = snapshot.damaged_graphs();
    for (at, view) in snapshot.sound_graphs() {
        let ef = match effort {
            Effort::Ef(ef) => ef,
            Effort::Recall(recall) => ef_for(recall, view.index.effort()),
            Effort::Exact => continue,
        };
        let (ef, place) = (ef.max(wanted), snapshot.graphs()[at].entry.offset.get());
        let mut planned = Planned { graph: view, place, ef, k: wanted, full_ef: ef, codes: snapshot.codes_of(at) };
        // Who names the number of candidates gets it in every graph.
        if matches!(effort, Effort::Recall(_)) {
            planned = planned.of_share(f64::from(view.live) / snapshot.count().max(1) as f64);
        }
        if is_worth_a_walk(view, planned.ef) {
            view.parts.iter().for_each(|part| walked[*part as usize] = true);
            plan.walks.push(planned);
        }
    }
    plan.parts = (0..walked.len() as u32).filter(|part| !walked[*part as usize]).collect();
    plan
}

/// Dead nodes cost a walk as much as live ones and yield nothing; a scan compares dead rows, too.
fn is_worth_a_walk(graph: &GraphView, ef: usize) -> bool {
    let (nodes, live) = (u64::from(graph.table.nodes()), u64::from(graph.live));
    let linked = u64::from(graph.index.facts().linked.get());
    let rows = (ef as u64).saturating_mul(ROWS_A_CANDIDATE).saturating_mul(linked) / live.max(1);
    live > 0 && rows < nodes
}

/// How near a row must be, on these codes, to be among those that are measured again; infinity if that is not known.
fn farthest_of_use(near: &[Near], codes: u32, k: usize) -> f32 {
    let mut distances: Vec<f32> = near.iter().filter(|near| near.codes == codes).map(|near| near.distance).collect();
    if distances.len() < k {
        return f32::INFINITY;
    }
    let at = (k + RERANKED).min(distances.len()) - 1;
    *distances.select_nth_unstable_by(at, f32::total_cmp).1
}

fn execute(search: &Search<'_>, query: &Checked<'_>, plan: &Plan<'_>, k: usize) -> Result<(Vec<Hit>, Trace)> {
    let snapshot = search.snapshot;
    let mut trace = Trace { exact: plan.walks.is_empty(), damaged: plan.damaged, ..Trace::default() };
    let mut candidates = Vec::new();
    if !plan.parts.is_empty() {
        let capacity = k.saturating_add(SCAN_SLACK);
        candidates = scan(snapshot, query, &plan.parts, capacity, search.threads, search.kernels)?.finish()?;
    }
    let rows = plan.parts.iter().filter_map(|part| snapshot.parts().get(*part as usize));
    trace.distances = rows.map(|part| u64::from(part.entry.rows.get())).sum();
    let (mut made, near_enough) = (None, k);
    let mut walk = |planned: &Planned<'_>, near: &mut Vec<Near>| -> Result<()> {
        let (op, Planned { graph, place, ef, k, codes, .. }) = (op_of(snapshot.schema().metric), *planned);
        let wanted = if k < near_enough { farthest_of_use(near, codes, near_enough) } else { f32::INFINITY };
        let walk =
            GraphSearch { snapshot, graph, place, kernels: search.kernels, op, ef, k, wanted, codes, among: None };
        let Found { distances, hops, .. } = walk.run(query, &mut made, near)?.found;
        trace.distances += distances;
        trace.hops += hops;
        trace.ef = trace.ef.max(ef);
        Ok(())
    };
    let (mut near, scanned) = (Vec::new(), candidates.len());
    plan.walks.iter().try_for_each(|planned| walk(planned, &mut near))?;
    may_be_nearest(&mut near, k.saturating_add(RERANKED), &mut candidates);
    let (hits, places) = refine(snapshot, query, search.kernels, &candidates, k)?;
    let found = |planned: &Planned<'_>| places.iter().filter(|at| planned.has(**at)).count();
    let is_short = |planned: &&Planned<'_>| planned.k < k && found(planned) >= planned.k;
    let again: Vec<Planned<'_>> =
        plan.walks.iter().filter(is_short).map(|planned| Planned { k, ef: planned.full_ef, ..*planned }).collect();
    if again.is_empty() {
        return Ok((hits, trace));
    }
    near.retain(|near| !again.iter().any(|planned| planned.has(near.at)));
    again.iter().try_for_each(|planned| walk(planned, &mut near))?;
    candidates.truncate(scanned);
    may_be_nearest(&mut near, k.saturating_add(RERANKED), &mut candidates);
    let (hits, _) = refine(snapshot, query, search.kernels, &candidates, k)?;
    Ok((hits, trace))
}

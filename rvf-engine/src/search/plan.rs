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
use super::walk::GraphSearch;
use super::{Hit, Search};
use crate::Result;
use crate::hnsw::Found;
use crate::store::{GraphView, Snapshot};

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
    walks: Vec<(&'s GraphView, u64, usize)>,
    /// Parts to be scanned.
    parts: Vec<u32>,
    /// Graphs that cannot be walked; not looked for where none is to be.
    damaged: usize,
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
    plan.damaged = snapshot.graphs().len();
    for (at, view) in snapshot.sound_graphs() {
        plan.damaged -= 1;
        let ef = match effort {
            Effort::Ef(ef) => ef,
            Effort::Recall(recall) => ef_for(recall, view.index.effort()),
            Effort::Exact => continue,
        };
        let ef = ef.max(wanted);
        if is_worth_a_walk(view, ef) {
            view.parts.iter().for_each(|part| walked[*part as usize] = true);
            plan.walks.push((view, snapshot.graphs()[at].entry.offset.get(), ef));
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
    for (graph, place, ef) in plan.walks.iter().copied() {
        let op = op_of(snapshot.schema().metric);
        let walk = GraphSearch { snapshot, graph, place, kernels: search.kernels, op, ef, k, among: None };
        let Found { distances, hops, .. } = walk.run(query, &mut candidates)?.found;
        trace.distances += distances;
        trace.hops += hops;
        trace.ef = trace.ef.max(ef);
    }
    Ok((refine(snapshot, query, search.kernels, &candidates, k)?, trace))
}

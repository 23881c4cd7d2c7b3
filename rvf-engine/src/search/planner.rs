//! [`Planner`]: a mind that says what a search spends. It may be wrong about what is cheap; what a search finds is right in any case.

use super::dag::{Cost, Operator, Plan};
use super::effort::Effort;
use super::filter::Matches;
use super::filtered::Strategy;
use super::plan::{Chosen, Trace, choose};
use super::query::QueryVector;
use super::settings::Settings;
use crate::hnsw::Manner;
use crate::store::{GraphView, Snapshot};
use std::fmt;
use std::sync::Arc;

/// What is asked, as a planner sees it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// What is searched.
    pub snapshot: &'q Snapshot,
    /// What is looked for.
    pub query: &'q QueryVector<'q>,
    /// How many results there will be: above 0.
    pub k: usize,
    /// How hard the caller wants it to be looked for.
    pub effort: Effort,
    /// The records that the filter finds.
    pub matches: Option<&'q Matches>,
}

/// Says what searches spend, and sees what they took.
pub trait Planner: fmt::Debug + Sync {
    /// The plan of a search; `None` to search as without a planner. Called once a search: what it takes is added to each.
    fn plan(&self, question: &Question<'_>) -> Option<Arc<Plan>>;

    /// What a search took that was planned, or was not: called after it, before its caller has the results.
    fn observe(&self, question: &Question<'_>, trace: &Trace);
}

impl Question<'_> {
    /// The graphs that can be searched, by their places, with how many of their records are in question.
    pub fn graphs(&self) -> Vec<(u32, u64)> {
        self.snapshot.sound_graphs().map(|(at, view)| (at as u32, self.count_in(view))).collect()
    }

    /// What is spent on a graph where nothing is planned. `None` for a graph that cannot be searched.
    pub fn fixed(&self, graph: u32) -> Option<Settings> {
        let view = self.view(graph)?;
        Some(Settings::fixed(self.effort, view).bounded(self.k))
    }

    /// The plan that is made without a planner.
    pub fn fixed_plan(&self) -> Plan {
        let chosen = choose(self.snapshot, self.effort, self.k, self.matches.is_some());
        self.plan_of(&chosen.searched())
    }

    /// A plan that searches these graphs, in this order, and spends this on each.
    pub fn plan_of(&self, searched: &[(u32, Settings)]) -> Plan {
        let mut plan = Plan::default();
        let filter: Vec<u16> = self.matches.map(|_| self.filter_steps(&mut plan)).into_iter().collect();
        let mut found: Vec<u16> = Vec::new();
        for (graph, settings) in searched {
            found.push(self.graph_steps(&mut plan, *graph, settings, &filter));
        }
        let rest = self.rows_beside(searched);
        if rest > 0 || found.is_empty() {
            let scan = plan.push(Operator::ExactScan, None, &filter);
            plan.steps[usize::from(scan)].estimated = self.scanned(rest);
            found.push(scan);
        }
        let merge = plan.push(Operator::Merge, None, &found);
        let rerank = plan.push(Operator::Rerank, None, &[merge]);
        let most = searched.iter().map(|(_, settings)| settings.reranked).max().unwrap_or_default();
        plan.steps[usize::from(rerank)].estimated = self.stored(self.k as f64 + most as f64, NANOS_A_STORED);
        plan.push(Operator::Result, None, &[rerank]);
        plan
    }

    fn filter_steps(&self, plan: &mut Plan) -> u16 {
        let words = self.snapshot.parts().iter().map(|part| f64::from(part.entry.rows.get()) / 64.0).sum();
        let bitmap = plan.push(Operator::FilterBitmap, None, &[]);
        plan.steps[usize::from(bitmap)].estimated = Cost { words, nanos: words, ..Cost::default() };
        plan.push(Operator::FilterStatistics, None, &[bitmap])
    }

    /// The steps of one graph; the last of them.
    fn graph_steps(&self, plan: &mut Plan, graph: u32, settings: &Settings, filter: &[u16]) -> u16 {
        let by_code = settings.strategy == Some(Strategy::OneByOne);
        let mut inputs = filter.to_vec();
        if !by_code {
            if settings.warmth.begins() {
                inputs.push(plan.push(Operator::CacheProbe, Some(graph), filter));
            }
            inputs.push(plan.push(Operator::CentroidProbe, Some(graph), filter));
        }
        let operator = if by_code { Operator::CodeScan } else { Operator::Walk };
        let search = plan.push(operator, Some(graph), &inputs);
        let step = &mut plan.steps[usize::from(search)];
        step.settings = Some(*settings);
        step.estimated = self.estimate(graph, settings);
        let stops = settings.slack < f32::INFINITY && !by_code;
        if stops { plan.push(Operator::StopGate, Some(graph), &[search]) } else { search }
    }

    /// What a graph is expected to cost where nothing was measured: by the figures of [`Strategy`].
    fn estimate(&self, graph: u32, settings: &Settings) -> Cost {
        let Some(view) = self.view(graph) else { return Cost::default() };
        let count = self.count_in(view) as f64;
        let code = view.index.facts().stride.get() as f64;
        if settings.strategy == Some(Strategy::OneByOne) {
            return Cost { distances: count, bytes: count * code, nanos: 9.0 * count, ..Cost::default() };
        }
        let share = if self.matches.is_some() { count / f64::from(view.table.nodes().max(1)) } else { 1.0 };
        let leaders = view.index.cells().len() as f64;
        let degree = settings.links.min(view.index.facts().degree.get() as usize) as f64;
        let hops = 10.0 + settings.ef as f64 / share.max(0.05);
        let distances = leaders + settings.probed as f64 + (0.4 * degree * hops).min(f64::from(view.table.nodes()));
        let bytes = distances * code;
        Cost { distances, bytes, hops, pages: distances, inserts: distances / 4.0, nanos: 33.0 * distances, words: 0.0 }
    }

    fn rows_beside(&self, searched: &[(u32, Settings)]) -> u64 {
        let mut covered = vec![false; self.snapshot.parts().len()];
        for view in searched.iter().filter_map(|(graph, _)| self.view(*graph)) {
            view.parts.iter().for_each(|part| covered[*part as usize] = true);
        }
        let count = |part: usize| match self.matches {
            Some(matches) => matches.count_in(part as u32),
            None => u64::from(self.snapshot.parts()[part].entry.rows.get()),
        };
        (0..covered.len()).filter(|part| !covered[*part]).map(count).sum()
    }

    fn scanned(&self, rows: u64) -> Cost {
        let nanos = 0.05 * self.snapshot.schema().row_len() as f64;
        self.stored(rows as f64, if self.matches.is_some() { nanos.max(NANOS_A_STORED) } else { nanos })
    }

    /// So many rows measured as they are stored.
    fn stored(&self, rows: f64, nanos: f64) -> Cost {
        let row = self.snapshot.schema().row_len() as f64;
        Cost { distances: rows, bytes: rows * row, pages: rows, nanos: rows * nanos, ..Cost::default() }
    }

    pub(crate) fn view(&self, graph: u32) -> Option<&GraphView> {
        self.snapshot.sound_graphs().find(|(at, _)| *at == graph as usize).map(|(_, view)| view)
    }

    fn count_in(&self, view: &GraphView) -> u64 {
        match self.matches {
            Some(matches) => view.parts.iter().map(|part| matches.count_in(*part)).sum(),
            None => u64::from(view.live),
        }
    }
}

/// Nanoseconds for a stored row that lies anywhere.
const NANOS_A_STORED: f64 = 60.0;

impl Chosen<'_> {
    fn searched(&self) -> Vec<(u32, Settings)> {
        self.walks.iter().map(|walk| (walk.at, walk.settings)).collect()
    }
}

impl Settings {
    /// A walk that measures so many pivots beside the leaders, goes its own way to what is near by so many links a node, and stops this much
    /// beyond the k-th nearest.
    pub fn stopping(self, (probed, approach): (usize, usize), slack: f32) -> Self {
        Self { probed, approach, slack, links: Manner::default().links, ..self }
    }
}

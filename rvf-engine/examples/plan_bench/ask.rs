//! Questions, what is true of them, and what settings make of them.

use crate::data::Outcome;
use rvf_engine::search::{Plan, Planner, Question, Settings};
use rvf_engine::{Effort, Matches, Snapshot, Trace};
use std::sync::Arc;
use std::time::Instant;

pub(crate) const K: usize = 10;

/// A question to a store.
pub(crate) struct Ask<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) query: Vec<f32>,
    pub(crate) matches: Option<&'a Matches>,
    /// The distance of the last of the true neighbours, and how many there are.
    pub(crate) farthest: f32,
    pub(crate) count: usize,
}

/// What an answer took and found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) distances: f64,
    pub(crate) recall: f64,
    pub(crate) nanos: f64,
}

/// The same settings for all graphs, whatever is asked.
#[derive(Debug)]
pub(crate) struct Always(pub(crate) Settings);

impl Planner for Always {
    fn plan(&self, question: &Question<'_>) -> Option<Arc<Plan>> {
        let graphs: Vec<_> = question.graphs().into_iter().map(|(graph, _)| (graph, self.0)).collect();
        Some(Arc::new(question.plan_of(&graphs)))
    }

    fn observe(&self, _: &Question<'_>, _: &Trace) {}
}

impl<'a> Ask<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, query: Vec<f32>, matches: Option<&'a Matches>) -> Outcome<Self> {
        let mut ask = Self { snapshot, query, matches, farthest: f32::NEG_INFINITY, count: 0 };
        let search = snapshot.search(&ask.query).k(K).effort(Effort::Exact);
        let hits = if let Some(matches) = matches { search.filter(matches).run()? } else { search.run()? };
        (ask.farthest, ask.count) = (hits.last().map_or(f32::NEG_INFINITY, |hit| hit.distance), hits.len());
        Ok(ask)
    }

    pub(crate) fn run(&self, effort: Effort, planner: Option<&dyn Planner>) -> Outcome<Seen> {
        self.run_on(self.snapshot, effort, planner)
    }

    /// The same of another snapshot of the same store.
    pub(crate) fn run_on(&self, snapshot: &Snapshot, effort: Effort, planner: Option<&dyn Planner>) -> Outcome<Seen> {
        let started = Instant::now();
        let mut search = snapshot.search(&self.query).k(K).effort(effort);
        if let Some(matches) = self.matches {
            search = search.filter(matches);
        }
        if let Some(planner) = planner {
            search = search.planner(planner);
        }
        let (hits, trace) = search.run_traced()?;
        let nanos = started.elapsed().as_nanos() as f64;
        let right = hits.iter().filter(|hit| hit.distance <= self.farthest).count();
        let recall = right as f64 / self.count.max(1) as f64;
        Ok(Seen { distances: trace.distances as f64, recall: recall.min(1.0), nanos })
    }
}

/// All questions, by one setting.
pub(crate) fn all(asks: &[Ask<'_>], effort: Effort, planner: Option<&dyn Planner>) -> Outcome<Vec<Seen>> {
    asks.iter().map(|ask| ask.run(effort, planner)).collect()
}

pub(crate) fn mean(seen: &[Seen], of: impl Fn(&Seen) -> f64) -> f64 {
    seen.iter().map(of).sum::<f64>() / seen.len().max(1) as f64
}

/// Efforts of a search without a planner, question by question: the frontier that it is compared with.
#[derive(Default)]
pub(crate) struct Frontier {
    /// Of each effort, from the least on.
    pub(crate) points: Vec<Vec<Seen>>,
}

impl Frontier {
    pub(crate) fn new(asks: &[Ask<'_>], efforts: &[Effort]) -> Outcome<Self> {
        let mut points = efforts.iter().map(|effort| all(asks, *effort, None)).collect::<Outcome<Vec<_>>>()?;
        points.sort_by(|a, b| mean(a, |seen| seen.recall).total_cmp(&mean(b, |seen| seen.recall)));
        Ok(Self { points })
    }

    /// Takes the least times of one more round of the same efforts.
    pub(crate) fn take(&mut self, round: Vec<Vec<Seen>>) {
        self.points = match self.points.is_empty() {
            true => round,
            false => {
                std::mem::take(&mut self.points).into_iter().zip(round).map(|(a, b)| crate::least(vec![a, b])).collect()
            }
        };
    }

    /// Puts the efforts in the order of what they find.
    pub(crate) fn sort(&mut self) {
        self.points.sort_by(|a, b| mean(a, |seen| seen.recall).total_cmp(&mean(b, |seen| seen.recall)));
    }

    /// What each question costs at this mean recall: between the two efforts around it, mixed as its recall is. The cheapest of all mixtures.
    pub(crate) fn at(&self, recall: f64, of: impl Fn(&Seen) -> f64 + Copy) -> Vec<f64> {
        let mut best: Option<(f64, Vec<f64>)> = None;
        for (at, low) in self.points.iter().enumerate() {
            for high in &self.points[at..] {
                let (below, above) = (mean(low, |seen| seen.recall), mean(high, |seen| seen.recall));
                if !(below <= recall && recall <= above) {
                    continue;
                }
                let share = if above > below { (recall - below) / (above - below) } else { 1.0 };
                let mixed: Vec<f64> =
                    low.iter().zip(high).map(|(low, high)| of(low) * (1.0 - share) + of(high) * share).collect();
                let cost = mixed.iter().sum::<f64>();
                if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                    best = Some((cost, mixed));
                }
            }
        }
        let last = || self.points.last().map(|last| last.iter().map(of).collect()).unwrap_or_default();
        best.map_or_else(last, |(_, mixed)| mixed)
    }
}

/// The least mean cost at this mean recall if it were known of each question what each setting makes of it.
pub(crate) fn oracle(settings: &[Vec<Seen>], recall: f64, of: impl Fn(&Seen) -> f64 + Copy) -> f64 {
    let questions = settings.first().map_or(0, Vec::len);
    let choose = |price: f64| -> (f64, f64) {
        let (mut cost, mut found) = (0.0, 0.0);
        for question in 0..questions {
            let worth = |seen: &Seen| price * seen.recall - of(seen);
            let all = settings.iter().map(|seen| &seen[question]);
            if let Some(best) = all.max_by(|a, b| worth(a).total_cmp(&worth(b))) {
                (cost, found) = (cost + of(best), found + best.recall);
            }
        }
        (cost / questions as f64, found / questions as f64)
    };
    let (mut low, mut high) = (0.0, 1e9);
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        if choose(middle).1 < recall { low = middle } else { high = middle }
    }
    choose(high).0
}

//! Audits: what a very hard look finds for a question that was asked, what the arms find, and what that took.

use super::adaptive::{AdaptivePlanner, Inner, key_of};
use super::arms::STATIC;
use crate::learn::{CostModel, Work};
use crate::search::{Cost, Effort, Matches, Plan, Planner, QueryVector, Question, Settings, Trace};
use crate::store::Snapshot;
use crate::{Hit, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Candidates of a look that counts as true, unless it is exact.
const SHADOW: usize = 256;
/// One audit in so many compares every record.
const EXACT_ONE_IN: u64 = 256;

/// A question that waits to be audited.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) query: QueryVector<'static>,
    pub(super) matches: Option<Matches>,
    pub(super) k: usize,
    pub(super) effort: Effort,
}

impl Waiting {
    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let query = match &self.query {
            QueryVector::F32(values) => 4 * values.len(),
            QueryVector::I8(values) => values.len(),
            QueryVector::U8(values) => values.len(),
        };
        query + self.matches.as_ref().map_or(0, Matches::bytes)
    }
}

/// What audits took and told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    /// How many questions were audited.
    pub questions: usize,
    /// How many of them tell that what is served finds less than it did.
    pub drifts: usize,
}

/// One plan, whatever is asked.
#[derive(Debug)]
struct Pinned(Option<Arc<Plan>>);

impl Planner for Pinned {
    fn plan(&self, _: &Question<'_>) -> Option<Arc<Plan>> {
        self.0.clone()
    }

    fn observe(&self, _: &Question<'_>, _: &Trace) {}
}

impl AdaptivePlanner {
    /// Audits questions that wait, `most` at most. For a thread of the caller's own: searches go on meanwhile.
    ///
    /// # Errors
    /// Those of [`crate::Search::run`]; what was audited before stays known.
    pub fn audit(&self, most: usize) -> Result<Audited> {
        let mut audited = Audited::default();
        while audited.questions < most {
            let Some(waiting) = self.lock().waiting.pop_front() else { break };
            let started = Instant::now();
            let drifted = self.audit_one(&waiting, false);
            let nanos = started.elapsed().as_nanos() as u64;
            self.lock().spent_on_audit(nanos);
            audited.drifts += usize::from(drifted?);
            audited.questions += 1;
        }
        Ok(audited)
    }

    /// Audits all arms with this question, now, whatever that takes: for queries that are at hand before they are asked.
    ///
    /// # Errors
    /// Those of [`crate::Search::run`].
    pub fn study<'q>(
        &self,
        query: impl Into<QueryVector<'q>>,
        k: usize,
        effort: Effort,
        matches: Option<&Matches>,
    ) -> Result<()> {
        let query = query.into().owned();
        self.audit_one(&Waiting { query, matches: matches.cloned(), k, effort }, true).map(drop)
    }

    /// Audits what is served and what could be, or all arms; whether what is served finds less than it did.
    fn audit_one(&self, waiting: &Waiting, all: bool) -> Result<bool> {
        let snapshot = self.snapshot().clone();
        let matches = waiting.matches.as_ref();
        let count = matches.map_or(snapshot.count(), Matches::count);
        let k = waiting.k.min(usize::try_from(count).unwrap_or(usize::MAX));
        let question = Question { snapshot: &snapshot, query: &waiting.query, k, effort: waiting.effort, matches };
        let Some((key, target)) = key_of(&question).filter(|_| k > 0) else { return Ok(false) };
        let (tried, served, exactly) = {
            let mut inner = self.lock();
            if all {
                // Who studies a kind of questions begins anew: the same questions twice are no more evidence than once.
                inner.kept.remove(&key);
            }
            let Some(template) = inner.template(key, target, &question) else { return Ok(false) };
            template.audits += 1;
            (template.to_audit(all), template.served.arm, template.audits % EXACT_ONE_IN == EXACT_ONE_IN / 2)
        };
        let truth = self.truth(&question, exactly)?;
        let mut seen: Vec<(usize, u32, Cost)> = Vec::new();
        let factors = self.lock().factors(key, &question);
        for arm in tried {
            let plan = self.lock().arm_plan(key, arm, &question, &factors);
            if arm != STATIC && plan.is_none() {
                continue;
            }
            let (right, cost) = self.try_arm(&question, plan, &truth)?;
            seen.push((arm, right, cost));
        }
        if all {
            self.remember(key, &question)?;
        }
        let found = self.spread(&snapshot, &truth)?;
        Ok(self.lock().audited(key, served, &seen, &found, &question))
    }

    /// What is taken for true.
    fn truth(&self, question: &Question<'_>, exactly: bool) -> Result<Vec<Hit>> {
        let effort = match question.matches {
            // One by one costs no more than a hard look, where few match.
            Some(matches) if exactly || matches.count() < 4_000 => Effort::Exact,
            Some(_) => Effort::Ef(SHADOW),
            None if exactly => Effort::Exact,
            None => Effort::Ef(SHADOW),
        };
        let search = question.snapshot.search(question.query.clone()).k(question.k).effort(effort);
        match question.matches {
            Some(matches) => search.filter(matches).run(),
            None => search.run(),
        }
    }

    /// How many true neighbours a plan finds, and what it takes.
    fn try_arm(&self, question: &Question<'_>, plan: Option<Plan>, truth: &[Hit]) -> Result<(u32, Cost)> {
        let pinned = Pinned(plan.map(Arc::new));
        let search = question.snapshot.search(question.query.clone()).k(question.k).effort(question.effort);
        let search = search.planner(&pinned);
        let search = if let Some(matches) = question.matches { search.filter(matches) } else { search };
        let started = Instant::now();
        let (hits, trace) = search.run_traced()?;
        let nanos = started.elapsed().as_nanos() as f64;
        let farthest = truth.last().map_or(f32::NEG_INFINITY, |hit| hit.distance);
        let right = hits.iter().filter(|hit| hit.distance <= farthest).count();
        let (distances, hops) = (trace.distances as f64, trace.hops as f64);
        let (reranked, row) = (trace.reranked as f64, question.snapshot.schema().row_len() as f64);
        let bytes = distances * self.code_len(question) + reranked * row;
        let distances = distances + reranked;
        Ok((right as u32, Cost { distances, bytes, hops, nanos, pages: reranked, ..Cost::default() }))
    }

    /// Searches once more as one that is served would, so that later ones know of it.
    fn remember(&self, key: u64, question: &Question<'_>) -> Result<()> {
        let plan = {
            let mut inner = self.lock();
            let template = inner.templates.get_mut(&key);
            template.and_then(|template| {
                template.left += 1;
                template.plan_of(template.warm_arm()?, question, &even(question))
            })
        };
        plan.map_or(Ok(()), |plan| self.try_arm(question, Some(plan), &[]).map(drop))
    }

    /// Bytes that a walk reads a distance.
    fn code_len(&self, question: &Question<'_>) -> f64 {
        let view = question.graphs().first().and_then(|(graph, _)| question.view(*graph));
        view.map_or(0.0, |view| f64::from(view.index.facts().stride.get()))
    }

    /// In which graphs the true neighbours are.
    fn spread(&self, snapshot: &Snapshot, truth: &[Hit]) -> Result<BTreeMap<u32, u32>> {
        let mut spread = BTreeMap::new();
        if snapshot.sound_graphs().nth(1).is_none() {
            return Ok(spread);
        }
        for hit in truth {
            let Some(row) = snapshot.find(hit.id.as_ref())? else { continue };
            let graph = snapshot.sound_graphs().find(|(_, view)| view.node_of(row).is_some());
            if let Some((graph, _)) = graph {
                *spread.entry(graph as u32).or_insert(0) += 1;
            }
        }
        Ok(spread)
    }
}

impl Inner {
    /// The plan of an arm as it would be served.
    fn arm_plan(&self, key: u64, arm: usize, question: &Question<'_>, factors: &[(u32, f32)]) -> Option<Plan> {
        self.templates.get(&key)?.plan_of(arm, question, factors).map(|plan| plan.forgotten())
    }

    /// Takes over an audit: what each arm found that was tried, and took; where the true neighbours are. Whether what was served drifted.
    fn audited(
        &mut self,
        key: u64,
        served: usize,
        seen: &[(usize, u32, Cost)],
        found: &BTreeMap<u32, u32>,
        question: &Question<'_>,
    ) -> bool {
        let Some(template) = self.templates.get_mut(&key) else { return false };
        let mut drifted = false;
        for (arm, right, cost) in seen {
            // Times of single searches are noisy: what they tell of the work of a kind is told of all of it.
            let (kind, work) = (template.kind(*arm), work_of(cost));
            self.model.observe(kind, &work, cost.nanos);
            template.audited(*arm, *right, Cost { nanos: self.model.cost(kind, &work), ..*cost });
            if *arm == served {
                drifted = template.drifted(*right);
                self.attend.policy.record(cost.nanos);
                self.nanos_a_distance += 0.05 * (cost.nanos / cost.distances.max(1.0) - self.nanos_a_distance);
            }
        }
        template.impute(seen);
        if let Some(plan) = template.plan_of(served.max(1), question, &even(question)) {
            self.attend.learn(&plan, found, &mut template.shares);
        }
        if drifted {
            self.burst.drifted();
        }
        self.decide(key, question);
        drifted
    }
}

/// The work of a cost.
pub(super) fn work_of(cost: &Cost) -> Work {
    let Cost { distances, bytes, hops, pages, words, inserts, .. } = *cost;
    Work { distances, bytes, hops, pages, words, inserts }
}

/// All graphs, looked through alike.
pub(super) fn even(question: &Question<'_>) -> Vec<(u32, f32)> {
    question.graphs().iter().filter(|(_, count)| *count > 0).map(|(graph, _)| (*graph, 1.0)).collect()
}

/// What an arm spends on a graph, for people.
pub(super) fn told(settings: Option<&Settings>) -> String {
    let Some(settings) = settings else { return "as without a planner".to_owned() };
    let how = match settings.strategy {
        Some(crate::Strategy::OneByOne) => return "one by one".to_owned(),
        Some(crate::Strategy::TwoHops) => return format!("two hops, ef {}", settings.ef),
        Some(crate::Strategy::Walk) => "walk among all",
        None => "walk",
    };
    let warm = if settings.warmth.begins() { ", from where others ended" } else { "" };
    format!("{how}, slack {}, ef {}{warm}", settings.slack, settings.ef)
}

//! [`Template`]: what is known of questions of one kind.

use super::arms::{Arm, STATIC, arms};
use super::attend::Shares;
use crate::learn::{ArmChoice, ArmReason, Bandit, BanditOptions, PageHinkley, Turn};
use crate::search::{Cost, Plan, Question, Settings};
use std::sync::Arc;

/// How sure it has to be that an arm finds enough.
pub(super) const CONFIDENCE: f64 = 0.95;
/// What counts for an arm before it was audited: about the answers to one query, of less than is asked for: nothing is served unproven.
const PRIOR: (f64, f64) = (0.85, 4.0);
/// After drift, all that was seen counts this much.
const AFTER_DRIFT: f64 = 0.1;

/// Questions of one kind: as many results, as much recall, the same records in question.
#[derive(Debug)]
pub(super) struct Template {
    /// Recall that is promised.
    pub(super) target: f64,
    /// How many results.
    pub(super) k: usize,
    pub(super) arms: Vec<Arm>,
    pub(super) bandit: Bandit,
    /// What an arm takes, in the mean of its audits.
    pub(super) costs: Vec<Cost>,
    /// What is served, and its plan, until something new is known.
    pub(super) served: ArmChoice,
    pub(super) plan: Option<Arc<Plan>>,
    /// How the true neighbours are spread over graphs.
    pub(super) shares: Shares,
    recall: PageHinkley,
    /// How often it was asked, and audited.
    pub(super) asked: u64,
    pub(super) audits: u64,
    /// How often what was served drifted.
    pub(super) drifts: u64,
}

impl Template {
    pub(super) fn new(question: &Question<'_>, target: f64) -> Self {
        let arms = arms(question);
        let bandit = Bandit::new(arms.len(), options());
        Self {
            target,
            k: question.k,
            costs: vec![Cost::default(); arms.len()],
            arms,
            bandit,
            served: ArmChoice { arm: STATIC, reason: ArmReason::Fallback },
            plan: None,
            shares: Shares::default(),
            recall: PageHinkley::of_recall(),
            asked: 0,
            audits: 0,
            drifts: 0,
        }
    }

    /// Takes over what was learned of the same arms before.
    pub(super) fn restore(&mut self, bandit: Bandit) -> bool {
        let fits = bandit.len() == self.arms.len();
        if fits {
            self.bandit = bandit;
        }
        fits
    }

    /// Decides anew what is served.
    pub(super) fn decide(&mut self, question: &Question<'_>, factors: &[(u32, f32)]) {
        self.served = self.bandit.choose(self.target, CONFIDENCE, STATIC);
        self.plan = self.plan_of(self.served.arm, question, factors).map(Arc::new);
    }

    /// The plan of an arm: its settings on each graph, which is looked through as much farther as the factor of the graph says.
    pub(super) fn plan_of(&self, arm: usize, question: &Question<'_>, factors: &[(u32, f32)]) -> Option<Plan> {
        let settings = self.arms.get(arm)?.settings?;
        let on = |(graph, factor): &(u32, f32)| (*graph, Settings { slack: settings.slack * factor, ..settings });
        let mut plan = question.plan_of(&factors.iter().map(on).collect::<Vec<_>>());
        if let Some(cost) = self.costs.get(arm).filter(|cost| cost.nanos > 0.0) {
            foretell(&mut plan, cost);
        }
        Some(plan)
    }

    /// Notes what an arm found of what is true, and what that took.
    pub(super) fn audited(&mut self, arm: usize, right: u32, cost: Cost) {
        let wanted = self.k as u32;
        self.bandit.observe_recall(arm, right.min(wanted), wanted);
        self.bandit.observe_cost(arm, cost.nanos);
        if let Some(mean) = self.costs.get_mut(arm) {
            let share = if mean.nanos == 0.0 { 1.0 } else { 0.1 };
            let near = |mean: f64, seen: f64| mean + share * (seen - mean);
            *mean = Cost {
                distances: near(mean.distances, cost.distances),
                hops: near(mean.hops, cost.hops),
                nanos: near(mean.nanos, cost.nanos),
                bytes: near(mean.bytes, cost.bytes),
                ..*mean
            };
        }
    }

    /// Arms that were not tried and look farther than one of their family that was find at least as much as that one.
    pub(super) fn impute(&mut self, seen: &[(usize, u32, Cost)]) {
        for at in 0..self.arms.len() {
            let family = self.arms[at].family;
            let is_nearer = |(arm, ..): &&(usize, u32, Cost)| *arm < at && self.arms[*arm].family == family;
            let was_tried = seen.iter().any(|(arm, ..)| *arm == at);
            if let Some((_, right, _)) =
                seen.iter().filter(is_nearer).max_by_key(|(arm, ..)| *arm).filter(|_| !was_tried)
            {
                self.bandit.observe_recall(at, (*right).min(self.k as u32), self.k as u32);
            }
        }
    }

    /// Notes what the arm that is served found; whether that is less than it was.
    pub(super) fn drifted(&mut self, right: u32) -> bool {
        let recall = f64::from(right) / (self.k as f64).max(1.0);
        let has = self.recall.push(recall) == Some(Turn::Down);
        if has {
            self.drifts += 1;
            self.bandit.discount(AFTER_DRIFT);
        }
        has
    }

    /// What an audit should try: what is served, what could be served for less, and what is done without a planner.
    pub(super) fn to_audit(&mut self, all: bool) -> Vec<usize> {
        if all {
            return (0..self.arms.len()).collect();
        }
        let expected: Vec<f64> =
            self.costs.iter().map(|cost| if cost.nanos > 0.0 { cost.nanos } else { 1.0 }).collect();
        let mut tried = vec![self.served.arm];
        tried.extend(self.bandit.explore(self.target, CONFIDENCE, &expected));
        tried.dedup();
        tried
    }
}

/// How rewards follow from nanoseconds.
pub(super) fn options() -> BanditOptions {
    let (prior_mean, prior_strength) = PRIOR;
    BanditOptions { low_ns: 2e3, high_ns: 1e7, prior_mean, prior_strength }
}

/// Spreads what an arm is known to take over the steps of its plan, as the estimates are.
fn foretell(plan: &mut Plan, known: &Cost) {
    let nanos: f64 = plan.steps.iter().map(|step| step.estimated.nanos).sum();
    let distances: f64 = plan.steps.iter().map(|step| step.estimated.distances).sum();
    for step in &mut plan.steps {
        let cost = &mut step.estimated;
        cost.nanos *= known.nanos / nanos.max(1.0);
        cost.distances *= known.distances / distances.max(1.0);
    }
}

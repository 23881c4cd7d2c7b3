//! [`PlannerReport`]: what a planner knows, for people and for `rvf info --learned`.

use super::adaptive::AdaptivePlanner;
use super::audit::told;
use super::template::Template;
use crate::learn::{ArmReason, Mechanism};

/// What a planner knows.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannerReport {
    /// Kinds of questions.
    pub templates: Vec<TemplateReport>,
    /// Kinds that are known from before and were not asked yet.
    pub kept: usize,
    /// Questions that were planned or could have been.
    pub asked: u64,
    /// Share of the time of searches that audits took; 0 before the first.
    pub audit_share: f64,
    /// Bytes that it keeps, with where searches ended.
    pub bytes: usize,
    /// Bytes that it may keep.
    pub most_bytes: usize,
    /// Who says how hard a look each graph is worth, why, and the tension of the last plan (demand over maximum flow).
    pub mechanism: Option<(Mechanism, &'static str, f32)>,
}

/// What is known of a kind of questions.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateReport {
    /// Recall that is promised.
    pub target: f64,
    /// Results that are asked for.
    pub k: usize,
    /// Whether only records that a filter finds are in question.
    pub filtered: bool,
    /// How often it was asked, audited; how often what was served found less than before.
    pub counts: (u64, u64, u64),
    /// Which arm is served.
    pub served: usize,
    /// Why.
    pub why: &'static str,
    /// What is tried.
    pub arms: Vec<ArmReport>,
}

/// What is known of an arm.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmReport {
    /// What it spends.
    pub settings: String,
    /// Mean recall, as far as is known.
    pub recall: f64,
    /// How sure it is to reach what is promised.
    pub sure: f64,
    /// Questions that it was audited with, as far as they still count.
    pub audits: f64,
    /// Mean distances and nanoseconds of its audits; 0 before the first.
    pub distances: f64,
    /// Nanoseconds.
    pub nanos: f64,
}

/// What is kept of a kind of questions: its arms, the plan that is served, the map's nodes. (Counted once, by hand.)
const TEMPLATE_BYTES: usize = 6 << 10;

impl AdaptivePlanner {
    /// What it knows.
    pub fn report(&self) -> PlannerReport {
        let inner = self.lock();
        let (queries, audits) = self.nanos(&inner);
        let warm: usize = self.snapshot().sound_graphs().map(|(_, view)| view.warm_bytes()).sum();
        let waiting: usize = inner.waiting.iter().map(|waiting| waiting.bytes()).sum();
        PlannerReport {
            templates: inner.templates.values().map(Template::report).collect(),
            kept: inner.kept.len(),
            asked: inner.asked,
            audit_share: audits as f64 / (queries as f64).max(1.0),
            bytes: (inner.templates.len() + inner.kept.len()) * TEMPLATE_BYTES + warm + waiting,
            most_bytes: self.options.memory,
            mechanism: inner
                .attend
                .decision
                .map(|decision| (decision.mechanism, why_mechanism(decision.reason), inner.attend.observed.tension)),
        }
    }
}

fn why_mechanism(reason: crate::learn::PolicyReason) -> &'static str {
    use crate::learn::PolicyReason as Reason;
    match reason {
        Reason::Tension => "high tension",
        Reason::Tail => "slow tail",
        Reason::Depth => "deep plan",
        Reason::Branches => "many branches",
        Reason::Writes => "many writes",
        Reason::Repeats => "repeated questions",
        Reason::Bandit => "earned most",
    }
}

impl Template {
    fn report(&self) -> TemplateReport {
        let arm = |at: usize| {
            let recall = self.bandit.recall(at);
            ArmReport {
                settings: told(self.arms.get(at).and_then(|arm| arm.settings.as_ref())),
                recall: recall.map_or(0.0, |recall| recall.mean()),
                sure: recall.map_or(0.0, |recall| recall.probability_at_least(self.target)),
                audits: recall.map_or(0.0, |recall| recall.queries()),
                distances: self.costs.get(at).map_or(0.0, |cost| cost.distances),
                nanos: self.costs.get(at).map_or(0.0, |cost| cost.nanos),
            }
        };
        let why = match self.served.reason {
            ArmReason::Best => "proven to find enough, and cheapest",
            ArmReason::Untried => "proven to find enough, and not timed yet",
            ArmReason::Fallback => "nothing that costs less is proven to find enough",
        };
        TemplateReport {
            target: self.target,
            k: self.k,
            filtered: self.filtered,
            counts: (self.asked, self.audits, self.drifts),
            served: self.served.arm,
            why,
            arms: (0..self.arms.len()).map(arm).collect(),
        }
    }
}

//! [`Template`]: what is known of questions of one kind.

use super::arms::{Arm, STATIC, arms};
use super::attend::Shares;
use crate::learn::{ArmChoice, ArmReason, Bandit, BanditOptions, PageHinkley, Turn};
use crate::search::{Cost, Plan, Question, Settings, Strategy};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How sure it has to be that an arm finds enough. (At 0.95, of 15 arms one that chance favoured was chosen too often: on docs-text real queries
/// found 0.9535 +- 0.006 of a promised 0.95.)
pub(super) const CONFIDENCE: f64 = 0.99;
/// Answers that what is taken for true of an arm before its first audit counts as: fewer than those to one question.
const PRIOR_STRENGTH: f64 = 4.0;
/// An arm that takes so much longer or shorter than is expected earns nothing, or all: the narrower, the finer are arms told apart.
const RANGE: f64 = 8.0;
/// What is done without a planner is not served where something else is proven and it is less likely than this to find enough.
const DOUBT: f64 = 0.05;
/// How many times as much as the cheapest what is tried may cost.
const DEAR: f64 = 1.05;
/// Audits of an arm that its mean cost is of, about.
const MOST_COSTS: f64 = 512.0;
/// Searches that have to leave where they ended before it is looked at what beginning there is worth.
const OTHERS: u64 = 500;
/// Arms less likely than this to find enough are not tried.
const HOPELESS: f64 = 0.02;
/// Arms beside the one that is served that an audit tries.
const TOGETHER: usize = 3;
/// After drift, all that was seen counts this much.
const AFTER_DRIFT: f64 = 0.1;

/// Questions of one kind: as many results, as much recall, the same records in question.
#[derive(Debug)]
pub(super) struct Template {
    /// Recall that is promised.
    pub(super) target: f64,
    /// How many results.
    pub(super) k: usize,
    /// Whether a filter says what is in question.
    pub(super) filtered: bool,
    pub(super) arms: Vec<Arm>,
    options: BanditOptions,
    pub(super) bandit: Bandit,
    /// What an arm takes, in the mean of its audits.
    pub(super) costs: Vec<Cost>,
    /// What is served, and its plan, until something new is known.
    pub(super) served: ArmChoice,
    pub(super) plan: Option<Arc<Plan>>,
    /// How the true neighbours are spread over graphs.
    pub(super) shares: Shares,
    /// How many searches left where they ended.
    pub(super) left: u64,
    recall: PageHinkley,
    /// How often it was asked, and audited.
    pub(super) asked: u64,
    pub(super) audits: u64,
    /// How often what was served drifted.
    pub(super) drifts: u64,
}

impl Template {
    pub(super) fn new(question: &Question<'_>, target: f64, learns: bool) -> Self {
        let arms = arms(question, target, learns);
        let options = options(question);
        let bandit = Bandit::new(arms.len(), options);
        Self {
            target,
            k: question.k,
            filtered: question.matches.is_some(),
            costs: vec![Cost::default(); arms.len()],
            arms,
            options,
            bandit,
            served: ArmChoice { arm: STATIC, reason: ArmReason::Fallback },
            plan: None,
            shares: Shares::default(),
            left: 0,
            recall: PageHinkley::of_recall(),
            asked: 0,
            audits: 0,
            drifts: 0,
        }
    }

    /// Takes over what was learned of the same arms before.
    pub(super) fn restore(&mut self, state: &[f32]) -> bool {
        let bandit = Bandit::from_state(self.options, state).filter(|bandit| bandit.len() == self.arms.len());
        let fits = bandit.is_some();
        self.bandit = bandit.unwrap_or_else(|| self.bandit.clone());
        fits
    }

    /// What kind of work an arm is: for the model of costs.
    pub(super) fn kind(&self, arm: usize) -> usize {
        let settings = self.arms.get(arm).and_then(|arm| arm.settings);
        match settings.map(|settings| settings.strategy) {
            None => 0,
            Some(None) => 1,
            Some(Some(Strategy::OneByOne)) => 2,
            Some(Some(Strategy::TwoHops)) => 3,
            Some(Some(Strategy::Walk)) => 4,
        }
    }

    /// The least look that begins where others ended.
    pub(super) fn warm_arm(&self) -> Option<usize> {
        (0..self.arms.len()).find(|arm| self.is_warm(*arm))
    }

    fn is_warm(&self, arm: usize) -> bool {
        let settings = self.arms.get(arm).and_then(|arm| arm.settings);
        settings.is_some_and(|settings| settings.warmth.begins())
    }

    /// Whether it can be told what an arm finds: one that begins where others ended needs others.
    fn is_open(&self, arm: usize) -> bool {
        self.left >= OTHERS || !self.is_warm(arm)
    }

    /// What each arm takes, as far as its audits tell, by what a model now says of that work: so that arms that were tried at other times compare.
    pub(super) fn price(&mut self, model: impl Fn(usize, &Cost) -> f64) {
        for arm in 0..self.costs.len() {
            let kind = self.kind(arm);
            let cost = &mut self.costs[arm];
            if cost.nanos > 0.0 {
                cost.nanos = model(kind, cost);
            }
        }
    }

    /// Nanoseconds that an arm takes; `None` for one that was never tried.
    fn nanos(&self, arm: usize) -> Option<f64> {
        let priced = self.costs.get(arm).map(|cost| cost.nanos).filter(|nanos| *nanos > 0.0);
        priced.or_else(|| self.bandit.cost(arm).filter(|(_, count)| *count > 0.0).map(|(nanos, _)| nanos))
    }

    /// Decides anew what is served.
    pub(super) fn decide(&mut self, question: &Question<'_>, factors: &[(u32, f32)], explores: bool) {
        let cheapest = self.cheapest();
        let tried = explores.then(|| self.bandit.choose(self.target, CONFIDENCE, STATIC));
        // Audits try arms off the path: what is served to learn more of its cost may not cost much more.
        let is_dear =
            |arm: usize| self.nanos(arm).zip(self.nanos(cheapest.arm)).is_none_or(|(one, least)| one > least * DEAR);
        self.served = tried.filter(|tried| !is_dear(tried.arm)).unwrap_or(cheapest);
        self.plan = self.plan_of(self.served.arm, question, factors).map(Arc::new);
    }

    /// The arm that costs least, among those that are proven, and what is done without a planner, unless that is known to find too little.
    fn cheapest(&self) -> ArmChoice {
        let sure = |arm: usize| {
            let recall = self.bandit.recall(arm);
            recall.map_or(0.0, |recall| recall.probability_at_least(self.target))
        };
        let proven = |arm: &usize| sure(*arm) >= if *arm == STATIC { DOUBT } else { CONFIDENCE };
        let costs = (0..self.arms.len()).filter(proven).filter_map(|arm| Some((arm, self.nanos(arm)?)));
        let least = costs.min_by(|a, b| a.1.total_cmp(&b.1));
        match least {
            Some((arm, _)) if sure(arm) >= CONFIDENCE => ArmChoice { arm, reason: ArmReason::Best },
            _ => ArmChoice { arm: STATIC, reason: ArmReason::Fallback },
        }
    }

    /// The plan of an arm: its settings on each graph, which is looked through as much farther as the factor of the graph says.
    pub(super) fn plan_of(&self, arm: usize, question: &Question<'_>, factors: &[(u32, f32)]) -> Option<Plan> {
        let settings = self.arms.get(arm)?.settings?;
        let counts: BTreeMap<u32, u64> = question.graphs().into_iter().collect();
        let on = |(graph, factor): &(u32, f32)| {
            let count = counts.get(graph).copied().unwrap_or_default();
            (*graph, one_by_one_where_few(Settings { slack: settings.slack * factor, ..settings }, count))
        };
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
            // A mean of all at first, then of about the last few hundred.
            let count = self.bandit.cost(arm).map_or(1.0, |(_, count)| count.clamp(1.0, MOST_COSTS));
            // What was read with the store counts, but its work was not kept.
            let share = if mean.nanos == 0.0 { 1.0 } else { 1.0 / count };
            let near = |mean: f64, seen: f64| mean + share * (seen - mean);
            *mean = Cost {
                distances: near(mean.distances, cost.distances),
                hops: near(mean.hops, cost.hops),
                nanos: near(mean.nanos, cost.nanos),
                bytes: near(mean.bytes, cost.bytes),
                pages: near(mean.pages, cost.pages),
                ..*mean
            };
        }
    }

    /// Arms that were not tried and look farther than one of their family that was find at least as much as that one.
    pub(super) fn impute(&mut self, seen: &[(usize, u32, Cost)]) {
        for at in 0..self.arms.len() {
            let family = self.arms[at].family;
            let is_nearer = |(arm, ..): &&(usize, u32, Cost)| *arm < at && self.arms[*arm].family == family;
            let was_tried = seen.iter().any(|(arm, ..)| *arm == at) || !self.is_open(at);
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

    /// What an audit should try: what is served, and what could be served for less, first what is nearest to being proven. (A look that counts as
    /// true costs as much as four arms.)
    pub(super) fn to_audit(&self, all: bool) -> Vec<usize> {
        if all {
            return (0..self.arms.len()).filter(|arm| self.is_open(*arm)).collect();
        }
        let cost = |arm: usize| self.nanos(arm);
        // What is served unproven may find too little: then a harder look is due, too.
        let is_proven = self.served.reason != ArmReason::Fallback;
        let served = cost(self.served.arm).filter(|_| is_proven).unwrap_or(f64::INFINITY);
        let chance = |arm: &usize| {
            let chance = self.bandit.recall(*arm).map_or(0.0, |recall| recall.probability_at_least(self.target));
            let is_open = chance > HOPELESS && chance < CONFIDENCE;
            let may_be_cheaper = cost(*arm).is_none_or(|cost| cost < served);
            (is_open && may_be_cheaper && *arm != self.served.arm && self.is_open(*arm)).then_some((*arm, chance))
        };
        let mut open: Vec<(usize, f64)> = (0..self.arms.len()).filter_map(|arm| chance(&arm)).collect();
        // Of those alike the hardest look: what it does not prove no other will.
        open.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
        let mut tried = vec![self.served.arm];
        tried.extend(open.into_iter().take(TOGETHER).map(|(arm, _)| arm));
        tried
    }
}

/// Measuring all that match, which finds all of them, in place of what would cost more.
fn one_by_one_where_few(settings: Settings, count: u64) -> Settings {
    let is_other = matches!(settings.strategy, Some(Strategy::TwoHops | Strategy::Walk));
    let costs_less = Strategy::one_by_one_nanos(count) <= Strategy::two_hops_nanos(settings.ef);
    match is_other && costs_less {
        true => Settings { strategy: Some(Strategy::OneByOne), ..settings },
        false => settings,
    }
}

/// How rewards follow from nanoseconds, about what is expected without a planner, and what is taken for true of an arm before its first audit.
fn options(question: &Question<'_>) -> BanditOptions {
    let expected: f64 = question.fixed_plan().steps.iter().map(|step| step.estimated.nanos).sum();
    let (low_ns, high_ns) = (expected.max(1.0) / RANGE, expected.max(1.0) * RANGE);
    BanditOptions { low_ns, high_ns, prior_mean: least_recall(question), prior_strength: PRIOR_STRENGTH }
}

/// The recall of the least look that the curves of the file tell of: what is taken for true of an arm before its first audit.
fn least_recall(question: &Question<'_>) -> f64 {
    let views = question.graphs().into_iter().filter_map(|(graph, _)| question.view(graph));
    let recalls =
        views.filter_map(|view| view.index.effort().first().map(|point| f64::from(point.recall_ppm.get()) / 1e6));
    recalls.fold(1.0, f64::min).clamp(0.5, 0.9)
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

//! [`Attend`]: of several graphs, which one is worth how hard a look. Attention over the plan says it, trained on where true neighbours were.
//!
//! ```text
//! plan -> operators with features -> a mechanism, by the policy -> weights of all operators -> those of walks -> factor of each graph's slack
//! audit: where the true neighbours were -> cross entropy of the weights of walks -> slopes -> a step; Hedge over the mechanisms
//! ```
//! A factor lies between a half and two; graphs that are alike get one. Whatever it says is audited like any other setting: what does not find
//! enough is not served.

use crate::learn::{
    Dag, DagAttention, DagFault, Decision, Ensemble, Mechanism, OPERATOR_FEATURES, Observed, PlanPolicy,
    PlannedOperator,
};
use crate::search::{Operator, Plan};
use std::collections::BTreeMap;

/// How the true neighbours of audited questions were spread over graphs.
pub(super) type Shares = BTreeMap<u32, f32>;

/// Who says how hard a look each graph is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Attending {
    /// All graphs are.
    Uniform,
    /// One mechanism.
    Only(Mechanism),
    /// All mechanisms, each as much as it earned.
    Together,
    /// The policy: by tension, tail, depth, branches, writes, repeats; else the one that earned most.
    #[default]
    Policy,
}

/// Weight of the newest audit in what is remembered of shares.
const NEWEST: f32 = 0.05;
/// Step of training.
const STEP: f32 = 0.05;
/// Rate of Hedge.
const RATE: f32 = 0.2;
/// The least and the most of a factor.
const FACTORS: (f32, f32) = (0.5, 2.0);

#[derive(Debug)]
pub(super) struct Attend {
    pub(super) attention: DagAttention,
    pub(super) ensemble: Ensemble,
    pub(super) policy: PlanPolicy,
    pub(super) attending: Attending,
    /// What was decided last.
    pub(super) decision: Option<Decision>,
    pub(super) observed: Observed,
}

impl Attend {
    pub(super) fn new(attending: Attending) -> Self {
        Self {
            attention: DagAttention::new(1),
            ensemble: Ensemble::new(Mechanism::ALL.len(), RATE),
            policy: PlanPolicy::new(),
            attending,
            decision: None,
            observed: Observed::default(),
        }
    }

    /// How much farther than others each graph is to be looked through. `rates` are questions a nanosecond, and the CPUs.
    pub(super) fn factors(&mut self, plan: &Plan, shares: &Shares, told: &Told) -> Vec<(u32, f32)> {
        let graphs = searched(plan);
        let even: Vec<(u32, f32)> = graphs.iter().map(|(_, graph)| (*graph, 1.0)).collect();
        let Ok(dag) = dag(plan, shares, told.cpus) else { return even };
        self.observe(&dag, told);
        let decision = self.policy.choose(&self.observed, self.best());
        self.decision = Some(decision);
        if graphs.len() < 2 {
            return even;
        }
        let weights = match self.attending {
            Attending::Uniform => return even,
            Attending::Only(mechanism) => self.attention.attend(&dag, dag.sink(), &mechanism),
            Attending::Policy => self.attention.attend(&dag, dag.sink(), &decision.mechanism),
            Attending::Together => self.together(&dag),
        };
        let Some(weights) = weights else { return even };
        let of_walks = of_walks(&weights.weights, &graphs);
        let factor = |weight: &f32| (weight * graphs.len() as f32).clamp(FACTORS.0, FACTORS.1);
        graphs.iter().zip(&of_walks).map(|((_, graph), weight)| (*graph, factor(weight))).collect()
    }

    fn together(&self, dag: &Dag) -> Option<crate::learn::Attended> {
        let all = |mechanism: &Mechanism| self.attention.attend(dag, dag.sink(), mechanism);
        self.ensemble.mix(&Mechanism::ALL.iter().filter_map(all).collect::<Vec<_>>())
    }

    /// The mechanism that earned most.
    fn best(&self) -> Mechanism {
        let weights = self.ensemble.weights();
        // The first of those alike: topological.
        let best = (0..weights.len()).rev().max_by(|a, b| weights[*a].total_cmp(&weights[*b])).unwrap_or_default();
        Mechanism::ALL.get(best).copied().unwrap_or(Mechanism::TOPOLOGICAL)
    }

    /// Demand over what the plan can do at most: its maximum flow, in questions a nanosecond.
    fn observe(&mut self, dag: &Dag, told: &Told) {
        let flow = dag.max_flow();
        let tension = if flow > 0.0 { (told.questions_a_nano / flow).min(1.0) as f32 } else { 0.0 };
        self.observed = Observed {
            tension,
            depth: dag.depth(),
            branches: dag.branches(),
            write_share: told.write_share,
            repeats: told.repeats,
        };
    }

    /// Takes over where the true neighbours of a question were.
    pub(super) fn learn(&mut self, plan: &Plan, found: &BTreeMap<u32, u32>, shares: &mut Shares) {
        let graphs = searched(plan);
        let all: u32 = found.values().sum();
        if graphs.len() < 2 || all == 0 {
            return;
        }
        let target: Vec<f32> =
            graphs.iter().map(|(_, graph)| found.get(graph).copied().unwrap_or_default() as f32 / all as f32).collect();
        let dag = dag(plan, shares, 1);
        for ((_, graph), target) in graphs.iter().zip(&target) {
            let share = shares.entry(*graph).or_insert(1.0 / graphs.len() as f32);
            *share += NEWEST * (target - *share);
        }
        let Ok(dag) = dag else { return };
        let mut rewards = Vec::new();
        for mechanism in &Mechanism::ALL {
            let Some(attended) = self.attention.attend(&dag, dag.sink(), mechanism) else { return };
            let weights = of_walks(&attended.weights, &graphs);
            // The loss is 0 where all is foretold, and ln 20 where hardly anything is.
            let loss: f32 = target.iter().zip(&weights).map(|(target, weight)| -target * weight.max(0.05).ln()).sum();
            rewards.push((1.0 - loss / 3.0).clamp(0.0, 1.0));
            let trains = match self.attending {
                Attending::Only(only) => *mechanism == only,
                Attending::Uniform => false,
                // All: which one is best shows when each was taught.
                Attending::Together | Attending::Policy => true,
            };
            if trains {
                self.descend(&dag, mechanism, &attended, &graphs, &target);
            }
        }
        self.ensemble.learn(&rewards);
    }

    /// One step towards giving walks the weights of `target`.
    fn descend(
        &mut self,
        dag: &Dag,
        mechanism: &Mechanism,
        attended: &crate::learn::Attended,
        graphs: &[(usize, u32)],
        target: &[f32],
    ) {
        let sum: f32 = graphs.iter().map(|(at, _)| attended.weights[*at]).sum();
        let mut slopes =
            crate::learn::Attended { weights: vec![0.0; attended.weights.len()], embedding: [0.0; OPERATOR_FEATURES] };
        for ((at, _), target) in graphs.iter().zip(target) {
            // Of -sum target ln(weight / sum of weights of walks).
            let weight = attended.weights[*at];
            if weight > 1e-6 {
                slopes.weights[*at] = 1.0 / sum - target / weight;
            }
        }
        if let Some(gradient) = self.attention.gradient(dag, dag.sink(), mechanism, &slopes) {
            self.attention.descend(&gradient, STEP);
        }
    }
}

/// What a policy is told beside the plan.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) questions_a_nano: f64,
    pub(super) cpus: u32,
    pub(super) write_share: f32,
    pub(super) repeats: f32,
}

/// The steps that search graphs, and which.
fn searched(plan: &Plan) -> Vec<(usize, u32)> {
    let searches = |operator| matches!(operator, Operator::Walk | Operator::CodeScan);
    let steps = plan.steps.iter().enumerate();
    steps.filter(|(_, step)| searches(step.operator)).filter_map(|(at, step)| Some((at, step.graph?))).collect()
}

/// The weights of walks, with sum 1.
fn of_walks(weights: &[f32], graphs: &[(usize, u32)]) -> Vec<f32> {
    let of = |(at, _): &(usize, u32)| weights.get(*at).copied().unwrap_or_default();
    let sum: f32 = graphs.iter().map(of).sum();
    graphs.iter().map(|walk| if sum > 0.0 { of(walk) / sum } else { 1.0 / graphs.len() as f32 }).collect()
}

/// A plan as attention sees it.
fn dag(plan: &Plan, shares: &Shares, cpus: u32) -> Result<Dag, DagFault> {
    let mut depths: Vec<f32> = Vec::new();
    let mut operators = Vec::with_capacity(plan.steps.len());
    let has_record = |step: &&crate::search::Step| step.operator != Operator::Record;
    for step in plan.steps.iter().filter(has_record) {
        let cost = step.measured.unwrap_or(step.estimated);
        let before = step.inputs.iter().filter_map(|input| depths.get(usize::from(*input)));
        let depth = before.fold(0.0f32, |most, depth| most.max(depth + 1.0));
        depths.push(depth);
        let mut features = [0.0; OPERATOR_FEATURES];
        if let Some(place) = Operator::ALL.iter().position(|operator| *operator == step.operator) {
            features[place] = 1.0;
        }
        features[16] = (1.0 + cost.distances as f32).ln() / 16.0;
        features[17] = (1.0 + cost.nanos as f32).ln() / 16.0;
        features[18] = depth / 16.0;
        features[19] = step.graph.and_then(|graph| shares.get(&graph)).copied().unwrap_or_default();
        features[20] = step.settings.map_or(0.0, |settings| (1.0 + settings.ef as f32).ln() / 16.0);
        features[21] = step.settings.map_or(0.0, |settings| settings.slack.min(4.0) / 4.0);
        let (inputs, cost) = (step.inputs.clone(), cost.nanos.max(1.0));
        operators.push(PlannedOperator { inputs, cost, parallelism: cpus.max(1), at: 0.0, features });
    }
    Dag::new(operators)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Plan;

    fn plan(graphs: u32) -> Plan {
        let mut plan = Plan::default();
        let walks: Vec<u16> = (0..graphs).map(|graph| plan.push(Operator::Walk, Some(graph), &[])).collect();
        let merge = plan.push(Operator::Merge, None, &walks);
        plan.push(Operator::Result, None, &[merge]);
        plan.steps.iter_mut().for_each(|step| step.estimated.nanos = 1000.0);
        plan
    }

    #[test]
    fn attention_learns_where_true_neighbours_are() {
        for attending in [Attending::Policy, Attending::Only(Mechanism::CRITICAL_PATH), Attending::Together] {
            let (mut attend, plan, mut shares) = (Attend::new(attending), plan(3), Shares::new());
            let told = Told { cpus: 1, ..Told::default() };
            for _ in 0..400 {
                attend.factors(&plan, &shares, &told);
                attend.learn(&plan, &BTreeMap::from([(1, 9), (2, 1)]), &mut shares);
            }
            let factors: Vec<f32> = attend.factors(&plan, &shares, &told).iter().map(|(_, factor)| *factor).collect();
            assert!(
                factors[1] > 1.3 && factors[0] < 0.8 && factors[2] < 0.8,
                "{attending:?}: {factors:?} {:?}",
                attend.decision
            );
        }
    }

    #[test]
    fn one_graph_and_uniform_attention_change_nothing() {
        let told = Told::default();
        let mut attend = Attend::new(Attending::Policy);
        assert_eq!(attend.factors(&plan(1), &Shares::new(), &told), [(0, 1.0)]);
        let mut attend = Attend::new(Attending::Uniform);
        assert_eq!(attend.factors(&plan(2), &Shares::from([(0, 0.9)]), &told), [(0, 1.0), (1, 1.0)]);
    }
}

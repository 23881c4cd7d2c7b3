//! [`Mechanism`]: whom an operator looks at, and by how much more or less.
//!
//! A mechanism is a set of operators, the looking one always among them, and a bias for each that is added to its logit: the logarithm of a
//! factor of its weight. (A factor on the logit itself would raise what it should lower wherever the logit is negative.) It owns no weights
//! and no softmax.

use super::super::math::{exp, ln};
use super::dag::{Dag, MOST, members};
use std::sync::LazyLock;

/// Hops that no plan has: all ancestors.
const ALL_HOPS: u8 = u8::MAX;
/// Least factor of a weight, so that its logarithm is finite.
const LEAST_FACTOR: f64 = 1e-6;

/// The kinds of attention, with their parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mechanism {
    /// All that an operator waits for, by their content and by how far above it they stand.
    Topological {
        /// Only operators within so many steps.
        hops: u8,
        /// Weight of the likeness of depths.
        code: f32,
    },
    /// What an operator waits for, the nearer the more.
    CausalCone {
        /// Lost with each step.
        decay: f32,
        /// Only operators within so many steps.
        hops: u8,
        /// Weight of the likeness of depths.
        code: f32,
    },
    /// The more, the less an operator may be late: `gain * exp(-slack / (width * makespan))`.
    CriticalPath {
        /// What an operator without slack gains.
        gain: f32,
        /// The part of the makespan within which slack counts as little.
        width: f32,
    },
    /// The more, the nearer an operator is to holding the plan back.
    MinCutGated {
        /// From this kappa on nothing is taken away.
        threshold: f32,
    },
    /// By distance on a hyperboloid on which depth is distance from the origin. A constant beside it would cancel in the softmax: there is
    /// none.
    Lorentz {
        /// Of the hyperboloid, above 0.
        curvature: f32,
        /// Lost with each unit of distance.
        gain: f32,
    },
    /// Also what may run beside an operator: neither waits for the other, and both wait for and are waited for by some operator.
    ParallelBranch {
        /// Factor of the weights of those beside it.
        beside: f32,
        /// What the ancestors gain that those beside it have, too.
        shared: f32,
    },
    /// The more, the nearer in time an operator ran.
    TemporalBtsp {
        /// Milliseconds within which an operator gains.
        window: f64,
        /// Factor of the weights of those.
        boost: f32,
    },
    /// All that an operator waits for alike: what the others are compared with.
    Uniform,
}

/// What the logit of an operator is, before the bias.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Logit {
    /// Its content's.
    Content,
    /// Minus its distance on a hyperboloid.
    Distance {
        /// Of the hyperboloid.
        curvature: f64,
        /// Lost with each unit of distance.
        gain: f64,
    },
    /// 0.
    None,
}

/// Who is looked at, as bits, and the biases of those; the biases of others say nothing.
pub(super) struct Scope {
    pub(super) nodes: u128,
    pub(super) bias: [f32; MOST],
}

impl Mechanism {
    /// [`Self::Topological`] as it is used unless told otherwise; so are the next six.
    pub const TOPOLOGICAL: Self = Self::Topological { hops: ALL_HOPS, code: 1.0 };
    /// [`Self::CausalCone`].
    pub const CAUSAL_CONE: Self = Self::CausalCone { decay: 0.1, hops: 10, code: 0.0 };
    /// [`Self::CriticalPath`].
    pub const CRITICAL_PATH: Self = Self::CriticalPath { gain: 1.5, width: 0.05 };
    /// [`Self::MinCutGated`].
    pub const MIN_CUT_GATED: Self = Self::MinCutGated { threshold: 0.5 };
    /// [`Self::Lorentz`].
    pub const LORENTZ: Self = Self::Lorentz { curvature: 1.0, gain: 1.0 };
    /// [`Self::ParallelBranch`].
    pub const PARALLEL_BRANCH: Self = Self::ParallelBranch { beside: 0.5, shared: 2.0 };
    /// [`Self::TemporalBtsp`].
    pub const TEMPORAL_BTSP: Self = Self::TemporalBtsp { window: 50.0, boost: 1.5 };
    /// The seven, in this order.
    pub const ALL: [Self; 7] = [
        Self::TOPOLOGICAL,
        Self::CAUSAL_CONE,
        Self::CRITICAL_PATH,
        Self::MIN_CUT_GATED,
        Self::LORENTZ,
        Self::PARALLEL_BRANCH,
        Self::TEMPORAL_BTSP,
    ];

    /// Its name, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Topological { .. } => "topological",
            Self::CausalCone { .. } => "causal cone",
            Self::CriticalPath { .. } => "critical path",
            Self::MinCutGated { .. } => "min-cut gated",
            Self::Lorentz { .. } => "hierarchical Lorentz",
            Self::ParallelBranch { .. } => "parallel branch",
            Self::TemporalBtsp { .. } => "temporal BTSP",
            Self::Uniform => "uniform",
        }
    }

    /// Whom an operator looks at, as bits: itself and what the mechanism adds. Empty for an operator that is not there.
    pub fn neighbourhood(&self, dag: &Dag, query: usize) -> u128 {
        let Some(ancestors) = dag.ancestors().get(query) else { return 0 };
        let others = match self {
            Self::Topological { hops, .. } | Self::CausalCone { hops, .. } => within(dag, query, *hops),
            Self::ParallelBranch { .. } => ancestors | beside(dag, query),
            _ => *ancestors,
        };
        others | 1 << query
    }

    pub(super) fn logit(&self) -> Logit {
        match self {
            Self::Lorentz { curvature, gain } => {
                Logit::Distance { curvature: f64::from(*curvature), gain: f64::from(*gain) }
            }
            Self::Uniform => Logit::None,
            _ => Logit::Content,
        }
    }

    /// For an operator that is there.
    pub(super) fn scope(&self, dag: &Dag, query: usize) -> Scope {
        let mut scope = Scope { nodes: self.neighbourhood(dag, query), bias: [0.0; MOST] };
        match *self {
            Self::Topological { code, .. } => scope.add(|at| code * likeness(dag, query, at)),
            Self::CausalCone { decay, code, .. } => {
                let hops = dag.hops_to(query);
                scope.add(|at| code * likeness(dag, query, at) - decay * f32::from(hops[at].unwrap_or_default()));
            }
            Self::CriticalPath { gain, width } => scope.add(|at| gain * criticality(dag, at, width)),
            Self::MinCutGated { threshold } => {
                let kappa = dag.kappa();
                scope.add(|at| ln_factor(kappa[at] / f64::from(threshold)).min(0.0));
            }
            Self::ParallelBranch { beside: factor, shared } => {
                let beside = beside(dag, query);
                let common = members(beside).fold(0, |set, at| set | dag.ancestors()[at]);
                let (of_beside, of_common) = (ln_factor(f64::from(factor)), common & dag.ancestors()[query]);
                let bias = |at: usize| match (beside >> at & 1, of_common >> at & 1) {
                    (1, _) => of_beside,
                    (_, 1) => shared,
                    _ => 0.0,
                };
                scope.add(bias);
            }
            Self::TemporalBtsp { window, boost } => {
                let (gain, now) = (ln_factor(f64::from(boost)), dag.operators()[query].at);
                scope.add(|at| if (now - dag.operators()[at].at).abs() < window { gain } else { 0.0 });
            }
            Self::Lorentz { .. } | Self::Uniform => {}
        }
        scope
    }
}

impl Scope {
    fn add(&mut self, bias: impl Fn(usize) -> f32) {
        members(self.nodes).for_each(|at| self.bias[at] = bias(at));
    }
}

fn ln_factor(factor: f64) -> f32 {
    ln(factor.max(LEAST_FACTOR)) as f32
}

/// What an operator waits for within so many steps.
fn within(dag: &Dag, query: usize, hops: u8) -> u128 {
    if hops == ALL_HOPS {
        return dag.ancestors()[query];
    }
    let near = dag.hops_to(query).into_iter().enumerate();
    near.filter(|(_, far)| far.is_some_and(|far| far <= hops)).fold(0, |set, (at, _)| set | 1 << at)
}

/// What neither waits for an operator nor is waited for by it, while some operator feeds both. (Some waits for both, too: the sink.)
fn beside(dag: &Dag, query: usize) -> u128 {
    let (above, below) = (dag.ancestors()[query], dag.descendants()[query]);
    let fed = dag.ancestors().iter().enumerate().filter(|(_, ancestors)| *ancestors & above != 0);
    fed.fold(0, |set, (at, _)| set | 1 << at) & !(above | below | 1 << query)
}

/// 1 for an operator that the plan waits for, falling to 0 with its slack. It never falls when the operator's own cost rises.
pub(super) fn criticality(dag: &Dag, operator: usize, width: f32) -> f32 {
    let scale = f64::from(width) * dag.makespan();
    let slack = dag.slack(operator);
    // Nor is anything divided where nothing costs anything.
    if slack <= 0.0 {
        return 1.0;
    }
    exp((-slack / scale) as f32)
}

/// Frequencies of the code of depths: 1, 1/2, 1/4, .. radians a step.
const FREQUENCIES: i32 = 8;

/// By the difference of two depths: the inner product of their codes of sines and cosines (Vaswani et al. 2017, with frequencies that are
/// powers of two), the mean of cos(frequency * difference). From -1 to 1; 1 for one depth.
static LIKENESS: LazyLock<[f32; MOST]> = LazyLock::new(|| {
    let mut sums = [0f64; MOST];
    let lowest = 0.5f64.powi(FREQUENCIES - 1);
    // Each cosine by its series at the lowest frequency, then by doubling the angle: products and sums, the same on every machine.
    let square = lowest * lowest;
    let mut cosine = 1.0 - square / 2.0 * (1.0 - square / 12.0 * (1.0 - square / 30.0 * (1.0 - square / 56.0)));
    for _ in 0..FREQUENCIES {
        let (mut now, mut next) = (1.0, cosine);
        for sum in &mut sums {
            *sum += now / f64::from(FREQUENCIES);
            (now, next) = (next, 2.0 * cosine * next - now);
        }
        cosine = 2.0 * cosine * cosine - 1.0;
    }
    sums.map(|sum| sum as f32)
});

fn likeness(dag: &Dag, one: usize, other: usize) -> f32 {
    let difference = dag.depths()[one].abs_diff(dag.depths()[other]);
    LIKENESS.get(difference).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a frequency that is left out and a series that is cut too early.
    #[test]
    fn depths_are_alike_as_their_codes_are() {
        for (difference, found) in LIKENESS.iter().enumerate() {
            let right = (0..FREQUENCIES).map(|at| (difference as f64 * 0.5f64.powi(at)).cos()).sum::<f64>() / 8.0;
            assert!((f64::from(*found) - right).abs() < 1e-6, "{difference}: {found} {right}");
        }
    }
}

//! [`Flow`]: how much a plan can carry, and how near each operator is to holding it back.

use super::dag::Operator;
use crate::cut::{MaxFlow, NO_BOUND};

/// Below this a cost counts as this, in nanoseconds: nothing has endless capacity.
const LEAST_COST: f64 = 1.0;

/// Of a plan's network: each operator is an arc from its entry to its exit with capacity parallelism / cost; exits lead to the entries of
/// consumers, a source to the operators without inputs, the sink to the drain, all without bound. So a cut is a set of operators.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) most: f64,
    pub(super) cut: u128,
    /// By operator: `most` over the cheapest cut that holds it.
    pub(super) kappa: Vec<f64>,
}

impl Flow {
    /// A cut holds an operator if its entry is on the source's side and its exit is not. What the cheapest such cut costs above the minimum
    /// is what still flows when both are joined to their sides: one flow an operator, which goes on from the flow of all.
    pub(super) fn of(operators: &[Operator], sink: usize) -> Self {
        let count = operators.len();
        let (entry, exit, source, drain) = (|at: usize| 2 * at, |at: usize| 2 * at + 1, 2 * count, 2 * count + 1);
        let mut network = MaxFlow::new(2 * count + 2);
        let mut joints = Vec::with_capacity(count);
        for (at, operator) in operators.iter().enumerate() {
            let capacity = f64::from(operator.parallelism) / operator.cost.max(LEAST_COST);
            network.join(entry(at), exit(at), capacity);
            for input in &operator.inputs {
                network.join(exit(usize::from(*input)), entry(at), NO_BOUND);
            }
            // Closed, unless the operator is where plans begin or end.
            let bound = |is_open: bool| if is_open { NO_BOUND } else { 0.0 };
            let joint = [
                network.join(source, entry(at), bound(operator.inputs.is_empty())),
                network.join(exit(at), drain, bound(at == sink)),
            ];
            joints.push(joint);
        }
        let most = network.fill(source, drain);
        let side = network.source_side();
        let cut = (0..count).filter(|at| side[entry(*at)] && !side[exit(*at)]).fold(0, |set, at| set | 1 << at);
        let kappa = joints.iter().map(|joint| {
            let mut joined = network.clone();
            joint.iter().flatten().for_each(|arc| joined.unbind(*arc));
            most / (most + joined.fill(source, drain))
        });
        Self { most, cut, kappa: kappa.collect() }
    }
}

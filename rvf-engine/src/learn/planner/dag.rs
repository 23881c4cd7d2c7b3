//! [`Dag`]: the operators of a plan and what feeds what, checked once, with what is told by its shape and by the costs.
//!
//! ```text
//! producers (inputs) -> operator -> consumers ... -> the sink, the only operator that feeds nothing
//! earliest start = most of (earliest start + cost) over inputs      latest start = least of latest starts over consumers - cost
//! slack = latest start - earliest start: how much longer it may take before the plan takes longer
//! ```
//! (The critical path method, Kelley and Walker 1959.) Its flow network is in `flow.rs`. It knows nothing of attention.

use super::flow::Flow;
use std::fmt;
use std::sync::OnceLock;

/// Numbers that describe an operator.
pub const FEATURES: usize = 32;
/// Most operators of a plan: sets of them are the bits of one number.
pub const MOST: usize = 128;
/// Largest cost (30 years in nanoseconds) and largest feature: sums of them stay numbers.
const MOST_COST: f64 = 1e18;
const MOST_FEATURE: f32 = 1e6;

/// A step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// The operators that it reads from.
    pub inputs: Vec<u16>,
    /// What it takes, in nanoseconds.
    pub cost: f64,
    /// How many of it may run at once; at least 1.
    pub parallelism: u32,
    /// When it last ran, in milliseconds of any clock.
    pub at: f64,
    /// What attention sees of it.
    pub features: [f32; FEATURES],
}

/// Why operators are no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DagFault {
    /// There are more than [`MOST`].
    TooMany(usize),
    /// An operator reads from one that is not there.
    Input {
        /// Which.
        operator: usize,
        /// What it reads from.
        input: u16,
    },
    /// An operator's cost, parallelism, time or features are not numbers in range.
    Number(usize),
    /// Some operator waits for itself.
    Cycle,
    /// So many operators feed nothing, not one.
    Sinks(usize),
}

impl fmt::Display for DagFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany(count) => write!(out, "a plan has at most {MOST} operators, not {count}"),
            Self::Input { operator, input } => {
                write!(out, "operator {operator} reads from {input}, which is not there")
            }
            Self::Number(operator) => write!(out, "a number of operator {operator} is out of range"),
            Self::Cycle => write!(out, "some operator waits for itself"),
            Self::Sinks(count) => write!(out, "{count} operators feed nothing: it must be one"),
        }
    }
}

impl std::error::Error for DagFault {}

/// The members of a set of operators, in their order.
pub(super) fn members(mut set: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let next = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (next < u128::BITS).then_some(next as usize)
    })
}

/// A plan: at most [`MOST`] operators in any numbering, without cycles, all leading to one sink.
#[derive(Clone, Debug)]
pub struct Dag {
    operators: Vec<Operator>,
    consumers: Vec<u128>,
    order: Vec<usize>,
    depth: Vec<usize>,
    ancestors: Vec<u128>,
    descendants: Vec<u128>,
    earliest: Vec<f64>,
    latest: Vec<f64>,
    /// Not needed by all mechanisms, and dearer than the rest: made when it is asked for.
    flow: OnceLock<Flow>,
}

impl Dag {
    /// A plan of these operators. An input that is named twice counts once.
    pub fn new(mut operators: Vec<Operator>) -> Result<Self, DagFault> {
        check(&operators)?;
        for operator in &mut operators {
            operator.inputs.sort_unstable();
            operator.inputs.dedup();
        }
        let mut consumers = vec![0; operators.len()];
        for (at, operator) in operators.iter().enumerate() {
            operator.inputs.iter().for_each(|input| consumers[usize::from(*input)] |= 1 << at);
        }
        let order = order(&operators, &consumers).ok_or(DagFault::Cycle)?;
        match consumers.iter().filter(|set| **set == 0).count() {
            1 => Ok(Self::of(operators, consumers, order)),
            sinks => Err(DagFault::Sinks(sinks)),
        }
    }

    fn of(operators: Vec<Operator>, consumers: Vec<u128>, order: Vec<usize>) -> Self {
        let count = operators.len();
        let (mut depth, mut ancestors, mut descendants) = (vec![0; count], vec![0; count], vec![0; count]);
        let (mut earliest, mut latest) = (vec![0f64; count], vec![0f64; count]);
        for &at in &order {
            for input in operators[at].inputs.iter().map(|input| usize::from(*input)) {
                depth[at] = depth[at].max(depth[input] + 1);
                ancestors[at] |= ancestors[input] | 1 << input;
                earliest[at] = earliest[at].max(earliest[input] + operators[input].cost);
            }
        }
        let makespan = order.last().map_or(0.0, |sink| earliest[*sink] + operators[*sink].cost);
        for &at in order.iter().rev() {
            let mut end = makespan;
            for consumer in members(consumers[at]) {
                descendants[at] |= descendants[consumer] | 1 << consumer;
                end = end.min(latest[consumer]);
            }
            latest[at] = end - operators[at].cost;
        }
        Self { operators, consumers, order, depth, ancestors, descendants, earliest, latest, flow: OnceLock::new() }
    }

    /// The operators.
    pub fn operators(&self) -> &[Operator] {
        &self.operators
    }

    /// The operator that feeds nothing: what all others work for.
    pub fn sink(&self) -> usize {
        self.order.last().copied().unwrap_or_default()
    }

    /// All operators, each after its inputs.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// By operator: the most steps that lead to it from an operator without inputs.
    pub fn depths(&self) -> &[usize] {
        &self.depth
    }

    /// The depth of the sink.
    pub fn depth(&self) -> usize {
        self.depth.get(self.sink()).copied().unwrap_or_default()
    }

    /// By operator: what it waits for, directly or not, as bits.
    pub fn ancestors(&self) -> &[u128] {
        &self.ancestors
    }

    /// By operator: what waits for it, directly or not, as bits.
    pub fn descendants(&self) -> &[u128] {
        &self.descendants
    }

    /// Into how many ways the plan parts at once: the most inputs, or consumers, of an operator.
    pub fn branches(&self) -> usize {
        let ways = self.operators.iter().zip(&self.consumers);
        ways.map(|(operator, set)| operator.inputs.len().max(set.count_ones() as usize)).max().unwrap_or_default()
    }

    /// By operator: the fewest steps from it to `query`; `None` where no way leads there.
    pub fn hops_to(&self, query: usize) -> Vec<Option<u8>> {
        let mut hops = vec![None; self.operators.len()];
        let Some(own) = hops.get_mut(query) else { return hops };
        *own = Some(0);
        let (mut seen, mut ring, mut far) = (1u128 << query, 1u128 << query, 0u8);
        while ring != 0 {
            let inputs = members(ring).flat_map(|at| &self.operators[at].inputs);
            ring = inputs.fold(0, |set, input| set | 1 << input) & !seen;
            seen |= ring;
            far += 1;
            members(ring).for_each(|at| hops[at] = Some(far));
        }
        hops
    }

    /// By operator: the earliest and the latest that it may start, in nanoseconds from the start of the plan.
    pub fn starts(&self) -> impl Iterator<Item = (f64, f64)> {
        self.earliest.iter().copied().zip(self.latest.iter().copied())
    }

    /// How much longer an operator may take before the plan does; 0 for one that is not there.
    pub fn slack(&self, operator: usize) -> f64 {
        let starts = self.earliest.get(operator).zip(self.latest.get(operator));
        // Both are sums of costs, added up from different ends: rounding may make the difference negative.
        starts.map_or(0.0, |(earliest, latest)| (latest - earliest).max(0.0))
    }

    /// What the plan takes if whatever can run at once does.
    pub fn makespan(&self) -> f64 {
        let sink = self.sink();
        self.earliest.get(sink).zip(self.operators.get(sink)).map_or(0.0, |(start, last)| start + last.cost)
    }

    /// The chain of operators that the makespan is the sum of, the sink last; of several such chains one.
    pub fn critical_path(&self) -> Vec<usize> {
        let mut at = self.sink();
        let mut path = vec![at];
        let end = |at: usize| self.earliest[at] + self.operators[at].cost;
        let before = |at: usize| {
            let inputs = self.operators[at].inputs.iter().map(|input| usize::from(*input));
            inputs.max_by(|a, b| end(*a).total_cmp(&end(*b)))
        };
        while let Some(input) = before(at) {
            path.push(input);
            at = input;
        }
        path.reverse();
        path
    }

    /// Operators a nanosecond: how many plans the operators can carry at once, each operator giving parallelism / cost (1 ns at least).
    pub fn max_flow(&self) -> f64 {
        self.flow().most
    }

    /// A cheapest set of operators that every way through the plan leads over, as bits: what holds the plan back.
    pub fn min_cut(&self) -> u128 {
        self.flow().cut
    }

    /// By operator: the flow over the cheapest cut that holds the operator; 1 where it is on a minimum cut, near 0 where it has room to
    /// spare. Exact for every plan.
    pub fn kappa(&self) -> &[f64] {
        &self.flow().kappa
    }

    fn flow(&self) -> &Flow {
        self.flow.get_or_init(|| Flow::of(&self.operators, self.sink()))
    }
}

/// What can be told of each operator alone.
fn check(operators: &[Operator]) -> Result<(), DagFault> {
    if operators.len() > MOST {
        return Err(DagFault::TooMany(operators.len()));
    }
    for (at, operator) in operators.iter().enumerate() {
        if let Some(input) = operator.inputs.iter().find(|input| usize::from(**input) >= operators.len()) {
            return Err(DagFault::Input { operator: at, input: *input });
        }
        let is_sound = (0.0..=MOST_COST).contains(&operator.cost)
            && operator.parallelism >= 1
            && operator.at.is_finite()
            && operator.features.iter().all(|feature| feature.abs() <= MOST_FEATURE);
        if !is_sound {
            return Err(DagFault::Number(at));
        }
    }
    Ok(())
}

/// Each after its inputs (Kahn 1962), the lowest number first; `None` where some wait for each other.
fn order(operators: &[Operator], consumers: &[u128]) -> Option<Vec<usize>> {
    let mut missing: Vec<usize> = operators.iter().map(|operator| operator.inputs.len()).collect();
    let is_ready = |missing: usize, at: usize| u128::from(missing == 0) << at;
    let mut ready = missing.iter().enumerate().fold(0, |set, (at, missing)| set | is_ready(*missing, at));
    let mut order = Vec::with_capacity(operators.len());
    while let Some(at) = members(ready).next() {
        ready &= !(1 << at);
        order.push(at);
        for consumer in members(consumers[at]) {
            missing[consumer] -= 1;
            ready |= is_ready(missing[consumer], consumer);
        }
    }
    (order.len() == operators.len()).then_some(order)
}

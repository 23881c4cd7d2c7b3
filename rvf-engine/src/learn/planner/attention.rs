//! [`Attention`]: the one softmax that all mechanisms share, its weights and their gradients.
//!
//! ```text
//! logit(q, v) = <Wq x_q, Wk x_v> / (T sqrt d) + bias(q, v)          or, on the hyperboloid: -gain d(p_q, p_v) / T + bias(q, v)
//! weight = softmax of the logits over whom q looks at; 0 elsewhere   embedding = sum of weight(v) Wv x_v
//! ```
//! Only sums over operators are multiplied by matrices: (Wk^T Wq x_q) meets each x_v, and Wv the mean of the x_v, so that a plan costs
//! operators times features. The exception is the hyperboloid, which each operator is turned onto by itself.

use super::super::math::{dot, exp};
use super::super::tensors::Tensors;
use super::dag::{Dag, FEATURES, MOST, members};
use super::lorentz::Point;
use super::mechanism::{Logit, Mechanism, Scope};
use crate::random::Random;

/// Largest weight: with features in their range no product overflows.
const MOST_WEIGHT: f32 = 1e6;

type Row = [f32; FEATURES];
/// `[input][output]`.
type Matrix = [Row; FEATURES];

/// The matrices, each `[input][output]`; also what slopes by them are kept in.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Wq: features of the operator that looks.
    pub query: Box<Matrix>,
    /// Wk: features of those it looks at.
    pub key: Box<Matrix>,
    /// Wv: features as they enter the embedding.
    pub value: Box<Matrix>,
    /// W: features as directions on the hyperboloid.
    pub space: Box<Matrix>,
}

impl Weights {
    /// All 0.
    pub fn zero() -> Self {
        let zero = || Box::new([[0.0; FEATURES]; FEATURES]);
        Self { query: zero(), key: zero(), value: zero(), space: zero() }
    }

    /// The matrices by name.
    pub fn parts(&self) -> [(&'static str, &Matrix); 4] {
        [("query", &self.query), ("key", &self.key), ("value", &self.value), ("space", &self.space)]
    }

    /// The same matrices in the same order, to be changed.
    pub fn parts_mut(&mut self) -> [&mut Matrix; 4] {
        [&mut self.query, &mut self.key, &mut self.value, &mut self.space]
    }

    fn is_sound(&self) -> bool {
        // Not a number is not below, either.
        self.parts().iter().all(|(_, matrix)| matrix.as_flattened().iter().all(|x| x.abs() <= MOST_WEIGHT))
    }
}

/// What attention says of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Attended {
    /// By operator of the plan, in its numbering: 0 or more, with sum 1.
    pub weights: Vec<f32>,
    /// The plan as the operator sees it.
    pub embedding: Row,
}

/// Learned attention over the operators of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    weights: Weights,
    temperature: f32,
}

impl Attention {
    /// Untrained: numbers that look random with variance 1 / [`FEATURES`], at temperature 1.
    pub fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let most = (3.0 / FEATURES as f32).sqrt();
        let mut weights = Weights::zero();
        for x in weights.parts_mut().into_iter().flat_map(|matrix| matrix.as_flattened_mut()) {
            *x = most * ((random.draw() >> 40) as f32 / (1u32 << 23) as f32 - 1.0);
        }
        Self { weights, temperature: 1.0 }
    }

    /// Of these weights; `None` where one is not a number from -10^6 to 10^6, or the temperature is not from 10^-3 to 10^3.
    pub fn with(weights: Weights, temperature: f32) -> Option<Self> {
        ((1e-3..=1e3).contains(&temperature) && weights.is_sound()).then_some(Self { weights, temperature })
    }

    /// The weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// One step down a gradient. `false`, and nothing changes, where a weight would leave its range.
    pub fn descend(&mut self, gradient: &Weights, step: f32) -> bool {
        let mut moved = self.weights.clone();
        for (matrix, (_, slopes)) in moved.parts_mut().into_iter().zip(gradient.parts()) {
            let pairs = matrix.as_flattened_mut().iter_mut().zip(slopes.as_flattened());
            pairs.for_each(|(x, slope)| *x -= step * slope);
        }
        let is_sound = moved.is_sound();
        if is_sound {
            self.weights = moved;
        }
        is_sound
    }

    /// What an operator looks at by this mechanism; `None` where it is not there.
    pub fn attend(&self, dag: &Dag, query: usize, mechanism: &Mechanism) -> Option<Attended> {
        let pass = self.forward(dag, query, mechanism)?;
        let weights = pass.weights[..dag.operators().len()].to_vec();
        Some(Attended { weights, embedding: times(&self.weights.value, &pass.mean) })
    }

    /// Where an operator of a plan lies on the hyperboloid.
    pub fn point(&self, dag: &Dag, operator: usize) -> Option<Point> {
        let features = &dag.operators().get(operator)?.features;
        Some(Point::new(dag.depths()[operator], &times(&self.weights.space, features)))
    }

    /// The slopes of a loss by all weights, told those by what [`Self::attend`] gives. `None` where the operator is not there or there is not
    /// one slope for each operator of the plan.
    pub fn gradient(&self, dag: &Dag, query: usize, mechanism: &Mechanism, slopes: &Attended) -> Option<Weights> {
        if slopes.weights.len() != dag.operators().len() {
            return None;
        }
        let pass = self.forward(dag, query, mechanism)?;
        let mut gradient = Weights::zero();
        add_outer(&mut gradient.value, &pass.mean, &slopes.embedding);
        let of_mean = times_transposed(&self.weights.value, &slopes.embedding);
        let mut of_logits = [0.0; MOST];
        let mut middle = 0.0;
        for at in members(pass.scope.nodes) {
            of_logits[at] = slopes.weights[at] + dot(&of_mean, &dag.operators()[at].features);
            middle += pass.weights[at] * of_logits[at];
        }
        for at in members(pass.scope.nodes) {
            of_logits[at] = pass.weights[at] * (of_logits[at] - middle) / self.temperature;
        }
        let backward = Backward { attention: self, dag, query, nodes: pass.scope.nodes, of_logits: &of_logits };
        match mechanism.logit() {
            Logit::Content => backward.content(&mut gradient),
            Logit::Distance { curvature, gain } => backward.distance(curvature, gain, &mut gradient),
            Logit::None => {}
        }
        Some(gradient)
    }

    fn forward(&self, dag: &Dag, query: usize, mechanism: &Mechanism) -> Option<Pass> {
        let features = &dag.operators().get(query)?.features;
        let scope = mechanism.scope(dag, query);
        let mut logits = scope.bias;
        match mechanism.logit() {
            Logit::Content => {
                let met = times_transposed(&self.weights.key, &times(&self.weights.query, features));
                let scale = 1.0 / (self.temperature * (FEATURES as f32).sqrt());
                let nodes = members(scope.nodes);
                nodes.for_each(|at| logits[at] += scale * dot(&met, &dag.operators()[at].features));
            }
            Logit::Distance { curvature, gain } => {
                let (own, scale) = (self.point(dag, query)?, gain / f64::from(self.temperature));
                for at in members(scope.nodes) {
                    logits[at] -= (scale * own.distance(&self.point(dag, at)?, curvature)) as f32;
                }
            }
            Logit::None => {}
        }
        let weights = softmax(&logits, scope.nodes);
        let mut mean = [0.0; FEATURES];
        members(scope.nodes).for_each(|at| add_scaled(&mut mean, weights[at], &dag.operators()[at].features));
        Some(Pass { scope, weights, mean })
    }

    /// The weights: `planner.query`, `.key`, `.value`, `.space`, each `[inputs, outputs]`, and `planner.temperature`.
    pub fn to_tensors(&self) -> Tensors {
        let mut tensors = Tensors::default();
        for (name, matrix) in self.weights.parts() {
            tensors.put(&format!("planner.{name}"), &[FEATURES, FEATURES], matrix.as_flattened().to_vec());
        }
        tensors.put("planner.temperature", &[1], vec![self.temperature]);
        tensors
    }

    /// One from its weights; `None` where some are missing or out of range.
    pub fn from_tensors(tensors: &Tensors) -> Option<Self> {
        let mut weights = Weights::zero();
        let names = Weights::zero().parts().map(|(name, _)| name);
        for (name, matrix) in names.iter().zip(weights.parts_mut()) {
            let values = tensors.get(&format!("planner.{name}"), &[FEATURES, FEATURES])?;
            matrix.as_flattened_mut().copy_from_slice(values);
        }
        Self::with(weights, tensors.number("planner.temperature")?)
    }
}

/// What a forward pass leaves for the backward pass.
struct Pass {
    scope: Scope,
    weights: [f32; MOST],
    /// Of the features, by the weights.
    mean: Row,
}

/// A backward pass from the slopes of the logits, which are already divided by the temperature.
struct Backward<'b> {
    attention: &'b Attention,
    dag: &'b Dag,
    query: usize,
    nodes: u128,
    of_logits: &'b [f32; MOST],
}

impl Backward<'_> {
    fn content(&self, gradient: &mut Weights) {
        let weights = &self.attention.weights;
        let mut sum = [0.0; FEATURES];
        let scale = 1.0 / (FEATURES as f32).sqrt();
        for at in members(self.nodes) {
            add_scaled(&mut sum, scale * self.of_logits[at], &self.dag.operators()[at].features);
        }
        let features = &self.dag.operators()[self.query].features;
        add_outer(&mut gradient.key, &sum, &times(&weights.query, features));
        add_outer(&mut gradient.query, features, &times(&weights.key, &sum));
    }

    fn distance(&self, curvature: f64, gain: f64, gradient: &mut Weights) {
        let Some(own) = self.attention.point(self.dag, self.query) else { return };
        let mut of_own = [0.0; FEATURES];
        for at in members(self.nodes) {
            let Some(other) = self.attention.point(self.dag, at) else { return };
            let [by_own, by_other] = own.slopes(&other, curvature).map(|slopes| slopes.map(|slope| slope as f32));
            let slope = -gain as f32 * self.of_logits[at];
            add_scaled(&mut of_own, slope, &by_own);
            let of_other = by_other.map(|x| slope * x);
            add_outer(&mut gradient.space, &self.dag.operators()[at].features, &of_other);
        }
        add_outer(&mut gradient.space, &self.dag.operators()[self.query].features, &of_own);
    }
}

/// Softmax over the members of a set; 0 elsewhere. A logit that is no number counts as 0.
fn softmax(logits: &[f32; MOST], nodes: u128) -> [f32; MOST] {
    let logit = |at: usize| if logits[at].is_finite() { logits[at] } else { 0.0 };
    let top = members(nodes).map(logit).fold(f32::NEG_INFINITY, f32::max);
    let mut weights = [0.0; MOST];
    let mut sum = 0.0;
    for at in members(nodes) {
        weights[at] = exp(logit(at) - top);
        sum += weights[at];
    }
    members(nodes).for_each(|at| weights[at] /= sum);
    weights
}

fn add_scaled(to: &mut Row, scale: f32, what: &Row) {
    to.iter_mut().zip(what).for_each(|(to, x)| *to += scale * x);
}

fn add_outer(to: &mut Matrix, input: &Row, output: &Row) {
    to.iter_mut().zip(input).for_each(|(to, x)| add_scaled(to, *x, output));
}

fn times(matrix: &Matrix, input: &Row) -> Row {
    let mut output = [0.0; FEATURES];
    matrix.iter().zip(input).for_each(|(row, x)| add_scaled(&mut output, *x, row));
    output
}

fn times_transposed(matrix: &Matrix, output: &Row) -> Row {
    std::array::from_fn(|at| dot(&matrix[at], output))
}

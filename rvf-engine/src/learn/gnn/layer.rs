//! [`Layer`]: how nodes hear of their neighbours, and the learned weights of edges that all layers use.

use super::super::math::exp;
use super::graph::Neighbourhood;
use crate::random::Random;

/// Numbers that make a weight of an edge: those of similarity and structure, and a bias.
pub(super) const EDGE_WEIGHTS: usize = 3;
/// What they are before training: all edges count, the more similar ones more.
pub(super) const EDGE_START: [f32; EDGE_WEIGHTS] = [2.0, 1.0, -1.0];
/// Where the sigmoid stops to move: no edge weighs exactly nothing.
const REACH: f32 = 30.0;

/// A graph and what each of its edges weighs.
pub(super) struct Weighted<'g> {
    pub(super) graph: &'g Neighbourhood,
    /// By edge, from 0 to 1.
    pub(super) weights: Vec<f32>,
}

impl<'g> Weighted<'g> {
    /// w(u, v) = sigmoid(alpha * similarity + beta * structure + bias); `parts` are alpha, beta and the bias.
    pub(super) fn new(graph: &'g Neighbourhood, parts: &[f32]) -> Self {
        let reach = |parts: &[f32], similarity: f32, structure: f32| match parts {
            [alpha, beta, bias] => alpha * similarity + beta * structure + bias,
            _ => 0.0,
        };
        let weight = |x: f32| sigmoid(x.clamp(-REACH, REACH));
        let weights = graph.edges().iter().map(|edge| weight(reach(parts, edge.similarity, edge.structure))).collect();
        Self { graph, weights }
    }

    /// Adds the slopes of alpha, beta and the bias, told those of the weights.
    pub(super) fn add_slopes(&self, of_weights: &[f32], of_parts: &mut [f32]) {
        let ends = [sigmoid(-REACH), sigmoid(REACH)];
        for ((edge, weight), slope) in self.graph.edges().iter().zip(&self.weights).zip(of_weights) {
            // At the ends nothing moves.
            if ends[0] < *weight && *weight < ends[1] {
                let slope = slope * weight * (1.0 - weight);
                let seen = [edge.similarity, edge.structure, 1.0];
                of_parts.iter_mut().zip(seen).for_each(|(part, x)| *part += slope * x);
            }
        }
    }
}

/// 1 / (1 + e^-x).
pub(super) fn sigmoid(x: f32) -> f32 {
    let small = exp(-x.abs());
    if x < 0.0 { small / (1.0 + small) } else { 1.0 / (1.0 + small) }
}

/// A tensor among the weights of a layer: name and shape.
pub(super) type Part = (&'static str, Vec<usize>);

/// What a forward pass keeps for the backward one: tensors whose meaning the layer knows.
pub(super) type Kept = Vec<Vec<f32>>;

/// What backward passes of a layer add up.
pub(super) struct Slopes<'s> {
    /// Of the weights of the layer.
    pub(super) weights: &'s mut [f32],
    /// Of the input, one row a node.
    pub(super) input: &'s mut [f32],
    /// Of the weights of edges.
    pub(super) edges: &'s mut [f32],
}

/// A layer of a graph network; the weights are one slice that the caller holds.
pub(super) trait Layer {
    /// The tensors of the weights, in their order.
    fn parts(&self) -> Vec<Part>;

    /// New states of all nodes from their old ones, one row a node, with what [`Layer::backward`] needs.
    fn forward(&self, weights: &[f32], graph: &Weighted<'_>, input: &[f32]) -> (Vec<f32>, Kept);

    /// Adds the exact slopes of everything that went in, told those of what came out.
    fn backward(
        &self,
        weights: &[f32],
        graph: &Weighted<'_>,
        input: &[f32],
        kept: &Kept,
        of_output: &[f32],
        slopes: Slopes<'_>,
    );

    /// How much each node attends to itself and its neighbours: heads of a node's own slot, then of each of its links; `None` of a layer
    /// without attention.
    fn attention<'k>(&self, _kept: &'k Kept) -> Option<(&'k [f32], usize)> {
        None
    }
}

/// How many numbers some parts have.
pub(super) fn count(parts: &[Part]) -> usize {
    parts.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
}

/// Weights before training (Glorot and Bengio 2010): matrices within the square root of 6 / (inputs + outputs), vectors 0.
pub(super) fn start(parts: &[Part], random: &mut Random) -> Vec<f32> {
    let mut weights = Vec::with_capacity(count(parts));
    for (_, shape) in parts {
        let (size, sum) = (shape.iter().product::<usize>(), shape.iter().sum::<usize>());
        let reach = if shape.len() > 1 { (6.0 / sum as f32).sqrt() } else { 0.0 };
        weights.extend((0..size).map(|_| (random.below(1 << 24) as f32 / (1 << 23) as f32 - 1.0) * reach));
    }
    weights
}

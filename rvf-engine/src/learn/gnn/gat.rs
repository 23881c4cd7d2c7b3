//! [`Gat`]: a layer in which nodes choose whom to attend to.

use super::super::math::{dot, exp, softsign, softsign_slope};
use super::layer::{Kept, Layer, Part, Slopes, Weighted};
use super::linear::{add_bias, add_bias_slopes, add_product, add_product_slopes, add_scaled};

/// Slope of LeakyReLU below 0.
const LEAK: f32 = 0.2;
/// Lanes of the sum of a score.
const LANES: usize = 8;

/// GATv2 (Brody et al. 2022, equation 7): node i scores neighbour j, or itself, by a^T LeakyReLU(W [h_i; h_j]); softmax over j; the new state
/// is act(sum of attention times W' h_j + b). Several heads, which are concatenated, or averaged in the last layer.
///
/// Departures: (1) The softmax is weighted: the power of a neighbour is multiplied by the learned weight of the edge, that of the node itself
/// by 1. (2) W' is the right half of W, as in the paper's code. (3) The activation is softsign.
pub(super) struct Gat {
    /// Elements of a state.
    pub(super) width: usize,
    /// Heads; they divide the width.
    pub(super) heads: usize,
    /// Whether they are averaged.
    pub(super) is_last: bool,
}

impl Gat {
    /// Elements of one head.
    fn head_width(&self) -> usize {
        if self.is_last { self.width } else { self.width / self.heads }
    }

    /// Elements of all heads.
    fn all_heads(&self) -> usize {
        self.heads * self.head_width()
    }

    /// Where a head's part of an output stands, and by how much it counts.
    fn place(&self, head: usize) -> (std::ops::Range<usize>, f32) {
        let width = self.head_width();
        if self.is_last { (0..width, 1.0 / self.heads as f32) } else { (head * width..(head + 1) * width, 1.0) }
    }

    /// A node's attention to the slots in `nodes` (itself first), all heads of a slot together.
    fn attend(&self, attention: &[f32], left: &[f32], right: &[f32], nodes: &[(usize, f32)], into: &mut [f32]) {
        let (all, width) = (self.all_heads(), self.head_width());
        let mut top = vec![f32::NEG_INFINITY; self.heads];
        for ((node, _), scores) in nodes.iter().zip(into.chunks_exact_mut(self.heads)) {
            let right = &right[node * all..(node + 1) * all];
            let heads = attention.chunks_exact(width).zip(left.chunks_exact(width)).zip(right.chunks_exact(width));
            for (((score, top), (attention, left)), right) in
                scores.iter_mut().zip(&mut top).zip(heads.clone().map(|(pair, _)| pair)).zip(heads.map(|(_, r)| r))
            {
                *score = score_of(attention, left, right);
                *top = top.max(*score);
            }
        }
        let mut sums = vec![0.0; self.heads];
        for ((_, weight), scores) in nodes.iter().zip(into.chunks_exact_mut(self.heads)) {
            for ((score, top), sum) in scores.iter_mut().zip(&top).zip(&mut sums) {
                *score = weight * exp(*score - top);
                *sum += *score;
            }
        }
        for scores in into.chunks_exact_mut(self.heads) {
            scores.iter_mut().zip(&sums).for_each(|(score, sum)| *score /= sum);
        }
    }
}

/// a^T LeakyReLU(left + right).
fn score_of(attention: &[f32], left: &[f32], right: &[f32]) -> f32 {
    let leaky = |a: f32, x: f32| a * (x.max(0.0) + LEAK * x.min(0.0));
    let mut lanes = [0f32; LANES];
    let (a, a_rest) = attention.as_chunks::<LANES>();
    let (l, l_rest) = left.as_chunks::<LANES>();
    let (r, r_rest) = right.as_chunks::<LANES>();
    for ((a, l), r) in a.iter().zip(l).zip(r) {
        for lane in 0..LANES {
            lanes[lane] += leaky(a[lane], l[lane] + r[lane]);
        }
    }
    let rest: f32 = a_rest.iter().zip(l_rest).zip(r_rest).map(|((a, l), r)| leaky(*a, l + r)).sum();
    lanes.iter().sum::<f32>() + rest
}

/// A node itself, then its neighbours, with the weights of what leads to them.
fn slots(graph: &Weighted<'_>, node: usize, slots: &mut Vec<(usize, f32)>) {
    slots.clear();
    slots.push((node, 1.0));
    slots.extend(graph.graph.links(node).iter().map(|link| (link.node, graph.weights[link.edge])));
}

impl Layer for Gat {
    fn parts(&self) -> Vec<Part> {
        let matrix = vec![self.width, self.all_heads()];
        let attention = vec![self.heads, self.head_width()];
        vec![("left", matrix.clone()), ("right", matrix), ("attention", attention), ("bias", vec![self.width])]
    }

    /// Keeps: left and right halves of what is scored; attention, by slots (a node itself, then its links); the output.
    fn forward(&self, weights: &[f32], graph: &Weighted<'_>, input: &[f32]) -> (Vec<f32>, Kept) {
        let (width, all, nodes) = (self.width, self.all_heads(), graph.graph.nodes());
        let (of_left, rest) = weights.split_at(width * all);
        let (of_right, rest) = rest.split_at(width * all);
        let (vectors, bias) = rest.split_at(all);
        let (mut left, mut right) = (vec![0.0; nodes * all], vec![0.0; nodes * all]);
        add_product(input, of_left, width, all, &mut left);
        add_product(input, of_right, width, all, &mut right);
        let mut attention = vec![0.0; (nodes + 2 * graph.graph.edges().len()) * self.heads];
        let mut output = vec![0.0; input.len()];
        let mut near = Vec::new();
        for (node, sum) in output.chunks_exact_mut(width).enumerate() {
            slots(graph, node, &mut near);
            let start = (graph.graph.start(node) + node) * self.heads;
            let attention = &mut attention[start..start + near.len() * self.heads];
            self.attend(vectors, &left[node * all..(node + 1) * all], &right, &near, attention);
            for ((node, _), attention) in near.iter().zip(attention.chunks_exact(self.heads)) {
                let messages = right[node * all..(node + 1) * all].chunks_exact(self.head_width());
                for ((head, message), attention) in messages.enumerate().zip(attention) {
                    let (place, share) = self.place(head);
                    add_scaled(&mut sum[place], share * attention, message);
                }
            }
        }
        add_bias(&mut output, bias);
        output.iter_mut().for_each(|x| *x = softsign(*x));
        let kept = vec![left, right, attention, output.clone()];
        (output, kept)
    }

    fn backward(
        &self,
        weights: &[f32],
        graph: &Weighted<'_>,
        input: &[f32],
        kept: &Kept,
        of_output: &[f32],
        slopes: Slopes<'_>,
    ) {
        let [left, right, attention, output] = &kept[..] else { return };
        let (width, all) = (self.width, self.all_heads());
        let (weights_left, rest) = weights.split_at(width * all);
        let (weights_right, rest) = rest.split_at(width * all);
        let (of_weights_left, of_rest) = slopes.weights.split_at_mut(width * all);
        let (of_weights_right, of_rest) = of_rest.split_at_mut(width * all);
        let (of_vectors, of_bias) = of_rest.split_at_mut(all);
        let of_sum: Vec<f32> = of_output.iter().zip(output).map(|(slope, out)| slope * softsign_slope(*out)).collect();
        add_bias_slopes(&of_sum, of_bias);
        let (mut of_left, mut of_right) = (vec![0.0; left.len()], vec![0.0; right.len()]);
        let mut back = Back { gat: self, vectors: &rest[..all], right, of_right: &mut of_right, of_vectors };
        let mut near = Vec::new();
        for node in 0..graph.graph.nodes() {
            slots(graph, node, &mut near);
            let start = (graph.graph.start(node) + node) * self.heads;
            let attention = &attention[start..start + near.len() * self.heads];
            let here = node * all..(node + 1) * all;
            let of_sum = &of_sum[node * width..(node + 1) * width];
            let of_scores = back.node(of_sum, &near, attention, &left[here.clone()], &mut of_left[here]);
            // The own slot has no edge.
            for ((link, (_, weight)), of_scores) in
                graph.graph.links(node).iter().zip(&near[1..]).zip(of_scores.chunks_exact(self.heads).skip(1))
            {
                slopes.edges[link.edge] += of_scores.iter().sum::<f32>() / weight;
            }
        }
        add_product_slopes((input, weights_left), (width, all), &of_left, of_weights_left, slopes.input);
        add_product_slopes((input, weights_right), (width, all), &of_right, of_weights_right, slopes.input);
    }

    fn attention<'k>(&self, kept: &'k Kept) -> Option<(&'k [f32], usize)> {
        kept.get(2).map(|attention| (attention.as_slice(), self.heads))
    }
}

/// The backward pass at one node.
struct Back<'b> {
    gat: &'b Gat,
    vectors: &'b [f32],
    right: &'b [f32],
    of_right: &'b mut [f32],
    of_vectors: &'b mut [f32],
}

impl Back<'_> {
    /// Adds a node's slopes; gives those of its scores, all heads of a slot together.
    fn node(
        &mut self,
        of_sum: &[f32],
        near: &[(usize, f32)],
        attention: &[f32],
        left: &[f32],
        of_left: &mut [f32],
    ) -> Vec<f32> {
        let (heads, all, width) = (self.gat.heads, self.gat.all_heads(), self.gat.head_width());
        let mut of_scores = vec![0.0; attention.len()];
        for head in 0..heads {
            let (place, share) = self.gat.place(head);
            let of_sum = &of_sum[place];
            let mut mean = 0.0;
            for (slot, (node, _)) in near.iter().enumerate() {
                let here = node * all + head * width..node * all + (head + 1) * width;
                let attention = attention[slot * heads + head];
                let of_attention = share * dot(of_sum, &self.right[here.clone()]);
                add_scaled(&mut self.of_right[here], share * attention, of_sum);
                of_scores[slot * heads + head] = of_attention;
                mean += attention * of_attention;
            }
            for (slot, (node, _)) in near.iter().enumerate() {
                let at = slot * heads + head;
                of_scores[at] = attention[at] * (of_scores[at] - mean);
                let slope = of_scores[at];
                for element in head * width..(head + 1) * width {
                    let sum = left[element] + self.right[node * all + element];
                    let bend = if sum >= 0.0 { 1.0 } else { LEAK };
                    self.of_vectors[element] += slope * bend * sum;
                    let inner = slope * bend * self.vectors[element];
                    of_left[element] += inner;
                    self.of_right[node * all + element] += inner;
                }
            }
        }
        of_scores
    }
}

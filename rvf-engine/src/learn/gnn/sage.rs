//! [`Sage`]: a layer that sets a node beside the mean of some of its neighbours.

use super::super::math::{dot, softsign, softsign_slope};
use super::graph::{Link, Neighbourhood};
use super::layer::{Kept, Layer, Part, Slopes, Weighted};
use super::linear::{LEAST, add_bias, add_bias_slopes, add_product, add_product_slopes, add_scaled};
use crate::random::Random;

/// GraphSAGE (Hamilton et al. 2017, algorithm 1, mean aggregator): act(W [h; mean of neighbours] + b), brought to length 1.
///
/// Departures: (1) The mean is weighted by the learned weights of edges; a node without neighbours has a mean of 0. (2) At most `sample`
/// neighbours, drawn without replacement by a generator that starts from the node's number: the same graph gives the same sample; the paper
/// draws with replacement and anew each time. (3) The activation is softsign.
pub(super) struct Sage {
    /// Elements of a state.
    pub(super) width: usize,
    /// Most neighbours that a node hears.
    pub(super) sample: usize,
}

impl Sage {
    /// The links of a node that are heard, in the graph's order; `drawn` is room for them.
    fn heard<'a>(&self, graph: &'a Neighbourhood, node: usize, drawn: &'a mut Vec<Link>) -> &'a [Link] {
        let links = graph.links(node);
        if links.len() <= self.sample {
            return links;
        }
        drawn.clear();
        drawn.extend_from_slice(links);
        Random(node as u64).shuffle(drawn);
        drawn.truncate(self.sample);
        drawn.sort_unstable_by_key(|link| link.node);
        drawn
    }

    /// Weighted means of the neighbours' states, and the sums of weights.
    fn means(&self, graph: &Weighted<'_>, input: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (mut means, mut totals) = (vec![0.0; input.len()], Vec::new());
        let mut drawn = Vec::new();
        for (node, mean) in means.chunks_exact_mut(self.width).enumerate() {
            let heard = self.heard(graph.graph, node, &mut drawn);
            let total: f32 = heard.iter().map(|link| graph.weights[link.edge]).sum();
            for link in heard {
                add_scaled(mean, graph.weights[link.edge] / total, &input[link.node * self.width..]);
            }
            totals.push(total);
        }
        (means, totals)
    }
}

impl Layer for Sage {
    fn parts(&self) -> Vec<Part> {
        let square = vec![self.width, self.width];
        vec![("own", square.clone()), ("neighbours", square), ("bias", vec![self.width])]
    }

    /// Keeps: the means; their sums of weights; what was activated; the output; the lengths.
    fn forward(&self, weights: &[f32], graph: &Weighted<'_>, input: &[f32]) -> (Vec<f32>, Kept) {
        let width = self.width;
        let (own, rest) = weights.split_at(width * width);
        let (neighbours, bias) = rest.split_at(width * width);
        let (means, totals) = self.means(graph, input);
        let mut active = vec![0.0; input.len()];
        add_product(input, own, width, width, &mut active);
        add_product(&means, neighbours, width, width, &mut active);
        add_bias(&mut active, bias);
        active.iter_mut().for_each(|x| *x = softsign(*x));
        let mut output = active.clone();
        let mut lengths = Vec::with_capacity(totals.len());
        for row in output.chunks_exact_mut(width) {
            let length = (dot(row, row) + LEAST).sqrt();
            row.iter_mut().for_each(|x| *x /= length);
            lengths.push(length);
        }
        let kept = vec![means, totals, active, output.clone(), lengths];
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
        let [means, totals, active, output, lengths] = &kept[..] else { return };
        let width = self.width;
        let (own, rest) = weights.split_at(width * width);
        let (of_own, of_rest) = slopes.weights.split_at_mut(width * width);
        let (of_neighbours, of_bias) = of_rest.split_at_mut(width * width);
        let mut of_sum = of_output.to_vec();
        for (node, of_sum) in of_sum.chunks_exact_mut(width).enumerate() {
            let here = node * width..(node + 1) * width;
            let along = dot(of_sum, &output[here.clone()]);
            for ((slope, out), active) in of_sum.iter_mut().zip(&output[here.clone()]).zip(&active[here]) {
                *slope = (*slope - along * out) / lengths[node] * softsign_slope(*active);
            }
        }
        add_bias_slopes(&of_sum, of_bias);
        add_product_slopes((input, own), (width, width), &of_sum, of_own, slopes.input);
        let mut of_means = vec![0.0; input.len()];
        let neighbours = &rest[..width * width];
        add_product_slopes((means, neighbours), (width, width), &of_sum, of_neighbours, &mut of_means);
        let mut drawn = Vec::new();
        for (node, of_mean) in of_means.chunks_exact(width).enumerate() {
            let along = dot(of_mean, &means[node * width..][..width]);
            for link in self.heard(graph.graph, node, &mut drawn) {
                let weight = graph.weights[link.edge] / totals[node];
                add_scaled(&mut slopes.input[link.node * width..][..width], weight, of_mean);
                let across = dot(of_mean, &input[link.node * width..][..width]);
                slopes.edges[link.edge] += (across - along) / totals[node];
            }
        }
    }
}

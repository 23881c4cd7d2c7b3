//! [`Gcn`]: a graph convolution.

use super::super::math::{dot, softsign, softsign_slope};
use super::layer::{Kept, Layer, Part, Slopes, Weighted};
use super::linear::{add_bias, add_bias_slopes, add_product, add_product_slopes, add_scaled};

/// Kipf and Welling (2017, equation 2): act(D^-1/2 (A + I) D^-1/2 H W + b).
///
/// Departures: (1) A holds the learned weights of edges, so that the degrees D move with them. (2) The activation is softsign.
pub(super) struct Gcn {
    /// Elements of a state.
    pub(super) width: usize,
}

/// 1 plus the weights of its edges, of each node.
fn degrees(graph: &Weighted<'_>) -> Vec<f32> {
    let degree = |node| 1.0 + graph.graph.links(node).iter().map(|link| graph.weights[link.edge]).sum::<f32>();
    (0..graph.graph.nodes()).map(degree).collect()
}

impl Layer for Gcn {
    fn parts(&self) -> Vec<Part> {
        vec![("weight", vec![self.width, self.width]), ("bias", vec![self.width])]
    }

    /// Keeps: H W; the output; the degrees.
    fn forward(&self, weights: &[f32], graph: &Weighted<'_>, input: &[f32]) -> (Vec<f32>, Kept) {
        let width = self.width;
        let (weight, bias) = weights.split_at(width * width);
        let mut product = vec![0.0; input.len()];
        add_product(input, weight, width, width, &mut product);
        let degrees = degrees(graph);
        let mut output = vec![0.0; input.len()];
        for (node, sum) in output.chunks_exact_mut(width).enumerate() {
            let of = |node: usize| &product[node * width..(node + 1) * width];
            add_scaled(sum, 1.0 / degrees[node], of(node));
            for link in graph.graph.links(node) {
                let share = graph.weights[link.edge] / (degrees[node] * degrees[link.node]).sqrt();
                add_scaled(sum, share, of(link.node));
            }
        }
        add_bias(&mut output, bias);
        output.iter_mut().for_each(|x| *x = softsign(*x));
        let kept = vec![product, output.clone(), degrees];
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
        let [product, output, degrees] = &kept[..] else { return };
        let width = self.width;
        let (of_weight, of_bias) = slopes.weights.split_at_mut(width * width);
        let of_sum: Vec<f32> = of_output.iter().zip(output).map(|(slope, out)| slope * softsign_slope(*out)).collect();
        add_bias_slopes(&of_sum, of_bias);
        let mut of_product = vec![0.0; input.len()];
        let mut of_degrees = vec![0.0; degrees.len()];
        let row = |of: &[f32], node: usize| dot(&of_sum[node * width..][..width], &of[..width]);
        for node in 0..degrees.len() {
            let own = 1.0 / degrees[node];
            add_scaled(&mut of_product[node * width..][..width], own, &of_sum[node * width..][..width]);
            of_degrees[node] -= row(&product[node * width..], node) * own * own;
            for link in graph.graph.links(node) {
                let root = (degrees[node] * degrees[link.node]).sqrt();
                let share = graph.weights[link.edge] / root;
                add_scaled(&mut of_product[link.node * width..][..width], share, &of_sum[node * width..][..width]);
                let of_share = row(&product[link.node * width..], node);
                slopes.edges[link.edge] += of_share / root;
                of_degrees[node] -= 0.5 * of_share * share / degrees[node];
                of_degrees[link.node] -= 0.5 * of_share * share / degrees[link.node];
            }
        }
        // A weight is part of the degrees at both its ends.
        for (edge, of_edge) in graph.graph.edges().iter().zip(slopes.edges) {
            *of_edge += of_degrees[edge.nodes[0]] + of_degrees[edge.nodes[1]];
        }
        add_product_slopes((input, &weights[..width * width]), (width, width), &of_product, of_weight, slopes.input);
    }
}

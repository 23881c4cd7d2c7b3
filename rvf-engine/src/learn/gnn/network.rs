//! [`Network`]: layers over a neighbourhood beside a linear part; its losses and exact gradients.
//!
//! ```text
//! features -> scale -+-> projection -> [+ layer(norm)] x layers -> head -+-> scores of the candidates
//!                    +-------------------- linear ----------------------+
//! ```

use super::super::math::{dot, softsign, softsign_slope};
use super::gat::Gat;
use super::gcn::Gcn;
use super::graph::Neighbourhood;
use super::layer::{EDGE_START, EDGE_WEIGHTS, Kept, Layer, Part, Slopes, Weighted, count, start};
use super::linear::{
    Normed, add_bias, add_bias_slopes, add_norm_slopes, add_product, add_product_slopes, add_scaled, layer_norm,
};
use super::loss::{contrast, listwise};
use super::sage::Sage;
use crate::random::Random;
use std::ops::Range;

/// How nodes hear of their neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Graph convolutions (Kipf and Welling 2017).
    Gcn,
    /// Attention (GATv2, Brody et al. 2022).
    Gat,
    /// Means of sampled neighbours (GraphSAGE, Hamilton et al. 2017).
    Sage,
}

/// The size of a graph network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// How nodes hear of their neighbours.
    pub kind: Kind,
    /// Elements of a state: 1 to 256.
    pub hidden: usize,
    /// Layers: 1 to 4.
    pub layers: usize,
    /// Heads of attention; they divide the elements of a state.
    pub heads: usize,
    /// Most neighbours that a node hears, of [`Kind::Sage`]; at least 1.
    pub sample: usize,
}

impl Default for Form {
    fn default() -> Self {
        Self { kind: Kind::Sage, hidden: 32, layers: 2, heads: 4, sample: 16 }
    }
}

impl Form {
    /// Whether there can be a network of this size.
    pub(super) fn is_sound(&self) -> bool {
        (1..=256).contains(&self.hidden)
            && (1..=4).contains(&self.layers)
            && self.heads > 0
            && self.hidden.is_multiple_of(self.heads)
            && self.sample > 0
    }

    fn layer(&self, at: usize) -> Box<dyn Layer> {
        let width = self.hidden;
        match self.kind {
            Kind::Gcn => Box::new(Gcn { width }),
            Kind::Gat => Box::new(Gat { width, heads: self.heads, is_last: at + 1 == self.layers }),
            Kind::Sage => Box::new(Sage { width, sample: self.sample }),
        }
    }
}

/// Mean and spread of the features, by which they are brought to one scale.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) mean: Vec<f32>,
    pub(super) spread: Vec<f32>,
}

impl Scale {
    /// That of all nodes of some graphs with `width` features. Features that never change are told apart by nothing: their spread is 1.
    pub(super) fn of<'g>(width: usize, graphs: impl Iterator<Item = &'g Neighbourhood> + Clone) -> Self {
        let rows = || graphs.clone().flat_map(|graph| graph.rows().chunks_exact(graph.width()));
        let total = rows().count().max(1) as f64;
        let mut mean = vec![0f64; width];
        rows().for_each(|row| mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x)));
        mean.iter_mut().for_each(|sum| *sum /= total);
        let mut square = vec![0f64; width];
        for row in rows() {
            square.iter_mut().zip(row).zip(&mean).for_each(|((sum, x), mean)| *sum += (f64::from(*x) - mean).powi(2));
        }
        let spread = |square: &f64| match (square / total).sqrt() as f32 {
            spread if spread > 1e-6 => spread,
            _ => 1.0,
        };
        Self { spread: square.iter().map(spread).collect(), mean: mean.iter().map(|x| *x as f32).collect() }
    }

    fn apply(&self, rows: &[f32]) -> Vec<f32> {
        let scales = self.mean.iter().zip(&self.spread).cycle();
        rows.iter().zip(scales).map(|(x, (mean, spread))| (x - mean) / spread).collect()
    }
}

/// Where the tensors stand in the weights.
#[derive(Clone, Debug, PartialEq)]
struct Places {
    projection: Range<usize>,
    projection_bias: Range<usize>,
    /// Gains and biases of the norm before each layer.
    norms: Vec<Range<usize>>,
    layers: Vec<Range<usize>>,
    head: Range<usize>,
    linear: Range<usize>,
    edges: Range<usize>,
}

impl Places {
    fn new(form: &Form, width: usize) -> Self {
        let mut end = 0;
        let mut next = |length: usize| {
            end += length;
            end - length..end
        };
        let hidden = form.hidden;
        let (projection, projection_bias) = (next(width * hidden), next(hidden));
        let (norms, layers) =
            (0..form.layers).map(|at| (next(2 * hidden), next(count(&form.layer(at).parts())))).unzip();
        let (head, linear, edges) = (next(hidden), next(width), next(EDGE_WEIGHTS));
        Self { projection, projection_bias, norms, layers, head, linear, edges }
    }
}

/// A graph network and the scale of what it sees.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Network {
    pub(super) form: Form,
    pub(super) scale: Scale,
    places: Places,
    pub(super) weights: Vec<f32>,
}

/// What a forward pass leaves.
pub(super) struct Pass<'g> {
    graph: Weighted<'g>,
    seen: Vec<f32>,
    /// The projection, then the states after each layer.
    states: Vec<Vec<f32>>,
    /// What each layer saw, and how it came about.
    inputs: Vec<(Vec<f32>, Normed)>,
    kept: Vec<Kept>,
    pub(super) scores: Vec<f32>,
}

impl Network {
    /// One that orders by the first feature alone, the similarity: the states begin with random weights and are not heard.
    pub(super) fn new(form: Form, scale: Scale, seed: u64) -> Self {
        let (width, hidden) = (scale.mean.len(), form.hidden);
        let places = Places::new(&form, width);
        let mut random = Random(seed);
        let mut weights = vec![0.0; places.edges.end];
        let projection: Vec<Part> = vec![("weight", vec![width, hidden])];
        weights[places.projection.clone()].copy_from_slice(&start(&projection, &mut random));
        for (at, (norm, layer)) in places.norms.iter().zip(&places.layers).enumerate() {
            weights[norm.start..norm.start + hidden].fill(1.0);
            weights[layer.clone()].copy_from_slice(&start(&form.layer(at).parts(), &mut random));
        }
        if let (Some(weight), Some(spread)) = (weights.get_mut(places.linear.start), scale.spread.first()) {
            *weight = 10.0 * spread;
        }
        weights[places.edges.clone()].copy_from_slice(&EDGE_START);
        Self { form, scale, places, weights }
    }

    /// Features of a node.
    pub(super) fn width(&self) -> usize {
        self.scale.mean.len()
    }

    /// The tensors of the weights by name, with their shapes, in their order.
    pub(super) fn parts(&self) -> Vec<(String, Vec<usize>)> {
        let (width, hidden) = (self.width(), self.form.hidden);
        let mut parts =
            vec![("projection.weight".to_owned(), vec![width, hidden]), ("projection.bias".to_owned(), vec![hidden])];
        for at in 0..self.form.layers {
            parts.push((format!("layer{at}.norm"), vec![2, hidden]));
            let of_layer = self.form.layer(at).parts();
            parts.extend(of_layer.into_iter().map(|(name, shape)| (format!("layer{at}.{name}"), shape)));
        }
        parts.push(("head.weight".to_owned(), vec![hidden]));
        parts.push(("linear.weight".to_owned(), vec![width]));
        parts.push(("edges.weight".to_owned(), vec![EDGE_WEIGHTS]));
        parts
    }

    /// Weights that are pulled towards 0 in training: not the linear part, as similarity has to stay, nor what edges weigh.
    pub(super) fn is_pulled(&self, weight: usize) -> bool {
        weight < self.places.head.end && !self.places.norms.iter().any(|norm| norm.contains(&weight))
    }

    /// Scores of the candidates, and what led to them. The graph has the width of the network.
    pub(super) fn forward<'g>(&self, graph: &'g Neighbourhood) -> Pass<'g> {
        let (width, hidden) = (self.width(), self.form.hidden);
        let graph = Weighted::new(graph, &self.weights[self.places.edges.clone()]);
        let seen = self.scale.apply(graph.graph.rows());
        let mut state = vec![0.0; graph.graph.nodes() * hidden];
        add_product(&seen, &self.weights[self.places.projection.clone()], width, hidden, &mut state);
        add_bias(&mut state, &self.weights[self.places.projection_bias.clone()]);
        state.iter_mut().for_each(|x| *x = softsign(*x));
        let (mut states, mut inputs, mut kept) = (vec![state], Vec::new(), Vec::new());
        for (at, (norm, layer)) in self.places.norms.iter().zip(&self.places.layers).enumerate() {
            let before = &states[at];
            let (input, normed) = layer_norm(before, &self.weights[norm.clone()], hidden);
            let (mut state, of_layer) = self.form.layer(at).forward(&self.weights[layer.clone()], &graph, &input);
            // Residual (He et al. 2016).
            add_scaled(&mut state, 1.0, before);
            states.push(state);
            inputs.push((input, normed));
            kept.push(of_layer);
        }
        let [head, linear] = [&self.places.head, &self.places.linear].map(|place| &self.weights[place.clone()]);
        let rows = states[self.form.layers].chunks_exact(hidden).zip(seen.chunks_exact(width));
        let scores =
            rows.take(graph.graph.ranked()).map(|(state, seen)| dot(head, state) + dot(linear, seen)).collect();
        Pass { graph, seen, states, inputs, kept, scores }
    }

    /// The loss of one query and its gradient, which is added to `gradient`: that of the order, where something is right, and `auxiliary`
    /// times the contrast of the graph. With `auxiliary` alone where `ranks` is not set.
    pub(super) fn loss(
        &self,
        graph: &Neighbourhood,
        grades: &[f32],
        (ranks, auxiliary): (bool, f32),
        gradient: &mut [f32],
    ) -> f64 {
        let pass = self.forward(graph);
        let hidden = self.form.hidden;
        let of_order = if ranks { listwise(&pass.scores, grades) } else { None };
        let states = &pass.states[self.form.layers];
        let mut of_state = vec![0.0; states.len()];
        let mut loss = 0.0;
        if let Some((of_order, of_scores)) = &of_order {
            loss += of_order;
            let head = &self.weights[self.places.head.clone()];
            let rows = states.chunks_exact(hidden).zip(pass.seen.chunks_exact(self.width()));
            for ((slope, (state, seen)), of_state) in of_scores.iter().zip(rows).zip(of_state.chunks_exact_mut(hidden))
            {
                add_scaled(&mut gradient[self.places.head.clone()], *slope, state);
                add_scaled(&mut gradient[self.places.linear.clone()], *slope, seen);
                add_scaled(of_state, *slope, head);
            }
        }
        if auxiliary > 0.0 {
            loss += contrast(graph, states, hidden, grades, auxiliary, &mut of_state);
        }
        if of_order.is_some() || auxiliary > 0.0 {
            self.backward(&pass, of_state, gradient);
        }
        loss
    }

    /// Adds the gradient of all that is below the last states, told their slopes.
    fn backward(&self, pass: &Pass<'_>, mut of_state: Vec<f32>, gradient: &mut [f32]) {
        let mut of_edges = vec![0.0; pass.graph.weights.len()];
        for at in (0..self.form.layers).rev() {
            let (norm, layer) = (&self.places.norms[at], &self.places.layers[at]);
            let (input, normed) = &pass.inputs[at];
            let mut of_input = vec![0.0; input.len()];
            let slopes = Slopes { weights: &mut gradient[layer.clone()], input: &mut of_input, edges: &mut of_edges };
            let weights = &self.weights[layer.clone()];
            self.form.layer(at).backward(weights, &pass.graph, input, &pass.kept[at], &of_state, slopes);
            let weights = &self.weights[norm.clone()];
            // What came by the residual stays in `of_state`.
            add_norm_slopes(normed, weights, &of_input, &mut gradient[norm.clone()], &mut of_state);
        }
        let of_sum: Vec<f32> =
            of_state.iter().zip(&pass.states[0]).map(|(slope, out)| slope * softsign_slope(*out)).collect();
        add_bias_slopes(&of_sum, &mut gradient[self.places.projection_bias.clone()]);
        let sizes = (self.width(), self.form.hidden);
        let mut unused = vec![0.0; pass.seen.len()];
        let weights = &self.weights[self.places.projection.clone()];
        let of_projection = &mut gradient[self.places.projection.clone()];
        add_product_slopes((&pass.seen, weights), sizes, &of_sum, of_projection, &mut unused);
        pass.graph.add_slopes(&of_edges, &mut gradient[self.places.edges.clone()]);
    }

    /// Attention in a layer, as [`Layer::attention`] has it.
    pub(super) fn attention(&self, graph: &Neighbourhood, layer: usize) -> Option<(Vec<f32>, usize)> {
        let pass = self.forward(graph);
        let (attention, heads) = self.form.layer(layer).attention(pass.kept.get(layer)?)?;
        Some((attention.to_vec(), heads))
    }
}

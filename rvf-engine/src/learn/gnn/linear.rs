//! Products of matrices and layer norms, with their gradients; written so that the compiler turns them into vector instructions, with sums in
//! one order on every machine.
//!
//! Matrices are row-major; one of weights is `[inputs, outputs]`, so that a row of nodes times it adds whole rows of weights.

use super::super::math::dot;

/// Added to variances and squared lengths, so that nothing is divided by 0.
pub(super) const LEAST: f32 = 1e-5;

/// `to += scale * what`.
pub(super) fn add_scaled(to: &mut [f32], scale: f32, what: &[f32]) {
    to.iter_mut().zip(what).for_each(|(to, x)| *to += scale * x);
}

/// Adds `input * weights` to `output`; a row has `inputs` elements before and `outputs` after.
pub(super) fn add_product(input: &[f32], weights: &[f32], inputs: usize, outputs: usize, output: &mut [f32]) {
    for (row, sum) in input.chunks_exact(inputs).zip(output.chunks_exact_mut(outputs)) {
        for (x, weights) in row.iter().zip(weights.chunks_exact(outputs)) {
            add_scaled(sum, *x, weights);
        }
    }
}

/// Adds `bias` to every row.
pub(super) fn add_bias(output: &mut [f32], bias: &[f32]) {
    output.chunks_exact_mut(bias.len()).for_each(|row| add_scaled(row, 1.0, bias));
}

/// The slopes of a product, told those of its output: adds those of the weights to `of_weights` and those of the input to `of_input`.
pub(super) fn add_product_slopes(
    (input, weights): (&[f32], &[f32]),
    (inputs, outputs): (usize, usize),
    slopes: &[f32],
    of_weights: &mut [f32],
    of_input: &mut [f32],
) {
    let rows = input.chunks_exact(inputs).zip(of_input.chunks_exact_mut(inputs));
    for ((row, of_row), slopes) in rows.zip(slopes.chunks_exact(outputs)) {
        let weights = weights.chunks_exact(outputs).zip(of_weights.chunks_exact_mut(outputs));
        for ((x, of_x), (weights, of_weights)) in row.iter().zip(of_row).zip(weights) {
            *of_x += dot(weights, slopes);
            add_scaled(of_weights, *x, slopes);
        }
    }
}

/// The slopes of a bias: the sum over rows.
pub(super) fn add_bias_slopes(slopes: &[f32], of_bias: &mut [f32]) {
    slopes.chunks_exact(of_bias.len()).for_each(|row| add_scaled(of_bias, 1.0, row));
}

/// Rows of mean 0 and variance 1, and by what each was divided.
#[derive(Debug, Default)]
pub(super) struct Normed {
    rows: Vec<f32>,
    spreads: Vec<f32>,
}

/// Layer norm (Ba et al. 2016, section 3): each row brought to mean 0 and variance 1, then scaled and moved. `weights` are the gains, then
/// the biases.
pub(super) fn layer_norm(input: &[f32], weights: &[f32], width: usize) -> (Vec<f32>, Normed) {
    let (gains, biases) = weights.split_at(width);
    let mut normed = Normed { rows: input.to_vec(), spreads: Vec::with_capacity(input.len() / width) };
    let mut output = vec![0.0; input.len()];
    for (row, out) in normed.rows.chunks_exact_mut(width).zip(output.chunks_exact_mut(width)) {
        let mean = row.iter().sum::<f32>() / width as f32;
        row.iter_mut().for_each(|x| *x -= mean);
        let spread = (dot(row, row) / width as f32 + LEAST).sqrt();
        row.iter_mut().for_each(|x| *x /= spread);
        normed.spreads.push(spread);
        for (((out, x), gain), bias) in out.iter_mut().zip(row.iter()).zip(gains).zip(biases) {
            *out = gain * x + bias;
        }
    }
    (output, normed)
}

/// The slopes of a layer norm: adds those of gains and biases to `of_weights` and those of the input to `of_input`.
pub(super) fn add_norm_slopes(
    normed: &Normed,
    weights: &[f32],
    slopes: &[f32],
    of_weights: &mut [f32],
    of_input: &mut [f32],
) {
    let width = weights.len() / 2;
    let (of_gains, of_biases) = of_weights.split_at_mut(width);
    let rows = normed.rows.chunks_exact(width).zip(&normed.spreads);
    let mut inner = vec![0.0; width];
    for (((row, spread), slopes), of_input) in
        rows.zip(slopes.chunks_exact(width)).zip(of_input.chunks_exact_mut(width))
    {
        for at in 0..width {
            of_gains[at] += slopes[at] * row[at];
            of_biases[at] += slopes[at];
            inner[at] = slopes[at] * weights[at];
        }
        let mean = inner.iter().sum::<f32>() / width as f32;
        let along = dot(&inner, row) / width as f32;
        for at in 0..width {
            of_input[at] += (inner[at] - mean - along * row[at]) / spread;
        }
    }
}

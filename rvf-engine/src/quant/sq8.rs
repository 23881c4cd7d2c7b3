//! [`Sq8`]: scalar quantisation to signed bytes, one step for all components (`spec/payloads.md`, QUANT).
//!
//! ```text
//! x' = x              l2, dot         code_i = clamp(round((x'_i - offset_i) / step), -127, 127)
//! x' = x / |x|        cosine          offset_i = mean of component i for l2, else 0
//! ```
//! Inner products of codes are proportional to those of x', squared distances of codes to those of x. The step is the one
//! with the smallest mean relative error of a row over a sample, so that a few large components do not blur all the others.

use super::{CodeQuery, MOST, inverse_norm, means, relative_error};
use crate::kernel::{KernelError, Op, Query, rounded};

/// Rows of the sample that steps are tried on.
const TRIED_ROWS: usize = 512;
/// Steps that are tried: each half an octave finer than the one before.
const TRIED_STEPS: usize = 16;

/// How rows become codes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sq8 {
    /// The metric's operation on rows.
    op: Op,
    pub(crate) step: f32,
    /// One a component; empty if all are 0.
    pub(crate) offsets: Vec<f32>,
    dimension: usize,
    stride: usize,
}

impl Sq8 {
    /// Bytes of a code: whole cache lines where that costs little.
    pub(crate) fn stride_for(dimension: usize) -> usize {
        dimension.next_multiple_of(if dimension < 192 { 16 } else { 64 })
    }

    /// Learns from a sample of rows: finite, of `dimension` components, not empty.
    pub(crate) fn train(op: Op, dimension: usize, sample: &[Vec<f32>]) -> Self {
        let stride = Self::stride_for(dimension);
        let mut sq8 = Self { op, step: 1.0, offsets: Vec::new(), dimension, stride };
        if op == Op::L2 {
            sq8.offsets = means(dimension, sample);
        }
        let tried: Vec<Vec<f32>> = sample
            .iter()
            .step_by(sample.len().div_ceil(TRIED_ROWS).max(1))
            .map(|row| sq8.shifted(row).collect())
            .collect();
        let largest = tried.iter().flatten().fold(0f32, |most, value| most.max(value.abs()));
        // By multiplication: powers from a mathematics library may differ between machines.
        let finer = |step: &f32| Some(step * std::f32::consts::FRAC_1_SQRT_2);
        let steps = std::iter::successors(Some(largest / MOST), finer).take(TRIED_STEPS);
        let usable = steps.filter(|step| step.is_normal());
        let errors = usable.map(|step| {
            (tried.iter().map(|row| relative_error(row, step, |value| f32::from(rounded(value)))).sum::<f64>(), step)
        });
        sq8.step = errors.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(1.0, |(_, step)| step);
        sq8
    }

    /// The codes of a file.
    pub(crate) fn from_parts(op: Op, dimension: usize, stride: usize, step: f32, offsets: Vec<f32>) -> Self {
        Self { op, step, offsets, dimension, stride }
    }

    /// The operation on codes.
    pub(crate) fn code_op(&self) -> Op {
        super::code_op(self.op)
    }

    /// Bytes from code to code.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// x' - offset, component by component.
    fn shifted<'r>(&'r self, row: &'r [f32]) -> impl Iterator<Item = f32> + 'r {
        let factor = if self.op == Op::Cosine { inverse_norm(row) } else { 1.0 };
        let offsets = self.offsets.iter().copied().chain(std::iter::repeat(0.0));
        row.iter().zip(offsets).map(move |(value, offset)| (f64::from(*value) * factor) as f32 - offset)
    }

    /// Writes the code of `row` to `code`, of `stride` bytes.
    pub(crate) fn encode(&self, row: &[f32], code: &mut [i8]) {
        let norm = if self.op == Op::Cosine { inverse_norm(row) } else { 1.0 };
        let scale = norm / f64::from(self.step);
        let (used, padding) = code.split_at_mut(self.dimension.min(code.len()));
        padding.fill(0);
        let fast = scale as f32;
        if !self.offsets.is_empty() {
            let pairs = row.iter().zip(&self.offsets);
            used.iter_mut().zip(pairs).for_each(|(to, (value, offset))| *to = rounded((*value - *offset) * fast));
        } else if fast < f32::MAX / MOST {
            used.iter_mut().zip(row).for_each(|(to, value)| *to = rounded(*value * fast));
        } else {
            // Rows so short that their inverse norm is beyond f32.
            used.iter_mut().zip(row).for_each(|(to, value)| *to = rounded((f64::from(*value) * scale) as f32));
        }
    }

    /// Prepares a query: for inner products at a scale of its own, for squared distances at that of the codes.
    ///
    /// # Errors
    /// [`KernelError`] for a query beyond the range of the arithmetic.
    pub(crate) fn query(&self, query: &[f32]) -> Result<CodeQuery, KernelError> {
        let shifted: Vec<f32> = self.shifted(query).collect();
        let largest = shifted.iter().fold(0f32, |most, value| most.max(value.abs()));
        let step = if self.op == Op::L2 { self.step } else { largest / MOST };
        if step.is_normal() && largest <= step * (MOST + 0.5) {
            let mut code = vec![0i8; self.stride];
            code.iter_mut().zip(&shifted).for_each(|(to, value)| *to = rounded(value / step));
            return Query::new(self.code_op(), &code).map(CodeQuery::Code);
        }
        let mut floats = vec![0f32; self.stride];
        let unit = |value: f32| (value / self.step).clamp(f32::MIN, f32::MAX);
        floats.iter_mut().zip(shifted).for_each(|(to, value)| *to = unit(value));
        Query::new(self.code_op(), &floats).map(CodeQuery::Floats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kernels;

    fn rows(count: usize, dimension: usize) -> Vec<Vec<f32>> {
        let value = |at: usize| ((at * 7919 % 1000) as f32 - 500.0) / 400.0;
        (0..count).map(|row| (0..dimension).map(|i| value(row * dimension + i) + i as f32 / 50.0).collect()).collect()
    }

    fn distances(sq8: &Sq8, query: &[f32], rows: &[Vec<f32>]) -> Vec<f32> {
        let mut codes = vec![0i8; rows.len() * sq8.stride()];
        for (row, code) in rows.iter().zip(codes.chunks_mut(sq8.stride())) {
            sq8.encode(row, code);
        }
        let mut out = vec![0f32; rows.len()];
        match sq8.query(query).unwrap() {
            CodeQuery::Code(query) => Kernels::detect().distances(&query, &codes, &mut out).unwrap(),
            CodeQuery::Floats(query) => Kernels::detect().distances(&query, &codes, &mut out).unwrap(),
            CodeQuery::Nibbles(_) => unreachable!(),
        }
        out
    }

    fn order(distances: &[f32]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..distances.len()).collect();
        order.sort_by(|a, b| distances[*a].total_cmp(&distances[*b]));
        order
    }

    #[test]
    fn codes_keep_who_is_near() {
        for op in Op::ALL {
            let rows = rows(200, 48);
            let sq8 = Sq8::train(op, 48, &rows);
            let truth: Vec<f32> =
                rows.iter().map(|row| crate::kernel::exact_distance(op, &rows[0], row).unwrap() as f32).collect();
            let (near, coded) = (order(&truth), order(&distances(&sq8, &rows[0], &rows)));
            let met = near[..10].iter().filter(|row| coded[..20].contains(row)).count();
            assert!(met >= 9, "{op:?}: {met} of 10");
        }
    }

    #[test]
    fn one_huge_component_does_not_blur_the_others() {
        let mut rows = rows(200, 48);
        rows[3][5] = 1e30;
        let sq8 = Sq8::train(Op::L2, 48, &rows);
        assert!(sq8.step < 1e29, "{}", sq8.step);
    }

    #[test]
    fn a_query_far_outside_is_measured_in_floats() {
        let rows = rows(50, 8);
        let sq8 = Sq8::train(Op::L2, 8, &rows);
        let far = vec![1e6f32; 8];
        assert!(matches!(sq8.query(&far), Ok(CodeQuery::Floats(_))));
        assert!(matches!(sq8.query(&rows[7]), Ok(CodeQuery::Code(_))));
        let truth: Vec<f32> =
            rows.iter().map(|row| crate::kernel::exact_distance(Op::L2, &far, row).unwrap() as f32).collect();
        let (near, coded) = (order(&truth), order(&distances(&sq8, &far, &rows)));
        assert!(coded[..3].contains(&near[0]));
    }

    #[test]
    fn the_shortest_rows_have_codes_like_their_directions() {
        let rows = rows(50, 8);
        let sq8 = Sq8::train(Op::Cosine, 8, &rows);
        let code = |row: &[f32]| {
            let mut code = vec![0; sq8.stride()];
            sq8.encode(row, &mut code);
            code
        };
        let row = [1.0, -0.5, 0.25, 0.0, 0.125, 1.0, 1.0, -1.0];
        let tiny = f32::from_bits(1);
        assert_eq!(code(&row.map(|value| value * 8.0 * tiny)), code(&row));
        assert_eq!(code(&row.map(|value| value * 1e-36)), code(&row));
        assert_eq!(code(&row.map(|value| value * 1e38)), code(&row));
    }

    #[test]
    fn rounding_is_to_even_and_cut() {
        assert_eq!([0.5, 1.5, -0.5, -2.5, 126.6, 1e9, -1e9].map(rounded), [0, 2, 0, -2, 127, 127, -127]);
    }
}

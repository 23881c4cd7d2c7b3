//! [`Sq4`]: scalar quantisation of a [`Projection`] to four bits a component, one step for all (`spec/payloads.md`, QUANT).
//!
//! ```text
//! code_i = clamp(floor(y_i / step) + 8, 0, 15), which stands for (code_i - 7.5) x step
//! byte i of B: component i in the low four bits, component B + i in the high four
//! ```

use super::projection::Projection;
use super::{code_op, relative_error};
use crate::kernel::{KernelError, Kernels, NibbleQuery, Op, rounded};

/// Rows of the sample that steps are tried on.
const TRIED_ROWS: usize = 512;
/// Steps that are tried: each a quarter octave finer than the one before.
const TRIED_STEPS: usize = 32;
const QUARTER_OCTAVE: f32 = 0.840_896_4;
/// The largest magnitude of a code of four bits and one of a signed byte, in steps.
const MOST: f32 = 7.5;
const FINE_MOST: f32 = 127.0;

/// How rows become codes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sq4<'a> {
    pub(crate) projection: Projection<'a>,
    pub(crate) step: f32,
}

impl Sq4<'_> {
    /// Learns the step from a sample of rows: finite, not empty.
    ///
    /// # Errors
    /// [`KernelError`] for rows beyond the range of the arithmetic.
    pub(crate) fn train<'p>(
        kernels: Kernels,
        projection: Projection<'p>,
        sample: &[Vec<f32>],
    ) -> Result<Sq4<'p>, KernelError> {
        let mut sq4 = Sq4 { projection, step: 1.0 };
        let tried = sq4.projected(kernels, sample)?;
        sq4.step = best_step(&tried, MOST, |value| (value.floor() + 0.5).clamp(-MOST, MOST));
        Ok(sq4)
    }

    /// The operation on codes.
    pub(crate) fn code_op(&self) -> Op {
        code_op(self.projection.op)
    }

    /// Bytes of a code.
    pub(crate) fn stride(&self) -> usize {
        self.projection.outputs / 2
    }

    /// A step for the same components in signed bytes: what graphs are built by.
    pub(crate) fn fine_step(&self, kernels: Kernels, sample: &[Vec<f32>]) -> Result<f32, KernelError> {
        Ok(best_step(&self.projected(kernels, sample)?, FINE_MOST, |value| f32::from(rounded(value))))
    }

    /// The projected components of a row.
    ///
    /// # Errors
    /// [`KernelError`] for a row that is not finite, or beyond the range of the arithmetic.
    pub(crate) fn components(&self, kernels: Kernels, row: &[f32]) -> Result<Vec<f32>, KernelError> {
        let mut components = vec![0f32; self.projection.outputs];
        self.projection.apply(kernels, row, &mut components)?;
        Ok(components)
    }

    /// A component as a signed byte.
    pub(crate) fn fine(component: f32, step: f32) -> i8 {
        rounded(component / step)
    }

    fn projected(&self, kernels: Kernels, sample: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, KernelError> {
        let tried = sample.iter().step_by(sample.len().div_ceil(TRIED_ROWS).max(1));
        tried.map(|row| self.components(kernels, row)).collect()
    }

    /// Prepares a query.
    ///
    /// # Errors
    /// [`KernelError`] for a query beyond the range of the arithmetic.
    pub(crate) fn query(&self, kernels: Kernels, query: &[f32]) -> Result<NibbleQuery, KernelError> {
        NibbleQuery::new(self.code_op(), &self.components(kernels, query)?, self.step)
    }

    /// Writes the code of projected components.
    pub(crate) fn encode(&self, components: &[f32], code: &mut [u8]) {
        let (low, high) = components.split_at(code.len().min(components.len()));
        let inverse = 1.0 / self.step;
        for (to, (low, high)) in code.iter_mut().zip(low.iter().zip(high)) {
            *to = nibble(low * inverse) | nibble(high * inverse) << 4;
        }
    }
}

fn nibble(units: f32) -> u8 {
    (units.floor() + 8.0).clamp(0.0, 15.0) as u8
}

/// The step with the smallest mean relative error of a row, that of codes made by `code` in units of it.
fn best_step(rows: &[Vec<f32>], most: f32, code: impl Fn(f32) -> f32 + Copy) -> f32 {
    let largest = rows.iter().flatten().fold(0f32, |most, value| most.max(value.abs()));
    // By multiplication: powers from a mathematics library may differ between machines.
    let finer = |step: &f32| Some(step * QUARTER_OCTAVE);
    let steps = std::iter::successors(Some(largest / most), finer).take(TRIED_STEPS).filter(|step| step.is_normal());
    let errors = steps.map(|step| (rows.iter().map(|row| relative_error(row, step, code)).sum::<f64>(), step));
    errors.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(1.0, |(_, step)| step)
}

#[cfg(test)]
mod tests {
    use super::super::projection::Trained;
    use super::*;
    use crate::random::Random;

    /// Rows whose components depend on `rank` numbers, around a centre.
    fn rows(count: usize, dimension: usize, rank: usize) -> Vec<Vec<f32>> {
        let mut random = Random(7);
        let mut even = move || random.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0;
        let directions: Vec<Vec<f32>> = (0..rank).map(|_| (0..dimension).map(|_| even()).collect()).collect();
        let row = |_| {
            let weights: Vec<f32> = directions.iter().map(|_| even()).collect();
            let sum = |at: usize| weights.iter().zip(&directions).map(|(weight, d)| weight * d[at]).sum::<f32>();
            (0..dimension).map(|at| sum(at) + at as f32 / 100.0).collect()
        };
        (0..count).map(row).collect()
    }

    fn trained(kernels: Kernels, op: Op, stride: usize, rows: &[Vec<f32>]) -> Sq4<'static> {
        let dimension = rows[0].len();
        let kept = if 2 * stride < dimension { 2 * stride } else { 0 };
        let trained = Trained::new(kernels, op, dimension, kept, rows).unwrap();
        Sq4::train(kernels, trained.projection(2 * stride), rows).unwrap()
    }

    fn order(distances: &[f32]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..distances.len()).collect();
        order.sort_by(|a, b| distances[*a].total_cmp(&distances[*b]));
        order
    }

    /// How many of the 10 nearest are among the 20 nearest by code, on average.
    fn met(op: Op, stride: usize, rows: &[Vec<f32>]) -> f64 {
        let kernels = Kernels::detect();
        let sq4 = trained(kernels, op, stride, rows);
        let mut codes = vec![0u8; rows.len() * stride];
        for (row, code) in rows.iter().zip(codes.chunks_mut(stride)) {
            sq4.encode(&sq4.components(kernels, row).unwrap(), code);
        }
        let mut met = 0;
        for query in rows.iter().step_by(10) {
            let truth: Vec<f32> =
                rows.iter().map(|row| crate::kernel::exact_distance(op, query, row).unwrap() as f32).collect();
            let mut coded = vec![0f32; rows.len()];
            kernels.distances(&sq4.query(kernels, query).unwrap(), &codes, &mut coded).unwrap();
            let (near, coded) = (order(&truth), order(&coded));
            met += near[..10].iter().filter(|row| coded[..20].contains(row)).count();
        }
        met as f64 / rows.len().div_ceil(10) as f64
    }

    #[test]
    fn codes_keep_who_is_near() {
        for op in Op::ALL {
            for (dimension, rank, stride) in [(96, 20, 48), (96, 20, 16), (150, 30, 32)] {
                let met = met(op, stride, &rows(300, dimension, rank));
                assert!(met >= 9.5, "{op:?} {dimension} {stride}: {met} of 10");
            }
        }
        // Too few dimensions kept: this test can fail.
        assert!(met(Op::L2, 2, &rows(300, 96, 20)) < 7.0);
    }

    #[test]
    fn rows_with_an_outlier_are_projected_as_they_are() {
        let kernels = Kernels::detect();
        let mut rows = rows(300, 96, 20);
        let sq4 = trained(kernels, Op::L2, 48, &rows);
        let before = sq4.components(kernels, &rows[0]).unwrap();
        rows[0][5] += 1e4;
        let after = sq4.components(kernels, &rows[0]).unwrap();
        // What the outlier adds is its column of the map.
        for (at, (before, after)) in before.iter().zip(after).enumerate() {
            let added = 1e4 * f32::from(sq4.projection.map[at * 96 + 5]);
            let scale = before.abs() + added.abs() + 127.0;
            assert!((after - before - added).abs() <= 0.02 * scale, "{at}: {before} + {added} gave {after}");
        }
        let (tiny, huge) = (vec![f32::from_bits(1); 96], vec![f32::MAX; 96]);
        for row in [tiny, huge, vec![0.0; 96]] {
            assert!(sq4.components(kernels, &row).unwrap().iter().all(|value| value.is_finite()));
        }
        let far = Projection { offsets: vec![-f32::MAX; 96].into(), ..sq4.projection.clone() };
        let far = Sq4 { projection: far, step: f32::from_bits(1) };
        assert!(far.query(kernels, &[f32::MAX; 96]).is_ok(), "a query as far from its rows as can be");
        assert!(sq4.components(kernels, &[f32::NAN; 96]).is_err());
    }

    #[test]
    fn training_is_the_same_at_every_level() {
        let rows = rows(200, 70, 10);
        let train = |level| {
            let kernels = Kernels::with_level(level).unwrap();
            trained(kernels, Op::Cosine, 16, &rows)
        };
        let levels = Kernels::available();
        for level in &levels {
            assert_eq!(train(*level), train(levels[0]), "{level:?}");
        }
    }
}

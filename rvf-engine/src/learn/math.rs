//! Sums and exponentials that are the same to the last bit on every machine: the same feedback gives the same weights everywhere.

/// Lanes of a sum, added up in a fixed order.
const LANES: usize = 16;

/// The inner product of two vectors of one length.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

/// Scales a vector to length 1; one of length 0 stays.
pub fn normalise(vector: &mut [f32]) {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 && length.is_finite() {
        vector.iter_mut().for_each(|x| *x /= length);
    }
}

/// e to the power of `x`, for `x` of 0 and below: within 1e-7 of it relatively, 0 below -87.
///
/// The exponent is split into a power of two and a rest of at most ln 2 / 2, whose series is summed to the seventh term.
pub(super) fn exp(x: f32) -> f32 {
    let x = f64::from(x.min(0.0));
    if x < -87.0 {
        return 0.0;
    }
    let whole = (x / std::f64::consts::LN_2).round();
    let rest = x - whole * std::f64::consts::LN_2;
    let series = (1..=9).rev().fold(1.0, |sum, term| 1.0 + sum * rest / f64::from(term));
    let power = f64::from_bits(((1023 + whole as i64) as u64) << 52);
    (series * power) as f32
}

/// The natural logarithm of `x` above 0, within 1e-12 of it; that of what is not is 0's: negative infinity. Subnormal numbers count as the
/// least normal one.
///
/// `x` is split into a power of two and a rest from 1/sqrt 2 to sqrt 2, whose logarithm is the series of 2 artanh((rest - 1) / (rest + 1)).
pub(super) fn ln(x: f64) -> f64 {
    if !(x > 0.0 && x.is_finite()) {
        return if x > 0.0 { x } else { f64::NEG_INFINITY };
    }
    let bits = x.max(f64::MIN_POSITIVE).to_bits();
    let mut power = (bits >> 52) as i64 - 1023;
    let mut rest = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    if rest > std::f64::consts::SQRT_2 {
        (rest, power) = (rest / 2.0, power + 1);
    }
    let small = (rest - 1.0) / (rest + 1.0);
    let square = small * small;
    let series = (0..10).rev().fold(0.0, |sum, term| sum * square + 1.0 / f64::from(2 * term + 1));
    power as f64 * std::f64::consts::LN_2 + 2.0 * small * series
}

/// x / (1 + |x|): a sigmoid of basic operations (Bergstra et al. 2009).
pub(super) fn softsign(x: f32) -> f32 {
    x / (1.0 + x.abs())
}

/// Its derivative at `x`, told by its value there.
pub(super) fn softsign_slope(value: f32) -> f32 {
    let rest = 1.0 - value.abs();
    rest * rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_right() {
        for step in 0..2000 {
            let x = step as f32 * -0.0437;
            let right = f64::from(x).exp();
            let found = f64::from(exp(x));
            assert!((found - right).abs() <= right * 2e-7 + 2e-38, "{x}: {found} {right}");
        }
        assert_eq!((exp(0.0), exp(5.0), exp(f32::NEG_INFINITY), exp(-1000.0)), (1.0, 1.0, 0.0, 0.0));
    }

    /// Catches a wrong power of two and a series that is cut too early.
    #[test]
    fn logarithms_are_right() {
        for step in 1..4000 {
            for x in [f64::from(step) * 0.001, f64::from(step) * 1e9, 1e-9 / f64::from(step)] {
                assert!((ln(x) - x.ln()).abs() <= 1e-12 * x.ln().abs().max(1.0), "{x}: {} {}", ln(x), x.ln());
            }
        }
        assert_eq!((ln(1.0), ln(0.0), ln(-1.0)), (0.0, f64::NEG_INFINITY, f64::NEG_INFINITY));
        assert!(ln(f64::NAN) == f64::NEG_INFINITY && ln(f64::INFINITY) == f64::INFINITY && ln(1e-310) < -700.0);
    }

    #[test]
    fn sums_take_every_element() {
        for length in [0, 1, 15, 16, 17, 384, 385] {
            let a: Vec<f32> = (0..length).map(|at| (at % 7) as f32).collect();
            let b: Vec<f32> = (0..length).map(|at| (at % 5) as f32 - 2.0).collect();
            let right: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert_eq!(dot(&a, &b), right, "{length}");
        }
        let mut zero = [0.0; 3];
        normalise(&mut zero);
        assert_eq!(zero, [0.0; 3]);
    }

    #[test]
    fn slopes_are_those_of_finite_differences() {
        for x in [-3.0f32, -0.5, 0.25, 2.0] {
            let by_difference = (softsign(x + 1e-3) - softsign(x - 1e-3)) / 2e-3;
            assert!((softsign_slope(softsign(x)) - by_difference).abs() < 1e-3, "{x}");
        }
    }
}

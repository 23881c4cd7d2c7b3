//! The regularised incomplete beta function, from basic operations only: the same on every machine.

use super::super::math::ln;

/// Steps of the continued fraction: of parameters up to 10^6 it needs some 1,000.
const STEPS: usize = 5000;
/// What a step may still change.
const EXACT: f64 = 1e-14;

/// The chance that a number of the beta distribution of `a` and `b` is at most `x`. Parameters are above 0 and at most some 10^6; of others,
/// and of NaN, the answer is NaN.
pub(super) fn beta_below(x: f64, a: f64, b: f64) -> f64 {
    if !(a > 0.0 && b > 0.0) {
        return f64::NAN;
    }
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // The fraction converges fast on this side of the mean; the other one is its mirror image.
    let found = if x < (a + 1.0) / (a + b + 2.0) { tail(x, a, b) } else { 1.0 - tail(1.0 - x, b, a) };
    found.clamp(0.0, 1.0)
}

/// x^a (1-x)^b / (a B(a, b)) times the continued fraction 1/(1 + d1/(1 + d2/(1 + ..))) (DLMF 8.17.22):
/// d(2m+1) = -(a+m)(a+b+m) x / ((a+2m)(a+2m+1)), d(2m) = m(b-m) x / ((a+2m-1)(a+2m)).
///
/// It is computed from the front by the ratios of successive numerators and denominators (Lentz; Thompson and Barnett 1986).
fn tail(x: f64, a: f64, b: f64) -> f64 {
    // Stands for 0 in a denominator.
    let apart = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    // After the first step, whose numerator and denominator are 1 over nothing.
    let (mut upper, mut lower, mut value) = (1e300, 1.0, 1.0);
    for step in 1..STEPS {
        let m = (step / 2) as f64;
        let d = if step % 2 == 1 {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        } else {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        };
        lower = 1.0 / apart(1.0 + d * lower);
        upper = apart(1.0 + d / upper);
        value *= upper * lower;
        if (upper * lower - 1.0).abs() < EXACT {
            break;
        }
    }
    let front = a * ln(x) + b * ln(1.0 - x) + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    exp(front) / a * value
}

/// The logarithm of the gamma function, for `x` above 0: Stirling's series above 16, which smaller ones are lifted to by G(x+1) = x G(x).
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < 16.0 {
        product *= x;
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series = 1.0 / 12.0 - y * (1.0 / 360.0 - y * (1.0 / 1260.0 - y * (1.0 / 1680.0 - y / 1188.0)));
    let half_of_two_pi = 0.918_938_533_204_672_7;
    (x - 0.5) * ln(x) - x + half_of_two_pi + series / x - ln(product)
}

/// e to the power of `x`, to the last digits of binary64: a power of two and a series of 14 terms. 0 below -700; above 700 it is that of 700.
fn exp(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    // Unlike `min`, this keeps NaN.
    let x = x.clamp(-700.0, 700.0);
    let whole = (x / std::f64::consts::LN_2).round();
    let rest = x - whole * std::f64::consts::LN_2;
    let series = (1..=14).rev().fold(1.0, |sum, term| 1.0 + sum * rest / f64::from(term));
    series * f64::from_bits(((1023 + whole as i64) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gammas_are_factorials_and_halves_of_pi() {
        let mut factorial = 0f64;
        for n in 1..170 {
            assert!((ln_gamma(f64::from(n)) - factorial).abs() <= 1e-12 * factorial.max(1.0), "{n}");
            factorial += f64::from(n).ln();
        }
        assert!((ln_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 1e-13);
        for step in -2000..=400 {
            let x = f64::from(step) * 0.1731;
            assert!((exp(x) - x.exp()).abs() <= 1e-13 * x.exp(), "{x}");
        }
        assert!(exp(-1e4) == 0.0 && exp(1e4).is_finite() && exp(f64::NAN).is_nan());
    }

    /// Of whole parameters it is a sum of binomials: the chance of at least `a` hits in a+b-1 throws.
    #[test]
    fn of_whole_parameters_it_is_a_sum_of_binomials() {
        for (a, b) in [(1, 1), (1, 7), (7, 1), (3, 4), (20, 2), (2, 20), (30, 30)] {
            for x in [0.001, 0.1, 0.3, 0.5, 0.9, 0.95, 0.999f64] {
                let n = a + b - 1;
                let choose = |k: i32| (0..k).fold(1.0, |product, i| product * f64::from(n - i) / f64::from(i + 1));
                let right: f64 = (a..=n).map(|k| choose(k) * x.powi(k) * (1.0 - x).powi(n - k)).sum();
                let found = beta_below(x, f64::from(a), f64::from(b));
                assert!((found - right).abs() < 1e-12, "{a} {b} {x}: {found} {right}");
            }
        }
        assert_eq!((beta_below(0.0, 2.0, 3.0), beta_below(1.0, 2.0, 3.0), beta_below(-1.0, 2.0, 3.0)), (0.0, 1.0, 0.0));
        for (x, a, b) in [(f64::NAN, 2.0, 3.0), (0.5, f64::NAN, 1.0), (0.5, -1e300, 1.0), (0.5, 1.0, 0.0)] {
            assert!(beta_below(x, a, b).is_nan(), "{x} {a} {b}");
        }
    }

    /// The area below the density up to `x` over that of all of it, by Simpson's rule.
    fn by_area(x: f64, a: f64, b: f64) -> f64 {
        let mode = (a - 1.0) / (a + b - 2.0);
        let at = |t: f64| {
            if t <= 0.0 || t >= 1.0 {
                return 0.0;
            }
            ((a - 1.0) * (t / mode).ln() + (b - 1.0) * ((1.0 - t) / (1.0 - mode)).ln()).exp()
        };
        let area = |from: f64, to: f64| {
            let width = (to - from) / 20_000.0;
            let weight = |i: i32| if i == 0 || i == 20_000 { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
            (0..=20_000).map(|i| weight(i) * at(from + f64::from(i) * width)).sum::<f64>() * width / 3.0
        };
        area(0.0, x) / (area(0.0, x) + area(x, 1.0))
    }

    #[test]
    fn it_is_the_area_below_the_density() {
        for (a, b) in [(3.7, 2.9), (57.3, 4.2), (950.5, 50.5), (9500.0, 500.0), (95_000.0, 5000.0)] {
            for x in [0.5, 0.9, 0.94, 0.9495, 0.95, 0.951, 0.96, 0.99] {
                let (found, right) = (beta_below(x, a, b), by_area(x, a, b));
                assert!((found - right).abs() < 1e-7, "{a} {b} {x}: {found} {right}");
            }
        }
    }
}

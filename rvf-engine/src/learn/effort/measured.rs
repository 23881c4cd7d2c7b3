//! [`Measured`]: a model of costs, corrected by what was measured; one correction for each kind of operator.

use super::cost::{CostModel, Work};

/// Kinds of operators that are told apart; those of a larger number cost what the prior model says.
pub const MOST_KINDS: usize = 16;

/// What a correction is made of: a factor for what an operator costs without work, and one for each kind of work.
pub const PARTS: usize = Work::KINDS + 1;

/// A triangular matrix, row by row.
const TRIANGLE: usize = PARTS * (PARTS + 1) / 2;
/// How much of what was known is left after the next sample: the last 100 count.
const KEEP: f64 = 0.99;
/// What is known of each factor before anything was measured, in samples; it never gets less.
const KNOWN: f64 = 0.1;
/// The answer is that of the prior model times this, at least and at most.
const LEAST: f64 = 0.25;
const MOST: f64 = 4.0;
/// A sample of more than this many times what was foretold counts as this many times: the machine was doing something else.
const OUTLIER: f64 = 8.0;
/// Most that a factor may be: a part of the work may be priced wrong by more than the whole.
const MOST_FACTOR: f64 = 16.0;
/// First number of a state.
const VERSION: f32 = 1.0;

/// A model of costs that learns from measurements, by recursive least squares with forgetting.
///
/// ```text
/// prices   p_0 = prior(no work),  p_i = prior(part i alone) - p_0          P = sum of p
/// foretold     = sum of t_i p_i, held to [P / 4, 4 P]                       t: factors, all 1 at first
/// a sample:  x = p / P,  y = ns / P
///            R <- 0.99 R + 0.01 R0 + x x'          R0 = 0.1 I
///            t <- t + R^-1 x (y - t x),   each held to [0, 16]
/// ```
/// 1. Features are shares of what the prior model says, so factors are near 1 whatever the scale, and errors count relatively, as those of
///    clocks do.
/// 2. It is R that is kept, the inverse of the usual covariance: as half a matrix, it cannot lose its symmetry; and as it never falls below
///    R0, the covariance never grows beyond 10 a factor, not even where all queries are alike for years (the "wind-up" of plain forgetting;
///    Kulhavý 1987 keeps it off in this way). What was learned of work that no longer comes by stays as it is.
/// 3. No factor is negative, and both bounds of the answer grow with the work: more work never costs less.
///
/// The prior has to add up its parts, as [`super::Cycles`] and [`super::MemoryBound`] do.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured<P> {
    prior: P,
    fits: [Fit; MOST_KINDS],
}

impl<P: CostModel> Measured<P> {
    /// One that has measured nothing: it says what `prior` says.
    pub fn new(prior: P) -> Self {
        Self { prior, fits: [Fit::new(); MOST_KINDS] }
    }

    /// What it corrects.
    pub fn prior(&self) -> &P {
        &self.prior
    }

    /// Takes a measurement. One that is not above 0, or not finite, is passed over.
    pub fn observe(&mut self, operator: usize, work: &Work, ns: f64) {
        let prices = self.prices(operator, work);
        let Some(fit) = self.fits.get_mut(operator) else { return };
        let total: f64 = prices.iter().sum();
        if ns > 0.0 && ns.is_finite() && total > 0.0 && total.is_finite() {
            let most = OUTLIER * fit.foretell(&prices);
            fit.learn(&prices.map(|price| price / total), ns.min(most) / total);
        }
    }

    /// By what an operator's costs are multiplied: that of no work, then those of each kind, in the order of [`Work`].
    pub fn factors(&self, operator: usize) -> [f64; PARTS] {
        self.fits.get(operator).map_or([1.0; PARTS], |fit| fit.factors)
    }

    /// What was learned, without the prior.
    pub fn to_state(&self) -> Vec<f32> {
        let mut state = vec![VERSION];
        for fit in &self.fits {
            state.extend(fit.factors.iter().chain(&fit.known).map(|x| *x as f32));
        }
        state
    }

    /// One from what was learned over the same prior; `None` where that is no such state.
    pub fn from_state(prior: P, state: &[f32]) -> Option<Self> {
        let (version, rest) = state.split_first()?;
        let (kinds, none) = rest.as_chunks::<{ PARTS + TRIANGLE }>();
        if *version != VERSION || kinds.len() != MOST_KINDS || !none.is_empty() {
            return None;
        }
        let mut all = Self::new(prior);
        for (fit, numbers) in all.fits.iter_mut().zip(kinds) {
            *fit = Fit::from_state(numbers)?;
        }
        Some(all)
    }

    /// What the prior says to each part.
    fn prices(&self, operator: usize, work: &Work) -> [f64; PARTS] {
        let start = self.prior.cost(operator, &Work::default());
        let mut prices = [start; PARTS];
        for (price, part) in prices.iter_mut().skip(1).zip(work.split()) {
            *price = (self.prior.cost(operator, &part) - start).max(0.0);
        }
        prices
    }
}

impl<P: CostModel> CostModel for Measured<P> {
    fn cost(&self, operator: usize, work: &Work) -> f64 {
        match self.fits.get(operator) {
            Some(fit) => fit.foretell(&self.prices(operator, work)),
            None => self.prior.cost(operator, work),
        }
    }

    fn overhead(&self) -> f64 {
        self.prior.overhead()
    }

    fn cardinality(&self, rows: u64, selectivity: f64) -> u64 {
        self.prior.cardinality(rows, selectivity)
    }
}

/// The correction of one kind of operator.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fit {
    factors: [f64; PARTS],
    /// R: the lower triangle, row by row.
    known: [f64; TRIANGLE],
}

/// Where in a triangle a row begins.
const fn row(at: usize) -> usize {
    at * (at + 1) / 2
}

impl Fit {
    fn new() -> Self {
        let mut known = [0.0; TRIANGLE];
        (0..PARTS).for_each(|at| known[row(at) + at] = KNOWN);
        Self { factors: [1.0; PARTS], known }
    }

    fn foretell(&self, prices: &[f64; PARTS]) -> f64 {
        let total: f64 = prices.iter().sum();
        let found: f64 = prices.iter().zip(&self.factors).map(|(price, factor)| price * factor).sum();
        found.max(LEAST * total).min(MOST * total)
    }

    fn learn(&mut self, shares: &[f64; PARTS], multiple: f64) {
        for at in 0..PARTS {
            for to in 0..=at {
                let whole = if at == to { (1.0 - KEEP) * KNOWN } else { 0.0 };
                let known = &mut self.known[row(at) + to];
                *known = KEEP * *known + whole + shares[at] * shares[to];
            }
        }
        let missed = multiple - shares.iter().zip(&self.factors).map(|(share, factor)| share * factor).sum::<f64>();
        let Some(gain) = solve(&self.known, shares) else { return };
        for (factor, gain) in self.factors.iter_mut().zip(gain) {
            *factor = (*factor + gain * missed).clamp(0.0, MOST_FACTOR);
        }
    }

    fn from_state(numbers: &[f32; PARTS + TRIANGLE]) -> Option<Self> {
        let mut fit = Self::new();
        let into = fit.factors.iter_mut().chain(&mut fit.known);
        into.zip(numbers).for_each(|(into, number)| *into = f64::from(*number));
        // Each sample adds at most 1 to an entry, of which 100 are left in the end.
        let most = 1.01 / (1.0 - KEEP);
        let is_in_range = fit.factors.iter().all(|factor| (0.0..=MOST_FACTOR).contains(factor))
            && fit.known.iter().all(|known| known.abs() <= most);
        // Half of what is known from the start leaves room for rounding.
        let mut less = fit.known;
        (0..PARTS).for_each(|at| less[row(at) + at] -= KNOWN / 2.0);
        (is_in_range && solve(&less, &[0.0; PARTS]).is_some()).then_some(fit)
    }
}

/// R^-1 x by Cholesky's factors of R; `None` where R is not positive definite.
fn solve(matrix: &[f64; TRIANGLE], x: &[f64; PARTS]) -> Option<[f64; PARTS]> {
    let mut lower = *matrix;
    for at in 0..PARTS {
        for to in 0..=at {
            let both: f64 = (0..to).map(|k| lower[row(at) + k] * lower[row(to) + k]).sum();
            let rest = lower[row(at) + to] - both;
            if at != to {
                lower[row(at) + to] = rest / lower[row(to) + to];
            } else if rest > 0.0 {
                lower[row(at) + at] = rest.sqrt();
            } else {
                return None;
            }
        }
    }
    let mut found = *x;
    for at in 0..PARTS {
        let above: f64 = (0..at).map(|k| lower[row(at) + k] * found[k]).sum();
        found[at] = (found[at] - above) / lower[row(at) + at];
    }
    for at in (0..PARTS).rev() {
        let below: f64 = (at + 1..PARTS).map(|k| lower[row(k) + at] * found[k]).sum();
        found[at] = (found[at] - below) / lower[row(at) + at];
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::super::cost::Cycles;
    use super::*;
    use crate::random::Random;

    /// A number from 0 to 1.
    fn even(random: &mut Random) -> f64 {
        random.below(1 << 30) as f64 / f64::from(1 << 30)
    }

    /// Work of all kinds, each worth up to 10 microseconds.
    fn work(random: &mut Random) -> Work {
        let mut upto = |ns: f64| even(random).powi(3) * ns;
        Work {
            distances: upto(1500.0),
            bytes: upto(480_000.0),
            hops: upto(120.0),
            pages: upto(43.0),
            words: upto(30_000.0),
            inserts: upto(750.0),
        }
    }

    /// What work takes on a machine with these factors, with a noise of 5 of 100.
    fn takes(factors: &[f64; PARTS], work: &Work, random: &mut Random) -> f64 {
        let prices = Measured::new(Cycles::default()).prices(0, work);
        let right: f64 = prices.iter().zip(factors).map(|(price, factor)| price * factor).sum();
        right * (1.0 + 0.05 * ((0..12).map(|_| even(random)).sum::<f64>() - 6.0))
    }

    const SLOW: [f64; PARTS] = [1.0, 2.0, 0.6, 3.0, 1.5, 0.8, 1.2];
    const FAST: [f64; PARTS] = [1.0, 0.7, 1.4, 0.5, 1.0, 2.0, 0.6];

    fn watch(model: &mut Measured<Cycles>, factors: &[f64; PARTS], samples: usize, random: &mut Random) {
        for _ in 0..samples {
            let work = work(random);
            model.observe(2, &work, takes(factors, &work, random));
        }
    }

    /// Mean relative error of what is foretold, and the largest relative error of a factor of work.
    fn errors(model: &Measured<Cycles>, factors: &[f64; PARTS], random: &mut Random) -> (f64, f64) {
        let off = (0..200).map(|_| {
            let work = work(random);
            let right: f64 = model.prices(2, &work).iter().zip(factors).map(|(price, factor)| price * factor).sum();
            (model.cost(2, &work) / right - 1.0).abs()
        });
        let of_factor =
            model.factors(2).iter().zip(factors).skip(1).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f64::max);
        (off.sum::<f64>() / 200.0, of_factor)
    }

    /// Catches a fit that does not learn, learns from another kind of operator, or does not forget.
    #[test]
    fn it_finds_what_work_costs_here_and_follows_a_change() {
        for seed in 0..10 {
            let mut random = Random(seed);
            let mut model = Measured::new(Cycles::default());
            assert!(errors(&model, &SLOW, &mut random).0 > 0.2);
            for factors in [SLOW, FAST, SLOW] {
                watch(&mut model, &factors, 600, &mut random);
                let (foretold, factor) = errors(&model, &factors, &mut random);
                assert!(foretold < 0.03 && factor < 0.1, "{seed}: {foretold} {factor} {:?}", model.factors(2));
            }
            assert_eq!((model.factors(3), model.factors(99)), ([1.0; PARTS], [1.0; PARTS]));
        }
    }

    #[test]
    fn the_answer_is_held_to_a_quarter_and_four_times_the_prior() {
        let mut random = Random(1);
        for (factors, bound) in [([12.0; PARTS], MOST), ([0.01; PARTS], LEAST)] {
            let mut model = Measured::new(Cycles::default());
            watch(&mut model, &factors, 500, &mut random);
            let work = work(&mut random);
            let multiple = model.cost(2, &work) / model.prior().cost(2, &work);
            assert!((multiple - bound).abs() < 1e-9, "{multiple}");
        }
    }

    /// One stall of a second among samples of microseconds must not be believed; what is no time is passed over.
    #[test]
    fn a_sample_unlike_all_moves_little() {
        let mut random = Random(4);
        let mut model = Measured::new(Cycles::default());
        watch(&mut model, &[1.0; PARTS], 300, &mut random);
        let (before, work) = (model.clone(), work(&mut random));
        model.observe(2, &work, 1e9);
        let by = model.cost(2, &work) / before.cost(2, &work);
        assert!(by > 1.01 && by < 2.5, "{by}");
        // As if it had been eight times what was foretold.
        let mut eightfold = before.clone();
        eightfold.observe(2, &work, 8.0 * before.cost(2, &work));
        assert_eq!(model, eightfold);
        for ns in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            model.observe(2, &work, ns);
            model.observe(MOST_KINDS, &work, 5.0);
        }
        assert_eq!(model, eightfold);
    }

    /// Catches the wind-up of plain forgetting, where after years of one work the first other one is believed to any extent.
    #[test]
    fn work_that_is_always_the_same_does_not_unsettle_it() {
        let mut random = Random(5);
        let mut model = Measured::new(Cycles::default());
        let same = work(&mut random);
        (0..20_000).for_each(|_| model.observe(2, &same, takes(&SLOW, &same, &mut random)));
        let mut unit = [0.0; PARTS];
        for at in 0..PARTS {
            unit[at] = 1.0;
            let variance = solve(&model.fits[2].known, &unit).unwrap()[at];
            assert!(variance > 0.0 && variance <= 1.0 / KNOWN * (1.0 + 1e-9), "{variance}");
            unit[at] = 0.0;
        }
        watch(&mut model, &FAST, 600, &mut random);
        let (foretold, factor) = errors(&model, &FAST, &mut random);
        assert!(foretold < 0.03 && factor < 0.1, "{foretold} {factor}");
    }

    #[test]
    fn its_state_survives_and_no_other_is_taken() {
        let mut random = Random(6);
        let mut model = Measured::new(Cycles::default());
        watch(&mut model, &SLOW, 500, &mut random);
        let state = model.to_state();
        let again = Measured::from_state(Cycles::default(), &state).unwrap();
        assert_eq!(again.to_state(), state);
        let work = work(&mut random);
        assert!((again.cost(2, &work) / model.cost(2, &work) - 1.0).abs() < 1e-5);
        let fresh = Measured::new(Cycles::default());
        assert_eq!(
            Measured::from_state(Cycles::default(), &fresh.to_state()).unwrap().cost(1, &work),
            fresh.cost(1, &work)
        );

        let refused = |state: &[f32]| Measured::from_state(Cycles::default(), state).is_none();
        assert!(refused(&[]) && refused(&state[1..]) && refused(&[&state[..], &[0.0]].concat()));
        for (at, value) in
            [(0, 2.0), (1, -0.1), (1, 17.0), (3, f32::NAN), (8, 0.01), (8, 1e9), (9, 50.0), (9, f32::INFINITY)]
        {
            let mut broken = state.clone();
            broken[at] = value;
            assert!(refused(&broken), "{at} {value}");
        }
    }
}

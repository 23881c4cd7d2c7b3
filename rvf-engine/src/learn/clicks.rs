//! [`ClickModel`]: what makes a document be chosen, apart from the place at which it stood; used only where it foretells choices that it has
//! not seen.

use super::impressions::{Impressions, PLACES, SIGNALS, Signals};
use super::math::{exp, ln};
use super::measure::Interval;
use super::tensors::Tensors;

/// Signals, then what each place adds, then what it adds not to have been shown.
const TERMS: usize = SIGNALS + PLACES + 1;
/// Pull of the weights of signals towards 0, in choices.
const PULL: f64 = 10.0;
/// The same for places: only as much as makes them be determined.
const PLACE_PULL: f64 = 0.01;
/// Steps of Newton's method.
const STEPS: usize = 12;
/// Parts of the feedback, each foretold from the others.
const FOLDS: usize = 3;
/// How sure it must be that choices are foretold better than by similarity and place alone: standard errors.
const SURE: f64 = 1.65;
/// How sure it must be that of two documents at one place the one more like the query is chosen more often: standard errors.
const SURE_OF_LIKENESS: f64 = 2.0;
/// What evidence counts of its weight by the fit, when documents are ordered. Lists are ordered by likeness, so that its worth is taken for that
/// of the place in part, and the more so the longer evidence orders them; unequalled, evidence would outweigh it more and more.
const EVIDENCE: f64 = 0.4;
/// Least queries with feedback.
const LEAST: usize = 50;

/// An order of documents by what their signals are worth.
#[derive(Clone, Debug, PartialEq)]
pub struct ClickModel {
    weights: [f64; SIGNALS],
}

/// How likely documents are chosen at places: by all signals, and by similarity alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Foretelling {
    all: [f64; TERMS],
    alone: [f64; TERMS],
    spreads: [f64; SIGNALS],
}

impl Foretelling {
    /// The squared errors (Brier 1950) of what is foretold of a document: by similarity and place alone, and by all signals.
    pub fn errors(&self, signals: &Signals, place: Option<usize>, chosen: bool) -> [f64; 2] {
        let seen: [f64; SIGNALS] = std::array::from_fn(|at| f64::from(signals[at]) / self.spreads[at]);
        let right = f64::from(u8::from(chosen));
        let place = place.map_or(PLACES, |place| place.min(PLACES - 1));
        [&self.alone, &self.all].map(|terms| (chance_at(terms, &seen, place) - right).powi(2))
    }
}

/// What was found out about feedback.
#[derive(Clone, Debug, PartialEq)]
pub struct ClickFit {
    /// The model; `None` where feedback is not to be trusted: it does not foretell other feedback.
    pub model: Option<ClickModel>,
    /// How choices are foretold, to be held against choices that it was not fitted on.
    pub foretelling: Option<Foretelling>,
    /// How much less each place is looked at than the one most looked at, by the fit: 0 to 1.
    pub looked_at: [f64; PLACES],
    /// By how much the log loss of foretold choices is less than that of similarity and place alone, a query: mean and one-sided 95 % bounds.
    pub gain: Interval,
}

/// A document that was shown: its signals, its place and whether it was chosen.
struct Example {
    query: usize,
    signals: [f64; SIGNALS],
    place: usize,
    chosen: bool,
}

impl ClickModel {
    /// Fits choices by logistic regression on signals and place, additively (two towers, Guo et al. 2019, "PAL"), each query's signals from
    /// all others; the place is left out when the model is used.
    pub fn fit(impressions: &Impressions) -> ClickFit {
        let unknown = ClickFit { model: None, gain: Interval::default(), looked_at: [1.0; PLACES], foretelling: None };
        if impressions.len() < LEAST {
            return unknown;
        }
        let mut examples = examples(impressions);
        let spreads = spread(&mut examples);
        let gains = foretold(&examples, impressions.len());
        let count = gains.len() as f64;
        let mean = gains.iter().sum::<f64>() / count;
        let spread = (gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / count).sqrt();
        let error = SURE * spread / count.sqrt();
        let gain = Interval { mean, low: mean - error, high: mean + error };
        let all: Vec<&Example> = examples.iter().collect();
        let ((terms, _), (alone, error)) = (regress(&all, SIGNALS), regress(&all, 1));
        let weights: [f64; SIGNALS] =
            std::array::from_fn(|at| terms[at] / spreads[at] * if at == 0 { 1.0 } else { EVIDENCE });
        // What is like the query is chosen more often, or choices do not tell what is right.
        let is_sane =
            terms[0] > 0.0 && alone[0] > SURE_OF_LIKENESS * error && weights.iter().all(|weight| weight.is_finite());
        let model = (gain.low > 0.0 && is_sane).then_some(Self { weights });
        let foretelling = Some(Foretelling { all: terms, alone, spreads });
        ClickFit { model, gain, looked_at: looked_at(&terms, &examples), foretelling }
    }

    /// The weights by name. Shape: one a signal; two numbers of f32 hold each f64, the rounded one and what it misses.
    pub fn to_tensors(&self) -> Tensors {
        let mut tensors = Tensors::default();
        let rounded = self.weights.map(|weight| weight as f32);
        let missed = self.weights.map(|weight| (weight - f64::from(weight as f32)) as f32);
        tensors.put("clicks.weights", &[2, SIGNALS], [rounded, missed].concat());
        tensors
    }

    /// What [`ClickModel::to_tensors`] made; `None` if it is not all there.
    pub fn from_tensors(tensors: &Tensors) -> Option<Self> {
        let (rounded, missed) = tensors.get("clicks.weights", &[2, SIGNALS])?.split_at(SIGNALS);
        Some(Self { weights: std::array::from_fn(|at| f64::from(rounded[at]) + f64::from(missed[at])) })
    }

    /// The score of a document: larger is better.
    pub fn score(&self, signals: &Signals) -> f32 {
        self.weights.iter().zip(signals).map(|(weight, signal)| weight * f64::from(*signal)).sum::<f64>() as f32
    }
}

/// How likely all that was shown would be chosen on average if it stood at each place, over that of the best place.
fn looked_at(terms: &[f64; TERMS], examples: &[Example]) -> [f64; PLACES] {
    let mean = |place: usize| {
        let of = |example: &Example| chance_at(terms, &example.signals, place);
        examples.iter().map(of).sum::<f64>() / examples.len().max(1) as f64
    };
    let likely: [f64; PLACES] = std::array::from_fn(mean);
    let top = likely.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    likely.map(|likely| likely / top)
}

fn examples(impressions: &Impressions) -> Vec<Example> {
    let rates = impressions.rates();
    let mut examples = Vec::new();
    for query in 0..impressions.len() {
        let similarities = impressions.similarities(impressions.query(query), Some(query));
        for (shown, place, chosen) in &impressions.events[query].documents {
            let signals = impressions.signals(*shown, &similarities, &rates).map(f64::from);
            examples.push(Example { query, signals, place: place.unwrap_or(PLACES), chosen: *chosen });
        }
    }
    examples
}

/// Brings signals to a standard deviation of 1; returns what they were divided by.
fn spread(examples: &mut [Example]) -> [f64; SIGNALS] {
    let count = examples.len().max(1) as f64;
    let spreads: [f64; SIGNALS] = std::array::from_fn(|at| {
        let mean = examples.iter().map(|example| example.signals[at]).sum::<f64>() / count;
        let square = examples.iter().map(|example| (example.signals[at] - mean).powi(2)).sum::<f64>() / count;
        if square > 1e-12 { square.sqrt() } else { 1.0 }
    });
    for example in examples {
        example.signals.iter_mut().zip(spreads).for_each(|(signal, spread)| *signal /= spread);
    }
    spreads
}

/// For each query that was shown something: the log loss of similarity and place, less that of all signals, each fitted without its part. It
/// tells seldom choices from rarer ones, which squared errors hardly do.
fn foretold(examples: &[Example], queries: usize) -> Vec<f64> {
    let (mut gains, mut is_shown) = (vec![0.0; queries], vec![false; queries]);
    for fold in 0..FOLDS {
        let known: Vec<&Example> = examples.iter().filter(|example| example.query % FOLDS != fold).collect();
        let ((all, _), (alone, _)) = (regress(&known, SIGNALS), regress(&known, 1));
        for example in examples.iter().filter(|example| example.query % FOLDS == fold) {
            let likely = |terms: &[f64; TERMS]| {
                let chance = chance(terms, example);
                ln(if example.chosen { chance } else { 1.0 - chance }.max(1e-9))
            };
            gains[example.query] += likely(&all) - likely(&alone);
            is_shown[example.query] = true;
        }
    }
    gains.into_iter().zip(is_shown).filter_map(|(gain, is_shown)| is_shown.then_some(gain)).collect()
}

/// How likely a document is chosen.
fn chance(terms: &[f64; TERMS], example: &Example) -> f64 {
    chance_at(terms, &example.signals, example.place)
}

fn chance_at(terms: &[f64; TERMS], signals: &[f64; SIGNALS], place: usize) -> f64 {
    let signals: f64 = terms.iter().zip(signals).map(|(term, signal)| term * signal).sum();
    let sum = signals + terms[SIGNALS + place];
    let power = f64::from(exp(-sum.abs() as f32));
    if sum >= 0.0 { 1.0 / (1.0 + power) } else { power / (1.0 + power) }
}

/// Logistic regression by Newton's method, with the first `signals` signals; the other terms stay 0. And the standard error of the first.
fn regress(examples: &[&Example], signals: usize) -> ([f64; TERMS], f64) {
    let (mut terms, mut error_of_first) = ([0.0; TERMS], 0.0);
    let pull = |at: usize| if at < SIGNALS { PULL } else { PLACE_PULL };
    let mut seen = [0.0; TERMS];
    for _ in 0..STEPS {
        let mut slope: [f64; TERMS] = std::array::from_fn(|at| pull(at) * terms[at]);
        let mut curve = [[0.0; TERMS]; TERMS];
        for (at, row) in curve.iter_mut().enumerate() {
            row[at] = pull(at);
        }
        for example in examples {
            seen[..signals].copy_from_slice(&example.signals[..signals]);
            let place = SIGNALS + example.place;
            let chance = chance(&terms, example);
            let (error, weight) = (chance - f64::from(u8::from(example.chosen)), chance * (1.0 - chance));
            for at in (0..signals).chain([place]) {
                let x = if at == place { 1.0 } else { seen[at] };
                slope[at] += error * x;
                for other in 0..signals {
                    curve[at][other] += weight * x * seen[other];
                }
                curve[at][place] += weight * x;
            }
        }
        let first = std::array::from_fn(|at| f64::from(u8::from(at == 0)));
        error_of_first = solve(curve, first)[0].max(0.0).sqrt();
        let step = solve(curve, slope);
        terms.iter_mut().zip(step).for_each(|(term, step)| *term -= step);
    }
    (terms, error_of_first)
}

/// Solves a system of equations whose matrix is symmetric and positive definite, by Gauss's elimination, which needs no exchange of rows
/// there.
fn solve(mut matrix: [[f64; TERMS]; TERMS], mut right: [f64; TERMS]) -> [f64; TERMS] {
    for at in 0..TERMS {
        let (row, value) = (matrix[at], right[at]);
        for below in at + 1..TERMS {
            let share = matrix[below][at] / row[at];
            matrix[below].iter_mut().zip(row).for_each(|(x, above)| *x -= share * above);
            right[below] -= share * value;
        }
    }
    for at in (0..TERMS).rev() {
        let known: f64 = (at + 1..TERMS).map(|after| matrix[at][after] * right[after]).sum();
        right[at] = (right[at] - known) / matrix[at][at];
    }
    right
}

#[cfg(test)]
mod tests {
    use super::super::impressions::Shown;
    use super::*;
    use crate::random::Random;

    /// How documents are chosen.
    #[derive(Clone, Copy, PartialEq)]
    enum Choice {
        /// The first places are looked at more often, and what is right is chosen then.
        Right,
        /// The first places are chosen more often, whatever stands there.
        Place,
        /// Anything.
        Chance,
    }

    /// Queries of twelve kinds: for each kind one document is right, which likeness puts anywhere among ten.
    fn impressions(choice: Choice, queries: usize, seed: u64) -> Impressions {
        let mut random = Random(seed);
        let mut all = Impressions::new(12);
        for _ in 0..queries {
            let kind = random.below(12);
            let mut query = [0.0; 12];
            query[kind] = 1.0;
            let mut documents: Vec<u64> = (0..40).filter(|document| *document != kind as u64).collect();
            random.shuffle(&mut documents);
            documents.truncate(9);
            documents.insert(random.below(10), kind as u64);
            let shown: Vec<Shown> = documents
                .iter()
                .enumerate()
                .map(|(place, document)| {
                    // A little nearer than its place tells: likeness says something, too.
                    let own = if *document == kind as u64 { 0.05 } else { 0.0 };
                    Shown { document: *document, similarity: 0.8 - place as f32 * 0.03 + own }
                })
                .collect();
            let chosen: Vec<Shown> = shown
                .iter()
                .enumerate()
                .filter(|(place, shown)| {
                    let looks = 100 / (place + 1);
                    let percent = match choice {
                        Choice::Right if shown.document == kind as u64 => looks * 9 / 10,
                        Choice::Right => looks / 10,
                        Choice::Place => looks / 3,
                        Choice::Chance => 20,
                    };
                    random.below(100) < percent
                })
                .map(|(_, shown)| *shown)
                .collect();
            assert!(all.push(&query, &shown, &chosen));
        }
        all
    }

    /// Catches a model that is none, and one that takes the place for what is right.
    #[test]
    fn what_like_queries_chose_is_told_from_where_it_stood() {
        let all = impressions(Choice::Right, 400, 1);
        let ClickFit { model, gain, looked_at, .. } = ClickModel::fit(&all);
        let model = model.unwrap();
        // The place p is looked at with 1/p; likeness, which falls with the place, takes a part of that.
        assert!(looked_at[0] == 1.0 && looked_at[1..].iter().all(|looked| *looked < 0.7), "{looked_at:?}");
        assert!(gain.low > 0.0 && gain.low < gain.mean, "{gain:?}");
        let (mut first, rates) = (0, all.rates());
        for kind in 0..12 {
            let mut query = [0.0; 12];
            query[kind] = 1.0;
            let like = all.similarities(&query, None);
            let score = |document| model.score(&all.signals(Shown { document, similarity: 0.6 }, &like, &rates));
            first += usize::from((0..40).all(|document| score(document) <= score(kind as u64)));
        }
        assert!(first >= 9, "{first} of 12");
    }

    /// Catches feedback that is trusted though it says nothing.
    #[test]
    fn choices_that_do_not_depend_on_what_is_right_are_distrusted() {
        for choice in [Choice::Place, Choice::Chance] {
            let trusted = (0..40).filter(|seed| ClickModel::fit(&impressions(choice, 200, *seed)).model.is_some());
            // One in twenty at most may come about by chance.
            assert!(trusted.count() <= 3);
        }
        assert_eq!(ClickModel::fit(&impressions(Choice::Right, 20, 1)).model, None);
        assert_eq!(ClickModel::fit(&Impressions::new(3)).model, None);
    }

    #[test]
    fn systems_of_equations_are_solved() {
        let mut random = Random(7);
        let mut draw = || random.below(2000) as f64 / 1000.0 - 1.0;
        let factor: [[f64; TERMS]; TERMS] = std::array::from_fn(|_| std::array::from_fn(|_| draw()));
        let right: [f64; TERMS] = std::array::from_fn(|_| draw());
        let matrix: [[f64; TERMS]; TERMS] = std::array::from_fn(|a| {
            std::array::from_fn(|b| {
                let product: f64 = (0..TERMS).map(|at| factor[a][at] * factor[b][at]).sum();
                product + f64::from(u8::from(a == b))
            })
        });
        let found = solve(matrix, right);
        for (row, right) in matrix.iter().zip(right) {
            let sum: f64 = row.iter().zip(found).map(|(x, y)| x * y).sum();
            assert!((sum - right).abs() < 1e-9, "{sum} {right}");
        }
    }
}

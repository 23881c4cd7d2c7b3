//! [`Recall`]: what audits tell of the recall of an arm, and how surely.

use super::special::beta_below;

/// Queries for which every answer of a query is taken to stand or fall with the others, before audits have shown whether it does.
const UNSEEN: f64 = 16.0;
/// Most answers that are remembered; beyond, all that was seen counts half.
const MOST: f64 = 65536.0;
/// What counts less than this has faded away.
pub(super) const FADED: f64 = 1e-3;
/// Numbers of a state.
pub(super) const NUMBERS: usize = 6;

/// The recall of an arm, as a beta distribution of what audits found.
///
/// Answers to one query are not throws of a coin each: a walk that ends in the wrong place misses many at once. What was seen is therefore
/// divided by the design effect (Kish 1965), the variance of misses between queries over the one that single throws would have:
///
/// ```text
/// p       = (prior hits + hits) / (prior answers + answers)
/// between = sum over queries of (misses_i - (1-p) k_i)^2        single = sum of k_i p (1-p)
/// effect  = (between + u) / (single + u / k)     held to [1, k],     k = sum of k_i^2 / sum of k_i,  u = 16 k^2 p (1-p)
/// recall  ~ Beta(prior hits + hits / effect, prior misses + misses / effect)
/// ```
/// The `u` are 16 made-up queries of which each is right or wrong as a whole: few audits do not prove that answers fall singly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recall {
    mean: f64,
    strength: f64,
    queries: f64,
    answers: f64,
    misses: f64,
    /// Sums over queries of k^2, misses k and misses^2.
    squares: [f64; 3],
}

impl Recall {
    /// One before any audit: recall of about `mean`, believed as much as `strength` answers. The mean is held to [0.01, 0.99], the strength
    /// to [0.1, 1000]; what is no number is 0.5 and 1.
    pub fn new(mean: f64, strength: f64) -> Self {
        let mean = if mean.is_nan() { 0.5 } else { mean.clamp(0.01, 0.99) };
        let strength = if strength.is_nan() { 1.0 } else { strength.clamp(0.1, 1000.0) };
        Self { mean, strength, queries: 0.0, answers: 0.0, misses: 0.0, squares: [0.0; 3] }
    }

    /// Takes the audit of a query: `right` of the `wanted` true answers were found.
    pub fn observe(&mut self, right: u32, wanted: u32) {
        let wanted = wanted.min(1000);
        let (all, missed) = (f64::from(wanted), f64::from(wanted - right.min(wanted)));
        if wanted == 0 {
            return;
        }
        self.queries += 1.0;
        self.answers += all;
        self.misses += missed;
        let squares = [all * all, missed * all, missed * missed];
        self.squares.iter_mut().zip(squares).for_each(|(sum, square)| *sum += square);
        if self.answers > MOST {
            self.discount(0.5);
        }
    }

    /// Lets what was seen count less, as after a drift; a factor outside 0..=1 changes nothing.
    pub fn discount(&mut self, factor: f64) {
        if !(0.0..=1.0).contains(&factor) {
            return;
        }
        let factor = if self.answers * factor < FADED { 0.0 } else { factor };
        let sums = [&mut self.queries, &mut self.answers, &mut self.misses].into_iter().chain(&mut self.squares);
        sums.for_each(|sum| *sum *= factor);
    }

    /// Queries that were audited, as far as they still count.
    pub fn queries(&self) -> f64 {
        self.queries
    }

    /// True answers that were found, as far as they still count.
    pub fn hits(&self) -> f64 {
        self.answers - self.misses
    }

    /// True answers that were not found, as far as they still count.
    pub fn misses(&self) -> f64 {
        self.misses
    }

    /// How many answers to one query tell as much as one that came alone: at least 1, at most the answers to a query.
    pub fn design_effect(&self) -> f64 {
        if self.answers <= 0.0 {
            return 1.0;
        }
        let miss = (self.strength * (1.0 - self.mean) + self.misses) / (self.strength + self.answers);
        let single = miss * (1.0 - miss);
        let [all, both, missed] = self.squares;
        let between = missed - 2.0 * miss * both + miss * miss * all;
        let most = all / self.answers;
        let effect = (between / single + UNSEEN * most * most) / (self.answers + UNSEEN * most);
        // Rounding may leave the most below 1.
        effect.min(most).max(1.0)
    }

    /// The parameters of the beta distribution.
    fn parameters(&self) -> (f64, f64) {
        let effect = self.design_effect();
        let of = |prior: f64, seen: f64| self.strength * prior + seen.max(0.0) / effect;
        (of(self.mean, self.hits()), of(1.0 - self.mean, self.misses))
    }

    /// What recall is expected to be.
    pub fn mean(&self) -> f64 {
        let (a, b) = self.parameters();
        a / (a + b)
    }

    /// The chance that recall is at least `target`.
    pub fn probability_at_least(&self, target: f64) -> f64 {
        let (a, b) = self.parameters();
        // By the mirror image, a chance near 0 keeps its digits. No target, no chance.
        if target.is_nan() { 0.0 } else { beta_below(1.0 - target, b, a) }
    }

    /// What recall is at least, with this confidence; 0 where the confidence is 1 or no number.
    pub fn lower(&self, confidence: f64) -> f64 {
        // Chances near 1 are rounded to it: it is not left to them.
        if confidence.is_nan() || confidence >= 1.0 {
            return 0.0;
        }
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..50 {
            let middle = 0.5 * (low + high);
            if self.probability_at_least(middle) >= confidence {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    /// What was seen, without the prior.
    pub(super) fn to_state(self) -> [f32; NUMBERS] {
        let [all, both, missed] = self.squares;
        [self.queries, self.answers, self.misses, all, both, missed].map(|x| x as f32)
    }

    /// The same prior with what was seen; `None` where no audits could have been seen like that.
    pub(super) fn with_state(self, state: &[f32; NUMBERS]) -> Option<Self> {
        let [queries, answers, misses, all, both, missed] = state.map(f64::from);
        // Numbers were rounded on their way. Sums of products obey Cauchy and Schwarz.
        let is_upto = |x: f64, most: f64| (0.0..=most * 1.001).contains(&x);
        let is_sound = is_upto(answers, MOST)
            && is_upto(queries, answers)
            && is_upto(misses, answers)
            && is_upto(all, 1000.0 * answers)
            && is_upto(answers * answers, queries * all)
            && is_upto(both, all)
            && is_upto(missed, both)
            && is_upto(both * both, missed * all);
        is_sound.then_some(Self { queries, answers, misses, squares: [all, both, missed], ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn even(random: &mut Random) -> f64 {
        random.below(1 << 30) as f64 / f64::from(1 << 30)
    }

    /// Audits of `k` answers with this recall; the share `together` of the queries is right or wrong as a whole.
    fn audit(recall: &mut Recall, truth: f64, together: f64, queries: usize, k: u32, random: &mut Random) {
        for _ in 0..queries {
            let right = if even(random) < together {
                if even(random) < truth { k } else { 0 }
            } else {
                (0..k).map(|_| u32::from(even(random) < truth)).sum()
            };
            recall.observe(right, k);
        }
    }

    #[test]
    fn single_answers_are_a_beta_distribution() {
        let mut recall = Recall::new(0.5, 2.0);
        assert!((recall.probability_at_least(0.3) - 0.7).abs() < 1e-12 && recall.mean() == 0.5);
        // Beta(5, 1) and Beta(5, 2): 1 - x^5, and 1 - 6 x^5 + 5 x^6.
        (0..4).for_each(|_| recall.observe(1, 1));
        assert!((recall.probability_at_least(0.9) - (1.0 - 0.9f64.powi(5))).abs() < 1e-12);
        assert!((recall.lower(0.95) - 0.05f64.powf(0.2)).abs() < 1e-9);
        recall.observe(0, 1);
        assert_eq!((recall.hits(), recall.misses(), recall.queries(), recall.design_effect()), (4.0, 1.0, 5.0, 1.0));
        let right = 1.0 - 6.0 * 0.9f64.powi(5) + 5.0 * 0.9f64.powi(6);
        assert!((recall.probability_at_least(0.9) - right).abs() < 1e-12);
        assert!((recall.mean() - 5.0 / 7.0).abs() < 1e-12);
        recall.discount(0.0);
        assert_eq!(recall, Recall::new(0.5, 2.0));
    }

    /// Catches an effect that is not divided by, and one that is always or never the most.
    #[test]
    fn answers_that_fall_together_count_less() {
        let mut random = Random(2);
        // Of queries of which the share t is as a whole, the variance is (1-t) k + t k^2 times p(1-p).
        for (together, right) in [(0.0, 1.0), (0.25, 3.25), (0.5, 5.5), (1.0, 10.0)] {
            let mut recall = Recall::new(0.9, 2.0);
            audit(&mut recall, 0.9, together, 3000, 10, &mut random);
            let effect = recall.design_effect();
            assert!((effect / right - 1.0).abs() < 0.12, "{together}: {effect} {right}");
        }
        let mut few = Recall::new(0.9, 2.0);
        audit(&mut few, 1.0, 0.0, 1, 10, &mut random);
        assert!(few.design_effect() > 9.0, "{}", few.design_effect());
        // Twenty without a miss prove 0.95, five do not.
        audit(&mut few, 1.0, 0.0, 4, 10, &mut random);
        assert!(few.probability_at_least(0.95) < 0.9, "{}", few.probability_at_least(0.95));
        audit(&mut few, 1.0, 0.0, 15, 10, &mut random);
        assert!(few.probability_at_least(0.95) > 0.95, "{}", few.probability_at_least(0.95));
    }

    /// Arms just short of the target are taken for proven about as seldom as the confidence says, whether answers fall singly or not.
    #[test]
    fn what_falls_short_is_seldom_proven() {
        for together in [0.0, 0.2, 0.5] {
            let mut random = Random(7);
            let proven = (0..400).filter(|_| {
                let mut recall = Recall::new(0.9, 2.0);
                audit(&mut recall, 0.949, together, 100, 10, &mut random);
                recall.probability_at_least(0.95) >= 0.95
            });
            let count = proven.count();
            assert!(count <= 40, "{together}: {count} of 400");
        }
    }

    #[test]
    fn bounds_are_held_and_what_makes_no_sense_is_passed_over() {
        let mut recall = Recall::new(f64::NAN, f64::INFINITY);
        recall.observe(5, 0);
        assert_eq!((recall.queries(), recall.mean()), (0.0, 0.5));
        recall.observe(9, 4);
        assert_eq!((recall.hits(), recall.misses()), (4.0, 0.0));
        for factor in [f64::NAN, -1.0, 1.5] {
            recall.discount(factor);
        }
        assert_eq!(recall.hits(), 4.0);
        (0..200_000).for_each(|_| recall.observe(7, 10));
        assert!(recall.hits() < MOST && (recall.hits() / (recall.hits() + recall.misses()) - 0.7).abs() < 1e-3);
        assert_eq!((recall.probability_at_least(f64::NAN), recall.probability_at_least(-1.0)), (0.0, 1.0));
        assert_eq!((recall.probability_at_least(1.0), recall.lower(1.0), recall.lower(f64::NAN)), (0.0, 0.0, 0.0));
        assert!((recall.lower(0.5) - recall.mean()).abs() < 0.01 && recall.lower(0.99) < recall.lower(0.5));
    }

    #[test]
    fn its_state_survives_and_no_other_is_taken() {
        let mut recall = Recall::new(0.9, 2.0);
        audit(&mut recall, 0.9, 0.3, 777, 10, &mut Random(3));
        recall.observe(3, 7);
        recall.discount(0.37);
        let (state, prior) = (recall.to_state(), Recall::new(0.9, 2.0));
        let again = prior.with_state(&state).unwrap();
        assert_eq!(again.to_state(), state);
        assert!((again.probability_at_least(0.9) - recall.probability_at_least(0.9)).abs() < 1e-4);
        assert_eq!(prior.with_state(&prior.to_state()), Some(prior));
        for (at, value) in [(0, -1.0), (1, f32::NAN), (1, 1e6), (2, 1e4), (3, 1.0), (4, 1e7), (5, 0.0), (5, 1e6)] {
            let mut broken = state;
            broken[at] = value;
            assert_eq!(prior.with_state(&broken), None, "{at} {value}");
        }
    }
}

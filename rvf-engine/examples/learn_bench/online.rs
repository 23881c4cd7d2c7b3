//! Feedback after each query, as it comes in use: what the last quarter of the queries gains over similarity alone, for several ways to
//! choose.

use super::data::{Right, Vectors, judge};
use rvf_engine::learn::{ClickModel, Impressions, Interval, Shown, bootstrap, dot};
use std::collections::{BTreeMap, BTreeSet};

/// Candidates by similarity, past queries whose choices are candidates, results that are shown.
const CANDIDATES: usize = 50;
const NEIGHBOURS: usize = 20;
const SHOWN: usize = 10;
/// Queries between two fits.
const EVERY: usize = 50;

/// How people choose.
#[derive(Clone, Copy)]
enum Clicks {
    /// Everything that is right, shown or not.
    True,
    /// The place p is looked at with probability 1/p; of what is looked at, right is chosen with 0.9, wrong with 0.1.
    Biased,
    /// Each of the ten with 0.2.
    Chance,
    /// The place p with 0.3/p, whatever stands there.
    Place,
}

/// Numbers that look random (splitmix64), from 0 to 1.
struct Chance(u64);

impl Chance {
    fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Queries and what is right for them, in the order of use.
pub(crate) type Queries<'d> = Vec<(&'d [f32], &'d BTreeMap<u64, f32>)>;

struct Run<'d> {
    documents: &'d Vectors,
    seen: Impressions,
    model: Option<ClickModel>,
    chance: Chance,
}

impl Run<'_> {
    /// Scores of all documents: candidates by the model, where there is one, before all others.
    fn scores(&self, query: &[f32], similarities: &[f32]) -> Vec<f32> {
        let Some(model) = &self.model else { return similarities.to_vec() };
        let (like, rates) = (self.seen.similarities(query, None), self.seen.rates());
        let mut order: Vec<usize> = (0..similarities.len()).collect();
        order.select_nth_unstable_by(CANDIDATES, |a, b| similarities[*b].total_cmp(&similarities[*a]));
        let mut candidates: BTreeSet<u64> = order.into_iter().take(CANDIDATES).map(|at| at as u64).collect();
        candidates.extend(self.seen.documents(&like, NEIGHBOURS));
        let mut scores: Vec<f32> = similarities.iter().map(|similarity| similarity - 1e3).collect();
        for document in candidates {
            let shown = Shown { document, similarity: similarities[document as usize] };
            scores[document as usize] = model.score(&self.seen.signals(shown, &like, &rates));
        }
        scores
    }

    fn choose(&mut self, clicks: Clicks, shown: &[u64], right: &BTreeMap<u64, f32>) -> Vec<u64> {
        if matches!(clicks, Clicks::True) {
            return right.keys().copied().collect();
        }
        let mut chosen = Vec::new();
        for (place, document) in (1..).zip(shown) {
            let looks = 1.0 / f64::from(place);
            let likely = match clicks {
                Clicks::Biased if right.contains_key(document) => looks * 0.9,
                Clicks::Biased => looks * 0.1,
                Clicks::Place => looks * 0.3,
                Clicks::Chance | Clicks::True => 0.2,
            };
            if self.chance.draw() < likely {
                chosen.push(*document);
            }
        }
        chosen
    }

    /// One query: what it gains, then what is chosen.
    fn step(&mut self, clicks: Clicks, query: &[f32], right: &BTreeMap<u64, f32>) -> f64 {
        let similarities: Vec<f32> = (0..self.documents.len()).map(|at| dot(self.documents.row(at), query)).collect();
        let scores = self.scores(query, &similarities);
        let gain = judge(&scores, right) - judge(&similarities, right);
        let mut order: Vec<u64> = (0..scores.len() as u64).collect();
        let by_score = |a: &u64, b: &u64| scores[*b as usize].total_cmp(&scores[*a as usize]);
        order.select_nth_unstable_by(SHOWN, by_score);
        order.truncate(SHOWN);
        order.sort_by(by_score);
        let chosen = self.choose(clicks, &order, right);
        let shown = |document: &u64| Shown { document: *document, similarity: similarities[*document as usize] };
        let [order, chosen] = [order, chosen].map(|documents| documents.iter().map(shown).collect::<Vec<Shown>>());
        assert!(self.seen.push(query, &order, &chosen));
        if self.seen.len().is_multiple_of(EVERY) {
            self.model = ClickModel::fit(&self.seen).model;
        }
        gain
    }
}

/// Prints one line a way to choose and seed.
pub(crate) fn measure(documents: &Vectors, queries: &Queries<'_>) {
    println!("\n| choices | last quarter over similarity | all | fits that were trusted |");
    println!("| --- | --- | --- | --- |");
    for (name, clicks) in [
        ("true", Clicks::True),
        ("biased by place, noisy", Clicks::Biased),
        ("independent of what is right", Clicks::Chance),
        ("by place alone", Clicks::Place),
    ] {
        for seed in 0..3 {
            let seen = Impressions::new(documents.dimension);
            let mut run = Run { documents, seen, model: None, chance: Chance(seed) };
            let mut order: Vec<(u64, usize)> =
                (0..queries.len()).map(|at| ((run.chance.draw() * 1e15) as u64, at)).collect();
            order.sort_unstable();
            let (mut gains, mut trusted) = (Vec::new(), 0);
            for (_, at) in order {
                gains.push(run.step(clicks, queries[at].0, queries[at].1));
                trusted += usize::from(run.seen.len().is_multiple_of(EVERY) && run.model.is_some());
            }
            let text = |gains: &[f64]| {
                let Interval { mean, low, high } = bootstrap(gains, 1);
                format!("{mean:+.4} [{low:+.4}, {high:+.4}]")
            };
            let quarter = text(&gains[gains.len() - gains.len() / 4..]);
            let fits = queries.len() / EVERY;
            println!("| {name}, seed {seed} | {quarter} | {} | {trusted} of {fits} |", text(&gains));
        }
    }
}

/// Queries and what is right for them.
pub(crate) fn queries<'d>(vectors: &'d Vectors, right: &'d Right) -> Queries<'d> {
    (0..vectors.len()).map(|at| (vectors.row(at), &right[at])).collect()
}

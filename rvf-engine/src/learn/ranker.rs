//! [`Ranker`]: networks that are trained on lists of candidates, and the margin by which evidence has to convince.

use super::features::{FEATURES, Row, WAS_CHOSEN};
use super::margin::{Judged, best_margin};
use super::measure::{DEPTH, ndcg10};
use super::network::{Network, Scale, WEIGHTS};
use super::tensors::Tensors;
use crate::random::Random;

/// Networks whose scores are averaged: what one sees by chance the others do not.
const MEMBERS: u64 = 3;
/// Step of Adam at the start; it falls to 0 evenly.
const STEP: f32 = 0.01;
/// Pull of the weights towards 0.
const DECAY: f32 = 1e-4;

/// The candidates of one query, by descending similarity.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Their features.
    pub rows: Vec<Row>,
    /// How right each is, 0 where it is not.
    pub grades: Vec<f32>,
    /// Grades of everything that is right, also of what is no candidate.
    pub right: Vec<f32>,
    /// Whether nothing that is right was ever chosen before, so that no memory can help.
    pub is_new: bool,
    /// Whether nothing like the query was asked before: then its order stays as it is.
    pub is_unlike: bool,
}

impl List {
    /// nDCG@10 in the order of similarity.
    pub fn before(&self) -> f64 {
        ndcg10(&self.grades, &self.right)
    }

    /// nDCG@10 in the order of these scores; equal ones stay as they stand.
    pub fn by(&self, scores: &[f32]) -> f64 {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        if !self.is_unlike {
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        }
        let ranked: Vec<f32> = order.iter().map(|at| self.grades[*at]).collect();
        ndcg10(&ranked, &self.right)
    }
}

impl List {
    /// One over the place of the first right one among the first ten, 0 if there is none: in the order of similarity or of scores.
    pub fn reciprocal_rank(&self, scores: Option<&[f32]>) -> f64 {
        let mut order: Vec<usize> = (0..self.grades.len()).collect();
        if let Some(scores) = scores.filter(|_| !self.is_unlike) {
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        }
        let first = order.iter().take(DEPTH).position(|at| self.grades[*at] > 0.0);
        first.map_or(0.0, |at| 1.0 / (at + 1) as f64)
    }
}

impl Judged for List {
    fn marks(&self) -> Vec<f32> {
        self.rows.iter().map(|row| row[WAS_CHOSEN]).collect()
    }

    fn before(&self) -> f64 {
        self.before()
    }

    fn by(&self, scores: &[f32]) -> f64 {
        self.by(scores)
    }

    fn is_new(&self) -> bool {
        self.is_new
    }
}

/// A trained order of candidates.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranker {
    members: Vec<Network>,
    /// What the score of a document loses that was chosen before: by how much its evidence has to outweigh its rivals.
    margin: f32,
}

impl Ranker {
    /// Trains on lists whose evidence leaves each query out of itself, `epochs` times over all; the same lists and seed give the same ranker.
    /// `None` where nothing that is right is a candidate.
    pub fn train(lists: &[List], epochs: usize, seed: u64) -> Option<Self> {
        if !lists.iter().any(|list| list.grades.iter().any(|grade| *grade > 0.0)) {
            return None;
        }
        let scale = Scale::of(lists.iter().flat_map(|list| &list.rows));
        let member = |at| train_one(Network::new(scale.clone(), seed + at), lists, epochs, seed + at);
        Some(Self { members: (0..MEMBERS).map(member).collect(), margin: 0.0 })
    }

    /// Trains and tunes by the same lists: each network sees all but one of three parts, and the margin is chosen by what each says of the part
    /// that it has not seen (cross-fitting). So all lists count for both, where [`Ranker::tune`] needs lists of its own.
    ///
    /// `None` as for [`Ranker::train`], and where no margin keeps new queries from losing more than `most_loss` nDCG@10.
    pub fn train_and_tune(lists: &[List], epochs: usize, seed: u64, most_loss: f64) -> Option<Self> {
        if !lists.iter().any(|list| list.grades.iter().any(|grade| *grade > 0.0)) {
            return None;
        }
        let part = |at: usize| at % MEMBERS as usize;
        let scale = Scale::of(lists.iter().flat_map(|list| &list.rows));
        let member = |member: u64| {
            let others: Vec<List> = lists
                .iter()
                .enumerate()
                .filter(|(at, _)| part(*at) != member as usize)
                .map(|(_, list)| list.clone())
                .collect();
            train_one(Network::new(scale.clone(), seed + member), &others, epochs, seed + member)
        };
        let members: Vec<Network> = (0..MEMBERS).map(member).collect();
        let unseen = |(at, list): (usize, &List)| list.rows.iter().map(|row| members[part(at)].score(row)).collect();
        let scores: Vec<Vec<f32>> = lists.iter().enumerate().map(unseen).collect();
        let margin = best_margin(lists, &scores, most_loss)?;
        Some(Self { members, margin })
    }

    /// The score of a candidate: larger is better.
    pub fn score(&self, row: &Row) -> f32 {
        let sum: f32 = self.members.iter().map(|member| member.score(row)).sum();
        sum / self.members.len() as f32 - self.margin * row[WAS_CHOSEN]
    }

    /// The scores of all candidates.
    pub fn scores(&self, rows: &[Row]) -> Vec<f32> {
        rows.iter().map(|row| self.score(row)).collect()
    }

    /// The weights by name.
    pub fn to_tensors(&self) -> Tensors {
        let mut tensors = Tensors::default();
        let members = self.members.len();
        let weights: Vec<f32> = self.members.iter().flat_map(|member| member.weights.iter().copied()).collect();
        let scale = self.members.first().map(|member| member.scale().numbers()).unwrap_or_default();
        tensors.put("ranker.weights", &[members, WEIGHTS], weights);
        tensors.put("ranker.scale", &[4, FEATURES], scale);
        tensors.put("ranker.margin", &[1], vec![self.margin]);
        tensors
    }

    /// What [`Ranker::to_tensors`] made; `None` if it is not all there.
    pub fn from_tensors(tensors: &Tensors) -> Option<Self> {
        let scale = Scale::of_numbers(tensors.get("ranker.scale", &[4, FEATURES])?)?;
        let weights = tensors.get("ranker.weights", &[MEMBERS as usize, WEIGHTS])?;
        let members = weights.chunks(WEIGHTS).map(|weights| Network::of_weights(scale.clone(), weights)).collect();
        Some(Self { members, margin: tensors.number("ranker.margin")? })
    }

    /// The margin.
    pub fn margin(&self) -> f32 {
        self.margin
    }

    /// Chooses the margin by lists that were not trained on: the best of those with which queries whose right answers were never chosen lose
    /// at most `most_loss` nDCG@10. `false` where none keeps that: such a ranker is not to be used.
    pub fn tune(&mut self, lists: &[List], most_loss: f64) -> bool {
        self.margin = 0.0;
        let scores: Vec<Vec<f32>> = lists.iter().map(|list| self.scores(&list.rows)).collect();
        let best = best_margin(lists, &scores, most_loss);
        self.margin = best.unwrap_or(0.0);
        best.is_some()
    }
}

/// Adam (Kingma and Ba 2015, algorithm 1), one query a step, in another order each time.
fn train_one(mut network: Network, lists: &[List], epochs: usize, seed: u64) -> Network {
    let mut random = Random(seed);
    let (mut first, mut second) = (vec![0f32; WEIGHTS], vec![0f32; WEIGHTS]);
    let (mut first_left, mut second_left) = (1f32, 1f32);
    let mut order: Vec<usize> = (0..lists.len()).collect();
    let mut gradient = vec![0f32; WEIGHTS];
    for epoch in 0..epochs {
        random.shuffle(&mut order);
        let step = STEP * (1.0 - epoch as f32 / epochs as f32);
        for at in &order {
            let List { rows, grades, is_unlike, .. } = &lists[*at];
            gradient.fill(0.0);
            if *is_unlike || network.loss(rows, grades, &mut gradient) == 0.0 {
                continue;
            }
            first_left *= 0.9;
            second_left *= 0.999;
            for (weight, slope) in gradient.iter().enumerate() {
                let value = &mut network.weights[weight];
                // The linear part is not pulled: similarity has to stay.
                let slope = slope + if weight < WEIGHTS - FEATURES { DECAY * *value } else { 0.0 };
                first[weight] = 0.9 * first[weight] + 0.1 * slope;
                second[weight] = 0.999 * second[weight] + 0.001 * slope * slope;
                let mean = first[weight] / (1.0 - first_left);
                *value -= step * mean / ((second[weight] / (1.0 - second_left)).sqrt() + 1e-8);
            }
        }
    }
    network
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists where what was chosen for a query very much like this one is right, and else what is most similar.
    fn lists(count: usize, seed: u64) -> Vec<List> {
        let mut random = Random(seed);
        (0..count)
            .map(|_| {
                let mut list = List::default();
                let has_evidence = random.below(2) == 0;
                let right = if has_evidence { 5 } else { 0 };
                for at in 0..10 {
                    let mut row: Row = [0.0; FEATURES];
                    row[0] = 0.9 - at as f32 * 0.05;
                    if at == 5 || (at == 7 && random.below(2) == 0) {
                        row[WAS_CHOSEN] = 1.0;
                        row[1] = if at == 5 && has_evidence { 0.9 } else { random.below(100) as f32 / 200.0 };
                    }
                    list.rows.push(row);
                    list.grades.push(f32::from(u8::from(at == right)));
                }
                list.right = vec![1.0];
                list.is_new = !has_evidence;
                list
            })
            .collect()
    }

    fn mean(lists: &[List], of: impl Fn(&List) -> f64) -> f64 {
        lists.iter().map(of).sum::<f64>() / lists.len() as f64
    }

    /// Catches a trainer that does nothing, and one that takes everything chosen before for right.
    #[test]
    fn what_evidence_is_worth_is_learned() {
        let (known, unseen) = (lists(200, 1), lists(200, 2));
        let mut ranker = Ranker::train(&known, 10, 5).unwrap();
        assert!(ranker.tune(&known, 0.005));
        let after = mean(&unseen, |list| list.by(&ranker.scores(&list.rows)));
        assert!(mean(&unseen, List::before) < 0.75 && after > 0.98, "{after}");
        let popular = mean(&unseen, |list| list.by(&list.rows.iter().map(|row| row[0] + row[5]).collect::<Vec<f32>>()));
        assert!(popular < 0.9, "{popular}");
        let new: Vec<List> = unseen.into_iter().filter(|list| list.is_new).collect();
        assert!(mean(&new, |list| list.by(&ranker.scores(&list.rows))) > 0.99);
    }

    #[test]
    fn the_same_feedback_gives_the_same_ranker() {
        let known = lists(50, 1);
        assert_eq!(Ranker::train(&known, 3, 5), Ranker::train(&known, 3, 5));
        assert_ne!(Ranker::train(&known, 3, 5), Ranker::train(&known, 3, 6));
        let nothing =
            List { rows: vec![[0.0; FEATURES]], grades: vec![0.0], right: vec![1.0], is_new: true, is_unlike: false };
        assert_eq!(Ranker::train(&[nothing], 3, 5), None);
    }

    /// Catches a bound that is not kept, and one that nothing can break.
    #[test]
    fn a_margin_keeps_new_queries_from_harm_or_the_ranker_is_refused() {
        let known = lists(100, 1);
        let trained = Ranker::train(&known, 4, 5).unwrap();
        let loss = |ranker: &Ranker, lists: &[List]| {
            let new: Vec<&List> = lists.iter().filter(|list| list.is_new).collect();
            new.iter().map(|list| list.before() - list.by(&ranker.scores(&list.rows))).sum::<f64>() / new.len() as f64
        };
        // Evidence that is weaker than what was seen in training misleads; the margin outweighs it.
        let misled = |similarity: f32| {
            let mut lists = lists(100, 3);
            for list in lists.iter_mut().filter(|list| list.is_new) {
                list.rows[5][1] = similarity;
                list.rows[5][WAS_CHOSEN] = 1.0;
            }
            lists
        };
        let mut refused = trained.clone();
        assert!(!refused.tune(&misled(0.95), 0.005) && loss(&refused, &misled(0.95)) > 0.1);
        let kept: Vec<(f32, f32)> = (50..90)
            .map(|percent| percent as f32 / 100.0)
            .filter_map(|similarity| {
                let mut ranker = trained.clone();
                let lists = misled(similarity);
                ranker.tune(&lists, 0.005).then(|| {
                    assert!(loss(&ranker, &lists) <= 0.005, "{similarity}");
                    (similarity, ranker.margin())
                })
            })
            .collect();
        assert!(kept.iter().any(|(_, margin)| *margin > 0.0), "{kept:?}");
    }
}

//! What adapters of the query gain, beside a full linear one, and beside what remembers queries.
//!
//! Steps and epochs are chosen by a fifth of the training queries held out, anew for each method and fold; then all are trained on.

use super::data::{Vectors, judge};
use super::{Fold, Gains, query_memory};
use rvf_engine::learn::{BaseLora, MicroLora, TrainingOptions, Trajectory, dot, normalise};
use std::collections::BTreeMap;

/// Documents that were not chosen, of a trajectory, and how many of them are the most similar ones; the others are any.
const OTHERS: usize = 20;
const HARD: usize = 12;
/// Steps and epochs that are tried.
const TRIED: [(f32, usize); 6] = [(0.0003, 7), (0.0003, 20), (0.001, 7), (0.001, 20), (0.003, 7), (0.003, 20)];

/// Queries and what is right for them.
type Queries<'d> = [(&'d [f32], &'d BTreeMap<u64, f32>)];

/// A query, what was chosen for it and what was not.
struct Pick<'d> {
    query: &'d [f32],
    chosen: Vec<&'d [f32]>,
    others: Vec<&'d [f32]>,
}

/// What training sees of queries: what is right was chosen; the most similar of the others, and some at random, were not.
fn picks<'d>(documents: &'d Vectors, queries: &Queries<'d>, hard: usize, seed: u64) -> Vec<Pick<'d>> {
    let mut state = seed;
    let of = |(query, right): &(&'d [f32], &'d BTreeMap<u64, f32>)| {
        let similarities: Vec<f32> = (0..documents.len()).map(|at| dot(documents.row(at), query)).collect();
        let mut order: Vec<usize> = (0..documents.len()).filter(|at| !right.contains_key(&(*at as u64))).collect();
        order.sort_by(|a, b| similarities[*b].total_cmp(&similarities[*a]));
        let rest = order.split_off(hard);
        for _ in hard..OTHERS {
            // Good enough to choose documents by.
            state = state.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x632B_E59B_D9B4_E019);
            order.push(rest[(state >> 33) as usize % rest.len()]);
        }
        let chosen = right.keys().map(|document| documents.row(*document as usize)).collect();
        Pick { query, chosen, others: order.into_iter().map(|at| documents.row(at)).collect() }
    };
    queries.iter().map(of).collect()
}

/// The same as trajectories.
pub(crate) fn trajectories(documents: &Vectors, queries: &Queries<'_>, seed: u64) -> Vec<Trajectory> {
    as_trajectories(&picks(documents, queries, HARD, seed))
}

fn as_trajectories(picks: &[Pick<'_>]) -> Vec<Trajectory> {
    picks.iter().filter_map(|pick| Trajectory::new(pick.query, &pick.chosen, &pick.others)).collect()
}

/// A residual without a bound on its rank: u = q + Wq, trained as the others are.
struct Full {
    weights: Vec<f32>,
}

impl Full {
    fn apply(&self, query: &[f32]) -> Vec<f32> {
        let mut out: Vec<f32> = self.weights.chunks_exact(query.len()).map(|row| dot(row, query)).collect();
        out.iter_mut().zip(query).for_each(|(x, query)| *x += query);
        out
    }

    /// The slope of the InfoNCE loss by u.
    fn slope(&self, pick: &Pick<'_>, temperature: f32) -> Vec<f32> {
        let mut adapted = self.apply(pick.query);
        let length = dot(&adapted, &adapted).sqrt();
        normalise(&mut adapted);
        let power = |document: &&[f32]| (dot(document, &adapted) / temperature).exp();
        let others: Vec<f32> = pick.others.iter().map(power).collect();
        let of_others: f32 = others.iter().sum();
        let weight = 1.0 / (pick.chosen.len() as f32 * temperature);
        let mut slope = vec![0.0; adapted.len()];
        let mut add = |weight: f32, row: &[f32]| slope.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x);
        for document in &pick.chosen {
            let sum = power(document) + of_others;
            add(-weight * of_others / sum, document);
            others.iter().zip(&pick.others).for_each(|(power, other)| add(weight * power / sum, other));
        }
        let along = dot(&slope, &adapted);
        slope.iter_mut().zip(&adapted).for_each(|(slope, x)| *slope = (*slope - along * x) / length);
        slope
    }

    /// Adam in batches of 16, with the pull to the identity, as low ranks have it.
    fn train(picks: &[Pick<'_>], dimension: usize, options: &TrainingOptions) -> Self {
        let count = dimension * dimension;
        let (mut first, mut second, mut sum) = (vec![0f32; count], vec![0f32; count], vec![0f32; count]);
        let mut full = Self { weights: vec![0.0; count] };
        let (mut first_left, mut second_left) = (1f32, 1f32);
        let mut order: Vec<usize> = (0..picks.len()).collect();
        for epoch in 0..options.epochs {
            order.sort_by_key(|at| ((at + 1) as u64 * (2 * epoch as u64 + 3)).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let step = options.step * (1.0 - epoch as f32 / options.epochs as f32);
            for batch in order.chunks(16) {
                sum.iter_mut().zip(&full.weights).for_each(|(sum, weight)| *sum = options.pull * weight);
                for at in batch {
                    let slope = full.slope(&picks[*at], options.temperature);
                    for (row, slope) in sum.chunks_exact_mut(dimension).zip(slope) {
                        let slope = slope / batch.len() as f32;
                        row.iter_mut().zip(picks[*at].query).for_each(|(sum, x)| *sum += slope * x);
                    }
                }
                first_left *= 0.9;
                second_left *= 0.999;
                for (at, slope) in sum.iter().enumerate() {
                    first[at] = 0.9 * first[at] + 0.1 * slope;
                    second[at] = 0.999 * second[at] + 0.001 * slope * slope;
                    let mean = first[at] / (1.0 - first_left);
                    full.weights[at] -= step * mean / ((second[at] / (1.0 - second_left)).sqrt() + 1e-8);
                }
            }
        }
        full
    }
}

/// Turns queries.
type Adapter = Box<dyn Fn(&[f32]) -> Vec<f32>>;

/// The adapter of a rank, 0 for the full one, trained on some queries.
fn train(dimension: usize, picks: &[Pick<'_>], rank: usize, options: &TrainingOptions) -> Adapter {
    if rank == 0 {
        let full = Full::train(picks, dimension, options);
        return Box::new(move |query| full.apply(query));
    }
    let mut base = BaseLora::new(dimension, rank, 1);
    base.train(&as_trajectories(picks), &[], options);
    Box::new(move |query| {
        let mut out = vec![0.0; dimension];
        assert!(base.apply(query, &mut out));
        out
    })
}

/// Trains with the step and epochs that are best for held-out training queries.
fn tuned(fold: &Fold<'_>, rank: usize) -> Adapter {
    let train = |queries: &Queries<'_>, (step, epochs): (f32, usize)| {
        let options = TrainingOptions { step, epochs, ..TrainingOptions::default() };
        train(fold.documents.dimension, &picks(fold.documents, queries, HARD, 1), rank, &options)
    };
    let held: Vec<_> = fold.seen.iter().copied().step_by(5).collect();
    let rest = fold.seen.iter().enumerate().filter(|(at, _)| at % 5 != 0);
    let rest: Vec<_> = rest.map(|(_, query)| *query).collect();
    let quality = |tried: &(f32, usize)| {
        let adapter = train(&rest, *tried);
        held.iter().map(|(query, right)| judge(&fold.similarities(&adapter(query)), right)).sum::<f64>()
    };
    let all = TRIED.iter().map(|tried| (quality(tried), *tried));
    let best = all.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(TRIED[0], |(_, tried)| tried);
    train(&fold.seen, best)
}

/// Rank 16 with the default options, `hard` of the others the most similar ones, and a pull to the identity.
fn by_default(fold: &Fold<'_>, hard: usize, pull: f32) -> Adapter {
    let options = TrainingOptions { pull, ..TrainingOptions::default() };
    train(fold.documents.dimension, &picks(fold.documents, &fold.seen, hard, 1), 16, &options)
}

/// One step a query, in their order.
fn micro(fold: &Fold<'_>, hard: usize) -> Adapter {
    let dimension = fold.documents.dimension;
    let mut micro = MicroLora::new(dimension, 2, 1);
    for pick in picks(fold.documents, &fold.seen, hard, 1) {
        micro.adapt(pick.query, &pick.chosen, &pick.others);
    }
    Box::new(move |query| {
        let mut out = vec![0.0; dimension];
        assert!(micro.apply(query, &mut out));
        out
    })
}

/// Prints the table.
pub(crate) fn measure(folds: &[Fold<'_>]) {
    let mut table: BTreeMap<String, Gains> = BTreeMap::new();
    for fold in folds {
        let TrainingOptions { pull, .. } = TrainingOptions::default();
        let adapters: Vec<(String, Adapter)> = vec![
            ("full linear adapter".to_owned(), tuned(fold, 0)),
            ("rank  2".to_owned(), tuned(fold, 2)),
            ("rank  8".to_owned(), tuned(fold, 8)),
            ("rank 16".to_owned(), tuned(fold, 16)),
            ("MicroLora, rank 2".to_owned(), micro(fold, HARD)),
            ("rank 16, default".to_owned(), by_default(fold, HARD, pull)),
            ("rank 16, default, any others".to_owned(), by_default(fold, 0, pull)),
            ("rank 16, default, pull 0.01".to_owned(), by_default(fold, HARD, 0.01)),
            ("rank 16, default, any, pull 0.01".to_owned(), by_default(fold, 0, 0.01)),
        ];
        let memories: Vec<_> = [(0.3, 2.0), (0.5, 1.0), (0.7, 1.0)]
            .map(|(least, weight)| (least, query_memory(fold, least, weight)))
            .into();
        let choosers = fold.choosers();
        for (query, right) in &fold.judged {
            let is_new = !right.keys().any(|document| choosers.contains_key(document));
            let similarities = fold.similarities(query);
            let before = judge(&similarities, right);
            let mut add = |name: String, scores: &[f32]| {
                table.entry(name).or_default().add(judge(scores, right) - before, is_new);
            };
            for (least, memory) in &memories {
                add(format!("query memory, from {least}"), &memory(query, &similarities));
            }
            for (name, adapter) in &adapters {
                let similarities = fold.similarities(&adapter(query));
                add(name.clone(), &similarities);
                for (least, memory) in &memories {
                    add(format!("{name}; memory, from {least}"), &memory(query, &similarities));
                }
            }
        }
    }
    println!("| adapter                            | gain, all queries           | gain, new queries           |");
    println!("| --- | --- | --- |");
    table.iter().for_each(|(name, gains)| gains.tell(name));
}

//! What an adapter forgets of one topic while it is trained on another, and what keeps it from that.
//!
//! Documents are parted in two by k-means; queries go with their right documents. The adapter is trained on the training queries of topic A,
//! consolidates, and is trained on those of B. Strengths were chosen on a fifth of the training queries held out (`--only forgetting-tuning`),
//! which is never done on those that are judged here.

use super::Fold;
use super::adapters::trajectories;
use super::data::judge;
use rvf_engine::learn::{BaseLora, Boundary, TrainingOptions, Trajectory, dot, kmeans};
use std::collections::BTreeMap;

const SEEDS: u64 = 3;
const RANK: usize = 16;

/// Queries and what is right for them.
type Queries<'d> = Vec<(&'d [f32], &'d BTreeMap<u64, f32>)>;

/// The two topics, by query: whether most of what is right for it lies in the first.
fn part<'d>(fold: &Fold<'d>, queries: &[(&'d [f32], &'d BTreeMap<u64, f32>)], seed: u64) -> [Queries<'d>; 2] {
    let documents = fold.documents;
    let all: Vec<f32> = (0..documents.len()).flat_map(|at| documents.row(at)).copied().collect();
    let side = kmeans(&all, documents.dimension, 2, 50, seed).of;
    let is_first = |right: &BTreeMap<u64, f32>| {
        let first = right.keys().filter(|document| side[**document as usize] == 0).count();
        2 * first > right.len()
    };
    let (a, b) = queries.iter().partition(|(_, right)| is_first(right));
    [a, b]
}

/// Mean nDCG@10 of queries as the adapter turns them.
fn score(fold: &Fold<'_>, base: &BaseLora, queries: &Queries<'_>) -> f64 {
    let mut adapted = vec![0.0; fold.documents.dimension];
    let mut sum = 0.0;
    for (query, right) in queries {
        assert!(base.apply(query, &mut adapted));
        let scores: Vec<f32> = (0..fold.documents.len()).map(|at| dot(fold.documents.row(at), &adapted)).collect();
        sum += judge(&scores, right);
    }
    sum / queries.len() as f64
}

/// Strength of the L2 anchor, alone and beside replay, chosen as that of EWC was.
const L2: [f32; 2] = [0.01, 0.003];

/// Prints where a boundary is told in the queries of A, in a random order, and then those of B.
fn tell_boundary(dimension: usize, [a, b]: &[Queries<'_>; 2], seed: u64) {
    let mut boundary = Boundary::new(dimension);
    let shuffled = |queries: &Queries<'_>| {
        let key = |at: usize| (at as u64 + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let mut all: Vec<_> = queries.iter().enumerate().map(|(at, (query, _))| (key(at), query.to_vec())).collect();
        all.sort_by_key(|(key, _)| *key);
        all.into_iter().map(|(_, query)| query)
    };
    let stream = shuffled(a).chain(shuffled(b));
    let told: Vec<usize> =
        stream.enumerate().filter_map(|(at, query)| boundary.push(&query).then_some(at + 1)).collect();
    println!("seed {seed}: B begins after {} queries, boundaries are told after {told:?}", a.len());
}

/// Ways to go on with B.
fn methods(sweep: bool) -> Vec<(String, TrainingOptions)> {
    let of = |name: &str, ewc: f32, anchor: f32, replay: f32| {
        (name.to_owned(), TrainingOptions { ewc, anchor, replay, ..TrainingOptions::default() })
    };
    let TrainingOptions { ewc, replay, .. } = TrainingOptions::default();
    let mut all = vec![of("unprotected", 0.0, 0.0, 0.0)];
    if !sweep {
        all.extend([
            of("EWC", ewc, 0.0, 0.0),
            of("L2 anchor", 0.0, L2[0], 0.0),
            of("replay, 10 %", 0.0, 0.0, 0.1),
            of("EWC + replay, 10 %", ewc, 0.0, 0.1),
            of(&format!("replay, {:.0} %", replay * 100.0), 0.0, 0.0, replay),
            of("L2 anchor + replay as the default", 0.0, L2[1], replay),
            of("EWC + replay: the default", ewc, 0.0, replay),
        ]);
        return all;
    }
    for ewc in [1.0, 3.0, 10.0, 30.0, 100.0] {
        all.push(of(&format!("EWC {ewc}"), ewc, 0.0, 0.0));
    }
    for anchor in [0.001, 0.003, 0.01, 0.03, 0.1] {
        all.push(of(&format!("L2 {anchor}"), 0.0, anchor, 0.0));
    }
    for replay in [0.1, 0.2, 0.3, 0.35, 0.4] {
        for ewc in [0.0, 1.0, 3.0, 5.0, 10.0] {
            all.push(of(&format!("replay {replay}, EWC {ewc}"), ewc, 0.0, replay));
        }
        for anchor in [0.0003, 0.001, 0.003, 0.01] {
            all.push(of(&format!("replay {replay}, L2 {anchor}"), 0.0, anchor, replay));
        }
    }
    all
}

/// nDCG@10 of A and B for every way, summed over the seeds.
#[derive(Default)]
struct Table {
    rows: Vec<(String, Vec<[f64; 2]>)>,
}

impl Table {
    fn add(&mut self, name: &str, scores: [f64; 2]) {
        match self.rows.iter_mut().find(|(known, _)| known == name) {
            Some((_, all)) => all.push(scores),
            None => self.rows.push((name.to_owned(), vec![scores])),
        }
    }

    fn of(&self, name: &str) -> &[[f64; 2]] {
        self.rows.iter().find(|(known, _)| known == name).map_or(&[], |(_, all)| all)
    }

    fn print(&self) {
        let [after, free] = ["after A", "A, then B: unprotected"].map(|name| self.of(name));
        println!("| trained on | A | B | A loses | B keeps of its gain | by seed |");
        println!("| --- | --- | --- | --- | --- | --- |");
        for (name, all) in &self.rows {
            let loses_keeps = |[a, b]: [f64; 2], after: [f64; 2], free: [f64; 2]| {
                (after[0] - a, 100.0 * (b - after[1]) / (free[1] - after[1]))
            };
            let ([a, b], (loses, keeps)) = (mean(all), loses_keeps(mean(all), mean(after), mean(free)));
            let by_seed = all.iter().zip(after).zip(free).map(|((scores, after), free)| {
                let (loses, keeps) = loses_keeps(*scores, *after, *free);
                format!("{loses:+.3} {keeps:.0} %")
            });
            let by_seed = by_seed.collect::<Vec<_>>().join(", ");
            println!("| {name:<40} | {a:.4} | {b:.4} | {loses:+.4} | {keeps:>4.0} % | {by_seed} |");
        }
    }
}

fn mean(all: &[[f64; 2]]) -> [f64; 2] {
    [0, 1].map(|topic| all.iter().map(|scores| scores[topic]).sum::<f64>() / all.len() as f64)
}

/// Prints A and B before, after A, and after each way to go on; the mean of three seeds, which tell topics, weights and negatives.
pub(crate) fn measure(fold: &Fold<'_>, sweep: bool) {
    let mut table = Table::default();
    let (mut seen, mut judged) = (fold.seen.clone(), fold.judged.clone());
    if sweep {
        // Every fifth training query is judged by what the others taught; queries that are judged elsewhere are not looked at.
        judged = seen.iter().copied().step_by(5).collect();
        seen = seen.into_iter().enumerate().filter_map(|(at, query)| (at % 5 != 0).then_some(query)).collect();
    }
    for seed in 1..=SEEDS {
        let seen = part(fold, &seen, seed);
        let judged = part(fold, &judged, seed);
        println!(
            "seed {seed}: trained on {} and {}, judged {} and {}",
            seen[0].len(),
            seen[1].len(),
            judged[0].len(),
            judged[1].len()
        );
        tell_boundary(fold.documents.dimension, &seen, seed);
        let [a, b]: [Vec<Trajectory>; 2] = seen.map(|queries| trajectories(fold.documents, &queries, seed));
        let both = |base: &BaseLora| [score(fold, base, &judged[0]), score(fold, base, &judged[1])];
        let mut base = BaseLora::new(fold.documents.dimension, RANK, seed);
        table.add("nothing", both(&base));
        let plain = TrainingOptions { seed, ..plain() };
        let mut joint = base.clone();
        joint.train(&[&*a, &b].concat(), &[], &plain);
        base.train(&a, &[], &plain);
        assert!(base.consolidate(&a, &plain));
        table.add("after A", both(&base));
        for (name, options) in methods(sweep) {
            let mut base = base.clone();
            base.train(&b, &a, &TrainingOptions { seed, ..options });
            table.add(&format!("A, then B: {name}"), both(&base));
        }
        table.add("A and B together", both(&joint));
    }
    table.print();
}

/// The default without what protects.
fn plain() -> TrainingOptions {
    TrainingOptions { ewc: 0.0, replay: 0.0, ..TrainingOptions::default() }
}

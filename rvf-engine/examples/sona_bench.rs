//! What learning on the query side costs. `cargo run --release -p rvf-engine --example sona_bench`
//!
//! At 384 dimensions: one step of `MicroLora` on 1 chosen and 8 other documents, turning a query by `MicroLora` and by `BaseLora`, finding 5
//! among 10,000 patterns, training on 1,000 trajectories of 1 chosen and 20 other documents at rank 16 (with EWC and replay), and consolidating
//! them. Rounds are interleaved, so that all see the same machine; medians are printed beside the most that each may take.

use rvf_engine::learn::{Bank, BaseLora, Choice, MicroLora, TrainingOptions, Trajectory, normalise};
use std::hint::black_box;
use std::time::Instant;

const DIMENSION: usize = 384;
const PATTERNS: usize = 10_000;
const TRAJECTORIES: usize = 1000;
const ROUNDS: usize = 15;

/// Vectors that look random, of unit length.
struct Vectors(u64);

impl Vectors {
    fn draw(&mut self) -> Vec<f32> {
        let mut vector: Vec<f32> = (0..DIMENSION)
            .map(|_| {
                self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
                (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            })
            .collect();
        normalise(&mut vector);
        vector
    }

    fn several(&mut self, count: usize) -> Vec<Vec<f32>> {
        (0..count).map(|_| self.draw()).collect()
    }

    fn trajectory(&mut self) -> Option<Trajectory> {
        let all = self.several(22);
        let rows: Vec<&[f32]> = all.iter().map(Vec::as_slice).collect();
        Trajectory::new(rows[0], &rows[1..2], &rows[2..])
    }
}

/// Something that is measured: its name, how often it is done in a round, the most microseconds it may take.
struct Variant<'a> {
    name: &'a str,
    times: usize,
    most: Option<f64>,
    run: Box<dyn FnMut() + 'a>,
}

fn bank(vectors: &mut Vectors) -> Bank {
    let mut bank = Bank::new(DIMENSION, PATTERNS, 1e6);
    // One pattern a query: no two random ones are near.
    for at in 0..PATTERNS {
        let query = vectors.draw();
        let chosen = [Choice { document: at as u64, grade: 1.0 }];
        bank.learn(&[(&query, &chosen)], 1, at as f64, 1);
    }
    bank
}

fn main() -> Result<(), &'static str> {
    let mut vectors = Vectors(1);
    let documents = vectors.several(9);
    let rows: Vec<&[f32]> = documents.iter().map(Vec::as_slice).collect();
    let queries = vectors.several(64);
    let trajectories: Option<Vec<Trajectory>> = (0..TRAJECTORIES).map(|_| vectors.trajectory()).collect();
    let trajectories = trajectories.ok_or("vectors of one length that differ make no trajectory")?;
    let options = TrainingOptions::default();
    let mut trained = BaseLora::new(DIMENSION, 16, 1);
    trained.train(&trajectories[..100], &[], &options);
    let consolidated = {
        let mut base = trained.clone();
        assert!(base.consolidate(&trajectories[..100], &options));
        base
    };
    let bank = bank(&mut vectors);
    assert_eq!(bank.patterns().len(), PATTERNS);
    let mut micro = MicroLora::new(DIMENSION, 2, 1);
    assert!(micro.adapt(&queries[0], &rows[..1], &rows[1..]));
    let adapted = micro.clone();
    let (mut out, mut other) = (vec![0.0; DIMENSION], vec![0.0; DIMENSION]);
    let (mut turn, mut at) = (0, 0);
    let mut next = || {
        turn += 1;
        turn % 64
    };
    let mut variants = [
        Variant {
            name: "MicroLora::adapt, rank 2, 1 + 8 documents",
            times: 1000,
            most: Some(100.0),
            run: Box::new(|| assert!(micro.adapt(&queries[next()], &rows[..1], &rows[1..]))),
        },
        Variant {
            name: "MicroLora::apply, rank 2",
            times: 1000,
            most: Some(10.0),
            run: Box::new(|| {
                at += 1;
                assert!(adapted.apply(black_box(&queries[at % 64]), &mut out));
            }),
        },
        Variant {
            name: "BaseLora::apply, rank 16",
            times: 1000,
            most: None,
            run: Box::new(|| assert!(trained.apply(black_box(&queries[0]), &mut other))),
        },
        Variant {
            name: "Bank::find, 5 among 10,000",
            times: 20,
            most: Some(1000.0),
            run: Box::new(|| assert_eq!(bank.find(black_box(&queries[1]), 5, 0.0).len(), 5)),
        },
        Variant {
            name: "BaseLora::train, 1,000 trajectories",
            times: 1,
            most: Some(5e6),
            run: Box::new(|| {
                let report = consolidated.clone().train(&trajectories, &trajectories[..100], &options);
                assert!(report.is_kept && report.replayed > 0);
            }),
        },
        Variant {
            name: "BaseLora::consolidate, 1,000 trajectories",
            times: 1,
            most: None,
            run: Box::new(|| assert!(consolidated.clone().consolidate(&trajectories, &options))),
        },
    ];
    let mut taken = vec![Vec::new(); variants.len()];
    for _ in 0..ROUNDS {
        for (variant, taken) in variants.iter_mut().zip(&mut taken) {
            let start = Instant::now();
            (0..variant.times).for_each(|_| (variant.run)());
            taken.push(start.elapsed().as_secs_f64() * 1e6 / variant.times as f64);
        }
    }
    println!("| {DIMENSION} dimensions | median, us | at most, us |");
    println!("| --- | --- | --- |");
    for (variant, taken) in variants.iter().zip(&mut taken) {
        taken.sort_by(f64::total_cmp);
        let most = variant.most.map_or(String::new(), |most| format!("{most:.0}"));
        println!("| {:<42} | {:>10.1} | {most:>9} |", variant.name, taken[ROUNDS / 2]);
    }
    Ok(())
}

//! What re-ranking by a graph network costs. `cargo run --release -p rvf-engine --example gnn_bench`
//!
//! Prints the median time of a query on one core, for each kind of layers: 100 candidates with 17 features, each linked to 16 others by edges
//! of its own, so that about 32 lead to and from a node; two layers, 32 elements a state; one network, and the three of a ranker. The model
//! is trained for one epoch on a few such graphs: what the weights are does not change the work.

use rvf_engine::learn::{Edge, FEATURES, Form, GraphList, GraphRanker, GraphTraining, Kind, Neighbourhood};
use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Instant;

const CANDIDATES: usize = 100;
const ROUNDS: usize = 201;

/// Numbers that look random (a linear congruential generator), below `end`.
fn draw(state: &mut u64, end: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ((*state >> 33) as usize) % end
}

fn graph(links: usize, seed: u64) -> Option<Neighbourhood> {
    let mut state = seed;
    let rows = (0..CANDIDATES * FEATURES).map(|_| draw(&mut state, 1000) as f32 / 1000.0).collect();
    let mut pairs = BTreeSet::new();
    for node in 0..CANDIDATES {
        for _ in 0..links {
            let to = draw(&mut state, CANDIDATES);
            if to != node {
                pairs.insert([node.min(to), node.max(to)]);
            }
        }
    }
    let edge = |nodes| Edge { nodes, similarity: draw(&mut state, 100) as f32 / 100.0, structure: 1.0 };
    Neighbourhood::new(FEATURES, rows, CANDIDATES, pairs.into_iter().map(edge).collect())
}

fn median(graph: &Neighbourhood, ranker: &GraphRanker) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            black_box(ranker.scores(black_box(graph)));
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

fn main() -> Result<(), &'static str> {
    println!("| layers | edges a node, both ways | networks | median, ms a query |");
    println!("| --- | --- | --- | --- |");
    for (name, kind) in [("GCN", Kind::Gcn), ("GATv2, 4 heads", Kind::Gat), ("SAGE, 16 sampled", Kind::Sage)] {
        for (links, members) in [(8, 1), (16, 1), (16, 3)] {
            let graph = graph(links, 7).ok_or("no graph")?;
            let grades = (0..CANDIDATES).map(|at| f32::from(u8::from(at == 3))).collect();
            let list = GraphList { graph: graph.clone(), grades, right: vec![1.0], is_new: false, is_unlike: false };
            let form = Form { kind, ..Form::default() };
            let training = GraphTraining { form, members, epochs: 1, ..GraphTraining::default() };
            let ranker = GraphRanker::train(&[list], &training).ok_or("no ranker")?;
            let degree = 2.0 * graph.edges().len() as f64 / CANDIDATES as f64;
            println!("| {name} | {degree:.1} | {members} | {:.3} |", median(&graph, &ranker));
        }
    }
    Ok(())
}

//! Recall against exact search, determinism, and the shapes that break graphs.

use super::*;
use crate::kernel::{Kernels, Op, Query};
use std::ops::ControlFlow;

fn params(threads: usize) -> Params {
    Params { m: 16, degree: 32, ef_construction: 128, seed: 1, threads }
}

/// Numbers that look random, in 0..1.
fn noise(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    }
}

fn random_rows(count: usize, width: usize, seed: u64) -> Vec<f32> {
    let mut next = noise(seed);
    (0..count * width).map(|_| next()).collect()
}

fn built(rows: &[f32], width: usize, dead: &[u64], kept: Option<Kept<'_>>, threads: usize) -> Built<f32> {
    let table = RunTable::new([(rows.len() / width) as u32]);
    let rows = Rows::whole(rows, width, &table);
    let scorer = Numbers::<f32>::new(Op::L2);
    let params = params(threads);
    let ground = Ground { scorer: &scorer, kernels: Kernels::detect(), rows: &rows, dead };
    let trial = Trial { held: &[], look: &mut |_, _| {} };
    build(ground, kept, &params, trial, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

fn found(rows: &[f32], width: usize, dead: &[u64], graph: &Built<f32>, query: &[f32], ef: usize) -> Vec<(f32, u32)> {
    let table = RunTable::new([(rows.len() / width) as u32]);
    let rows = Rows::whole(rows, width, &table);
    let query = Query::new(Op::L2, query).unwrap();
    let entry = Entry { nodes: &graph.pivots.nodes, offsets: &graph.pivots.offsets, rows: &graph.pivots.rows };
    let mut scratch = Scratch::default();
    let links = Links::new(&graph.links, 32);
    Kernels::detect().run(&query, Walk { dead, ..Walk::new(&rows, links, entry, ef, &mut scratch) });
    scratch.found().collect()
}

/// Mean recall@10 at this ef, by distance, over every 37th row as a query, moved a little.
fn recall(rows: &[f32], width: usize, dead: &[u64], graph: &Built<f32>, ef: usize) -> f64 {
    let (mut right, mut all) = (0, 0);
    for query in rows.chunks(width).step_by(37) {
        let query: Vec<f32> = query.iter().enumerate().map(|(i, v)| v + (i % 3) as f32 * 0.01).collect();
        let prepared = Query::new(Op::L2, &query).unwrap();
        let mut truth = vec![0f32; rows.len() / width];
        Kernels::detect().distances(&prepared, rows, &mut truth).unwrap();
        let mut live: Vec<f32> = (0..truth.len() as u32)
            .filter(|node| !walk::is_set(dead, *node))
            .map(|node| truth[node as usize])
            .collect();
        live.sort_by(f32::total_cmp);
        let k = live.len().min(10);
        let hits = found(rows, width, dead, graph, &query, ef);
        all += k;
        right += hits.iter().take(k).filter(|(distance, _)| *distance <= live[k - 1]).count();
    }
    right as f64 / all as f64
}

fn dead_bits(nodes: impl Iterator<Item = usize>, count: usize) -> Vec<u64> {
    let mut bits = vec![0u64; count.div_ceil(64)];
    nodes.for_each(|node| bits[node / 64] |= 1 << (node % 64));
    bits
}

#[test]
fn a_walk_finds_what_an_exact_search_finds() {
    let rows = random_rows(4000, 12, 1);
    let graph = built(&rows, 12, &[], None, 2);
    let recall = recall(&rows, 12, &[], &graph, 64);
    assert!(recall > 0.97, "{recall}");
    assert_eq!(graph.linked, 4000);
}

#[test]
fn threads_do_not_change_the_graph() {
    let rows = random_rows(3000, 8, 2);
    let (one, three) = (built(&rows, 8, &[], None, 1), built(&rows, 8, &[], None, 3));
    assert_eq!((one.links, one.pivots.nodes), (three.links, three.pivots.nodes));
}

#[test]
fn sizes_around_nothing() {
    for count in 0..70 {
        let rows = random_rows(count, 3, 3);
        let graph = built(&rows, 3, &[], None, 2);
        let hits = found(&rows, 3, &[], &graph, &[0.5; 3], 100);
        assert_eq!(hits.len(), count, "{count} nodes");
    }
}

#[test]
fn clusters_far_apart_are_all_found() {
    let mut rows = random_rows(100 * 40, 8, 4);
    for (row, values) in rows.chunks_mut(8).enumerate() {
        values.iter_mut().enumerate().for_each(|(i, value)| *value += ((row / 40 * 7919 * (i + 1)) % 1000) as f32);
    }
    let graph = built(&rows, 8, &[], None, 2);
    let recall = recall(&rows, 8, &[], &graph, 32);
    assert!(recall > 0.99, "{recall}");
}

#[test]
fn duplicates_by_the_thousand_hide_nothing() {
    let mut rows = random_rows(4000, 8, 5);
    for row in rows.chunks_mut(8).take(2500) {
        row.fill(0.5);
    }
    let graph = built(&rows, 8, &[], None, 2);
    assert!(recall(&rows, 8, &[], &graph, 64) > 0.97);
    // Every one of them can be found.
    let hits = found(&rows, 8, &[], &graph, &[0.5; 8], 2500);
    assert!(hits.len() == 2500 && hits.iter().all(|(distance, _)| *distance == 0.0));
    // And when all but the last are dead, and healed away, that one is.
    let dead = dead_bits(0..2499, 4000);
    let becomes = (0..4000u32).map(|node| if node < 2499 { NO_LINK } else { node }).collect();
    let healed = built(&rows, 8, &dead, Some(Kept { links: Links::new(&graph.links, 32), becomes }), 2);
    assert_eq!(found(&rows, 8, &dead, &healed, &[0.5; 8], 10)[0], (0.0, 2499));
    assert!(recall(&rows, 8, &dead, &healed, 64) > 0.97);
}

#[test]
fn dead_nodes_are_passed_through_and_healed_away() {
    let rows = random_rows(4000, 12, 6);
    let graph = built(&rows, 12, &[], None, 2);
    let dead = dead_bits((0..4000).filter(|node| node % 10 < 4), 4000);
    let passed = recall(&rows, 12, &dead, &graph, 64);
    assert!(passed > 0.97, "{passed}");
    let becomes = (0..4000).map(|node| if node % 10 < 4 { NO_LINK } else { node as u32 }).collect();
    let healed = built(&rows, 12, &dead, Some(Kept { links: Links::new(&graph.links, 32), becomes }), 2);
    let (healed, fresh) =
        (recall(&rows, 12, &dead, &healed, 64), recall(&rows, 12, &dead, &built(&rows, 12, &dead, None, 2), 64));
    assert!(healed > fresh - 0.01, "{healed} against {fresh}");
}

#[test]
fn a_graph_grows_by_clusters_that_it_never_saw() {
    let mut rows = random_rows(4000, 8, 7);
    for (row, values) in rows.chunks_mut(8).enumerate() {
        values.iter_mut().for_each(|value| *value += (row / 500 * 50) as f32);
    }
    let mut graph = built(&rows[..500 * 8], 8, &[], None, 2);
    for end in (1000..=4000).step_by(500) {
        let kept = Kept { links: Links::new(&graph.links, 32), becomes: (0..end as u32 - 500).collect() };
        graph = built(&rows[..end * 8], 8, &[], Some(kept), 2);
    }
    let recall = recall(&rows, 8, &[], &graph, 64);
    assert!(recall > 0.97, "{recall}");
}

#[test]
fn healing_bridges_what_is_gone() {
    // Rows along a line, in stretches: every second stretch dies, and with it most neighbours of what stays.
    let mut next = noise(9);
    let rows: Vec<f32> = (0..4000).flat_map(|row| [row as f32 / 10.0, next(), next(), next()]).collect();
    let graph = built(&rows, 4, &[], None, 2);
    let gone = |node: usize| node % 40 < 19;
    let dead = dead_bits((0..4000).filter(|node| gone(*node)), 4000);
    let becomes = (0..4000).map(|node| if gone(node) { NO_LINK } else { node as u32 }).collect();
    let healed = built(&rows, 4, &dead, Some(Kept { links: Links::new(&graph.links, 32), becomes }), 2);
    let fresh = built(&rows, 4, &dead, None, 2);
    let (healed_recall, fresh_recall) = (recall(&rows, 4, &dead, &healed, 12), recall(&rows, 4, &dead, &fresh, 12));
    assert!(healed_recall > fresh_recall - 0.005, "{healed_recall} against {fresh_recall}");
}

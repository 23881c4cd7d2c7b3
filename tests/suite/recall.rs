//! What searches find by the index, held against the scan and against an index built anew.

use rvf_engine::{Dtype, Effort, Error, Id, IdType, IndexOptions, Metric, OpenOptions, Schema, Snapshot};
use rvf_tests::indexed::{Clusters, Indexed, K, found, options, schema, search};
use rvf_tests::oracle::{Records, Rng};
use std::ops::ControlFlow;

/// A walk over 2,500 rows: with more candidates the scan is cheaper, and the search takes it.
const HARD: Effort = Effort::Ef(150);
const USUAL: Effort = Effort::Ef(64);
/// What the default effort finds at least, of few queries.
const USUAL_RECALL: f64 = 0.95;

fn manual() -> OpenOptions {
    OpenOptions { manual_index: true, ..options(1) }
}

/// One graph over clustered rows finds what the scan does.
fn one_graph(dimension: u32, dtype: Dtype, metric: Metric, rows: usize) {
    let schema = schema(dimension, dtype, metric);
    if schema.check().is_err() {
        return;
    }
    let seed = u64::from(dimension) * 100 + metric as u64 * 10 + dtype as u64;
    let mut rng = Rng(seed);
    let what = format!("{schema:?}, seed {seed}");
    let clusters = Clusters::new(&schema, 25, 0.1, &mut rng);
    let mut store = Indexed::new(schema, manual());
    store.add(clusters.many(rows, &mut rng));
    assert_eq!(store.index().graphs, 1, "{what}");
    let queries = clusters.many(40, &mut rng);
    let usual = store.found(&queries, K, Effort::default(), &what);
    let hard = store.found(&queries, K, HARD, &what);
    println!("{what}: {usual:?} {hard:?}");
    assert!(usual.recall >= USUAL_RECALL, "{what}: {usual:?}");
    // Products are no metric: more candidates help little.
    let least = if metric == Metric::Dot { 0.93 } else { 0.98 };
    assert!(hard.recall >= least, "{what}: {hard:?}");
    assert!(rows < 2500 || hard.walked == 40, "{what}: the graph was not walked");
    store.verify(&what);
}

fn one_graph_of(metric: Metric) {
    for dtype in Dtype::ALL {
        for dimension in [1, 3, 16, 100] {
            one_graph(dimension, *dtype, metric, 2500);
        }
    }
}

#[test]
fn a_graph_finds_what_is_near_by_l2() {
    one_graph_of(Metric::L2);
}

#[test]
fn a_graph_finds_what_is_near_by_dot() {
    one_graph_of(Metric::Dot);
}

#[test]
fn a_graph_finds_what_is_near_by_cosine() {
    one_graph_of(Metric::Cosine);
}

#[test]
fn a_graph_finds_what_is_near_by_hamming() {
    one_graph_of(Metric::Hamming);
}

#[test]
fn a_graph_finds_what_is_near_in_4096_dimensions() {
    one_graph(4096, Dtype::F32, Metric::Cosine, 1100);
    one_graph(4096, Dtype::Binary, Metric::Hamming, 1100);
}

/// The curve of an index is measured on its own rows; queries are none of them.
#[test]
fn the_default_effort_keeps_its_promise() {
    for (dtype, metric) in [(Dtype::F32, Metric::L2), (Dtype::U8, Metric::L2), (Dtype::I8, Metric::Cosine)] {
        for dimension in [16, 100, 384] {
            let schema = schema(dimension, dtype, metric);
            let mut rng = Rng(77 + u64::from(dimension));
            let clusters = Clusters::new(&schema, 25, 0.1, &mut rng);
            let mut store = Indexed::new(schema, manual());
            store.add(clusters.many(2500, &mut rng));
            store.index();
            let found = store.found(&clusters.many(400, &mut rng), K, Effort::default(), &format!("{schema:?}"));
            assert!(found.recall >= 0.97, "{schema:?}: {found:?}");
        }
    }
}

/// Random operations; an index that was folded, carried on and healed on the way finds as much as one built anew.
fn sequence(schema: Schema, seed: u64, steps: usize) {
    let mut rng = Rng(seed);
    let clusters = Clusters::new(&schema, 20, 0.1, &mut rng);
    let mut store = Indexed::new(schema, options(1));
    store.add(clusters.many(1600, &mut rng));
    let (mut aged, mut fresh, mut folds, mut checks) = (0.0, 0.0, 0, 0.0);
    for step in 0..steps {
        let what = format!("{schema:?}, seed {seed}, step {step}");
        let before = store.snapshot().epoch();
        match rng.below(12) {
            0..=5 => {
                let count = 1 + rng.below(600) as usize;
                store.add(clusters.many(count, &mut rng));
            }
            6 | 7 => {
                let count = 1 + rng.below(500) as usize;
                let ids = store.some_ids(count, &mut rng);
                store.put(ids.into_iter().map(|id| (id, clusters.draw(&mut rng))).collect());
            }
            8 | 9 => {
                let count = 1 + rng.below(500) as usize;
                let ids = store.some_ids(count, &mut rng);
                store.delete(&ids);
            }
            10 => drop(store.index()),
            _ => {
                let keep = 1 + rng.below(2);
                store.compact(keep);
                store.reopen();
            }
        }
        folds += usize::from(store.snapshot().epoch() > before + 1);
        if step % 5 != 4 && step + 1 != steps {
            continue;
        }
        store.verify(&what);
        let queries = clusters.many(30, &mut rng);
        let (old, new) = (
            store.found(&queries, K, USUAL, &what),
            Indexed::fresh(schema, &store.records).found(&queries, K, USUAL, &what),
        );
        let graphs = store.snapshot().graphs().len();
        println!("{what}: {} rows, {graphs} graphs, {old:?}, anew {new:?}", store.records.len());
        assert!(old.recall >= new.recall - 0.05, "{what}: {old:?}, anew {new:?}");
        (aged, fresh, checks) = (aged + old.recall, fresh + new.recall, checks + 1.0);
        let usual = store.found(&queries, K, Effort::default(), &what);
        assert!(usual.recall >= USUAL_RECALL - 0.02, "{what}: {usual:?}");
    }
    println!("{schema:?}, seed {seed}: {folds} folds, {} anew {}", aged / checks, fresh / checks);
    assert!(aged / checks >= fresh / checks - 0.01, "{schema:?}, seed {seed}: {aged} anew {fresh} of {checks}");
    assert!(folds > 0 || schema.row_len() < 1500, "{schema:?}, seed {seed}: nothing was folded");
}

#[test]
fn an_aged_index_finds_as_much_as_a_fresh_one() {
    for seed in [1, 2, 3] {
        sequence(schema(12, Dtype::F32, Metric::L2), seed, 20);
    }
    sequence(schema(24, Dtype::I8, Metric::Dot), 4, 20);
    sequence(Schema { id_type: IdType::Str, ..schema(16, Dtype::F16, Metric::Cosine) }, 5, 20);
}

#[test]
fn an_index_that_folds_on_its_own_finds_as_much_as_a_fresh_one() {
    // Rows so long that some 1,000 of them are folded.
    sequence(schema(1600, Dtype::U8, Metric::L2), 11, 20);
    sequence(schema(12_800, Dtype::Binary, Metric::Hamming), 12, 20);
    sequence(schema(400, Dtype::F32, Metric::Cosine), 13, 20);
}

/// Far apart: the distance of clusters is about 30 times their size, or 1,000 times.
#[test]
fn clusters_that_come_one_by_one_are_all_found() {
    // 1,536 bytes a row: a fold every 1,025 rows.
    let schema = schema(384, Dtype::F32, Metric::L2);
    let mut rng = Rng(21);
    let clusters = Clusters::new(&schema, 30, 0.02, &mut rng);
    let mut store = Indexed::new(schema, options(1));
    for cluster in 0..30 {
        store.add((0..150).map(|_| clusters.draw_from(cluster, &mut rng)).collect());
    }
    assert!(!store.snapshot().graphs().is_empty());
    let queries: Vec<Vec<f32>> = (0..30).map(|cluster| clusters.draw_from(cluster, &mut rng)).collect();
    for round in ["folded", "indexed", "compacted"] {
        let found = store.found(&queries, K, USUAL, round);
        println!("{round}: {found:?}");
        assert!(found.recall >= 0.97, "{round}: {found:?}");
        match round {
            "folded" => drop(store.index()),
            _ => store.compact(1),
        }
    }
    store.verify("clusters one by one");
}

#[test]
fn clusters_far_apart_are_all_found() {
    for (dimension, spread) in [(2, 0.0005), (16, 0.0005), (64, 0.002)] {
        let schema = schema(dimension, Dtype::F32, Metric::L2);
        let mut rng = Rng(31);
        let clusters = Clusters::new(&schema, 100, spread, &mut rng);
        let mut store = Indexed::new(schema, manual());
        store.add((0..4000).map(|row| clusters.draw_from(row % 100, &mut rng)).collect());
        store.index();
        let queries: Vec<Vec<f32>> = (0..100).map(|cluster| clusters.draw_from(cluster, &mut rng)).collect();
        let what = format!("{dimension} dimensions");
        for effort in [Effort::default(), USUAL] {
            let found = store.found(&queries, K, effort, &what);
            println!("{what}: {effort:?} {found:?}");
            assert!(found.recall >= 0.97, "{what}: {effort:?} {found:?}");
        }
    }
}

/// New rows that are all alike come into an index that knows nothing like them: they must be linked among each other.
#[test]
fn a_cluster_replaced_whole_is_found_where_it_is_now() {
    let schema = schema(24, Dtype::F32, Metric::L2);
    let mut rng = Rng(41);
    let clusters = Clusters::new(&schema, 12, 0.03, &mut rng);
    let mut store = Indexed::new(schema, manual());
    let ids = store.add((0..3000).map(|row| clusters.draw_from(row % 10, &mut rng)).collect());
    store.index();
    let victims: Vec<Id> = ids.iter().step_by(10).cloned().collect();
    for place in [10, 3, 11, 0, 7] {
        let what = format!("cluster 0 at {place}");
        let records = victims.iter().map(|id| (id.clone(), clusters.draw_from(place, &mut rng)));
        store.put(records.collect());
        let all: Vec<Vec<f32>> = (0..120).map(|at| clusters.draw_from(at % 12, &mut rng)).collect();
        let there: Vec<Vec<f32>> = (0..30).map(|_| clusters.draw_from(place, &mut rng)).collect();
        for indexed in [false, true] {
            for queries in [&all, &there] {
                let found = store.found(queries, K, USUAL, &what);
                println!("{what}, indexed {indexed}: {found:?}");
                assert!(found.recall >= 0.98 && found.walked == queries.len(), "{what}, indexed {indexed}: {found:?}");
            }
            store.index();
        }
        store.verify(&what);
    }
}

#[test]
fn duplicates_by_the_thousand_do_no_harm() {
    for (dtype, metric) in [(Dtype::F32, Metric::L2), (Dtype::U8, Metric::Cosine), (Dtype::Binary, Metric::Hamming)] {
        let schema = schema(32, dtype, metric);
        let mut rng = Rng(51);
        let clusters = Clusters::new(&schema, 10, 0.1, &mut rng);
        let twin = clusters.draw(&mut rng);
        let mut store = Indexed::new(schema, manual());
        let rows = (0..3000).map(|row| if row % 3 == 0 { clusters.draw(&mut rng) } else { twin.clone() });
        let ids = store.add(rows.collect::<Vec<_>>());
        store.index();
        let mut twins: Vec<Id> = (0..3000).filter(|row| row % 3 != 0).map(|row| ids[row].clone()).collect();
        while !twins.is_empty() {
            let what = format!("{dtype:?}, {} twins", twins.len());
            let mut queries = clusters.many(20, &mut rng);
            queries.push(twin.clone());
            let found = store.found(&queries, K, USUAL, &what);
            println!("{what}: {found:?}");
            assert!(found.recall >= 0.96, "{what}: {found:?}");
            // The earlier half dies: with it the one that the others hang from.
            let rest = twins.split_off(twins.len().div_ceil(2));
            store.delete(&twins);
            twins = rest;
            let found = store.found(&queries, K, USUAL, &what);
            assert!(found.recall >= 0.96, "{what}, half of them deleted: {found:?}");
            if twins.len().is_multiple_of(2) {
                store.index();
                store.verify(&what);
            }
        }
    }
}

#[test]
fn ten_left_of_thousands_are_found() {
    let schema = schema(8, Dtype::F32, Metric::L2);
    for options in [options(1), manual()] {
        let mut rng = Rng(61);
        let clusters = Clusters::new(&schema, 10, 0.1, &mut rng);
        let mut store = Indexed::new(schema, options);
        for round in 0..2 {
            let what = format!("round {round}");
            let ids = store.add(clusters.many(5000, &mut rng));
            store.index();
            // A bit more than half of them: a walk passes through the dead.
            let dead: Vec<Id> =
                store.records.keys().enumerate().filter(|(at, _)| at % 20 < 11).map(|e| e.1.clone()).collect();
            store.delete(&dead);
            let queries = clusters.many(20, &mut rng);
            let found = store.found(&queries, K, USUAL, &what);
            assert!(found.recall >= 0.97 && found.walked == 20, "{what}: {found:?}");
            let gone: Vec<Id> = store.records.keys().filter(|id| !ids[4980..].contains(id)).cloned().collect();
            store.delete(&gone);
            let left: Vec<Id> = store.records.keys().skip(10).cloned().collect();
            store.delete(&left);
            assert!(store.records.len() == 10 || left.is_empty());
            let count = store.records.len();
            for _ in 0..2 {
                let found = store.found(&queries, K, Effort::Ef(10), &what);
                assert!(found.recall == 1.0 && count > 5, "{what}: {found:?}");
                store.index();
            }
            store.verify(&what);
        }
    }
}

#[test]
fn so_few_rows_get_no_graph() {
    let schema = schema(4, Dtype::I8, Metric::L2);
    let mut rng = Rng(71);
    let clusters = Clusters::new(&schema, 5, 0.2, &mut rng);
    for count in [0, 1, 9, 10, 1000, 1001] {
        let mut store = Indexed::new(schema, options(1));
        if count > 0 {
            store.add(clusters.many(count, &mut rng));
        }
        let epoch = store.snapshot().epoch();
        let done = store.index();
        assert_eq!((done.graphs, done.indexed), if count > 1000 { (1, 1001) } else { (0, 0) });
        assert_eq!(done.written, count > 1000, "{count}");
        assert_eq!(store.snapshot().epoch() > epoch, done.written);
        assert!(!store.index().written, "{count}: nothing is left to do");
        for effort in [Effort::default(), Effort::Ef(10)] {
            let found = store.found(&clusters.many(20, &mut rng), K, effort, &format!("{count} rows"));
            assert!(found.recall >= 0.95, "{count}: {found:?}");
        }
        store.verify(&format!("{count} rows"));
    }
}

#[test]
fn the_index_does_not_depend_on_threads() {
    for schema in [schema(20, Dtype::F32, Metric::Cosine), schema(9, Dtype::U8, Metric::L2)] {
        let file = |threads| {
            let mut rng = Rng(81);
            let clusters = Clusters::new(&schema, 10, 0.1, &mut rng);
            let mut store = Indexed::new(schema, options(threads));
            store.add(clusters.many(2000, &mut rng));
            store.index();
            store.add(clusters.many(4500, &mut rng));
            let ids = store.some_ids(600, &mut rng);
            store.delete(&ids);
            store.index();
            let ids = store.some_ids(300, &mut rng);
            store.put(ids.into_iter().map(|id| (id, clusters.draw(&mut rng))).collect());
            store.compact(2);
            assert_eq!(store.snapshot().graphs().len(), 1);
            store.bytes()
        };
        let one = file(1);
        assert!(one == file(2), "{schema:?}: two threads");
        assert!(one == file(3), "{schema:?}: three threads");
    }
}

#[test]
fn an_interrupted_index_changes_nothing() {
    let schema = schema(8, Dtype::F32, Metric::L2);
    let mut rng = Rng(91);
    let clusters = Clusters::new(&schema, 10, 0.1, &mut rng);
    let mut store = Indexed::new(schema, manual());
    store.add(clusters.many(1500, &mut rng));
    store.index();
    store.add(clusters.many(1000, &mut rng));
    let before = store.bytes();
    for calls in [0, 1, 5] {
        let mut left = calls;
        let stopped = store.db().index(&IndexOptions::default(), &mut |done, all| {
            assert!(done <= all && all == 2500);
            left -= 1;
            if left < 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
        assert!(store.bytes() == before, "after {calls} calls");
    }
    let mut last = None;
    let stopped = store.db().index(&IndexOptions::default(), &mut |done, all| {
        last = Some((done, all));
        if done == all { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?} at {last:?}");
    assert!(store.bytes() == before);
    store.verify("interrupted");
    let done = store.index();
    assert!(done.written && done.graphs == 1 && done.indexed == 2500, "{done:?}");
    store.verify("indexed");
    let found = store.found(&clusters.many(20, &mut rng), K, USUAL, "indexed");
    assert!(found.recall >= 0.97 && found.walked == 20, "{found:?}");
}

/// What a commit held and answered.
struct Then {
    epoch: u64,
    records: Records,
    graphs: usize,
    answers: Vec<Vec<rvf_engine::Hit>>,
}

fn answers(snapshot: &Snapshot, queries: &[Vec<f32>]) -> Vec<Vec<rvf_engine::Hit>> {
    queries.iter().map(|query| search(snapshot, query, K, USUAL).0).collect()
}

#[test]
fn earlier_epochs_search_with_their_own_graphs() {
    let schema = schema(10, Dtype::F32, Metric::Cosine);
    let mut rng = Rng(101);
    let clusters = Clusters::new(&schema, 10, 0.1, &mut rng);
    let queries = clusters.many(15, &mut rng);
    let mut store = Indexed::new(schema, OpenOptions { manual_compaction: true, ..options(1) });
    let mut past: Vec<Then> = Vec::new();
    for step in 0..14 {
        match step % 7 {
            0 => drop(store.add(clusters.many(2200, &mut rng))),
            1 | 4 => drop(store.index()),
            2 => {
                let ids = store.some_ids(400, &mut rng);
                store.put(ids.into_iter().map(|id| (id, clusters.draw(&mut rng))).collect());
            }
            3 => {
                let ids = store.some_ids(700, &mut rng);
                store.delete(&ids);
            }
            5 => drop(store.add(clusters.many(300, &mut rng))),
            _ => {
                store.compact(6);
                let least = store.snapshot().epoch() - 5;
                past.retain(|then| then.epoch >= least);
                store.reopen();
            }
        }
        let snapshot = store.snapshot();
        past.push(Then {
            epoch: snapshot.epoch(),
            records: store.records.clone(),
            graphs: snapshot.graphs().len(),
            answers: answers(&snapshot, &queries),
        });
        for then in &past {
            let what = format!("epoch {} after step {step}", then.epoch);
            let earlier = store.snapshot().at_epoch(then.epoch).unwrap();
            assert_eq!((earlier.graphs().len(), earlier.count()), (then.graphs, then.records.len() as u64), "{what}");
            assert!(answers(&earlier, &queries) == then.answers, "{what}");
        }
    }
    let mut walked = 0;
    for then in &past {
        let what = format!("epoch {}", then.epoch);
        let earlier = store.snapshot().at_epoch(then.epoch).unwrap();
        let found = found(&earlier, &then.records, &queries, K, USUAL, &what);
        assert!(found.recall >= 0.97, "{what}: {found:?}");
        walked += usize::from(found.walked == 15);
    }
    assert!(past.len() >= 6 && walked >= 6, "{walked} of {} walked", past.len());
    store.verify("earlier epochs");
}

#[test]
fn any_k_is_answered() {
    for (dtype, metric) in [(Dtype::F32, Metric::L2), (Dtype::I8, Metric::Dot), (Dtype::Binary, Metric::Hamming)] {
        let schema = schema(24, dtype, metric);
        let mut rng = Rng(111);
        let clusters = Clusters::new(&schema, 20, 0.1, &mut rng);
        let mut store = Indexed::new(schema, manual());
        store.add(clusters.many(4500, &mut rng));
        store.index();
        store.add(clusters.many(60, &mut rng));
        let queries = clusters.many(6, &mut rng);
        for k in [0, 1, 2, 200, 1000, 4559, 4560, 4561, 100_000, usize::MAX] {
            for effort in [Effort::Ef(0), Effort::Ef(16), Effort::default(), Effort::Ef(usize::MAX)] {
                let found = store.found(&queries, k, effort, &format!("{dtype:?}, k {k}"));
                // One candidate promises nothing; the products of a walk lead astray.
                let least = if k > 2 { 0.9 } else { 0.0 } - if metric == Metric::Dot { 0.1 } else { 0.0 };
                assert!(found.recall >= least, "{dtype:?}, k {k}, {effort:?}: {found:?}");
                assert!(k != 200 || effort != Effort::Ef(16) || found.walked == 6, "k {k}: no walk");
            }
        }
        for recall in [f64::NAN, -1.0, 0.0, 1.0, 2.0, f64::INFINITY] {
            let found = store.found(&queries, K, Effort::Recall(recall), &format!("{dtype:?}, recall {recall}"));
            assert!(found.recall >= 0.5, "{dtype:?}, recall {recall}: {found:?}");
        }
    }
}

#[test]
fn queries_from_afar_are_answered() {
    for metric in [Metric::L2, Metric::Dot, Metric::Cosine] {
        for dtype in [Dtype::F32, Dtype::I8] {
            let schema = schema(12, dtype, metric);
            let mut rng = Rng(121);
            let clusters = Clusters::new(&schema, 20, 0.1, &mut rng);
            let mut store = Indexed::new(schema, manual());
            store.add(clusters.many(3000, &mut rng));
            store.index();
            let mut afar = |distance: f32| -> Vec<Vec<f32>> {
                let sign = |rng: &mut Rng| if rng.below(2) == 0 { distance } else { -distance };
                (0..64).map(|_| (0..12).map(|_| sign(&mut rng)).collect()).collect()
            };
            for distance in [1e3, 1_048_576.0] {
                let queries = afar(distance);
                for effort in [USUAL, Effort::default()] {
                    let what = format!("{metric:?}, {dtype:?}, {distance} away");
                    let found = store.found(&queries, K, effort, &what);
                    println!("{what}, {effort:?}: {found:?}");
                    let least = match (metric, effort) {
                        (Metric::Dot, _) => 0.6,
                        (_, Effort::Ef(_)) => 0.9,
                        // The default effort is measured on queries like the rows, and promises nothing for others.
                        _ => 0.5,
                    };
                    assert!(found.recall >= least, "{what}, {effort:?}: {found:?}");
                }
            }
        }
    }
}

/// One row so far away that its distance is no f32.
fn with_an_outlier() -> (Indexed, Clusters, Rng, Vec<f32>) {
    let schema = schema(8, Dtype::F32, Metric::L2);
    let mut rng = Rng(131);
    let clusters = Clusters::new(&schema, 10, 0.1, &mut rng);
    let mut store = Indexed::new(schema, manual());
    let outlier = vec![1e30; 8];
    let mut rows = clusters.many(3000, &mut rng);
    rows[1234] = outlier.clone();
    store.add(rows);
    store.index();
    (store, clusters, rng, outlier)
}

#[test]
fn an_outlier_does_no_harm_and_is_found() {
    let (store, clusters, mut rng, outlier) = with_an_outlier();
    store.verify("an outlier");
    let found = store.found(&clusters.many(30, &mut rng), K, USUAL, "near the others");
    assert!(found.recall >= 0.97 && found.walked == 30, "{found:?}");
    let hits = search(&store.snapshot(), &outlier, K, USUAL).0;
    assert_eq!((hits[0].distance, hits.len()), (0.0, K), "{hits:?}");
}

#[test]
fn an_outlier_is_found_beside_a_tail() {
    let (mut store, clusters, mut rng, outlier) = with_an_outlier();
    store.add(clusters.many(30, &mut rng));
    let hits = search(&store.snapshot(), &outlier, K, USUAL).0;
    assert_eq!((hits[0].distance, hits.len()), (0.0, K), "{hits:?}");
    let near: Vec<f32> = outlier.iter().map(|value| value * 1.25).collect();
    let hits = search(&store.snapshot(), &near, 1, USUAL).0;
    assert_eq!(hits[0].distance, f32::MAX, "all distances are beyond f32");
}

#[test]
fn tiny_and_huge_norms_do_no_harm_under_cosine() {
    let schema = schema(8, Dtype::F32, Metric::Cosine);
    let mut rng = Rng(141);
    let clusters = Clusters::new(&schema, 10, 0.1, &mut rng);
    let scaled = |vector: Vec<f32>, scale: f32| vector.into_iter().map(|value| value * scale).collect::<Vec<f32>>();
    let mut store = Indexed::new(schema, manual());
    // Powers of two, about 1e20 and 1e-20: distances stay what they are.
    let scales = [1.0, 2f32.powi(66), 2f32.powi(-66)];
    let rows = (0..3000).map(|row| scaled(clusters.draw(&mut rng), scales[row % 3]));
    store.add(rows.collect::<Vec<_>>());
    store.index();
    store.verify("norms");
    for scale in scales {
        let queries: Vec<Vec<f32>> = (0..20).map(|_| scaled(clusters.draw(&mut rng), scale)).collect();
        for effort in [USUAL, Effort::default()] {
            let found = store.found(&queries, K, effort, &format!("scale {scale}"));
            println!("scale {scale}, {effort:?}: {found:?}");
            assert!(found.recall >= 0.96, "scale {scale}: {found:?}");
        }
    }
}

//! What walks read: codes of four bits where they do, and that walks on them find what is near.

use rvf_engine::{Dtype, Effort, Metric, OpenOptions, Schema};
use rvf_tests::indexed::{Indexed, K, options, schema};
use rvf_tests::oracle::Rng;

/// With more candidates the scan would be cheaper.
const HARD: Effort = Effort::Ef(150);

/// Rows of few degrees of freedom: sums of 15 directions, on a grid.
fn of_low_rank(schema: &Schema, rows: usize, rng: &mut Rng) -> Vec<Vec<f32>> {
    let mut even =
        |count: u32| -> Vec<f64> { (0..count).map(|_| rng.below(1 << 20) as f64 / f64::from(1 << 19) - 1.0).collect() };
    let directions: Vec<Vec<f64>> = (0..15).map(|_| even(schema.dimension)).collect();
    let (least, most, scale) = match schema.dtype {
        Dtype::I8 => (-128.0, 127.0, 1.0),
        Dtype::U8 => (0.0, 255.0, 1.0),
        _ => (-1024.0, 1024.0, 16.0),
    };
    let row = |_| {
        let weights = even(15);
        let sum = |at: usize| weights.iter().zip(&directions).map(|(weight, d)| weight * d[at]).sum::<f64>();
        let value = |at: usize| (sum(at) * 20.0 * scale + (least + most) / 2.0).round().clamp(least, most) / scale;
        (0..schema.dimension as usize).map(|at| value(at) as f32).collect()
    };
    (0..rows).map(row).collect()
}

#[test]
fn a_graph_on_codes_of_four_bits_finds_what_is_near() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::I8, Dtype::U8] {
        for metric in [Metric::L2, Metric::Dot, Metric::Cosine] {
            if dtype == Dtype::U8 && metric != Metric::L2 {
                // All products are about that of the means, which drowns the rest: stored rows are walked on.
                continue;
            }
            let schema = schema(160, dtype, metric);
            let mut rng = Rng(70);
            let mut rows = of_low_rank(&schema, 2540, &mut rng);
            let queries = rows.split_off(2500);
            let mut store = Indexed::new(schema, OpenOptions { manual_index: true, ..options(1) });
            store.add(rows);
            store.index();
            let what = format!("{dtype:?} {metric:?}");
            let snapshot = store.snapshot();
            let graph = &snapshot.info().unwrap().graphs[0];
            // Fewer dimensions than there are, two to a byte.
            assert_eq!((graph.code, graph.code_bytes), ("sq4", 64), "{what}");
            let hard = store.found(&queries, K, HARD, &what);
            println!("{what}: {hard:?}");
            let least = if metric == Metric::Dot { 0.93 } else { 0.98 };
            assert!(hard.recall >= least && hard.walked == 40, "{what}: {hard:?}");
            store.verify(&what);
        }
    }
}

//! Power failures: the deterministic share. `cargo run -p rvf-tests --example crash -- --images 10000000` goes on.

use rvf_tests::sim::crash::{Counts, Explorer, FEW, FULL, Failure};
use rvf_tests::sim::workloads::{ALL, LARGE, Workload};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Fewer images than this, and the check has shrunk.
const LEAST_IMAGES: u64 = 100_000;

fn explore(workload: Workload) -> Result<Counts, Box<Failure>> {
    let mut explorer = Explorer::new(workload, 1);
    explorer.power_failures(FULL)?;
    if workload.name != LARGE {
        explorer.kills(FEW)?;
    }
    Ok(explorer.counts)
}

/// Runs all workloads on two threads; what each came to, in the order in which they ended.
fn explore_all() -> Vec<(&'static str, Result<Counts, Box<Failure>>, f64)> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(workload) = ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let began = std::time::Instant::now();
                    let counts = explore(*workload);
                    done.lock().unwrap().push((workload.name, counts, began.elapsed().as_secs_f64()));
                }
            });
        }
    });
    done.into_inner().unwrap()
}

#[test]
fn no_power_failure_loses_a_commit_that_returned() {
    let (mut total, mut failures) = (Counts::default(), Vec::new());
    for (name, counts, seconds) in explore_all() {
        match counts {
            Ok(counts) => {
                println!("{name}: {counts:?}, {seconds:.1} s");
                total.add(&counts);
            }
            Err(failure) => failures.push(format!("{name}: {failure}")),
        }
    }
    println!("{} images, {} of them distinct and judged: {total:?}", total.total(), total.judged());
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
    assert!(total.total() >= LEAST_IMAGES, "{} images: the check has shrunk", total.total());
}

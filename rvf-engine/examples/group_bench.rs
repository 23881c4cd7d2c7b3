//! Measures commits of single records on a real file: one thread alone, against 8 and 32 threads that share commits.
//!
//! `cargo run --release -p rvf-engine --example group_bench -- [FOLDER] [SECONDS]`. Medians of five interleaved rounds; a round
//! puts for SECONDS (0.5 unless given), and every put is on the medium when it counts.

use rvf_engine::{Db, Metric, OpenOptions, Schema, Shared};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const DIM: usize = 384;
const THREADS: [u64; 3] = [1, 8, 32];
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds: f64 = arguments.next().map_or(Ok(0.5), |text| text.parse())?;
    let mut rates = [const { Vec::new() }; THREADS.len()];
    let mut shares = [const { Vec::new() }; THREADS.len()];
    for _ in 0..ROUNDS {
        for (at, threads) in THREADS.into_iter().enumerate() {
            let path = folder.join(format!("rvf-group-bench-{}.rvf", std::process::id()));
            let result = round(&path, threads, Duration::from_secs_f64(seconds));
            std::fs::remove_file(&path)?;
            let (rate, share) = result?;
            rates[at].push(rate);
            shares[at].push(share);
        }
    }
    let alone = median(&mut rates[0]);
    for (at, threads) in THREADS.into_iter().enumerate() {
        let (rate, share) = (median(&mut rates[at]), median(&mut shares[at]));
        println!(
            "{threads:>2} threads: {rate:.0} puts/s, {:.2} times one thread, {share:.1} puts a commit",
            rate / alone
        );
    }
    Ok(())
}

/// Puts a second, and puts a commit.
fn round(path: &Path, threads: u64, time: Duration) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    Db::create(path, &Schema::new(DIM as u32, Metric::L2))?;
    let options = OpenOptions { manual_index: true, ..OpenOptions::default() };
    let shared = Db::open_with(std::sync::Arc::new(rvf_format::storage::FilePlace), path, &options)?.into_shared();
    let (start, next) = (Instant::now(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let put = || put_until(&shared, &next, start + time);
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(put)).collect();
        all.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })?;
    let (puts, seconds) = (next.into_inner() as f64, start.elapsed().as_secs_f64());
    let commits = shared.snapshot().epoch().saturating_sub(1).max(1);
    Ok((puts / seconds, puts / commits as f64))
}

fn put_until(shared: &Shared, next: &AtomicU64, end: Instant) -> rvf_engine::Result<()> {
    let mut vector = [0.5f32; DIM];
    while Instant::now() < end {
        let id = next.fetch_add(1, Ordering::Relaxed);
        vector[id as usize % DIM] = id as f32;
        shared.put(id, &vector)?;
    }
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

//! Measures the building of an index: wall seconds, CPU seconds of all threads, records a CPU-second.
//!
//! ```text
//! cargo run --release -p rvf-engine --example index_bench -- STORE [--ef-construction 64,128] [--threads 2] [--rounds 3]
//! ```
//! The store is copied to `STORE.bench-index` for each build, and the copy removed. Medians of interleaved rounds.

use rvf_engine::{Db, IndexOptions};
use std::ops::ControlFlow;
use std::time::Instant;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Fallible<()> {
    let (mut store, mut efs, mut threads, mut rounds) = (None, vec![None], 2, 3);
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--ef-construction" => {
                efs = value()?.split(',').map(|ef| ef.parse().map(Some)).collect::<Result<_, _>>()?;
            }
            "--threads" => threads = value()?.parse()?,
            "--rounds" => rounds = value()?.parse()?,
            _ => store = Some(argument),
        }
    }
    let store = store.ok_or("which store? index_bench STORE")?;
    let mut times = vec![Vec::new(); efs.len()];
    for _ in 0..rounds {
        for (ef, times) in efs.iter().zip(&mut times) {
            let options = IndexOptions { m: None, ef_construction: *ef, threads: Some(threads), code: None };
            times.push(build(&store, &options)?);
        }
    }
    println!("{:>15} {:>8} {:>8} {:>8} {:>14}", "ef_construction", "records", "wall s", "CPU s", "records/CPU-s");
    for (ef, times) in efs.iter().zip(times) {
        let ef = ef.map_or("default".to_owned(), |ef| ef.to_string());
        let records = times.first().map_or(0, |time| time.0);
        let (wall, cpu) = (median(times.iter().map(|time| time.1)), median(times.iter().map(|time| time.2)));
        println!("{ef:>15} {records:>8} {wall:>8.2} {cpu:>8.2} {:>14.0}", records as f64 / cpu);
    }
    Ok(())
}

/// Records, wall seconds and CPU seconds.
fn build(store: &str, options: &IndexOptions) -> Fallible<(u64, f64, f64)> {
    let copy = format!("{store}.bench-index");
    std::fs::copy(store, &copy)?;
    let built = timed(&copy, options);
    std::fs::remove_file(&copy)?;
    built
}

fn timed(path: &str, options: &IndexOptions) -> Fallible<(u64, f64, f64)> {
    let mut db = Db::open(path)?;
    let (started, before) = (Instant::now(), cpu_seconds());
    let done = db.index(options, &mut |_, _| ControlFlow::Continue(()))?;
    Ok((done.indexed, started.elapsed().as_secs_f64(), cpu_seconds() - before))
}

/// User and system time of this process, where the kernel tells; else 0.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |at: usize| after_name.split_whitespace().nth(at).and_then(|field| field.parse().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

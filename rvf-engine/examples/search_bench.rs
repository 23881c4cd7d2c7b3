//! Measures searches of a store: recall@10 and time a query for one ef after the other, one query at a time and in batches.
//!
//! ```text
//! cargo run --release -p rvf-engine --example search_bench -- STORE QUERIES.npy TRUTH.npy [--ef 10,25,50] [--rounds 5] [--threads 2]
//! ```
//! QUERIES are f32 or u8, a row a query; TRUTH holds the ids of the nearest rows as i32, nearest first. Figures are medians of
//! interleaved rounds; p50 and p99 are of each query's best round. `hot` is the time of the same search once more, at once: all that it
//! reads is in the nearest caches, and every branch is foreseen. What is above it is spent on memory.

use rvf_engine::{Effort, Reader};
use std::time::Instant;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const K: usize = 10;

struct Arguments {
    store: String,
    queries: Table<f32>,
    truth: Table<i32>,
    efs: Vec<usize>,
    rounds: usize,
}

struct Table<T> {
    values: Vec<T>,
    width: usize,
}

fn main() -> Fallible<()> {
    let arguments = arguments()?;
    let reader = Reader::open(&arguments.store)?;
    println!(
        "{:>6} {:>8} {:>10} {:>8} {:>8} {:>8} {:>9} {:>7} {:>8}",
        "ef", "recall", "queries/s", "us", "p50", "p99", "distances", "hops", "hot"
    );
    let mut hot = vec![Vec::new(); arguments.efs.len()];
    let mut times = vec![vec![Vec::new(); arguments.queries.rows().count()]; arguments.efs.len()];
    let mut seen = vec![(0, 0, 0); arguments.efs.len()];
    for _ in 0..arguments.rounds.max(1) {
        for (at, (times, seen)) in times.iter_mut().zip(&mut seen).enumerate() {
            *seen = round(&reader, &arguments, arguments.efs[at], times, &mut hot[at])?;
        }
    }
    for (at, (times, seen)) in times.iter().zip(&seen).enumerate() {
        report(arguments.efs[at], times, *seen, median(hot[at].clone()));
    }
    Ok(())
}

/// Every query once, and once more; hits that are right, distances and hops of all.
fn round(
    reader: &Reader,
    arguments: &Arguments,
    ef: usize,
    times: &mut [Vec<f64>],
    hot: &mut Vec<f64>,
) -> Fallible<(usize, u64, u64)> {
    let (mut right, mut distances, mut hops) = (0, 0, 0);
    for ((query, truth), times) in arguments.queries.rows().zip(arguments.truth.rows()).zip(times) {
        let start = Instant::now();
        let (hits, trace) = reader.search(query).k(K).effort(Effort::Ef(ef)).run_traced()?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
        let start = Instant::now();
        std::hint::black_box(reader.search(query).k(K).effort(Effort::Ef(ef)).run()?);
        hot.push(start.elapsed().as_secs_f64() * 1e6);
        let near: Vec<String> = truth.iter().take(K).map(ToString::to_string).collect();
        right += hits.iter().filter(|hit| near.contains(&hit.id.to_string())).count();
        distances += trace.distances;
        hops += trace.hops;
    }
    Ok((right, distances, hops))
}

fn report(ef: usize, times: &[Vec<f64>], (right, distances, hops): (usize, u64, u64), hot: f64) {
    let queries = times.len() as f64;
    let rounds = times.first().map_or(0, Vec::len);
    let round = |round: usize| times.iter().map(|times| times[round]).sum::<f64>() / queries;
    let micros = median((0..rounds).map(round).collect());
    let best = || times.iter().map(|times| times.iter().copied().fold(f64::INFINITY, f64::min)).collect::<Vec<_>>();
    println!(
        "{ef:>6} {:>8.4} {:>10.0} {micros:>8.1} {:>8.1} {:>8.1} {:>9.0} {:>7.1} {hot:>8.1}",
        right as f64 / queries / K as f64,
        1e6 / micros,
        quantile(best(), 0.5),
        quantile(best(), 0.99),
        distances as f64 / queries,
        hops as f64 / queries
    );
}

fn median(values: Vec<f64>) -> f64 {
    quantile(values, 0.5)
}

fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = ((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1));
    values.get(at).copied().unwrap_or(0.0)
}

fn arguments() -> Fallible<Arguments> {
    let (mut files, mut efs, mut rounds) = (Vec::new(), vec![10, 16, 25, 50, 75, 100], 5);
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--ef" => {
                let list = given.next().ok_or("--ef needs a list")?;
                efs = list.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            "--rounds" => rounds = given.next().ok_or("--rounds needs a number")?.parse()?,
            _ => files.push(argument),
        }
    }
    let [store, queries, truth] = <[String; 3]>::try_from(files).map_err(|_| "STORE QUERIES.npy TRUTH.npy")?;
    Ok(Arguments { store, queries: floats(&queries)?, truth: whole(&truth)?, efs, rounds })
}

impl<T> Table<T> {
    fn rows(&self) -> impl Iterator<Item = &[T]> {
        self.values.chunks_exact(self.width.max(1))
    }
}

fn floats(path: &str) -> Fallible<Table<f32>> {
    let (kind, width, bytes) = npy(path)?;
    let values = match kind.as_str() {
        "<f4" => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        "|u1" => bytes.iter().map(|byte| f32::from(*byte)).collect(),
        _ => return Err(format!("{path}: dtype {kind} is neither <f4 nor |u1").into()),
    };
    Ok(Table { values, width })
}

fn whole(path: &str) -> Fallible<Table<i32>> {
    let (kind, width, bytes) = npy(path)?;
    if kind != "<i4" {
        return Err(format!("{path}: dtype {kind} is not <i4").into());
    }
    Ok(Table { values: bytes.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect(), width })
}

/// The dtype, the width and the bytes of a table in NumPy's format 1.0.
fn npy(path: &str) -> Fallible<(String, usize, Vec<u8>)> {
    let mut bytes = std::fs::read(path)?;
    let length = bytes.get(8..10).map_or(0, |length| usize::from(length[0]) + 256 * usize::from(length[1]));
    let header = String::from_utf8_lossy(bytes.get(10..10 + length).ok_or("no npy file")?).into_owned();
    let after = |key: &str| header.split_once(key).map(|(_, after)| after.to_owned()).ok_or("no npy header");
    let kind = after("'descr': '")?.split('\'').next().unwrap_or_default().to_owned();
    let shape = after("'shape': (")?;
    let width =
        shape.split(')').next().and_then(|shape| shape.split(',').nth(1)).ok_or("not a table")?.trim().parse()?;
    Ok((kind, width, bytes.split_off(10 + length)))
}

//! Measures a store of 100,000 x 384 f32: import, size, open, anonymous memory, exact scan against a plain sum of the same bytes.
//!
//! `cargo run --release -p rvf-engine --example store_bench -- [FOLDER] [ROWS]`. Medians of interleaved rounds.

use rvf_engine::ingest::door::{Rounding, Vectors};
use rvf_engine::kernel::Kernels;
use rvf_engine::{CreateOptions, Db, Effort, Metric, OpenOptions, Reader, Schema};
use rvf_format::payload::witness::Operation;
use rvf_format::storage::FilePlace;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

const DIM: usize = 384;
const BATCH: usize = 10_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let rows: usize = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    for metric in [Metric::L2, Metric::Cosine] {
        let path = folder.join(format!("rvf-store-bench-{}.rvf", std::process::id()));
        let result = run(&path, metric, rows);
        std::fs::remove_file(&path)?;
        result?;
    }
    Ok(())
}

fn run(path: &PathBuf, metric: Metric, rows: usize) -> Result<(), Box<dyn std::error::Error>> {
    let batch = vectors(BATCH * DIM);
    // Without an index: what is measured is the store.
    let open = OpenOptions { manual_index: true, ..OpenOptions::default() };
    let create = CreateOptions { open, ..CreateOptions::default() };
    let mut db = Db::create_with(Arc::new(FilePlace), path, &Schema::new(DIM as u32, metric), &create)?;
    let start = Instant::now();
    for _ in 0..rows / BATCH {
        db.import(Vectors::F32(&batch), None, Rounding::Refuse, Operation::IMPORT, "")?;
    }
    let seconds = start.elapsed().as_secs_f64();
    drop(db);
    let size = std::fs::metadata(path)?.len();
    let raw = (rows * DIM * 4) as u64;
    println!(
        "{metric}: import {:.0} vectors/s, file {size} bytes = raw + {:.2} %",
        rows as f64 / seconds,
        percent(size, raw)
    );

    let opens: Vec<f64> = (0..21).map(|_| timed(|| Reader::open(path).map(drop))).collect::<Result<_, _>>()?;
    println!("{metric}: open {:.0} us (median of 21, warm)", median(opens) * 1e6);
    let before = anonymous_kib();
    let reader = Reader::open(path)?;
    println!("{metric}: anonymous memory after open + {} KiB", anonymous_kib().saturating_sub(before));
    let query = &batch[..DIM];
    let first = timed(|| reader.search(query).k(10).effort(Effort::Exact).run().map(drop))?;
    println!("{metric}: first exact answer {:.1} ms", first * 1e3);
    bandwidth(&reader, query, raw, metric)
}

/// Exact searches and plain sums over the same mapped bytes, in turn.
fn bandwidth(reader: &Reader, query: &[f32], raw: u64, metric: Metric) -> Result<(), Box<dyn std::error::Error>> {
    let kernels = Kernels::detect();
    let bytes = reader.file().clone();
    let floats: Vec<&[f32]> = reader
        .segments()?
        .iter()
        .filter(|segment| segment.rows > 0 && segment.kind.name() == Some("VEC"))
        .filter_map(|segment| {
            bytemuck::try_cast_slice(&bytes[segment.offset as usize..(segment.offset + segment.length) as usize]).ok()
        })
        .collect();
    let summed: usize = floats.iter().map(|part| part.len() * 4).sum();
    let (mut scans, mut sums, mut doubles) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..15 {
        scans.push(timed(|| reader.search(query).k(10).effort(Effort::Exact).run().map(drop))?);
        sums.push(timed(|| {
            std::hint::black_box(floats.iter().map(|part| kernels.sum_f32(part)).sum::<f32>());
            Ok::<_, rvf_engine::Error>(())
        })?);
        doubles.push(timed(|| reader.search(query).k(10).effort(Effort::Exact).threads(2).run().map(drop))?);
    }
    let scan = raw as f64 / median(scans) / 1e9;
    let sum = summed as f64 / median(sums) / 1e9;
    let double = raw as f64 / median(doubles) / 1e9;
    println!(
        "{metric}: exact scan {scan:.2} GB/s, plain sum {sum:.2} GB/s, ratio {:.2}; 2 threads {double:.2} GB/s",
        scan / sum
    );
    Ok(())
}

fn vectors(count: usize) -> Vec<f32> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn timed<E>(run: impl FnOnce() -> Result<(), E>) -> Result<f64, E> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_secs_f64())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(0.0)
}

fn percent(size: u64, raw: u64) -> f64 {
    (size as f64 / raw as f64 - 1.0) * 100.0
}

/// Anonymous memory of this process, where the kernel tells; else 0.
fn anonymous_kib() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = rollup.lines().find(|line| line.starts_with("Anonymous:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

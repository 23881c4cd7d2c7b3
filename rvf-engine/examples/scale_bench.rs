//! Measures how costs grow with the number of records: build, search, open, growth; and the exponents of a power law through them.
//!
//! ```text
//! cargo run --release -p rvf-engine --example scale_bench -- [--dim 384] [--sizes 10000,100000,1000000] [--folder F] [--threads 2] [--write F]
//! ```
//! Rows are drawn like embeddings of text (cosine, f16). With the spectrum l(i) = (1 + i)^-0.45 x (1 - i / dim), i from 0, which is
//! that of 384-dimensional MiniLM embeddings of documentation, a row is the sum of one centre of each of five levels and of noise,
//! and has the length 1. Level j has 8^j centres, each the child of one of the level above; a row takes a random centre of the last
//! level and those above it. Each centre adds a tenth of the variance and the noise half. Queries are drawn in the same way. Numbers
//! With `--write` the rows, queries and true neighbours of the last size go to that folder as base.npy (f16), queries.npy and truth.npy,
//! for other programs, and nothing is measured. Numbers come from SplitMix64 with the seed 1; a normal number is four 16-bit ones, added up. Rows of a smaller size begin a larger one.

use rvf_engine::ingest::door::{Rounding, Vectors};
use rvf_engine::{Db, Dtype, Effort, IndexOptions, Metric, OpenOptions, Reader, Schema, f16};
use rvf_format::payload::witness::Operation;
use rvf_format::storage::FilePlace;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const K: usize = 10;
const QUERIES: usize = 200;
/// Commits that a store is imported in, whatever its size.
const COMMITS: usize = 10;
const LEVELS: u32 = 5;
const EFS: [usize; 12] = [10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 448];

fn main() -> Fallible<()> {
    let (mut dim, mut sizes, mut threads) = (384, vec![10_000, 100_000, 1_000_000], 2);
    let (mut folder, mut written) = (None, None);
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--dim" => dim = value()?.parse()?,
            "--sizes" => sizes = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--folder" => folder = Some(PathBuf::from(value()?)),
            "--write" => written = Some(PathBuf::from(value()?)),
            "--threads" => threads = value()?.parse()?,
            _ => return Err(format!("{argument}?").into()),
        }
    }
    let folder = folder.unwrap_or_else(std::env::temp_dir);
    if let Some(to) = written {
        let size = sizes.last().copied().unwrap_or_default();
        return write(&to, &folder.join(format!("rvf-scale-{}.rvf", std::process::id())), dim, size, threads);
    }
    println!(
        "{dim} dimensions, f16, cosine; index by {threads} threads, searches by one; medians of 5 rounds of {QUERIES} queries"
    );
    println!("{}", NAMES.map(|name| format!("{name:>12}")).join(""));
    let mut lines = Vec::new();
    for size in sizes {
        let path = folder.join(format!("rvf-scale-{}-{size}.rvf", std::process::id()));
        let line = measured(&path, dim, size, threads);
        let _ = std::fs::remove_file(&path);
        let line = line?;
        println!("{}", line.map(|value| format!("{value:>12.2}")).join(""));
        lines.push(line);
    }
    if lines.len() > 1 {
        let exponents: Vec<String> = (1..NAMES.len()).map(|at| format!("{:>12.2}", exponent(&lines, at))).collect();
        println!("{:>12}{}", "exponent", exponents.join(""));
    }
    Ok(())
}

/// Rows, queries and true neighbours as tables of NumPy.
fn write(to: &Path, store: &Path, dim: usize, size: usize, threads: usize) -> Fallible<()> {
    let schema = Schema { dtype: Dtype::F16, ..Schema::new(dim as u32, Metric::Cosine) };
    let open = OpenOptions { manual_index: true, ..OpenOptions::default() };
    let create = rvf_engine::CreateOptions { open, ..rvf_engine::CreateOptions::default() };
    let mut db = Db::create_with(Arc::new(FilePlace), store, &schema, &create)?;
    let mut rows = Rows::new(dim);
    let queries = Rows { random: SplitMix(2), ..rows.clone() }.draw(500);
    std::fs::create_dir_all(to)?;
    let mut base = std::io::BufWriter::new(std::fs::File::create(to.join("base.npy"))?);
    base.write_all(&npy_head("<f2", size, dim))?;
    for first in (0..size).step_by(10_000) {
        let batch = rows.draw(10_000.min(size - first));
        db.import(Vectors::F32(&batch), None, Rounding::ToF16, Operation::IMPORT, "")?;
        for value in &batch {
            base.write_all(&f16::from_f32(*value).to_le_bytes())?;
        }
    }
    base.flush()?;
    let bytes: Vec<u8> = queries.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(to.join("queries.npy"), [npy_head("<f4", 500, dim), bytes].concat())?;
    let mut truth = npy_head("<i4", 500, K);
    for query in queries.chunks_exact(dim) {
        for hit in db.snapshot().search(query).k(K).threads(threads).effort(Effort::Exact).run()? {
            truth.extend(hit.id.to_string().parse::<i32>()?.to_le_bytes());
        }
    }
    std::fs::write(to.join("truth.npy"), truth)?;
    drop(db);
    std::fs::remove_file(store)?;
    Ok(())
}

/// The head of a table in NumPy's format 1.0.
fn npy_head(kind: &str, rows: usize, columns: usize) -> Vec<u8> {
    let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    [&b"\x93NUMPY\x01\x00\x76\x00"[..], format!("{text:<117}\n").as_bytes()].concat()
}

const NAMES: [&str; 12] = [
    "records",
    "import s",
    "index CPU s",
    "bytes/record",
    "open us",
    "first us",
    "us @0.95",
    "us @0.99",
    "dist @0.95",
    "dist @0.99",
    "grow 1 % s",
    "anon KiB",
];

fn measured(path: &Path, dim: usize, size: usize, threads: usize) -> Fallible<[f64; 12]> {
    let schema = Schema { dtype: Dtype::F16, ..Schema::new(dim as u32, Metric::Cosine) };
    let open = OpenOptions { manual_index: true, ..OpenOptions::default() };
    let create = rvf_engine::CreateOptions { open, ..rvf_engine::CreateOptions::default() };
    let mut db = Db::create_with(Arc::new(FilePlace), path, &schema, &create)?;
    let mut rows = Rows::new(dim);
    let queries = Rows { random: SplitMix(2), ..rows.clone() }.draw(QUERIES);
    let import = add(&mut db, &mut rows, size)?;
    let options = IndexOptions { threads: Some(threads), ..IndexOptions::default() };
    let before = cpu_seconds();
    db.index(&options, &mut |_, _| ControlFlow::Continue(()))?;
    let index = cpu_seconds() - before;
    drop(db);
    let bytes = std::fs::metadata(path)?.len() as f64 / size as f64;
    let opened = median((0..21).map(|_| timed(|| Reader::open(path).map(drop))).collect::<Result<_, _>>()?);
    let first = || {
        let reader = Reader::open(path)?;
        timed(|| reader.search(&queries[..dim]).k(K).effort(Effort::Recall(0.95)).run().map(drop))
    };
    let first = median((0..21).map(|_| first()).collect::<Result<_, _>>()?);
    let before = anonymous_kib();
    let reader = Reader::open(path)?;
    let curve = curve(&reader, &queries, dim, threads)?;
    let anonymous = anonymous_kib().saturating_sub(before) as f64;
    drop(reader);
    let mut db = Db::open_with(Arc::new(FilePlace), path, &OpenOptions::default())?;
    let grow = add(&mut db, &mut rows, size / 100)?;
    let at = |recall| at_recall(&curve, recall);
    let ((us95, d95), (us99, d99)) = (at(0.95), at(0.99));
    Ok([size as f64, import, index, bytes, opened * 1e6, first * 1e6, us95, us99, d95, d99, grow, anonymous])
}

/// Adds rows; seconds of the adding alone, and of what the index does meanwhile.
fn add(db: &mut Db, rows: &mut Rows, count: usize) -> Fallible<f64> {
    let mut seconds = 0.0;
    let size = count.div_ceil(COMMITS).max(1);
    for first in (0..count).step_by(size) {
        let batch = rows.draw(size.min(count - first));
        seconds += timed(|| db.import(Vectors::F32(&batch), None, Rounding::ToF16, Operation::IMPORT, "").map(drop))?;
    }
    Ok(seconds)
}

/// Recall, microseconds and distances of each ef.
fn curve(reader: &Reader, queries: &[f32], dim: usize, threads: usize) -> Fallible<Vec<[f64; 3]>> {
    let queries: Vec<&[f32]> = queries.chunks_exact(dim).collect();
    let exact = |query: &&[f32]| reader.search(*query).k(K).threads(threads).effort(Effort::Exact).run();
    let truth: Vec<Vec<rvf_engine::Hit>> = queries.iter().map(exact).collect::<Result<_, _>>()?;
    let mut times = vec![Vec::new(); EFS.len()];
    let mut points = vec![[0.0; 3]; EFS.len()];
    for _ in 0..5 {
        for (at, ef) in EFS.into_iter().enumerate() {
            let (mut right, mut distances) = (0, 0);
            let started = Instant::now();
            let mut found = Vec::with_capacity(queries.len());
            for query in &queries {
                found.push(reader.search(*query).k(K).effort(Effort::Ef(ef)).run_traced()?);
            }
            times[at].push(started.elapsed().as_secs_f64() * 1e6 / queries.len() as f64);
            for ((hits, trace), truth) in found.iter().zip(&truth) {
                right += hits.iter().filter(|hit| truth.contains(hit)).count();
                distances += trace.distances;
            }
            let all = queries.len() as f64;
            points[at] = [right as f64 / all / K as f64, 0.0, distances as f64 / all];
        }
    }
    points.iter_mut().zip(times).for_each(|(point, times)| point[1] = median(times));
    Ok(points)
}

/// Microseconds and distances at a recall, on lines through the points; NaN where it is not reached.
fn at_recall(curve: &[[f64; 3]], recall: f64) -> (f64, f64) {
    let Some(above) = curve.iter().position(|point| point[0] >= recall) else { return (f64::NAN, f64::NAN) };
    let Some(below) = above.checked_sub(1) else { return (curve[0][1], curve[0][2]) };
    let (a, b) = (curve[below], curve[above]);
    let part = ((1.0 - a[0]).ln() - (1.0 - recall).ln()) / ((1.0 - a[0]).ln() - (1.0 - b[0]).max(1e-4).ln());
    (a[1] + part * (b[1] - a[1]), a[2] + part * (b[2] - a[2]))
}

/// The slope of the line of least squares through the logarithms.
fn exponent(lines: &[[f64; 12]], column: usize) -> f64 {
    let points: Vec<(f64, f64)> = lines.iter().map(|line| (line[0].ln(), line[column].max(1e-9).ln())).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let (mut above, mut below) = (0.0, 0.0);
    for point in &points {
        above += (point.0 - x) * (point.1 - y);
        below += (point.0 - x) * (point.0 - x);
    }
    above / below
}

#[derive(Clone)]
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Nearly normal, of variance 1.
    fn normal(&mut self) -> f32 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|part| bits >> (16 * part) & 0xFFFF).sum();
        (sum as f32 / 65_536.0 - 2.0) * 3f32.sqrt()
    }
}

#[derive(Clone)]
struct Rows {
    dim: usize,
    /// The root of the spectrum, its sum being 1.
    scale: Vec<f32>,
    /// Those of the last level, each the sum of its own and of those above.
    centres: Arc<Vec<f32>>,
    random: SplitMix,
}

impl Rows {
    fn new(dim: usize) -> Self {
        let weight = |i: usize| (1.0 + i as f32).powf(-0.45) * (1.0 - i as f32 / dim as f32);
        let total: f32 = (0..dim).map(weight).sum();
        let scale: Vec<f32> = (0..dim).map(|i| (weight(i) / total).sqrt()).collect();
        let mut random = SplitMix(1);
        let mut centres = vec![0f32; dim];
        for _ in 0..LEVELS {
            let children = centres.chunks_exact(dim).flat_map(|centre| std::iter::repeat_n(centre, 8));
            let moved = children.flat_map(|centre| centre.iter().zip(&scale));
            centres = moved.map(|(centre, scale)| centre + 0.1f32.sqrt() * scale * random.normal()).collect();
        }
        Self { dim, scale, centres: Arc::new(centres), random }
    }

    fn draw(&mut self, count: usize) -> Vec<f32> {
        let mut rows = Vec::with_capacity(count * self.dim);
        for _ in 0..count {
            let leaf = (self.random.next() % (self.centres.len() / self.dim) as u64) as usize;
            let first = rows.len();
            for (centre, scale) in self.centres[leaf * self.dim..].iter().zip(&self.scale) {
                rows.push(centre + 0.5f32.sqrt() * scale * self.random.normal());
            }
            let norm = rows[first..].iter().map(|value| value * value).sum::<f32>().sqrt();
            rows[first..].iter_mut().for_each(|value| *value /= norm);
        }
        rows
    }
}

fn timed<E>(run: impl FnOnce() -> Result<(), E>) -> Result<f64, E> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// User and system time of this process, where the kernel tells; else 0.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |at: usize| after_name.split_whitespace().nth(at).and_then(|field| field.parse().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// Anonymous memory of this process, where the kernel tells; else 0.
fn anonymous_kib() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = rollup.lines().find(|line| line.starts_with("Anonymous:"));
    line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

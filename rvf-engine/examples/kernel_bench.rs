//! What the distance kernels cost on this machine. `cargo run --release -p rvf-engine --example kernel_bench`
//!
//! Prints (1) nanoseconds per distance at dimension 384 over rows that stay in the L2 cache, per elements, operation and
//! level, beside the ratio to the scalar level of the same run; (2) the bandwidth of a scan over 100,000 x 384 and its
//! ratio to that of a plain sum over the f32 rows; (3) the same rows by shuffled index. Rounds are interleaved, so that
//! all variants see the same machine; medians are printed. Arguments `hot`, `scan`, `index` choose among the three.

use half::f16;
use rvf_engine::kernel::{Against, BitQuery, KernelError, Kernels, Level, Op, Query};
use std::hint::black_box;
use std::time::Instant;

const DIMENSION: usize = 384;
const HOT_ROWS: usize = 256;
const SCAN_ROWS: usize = 100_000;
const ROUNDS: usize = 21;

/// One measured thing: its name, the bytes it reads, and how to run it once.
struct Variant<'a> {
    name: String,
    kernels: Kernels,
    bytes: usize,
    run: Box<dyn FnMut() + 'a>,
}

fn main() -> Result<(), KernelError> {
    let parts: Vec<String> = std::env::args().skip(1).collect();
    let wants = |part: &str| parts.is_empty() || parts.iter().any(|p| p == part);
    if wants("hot") {
        println!("hot: {HOT_ROWS} rows of {DIMENSION}, ns per distance (ratio to scalar)");
        print_hot(&mut variants(&Data::new(HOT_ROWS), Order::Contiguous)?);
    }
    let cold = Data::new(SCAN_ROWS);
    if wants("scan") {
        println!("scan: {SCAN_ROWS} rows of {DIMENSION}, GB/s (ratio to sum_f32 over the f32 rows, same level)");
        print_scan(&cold, variants(&cold, Order::Contiguous)?);
    }
    if wants("index") {
        println!("by shuffled index: the same rows, GB/s (ratio to the same)");
        print_scan(&cold, variants(&cold, Order::Shuffled)?);
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    Contiguous,
    Shuffled,
}

/// The same random rows in every element type, from the start of a cache line on as they are in a file.
struct Data {
    f32: Aligned<f32>,
    f16: Aligned<f16>,
    i8: Aligned<i8>,
    u8: Aligned<u8>,
    bits: Aligned<u8>,
    order: Vec<u32>,
}

struct Aligned<T> {
    padded: Vec<T>,
    start: usize,
}

impl<T: Copy + Default> Aligned<T> {
    fn new(values: impl Iterator<Item = T>) -> Aligned<T> {
        let mut padded: Vec<T> = vec![T::default(); 64];
        padded.extend(values);
        let start = padded.as_ptr().align_offset(64);
        padded.copy_within(64.., start);
        padded.truncate(padded.len() - 64 + start);
        Aligned { padded, start }
    }
}

impl<T> std::ops::Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.padded[self.start..]
    }
}

impl Data {
    fn new(rows: usize) -> Data {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let i8: Vec<i8> = (0..rows * DIMENSION).map(|_| random.next() as i8).collect();
        let f32 = || i8.iter().map(|&v| f32::from(v) / 128.0);
        let mut order: Vec<u32> = (0..rows as u32).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, random.next() as usize % (i + 1));
        }
        Data {
            f32: Aligned::new(f32()),
            f16: Aligned::new(f32().map(f16::from_f32)),
            u8: Aligned::new(i8.iter().map(|&v| v.cast_unsigned())),
            bits: Aligned::new((0..rows * DIMENSION / 8).map(|_| random.next() as u8)),
            i8: Aligned::new(i8.iter().copied()),
            order,
        }
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 24
    }
}

/// Every (elements, operation, level) over `data`.
fn variants(data: &Data, order: Order) -> Result<Vec<Variant<'_>>, KernelError> {
    let mut all = Vec::new();
    for op in Op::ALL {
        let float = Query::new(op, &data.f32[..DIMENSION])?;
        let i8 = Query::new(op, &data.i8[..DIMENSION])?;
        let u8 = Query::new(op, &data.u8[..DIMENSION])?;
        push(&mut all, format!("f32 {op:?}"), float.clone(), &data.f32, data, order);
        push(&mut all, format!("f16 {op:?}"), float.clone(), &data.f16, data, order);
        push(&mut all, format!("i8 by f32 {op:?}"), float.clone(), &data.i8, data, order);
        push(&mut all, format!("u8 by f32 {op:?}"), float, &data.u8, data, order);
        push(&mut all, format!("i8 {op:?}"), i8, &data.i8, data, order);
        push(&mut all, format!("u8 {op:?}"), u8, &data.u8, data, order);
    }
    let bits = BitQuery::new(&data.bits[..DIMENSION / 8])?;
    push(&mut all, "bits Hamming".to_string(), bits, &data.bits, data, order);
    Ok(all)
}

fn push<'a, T, Q: Against<T> + Clone + 'a>(
    all: &mut Vec<Variant<'a>>,
    name: String,
    query: Q,
    rows: &'a [T],
    data: &'a Data,
    order: Order,
) {
    for kernels in Kernels::available().into_iter().filter_map(Kernels::with_level) {
        let query = query.clone();
        let mut out = vec![0.0; rows.len() / query.row_len()];
        let run = Box::new(move || {
            let result = match order {
                Order::Contiguous => kernels.distances(&query, rows, &mut out),
                Order::Shuffled => kernels.distances_at(&query, rows, &data.order, &mut out),
            };
            assert_eq!(result, Ok(()));
            black_box(&out);
        });
        all.push(Variant { name: name.clone(), kernels, bytes: size_of_val(rows), run });
    }
}

fn print_hot(variants: &mut [Variant<'_>]) {
    let times = medians(variants, 40);
    for chunk in indices_by_name(variants) {
        print!("{:16}", variants[chunk.start].name);
        let scalar = times[chunk.start];
        for i in chunk {
            let nanos = times[i] * 1e9 / HOT_ROWS as f64;
            print!("  {:?} {nanos:6.2} ({:.1}x)", variants[i].kernels.level(), scalar / times[i]);
        }
        println!();
    }
}

/// Each variant runs right after the sum of its level, and each pair of times gives a ratio: what disturbs the machine
/// for longer than a pair disturbs both.
fn print_scan(data: &Data, mut variants: Vec<Variant<'_>>) {
    variants.retain(|v| v.kernels.level() != Level::Scalar);
    let mut times = vec![Vec::new(); variants.len()];
    let mut ratios = vec![Vec::new(); variants.len()];
    for _ in 0..ROUNDS {
        for (i, variant) in variants.iter_mut().enumerate() {
            let sum_rate = size_of_val(&data.f32[..]) as f64 / seconds(&mut || sum(variant.kernels, data));
            times[i].push(seconds(&mut variant.run));
            let rate = variant.bytes as f64 / times[i][times[i].len() - 1];
            ratios[i].push(rate / sum_rate);
        }
    }
    for chunk in indices_by_name(&variants) {
        print!("{:16}", variants[chunk.start].name);
        for i in chunk {
            let rate = variants[i].bytes as f64 / median(&mut times[i]) / 1e9;
            print!("  {:?} {rate:6.2} ({:.3})", variants[i].kernels.level(), median(&mut ratios[i]));
        }
        println!();
    }
}

fn sum(kernels: Kernels, data: &Data) {
    black_box(kernels.sum_f32(black_box(&data.f32)));
}

fn seconds(run: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

/// Runs of neighbours of one name.
fn indices_by_name(variants: &[Variant<'_>]) -> Vec<std::ops::Range<usize>> {
    let mut start = 0;
    let runs = variants.chunk_by(|a, b| a.name == b.name).map(|run| {
        start += run.len();
        start - run.len()..start
    });
    runs.collect()
}

/// The median seconds of one run of each variant, over interleaved rounds of `repeats` runs each after one more.
fn medians(variants: &mut [Variant<'_>], repeats: usize) -> Vec<f64> {
    let mut times = vec![Vec::new(); variants.len()];
    for _ in 0..ROUNDS {
        for (variant, times) in variants.iter_mut().zip(&mut times) {
            (variant.run)();
            let all = seconds(&mut || (0..repeats).for_each(|_| (variant.run)()));
            times.push(all / repeats as f64);
        }
    }
    times.iter_mut().map(|t| median(t)).collect()
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

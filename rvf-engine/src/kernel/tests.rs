//! One list of properties, checked on every level that this CPU has, against the f64 reference and the scalar oracle.
//!
//! f32 sums may differ from the reference by `(n / 8 + 16) x 2^-24` of the sum of the magnitudes of their terms: no
//! level adds more than n / 8 terms one after the other, the rest are the few roundings around them. Integer distances
//! and bits may not differ at all.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::dispatch::{Pair, Task};
use super::*;
use half::f16;
use proptest::prelude::*;

/// Beyond every dimension of 1..=300, of which each number of left-over elements is one.
const DIMENSIONS: [usize; 5] = [384, 784, 1023, 1536, 4096];

fn all_levels() -> impl Iterator<Item = Kernels> {
    Kernels::available().into_iter().filter_map(Kernels::with_level)
}

/// A small generator: tests over all dimensions need the same values every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn floats(&mut self, count: usize, family: Family) -> Vec<f32> {
        (0..count).map(|_| family.value(self.next() as u32)).collect()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| extreme_byte(self.next() as u32)).collect()
    }
}

/// Any byte, the extremes often.
fn extreme_byte(seed: u32) -> u8 {
    let byte = (seed >> 3) as u8;
    [byte, byte, byte, byte, 0, 0xFF, 0x80, 0x7F][seed as usize % 8]
}

/// What f32 values a test runs on.
#[derive(Clone, Copy, Debug)]
enum Family {
    /// Of magnitude up to one, zeros of both signs among them.
    Unit,
    /// So large that squares and sums overflow f32.
    Huge,
    /// Denormals.
    Tiny,
    /// Of all magnitudes at once, between 2^-126 and 2^60.
    Mixed,
    /// Zeros of both signs.
    Zero,
}

const FAMILIES: [Family; 5] = [Family::Unit, Family::Huge, Family::Tiny, Family::Mixed, Family::Zero];

impl Family {
    fn value(self, seed: u32) -> f32 {
        let unit = (seed >> 2) as i32 as f32 / (1 << 29) as f32 - 0.5;
        match self {
            _ if seed.is_multiple_of(61) => -0.0,
            Family::Unit => unit,
            Family::Huge => unit * f32::MAX,
            Family::Tiny => unit * f32::MIN_POSITIVE,
            Family::Mixed => unit * ((seed % 187) as f32 - 126.0).exp2(),
            Family::Zero => [0.0, -0.0][seed as usize % 2],
        }
    }
}

/// The sums of the magnitudes of the terms, and how far from `exact` a level may be.
fn tolerance<T: Element>(op: Op, query: &[f32], row: &[T]) -> f64 {
    let unit = (query.len() / 8 + 16) as f64 * 2f64.powi(-24);
    let underflow = query.len() as f64 * 2f64.powi(-149);
    let pairs = query.iter().zip(row).map(|(q, r)| (q.to_f64(), r.to_f64()));
    match op {
        Op::L2 => unit * pairs.map(|(q, r)| (q - r).powi(2)).sum::<f64>() + underflow,
        Op::Dot => unit * pairs.map(|(q, r)| (q * r).abs()).sum::<f64>() + underflow,
        Op::Cosine => 3.0 * unit,
    }
}

/// All properties of an f32 query over `rows`.
fn check_floats<T: Element>(kernels: Kernels, op: Op, query: &[f32], rows: &[T]) {
    let prepared = Query::new(op, query).unwrap();
    let out = check_calls_agree(kernels, &prepared, rows, query.len());
    check_exact(kernels, op, query, rows);
    for (row, &got) in rows.chunks_exact(query.len()).zip(&out) {
        let exact = exact_distance(op, query, row).unwrap();
        let bound = tolerance(op, query, row);
        let overflow = got.is_infinite() && (f64::from(got).signum() * exact) + bound > f64::from(f32::MAX);
        let near = (f64::from(got) - exact).abs() <= bound;
        assert!(
            near || overflow,
            "{kernels:?} {op:?} dimension {}: {got:e}, exactly {exact:e} +- {bound:e}",
            query.len()
        );
    }
}

/// The distances in f64 have the same bits at every level, and are those of terms summed one after the other.
fn check_exact<T: Element>(kernels: Kernels, op: Op, query: &[f32], rows: &[T]) {
    let rows: Vec<&[T]> = rows.chunks_exact(query.len()).collect();
    let mut out = vec![1.0; 2];
    kernels.exact_distances(op, query, &rows, &mut out).unwrap();
    assert_eq!(out.len(), rows.len());
    for (row, got) in rows.iter().zip(out) {
        assert_eq!(got.to_bits(), exact_distance(op, query, row).unwrap().to_bits(), "{kernels:?} {op:?}");
        let pairs = || query.iter().zip(*row).map(|(q, r)| (q.to_f64(), r.to_f64()));
        let dot: f64 = pairs().map(|(q, r)| q * r).sum();
        let (qq, rr) = pairs().fold((0.0, 0.0), |(qq, rr), (q, r)| (qq + q * q, rr + r * r));
        let sum = match op {
            Op::L2 => pairs().map(|(q, r)| (q - r) * (q - r)).sum(),
            Op::Dot => -dot,
            Op::Cosine if qq * rr == 0.0 => 1.0,
            Op::Cosine => (1.0 - dot / (qq * rr).sqrt()).clamp(0.0, 2.0),
        };
        let bound = tolerance(op, query, row) * 2f64.powi(-24);
        assert!((got - sum).abs() <= bound, "{kernels:?} {op:?}: {got:e}, one by one {sum:e} +- {bound:e}");
    }
}

/// Block, index and single calls give the same bits, wherever the rows lie. Returns the distances.
fn check_calls_agree<T: Copy, Q: Against<T>>(kernels: Kernels, query: &Q, rows: &[T], width: usize) -> Vec<f32> {
    let count = rows.len() / width;
    let mut out = vec![f32::NAN; count];
    kernels.distances(query, rows, &mut out).unwrap();
    for (row, got) in rows.chunks_exact(width).zip(&out) {
        assert_eq!(kernels.distance(query, row).unwrap().to_bits(), got.to_bits());
    }
    let indices: Vec<u32> = (0..count as u32).rev().chain(0..count as u32).collect();
    let mut at = vec![f32::NAN; indices.len()];
    kernels.distances_at(query, rows, &indices, &mut at).unwrap();
    for (&index, got) in indices.iter().zip(&at) {
        assert_eq!(got.to_bits(), out[index as usize].to_bits());
    }
    let scattered: Vec<&[T]> = rows.chunks_exact(width).rev().collect();
    let mut of = vec![f32::NAN; 3];
    kernels.distances_of(query, &scattered, &mut of).unwrap();
    assert!(of.iter().rev().zip(&out).all(|(of, out)| of.to_bits() == out.to_bits()) && of.len() == count);
    let four = [0, 1, 2, 3].map(|at| at * 5 % count);
    let together = kernels.run(query, Four { rows, width, four });
    assert_eq!(bits(&together), four.map(|at| out[at].to_bits()), "four at a time");
    for shift in [1, 3, 7] {
        let mut moved = vec![rows[0]; shift];
        moved.extend_from_slice(rows);
        let mut again = vec![f32::NAN; count];
        kernels.distances(query, &moved[shift..], &mut again).unwrap();
        assert_eq!(bits(&again), bits(&out), "moved by {shift}");
    }
    out
}

/// Four rows, measured together.
struct Four<'a, T> {
    rows: &'a [T],
    width: usize,
    four: [usize; 4],
}

impl<T> Task<T> for Four<'_, T> {
    type Output = [f32; 4];

    #[inline(always)]
    fn run<P: Pair<T>>(self, pair: P) -> [f32; 4] {
        pair.distances_of_four(self.four.map(|at| &self.rows[at * self.width..][..self.width]))
    }
}

fn bits(distances: &[f32]) -> Vec<u32> {
    distances.iter().map(|d| d.to_bits()).collect()
}

/// An integer query gives the bits of the exact distance rounded to f32, and of the scalar level.
fn check_bytes<T: Element + QueryElement>(kernels: Kernels, op: Op, query: &[T], rows: &[T])
where
    Query<T>: Against<T>,
{
    let prepared = Query::new(op, query).unwrap();
    let out = check_calls_agree(kernels, &prepared, rows, query.len());
    let mut scalar = vec![f32::NAN; out.len()];
    let oracle = Kernels::with_level(Level::Scalar).unwrap();
    oracle.distances(&prepared, rows, &mut scalar).unwrap();
    let floats: Vec<f32> = query.iter().map(|q| q.to_f32()).collect();
    for ((row, got), scalar) in rows.chunks_exact(query.len()).zip(&out).zip(&scalar) {
        let exact = exact_distance(op, &floats, row).unwrap() as f32;
        assert_eq!((*got, *got), (exact, *scalar), "{kernels:?} {op:?} dimension {}", query.len());
    }
}

fn check_bits(kernels: Kernels, query: &[u8], rows: &[u8]) {
    let prepared = BitQuery::new(query).unwrap();
    let out = check_calls_agree(kernels, &prepared, rows, query.len());
    for (row, got) in rows.chunks_exact(query.len()).zip(out) {
        assert_eq!(got, exact_hamming(query, row).unwrap() as f32, "{kernels:?}");
    }
}

/// Codes of four bits: the same bits at every level, and those of the sums worked out one by one from the query as bytes.
fn check_nibbles(kernels: Kernels, op: Op, query: &[f32], rows: &[u8]) {
    let width = query.len() / 2;
    let step = 0.37;
    let prepared = NibbleQuery::new(op, query, step).unwrap();
    let out = check_calls_agree(kernels, &prepared, rows, width);
    let mut bytes = vec![0i8; query.len()];
    let unit = kernels.bytes_of(query, &mut bytes).step;
    for (row, got) in rows.chunks_exact(width).zip(out) {
        let codes = row.iter().map(|byte| byte & 15).chain(row.iter().map(|byte| byte >> 4));
        let r: Vec<i64> = codes.map(|code| 2 * i64::from(code) - 15).collect();
        let dot: i64 = bytes.iter().zip(&r).map(|(q, r)| i64::from(*q) * r).sum();
        let squares: i64 = r.iter().map(|r| r * r).sum();
        let weight = if op == Op::L2 { step / unit / 4.0 } else { 0.0 };
        assert_eq!(got, weight * squares as f32 - dot as f32, "{kernels:?} {op:?} {width} bytes");
    }
}

/// Floats as bytes: off by half a step at most, the same at every level.
fn check_bytes_of(kernels: Kernels, values: &[f32]) {
    let [mut bytes, mut plain] = [vec![1i8; values.len()], vec![2i8; values.len()]];
    let scale = kernels.bytes_of(values, &mut bytes);
    assert_eq!(scale, Kernels::with_level(Level::Scalar).unwrap().bytes_of(values, &mut plain), "{kernels:?}");
    assert_eq!(bytes, plain, "{kernels:?}");
    assert!(scale.is_finite);
    for (value, byte) in values.iter().zip(bytes) {
        let off = f64::from(*value) - f64::from(byte) * f64::from(scale.step);
        assert!(off.abs() <= 0.5001 * f64::from(scale.step), "{kernels:?}: {value:e} as {byte} x {:e}", scale.step);
    }
}

/// L2 does not care which of the two is the query, and is zero from a vector to itself.
fn check_l2_is_a_distance(kernels: Kernels, a: &[f32], b: &[f32]) {
    let [from_a, from_b] = [a, b].map(|v| Query::new(Op::L2, v).unwrap());
    let there = kernels.distance(&from_a, b).unwrap();
    let back = kernels.distance(&from_b, a).unwrap();
    assert_eq!(there.to_bits(), back.to_bits(), "{kernels:?}");
    assert_eq!(kernels.distance(&from_a, a).unwrap(), 0.0, "{kernels:?}");
}

/// The whole list, on all elements and levels, over three rows.
fn check_all(dimension: usize, query: &[f32], rows: &[f32], bytes: &[u8]) {
    let f16s: Vec<f16> = rows.iter().map(|&v| finite_f16(v)).collect();
    let i8s: Vec<i8> = bytes.iter().map(|b| b.cast_signed()).collect();
    for kernels in all_levels() {
        for op in Op::ALL {
            check_floats(kernels, op, query, rows);
            check_floats(kernels, op, query, &f16s);
            check_floats(kernels, op, query, &i8s);
            check_floats(kernels, op, query, bytes);
            check_bytes(kernels, op, &i8s[..dimension], &i8s);
            check_bytes(kernels, op, &bytes[..dimension], bytes);
        }
        check_bits(kernels, &bytes[dimension..2 * dimension], bytes);
        check_bytes_of(kernels, query);
        let even = query.len() - query.len() % 2;
        if even > 0 {
            let rows = &bytes[..bytes.len() - bytes.len() % (even / 2)];
            check_nibbles(kernels, Op::L2, &query[..even], rows);
            check_nibbles(kernels, Op::Cosine, &query[..even], rows);
        }
        check_l2_is_a_distance(kernels, query, &rows[..dimension]);
    }
}

/// The nearest f16, or the largest.
fn finite_f16(value: f32) -> f16 {
    f16::from_f32(value.clamp(-65_504.0, 65_504.0))
}

#[test]
fn all_dimensions() {
    for (i, dimension) in (1..=300).chain(DIMENSIONS).enumerate() {
        let mut random = Random(dimension as u64);
        let family = FAMILIES[i % FAMILIES.len()];
        let query = random.floats(dimension, FAMILIES[i / 5 % FAMILIES.len()]);
        let rows = random.floats(3 * dimension, family);
        check_all(dimension, &query, &rows, &random.bytes(3 * dimension));
    }
}

/// Lists of any finite f32, and of bytes, of one random dimension.
fn vectors() -> impl Strategy<Value = (usize, Vec<f32>, Vec<f32>, Vec<u8>)> {
    let value = || prop_oneof![(-1f32..1f32), any::<f32>().prop_filter("finite", |v| v.is_finite())];
    (1usize..=300).prop_flat_map(move |dimension| {
        (
            Just(dimension),
            prop::collection::vec(value(), dimension),
            prop::collection::vec(value(), 3 * dimension),
            prop::collection::vec(any::<u32>().prop_map(extreme_byte), 3 * dimension),
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_values((dimension, query, rows, bytes) in vectors()) {
        check_all(dimension, &query, &rows, &bytes);
    }

    #[test]
    fn any_sum(values in prop::collection::vec(-1e6f32..1e6, 0..1000)) {
        let exact: f64 = values.iter().map(|&v| f64::from(v)).sum();
        let magnitude: f64 = values.iter().map(|&v| f64::from(v.abs())).sum();
        let bound = magnitude * (values.len() / 8 + 16) as f64 * 2f64.powi(-24);
        for kernels in all_levels() {
            let got = f64::from(kernels.sum_f32(&values));
            prop_assert!((got - exact).abs() <= bound, "{kernels:?}: {got}, exactly {exact}");
        }
    }
}

#[test]
fn every_f16_is_widened_exactly() {
    let finite: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).filter(|v| v.is_finite()).collect();
    for kernels in all_levels() {
        for chunk in finite.chunks(5) {
            for (i, value) in chunk.iter().enumerate() {
                let mut query = [0.0; 5];
                query[i] = -1.0;
                let query = Query::new(Op::Dot, &query[..chunk.len()]).unwrap();
                assert_eq!(kernels.distance(&query, chunk).unwrap(), value.to_f32());
            }
        }
    }
}

#[test]
fn integer_sums_do_not_overflow() {
    let zeros = vec![0u8; MAX_DIMENSION];
    let full = vec![u8::MAX; MAX_DIMENSION];
    let (least, most) = (vec![i8::MIN; MAX_DIMENSION], vec![i8::MAX; MAX_DIMENSION]);
    for kernels in all_levels() {
        for op in Op::ALL {
            check_bytes(kernels, op, &full, &full);
            check_bytes(kernels, op, &full, &zeros);
            check_bytes(kernels, op, &zeros, &full);
            check_bytes(kernels, op, &least, &least);
            check_bytes(kernels, op, &least, &most);
            check_bytes(kernels, op, &most, &least);
        }
    }
}

#[test]
fn a_norm_of_zero_is_at_distance_one() {
    let some = Query::new(Op::Cosine, &[1.0, -2.0, 3.0]).unwrap();
    let none = Query::new(Op::Cosine, &[0.0, -0.0, 0.0]).unwrap();
    let byte = Query::new(Op::Cosine, &[0i8, 0, 0]).unwrap();
    for kernels in all_levels() {
        assert_eq!(kernels.distance(&some, &[0.0f32, -0.0, 0.0]), Ok(1.0));
        assert_eq!(kernels.distance(&some, &[f16::ZERO; 3]), Ok(1.0));
        assert_eq!(kernels.distance(&none, &[1.0f32, 2.0, 3.0]), Ok(1.0));
        assert_eq!(kernels.distance(&none, &[0u8, 0, 0]), Ok(1.0));
        assert_eq!(kernels.distance(&byte, &[1i8, 2, 3]), Ok(1.0));
    }
}

#[test]
fn cosine_is_within_its_range_at_any_scale() {
    let base = [0.3f32, -0.7, 0.1, 0.9, -0.2];
    for exponent in -140..=126 {
        let row = base.map(|v| v * (exponent as f32).exp2());
        let back = row.map(|v| -v);
        for kernels in all_levels() {
            let query = Query::new(Op::Cosine, &row).unwrap();
            assert!((0.0..1e-6).contains(&kernels.distance(&query, &row).unwrap()));
            assert!((1.999999..=2.0).contains(&kernels.distance(&query, &back).unwrap()));
        }
    }
}

#[test]
fn sums_that_overflow_on_the_way_are_computed_again() {
    let query = Query::new(Op::Dot, &[f32::MAX, f32::MAX, 3.0]).unwrap();
    let l2 = Query::new(Op::L2, &[f32::MAX]).unwrap();
    for kernels in all_levels() {
        assert_eq!(kernels.distance(&query, &[2.0f32, -2.0, 0.0]), Ok(0.0));
        assert_eq!(kernels.distance(&query, &[2.0f32, -1.0, 5.0]), Ok(-f32::MAX));
        assert_eq!(kernels.distance(&query, &[2.0f32, 2.0, 5.0]), Ok(f32::NEG_INFINITY));
        assert_eq!(kernels.distance(&l2, &[f32::MIN]), Ok(f32::INFINITY));
    }
}

#[test]
fn queries_of_nibbles_are_checked() {
    let refused = |values: &[f32], step| NibbleQuery::new(Op::L2, values, step).unwrap_err();
    assert_eq!(refused(&[], 1.0), KernelError::Dimension { got: 0 });
    assert_eq!(refused(&[1.0; 3], 1.0), KernelError::Dimension { got: 3 });
    assert_eq!(refused(&vec![1.0; 65_538], 1.0), KernelError::Dimension { got: 65_538 });
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(refused(&[1.0, bad], 1.0), KernelError::QueryNotFinite);
        assert_eq!(refused(&[1.0, 2.0], bad), KernelError::QueryNotFinite);
    }
    assert_eq!(refused(&[1.0, 2.0], 0.0), KernelError::QueryNotFinite);
    // The longest rows of the largest codes: sums stay in range.
    let (values, row) = (vec![f32::MAX; 65_536], vec![0xFFu8; 32_768]);
    let query = NibbleQuery::new(Op::Dot, &values, 1.0).unwrap();
    for kernels in all_levels() {
        assert_eq!(kernels.distance(&query, &row), Ok(-(65_536.0 * 127.0 * 15.0)), "{kernels:?}");
        assert!(kernels.distance(&query, &row[1..]).is_err());
    }
}

#[test]
fn levels_are_those_of_the_cpu() {
    let available = Kernels::available();
    assert_eq!(available[0], Level::Scalar);
    assert_eq!(Some(&Kernels::detect().level()), available.last());
    for level in Level::ALL {
        let forced = Kernels::with_level(level).map(Kernels::level);
        assert_eq!(forced, available.contains(&level).then_some(level));
    }
    #[cfg(target_arch = "x86_64")]
    assert_eq!(available.contains(&Level::Avx2), has_avx2());
    #[cfg(target_arch = "aarch64")]
    assert_eq!(available, [Level::Scalar, Level::Neon]);
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("popcnt")
}

#[test]
fn kernels_travel() {
    fn travels<T: Copy + Send + Sync>() {}
    travels::<Kernels>();
}

#[test]
fn wrong_arguments_are_refused_and_leave_the_output() {
    let new = |values: &[f32]| Query::new(Op::L2, values).err();
    assert_eq!(new(&[]), Some(KernelError::Dimension { got: 0 }));
    assert_eq!(new(&vec![0.0; 65_536]), Some(KernelError::Dimension { got: 65_536 }));
    assert_eq!(new(&vec![0.0; 65_535]), None);
    assert_eq!(new(&[1.0, f32::NAN]), Some(KernelError::QueryNotFinite));
    assert_eq!(new(&[f32::NEG_INFINITY, 1.0]), Some(KernelError::QueryNotFinite));
    assert!(BitQuery::new(&[]).is_err());
    assert!(BitQuery::new(&[0; 8_193]).is_err());

    let query = Query::new(Op::L2, &[1.0, 2.0]).unwrap();
    let (rows, mut out) = ([0.0f32; 6], [7.0; 3]);
    for kernels in all_levels() {
        let wrong = |got, want| KernelError::RowsLength { got, want };
        assert_eq!(kernels.distance(&query, &rows[..3]), Err(wrong(3, 2)));
        assert_eq!(kernels.distances(&query, &rows[..5], &mut out), Err(wrong(5, 6)));
        assert_eq!(kernels.distances_at(&query, &rows[..5], &[0, 1, 1], &mut out), Err(wrong(5, 4)));
        let short = KernelError::OutLength { got: 3, want: 2 };
        assert_eq!(kernels.distances_at(&query, &rows, &[0, 1], &mut out), Err(short));
        let outside = KernelError::IndexOutOfRange { index: 3, rows: 3 };
        assert_eq!(kernels.distances_at(&query, &rows, &[0, 3, u32::MAX], &mut out), Err(outside));
        assert_eq!(out, [7.0; 3]);
        assert_eq!(kernels.distances(&query, &rows[..0], &mut []), Ok(()));
    }
}

#[test]
fn the_reference_is_right_where_hands_can_check() {
    let (a, b) = ([1.0f32, 2.0, 2.0], [3.0f32, 0.0, 4.0]);
    assert_eq!(exact_distance(Op::L2, &a, &b), Ok(12.0));
    assert_eq!(exact_distance(Op::Dot, &a, &b), Ok(-11.0));
    assert_eq!(exact_distance(Op::Cosine, &a, &b), Ok(1.0 - 11.0 / 15.0));
    assert_eq!(exact_distance(Op::L2, &a, &[3i8, 0, -128]), Ok(4.0 + 4.0 + 16_900.0));
    assert_eq!(exact_hamming(&[0b1010_0000, 0xFF], &[0b0110_0000, 0]), Ok(10));
    assert!(exact_distance(Op::L2, &a, &b[..2]).is_err());
    assert!(exact_hamming(&[0], &[]).is_err());
}

/// The nearest of some rows, as a loop of another module would find it.
struct Nearest<'a>(&'a [[f32; 2]]);

impl Task<f32> for Nearest<'_> {
    type Output = Option<usize>;

    #[inline(always)]
    fn run<P: Pair<f32>>(self, pair: P) -> Option<usize> {
        let distance = |i: &usize| pair.distance(&self.0[*i]);
        (0..self.0.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }
}

#[test]
fn another_loop_may_enter() {
    let query = Query::new(Op::L2, &[1.0, 2.0]).unwrap();
    for kernels in all_levels() {
        let rows = [[0.0, 0.0], [1.0, 2.5], [9.0, 2.0]];
        assert_eq!(kernels.run(&query, Nearest(&rows)), Some(1));
    }
}

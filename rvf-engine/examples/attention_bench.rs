//! What attention over a plan costs. `cargo run --release -p rvf-engine --example attention_bench`
//!
//! Prints the median time of one query on one core, in microseconds, for each mechanism, at 10, 40 and 100 operators with 32 features, looked
//! at from the sink, which sees all; and those of making the plan and of what is worked out once for it (flow and kappa). Each operator has up
//! to 3 inputs; about every fifth has none.

use rvf_engine::learn::{Dag, DagAttention, DagFault, Mechanism, OPERATOR_FEATURES, PlannedOperator as Operator};
use std::hint::black_box;
use std::time::Instant;

const COUNTS: [usize; 3] = [10, 40, 100];
const ROUNDS: usize = 401;

/// Numbers that look random (a linear congruential generator), below `end`.
fn draw(state: &mut u64, end: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ((*state >> 33) as usize) % end
}

fn operators(count: usize) -> Vec<Operator> {
    let mut state = 7;
    let mut feeds = vec![false; count];
    let operator = |at: usize| {
        let is_last = at + 1 == count;
        let is_source = at == 0 || (!is_last && draw(&mut state, 5) == 0);
        let wanted = if is_source { 0 } else { 1 + draw(&mut state, 3) };
        let mut inputs: Vec<u16> = (0..wanted).map(|_| draw(&mut state, at) as u16).collect();
        if is_last {
            inputs.extend((0..at as u16).filter(|input| !feeds[usize::from(*input)]));
        }
        inputs.iter().for_each(|input| feeds[usize::from(*input)] = true);
        Operator {
            inputs,
            cost: 1000.0 + draw(&mut state, 100_000) as f64,
            parallelism: 1 + draw(&mut state, 4) as u32,
            at: draw(&mut state, 200) as f64,
            features: [0.0; OPERATOR_FEATURES].map(|_: f32| draw(&mut state, 2000) as f32 / 1000.0 - 1.0),
        }
    };
    (0..count).map(operator).collect()
}

fn median(mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

fn row(name: &str, of: impl Fn(usize) -> Result<f64, DagFault>) -> Result<(), DagFault> {
    let [few, some, many] = COUNTS.map(of);
    println!("| {name:<30} | {:>8.2} | {:>8.2} | {:>8.2} |", few?, some?, many?);
    Ok(())
}

fn main() -> Result<(), DagFault> {
    println!("| median, us                     |       10 |       40 |      100 |");
    println!("| ------------------------------ | -------: | -------: | -------: |");
    let attention = DagAttention::new(1);
    for mechanism in Mechanism::ALL.into_iter().chain([Mechanism::Uniform]) {
        row(mechanism.name(), |count| {
            let dag = Dag::new(operators(count))?;
            assert!(dag.kappa().len() == count);
            Ok(median(|| {
                black_box(attention.attend(black_box(&dag), dag.sink(), black_box(&mechanism)));
            }))
        })?;
    }
    row("making the plan", |count| {
        let mut made = vec![operators(count); ROUNDS];
        Ok(median(|| {
            assert!(black_box(Dag::new(made.pop().unwrap_or_default())).is_ok());
        }))
    })?;
    row("flow and kappa, once a plan", |count| {
        let dag = Dag::new(operators(count))?;
        let mut fresh = vec![dag; ROUNDS];
        Ok(median(|| {
            black_box(fresh.pop().map(|dag| dag.max_flow()));
        }))
    })
}

//! What a signed commit costs: `cargo run --release -p rvf-engine --example sign_bench`
//!
//! Prints medians of 200 different statements, microseconds: signing one with both algorithms (which also verifies what was made),
//! and verifying the note.

use rvf_engine::{Policy, SecretKey, Statement};
use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: u64 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let key = SecretKey::generate()?;
    let (mut signing, mut verifying) = (Vec::new(), Vec::new());
    // Each statement another one: how long ML-DSA takes to sign depends on it.
    for epoch in 1..=ROUNDS {
        let statement = statement(epoch);
        let start = Instant::now();
        let note = black_box(key.sign(&statement)?);
        signing.push(start.elapsed());
        let start = Instant::now();
        key.public().verify(black_box(&note))?;
        verifying.push(start.elapsed());
    }
    for (what, mut times) in [("sign", signing), ("verify", verifying)] {
        times.sort();
        println!("{what:<8}{:>8} us", times[times.len() / 2].as_micros());
    }
    Ok(())
}

fn statement(epoch: u64) -> Statement {
    Statement {
        file_id: [7; 16],
        size: epoch + 1,
        root: [1; 32],
        epoch,
        state_hash: [2; 32],
        previous: epoch - 1,
        policy: Policy::Ed25519AndMlDsa65,
    }
}

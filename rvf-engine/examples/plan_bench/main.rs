//! What planning by use saves, at equal recall, on docs-text.
//!
//! ```text
//! cargo run --release -p rvf-engine --example plan_bench -- ../shared/data/docs-text FOLDER [real|zipf|mixed|drift|easy|attention]...
//! ```
//! Stores are made in FOLDER at the first run. All recalls are against exact answers. `static` is the search without a planner at whichever efforts
//! give the recall of the planner at the least cost on the very questions of the test, mixed where none gives exactly that: no setting of it could be
//! better tuned. `frozen` is the planner whose learning ended before the test; `oracle` knows of each question what each setting makes of it.
//! Intervals are paired bootstraps of 95 %.

mod ask;
mod data;
mod drift;
mod mixed;
mod real;
mod zipf;

use crate::ask::{Frontier, Seen, mean};
use crate::data::{Docs, Outcome};
use rvf_engine::Effort;
use rvf_engine::learn::bootstrap;
use std::path::{Path, PathBuf};

/// What a table needs.
pub(crate) struct Ground {
    pub(crate) docs: Docs,
    pub(crate) folder: PathBuf,
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: plan_bench DOCS-TEXT FOLDER [real|zipf|mixed|drift|easy|attention]...";
    let (docs, folder) = (arguments.next().ok_or(usage)?, arguments.next().ok_or(usage)?);
    let wanted: Vec<String> = arguments.collect();
    let wants = |table: &str| wanted.is_empty() || wanted.iter().any(|name| name == table);
    std::fs::create_dir_all(&folder)?;
    let ground = Ground { docs: Docs::read(Path::new(&docs))?, folder: folder.into() };
    if wants("real") {
        real::real(&ground)?;
    }
    if wants("zipf") {
        zipf::zipf(&ground)?;
    }
    if wants("mixed") {
        mixed::mixed(&ground)?;
    }
    if wants("attention") {
        mixed::attention(&ground)?;
    }
    if wants("drift") {
        drift::drift(&ground)?;
    }
    if wants("easy") {
        real::easy(&ground)?;
    }
    Ok(())
}

/// Efforts of the static search.
pub(crate) fn efforts() -> Vec<Effort> {
    let efs = [10, 11, 12, 13, 14, 16, 18, 20, 22, 24, 28, 32, 36, 40, 48, 56, 64, 80, 96, 128, 160, 192, 256, 384];
    efs.into_iter().map(Effort::Ef).collect()
}

pub(crate) fn head(title: &str) {
    println!("\n{title}");
    println!(
        "{:<26} {:>24} {:>9} {:>9} {:>24} {:>24}",
        "", "recall@10", "distances", "us", "distances saved", "time saved"
    );
}

/// A line of a table: what was seen against the static search at the same recall.
pub(crate) fn line(name: &str, seen: &[Seen], frontier: &Frontier) {
    let recall = bootstrap(&seen.iter().map(|seen| seen.recall).collect::<Vec<_>>(), 1);
    let saved = |of: fn(&Seen) -> f64| {
        let fixed = frontier.at(recall.mean, of);
        let whole = fixed.iter().sum::<f64>() / fixed.len().max(1) as f64;
        let differences: Vec<f64> = fixed.iter().zip(seen).map(|(fixed, seen)| (fixed - of(seen)) / whole).collect();
        let saved = bootstrap(&differences, 2);
        format!("{:+.1} % [{:+.1}, {:+.1}]", saved.mean * 100.0, saved.low * 100.0, saved.high * 100.0)
    };
    println!(
        "{name:<26} {:>24} {:>9.0} {:>9.1} {:>24} {:>24}",
        format!("{:.4} [{:.4}, {:.4}]", recall.mean, recall.low, recall.high),
        mean(seen, |seen| seen.distances),
        mean(seen, |seen| seen.nanos) / 1e3,
        saved(|seen| seen.distances),
        saved(|seen| seen.nanos),
    );
}

/// The least time of several rounds, question by question: what other programs took away is left out.
pub(crate) fn least(rounds: Vec<Vec<Seen>>) -> Vec<Seen> {
    let mut rounds = rounds.into_iter();
    let mut least = rounds.next().unwrap_or_default();
    for round in rounds {
        least.iter_mut().zip(round).for_each(|(least, seen)| least.nanos = least.nanos.min(seen.nanos));
    }
    least
}

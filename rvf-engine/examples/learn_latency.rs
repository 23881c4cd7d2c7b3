//! What searching in a learned order costs: `cargo run --release -p rvf-engine --example learn_latency -- STORE QUERIES.npy`
//!
//! Works on a copy of the store in memory's folder for temporary files. Feedback is made up: kinds of queries, each with one record that is right and
//! not the nearest, so that something is adopted. Vector mode and the learned order take turns; medians of microseconds a query.

use rvf_engine::ingest::{Elements, open_source};
use rvf_engine::{Component, Db, Feedback, LearnOptions, Session};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn Error>>;

const KINDS: usize = 100;
const JUDGEMENTS: usize = 1_000;
const ROUNDS: usize = 15;

fn read(path: &Path) -> Outcome<Vec<Vec<f32>>> {
    let mut source = open_source(path, None)?;
    let mut queries = Vec::new();
    while let Some(batch) = source.next_batch(1_024)? {
        let values: Vec<f32> = match &batch.elements {
            Elements::F32(values) => values.to_vec(),
            Elements::F16(values) => values.iter().map(|value| value.to_f32()).collect(),
            _ => return Err("queries are floats".into()),
        };
        queries.extend(values.chunks(batch.dim).map(<[f32]>::to_vec));
    }
    Ok(queries)
}

/// Queries of kinds: a base, moved a little towards another query.
fn judgements(db: &Db, queries: &[Vec<f32>]) -> Outcome<Vec<Feedback>> {
    let snapshot = db.snapshot();
    let mut all = Vec::new();
    for at in 0..JUDGEMENTS {
        let (base, other) = (&queries[at % KINDS], &queries[(at * 7 + 3) % queries.len()]);
        let query: Vec<f32> = base.iter().zip(other).map(|(x, y)| x + 0.45 * y).collect();
        let hits = snapshot.search(base).k(6).run()?;
        let chosen = hits.last().map(|hit| hit.id.clone()).into_iter().collect();
        all.push(Feedback { query, chosen, ..Feedback::default() });
    }
    Ok(all)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(0.0)
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [store, queries] = &arguments[..] else { return Err("usage: learn_latency STORE QUERIES.npy".into()) };
    let folder = std::env::temp_dir().join(format!("learn-latency-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("store.rvf");
    std::fs::copy(store, &path)?;
    let queries = read(Path::new(queries))?;
    let mut db = Db::open(&path)?;
    db.record(&judgements(&db, &queries)?)?;
    println!("| learned order | queries | vector mode, us | learned, us | ratio |");
    println!("| --- | --- | --- | --- | --- |");
    for component in [Component::Ranker, Component::Graph, Component::Adapter] {
        let done = db.learn(&LearnOptions { only: Some(component), epochs: 4, ..LearnOptions::default() })?;
        if !done.adopted() {
            println!("| {} | not adopted: {:?} |", component.name(), done.main().map(|verdict| verdict.reason));
            continue;
        }
        let session = Session::new(db.snapshot())?;
        let others = queries[KINDS..queries.len().min(KINDS + 300)].to_vec();
        let like = queries[..KINDS].iter().zip(&others);
        let like = like.map(|(base, other)| base.iter().zip(other).map(|(x, y)| x + 0.3 * y).collect());
        for (name, asked) in [("unlike what was chosen for", others.clone()), ("like it", like.collect())] {
            let mut medians = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                for (learned, medians) in [false, true].into_iter().zip(&mut medians) {
                    let mut times = Vec::new();
                    for query in &asked {
                        let start = Instant::now();
                        session.search(query).k(10).learned(learned).run()?;
                        times.push(start.elapsed().as_nanos() as f64 / 1e3);
                    }
                    medians.push(median(&mut times));
                }
            }
            let [plain, learned] = medians.map(|mut all| median(&mut all));
            println!("| {} | {name} | {plain:.1} | {learned:.1} | {:.2} |", component.name(), learned / plain);
        }
        db.reset_learned(false)?;
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

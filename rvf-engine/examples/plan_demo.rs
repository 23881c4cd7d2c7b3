//! Planning that learns, run by run: what is asked, who attends, how tense the plan is, how long searches take, what they find, and what is known.
//!
//! ```text
//! cargo run --release -p rvf-engine --example plan_demo
//! ```
//! Two kinds of questions to a store of 40,000 made-up records in two graphs: nearest of all, and nearest among a third. Everything printed is
//! measured: recall against exact answers, time with everything that planning takes but the audits, whose share stands beside.

use rvf_engine::filter::Filter;
use rvf_engine::{AdaptivePlanner, Db, Effort, Matches, Metric, PlannerOptions, Schema};
use std::time::Instant;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const WIDTH: usize = 48;
const RUNS: usize = 16;
const QUESTIONS: usize = 2_000;
const PROMISED: f64 = 0.95;
/// One question in so many is also answered exactly.
const JUDGED: usize = 8;

struct Noise(u64);

impl Noise {
    fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }

    /// A row near one of 300 centres.
    fn row(&mut self, centres: &[Vec<f32>]) -> Vec<f32> {
        let centre = &centres[(self.unit() * centres.len() as f32) as usize % centres.len()];
        centre.iter().map(|x| x + 0.7 * (self.unit() - 0.5)).collect()
    }
}

fn main() -> Fallible<()> {
    let folder = tempfile::tempdir()?;
    let mut noise = Noise(1);
    let centres: Vec<Vec<f32>> = (0..300).map(|_| (0..WIDTH).map(|_| noise.unit()).collect()).collect();
    let mut db = Db::create(folder.path().join("demo.rvf"), &Schema::new(WIDTH as u32, Metric::Cosine))?;
    let mut id = 0u64;
    for count in [32_000, 8_000] {
        let mut batch = db.batch();
        for _ in 0..count {
            batch.put_with(id, &noise.row(&centres), [("kind", (id as i64 % 3).into())])?;
            id += 1;
        }
        batch.commit()?;
    }
    let snapshot = db.snapshot();
    let third = snapshot.matches(&Filter::parse("kind = 1")?)?;
    let planner = AdaptivePlanner::new(snapshot.clone(), PlannerOptions::default())?;
    println!(
        "{:>3} {:<13} {:<22} {:>7} {:>8} {:>8} {:>8} {:>7} {:>7}  served",
        "run", "template", "mechanism, why", "tension", "us", "without", "recall", "audits", "share"
    );
    for run in 1..=RUNS {
        for (name, matches) in [("all", None), ("a third", Some(&third))] {
            let questions: Vec<Vec<f32>> = (0..QUESTIONS).map(|_| noise.row(&centres)).collect();
            let measured = ask(&snapshot, &planner, &questions, matches)?;
            tell(run, name, measured, &planner, matches);
        }
    }
    let epoch = db.adopt_planner(&planner)?;
    println!("kept as of epoch {epoch}: {} bytes of {}", planner.report().bytes, planner.report().most_bytes);
    Ok(())
}

/// Microseconds a question with the planner and without it; recall with it.
fn ask(
    snapshot: &rvf_engine::Snapshot,
    planner: &AdaptivePlanner,
    questions: &[Vec<f32>],
    matches: Option<&Matches>,
) -> Fallible<[f64; 3]> {
    let search = |question, effort| {
        let search = snapshot.search(question).effort(effort);
        if let Some(matches) = matches { search.filter(matches) } else { search }
    };
    let (mut with, mut without, mut right, mut wanted) = (0.0, 0.0, 0, 0);
    for (place, question) in questions.iter().enumerate() {
        // Who comes second finds what it reads in the caches: they take turns.
        let first = place.is_multiple_of(2);
        if !first {
            without += timed(|| search(question, Effort::Recall(PROMISED)).run())?.1;
        }
        let (hits, took) = timed(|| search(question, Effort::Recall(PROMISED)).planner(planner).run())?;
        with += took;
        if first {
            without += timed(|| search(question, Effort::Recall(PROMISED)).run())?.1;
        }
        planner.audit(1)?;
        if place.is_multiple_of(JUDGED) {
            let truth = search(question, Effort::Exact).run()?;
            let farthest = truth.last().map_or(0.0, |hit| hit.distance);
            right += hits.iter().filter(|hit| hit.distance <= farthest).count();
            wanted += truth.len();
        }
    }
    let count = questions.len() as f64;
    Ok([with * 1e6 / count, without * 1e6 / count, right as f64 / f64::from(wanted.max(1) as u32)])
}

/// What work gives, and how many seconds it takes.
fn timed<R>(work: impl FnOnce() -> rvf_engine::Result<R>) -> Fallible<(R, f64)> {
    let started = Instant::now();
    let done = work()?;
    Ok((done, started.elapsed().as_secs_f64()))
}

fn tell(
    run: usize,
    name: &str,
    [with, without, recall]: [f64; 3],
    planner: &AdaptivePlanner,
    matches: Option<&Matches>,
) {
    let report = planner.report();
    let is_it = |template: &&rvf_engine::TemplateReport| template.filtered == matches.is_some();
    let Some(template) = report.templates.iter().find(is_it) else { return };
    let (mechanism, tension) = match report.mechanism {
        Some((mechanism, why, tension)) => (format!("{}, {why}", mechanism.name()), tension),
        None => (String::new(), 0.0),
    };
    println!(
        "{run:>3} {name:<13} {mechanism:<22} {tension:>7.2} {with:>8.1} {without:>8.1} {recall:>8.4} {:>7} {:>5.1} %  {}",
        template.counts.1,
        report.audit_share * 100.0,
        template.arms[template.served].settings
    );
}

//! A stream of topics by Zipf's law without a query twice.

use crate::ask::{Ask, Frontier, Seen, all};
use crate::data::{DIMENSION, Outcome};
use crate::real::taught;
use crate::{Ground, efforts, head, least, line};
use rvf_engine::{AdaptivePlanner, Effort, Planner, PlannerOptions};

const TOPICS: usize = 400;
const TEACH: usize = 1_500;
const WARM: usize = 1_000;
const TEST: usize = 1_500;
/// Cosine of a query with its topic.
const LIKE: f32 = 0.91;

/// Numbers that look random.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }

    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }

    /// A query whose cosine with `topic` is [`LIKE`].
    pub(crate) fn near(&mut self, topic: &[f32]) -> Vec<f32> {
        let unit = |vector: &[f32]| {
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            vector.iter().map(|x| x / length).collect::<Vec<f32>>()
        };
        let topic = unit(topic);
        let noise: Vec<f32> = (0..DIMENSION).map(|_| self.normal()).collect();
        let along: f32 = noise.iter().zip(&topic).map(|(a, b)| a * b).sum();
        let across = unit(&noise.iter().zip(&topic).map(|(a, b)| a - along * b).collect::<Vec<f32>>());
        topic.iter().zip(&across).map(|(t, a)| LIKE * t + (1.0 - LIKE * LIKE).sqrt() * a).collect()
    }
}

/// Topics of a stream, by Zipf's law with exponent 1.
pub(crate) fn topics(noise: &mut Noise, count: usize, topics: usize) -> Vec<usize> {
    let weights: Vec<f32> = (1..=topics).map(|rank| 1.0 / rank as f32).collect();
    let sum: f32 = weights.iter().sum();
    let mut draw = || {
        let mut left = noise.unit() * sum;
        weights
            .iter()
            .position(|weight| {
                left -= weight;
                left < 0.0
            })
            .unwrap_or(topics - 1)
    };
    (0..count).map(|_| draw()).collect()
}

pub(crate) fn zipf(ground: &Ground) -> Outcome<()> {
    let snapshot = ground.docs.store(&ground.folder, "docs.rvf", &[100_000])?;
    let mut noise = Noise(11);
    let drawn = topics(&mut noise, TEACH + WARM + TEST, TOPICS);
    let asks: Vec<Ask<'_>> = drawn
        .iter()
        .map(|topic| Ask::new(&snapshot, noise.near(&ground.docs.queries[*topic]), None))
        .collect::<Outcome<_>>()?;
    let (teach, rest) = asks.split_at(TEACH);
    let (before, test) = rest.split_at(WARM);
    head(&format!("{TOPICS} topics by Zipf's law, no query twice, recall 0.95"));
    let mut frontier = Frontier::default();
    let effort = Effort::Recall(0.95);
    let mut rounds = Vec::new();
    for _ in 0..5 {
        let snapshot = rvf_engine::Reader::open(ground.folder.join("docs.rvf"))?.snapshot();
        let planner = taught(&snapshot, teach.iter(), 0.95)?;
        let run = |asks: &[Ask<'_>]| -> Outcome<Vec<Seen>> {
            asks.iter().map(|ask| ask.run_on(&snapshot, effort, Some(&planner))).collect()
        };
        if std::env::var_os("PLAN_BENCH_TELL").is_some() && rounds.is_empty() {
            tell(&planner);
        }
        run(before)?;
        rounds.push(run(test)?);
        let beside = efforts().into_iter().map(|effort| all(test, effort, None)).collect::<Outcome<Vec<_>>>()?;
        frontier.take(beside);
    }
    frontier.sort();
    line("planner", &least(rounds), &frontier);
    // From nothing, learning while it serves, audits on the side within their share.
    let live = AdaptivePlanner::new(snapshot.clone(), PlannerOptions::default())?;
    for _ in 0..20 {
        for ask in teach.iter().chain(before) {
            ask.run(effort, Some(&live as &dyn Planner))?;
            live.audit(1)?;
        }
    }
    let report = live.report();
    for (name, part) in [("teach", teach), ("before", before), ("test", test)] {
        let seen = all(part, effort, None)?;
        println!("{name} without a planner: recall {:.4}", crate::ask::mean(&seen, |seen| seen.recall));
    }
    if std::env::var_os("PLAN_BENCH_TELL").is_some() {
        tell(&live);
    }
    line("planner, from nothing", &all(test, effort, Some(&live))?, &frontier);
    println!(
        "after {} questions, audits took {:.1} % of the time of searches",
        report.asked,
        report.audit_share * 100.0
    );
    Ok(())
}

/// What a planner knows of its first kind of questions.
fn tell(planner: &AdaptivePlanner) {
    let report = planner.report();
    let template = &report.templates[0];
    println!("{:<56} {:>7} {:>5} {:>6} {:>6} {:>8}", "", "recall", "sure", "audits", "dist", "ns");
    for (place, arm) in template.arms.iter().enumerate() {
        let served = if place == template.served { "*" } else { " " };
        let (recall, sure) = (arm.recall, arm.sure);
        println!(
            "{served} {:<54} {recall:>7.4} {sure:>5.3} {:>6.0} {:>6.0} {:>8.0}",
            arm.settings, arm.audits, arm.distances, arm.nanos
        );
    }
}

//! What becomes of a planner when questions change.

use crate::Ground;
use crate::ask::{Ask, Seen, mean};
use crate::data::Outcome;
use crate::zipf::{Noise, topics};
use rvf_engine::{AdaptivePlanner, Effort, Planner, PlannerOptions};

/// Questions of a piece of a stream.
const PIECE: usize = 2_000;

pub(crate) fn drift(ground: &Ground) -> Outcome<()> {
    let snapshot = ground.docs.store(&ground.folder, "docs.rvf", &[100_000])?;
    let mut noise = Noise(5);
    let mut stream = |first: usize, count: usize, hard: bool| -> Outcome<Vec<Ask<'_>>> {
        let drawn = topics(&mut noise, count, 400);
        let query = |noise: &mut Noise, topic: usize| {
            let topic = &ground.docs.queries[first + topic];
            if hard { noise.near(&noise_of(topic)) } else { noise.near(topic) }
        };
        drawn.into_iter().map(|topic| Ask::new(&snapshot, query(&mut noise, topic), None)).collect()
    };
    let pieces = [
        ("topics A", stream(0, PIECE, false)?, 10),
        ("topics B", stream(500, PIECE, false)?, 10),
        ("hard topics", stream(500, PIECE, true)?, 10),
    ];
    println!("\ndrift: recall and distances of pieces of {PIECE} questions, audits within their share, recall 0.95");
    println!(
        "{:<14} {:>9} {:>9} {:>9} {:>10} {:>8} {:>8} {:>9}  served",
        "questions", "asked", "recall", "distances", "no planner", "audits", "drifts", "share"
    );
    let planner = AdaptivePlanner::new(snapshot.clone(), PlannerOptions::default())?;
    let effort = Effort::Recall(0.95);
    for (name, asks, rounds) in &pieces {
        let plain: Vec<Seen> = asks.iter().map(|ask| ask.run(effort, None)).collect::<Outcome<_>>()?;
        for _ in 0..*rounds {
            let mut seen = Vec::with_capacity(asks.len());
            for ask in asks {
                seen.push(ask.run(effort, Some(&planner as &dyn Planner))?);
                planner.audit(1)?;
            }
            let report = planner.report();
            let template = &report.templates[0];
            println!(
                "{name:<14} {:>9} {:>9.4} {:>9.0} {:>10.0} {:>8} {:>8} {:>7.1} %  {}",
                report.asked,
                mean(&seen, |seen| seen.recall),
                mean(&seen, |seen| seen.distances),
                mean(&plain, |seen| seen.distances),
                template.counts.1,
                template.counts.2,
                report.audit_share * 100.0,
                template.arms[template.served].settings,
            );
        }
        println!("{:<14} {:>9} {:>9.4}", "  no planner", "", mean(&plain, |seen| seen.recall));
    }
    Ok(())
}

/// A topic that lies between all others: its components in another order.
fn noise_of(topic: &[f32]) -> Vec<f32> {
    let mut moved = topic.to_vec();
    moved.rotate_left(7);
    moved.iter().zip(topic).map(|(a, b)| 0.5 * a + 0.5 * b).collect()
}

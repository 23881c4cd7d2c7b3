//! Real queries, each tested once by a planner that learned from others; and data where there is nothing to be gained.

use crate::ask::{Always, Ask, Frontier, K, Seen, all, mean, oracle};
use crate::data::{DIMENSION, Outcome};
use crate::{Ground, efforts, head, least, line};
use rvf_engine::{AdaptivePlanner, Db, Effort, Metric, PlannerOptions, Schema, Snapshot};
use std::path::Path;
use std::sync::Arc;

const FOLDS: usize = 5;
const ROUNDS: usize = 7;

pub(crate) fn real(ground: &Ground) -> Outcome<()> {
    let snapshot = ground.docs.store(&ground.folder, "docs.rvf", &[100_000])?;
    let path = ground.folder.join("docs.rvf");
    let asks: Vec<Ask<'_>> =
        ground.docs.queries.iter().map(|query| Ask::new(&snapshot, query.clone(), None)).collect::<Outcome<_>>()?;
    for target in [0.95, 0.99] {
        head(&format!("real queries, {FOLDS} folds, recall {target}"));
        let (mut rounds, mut served) = (Vec::new(), Vec::new());
        let mut frontier = Frontier::default();
        for _ in 0..ROUNDS {
            let (seen, beside, told) = folds(&path, &asks, target)?;
            rounds.push(seen);
            frontier.take(beside);
            served = told;
        }
        frontier.sort();
        let seen = least(rounds);
        line("planner", &seen, &frontier);
        let settings = settings(&asks)?;
        let whole = mean(&seen, |seen| seen.recall);
        let fixed = frontier.at(whole, |seen| seen.distances).iter().sum::<f64>() / asks.len() as f64;
        let of_static = oracle(&frontier.points, whole, |seen| seen.distances);
        let of_all = oracle(&settings, whole, |seen| seen.distances);
        println!("served: {}", served.join("; "));
        println!(
            "static optimum {fixed:.0}; oracle over its efforts {of_static:.0} ({:+.1} %); over all settings {of_all:.0} ({:+.1} %)",
            (1.0 - of_static / fixed) * 100.0,
            (1.0 - of_all / fixed) * 100.0
        );
    }
    Ok(())
}

/// The frontier, with the least times of several rounds.
pub(crate) fn timed_frontier(asks: &[Ask<'_>]) -> Outcome<Frontier> {
    let efforts = efforts();
    let mut frontier = Frontier::new(asks, &efforts)?;
    for _ in 1..ROUNDS {
        let other = Frontier::new(asks, &efforts)?;
        let points = std::mem::take(&mut frontier.points).into_iter().zip(other.points);
        frontier.points = points.map(|(a, b)| least(vec![a, b])).collect();
    }
    Ok(frontier)
}

/// What planners made of each question; the static search, effort by effort; what each planner serves.
type Folded = (Vec<Seen>, Vec<Vec<Seen>>, Vec<String>);

/// Each question once, by a planner that was taught by those of the other folds; what the static search makes of it at once before and after, effort
/// by effort; what each planner serves. Every fold opens the store anew: what searches remember of each other is not shared.
fn folds(path: &Path, asks: &[Ask<'_>], target: f64) -> Outcome<Folded> {
    let efforts = efforts();
    let (mut seen, mut served) = (vec![Seen::default(); asks.len()], Vec::new());
    let mut beside = vec![vec![Seen::default(); asks.len()]; efforts.len()];
    for fold in 0..FOLDS {
        let snapshot = rvf_engine::Reader::open(path)?.snapshot();
        let (test, others): (Vec<_>, Vec<_>) = asks.iter().enumerate().partition(|(at, _)| at % FOLDS == fold);
        let planner = taught(&snapshot, others.iter().map(|(_, ask)| *ask), target)?;
        for (place, effort) in efforts.iter().enumerate() {
            if place == efforts.len() / 2 {
                for (at, ask) in &test {
                    seen[*at] = ask.run_on(&snapshot, Effort::Recall(target), Some(&planner))?;
                }
            }
            for (at, ask) in &test {
                beside[place][*at] = ask.run_on(&snapshot, *effort, None)?;
            }
        }
        let template = &planner.report().templates[0];
        served.push(template.arms[template.served].settings.clone());
    }
    Ok((seen, beside, served))
}

pub(crate) fn taught<'a, 'b: 'a>(
    snapshot: &Arc<Snapshot>,
    asks: impl Iterator<Item = &'a Ask<'b>>,
    target: f64,
) -> Outcome<AdaptivePlanner> {
    let planner =
        AdaptivePlanner::new(snapshot.clone(), PlannerOptions { learns: false, ..PlannerOptions::default() })?;
    for ask in asks {
        planner.study(&ask.query, K, Effort::Recall(target), ask.matches)?;
    }
    Ok(planner)
}

/// What each of many settings makes of each question.
fn settings(asks: &[Ask<'_>]) -> Outcome<Vec<Vec<Seen>>> {
    let question = rvf_engine::search::Question {
        snapshot: asks[0].snapshot,
        query: &(&asks[0].query).into(),
        k: K,
        effort: Effort::Recall(0.95),
        matches: None,
    };
    let fixed = question.fixed(question.graphs()[0].0).ok_or("no graph")?;
    let slacks = [0.0, 0.1, 0.2, 0.32, 0.46, 0.65, 0.95, 1.5, 2.5];
    slacks
        .iter()
        .map(|slack| {
            let planner = Always(rvf_engine::search::Settings { ef: 320, ..fixed.stopping((24, 16), *slack) });
            all(asks, Effort::Recall(0.95), Some(&planner))
        })
        .collect()
}

/// Rows drawn at random in a cube, and rows that nothing is easier than: clusters far apart.
pub(crate) fn easy(ground: &Ground) -> Outcome<()> {
    for (name, spread) in [("uniform", 0.0f32), ("easy", 3.0)] {
        let path = ground.folder.join(format!("{name}.rvf"));
        let mut random = 7u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 40) as f32 / (1u64 << 24) as f32
        };
        let width = if name == "uniform" { 16 } else { DIMENSION };
        let mut row = |cluster: usize| -> Vec<f32> {
            (0..width).map(|at| next() + if at % 64 == cluster % 64 { spread } else { 0.0 }).collect()
        };
        let rows: Vec<f32> = (0..40_000).flat_map(&mut row).collect();
        let queries: Vec<Vec<f32>> = (0..1_000).map(&mut row).collect();
        if !path.exists() {
            Db::create(&path, &Schema::new(width as u32, Metric::L2))?.add(&rows)?;
        }
        let snapshot = rvf_engine::Reader::open(&path)?.snapshot();
        let asks: Vec<Ask<'_>> =
            queries.into_iter().map(|query| Ask::new(&snapshot, query, None)).collect::<Outcome<_>>()?;
        let (teach, test) = asks.split_at(500);
        let frontier = timed_frontier(test)?;
        head(&format!("{name} data, recall 0.95"));
        let planner = taught(&snapshot, teach.iter(), 0.95)?;
        let rounds =
            (0..ROUNDS).map(|_| all(test, Effort::Recall(0.95), Some(&planner))).collect::<Outcome<Vec<_>>>()?;
        line("planner", &least(rounds), &frontier);
        let rounds = (0..ROUNDS).map(|_| all(test, Effort::Recall(0.95), None)).collect::<Outcome<Vec<_>>>()?;
        line("without a planner", &least(rounds), &frontier);
    }
    Ok(())
}

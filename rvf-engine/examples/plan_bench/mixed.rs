//! Questions of many kinds to stores of several graphs and to a chain of branches.

use crate::ask::{Ask, Frontier, K, Seen, all, mean};
use crate::data::{FILTERS, Outcome, matches};
use crate::{Ground, efforts, head, least, line};
use rvf_engine::learn::Mechanism;
use rvf_engine::{AdaptivePlanner, Attending, Effort, Matches, PlannerOptions, Snapshot};
use std::sync::Arc;

const ROUNDS: usize = 5;
const THREE: [usize; 3] = [78_000, 96_000, 100_000];
const CHAIN: [&[usize]; 3] = [&[80_000], &[96_000], &[100_000]];

/// A filter, or none: every fourth question has none.
fn filter_of(question: usize) -> Option<usize> {
    (!question.is_multiple_of(4)).then(|| question / 4 % FILTERS.len())
}

struct Side {
    name: &'static str,
    snapshot: Arc<Snapshot>,
    matches: Vec<Matches>,
}

fn asks<'a>(ground: &Ground, side: &'a Side) -> Outcome<Vec<Ask<'a>>> {
    let one = |(at, query): (usize, &Vec<f32>)| {
        Ask::new(&side.snapshot, query.clone(), filter_of(at).map(|filter| &side.matches[filter]))
    };
    ground.docs.queries.iter().enumerate().map(one).collect()
}

fn sides(ground: &Ground) -> Outcome<[Side; 2]> {
    let three = ground.docs.store(&ground.folder, "three.rvf", &THREE)?;
    let chain = ground.docs.chain(&ground.folder, &CHAIN)?;
    let side = |name, snapshot: Arc<Snapshot>| -> Outcome<Side> {
        let matches = matches(&snapshot)?;
        Ok(Side { name, snapshot, matches })
    };
    Ok([side("three segments", three)?, side("branch chain", chain)?])
}

/// The kinds of questions that there are among these.
fn kinds<'a>(side: &'a Side, asks: &[Ask<'_>]) -> Vec<Option<&'a Matches>> {
    let has_filters = asks.iter().any(|ask| ask.matches.is_some());
    std::iter::once(None).chain(side.matches.iter().filter(|_| has_filters).map(Some)).collect()
}

/// Of each question that which was seen by the planner taught by those of the other fold.
fn folds(side: &Side, asks: &[Ask<'_>], target: f64, attending: Attending) -> Outcome<Vec<Seen>> {
    let mut seen = vec![Seen::default(); asks.len()];
    for fold in 0..2 {
        let is_test = |at: usize| at / 64 % 2 == fold;
        let options = PlannerOptions { learns: false, attending, ..PlannerOptions::default() };
        let planner = AdaptivePlanner::new(side.snapshot.clone(), options)?;
        for (_, ask) in asks.iter().enumerate().filter(|(at, _)| !is_test(*at)) {
            // Questions that are asked later differ in the query from all of these.
            for matches in kinds(side, asks) {
                planner.study(&ask.query, K, Effort::Recall(target), matches)?;
            }
        }
        for _ in 0..ROUNDS {
            for (at, ask) in asks.iter().enumerate().filter(|(at, _)| is_test(*at)) {
                let now = ask.run(Effort::Recall(target), Some(&planner))?;
                seen[at] = least(vec![vec![if seen[at].nanos > 0.0 { seen[at] } else { now }], vec![now]])[0];
            }
        }
        if std::env::var_os("PLAN_BENCH_TELL").is_some() {
            for template in planner.report().templates {
                let served = &template.arms[template.served];
                println!("    {:?} {} {:.3}", template.counts, served.settings, served.recall);
            }
        }
    }
    Ok(seen)
}

/// The static search by recall, whose look is harder where matches are scarce, and by number of candidates.
fn frontier(asks: &[Ask<'_>]) -> Outcome<Frontier> {
    let recalls = [
        0.6, 0.7, 0.75, 0.8, 0.83, 0.86, 0.88, 0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995,
    ];
    let mut all: Vec<Effort> = recalls.into_iter().map(Effort::Recall).collect();
    all.extend(efforts());
    let mut frontier = Frontier::new(asks, &all)?;
    for _ in 1..3 {
        let other = Frontier::new(asks, &all)?;
        let points = std::mem::take(&mut frontier.points).into_iter().zip(other.points);
        frontier.points = points.map(|(a, b)| least(vec![a, b])).collect();
    }
    Ok(frontier)
}

pub(crate) fn mixed(ground: &Ground) -> Outcome<()> {
    let sides = sides(ground)?;
    let (mut every, mut points): (Vec<Seen>, Vec<Vec<Seen>>) = (Vec::new(), Vec::new());
    for side in &sides {
        let asks = asks(ground, side)?;
        head(&format!("mixed questions, {}, recall 0.95", side.name));
        println!("matches: {:?}", side.matches.iter().map(Matches::count).collect::<Vec<_>>());
        let frontier = frontier(&asks)?;
        let seen = folds(side, &asks, 0.95, Attending::Policy)?;
        line("planner", &seen, &frontier);
        line("without a planner", &all(&asks, Effort::Recall(0.95), None)?, &frontier);
        for filter in 0..=FILTERS.len() {
            let of = |at: &usize| filter_of(*at).map_or(FILTERS.len(), |filter| filter) == filter;
            let places: Vec<usize> = (0..asks.len()).filter(of).collect();
            let pick = |all: &[Seen]| places.iter().map(|at| all[*at]).collect::<Vec<Seen>>();
            let part = Frontier { points: frontier.points.iter().map(|point| pick(point)).collect() };
            line(
                &format!(
                    "  {}",
                    FILTERS.get(filter).copied().unwrap_or("all records").chars().take(24).collect::<String>()
                ),
                &pick(&seen),
                &part,
            );
        }
        every.extend(seen);
        points.resize(frontier.points.len(), Vec::new());
        points.iter_mut().zip(frontier.points).for_each(|(all, point)| all.extend(point));
    }
    head("mixed questions, both");
    line("planner", &every, &Frontier { points });
    Ok(())
}

/// What attention over the plan is worth: the same planner with each mechanism and with none.
pub(crate) fn attention(ground: &Ground) -> Outcome<()> {
    let sides = sides(ground)?;
    let side = &sides[0];
    let asks: Vec<Ask<'_>> = ground
        .docs
        .queries
        .iter()
        .map(|query| Ask::new(&side.snapshot, query.clone(), None))
        .collect::<Outcome<_>>()?;
    let frontier = frontier(&asks)?;
    head("attention, three segments, all records, recall 0.95");
    let uniform = folds(side, &asks, 0.95, Attending::Uniform)?;
    line("uniform", &uniform, &frontier);
    let mechanisms = Mechanism::ALL.into_iter().map(|mechanism| (mechanism.name(), Attending::Only(mechanism)));
    for (name, attending) in
        mechanisms.chain([("together, by Hedge", Attending::Together), ("policy", Attending::Policy)])
    {
        let seen = folds(side, &asks, 0.95, attending)?;
        line(name, &seen, &frontier);
    }
    println!("(uniform: {:.0} distances)", mean(&uniform, |seen| seen.distances));
    Ok(())
}

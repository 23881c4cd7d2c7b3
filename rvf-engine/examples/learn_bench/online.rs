//! Feedback after each query, as it comes in use: what the last quarter of the queries gains over similarity alone, for several ways to
//! choose. Each query is judged by what was learned from those before it, and only then says what is right.

use super::data::{Right, Vectors, judge};
use super::{MOST_LOSS, list_by};
use rvf_engine::learn::{Choice, ClickModel, Impressions, Interval, List, Memory, Ranker, Shown, bootstrap, dot};
use std::collections::{BTreeMap, BTreeSet};

/// Candidates by similarity, past queries whose choices are candidates, results that are shown.
const CANDIDATES: usize = 50;
const NEIGHBOURS: usize = 20;
const SHOWN: usize = 10;
/// Queries between two fits.
const EVERY: usize = 50;
/// Passes over the lists: few, for the lists are few most of the time.
const PASSES: usize = 5;
/// Fewest queries that a ranker is trained on, as in the product.
const FEWEST: usize = 30;
/// Seeds: each has the queries in another order, and other choices.
pub(crate) const SEEDS: u64 = 3;

/// How people choose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Feedback {
    /// Everything that is right, shown or not: judgements without a list.
    True,
    /// The place p is looked at with probability 1/p; of what is looked at, right is chosen with 0.9, wrong with 0.1.
    Biased,
    /// Each of the ten with 0.2.
    Chance,
    /// The place p with 0.3/p, whatever stands there.
    Place,
}

/// Ways to choose: name, what they must gain at least in the last quarter.
const KINDS: [(&str, Feedback, f64); 4] = [
    ("true", Feedback::True, 0.20),
    ("biased by place, noisy", Feedback::Biased, 0.03),
    ("independent of what is right", Feedback::Chance, -0.01),
    ("by place alone", Feedback::Place, -0.01),
];

/// Numbers that look random (splitmix64), from 0 to 1.
struct Chance(u64);

impl Chance {
    fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Queries and what is right for them, in the order of use.
pub(crate) type Queries<'d> = Vec<(&'d [f32], &'d BTreeMap<u64, f32>)>;

/// Documents, queries, and how like each query each document is.
pub(crate) struct World<'d> {
    documents: &'d Vectors,
    queries: &'d Queries<'d>,
    similarities: Vec<Vec<f32>>,
}

impl<'d> World<'d> {
    pub(crate) fn new(documents: &'d Vectors, queries: &'d Queries<'d>) -> Self {
        let of = |query: &[f32]| (0..documents.len()).map(|at| dot(documents.row(at), query)).collect();
        Self { documents, queries, similarities: queries.iter().map(|(query, _)| of(query)).collect() }
    }

    pub(crate) fn queries(&self) -> usize {
        self.queries.len()
    }
}

/// What feedback after each query came to.
pub(crate) struct Course {
    /// nDCG@10 of each query in the order of similarity, and as learned from all before it.
    pub(crate) steps: Vec<[f64; 2]>,
    /// Fits, and those of them that were trusted.
    fits: [usize; 2],
}

impl Course {
    pub(crate) fn gains(&self) -> Vec<f64> {
        self.steps.iter().map(|[before, after]| after - before).collect()
    }
}

/// What learns: as the product does, another way from judgements than from choices in a list.
enum Learner {
    /// Queries so far, the memory of what is right for them.
    Judgements {
        past: Vec<usize>,
        memory: Memory,
        ranker: Option<Ranker>,
    },
    Clicks {
        seen: Impressions,
        model: Option<ClickModel>,
    },
}

impl Learner {
    fn new(feedback: Feedback, dimension: usize) -> Self {
        match feedback {
            Feedback::True => Self::Judgements { past: Vec::new(), memory: Memory::new(dimension), ranker: None },
            _ => Self::Clicks { seen: Impressions::new(dimension), model: None },
        }
    }

    fn is_trusted(&self) -> bool {
        match self {
            Self::Judgements { ranker, .. } => ranker.is_some(),
            Self::Clicks { model, .. } => model.is_some(),
        }
    }

    /// Learns anew from everything so far; each query's evidence is that of the others.
    fn fit(&mut self, world: &World<'_>) {
        match self {
            Self::Judgements { past, memory, ranker } if past.len() >= FEWEST => {
                let list = |(own, at): (usize, &usize)| {
                    list_by(world.documents, &world.similarities[*at], memory, world.queries[*at], Some(own))
                };
                let lists: Vec<List> = past.iter().enumerate().map(list).collect();
                *ranker = Ranker::train_and_tune(&lists, PASSES, 1, MOST_LOSS);
            }
            Self::Judgements { .. } => {}
            Self::Clicks { seen, model } => *model = ClickModel::fit(seen).model,
        }
    }

    /// nDCG@10 of a query as learned, and what it is shown.
    fn answer(&self, world: &World<'_>, at: usize) -> (f64, Vec<u64>) {
        let ((query, right), similarities) = (world.queries[at], &world.similarities[at]);
        match self {
            Self::Judgements { memory, ranker: Some(ranker), .. } => {
                let list = list_by(world.documents, similarities, memory, (query, right), None);
                // A judgement is made outright: what was shown does not matter.
                (list.by(&ranker.scores(&list.rows)), Vec::new())
            }
            Self::Clicks { seen, model: Some(model) } => {
                let scores = by_clicks(seen, model, query, similarities);
                (judge(&scores, right), first(&scores))
            }
            _ => (judge(similarities, right), first(similarities)),
        }
    }

    fn hear(&mut self, world: &World<'_>, at: usize, shown: &[u64], chosen: &[u64]) {
        let ((query, right), similarities) = (world.queries[at], &world.similarities[at]);
        match self {
            Self::Judgements { past, memory, .. } => {
                let grade = |document: &u64| right.get(document).copied().unwrap_or(0.0);
                let choice = |document: &u64| Choice { document: *document, grade: grade(document) };
                assert!(memory.push(query, &chosen.iter().map(choice).collect::<Vec<Choice>>()));
                past.push(at);
            }
            Self::Clicks { seen, .. } => {
                let of = |document: &u64| Shown { document: *document, similarity: similarities[*document as usize] };
                let [shown, chosen] = [shown, chosen].map(|all| all.iter().map(of).collect::<Vec<Shown>>());
                assert!(seen.push(query, &shown, &chosen));
            }
        }
    }
}

/// Scores of all documents: candidates by the model before all others.
fn by_clicks(seen: &Impressions, model: &ClickModel, query: &[f32], similarities: &[f32]) -> Vec<f32> {
    let (like, rates) = (seen.similarities(query, None), seen.rates());
    let mut order: Vec<usize> = (0..similarities.len()).collect();
    order.select_nth_unstable_by(CANDIDATES, |a, b| similarities[*b].total_cmp(&similarities[*a]));
    let mut candidates: BTreeSet<u64> = order.into_iter().take(CANDIDATES).map(|at| at as u64).collect();
    candidates.extend(seen.documents(&like, NEIGHBOURS));
    let mut scores: Vec<f32> = similarities.iter().map(|similarity| similarity - 1e3).collect();
    for document in candidates {
        let shown = Shown { document, similarity: similarities[document as usize] };
        scores[document as usize] = model.score(&seen.signals(shown, &like, &rates));
    }
    scores
}

/// The first results by score.
fn first(scores: &[f32]) -> Vec<u64> {
    let mut order: Vec<u64> = (0..scores.len() as u64).collect();
    let by_score = |a: &u64, b: &u64| scores[*b as usize].total_cmp(&scores[*a as usize]);
    order.select_nth_unstable_by(SHOWN, by_score);
    order.truncate(SHOWN);
    order.sort_by(by_score);
    order
}

fn choose(feedback: Feedback, chance: &mut Chance, shown: &[u64], right: &BTreeMap<u64, f32>) -> Vec<u64> {
    if feedback == Feedback::True {
        return right.keys().copied().collect();
    }
    let mut chosen = Vec::new();
    for (place, document) in (1..).zip(shown) {
        let looks = 1.0 / f64::from(place);
        let likely = match feedback {
            Feedback::Biased if right.contains_key(document) => looks * 0.9,
            Feedback::Biased => looks * 0.1,
            Feedback::Place => looks * 0.3,
            Feedback::Chance | Feedback::True => 0.2,
        };
        if chance.draw() < likely {
            chosen.push(*document);
        }
    }
    chosen
}

/// The queries in the order of a seed.
fn shuffled(world: &World<'_>, chance: &mut Chance) -> Vec<usize> {
    let mut order: Vec<(u64, usize)> = (0..world.queries.len()).map(|at| ((chance.draw() * 1e15) as u64, at)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, at)| at).collect()
}

/// All queries, one after another.
pub(crate) fn course(world: &World<'_>, feedback: Feedback, seed: u64) -> Course {
    let mut chance = Chance(seed);
    let order = shuffled(world, &mut chance);
    let mut learner = Learner::new(feedback, world.documents.dimension);
    let mut course = Course { steps: Vec::new(), fits: [0; 2] };
    for at in order {
        let right = world.queries[at].1;
        let (after, shown) = learner.answer(world, at);
        course.steps.push([judge(&world.similarities[at], right), after]);
        let chosen = choose(feedback, &mut chance, &shown, right);
        learner.hear(world, at, &shown, &chosen);
        if course.steps.len().is_multiple_of(EVERY) {
            learner.fit(world);
            course.fits[0] += 1;
            course.fits[1] += usize::from(learner.is_trusted());
        }
    }
    course
}

/// Prints one line a way to choose and seed, and one with the mean of the seeds beside what it must be at least.
pub(crate) fn measure(documents: &Vectors, queries: &Queries<'_>) {
    let world = World::new(documents, queries);
    println!("\n| choices | last quarter over similarity | all | fits that were trusted |");
    println!("| --- | --- | --- | --- |");
    let mut summary = Vec::new();
    for (name, feedback, floor) in KINDS {
        let mut quarters = Vec::new();
        for seed in 0..SEEDS {
            let course = course(&world, feedback, seed);
            let (gains, [fits, trusted]) = (course.gains(), course.fits);
            let quarter = bootstrap(&gains[gains.len() - gains.len() / 4..], 1);
            println!(
                "| {name}, seed {seed} | {} | {} | {trusted} of {fits} |",
                text(quarter),
                text(bootstrap(&gains, 1))
            );
            quarters.push(quarter.mean);
        }
        let mean = quarters.iter().sum::<f64>() / quarters.len() as f64;
        let reached = if mean >= floor { "reached" } else { "not reached" };
        summary.push(format!("{name}: mean of {SEEDS} seeds {mean:+.4}, floor {floor:+.2}: {reached}"));
    }
    let of_seeds: Vec<[f64; 2]> = (0..SEEDS).map(|seed| references(&world, seed)).collect();
    let [plain, best] = [0, 1].map(|at| of_seeds.iter().map(|both| both[at]).sum::<f64>() / SEEDS as f64);
    summary.push(format!("true, for comparison: plain query memory (five nearest from 0.6) {plain:+.4}"));
    summary.push(format!(
        "true, the most that a memory can: whatever is right and was ever chosen comes first {best:+.4}"
    ));
    println!();
    summary.iter().for_each(|line| println!("{line}"));
}

/// What the last quarter gains with true feedback by a memory that is not trained, and by none can be surpassed: everything right that was
/// ever chosen before comes first.
fn references(world: &World<'_>, seed: u64) -> [f64; 2] {
    let order = shuffled(world, &mut Chance(seed));
    let from = order.len() - order.len() / 4;
    let mut sums = [0.0; 2];
    for (place, at) in order.iter().enumerate().skip(from) {
        let (query, right) = world.queries[*at];
        let past = order[..place].iter().map(|past| world.queries[*past]);
        let mut near: Vec<(f32, &BTreeMap<u64, f32>)> = past.map(|(past, chosen)| (dot(past, query), chosen)).collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let [mut plain, mut best] = [(); 2].map(|()| world.similarities[*at].clone());
        for (likeness, chosen) in near.iter().take(5).filter(|(likeness, _)| *likeness >= 0.6) {
            chosen.keys().for_each(|document| plain[*document as usize] += likeness);
        }
        for document in near.iter().flat_map(|(_, chosen)| chosen.keys()).filter(|at| right.contains_key(at)) {
            best[*document as usize] = 2.0;
        }
        let before = judge(&world.similarities[*at], right);
        sums.iter_mut().zip([plain, best]).for_each(|(sum, scores)| *sum += judge(&scores, right) - before);
    }
    sums.map(|sum| sum / (order.len() - from).max(1) as f64)
}

fn text(Interval { mean, low, high }: Interval) -> String {
    format!("{mean:+.4} [{low:+.4}, {high:+.4}]")
}

/// Queries and what is right for them.
pub(crate) fn queries<'d>(vectors: &'d Vectors, right: &'d Right) -> Queries<'d> {
    (0..vectors.len()).map(|at| (vectors.row(at), &right[at])).collect()
}

//! Planned searches: whatever a planner says, results are live, match, are in order and as many as there are; what an adaptive planner learns is
//! kept, reset, and belongs to the graphs that it saw.

use rvf_engine::filter::Filter;
use rvf_engine::search::{Operator, Plan, Planner, Question, Settings, Step, Warmth};
use rvf_engine::{
    AdaptivePlanner, BranchOptions, Db, Effort, Hit, Id, Matches, Metric, PlannerOptions, Schema, Snapshot, Strategy,
    Trace, verify_path,
};
use rvf_tests::oracle::Rng;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const WIDTH: usize = 12;
const RECORDS: usize = 9_000;

/// A store of two graphs and a tail, some of whose records are gone.
fn store(folder: &TempDir) -> (PathBuf, Db) {
    let path = folder.path().join("a.rvf");
    let mut db = Db::create(&path, &Schema::new(WIDTH as u32, Metric::L2)).unwrap();
    let mut rng = Rng(3);
    let mut next = 0u64;
    for count in [7_000, 1_500, RECORDS - 8_500] {
        let mut batch = db.batch();
        for _ in 0..count {
            let row = query(&mut rng);
            batch
                .put_with(next, &row, [("third", next.is_multiple_of(3).into()), ("n", (next as i64).into())])
                .unwrap();
            next += 1;
        }
        batch.commit().unwrap();
    }
    let dead: Vec<Id> = (0..600u64).map(|id| Id::U64(id * 13)).collect();
    db.delete(&dead).unwrap();
    (path, db)
}

fn query(rng: &mut Rng) -> Vec<f32> {
    rng.vector(&Schema::new(WIDTH as u32, Metric::L2))
}

fn is_sound(path: &Path) -> bool {
    verify_path(path, &mut |_, _| {}).unwrap().file.findings.is_empty()
}

fn below(rng: &mut Rng, end: usize) -> usize {
    rng.below(end as u64) as usize
}

/// Says anything.
#[derive(Debug)]
struct Liar(Mutex<Rng>);

impl Liar {
    fn settings(rng: &mut Rng) -> Settings {
        let numbers = [0, 1, 7, 40, 1_000, usize::MAX];
        let mut number = || numbers[below(rng, numbers.len())];
        let (ef, reranked, probed, approach, links) = (number(), number(), number(), number(), number());
        let slacks = [f32::NAN, f32::NEG_INFINITY, -1.0, 0.0, 0.4, 3.0, f32::INFINITY];
        let strategies = [None, Some(Strategy::OneByOne), Some(Strategy::TwoHops), Some(Strategy::Walk)];
        let warmths = [Warmth::Cold, Warmth::Leaves, Warmth::Begins, Warmth::Remembers];
        let (slack, strategy) = (slacks[below(rng, slacks.len())], strategies[below(rng, strategies.len())]);
        let warmth = warmths[below(rng, warmths.len())];
        Settings { ef, reranked, probed, approach, links, slack, warmth, strategy }
    }

    /// Steps of any kind that read from any others.
    fn nonsense(rng: &mut Rng) -> Plan {
        let count = below(rng, 7);
        let step = |rng: &mut Rng| Step {
            operator: Operator::ALL[below(rng, Operator::ALL.len())],
            graph: [None, Some(below(rng, 4) as u32), Some(u32::MAX)][below(rng, 3)],
            inputs: (0..below(rng, 3)).map(|_| below(rng, 9) as u16).collect(),
            settings: (below(rng, 2) == 0).then(|| Self::settings(rng)),
            estimated: Default::default(),
            measured: None,
        };
        Plan { steps: (0..count).map(|_| step(rng)).collect() }
    }
}

impl Planner for Liar {
    fn plan(&self, question: &Question<'_>) -> Option<Arc<Plan>> {
        let rng = &mut *self.0.lock().unwrap();
        if below(rng, 4) == 0 {
            return Some(Arc::new(Self::nonsense(rng)));
        }
        let mut graphs: Vec<(u32, Settings)> =
            question.graphs().iter().map(|(graph, _)| (*graph, Self::settings(rng))).collect();
        // In any order, some left out, some twice.
        let first = below(rng, graphs.len());
        graphs.rotate_left(first);
        if below(rng, 3) == 0 {
            graphs.pop();
        } else if below(rng, 6) == 0 {
            graphs.extend(graphs.first().copied());
        }
        Some(Arc::new(question.plan_of(&graphs)))
    }

    fn observe(&self, _: &Question<'_>, _: &Trace) {}
}

/// That hits are right as far as they go: of records that are there and match, at their distances, in order, each once, as many as there are.
fn check(snapshot: &Snapshot, query: &[f32], hits: &[Hit], k: usize, matches: Option<&Matches>) {
    let among: Option<Vec<Id>> = matches.map(|matches| matches.ids(snapshot).unwrap());
    let most = among.as_ref().map_or(snapshot.count() as usize, Vec::len);
    assert_eq!(hits.len(), k.min(most));
    assert!(hits.windows(2).all(|pair| (pair[0].distance, &pair[0].id) < (pair[1].distance, &pair[1].id)), "{hits:?}");
    for hit in hits {
        let record = snapshot.get(&hit.id).unwrap().unwrap();
        let distance: f64 = record.vector.iter().zip(query).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        assert_eq!(hit.distance, distance as f32);
        assert!(among.as_ref().is_none_or(|among| among.contains(&hit.id)));
    }
}

#[test]
fn a_planner_that_lies_makes_no_result_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (_, db) = store(&folder);
    let snapshot = db.snapshot();
    let liar = Liar(Mutex::new(Rng(1)));
    let filters =
        ["third", "n < 40", "n BETWEEN 8000 AND 8900", "NOT third", "n < 0"].map(|text| Filter::parse(text).unwrap());
    let matches: Vec<Matches> = filters.iter().map(|filter| snapshot.matches(filter).unwrap()).collect();
    let (mut rng, mut planned, mut refused) = (Rng(2), 0, 0);
    for round in 0..400 {
        let (query, k) = (query(&mut rng), [1, 10, 60][round % 3]);
        let matches = (round % 2 == 1).then(|| &matches[round / 2 % matches.len()]);
        let search = snapshot.search(&query).k(k).planner(&liar);
        let search = if let Some(matches) = matches { search.filter(matches) } else { search };
        let (hits, trace) = search.run_traced().unwrap();
        check(&snapshot, &query, &hits, k, matches);
        planned += usize::from(trace.planned);
        refused += usize::from(trace.refused);
    }
    assert!(planned > 200 && refused > 20, "{planned} {refused}");
}

#[test]
fn a_plan_is_told_with_what_it_cost() {
    let folder = tempfile::tempdir().unwrap();
    let (_, db) = store(&folder);
    let (snapshot, query) = (db.snapshot(), query(&mut Rng(9)));
    let matches = snapshot.matches(&Filter::parse("third").unwrap()).unwrap();
    for matches in [None, Some(&matches)] {
        let search = || {
            let search = snapshot.search(&query).effort(Effort::Ef(20));
            if let Some(matches) = matches { search.filter(matches) } else { search }
        };
        let explained = search().run_explained().unwrap();
        assert_eq!(explained.hits, search().run().unwrap());
        let measured: f64 =
            explained.plan.steps.iter().filter_map(|step| step.measured).map(|cost| cost.distances).sum();
        assert_eq!(measured as u64, explained.trace.distances + explained.trace.reranked, "{:?}", explained.plan);
        let has = |operator| explained.plan.steps.iter().any(|step| step.operator == operator);
        assert!(has(Operator::Walk) && has(Operator::Merge) && has(Operator::Rerank) && has(Operator::Result));
        assert_eq!(has(Operator::FilterBitmap), matches.is_some());
    }
}

/// Audits of the same questions, and what is served after them.
fn taught(snapshot: &Arc<Snapshot>) -> AdaptivePlanner {
    let options = PlannerOptions { learns: false, ..PlannerOptions::default() };
    let (planner, mut rng) = (AdaptivePlanner::new(snapshot.clone(), options).unwrap(), Rng(5));
    for _ in 0..60 {
        planner.study(&query(&mut rng), 10, Effort::Recall(0.9), None).unwrap();
    }
    planner
}

fn traced(snapshot: &Snapshot, planner: &AdaptivePlanner) -> (Vec<Hit>, Trace) {
    let query = query(&mut Rng(77));
    let search = snapshot.search(&query).effort(Effort::Recall(0.9)).planner(planner);
    let found = search.run_traced().unwrap();
    check(snapshot, &query, &found.0, 10, None);
    found
}

#[test]
fn what_was_learned_is_kept_with_the_graphs_that_it_is_of() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mut db) = store(&folder);
    let planner = taught(&db.snapshot());
    // Which arm is served hangs on how long things take on this machine; that it is right does not.
    traced(&db.snapshot(), &planner);
    let epoch = db.adopt_planner(&planner).unwrap();
    assert_eq!((db.snapshot().epoch(), db.snapshot().log(1).unwrap()[0].operation.name()), (epoch, "plan".to_owned()));
    assert!(is_sound(&path));
    // Another process.
    let options = PlannerOptions { learns: false, ..PlannerOptions::default() };
    let again = AdaptivePlanner::new(db.snapshot(), options).unwrap();
    assert_eq!((again.report().kept, again.report().templates.len()), (1, 0));
    traced(&db.snapshot(), &again);
    assert_eq!((again.report().kept, again.report().templates.len()), (0, 1));
    // Saved once more, nothing is lost.
    db.adopt_planner(&again).unwrap();
    // A branch has graphs of its own to come: it begins anew.
    let child = folder.path().join("b.rvf");
    db.branch(&child, &BranchOptions::default()).unwrap();
    let branch = Db::open(&child).unwrap().snapshot();
    assert_eq!(AdaptivePlanner::new(branch, options).unwrap().report().kept, 0);
    // Other graphs.
    db.index(&Default::default(), &mut |_, _| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!(AdaptivePlanner::new(db.snapshot(), options).unwrap().report().kept, 0);
    assert!(matches!(db.adopt_planner(&planner), Err(rvf_engine::Error::OtherSnapshot)));
    db.reset_planner().unwrap();
    let epoch = db.snapshot().epoch();
    assert_eq!(db.reset_planner().unwrap(), epoch);
    assert!(is_sound(&path));
}

#[test]
fn an_arm_that_finds_too_little_is_served_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (_, db) = store(&folder);
    let snapshot = db.snapshot();
    // Promises what only an exact search keeps: nothing can be proven.
    let planner = AdaptivePlanner::new(snapshot.clone(), PlannerOptions::default()).unwrap();
    let mut rng = Rng(8);
    for _ in 0..30 {
        planner.study(&query(&mut rng), 10, Effort::Recall(0.999_9), None).unwrap();
    }
    let query = query(&mut rng);
    let (_, trace) = snapshot.search(&query).effort(Effort::Recall(0.999_9)).planner(&planner).run_traced().unwrap();
    assert!(!trace.planned && planner.report().templates[0].why.contains("nothing"));
}

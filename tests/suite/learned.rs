//! Feedback and what is learned from it, in stores: commits, branches, reverts, resets, compaction, and results that are those of a store
//! which never learned wherever they have to be.

use rvf_engine::store::{Context, Edit, Event, Store};
use rvf_engine::{
    BranchOptions, Clock, CompactOptions, Db, Effort, Error, Feedback, FeedbackFault, Hit, Id, Kind, LearnOptions,
    Metric, OpenOptions, QueryId, Reader, Schema, Session, Snapshot, flatten, verify_path,
};
use rvf_tests::oracle::Rng;
use rvf_tests::taste::{DIMENSION, Taste};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

fn store(folder: &TempDir, world: &Taste) -> (PathBuf, Db) {
    let path = folder.path().join("a.rvf");
    let mut db = Db::create(&path, &Schema::new(DIMENSION as u32, Metric::Cosine)).unwrap();
    db.add(&world.records.concat()).unwrap();
    (path, db)
}

/// A store that has learned.
fn learned(folder: &TempDir, world: &mut Taste) -> (PathBuf, Db) {
    let (path, mut db) = store(folder, world);
    db.record(&world.judgements(400)).unwrap();
    let done = db.learn(&LearnOptions { epochs: 6, ..LearnOptions::default() }).unwrap();
    assert!(done.adopted(), "{done:?}");
    (path, db)
}

fn hits(snapshot: &Arc<Snapshot>, query: &[f32], uses_learned: bool) -> Vec<Hit> {
    let session = Session::new(snapshot.clone()).unwrap();
    session.search(query).k(5).learned(uses_learned).run().unwrap().hits
}

fn plain(snapshot: &Arc<Snapshot>, query: &[f32]) -> Vec<Hit> {
    snapshot.search(query).k(5).run().unwrap()
}

/// The share of unseen queries whose right answer comes first.
fn first(snapshot: &Arc<Snapshot>, world: &mut Taste) -> f64 {
    let session = Session::new(snapshot.clone()).unwrap();
    let is_first = |_| {
        let (kind, query) = world.draw();
        session.search(&query).k(3).run().unwrap().hits[0].id == Id::U64(world.right(kind))
    };
    (0..100).map(is_first).filter(|is_first| *is_first).count() as f64 / 100.0
}

#[test]
fn results_improve_and_are_those_of_before_wherever_learning_is_off() {
    let (folder, mut world) = (tempfile::tempdir().unwrap(), Taste::new(1));
    let (path, mut db) = learned(&folder, &mut world);
    let snapshot = db.snapshot();
    let before = snapshot.at_epoch(snapshot.epoch() - 1).map(Arc::new).unwrap();
    assert!(first(&before, &mut world) < 0.3 && first(&snapshot, &mut world) > 0.7);
    let query = world.query(3);
    assert_eq!(hits(&before, &query, true), plain(&before, &query));
    assert_eq!(hits(&snapshot, &query, false), plain(&snapshot, &query));
    assert_ne!(hits(&snapshot, &query, true), plain(&snapshot, &query));
    // Distances are those to the query, whatever the order.
    for hit in hits(&snapshot, &query, true) {
        let exact = snapshot.search(&query).effort(Effort::Exact).distance_to(&hit.id).unwrap();
        assert_eq!(exact, Some(hit.distance));
    }
    db.reset_learned(false).unwrap();
    assert_eq!(hits(&db.snapshot(), &query, true), plain(&snapshot, &query));
    assert_eq!(
        (db.snapshot().feedback().unwrap().len(), db.snapshot().log(1).unwrap()[0].operation.name()),
        (400, "learn".into())
    );
    // Again from the same feedback: the same order.
    db.learn(&LearnOptions { epochs: 6, ..LearnOptions::default() }).unwrap();
    assert_eq!(hits(&db.snapshot(), &query, true), hits(&snapshot, &query, true));
    db.reset_learned(true).unwrap();
    assert!(db.snapshot().feedback().unwrap().is_empty());
    let epoch = db.snapshot().epoch();
    assert_eq!(db.reset_learned(true).unwrap(), epoch);
    drop(db);
    assert!(is_sound(&path));
}

#[test]
fn what_is_learned_goes_with_branches_copies_and_compaction() {
    let (folder, mut world) = (tempfile::tempdir().unwrap(), Taste::new(2));
    let (path, mut db) = learned(&folder, &mut world);
    let queries: Vec<Vec<f32>> = (0..8).map(|kind| world.query(kind)).collect();
    let all = |snapshot: &Arc<Snapshot>| queries.iter().map(|query| hits(snapshot, query, true)).collect::<Vec<_>>();
    let expected = all(&db.snapshot());
    let child = folder.path().join("child.rvf");
    db.branch(&child, &BranchOptions::default()).unwrap();
    db.compact(&CompactOptions { keep: 1, output: None }).unwrap();
    assert_eq!(all(&db.snapshot()), expected);
    let mut branch = Db::open(&child).unwrap();
    assert_eq!(all(&branch.snapshot()), expected);
    let flat = folder.path().join("flat.rvf");
    copy(&Reader::open(&child).unwrap().snapshot(), &flat);
    assert_eq!(all(&Reader::open(&flat).unwrap().snapshot()), expected);
    // A branch forgets for itself alone.
    branch.reset_learned(true).unwrap();
    assert_eq!(
        all(&branch.snapshot()),
        queries.iter().map(|query| plain(&branch.snapshot(), query)).collect::<Vec<_>>()
    );
    assert!(branch.snapshot().feedback().unwrap().is_empty());
    assert_eq!(all(&db.snapshot()), expected);
    branch.record(&world.judgements(3)).unwrap();
    assert_eq!((branch.snapshot().feedback().unwrap().len(), db.snapshot().feedback().unwrap().len()), (3, 400));
    drop((db, branch));
    for path in [&path, &child, &flat] {
        assert!(is_sound(path), "{}", path.display());
    }
}

/// What was chosen by chance, and what is too little, changes nothing.
#[test]
fn nothing_goes_live_that_is_not_better() {
    let (folder, mut world) = (tempfile::tempdir().unwrap(), Taste::new(3));
    let (_, mut db) = store(&folder, &world);
    let mut rng = Rng(5);
    let mut chance = world.judgements(200);
    chance.iter_mut().for_each(|feedback| feedback.chosen = vec![Id::U64(rng.below(120))]);
    db.record(&chance).unwrap();
    let epoch = db.snapshot().epoch();
    let done = db.learn(&LearnOptions::default()).unwrap();
    assert!(!done.adopted() && done.epoch == epoch && db.snapshot().epoch() == epoch, "{done:?}");
    assert_eq!(db.snapshot().learned_info().unwrap().live, None);
    let mut small = Db::create(folder.path().join("b.rvf"), &Schema::new(DIMENSION as u32, Metric::Cosine)).unwrap();
    small.add(&world.records.concat()).unwrap();
    assert!(small.learn(&LearnOptions::default()).unwrap().verdicts.is_empty());
    small.record(&world.judgements(10)).unwrap();
    assert!(!small.learn(&LearnOptions::default()).unwrap().adopted());
}

fn fault(result: Result<impl std::fmt::Debug, Error>) -> FeedbackFault {
    match result.unwrap_err() {
        Error::Feedback(fault) => fault,
        other => panic!("{other}"),
    }
}

#[test]
fn feedback_that_does_not_fit_is_refused() {
    let (folder, mut world) = (tempfile::tempdir().unwrap(), Taste::new(4));
    let (_, mut db) = store(&folder, &world);
    let good = world.judgements(1).remove(0);
    let change = |change: &dyn Fn(&mut Feedback)| {
        let mut feedback = good.clone();
        change(&mut feedback);
        [good.clone(), feedback]
    };
    let before = db.snapshot().epoch();
    assert!(matches!(db.record(&change(&|f| f.query.truncate(3))), Err(Error::Dimension { expected: 16, found: 3 })));
    assert!(matches!(db.record(&change(&|f| f.query[2] = f32::NAN)), Err(Error::NotFinite { component: 2, .. })));
    assert_eq!(fault(db.record(&change(&|f| f.query.fill(0.0)))), FeedbackFault::Zero);
    assert!(matches!(db.record(&change(&|f| f.chosen = vec!["x".into()])), Err(Error::IdKind { .. })));
    assert_eq!(fault(db.record(&change(&|f| f.chosen.clear()))), FeedbackFault::Empty);
    assert_eq!(fault(db.record(&change(&|f| f.weight = 0.0))), FeedbackFault::Weight { weight: 0.0 });
    assert!(matches!(fault(db.record(&change(&|f| f.weight = f32::INFINITY))), FeedbackFault::Weight { .. }));
    assert_eq!(
        fault(db.record(&change(&|f| f.chosen = vec![Id::U64(999)]))),
        FeedbackFault::Unknown { id: "999".into() }
    );
    assert_eq!(
        fault(db.record(&change(&|f| f.shown = vec![Id::U64(1), Id::U64(1)]))),
        FeedbackFault::Twice { id: "1".into() }
    );
    assert!(matches!(fault(db.record(&change(&|f| f.shown = vec![Id::U64(u64::MAX)]))), FeedbackFault::Unknown { .. }));
    for share in [0.0, 0.9, f64::NAN, -1.0] {
        assert!(matches!(
            fault(db.learn(&LearnOptions { hold_out: share, ..LearnOptions::default() })),
            FeedbackFault::HoldOut { .. }
        ));
    }
    assert_eq!(db.record(&[]).unwrap(), before);
    assert_eq!(db.snapshot().epoch(), before);
    let mut bits = Db::create(folder.path().join("bits.rvf"), &Schema::new(8, Metric::Hamming)).unwrap();
    let eight = Feedback { query: vec![1.0; 8], shown: vec![Id::U64(0)], ..Feedback::default() };
    assert_eq!(fault(bits.record(&[eight])), FeedbackFault::Bits);
    assert_eq!(fault(bits.learn(&LearnOptions::default())), FeedbackFault::Bits);
}

#[test]
fn a_session_remembers_what_it_showed() {
    let (folder, world) = (tempfile::tempdir().unwrap(), Taste::new(5));
    let (_, mut db) = store(&folder, &world);
    let session = Session::new(db.snapshot()).unwrap();
    let queries: Vec<&Vec<f32>> = world.records.iter().take(4).collect();
    let answers: Vec<_> = queries.iter().map(|query| session.search(*query).k(3).run().unwrap()).collect();
    let page = session.search(queries[0]).k(2).position(3).run().unwrap();
    assert_eq!(page.hits, db.snapshot().search(queries[0]).k(5).run().unwrap()[3..]);
    session.feedback(answers[1].query_id, &[answers[1].hits[2].id.clone()], 2.0).unwrap();
    session.feedback(page.query_id, &[], 1.0).unwrap();
    assert_eq!(fault(session.feedback(answers[1].query_id, &[], 1.0)), FeedbackFault::Forgotten);
    assert_eq!(fault(session.feedback(QueryId(77), &[], 1.0)), FeedbackFault::Forgotten);
    // Refused feedback may be given again.
    assert!(matches!(
        fault(session.feedback(answers[0].query_id, &[Id::U64(999)], 1.0)),
        FeedbackFault::Unknown { .. }
    ));
    session.feedback(answers[0].query_id, &[Id::U64(0)], 1.0).unwrap();
    assert_eq!((session.waiting(), db.record_session(&session).unwrap(), session.waiting()), (3, 3, 0));
    let events = db.snapshot().feedback().unwrap();
    let told: Vec<(usize, u32, usize, f32)> =
        events.iter().map(|e| (e.shown.len(), e.first_place, e.chosen.len(), e.weight)).collect();
    assert_eq!(told, [(3, 0, 1, 2.0), (2, 3, 0, 1.0), (3, 0, 1, 1.0)]);
    assert_eq!(events[0].query, *queries[1]);
    for _ in 0..5_000 {
        session.search(queries[0]).k(1).run().unwrap();
    }
    assert_eq!(fault(session.feedback(answers[2].query_id, &[], 1.0)), FeedbackFault::Forgotten);
}

#[test]
fn many_threads_search_and_give_feedback_at_once() {
    let (folder, mut world) = (tempfile::tempdir().unwrap(), Taste::new(6));
    let (_, mut db) = learned(&folder, &mut world);
    let session = Session::new(db.snapshot()).unwrap();
    let queries: Vec<Vec<f32>> = (0..40).map(|at| world.query(at % 24)).collect();
    let alone: Vec<Vec<Hit>> = queries.iter().map(|query| session.search(query).run().unwrap().hits).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (query, expected) in queries.iter().zip(&alone) {
                    let answer = session.search(query).run().unwrap();
                    assert_eq!(answer.hits, *expected);
                    session.feedback(answer.query_id, &[answer.hits[0].id.clone()], 1.0).unwrap();
                }
            });
        }
    });
    assert_eq!(db.record_session(&session).unwrap(), 160);
    assert_eq!(db.snapshot().feedback().unwrap().len(), 560);
}

/// A study takes place on another thread while the store goes on, and fits the store as long as that did not learn or forget.
#[test]
fn a_study_is_adopted_by_the_store_that_it_is_of() {
    let (folder, mut world) = (tempfile::tempdir().unwrap(), Taste::new(7));
    let (_, mut db) = store(&folder, &world);
    db.record(&world.judgements(300)).unwrap();
    let options = LearnOptions { epochs: 4, ..LearnOptions::default() };
    let snapshot = db.snapshot();
    let studying = std::thread::spawn(move || snapshot.study(&options).unwrap());
    db.add(&[0.5f32; DIMENSION]).unwrap();
    db.record(&world.judgements(2)).unwrap();
    let study = studying.join().unwrap();
    let before = db.snapshot().epoch();
    assert!(db.adopt(&study).unwrap().adopted());
    assert_eq!(db.snapshot().epoch(), before + 1);
    // Now it has learned, and the study is of before.
    assert!(matches!(db.adopt(&study), Err(Error::OtherSnapshot)));
    let again = db.snapshot().study(&options).unwrap();
    db.reset_learned(true).unwrap();
    assert!(matches!(db.adopt(&again), Err(Error::OtherSnapshot)));
    let other = Db::create(folder.path().join("b.rvf"), &Schema::new(DIMENSION as u32, Metric::Cosine));
    assert!(matches!(other.unwrap().adopt(&study), Err(Error::OtherSnapshot)));
}

/// Catches a half-life that does nothing: what is much older than the newest feedback is forgotten, and with it what it taught.
#[test]
fn old_feedback_fades_where_it_has_a_half_life() {
    let (folder, mut world) = (tempfile::tempdir().unwrap(), Taste::new(8));
    let (path, db) = store(&folder, &world);
    drop(db);
    let at = |seconds: u64| OpenOptions { clock: Clock::Fixed(seconds * 1_000_000_000), ..OpenOptions::default() };
    let reopen = |seconds| Db::open_with(Arc::new(rvf_format::storage::FilePlace), &path, &at(seconds)).unwrap();
    reopen(1_000).record(&world.judgements(300)).unwrap();
    reopen(100_000).record(&world.judgements(2)).unwrap();
    let mut db = reopen(100_001);
    let options = |half_life| LearnOptions { epochs: 4, half_life, ..LearnOptions::default() };
    let faded = db.snapshot().study(&options(Some(1_000))).unwrap();
    assert!(faded.verdicts.iter().all(|verdict| !verdict.adopted() && verdict.trained_on + verdict.held_out == 2));
    assert!(db.learn(&options(Some(50_000))).unwrap().adopted());
    assert!(first(&db.snapshot(), &mut world) > 0.6);
}

/// A session that adapts is the same as any until something is chosen, moves queries then, and what it adapted to is kept apart.
#[test]
fn sessions_that_adapt_begin_as_any_other() {
    let (folder, mut world) = (tempfile::tempdir().unwrap(), Taste::new(9));
    let (_, mut db) = store(&folder, &world);
    let session = Session::new(db.snapshot()).unwrap().adapting().unwrap();
    let query = world.query(4);
    let answer = session.search(&query).run().unwrap();
    assert_eq!((answer.hits.clone(), answer.learned), (db.snapshot().search(&query).run().unwrap(), false));
    for _ in 0..30 {
        let again = session.search(&query).run().unwrap();
        session.feedback(again.query_id, &[answer.hits[4].id.clone()], 1.0).unwrap();
    }
    let adapted = session.search(&query).run().unwrap();
    let place = |hits: &[Hit]| hits.iter().position(|hit| hit.id == answer.hits[4].id).unwrap();
    assert!(adapted.learned && place(&adapted.hits) < 4, "{adapted:?}");
    assert_eq!(session.search(&query).learned(false).run().unwrap().hits, answer.hits);
    db.record_session(&session).unwrap();
    // Who does not ask for it does not get it.
    assert_eq!(hits(&db.snapshot(), &query, true), plain(&db.snapshot(), &query));
    let next = Session::new(db.snapshot()).unwrap().adapting().unwrap();
    assert_eq!(next.search(&query).run().unwrap().hits, adapted.hits);
    db.reset_learned(false).unwrap();
    let reset = Session::new(db.snapshot()).unwrap().adapting().unwrap();
    assert_eq!(reset.search(&query).run().unwrap().hits, answer.hits);
}

/// What a store should hold of feedback, through anything that may be done to it.
struct Model {
    db: Db,
    path: PathBuf,
    events: Vec<Event>,
    epochs: Vec<(u64, usize)>,
}

fn options() -> OpenOptions {
    OpenOptions { clock: Clock::Fixed(7), ..OpenOptions::default() }
}

impl Model {
    fn check(&mut self) {
        assert_eq!(self.db.snapshot().feedback().unwrap(), self.events);
        self.epochs.push((self.db.snapshot().epoch(), self.events.len()));
    }

    fn record(&mut self, rng: &mut Rng) {
        let feedback: Vec<Feedback> = (0..1 + rng.below(3))
            .map(|_| Feedback {
                query: vec![1.0, rng.below(9) as f32],
                shown: (0..rng.below(4)).map(Id::U64).collect(),
                chosen: vec![Id::U64(rng.below(8))],
                position: rng.below(2) as u32 * 10,
                weight: 1.0 + rng.below(3) as f32,
            })
            .collect();
        self.db.record(&feedback).unwrap();
        self.events.extend(feedback.into_iter().map(|f| Event {
            time_ns: 7,
            query: f.query,
            shown: f.shown,
            chosen: f.chosen,
            weight: f.weight,
            first_place: f.position,
        }));
    }
}

/// Commits, resets, compaction, reopening, branches and flattening in any order, against a list.
#[test]
fn feedback_is_kept_through_everything_that_is_done_to_a_store() {
    for seed in 0..6 {
        let (folder, mut rng) = (tempfile::tempdir().unwrap(), Rng(seed));
        let path = folder.path().join("0.rvf");
        let mut db = Db::create(&path, &Schema::new(2, Metric::L2)).unwrap();
        db.add(&[1.0f32; 16]).unwrap();
        drop(db);
        let mut model = Model { db: open(&path), path, events: Vec::new(), epochs: Vec::new() };
        for step in 0..150u32 {
            match rng.below(40) {
                0 => {
                    model.db.reset_learned(true).unwrap();
                    model.events.clear();
                }
                1 => {
                    model.db.compact(&CompactOptions { keep: 1, output: None }).unwrap();
                    model.epochs.clear();
                }
                2 | 3 => go_on(&mut model, folder.path().join(format!("{step}.rvf")), rng.below(2) == 0),
                4 => drop(model.db.add(&[step as f32, 1.0]).unwrap()),
                _ => model.record(&mut rng),
            }
            model.check();
        }
        for (epoch, count) in &model.epochs {
            assert_eq!(model.db.snapshot().at_epoch(*epoch).unwrap().feedback().unwrap().len(), *count, "seed {seed}");
        }
        let segments = model.db.snapshot().segments().unwrap();
        let feedback = segments.iter().filter(|segment| segment.live && segment.kind == Kind::FEEDBACK).count();
        assert!(feedback < 80, "{feedback} segments of feedback");
        assert!(is_sound(&model.path), "seed {seed}");
    }
}

/// Catches a planner's state of which two are kept, that compaction loses, or that a branch or a flat copy takes from another file.
#[test]
fn what_a_planner_has_learned_stays_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let [path, child, flat] = ["a.rvf", "child.rvf", "flat.rvf"].map(|name| folder.path().join(name));
    Db::create(&path, &Schema::new(2, Metric::L2)).unwrap().add(&[1.0f32; 16]).unwrap();
    let kept = |path: &Path| {
        let snapshot = Reader::open(path).unwrap().snapshot();
        snapshot.state().of_kind(Kind::POLICY_KERNEL).map(|entry| entry.hash).collect::<Vec<_>>()
    };
    let mut before = Vec::new();
    for value in [1.0f32, 2.0] {
        let place = Arc::new(rvf_format::storage::FilePlace);
        let (mut store, _) = Store::open(place, &path, Context::default()).unwrap();
        let edit = Edit::plan(store.snapshot(), [("plan.version", &[1][..], &[value][..])]);
        store.commit(&edit).unwrap();
        let now = kept(&path);
        assert!(now.len() == 1 && now != before);
        before = now;
    }
    let mut db = open(&path);
    assert_eq!(db.snapshot().log(1).unwrap()[0].operation.name(), "plan");
    db.branch(&child, &BranchOptions::default()).unwrap();
    db.compact(&CompactOptions { keep: 1, output: None }).unwrap();
    copy(&db.snapshot(), &flat);
    assert_eq!((kept(&path), kept(&child), kept(&flat)), (before, vec![], vec![]));
    assert!([&path, &child, &flat].into_iter().all(|path| is_sound(path)));
}

/// A copy that needs no parent.
fn copy(snapshot: &Snapshot, path: &Path) {
    let goes_on = &mut |_, _| std::ops::ControlFlow::Continue(());
    flatten(Arc::new(rvf_format::storage::FilePlace), snapshot, path, None, &options(), goes_on).unwrap();
}

fn is_sound(path: &Path) -> bool {
    verify_path(path, &mut |_, _| {}).unwrap().sound
}

fn open(path: &Path) -> Db {
    Db::open_with(Arc::new(rvf_format::storage::FilePlace), path, &options()).unwrap()
}

/// Goes on in a branch, or in a copy that needs no parent.
fn go_on(model: &mut Model, path: PathBuf, branches: bool) {
    match branches {
        true => drop(model.db.branch(&path, &BranchOptions { open: options(), ..BranchOptions::default() }).unwrap()),
        false => copy(&model.db.snapshot(), &path),
    }
    (model.db, model.path) = (open(&path), path);
    model.epochs.clear();
}

//! Power failures: the deterministic share. `cargo run -p rvf-tests --example crash -- --images 10000000` goes on.

use rvf_tests::sim::crash::{Counts, Explorer, FEW, FULL, Failure};
use rvf_tests::sim::medium::{Blob, Folder, Medium, Op, Take};
use rvf_tests::sim::place::Call;
use rvf_tests::sim::workloads::{ALL, BRANCHES, LARGE, Workload};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Fewer images than this that are opened and judged, and the check has shrunk.
const LEAST_JUDGED: u64 = 100_000;

/// The same for branches.
const LEAST_JUDGED_BRANCHES: u64 = 5000;

/// What is stored, which samples are taken and where writes tear is up to the seed.
const SEEDS: u64 = 3;

fn explore(workload: Workload) -> Result<Counts, Box<Failure>> {
    if is_of_branches(&workload) {
        // One seed, and nobody is killed: the example goes on.
        let mut explorer = Explorer::new(workload, 1);
        explorer.power_failures(FULL)?;
        return Ok(explorer.counts);
    }
    let mut counts = Counts::default();
    for seed in 1..=SEEDS {
        let mut explorer = Explorer::new(workload, seed);
        explorer.power_failures(FULL)?;
        if LARGE.contains(&workload.name) {
            return Ok(explorer.counts);
        }
        explorer.kills(FEW)?;
        counts.add(&explorer.counts);
    }
    Ok(counts)
}

fn is_of_branches(workload: &Workload) -> bool {
    BRANCHES.contains(&workload.name)
}

/// A workload, what it came to, seconds.
type Explored = (&'static str, Result<Counts, Box<Failure>>, f64);

/// Runs all workloads on two threads; what each came to, in the order in which they ended.
fn explore_all(workloads: &[Workload]) -> Vec<Explored> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(workload) = workloads.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let began = std::time::Instant::now();
                    let counts = explore(*workload);
                    done.lock().unwrap().push((workload.name, counts, began.elapsed().as_secs_f64()));
                }
            });
        }
    });
    done.into_inner().unwrap()
}

/// Explores the workloads that are of branches, or those that are not; how many images there were.
fn judge_all(of_branches: bool) -> Counts {
    let workloads: Vec<Workload> = ALL.into_iter().filter(|workload| is_of_branches(workload) == of_branches).collect();
    let (mut total, mut failures) = (Counts::default(), Vec::new());
    for (name, counts, seconds) in explore_all(&workloads) {
        match counts {
            Ok(counts) => {
                println!("{name}: {counts:?}, {seconds:.1} s");
                total.add(&counts);
            }
            Err(failure) => failures.push(format!("{name}: {failure}")),
        }
    }
    println!("{} images, {} of them distinct and judged: {total:?}", total.total(), total.judged());
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
    total
}

#[test]
fn no_power_failure_loses_a_commit_that_returned() {
    let total = judge_all(false);
    assert!(total.judged() >= LEAST_JUDGED, "{} images judged: the check has shrunk", total.judged());
}

/// Branch and parent together: a branch that has its name finds its commit, whatever the power took.
#[test]
fn no_power_failure_parts_a_branch_from_its_parent() {
    let total = judge_all(true);
    assert!(total.judged() >= LEAST_JUDGED_BRANCHES, "{} images judged: the check has shrunk", total.judged());
}

/// The checks can fail: a place whose syncs do nothing loses commits that returned, and is found out.
#[test]
fn a_place_that_lies_is_found_out() {
    for (name, lie) in
        [("import", Call::Sync), ("compact", Call::Sync), ("create", Call::SyncDir), ("compact", Call::SyncDir)]
    {
        let mut explorer = Explorer::new(Workload::named(name).unwrap(), 1);
        explorer.lie = Some(lie);
        let failure = explorer.power_failures(FEW).unwrap_err();
        let mut again = Explorer::new(Workload::named(name).unwrap(), 1);
        again.lie = Some(lie);
        let (_, verdict) = again.reproduce_with(None, failure.at, failure.then, FEW).unwrap();
        assert_eq!(verdict.unwrap_err(), failure.why, "{name}, {lie:?}: the numbers of the image lead back to it");
    }
}

/// A file of two sectors, then two more in one write: what a power failure may leave of it.
#[test]
fn images_are_what_the_medium_may_hold() {
    let path = std::path::PathBuf::from("a");
    let folder = Folder([(path.clone(), Blob::new(vec![1; 1024]))].into());
    let write = Op::Write { inode: 0, at: 1024, bytes: vec![2; 1024].into(), grows: Some(2048) };
    let log: [Op<()>; 3] = [write.clone(), Op::SyncFailed { inode: 0 }, Op::Sync { inode: 0 }];
    let mut medium = Medium::holding(&folder);
    let bytes = |medium: &Medium, takes: &[Take]| medium.image(takes).0[&path].bytes.clone();
    for op in &log {
        medium.apply(op);
        // Data and length; a sync after a failed one brings neither back.
        assert_eq!(medium.open_changes(), 2);
        assert_eq!(bytes(&medium, &[Take::Nothing, Take::Nothing]), [1; 1024]);
        assert_eq!(bytes(&medium, &[Take::Whole, Take::Nothing]), [1; 1024], "data past the end is lost");
        let longer = bytes(&medium, &[Take::Nothing, Take::Whole]);
        assert_eq!((longer.len(), &longer[1024..]), (2048, &[0; 1024][..]), "zeros where data is missing");
        for seed in 0..20 {
            let torn = bytes(&medium, &[Take::Torn(seed), Take::Whole]);
            let there: Vec<u8> = torn[1024..].chunks(512).map(|sector| sector[0]).collect();
            assert!(there == [0, 2] || there == [2, 0], "one sector of two");
        }
    }
    medium.apply(&write);
    medium.apply::<()>(&Op::Sync { inode: 0 });
    assert_eq!(bytes(&medium, &[Take::Nothing, Take::Nothing])[1024..], [2; 1024], "written anew");
}

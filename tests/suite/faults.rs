//! Failing devices: every call of every workload fails once, in each way that it can.

use rvf_tests::sim::crash::Explorer;
use rvf_tests::sim::faults::{strike, strikes};
use rvf_tests::sim::workloads::{ALL, BRANCHES, LARGE};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Fewer faults than this, and the check has shrunk.
const LEAST_FAULTS: usize = 1500;

#[test]
fn no_failing_call_loses_a_commit_that_returned() {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(workload) = ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Making a branch commits in two files: a failing one may leave a pin too many, which the model of faults, one commit a
                    // call, does not know.
                    if LARGE.contains(&workload.name) || BRANCHES.contains(&workload.name) {
                        continue;
                    }
                    let mut explorer = Explorer::new(*workload, 1);
                    let all = strikes(&explorer);
                    let broken: Vec<String> = all.iter().filter_map(|one| strike(&mut explorer, *one).err()).collect();
                    println!("{}: {} faults, {} broken, {:?}", workload.name, all.len(), broken.len(), explorer.counts);
                    done.lock().unwrap().push((all.len(), broken));
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    let faults: usize = done.iter().map(|(faults, _)| faults).sum();
    let broken: Vec<String> = done.into_iter().flat_map(|(_, broken)| broken).collect();
    println!("{faults} faults");
    assert!(broken.is_empty(), "{} of {faults} faults:\n{}\n", broken.len(), broken.join("\n"));
    assert!(faults >= LEAST_FAULTS, "{faults} faults: the check has shrunk");
}

//! One broken file a clause: verification reports exactly that clause, and nothing panics on it.

use rvf_engine::{Db, Effort, Error, IndexOptions, OpenOptions, Snapshot};
use rvf_format::Clause;
use rvf_format::storage::{Bytes, MemoryPlace};
use rvf_format::verify::{Options, verify_with};
use rvf_tests::corrupt::{expected, fixture, is_deep};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

#[test]
fn fixtures_are_what_the_generator_makes() {
    for clause in Clause::ALL {
        let stored = std::fs::read(rvf_tests::fixtures().join(format!("corrupt/{clause}.rvf"))).unwrap();
        assert!(stored == fixture(*clause), "{clause}: write the fixtures again with the example `corrupt`");
    }
}

#[test]
fn each_fixture_breaks_its_clause_and_no_other() {
    let mut wrong = Vec::new();
    for clause in Clause::ALL {
        let bytes = std::fs::read(rvf_tests::fixtures().join(format!("corrupt/{clause}.rvf"))).unwrap();
        let file = Bytes::from(bytes);
        for deep in [false, true] {
            let found: BTreeSet<Clause> = match verify_with(&file, &Options { deep }, &mut |_, _| {}) {
                Ok(report) => report.findings.iter().map(|finding| finding.clause).collect(),
                Err(error) => error.clause().into_iter().collect(),
            };
            let expected = if is_deep(*clause) && !deep { Vec::new() } else { expected(*clause) };
            if found != expected.into_iter().collect() {
                wrong.push(format!("{clause}: found {found:?} (deep: {deep})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What a reader may do with a broken file: refuse it, or give what is intact. Never panic, never loop.
#[test]
fn broken_files_are_refused_or_read() {
    for clause in Clause::ALL {
        let bytes = std::fs::read(rvf_tests::fixtures().join(format!("corrupt/{clause}.rvf"))).unwrap();
        let read = || -> Result<(), Error> {
            let snapshot = Snapshot::newest(Bytes::from(bytes))?;
            snapshot.info()?;
            snapshot.log(usize::MAX)?;
            snapshot.records()?.try_for_each(|record| record.map(drop))?;
            let query = vec![0.5f32; snapshot.schema().dimension as usize];
            snapshot.search(&query).effort(Effort::Ef(16)).run()?;
            snapshot.search(&query).run().map(drop)
        };
        if let Err(error) = read() {
            assert!(!error.hint().is_empty() && !error.to_string().is_empty());
        }
    }
}

/// What a search does with a broken index: compares all rows where it cannot be walked, and says so; else walks it. Hits are
/// live records with their exact distances either way.
#[test]
fn hits_of_a_broken_index_are_true() {
    let broken = [Clause::Idx1, Clause::Idx2, Clause::Idx3, Clause::Idx4, Clause::Idx5, Clause::Qnt1, Clause::Qnt2];
    let not_walked = [Clause::Idx1, Clause::Idx2, Clause::Qnt1];
    for clause in broken {
        let bytes = std::fs::read(rvf_tests::fixtures().join(format!("corrupt/{clause}.rvf"))).unwrap();
        let snapshot = Snapshot::newest(Bytes::from(bytes)).unwrap();
        let query = vec![0.5f32; snapshot.schema().dimension as usize];
        let exact = snapshot.search(&query).k(2000).effort(Effort::Exact).run().unwrap();
        assert_eq!(exact.len(), 1001, "{clause}");
        let (hits, trace) = snapshot.search(&query).effort(Effort::Ef(16)).run_traced().unwrap();
        let damaged = not_walked.contains(&clause);
        assert_eq!((trace.exact, trace.damaged), (damaged, usize::from(damaged)), "{clause}: {trace:?}");
        assert_eq!(hits.len(), 10, "{clause}");
        assert!(hits.iter().all(|hit| exact.contains(hit)), "{clause}");
    }
}

/// The next index takes the place of one that cannot be walked.
#[test]
fn a_broken_index_is_renewed() {
    for clause in [Clause::Idx1, Clause::Idx2, Clause::Qnt1] {
        let place = MemoryPlace::default();
        let path = std::path::Path::new("a.rvf");
        place.put(path, std::fs::read(rvf_tests::fixtures().join(format!("corrupt/{clause}.rvf"))).unwrap());
        let mut db = Db::open_with(Arc::new(place), path, &OpenOptions::default()).unwrap();
        let done = db.index(&IndexOptions::default(), &mut |_, _| ControlFlow::Continue(())).unwrap();
        assert_eq!((done.indexed, done.graphs), (1001, 1), "{clause}");
        let query = vec![0.5f32; db.snapshot().schema().dimension as usize];
        let (_, trace) = db.snapshot().search(&query).effort(Effort::Ef(16)).run_traced().unwrap();
        assert_eq!((trace.exact, trace.damaged), (false, 0), "{clause}: {trace:?}");
    }
}

//! One broken file a clause: verification reports exactly that clause, and nothing panics on it.

use rvf_engine::{Error, Snapshot};
use rvf_format::Clause;
use rvf_format::storage::Bytes;
use rvf_format::verify::verify;
use rvf_tests::corrupt::{expected, fixture};
use std::collections::BTreeSet;

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
        let found: BTreeSet<Clause> = match verify(&Bytes::from(bytes), &mut |_, _| {}) {
            Ok(report) => report.findings.iter().map(|finding| finding.clause).collect(),
            Err(error) => error.clause().into_iter().collect(),
        };
        if found != expected(*clause).into_iter().collect() {
            wrong.push(format!("{clause}: found {found:?}"));
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
            snapshot.search(&[0.5f32; 4]).run().map(drop)
        };
        if let Err(error) = read() {
            assert!(!error.hint().is_empty() && !error.to_string().is_empty());
        }
    }
}

//! What must hold for a store whose graphs or codes were changed and whose rows were not: an exact search finds what it
//! found, a walk may miss records but tells no lies, and renewing the index takes nothing away.

use super::store::{EFFORTS, hits};
use crate::samples;
use rvf_engine::{CompactOptions, Db, Effort, Hit, Snapshot};
use rvf_format::storage::{Bytes, MemoryPlace};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Hits that walks are asked for.
const NEAREST: usize = 10;

/// What is done to a store before it is searched again. Graphs are made then: that takes longer than all else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Nothing,
    /// Its index is renewed, then it is compacted.
    Renew,
    /// It is compacted.
    Compact,
}

/// All records of a sample, as an exact search finds them; worked out once a sample.
fn truth(sample: &'static [u8], original: &Snapshot) -> Arc<Vec<Hit>> {
    static KNOWN: Mutex<BTreeMap<usize, Arc<Vec<Hit>>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let find = || Arc::new(hits(original, usize::MAX, Effort::Exact).unwrap());
    known.entry(sample.as_ptr() as usize).or_insert_with(find).clone()
}

/// Searches `file`, which is `sample` with other graphs or codes, and searches it again after `then`.
pub fn search_changed(sample: &'static [u8], file: &[u8], then: Then) {
    let Ok(original) = Snapshot::newest(Bytes::from(sample)) else { return };
    let truth = truth(sample, &original);
    // Without a repaired manifest an earlier commit is the newest.
    let same_commit = |snapshot: &Snapshot| snapshot.epoch() == original.epoch();
    let Some(snapshot) = Snapshot::newest(Bytes::from(file)).ok().filter(same_commit) else { return };
    compare(&snapshot, &truth);
    if then == Then::Nothing {
        return;
    }
    let place = MemoryPlace::default();
    place.put(Path::new(samples::PATH), file.to_vec());
    let Ok(mut db) = Db::open_with(Arc::new(place), samples::PATH, &samples::open_options()) else { return };
    if then == Then::Renew {
        let _ = db.fold(&mut |_, _| ControlFlow::Continue(()));
        let _ = db.index(&samples::INDEX_OPTIONS, &mut |_, _| ControlFlow::Continue(()));
        compare(&db.snapshot(), &truth);
    }
    let _ = db.compact(&CompactOptions { keep: 1, output: None });
    compare(&db.snapshot(), &truth);
}

/// Holds all searches of a snapshot against all its records, nearest first.
fn compare(snapshot: &Snapshot, truth: &[Hit]) {
    let exact = hits(snapshot, usize::MAX, Effort::Exact);
    assert_eq!(exact.as_deref(), Some(truth), "an exact search depends on graphs or codes");
    for effort in EFFORTS {
        let found = hits(snapshot, NEAREST, effort).unwrap();
        assert!(found.len() <= NEAREST);
        // Both are in order, so that the found ones are a part of the truth, each once.
        let mut rest = truth.iter();
        assert!(
            found.iter().all(|hit| rest.any(|known| known == hit)),
            "{effort:?} found what is not there: {found:?}"
        );
    }
}

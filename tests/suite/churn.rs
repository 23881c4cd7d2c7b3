//! Space comes back: files under steady replacement stay small by themselves, and what that must not cost.

use rvf_engine::store::Edit;
use rvf_engine::{CompactOptions, Dtype, Effort, Error, Id, Metric, OpenOptions, Reader, Snapshot};
use rvf_engine::{CreateOptions, Db, Schema};
use rvf_format::manifest::FACT_PINS;
use rvf_format::payload::witness::Operation;
use rvf_format::storage::MemoryPlace;
use rvf_tests::hooked::Hooked;
use rvf_tests::indexed::{Clusters, Indexed, K, options, schema};
use rvf_tests::oracle::Rng;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Below so many bytes that are not needed no commit compacts.
const FLOOR: f64 = (1 << 20) as f64;

/// The bound, by what the file itself says and by what compaction leaves.
fn check_size(store: &mut Indexed, what: &str) {
    let info = store.snapshot().info().unwrap();
    let place = Path::new("copy.rvf");
    let options = CompactOptions { keep: 1, output: Some(place.to_owned()) };
    let compacted = store.db().compact(&options).unwrap().after_bytes;
    store.remove(place);
    for live in [info.live_bytes, compacted] {
        let (size, most) = (info.size_bytes as f64, 1.5 * live as f64);
        assert!(size < most.max(live as f64 + FLOOR), "{what}: {size} bytes, {live} of them live");
    }
}

/// Ten rounds of replacing a fifth, in commits of several sizes.
#[test]
fn steady_replacement_stays_within_the_bound() {
    let schema = schema(96, Dtype::F32, Metric::L2);
    let mut rng = Rng(3);
    let clusters = Clusters::new(&schema, 30, 0.1, &mut rng);
    let mut store = Indexed::new(schema, options(1));
    let ids = store.add(clusters.many(4000, &mut rng));
    let mut compactions = 0;
    for round in 0..10 {
        let size = [800, 100, 16][round % 3];
        for _ in 0..800 / size {
            let some = store.some_ids(size, &mut rng);
            let records = some.into_iter().map(|id| (id, clusters.draw(&mut rng))).collect();
            store.put(records);
            let log = store.snapshot().log(2).unwrap();
            compactions += log.iter().filter(|entry| entry.automatic).count();
        }
        check_size(&mut store, &format!("round {round}"));
    }
    assert!((3..40).contains(&compactions), "{compactions} compactions");
    assert!(store.snapshot().at_epoch(2).is_err());
    assert_eq!(store.records.len(), ids.len());
    store.verify("after ten rounds");

    let fresh = Indexed::fresh(schema, &store.records);
    let queries = clusters.many(200, &mut rng);
    let recall = |store: &Indexed| store.found(&queries, K, Effort::default(), "churned").recall;
    let (churned, new) = (recall(&store), recall(&fresh));
    assert!(churned >= new - 0.01, "{churned} against {new} of a fresh store");

    store.compact(1);
    let (compacted, new) = (store.bytes().len(), fresh.bytes().len());
    assert!(compacted as f64 <= 1.15 * new as f64, "compacted to {compacted} bytes, {new} when fresh");
}

fn wide(open: OpenOptions, place: Arc<dyn rvf_format::storage::Place>) -> Db {
    let create = CreateOptions { file_id: Some([7; 16]), open, ..CreateOptions::default() };
    Db::create_with(place, "a.rvf", &Schema::new(1024, Metric::L2), &create).unwrap()
}

/// Records of 4 KiB in one commit.
fn replace(db: &mut Db, ids: std::ops::Range<u64>, value: f32) {
    let mut batch = db.batch();
    ids.for_each(|id| batch.put(id, &[value; 1024]).unwrap());
    batch.commit().unwrap();
}

/// 300 of them: the second such commit makes a compaction due.
fn replace_all(db: &mut Db, value: f32) {
    replace(db, 0..300, value);
}

fn is_automatic(snapshot: &Snapshot) -> bool {
    snapshot.log(1).unwrap()[0].automatic
}

/// Records that were only added keep their history, and a handle may keep all of it; what was asked for is not called automatic.
#[test]
fn history_goes_only_where_rows_died_and_nobody_keeps_it() {
    let mut db = wide(options(1), Arc::new(MemoryPlace::default()));
    for first in (0..200).step_by(2) {
        let mut batch = db.batch();
        (first..first + 2).for_each(|id| batch.put(id, &[1.0; 1024]).unwrap());
        batch.commit().unwrap();
    }
    let info = db.snapshot().info().unwrap();
    assert!(info.size_bytes > info.live_bytes * 3 / 2 + (1 << 20), "{info:?}: the check has lost its point");
    assert_eq!(db.snapshot().at_epoch(2).unwrap().count(), 2);
    db.delete(&[Id::U64(0)]).unwrap();
    assert!(is_automatic(&db.snapshot()));
    assert!(matches!(db.snapshot().at_epoch(2), Err(Error::NoEpoch { .. })));

    let mut db = wide(OpenOptions { manual_compaction: true, ..options(1) }, Arc::new(MemoryPlace::default()));
    (0..4).for_each(|round| replace_all(&mut db, round as f32));
    assert_eq!(db.snapshot().epoch(), 5);
    assert_eq!(db.snapshot().at_epoch(2).unwrap().count(), 300);
    db.compact(&CompactOptions::default()).unwrap();
    assert!(!is_automatic(&db.snapshot()));
}

/// What pinned epochs hold is needed: it neither goes nor makes each commit compact.
#[test]
fn pinned_epochs_stay_and_are_not_counted_as_waste() {
    let place = MemoryPlace::default();
    let mut db = wide(options(1), Arc::new(place.clone()));
    replace_all(&mut db, 0.0);
    drop(db);
    let context = rvf_engine::store::Context::default();
    let (mut store, _) = rvf_engine::store::Store::open(Arc::new(place.clone()), Path::new("a.rvf"), context).unwrap();
    let mut pin = Edit::new(Operation(6));
    pin.facts.insert(FACT_PINS, 2u64.to_le_bytes().to_vec());
    store.commit(&pin).unwrap();
    drop(store);
    let mut db = Db::open_with(Arc::new(place), "a.rvf", &options(1)).unwrap();
    let mut automatic = Vec::new();
    for round in 1..=16 {
        replace(&mut db, 100..200, round as f32);
        automatic.push(is_automatic(&db.snapshot()));
        let pinned = db.snapshot().at_epoch(2).unwrap();
        assert_eq!(pinned.get(&Id::U64(5)).unwrap().unwrap().vector[0], 0.0);
    }
    // Of three such commits, each a sixth of what is needed, the third makes a compaction due.
    let compactions = automatic.iter().filter(|automatic| **automatic).count();
    assert!((4..=6).contains(&compactions), "{automatic:?}");
    assert!(db.snapshot().at_epoch(4).is_err());
}

/// A compaction that cannot be made fails no commit, is told of, and is not tried again at once.
#[test]
fn a_compaction_that_fails_leaves_the_commit() {
    let refused = Arc::new(AtomicU64::new(u64::MAX));
    let (counter, tries) = (refused.clone(), Arc::new(AtomicU64::new(0)));
    let counted = tries.clone();
    let hook = move |sync: u64| match sync > counter.load(Ordering::SeqCst) {
        true if counted.fetch_add(1, Ordering::SeqCst) == 0 => Err(io::Error::from(io::ErrorKind::StorageFull)),
        _ => Ok(()),
    };
    let place = Hooked::new(MemoryPlace::default(), hook);
    let mut db = wide(options(1), Arc::new(place.clone()));
    replace_all(&mut db, 0.0);
    // The commit takes two syncs; the third is that of the compacted file.
    refused.store(place.syncs() + 2, Ordering::SeqCst);
    replace_all(&mut db, 1.0);
    assert!(matches!(db.compaction_error(), Some(Error::Io { .. })), "{:?}", db.compaction_error());
    assert_eq!((db.snapshot().epoch(), db.snapshot().count()), (3, 300));
    let syncs = place.syncs();
    db.delete(&[Id::U64(0)]).unwrap();
    assert_eq!(place.syncs(), syncs + 2, "tried again at once");
    assert!(db.compaction_error().is_some());
    replace_all(&mut db, 2.0);
    assert!(db.compaction_error().is_none());
    assert!(is_automatic(&db.snapshot()));
    assert_eq!(db.snapshot().count(), 300);
}

/// Readers go on with what they opened; a file with two names is left as it is.
#[test]
fn readers_and_other_names_are_respected() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("a.rvf"), folder.path().join("b.rvf"));
    let mut db = Db::create(&path, &Schema::new(1024, Metric::L2)).unwrap();
    replace_all(&mut db, 0.0);
    let mut reader = Reader::open(&path).unwrap();
    let held = db.snapshot();
    replace_all(&mut db, 1.0);
    assert!(is_automatic(&db.snapshot()));
    for snapshot in [&reader.snapshot(), &held] {
        assert_eq!(snapshot.get(&Id::U64(5)).unwrap().unwrap().vector[0], 0.0);
    }
    assert!(reader.refresh().unwrap());
    assert_eq!(reader.get(&Id::U64(5)).unwrap().unwrap().vector[0], 1.0);
    #[cfg(unix)]
    {
        std::fs::hard_link(&path, &other).unwrap();
        replace_all(&mut db, 2.0);
        assert!(matches!(db.compaction_error(), Some(Error::HardLinks { .. })));
        assert_eq!(Reader::open(&other).unwrap().get(&Id::U64(5)).unwrap().unwrap().vector[0], 2.0);
    }
}

//! Stores against a map and against what they cost: many small commits, merges, readers, threads. Random sequences of all
//! operations stand in `sequences.rs`.

use rvf_engine::ingest::door::Vectors;
use rvf_engine::{CompactOptions, CreateOptions, Db, Dtype, Id, IdType, Metric, OpenOptions, Reader, Schema};
use rvf_format::storage::{Bytes, FilePlace, MemoryPlace};
use rvf_tests::golden::Model;
use rvf_tests::oracle::Records;
use std::sync::Arc;

fn check_records(snapshot: &rvf_engine::Snapshot, records: &Records, what: &str) {
    assert_eq!(snapshot.count(), records.len() as u64, "{what}");
    let stored: Records =
        snapshot.records().unwrap().map(Result::unwrap).map(|record| (record.id, record.vector)).collect();
    assert_eq!(stored, *records, "{what}");
}

/// Single-record commits: merged by size, so that segments stay few and a commit costs less than 16 KiB. Without an index:
/// epochs are counted.
#[test]
fn three_thousand_single_commits_stay_small() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("singles.rvf");
    let open = OpenOptions { manual_index: true, ..OpenOptions::default() };
    let options = CreateOptions { open, ..CreateOptions::default() };
    let mut db = Db::create_with(Arc::new(FilePlace), &path, &Schema::new(384, Metric::L2), &options).unwrap();
    let empty = std::fs::metadata(&path).unwrap().len();
    let mut vector = [0f32; 384];
    for n in 0..3000u64 {
        vector[n as usize % 384] = n as f32;
        db.add(&vector).unwrap();
    }
    let size = std::fs::metadata(&path).unwrap().len();
    let each = (size - empty) as f64 / 3000.0;
    assert!(each < 16.0 * 1024.0, "{each} bytes a commit");
    let live = db.snapshot().state().live.len();
    assert!(live < 160, "{live} live segments");
    assert_eq!(db.snapshot().count(), 3000);
    assert_eq!(db.snapshot().log(usize::MAX).unwrap().len(), 3001);
    drop(db);
    let report = rvf_engine::verify_path(&path, &mut |_, _| {}).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.epochs, 3001);
    Db::open(&path).unwrap().compact(&CompactOptions::default()).unwrap();
    let compact = std::fs::metadata(&path).unwrap().len();
    assert!(compact < 3000 * 384 * 4 * 3 / 2, "{compact} bytes after compaction");
    assert_eq!(rvf_engine::verify_path(&path, &mut |_, _| {}).unwrap().findings, []);
    assert_eq!(Reader::open(&path).unwrap().log(usize::MAX).unwrap().len(), 3002, "every audit entry is kept");
}

/// A commit of 1,000 vectors appends the same bytes, whatever the file holds already.
#[test]
fn a_commit_costs_the_same_in_a_large_file() {
    let cost = |rows_before: usize| {
        let place = MemoryPlace::default();
        let mut db =
            Db::create_with(Arc::new(place), "a.rvf", &Schema::new(16, Metric::L2), &Default::default()).unwrap();
        db.add(&vec![1.0f32; 16 * rows_before]).unwrap();
        let before = db.snapshot().root().end();
        db.add(Vectors::F32(&vec![2.0f32; 16 * 1000])).unwrap();
        db.snapshot().root().end() - before
    };
    assert_eq!(cost(2_000), cost(200_000));
}

#[test]
fn readers_see_their_commit_until_they_refresh() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rvf");
    let mut db = Db::create(&path, &Schema::new(1, Metric::L2)).unwrap();
    db.add(&[1.0f32, 2.0, 3.0]).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    db.delete(&[Id::U64(0)]).unwrap();
    assert_eq!(reader.count(), 3);
    assert!(reader.refresh().unwrap());
    assert!(!reader.refresh().unwrap());
    assert_eq!(reader.count(), 2);
    // Compaction puts another file in place; the reader keeps the old one until it refreshes.
    db.compact(&CompactOptions::default()).unwrap();
    assert_eq!(reader.search(&[3.0f32]).k(9).run().unwrap().len(), 2);
    assert!(reader.refresh().unwrap());
    assert_eq!(reader.epoch(), db.snapshot().epoch());
    db.add(&[9.0f32]).unwrap();
    assert!(reader.refresh().unwrap());
    assert_eq!(reader.count(), 3);
}

#[test]
fn a_second_writer_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rvf");
    let db = Db::create(&path, &Schema::new(1, Metric::L2)).unwrap();
    assert!(matches!(Db::open(&path), Err(rvf_engine::Error::Locked { .. })));
    drop(db);
    Db::open(&path).unwrap();
}

#[test]
fn snapshots_are_shared_between_threads() {
    let folder = tempfile::tempdir().unwrap();
    let mut db = Db::create(folder.path().join("a.rvf"), &Schema::new(2, Metric::L2)).unwrap();
    db.add(&vec![0.5f32; 2 * 9000]).unwrap();
    db.delete(&[Id::U64(0)]).unwrap();
    let snapshot = db.snapshot();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let hits = snapshot.search(&[0.0f32, 0.0]).k(3).threads(2).run().unwrap();
                let ids: Vec<String> = hits.iter().map(|hit| hit.id.to_string()).collect();
                assert_eq!(ids, ["1", "2", "3"], "ties by id, the dead row left out");
            });
        }
    });
}

/// Enough small commits for merges, with replacements and deletions all along: what is dead stays dead, also what dies in the
/// very commit that merges.
#[test]
fn merging_small_segments_loses_and_revives_nothing() {
    for id_type in [IdType::U64, IdType::Str] {
        let schema = Schema { dimension: 3, dtype: Dtype::U8, metric: Metric::L2, id_type };
        let mut model = Model::new(schema, 4242);
        let mut merges = 0;
        for number in 0..200 {
            let before = model.db.snapshot().parts().len();
            let id = model.rng.below(40);
            match number % 5 {
                4 => model.delete([id, id + 1]),
                _ => model.put([id]),
            }
            let snapshot = model.db.snapshot();
            merges += usize::from(snapshot.parts().len() < before);
            check_records(&snapshot, &model.records, &format!("{id_type:?}, commit {number}"));
        }
        assert!(merges >= 3, "{merges} merges: the test no longer reaches what it is about");
        let report = rvf_format::verify::verify(&Bytes::from(model.bytes()), &mut |_, _| {}).unwrap();
        assert_eq!(report.findings, []);
    }
}

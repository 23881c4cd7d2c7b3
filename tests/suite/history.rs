//! History: epochs stay open until compaction, kept segments stay byte for byte, tails are saved and cut.

use rvf_engine::store::Edit;
use rvf_engine::{
    CompactOptions, CreateOptions, Db, Error, Id, Kind, Metric, OpenOptions, Reader, Schema, SegmentInfo, Snapshot,
};
use rvf_format::limits::{LARGE_ALIGN, TREE_MIN};
use rvf_format::manifest::FACT_PINS;
use rvf_format::payload::witness::Operation;
use rvf_format::storage::{Bytes, MemoryPlace};
use rvf_tests::golden::{Model, lively};
use std::sync::Arc;

fn of(model: &Model) -> Snapshot {
    Snapshot::newest(Bytes::from(model.bytes())).unwrap()
}

/// Segments that an epoch lists and that enter the state hash.
fn segments(snapshot: &Snapshot, epoch: u64) -> Vec<SegmentInfo> {
    let past = snapshot.at_epoch(epoch).unwrap();
    let all = past.segments().unwrap().into_iter();
    all.filter(|segment| segment.live && segment.kind.in_state() && segment.kind != Kind::MANIFEST).collect()
}

fn check_kept(before: &Snapshot, after: &Snapshot, epoch: u64) {
    let hash = |snapshot: &Snapshot| snapshot.at_epoch(epoch).unwrap().root().state_hash;
    assert_eq!(hash(before), hash(after), "state hash of epoch {epoch}");
    let old = segments(before, epoch);
    let new = segments(after, epoch);
    assert_eq!(old.len(), new.len());
    for old in old {
        let new = new.iter().find(|new| new.id == old.id).unwrap();
        assert_eq!(old.offset % LARGE_ALIGN, new.offset % LARGE_ALIGN, "segment {}", old.id);
        let bytes =
            |snapshot: &Snapshot, s: &SegmentInfo| snapshot.file()[s.offset as usize..][..s.length as usize].to_vec();
        assert!(bytes(before, &old) == bytes(after, new), "segment {} of epoch {epoch}", old.id);
    }
}

fn findings(snapshot: &Snapshot) -> Vec<rvf_engine::Finding> {
    rvf_format::verify::verify(snapshot.file(), &mut |_, _| {}).unwrap().findings
}

#[test]
fn compaction_keeps_epochs_byte_for_byte() {
    let mut model = lively(Schema::new(8, Metric::L2), 50);
    let before = of(&model);
    let newest = before.epoch();
    model.compact(3);
    let after = of(&model);
    assert_eq!(after.epoch(), newest + 1);
    assert_eq!(after.root().file_id, before.root().file_id);
    for epoch in [newest, newest - 1] {
        check_kept(&before, &after, epoch);
    }
    assert!(matches!(after.at_epoch(newest - 2), Err(Error::NoEpoch { oldest, .. }) if oldest == newest - 1));
    let log = after.log(usize::MAX).unwrap();
    assert_eq!(log.len() as u64, newest + 1, "every audit entry is kept");
    assert_eq!(log.iter().filter(|entry| entry.kept).count(), 3);
    assert_eq!(findings(&after), []);
}

#[test]
fn pinned_epochs_survive_compaction() {
    let mut model = lively(Schema::new(8, Metric::L2), 51);
    let mut pin = Edit::new(Operation(6));
    pin.facts.insert(FACT_PINS, 3u64.to_le_bytes().to_vec());
    model.commit_raw(&pin);
    model.put([40]);
    let before = of(&model);
    model.compact(1);
    let after = of(&model);
    check_kept(&before, &after, 3);
    assert_eq!(after.at_epoch(3).unwrap().count(), before.at_epoch(3).unwrap().count());
    assert!(after.at_epoch(4).is_err());
    assert_eq!(findings(&after), []);
    // The pin is a fact of the state: it is still there, and ends with an empty value.
    model.compact(1);
    assert!(of(&model).at_epoch(3).is_ok());
    pin.facts.insert(FACT_PINS, Vec::new());
    model.commit_raw(&pin);
    model.compact(1);
    assert!(of(&model).at_epoch(3).is_err());
    assert_eq!(findings(&of(&model)), []);
}

#[test]
fn unknown_kinds_and_facts_survive() {
    let golden = rvf_tests::golden::all().into_iter().find(|golden| golden.name == "unknown").unwrap();
    let snapshot = Snapshot::newest(Bytes::from(golden.bytes)).unwrap();
    let unknown = snapshot.segments().unwrap().into_iter().find(|segment| segment.kind == Kind(0x7F)).unwrap();
    assert!(unknown.live && unknown.kind.to_string() == "0x7F");
    assert_eq!(snapshot.state().facts.get(&77).map(Vec::as_slice), Some(&b"a fact from the future"[..]));
}

#[test]
fn a_torn_commit_is_saved_and_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rvf");
    let mut db = Db::create(&path, &Schema::new(1, Metric::L2)).unwrap();
    db.add(&[1.0f32]).unwrap();
    let committed = std::fs::read(&path).unwrap();
    db.add(&[2.0f32]).unwrap();
    drop(db);
    let longer = std::fs::read(&path).unwrap();

    // The root page never arrived: readers see the commit before, the next writer saves and cuts what was torn.
    let torn = &longer[..longer.len() - 4096];
    std::fs::write(&path, torn).unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!((reader.epoch(), reader.count()), (2, 1));
    assert!(reader.tail().unwrap().holds_manifest);
    assert_eq!(reader.tail().unwrap().length, (torn.len() - committed.len()) as u64);
    assert_eq!(reader.file().len(), committed.len(), "no more is mapped than the next writer leaves");
    let db = Db::open(&path).unwrap();
    let saved = db.tail_report().unwrap().saved.clone().unwrap();
    assert_eq!(saved, folder.path().join("a.rvf.tail-2"));
    assert_eq!(std::fs::read(saved).unwrap(), torn[committed.len()..]);
    assert_eq!(std::fs::read(&path).unwrap(), committed);
    drop(db);

    // Segments without a manifest are cut without being saved.
    std::fs::write(&path, &longer[..committed.len() + 4096]).unwrap();
    let db = Db::open(&path).unwrap();
    assert_eq!(db.tail_report().unwrap().saved, None);
    assert_eq!(std::fs::read(&path).unwrap(), committed);
}

#[test]
fn creation_that_was_interrupted_blocks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rvf");
    std::fs::write(folder.path().join("a.rvf.new-tmp"), b"half a file").unwrap();
    Db::create(&path, &Schema::new(1, Metric::L2)).unwrap();
    assert!(matches!(Db::create(&path, &Schema::new(1, Metric::L2)), Err(Error::Exists { .. })));
    std::fs::write(folder.path().join("a.rvf.compact-tmp"), b"half a compaction").unwrap();
    let mut db = Db::open(&path).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "leftovers are removed");
    db.add(&[1.0f32]).unwrap();
    let copy = folder.path().join("b.rvf");
    db.compact(&CompactOptions { keep: 1, output: Some(copy.clone()) }).unwrap();
    assert_eq!(db.snapshot().epoch(), 2, "the store itself stays as it was");
    assert_eq!(Reader::open(&copy).unwrap().get(&Id::U64(0)).unwrap().unwrap().vector, [1.0]);
}

/// Catches a compaction that pads kept history with gaps, and one that copies damage as if it were sound.
#[test]
fn compaction_of_long_history_stays_small_and_refuses_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rvf");
    let mut db = Db::create(&path, &Schema::new(4, Metric::L2)).unwrap();
    for n in 0..50 {
        db.add(&[n as f32; 4]).unwrap();
    }
    let before = std::fs::metadata(&path).unwrap().len();
    db.compact(&CompactOptions { keep: 51, output: None }).unwrap();
    let after = std::fs::metadata(&path).unwrap().len();
    // Manifests of kept epochs are written in full, behind the segments; the places of the old ones are filled.
    assert!(after < before * 3, "{before} bytes became {after}");
    assert_eq!(rvf_engine::verify_path(&path, &mut |_, _| {}).unwrap().findings, []);
    assert_eq!(db.snapshot().at_epoch(7).unwrap().count(), 6);
    drop(db);

    let segments = Reader::open(&path).unwrap().segments().unwrap();
    let vectors = segments.iter().rfind(|segment| segment.kind == Kind::VEC && segment.live).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[vectors.offset as usize + 300] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let mut db = Db::open(&path).unwrap();
    for keep in [1, 51] {
        let error = db.compact(&CompactOptions { keep, output: None }).unwrap_err();
        assert_eq!(error.clause().map(rvf_engine::Clause::id), Some("MAN-5"));
    }
    assert!(std::fs::read(&path).unwrap() == bytes, "a refused compaction leaves the file as it was");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Catches a compaction that makes the audit entries of a kept epoch anew although they have a hash tree, which its state hash
/// holds; and one that leaves the tree of a WITNESS segment that is gone.
#[test]
fn compaction_keeps_epochs_of_a_history_that_needs_a_hash_tree() {
    let place = MemoryPlace::default();
    let open = OpenOptions { actor: "a".repeat(1024), ..OpenOptions::default() };
    let create = CreateOptions { open, ..CreateOptions::default() };
    let mut db = Db::create_with(Arc::new(place), "a.rvf", &Schema::new(1, Metric::L2), &create).unwrap();
    let commit =
        |db: &mut Db, commits: u64| (0..commits).for_each(|n| assert_eq!(db.add(&[n as f32]).unwrap().accepted, 1));
    commit(&mut db, 1100);
    let witnesses =
        |snapshot: &Snapshot| snapshot.state().of_kind(Kind::WITNESS).map(|e| e.length.get()).max().unwrap();
    assert!(witnesses(&db.snapshot()) > TREE_MIN, "no WITNESS segment is large enough for a tree");
    // With and without epochs that were compacted before; at a commit that seals and at others.
    for (keep, commits) in [(3, 5), (1, 70), (2, 64), (80, 3), (2, 0), (2, 1)] {
        let before = db.snapshot();
        db.compact(&CompactOptions { keep, output: None }).unwrap();
        let after = db.snapshot();
        for epoch in (before.epoch() + 2 - keep..=before.epoch()).filter(|epoch| before.at_epoch(*epoch).is_ok()) {
            check_kept(&before, &after, epoch);
        }
        assert_eq!(findings(&after), [], "keep {keep}");
        assert_eq!(after.log(usize::MAX).unwrap().len() as u64, after.epoch());
        assert!(after.state().of_kind(Kind::WITNESS).count() < 4);
        commit(&mut db, commits);
        assert_eq!(findings(&db.snapshot()), [], "after {commits} commits");
    }
}

#[cfg(unix)]
#[test]
fn compaction_keeps_permissions_and_follows_links() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("a.rvf"), folder.path().join("link.rvf"));
    Db::create(&path, &Schema::new(1, Metric::L2)).unwrap().add(&[1.0f32]).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    symlink("a.rvf", &link).unwrap();
    Db::open(&link).unwrap().compact(&CompactOptions::default()).unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(Reader::open(&path).unwrap().epoch(), 3);
    // A second name would go on meaning the old file.
    std::fs::hard_link(&path, folder.path().join("second.rvf")).unwrap();
    let refused = Db::open(&path).unwrap().compact(&CompactOptions::default());
    assert!(matches!(refused, Err(Error::HardLinks { .. })));
    // A link that leads nowhere is a name that is taken.
    symlink("nowhere", folder.path().join("dangling.rvf")).unwrap();
    let refused = Db::create(folder.path().join("dangling.rvf"), &Schema::new(1, Metric::L2));
    assert!(matches!(refused, Err(Error::Exists { .. })));
}

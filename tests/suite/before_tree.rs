//! Files that were written before roots held the tree over the audit entries: read as ever, and given the tree by the next commit.

use rvf_engine::{Db, OpenOptions, Reader};
use rvf_format::storage::{Bytes, MemoryPlace};
use rvf_format::verify::verify;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn folder() -> PathBuf {
    rvf_tests::fixtures().join("v1-before-tree")
}

fn names() -> Vec<String> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let stores = files.filter(|path| path.extension().is_some_and(|extension| extension == "rvf"));
    let mut names: Vec<String> = stores.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(names.len(), 6);
    names
}

#[test]
fn they_are_sound_and_hold_what_they_held() {
    for name in names() {
        let path = folder().join(format!("{name}.rvf"));
        let report = rvf_engine::verify_path(&path, &mut |_, _| {}).unwrap();
        assert!(report.sound && report.findings.is_empty(), "{name}: {:?}", report.findings);
        let truth: Value =
            serde_json::from_slice(&std::fs::read(folder().join(format!("{name}.json"))).unwrap()).unwrap();
        let reader = Reader::open(&path).unwrap();
        assert!(!reader.root().has_tree(), "{name}");
        assert_eq!(rvf_format::digest::hex(&reader.root().state_hash), truth["root_hash"].as_str().unwrap(), "{name}");
        assert_eq!(reader.count(), truth["count"].as_u64().unwrap(), "{name}");
    }
}

/// Catches a writer that leaves the tree out for ever, or makes one of the new entries only; and a compaction that changes the state of
/// a pinned epoch that a branch stands on.
#[test]
fn the_next_commit_gives_them_the_tree() {
    for name in names() {
        let place = MemoryPlace::default();
        for other in names() {
            let file = std::fs::read(folder().join(format!("{other}.rvf"))).unwrap();
            place.put(Path::new(&format!("{other}.rvf")), file);
        }
        let path = format!("{name}.rvf");
        let open = OpenOptions { signer: Some(Arc::new(rvf_tests::golden::signing_key())), ..OpenOptions::default() };
        let mut db = Db::open_with(Arc::new(place.clone()), &path, &open).unwrap();
        let entries = db.snapshot().log(usize::MAX).unwrap().len();
        db.sign(Arc::new(rvf_tests::golden::signing_key())).unwrap();
        let snapshot = db.snapshot();
        assert!(snapshot.root().has_tree() && snapshot.root().witness_size.get() == entries as u64 + 1, "{name}");
        db.compact(&rvf_engine::CompactOptions::default()).unwrap();
        let report = verify(&Bytes::from(place.bytes(Path::new(&path)).unwrap()), &mut |_, _| {}).unwrap();
        assert_eq!(report.findings, [], "{name}");
        drop(db);
        if name == "branch-parent" {
            let child = Reader::open_with(Arc::new(place.clone()), "branch-child-a.rvf", Default::default()).unwrap();
            assert_eq!(child.count(), 38);
        }
    }
}

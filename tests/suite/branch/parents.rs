//! Parents that change, move, are exchanged, lose what a branch needs: a branch sees what it saw, or says what is missing.

use super::{Lab, Twin, check, seen};
use rvf_engine::{
    BranchOptions, CompactOptions, Db, Error, OpenOptions, ParentFault, Pinned, ReadMode, ReadOptions, Reader,
    branch_path,
};
use rvf_format::Kind;
use rvf_format::storage::FilePlace;
use std::path::Path;
use std::sync::Arc;

fn lab_of_two() -> (Lab, Twin, Twin) {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    let mut child = base.branch("child.rvf");
    child.put([3, 50], 1);
    child.delete([4]);
    (lab, base, child)
}

fn parent_error(path: &Path) -> Box<rvf_engine::ParentError> {
    match Reader::open(path) {
        Err(Error::Parent(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the branch was opened"),
    }
}

/// Catches a compaction of the parent that drops the commit, moves its rows away, or a branch that follows its parent.
#[test]
fn a_parent_that_goes_on_and_is_compacted() {
    let (_lab, mut base, child) = lab_of_two();
    let mut child = child;
    for round in 0..5 {
        base.put((0..20).step_by(2), round + 1);
        base.delete([round * 3]);
        base.compact();
        child = child.reopen();
        child.check(&format!("after compaction {round}"));
        assert_eq!(base.snapshot().pinned_epochs().unwrap(), [2]);
    }
    (0..70).for_each(|round| base.put([round], round));
    child.put([11], 4);
    child.reopen().check("after more commits than a full manifest needs");
    base.check("the parent");
    let known = base.snapshot().known_branches().unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].epoch, 2);
}

/// Catches a pin that holds after it was released, and an error that does not say which file and which commit are needed.
#[test]
fn a_commit_that_is_released_and_compacted_is_missed() {
    let (_lab, mut base, child) = lab_of_two();
    let needed = child.snapshot().parent_ref().unwrap().unwrap();
    assert!(matches!(base.db.unpin(9), Err(Error::NotPinned { epoch: 9 })));
    assert_eq!(base.db.unpin(2).unwrap(), 1);
    assert_eq!(base.snapshot().pinned_epochs().unwrap(), [0u64; 0]);
    assert_eq!(base.snapshot().known_branches().unwrap(), []);
    Reader::open(&child.path).unwrap();
    base.put([0], 1);
    base.compact();
    // What is open stays open.
    check(&child.snapshot(), &child.held, "still open");
    let path = child.path.clone();
    drop(child);
    let error = parent_error(&path);
    assert!(matches!(&error.why, ParentFault::NoEpoch { path } if *path == base.path), "{error}");
    let text = error.to_string();
    let hex: String = needed.file_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(text.contains(&hex) && text.contains("epoch 2") && text.contains("base.rvf"), "{text}");
    let error = Db::open(&path).err().unwrap();
    assert_eq!((error.exit_code(), error.kind()), (4, "parent_unusable"));
    assert!(!error.hint().is_empty());
    // What the branch holds itself can be looked at all the same.
    let alone = Reader::open_alone(Arc::new(FilePlace), &path, &ReadOptions::default()).unwrap();
    assert_eq!(alone.log(usize::MAX).unwrap().len(), 3);
    let refused = [alone.records().err(), alone.get(&3.into()).err(), alone.search(&[0.0f32, 0.0]).run().err()];
    for error in refused {
        assert!(matches!(error, Some(Error::Parent(_))), "{error:?}");
    }
    assert!(alone.diff(&alone).is_err());
}

/// Catches a second branch of a commit that loses its pin with the first.
#[test]
fn pins_are_of_commits() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    let two = base.held.clone();
    let options = BranchOptions { at: Some(2), ..BranchOptions::default() };
    let mut first = base.branch_with("first.rvf", &options);
    base.put([2], 3);
    let mut second = base.branch_with("second.rvf", &options);
    let mut third = base.branch("third.rvf");
    let epoch = third.snapshot().parent().unwrap().epoch();
    assert_eq!(base.snapshot().pinned_epochs().unwrap(), [2, epoch]);
    base.put([3], 4);
    base.compact();
    first.held = two.clone();
    second.held = two;
    for twin in [&mut first, &mut second, &mut third] {
        twin.put([1], 8);
    }
    for twin in [first, second, third] {
        twin.reopen().check("a branch");
    }
    assert_eq!(base.db.unpin(2).unwrap(), 2);
    assert_eq!(base.snapshot().known_branches().unwrap().len(), 1);
    assert_eq!(base.snapshot().pinned_epochs().unwrap(), [epoch]);
}

/// Catches a parent that is found by its name alone, and one that is not found although it is there.
#[test]
fn parents_that_moved_are_found() {
    let (lab, base, child) = lab_of_two();
    let (path, held) = (child.path.clone(), child.held.clone());
    drop((base, child));
    // Another name in the same folder.
    std::fs::rename(lab.path("base.rvf"), lab.path("renamed.rvf")).unwrap();
    check(&Reader::open(&path).unwrap(), &held, "renamed");
    // Another folder, under either name.
    let elsewhere = lab.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    for name in ["base.rvf", "other.rvf"] {
        std::fs::rename(lab.path("renamed.rvf"), elsewhere.join(name)).unwrap();
        let error = parent_error(&path);
        assert!(matches!(error.why, ParentFault::Missing), "{error}");
        assert_eq!(Error::Parent(error).kind(), "parent_missing");
        let options = ReadOptions { parent_folders: vec![elsewhere.clone()], ..ReadOptions::default() };
        for mode in [ReadMode::Mapped, ReadMode::Verified] {
            let options = ReadOptions { mode, ..options.clone() };
            check(&Reader::open_as(Arc::new(FilePlace), &path, &options).unwrap(), &held, name);
        }
        let options = OpenOptions { parent_folders: vec![elsewhere.clone()], ..OpenOptions::default() };
        let mut db = Db::open_with(Arc::new(FilePlace), &path, &options).unwrap();
        db.compact(&CompactOptions::default()).unwrap();
        drop(db);
        std::fs::rename(elsewhere.join(name), lab.path("renamed.rvf")).unwrap();
    }
    // Both together.
    let together = lab.path("together");
    std::fs::create_dir(&together).unwrap();
    std::fs::rename(lab.path("renamed.rvf"), together.join("base.rvf")).unwrap();
    std::fs::rename(&path, together.join("child.rvf")).unwrap();
    check(&Reader::open(together.join("child.rvf")).unwrap(), &held, "both moved");
}

/// A branch in another folder than its parent: its path is told from the folder of the branch, and the branch is opened from anywhere.
#[test]
fn a_branch_in_another_folder() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    std::fs::create_dir_all(lab.path("a/b")).unwrap();
    let child = lab.path("a/b/child.rvf");
    base.db.branch(&child, &BranchOptions::default()).unwrap();
    let reader = Reader::open(&child).unwrap();
    assert_eq!(reader.parent_ref().unwrap().unwrap().path, "../../base.rvf");
    check(&reader, &base.held, "in another folder");
    #[cfg(unix)]
    {
        // Through a link to it: the parent is looked for from where the file itself is.
        std::os::unix::fs::symlink(&child, lab.path("link.rvf")).unwrap();
        check(&Reader::open(lab.path("link.rvf")).unwrap(), &base.held, "through a link");
    }
}

/// Catches another file that is taken for the parent: another id, the same id with another history, other bytes of the commit.
#[test]
fn no_other_file_is_the_parent() {
    let lab = Lab::new();
    let mut base = lab.base_as("base.rvf", 20, Some([5; 16]));
    let child = base.branch("child.rvf");
    let path = child.path.clone();
    drop((base, child));
    let good = std::fs::read(lab.path("base.rvf")).unwrap();

    drop(lab.base("other.rvf", 20));
    std::fs::rename(lab.path("other.rvf"), lab.path("base.rvf")).unwrap();
    let error = parent_error(&path);
    assert!(matches!(&error.why, ParentFault::OtherFile { path } if path.ends_with("base.rvf")), "{error}");

    // The same id, as many commits and records, other contents.
    std::fs::remove_file(lab.path("base.rvf")).unwrap();
    let mut twin = lab.base_as("base.rvf", 20, Some([5; 16]));
    twin.put([1], 1);
    drop(twin);
    let error = parent_error(&path);
    assert!(matches!(&error.why, ParentFault::Other { what: "root hash", .. }), "{error}");
    assert_eq!(Error::Parent(error).exit_code(), 4);

    std::fs::write(lab.path("base.rvf"), b"no store").unwrap();
    let error = parent_error(&path);
    assert!(matches!(&error.why, ParentFault::Unreadable { .. }), "{error}");
    std::fs::write(lab.path("base.rvf"), &good[..good.len() / 4096 / 2 * 4096]).unwrap();
    parent_error(&path);

    std::fs::write(lab.path("base.rvf"), &good).unwrap();
    Reader::open(&path).unwrap();
    // A good one under another name is found although the recorded name leads to a bad one.
    std::fs::write(lab.path("copy.rvf"), &good).unwrap();
    std::fs::write(lab.path("base.rvf"), b"no store").unwrap();
    Reader::open(&path).unwrap();
}

/// Catches damage of the parent that is told as the branch's, or not at all.
#[test]
fn damage_of_the_parent_is_told_as_its_own() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    base.delete([1]);
    let child = base.branch("child.rvf");
    let path = child.path.clone();
    let places = |kind: Kind| child.snapshot().parent().unwrap().state().of_kind(kind).next().unwrap().offset.get();
    let (journal, vectors) = (places(Kind::JOURNAL) as usize, places(Kind::VEC) as usize);
    drop((base, child));
    let good = std::fs::read(lab.path("base.rvf")).unwrap();
    for at in [journal + 160, vectors + 200] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(lab.path("base.rvf"), &bad).unwrap();
        let verified = Reader::open_verified(&path);
        assert!(matches!(verified, Err(Error::Parent(error)) if matches!(error.why, ParentFault::Unreadable { .. })));
        let reader = Reader::open(&path).unwrap();
        if at < vectors || journal < at {
            let error = reader.records().err().unwrap();
            assert!(matches!(&error, Error::InParent { path, .. } if path.ends_with("base.rvf")), "{error:?}");
            assert_eq!(error.clause().map(rvf_engine::Clause::id), Some("MAN-5"));
            assert_eq!(error.exit_code(), 4);
        }
        // What is copied is held against its hash first.
        let flat = rvf_engine::flatten(
            Arc::new(FilePlace),
            &reader,
            lab.path("flat.rvf"),
            None,
            &OpenOptions::default(),
            &mut |_, _| std::ops::ControlFlow::Continue(()),
        );
        assert!(matches!(&flat, Err(Error::InParent { .. })), "{flat:?}");
        assert!(!lab.path("flat.rvf").exists());
    }
}

/// Catches a branch of a file that another process writes which is refused, or which says that its commit is kept.
#[test]
fn a_parent_that_cannot_be_written() {
    let lab = Lab::new();
    let base = lab.base("base.rvf", 20);
    let options = BranchOptions::default();
    let done = branch_path(Arc::new(FilePlace), &base.path, lab.path("child.rvf"), &options).unwrap();
    assert!(matches!(done.pinned, Pinned::Not(Error::Locked { .. })), "{:?}", done.pinned);
    assert!(!done.pinned.is_kept());
    check(&Reader::open(lab.path("child.rvf")).unwrap(), &base.held, "of a locked parent");
    assert_eq!(base.snapshot().pinned_epochs().unwrap(), [0u64; 0]);
    let (path, held) = (base.path.clone(), base.held.clone());
    drop(base);
    let done = branch_path(Arc::new(FilePlace), &path, lab.path("second.rvf"), &options).unwrap();
    assert!(matches!(done.pinned, Pinned::ByCommit), "{:?}", done.pinned);
    check(&Reader::open(lab.path("second.rvf")).unwrap(), &held, "of a free parent");
    assert_eq!(Reader::open(&path).unwrap().pinned_epochs().unwrap(), [2]);
    // A name that is taken: nothing is pinned.
    let taken = branch_path(Arc::new(FilePlace), &path, lab.path("second.rvf"), &options);
    assert!(matches!(taken, Err(Error::Exists { .. })));
    assert_eq!(Reader::open(&path).unwrap().epoch(), 3);
    let missing = branch_path(Arc::new(FilePlace), lab.path("none.rvf"), lab.path("third.rvf"), &options);
    assert_eq!(missing.err().map(|error| error.kind()), Some("not_found"));
}

/// Catches a reader that mixes two commits of parent and branch, or loses the parent when it moves on.
#[test]
fn a_reader_follows_a_branch_while_both_are_written() {
    let (_lab, mut base, mut child) = lab_of_two();
    let mut reader = Reader::open(&child.path).unwrap();
    for round in 0..12 {
        let before = child.held.clone();
        base.put([round, 60 + round], round);
        match round % 4 {
            3 => base.compact(),
            2 => child.compact(),
            _ => {}
        }
        child.put([round * 2, 80 + round], round);
        assert_eq!(seen(&reader), before, "round {round}, before it refreshes");
        assert!(reader.refresh().unwrap());
        check(&reader, &child.held, &format!("round {round}"));
        assert!(!reader.refresh().unwrap());
    }
    let mut of_base = Reader::open(&base.path).unwrap();
    assert!(!of_base.refresh().unwrap());
    check(&of_base, &base.held, "the parent");
}

/// Catches an error that names the branch itself, or any file of the folder, as the one that lies in the parent's place.
#[test]
fn the_file_in_the_way_is_named() {
    let (lab, base, child) = lab_of_two();
    let path = child.path.clone();
    drop((base, child));
    std::fs::remove_file(lab.path("base.rvf")).unwrap();
    drop(lab.base("bystander.rvf", 1));
    assert!(matches!(parent_error(&path).why, ParentFault::Missing));
    drop(lab.base("base.rvf", 1));
    let error = parent_error(&path);
    let in_the_way = lab.path("base.rvf");
    assert!(matches!(&error.why, ParentFault::OtherFile { path } if *path == in_the_way), "{error}");
}

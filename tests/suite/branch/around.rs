//! What goes on around branches: import and export, the index, threads, frozen parents, flattening.

use super::{Lab, check, check_sound, seen};
use crate::sequences::held::Op;
use rvf_engine::ingest::{ImportOptions, open_source};
use rvf_engine::{
    BranchOptions, CompactOptions, Db, Effort, Error, Id, IdType, IndexOptions, OpenOptions, Pinned, Reader, flatten,
};
use rvf_format::Kind;
use rvf_format::storage::FilePlace;
use std::ops::ControlFlow;
use std::sync::Arc;

const INDEX: IndexOptions = IndexOptions { m: Some(4), ef_construction: Some(32), threads: Some(1), code: None };

/// Catches an export that passes over what is inherited, and an import that takes inherited ids for new ones.
#[test]
fn what_goes_out_of_a_branch_comes_back() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    let mut child = base.branch("child.rvf");
    child.put([3, 50], 1);
    child.delete([4]);
    child.update([5, 50], 77);
    let file = lab.path("out.jsonl");
    let done = child.snapshot().export(&file, None, &mut |_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(done.exported, 20);
    let mut second = base.branch("second.rvf");
    let mut source = open_source(&file, None).unwrap();
    let options = ImportOptions::default();
    let done = second.db.import_from(source.as_mut(), &file, &options, &mut |_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!((done.imported, done.count), (20, 21));
    second.held = child.held.clone();
    second.held.apply(&Op::Put(Id::U64(4), vec![4.0, 0.0], super::number_field(4)));
    second.check("imported");
    assert!(second.db.snapshot().diff(&child.snapshot()).unwrap().deleted == [Id::U64(4)]);
}

/// Catches a branch that builds anew what its parent has, walks to records that it took away, or passes over its own.
#[test]
fn the_index_of_a_branch() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 1500);
    base.db.index(&INDEX, &mut |_, _| ControlFlow::Continue(())).unwrap();
    let mut child = base.branch("child.rvf");
    assert_eq!((child.snapshot().graphs().len(), child.snapshot().indexed()), (1, 1500));
    child.delete((0..300).step_by(3));
    child.put((1..300).step_by(3), 2);
    let near = |twin: &super::Twin| {
        for number in [0.0f32, 150.0, 151.0, 299.5, 1200.0, 2600.0] {
            let search = |effort| {
                let snapshot = twin.snapshot();
                let hits = snapshot.search(&[number, 0.5]).k(5).effort(effort).run().unwrap();
                hits.into_iter().map(|hit| hit.id).collect::<Vec<Id>>()
            };
            assert_eq!(search(Effort::Ef(200)), search(Effort::Exact), "near {number}");
        }
    };
    near(&child);
    child.put(2000..3100, 0);
    let done = child.db.index(&INDEX, &mut |_, _| ControlFlow::Continue(())).unwrap();
    assert!(done.written, "{done:?}");
    let own = child.snapshot().state().of_kind(Kind::INDEX).count();
    assert_eq!(own, 1);
    near(&child);
    child.check("indexed");
    // Most of the parent's graph is dead: all is still found.
    child.delete(300..1400);
    near(&child);
    let mut child = child.reopen();
    child.db.fold(&mut |_, _| ControlFlow::Continue(())).unwrap();
    near(&child);
    child.compact();
    near(&child);
    child.reopen().check("compacted");
    base.check("the parent");
}

/// Catches a group of commits that puts inherited rows into the wrong set.
#[test]
fn threads_share_a_branch() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 200);
    let mut child = base.branch("child.rvf");
    let mut held = std::mem::take(&mut child.held);
    let path = child.path.clone();
    let shared = child.db.into_shared();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let shared = &shared;
            scope.spawn(move || {
                for number in (thread * 50..thread * 50 + 50).step_by(5) {
                    let mut batch = shared.batch();
                    batch.put_with(number, &[number as f32, 9.0], super::number_field(number)).unwrap();
                    batch.put_with(number + 1000, &[number as f32, 8.0], super::number_field(number)).unwrap();
                    batch.delete(number + 1).unwrap();
                    assert_eq!(batch.commit().unwrap().replaced, 1);
                }
            });
        }
    });
    for number in (0..200).step_by(5) {
        held.apply(&Op::Put(Id::U64(number), vec![number as f32, 9.0], super::number_field(number)));
        held.apply(&Op::Put(Id::U64(number + 1000), vec![number as f32, 8.0], super::number_field(number)));
        held.apply(&Op::Delete(Id::U64(number + 1)));
    }
    check(&shared.snapshot(), &held, "shared");
    drop(shared);
    check(&Reader::open(&path).unwrap(), &held, "opened again");
    check_sound(&path);
}

/// Catches a frozen file that takes a commit, and one that takes no branches.
#[test]
fn frozen_files_are_bases() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    let epoch = base.db.freeze().unwrap();
    assert_eq!(base.db.freeze().unwrap(), epoch, "frozen once");
    let bytes = std::fs::read(&base.path).unwrap();
    let mut base = base.reopen();
    assert!(matches!(base.db.add(&[1.0f32, 2.0]), Err(Error::Frozen)));
    assert!(matches!(base.db.delete(&[Id::U64(1)]), Err(Error::Frozen)));
    assert!(matches!(base.db.compact(&CompactOptions::default()), Err(Error::Frozen)));
    assert!(matches!(base.db.unpin(2), Err(Error::Frozen | Error::NotPinned { .. })));
    let done = base.db.branch(lab.path("child.rvf"), &BranchOptions::default()).unwrap();
    assert!(matches!(done.pinned, Pinned::Frozen) && done.pinned.is_kept());
    let mut child = Db::open(lab.path("child.rvf")).unwrap();
    child.delete(&[Id::U64(1)]).unwrap();
    let merged = base.db.merge(&child.snapshot(), &Default::default());
    assert!(matches!(merged, Err(Error::Frozen)));
    child.freeze().unwrap();
    let done = child.branch(lab.path("grandchild.rvf"), &BranchOptions::default()).unwrap();
    assert_eq!((done.count, done.pinned.is_kept()), (19, true));
    assert!(std::fs::read(&base.path).unwrap() == bytes, "a frozen file was written");
    check_sound(&base.path);
    check_sound(&lab.path("grandchild.rvf"));
}

/// Catches a flat file that misses a layer, brings back what was deleted, still needs a parent, or builds anew the largest graph.
#[test]
fn flattening_takes_all_layers() {
    for id_type in [IdType::U64, IdType::Str] {
        let lab = Lab::with(id_type);
        let mut base = lab.base("base.rvf", 1200);
        base.db.index(&INDEX, &mut |_, _| ControlFlow::Continue(())).unwrap();
        let mut child = base.branch("child.rvf");
        child.put([3, 5000, 5001], 1);
        child.delete([5, 6]);
        child.update([7, 5000], 500);
        let mut grandchild = child.branch("grandchild.rvf");
        grandchild.put([8, 5000], 2);
        grandchild.delete([9, 5001]);
        grandchild.update([7, 10, 3], 600);
        let graph = |snapshot: &rvf_engine::Snapshot| snapshot.graphs().first().map(|graph| graph.entry.hash);
        let sources = [("grandchild", &grandchild), ("child", &child), ("base", &base)];
        for (name, twin) in sources {
            let flat = lab.path(&format!("flat-{name}.rvf"));
            let source = twin.snapshot();
            let mut told = 0;
            let options = OpenOptions { manual_index: true, ..OpenOptions::default() };
            let done = flatten(Arc::new(FilePlace), &source, &flat, None, &options, &mut |at, of| {
                told += 1;
                assert!(at <= of);
                ControlFlow::Continue(())
            });
            let done = done.unwrap();
            assert!(told > 0);
            assert_eq!((done.count, done.bytes), (source.count(), std::fs::metadata(&flat).unwrap().len()));
            let reader = Reader::open(&flat).unwrap();
            check(&reader, &twin.held, name);
            assert!(reader.parent().is_none() && reader.parent_ref().unwrap().is_none());
            assert_eq!(reader.epoch(), 1);
            assert_eq!(reader.log(9).unwrap()[0].operation.name(), "flatten");
            assert_eq!(graph(&reader), graph(&base.snapshot()), "the graph of the oldest file");
            assert!(reader.meta().unwrap() == base.snapshot().meta().unwrap());
            check_sound(&flat);
            let again =
                flatten(Arc::new(FilePlace), &source, &flat, None, &options, &mut |_, _| ControlFlow::Continue(()));
            assert!(matches!(again, Err(Error::Exists { .. })));
            // It lives on.
            let mut db = Db::open(&flat).unwrap();
            db.delete(&[twin.id(0)]).unwrap();
            db.compact(&CompactOptions::default()).unwrap();
            let mut held = twin.held.clone();
            held.apply(&Op::Delete(twin.id(0)));
            assert_eq!(seen(&db.snapshot()), held);
            check_sound(&flat);
        }
        let stopped = flatten(
            Arc::new(FilePlace),
            &child.snapshot(),
            lab.path("stopped.rvf"),
            None,
            &OpenOptions::default(),
            &mut |_, _| ControlFlow::Break(()),
        );
        assert!(matches!(stopped, Err(Error::Interrupted)));
        assert!(!lab.path("stopped.rvf").exists());
        assert_eq!(std::fs::read_dir(lab.folder.path()).unwrap().count(), 6, "nothing is left behind");
    }
}

/// Catches a flat file of a view, or of a branch most of whose inherited rows are gone, that holds what was not to be seen.
#[test]
fn flattening_leaves_out_what_is_not_seen() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 400);
    let mut child = base.branch_with("view.rvf", &super::view("number < 20"));
    child.held.records.retain(|id, _| *id < Id::U64(20));
    child.held.fields.retain(|id, _| *id < Id::U64(20));
    child.put([3, 300], 4);
    child.update([7], 9);
    let flat = lab.path("flat.rvf");
    let options = OpenOptions::default();
    let done = flatten(Arc::new(FilePlace), &child.snapshot(), &flat, Some([9; 16]), &options, &mut |_, _| {
        ControlFlow::Continue(())
    });
    assert_eq!(done.unwrap().count, 21);
    let reader = Reader::open(&flat).unwrap();
    check(&reader, &child.held, "a view");
    assert_eq!(reader.root().file_id, [9; 16]);
    let rows: u32 = reader.state().of_kind(Kind::VEC).map(|entry| entry.rows.get()).sum();
    assert!(rows < 50, "{rows} rows: those of mostly dead segments are gathered");
    check_sound(&flat);
}

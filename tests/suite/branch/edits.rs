//! Reading and editing branches: what is inherited, replaced, deleted, changed; views; branches of branches; long ones.

use super::{Lab, Twin, check, check_sound, seen, view};
use crate::sequences::held::{Held, Op};
use rvf_engine::filter::Filter;
use rvf_engine::{BranchOptions, Db, Error, Id, IdType, Reader, Snapshot};
use rvf_format::Kind;
use rvf_tests::oracle::Rng;

/// Every kind of edit of inherited records and of own ones, each in a commit of its own.
fn edit_all(child: &mut Twin) {
    child.put([3, 100, 101], 1);
    child.delete([5]);
    child.update([7, 100], 500);
    child.put([100], 2);
    child.delete([101, 9]);
    child.update([7], 700);
    child.put([5], 3);
}

/// Catches a branch that loses what it inherits, keeps what it took away, writes into its parent, or opens as something else.
#[test]
fn a_branch_and_its_parent_go_their_own_ways() {
    for id_type in [IdType::U64, IdType::Str] {
        let lab = Lab::with(id_type);
        let mut base = lab.base("base.rvf", 20);
        let mut child = base.branch("child.rvf");
        child.check("new");
        assert_eq!(child.snapshot().epoch(), 1);
        edit_all(&mut child);
        child.check("edited");
        base.put([4, 300], 9);
        base.delete([8]);
        base.update([7], 1);
        base.check("the parent");
        let child = child.reopen();
        child.check("opened again");
        let whole = Reader::open_verified(&child.path).unwrap();
        check(&whole, &child.held, "verified");
        assert_eq!(whole.parent().unwrap().epoch(), 2);
    }
}

/// Catches an id or a row number that parent and branch both give: in a branch they go on from where the parent's were.
#[test]
fn ids_go_on_from_the_parents() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    let mut child = base.branch("child.rvf");
    child.db.add(&[0.5f32, 0.5]).unwrap();
    base.db.add(&[0.25f32, 0.25]).unwrap();
    assert_eq!(child.snapshot().get(&Id::U64(20)).unwrap().unwrap().vector, [0.5, 0.5]);
    assert_eq!(base.snapshot().get(&Id::U64(20)).unwrap().unwrap().vector, [0.25, 0.25]);
}

/// Catches filters, searches by filter and sweeps that pass over a change of inherited records or over own ones.
#[test]
fn filters_see_what_a_branch_changed() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    let mut child = base.branch("child.rvf");
    edit_all(&mut child);
    let found = |snapshot: &Snapshot, text: &str| -> Vec<String> {
        let matches = snapshot.matches(&Filter::parse(text).unwrap()).unwrap();
        let hits = snapshot.search(&[0.0f32, 0.0]).filter(&matches).k(50).run().unwrap();
        let mut ids: Vec<String> = hits.iter().map(|hit| hit.id.to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(found(&child.snapshot(), "number >= 100"), ["100", "7"]);
    assert_eq!(found(&child.snapshot(), "number BETWEEN 4 AND 9"), ["4", "5", "6", "8"]);
    assert_eq!(found(&base.snapshot(), "number BETWEEN 4 AND 9"), ["4", "5", "6", "7", "8", "9"]);
    let mut batch = child.db.batch();
    batch.delete_where(&Filter::parse("number > 10").unwrap());
    let done = batch.commit().unwrap();
    assert_eq!(done.deleted, 11, "9 inherited, one with changed metadata, one that is its own");
    child.held.records.retain(|id, _| *id <= Id::U64(10) && *id != Id::U64(7));
    child.held.fields.retain(|id, _| *id <= Id::U64(10) && *id != Id::U64(7));
    child.check("swept");
}

/// Catches a commit of a branch that can no longer be opened as it was, and one that is opened on top of another parent.
#[test]
fn earlier_commits_of_a_branch_are_what_they_were() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    let mut child = base.branch("child.rvf");
    let mut past = vec![child.held.clone()];
    for round in 0..30 {
        match round % 3 {
            0 => child.put([round, round + 50], round + 1),
            1 => child.delete([round - 1, round + 2]),
            _ => child.update([round + 1, 48 + round], round),
        }
        past.push(child.held.clone());
    }
    assert_eq!(child.snapshot().epoch(), 31);
    for (at, held) in past.iter().enumerate() {
        check(&child.snapshot().at_epoch(at as u64 + 1).unwrap(), held, &format!("epoch {}", at + 1));
    }
    assert_eq!(child.snapshot().log(usize::MAX).unwrap().last().unwrap().operation.name(), "branch");
}

/// Catches a branch that goes on from the newest commit although an earlier one was asked for.
#[test]
fn a_branch_of_an_earlier_commit() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    let earlier = base.held.clone();
    base.put([3, 40], 1);
    base.delete([4]);
    let options = BranchOptions { at: Some(2), ..BranchOptions::default() };
    let mut child = base.branch_with("child.rvf", &options);
    child.held = earlier;
    child.check("new");
    edit_all(&mut child);
    base.compact();
    child.reopen().check("after the parent was compacted");
    base.check("the parent");
    let late = BranchOptions { at: Some(99), ..BranchOptions::default() };
    assert!(matches!(base.db.branch(lab.path("late.rvf"), &late), Err(Error::NoEpoch { .. })));
    assert!(!lab.path("late.rvf").exists());
}

/// Catches one layer too few or too many: rows, DELTA and COW_MAP segments of three files that name each other's records.
#[test]
fn a_branch_of_a_branch() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    let mut child = base.branch("child.rvf");
    edit_all(&mut child);
    let mut grandchild = child.branch("grandchild.rvf");
    grandchild.check("new");
    // Records of each file: replaced, deleted, changed; one that the child had deleted.
    grandchild.put([0, 100, 9], 5);
    grandchild.delete([1, 3]);
    grandchild.update([2, 7, 100], 800);
    grandchild.check("edited");
    child.delete([2, 100]);
    child.compact();
    base.delete([6]);
    base.compact();
    child.reopen().check("the child");
    let mut grandchild = grandchild.reopen();
    grandchild.check("after both parents were compacted");
    grandchild.compact();
    grandchild.reopen().check("compacted");
}

/// Catches a lineage without a bound, and one that ends before it.
#[test]
fn a_lineage_has_sixty_four_parents_at_most() {
    let lab = Lab::new();
    let mut last = lab.base("0.rvf", 5);
    for depth in 1..=64u64 {
        let mut child = last.branch(&format!("{depth}.rvf"));
        child.put([depth + 100], depth);
        child.delete([depth + 98]);
        last = child;
    }
    last.check("at the end");
    assert_eq!(last.held.records.len(), 5 + 2);
    assert!(matches!(last.db.branch(lab.path("65.rvf"), &BranchOptions::default()), Err(Error::TooDeep)));
    assert!(!lab.path("65.rvf").exists());
}

/// Catches a view that sees what it should not, or misses what it should see: both forms of the set, and views of views.
#[test]
fn views_see_what_their_filter_finds() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    base.delete([19]);
    for (name, filter, is_in) in [
        ("few.rvf", "number < 5", (|n| n < 5) as fn(u64) -> bool),
        ("most.rvf", "number >= 4", |n| n >= 4),
        ("none.rvf", "number > 1000", |_| false),
        ("all.rvf", "number >= 0", |_| true),
    ] {
        let mut child = base.branch_with(name, &view(filter));
        let keep = |held: &mut Held| {
            held.records.retain(|id, _| matches!(id, Id::U64(n) if is_in(*n)));
            held.fields.retain(|id, _| matches!(id, Id::U64(n) if is_in(*n)));
        };
        keep(&mut child.held);
        child.check(name);
        // Of the view, from outside it, new.
        child.put([4, 10, 77], 1);
        child.delete([3, 11]);
        child.update([2, 12], 5);
        child.check(name);
        let expected = child.held.records.contains_key(&Id::U64(4)).then_some(());
        let mut narrower = child.branch_with(&format!("{name}-again.rvf"), &view("number >= 4 AND number < 11"));
        let in_view = |held: &Held, id: &Id| {
            let field = held.fields.get(id).and_then(|fields| fields.get("number"));
            matches!(field, Some(rvf_engine::Value::I64(n)) if (4..11).contains(n))
        };
        let all = child.held.clone();
        narrower.held.records.retain(|id, _| in_view(&all, id));
        narrower.held.fields.retain(|id, _| in_view(&all, id));
        assert!(expected.is_some() && !narrower.held.records.is_empty());
        narrower.check(&format!("{name}, again"));
        let mut child = child.reopen();
        child.compact();
        child.compact();
        child.reopen().check(&format!("{name}, compacted"));
    }
    let misspelt = base.db.branch(lab.path("misspelt.rvf"), &view("nummer < 5"));
    assert!(matches!(misspelt, Err(Error::UnknownField(_))));
    assert!(!lab.path("misspelt.rvf").exists());
}

/// Catches a compaction that brings back what a branch took away, writes what is inherited, or loses the parent.
#[test]
fn compacting_a_branch_leaves_what_it_is() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 400);
    let mut child = base.branch("child.rvf");
    edit_all(&mut child);
    for round in 0..20 {
        child.put((round..380).step_by(19), round);
    }
    let before = std::fs::metadata(&child.path).unwrap().len();
    child.compact();
    child.check("compacted");
    let compact = std::fs::metadata(&child.path).unwrap().len();
    assert!(compact < before, "{compact} of {before} bytes");
    let parent = child.snapshot().parent_ref().unwrap().unwrap();
    child.put([2], 99);
    child.update([3, 399], 99);
    child.compact();
    let child = child.reopen();
    child.check("compacted again");
    assert_eq!(child.snapshot().parent_ref().unwrap().unwrap(), parent);
    let rows: u32 = child.snapshot().state().of_kind(Kind::VEC).map(|entry| entry.rows.get()).sum();
    assert!(rows <= 400, "{rows} rows of its own");
    base.check("the parent");
}

/// Enough commits for full manifests, which merge rows, COW_MAP, JOURNAL and DELTA segments: what is gone stays gone, and they stay few.
#[test]
fn long_branches_lose_and_revive_nothing() {
    for (id_type, seed) in [(IdType::U64, 1), (IdType::Str, 2)] {
        let lab = Lab::with(id_type);
        let mut base = lab.base("base.rvf", 60);
        let mut child = base.branch("child.rvf");
        let past = live_long(&mut child, seed);
        for (epoch, held) in past {
            assert_eq!(seen(&child.snapshot().at_epoch(epoch).unwrap()), held, "{id_type:?}, epoch {epoch}");
        }
        let live = child.snapshot().state().live.len();
        assert!(live < 160, "{live} live segments");
        child.reopen().check("opened again");
        base.check("the parent");
    }
}

/// The same with compactions and graphs as they come.
#[test]
fn a_branch_is_compacted_by_itself() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 60);
    let mut child = base.branch("child.rvf");
    drop(std::mem::replace(&mut child.db, Db::create(lab.path("none.rvf"), &super::schema(IdType::U64)).unwrap()));
    child.db = Db::open(&child.path).unwrap();
    live_long(&mut child, 3);
    assert!(child.snapshot().log(usize::MAX).unwrap().iter().any(|entry| entry.automatic));
    child.reopen().check("opened again");
    base.check("the parent");
}

/// Edits at random; some of the commits, and what they hold.
fn live_long(child: &mut Twin, seed: u64) -> Vec<(u64, Held)> {
    let mut rng = Rng(seed);
    let mut past = vec![(1, child.held.clone())];
    for round in 0..240 {
        let number = rng.below(90);
        match rng.below(4) {
            0 => child.delete([number, number + 1]),
            1 => child.update([number, number + 7], round),
            _ => child.put([number], round),
        }
        if round % 10 == 0 {
            check(&child.snapshot(), &child.held, &format!("round {round}"));
            past.push((child.snapshot().epoch(), child.held.clone()));
        }
    }
    assert!(child.snapshot().epoch() > 200);
    past
}

/// Catches a merge of segments, or a compaction, that forgets what a later child of the branch goes on from.
#[test]
fn a_long_branch_with_a_branch_of_its_own() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 30);
    let mut child = base.branch("child.rvf");
    (0..40).for_each(|round| child.put([round % 33], round));
    let mut grandchild = child.branch("grandchild.rvf");
    (0..70).for_each(|round| grandchild.put([round % 36, round % 50], round + 100));
    (0..70).for_each(|round| child.delete([round % 33]));
    child.compact();
    child.check("the child");
    let mut grandchild = grandchild.reopen();
    grandchild.check("the grandchild");
    grandchild.compact();
    grandchild.check("compacted");
}

/// Catches a batch that counts inherited records as new or missing.
#[test]
fn a_commit_of_a_branch_says_what_it_did() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 10);
    let mut child = base.branch("child.rvf");
    let ops =
        [Op::Put(Id::U64(2), vec![1.0, 1.0], Default::default()), Op::Delete(Id::U64(3)), Op::Delete(Id::U64(44))];
    let mut batch = child.db.batch();
    batch.put(2, &[1.0f32, 1.0]).unwrap();
    batch.delete(3).unwrap();
    batch.delete(44).unwrap();
    batch.update(5, [("number", 9.into())]).unwrap();
    let done = batch.commit().unwrap();
    assert_eq!((done.accepted, done.replaced, done.deleted, done.missing, done.updated), (1, 1, 1, 1, 1));
    for op in ops {
        child.held.apply(&op);
    }
    child.held.apply(&Op::Update(Id::U64(5), super::number_field(9)));
    child.check("after it");
    // What is not there any more cannot be deleted again.
    assert_eq!(child.db.delete(&[Id::U64(3)]).unwrap().missing, 1);
    check_sound(&child.path);
}

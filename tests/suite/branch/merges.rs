//! Merging: both directions, conflicts and decisions, again and again, siblings, views, copies of one file.

use super::{Lab, Twin, seen, view};
use crate::sequences::held::Op;
use rvf_engine::{
    BranchOptions, Change, Conflict, Decision, Error, Id, IdType, Merged, Metadata, Resolve, Side, Snapshot, Value,
};
use std::collections::BTreeMap;

impl Twin {
    fn merge(&mut self, theirs: &Snapshot, resolve: &Resolve) -> Merged {
        let epoch = self.snapshot().epoch();
        let done = self.db.merge(theirs, resolve).unwrap();
        assert_eq!(done.epoch, self.snapshot().epoch());
        assert!(done.epoch <= epoch + 1, "one commit at most");
        if !done.conflicts.is_empty() {
            assert_eq!((done.epoch, done.merged), (epoch, 0), "nothing is merged beside conflicts");
        }
        done
    }

    /// A merge without conflicts; how many records it changed.
    fn takes(&mut self, theirs: &Twin) -> u64 {
        let done = self.merge(&theirs.snapshot(), &Resolve::default());
        assert_eq!((done.conflicts, done.resolved), (Vec::new(), 0));
        done.merged
    }

    /// What another store should hold is what this one should.
    fn becomes(&mut self, other: &Twin) {
        self.held = other.held.clone();
    }

    fn hold(&mut self, ops: &[Op]) {
        for op in ops {
            self.held.apply(op);
        }
    }
}

fn of(side: Side) -> Resolve {
    Resolve { otherwise: Some(side), ..Resolve::default() }
}

fn put(number: u64, round: u64) -> Op {
    Op::Put(Id::U64(number), vec![number as f32, round as f32 * 0.25], super::number_field(number))
}

fn two() -> (Lab, Twin, Twin) {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    let child = base.branch("child.rvf");
    (lab, base, child)
}

/// Catches a merge that takes too little, too much, or twice.
#[test]
fn a_parent_that_did_nothing_becomes_its_child() {
    for id_type in [IdType::U64, IdType::Str] {
        let lab = Lab::with(id_type);
        let mut base = lab.base("base.rvf", 20);
        let mut child = base.branch("child.rvf");
        child.put([3, 50], 1);
        child.delete([4]);
        child.update([5, 6], 60);
        let rows = base.snapshot().root().next_row.get();
        assert_eq!(base.takes(&child), 5);
        base.becomes(&child);
        base.check("merged");
        assert_eq!(base.snapshot().root().next_row.get(), rows + 2, "changes of metadata write no rows");
        let log = base.snapshot().log(1).unwrap();
        assert_eq!(log[0].operation.name(), "merge");
        let epoch = base.snapshot().epoch();
        assert_eq!(base.takes(&child), 0);
        assert_eq!(child.takes(&base), 0);
        assert_eq!(base.snapshot().epoch(), epoch, "nothing to do writes nothing");
        child.put([3], 2);
        child.delete([50]);
        assert_eq!(base.takes(&child), 2);
        base.becomes(&child);
        base.reopen().check("merged again");
        child.reopen().check("the child");
    }
}

/// Catches a merge by whole records where vector and metadata were changed on either side, or that loses what only ours did.
#[test]
fn changes_of_both_sides_are_kept() {
    let (_lab, mut base, mut child) = two();
    child.put([100, 1], 1);
    child.delete([2]);
    child.update([3], 30);
    base.put([200, 11], 2);
    base.delete([12]);
    base.update([13], 40);
    // The vector of a record on one side, its metadata on the other.
    child.apply(&[Op::Put(Id::U64(7), vec![0.5, 0.5], super::number_field(7))]);
    base.update([7], 70);
    base.apply(&[Op::Put(Id::U64(8), vec![0.75, 0.5], super::number_field(8))]);
    child.update([8], 80);
    // Both did the same.
    base.put([9], 3);
    child.put([9], 3);
    base.delete([10]);
    child.delete([10]);
    assert_eq!(base.takes(&child), 6);
    base.hold(&[put(100, 1), put(1, 1), Op::Delete(Id::U64(2)), Op::Update(Id::U64(3), super::number_field(30))]);
    base.hold(&[
        Op::Put(Id::U64(7), vec![0.5, 0.5], super::number_field(70)),
        Op::Update(Id::U64(8), super::number_field(80)),
    ]);
    base.check("merged");
    assert_eq!(child.takes(&base), 6, "200, 11, 12, 13, the metadata of 7, the vector of 8");
    child.becomes(&base);
    child.check("merged into the child");
}

/// Every pair of changes that do not agree is a conflict, named as what it is; nothing is merged until each has an answer.
#[test]
fn conflicts_stop_a_merge() {
    let (_lab, mut base, mut child) = two();
    base.put([100, 1], 1);
    child.put([100, 1], 2);
    base.delete([2]);
    child.update([2], 20);
    base.update([3], 30);
    child.delete([3]);
    base.update([4], 40);
    child.update([4], 41);
    child.put([5], 5);
    let done = base.merge(&child.snapshot(), &Resolve::default());
    let conflict = |id, ours, theirs| Conflict { id: Id::U64(id), ours, theirs };
    let expected = [
        conflict(1, Change::Changed, Change::Changed),
        conflict(2, Change::Deleted, Change::Changed),
        conflict(3, Change::Changed, Change::Deleted),
        conflict(4, Change::Changed, Change::Changed),
        conflict(100, Change::Added, Change::Added),
    ];
    assert_eq!(done.conflicts, expected);
    base.check("nothing was merged");

    // Some decided, the rest left open.
    let mut decisions = BTreeMap::from([(Id::U64(1), Decision::Take(Side::Theirs))]);
    // A record that one side deleted cannot be kept twice.
    decisions.insert(Id::U64(2), Decision::Renumber);
    let some = Resolve { decisions, ..Resolve::default() };
    let open: Vec<Id> =
        base.merge(&child.snapshot(), &some).conflicts.into_iter().map(|conflict| conflict.id).collect();
    assert_eq!(open, [2, 3, 4, 100].map(Id::U64));
    base.check("nothing was merged");
}

/// Catches a decision that is taken for the other side, or for another record.
#[test]
fn decisions_are_followed() {
    let (_lab, mut base, mut child) = two();
    for number in [1, 2, 3] {
        base.put([number], 1);
        child.put([number], 2);
    }
    base.delete([4, 5]);
    child.put([4, 5], 2);
    base.put([6, 7], 1);
    child.delete([6, 7]);
    base.put([100, 101], 1);
    child.put([100, 101], 2);
    let take = |numbers: &[u64], decision| numbers.iter().map(move |n| (Id::U64(*n), decision)).collect::<Vec<_>>();
    let mut decisions = take(&[1, 4, 6], Decision::Take(Side::Theirs));
    decisions.extend(take(&[2, 5, 7], Decision::Take(Side::Ours)));
    decisions.extend(take(&[100], Decision::Renumber));
    let resolve =
        Resolve { decisions: decisions.into_iter().collect(), renumber: false, otherwise: Some(Side::Theirs) };
    let done = base.merge(&child.snapshot(), &resolve);
    assert_eq!((done.resolved, done.conflicts.len()), (9, 0));
    assert_eq!(done.renumbered, [(Id::U64(100), Id::U64(102))]);
    base.hold(&[put(1, 2), put(3, 2), put(4, 2), Op::Delete(Id::U64(6)), put(101, 2)]);
    base.hold(&[Op::Put(Id::U64(102), vec![100.0, 0.5], super::number_field(100))]);
    base.check("decided");
    assert_eq!(base.snapshot().root().next_id.get(), 103);
    // What was decided is: nothing is asked again.
    assert_eq!(base.takes(&child), 0);
    base.check("decided once");
}

/// Catches a merge in which ours was taken throughout that is forgotten: the same conflicts would stop the next one.
#[test]
fn taking_ours_is_remembered() {
    let (_lab, mut base, mut child) = two();
    base.put([1], 1);
    child.put([1], 2);
    let done = base.merge(&child.snapshot(), &of(Side::Ours));
    assert_eq!((done.resolved, done.merged), (1, 0));
    base.check("ours");
    assert_eq!(base.takes(&child), 0);
    child.put([2], 2);
    assert_eq!(base.takes(&child), 1);
    base.hold(&[put(2, 2)]);
    base.check("and what came later");
}

/// Catches a merge of two sides that did the same which is forgotten: what one of them does later would be a conflict.
#[test]
fn agreeing_is_remembered() {
    let (_lab, mut base, mut child) = two();
    base.put([1], 1);
    child.put([1], 1);
    assert_eq!(base.takes(&child), 0);
    child.put([1], 2);
    assert_eq!(base.takes(&child), 1);
    base.hold(&[put(1, 2)]);
    base.check("theirs alone");
}

/// Catches a new id that either side ever gave.
#[test]
fn records_that_both_added_are_renumbered() {
    let (_lab, mut base, mut child) = two();
    for twin in [&mut base, &mut child] {
        twin.db.add(&[0.5f32, 0.5, 0.25, 0.25]).unwrap();
        twin.held.records.extend([(Id::U64(20), vec![0.5, 0.5]), (Id::U64(21), vec![0.25, 0.25])]);
    }
    child.put([20, 21, 22], 7);
    base.put([20], 8);
    child.put([5000], 1);
    child.delete([5000]);
    let resolve = Resolve { renumber: true, ..Resolve::default() };
    let done = base.merge(&child.snapshot(), &resolve);
    assert_eq!(done.renumbered, [(Id::U64(20), Id::U64(5001)), (Id::U64(21), Id::U64(5002))]);
    let moved = |from: u64, to: u64| Op::Put(Id::U64(to), vec![from as f32, 1.75], super::number_field(from));
    base.hold(&[put(22, 7), moved(20, 5001), moved(21, 5002)]);
    base.check("renumbered");
    // The two are records of their own by now.
    assert_eq!(base.takes(&child), 0);

    let lab = Lab::with(IdType::Str);
    let mut base = lab.base("base.rvf", 5);
    let child = base.branch("child.rvf");
    assert!(matches!(base.db.merge(&child.snapshot(), &resolve), Err(Error::NoRenumber)));
}

/// Merges to and fro, and across: each finds what the other had merged by then.
#[test]
fn merges_to_and_fro() {
    let (_lab, mut base, mut child) = two();
    for round in 1..12 {
        child.put([1, 100 + round], round);
        base.put([2, 200 + round], round);
        base.takes(&child);
        base.hold(&[put(1, round), put(100 + round, round)]);
        base.check("into the parent");
        child.takes(&base);
        child.becomes(&base);
        child.check("into the child");
    }
}

/// Both sides merge the same earlier commits of each other: there are two commits to go back to.
#[test]
fn merges_that_cross() {
    let (_lab, mut base, mut child) = two();
    child.put([1], 1);
    base.put([2], 1);
    let (of_base, of_child) = (base.snapshot(), child.snapshot());
    base.merge(&of_child, &Resolve::default());
    child.merge(&of_base, &Resolve::default());
    base.hold(&[put(1, 1)]);
    child.becomes(&base);
    base.check("crossed");
    child.check("crossed");
    assert_eq!((base.takes(&child), child.takes(&base)), (0, 0));
    child.put([1], 2);
    child.delete([3]);
    base.put([2], 2);
    base.takes(&child);
    base.hold(&[put(1, 2), Op::Delete(Id::U64(3))]);
    base.check("after it");
    child.takes(&base);
    child.becomes(&base);
    child.check("after it");
}

/// Catches siblings that are told apart by nothing but what they share with their parent now.
#[test]
fn siblings_merge() {
    let (_lab, mut base, mut a) = two();
    base.put([15], 3);
    let mut b = base.branch("b.rvf");
    a.put([1, 100], 1);
    a.delete([2]);
    b.put([5, 200], 2);
    b.delete([6]);
    b.update([7], 9);
    // What the parent did before B was made is a change of B's side as well.
    assert_eq!(a.takes(&b), 5);
    a.hold(&[put(15, 3), put(5, 2), put(200, 2), Op::Delete(Id::U64(6))]);
    a.hold(&[Op::Update(Id::U64(7), super::number_field(9))]);
    a.check("siblings");
    assert_eq!(base.takes(&b), 4);
    assert_eq!(base.takes(&a), 3, "what came by B is known");
    base.becomes(&a);
    base.check("the parent of both");
    assert_eq!(b.takes(&base), 3);
    b.becomes(&base);
    b.check("the other one");
    // A grandchild brings its parent's changes along.
    let mut grandchild = a.branch("grandchild.rvf");
    grandchild.put([300], 4);
    a.put([301], 4);
    assert_eq!(base.takes(&grandchild), 1);
    base.hold(&[put(300, 4)]);
    base.check("a grandchild");
}

/// Catches a branch that forgets what had been merged into its parent: what the parent changed since would be a conflict.
#[test]
fn a_branch_knows_what_its_parent_merged() {
    let (_lab, mut base, mut a) = two();
    a.put([1], 1);
    base.takes(&a);
    base.put([1], 2);
    base.held = seen(&base.snapshot());
    let mut b = base.branch("b.rvf");
    a.put([2], 3);
    assert_eq!(b.takes(&a), 1);
    b.hold(&[put(2, 3)]);
    b.check("what is new of the sibling");
}

/// Catches a view whose merge deletes what it never saw, and one whose deletions are not merged.
#[test]
fn a_view_changes_what_it_sees() {
    for filter in ["number < 5", "number < 15"] {
        let lab = Lab::new();
        let mut base = lab.base("base.rvf", 20);
        let mut child = base.branch_with("view.rvf", &view(filter));
        child.held = seen(&child.snapshot());
        child.put([1, 50], 1);
        child.delete([2]);
        child.update([3], 30);
        assert_eq!(base.takes(&child), 4);
        base.hold(&[put(1, 1), put(50, 1), Op::Delete(Id::U64(2)), Op::Update(Id::U64(3), super::number_field(30))]);
        base.check(filter);
        let narrower = child.branch_with("narrower.rvf", &view("number < 2"));
        assert_eq!(base.takes(&narrower), 0, "a view of a view");
        base.check(filter);
        stays_outside(&mut base, &mut child);
    }
    // The same where the common ancestor is the parent's commit rather than one of the view.
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    let mut child = base.branch_with("view.rvf", &view("number < 5"));
    child.held = seen(&child.snapshot());
    stays_outside(&mut base, &mut child);
}

/// Records outside a view stay there whatever the parent does to them; new ones, and one that the view has by now, come in.
fn stays_outside(base: &mut Twin, child: &mut Twin) {
    child.put([16], 1);
    base.put([4, 18, 60], 2);
    base.update([0, 17], 99);
    base.delete([19]);
    assert_eq!(child.takes(base), 3);
    child.hold(&[put(4, 2), put(60, 2), Op::Update(Id::U64(0), super::number_field(99))]);
    child.check("a view");
    assert_eq!(child.takes(base), 0);
}

/// Catches a record from outside a view that the view replaced, and that its parent deleted: it comes back.
#[test]
fn a_view_replaces_what_its_parent_deleted() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    let mut child = base.branch_with("view.rvf", &view("number < 5"));
    child.held = seen(&child.snapshot());
    child.put([1], 1);
    base.takes(&child);
    base.hold(&[put(1, 1)]);
    base.delete([16]);
    child.put([16], 2);
    assert_eq!(base.takes(&child), 1);
    base.hold(&[put(16, 2)]);
    base.check("replaced");
}

/// A file that was copied, and whose copies went on: one id, two histories.
#[test]
fn copies_of_a_file_merge() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    base.put([1], 1);
    std::fs::copy(lab.path("base.rvf"), lab.path("copy.rvf")).unwrap();
    let mut copy = Twin { path: lab.path("copy.rvf"), db: super::open(&lab.path("copy.rvf")), held: base.held.clone() };
    base.put([2, 100], 2);
    copy.put([3, 200], 3);
    copy.delete([4]);
    copy.put([201], 3);
    assert_eq!(base.takes(&copy), 4);
    base.hold(&[put(3, 3), put(200, 3), put(201, 3), Op::Delete(Id::U64(4))]);
    base.check("copies");
    assert!(matches!(lab.base("other.rvf", 3).db.merge(&base.snapshot(), &Resolve::default()), Err(Error::NotRelated)));
    // A branch of the copy, made where the two were one.
    let at = BranchOptions { at: Some(3), ..BranchOptions::default() };
    let mut child = copy.branch_with("child.rvf", &at);
    child.held = seen(&child.snapshot());
    child.put([9], 9);
    assert_eq!(base.takes(&child), 1);
    base.hold(&[put(9, 9)]);
    base.check("a branch of the copy");
}

/// Catches a merge that writes a field of another type, or half of one.
#[test]
fn a_field_of_another_type_is_refused() {
    let (_lab, mut base, mut child) = two();
    let other = Metadata::from([("number".to_owned(), Value::Str("text".to_owned()))]);
    base.apply(&[Op::Put(Id::U64(1000), vec![0.5, 0.5], Metadata::from([("new".to_owned(), Value::I64(1))]))]);
    let more = Metadata::from([("new".to_owned(), Value::Str("text".to_owned()))]);
    child.apply(&[Op::Put(Id::U64(1001), vec![0.5, 0.5], more)]);
    let refused = base.db.merge(&child.snapshot(), &Resolve::default());
    assert!(matches!(refused, Err(Error::Field { .. })), "{refused:?}");
    base.check("refused");
    let mut batch = child.db.batch();
    let put = batch.put_with(5, &[0.5f32, 0.5], other).and_then(|()| batch.commit().map(drop));
    assert!(matches!(put, Err(Error::Field { .. })), "a branch has the fields of its parent");
    child.check("refused");
}

/// Catches a comparison that follows one of the two only, and one that compares what it should not.
#[test]
fn what_differs() {
    let (lab, mut base, mut child) = two();
    child.put([1, 100], 1);
    child.delete([2]);
    child.update([3], 30);
    base.delete([5]);
    let diff = base.snapshot().diff(&child.snapshot()).unwrap();
    assert_eq!((diff.added, diff.deleted), (vec![Id::U64(5), Id::U64(100)], vec![Id::U64(2)]));
    let changed: Vec<(Id, bool, bool)> =
        diff.changed.into_iter().map(|changed| (changed.id, changed.vector, changed.metadata)).collect();
    assert_eq!(changed, [(Id::U64(1), true, false), (Id::U64(3), false, true)]);
    assert!(child.snapshot().diff(&child.snapshot().at_epoch(4).unwrap()).unwrap().is_empty());
    // Segments that were written anew are no difference.
    let before = child.snapshot();
    child.compact();
    assert!(before.diff(&child.snapshot()).unwrap().is_empty());
    child.update([3], 3);
    let back = before.diff(&child.snapshot()).unwrap();
    assert_eq!((back.changed.len(), back.added.len(), back.deleted.len()), (1, 0, 0));
    let other = lab.base("other.rvf", 1);
    assert!(matches!(other.snapshot().diff(&base.snapshot()), Err(Error::NotRelated)));
}

/// Catches a view that silently replaces a record of its parent which it never saw.
#[test]
fn a_view_gives_out_an_id_that_is_taken() {
    let lab = Lab::new();
    let mut base = lab.base("base.rvf", 20);
    let mut child = base.branch_with("child.rvf", &view("number < 5"));
    let mut batch = child.db.batch();
    batch.put(10, &[9.0f32, 9.0]).unwrap();
    batch.commit().unwrap();
    let theirs = child.snapshot();
    let done = base.merge(&theirs, &Resolve::default());
    assert_eq!(done.conflicts, [Conflict { id: Id::U64(10), ours: Change::Added, theirs: Change::Added }]);
    base.check("the record is as it was");
    let done = base.merge(&theirs, &Resolve { renumber: true, ..Resolve::default() });
    assert_eq!(done.renumbered, [(Id::U64(10), Id::U64(20))]);
    base.hold(&[Op::Put(Id::U64(20), vec![9.0, 9.0], Metadata::new())]);
    base.check("both are there");
}

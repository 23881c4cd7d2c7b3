//! What verification says of branches and of their parents, part by part: BRN-1, BRN-2, COW-1, REF-1 and the clauses that branches widen.

use rvf_engine::{Kind, Metric, Schema};
use rvf_format::Clause;
use rvf_format::build::Draft;
use rvf_format::lineage::{FACT_BRANCH, FACT_MERGED, Merged, encode_merged};
use rvf_format::payload::refcount::{self, BranchEntry};
use rvf_format::payload::{cow, journal};
use rvf_format::verify::verify;
use rvf_tests::corrupt_branch::{FIRST_ROW, branch, finish, parent, rows};
use rvf_tests::hand::Hand;
use std::collections::BTreeSet;

type Drafts = Vec<Draft<'static>>;
/// A change of a sound file before its commit.
type Change = fn(&mut Hand, &mut Drafts);
/// What is changed, how, and what verification finds.
type Case = (&'static str, Change, Option<Clause>);

fn found(bytes: Vec<u8>) -> BTreeSet<Clause> {
    let report = verify(&bytes.into(), &mut |_, _| {}).unwrap();
    report.findings.iter().map(|finding| finding.clause).collect()
}

fn check(sound: fn() -> (Hand, Drafts), cases: &[Case]) {
    let mut wrong = Vec::new();
    for (name, change, expected) in cases {
        let (mut hand, mut drafts) = sound();
        change(&mut hand, &mut drafts);
        let found = found(finish(hand, &drafts));
        if found != expected.iter().copied().collect() {
            wrong.push(format!("{name}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn merge_parent(id: u8) -> Vec<u8> {
    encode_merged(&[Merged { file_id: [id; 16], epoch: 2, state_hash: [1; 32] }])
}

#[test]
fn branches_are_judged_without_their_parents() {
    let cases: [Case; 19] = [
        ("nothing", |_, _| (), None),
        ("no fact", |hand, _| drop(hand.facts.remove(&FACT_BRANCH)), Some(Clause::Brn1)),
        ("no feature bit", |hand, _| hand.root.features_incompatible.set(0), Some(Clause::Brn1)),
        ("a reserved field of the root", |hand, _| hand.root.reserved_e[0] = 1, Some(Clause::Root4)),
        (
            "next row below the first",
            |hand, drafts| {
                hand.root.next_row.set(FIRST_ROW - 1);
                drafts.retain(|draft| draft.kind == Kind::COW_MAP);
            },
            Some(Clause::Brn2),
        ),
        ("inherited rows in a VEC", |_, drafts| drafts[0] = rows(FIRST_ROW - 1), Some(Clause::Brn2)),
        ("the next row is hidden", |_, drafts| drafts[1] = cow::cow_map(&[3, FIRST_ROW]), Some(Clause::Brn2)),
        ("the next row is left out", |_, drafts| drafts[2] = cow::membership(false, &[FIRST_ROW]), Some(Clause::Brn2)),
        ("an inherited row is dead", |_, drafts| drafts[3] = dead([FIRST_ROW - 1, FIRST_ROW]), Some(Clause::Brn2)),
        ("the first own row is dead", |_, drafts| drafts[3] = dead([FIRST_ROW]), None),
        ("two MEMBERSHIPs", |_, drafts| drafts.push(cow::membership(true, &[1])), Some(Clause::Brn2)),
        ("two COW_MAPs", |_, drafts| drafts.push(cow::cow_map(&[3])), None),
        ("an empty COW_MAP", |_, drafts| drafts[1] = cow::cow_map(&[]), Some(Clause::Cow1)),
        ("no row is inherited", |_, drafts| drafts[2] = cow::membership(true, &[]), None),
        ("a third form", |_, drafts| drafts[2].form = 3, Some(Clause::Pay1)),
        ("no rows", |_, drafts| drafts[1] = Draft::new(Kind::COW_MAP, 1), Some(Clause::Pay6)),
        ("fewer live than own rows", |hand, _| hand.root.live_count.set(2), Some(Clause::Root7)),
        ("own rows alone are live", |hand, _| hand.root.live_count.set(3), None),
        ("one id twice", |_, drafts| drafts.push(rows(FIRST_ROW + 4)), Some(Clause::Vec5)),
    ];
    check(
        || {
            let (mut hand, drafts) = branch();
            // Room for a second VEC segment.
            hand.root.next_row.set(FIRST_ROW + 8);
            (hand, drafts)
        },
        &cases,
    );
}

#[test]
fn parents_and_files_without_branches_are_judged() {
    let cases: [Case; 10] = [
        ("nothing", |_, _| (), None),
        ("a COW_MAP", |_, drafts| drafts.push(cow::cow_map(&[3])), Some(Clause::Brn2)),
        ("a MEMBERSHIP", |_, drafts| drafts.push(cow::membership(true, &[3])), Some(Clause::Brn2)),
        (
            "a COW_MAP of another space",
            |_, drafts| {
                drafts.push(cow::cow_map(&[3]));
                drafts[1].space = 1;
            },
            None,
        ),
        ("a hash of a parent", |hand, _| hand.root.parent_hash[31] = 1, Some(Clause::Brn1)),
        ("an epoch that is not pinned", |_, drafts| drafts.push(branches(&[(2, 1)])), Some(Clause::Ref1)),
        ("one branch twice", |_, drafts| drafts.push(branches(&[(1, 1), (1, 1)])), Some(Clause::Ref1)),
        ("a file merged", |hand, _| drop(hand.facts.insert(FACT_MERGED, merge_parent(2))), None),
        (
            "a file merged twice",
            |hand, _| drop(hand.facts.insert(FACT_MERGED, merge_parent(2).repeat(2))),
            Some(Clause::Man9),
        ),
        ("half a fact", |hand, _| drop(hand.facts.insert(FACT_MERGED, vec![0; 32])), Some(Clause::Man9)),
    ];
    check(parent, &cases);
}

fn dead<const N: usize>(rows: [u64; N]) -> Draft<'static> {
    journal::draft(&journal::words_of(rows)).into_owned()
}

fn branches(of: &[(u64, u8)]) -> Draft<'static> {
    let entries: Vec<BranchEntry> = of.iter().map(|(epoch, id)| BranchEntry::new(*epoch, [*id; 16])).collect();
    refcount::draft(&entries).into_owned()
}

/// A file keeps its parent from root to root; earlier commits are judged like the newest.
#[test]
fn the_parent_never_changes() {
    let second = |change: fn(&mut Hand)| {
        let (mut hand, drafts) = branch();
        hand.commit(&drafts);
        change(&mut hand);
        found(finish(hand, &[]))
    };
    assert_eq!(second(|_| ()), BTreeSet::new());
    let changes: [fn(&mut Hand); 4] = [
        |hand| hand.root.parent_epoch.set(4),
        |hand| hand.root.parent_id[0] = 1,
        |hand| hand.root.parent_hash[0] = 1,
        |hand| hand.root.lineage_depth.set(2),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert_eq!(second(change), BTreeSet::from([Clause::Root8]), "change {index}");
    }
    let mut hand = Hand::new(&Schema::new(4, Metric::L2), [0xB0; 16]);
    hand.facts = branch().0.facts;
    hand.commit(&[]);
    hand.facts.clear();
    assert_eq!(
        found(finish(hand, &[])),
        BTreeSet::from([Clause::Brn1]),
        "a fact without a parent, in an earlier commit"
    );
}

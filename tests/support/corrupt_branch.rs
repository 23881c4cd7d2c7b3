//! Broken files of branches and of their parents: BRN-1, BRN-2, COW-1, REF-1. Made by hand, as the engine writes none of them.

use crate::hand::Hand;
use rvf_engine::{Kind, Metric, Schema};
use rvf_format::Clause;
use rvf_format::build::Draft;
use rvf_format::lineage::ParentRef;
use rvf_format::manifest::FACT_PINS;
use rvf_format::payload::refcount::{self, BranchEntry};
use rvf_format::payload::vec::{self, IdColumn};
use rvf_format::payload::{cow, journal};
use rvf_format::row_set::encode_rows;

/// The first row of the branch's own.
pub const FIRST_ROW: u64 = 8;

/// The broken file of a clause about branches.
pub fn fixture(clause: Clause) -> Vec<u8> {
    let (mut hand, mut drafts) = branch();
    match clause {
        Clause::Brn1 => hand.root.parent_epoch.set(0),
        Clause::Brn2 => drafts[1] = cow::cow_map(&[3, FIRST_ROW]),
        Clause::Cow1 => drafts[1] = swapped(),
        _ => {
            (hand, drafts) = parent();
            drafts[0] = refcount::draft(&[BranchEntry::new(2, [9; 16])]).into_owned();
        }
    }
    finish(hand, &drafts)
}

/// A sound branch, before its only commit. It inherits 8 rows: 2 were replaced or deleted, another is left out. It has 4 rows of its own, one of them dead.
/// Its segments are VEC, COW_MAP, MEMBERSHIP, JOURNAL.
pub fn branch() -> (Hand, Vec<Draft<'static>>) {
    let mut hand = Hand::new(&schema(), [0xB0; 16]);
    let parent = ParentRef {
        file_id: [0xA0; 16],
        epoch: 3,
        state_hash: [0xC0; 32],
        depth: 1,
        first_row: FIRST_ROW,
        count: 8,
        root_offset: 0x9000,
        path: "parent.rvf".to_owned(),
    };
    parent.write(&mut hand.root, &mut hand.facts);
    hand.root.next_row.set(FIRST_ROW + 4);
    hand.root.next_id.set(40);
    hand.root.live_count.set(8);
    let drafts = vec![
        rows(FIRST_ROW),
        cow::cow_map(&[3, 5]),
        cow::membership(false, &[0]),
        journal::draft(&journal::words_of([FIRST_ROW + 1])).into_owned(),
    ];
    (hand, drafts)
}

/// A sound file with a branch, before its only commit: the branch begins there. Its segment is a REFCOUNT.
pub fn parent() -> (Hand, Vec<Draft<'static>>) {
    let mut hand = Hand::new(&schema(), [0xA0; 16]);
    hand.facts.insert(FACT_PINS, 1u64.to_le_bytes().to_vec());
    let entries = [BranchEntry::new(1, [8; 16]), BranchEntry::new(1, [9; 16])];
    (hand, vec![refcount::draft(&entries).into_owned()])
}

/// The file with its one commit.
pub fn finish(mut hand: Hand, drafts: &[Draft<'_>]) -> Vec<u8> {
    hand.commit(drafts);
    hand.sealed()
}

/// A VEC segment of four rows from `base_row` on, with ids 3 and 20 to 22.
pub fn rows(base_row: u64) -> Draft<'static> {
    let vectors: Vec<u8> = (0..16u8).flat_map(|n| f32::from(n).to_le_bytes()).collect();
    vec::draft(&schema(), base_row, &vectors, IdColumn::U64(&[3, 20, 21, 22])).into_owned()
}

/// A COW_MAP whose two rows are in the wrong order.
fn swapped() -> Draft<'static> {
    let mut set = encode_rows(&[3, 5]);
    let numbers = set.len() - 4;
    set[numbers..].copy_from_slice(&[5, 0, 3, 0]);
    Draft::new(Kind::COW_MAP, 1).section(1, set)
}

fn schema() -> Schema {
    Schema::new(4, Metric::L2)
}

//! Lineages whose hashes are all right and whose words lie: typed errors, no panic, no hang, no memory beyond what is there.

use crate::sequences::held::Op;
use rvf_engine::store::{Context, Edit, Store};
use rvf_engine::{
    BranchOptions, Clause, CompactOptions, CreateOptions, Db, Dtype, Error, Id, IdType, Metric, OpenOptions,
    ParentFault, ReadMode, Reader, Resolve, Schema, flatten,
};
use rvf_format::build::Draft;
use rvf_format::lineage::FACT_BRANCH;
use rvf_format::payload::cow;
use rvf_format::payload::refcount::{self, BranchEntry};
use rvf_format::payload::witness::Operation;
use rvf_format::root::RootPage;
use rvf_format::storage::{Bytes, MemoryPlace, Place};
use rvf_format::verify::verify;
use rvf_tests::reseal::{Repair, reseal, roots, sections};
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::Arc;
use zerocopy::FromBytes;

const BASE: &str = "base.rvf";
const CHILD: &str = "child.rvf";

/// Fields of a root page.
const NEXT_ROW: Range<usize> = 0x170..0x178;
const PARENT_EPOCH: Range<usize> = 0x1D0..0x1D8;
const PARENT_ID: Range<usize> = 0xF10..0xF20;
const PARENT_HASH: Range<usize> = 0xF20..0xF40;
const DEPTH: Range<usize> = 0xF40..0xF44;

/// Fields of the fact of a branch.
const FIRST_ROW: Range<usize> = 0..8;
const COUNT: Range<usize> = 8..16;
const ROOT_OFFSET: Range<usize> = 16..24;

fn by_hand() -> OpenOptions {
    super::by_hand()
}

/// A place with files that lie.
#[derive(Clone, Default)]
struct Lies {
    place: MemoryPlace,
}

impl Lies {
    fn shared(&self) -> Arc<dyn Place> {
        Arc::new(self.place.clone())
    }

    fn create(&self, name: &str, schema: &Schema, number: u8) -> Db {
        let options = CreateOptions { file_id: Some([number; 16]), open: by_hand(), ..CreateOptions::default() };
        Db::create_with(self.shared(), name, schema, &options).unwrap()
    }

    /// A store of 20 records and a branch of it, edited.
    fn pair() -> Self {
        let lies = Self::default();
        let mut db = lies.create(BASE, &Schema::new(2, Metric::L2), 1);
        db.add(&[0.5f32; 40]).unwrap();
        let options = BranchOptions { file_id: Some([2; 16]), open: by_hand(), ..BranchOptions::default() };
        db.branch(CHILD, &options).unwrap();
        let mut child = lies.open(CHILD).unwrap();
        let mut batch = child.batch();
        for op in [Op::Put(Id::U64(3), vec![1.0, 2.0], super::number_field(3)), Op::Delete(Id::U64(4))] {
            match op {
                Op::Put(id, vector, fields) => batch.put_with(id, &vector, fields).unwrap(),
                _ => batch.delete(4).unwrap(),
            }
        }
        batch.commit().unwrap();
        child.add(&[0.25f32; 8]).unwrap();
        drop(child);
        lies
    }

    fn open(&self, name: &str) -> Result<Db, Error> {
        Db::open_with(self.shared(), name, &by_hand())
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.place.bytes(Path::new(name)).unwrap()
    }

    /// Changes a file in every commit and makes its hashes right again.
    fn change(&self, name: &str, change: impl Fn(&mut [u8], &mut [u8])) {
        let mut file = self.bytes(name);
        for root in roots(&file) {
            let fact = root.manifest.and_then(|manifest| {
                let found = sections(&file, &manifest);
                found.into_iter().find(|section| section.0 == FACT_BRANCH).map(|section| section.1)
            });
            let (before, page) = file.split_at_mut(root.offset);
            change(&mut page[..4096], before.get_mut(fact.unwrap_or_default()).unwrap());
        }
        reseal(&mut file, &Repair::ALL);
        self.place.put(Path::new(name), file);
    }

    fn root(&self, name: &str, field: Range<usize>, value: &[u8]) {
        self.change(name, |page, _| page[field.clone()].copy_from_slice(value));
    }

    fn fact(&self, field: Range<usize>, value: u64) {
        self.change(CHILD, |_, fact| {
            if !fact.is_empty() {
                fact[field.clone()].copy_from_slice(&value.to_le_bytes());
            }
        });
    }

    /// The hash that the branch records is that of the base's commit as it is now.
    fn forge(&self) {
        let file = self.bytes(BASE);
        let pages =
            roots(&file).into_iter().map(|root| RootPage::read_from_bytes(&file[root.offset..][..4096]).unwrap());
        let root = pages.into_iter().find(|root| root.epoch() == 2).unwrap();
        self.root(CHILD, PARENT_HASH, &root.state_hash);
    }

    /// Commits segments that no writer makes.
    fn commit(&self, name: &str, drafts: Vec<Draft<'static>>) {
        let (mut store, _) = Store::open(self.shared(), Path::new(name), Context::default()).unwrap();
        store.commit(&Edit { drafts, ..Edit::new(Operation(5)) }).unwrap();
    }

    fn read(&self, mode: ReadMode) -> Result<Reader, Error> {
        Reader::open_with(self.shared(), CHILD, mode)
    }

    /// Does everything with the branch that can be done; the first error of opening it for reading.
    fn exercise(&self) -> Option<Error> {
        let findings = verify(&Bytes::from(self.bytes(CHILD)), &mut |_, _| {}).map(|report| report.findings.len());
        let verified = self.read(ReadMode::Verified).map(drop);
        assert!(findings.is_ok_and(|findings| findings == 0) || verified.is_err(), "an unsound branch was opened");
        let opened = self.read(ReadMode::Mapped);
        if let Ok(reader) = &opened {
            use_all(reader, self);
        }
        if let Ok(mut db) = self.open(CHILD) {
            let _ = (db.add(&[1.0f32, 2.0]).is_ok(), db.delete(&[Id::U64(5)]).is_ok());
            if let Ok(mut base) = self.open(BASE) {
                let _ = base.merge(&db.snapshot(), &Resolve::default()).is_ok();
                let _ = db.merge(&base.snapshot(), &Resolve::default()).is_ok();
            }
            let _ = db.compact(&CompactOptions { keep: 2, output: None }).is_ok();
            let _ = db.branch("grandchild.rvf", &BranchOptions::default()).is_ok();
        }
        opened.err().inspect(|error| assert!(!error.to_string().is_empty() && !error.kind().is_empty()))
    }
}

fn use_all(reader: &Reader, lies: &Lies) {
    let _ = reader.records().map(|records| records.filter(|record| record.is_err()).count());
    let _ = (reader.get(&Id::U64(3)).is_ok(), reader.get(&Id::U64(u64::MAX - 1)).is_ok());
    let _ = reader.search(&[1.0f32, 1.0]).k(5).run().is_ok();
    let _ = (reader.info().is_ok(), reader.segments().is_ok(), reader.known_branches().is_ok());
    let _ = reader.at_epoch(1).map(|earlier| earlier.get(&Id::U64(3)).is_ok());
    if let Some(parent) = reader.parent() {
        let _ = (parent.diff(reader).is_ok(), reader.diff(parent).is_ok());
    }
    let mut go = |_, _| ControlFlow::Continue(());
    let _ = flatten(lies.shared(), reader, "flat.rvf", None, &by_hand(), &mut go).is_ok();
    let _ = lies.place.remove(Path::new("flat.rvf"));
}

fn clause(error: Option<Error>) -> Option<Clause> {
    error.and_then(|error| error.clause())
}

fn fault(error: Option<Error>) -> Option<ParentFault> {
    match error {
        Some(Error::Parent(error)) => Some(error.why),
        _ => None,
    }
}

#[test]
fn what_is_sound_is_used_in_full() {
    let lies = Lies::pair();
    assert!(lies.exercise().is_none());
    assert!(lies.read(ReadMode::Verified).unwrap().count() > 20);
}

/// Catches a branch that looks for its parent in itself, and a ring of files that is followed for ever.
#[test]
fn rings_end() {
    let lies = Lies::pair();
    lies.root(CHILD, PARENT_ID, &[2; 16]);
    assert_eq!(clause(lies.exercise()), Some(Clause::Brn1));

    // The path leads to the file itself, and no other is there.
    let lies = Lies::pair();
    lies.place.remove(Path::new(BASE)).unwrap();
    let leads_home = lies.bytes(CHILD);
    lies.place.put(Path::new(BASE), leads_home);
    assert!(matches!(fault(lies.exercise()), Some(ParentFault::OtherFile { .. })));

    // Two branches, each the other's parent: whatever depths they claim, one of them is wrong.
    for (depth, other) in [(1u32, 1u32), (2, 1), (1, 2), (64, 63), (63, 64), (64, 64)] {
        let lies = Lies::pair();
        let twin = Lies::pair();
        twin.change(CHILD, |page, fact| {
            page[PARENT_ID].copy_from_slice(&[2; 16]);
            page[DEPTH].copy_from_slice(&other.to_le_bytes());
            if !fact.is_empty() {
                fact[FIRST_ROW].copy_from_slice(&20u64.to_le_bytes());
            }
        });
        let mut file = twin.bytes(CHILD);
        for at in (0..file.len() - 16).rev() {
            // Its own id, wherever it stands.
            if file[at..at + 16] == [2; 16] && !roots(&file).iter().any(|root| at == root.offset + PARENT_ID.start) {
                file[at..at + 16].copy_from_slice(&[1; 16]);
            }
        }
        reseal(&mut file, &Repair::ALL);
        lies.place.put(Path::new(BASE), file);
        lies.root(CHILD, DEPTH, &depth.to_le_bytes());
        lies.forge();
        let error = lies.exercise();
        assert!(matches!(error, Some(Error::Parent(_))), "{depth} and {other}: {error:?}");
    }
}

#[test]
fn depths_that_cannot_be() {
    for depth in [0u32, 65, 1 << 16, u32::MAX] {
        let lies = Lies::pair();
        lies.root(CHILD, DEPTH, &depth.to_le_bytes());
        assert_eq!(clause(lies.exercise()), Some(Clause::Brn1), "{depth}");
    }
    let lies = Lies::pair();
    lies.root(CHILD, DEPTH, &2u32.to_le_bytes());
    assert!(matches!(fault(lies.exercise()), Some(ParentFault::Other { what: "depth of the lineage", .. })));
}

/// Catches rows of a parent that are read as if they were as long as the branch's.
#[test]
fn parents_of_another_shape() {
    let schemas = [
        Schema::new(3, Metric::L2),
        Schema::new(2, Metric::Dot),
        Schema { dtype: Dtype::F16, ..Schema::new(2, Metric::L2) },
        Schema { id_type: IdType::Str, ..Schema::new(2, Metric::L2) },
        Schema::new(65_535, Metric::L2),
    ];
    for schema in schemas {
        let lies = Lies::pair();
        lies.place.remove(Path::new(BASE)).unwrap();
        let mut db = lies.create(BASE, &schema, 1);
        let mut batch = db.batch();
        let ids: Vec<Id> =
            (0..20u64).map(|n| if schema.id_type == IdType::U64 { n.into() } else { n.to_string().into() }).collect();
        for id in ids {
            batch.put(id, &vec![0.5f32; schema.dimension as usize]).unwrap();
        }
        batch.commit().unwrap();
        drop(db);
        lies.forge();
        assert_eq!(clause(lies.exercise()), Some(Clause::Root5), "{schema:?}");
    }
}

/// Catches rows that are counted from where the parent does not end.
#[test]
fn first_rows_that_are_not_the_parents_end() {
    for first in [0u64, 19, 21] {
        let lies = Lies::pair();
        lies.fact(FIRST_ROW, first);
        assert!(matches!(fault(lies.exercise()), Some(ParentFault::Other { what: "number of rows", .. })), "{first}");
    }
    for first in [1000, 1 << 40, u64::MAX] {
        let lies = Lies::pair();
        lies.fact(FIRST_ROW, first);
        assert_eq!(clause(lies.exercise()), Some(Clause::Brn2), "{first}");
    }
    // Parent and branch lie together: rows of both have one number, or the branch's come far behind.
    for first in [0u64, 10, 19, 21] {
        let lies = Lies::pair();
        lies.root(BASE, NEXT_ROW, &first.to_le_bytes());
        lies.forge();
        lies.fact(FIRST_ROW, first);
        let error = lies.exercise();
        assert_eq!(clause(error), (first > 20).then_some(Clause::Brn2), "{first}");
    }
}

/// What is only a hint, and numbers that only tell, lead nowhere wrong.
#[test]
fn hints_that_lie_are_hints() {
    for offset in [0u64, 4096, 8192, 1 << 50, u64::MAX, 1] {
        let lies = Lies::pair();
        lies.fact(ROOT_OFFSET, offset);
        assert!(lies.exercise().is_none(), "{offset}");
    }
    let lies = Lies::pair();
    lies.fact(COUNT, u64::MAX);
    assert!(lies.exercise().is_none());
    for epoch in [1u64, 3, u64::MAX] {
        let lies = Lies::pair();
        lies.root(CHILD, PARENT_EPOCH, &epoch.to_le_bytes());
        assert!(fault(lies.exercise()).is_some(), "{epoch}");
    }
}

/// Catches a parent that is taken for another with its id and hash, whose rows stand elsewhere.
#[test]
fn a_forged_parent_of_other_rows() {
    for records in [0usize, 1, 7] {
        let lies = Lies::pair();
        lies.place.remove(Path::new(BASE)).unwrap();
        let mut db = lies.create(BASE, &Schema::new(2, Metric::L2), 1);
        db.add(&vec![0.5f32; records.max(1) * 2]).unwrap();
        drop(db);
        lies.root(BASE, NEXT_ROW, &20u64.to_le_bytes());
        lies.forge();
        assert!(lies.exercise().is_none(), "{records}");
        let reader = lies.read(ReadMode::Mapped).unwrap();
        let parent = reader.parent().unwrap().clone();
        assert!(parent.diff(&reader).is_ok_and(|diff| !diff.added.is_empty()));
    }
}

/// Catches row sets that are believed: rows of no part, of the branch itself, at the end of all numbers; wide stretches of them.
#[test]
fn sets_of_rows_that_are_not_there() {
    let cases: [(Draft<'static>, Option<Clause>); 9] = [
        (cow::cow_map(&[19]), None),
        (cow::cow_map(&[20]), Some(Clause::Brn2)),
        (cow::cow_map(&[1, 1 << 40]), Some(Clause::Brn2)),
        (cow::cow_map(&[u64::MAX - 1, u64::MAX]), Some(Clause::Brn2)),
        (cow::membership(true, &[u64::MAX]), Some(Clause::Brn2)),
        (cow::membership(false, &[1 << 32, 1 << 33]), Some(Clause::Brn2)),
        (cow::membership(true, &[]), None),
        (cow::membership(false, &[]), None),
        (cow::cow_map(&[]), Some(Clause::Cow1)),
    ];
    for (number, (draft, expected)) in cases.into_iter().enumerate() {
        let lies = Lies::pair();
        lies.commit(CHILD, vec![draft]);
        let reader = lies.read(ReadMode::Mapped).unwrap();
        assert_eq!(clause(reader.records().err()), expected, "{number}");
        lies.exercise();
    }
    // A file without a parent that lists them is read as if they were not there; verification tells.
    let lies = Lies::pair();
    lies.commit(BASE, vec![cow::cow_map(&[1]), cow::membership(true, &[])]);
    let base = Reader::open_with(lies.shared(), BASE, ReadMode::Mapped).unwrap();
    assert_eq!(base.records().unwrap().count(), 20);
    assert!(Reader::open_with(lies.shared(), BASE, ReadMode::Verified).is_err());
    lies.exercise();
    // Two views of one branch.
    let lies = Lies::pair();
    lies.commit(CHILD, vec![cow::membership(true, &[1, 2, 3]), cow::membership(false, &[2])]);
    assert!(matches!(lies.read(ReadMode::Verified), Err(Error::Unsound { clause: Clause::Brn2, .. })));
    lies.exercise();
}

/// A lineage that claims 2^40 inherited rows, and a set of all of them in a few bytes each.
#[test]
fn wide_sets_take_no_more_than_is_there() {
    let wide = 1u64 << 40;
    let stretches: Vec<u8> = {
        // Buckets of one container each: a run over all of its 65,536 numbers.
        let set = [&0x0000_303Bu32.to_le_bytes()[..], &[1, 0, 0, 0xFF, 0xFF], &[1, 0, 0, 0, 0xFF, 0xFF]].concat();
        let buckets = (0..200u32).flat_map(|high| [&high.to_le_bytes()[..], &set].concat());
        200u64.to_le_bytes().into_iter().chain(buckets).collect()
    };
    for form in [1, 2] {
        let lies = Lies::pair();
        // The branch has no rows of its own behind its view.
        let mut db = lies.open(BASE).unwrap();
        let options =
            BranchOptions { file_id: Some([3; 16]), open: by_hand(), at: Some(2), ..BranchOptions::default() };
        lies.place.remove(Path::new(CHILD)).unwrap();
        db.branch(CHILD, &options).unwrap();
        drop(db);
        for name in [BASE, CHILD] {
            lies.root(name, NEXT_ROW, &wide.to_le_bytes());
        }
        lies.forge();
        lies.fact(FIRST_ROW, wide);
        let draft = Draft::new(rvf_format::Kind::MEMBERSHIP, form).section(1, stretches.clone());
        lies.commit(CHILD, vec![draft]);
        let reader = lies.read(ReadMode::Mapped).unwrap();
        assert_eq!(reader.records().unwrap().count(), if form == 1 { 20 } else { 0 });
        lies.exercise();
    }
}

/// What a parent says of its branches is only told.
#[test]
fn branches_that_are_not_there() {
    let lies = Lies::pair();
    let entry = |epoch: u64, id: u8| {
        let mut entry = BranchEntry::zeroed();
        entry.epoch.set(epoch);
        entry.child_id = [id; 16];
        entry
    };
    lies.commit(BASE, vec![refcount::draft(&[entry(1, 9), entry(2, 2), entry(u64::MAX, 1)]).into_owned()]);
    let mut db = lies.open(BASE).unwrap();
    assert_eq!(db.snapshot().known_branches().unwrap().len(), 3);
    assert!(db.unpin(1).is_err(), "an epoch that is not pinned");
    assert_eq!(db.unpin(2).unwrap(), 2);
    let report = verify(&Bytes::from(lies.bytes(BASE)), &mut |_, _| {}).unwrap();
    assert!(report.findings.iter().any(|finding| finding.clause == Clause::Ref1));
    drop(db);
    assert!(lies.exercise().is_none());
}

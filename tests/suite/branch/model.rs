//! Random trees of branches against maps: edits, branches of any commit, views, compactions, merges, flattening.
//!
//! `RVF_BRANCH_SEED=n cargo test -p rvf-tests branch::model` runs tree n alone and tells what it does;
//! `RVF_BRANCH_TREES=n` runs so many.

use super::three_way::{Outcome, Sees, differences, merge};
use super::{check, seen};
use crate::sequences::held::{Held, Op};
use rvf_engine::filter::{self, Filter};
use rvf_engine::{
    BranchOptions, Change, Clock, CompactOptions, CreateOptions, Db, Dtype, Effort, Id, IdType, IndexOptions, Merged,
    Metric, OpenOptions, ReadMode, Reader, Resolve, Schema, Side, Snapshot, flatten,
};
use rvf_format::storage::{Bytes, MemoryPlace, Place};
use rvf_format::verify::verify;
use rvf_tests::fields;
use rvf_tests::oracle::{self, Rng};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const TREES: u64 = 120;
/// One tree in so many has enough records for a graph.
const INDEXED_EVERY: u64 = 12;
const INDEXED_RECORDS: u64 = 1010;
const MOST_FILES: usize = 7;
/// Numbers of the ids that steps draw from.
const IDS: u64 = 30;
const INDEX: IndexOptions = IndexOptions { m: Some(2), ef_construction: Some(8), threads: Some(1), code: None };

/// What a file holds at a commit, and which commits of other files were merged into it by then.
#[derive(Clone, Debug, Default, PartialEq)]
struct Commit {
    held: Held,
    merged: BTreeMap<usize, u64>,
}

/// The commit that a branch goes on from, and what it does not see of it.
struct Origin {
    file: usize,
    epoch: u64,
    unseen: Held,
}

struct File {
    path: PathBuf,
    db: Option<Db>,
    /// The commits that can be opened, the newest among them.
    past: BTreeMap<u64, Commit>,
    origin: Option<Origin>,
}

impl File {
    fn db(&mut self) -> &mut Db {
        self.db.as_mut().unwrap()
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.db.as_ref().unwrap().snapshot()
    }

    fn epoch(&self) -> u64 {
        *self.past.keys().next_back().unwrap()
    }

    fn now(&self) -> &Commit {
        &self.past[&self.epoch()]
    }

    fn held(&self) -> &Held {
        &self.now().held
    }

    /// The newest commit holds this.
    fn note(&mut self, held: Held) {
        let merged = self.now().merged.clone();
        let epoch = self.snapshot().epoch();
        self.past.insert(epoch, Commit { held, merged });
    }
}

fn options() -> OpenOptions {
    let clock = Clock::Fixed(1_767_323_045_000_000_000);
    OpenOptions { clock, index: INDEX, manual_index: true, manual_compaction: true, ..OpenOptions::default() }
}

struct Tree {
    schema: Schema,
    place: MemoryPlace,
    files: Vec<File>,
    rng: Rng,
}

fn schema(seed: u64) -> Schema {
    let (dtype, metric) =
        [(Dtype::F32, Metric::L2), (Dtype::U8, Metric::L2), (Dtype::F16, Metric::Dot), (Dtype::F32, Metric::Cosine)]
            [seed as usize / 2 % 4];
    let id_type = if seed.is_multiple_of(2) { IdType::U64 } else { IdType::Str };
    Schema { dimension: 3, dtype, metric, id_type }
}

impl Tree {
    fn new(seed: u64) -> Self {
        let (schema, place) = (schema(seed), MemoryPlace::default());
        let create = CreateOptions { file_id: Some([1; 16]), open: options(), ..CreateOptions::default() };
        let path = PathBuf::from("0.rvf");
        let db = Db::create_with(Arc::new(place.clone()), &path, &schema, &create).unwrap();
        let past = BTreeMap::from([(1, Commit::default())]);
        let files = vec![File { path, db: Some(db), past, origin: None }];
        Self { schema, place, files, rng: Rng(seed) }
    }

    fn shared(&self) -> Arc<dyn Place> {
        Arc::new(self.place.clone())
    }

    fn id(&self, number: u64) -> Id {
        match self.schema.id_type {
            IdType::U64 => Id::U64(number),
            IdType::Str => Id::Str(format!("ä-{number:02}")),
        }
    }

    fn draw_file(&mut self) -> usize {
        self.rng.below(self.files.len() as u64) as usize
    }

    fn op(&mut self) -> Op {
        let number = self.rng.below(IDS);
        let id = self.id(number);
        match self.rng.below(10) {
            0..3 => Op::Delete(id),
            3..6 => Op::Update(id, fields::draw_change(&mut self.rng)),
            _ => Op::Put(id, self.rng.vector(&self.schema), fields::draw(&mut self.rng)),
        }
    }

    fn edit(&mut self, file: usize, ops: &[Op]) {
        let file = &mut self.files[file];
        let mut held = file.held().clone();
        let mut batch = file.db().batch();
        for op in ops {
            match op {
                Op::Put(id, vector, fields) => batch.put_with(id.clone(), vector, fields.clone()).unwrap(),
                Op::Update(id, fields) => batch.update(id.clone(), fields.clone()).unwrap(),
                Op::Delete(id) => batch.delete(id.clone()).unwrap(),
                Op::Sweep(..) => unreachable!("none is drawn"),
            }
            held.apply(op);
        }
        batch.commit().unwrap();
        file.note(held);
    }

    /// A branch of any commit that can be opened, at times of a part of it.
    fn branch(&mut self, of: usize) -> usize {
        let epochs: Vec<u64> = self.files[of].past.keys().copied().collect();
        let newest = self.rng.below(2) == 0;
        let epoch = if newest { self.files[of].epoch() } else { epochs[self.rng.below(epochs.len() as u64) as usize] };
        let (low, count, inverted) = (self.rng.below(IDS), self.rng.below(IDS), self.rng.below(2) == 0);
        let (from, to) = (self.id(low), self.id(low + count));
        let is_view = self.rng.below(3) == 0;
        let sees = |id: &Id| !is_view || (from <= *id && *id <= to) != inverted;
        let range = match (&from, &to) {
            (Id::U64(from), Id::U64(to)) => filter::id().between(*from, *to),
            _ => filter::id().between(from.to_string(), to.to_string()),
        };
        let expr = if inverted { range.negate() } else { range };
        let number = self.files.len();
        let options = BranchOptions {
            at: Some(epoch),
            filter: is_view.then(|| Filter::new(expr).unwrap()),
            file_id: Some([number as u8 + 1; 16]),
            open: options(),
        };
        let path = PathBuf::from(format!("{number}.rvf"));
        let (mut seen, mut unseen) = (self.files[of].past[&epoch].clone(), Held::default());
        unseen.clone_from(&seen.held);
        for (held, stays) in [(&mut seen.held, true), (&mut unseen, false)] {
            held.records.retain(|id, _| sees(id) == stays);
            held.fields.retain(|id, _| sees(id) == stays);
        }
        let done = self.files[of].db().branch(&path, &options).unwrap();
        assert_eq!((done.parent_epoch, done.count), (epoch, seen.held.records.len() as u64));
        let held = self.files[of].held().clone();
        self.files[of].note(held);
        let db = Db::open_with(self.shared(), &path, &options.open).unwrap();
        let past = BTreeMap::from([(1, seen)]);
        self.files.push(File { path, db: Some(db), past, origin: Some(Origin { file: of, epoch, unseen }) });
        number
    }

    fn reopen(&mut self, file: usize) {
        let shared = self.shared();
        let file = &mut self.files[file];
        file.db = None;
        file.db = Some(Db::open_with(shared, &file.path, &options()).unwrap());
    }

    fn compact(&mut self, file: usize) {
        let keep = 1 + self.rng.below(3);
        let file = &mut self.files[file];
        file.db().compact(&CompactOptions { keep, output: None }).unwrap();
        let held = file.held().clone();
        file.note(held);
        let (snapshot, newest) = (file.snapshot(), file.epoch());
        let pinned = snapshot.pinned_epochs().unwrap();
        file.past.retain(|epoch, _| {
            let is_there = snapshot.at_epoch(*epoch).is_ok();
            assert!(is_there || !(pinned.contains(epoch) || *epoch + keep > newest), "epoch {epoch} is gone");
            is_there
        });
    }

    /// The commits that a commit of a file builds on, itself first.
    fn chain(&self, file: usize, epoch: u64) -> Vec<(usize, u64)> {
        let mut chain = vec![(file, epoch)];
        while let Some(origin) = &self.files[chain[chain.len() - 1].0].origin {
            chain.push((origin.file, origin.epoch));
        }
        chain
    }

    fn sees(&self, (file, epoch): (usize, u64)) -> Sees {
        let layers = self.chain(file, epoch).into_iter();
        let unseen =
            layers.filter_map(|(file, _)| self.files[file].origin.as_ref().map(|origin| origin.unseen.clone()));
        Sees { held: self.files[file].past[&epoch].held.clone(), unseen: unseen.collect() }
    }

    /// The common ancestor, as `branch/ancestor.rs` defines it.
    fn ancestor(&self, theirs: usize, ours: usize) -> (usize, u64) {
        let merged_of = |side: usize, other: usize| {
            let epoch = *self.files[side].now().merged.get(&other)?;
            self.files[other].past.contains_key(&epoch).then_some((other, epoch))
        };
        let knows = |one: (usize, u64), other: (usize, u64)| {
            let known = self.files[one.0].past[&one.1].merged.get(&other.0);
            known.is_some_and(|epoch| *epoch >= other.1)
        };
        match (merged_of(ours, theirs), merged_of(theirs, ours)) {
            (Some(a), Some(b)) if knows(b, a) && !knows(a, b) => b,
            (Some(a), _) => a,
            (None, Some(b)) => b,
            (None, None) => {
                let (a, b) =
                    (self.chain(theirs, self.files[theirs].epoch()), self.chain(ours, self.files[ours].epoch()));
                let common = a.iter().find_map(|one| b.iter().find(|other| other.0 == one.0).map(|other| (one, other)));
                let (one, other) = common.unwrap();
                (one.0, one.1.min(other.1))
            }
        }
    }

    fn merge(&mut self, theirs: usize, into: usize) {
        let resolve = Resolve {
            renumber: self.schema.id_type == IdType::U64 && self.rng.below(3) == 0,
            otherwise: [None, Some(Side::Ours), Some(Side::Theirs), Some(Side::Theirs)][self.rng.below(4) as usize],
            ..Resolve::default()
        };
        let base = self.sees(self.ancestor(theirs, into));
        let [their, our] = [theirs, into].map(|file| self.sees((file, self.files[file].epoch())));
        let snapshot = self.files[theirs].snapshot();
        let next = snapshot.root().next_id.get().max(self.files[into].snapshot().root().next_id.get());
        let expected = merge(&base, &their, &our, &resolve, next);
        let done = self.files[into].db().merge(&snapshot, &resolve).unwrap();
        assert_eq!(told(&done), told_of(&expected), "{theirs} into {into}, {resolve:?}");
        if expected.commits {
            let mut merged = self.files[into].now().merged.clone();
            let more = self.files[theirs].now().merged.iter().map(|(file, epoch)| (*file, *epoch));
            for (file, epoch) in more.chain([(theirs, self.files[theirs].epoch())]).filter(|(file, _)| *file != into) {
                let newest = merged.entry(file).or_default();
                *newest = epoch.max(*newest);
            }
            let epoch = self.files[into].epoch() + 1;
            assert_eq!(done.epoch, epoch);
            self.files[into].past.insert(epoch, Commit { held: expected.held, merged });
        }
        let snapshot = self.files[into].snapshot();
        let recorded = snapshot.merged().unwrap();
        let recorded = recorded.iter().map(|merged| (usize::from(merged.file_id[0]) - 1, merged.epoch)).collect();
        assert_eq!(self.files[into].now().merged, recorded);
    }

    fn flatten(&mut self, file: usize) {
        let path = Path::new("flat.rvf");
        let snapshot = self.files[file].snapshot();
        let done =
            flatten(self.shared(), &snapshot, path, Some([99; 16]), &options(), &mut |_, _| ControlFlow::Continue(()));
        assert_eq!(done.unwrap().count, snapshot.count());
        let mut db = Db::open_with(self.shared(), path, &options()).unwrap();
        check(&db.snapshot(), self.files[file].held(), "flat");
        self.verify(path);
        db.compact(&CompactOptions::default()).unwrap();
        assert_eq!(seen(&db.snapshot()), *self.files[file].held(), "flat, compacted");
        drop(db);
        self.place.remove(path).unwrap();
    }

    fn verify(&self, path: &Path) {
        let report = verify(&Bytes::from(self.place.bytes(path).unwrap()), &mut |_, _| {}).unwrap();
        assert_eq!(report.findings, [], "{}", path.display());
    }

    /// Does something; the file that it was about, and what it was.
    fn step(&mut self) -> (usize, &'static str) {
        let file = self.draw_file();
        match self.rng.below(16) {
            0..8 => {
                let ops: Vec<Op> = (0..1 + self.rng.below(5)).map(|_| self.op()).collect();
                self.edit(file, &ops);
                (file, "edit")
            }
            8..10 if self.files.len() < MOST_FILES => (self.branch(file), "branch"),
            8..13 => {
                let theirs = self.draw_file();
                if theirs != file {
                    self.merge(theirs, file);
                }
                (file, "merge")
            }
            13 => {
                self.compact(file);
                (file, "compact")
            }
            14 => {
                self.reopen(file);
                (file, "reopen")
            }
            _ => {
                self.flatten(file);
                (file, "flatten")
            }
        }
    }

    /// The file is what it should be, at this commit and at another; it differs from another file as it should.
    fn check(&mut self, at: usize, what: &str) {
        let other = self.draw_file();
        let (file, second) = (&self.files[at], &self.files[other]);
        check(&file.snapshot(), file.held(), what);
        let epochs: Vec<u64> = file.past.keys().copied().collect();
        let epoch = epochs[self.rng.below(epochs.len() as u64) as usize];
        assert_eq!(seen(&file.snapshot().at_epoch(epoch).unwrap()), file.past[&epoch].held, "{what}, epoch {epoch}");
        let diff = file.snapshot().diff(&second.snapshot()).unwrap();
        let mut expected = (Vec::new(), Vec::new(), Vec::new());
        for (id, did) in differences(file.held(), second.held()) {
            match did.change {
                Change::Added => expected.0.push(id),
                Change::Deleted => expected.1.push(id),
                Change::Changed => expected.2.push((id, did.vector, did.metadata)),
            }
        }
        let changed = diff.changed.into_iter().map(|changed| (changed.id, changed.vector, changed.metadata)).collect();
        assert_eq!((diff.added, diff.deleted, changed), expected, "{what}, {at} and {other}");
    }

    /// Every file, opened anew, is what it should be: also those that nothing was done to.
    fn finish(mut self) {
        self.files.iter_mut().for_each(|file| file.db = None);
        for (number, file) in self.files.iter().enumerate() {
            let reader = Reader::open_with(self.shared(), &file.path, ReadMode::Verified).unwrap();
            check(&reader, file.held(), &format!("file {number} at the end"));
            self.verify(&file.path);
            self.check_walk(&reader, file.held());
        }
    }

    /// What a walk finds is there, and as far away as it says.
    fn check_walk(&self, snapshot: &Snapshot, held: &Held) {
        let query = Rng(5).vector(&self.schema);
        for hit in snapshot.search(&query).k(20).effort(Effort::Ef(40)).run().unwrap() {
            let distance = oracle::distance(&self.schema, &query, &held.records[&hit.id]);
            assert!((hit.distance - distance).abs() <= distance.abs() * 1e-5 + 1e-5, "{} and {distance}", hit.distance);
        }
    }
}

/// A merge as told by the engine and by the oracle: what was merged, resolved, renumbered, in conflict.
type Told = (u64, u64, Vec<(Id, Id)>, Vec<rvf_engine::Conflict>);

fn told(done: &Merged) -> Told {
    (done.merged, done.resolved, done.renumbered.clone(), done.conflicts.clone())
}

fn told_of(done: &Outcome) -> Told {
    (done.merged, done.resolved, done.renumbered.clone(), done.conflicts.clone())
}

/// Says how to run a tree again if it panics.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("RVF_BRANCH_SEED={} runs this tree alone", self.0);
        }
    }
}

fn grow(seed: u64, tells: bool) {
    let _named = Named(seed);
    let mut tree = Tree::new(seed);
    let indexed = seed.is_multiple_of(INDEXED_EVERY);
    let count = if indexed { INDEXED_RECORDS } else { 1 + tree.rng.below(20) };
    let ops: Vec<Op> = (0..count)
        .map(|number| {
            let id = tree.id(number);
            Op::Put(id, tree.rng.vector(&tree.schema), fields::draw(&mut tree.rng))
        })
        .collect();
    tree.edit(0, &ops);
    if indexed {
        let held = tree.files[0].held().clone();
        tree.files[0].db().index(&INDEX, &mut |_, _| ControlFlow::Continue(())).unwrap();
        tree.files[0].note(held);
    }
    for number in 0..if indexed { 15 } else { 40 + tree.rng.below(40) } {
        let (file, what) = tree.step();
        if tells {
            println!("step {number}: {what} {file}, epoch {}", tree.files[file].epoch());
        }
        tree.check(file, &format!("step {number}, {what} {file}"));
    }
    tree.finish();
}

#[test]
fn random_trees_of_branches_equal_maps() {
    if let Ok(seed) = std::env::var("RVF_BRANCH_SEED") {
        return grow(seed.parse().unwrap(), true);
    }
    let trees = std::env::var("RVF_BRANCH_TREES").map_or(TREES, |trees| trees.parse().unwrap());
    println!("trees 0 to {}", trees - 1);
    std::thread::scope(|scope| {
        for first in 0..2 {
            scope.spawn(move || (first..trees).step_by(2).for_each(|seed| grow(seed, false)));
        }
    });
}

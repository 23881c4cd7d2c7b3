//! Branches through the front door, against maps of what each file should hold.
//!
//! | file | what it checks |
//! | --- | --- |
//! | `mod.rs` | a store and what it should hold |
//! | `edits.rs` | reading and editing branches, views, branches of branches, long ones |
//! | `parents.rs` | parents that change, move, are exchanged, lose what a branch needs |
//! | `around.rs` | import and export, the index, threads, readers, frozen parents, flattening |
//! | `hostile.rs` | lineages whose hashes are right and whose words lie |
//! | `merges.rs` | merging: both directions, conflicts, again and again, views, copies |
//! | `model.rs`, `three_way.rs` | random trees of branches against maps; what merging does to maps |

mod around;
mod edits;
mod hostile;
mod merges;
mod model;
mod parents;
mod three_way;

use crate::sequences::held::{Held, Op};
use rvf_engine::filter::Filter;
use rvf_engine::{
    BranchOptions, CompactOptions, CreateOptions, Db, Effort, Id, IdType, Metadata, Metric, OpenOptions, Reader,
    Schema, Snapshot, Value,
};
use rvf_format::storage::FilePlace;
use rvf_tests::oracle::{self, Rng};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// What a snapshot holds.
pub(crate) fn seen(snapshot: &Snapshot) -> Held {
    let mut held = Held::default();
    for record in snapshot.records().unwrap().map(Result::unwrap) {
        assert_eq!(snapshot.get(&record.id).unwrap().as_ref(), Some(&record));
        held.apply(&Op::Put(record.id, record.vector, record.metadata));
    }
    held
}

/// A snapshot holds what it should, and finds the nearest of it.
pub(crate) fn check(snapshot: &Snapshot, held: &Held, what: &str) {
    assert_eq!(seen(snapshot), *held, "{what}");
    assert_eq!(snapshot.count(), held.records.len() as u64, "{what}");
    let query = Rng(snapshot.epoch()).vector(snapshot.schema());
    let hits = snapshot.search(&query).k(7).effort(Effort::Exact).run().unwrap();
    let hits: Vec<(Id, f32)> = hits.into_iter().map(|hit| (hit.id, hit.distance)).collect();
    assert_eq!(hits, oracle::nearest(snapshot.schema(), &held.records, &query, 7), "{what}");
}

/// Nothing is found in a file.
fn check_sound(path: &Path) {
    let report = rvf_engine::verify_path(path, &mut |_, _| {}).unwrap();
    assert!(report.sound, "{}: {:?}", path.display(), report.findings);
    assert_eq!(report.findings, [], "{}", path.display());
}

fn schema(id_type: IdType) -> Schema {
    Schema { id_type, ..Schema::new(2, Metric::L2) }
}

/// A folder of stores.
struct Lab {
    folder: TempDir,
    id_type: IdType,
}

impl Lab {
    fn new() -> Self {
        Self::with(IdType::U64)
    }

    fn with(id_type: IdType) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), id_type }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A store with records 0 to `count`.
    fn base(&self, name: &str, count: u64) -> Twin {
        self.base_as(name, count, None)
    }

    fn base_as(&self, name: &str, count: u64, file_id: Option<[u8; 16]>) -> Twin {
        let path = self.path(name);
        let options = CreateOptions { file_id, open: by_hand(), ..CreateOptions::default() };
        let db = Db::create_with(Arc::new(FilePlace), &path, &schema(self.id_type), &options).unwrap();
        let mut twin = Twin { path, db, held: Held::default() };
        twin.put(0..count, 0);
        twin
    }
}

/// A store and what it should hold.
struct Twin {
    path: PathBuf,
    db: Db,
    held: Held,
}

fn number_field(value: u64) -> Metadata {
    Metadata::from([("number".to_owned(), Value::I64(value as i64))])
}

/// The options of a branch that sees what a filter finds.
fn view(filter: &str) -> BranchOptions {
    BranchOptions { filter: Some(Filter::parse(filter).unwrap()), ..BranchOptions::default() }
}

impl Twin {
    fn id(&self, number: u64) -> Id {
        match self.db.snapshot().schema().id_type {
            IdType::U64 => Id::U64(number),
            IdType::Str => Id::Str(format!("ä-{number:04}")),
        }
    }

    /// Stores records whose vectors tell number and round, and whose field is the number.
    fn put(&mut self, numbers: impl IntoIterator<Item = u64>, round: u64) {
        let row =
            |number: u64| Op::Put(self.id(number), vec![number as f32, round as f32 * 0.25], number_field(number));
        let ops: Vec<Op> = numbers.into_iter().map(row).collect();
        self.apply(&ops);
    }

    fn delete(&mut self, numbers: impl IntoIterator<Item = u64>) {
        let ops: Vec<Op> = numbers.into_iter().map(|number| Op::Delete(self.id(number))).collect();
        self.apply(&ops);
    }

    /// Gives records another field.
    fn update(&mut self, numbers: impl IntoIterator<Item = u64>, value: u64) {
        let ops: Vec<Op> = numbers.into_iter().map(|number| Op::Update(self.id(number), number_field(value))).collect();
        self.apply(&ops);
    }

    /// One commit, in the store and in what it should hold.
    fn apply(&mut self, ops: &[Op]) {
        let mut batch = self.db.batch();
        for op in ops {
            match op {
                Op::Put(id, vector, fields) => batch.put_with(id.clone(), vector, fields.clone()).unwrap(),
                Op::Update(id, fields) => batch.update(id.clone(), fields.clone()).unwrap(),
                Op::Delete(id) => batch.delete(id.clone()).unwrap(),
                Op::Sweep(..) => unreachable!("sweeps are not drawn here"),
            }
        }
        batch.commit().unwrap();
        for op in ops {
            self.held.apply(op);
        }
    }

    fn branch(&mut self, name: &str) -> Twin {
        self.branch_with(name, &BranchOptions::default())
    }

    /// A branch; what it should hold is told for one of the newest commit without a filter.
    fn branch_with(&mut self, name: &str, options: &BranchOptions) -> Twin {
        let path = self.path.with_file_name(name);
        let done = self.db.branch(&path, options).unwrap();
        assert!(done.pinned.is_kept());
        assert_eq!(done.child_bytes, std::fs::metadata(&path).unwrap().len());
        let db = open(&path);
        assert_eq!(db.snapshot().count(), done.count);
        Twin { path, db, held: self.held.clone() }
    }

    fn compact(&mut self) {
        self.db.compact(&CompactOptions::default()).unwrap();
    }

    fn reopen(self) -> Self {
        let Twin { path, db, held } = self;
        drop(db);
        Twin { db: open(&path), path, held }
    }

    /// The writer and a reader see what they should; nothing is wrong with the file.
    fn check(&self, what: &str) {
        check(&self.db.snapshot(), &self.held, what);
        check(&Reader::open(&self.path).unwrap(), &self.held, &format!("{what}, read"));
        check_sound(&self.path);
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.db.snapshot()
    }
}

/// Options under which every epoch stays.
fn by_hand() -> OpenOptions {
    OpenOptions { manual_index: true, manual_compaction: true, ..OpenOptions::default() }
}

fn open(path: &Path) -> Db {
    Db::open_with(Arc::new(FilePlace), path, &by_hand()).unwrap()
}

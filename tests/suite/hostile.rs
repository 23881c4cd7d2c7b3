//! Files whose hashes are all right and whose numbers lie: each case once was a panic, a hang or memory without bound.

use rvf_engine::{Clause, CompactOptions, Db, Error, Snapshot};
use rvf_format::storage::MemoryPlace;
use rvf_format::verify::verify;
use rvf_tests::reseal::{Repair, reseal, roots, sections};
use rvf_tests::{properties, samples};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Fields of a manifest entry.
const OFFSET: Range<usize> = 0x08..0x10;
const SPACE: Range<usize> = 0x1C..0x20;
const BASE_ROW: Range<usize> = 0x20..0x28;
const ROWS: Range<usize> = 0x28..0x2C;

/// A sample in which fields were overwritten, resealed.
struct Lie {
    file: Vec<u8>,
}

impl Lie {
    fn in_sample(file: Vec<u8>) -> Self {
        Self { file }
    }

    /// Overwrites a field of every entry of `kind` in every manifest.
    fn entry(mut self, kind: u8, field: Range<usize>, value: u64) -> Self {
        for manifest in roots(&self.file).into_iter().filter_map(|root| root.manifest) {
            let (_, added) = sections(&self.file, &manifest).into_iter().find(|section| section.0 == 1).unwrap();
            for entry in self.file[added].chunks_exact_mut(96).filter(|entry| entry[0x18] == kind) {
                let width = field.len();
                entry[field.clone()].copy_from_slice(&value.to_le_bytes()[..width]);
            }
        }
        self
    }

    /// Overwrites a field of root `age`, 0 the newest.
    fn root(mut self, age: usize, field: Range<usize>, value: u64) -> Self {
        let all = roots(&self.file);
        let start = all[all.len() - 1 - age].offset;
        let width = field.len();
        self.file[start + field.start..start + field.end].copy_from_slice(&value.to_le_bytes()[..width]);
        self
    }

    fn done(mut self) -> Vec<u8> {
        let lengths = Repair { entry_lengths: false, ..Repair::ALL };
        reseal(&mut self.file, &lengths);
        properties::exercise(&self.file);
        self.file
    }
}

fn findings(file: &[u8]) -> Vec<&'static str> {
    let report = verify(&file.into(), &mut |_, _| {}).unwrap();
    report.findings.iter().map(|finding| finding.clause.id()).collect()
}

fn open_for_writing(file: Vec<u8>) -> Result<Db, Error> {
    let place = MemoryPlace::default();
    place.put(Path::new(samples::PATH), file);
    Db::open_with(Arc::new(place), samples::PATH, &samples::open_options())
}

/// Deletes a record of the sample `bits`.
fn delete(file: Vec<u8>) -> Result<(), Error> {
    open_for_writing(file)?.delete(&[70.into()]).map(drop)
}

fn clause_of<T>(result: Result<T, Error>) -> Option<Clause> {
    match result {
        Err(Error::Corrupt { clause, .. }) => Some(clause),
        _ => None,
    }
}

#[test]
fn places_at_the_end_of_all_numbers() {
    for kind in [1, 4, 7] {
        let file = Lie::in_sample(samples::small()).entry(kind, OFFSET, u64::MAX).done();
        assert!(findings(&file).contains(&"MAN-4"));
        let file = Lie::in_sample(samples::small()).entry(kind, OFFSET, u64::MAX - 4095).done();
        assert_eq!(clause_of(Snapshot::newest(file.into())), Some(Clause::Man4));
    }
}

#[test]
fn segments_in_one_place() {
    let file = Lie::in_sample(samples::small()).entry(4, OFFSET, 4096).entry(1, OFFSET, 4096).done();
    assert_eq!(clause_of(Snapshot::newest(file.as_slice().into())), Some(Clause::Man4));
    assert!(findings(&file).contains(&"MAN-4"));
}

#[test]
fn rows_at_the_end_of_all_numbers() {
    let file = Lie::in_sample(samples::bits()).entry(1, BASE_ROW, u64::MAX).done();
    assert!(findings(&file).contains(&"ROOT-7"));
    assert_eq!(clause_of(open_for_writing(file)), Some(Clause::Root7));
}

#[test]
fn more_rows_than_bytes() {
    let file = Lie::in_sample(samples::strings()).entry(1, ROWS, u64::from(u32::MAX)).done();
    assert!(findings(&file).contains(&"VEC-1"));
    assert_eq!(clause_of(open_for_writing(file)), Some(Clause::Root7));
}

/// Catches a writer that drops what it does not know: VER-2.
#[test]
fn a_feature_that_forbids_writing() {
    let file = Lie::in_sample(samples::bits()).root(0, 0x120..0x128, 1 << 40).done();
    assert!(Snapshot::newest(file.as_slice().into()).unwrap().count() > 0);
    assert!(matches!(delete(file), Err(Error::ReadOnlyFeature)));
}

#[test]
fn a_witness_segment_that_the_manifest_counts_wrong() {
    for field in [BASE_ROW, ROWS] {
        let file = Lie::in_sample(samples::compacted()).entry(10, field, 3).done();
        assert!(findings(&file).contains(&"WIT-2"));
    }
}

#[test]
fn numbers_without_a_next_one_can_be_read_but_not_written() {
    for field in [0x110..0x114, 0x170..0x178, 0x180..0x188, 0x188..0x190] {
        let file = Lie::in_sample(samples::bits()).root(0, field.clone(), u64::MAX).done();
        assert!(Snapshot::newest(file.as_slice().into()).is_ok(), "{field:x?}");
        assert_eq!(clause_of(delete(file)), Some(Clause::Root7), "{field:x?}");
    }
}

#[test]
fn fewer_live_records_than_die() {
    let file = Lie::in_sample(samples::bits()).root(0, 0x18..0x20, 0).done();
    assert_eq!(clause_of(delete(file)), Some(Clause::Root7));
}

#[test]
fn an_earlier_root_that_counts_no_audit_entry() {
    let file = Lie::in_sample(samples::small()).root(1, 0x188..0x190, 0).done();
    let mut db = open_for_writing(file).unwrap();
    let compacted = db.compact(&CompactOptions { keep: 5, output: None });
    assert!(matches!(clause_of(compacted), Some(Clause::Wit2 | Clause::Wit3)));
}

#[test]
fn what_another_space_holds_is_left_alone() {
    for kind in [4, 7] {
        let file = Lie::in_sample(samples::strings()).entry(kind, SPACE, 1).done();
        let snapshot = Snapshot::newest(file.into()).unwrap();
        assert_eq!(snapshot.meta().unwrap().is_empty(), kind == 7);
        assert_eq!(snapshot.records().unwrap().count(), if kind == 4 { 4 } else { 3 });
    }
}

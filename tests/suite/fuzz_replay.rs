//! Replays the saved inputs of the fuzz targets, and holds `reseal`, `mutate` and the samples to what they promise.

use rvf_engine::trust::EntryProof;
use rvf_engine::{ReadMode, Reader, Session};
use rvf_format::storage::MemoryPlace;
use rvf_format::verify::{Options, verify, verify_with};
use rvf_format::{Clause, Kind};
use rvf_tests::focus::{BRANCH, Focus, LEARNED, SIGNED, structures};
use rvf_tests::properties::{self, TARGETS};
use rvf_tests::reseal::{Repair, reseal, roots};
use rvf_tests::signed::{key, proofs};
use rvf_tests::{mutate, samples};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/corpus").join(target);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Every input that was worth keeping, and every one that once failed; names the one that fails now.
#[test]
fn saved_inputs_are_survived() {
    for target in TARGETS {
        let inputs = inputs(target.name);
        assert!(inputs.len() > 5, "the corpus of {} is gone", target.name);
        for (path, bytes) in inputs {
            println!("replaying {}", path.display());
            (target.run)(&bytes);
        }
    }
}

#[test]
fn samples_are_sound_and_the_same_every_time() {
    for (index, sample) in samples::all().iter().enumerate() {
        let report = verify(&sample.as_slice().into(), &mut |_, _| {}).unwrap();
        assert!(report.sound && report.findings.is_empty(), "sample {index}: {:?}", report.findings);
        properties::exercise(sample);
    }
    assert_eq!(samples::small(), samples::all()[0]);
}

/// Catches a branch that the fuzz targets cannot open, and one that lacks what branches have.
#[test]
fn the_branch_among_the_samples_has_all_that_branches_have() {
    let lineage = samples::lineage();
    let report = verify(&lineage.branch.as_slice().into(), &mut |_, _| {}).unwrap();
    assert!(report.sound && report.findings.is_empty(), "{:?}", report.findings);
    let place = MemoryPlace::default();
    place.put(Path::new(samples::PATH), lineage.branch.clone());
    place.put(Path::new(samples::PARENT), lineage.parent.clone());
    let reader = Reader::open_with(Arc::new(place), samples::PATH, ReadMode::Mapped).unwrap();
    let snapshot = reader.snapshot();
    assert_eq!((snapshot.count(), snapshot.records().unwrap().count()), (28, 28));
    for kind in [Kind::MEMBERSHIP, Kind::COW_MAP, Kind::DELTA, Kind::REFCOUNT] {
        assert!(snapshot.segments().unwrap().iter().any(|segment| segment.kind == kind && segment.live), "{kind}");
    }
    let mut file = lineage.branch.clone();
    reseal(&mut file, &Repair::ALL);
    assert!(file == lineage.branch, "resealing changed it");
    for focus in [Focus::Whole, Focus::Roots, Focus::Segments] {
        assert!(structures(&file, focus).len() > 20 && focus.sample(BRANCH.start) == file, "{focus:?}");
    }
    properties::exercise(&file);
}

/// Catches a sample without what signatures add, and proofs for the fuzz target that prove nothing.
#[test]
fn the_signed_sample_is_signed_and_chosen() {
    let file = samples::signed();
    let report = verify(&file.as_slice().into(), &mut |_, _| {}).unwrap();
    let epochs: Vec<u64> = report.notes.iter().map(|note| note.statement().epoch).collect();
    assert!(epochs.len() > 1 && epochs.last() == report.epoch.as_ref(), "{epochs:?}");
    let proven = |proof: &EntryProof, number| proof.check(Some(key(number).public())).is_ok();
    assert!(proofs().iter().all(|proof| proven(proof, samples::SIGNER) && !proven(proof, 1)));
    for focus in [Focus::Whole, Focus::Roots, Focus::Segments] {
        assert!(focus.sample(SIGNED.start) == file && structures(&file, focus).len() > 20, "{focus:?}");
    }
}

/// Catches a sample that has learned nothing: then no script comes to what is learned.
#[test]
fn the_sample_that_learned_is_in_use_and_chosen() {
    let file = samples::learned();
    let place = MemoryPlace::default();
    place.put(Path::new(samples::PATH), file.clone());
    let reader = Reader::open_with(Arc::new(place), samples::PATH, ReadMode::Mapped).unwrap();
    let session = Session::new(reader.snapshot()).unwrap();
    let answer = session.search(&[1.0f32, 3.0, 0.0, 0.0]).k(20).explain(true).run().unwrap();
    assert!(answer.learned && answer.moved.unwrap().iter().any(|moved| moved.chosen > 0));
    for focus in [Focus::Whole, Focus::Roots, Focus::Segments] {
        assert!(focus.sample(LEARNED.start) == file && structures(&file, focus).len() > 20, "{focus:?}");
    }
}

#[test]
fn resealing_a_sound_file_changes_nothing() {
    for (index, sample) in samples::all().iter().enumerate() {
        let mut file = sample.clone();
        let done = reseal(&mut file, &Repair::ALL);
        assert!(done.roots > 0 && done.states == done.roots, "sample {index}: {done:?}");
        assert!(file == *sample, "sample {index} was changed");
        assert!(structures(sample, Focus::Whole).len() > 20, "sample {index} has few structures");
    }
}

/// Damages one byte of a sample, repairs as asked, and returns the clauses that verification names.
fn clauses(sample: &[u8], at: usize, repair: &Repair) -> Vec<&'static str> {
    let mut file = sample.to_vec();
    file[at] ^= 1;
    reseal(&mut file, repair);
    let report = verify(&file.into(), &mut |_, _| {}).unwrap();
    let mut clauses: Vec<_> = report.findings.iter().map(|finding| finding.clause.id()).collect();
    clauses.dedup();
    clauses
}

#[test]
fn what_is_left_unrepaired_is_found_and_nothing_else() {
    let sample = samples::small();
    let root = roots(&sample).pop().unwrap().offset;
    let all = Repair::ALL;
    // The timestamp in the header of the first VEC segment: a byte that only hashes know.
    let first = rvf_tests::reseal::segments(&sample, 0, sample.len());
    let vec = first.iter().find(|segment| sample[segment.start + 5] == 1).unwrap().start;
    assert_eq!(clauses(&sample, vec + 0x18, &all), Vec::<&str>::new());
    assert_eq!(clauses(&sample, vec + 0x18, &Repair { entry_hashes: false, ..all }), ["MAN-5"]);
    // A component of a vector.
    let component = vec + 64 + 16 + 3 * 32 + 32 + 32;
    assert_eq!(clauses(&sample, component, &Repair { content_hashes: false, ..all }), ["SEG-4"]);
    assert_eq!(clauses(&sample, vec + 8, &all), ["MAN-4", "SEG-5"]);
    // The time of the last commit.
    assert_eq!(clauses(&sample, root + 0x30, &all), Vec::<&str>::new());
    assert_eq!(clauses(&sample, root + 0x30, &Repair { witness_entry: false, ..all }), ["WIT-3"]);
    assert_eq!(clauses(&sample, root + 0x30, &Repair { witness_head: false, ..all }), ["WIT-3"]);
    assert_eq!(clauses(&sample, root + 0x118, &Repair { state_hash: false, ..all }), ["MAN-7"]);
    assert_eq!(clauses(&sample, root + 0x30, &Repair { root_checksum: false, ..all }), ["TAIL-1", "TAIL-2"]);
    assert_eq!(clauses(&sample, root + 0x30, &Repair { manifest_hash: false, ..all }), ["TAIL-1", "TAIL-2"]);
    assert_eq!(clauses(&sample, 0x110, &Repair { identity: false, ..all }), ["FILE-2"]);
}

#[test]
fn a_changed_audit_entry_is_carried_through_the_chain() {
    let sample = samples::long();
    let first = roots(&sample).remove(1);
    // The second commit's live count: its own entry, all links after it and the sealed copies follow.
    assert_eq!(clauses(&sample, first.offset + 0x18, &Repair::ALL), Vec::<&str>::new());
    assert_eq!(clauses(&sample, first.offset + 0x18, &Repair { sealed_entries: false, ..Repair::ALL }), ["WIT-2"]);
}

#[test]
fn a_hash_tree_follows_its_segment() {
    let sample = samples::with_tree();
    let at = 5 * 4096 + 100_000;
    assert_eq!(clauses(&sample, at, &Repair::ALL), Vec::<&str>::new());
    assert_eq!(clauses(&sample, at, &Repair { trees: false, ..Repair::ALL }), ["TREE-1"]);
}

/// Code rows need no padding, and lists of links no empty slots: a reader that counts on either fails here.
#[test]
fn narrow_rows_are_sound_and_walked() {
    for (sample, links, by) in [(samples::indexed(), false, 4), (samples::indexed_bits(), true, 1)] {
        let mut file = sample.clone();
        mutate::narrow(&mut file, links, by);
        assert!(file != sample);
        reseal(&mut file, &Repair::ALL);
        let report = verify_with(&file.as_slice().into(), &Options { deep: true }, &mut |_, _| {}).unwrap();
        // Without some of their links not all nodes are reached.
        let unreached = report.findings.iter().all(|finding| links && finding.clause == Clause::Idx5);
        assert!(unreached, "{:?}", report.findings);
        properties::exercise(&file);
    }
}

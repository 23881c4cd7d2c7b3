//! Damaged files: every changed bit is found, every cut is found, nothing panics, and what still opens is a commit that was made.

use rvf_engine::{Error, Snapshot};
use rvf_format::storage::Bytes;
use rvf_format::verify::{Report, verify};
use rvf_tests::golden::{Golden, all};
use rvf_tests::oracle::Rng;

fn golden(name: &str) -> Golden {
    all().into_iter().find(|golden| golden.name == name).unwrap()
}

fn verified(bytes: &[u8]) -> rvf_format::Result<Report> {
    verify(&Bytes::from(bytes), &mut |_, _| {})
}

/// Reads all that can be read; errors are fine, panics are not.
fn read_all(bytes: &[u8]) -> Result<(), Error> {
    let snapshot = Snapshot::newest(Bytes::from(bytes))?;
    snapshot.info()?;
    snapshot.records()?.try_for_each(|record| record.map(drop))?;
    snapshot.log(usize::MAX)?;
    snapshot.segments()?;
    let query = vec![1.0; snapshot.schema().dimension as usize];
    snapshot.search(&query).k(3).run().map(drop)
}

fn check_flip(bytes: &mut [u8], bit: usize) {
    bytes[bit / 8] ^= 1 << (bit % 8);
    drop(read_all(bytes));
    if let Ok(report) = verified(bytes) {
        assert!(!report.findings.is_empty(), "bit {} of byte {:#x} was not found", bit % 8, bit / 8);
    }
    bytes[bit / 8] ^= 1 << (bit % 8);
}

#[test]
fn every_bit_of_a_small_file_counts() {
    let mut bytes = golden("empty").bytes;
    for bit in 0..bytes.len() * 8 {
        check_flip(&mut bytes, bit);
    }
}

#[test]
fn bits_all_over_lively_files_count() {
    let mut rng = Rng(7);
    for (name, step) in [("string-ids", 3), ("compacted", 7)] {
        let mut bytes = golden(name).bytes;
        for byte in (0..bytes.len()).step_by(step) {
            check_flip(&mut bytes, byte * 8 + rng.below(8) as usize);
        }
    }
}

/// A cut file opens at an earlier commit or not at all, and verification says so, except exactly behind an earlier root.
#[test]
fn every_cut_is_an_earlier_commit_and_found() {
    let bytes = golden("f32-l2").bytes;
    let whole = Snapshot::newest(Bytes::from(bytes.clone())).unwrap();
    let ends: Vec<usize> =
        (1..=whole.epoch()).map(|epoch| whole.at_epoch(epoch).unwrap().root().end() as usize).collect();
    let mut rng = Rng(8);
    for length in (0..bytes.len()).step_by(512).chain((0..600).map(|_| rng.below(bytes.len() as u64) as usize)) {
        let cut = &bytes[..length];
        let commit = ends.iter().filter(|end| **end <= length).count() as u64;
        match Snapshot::newest(Bytes::from(cut)) {
            Ok(snapshot) => assert_eq!(snapshot.epoch(), commit, "length {length}"),
            Err(error) => {
                let refused = matches!(error, Error::NoRoot | Error::NotRvf | Error::Corrupt { .. });
                assert!(commit == 0 && refused, "length {length}: {error:?}");
            }
        }
        match verified(cut) {
            Ok(report) if ends.contains(&length) => assert_eq!(report.findings, [], "length {length}"),
            Ok(report) => {
                assert!(!report.findings.is_empty(), "length {length}");
                assert_eq!(report.sound, commit > 0, "length {length}: a tail alone leaves a file sound");
            }
            Err(_) => assert!(length < 64 + 64, "length {length} is recognisably ours"),
        }
    }
}

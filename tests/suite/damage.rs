//! Damaged files: every changed bit is found, every cut is found, nothing panics, and what still opens is a commit that was made.

use rvf_engine::{Error, Snapshot};
use rvf_format::storage::Bytes;
use rvf_format::verify::{Finding, Report, verify};
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

/// Bounds of the segments, and of the commits' tails, that a byte belongs to: where a finding about it may point.
struct Map {
    /// Starts of segments, by offset.
    segments: Vec<usize>,
    /// Ends of roots, by offset.
    roots: Vec<usize>,
}

impl Map {
    fn of(bytes: &[u8]) -> Self {
        let snapshot = Snapshot::newest(Bytes::from(bytes)).unwrap();
        let segments = snapshot.segments().unwrap().iter().map(|segment| segment.offset as usize).collect();
        // Compaction leaves few epochs.
        let kept = (1..=snapshot.epoch()).filter_map(|epoch| snapshot.at_epoch(epoch).ok());
        Self { segments, roots: kept.map(|epoch| epoch.root().end() as usize).collect() }
    }

    /// Whether a finding names a place in the segment of `byte`, or where the tail begins that the newest commit becomes without
    /// its root.
    fn leads_to(&self, finding: &Finding, byte: usize) -> bool {
        let segment = |at: usize| self.segments.partition_point(|start| *start <= at);
        let newest = self.roots.iter().rev().nth(1).copied().unwrap_or(0);
        // A damaged root is found from the one behind it: where it is stands in the message.
        let told = finding.message.split_once("at offset ").map(|(_, rest)| rest.trim_end_matches(')').parse());
        let places = [Some(finding.offset as usize), told.and_then(Result::ok)];
        places.into_iter().flatten().any(|at| segment(at) == segment(byte) || (byte >= newest && at == newest))
    }
}

fn check_flip(bytes: &mut [u8], map: &Map, bit: usize) {
    let byte = bit / 8;
    bytes[byte] ^= 1 << (bit % 8);
    drop(read_all(bytes));
    if let Ok(report) = verified(bytes) {
        let named = report.findings.iter().any(|finding| map.leads_to(finding, byte));
        assert!(named, "bit {} of byte {byte:#x} was not found: {:?}", bit % 8, report.findings);
    }
    bytes[byte] ^= 1 << (bit % 8);
}

/// Every bit of a file of 40 KiB: each flip is found, and a finding points at the segment that holds it.
#[test]
fn every_bit_of_a_file_counts() {
    let bytes = golden("masked").bytes;
    let bits = bytes.len() * 8;
    assert!(bits >= 262_144);
    let map = Map::of(&bytes);
    std::thread::scope(|scope| {
        for half in 0..2 {
            let (mut bytes, map) = (bytes.clone(), &map);
            scope.spawn(move || {
                (0..bits).filter(|bit| bit % 2 == half).for_each(|bit| check_flip(&mut bytes, map, bit))
            });
        }
    });
}

#[test]
fn bits_all_over_lively_files_count() {
    let mut rng = Rng(7);
    for (name, step) in [("string-ids", 3), ("compacted", 7)] {
        let mut bytes = golden(name).bytes;
        let map = Map::of(&bytes);
        for byte in (0..bytes.len()).step_by(step) {
            check_flip(&mut bytes, &map, byte * 8 + rng.below(8) as usize);
        }
    }
}

/// A cut file opens at an earlier commit or not at all, and verification says so, except exactly behind an earlier root.
#[test]
fn every_cut_is_an_earlier_commit_and_found() {
    let bytes = golden("masked").bytes;
    let whole = Snapshot::newest(Bytes::from(bytes.clone())).unwrap();
    let ends: Vec<usize> =
        (1..=whole.epoch()).map(|epoch| whole.at_epoch(epoch).unwrap().root().end() as usize).collect();
    for length in 0..bytes.len() {
        let cut = &bytes[..length];
        let commit = ends.iter().filter(|end| **end <= length).count() as u64;
        match Snapshot::newest(Bytes::from(cut)) {
            Ok(snapshot) => assert_eq!(snapshot.epoch(), commit, "length {length}"),
            Err(error) => {
                // The magic alone is that of the published crates, too.
                let magic = matches!(error, Error::PublishedRvf) && length < 64;
                let refused = magic || matches!(error, Error::NoRoot | Error::NotRvf | Error::Corrupt { .. });
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

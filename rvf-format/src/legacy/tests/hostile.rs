//! Files that lie: about counts, places, kinds and values. All hashes are true, so only the reader's own care helps.

use super::super::hash::crc32_rotations;
use super::super::{Fault, LegacyError, LegacyFile, SegmentKind, Warning, Why};
use super::firsts;
use super::made::{Made, ManifestFields, rehash, vectors};

fn open(bytes: Vec<u8>) -> Result<LegacyFile<Vec<u8>>, LegacyError> {
    LegacyFile::open(bytes)
}

fn fault(bytes: Vec<u8>) -> Fault {
    match open(bytes).unwrap_err() {
        LegacyError::Malformed { fault, .. } => fault,
        other => panic!("{other}"),
    }
}

fn two_rows() -> Made {
    Made::default().vectors(4, &[(7, 1.0), (9, 2.0)]).clone()
}

#[test]
fn a_sound_made_file() {
    let file = open(two_rows().manifest(&ManifestFields::new(4, 2))).unwrap();
    assert_eq!(firsts(&file), [(7, 1.0), (9, 2.0)]);
    assert_eq!(file.report().warnings, []);
}

#[test]
fn the_later_row_wins_and_deleted_ids_go() {
    let mut made = two_rows();
    made.vectors(4, &[(9, 3.0), (1, 4.0), (9, 5.0)]);
    let mut fields = ManifestFields::new(4, 3);
    fields.deleted = vec![1, 500];
    let file = open(made.manifest(&fields)).unwrap();
    assert_eq!(firsts(&file), [(7, 1.0), (9, 5.0)]);
    assert_eq!(file.report().warnings, []);
}

#[test]
fn a_huge_total_is_only_compared() {
    let file = open(two_rows().manifest(&ManifestFields::new(4, u64::MAX))).unwrap();
    assert_eq!(file.live_count(), 2);
    assert_eq!(file.report().warnings, [Warning::TotalDiffers { recorded: u64::MAX, found: 2 }]);
}

#[test]
fn huge_counts_are_refused() {
    let mut fields = ManifestFields::new(4, 2);
    fields.segments = Some(u32::MAX);
    assert_eq!(fault(two_rows().manifest(&fields)), Fault::Count { of: "segments", count: u32::MAX.into() });
    let mut fields = ManifestFields::new(4, 2);
    fields.deletions = Some(u32::MAX);
    assert_eq!(fault(two_rows().manifest(&fields)), Fault::Count { of: "deleted ids", count: u32::MAX.into() });
    let mut fields = ManifestFields::new(4, 2);
    fields.after = b"SHDG\xff\xff\xff\xff".to_vec();
    assert_eq!(fault(two_rows().manifest(&fields)), Fault::Count { of: "hashes", count: u32::MAX.into() });
    let mut made = Made::default();
    made.segment(1, &vectors(4, u32::MAX, &[(1, 1.0)]));
    assert_eq!(fault(made.manifest(&ManifestFields::new(4, 1))), Fault::Count { of: "rows", count: u32::MAX.into() });
}

#[test]
fn a_count_below_the_bytes_is_refused() {
    let mut made = Made::default();
    made.segment(1, &vectors(4, 1, &[(1, 1.0), (2, 2.0)]));
    assert_eq!(fault(made.manifest(&ManifestFields::new(4, 2))), Fault::Trailing(24));
}

#[test]
fn one_segment_named_two_thousand_times() {
    let mut made = two_rows();
    made.directory = vec![made.directory[0]; 2000];
    let error = open(made.manifest(&ManifestFields::new(4, 2))).unwrap_err();
    assert_eq!(error, LegacyError::Overlap { at: 0, over: 0 });
}

#[test]
fn segments_that_share_bytes() {
    // The second VEC lies in the vectors of the first.
    let mut inner = Made::default();
    inner.vectors(4, &[(5, 1.0)]);
    let mut payload = vectors(4, 0, &[]);
    payload.resize(64, 0);
    payload.extend(&inner.bytes);
    let mut made = Made::default();
    made.segment(1, &payload);
    made.directory.push((1, 128, 30, 1));
    let error = open(made.manifest(&ManifestFields::new(4, 2))).unwrap_err();
    assert_eq!(error, LegacyError::Overlap { at: 128, over: 0 });
}

#[test]
fn the_directory_must_tell_the_truth() {
    for change in [(2, 0, 54, 1), (1, 64, 54, 1), (1, 0, 53, 1), (1, u64::MAX, 54, 1), (1, 0, u64::MAX, 1)] {
        let mut made = two_rows();
        made.directory[0] = change;
        let error = open(made.manifest(&ManifestFields::new(4, 2))).unwrap_err();
        assert_eq!(error.clause(), "PUB-DIRECTORY", "{change:?}: {error}");
    }
    let mut made = two_rows();
    made.directory.push((9, 1 << 40, 73, 0x0a));
    let file = open(made.manifest(&ManifestFields::new(4, 2))).unwrap();
    assert_eq!(file.report().segments_skipped[0].why, Why::NotThere);
}

#[test]
fn unknown_values_are_refused() {
    let mut fields = ManifestFields::new(4, 2);
    fields.metric = 3;
    assert_eq!(open(two_rows().manifest(&fields)).unwrap_err(), LegacyError::UnknownMetric { at: 128, metric: 3 });
    let mut bytes = two_rows().manifest(&ManifestFields::new(4, 2));
    bytes[32] = 3;
    assert_eq!(open(bytes.clone()).unwrap_err(), LegacyError::UnknownChecksum { at: 0, algorithm: 3 });
    bytes[32] = 1;
    bytes[6] = 1;
    assert_eq!(fault(bytes.clone()), Fault::Flags(1));
    bytes[6] = 0;
    bytes[33] = 2;
    assert_eq!(fault(bytes), Fault::Compressed(2));
    assert_eq!(fault(two_rows().manifest(&ManifestFields::new(0, 2))), Fault::ZeroDimension);
    let mut fields = ManifestFields::new(4, 2);
    fields.after = vec![1, 2, 3];
    assert_eq!(fault(two_rows().manifest(&fields)), Fault::Trailing(3));
}

#[test]
fn a_missing_hash_is_refused() {
    let mut bytes = two_rows().manifest(&ManifestFields::new(4, 2));
    bytes[40..56].fill(0);
    bytes[80] ^= 1;
    let expected = LegacyError::HashMissing { at: 0, kind: SegmentKind::Vec, segment_id: 1 };
    assert_eq!(open(bytes).unwrap_err(), expected);
}

/// Checksum 0 is CRC-32 in rvf-runtime 0.2 and XXH3-128 in rvf-wire.
#[test]
fn checksum_0_has_two_readings() {
    let mut bytes = two_rows().manifest(&ManifestFields::new(4, 2));
    bytes[32] = 0;
    assert_eq!(open(bytes.clone()).unwrap().live_count(), 2);
    let hash = crc32_rotations(&bytes[64..64 + 54]);
    bytes[40..56].copy_from_slice(&hash);
    assert_eq!(open(bytes.clone()).unwrap().live_count(), 2);
    bytes[32] = 1;
    assert!(matches!(open(bytes), Err(LegacyError::HashMismatch { at: 0, .. })));
}

#[test]
fn the_list_of_hashes_must_name_what_is_used() {
    let mut fields = ManifestFields::new(4, 2);
    fields.after = b"SHDG\x00\x00\x00\x00".to_vec();
    assert_eq!(fault(two_rows().manifest(&fields)), Fault::HashList);
}

#[test]
fn vectors_of_another_dimension_are_skipped() {
    let mut made = two_rows();
    made.vectors(3, &[(11, 1.0)]);
    let file = open(made.manifest(&ManifestFields::new(4, 2))).unwrap();
    assert_eq!(file.live_count(), 2);
    assert_eq!(file.report().segments_skipped[0].why, Why::DimensionDiffers { found: 3 });
}

#[test]
fn values_that_are_not_finite_are_reported() {
    let mut made = two_rows();
    made.vectors(4, &[(3, f32::NAN), (2, f32::NEG_INFINITY), (1, f32::MAX)]);
    let file = open(made.manifest(&ManifestFields::new(4, 5))).unwrap();
    assert_eq!(file.report().warnings, [Warning::NotFinite { rows: 2, first_id: 2 }]);
}

#[test]
fn unnamed_segments_gaps_and_programs_are_reported() {
    let mut made = two_rows();
    made.raw(1, &vectors(4, 1, &[(3, 1.0)]));
    made.bytes.extend([7; 128]);
    made.segment(0x10, b"wasm").segment(0x33, b"?");
    let report = open(made.manifest(&ManifestFields::new(4, 2))).unwrap().report().clone();
    let why: Vec<_> = report.segments_skipped.iter().map(|skipped| skipped.why).collect();
    assert_eq!(why, [Why::AttachmentNotCarried, Why::UnknownKind, Why::NotInDirectory]);
    assert_eq!(report.warnings, [Warning::Gap { offset: 256, bytes: 128 }]);
}

/// Bytes of a vector in an uncommitted segment may look like a manifest; the published readers take it.
#[test]
fn a_manifest_within_a_segment_is_reported() {
    let inner = two_rows().manifest(&ManifestFields::new(4, 2));
    let mut made = Made::default();
    made.raw(1, &inner[128..]);
    let mut bytes = inner.clone();
    bytes.truncate(128);
    bytes.extend(&made.bytes);
    let file = open(bytes).unwrap();
    assert!(file.report().warnings.contains(&Warning::ManifestInSegment { offset: 128 }));
}

#[test]
fn no_manifest_at_all() {
    let mut bytes = two_rows().bytes;
    assert_eq!(open(bytes.clone()).unwrap_err(), LegacyError::NoManifest { searched: 128 });
    // A manifest that is cut does not count.
    let whole = two_rows().manifest(&ManifestFields::new(4, 2));
    bytes.extend(&whole[128..200]);
    assert_eq!(open(bytes).unwrap_err(), LegacyError::NoManifest { searched: 200 });
}

#[test]
fn many_fake_headers_cost_no_more_than_their_bytes() {
    let mut made = two_rows();
    for _ in 0..100_000 {
        made.raw(0x0a, b"");
    }
    let mut bytes = made.manifest(&ManifestFields::new(4, 2));
    for at in (bytes.len()..bytes.len() + 64 * 1000).step_by(64) {
        // Manifest headers whose payload ends far behind the file.
        bytes.extend(b"SFVR\x01\x05");
        bytes.resize(at + 23, 0);
        bytes.resize(at + 64, 0x7f);
    }
    let file = open(bytes).unwrap();
    assert_eq!(file.report().segments_skipped.len(), 100_000);
    assert_eq!(file.report().uncommitted_bytes, 64_000);
}

#[test]
fn rehash_makes_a_changed_file_sound() {
    let mut bytes = two_rows().manifest(&ManifestFields::new(4, 2));
    bytes[64 + 6] = 8;
    assert!(matches!(open(bytes.clone()), Err(LegacyError::HashMismatch { at: 0, .. })));
    rehash(&mut bytes, 0);
    assert_eq!(firsts(&open(bytes).unwrap()), [(8, 1.0), (9, 2.0)]);
}

//! META segments that were made: replay, gaps, damage, hostile counts.

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::super::{LegacyFile, MetaValue, Warning, Why};
use super::made::{Made, ManifestFields, cow_map, membership, rehash};

/// A META payload: what stands between head and footer is given as bytes.
fn meta(full: bool, generation: u64, counts: [u32; 3], content: &[u8]) -> Vec<u8> {
    let mut payload = b"RVFMETA\0\x01\0".to_vec();
    payload.extend(u16::from(full).to_le_bytes());
    payload.extend(generation.to_le_bytes());
    payload.extend(if full { u64::MAX } else { generation - 1 }.to_le_bytes());
    counts.iter().for_each(|count| payload.extend(count.to_le_bytes()));
    payload.extend(content);
    let digest = Sha256::digest(&payload);
    payload.extend(b"RVFDONE\0");
    payload.extend(digest);
    payload
}

/// A record that sets fields; each value as its bytes.
fn upsert(id: u64, fields: &[(u16, &[u8])]) -> Vec<u8> {
    let mut record = id.to_le_bytes().to_vec();
    record.push(0);
    record.extend((fields.len() as u32).to_le_bytes());
    for (field, value) in fields {
        record.extend(field.to_le_bytes());
        record.extend(*value);
    }
    record
}

fn delete(id: u64) -> Vec<u8> {
    [&id.to_le_bytes()[..], &[1, 0, 0, 0, 0]].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&[1][..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

fn number(number: i64) -> Vec<u8> {
    [&[3][..], &number.to_le_bytes()].concat()
}

/// A file with ids 1 to 3 and these META segments.
fn file(metas: &[Vec<u8>]) -> Vec<u8> {
    let mut made = Made::default();
    made.vectors(2, &[(1, 0.5), (2, 0.5), (3, 0.5)]);
    for meta in metas {
        made.segment(7, meta);
    }
    made.manifest(&ManifestFields::new(2, 3))
}

/// The fields of each id, as text.
fn fields(file: &LegacyFile<Vec<u8>>) -> Vec<String> {
    let show = |(field, value)| match value {
        MetaValue::I64(number) => format!("{field}={number}"),
        MetaValue::Str(text) => format!("{field}={text}"),
        other => format!("{field}={other:?}"),
    };
    file.rows().map(|row| file.fields(&row).into_iter().map(show).collect::<Vec<_>>().join(" ")).collect()
}

/// A snapshot, and two changes.
fn three() -> [Vec<u8>; 3] {
    let schema = b"\x01\0\x03\0\x07\0field.1";
    let first =
        [&schema[..], &upsert(1, &[(0, &text("a")), (1, &number(-7))]), &upsert(2, &[(1, &number(2))])].concat();
    let second = [upsert(1, &[(0, &[7]), (9, &[0])]), delete(2), upsert(3, &[(0, &text(""))])].concat();
    let third = [&b"\x01\0k"[..], &text("v"), &upsert(2, &[(1, &number(4))])].concat();
    [meta(true, 5, [1, 0, 2], &first), meta(false, 6, [0, 0, 3], &second), meta(false, 7, [0, 1, 1], &third)]
}

#[test]
fn changes_are_replayed_on_the_newest_snapshot() {
    let stale = meta(true, 4, [0, 0, 1], &upsert(3, &[(5, &number(1))]));
    let found = LegacyFile::open(file(&[&[stale][..], &three()].concat())).unwrap();
    assert_eq!(fields(&found), ["1=-7 9=Null", "1=4", "0="]);
    let report = found.report();
    assert_eq!((&report.file_keys[..], &report.warnings[..]), (&["k".to_owned()][..], &[][..]));
    let skipped: Vec<Why> = report.segments_skipped.iter().map(|skipped| skipped.why).collect();
    assert_eq!(skipped, [Why::Superseded]);
    assert_eq!(report.segments_read.len(), 2 + 3);
}

/// META segments, the fields of each id, how many segments are left.
type Case<'c> = (&'c [Vec<u8>], [&'c str; 3], usize);

/// Vectors are read whatever metadata is like; metadata as of before the damage, with a warning.
#[test]
fn damage_stops_the_replay() {
    let [first, second, third] = three();
    let other = |bytes: &[u8], at: usize, value: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = value;
        bytes
    };
    let cases: [Case<'_>; 6] = [
        (&[first.clone(), third.clone()], ["0=a 1=-7", "1=2", ""], 1),
        (&[first.clone(), other(&second, 50, 9), third.clone()], ["0=a 1=-7", "1=2", ""], 2),
        (&[first.clone(), second.clone(), other(&third, 8, 2)], ["1=-7 9=Null", "", "0="], 1),
        (&[second.clone(), third.clone()], ["", "", ""], 2),
        (&[other(&first, 60, 9), second.clone(), third.clone()], ["", "", ""], 3),
        (&[first.clone(), vec![1; 39]], ["0=a 1=-7", "1=2", ""], 1),
    ];
    for (index, (metas, wanted, left)) in cases.into_iter().enumerate() {
        let found = LegacyFile::open(file(metas)).unwrap();
        assert_eq!((fields(&found), found.live_count()), (wanted.map(str::to_owned).to_vec(), 3), "case {index}");
        let skipped = &found.report().segments_skipped;
        assert_eq!(skipped.iter().filter(|s| s.why == Why::MetadataUnreadable).count(), left, "case {index}");
        assert!(matches!(found.report().warnings[..], [Warning::MetadataDamaged { .. }]), "case {index}");
    }
    // The hash of the segment guards as well.
    let mut bytes = file(&[first, second]);
    let at = bytes.windows(8).rposition(|window| window == b"RVFMETA\0").unwrap();
    bytes[at + 70] ^= 1;
    assert_eq!(fields(&LegacyFile::open(bytes).unwrap()), ["0=a 1=-7", "1=2", ""]);
}

#[test]
fn counts_and_values_that_lie_are_refused() {
    let record = |value: &[u8]| meta(true, 1, [0, 0, 1], &upsert(1, &[(0, value)]));
    let nan = [&[5][..], &f64::NAN.to_bits().to_le_bytes()].concat();
    let most = u32::MAX;
    let cases = [
        meta(true, 1, [most, 0, 0], &[]),
        meta(true, 1, [0, most, 0], &[]),
        meta(true, 1, [0, 0, most], &upsert(1, &[])),
        meta(true, 1, [0, 0, 1], &[&upsert(1, &[])[..9], &most.to_le_bytes()].concat()),
        meta(true, 1, [0, 0, 0], &[0]),
        meta(true, 1, [0, 0, 1], &[&1u64.to_le_bytes()[..], &[2, 0, 0, 0, 0]].concat()),
        record(&[1, 255, 255, 255, 255]),
        record(&[1, 1, 0, 0, 0, 0xff]),
        record(&[6, 2]),
        record(&[8]),
        record(&nan),
    ];
    for (index, case) in cases.into_iter().enumerate() {
        let found = LegacyFile::open(file(&[case])).unwrap();
        assert_eq!(fields(&found), ["", "", ""], "case {index}");
        assert!(matches!(found.report().warnings[..], [Warning::MetadataDamaged { .. }]), "case {index}");
    }
}

/// A row that is inherited has the parent's fields, unless the branch has some for its id; a row of its own has the branch's.
#[test]
fn a_branch_has_its_own_fields_first() {
    let snapshot = |records: &[Vec<u8>]| meta(true, 1, [0, 0, records.len() as u32], &records.concat());
    let parent = file(&[snapshot(&[1, 2, 3].map(|id| upsert(id, &[(0, &number(id as i64))])))]);
    let mut made = Made::default();
    made.vectors(2, &[(3, 1.5)]);
    made.segment(7, &snapshot(&[upsert(1, &[(1, &text("own"))])]));
    made.segment(0x20, &cow_map("parent.rvf", [1; 16], &parent, 1));
    made.segment(0x22, &membership(0, 4, 0b1110));
    let child = made.manifest(&ManifestFields { file_id: [2; 16], parent_id: [1; 16], ..ManifestFields::new(2, 1) });
    let found = LegacyFile::open_with(child, |_| Ok::<_, String>(parent.clone())).unwrap();
    assert_eq!(fields(&found), ["1=own", "0=2", ""]);
}

proptest! {
    /// Any bytes with true hashes: no panic, vectors stay.
    #[test]
    fn arbitrary_changes(at in any::<prop::sample::Index>(), byte: u8, which in 0..3_usize) {
        let mut metas = three();
        let end = metas[which].len() - 40;
        metas[which][at.index(end)] = byte;
        let digest = Sha256::digest(&metas[which][..end]);
        metas[which][end + 8..].copy_from_slice(&digest);
        let mut bytes = file(&metas);
        rehash(&mut bytes, 0);
        let found = LegacyFile::open(bytes).unwrap();
        prop_assert_eq!(found.live_count(), 3);
        fields(&found);
    }
}

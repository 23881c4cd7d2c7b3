//! Tests of the reader of published files.
//!
//! | file | duty |
//! | --- | --- |
//! | `samples` | every sample against its true content |
//! | `damage` | cuts, flips and random mutations of samples |
//! | `made` | writes small files, sound or hostile |
//! | `hostile` | files that lie |
//! | `branches` | what branches show, and chains of them |
//! | `metas` | META segments: replay, damage, lies |

mod branches;
mod damage;
mod hostile;
mod made;
mod metas;
mod samples;

use super::{Dialect, LegacyError, LegacyFile, Metric};

/// The bytes of a file in `fixtures/published`.
fn sample(name: &str) -> Vec<u8> {
    let path = format!("{}/../fixtures/published/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Opens a file whose parent, if it wants one, lies with the samples.
fn open(bytes: &[u8]) -> Result<LegacyFile<Vec<u8>>, LegacyError> {
    LegacyFile::open_with(bytes.to_vec(), |request| match request.path {
        "branch_parent_400x32.rvf" => Ok(sample(request.path)),
        other => Err(format!("{other} is no sample")),
    })
}

/// FNV-1a-64 over id and vector of each live row.
fn digest<B: AsRef<[u8]>>(file: &LegacyFile<B>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for row in file.rows() {
        for &byte in row.id.to_le_bytes().iter().chain(row.vector) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// All that must not change unnoticed.
fn content<B: AsRef<[u8]>>(file: &LegacyFile<B>) -> (u64, u64, u16, u32, Metric) {
    let report = file.report();
    (digest(file), file.live_count(), report.dimension, report.epoch, report.metric)
}

/// Ids and first values, for files small enough to write down.
fn firsts<B: AsRef<[u8]>>(file: &LegacyFile<B>) -> Vec<(u64, f32)> {
    file.rows().map(|row| (row.id, row.values().next().unwrap())).collect()
}

#[test]
fn recognises_published_files_only() {
    assert_eq!(super::recognise(&sample("plain_l2_10x4.rvf")), Some(Dialect::Aligned));
    assert_eq!(super::recognise(&sample("compacted_300x16.rvf")), Some(Dialect::Aligned));
    assert_eq!(super::recognise(&sample("legacy_020_50x8.rvf")), Some(Dialect::ByteGranular));
    assert_eq!(super::recognise(&sample("signed_100x8.rvf")), Some(Dialect::SignedRootPage));
    assert_eq!(super::recognise(b""), None);
    assert_eq!(super::recognise(&[0; 5000]), None);
    assert_eq!(super::recognise(&sample("plain_l2_10x4.rvf")[..63]), None);
    let mut newer = sample("plain_l2_10x4.rvf");
    newer[4] = 2;
    assert_eq!(super::recognise(&newer), None);
    let mut ours = sample("plain_l2_10x4.rvf");
    ours[5] = 0x40;
    assert_eq!(super::recognise(&ours), None);
    assert_eq!(LegacyFile::open(ours).unwrap_err(), LegacyError::NotPublished);
}

//! What must hold for a file of the published crates, of any bytes: it is read or refused, and what is read is converted
//! to a sound store.

use super::scratch;
use crate::published::{PARENT, PARENT_NAME};
use rvf_engine::Db;
use rvf_engine::Metric;
use rvf_engine::ingest::{self, ConvertOptions};
use rvf_format::legacy::{self, LegacyFile};
use rvf_format::verify::verify;
use std::ops::ControlFlow;

/// Reads the file without a parent; the number of its live rows.
pub fn read(bytes: &[u8]) -> Option<u64> {
    let dialect = legacy::recognise(bytes);
    let file = LegacyFile::open(bytes).map_err(|error| error.to_string()).ok()?;
    assert!(dialect.is_some(), "a published file opens that is not recognised");
    Some(count(&file))
}

/// Reads the file, with a parent if it asks for one; the number of its live rows.
fn read_branch(bytes: &[u8]) -> Option<u64> {
    let file = LegacyFile::open_with(bytes, |_| Ok::<_, String>(PARENT)).ok()?;
    Some(count(&file))
}

/// Rows that are read, which must be as many as are live, each of the right length.
fn count(file: &LegacyFile<&[u8]>) -> u64 {
    let dimension = usize::from(file.report().dimension);
    let rows = file.rows().inspect(|row| assert_eq!(row.values().len(), dimension)).count() as u64;
    assert_eq!(rows, file.live_count());
    assert!(file.rows().is_sorted_by(|a, b| a.id < b.id), "ids do not ascend");
    rows
}

/// Reads and converts the file. What opens with its parent converts to a sound store of as many records.
pub fn convert(bytes: &[u8]) {
    let _ = read(bytes);
    let rows = read_branch(bytes);
    let folder = scratch();
    let (source, out) = (folder.path().join("source.rvf"), folder.path().join("out.rvf"));
    std::fs::write(&source, bytes).unwrap();
    std::fs::write(folder.path().join(PARENT_NAME), PARENT).unwrap();
    // One metric of two, so that both answers to a file that records none are given.
    let metric = bytes.len().is_multiple_of(2).then_some(Metric::L2);
    let options = ConvertOptions { metric, ..ConvertOptions::default() };
    match ingest::convert(&source, &out, &options, &mut |_, _| ControlFlow::Continue(())) {
        Ok(done) => {
            let stored = std::fs::read(&out).unwrap();
            let report = verify(&stored.as_slice().into(), &mut |_, _| {}).unwrap();
            assert!(report.sound && report.findings.is_empty(), "a converted store is unsound: {:?}", report.findings);
            assert_eq!(Db::open_read_only(&out).unwrap().count(), done.imported);
            assert!(rows.is_none_or(|rows| rows == done.imported + done.rejected), "{rows:?} rows, {done:?}");
        }
        Err(error) => {
            let _ = error.to_string();
            assert!(!out.exists(), "a failed conversion left a file");
        }
    }
}

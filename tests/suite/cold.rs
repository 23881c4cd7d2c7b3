//! First answers from a cold cache: what they read is counted, and is a small part of the file.
//!
//! The store lies under `target/`, which must be on a disk: a file system in memory has no cold cache.

use rvf_engine::ingest::door::{Rounding, Vectors};
use rvf_engine::{Db, Effort, Error, Metric, OpenOptions, ReadMode, Reader, Schema};
use rvf_format::payload::witness::Operation;
use rvf_format::storage::ColdPlace;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ROWS: usize = 10_000;
const DIM: usize = 128;
const VECTORS: u64 = (ROWS * DIM * 4) as u64;

/// Rows around 50 centres, the same each time.
fn rows() -> Vec<f32> {
    let mut seed = 11u64;
    let mut next = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let centres: Vec<f32> = (0..50 * DIM).map(|_| next()).collect();
    (0..ROWS * DIM).map(|at| centres[at / DIM % 50 * DIM + at % DIM] + 0.6 * next()).collect()
}

fn store(folder: &Path) -> (PathBuf, Vec<f32>) {
    let (path, rows) = (folder.join("a.rvf"), rows());
    let mut db = Db::create(&path, &Schema::new(DIM as u32, Metric::L2)).unwrap();
    db.import(Vectors::F32(&rows), None, Rounding::Refuse, Operation::IMPORT, "").unwrap();
    assert_eq!(db.snapshot().indexed(), ROWS as u64);
    (path, rows)
}

fn open(path: &Path) -> (Arc<ColdPlace>, Reader) {
    let place = Arc::new(ColdPlace::new(path).unwrap());
    let reader = Reader::open_with(place.clone(), path, ReadMode::Mapped).unwrap();
    (place, reader)
}

#[test]
fn a_first_answer_reads_a_small_part_of_the_file() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (path, rows) = store(folder.path());
    let (mut found, mut read) = (0, 0);
    for at in 0..20 {
        let query = &rows[at * 37 * DIM..][..DIM];
        let (place, reader) = open(&path);
        let opened = place.bytes_read().unwrap();
        assert!((1..=128 << 10).contains(&opened), "open read {opened} bytes");
        let hits = reader.search(query).effort(Effort::Recall(0.95)).run().unwrap();
        read += place.bytes_read().unwrap();
        let exact = reader.search(query).effort(Effort::Exact).run().unwrap();
        found += hits.iter().filter(|hit| exact.contains(hit)).count();
        // The counter counts: comparing all reads all.
        assert!(place.bytes_read().unwrap() >= VECTORS, "{} bytes of {VECTORS}", place.bytes_read().unwrap());
    }
    let (recall, mean) = (found as f64 / 200.0, read / 20);
    println!("recall {recall}, {mean} bytes");
    assert!(recall >= 0.85, "recall {recall}");
    assert!(mean <= 1 << 20, "a first answer read {mean} bytes");
}

#[test]
fn a_cold_place_is_for_reading() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("a.rvf");
    Db::create(&path, &Schema::new(4, Metric::L2)).unwrap().add(&[1.0f32; 4]).unwrap();
    let place = Arc::new(ColdPlace::new(&path).unwrap());
    assert_eq!(place.bytes_read().unwrap_err().kind(), std::io::ErrorKind::NotFound);
    let refused = Db::open_with(place, &path, &OpenOptions::default());
    assert!(matches!(refused, Err(Error::Io { .. })), "a writer opened it");
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.search(&[1.0f32; 4]).run().unwrap().len(), 1);
    assert_eq!(ColdPlace::new(&path).err().unwrap().kind(), std::io::ErrorKind::ResourceBusy, "mapped pages stay");
    drop(reader);
    ColdPlace::new(&path).unwrap();
}

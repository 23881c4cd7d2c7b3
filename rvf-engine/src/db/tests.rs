//! One tiny store through its whole life on storage in memory: small enough for an interpreter that looks for undefined behaviour.

use super::{CreateOptions, Db, OpenOptions};
use crate::store::Clock;
use crate::{CompactOptions, Dtype, Effort, IdType, Metric, Schema};
use rvf_format::storage::MemoryPlace;
use std::path::Path;
use std::sync::Arc;

const PATH: &str = "tiny.rvf";

fn options() -> OpenOptions {
    OpenOptions { clock: Clock::Fixed(1), ..OpenOptions::default() }
}

fn nearest(db: &Db, query: &[f32; 4]) -> Vec<String> {
    let hits = db.snapshot().search(query).k(2).effort(Effort::Exact).run().unwrap();
    hits.iter().map(|hit| hit.id.to_string()).collect()
}

/// Would show a kernel, a view of bytes or a copy that reads beyond its memory or at a wrong alignment (run by Miri), and a commit,
/// reopening or compaction that loses or revives a record (run by any compiler).
#[test]
fn tiny_store() {
    let kinds = [(Dtype::F16, IdType::Str), (Dtype::F32, IdType::U64), (Dtype::I8, IdType::U64)];
    // An interpreter takes about a minute for each.
    for (dtype, id_type) in kinds.into_iter().take(if cfg!(miri) { 1 } else { 3 }) {
        let place = MemoryPlace::default();
        let schema = Schema { dtype, id_type, ..Schema::new(4, Metric::L2) };
        let create = CreateOptions { file_id: Some([7; 16]), open: options(), ..CreateOptions::default() };
        let mut db = Db::create_with(Arc::new(place.clone()), PATH, &schema, &create).unwrap();
        let id = |number: u64| match id_type {
            IdType::U64 => number.into(),
            IdType::Str => number.to_string().as_str().into(),
        };
        let mut batch = db.batch();
        for (number, vector) in [(1, [0f32, 0.0, 1.0, 0.0]), (2, [0.0, 0.0, 2.0, 0.0]), (3, [9.0, 0.0, 0.0, -4.0])] {
            batch.put(id(number), &vector).unwrap();
        }
        batch.commit().unwrap();
        assert_eq!(nearest(&db, &[0.0, 0.0, 1.0, 0.0]), ["1", "2"]);
        assert_eq!(db.delete(&[id(1)]).unwrap().deleted, 1);
        drop(db);
        let mut db = Db::open_with(Arc::new(place.clone()), PATH, &options()).unwrap();
        assert_eq!(nearest(&db, &[0.0, 0.0, 1.0, 0.0]), ["2", "3"]);
        db.compact(&CompactOptions { keep: 1, output: None }).unwrap();
        assert_eq!(nearest(&db, &[9.0, 0.0, 0.0, -4.0]), ["3", "2"]);
        let stored = place.bytes(Path::new(PATH)).unwrap();
        // Hashing takes an interpreter most of its time, and shows it nothing new.
        if !cfg!(miri) {
            let report = rvf_format::verify::verify(&stored.into(), &mut |_, _| {}).unwrap();
            assert!(report.sound && report.findings.is_empty(), "{:?}", report.findings);
        }
    }
}

//! Golden files: today's writer still writes them byte for byte, today's reader reads them as they were meant.

use rvf_engine::{Dtype, Reader, verify_path};
use rvf_format::digest;
use rvf_tests::golden::{Golden, all};
use serde_json::{Value, json};

fn each(check: impl Fn(&Golden, &std::path::Path)) {
    for golden in all() {
        let path = rvf_tests::fixtures().join("v1").join(format!("{}.rvf", golden.name));
        check(&golden, &path);
    }
}

/// Catches any unintended change of the bytes, and any input besides the given that reaches them.
#[test]
fn the_same_input_gives_the_same_bytes() {
    each(|golden, path| {
        let stored = std::fs::read(path).unwrap();
        assert!(stored == golden.bytes, "{}: the writer's bytes changed", golden.name);
        let truth: Value = serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
        assert_eq!(truth, json!(golden.truth), "{}", golden.name);
    });
}

#[test]
fn golden_files_are_sound() {
    each(|golden, path| {
        let report = verify_path(path, &mut |_, _| {}).unwrap();
        assert_eq!(report.findings, [], "{}", golden.name);
        assert!(report.sound && report.bytes_checked == golden.bytes.len() as u64);
    });
}

#[test]
fn golden_files_hold_and_answer_what_their_truth_says() {
    each(|golden, path| {
        let truth: Value = serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
        let reader = Reader::open(path).unwrap();
        let mut records: Vec<Value> = Vec::new();
        let mut stored: Vec<_> = reader.records().unwrap().map(Result::unwrap).collect();
        stored.sort_by(|a, b| a.id.cmp(&b.id));
        for record in &stored {
            assert_eq!(reader.get(&record.id).unwrap().as_ref(), Some(record), "{}", golden.name);
            let bytes: Vec<u8> = record.vector.iter().map(|x| *x as u8).collect();
            records.push(match record.vector.len() {
                0..2000 => json!({"id": id(&record.id), "vector": record.vector}),
                _ => json!({"id": id(&record.id), "vector_blake3": digest::hex(&digest::blake3(&bytes))}),
            });
        }
        assert_eq!(json!(records), truth["records"], "{}", golden.name);
        for query in truth["queries"].as_array().unwrap() {
            check_query(&reader, golden.name, query);
        }
        for epoch in truth["epochs"].as_array().unwrap() {
            let past = reader.at_epoch(epoch["epoch"].as_u64().unwrap()).unwrap();
            assert_eq!(past.records().unwrap().count() as u64, epoch["count"].as_u64().unwrap(), "{}", golden.name);
        }
    });
}

fn check_query(reader: &Reader, name: &str, query: &Value) {
    let vector: Vec<f32> = query["vector"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    let bytes: Vec<u8> = vector.iter().map(|value| *value as u8).collect();
    let k = query["k"].as_u64().unwrap() as usize;
    let search =
        if reader.schema().dtype == Dtype::Binary { reader.search(&bytes[..]) } else { reader.search(&vector) };
    let hits = search.k(k).run().unwrap();
    let found: Vec<Value> = hits.iter().map(|hit| json!({"id": id(&hit.id), "distance": hit.distance})).collect();
    assert_eq!(json!(found), query["hits"], "{name}");
}

fn id(id: &rvf_engine::Id) -> Value {
    match id {
        rvf_engine::Id::U64(number) => json!(number),
        rvf_engine::Id::Str(text) => json!(text),
    }
}

//! Golden files: today's writer still writes them byte for byte, today's reader reads them as they were meant.

use rvf_engine::ingest::metadata_to_json;
use rvf_engine::{Dtype, Effort, Reader, Trace, verify_path};
use rvf_format::roaring::RoaringView;
use rvf_format::storage::Bytes;
use rvf_format::verify::{Options, verify_with};
use rvf_tests::golden::{Golden, all, indexes_json, vector_hash};
use rvf_tests::golden_sets::{numbers, roaring_sets};
use serde_json::{Value, json};

fn each(mut check: impl FnMut(&Golden, &std::path::Path)) {
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

/// Catches a change of the bytes of a form of containers that no golden file holds, and a reader that reads it as another.
#[test]
fn roaring_sets_are_what_they_were() {
    let stored = std::fs::read(rvf_tests::fixtures().join("v1/roaring.json")).unwrap();
    let stored: Value = serde_json::from_slice(&stored).unwrap();
    assert_eq!(stored, roaring_sets(), "the writer's bytes changed");
    for set in stored.as_array().unwrap() {
        let hex = set["bytes"].as_str().unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let view = RoaringView::parse(&bytes).unwrap();
        let stretches: Vec<(u32, u32, u32)> = serde_json::from_value(set["stretches"].clone()).unwrap();
        let expected = numbers(&stretches);
        assert!(view.check() && view.len() == expected.len() as u64, "{}", set["name"]);
        let mut words = vec![0u64; *expected.last().unwrap() as usize / 64 + 1];
        view.insert_into(&mut words);
        let bit = |number: &u32| words[*number as usize / 64] >> (number % 64) & 1 == 1;
        let count: u64 = words.iter().map(|word| u64::from(word.count_ones())).sum();
        assert!(expected.iter().all(bit) && count == expected.len() as u64, "{}", set["name"]);
    }
}

#[test]
fn golden_files_are_sound() {
    each(|golden, path| {
        let report = verify_path(path, &mut |_, _| {}).unwrap();
        assert_eq!(report.findings, [], "{}", golden.name);
        assert!(report.sound && report.bytes_checked == golden.bytes.len() as u64);
        let stored = Bytes::from(std::fs::read(path).unwrap());
        let deep = verify_with(&stored, &Options { deep: true }, &mut |_, _| {}).unwrap();
        assert_eq!(deep.findings, [], "{}, deep", golden.name);
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
            let (vector, known) = (&record.vector, &truth["records"][records.len()]);
            let mut told = match known.get("vector_blake3") {
                None => json!({"id": id(&record.id), "vector": vector}),
                Some(_) => json!({"id": id(&record.id), "vector_blake3": vector_hash(reader.schema(), vector)}),
            };
            if !record.metadata.is_empty() {
                told["metadata"] = metadata_to_json(&record.metadata);
            }
            records.push(told);
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
    assert_eq!(json!(search(reader, query, Effort::Exact).0), query["hits"], "{name}");
}

/// The hits of a query of a truth, as the truth writes them.
fn search(reader: &Reader, query: &Value, effort: Effort) -> (Vec<Value>, Trace) {
    let vector: Vec<f32> = query["vector"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    let bytes: Vec<u8> = vector.iter().map(|value| *value as u8).collect();
    let k = query["k"].as_u64().unwrap() as usize;
    let search =
        if reader.schema().dtype == Dtype::Binary { reader.search(&bytes[..]) } else { reader.search(&vector) };
    let (hits, trace) = search.k(k).effort(effort).run_traced().unwrap();
    (hits.iter().map(|hit| json!({"id": id(&hit.id), "distance": hit.distance})).collect(), trace)
}

/// The widest walk that is cheaper than a scan of 1,200 rows.
const WALKED: Effort = Effort::Ef(60);

/// Catches a reader that loses links, pivots or codes of a file that it did not write, and a walk that is none.
#[test]
fn walks_over_golden_indexes_find_the_nearest() {
    let mut indexed = 0;
    each(|golden, path| {
        let truth: Value = serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
        let reader = Reader::open(path).unwrap();
        let is_walked = golden.name.starts_with("indexed");
        assert_eq!(is_walked || golden.name == "planned", truth.get("indexes").is_some(), "{}", golden.name);
        let Some(indexes) = truth.get("indexes") else { return };
        assert_eq!(json!(indexes_json(&reader)), *indexes, "{}", golden.name);
        if !is_walked {
            return;
        }
        let (mut found, mut wanted) = (0, 0);
        for query in truth["queries"].as_array().unwrap() {
            let (hits, trace) = search(&reader, query, WALKED);
            assert!(!trace.exact && trace.hops > 0 && trace.distances < 1200, "{}: {trace:?}", golden.name);
            let nearest = query["hits"].as_array().unwrap();
            found += hits.iter().filter(|hit| nearest.contains(hit)).count();
            wanted += nearest.len();
            let (hits, _) = search(&reader, query, Effort::Ef(200));
            assert_eq!(json!(hits), query["hits"], "{}: as wide as a scan", golden.name);
        }
        let recall = f64::from(found as u32) / f64::from(wanted as u32);
        assert!(recall >= 0.95, "{}: recall {recall}", golden.name);
        indexed += 1;
    });
    assert_eq!(indexed, 4);
}

fn id(id: &rvf_engine::Id) -> Value {
    match id {
        rvf_engine::Id::U64(number) => json!(number),
        rvf_engine::Id::Str(text) => json!(text),
    }
}

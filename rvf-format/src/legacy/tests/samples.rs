//! Every sample of the published crates against its true content, which was computed without this reader.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::{Dialect, FileReport, LegacyFile, MetaValue, Metric, SegmentKind, Warning, Why};
use super::{digest, open, sample};

fn expected() -> Vec<Value> {
    let all: Value = serde_json::from_slice(&sample("expected.json")).unwrap();
    all["samples"].as_array().unwrap().clone()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn for_each_sample(check: impl Fn(&str, &Value, LegacyFile<Vec<u8>>)) {
    let all = expected();
    assert_eq!(all.len(), 14);
    for truth in all {
        let name = truth["file"].as_str().unwrap();
        let bytes = sample(name);
        assert_eq!(bytes.len() as u64, truth["bytes"].as_u64().unwrap(), "{name}");
        let file = open(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        check(name, &truth, file);
    }
}

#[test]
fn facts_and_vectors() {
    for_each_sample(|name, truth, file| {
        let report = file.report();
        let metric = match report.metric {
            Metric::L2 => "L2",
            Metric::InnerProduct => "InnerProduct",
            Metric::Cosine => "Cosine",
        };
        assert_eq!(metric, truth["metric"], "{name}");
        assert_eq!(u64::from(report.dimension), truth["dimension"], "{name}");
        assert_eq!(u64::from(report.epoch), truth["epoch"], "{name}");
        assert_eq!(file.live_count(), truth["live_count"], "{name}");
        assert_eq!(format!("{:016x}", digest(&file)), truth["vectors_fnv1a64"], "{name}");
        if let Some(id) = truth["file_id"].as_str() {
            let identity = report.identity.unwrap();
            assert_eq!(hex(&identity.file_id), id, "{name}");
            assert_eq!(hex(&identity.parent_id), truth["parent_id"], "{name}");
            assert_eq!(hex(&identity.parent_hash), truth["parent_hash"], "{name}");
            assert_eq!(u64::from(identity.depth), truth["lineage_depth"], "{name}");
        }
    });
}

#[test]
fn live_ids() {
    for_each_sample(|name, truth, file| {
        let ids: Vec<u64> = file.rows().map(|row| row.id).collect();
        let numbers =
            |list: &Value| -> Vec<u64> { list.as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect() };
        match &truth["live_ids"] {
            Value::Array(_) => assert_eq!(ids, numbers(&truth["live_ids"]), "{name}"),
            some => {
                let (first, last) = (numbers(&some["first"]), numbers(&some["last"]));
                assert_eq!(ids.len() as u64, some["count"], "{name}");
                assert!(ids.starts_with(&first) && ids.ends_with(&last), "{name}");
            }
        }
    });
}

/// Everything that the directory names is either read or skipped, and nothing is both.
#[test]
fn every_segment_is_accounted_for() {
    for_each_sample(|name, truth, file| {
        let report = file.report();
        let Some(directory) = truth["segments"].as_array() else {
            return;
        };
        let mut said: Vec<(u64, u64)> = report.segments_read.iter().map(|s| (s.segment_id, s.offset)).collect();
        said.extend(report.segments_skipped.iter().map(|s| (s.segment_id, s.offset)));
        assert_eq!(said.iter().collect::<BTreeSet<_>>().len(), said.len(), "{name}: reported twice");
        for entry in directory {
            let place = (entry[0].as_u64().unwrap(), entry[1].as_u64().unwrap());
            assert!(said.contains(&place), "{name}: {place:?}");
        }
        let besides = said.len() - directory.len();
        let uncommitted = report.segments_skipped.iter().filter(|s| s.why == Why::Uncommitted).count();
        assert_eq!(besides, 1 + uncommitted, "{name}: the manifest, and what follows it");
        assert_eq!(report.segments_read[0].kind, SegmentKind::Manifest, "{name}");
    });
}

#[test]
fn top_ten_of_each_query() {
    for_each_sample(|name, truth, file| {
        for query in truth["queries"].as_array().unwrap() {
            let vector: Vec<f64> = numbers(&query["vector"]);
            let mut ranked: Vec<(f64, u64)> = file
                .rows()
                .map(|row| {
                    let values: Vec<f64> = row.values().map(f64::from).collect();
                    (distance(file.report().metric, &vector, &values), row.id)
                })
                .collect();
            ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
            ranked.truncate(10);
            let top = query["top10"].as_array().unwrap();
            assert_eq!(ranked.len(), top.len(), "{name}");
            for (found, wanted) in ranked.iter().zip(top) {
                assert_eq!(found.1, wanted[0].as_u64().unwrap(), "{name}");
                assert!((found.0 - wanted[1].as_f64().unwrap()).abs() < 1e-5, "{name}: {found:?} {wanted}");
            }
        }
    });
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn distance(metric: Metric, a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    match metric {
        Metric::L2 => a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum(),
        Metric::InnerProduct => -dot(a, b),
        Metric::Cosine => 1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt(),
    }
}

fn report(name: &str) -> FileReport {
    open(&sample(name)).unwrap().report().clone()
}

#[test]
fn warnings_of_each_sample() {
    for_each_sample(|name, _, file| {
        let expected: &[Warning] = match name {
            "signed_100x8.rvf" => &[Warning::SignatureNotVerified],
            "legacy_020_50x8.rvf" => &[Warning::MetricNotRecorded],
            _ => &[],
        };
        assert_eq!(file.report().warnings, expected, "{name}");
    });
}

#[test]
fn dialect_and_tail() {
    assert_eq!(report("legacy_020_50x8.rvf").dialect, Dialect::ByteGranular);
    let signed = report("signed_100x8.rvf");
    let page = signed.root_page.unwrap();
    assert_eq!((signed.dialect, page.at, page.manifest_at), (Dialect::SignedRootPage, 5632, 5120));
    assert_eq!((page.live_vectors, page.manifest_segment_id, signed.uncommitted_bytes), (100, 7, 0));
    let compacted = report("compacted_300x16.rvf");
    assert_eq!((compacted.dialect, compacted.uncommitted_bytes), (Dialect::Aligned, 192));
    let last = compacted.segments_skipped.last().unwrap();
    assert_eq!((last.kind, last.offset, last.why), (SegmentKind::Witness, 20_032, Why::Uncommitted));
}

#[test]
fn skipped_kinds_have_reasons() {
    let why = |name: &str, kind| {
        let reasons = report(name).segments_skipped.into_iter().filter(|s| s.kind == kind).map(|s| s.why);
        reasons.collect::<Vec<_>>()
    };
    assert_eq!(why("index_2000x32.rvf", SegmentKind::Index), [Why::Derived]);
    assert_eq!(why("metadata_250x16.rvf", SegmentKind::Meta), []);
    assert_eq!(why("deletes_300x16.rvf", SegmentKind::Journal), [Why::InManifest]);
    assert_eq!(why("deletes_300x16.rvf", SegmentKind::Witness), [Why::HistoryNotCarried; 5]);
    assert_eq!(why("branch_child.rvf", SegmentKind::CowMap), [Why::Superseded; 2]);
    assert_eq!(why("branch_child.rvf", SegmentKind::Manifest), [Why::Superseded; 3]);
}

/// Every field of every record, against what an independent reader found.
#[test]
fn metadata_of_each_record() {
    let truth = expected().into_iter().find(|truth| truth["file"] == "metadata_250x16.rvf").unwrap();
    let file = open(&sample("metadata_250x16.rvf")).unwrap();
    let as_json = |value: MetaValue<'_>| match value {
        MetaValue::Null => Value::Null,
        MetaValue::Str(text) => json!({ "string": text }),
        MetaValue::Bytes(bytes) => json!({ "bytes": bytes }),
        MetaValue::I64(number) => json!({ "i64": number }),
        MetaValue::U64(number) => json!({ "u64": number }),
        MetaValue::F64(number) => json!({ "f64": number }),
        MetaValue::Bool(value) => json!({ "bool": value }),
    };
    let mut with_fields = 0;
    for row in file.rows() {
        let fields = file.fields(&row);
        let sparse = row.id % 5 == 4;
        assert_eq!(fields.is_empty(), sparse, "id {}", row.id);
        with_fields += usize::from(!sparse);
        if let Some(wanted) = truth["metadata_first_200"].get(row.id.to_string()) {
            let found: serde_json::Map<String, Value> =
                fields.into_iter().map(|(field, value)| (field.to_string(), as_json(value))).collect();
            assert_eq!(Value::Object(found), *wanted, "id {}", row.id);
        }
    }
    assert_eq!(with_fields, 200);
    assert_eq!(file.report().file_keys, ["title"]);
}

#[test]
fn metadata_is_described() {
    let metadata = report("metadata_250x16.rvf").metadata;
    let records: Vec<u32> = metadata.iter().map(|meta| meta.records).collect();
    assert_eq!(records, [0, 40, 40, 40, 40, 40]);
    assert_eq!((metadata[0].segment_id, metadata[0].offset), (2, 192));
    assert!(metadata.windows(2).all(|pair| pair[0].generation + 1 == pair[1].generation));
}

#[test]
fn the_branch_names_its_parent() {
    let child = open(&sample("branch_child.rvf")).unwrap();
    assert_eq!(child.report().parent_path.as_deref(), Some("branch_parent_400x32.rvf"));
    assert_eq!(child.ancestors().len(), 1);
    assert_eq!(child.ancestors()[0].file_id(), child.report().identity.map(|identity| identity.parent_id));
}

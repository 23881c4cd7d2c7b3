//! Each command does its work: JSON keys, exit code 0, what is left on the disk.

use super::{Place, SIX, has_keys, npy, repository};
use serde_json::{Value, json};

fn ids(hits: &Value) -> Vec<u64> {
    hits.as_array().unwrap().iter().map(|hit| hit["id"].as_u64().unwrap()).collect()
}

#[test]
fn create_makes_an_empty_store() {
    let place = Place::new();
    let made = place.ok("create a.rvf --dim 7 --metric dot --dtype f16 --id-type string --model m --actor me");
    has_keys(&made, &["file", "file_id", "dim", "metric", "dtype"]);
    assert_eq!((&made["dim"], &made["metric"], &made["dtype"]), (&json!(7), &json!("dot"), &json!("f16")));
    assert_eq!(made["file_id"].as_str().unwrap().len(), 32);
    let info = place.ok("info a.rvf");
    assert_eq!((&info["count"], &info["epoch"], &info["id_type"]), (&json!(0), &json!(1), &json!("string")));
    assert_eq!(place.ok("log a.rvf")["commits"][0]["actor"], "me");
    assert_eq!(place.ok("create b.rvf --dim 16 --metric hamming")["dtype"], "binary");
}

#[test]
fn import_creates_replaces_counts_and_continues_ids() {
    let place = Place::with_store();
    place.write(
        "more.jsonl",
        "{\"id\":2,\"vector\":[1,2,3]}\n{\"id\":9,\"vector\":[3,2,1]}\n{\"id\":9,\"vector\":[1,1,2]}\n",
    );
    let done = place.ok("import a.rvf more.jsonl");
    has_keys(&done, &["imported", "replaced", "rejected", "count", "seconds", "epoch"]);
    assert_eq!((&done["imported"], &done["replaced"], &done["count"]), (&json!(3), &json!(2), &json!(7)));
    assert_eq!(place.ok("get a.rvf 9 --with-vector")["records"][0]["vector"], json!([1.0, 1.0, 2.0]));
    place.ok("import a.rvf six.jsonl");
    assert_eq!(place.ok("get a.rvf 10 15")["missing"], json!([]));
}

#[test]
fn import_skips_invalid_rows_only_when_told_and_keeps_default_ids_in_step() {
    let place = Place::with_store();
    place.write("odd.npy", npy(4, 3, &[1., 0., 0., f32::NAN, 0., 0., 0., 0., 0., 0., 2., 0.]));
    let done = place.ok("import a.rvf odd.npy --skip-invalid");
    assert_eq!((&done["imported"], &done["rejected"], &done["count"]), (&json!(2), &json!(2), &json!(8)));
    assert_eq!(place.exits("get a.rvf 6 7 8 9", 1)["missing"], json!([7, 8]));
    let said = place.run(&["import", "a.rvf", "odd.npy", "--skip-invalid"]).stderr;
    assert!(said.contains("2 vectors of odd.npy were left out; the first, row 1,"), "{said}");
}

#[test]
fn import_takes_ids_and_metadata_from_files() {
    let place = Place::new();
    place.write("two.npy", npy(2, 2, &[1., 2., 3., 4.]));
    let mut ids = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    ids.extend(format!("{:<117}\n", "{'descr': '<u8', 'fortran_order': False, 'shape': (2,), }").bytes());
    ids.extend([70u64, 50].iter().flat_map(|id| id.to_le_bytes()));
    place.write("two.ids.npy", &ids);
    place.write("meta.jsonl", "{\"a\":1}\n\n{\"a\":2}\n");
    let answer = place.run(&[
        "import",
        "b.rvf",
        "two.npy",
        "--metric",
        "l2",
        "--ids",
        "two.ids.npy",
        "--metadata",
        "meta.jsonl",
    ]);
    assert_eq!(answer.exit, 0, "{answer:?}");
    assert_eq!(place.ok("get b.rvf 50")["records"][0]["metadata"], json!({"a": 2}));
    assert_eq!(place.ok("get b.rvf 50 --with-vector")["records"][0]["vector"], json!([3.0, 4.0]));
}

#[test]
fn query_finds_by_vector_id_and_file() {
    let place = Place::with_store();
    let found = place.ok("query a.rvf --vector [1,0.9,0] -k 2 --with-vector --threads 2");
    has_keys(&found, &["query", "hits", "micros"]);
    assert_eq!(ids(&found["hits"]), [3, 5]);
    assert_eq!(found["hits"][0]["vector"], json!([1.0, 1.0, 0.0]));
    assert_eq!(ids(&place.ok("query a.rvf --id 4 -k 1")["hits"]), [4]);
    let answer = place.run(&["--json", "query", "a.rvf", "--input", "six.jsonl", "-k", "1", "--exact"]);
    let lines: Vec<Value> = answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<u64> = lines.iter().map(|line| line["query"].as_u64().unwrap()).collect();
    let nearest: Vec<u64> = lines.iter().map(|line| ids(&line["hits"])[0]).collect();
    assert_eq!((numbers, nearest), (vec![0, 1, 2, 3, 4, 5], vec![0, 1, 2, 3, 4, 5]));
    assert_eq!(place.ok("query a.rvf --id 4 -k 100")["hits"].as_array().unwrap().len(), 6);
}

#[test]
fn get_and_delete_say_what_is_absent() {
    let place = Place::with_store();
    let got = place.exits("get a.rvf 1 77 2", 1);
    assert_eq!(
        (&got["records"], &got["missing"]),
        (&json!([{"id": 1, "metadata": {}}, {"id": 2, "metadata": {}}]), &json!([77]))
    );
    let done = place.ok("delete a.rvf --id 1,2,1");
    has_keys(&done, &["deleted", "missing", "count", "epoch"]);
    assert_eq!((&done["deleted"], &done["missing"], &done["count"]), (&json!(2), &json!(0), &json!(4)));
    let before = place.bytes("a.rvf");
    assert_eq!(place.exits("delete a.rvf --id 1", 1)["missing"], 1);
    assert_eq!(place.bytes("a.rvf"), before, "a deletion of nothing committed something");
    assert_eq!(place.exits("delete a.rvf --id 1 --id 3", 1)["deleted"], 1);
}

#[test]
fn earlier_epochs_are_read_with_at() {
    let place = Place::with_store();
    place.ok("delete a.rvf --id 0");
    assert_eq!(place.ok("info a.rvf --at 2")["count"], 6);
    assert_eq!(place.ok("get a.rvf 0 --at 2")["missing"], json!([]));
    assert_eq!(ids(&place.ok("query a.rvf --vector [1,0,0] -k 1 --at 2")["hits"]), [0]);
    assert_eq!(place.ok("export a.rvf old.npy --at 2")["exported"], 6);
    assert_eq!(place.ok("log a.rvf --at 2")["commits"].as_array().unwrap().len(), 2);
    assert_eq!(place.ok("inspect a.rvf --at 1")["manifest"]["epoch"], 1);
}

#[test]
fn export_and_import_give_the_same_records() {
    let place = Place::with_store();
    place.ok("delete a.rvf --id 1");
    for name in ["out.jsonl", "out.npy", "out.fvecs"] {
        let done = place.ok(&format!("export a.rvf {name}"));
        assert_eq!(done["exported"], 5);
        let ids_flag = if name == "out.jsonl" { "" } else { " --ids out.ids.npy" };
        let copy = format!("{name}.rvf");
        place.ok(&format!("import {copy} {name} --metric cosine{ids_flag}"));
        assert_eq!(
            place.ok(&format!("get {copy} 0 2 3 4 5 --with-vector")),
            place.ok("get a.rvf 0 2 3 4 5 --with-vector")
        );
        place.run(&["export", "a.rvf", name]);
        assert_eq!(place.exits(&format!("export a.rvf {name} --force"), 0)["exported"], 5);
        std::fs::remove_file(place.path("out.ids.npy")).unwrap_or_default();
    }
}

#[test]
fn bits_go_in_and_out_of_binary_stores() {
    let place = Place::new();
    place.write("bits.jsonl", "{\"vector\":[1,0,0,0,0,0,0,0,1]}\n{\"vector\":[1,1,1,1,1,1,1,1,1]}\n");
    place.ok("import b.rvf bits.jsonl --metric hamming");
    let info = place.ok("info b.rvf");
    assert_eq!((&info["dim"], &info["dtype"]), (&json!(9), &json!("binary")));
    let hits = place.ok("query b.rvf --vector [1,0,0,0,0,0,0,0,0] -k 2")["hits"].clone();
    assert_eq!(hits, json!([{"id": 0, "distance": 1.0}, {"id": 1, "distance": 8.0}]));
    place.ok("export b.rvf packed.npy");
    place.ok("import c.rvf packed.npy --metric hamming --dim 9 --ids packed.ids.npy");
    assert_eq!(place.ok("get c.rvf 0 1 --with-vector"), place.ok("get b.rvf 0 1 --with-vector"));
    assert_eq!(ids(&place.ok("query c.rvf --id 1 -k 1")["hits"]), [1]);
    // A single bit: exported as a packed byte.
    place.write("bit.jsonl", "{\"id\":0,\"vector\":[1]}\n{\"id\":1,\"vector\":[0]}\n");
    place.ok("import d.rvf bit.jsonl --metric hamming");
    place.ok("export d.rvf byte.jsonl");
    place.ok("import e.rvf byte.jsonl --metric hamming --dim 1");
    assert_eq!(place.ok("get d.rvf 0 1 --with-vector"), place.ok("get e.rvf 0 1 --with-vector"));
}

#[test]
fn info_inspect_verify_and_log_describe_the_file() {
    let place = Place::with_store();
    let info = place.ok("info a.rvf");
    let keys = "file_id dim metric dtype count epoch size_bytes live_bytes segments indexed signed format_version";
    has_keys(&info, &keys.split(' ').collect::<Vec<_>>());
    assert_eq!((&info["signed"], &info["indexed"]), (&json!(false), &json!(0)));
    assert_eq!(info["size_bytes"].as_u64().unwrap(), place.bytes("a.rvf").len() as u64);
    let map = place.ok("inspect a.rvf");
    for segment in map["segments"].as_array().unwrap() {
        has_keys(segment, &["id", "kind", "offset", "length", "epoch", "live", "hash"]);
    }
    assert_eq!(map["segments"][0]["kind"], "FILE");
    assert_eq!(place.ok("inspect a.rvf --segment 1")["segments"][0]["kind"], "META");
    assert_eq!(place.ok("inspect a.rvf --hex 0:4")["hex"]["bytes"], "53465652");
    let report = place.ok("verify a.rvf");
    has_keys(&report, &["sound", "findings", "bytes_checked", "signatures", "freshness"]);
    assert_eq!((&report["sound"], &report["bytes_checked"]), (&json!(true), &info["size_bytes"]));
    let log = place.ok("log a.rvf --limit 1");
    has_keys(&log["commits"][0], &["epoch", "time", "operation", "added", "deleted", "root_hash"]);
    assert_eq!((&log["commits"][0]["epoch"], &log["commits"][0]["root_hash"]), (&json!(2), &info["root_hash"]));
}

#[test]
fn compact_keeps_what_it_is_told() {
    let place = Place::with_store();
    for id in 0..5 {
        place.ok(&format!("delete a.rvf --id {id}"));
    }
    let before = place.bytes("a.rvf");
    let copy = place.ok("compact a.rvf --output b.rvf");
    has_keys(&copy, &["before_bytes", "after_bytes", "epoch"]);
    assert_eq!(place.bytes("a.rvf"), before);
    assert!(copy["after_bytes"].as_u64() < copy["before_bytes"].as_u64(), "{copy}");
    assert_eq!(copy["after_bytes"].as_u64().unwrap(), place.bytes("b.rvf").len() as u64);
    assert_eq!(place.ok("compact a.rvf --keep 2")["epoch"], 8);
    assert_eq!(
        (place.ok("info a.rvf --at 7")["count"].clone(), place.run(&["info", "a.rvf", "--at", "6"]).exit),
        (1.into(), 2)
    );
    assert_eq!(place.ok("verify a.rvf")["sound"], true);
}

#[test]
fn convert_reads_published_and_plain_files() {
    let place = Place::new();
    let published = repository().join("fixtures/published");
    let expected: Value = serde_json::from_slice(&std::fs::read(published.join("expected.json")).unwrap()).unwrap();
    assert!(expected.is_object());
    for (name, count) in [("metadata_250x16", 250), ("branch_child", 399), ("empty_l2_16", 0), ("deletes_300x16", 259)]
    {
        let source = published.join(format!("{name}.rvf"));
        let done = place.ok(&format!("convert {} {name}.rvf", source.display()));
        has_keys(&done, &["imported", "segments_read", "segments_skipped"]);
        assert_eq!(done["imported"], count, "{name}");
        for segment in done["segments_skipped"].as_array().unwrap() {
            has_keys(segment, &["kind", "why", "segment_id", "offset"]);
        }
        assert_eq!(place.ok(&format!("verify {name}.rvf"))["count"], count);
    }
    assert_eq!(place.ok("log metadata_250x16.rvf")["commits"][0]["operation"], "convert");
    let fields = &place.ok("get metadata_250x16.rvf 3 4")["records"];
    let third = json!({
        "field.0": 3, "field.1": "doc-3", "field.2": 0.428_571_428_571_428_55, "field.3": false, "field.4": -3,
        "field.5": {"$bytes": "03ff"}
    });
    assert_eq!((&fields[0]["metadata"], &fields[1]["metadata"]), (&third, &json!({})));
    let again = place.ok(&format!("convert {} m.rvf", published.join("metadata_250x16.rvf").display()));
    assert!(again["segments_skipped"].as_array().unwrap().iter().all(|segment| segment["kind"] != "META"), "{again}");
    let warned = again["warnings"].as_array().unwrap();
    assert!(warned.len() == 1 && warned[0].as_str().unwrap().ends_with("not carried over: \"title\""), "{again}");
    place.write("six.jsonl", SIX);
    assert_eq!(place.ok("convert six.jsonl six.rvf --metric l2")["imported"], 6);
}

#[test]
fn demo_builds_a_store_that_can_be_built_again() {
    let place = Place::new();
    let done = place.ok("demo --dir d");
    has_keys(&done, &["file", "count", "recall", "open_micros", "sound"]);
    assert_eq!((&done["count"], &done["indexed"], &done["sound"]), (&json!(4200), &json!(4200), &json!(true)));
    // The default effort promises 0.98 to queries that are like the rows; these are sentences about them.
    assert!(done["recall"].as_f64() > Some(0.96) && done["distances"].as_u64() < Some(2000), "{done}");
    assert_eq!(place.ok("demo --dir d")["sound"], true);
    let text = place.run(&["demo", "--dir", "d"]).stdout;
    assert!(text.contains("asynchronous programming in Rust") && text.contains("try next"), "{text}");
    place.ok("delete d/demo.rvf --id 1");
    let refused = place.run(&["demo", "--dir", "d", "--json"]);
    assert!(
        refused.exit == 2 && refused.stderr.contains("\"exists\"") && refused.stderr.contains("--dir"),
        "{refused:?}"
    );
}

#[test]
fn help_has_an_example_for_each_command_and_completions_work() {
    let place = Place::new();
    let all = "demo create import index query bench get update delete export info inspect verify compact log branch diff \
               merge lineage flatten freeze bundle unbundle convert completions";
    for command in all.split(' ') {
        let help = place.run(&[command, "--help"]);
        assert!(help.exit == 0 && help.stdout.contains("Example"), "{command}");
    }
    let version = place.run(&["--version"]);
    assert!(version.exit == 0 && version.stdout.starts_with("rvf "), "{version:?}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.run(&["completions", shell]).stdout.contains("compact"));
    }
}

#[test]
fn global_flags_stand_before_and_after_the_command() {
    let place = Place::with_store();
    let before = place.run(&["--json", "--quiet", "--no-progress", "--color", "never", "info", "a.rvf"]);
    let after = place.run(&["info", "a.rvf", "--json", "--quiet", "--no-progress", "--color", "never"]);
    assert_eq!((before.exit, before.stdout), (0, after.stdout));
    let always = place.run(&["log", "a.rvf", "--color", "always"]).stdout;
    assert!(always.contains("\x1b[") && !place.run(&["log", "a.rvf"]).stdout.contains("\x1b["));
}

//! Changing what is stored: metadata without vectors, deletion by ranges and filters, space that comes back.

use super::refusal::refused;
use super::{Place, has_keys, npy};
use serde_json::{Value, json};

/// Ten records with ids 0 to 9, fields `n` (their id) and, on even ones, `even`.
fn place() -> Place {
    let place = Place::new();
    let line = |id: u64| {
        let even = if id.is_multiple_of(2) { ",\"even\":true" } else { "" };
        format!("{{\"id\":{id},\"vector\":[1,{id}],\"metadata\":{{\"n\":{id}{even}}}}}\n")
    };
    place.write("ten.jsonl", (0..10).map(line).collect::<String>());
    place.ok("import a.rvf ten.jsonl --metric l2");
    place
}

fn metadata(place: &Place, id: u64) -> Value {
    place.ok(&format!("get a.rvf {id}"))["records"][0]["metadata"].clone()
}

fn left(place: &Place) -> Vec<u64> {
    let ids: Vec<String> = (0..10).map(|id| id.to_string()).collect();
    let arguments: Vec<&str> = ["get", "a.rvf", "--json"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    let found: Value = serde_json::from_str(&place.run(&arguments).stdout).unwrap();
    found["records"].as_array().unwrap().iter().map(|record| record["id"].as_u64().unwrap()).collect()
}

#[test]
fn update_sets_and_removes_fields_in_one_commit() {
    let place = place();
    let vectors = place.ok("get a.rvf 3 --with-vector")["records"][0]["vector"].clone();
    let done = place.ok("update a.rvf --id 3,5..6 --set words=40 --set lang=\"en\" --unset n");
    has_keys(&done, &["updated", "missing", "count", "epoch"]);
    assert_eq!(
        (&done["updated"], &done["missing"], &done["count"], &done["epoch"]),
        (&json!(3), &json!(0), &json!(10), &json!(3))
    );
    assert_eq!(metadata(&place, 3), json!({"words": 40, "lang": "en"}));
    assert_eq!(metadata(&place, 6), json!({"words": 40, "lang": "en", "even": true}));
    assert_eq!(metadata(&place, 7), json!({"n": 7}));
    assert_eq!(place.ok("get a.rvf 3 --with-vector")["records"][0]["vector"], vectors);
    assert_eq!(place.ok("log a.rvf")["commits"][0]["operation"], "update");

    let done = place.ok("update a.rvf --filter even=true --set even=null");
    assert_eq!((&done["updated"], &done["epoch"]), (&json!(5), &json!(4)));
    assert_eq!(metadata(&place, 8), json!({"n": 8}));

    place.write(
        "lines.jsonl",
        "{\"id\":1,\"metadata\":{\"n\":null,\"tags\":[\"a\"]}}\n\n{\"id\":77,\"metadata\":{\"n\":1}}\n",
    );
    let done = place.exits("update a.rvf --input lines.jsonl --id 2 --set n=-2", 1);
    assert_eq!((&done["updated"], &done["missing"], &done["epoch"]), (&json!(2), &json!(1), &json!(5)));
    assert_eq!((metadata(&place, 1), metadata(&place, 2)), (json!({"tags": ["a"]}), json!({"n": -2})));
}

/// What is misspelt, or only counted, changes nothing.
#[test]
fn what_is_wrong_or_dry_changes_nothing() {
    let place = place();
    let before = place.bytes("a.rvf");
    let done = place.exits("update a.rvf --id 1..3,50 --set n=0 --dry-run", 1);
    assert_eq!((&done["updated"], &done["missing"], &done["epoch"]), (&json!(3), &json!(1), &json!(2)));
    let done = place.ok("delete a.rvf --id 1..3 --filter even=true --dry-run");
    place.write("filter.txt", "n = 5 OR\n  n = 6\n");
    assert_eq!(place.ok("query a.rvf --id 1 -k 9 --filter @filter.txt")["hits"].as_array().unwrap().len(), 2);
    assert_eq!((&done["deleted"], &done["count"], &done["dry_run"]), (&json!(7), &json!(10), &json!(true)));
    place.write("anonymous.jsonl", "{\"metadata\":{\"n\":1}}\n{\"id\":1,\"vector\":[1,2],\"metadata\":{}}\n");
    place.write("vector.jsonl", "{\"id\":1,\"vector\":[1,2],\"metadata\":{}}\n");
    place.write("nested.jsonl", "{\"id\":1,\"metadata\":{}}\n{\"id\":1,\"metadata\":{\"n\":{}}}\n");
    place.write("text.jsonl", "{\"id\":1,\"metadata\":{\"n\":\"one\"}}\n");
    place.write("bytes.txt", b"n = \xff");
    place.write("q.npy", npy(1, 2, &[1.0, 1.0]));
    let mut truth = npy(1, 1, &[f32::from_bits(4)]);
    let element = truth.windows(3).position(|bytes| bytes == b"<f4").unwrap();
    truth[element + 1] = b'i';
    place.write("truth.npy", truth);
    for (line, kind, says) in [
        ("update a.rvf --filter evne=true --set n=1", "unknown_field", "nothing was changed"),
        ("update a.rvf --id 1 --unset m", "unknown_field", "no record has a field m"),
        ("update a.rvf --id 1 --set lang=en", "bad_value", "expected value"),
        ("update a.rvf --id 1 --set lang", "bad_value", "no \"=\""),
        ("update a.rvf --id 1 --set n={}", "field", "is an object"),
        ("update a.rvf --id 1 --set n=1 --unset n", "usage", "given twice"),
        ("update a.rvf --id 1", "usage", "go together"),
        ("update a.rvf --set n=1", "usage", "no record is named"),
        ("update a.rvf --id 7 --set n=\"one\"", "field", "of the record with id 7 is a string, and the field holds"),
        ("update a.rvf --id 7 --set n=\"one\" --dry-run", "field", "of the record with id 7 is a string"),
        ("query a.rvf --id 1 -k 1 --filter @none.txt", "filter_file", "none.txt"),
        ("query a.rvf --id 1 -k 1 --filter @bytes.txt", "filter_file", "UTF-8"),
        ("bench a.rvf --queries q.npy -k 1 --truth truth.npy --filter n=5", "truth", "the filter does not find 4"),
        ("update a.rvf --input anonymous.jsonl", "input", "names no record"),
        ("update a.rvf --input vector.jsonl", "input", "\"vector\" is not known"),
        ("update a.rvf --input nested.jsonl", "field", "line 2"),
        ("update a.rvf --input text.jsonl", "field", "n"),
        ("delete a.rvf --id 3..1", "bad_range", "no range"),
        ("delete a.rvf --id ..", "bad_range", "no range"),
        ("delete a.rvf --id 1,2..x", "bad_range", "2..x"),
        ("delete a.rvf", "usage", "no record is named"),
    ] {
        refused(&place, line, 2, kind, says);
    }
    assert_eq!(place.bytes("a.rvf"), before);
}

#[test]
fn delete_takes_ids_ranges_and_a_filter_in_one_commit() {
    let place = place();
    let done = place.exits("delete a.rvf --id 0,2..4,99 --id 9.. --filter n=6", 1);
    assert_eq!((&done["deleted"], &done["missing"], &done["epoch"]), (&json!(6), &json!(1), &json!(3)));
    assert_eq!(left(&place), [1, 5, 7, 8]);
    assert_eq!(place.ok("delete a.rvf --id ..5")["deleted"], 2);
    assert_eq!(left(&place), [7, 8]);
    // In a store of strings two points are part of an id.
    place.write("texts.jsonl", "{\"id\":\"a\",\"vector\":[1]}\n{\"id\":\"b\",\"vector\":[2]}\n");
    place.ok("import b.rvf texts.jsonl --metric l2");
    assert_eq!(place.exits("delete b.rvf --id a..c", 1)["missing"], 1);
}

/// Deletion makes the file compact itself, unless that is not wanted; the log tells it from what was asked for.
#[test]
fn space_comes_back_by_itself() {
    let place = Place::new();
    let values: Vec<f32> = (0..600 * 1024).map(|at| (at % 977) as f32).collect();
    place.write("wide.npy", npy(600, 1024, &values));
    place.ok("import a.rvf wide.npy --metric l2");
    std::fs::copy(place.path("a.rvf"), place.path("b.rvf")).unwrap();
    let done = place.ok("delete b.rvf --id 0..399 --no-compact");
    assert_eq!((&done["compacted"], &done["epoch"]), (&json!(false), &json!(3)));
    assert_eq!(place.ok("get b.rvf 5 --at 2")["records"][0]["id"], 5);

    let done = place.ok("delete a.rvf --id 0..399");
    assert_eq!((&done["compacted"], &done["epoch"], &done["count"]), (&json!(true), &json!(4), &json!(200)));
    let info = place.ok("info a.rvf");
    assert!(info["size_bytes"].as_u64().unwrap() < 1_000_000, "{info}");
    let log = place.ok("log a.rvf");
    assert_eq!((&log["commits"][0]["operation"], &log["commits"][0]["automatic"]), (&json!("compact"), &json!(true)));
    assert_eq!((&log["commits"][1]["automatic"], &log["commits"][1]["kept"]), (&json!(false), &json!(false)));
    assert!(place.run(&["log", "a.rvf"]).stdout.contains("compact (automatic)"));
    assert_eq!(place.ok("verify a.rvf --deep")["sound"], true);

    let said = place.run(&["delete", "b.rvf", "--id", "400"]).stdout;
    assert!(said.contains("compacted 2.") && said.contains("--no-compact"), "{said}");
    place.ok("compact a.rvf");
    assert_eq!(place.ok("log a.rvf")["commits"][0]["automatic"], false);
}

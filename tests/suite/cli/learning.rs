//! `feedback`, `learn`, `info --learned`, `query --explain --plain`, `export --no-feedback`: what they print, and what they leave.

use super::refusal::refused;
use super::{Place, has_keys};
use rvf_tests::taste::{KINDS, RECORDS, Taste};
use serde_json::{Value, json};

/// A store of a world whose right answers are not the nearest records, and a log of judgements.
fn place(judgements: usize) -> (Place, Taste) {
    let (place, mut world) = (Place::new(), Taste::new(1));
    let record = |(id, vector): (usize, &Vec<f32>)| json!({ "id": id, "vector": vector }).to_string();
    let records: Vec<String> = world.records.iter().enumerate().map(record).collect();
    place.write("records.jsonl", records.join("\n"));
    place.ok("import a.rvf records.jsonl --metric cosine");
    let line = |_| {
        let (kind, query) = world.draw();
        json!({ "query": query, "chosen": [world.right(kind)] }).to_string()
    };
    let lines: Vec<String> = (0..judgements).map(line).collect();
    place.write("log.jsonl", lines.join("\n"));
    (place, world)
}

fn query(place: &Place, world: &mut Taste, kind: u64, flags: &str) -> Value {
    let vector = serde_json::to_string(&world.query(kind)).unwrap();
    place.ok(&format!("query a.rvf --vector {vector} -k 3{flags}"))
}

#[test]
fn feedback_is_learned_from_and_used() {
    let (place, mut world) = place(400);
    let value = place.ok("feedback a.rvf --input log.jsonl");
    has_keys(&value, &["accepted", "rejected", "epoch"]);
    assert_eq!((&value["accepted"], &value["rejected"], &value["epoch"]), (&json!(400), &json!(0), &json!(3)));
    let value = place.ok("learn a.rvf --epochs 6");
    has_keys(&value, &["trained_on", "before", "after", "adopted", "epoch", "held_out", "components", "reason"]);
    assert_eq!((&value["adopted"], &value["epoch"], &value["reason"]), (&json!(true), &json!(4), &json!("improves")));
    assert_eq!(value["trained_on"].as_u64().unwrap() + value["held_out"].as_u64().unwrap(), 400);
    assert!(value["after"]["ndcg10"].as_f64() > value["before"]["ndcg10"].as_f64(), "{value}");
    let told = place.ok("info a.rvf --learned");
    assert_eq!(
        (&told["learned"]["feedback"], &told["learned"]["live"], &told["learned"]["epoch"]),
        (&json!(400), &json!(true), &json!(4))
    );
    let first = (0..KINDS).filter(|kind| {
        let value = query(&place, &mut world, *kind, "");
        value["learned"] == json!(true) && value["hits"][0]["id"] == json!(world.right(*kind))
    });
    assert!(first.count() > 16);
    let value = query(&place, &mut world, 2, " --explain");
    let moved = value["plan"]["learned"].as_array().unwrap();
    assert_eq!(moved.len(), 3);
    has_keys(&moved[0], &["id", "from", "score", "by_choices", "chosen", "nearest"]);
    assert!(moved[0]["from"].as_u64() > Some(0) && moved[0]["chosen"].as_u64() > Some(0), "{value}");
    let plain = query(&place, &mut world, 2, " --plain");
    assert_eq!(
        (&plain["learned"], plain["hits"][0]["distance"].as_f64() <= plain["hits"][1]["distance"].as_f64()),
        (&json!(false), true)
    );
    let vector = serde_json::to_string(&world.query(2)).unwrap();
    let text = place.run(&["query", "a.rvf", "--vector", &vector, "-k", "2", "--explain"]);
    assert!(text.stdout.contains("in the learned order") && text.stdout.contains("queries that chose it"), "{text:?}");
    for (line, words) in [("info a.rvf --learned", "live"), ("learn a.rvf --epochs 6", "live as of epoch")] {
        let told = place.run(&line.split(' ').collect::<Vec<_>>());
        assert!(told.stdout.contains(words), "{told:?}");
    }
    assert_eq!(place.ok("learn a.rvf --reset")["reset"], json!(true));
    assert_eq!(query(&place, &mut world, 2, "")["learned"], json!(false));
    assert_eq!(place.ok("learn a.rvf --reset --feedback")["reset"], json!(true));
    assert_eq!(place.ok("learn a.rvf --reset --feedback")["reset"], json!(false));
    let told = place.ok("info a.rvf --learned");
    assert_eq!((&told["learned"]["feedback"], &told["learned"]["live"]), (&json!(0), &json!(false)));
    let value = place.ok("learn a.rvf");
    assert_eq!(
        (&value["adopted"], &value["trained_on"], &value["reason"]),
        (&json!(false), &json!(0), &json!("no_feedback"))
    );
    assert_eq!(place.ok("verify a.rvf")["sound"], json!(true));
}

/// What is exported comes back as it was, and is left out where that is asked.
#[test]
fn feedback_goes_out_and_comes_back() {
    let (place, world) = place(5);
    let shown = json!({ "query": world.records[0], "shown": [4, 1, 9], "chosen": [1], "position": 10, "weight": 2.5 });
    place.write("shown.jsonl", shown.to_string());
    place.ok("feedback a.rvf --input log.jsonl");
    place.ok("feedback a.rvf --input shown.jsonl");
    let value = place.ok("export a.rvf out.npy");
    assert_eq!((&value["feedback"], &value["feedback_queries"]), (&json!("out.feedback.jsonl"), &json!(6)));
    place.ok("import b.rvf out.npy --metric cosine --ids out.ids.npy");
    assert_eq!(place.ok("feedback b.rvf --input out.feedback.jsonl")["accepted"], json!(6));
    place.ok("export b.rvf again.npy");
    assert_eq!(place.bytes("out.feedback.jsonl"), place.bytes("again.feedback.jsonl"));
    for line in ["export a.rvf none.npy --no-feedback", "export a.rvf none.jsonl --filter id=3"] {
        assert_eq!(place.ok(line)["feedback"], Value::Null);
        assert!(!place.path("none.feedback.jsonl").exists());
    }
    refused(&place, "export a.rvf out.fvecs", 2, "exists", "out.ids.npy");
}

#[test]
fn lines_that_do_not_fit_are_left_out_and_lines_that_are_none_are_refused() {
    let (place, _) = place(1);
    let good = std::fs::read_to_string(place.path("log.jsonl")).unwrap();
    let with = |line: &str| format!("{good}\n{line}\n");
    let query = "[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]";
    for (line, kind) in [
        ("{\"query\":[1,2],\"chosen\":[1]}".to_owned(), "dimension"),
        (format!("{{\"query\":{query},\"chosen\":[{RECORDS}]}}"), "feedback"),
        (format!("{{\"query\":{query},\"chosen\":[\"x\"]}}"), "id_type"),
        (format!("{{\"query\":{query}}}"), "feedback"),
        (format!("{{\"query\":{RECORDS},\"chosen\":[1]}}"), "feedback"),
        (format!("{{\"query\":{query},\"chosen\":[1],\"weight\":-1}}"), "feedback"),
        (format!("{{\"query\":{query},\"shown\":[1,1]}}"), "feedback"),
        (format!("{{\"query\":{},\"shown\":[1]}}", query.replace('1', "0")), "feedback"),
    ] {
        place.write("mixed.jsonl", with(&line));
        let value = place.ok("feedback a.rvf --input mixed.jsonl");
        assert_eq!((&value["accepted"], &value["rejected"]), (&json!(1), &json!(1)), "{line}");
        assert_eq!(
            (&value["first_rejected"]["line"], &value["first_rejected"]["kind"]),
            (&json!(2), &json!(kind)),
            "{value}"
        );
    }
    for (line, words) in [("{\"query\":[1]", "line 2"), ("7", "line 2"), ("{\"vector\":[1]}", "vector")] {
        place.write("mixed.jsonl", with(line));
        refused(&place, "feedback a.rvf --input mixed.jsonl", 2, "input", words);
    }
    place.write("named.jsonl", "{\"query\":3,\"chosen\":[1]}");
    assert_eq!(place.ok("feedback a.rvf --input named.jsonl")["accepted"], json!(1));
    refused(&place, "feedback a.rvf --input absent.jsonl", 3, "not_found", "absent.jsonl");
    refused(&place, "feedback a.rvf", 2, "usage", "--input");
    refused(&place, "learn a.rvf --holdout 0.9", 2, "feedback", "0.9");
    refused(&place, "learn a.rvf --holdout nan", 2, "feedback", "NaN");
    refused(&place, "learn a.rvf --epochs 0", 2, "usage", "--epochs");
    refused(&place, "learn a.rvf --feedback", 2, "usage", "--reset");
    refused(&place, "learn a.rvf --reset --seed 4", 2, "usage", "--reset");
}

/// A learned order that is damaged costs the order, nothing else.
#[test]
fn damage_to_what_was_learned_leaves_the_nearest() {
    let (place, mut world) = place(400);
    place.ok("feedback a.rvf --input log.jsonl");
    place.ok("learn a.rvf --epochs 6");
    let segments = place.ok("inspect a.rvf");
    let graph = segments["segments"].as_array().unwrap().iter().find(|segment| segment["kind"] == "GRAPH").unwrap();
    let mut bytes = place.bytes("a.rvf");
    bytes[graph["offset"].as_u64().unwrap() as usize + 700] ^= 1;
    place.write("a.rvf", bytes);
    assert_eq!(query(&place, &mut world, 2, "")["learned"], json!(false));
    let told = place.run(&["query", "a.rvf", "--id", "3"]);
    assert!(told.exit == 0 && told.stderr.contains("what was learned cannot be read"), "{told:?}");
    assert_eq!(place.exits("verify a.rvf", 1)["sound"], json!(false));
    assert_eq!(place.ok("learn a.rvf --epochs 6")["adopted"], json!(true));
    assert_eq!(query(&place, &mut world, 2, "")["learned"], json!(true));
}

#[test]
fn other_answers_than_a_list() {
    let (place, mut world) = place(1);
    let vector = serde_json::to_string(&world.query(1)).unwrap();
    let value = place.ok(&format!("query a.rvf --vector {vector} -k 3 --soft 0.1 --subgraph 2"));
    let weights: Vec<f64> = value["soft"]["weights"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    assert!(weights.is_sorted_by(|a, b| a >= b) && (weights.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{value}");
    assert_eq!(value["soft"]["vector"].as_array().map(Vec::len), Some(16));
    // So small a store has no index, and its graph no links.
    assert_eq!((value["graph"]["nodes"].as_array().map(Vec::len), &value["graph"]["edges"]), (Some(3), &json!([])));
    for (flag, kind, words) in [
        ("--soft 0", "feedback", "temperature of 0"),
        ("--soft nan", "feedback", "NaN"),
        ("--subgraph 4", "usage", "--subgraph"),
    ] {
        refused(&place, &format!("query a.rvf --vector {vector} {flag}"), 2, kind, words);
    }
    for days in ["0", "-1", "x", "1e9"] {
        refused(&place, &format!("learn a.rvf --half-life {days}"), 2, "usage", "--half-life");
    }
    let text = place.run(&["query", "a.rvf", "--id", "3", "--soft", "0.2", "--subgraph", "1"]);
    assert!(text.stdout.contains("soft neighbour") && text.stdout.contains("the graph around them"), "{text:?}");
}

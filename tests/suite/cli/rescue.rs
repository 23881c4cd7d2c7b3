//! Damaged stores: what `verify` advises, what `export --salvage` saves, exit codes and hints.

use super::refusal::refused;
use super::{Place, has_keys};
use rvf_tests::reseal::{header_at, segments};

/// Flips a byte of the first segment of a kind, `at` bytes into it.
fn damage(place: &Place, kind: &str, at: usize) {
    let mut bytes = place.bytes("a.rvf");
    let named = |start: usize| header_at(&bytes, start).unwrap().kind().name() == Some(kind);
    let segment = segments(&bytes, 0, bytes.len()).into_iter().find(|range| named(range.start)).unwrap();
    bytes[segment.start + at] ^= 1;
    place.write("a.rvf", bytes);
}

#[test]
fn an_undamaged_store_is_saved_as_it_is_exported() {
    let place = Place::with_store();
    let value = place.ok("export a.rvf out.npy --salvage");
    has_keys(&value, &["exported", "out", "ids", "lost", "notes", "epoch"]);
    assert_eq!((&value["exported"], &value["lost"], &value["epoch"]), (&6.into(), &serde_json::json!([]), &2.into()));
    place.ok("export a.rvf plain.npy");
    assert_eq!(place.bytes("out.npy"), place.bytes("plain.npy"));
    assert_eq!(place.bytes("out.ids.npy"), place.bytes("plain.ids.npy"));
    refused(&place, "export a.rvf out.npy --salvage", 2, "exists", "exists");
    refused(&place, "export a.rvf b.npy --salvage --at 1", 2, "usage", "--at");
}

/// Catches an export that copies damage as if it were sound: a bit of a row, or of what tells which rows are dead.
#[test]
fn damage_is_not_exported() {
    let place = Place::with_store();
    place.ok("delete a.rvf --id 2");
    let whole = place.bytes("a.rvf");
    for kind in ["VEC", "JOURNAL"] {
        damage(&place, kind, if kind == "VEC" { 260 } else { 200 });
        for out in ["out.npy", "out.jsonl"] {
            let error = refused(&place, &format!("export a.rvf {out}"), 4, "corrupt", "MAN-5");
            assert!(error["hint"].as_str().unwrap().contains("--salvage"), "{error}");
            assert!(!place.path(out).exists() && !place.path("out.ids.npy").exists());
        }
        place.write("a.rvf", &whole);
    }
    assert_eq!(place.ok("export a.rvf out.npy")["exported"], 5);
}

/// Catches a command that takes damaged deletions, or a damaged log, for what was committed: records would be lost or come back,
/// and compaction would make the damage sound.
#[test]
fn damage_is_not_made_sound() {
    let place = Place::new();
    for n in 0..66 {
        place.write("one.jsonl", format!("{{\"id\":{n},\"vector\":[1,{n}]}}\n"));
        place.ok("import a.rvf one.jsonl --metric l2");
    }
    place.ok("delete a.rvf --id 2,5,9");
    let whole = place.bytes("a.rvf");
    // Past the header: the first word of the deletions, an entry of the log.
    for (kind, lines) in [
        (
            "JOURNAL",
            &[
                "compact a.rvf",
                "get a.rvf 2",
                "query a.rvf --vector [1,2]",
                "export a.rvf o.npy",
                "import a.rvf one.jsonl",
            ][..],
        ),
        ("WITNESS", &["compact a.rvf", "compact a.rvf --keep 3", "compact a.rvf --output b.rvf"]),
    ] {
        damage(&place, kind, 200);
        let damaged = place.bytes("a.rvf");
        for line in lines {
            refused(&place, line, 4, "corrupt", "MAN-5");
            assert!(place.bytes("a.rvf") == damaged && !place.path("b.rvf").exists(), "{line}");
        }
        place.write("a.rvf", &whole);
    }
    place.ok("compact a.rvf --keep 3");
    assert_eq!(place.ok("info a.rvf")["count"], 63);
    place.ok("verify a.rvf");
}

/// Catches a salvage that does not tell of records which an earlier epoch still has.
#[test]
fn an_epoch_that_lost_nothing_is_named() {
    let place = Place::new();
    for n in 0..70 {
        place.write("one.jsonl", format!("{{\"id\":{n},\"vector\":[1,{n}]}}\n"));
        place.ok("import a.rvf one.jsonl --metric l2");
    }
    // The segment that 63 others were merged into.
    let mut bytes = place.bytes("a.rvf");
    let map = place.ok("inspect a.rvf");
    let all = map["segments"].as_array().unwrap().iter();
    let live = all.filter(|one| one["kind"] == "VEC" && one["live"] == true).max_by_key(|one| one["rows"].as_u64());
    bytes[live.unwrap()["offset"].as_u64().unwrap() as usize + 400] ^= 1;
    place.write("a.rvf", bytes);
    let value = place.exits("export a.rvf out.jsonl --salvage", 1);
    let (epoch, count) = (value["whole"]["epoch"].as_u64().unwrap(), value["whole"]["count"].as_u64().unwrap());
    assert!(epoch < 71 && count == epoch - 1 && count > value["exported"].as_u64().unwrap(), "{value}");
    assert_eq!(place.ok(&format!("export a.rvf whole.jsonl --at {epoch}"))["exported"], count);
    let text = place.run(&["export", "a.rvf", "text.jsonl", "--salvage"]);
    assert!(
        text.stdout.contains(&format!("epoch {epoch} lost nothing: `rvf export a.rvf OUT --at {epoch}`")),
        "{text:?}"
    );
    assert!(text.stdout.contains("lost records whose ids are unknown: 6"), "{text:?}");
}

/// What was replaced or deleted is not counted as lost.
#[test]
fn damage_to_dead_rows_loses_nothing() {
    let place = Place::with_store();
    place.ok("delete a.rvf --id 0,1,2,3,5");
    damage(&place, "VEC", 260);
    let value = place.exits("export a.rvf out.jsonl --salvage", 1);
    let counts = (&value["exported"], &value["expected"], &value["lost"][0]["rows"]);
    assert_eq!(counts, (&0.into(), &1.into(), &1.into()));
    place.write("one.jsonl", "{\"id\":4,\"vector\":[1,2,3]}\n");
    place.ok("import a.rvf one.jsonl");
    let value = place.ok("export a.rvf saved.jsonl --salvage");
    assert_eq!((&value["exported"], &value["expected"]), (&1.into(), &1.into()));
    assert_eq!(value["notes"][0]["kind"], "VEC", "{value}");
}

#[test]
fn what_is_lost_is_listed() {
    let place = Place::with_store();
    place.write("seventh.jsonl", "{\"vector\":[1,2,3]}\n");
    place.ok("import a.rvf seventh.jsonl");
    damage(&place, "VEC", 200);
    let value = place.exits("export a.rvf out.jsonl --salvage", 1);
    assert_eq!(value["exported"], 1);
    has_keys(&value["lost"][0], &["segment", "kind", "offset", "rows", "message"]);
    assert_eq!((&value["lost"][0]["kind"], &value["lost"][0]["rows"]), (&"VEC".into(), &6.into()));
    assert_eq!(String::from_utf8(place.bytes("out.jsonl")).unwrap(), "{\"id\":6,\"vector\":[1,2,3]}\n");
    let text = place.run(&["export", "a.rvf", "text.jsonl", "--salvage"]);
    assert!(text.exit == 1 && text.stdout.contains("lost, or not certain:"), "{text:?}");
    assert!(text.stdout.starts_with("exported 1 of 7 records"), "{text:?}");
    let verified = place.exits("verify a.rvf", 1);
    assert!(verified["advice"][0].as_str().unwrap().contains("--salvage"), "{verified}");
}

/// A damaged earlier root: the store does not open, and nothing is lost.
#[test]
fn a_store_that_does_not_open_is_saved() {
    let place = Place::with_store();
    damage(&place, "MANIFEST", 100);
    let error = refused(&place, "info a.rvf", 4, "corrupt", "ROOT-6");
    assert!(error["hint"].as_str().unwrap().contains("rvf export FILE OUT --salvage"), "{error}");
    let value = place.ok("export a.rvf out.jsonl --salvage");
    assert_eq!(
        (&value["exported"], &value["epoch"], &value["notes"][0]["kind"]),
        (&6.into(), &2.into(), &"MANIFEST".into())
    );
}

#[test]
fn what_is_not_ours_is_refused() {
    let place = Place::new();
    place.write("a.rvf", vec![7; 9000]);
    refused(&place, "export a.rvf out.npy --salvage", 4, "not_rvf", "not an RVF file");
    refused(&place, "export none.rvf out.npy --salvage", 3, "not_found", "opening");
    assert!(!place.path("out.npy").exists());
}

/// Damage that the newest epoch does not need: verify says so, and compaction removes it.
#[test]
fn damage_to_what_was_replaced_goes_with_compaction() {
    let place = Place::new();
    for n in 0..70 {
        place.write("one.jsonl", format!("{{\"id\":{n},\"vector\":[1,{n}]}}\n"));
        place.ok("import a.rvf one.jsonl --metric l2");
    }
    damage(&place, "VEC", 200);
    let verified = place.exits("verify a.rvf", 1);
    let said = verified["findings"][0]["message"].as_str().unwrap();
    assert!(said.ends_with("the newest epoch does not need it: `rvf compact` removes it"), "{verified}");
    assert_eq!(place.ok("export a.rvf out.jsonl --salvage")["exported"], 70);
    let text = place.run(&["verify", "a.rvf"]);
    assert!(text.stdout.contains("`rvf compact a.rvf` removes"), "{text:?}");
    place.ok("compact a.rvf");
    place.ok("verify a.rvf");
}

/// Catches fields that are lost on the way out of a damaged store, or lost without a word.
#[test]
fn fields_are_saved_as_far_as_they_are_intact() {
    let place = Place::new();
    for (id, lang) in [(1, "de"), (2, "en")] {
        let line = format!("{{\"id\":{id},\"vector\":[1,{id}],\"metadata\":{{\"lang\":\"{lang}\"}}}}\n");
        place.write("one.jsonl", line);
        place.ok("import a.rvf one.jsonl --metric l2");
    }
    let value = place.ok("export a.rvf out.jsonl --salvage");
    assert_eq!(value["without_fields"], 0);
    place.ok("export a.rvf plain.jsonl");
    assert_eq!(place.bytes("out.jsonl"), place.bytes("plain.jsonl"));
    let beside = place.ok("export a.rvf out.npy --salvage");
    assert!(beside["metadata"].as_str().unwrap().ends_with("out.metadata.jsonl"), "{beside}");
    place.ok("export a.rvf plain.npy");
    assert_eq!(place.bytes("out.metadata.jsonl"), place.bytes("plain.metadata.jsonl"));
    // The first META is about the file, the last that of the second record.
    let mut bytes = place.bytes("a.rvf");
    let is_meta = |start: usize| header_at(&bytes, start).unwrap().kind().name() == Some("META");
    let meta = segments(&bytes, 0, bytes.len()).into_iter().rfind(|range| is_meta(range.start)).unwrap();
    bytes[meta.start + 200] ^= 1;
    place.write("a.rvf", bytes);
    let value = place.exits("export a.rvf saved.jsonl --salvage", 1);
    assert_eq!((&value["exported"], &value["without_fields"]), (&2.into(), &1.into()), "{value}");
    let lost = &value["lost"][0];
    assert_eq!((&lost["kind"], &lost["fields"], lost.get("rows")), (&"META".into(), &1.into(), None), "{value}");
    let saved = String::from_utf8(place.bytes("saved.jsonl")).unwrap();
    assert_eq!(saved, "{\"id\":1,\"vector\":[1,1],\"metadata\":{\"lang\":\"de\"}}\n{\"id\":2,\"vector\":[1,2]}\n");
    let text = place.run(&["export", "a.rvf", "text.jsonl", "--salvage"]);
    let told = "records without their metadata, which is damaged or not known: 1";
    assert!(text.stdout.contains(told) && text.stdout.contains("epoch 2 lost nothing"), "{text:?}");
}

/// Catches advice to salvage where no record is damaged, and a list of branches, a help that can be done without, that stops commands.
#[test]
fn damage_to_the_list_of_branches_costs_no_record() {
    let place = Place::with_store();
    place.ok("branch a.rvf b.rvf");
    damage(&place, "REFCOUNT", 130);
    let verified = place.exits("verify a.rvf", 1);
    let advice = verified["advice"].as_array().unwrap();
    assert!(advice.len() == 1 && advice[0].as_str().unwrap().contains("`rvf compact a.rvf`"), "{verified}");
    assert_eq!(place.ok("get b.rvf 0 1 2 3 4 5")["missing"], serde_json::json!([]));
    assert_eq!(place.ok("verify b.rvf")["findings"], serde_json::json!([]));
    place.ok("info a.rvf");
    place.ok("log a.rvf --all");
    // A pinned epoch that holds the damaged list cannot be kept: what the advice says comes first.
    place.ok("branch a.rvf c.rvf");
    place.exits("compact a.rvf", 4);
    place.ok("branch --unpin a.rvf 3");
    place.ok("compact a.rvf");
    assert_eq!(place.ok("verify a.rvf --deep")["findings"], serde_json::json!([]));
    assert_eq!(place.ok("get b.rvf 0 1 2 3 4 5")["missing"], serde_json::json!([]));
    assert_eq!(place.ok("verify b.rvf")["findings"], serde_json::json!([]));
}

//! Branches: made, found again, compared, merged, flattened, frozen.

use super::refusal::refused;
use super::{Place, has_keys};
use serde_json::{Value, json};
use std::fs;

/// `a.rvf`: ten records with ids 0 to 9, at (1, id), fields `n` (their id) and, on even ones, `even`.
pub(super) fn place() -> Place {
    let place = Place::new();
    let line = |id: u64| {
        let even = if id.is_multiple_of(2) { ",\"even\":true" } else { "" };
        format!("{{\"id\":{id},\"vector\":[1,{id}],\"metadata\":{{\"n\":{id}{even}}}}}\n")
    };
    place.write("ten.jsonl", (0..10).map(line).collect::<String>());
    place.ok("import a.rvf ten.jsonl --metric l2");
    place
}

fn put(place: &Place, store: &str, lines: &str) {
    place.write("put.jsonl", lines);
    place.ok(&format!("import {store} put.jsonl"));
}

/// A branch that added 10, changed the vector of 3 and the metadata of 5, and deleted 1.
fn edited() -> Place {
    let place = place();
    place.ok("branch a.rvf b.rvf");
    put(
        &place,
        "b.rvf",
        "{\"id\":3,\"vector\":[7,7],\"metadata\":{\"n\":3}}\n{\"id\":10,\"vector\":[8,8],\"metadata\":{\"n\":10}}\n",
    );
    place.ok("update b.rvf --id 5 --set n=50");
    place.ok("delete b.rvf --id 1");
    place
}

fn metadata(place: &Place, store: &str, id: u64) -> Value {
    place.ok(&format!("get {store} {id}"))["records"][0]["metadata"].clone()
}

#[test]
fn branch_makes_a_small_file_and_pins_what_it_needs() {
    let place = place();
    let made = place.ok("branch a.rvf b.rvf --actor me");
    has_keys(&made, &["child", "parent", "parent_epoch", "pinned", "child_bytes", "micros", "file_id", "count"]);
    assert_eq!((&made["parent_epoch"], &made["pinned"], &made["count"]), (&json!(2), &json!(true), &json!(10)));
    assert_eq!(made["child_bytes"].as_u64().unwrap(), place.bytes("b.rvf").len() as u64);
    assert_eq!(place.ok("log b.rvf")["commits"][0]["actor"], "me");
    let info = place.ok("info a.rvf");
    assert_eq!(info["pinned_epochs"], json!([2]));
    assert_eq!(info["branches"], json!([{ "epoch": 2, "file_id": made["file_id"] }]));

    place.ok("delete a.rvf --id 0..8");
    place.ok("compact a.rvf");
    assert_eq!(place.ok("get b.rvf 0 8")["missing"], json!([]));
    assert_eq!(place.ok("branch a.rvf c.rvf --at 2")["count"], 10);

    // Released and compacted away: now the branch says what it lacks.
    let done = place.ok("branch --unpin a.rvf 2");
    assert_eq!((&done["unpinned"], &done["branches"]), (&json!(2), &json!(2)));
    assert_eq!(place.ok("info a.rvf")["pinned_epochs"], json!([]));
    place.ok("compact a.rvf");
    let error = refused(&place, "get b.rvf 0", 4, "parent_unusable", "compacted without keeping it");
    assert!(error["message"].as_str().unwrap().contains("epoch 2"), "{error}");
    refused(&place, "branch --unpin a.rvf 2", 2, "not_pinned", "epoch 2");
    refused(&place, "branch --unpin a.rvf two", 2, "usage", "\"two\" is no epoch");
    refused(&place, "branch a.rvf d.rvf --at 99", 2, "no_epoch", "epoch 99");
}

#[test]
fn a_branch_by_a_filter_is_a_view() {
    let place = place();
    assert_eq!(place.ok("branch a.rvf even.rvf --filter even=true")["count"], 5);
    assert_eq!(place.exits("get even.rvf 2 3", 1)["missing"], json!([3]));
    assert!(place.run(&["info", "even.rvf"]).stdout.contains("\nview "));
    refused(&place, "branch a.rvf odd.rvf --filter evne=true", 2, "unknown_field", "nothing was changed");
    refused(&place, "branch a.rvf even.rvf", 2, "exists", "even.rvf");
    assert!(!place.path("odd.rvf").exists());
    // What happens to records outside of the view is none of its business.
    place.ok("update a.rvf --id 2,3 --set n=20");
    place.ok("delete a.rvf --id 4,5");
    assert_eq!(place.ok("merge a.rvf even.rvf")["merged"], 2);
    assert_eq!(place.exits("get even.rvf 2 3 4 5", 1)["missing"], json!([3, 4, 5]));
    assert_eq!(
        (metadata(&place, "even.rvf", 2)["n"].clone(), place.ok("merge a.rvf even.rvf")["merged"].clone()),
        (json!(20), json!(0))
    );
}

/// A parent that another program writes is branched all the same; the warning says that nothing keeps the commit.
#[test]
fn a_parent_that_is_locked_is_branched_and_not_pinned() {
    let place = place();
    let held = rvf_engine::Db::open(place.path("a.rvf")).unwrap();
    let made = place.ok("branch a.rvf b.rvf");
    assert_eq!(made["pinned"], false);
    assert!(made["pin_error"].as_str().unwrap().contains("another writer"), "{made}");
    let text = place.run(&["branch", "a.rvf", "c.rvf"]);
    assert!(text.exit == 0 && text.stderr.contains("not pinned") && !text.stdout.contains("keeps it"), "{text:?}");
    drop(held);
    assert_eq!(place.ok("info b.rvf")["count"], 10);
}

#[test]
fn parents_are_looked_for_where_the_command_line_says() {
    let place = edited();
    fs::create_dir(place.path("far")).unwrap();
    fs::create_dir(place.path("near")).unwrap();
    fs::rename(place.path("a.rvf"), place.path("far/base.rvf")).unwrap();
    fs::rename(place.path("b.rvf"), place.path("near/b.rvf")).unwrap();
    refused(&place, "get near/b.rvf 0", 4, "parent_missing", "recorded as \"a.rvf\"");
    for line in ["get near/b.rvf 0 --parent-dir far", "--parent-dir none --parent-dir far get near/b.rvf 0"] {
        assert_eq!(place.ok(line)["missing"], json!([]), "{line}");
    }
    let mut by_variable = place.command(&["get", "near/b.rvf", "0"]);
    assert!(by_variable.env("RVF_PARENT_PATH", place.path("far")).output().unwrap().status.success());
    for line in [
        "delete near/b.rvf --id 0",
        "delete near/b.rvf --id 0 --dry-run",
        "update near/b.rvf --id 2 --set n=1",
        "query near/b.rvf --id 2 -k 1",
        "export near/b.rvf out.jsonl",
        "compact near/b.rvf",
        "index near/b.rvf",
        "branch near/b.rvf c.rvf",
        "diff far/base.rvf@2 near/b.rvf",
        "merge near/b.rvf far/base.rvf",
        "flatten near/b.rvf flat.rvf",
        "freeze near/b.rvf",
    ] {
        let is_absent = line.contains("dry-run");
        place.exits(&format!("{line} --parent-dir far"), is_absent.into());
    }
}

/// What a file says by itself is told without the parent; a lineage is told as far as it is known.
#[test]
fn a_branch_alone_tells_what_it_needs() {
    let place = edited();
    place.ok("branch b.rvf c.rvf");
    let info = place.ok("info c.rvf");
    assert_eq!((&info["parent"]["found"], &info["parent"]["path"]), (&json!(true), &json!("b.rvf")));
    let chain = place.ok("lineage c.rvf")["chain"].clone();
    has_keys(&chain[0], &["file_id", "path", "epoch", "root_hash", "count"]);
    let paths: Vec<&Value> = chain.as_array().unwrap().iter().map(|link| &link["path"]).collect();
    assert_eq!(paths, ["c.rvf", "b.rvf", "a.rvf"]);
    let text = place.run(&["lineage", "c.rvf"]).stdout;
    assert!(text.contains("\n└─ b.rvf  epoch 4, 10 records") && text.contains("\n   └─ a.rvf  epoch 2"), "{text}");

    fs::remove_file(place.path("a.rvf")).unwrap();
    let alone = place.ok("info c.rvf");
    assert_eq!((&alone["count"], &alone["parent"]["found"]), (&info["count"], &json!(false)));
    assert_eq!(alone["parent"]["root_hash"], info["parent"]["root_hash"]);
    for line in ["info c.rvf", "inspect c.rvf", "log c.rvf"] {
        let answer = place.run(&line.split(' ').collect::<Vec<_>>());
        assert!(answer.exit == 0 && answer.stderr.contains("warning: the parent of this branch"), "{line}: {answer:?}");
    }
    assert_eq!(place.ok("inspect c.rvf")["parent"]["epoch"], 4);
    let told = place.exits("lineage c.rvf", 4);
    let told: Vec<(&Value, &Value)> =
        told["chain"].as_array().unwrap().iter().map(|link| (&link["path"], &link["found"])).collect();
    let expected =
        [("c.rvf", true), ("b.rvf", true), ("a.rvf", false)].map(|(path, found)| (json!(path), json!(found)));
    assert_eq!(told, expected.iter().map(|(path, found)| (path, found)).collect::<Vec<_>>());
}

#[test]
fn diff_counts_lists_and_shows() {
    let place = edited();
    let diff = place.ok("diff a.rvf b.rvf");
    for (key, count) in [("added", 1), ("changed", 2), ("deleted", 1), ("changed_vectors", 1), ("changed_metadata", 1)]
    {
        assert_eq!(diff[key], count, "{key}: {diff}");
    }
    let ids = place.ok("diff b.rvf a.rvf --ids");
    assert_eq!((&ids["added"], &ids["changed"], &ids["deleted"]), (&json!([1]), &json!([3, 5]), &json!([10])));
    let shown = place.ok("diff a.rvf b.rvf --vectors");
    assert_eq!(
        shown["records"],
        json!([
            { "id": 10, "change": "added", "vector_after": [8.0, 8.0], "metadata_after": { "n": 10 } },
            { "id": 3, "change": "changed", "vector_before": [1.0, 3.0], "vector_after": [7.0, 7.0] },
            { "id": 5, "change": "changed", "metadata_before": { "n": 5 }, "metadata_after": { "n": 50 } },
            { "id": 1, "change": "deleted", "vector_before": [1.0, 1.0], "metadata_before": { "n": 1 } },
        ])
    );
    let two = place.ok("diff a.rvf b.rvf --vectors --limit 3");
    assert_eq!((two["records"].as_array().unwrap().len(), &two["records_left_out"]), (3, &json!(1)));
    let text = place.run(&["diff", "a.rvf", "b.rvf"]).stdout;
    assert!(text.starts_with("a.rvf at epoch 3 -> b.rvf at epoch 4\n") && text.contains("3, 5"), "{text}");
}

#[test]
fn diff_names_commits_of_a_file() {
    let place = edited();
    for line in
        ["diff b.rvf@1 b.rvf@2", "diff b.rvf --at 1 --at 2", "diff b.rvf b.rvf --at 1 --at 2", "diff a.rvf b.rvf@2"]
    {
        let diff = place.ok(line);
        assert_eq!((&diff["added"], &diff["changed"], &diff["deleted"]), (&json!(1), &json!(1), &json!(0)), "{line}");
    }
    assert_eq!(place.ok("diff b.rvf --at 3")["deleted"], 1);
    assert_eq!(place.run(&["diff", "a.rvf", "a.rvf@2"]).stdout.lines().last(), Some("no record differs"));
    // A file whose name ends like that is that file.
    fs::copy(place.path("b.rvf"), place.path("b.rvf@1")).unwrap();
    assert_eq!(place.ok("diff b.rvf@1 b.rvf")["added"], 0);
    place.ok("import z.rvf ten.jsonl --metric l2");
    refused(&place, "diff a.rvf z.rvf", 2, "not_related", "no commit in common");
    refused(&place, "diff a.rvf", 2, "usage", "nothing to compare");
    refused(&place, "diff a.rvf b.rvf --at 1", 2, "usage", "not clear for which");
    refused(&place, "diff a.rvf@1 --at 1", 2, "usage", "by @ and by --at");
    refused(&place, "diff a.rvf@9 b.rvf", 2, "no_epoch", "epoch 9");
}

#[test]
fn merge_takes_what_is_no_conflict_and_stops_at_what_is() {
    let place = edited();
    // What both change in different parts, or alike, is no conflict.
    put(&place, "a.rvf", "{\"id\":5,\"vector\":[9,9],\"metadata\":{\"n\":5}}\n");
    let done = place.ok("merge b.rvf a.rvf --actor me");
    has_keys(&done, &["merged", "conflicts", "epoch", "conflict_details", "renumbered", "resolved"]);
    assert_eq!((&done["merged"], &done["conflicts"], &done["count"]), (&json!(4), &json!([]), &json!(10)));
    let fifth = &place.ok("get a.rvf 5 --with-vector")["records"][0];
    assert_eq!((&fifth["vector"], &fifth["metadata"]["n"]), (&json!([9.0, 9.0]), &json!(50)));
    let newest = &place.ok("log a.rvf")["commits"][0];
    assert_eq!((&newest["operation"], &newest["actor"]), (&json!("merge"), &json!("me")));
    let before = place.bytes("a.rvf");
    assert_eq!(place.ok("merge b.rvf a.rvf")["merged"], 0);
    assert_eq!(place.bytes("a.rvf"), before);

    place.ok("update b.rvf --id 7 --set n=70");
    place.ok("update a.rvf --id 7 --set n=71");
    place.ok("delete a.rvf --id 8");
    place.ok("update b.rvf --id 8,9 --set n=80");
    let before = place.bytes("a.rvf");
    let done = place.exits("merge b.rvf a.rvf", 1);
    assert_eq!((&done["merged"], &done["conflicts"]), (&json!(0), &json!([7, 8])));
    assert_eq!(done["conflict_details"][1], json!({ "id": 8, "ours": "deleted", "theirs": "changed" }));
    let text = place.run(&["merge", "b.rvf", "a.rvf"]);
    assert!(
        text.exit == 1 && text.stdout.contains("nothing was merged") && text.stdout.contains("--theirs"),
        "{text:?}"
    );
    assert_eq!(place.bytes("a.rvf"), before);

    place.write(
        "d.jsonl",
        "{\"id\":7,\"take\":\"ours\"}\n\n{\"id\":8,\"take\":\"theirs\"}\n{\"id\":2,\"take\":\"ours\"}\n",
    );
    let done = place.ok("merge b.rvf a.rvf --decisions d.jsonl");
    assert_eq!((&done["merged"], &done["resolved"]), (&json!(2), &json!(2)));
    assert_eq!((&done["decisions_unused"], &done["decisions_unused_ids"]), (&json!(1), &json!([2])));
    assert_eq!([7, 8, 9].map(|id| metadata(&place, "a.rvf", id)["n"].clone()), [json!(71), json!(80), json!(80)]);
}

#[test]
fn merge_resolves_by_side_and_by_new_ids() {
    let place = place();
    place.ok("branch a.rvf b.rvf");
    for (store, value) in [("a.rvf", 1), ("b.rvf", 2)] {
        put(&place, store, &format!("{{\"id\":20,\"vector\":[{value},0]}}\n"));
        place.ok(&format!("update {store} --id 3 --set n={value}"));
    }
    for name in ["ours.rvf", "theirs.rvf"] {
        fs::copy(place.path("a.rvf"), place.path(name)).unwrap();
    }
    place.exits("merge b.rvf ours.rvf --renumber", 1);
    let done = place.ok("merge b.rvf ours.rvf --ours --renumber");
    assert_eq!(done["renumbered"], json!([{ "from": 20, "to": 21 }]));
    assert_eq!(metadata(&place, "ours.rvf", 3)["n"], 1);
    assert_eq!(place.ok("get ours.rvf 20 21 --with-vector")["records"][1]["vector"], json!([2.0, 0.0]));
    assert_eq!(place.ok("merge b.rvf theirs.rvf --theirs")["resolved"], 2);
    assert_eq!(metadata(&place, "theirs.rvf", 3)["n"], 2);
}

/// Catches decisions that are ignored and not told of: about records in no conflict, and those that cannot apply.
#[test]
fn decisions_without_effect_are_told() {
    let place = edited();
    place.ok("update a.rvf --id 5 --set n=51");
    // A conflict that the decision cannot resolve stays one; so does one that nobody decided.
    let renumber: String = (0..12).map(|id| format!("{{\"id\":{id},\"take\":\"renumber\"}}\n")).collect();
    place.write("d.jsonl", renumber);
    let done = place.exits("merge b.rvf a.rvf --decisions d.jsonl", 1);
    assert_eq!((&done["merged"], &done["conflicts"], &done["decisions_unused"]), (&json!(0), &json!([5]), &json!(12)));
    assert_eq!(done["decisions_unused_ids"], json!((0..10).collect::<Vec<u64>>()));
    let line = ["merge", "b.rvf", "a.rvf", "--decisions", "d.jsonl"];
    let text = place.run(&line).stdout;
    assert!(
        text.contains("decisions without effect: 12") && text.contains(": 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …"),
        "{text}"
    );
    // Used, though the other side wins anyway; the others are not.
    place.write("d.jsonl", "{\"id\":5,\"take\":\"ours\"}\n{\"id\":3,\"take\":\"ours\"}\n");
    let text = place.run(&[&line[..], &["--theirs"]].concat()).stdout;
    assert!(
        text.contains("resolved: 1") && text.contains("decisions without effect: 1") && text.ends_with(": 3\n"),
        "{text}"
    );
    assert_eq!(
        (metadata(&place, "a.rvf", 5)["n"].clone(), metadata(&place, "a.rvf", 3)),
        (json!(51), json!({ "n": 3 }))
    );
    // Nothing is in conflict any more.
    let done = place.ok("merge b.rvf a.rvf --decisions d.jsonl");
    assert_eq!((&done["merged"], &done["resolved"], &done["decisions_unused"]), (&json!(0), &json!(0), &json!(2)));
    assert_eq!(place.ok("merge b.rvf a.rvf")["decisions_unused"], 0);
}

#[test]
fn decisions_that_are_none_are_refused_with_their_line() {
    let place = edited();
    for (text, says) in [
        ("{\"id\":1,\"take\":\"ours\"}\n{\"id\":1,\"take\":\"mine\"}\n", "line 2"),
        (
            "{\"id\":1,\"take\":\"ours\"}\n\n{\"id\":1,\"take\":\"theirs\"}\n",
            "decides about id 1 already (d.jsonl, line 3)",
        ),
        ("{\"id\":\"1\",\"take\":\"ours\"}\n", "\"1\" is no id"),
        (
            "{\"id\":-1,\"take\":\"ours\"}\n",
            "-1 is no id of a store with ids of type u64: it is negative (d.jsonl, line 1)",
        ),
        (
            "\n{\"id\":18446744073709551616,\"take\":\"ours\"}\n",
            "the largest is 18446744073709551614 (d.jsonl, line 2)",
        ),
        ("{\"id\":18446744073709551615,\"take\":\"ours\"}\n", "the largest is 18446744073709551614 (d.jsonl, line 1)"),
        ("{\"id\":1.5,\"take\":\"ours\"}\n", "not written as a whole number (d.jsonl, line 1)"),
        ("{\"id\":1,\"take\":\"ours\",\"why\":1}\n", "line 1"),
        ("[]\n", "the line is a list, not an object (d.jsonl, line 1)"),
        ("\n\n{\"id\":1,\n", "at column 8 (d.jsonl, line 3)"),
    ] {
        place.write("d.jsonl", text);
        let error = refused(&place, "merge b.rvf a.rvf --decisions d.jsonl", 2, "decisions", says);
        assert!(!error["message"].as_str().unwrap().contains("at line"), "{error}");
    }
    place.write("d.jsonl", b"{\"id\":1}\xff\n");
    refused(&place, "merge b.rvf a.rvf --decisions d.jsonl", 2, "decisions", "UTF-8");
    refused(&place, "merge b.rvf a.rvf --decisions none.jsonl", 2, "decisions", "none.jsonl");
    refused(&place, "merge b.rvf a.rvf --ours --theirs", 2, "usage", "--theirs");
    refused(&place, "merge b.rvf ./b.rvf", 2, "usage", "are one file");
    place.ok("import z.rvf ten.jsonl --metric l2");
    refused(&place, "merge z.rvf a.rvf", 2, "not_related", "no commit in common");
}

#[test]
fn flatten_and_freeze_leave_what_they_promise() {
    let place = edited();
    let done = place.ok("flatten b.rvf flat.rvf --actor me");
    has_keys(&done, &["out", "bytes", "count"]);
    assert_eq!(
        (done["count"].as_u64(), done["bytes"].as_u64()),
        (Some(10), Some(place.bytes("flat.rvf").len() as u64))
    );
    assert_eq!(place.ok("flatten a.rvf copy.rvf")["count"], 10);
    assert_eq!(place.ok("flatten b.rvf old.rvf --at 1")["count"], 10);
    refused(&place, "flatten b.rvf flat.rvf", 2, "exists", "flat.rvf");
    place.ok("export b.rvf b.jsonl");
    fs::remove_file(place.path("a.rvf")).unwrap();
    place.ok("export flat.rvf flat.jsonl");
    let lines = |name: &str| {
        let text = String::from_utf8(place.bytes(name)).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines("flat.jsonl"), lines("b.jsonl"));
    assert!(place.ok("info flat.rvf").get("parent").is_none());
    assert_eq!(place.ok("verify flat.rvf")["findings"], json!([]));

    let frozen = place.ok("freeze flat.rvf");
    assert_eq!((&frozen["epoch"], place.ok("freeze flat.rvf")), (&json!(2), frozen.clone()));
    let before = place.bytes("flat.rvf");
    let error = place.run(&["delete", "flat.rvf", "--id", "0", "--json"]);
    assert!(error.exit == 3 && error.stderr.contains("\"frozen\""), "{error:?}");
    assert_eq!(place.ok("branch flat.rvf f.rvf")["pinned"], true);
    assert_eq!((place.bytes("flat.rvf"), &place.ok("info flat.rvf")["frozen"]), (before, &json!(true)));
}

#[test]
fn log_all_draws_the_tree() {
    let place = edited();
    place.ok("branch b.rvf c.rvf");
    place.ok("merge b.rvf a.rvf");
    place.ok("branch a.rvf d.rvf --at 2");
    place.ok("import z.rvf ten.jsonl --metric l2");
    let files = place.ok("log b.rvf --all")["files"].clone();
    let files = files.as_array().unwrap();
    let names: Vec<&str> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(names, ["a.rvf", "b.rvf", "c.rvf", "d.rvf"]);
    has_keys(&files[0], &["path", "file_id", "epoch", "parent", "count", "frozen"]);
    assert_eq!((&files[0]["parent"], &files[1]["parent"]["file_id"]), (&Value::Null, &files[0]["file_id"]));
    let text = place.run(&["log", "b.rvf", "--all"]).stdout;
    let tree: Vec<&str> = text.lines().skip_while(|line| !line.is_empty()).skip(1).collect();
    assert!(tree[0].starts_with("a.rvf  epoch"), "{text}");
    assert!(tree[1].starts_with("├─ from epoch 2: b.rvf") && tree[1].ends_with("<- this file"), "{text}");
    assert!(
        tree[2].starts_with("│  └─ from epoch 4: c.rvf") && tree[3].starts_with("└─ from epoch 2: d.rvf"),
        "{text}"
    );
    let merged = place.ok("inspect a.rvf")["merged"][0].clone();
    assert_eq!((&merged["file_id"], &merged["epoch"]), (&files[1]["file_id"], &json!(5)));
}

/// Catches a tree in which a branch without its parent looks like a store that has none.
#[test]
fn log_all_says_which_parent_is_not_found() {
    let place = edited();
    place.ok("branch a.rvf d.rvf");
    place.ok("branch b.rvf c.rvf");
    fs::remove_file(place.path("a.rvf")).unwrap();
    let answer = place.run(&["log", "c.rvf", "--all"]);
    let tree: Vec<&str> = answer.stdout.lines().skip_while(|line| !line.is_empty()).skip(1).collect();
    assert!(answer.exit == 0 && tree.len() == 3, "{answer:?}");
    assert!(tree[0].starts_with("a.rvf  not found (file "), "{answer:?}");
    assert!(
        tree[1].starts_with("└─ from epoch 2: b.rvf") && tree[2].starts_with("   └─ from epoch 4: c.rvf"),
        "{answer:?}"
    );
    let files = place.ok("log b.rvf --all")["files"].clone();
    let parents: Vec<&Value> = files.as_array().unwrap().iter().map(|file| &file["parent"]["found"]).collect();
    assert_eq!(parents, [&json!(false), &json!(true), &json!(false)], "{files}");
    let text = place.run(&["log", "d.rvf", "--all"]).stdout;
    assert!(
        text.contains("\n├─ from epoch 2: b.rvf")
            && text.contains("\n│  └─ from")
            && text.contains("\n└─ from epoch 3: d.rvf"),
        "{text}"
    );
}

/// Catches an epoch that is released in silence although a branch that anybody can see stands on it.
#[test]
fn unpin_names_the_branches_that_lose_what_they_stand_on() {
    let place = place();
    place.ok("branch a.rvf b.rvf");
    fs::create_dir(place.path("far")).unwrap();
    place.ok("branch a.rvf far/c.rvf --at 2");
    place.ok("branch a.rvf later.rvf");
    place.ok("branch b.rvf grandchild.rvf");
    let answer = place.run(&["branch", "--unpin", "a.rvf", "2", "--parent-dir", "far"]);
    let warned: Vec<&str> = answer.stderr.lines().filter(|line| line.contains("goes on from epoch 2")).collect();
    assert!(answer.exit == 0 && warned.len() == 2, "{answer:?}");
    assert!(warned[0].starts_with("rvf: warning: b.rvf ") && warned[1].contains("far/c.rvf "), "{answer:?}");
    assert_eq!(place.ok("branch --unpin a.rvf 4")["branches_here"], json!(["later.rvf"]));
    let error = refused(&place, "branch --unpin a.rvf", 2, "usage", "--unpin needs the store and the epoch");
    assert!(error["hint"].as_str().unwrap().contains("branch --unpin PARENT EPOCH"), "{error}");
    refused(&place, "branch a.rvf", 2, "usage", "<CHILD>");
}

/// Catches "not sound" without a word of why.
#[test]
fn verify_finds_that_the_parent_is_missing() {
    let place = edited();
    fs::rename(place.path("a.rvf"), place.path("gone")).unwrap();
    let value = place.exits("verify b.rvf", 4);
    let finding = &value["findings"][0];
    let root = place.ok("inspect b.rvf")["manifest"]["root_offset"].clone();
    assert_eq!((&value["sound"], &finding["clause"], &finding["offset"]), (&json!(false), &json!("BRN-3"), &root));
    assert!(finding["message"].as_str().unwrap().contains("recorded as \"a.rvf\""), "{value}");
    let advice = value["advice"][0].as_str().unwrap();
    assert!(advice.contains("--parent-dir") && advice.contains("RVF_PARENT_PATH"), "{value}");
    let text = place.run(&["verify", "b.rvf"]).stdout;
    assert!(text.contains("\nBRN-3 ") && text.contains("a.rvf") && text.contains("--parent-dir"), "{text}");
    fs::rename(place.path("gone"), place.path("a.rvf")).unwrap();
    assert_eq!(place.ok("verify b.rvf")["findings"], json!([]));
    for (command, says) in [("verify", "those of their segments that it uses"), ("get", "each as a whole")] {
        let help = place.run(&[command, "--help"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains(says), "{command}: {help}");
    }
}

/// What has the parent's name and is no store is told as what it is.
#[cfg(unix)]
#[test]
fn what_has_the_name_of_the_parent_and_is_none_is_told() {
    let place = edited();
    fs::create_dir(place.path("else")).unwrap();
    fs::rename(place.path("a.rvf"), place.path("else/a.rvf")).unwrap();
    let named = place.path("a.rvf");
    let hint = |error: Value| error["hint"].as_str().unwrap().to_owned();
    fs::write(&named, b"").unwrap();
    assert!(
        hint(refused(&place, "get b.rvf 0", 4, "parent_unusable", "not an RVF file (a.rvf)")).contains("--parent-dir")
    );
    fs::remove_file(&named).unwrap();
    std::os::unix::fs::symlink("nowhere", &named).unwrap();
    assert!(hint(refused(&place, "get b.rvf 0", 4, "parent_missing", "is missing; needed")).contains("--parent-dir"));
    fs::remove_file(&named).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&named).status().unwrap().success());
    // Not by `refused`, which reads the file itself.
    let told = place.run(&["get", "b.rvf", "0"]);
    assert!(told.exit == 4 && told.stderr.contains("not a regular file"), "{told:?}");
    assert!(told.stderr.lines().last().unwrap().contains("--parent-dir"), "{told:?}");
    place.ok("get b.rvf 0 --parent-dir else");
}

/// Catches words of the operating system, and names of temporary files, where a path on the command line is wrong.
#[test]
fn wrong_paths_and_epochs_are_told_plainly() {
    let place = edited();
    place.ok("bundle b.rvf b.tar");
    for line in [
        "branch a.rvf none/c.rvf",
        "flatten b.rvf none/c.rvf",
        "bundle b.rvf none/c.tar",
        "unbundle b.tar none/c",
        "create none/c.rvf --dim 2 --metric l2",
        "compact a.rvf --output none/c.rvf",
        "export a.rvf none/c.jsonl",
        "info none/c.rvf",
    ] {
        let error = refused(&place, line, 3, "not_found", "the folder none does not exist (none/c");
        assert!(error["hint"].as_str().unwrap().contains("make the folder"), "{line}: {error}");
        assert!(!error["message"].as_str().unwrap().contains("tmp"), "{line}: {error}");
    }
    for line in [
        "branch a.rvf ten.jsonl/c.rvf",
        "flatten b.rvf ten.jsonl/c.rvf",
        "bundle b.rvf ten.jsonl/c.tar",
        "unbundle b.tar ten.jsonl",
        "unbundle b.tar ten.jsonl/c",
    ] {
        let error = refused(&place, line, 3, "io", "ten.jsonl is a file, not a folder");
        assert!(error["hint"].as_str().unwrap().contains("name a folder"), "{line}: {error}");
        assert!(!error["message"].as_str().unwrap().contains("tmp"), "{line}: {error}");
    }
    for line in ["get a.rvf@2 1", "info a.rvf@2", "branch a.rvf@2 c.rvf", "merge b.rvf@2 a.rvf"] {
        let error = refused(&place, line, 3, "not_found", "no file of this name (");
        assert!(error["hint"].as_str().unwrap().contains("rvf --at 2`"), "{line}: {error}");
    }
    for line in ["get a.rvf 1 --at -1", "log a.rvf --at -1", "branch a.rvf c.rvf --at -1", "diff a.rvf --at -1"] {
        refused(&place, line, 2, "usage", "an epoch is a whole number");
    }
}

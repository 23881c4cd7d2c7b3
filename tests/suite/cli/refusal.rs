//! Bad input: exit code, kind, message, hint; and the store byte for byte as it was.

use super::{Answer, Place, npy, repository};
use serde_json::Value;
use std::fs;

/// Runs the line with and without --json; checks exit code, kind and shape of the error, and that `a.rvf` did not change.
pub(super) fn refused(place: &Place, line: &str, exit: i32, kind: &str, words: &str) -> Value {
    let store = place.path("a.rvf");
    let before = fs::read(&store).ok();
    let arguments: Vec<&str> = line.split(' ').collect();
    let text = place.run(&arguments);
    check_text(&text, line, exit, words);
    let json = place.run(&[&arguments[..], &["--json"]].concat());
    assert_eq!(json.exit, exit, "{line}: {json:?}");
    let object: Value = serde_json::from_str(&json.stderr).unwrap_or_else(|error| panic!("{line}: {error}: {json:?}"));
    let error = object["error"].clone();
    assert_eq!(error["kind"], kind, "{line}: {error}");
    assert!(error["message"].as_str().unwrap().contains(words), "{line}: {error}");
    assert!(!error["hint"].as_str().unwrap().is_empty(), "{line}: {error}");
    assert_eq!(fs::read(&store).ok(), before, "{line}: the store changed");
    error
}

fn check_text(answer: &Answer, line: &str, exit: i32, words: &str) {
    assert_eq!(answer.exit, exit, "{line}: {answer:?}");
    let lines: Vec<&str> = answer.stderr.lines().collect();
    let [.., hint] = lines[..] else { panic!("{line}: {answer:?}") };
    // Lines between the two show the place.
    let what = lines.iter().rev().skip(1).find(|line| !line.starts_with("  ")).unwrap_or(&"");
    assert!(what.starts_with("rvf: ") && what.contains(words), "{line}: {answer:?}");
    assert!(hint.starts_with("hint: ") && hint.len() > 10, "{line}: {answer:?}");
}

#[test]
fn vectors_that_do_not_fit_are_refused() {
    let place = Place::with_store();
    place.write("wide.npy", npy(1, 4, &[1.; 4]));
    place.write("nan.npy", npy(3, 3, &[1., 1., 1., 1., 1., 1., 1., f32::NAN, 1.]));
    place.write("inf.npy", npy(1, 3, &[1., f32::INFINITY, 1.]));
    place.write("zero.jsonl", "{\"vector\":[1,2,3]}\n\n{\"vector\":[0,0,0]}\n");
    refused(&place, "import a.rvf wide.npy", 2, "dimension", "dimension 3, the vectors given have 4 (wide.npy)");
    refused(&place, "import a.rvf nan.npy", 2, "not_finite", "(nan.npy, row 2)");
    refused(&place, "import a.rvf inf.npy", 2, "not_finite", "component 1 of vector 0");
    refused(&place, "import a.rvf zero.jsonl", 2, "zero_vector", "(zero.jsonl, line 3)");
    refused(&place, "import a.rvf six.jsonl wide.npy", 2, "dimension", "(wide.npy)");
    refused(&place, "query a.rvf --vector [1,2]", 2, "dimension", "dimension 3");
    refused(&place, "query a.rvf --vector [0,0,0]", 2, "zero_vector", "query");
    refused(&place, "query a.rvf --vector [1,2", 2, "vector", "--vector");
    refused(&place, "query a.rvf --input wide.npy", 2, "dimension", "row 0 of wide.npy");
}

#[test]
fn precision_is_not_lost_in_silence() {
    let place = Place::new();
    place.write("third.npy", npy(1, 2, &[0.333_333_34, 1.]));
    place.ok("create a.rvf --dim 2 --metric l2 --dtype f16");
    refused(&place, "import a.rvf third.npy", 2, "precision", "f16 does not hold exactly");
    place.ok("import a.rvf third.npy --dtype f16");
    place.ok("create u.rvf --dim 2 --metric l2 --dtype u8");
    refused(&place, "import u.rvf third.npy", 2, "precision", "u8");
    place.ok("create b.rvf --dim 16 --metric hamming");
    refused(&place, "import b.rvf third.npy", 2, "element", "f32");
    refused(&place, "import b.rvf third.npy --metric l2", 2, "schema", "hamming");
    refused(&place, "create c.rvf --dim 2 --metric hamming --dtype f32", 2, "schema", "binary");
    refused(&place, "create c.rvf --dim 0 --metric l2", 2, "schema", "dimension");
}

#[test]
fn malformed_inputs_are_refused_with_their_place() {
    let place = Place::with_store();
    let whole = npy(4, 3, &[1.; 12]);
    place.write("short.npy", &whole[..whole.len() - 5]);
    place.write("bad.jsonl", "{\"vector\":[1,2,3]}\n{\"vector\":[1,2,\n");
    place.write("empty.npy", "");
    place.write("what.xyz", &whole);
    fs::create_dir(place.path("folder.npy")).unwrap();
    fs::create_dir(place.path("folder")).unwrap();
    refused(&place, "import a.rvf short.npy", 2, "input", "4 rows of 12 bytes");
    refused(&place, "import a.rvf bad.jsonl", 2, "input", "(bad.jsonl, line 2 column");
    refused(&place, "import a.rvf empty.npy", 2, "input", "empty");
    refused(&place, "import a.rvf what.xyz", 2, "unknown_format", "\"xyz\"");
    refused(&place, "import a.rvf folder.npy", 3, "directory", "directory");
    refused(&place, "import a.rvf folder", 3, "directory", "directory");
    refused(&place, "import a.rvf none.npy", 3, "not_found", "none.npy");
    refused(&place, "export a.rvf out.xyz", 2, "unknown_format", "\"xyz\"");
    refused(&place, "import a.rvf six.jsonl --ids short.npy", 2, "input", "npy");
}

#[test]
fn what_was_committed_before_an_error_stays_and_is_told() {
    let place = Place::with_store();
    place.write("late.npy", npy(5, 3, &[1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., f32::NAN, 1., 1.]));
    let answer = place.run(&["import", "a.rvf", "late.npy", "--batch", "2"]);
    check_text(&answer, "late.npy", 2, "row 4); 4 records before it are committed and stay");
    assert_eq!(place.ok("info a.rvf")["count"], 10);
}

#[test]
fn a_store_that_got_nothing_is_not_left_behind() {
    let place = Place::new();
    place.write("nan.npy", npy(1, 1, &[f32::NAN]));
    refused(&place, "import a.rvf nan.npy --metric l2", 2, "not_finite", "row 0");
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 1);
    refused(&place, "import a.rvf nan.npy", 3, "not_found", "a.rvf");
}

#[test]
fn files_that_are_not_ours_are_refused() {
    let place = Place::with_store();
    let whole = place.bytes("a.rvf");
    place.write("noise.rvf", [7; 9000]);
    place.write("empty.rvf", "");
    fs::create_dir(place.path("folder.rvf")).unwrap();
    fs::copy(repository().join("fixtures/published/plain_l2_10x4.rvf"), place.path("old.rvf")).unwrap();
    place.write("cut.rvf", &whole[..4096]);
    for command in ["info", "verify", "log", "inspect", "query --id 1", "get 1", "delete --id 1", "compact"] {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        let line = |file: &str| format!("{verb} {file} {rest}").trim_end().to_owned();
        refused(&place, &line("noise.rvf"), 4, "not_rvf", "noise.rvf");
        refused(&place, &line("empty.rvf"), 4, "not_rvf", "empty.rvf");
        let error = refused(&place, &line("old.rvf"), 4, "published_rvf", "old.rvf");
        assert!(error["hint"].as_str().unwrap().contains("rvf convert"));
        refused(&place, &line("folder.rvf"), 3, "directory", "folder.rvf");
        refused(&place, &line("none.rvf"), 3, "not_found", "none.rvf");
        if verb != "verify" {
            refused(&place, &line("cut.rvf"), 4, "no_root", "cut.rvf");
        }
    }
    assert_eq!(place.exits("verify cut.rvf", 1)["sound"], false);
}

#[test]
fn flipped_bits_are_findings_and_newer_files_are_refused() {
    let place = Place::with_store();
    let mut flipped = place.bytes("a.rvf");
    flipped[4096 + 200] ^= 1;
    place.write("flipped.rvf", &flipped);
    let report = place.exits("verify flipped.rvf", 1);
    assert_eq!(report["sound"], false);
    let clauses: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|finding| finding["clause"].as_str().unwrap()).collect();
    assert!(clauses.contains(&"SEG-4"), "{clauses:?}");

    let mut tail = place.bytes("a.rvf");
    tail.extend([0; 5000]);
    place.write("tail.rvf", &tail);
    let report = place.exits("verify tail.rvf", 1);
    assert_eq!((report["sound"].as_bool(), report["findings"][0]["clause"].as_str()), (Some(true), Some("TAIL-1")));
    assert!(place.run(&["info", "tail.rvf"]).stderr.contains("follow the last commit"));
    let said = place.run(&["delete", "tail.rvf", "--id", "0"]);
    assert!(said.exit == 0 && said.stderr.contains("uncommitted tail of 4.9 KiB was cut"), "{said:?}");
    assert_eq!(place.ok("verify tail.rvf")["findings"], serde_json::json!([]));
}

#[test]
fn absent_things_and_existing_targets_are_told() {
    let place = Place::with_store();
    refused(&place, "query a.rvf --id 99", 1, "id_absent", "99");
    let error = refused(&place, "info a.rvf --at 9", 2, "no_epoch", "epoch 9");
    assert!(error["hint"].as_str().unwrap().contains("from 1 to 2"), "{error}");
    refused(&place, "create a.rvf --dim 3 --metric l2", 2, "exists", "a.rvf");
    refused(&place, "convert six.jsonl a.rvf --metric l2", 2, "exists", "a.rvf");
    refused(&place, "compact a.rvf --output six.jsonl", 2, "exists", "six.jsonl");
    refused(&place, "export a.rvf six.jsonl", 2, "exists", "six.jsonl");
    refused(&place, "inspect a.rvf --segment 99", 1, "segment_absent", "99");
    refused(&place, "get a.rvf x", 2, "id_type", "\"x\"");
}

#[test]
fn wrong_command_lines_are_usage_errors() {
    let place = Place::with_store();
    refused(&place, "nonsense", 2, "usage", "nonsense");
    refused(&place, "create b.rvf --metric l2", 2, "usage", "--dim");
    refused(&place, "create b.rvf --dim 3 --metric far", 2, "usage", "unknown metric 'far'");
    refused(&place, "query a.rvf", 2, "usage", "required");
    refused(&place, "query a.rvf --id 1 --vector [1,2,3]", 2, "usage", "cannot be used with");
    refused(&place, "query a.rvf --id 1 -k 0", 2, "usage", "0");
    refused(&place, "query a.rvf --id 1 --filter a=", 2, "filter", "expected a value after '='");
    refused(&place, "delete a.rvf --id 1 --sign-with k.key", 3, "not_found", "(k.key)");
    refused(&place, "import a.rvf six.jsonl --batch 0", 2, "usage", "0");
    assert_eq!(place.run(&[]).exit, 2);
}

#[test]
fn conversions_that_fail_leave_nothing() {
    let place = Place::new();
    let published = repository().join("fixtures/published");
    fs::copy(published.join("branch_child.rvf"), place.path("child.rvf")).unwrap();
    refused(&place, "convert child.rvf a.rvf", 4, "parent_missing", "branch_parent_400x32.rvf");
    fs::copy(published.join("plain_l2_10x4.rvf"), place.path("branch_parent_400x32.rvf")).unwrap();
    refused(&place, "convert child.rvf a.rvf", 4, "wrong_parent", "file id");
    let mut damaged = fs::read(published.join("plain_l2_300x32.rvf")).unwrap();
    damaged[400] ^= 1;
    place.write("damaged.rvf", &damaged);
    let error = refused(&place, "convert damaged.rvf a.rvf", 4, "published_rvf_damaged", "content hash");
    assert_eq!(error["clause"], "PUB-HASH");
    place.write("plain.npy", npy(1, 1, &[1.]));
    refused(&place, "convert plain.npy a.rvf", 2, "schema", "metric");
    assert!(!place.path("a.rvf").exists());
    place.write("nan.npy", npy(3, 1, &[1., 2., f32::NAN]));
    refused(&place, "convert nan.npy a.rvf --metric l2 --batch 1", 2, "not_finite", "(nan.npy, row 2)");
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 5, "something of a conversion stays");
    place.ok("convert plain.npy b.rvf --metric l2");
    refused(&place, "convert b.rvf a.rvf", 2, "already_rvf", "b.rvf");
}

/// Catches an export that renames a file over a device, a pipe or a link, and a reader that waits for a pipe.
#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_left_alone() {
    let place = Place::with_store();
    std::os::unix::fs::symlink("real.jsonl", place.path("link.jsonl")).unwrap();
    place.write("real.jsonl", "old");
    place.ok("export a.rvf link.jsonl --force");
    assert!(place.path("link.jsonl").is_symlink() && place.bytes("real.jsonl").len() > 3);
    let made = std::process::Command::new("mkfifo").arg(place.path("pipe")).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("no mkfifo here: pipes are not tried");
        return;
    }
    refused(&place, "export a.rvf pipe --format jsonl --force", 3, "io", "not a regular file");
    refused(&place, "info pipe", 3, "io", "not a regular file");
    assert!(!place.path("pipe").is_file());
}

#[test]
fn flags_that_contradict_the_store_are_refused() {
    let place = Place::with_store();
    refused(&place, "import a.rvf six.jsonl --dim 5", 2, "schema", "the store has dimension 3, not 5");
    refused(&place, "import a.rvf six.jsonl --model other", 2, "schema", "model");
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let place = Place::new();
    place.run(&["create", "a.rvf", "--dim", "1", "--metric", "l2", "--model", "a\nb\u{1b}[31m"]);
    let shown = place.run(&["info", "a.rvf"]).stdout;
    assert!(shown.contains(r"a\nb\u{1b}[31m") && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn ids_with_commas_can_be_deleted() {
    let place = Place::new();
    place.write(
        "ids.jsonl",
        "{\"id\":\"a,b\",\"vector\":[1]}\n{\"id\":\"c\",\"vector\":[2]}\n{\"id\":\"d\",\"vector\":[3]}\n",
    );
    place.ok("import a.rvf ids.jsonl --metric l2");
    assert_eq!(place.ok("delete a.rvf --id a,b")["deleted"], 1);
    assert_eq!(place.ok("delete a.rvf --id c,d")["deleted"], 2);
}

/// What is misspelt or in another order must neither delete nor give fields to the wrong records.
#[test]
fn metadata_that_is_not_theirs_is_refused() {
    let place = Place::with_store();
    place.write("two.npy", npy(2, 3, &[1., 2., 3., 4., 5., 6.]));
    let line = |id: u64| format!("{{\"id\":{id},\"metadata\":{{\"n\":{id}}}}}\n");
    place.write("back.jsonl", [line(1), line(0)].concat());
    place.write("few.jsonl", line(0));
    let import = |metadata: &str| format!("import a.rvf two.npy --metadata {metadata}");
    refused(&place, &import("back.jsonl"), 2, "input", "metadata of record 0 in the place of that of record 2");
    refused(&place, &import("few.jsonl"), 2, "input", "fewer lines of metadata than records");
    refused(&place, "delete a.rvf --filter lnag=1", 2, "unknown_field", "nothing was deleted");
    place.write("right.jsonl", [line(40), "{\"id\":41}\n".to_owned()].concat());
    place.ok(&import("right.jsonl"));
    let found = place.ok("query a.rvf --vector [1,2,3] -k 9 --filter n=40 --with-metadata --explain");
    assert_eq!(
        (&found["matches"], &found["hits"][0]["metadata"]),
        (&serde_json::json!(1), &serde_json::json!({"n": 40}))
    );
}

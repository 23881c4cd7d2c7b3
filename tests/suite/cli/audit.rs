//! Keys, signing, verifying by keys and by what was seen before, checkpoints and proofs.

use super::refusal::refused;
use super::{Place, has_keys};
use rvf_engine::store::{Context, Edit, Store};
use rvf_format::merkle;
use rvf_format::note::Note;
use rvf_format::payload::witness::Operation;
use rvf_format::storage::FilePlace;
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;

/// `a.rvf` with six records; keys `k` and `other`.
fn place() -> Place {
    let place = Place::with_store();
    place.ok("key new k");
    place.ok("key new other");
    place
}

/// The same, signed by `k` at epoch 3.
fn signed() -> Place {
    let place = place();
    place.ok("sign a.rvf --key k.key");
    place
}

fn key_id(place: &Place, file: &str) -> Value {
    place.ok(&format!("key show {file}"))["key_id"].clone()
}

/// The findings of a store that exits with 1: clauses and messages.
fn findings(place: &Place, line: &str) -> Vec<(String, String)> {
    let report = place.exits(line, 1);
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| (text(finding, "clause"), text(finding, "message"))).collect()
}

/// That one thing is found, of this clause and with these words.
fn finds(place: &Place, line: &str, clause: &str, words: &str) {
    let found = findings(place, line);
    assert!(
        matches!(&found[..], [(of, message)] if of == clause && message.contains(words)),
        "{line}: {clause} {words}: {found:?}"
    );
}

fn copy(place: &Place, from: &str, to: &str) {
    fs::copy(place.path(from), place.path(to)).unwrap();
}

#[test]
fn keys_are_made_once_and_known_by_their_id() {
    let place = Place::new();
    let made = place.ok("key new k");
    assert_eq!(made["algorithms"], json!(["ed25519", "ml-dsa-65"]));
    assert_eq!((&made["secret"], &made["public"]), (&json!("k.key"), &json!("k.pub")));
    assert_eq!([key_id(&place, "k.key"), key_id(&place, "k.pub")], [made["key_id"].clone(), made["key_id"].clone()]);
    assert_eq!(place.ok("key show k.key")["holds"], "secret");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(place.path("k.key")).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(place.path("k.key"), fs::Permissions::from_mode(0o640)).unwrap();
        refused(&place, "key show k.key", 4, "key_exposed", "open to others");
    }
    let before = place.bytes("k.pub");
    refused(&place, "key new k", 2, "exists", "k.pub");
    assert_eq!(place.bytes("k.pub"), before);
    place.write("no.pub", "RVFPUBK1 and no more");
    refused(&place, "key show no.pub", 4, "key_file", "(no.pub)");
    refused(&place, "key show missing.pub", 3, "not_found", "(missing.pub)");
}

#[test]
fn a_store_is_signed_once_and_says_by_whom() {
    let place = place();
    assert_eq!(place.ok("info a.rvf")["signed"], false);
    let done = place.ok("sign a.rvf --key k.key --actor me");
    assert_eq!(
        (&done["epoch"], &done["already"], &done["key_id"]),
        (&json!(3), &json!(false), &key_id(&place, "k.pub"))
    );
    assert_eq!(done["algorithms"], json!(["ed25519", "ml-dsa-65"]));
    let bytes = place.bytes("a.rvf");
    let again = place.ok("sign a.rvf --key k.key");
    assert_eq!((&again["epoch"], &again["already"]), (&json!(3), &json!(true)));
    assert!(place.run(&["sign", "a.rvf", "--key", "k.key"]).stdout.contains("is signed already"));
    assert_eq!(place.bytes("a.rvf"), bytes);

    let info = place.ok("info a.rvf");
    assert_eq!((&info["signed"], &info["signed_epoch"], &info["signer"]), (&json!(true), &json!(3), &done["key_id"]));
    assert_eq!(info["policy"], "ed25519+ml-dsa-65");
    let log = place.ok("log a.rvf")["commits"].clone();
    assert_eq!(
        (&log[0]["operation"], &log[0]["actor"], &log[0]["signer"]),
        (&json!("sign"), &json!("me"), &done["key_id"])
    );
    assert_eq!(log[1].get("signer"), None);
    assert_eq!(place.ok("info a.rvf --at 2")["signed_epoch"], Value::Null);

    refused(&place, "sign a.rvf --key k.pub", 4, "key_file", "(k.pub)");
    refused(&place, "sign a.rvf --key missing.key", 3, "not_found", "(missing.key)");
    assert_eq!(place.ok("sign a.rvf --key other.key")["epoch"], 4);
}

#[test]
fn commands_sign_or_say_that_they_did_not() {
    let place = place();
    let warns = |line: &str, file: &str| {
        let answer = place.run(&line.split(' ').collect::<Vec<&str>>());
        let warned = answer.stderr.contains(&format!("the newest commit of {file}, epoch "));
        assert!(answer.exit == 0 && (warned || answer.stderr.is_empty()), "{line}: {answer:?}");
        warned
    };
    // Who never signed is not told to.
    assert!(!warns("delete a.rvf --id 0", "a.rvf"));
    assert!(!warns("delete a.rvf --id 1 --sign-with k.key", "a.rvf"));
    place.ok("verify a.rvf --key k.pub");
    assert!(warns("update a.rvf --id 2 --set n=1", "a.rvf"));
    let info = place.ok("info a.rvf");
    assert_eq!((&info["signed"], &info["signed_epoch"]), (&json!(false), &json!(info["epoch"].as_u64().unwrap() - 1)));
    let found = findings(&place, "verify a.rvf --key k.pub");
    assert_eq!(found.iter().map(|(clause, _)| clause.as_str()).collect::<Vec<&str>>(), ["SIG-3", "SIG-4"], "{found:?}");
    assert!(!warns("sign a.rvf --key k.key", "a.rvf"));
    // The commit that pins is one of the parent.
    assert!(warns("branch a.rvf b.rvf", "a.rvf"));
    assert!(!warns("branch a.rvf c.rvf --sign-with k.key", "a.rvf"));
    place.ok("verify c.rvf --key k.pub");
    assert!(warns("compact a.rvf --output small.rvf", "small.rvf"));
    for line in [
        "compact a.rvf --sign-with k.key",
        "import new.rvf six.jsonl --metric l2 --sign-with k.key",
        "create empty.rvf --dim 2 --metric l2 --sign-with k.key",
        "flatten c.rvf flat.rvf --sign-with k.key",
        "freeze a.rvf --sign-with k.key",
    ] {
        assert!(!warns(line, "a.rvf"), "{line}");
    }
    for file in ["a.rvf", "new.rvf", "empty.rvf", "flat.rvf"] {
        place.ok(&format!("verify {file} --key k.pub"));
    }
    let signers: Vec<Value> = place.ok("log new.rvf")["commits"].as_array().unwrap().clone();
    assert!(
        signers.len() > 1 && signers.iter().all(|commit| commit["signer"] == key_id(&place, "k.pub")),
        "{signers:?}"
    );
}

#[test]
fn a_signature_counts_by_a_key_that_was_given() {
    let place = signed();
    let id = key_id(&place, "k.pub");
    let signature =
        |algorithm: &str, valid: Value| json!({ "key_id": id, "algorithm": algorithm, "epoch": 3, "valid": valid });
    let both = |valid: Value| json!([signature("ed25519", valid.clone()), signature("ml-dsa-65", valid)]);
    let without = place.ok("verify a.rvf");
    assert_eq!((&without["signatures"], &without["freshness"]), (&both(Value::Null), &json!("unknown")));
    let with = place.ok("verify a.rvf --key other.pub --key k.pub");
    assert_eq!((&with["signatures"], &with["findings"]), (&both(json!(true)), &json!([])));
    finds(&place, "verify a.rvf --key other.pub", "SIG-4", "none of the keys that were given");
    assert_eq!(place.exits("verify a.rvf --key other.pub", 1)["signatures"], both(Value::Null));

    let text = |line: &str| place.run(&line.split(' ').collect::<Vec<&str>>()).stdout;
    let told = text("verify a.rvf");
    assert!(
        told.contains("\nproven: every byte") && told.contains("\nnot proven: who made it: no key was given"),
        "{told}"
    );
    assert!(told.contains("\nnot proven: that epoch 3 is the newest there is"), "{told}");
    let told = text("verify a.rvf --key k.pub");
    assert!(told.contains(&format!("\nproven: signed by {} at epoch 3", id.as_str().unwrap())), "{told}");
    assert!(
        told.contains("\nproven: it goes on from the newest state that was seen") && !told.contains("not proven"),
        "{told}"
    );
    let told = text("verify a.rvf --key other.pub");
    assert!(told.contains("\nnot proven: that whoever has the given key"), "{told}");

    place.ok("create new.rvf --dim 2 --metric l2");
    finds(&place, "verify new.rvf --key k.pub", "SIG-4", "not signed by a key that was given");
    refused(&place, "verify a.rvf --key k.key", 4, "key_file", "(k.key)");
    refused(&place, "verify a.rvf --key missing.pub", 3, "not_found", "(missing.pub)");
    refused(&place, "verify a.rvf --signed-parents", 2, "usage", "--key");
}

/// A byte of the records, and one of a signature.
#[test]
fn a_changed_byte_is_found() {
    let place = signed();
    let bytes = place.bytes("a.rvf");
    let segment = |kind: &str| {
        let segments = place.ok("inspect a.rvf")["segments"].clone();
        let of_kind = segments.as_array().unwrap().iter().find(|segment| segment["kind"] == kind).unwrap().clone();
        (of_kind["offset"].as_u64().unwrap() + of_kind["length"].as_u64().unwrap() / 2) as usize
    };
    for (kind, at) in [("VEC", segment("VEC")), ("CRYPTO", segment("CRYPTO"))] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        place.write("a.rvf", &changed);
        let report = place.exits("verify a.rvf --key k.pub", 1);
        assert!(report["sound"] == false && !report["findings"].as_array().unwrap().is_empty(), "{kind}: {report}");
        assert_eq!(report["remembered"], json!([]), "{kind}");
        assert!(place.run(&["verify", "a.rvf"]).stdout.contains("\nnot proven: that the bytes are"), "{kind}");
        // What no key is needed for goes on, with a warning where the notes cannot be read.
        for line in ["info a.rvf", "log a.rvf"] {
            let answer = place.run(&line.split(' ').collect::<Vec<&str>>());
            assert!(
                answer.exit == 0 && answer.stderr.contains("notes cannot be read") == (kind == "CRYPTO"),
                "{line}: {answer:?}"
            );
        }
    }
}

/// An older copy in the place of a newer one is itself sound and signed: only who remembers knows.
#[test]
fn an_older_copy_is_told_by_who_saw_the_newer_one() {
    let place = signed();
    copy(&place, "a.rvf", "old.rvf");
    place.ok("audit a.rvf --checkpoint-out first.txt");
    place.ok("delete a.rvf --id 5 --sign-with k.key");
    let seen = place.ok("verify a.rvf --key k.pub");
    assert_eq!((&seen["freshness"], &seen["remembered"]), (&json!("unknown"), &json!([key_id(&place, "k.pub")])));
    let again = place.ok("verify a.rvf --key k.pub");
    assert_eq!((&again["freshness"], &again["remembered"]), (&json!("current"), &json!([])));
    place.ok("audit a.rvf --checkpoint-out second.txt");
    assert_eq!(place.ok("verify a.rvf --checkpoint first.txt")["freshness"], "current");

    finds(&place, "verify old.rvf --key k.pub", "SIG-5", "rollback: the file ends with epoch 3, and epoch 4 was seen");
    assert_eq!(place.exits("verify old.rvf --key k.pub", 1)["freshness"], "stale");
    // Who saw neither cannot know, and says so; another folder than the user's knows nothing.
    assert_eq!(place.ok("verify old.rvf")["freshness"], "unknown");
    assert_eq!(place.ok("verify old.rvf --key k.pub --trust elsewhere")["freshness"], "unknown");
    for key in ["", " --key k.pub --trust empty"] {
        let line = format!("verify old.rvf --checkpoint second.txt{key}");
        finds(&place, &line, "SIG-5", "rollback");
        assert_eq!(place.exits(&line, 1)["freshness"], "stale");
        assert_eq!(place.ok(&format!("verify old.rvf --checkpoint first.txt{key}"))["freshness"], "current");
    }
    let departs = place.exits("audit old.rvf --proof second.txt", 1);
    assert_eq!((&departs["extends"], &departs["departure"]), (&json!(false), &json!("rollback")));
}

#[test]
fn each_departure_has_its_name() {
    let place = signed();
    copy(&place, "a.rvf", "fork.rvf");
    place.ok("delete a.rvf --id 5 --sign-with k.key");
    place.ok("audit a.rvf --checkpoint-out seen.txt");
    place.ok("delete fork.rvf --id 4 --sign-with k.key");
    place.ok("delete fork.rvf --id 3 --sign-with k.key");
    // Cut within the newest commit.
    let bytes = place.bytes("a.rvf");
    place.write("cut.rvf", &bytes[..bytes.len() - 4096]);
    place.ok("import other.rvf six.jsonl --metric cosine --sign-with k.key");
    for (file, name) in [("fork", "fork"), ("cut", "truncation"), ("other", "other_file")] {
        let value = place.exits(&format!("audit {file}.rvf --proof seen.txt"), 1);
        assert_eq!(value["departure"], name, "{value}");
        let answer = place.run(&["audit", &format!("{file}.rvf"), "--proof", "seen.txt"]);
        let words = name.replace('_', " ");
        assert!(answer.exit == 1 && answer.stdout.contains(&format!("\n{words}: ")), "{answer:?}");
        let found = findings(&place, &format!("verify {file}.rvf --checkpoint seen.txt"));
        assert!(found.iter().any(|(clause, what)| clause == "SIG-5" && what.starts_with(&words)), "{file}: {found:?}");
    }
    // A checkpoint that somebody else signed is worth nothing beside a key.
    place.ok("sign a.rvf --key other.key");
    place.ok("audit a.rvf --checkpoint-out others.txt");
    finds(
        &place,
        "verify a.rvf --key other.pub --checkpoint seen.txt",
        "SIG-5",
        "the checkpoint is not signed by a key",
    );
    place.write("no.txt", "rvf/nothing\n");
    refused(&place, "verify a.rvf --checkpoint no.txt", 4, "checkpoint_file", "(no.txt)");
    refused(&place, "audit a.rvf --proof no.txt", 4, "checkpoint_file", "(no.txt)");
    refused(&place, "verify a.rvf --checkpoint missing.txt", 3, "not_found", "(missing.txt)");
}

#[test]
fn audit_lists_the_chain_and_writes_checkpoints() {
    let place = place();
    refused(&place, "audit a.rvf --checkpoint-out seen.txt", 3, "not_signed", "no commit is signed");
    place.ok("sign a.rvf --key k.key");
    let audit = place.ok("audit a.rvf --checkpoint-out seen.txt");
    has_keys(&audit, &["entries", "size", "head", "tree_root", "signed", "checkpoint"]);
    let entries = audit["entries"].as_array().unwrap();
    has_keys(
        &entries[0],
        &["index", "epoch", "time", "operation", "actor", "added", "deleted", "root_hash", "entry_hash"],
    );
    let operations: Vec<&Value> = entries.iter().map(|entry| &entry["operation"]).collect();
    assert_eq!(operations, ["sign", "import", "create"]);
    assert_eq!((&audit["size"], &audit["signed"], &audit["head"]), (&json!(3), &json!(3), &entries[0]["entry_hash"]));
    let note = Note::parse(&place.bytes("seen.txt")).unwrap();
    let statement = note.statement();
    let root: String = statement.root.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((statement.size, statement.epoch, &audit["tree_root"]), (3, 3, &json!(root)));
    assert_eq!(place.ok("audit a.rvf --limit 1")["entries"].as_array().unwrap().len(), 1);
    assert_eq!(place.ok("audit a.rvf --at 2")["size"], 2);
    let text = place.run(&["audit", "a.rvf"]).stdout;
    assert!(text.contains("entry hash") && text.contains("\ntree root  "), "{text}");

    // Nothing is replaced that is not to be; the store never is.
    refused(&place, "audit a.rvf --checkpoint-out seen.txt", 2, "exists", "seen.txt");
    refused(&place, "audit a.rvf --checkpoint-out a.rvf --force", 2, "exists", "a.rvf");
    place.ok("delete a.rvf --id 0");
    let answer = place.run(&["audit", "a.rvf", "--checkpoint-out", "seen.txt", "--force"]);
    assert!(answer.exit == 0 && answer.stderr.contains("epoch 3 is signed, and the newest, 4, is not"), "{answer:?}");
    assert_eq!(Note::parse(&place.bytes("seen.txt")).unwrap(), note);
}

#[test]
fn a_proof_says_that_a_store_goes_on_from_what_was_seen() {
    let place = signed();
    place.ok("audit a.rvf --checkpoint-out seen.txt");
    for id in 0..4 {
        place.ok(&format!("delete a.rvf --id {id} --sign-with k.key"));
    }
    let proof = place.ok("audit a.rvf --proof seen.txt");
    let hash = |value: &Value| -> [u8; 32] {
        let digits = value.as_str().unwrap();
        std::array::from_fn(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
    };
    let tree = |name: &str| (proof[name]["size"].as_u64().unwrap(), hash(&proof[name]["root"]));
    let hashes: Vec<[u8; 32]> = proof["hashes"].as_array().unwrap().iter().map(hash).collect();
    let (from, to) = (tree("from"), tree("to"));
    assert_eq!((from.0, to.0, &proof["extends"]), (3, 7, &json!(true)));
    assert!(merkle::extends((from.0, &from.1), (to.0, &to.1), &hashes));
    assert_eq!(proof["to"]["root"], proof["tree_root"]);
}

/// Catches a missing signature that is told as damage or locks readers out, a later signature that hides who committed before, and a store
/// that can never be signed again.
#[test]
fn a_missing_signature_is_no_damage_and_is_not_forgotten() {
    let place = signed();
    place.ok("delete a.rvf --id 0");
    let found = place.exits("verify a.rvf --key k.pub", 1);
    assert_eq!((&found["sound"], &found["trusted"]), (&json!(true), &json!(false)), "{found}");
    assert!(found["advice"][0].as_str().unwrap().contains("rvf sign a.rvf"), "{found}");
    place.ok("info a.rvf --verified");
    refused(&place, "freeze a.rvf", 2, "unsigned", "cannot be signed afterwards");
    place.ok("delete a.rvf --id 1 --sign-with k.key");
    let later = place.ok("verify a.rvf --key k.pub");
    assert_eq!((&later["trusted"], &later["unsigned_epochs"]), (&json!(true), &json!([4])), "{later}");
    place.ok("freeze a.rvf --sign-with k.key");
    assert_eq!(place.ok("verify a.rvf --key k.pub")["trusted"], json!(true));
}

/// Catches a tail that is called proven, and one that is remembered.
#[test]
fn what_may_be_a_lost_commit_is_not_remembered() {
    let place = signed();
    let mut bytes = place.bytes("a.rvf");
    let end = bytes.len();
    bytes[end - 100] ^= 1;
    place.write("a.rvf", bytes);
    let found = place.exits("verify a.rvf --key k.pub", 1);
    assert_eq!(found["remembered"], json!([]), "{found}");
    let text = place.run(&["verify", "a.rvf", "--key", "k.pub"]);
    assert!(text.stdout.contains("not proven: that the bytes are as they were committed"), "{text:?}");
}

#[test]
fn an_entry_is_proven_without_the_store() {
    let place = signed();
    place.ok("delete a.rvf --id 0 --actor me --sign-with k.key");
    place.ok("delete a.rvf --id 1");
    let made = place.ok("audit a.rvf --prove 3 --out entry.json");
    assert_eq!((&made["proved"]["index"], &made["proved"]["signed_epoch"]), (&json!(3), &json!(4)));
    refused(&place, "audit a.rvf --prove 3 --out entry.json", 2, "exists", "entry.json");
    refused(&place, "audit a.rvf --prove 4 --out later.json", 3, "not_signed", "entry 4");
    refused(&place, "audit a.rvf --prove 5 --out later.json", 1, "no_entry", "no audit entry 5");
    refused(&place, "audit a.rvf --prove 3", 2, "usage", "--out");
    assert!(!place.path("later.json").exists());
    fs::remove_file(place.path("a.rvf")).unwrap();

    let checked = place.ok("audit --check entry.json --key k.pub");
    assert_eq!(
        (&checked["valid"], &checked["operation"], &checked["actor"]),
        (&json!(true), &json!("delete"), &json!("me"))
    );
    assert_eq!((&checked["deleted"], &checked["epoch"], &checked["signed_epoch"]), (&json!(1), &json!(4), &json!(4)));
    // Without a key anybody can have made note and tree.
    assert_eq!(place.run(&["audit", "--check", "entry.json"]).exit, 2);
    assert_eq!(place.exits("audit --check entry.json --key other.pub", 1)["why"], "the note: not signed by this key");

    let proof: Value = serde_json::from_slice(&place.bytes("entry.json")).unwrap();
    let check = |change: &dyn Fn(&mut Value), exit: i32| {
        let mut changed = proof.clone();
        change(&mut changed);
        place.write("changed.json", changed.to_string());
        place.run(&["audit", "--check", "changed.json", "--key", "k.pub"]).exit == exit
    };
    assert!(check(&|_| {}, 0));
    assert!(check(&|proof| proof["index"] = json!(2), 1));
    assert!(check(&|proof| proof["path"] = json!([]), 1));
    let actor = |proof: &mut Value| {
        proof["entry"] = json!(proof["entry"].as_str().unwrap().replace("6d65", "7965"));
    };
    assert!(check(&actor, 1));
    assert!(check(&|proof| proof["path"][0] = json!("ab"), 4));
    assert!(check(&|proof| proof["entry"] = json!("xy"), 4));
    assert!(check(&|proof| proof["note"] = json!(""), 4));
    assert!(check(&|proof| proof["more"] = json!(1), 4));
    refused(&place, "audit --check missing.json --key k.pub", 3, "not_found", "(missing.json)");
    refused(&place, "audit --check entry.json a.rvf", 2, "usage", "cannot be used with");
}

#[test]
fn the_commit_of_a_parent_is_signed_by_a_later_one_too() {
    let place = place();
    place.ok("branch a.rvf b.rvf --sign-with k.key");
    place.ok("branch b.rvf c.rvf --sign-with k.key");
    let report = place.ok("verify c.rvf --key k.pub --signed-parents");
    let parents = report["signed_parents"].as_array().unwrap();
    assert_eq!(parents.iter().map(|parent| &parent["key_id"]).collect::<Vec<&Value>>(), [&key_id(&place, "k.pub"); 2]);
    assert_eq!((&parents[1]["epoch"], &parents[1]["signed_epoch"]), (&json!(2), &json!(3)), "{report}");
    let told = place.run(&["verify", "c.rvf", "--key", "k.pub", "--signed-parents"]).stdout;
    assert!(told.contains("proven: parent ") && told.contains("epoch 2: signed by"), "{told}");

    // Commits on top that nobody signed take nothing away.
    place.ok("delete a.rvf --id 0");
    place.ok("verify c.rvf --key k.pub --signed-parents");
    // A parent that somebody else signed, or nobody, does.
    place.ok("create plain.rvf --dim 2 --metric l2");
    place.ok("branch plain.rvf child.rvf");
    place.ok("sign child.rvf --key k.key");
    place.ok("verify child.rvf --key k.pub");
    finds(&place, "verify child.rvf --key k.pub --signed-parents", "SIG-4", "epoch 1: no note by a key that was given");
    place.ok("sign plain.rvf --key other.key");
    finds(&place, "verify child.rvf --key k.pub --signed-parents", "SIG-4", "plain.rvf");
    place.ok("verify child.rvf --key k.pub --key other.pub --signed-parents");
}

#[test]
fn lineage_checks_that_what_was_taken_over_is_recorded() {
    let place = place();
    place.ok("branch a.rvf b.rvf");
    place.ok("delete b.rvf --id 0");
    place.ok("merge b.rvf a.rvf");
    place.ok("compact a.rvf");
    assert_eq!(place.ok("lineage a.rvf").get("custody"), None);
    for (file, files) in [("a.rvf", 1), ("b.rvf", 2)] {
        let custody = place.ok(&format!("lineage {file} --verify"))["custody"].clone();
        assert_eq!(custody.as_array().unwrap().len(), files);
        assert!(custody.as_array().unwrap().iter().all(|file| file["ok"] == true), "{custody}");
    }
    assert!(place.run(&["lineage", "b.rvf", "--verify"]).stdout.contains("\nrecorded: "));

    // A merge whose entry carries a commit that the file does not know of.
    let (mut store, _) = Store::open(Arc::new(FilePlace), &place.path("a.rvf"), Context::default()).unwrap();
    store.commit(&Edit { parameters: "another".to_owned(), ..Edit::new(Operation::MERGE) }).unwrap();
    drop(store);
    let custody = place.exits("lineage a.rvf --verify", 1)["custody"].clone();
    assert_eq!((&custody[0]["ok"], &custody[0]["file"]), (&json!(false), &json!("a.rvf")));
    assert!(custody[0]["why"].as_str().unwrap().contains("the merge at epoch "), "{custody}");
    let answer = place.run(&["lineage", "a.rvf", "--verify"]);
    assert!(answer.exit == 1 && answer.stdout.contains("\nnot recorded: a.rvf"), "{answer:?}");
}

/// Catches a proof or checkpoint that takes the place of what cannot be made again.
#[test]
fn nothing_replaces_a_secret_key_or_a_store() {
    let place = signed();
    place.ok("create b.rvf --dim 2 --metric l2");
    let before = ["k.key", "b.rvf", "a.rvf"].map(|file| place.bytes(file));
    for file in ["k.key", "b.rvf", "a.rvf"] {
        refused(&place, &format!("audit a.rvf --checkpoint-out {file} --force"), 2, "exists", "exists already");
        refused(&place, &format!("audit a.rvf --prove 0 --out {file} --force"), 2, "exists", "exists already");
    }
    assert_eq!(before, ["k.key", "b.rvf", "a.rvf"].map(|file| place.bytes(file)));
    place.ok("audit a.rvf --checkpoint-out seen.txt");
    place.ok("audit a.rvf --checkpoint-out seen.txt --force");
}

/// Catches words about permissions or stores where a file is no key, and about damage where line ends were changed.
#[test]
fn what_is_taken_for_a_key_or_a_checkpoint_is_told() {
    let place = signed();
    refused(&place, "sign a.rvf --key a.rvf", 4, "key_file", "not a key file");
    refused(&place, "sign a.rvf --key k.pub", 4, "key_file", "public");
    for prefix in ["/", ".."] {
        refused(&place, &format!("key new {prefix}"), 2, "prefix", "names a folder");
    }
    place.ok("audit a.rvf --checkpoint-out seen.txt");
    let text = String::from_utf8(place.bytes("seen.txt")).unwrap().replace('\n', "\r\n");
    place.write("crlf.txt", text);
    refused(&place, "verify a.rvf --checkpoint crlf.txt", 4, "checkpoint_file", "not a signed note");
    assert!(place.run(&["verify", "a.rvf", "--checkpoint", "crlf.txt"]).stderr.contains("CR LF"));
    refused(&place, "audit a.rvf --checkpoint-out early.txt --at 2", 3, "not_signed", "up to epoch 2");
    refused(&place, "audit a.rvf --limit -1", 2, "usage", "invalid value '-1'");
}

/// Catches JSON that says less than the lines for a person.
#[test]
fn what_is_proven_stands_in_json_too() {
    let place = signed();
    let report = place.ok("verify a.rvf --key k.pub");
    let told = place.run(&["verify", "a.rvf", "--key", "k.pub"]).stdout;
    for (key, label) in [("proven", "proven: "), ("not_proven", "not proven: ")] {
        for line in report[key].as_array().unwrap() {
            let age = told.contains("goes on from");
            let is_told = told.contains(&format!("{label}{}", line.as_str().unwrap()));
            // The second run remembers the first.
            assert!(is_told || age, "{line}: {told}");
        }
    }
    assert!(report["proven"].as_array().unwrap().len() >= 3, "{report}");
}

/// Catches a command that waits for whoever never comes, or that puts a file in the place of a device.
#[cfg(unix)]
#[test]
fn pipes_and_folders_are_refused_at_once() {
    let place = signed();
    let pipe = |name: &str| {
        let made = std::process::Command::new("mkfifo").arg(place.path(name)).status().unwrap();
        assert!(made.success());
    };
    pipe("pipe");
    fs::create_dir(place.path("folder")).unwrap();
    for special in ["pipe", "folder"] {
        refused(&place, &format!("audit a.rvf --checkpoint-out {special} --force"), 2, "exists", special);
        refused(&place, &format!("audit a.rvf --prove 0 --out {special} --force"), 2, "exists", special);
        refused(&place, &format!("audit --check {special} --key k.pub"), 3, "io", special);
        refused(&place, &format!("verify a.rvf --checkpoint {special}"), 3, "io", special);
        refused(&place, &format!("audit a.rvf --proof {special}"), 3, "io", special);
    }
    // Public keys are no proofs either.
    let before = place.bytes("k.pub");
    refused(&place, "audit a.rvf --checkpoint-out k.pub --force", 2, "exists", "k.pub");
    assert_eq!(place.bytes("k.pub"), before);
    place.ok("verify a.rvf --key k.pub --trust seen");
    let note = fs::read_dir(place.path("seen")).unwrap().map(|file| file.unwrap().path());
    let note = note.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "checkpoint")).unwrap();
    fs::remove_file(&note).unwrap();
    pipe(&format!("seen/{}", note.file_name().unwrap().to_str().unwrap()));
    let answer = place.run(&["verify", "a.rvf", "--key", "k.pub", "--trust", "seen"]);
    assert!(answer.exit == 3 && answer.stderr.contains("not a regular file"), "{answer:?}");
}

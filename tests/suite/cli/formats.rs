//! Formats of vector files by command: what export writes, import takes; what is refused before anything is stored.

use super::{Place, npy};
use serde_json::json;

const TABLE: &str = "id,lang,words,tags:list,vector\n\
    7,de,40,\"[\"\"a\"\",\"\"b\"\"]\",\"[1,0.5]\"\n\
    9,,,,\"[2,-1]\"\n";

#[test]
fn csv_there_and_back() {
    let place = Place::new();
    place.write("a.csv", TABLE);
    assert_eq!(place.ok("import a.rvf a.csv --metric l2")["imported"], 2);
    let done = place.ok("export a.rvf b.csv");
    assert_eq!((&done["exported"], &done["ids"], &done["metadata"]), (&json!(2), &json!(null), &json!(null)));
    let text = String::from_utf8(place.bytes("b.csv")).unwrap();
    let header = "id,lang:string,tags:list,words:i64,vector\n";
    assert_eq!(text, format!("{header}7,de,\"[\"\"a\"\",\"\"b\"\"]\",40,\"[1,0.5]\"\n9,,,,\"[2,-1]\"\n"));
    place.ok("import b.rvf b.csv --metric l2");
    let both = ["a.rvf", "b.rvf"].map(|file| place.ok(&format!("get {file} 7 9 --with-vector")));
    assert_eq!(both[0], both[1]);
    assert_eq!(both[0]["records"][0]["metadata"], json!({"lang": "de", "words": 40, "tags": ["a", "b"]}));
    // Also as queries, and converted.
    assert_eq!(place.ok("query a.rvf --input b.csv -k 1")["hits"][0]["id"], 9);
    assert_eq!(place.ok("convert b.csv c.rvf --metric l2")["imported"], 2);
    assert_eq!(place.ok("get c.rvf 7")["records"][0]["metadata"]["words"], 40);
}

#[test]
fn metadata_beside_npy_there_and_back() {
    let place = Place::new();
    place.write("a.csv", TABLE);
    place.ok("import a.rvf a.csv --metric l2");
    let done = place.ok("export a.rvf out.npy");
    assert_eq!((&done["ids"], &done["metadata"]), (&json!("out.ids.npy"), &json!("out.metadata.jsonl")));
    place.ok("import b.rvf out.npy --ids out.ids.npy --metadata out.metadata.jsonl --metric l2");
    let both = ["a.rvf", "b.rvf"].map(|file| place.ok(&format!("get {file} 7 9 --with-vector")));
    assert_eq!(both[0], both[1]);
    // Nothing is replaced unasked.
    std::fs::remove_file(place.path("out.npy")).unwrap();
    std::fs::remove_file(place.path("out.ids.npy")).unwrap();
    let answer = place.run(&["export", "a.rvf", "out.npy"]);
    assert!(answer.exit == 2 && answer.stderr.contains("out.metadata.jsonl"), "{answer:?}");
    place.ok("export a.rvf out.npy --force");
}

/// Where the count of records is known, lines of metadata are counted first: nothing is stored.
#[test]
fn surplus_lines_of_metadata_store_nothing() {
    let place = Place::with_store();
    place.write("two.npy", npy(2, 3, &[1., 2., 3., 4., 5., 6.]));
    place.write("three.jsonl", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    let before = place.bytes("a.rvf");
    let answer = place.run(&["import", "a.rvf", "two.npy", "--metadata", "three.jsonl"]);
    assert!(answer.exit == 2 && answer.stderr.contains("more lines of metadata than records"), "{answer:?}");
    assert_eq!(place.bytes("a.rvf"), before);
    let answer = place.run(&["import", "new.rvf", "two.npy", "--metadata", "three.jsonl", "--metric", "l2"]);
    assert!(answer.exit == 2 && !place.path("new.rvf").exists(), "{answer:?}");
    // A text does not tell: then the error says what was stored.
    place.write("two.jsonl", "{\"vector\":[1,2,3]}\n{\"vector\":[4,5,6]}\n");
    let answer = place.run(&["import", "a.rvf", "two.jsonl", "--metadata", "three.jsonl"]);
    let (told, more) = (answer.stderr.contains('2'), answer.stderr.contains("more lines of metadata"));
    assert!(answer.exit == 2 && told && more, "{answer:?}");
    assert_eq!(place.ok("info a.rvf")["count"], 8);
}

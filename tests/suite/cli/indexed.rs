//! The index as the command shows it: `index`, imports that renew it, efforts of `query`, `bench`, deep verification.

use super::refusal::refused;
use super::{Answer, Place, binary, has_keys, npy};
use serde_json::{Value, json};

const ROWS: usize = 3000;
const DIM: usize = 16;

/// Numbers between -1 and 1 that look random and are the same each time.
fn noise(count: usize, mut seed: u64) -> Vec<f32> {
    let next = |_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(next).collect()
}

/// A folder with `rows.npy`, 20 `queries.npy`, and `a.rvf`, which holds the rows and no index.
fn place() -> Place {
    let place = Place::new();
    place.write("rows.npy", npy(ROWS, DIM, &noise(ROWS * DIM, 1)));
    place.write("queries.npy", npy(20, DIM, &noise(20 * DIM, 2)));
    place.ok("import a.rvf rows.npy --metric l2 --no-index");
    place
}

fn lines(answer: &Answer) -> Vec<Value> {
    answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// An `.npy` table of ids.
fn table<const N: usize>(rows: usize, columns: usize, descr: &str, ids: impl Iterator<Item = [u8; N]>) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{header:<117}\n").bytes());
    bytes.extend(ids.flatten());
    bytes
}

#[test]
fn index_covers_all_records_once() {
    let place = place();
    let before = place.ok("info a.rvf");
    assert_eq!((&before["indexed"], &before["graphs"]), (&json!(0), &json!([])));
    let done = place.ok("index a.rvf --threads 2");
    has_keys(&done, &["indexed", "seconds", "epoch", "graphs", "written"]);
    let told = [&done["indexed"], &done["epoch"], &done["graphs"], &done["written"]];
    assert_eq!(told, [&json!(ROWS), &json!(3), &json!(1), &json!(true)]);
    assert_eq!(place.ok("log a.rvf --limit 1")["commits"][0]["operation"], "index");

    let bytes = place.bytes("a.rvf");
    let again = place.ok("index a.rvf");
    assert_eq!((&again["indexed"], &again["epoch"], &again["written"]), (&json!(ROWS), &json!(3), &json!(false)));
    assert!(place.run(&["index", "a.rvf"]).stdout.contains("nothing was to be done: 3,000 records"));
    assert_eq!(place.bytes("a.rvf"), bytes, "an index of nothing new committed something");

    assert_eq!(place.ok("index a.rvf --m 8 --ef-construction 40")["written"], true);
    let graph = place.ok("info a.rvf")["graphs"][0].clone();
    assert_eq!((&graph["m"], &graph["ef_construction"], &graph["records"]), (&json!(8), &json!(40), &json!(ROWS)));
    for code in ["stored", "sq8"] {
        assert_eq!(place.ok(&format!("index a.rvf --code {code}"))["written"], true);
        assert_eq!(place.ok("info a.rvf")["graphs"][0]["code"], code);
        assert_eq!(place.ok(&format!("index a.rvf --code {code}"))["written"], false);
    }
    // Rows of 16 f32 are one cache line: nothing shorter is worth reading.
    refused(&place, "index a.rvf --code sq4", 2, "index_option", "stored or sq8 for rows of 16 f32");
    place.write("wide.npy", npy(1500, 96, &noise(1500 * 96, 3)));
    place.ok("import w.rvf wide.npy --metric cosine --dtype f16 --no-index");
    place.ok("index w.rvf --code sq4");
    assert_eq!(place.ok("info w.rvf")["graphs"][0]["code"], "sq4");
    assert!(place.ok("verify w.rvf --deep")["sound"].as_bool().unwrap());
    // What is not given stays as it is, whatever else changes.
    place.ok("index w.rvf --m 8 --ef-construction 40 --code sq8");
    place.ok("index w.rvf --code stored");
    let graph = place.ok("info w.rvf")["graphs"][0].clone();
    assert_eq!((&graph["m"], &graph["ef_construction"], &graph["code"]), (&json!(8), &json!(40), &json!("stored")));
    // Too few rows for main components, too long for rotations: the code is had all the same.
    place.write("long.npy", npy(1100, 1200, &noise(1100 * 1200, 4)));
    place.ok("import l.rvf long.npy --metric l2 --no-index");
    place.ok("index l.rvf --code sq4");
    assert_eq!(place.ok("info l.rvf")["graphs"][0]["code"], "sq4");
    assert_eq!(place.ok("index l.rvf --code sq4")["written"], false);
    refused(&place, "index a.rvf --m 1", 2, "index_option", "m is 1");
    refused(&place, "index a.rvf --ef-construction 5000", 2, "index_option", "ef-construction is 5000");
    refused(&place, "index none.rvf", 3, "not_found", "none.rvf");
}

/// Ids from 0, as `--id` takes them.
fn first_ids(count: usize) -> String {
    (0..count).map(|id| id.to_string()).collect::<Vec<_>>().join(",")
}

/// Catches a deletion that makes the index which an import was told not to make.
#[test]
fn deletions_build_no_first_index() {
    // More than a commit leaves without an index.
    const MANY: usize = 5000;
    let place = Place::new();
    place.write("rows.npy", npy(MANY, DIM, &noise(MANY * DIM, 1)));
    place.ok("import a.rvf rows.npy --metric l2 --no-index");
    let done = place.ok("delete a.rvf --id 1,2");
    assert_eq!((&done["count"], &done["epoch"]), (&json!(MANY - 2), &json!(3)));
    assert_eq!(place.ok("info a.rvf")["indexed"], 0);
    // The index that is there is renewed when half of it is gone.
    place.ok("index a.rvf");
    let most = first_ids(2600).replace("0,1,2,", "0,");
    assert_eq!(place.ok(&format!("delete a.rvf --no-compact --id {most}"))["epoch"], 6);
}

/// Catches a commit that is reported as failed because there was no room for the index behind it.
#[cfg(unix)]
#[test]
fn a_commit_without_room_for_its_index_is_done() {
    let place = place();
    place.ok("index a.rvf");
    // In blocks of 512 bytes: room for a commit and not for a graph. A process that ignores SIGXFSZ gets an error.
    let blocks = (place.bytes("a.rvf").len() + 65_536) / 512;
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script, &binary().to_string_lossy(), "delete", "a.rvf", "--json", "--id"]);
    let answer = Answer::of(command.arg(first_ids(1600)).current_dir(place.path("")).output().unwrap());
    assert_eq!(answer.exit, 0, "{answer:?}");
    assert_eq!(lines(&answer)[0]["deleted"], 1600);
    assert!(answer.stderr.contains("its index was not built"), "{answer:?}");
    assert_eq!(place.ok("info a.rvf")["count"], ROWS - 1600);
    place.ok("verify a.rvf");
}

/// What is promised is measured with what is asked: far from all rows it takes more effort.
#[test]
fn efforts_are_measured_with_queries_that_are_given() {
    let place = place();
    place.ok("index a.rvf");
    let far: Vec<f32> = noise(200 * DIM, 8).iter().map(|value| 3.0 * value).collect();
    place.write("far.npy", npy(200, DIM, &far));
    let effort = |place: &Place| place.ok("info a.rvf")["graphs"][0]["effort"].as_array().unwrap().clone();
    let before = effort(&place);
    let done = place.ok("index a.rvf --queries far.npy");
    assert_eq!([&done["calibrated"], &done["written"], &done["epoch"]], [&json!(true), &json!(true), &json!(4)]);
    let after = effort(&place);
    assert!(after[0]["recall"].as_f64() < before[0]["recall"].as_f64(), "{before:?}, then {after:?}");
    for (target, row) in [0.9, 0.95].iter().zip(0..) {
        let told = place.ok("bench a.rvf --queries far.npy --recall 0.9,0.95");
        let reached = told["rows"][row]["recall"].as_f64().unwrap();
        assert!((reached - target).abs() < 0.02 || reached > *target, "{target}: {reached}");
    }
    assert_eq!(place.ok("index a.rvf --queries far.npy")["written"], false);
    assert_eq!(place.ok("verify a.rvf --deep")["sound"], true);
    place.write("nan.npy", npy(2, DIM, &[&[0.0; DIM][..], &[f32::NAN; DIM]].concat()));
    refused(&place, "index a.rvf --queries nan.npy", 2, "not_finite", "row 1 of nan.npy");
    place.write("wide.npy", npy(2, 4, &[1.0; 8]));
    refused(&place, "index a.rvf --queries wide.npy", 2, "dimension", "wide.npy");
    refused(&place, "index a.rvf --queries none.npy", 3, "not_found", "none.npy");
}

/// A row with an equal is no row to be held back, and equals are found: the curve is that of the same rows without copies.
#[test]
fn copies_of_rows_do_not_spoil_the_curve() {
    let place = Place::new();
    let rows = noise(ROWS * DIM, 1);
    let copied: Vec<f32> = rows.iter().chain(&rows[..ROWS / 4 * DIM]).copied().collect();
    place.write("copied.npy", npy(ROWS + ROWS / 4, DIM, &copied));
    place.ok("import c.rvf copied.npy --metric l2 --no-index");
    place.ok("index c.rvf");
    let graph = place.ok("info c.rvf")["graphs"][0].clone();
    let best = graph["effort"].as_array().unwrap().last().unwrap().clone();
    assert!(best["recall"].as_f64() > Some(0.99), "{graph}");
}

#[test]
fn a_small_store_needs_no_index() {
    let place = Place::with_store();
    let done = place.ok("index a.rvf");
    assert_eq!((&done["indexed"], &done["graphs"], &done["written"]), (&json!(0), &json!(0), &json!(false)));
    assert!(place.run(&["index", "a.rvf"]).stdout.contains("up to 1,000 records need no index"));
}

#[test]
fn info_and_inspect_show_the_index_and_what_it_costs() {
    let place = place();
    place.ok("index a.rvf");
    let info = place.ok("info a.rvf");
    let bytes = info["bytes"].as_object().unwrap();
    assert!(
        ["vectors", "index", "codes", "audit", "trees", "manifest", "other"].iter().all(|p| bytes.contains_key(*p))
    );
    assert_eq!(bytes.values().map(|bytes| bytes.as_u64().unwrap()).sum::<u64>(), info["live_bytes"]);
    assert!(bytes["index"].as_u64() > Some(0) && bytes["vectors"].as_u64() > Some((ROWS * DIM * 4) as u64));
    let graph = &info["graphs"][0];
    has_keys(graph, &["segment", "records", "live", "dead_share", "m", "ef_construction", "code", "bytes", "effort"]);
    assert_eq!((&info["indexed"], &graph["dead_share"]), (&json!(ROWS), &json!(0.0)));
    assert!(graph["effort"].as_array().unwrap().len() > 2, "{graph}");
    let text = place.run(&["info", "a.rvf"]).stdout;
    assert!(text.contains("3,000 of 3,000 records") && text.contains("recall@10 by ef"), "{text}");

    let segment = place.ok(&format!("inspect a.rvf --segment {}", graph["segment"]));
    assert_eq!((&segment["segments"][0]["kind"], &segment["segments"][0]["rows"]), (&json!("INDEX"), &json!(ROWS)));
    assert_eq!((&segment["facts"]["nodes"], &segment["facts"]["m"]), (&json!(ROWS), &json!(16)));
    place.ok("delete a.rvf --id 0,1,2");
    let graph = place.ok("info a.rvf")["graphs"][0].clone();
    assert_eq!((&graph["live"], graph["dead_share"].as_f64().unwrap()), (&json!(ROWS - 3), 0.001));
}

/// Up to 4,096 small vectors stay without an index: a scan of them takes no longer than a walk.
#[test]
fn imports_and_conversions_index_what_is_due_unless_told_not_to() {
    let place = place();
    place.write("many.npy", npy(5000, DIM, &noise(5000 * DIM, 5)));
    let left = place.ok("import b.rvf many.npy --metric l2 --no-index");
    assert_eq!((&left["indexed"], &left["epoch"]), (&json!(0), &json!(2)));
    let done = place.ok("import c.rvf many.npy --metric l2 --threads 2");
    has_keys(&done, &["imported", "replaced", "rejected", "count", "seconds", "epoch", "indexed"]);
    assert_eq!((&done["indexed"], &done["count"], &done["epoch"]), (&json!(5000), &json!(5000), &json!(3)));
    assert_eq!(place.ok("info c.rvf")["epoch"], 3);
    let renewed = place.run(&words("import a.rvf many.npy")).stdout;
    assert!(renewed.contains("renewed the index"), "{renewed}");
    assert_eq!(place.ok("import a.rvf queries.npy")["indexed"], 8000, "20 more records are not worth a new graph");
    let made = place.ok("convert many.npy d.rvf --metric l2");
    assert_eq!((&made["indexed"], &made["epoch"]), (&json!(5000), &place.ok("info d.rvf")["epoch"]));
    assert_eq!(place.ok("convert many.npy e.rvf --metric l2 --no-index")["indexed"], 0);
    refused(&place, "import a.rvf rows.npy --threads 0", 2, "index_option", "threads is 0");
    assert_eq!(place.ok("compact c.rvf")["epoch"], 4);
    assert_eq!(place.ok("info c.rvf")["indexed"], 5000);
}

#[test]
fn query_walks_as_hard_as_it_is_told() {
    let place = place();
    place.ok("index a.rvf");
    let told = |flags: &str| {
        let found = place.ok(format!("query a.rvf --id 7 -k 10 {flags}").trim());
        has_keys(&found, &["query", "hits", "micros", "ef", "exact", "distances"]);
        assert_eq!(found["hits"][0]["id"], 7, "{flags}");
        (found["ef"].as_u64().unwrap(), found["exact"].as_bool().unwrap(), found["distances"].as_u64().unwrap())
    };
    let (ef, exact, distances) = told("--ef 64");
    assert!(ef == 64 && !exact && distances < ROWS as u64, "{distances}");
    assert_eq!(told("--exact"), (0, true, ROWS as u64));
    assert_eq!(told("--recall 1"), told("--exact"));
    let (less, more) = (told("--recall 0.8"), told("--recall 0.99"));
    assert!(!less.1 && less.0 < more.0, "{less:?} {more:?}");
    assert!(told("").0 >= 10);

    let headline = |flags: &str| place.run(&words(&format!("query a.rvf --id 7 {flags}"))).stdout;
    assert!(headline("--ef 64").starts_with("query 0: 10 of 3,000 in "));
    assert!(headline("--ef 64").contains(&format!("(ef 64, {distances} distances)\n")));
    assert!(headline("--exact").contains(" (exact)\n"));
    for flags in ["--ef 20 --exact", "--ef 20 --recall 0.9", "--recall 0.9 --exact"] {
        refused(&place, &format!("query a.rvf --id 7 {flags}"), 2, "usage", "cannot be used with");
    }
    for flags in ["--ef 0", "--recall 0", "--recall 1.01", "--recall x", "--recall NaN"] {
        refused(&place, &format!("query a.rvf --id 7 {flags}"), 2, "usage", "invalid value");
    }
}

#[test]
fn an_ef_below_k_is_raised_and_told_once() {
    let place = place();
    place.ok("index a.rvf");
    let line = "query a.rvf --input queries.npy -k 12 --ef 5";
    let answer = place.run(&words(&format!("{line} --json")));
    assert!(lines(&answer).iter().all(|line| line["ef"] == 12), "{answer:?}");
    let warned: Value = serde_json::from_str(&answer.stderr).unwrap();
    assert_eq!(warned["warnings"].as_array().unwrap().len(), 1);
    let said = place.run(&words(line)).stderr;
    assert!(said.matches("raised").count() == 1 && said.contains("--ef 5 is less than the 12 records"), "{said}");
    assert_eq!(place.run(&words(&format!("{line} --quiet"))).stderr, "");
    assert_eq!(place.run(&words("query a.rvf --id 1 -k 12 --ef 12")).stderr, "");
}

#[test]
fn bench_measures_each_setting() {
    let place = place();
    place.ok("index a.rvf");
    let line = "bench a.rvf --queries queries.npy -k 10 --ef 5,8,32 --recall 0.9,1 --exact --threads 2 --rounds 2";
    let bench = place.ok(line);
    has_keys(&bench, &["count", "dim", "open_micros", "first_query_micros", "rows"]);
    let shape = ["count", "dim", "queries", "k", "rounds", "threads"].map(|key| bench[key].as_u64().unwrap());
    assert_eq!(shape, [3000, 16, 20, 10, 2, 2]);
    let rows = bench["rows"].as_array().unwrap();
    for row in rows {
        has_keys(row, &["ef", "recall", "qps", "p50_micros", "p99_micros", "distances"]);
        assert!(row["qps"].as_f64() > Some(0.0) && row["p50_micros"].as_f64() <= row["p99_micros"].as_f64());
    }
    let of = |key: &str| rows.iter().map(|row| row[key].clone()).collect::<Vec<_>>();
    assert_eq!((&of("ef")[..2], rows.len()), (&[json!(10), json!(32)][..], 5), "5 and 8 are both raised to 10");
    assert_eq!(of("target")[2..], [json!(0.9), json!(1.0), Value::Null]);
    assert_eq!(of("exact"), [json!(false), json!(false), json!(false), json!(true), json!(true)]);
    let exact = rows.last().unwrap();
    assert_eq!((&exact["ef"], &exact["recall"], &exact["distances"]), (&json!(0), &json!(1.0), &json!(3000.0)));
    assert!(rows[0]["recall"].as_f64() < rows[1]["recall"].as_f64(), "{bench}");
    assert!(rows[0]["distances"].as_f64() < Some(1500.0), "{bench}");

    let answer = place.run(&words("bench a.rvf --queries queries.npy --ef 5"));
    assert!(answer.stderr.contains("below the 10 records"), "{answer:?}");
    assert!(answer.stdout.contains("queries/s") && answer.stdout.contains("3,000 x 16, f32, l2"), "{answer:?}");
    assert_eq!(place.ok("bench a.rvf --queries queries.npy --rounds 1")["rows"].as_array().unwrap().len(), 9);
}

#[test]
fn bench_without_an_index_compares_all() {
    let place = place();
    let bench = place.ok("bench a.rvf --queries queries.npy -k 5000 --rounds 1");
    let rows = bench["rows"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["exact"], &rows[0]["recall"]), (1, &json!(true), &json!(1.0)));
    let said = place.run(&words("bench a.rvf --queries queries.npy --ef 64 --rounds 1")).stderr;
    assert!(said.contains("no index"), "{said}");
}

#[test]
fn bench_takes_true_neighbours_from_a_file() {
    let place = place();
    place.ok("index a.rvf");
    let exact = place.run(&words("query a.rvf --input queries.npy -k 12 --exact --json"));
    let hits = |line: &Value| line["hits"].as_array().unwrap().clone();
    let ids: Vec<u64> = lines(&exact).iter().flat_map(hits).map(|hit| hit["id"].as_u64().unwrap()).collect();
    place.write("truth.npy", table(20, 12, "<i4", ids.iter().map(|id| (*id as i32).to_le_bytes())));
    place.write("wide.npy", table(20, 12, "<u8", ids.iter().map(|id| id.to_le_bytes())));
    let line = "bench a.rvf --queries queries.npy --ef 10,24 --exact --rounds 1";
    let recalls = |line: &str| place.ok(line)["rows"].as_array().unwrap().iter().map(|r| r["recall"].clone()).collect();
    let computed: Vec<Value> = recalls(line);
    assert_eq!(recalls(&format!("{line} --truth truth.npy")), computed);
    assert_eq!(recalls(&format!("{line} --truth wide.npy")), computed);
    assert!(computed[0].as_f64() < Some(1.0) && computed[2] == 1.0, "{computed:?}");
    // Nearest ones of other queries are not as near: a truth that were not read would go unnoticed.
    let shifted = ids.iter().cycle().skip(12).take(ids.len());
    place.write("shifted.npy", table(20, 12, "<u8", shifted.map(|id| id.to_le_bytes())));
    let shifted: Vec<Value> = recalls(&format!("{line} --truth shifted.npy"));
    assert_ne!(shifted, computed);
}

#[cfg(target_os = "linux")]
#[test]
fn bench_measures_first_answers_from_a_cold_cache() {
    let place = Place::on_disk();
    place.write("rows.npy", npy(ROWS, DIM, &noise(ROWS * DIM, 1)));
    place.write("queries.npy", npy(60, DIM, &noise(60 * DIM, 2)));
    place.ok("import a.rvf rows.npy --metric l2 --no-index");
    place.ok("index a.rvf");
    let told = place.ok("bench a.rvf --queries queries.npy --cold");
    has_keys(&told, &["count", "dim", "queries", "k", "open_micros", "first_query_micros", "rows", "later"]);
    let rows = told["rows"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["target"].as_f64().unwrap()).collect::<Vec<_>>(), [0.9, 0.95]);
    let size = place.bytes("a.rvf").len() as f64;
    for row in rows {
        has_keys(
            row,
            &["ef", "recall", "bytes_read", "most_bytes_read", "qps", "p50_micros", "p99_micros", "distances"],
        );
        assert!(row["bytes_read"].as_f64() > Some(8192.0) && row["most_bytes_read"].as_f64() < Some(size), "{row}");
        assert!(row["recall"].as_f64() > Some(0.7), "{row}");
    }
    let later = told["later"].as_array().unwrap();
    assert_eq!(later.iter().map(|row| row["answers"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 10, 60]);
    assert!(later.is_sorted_by_key(|row| row["bytes_read"].as_u64().unwrap()), "{later:?}");
    let text = place.run(&["bench", "a.rvf", "--queries", "queries.npy", "--cold", "--ef", "20"]).stdout;
    assert!(text.contains("first answers, 30 a row, each after a new open"), "{text}");
}

#[test]
fn bench_refuses_what_does_not_fit() {
    let place = place();
    place.write("wide.npy", npy(2, 4, &[1.0; 8]));
    place.write("none.npy", npy(0, DIM, &[]));
    let ids = |rows, columns| table(rows, columns, "<u8", (0..(rows * columns) as u64).map(u64::to_le_bytes));
    place.write("short.npy", ids(19, 10));
    place.write("narrow.npy", ids(20, 9));
    place.write("unknown.npy", table(20, 10, "<u8", (0..200).map(|_| 3000u64.to_le_bytes())));
    place.write("negative.npy", table(20, 10, "<i4", (0..200).map(|_| (-1i32).to_le_bytes())));
    let bench = |rest: &str| format!("bench a.rvf --queries {rest}");
    refused(&place, &bench("wide.npy"), 2, "dimension", "row 0 of wide.npy");
    refused(&place, &bench("none.npy"), 2, "input", "(none.npy");
    refused(&place, &bench("missing.npy"), 3, "not_found", "missing.npy");
    refused(&place, &bench("queries.npy --truth short.npy"), 2, "truth", "19 queries, and there are 20");
    refused(&place, &bench("queries.npy --truth narrow.npy"), 2, "truth", "9 true neighbours a query, and 10");
    refused(&place, &bench("queries.npy --truth unknown.npy"), 2, "truth", "query 0 is not in the store");
    refused(&place, &bench("queries.npy --truth negative.npy"), 2, "input", "negative.npy");
    refused(&place, &bench("queries.npy --truth queries.npy"), 2, "input", "queries.npy");
    refused(&place, &bench("queries.npy --ef 0"), 2, "usage", "--ef");
    refused(&place, &bench("queries.npy --recall 2"), 2, "usage", "--recall");
    refused(&place, &bench("queries.npy --cold --exact"), 2, "usage", "--exact");
    refused(&place, &bench("queries.npy --cold --verified"), 2, "usage", "--verified");
    refused(&place, &bench("queries.npy --filter a=1"), 2, "empty_filter", "finds no record");
    place.ok("create e.rvf --dim 16 --metric l2");
    refused(&place, "bench e.rvf --queries queries.npy", 2, "empty_store", "e.rvf");
    place.write("names.jsonl", "{\"id\":\"x\",\"vector\":[1]}\n");
    place.write("one.npy", npy(1, 1, &[1.0]));
    place.ok("import s.rvf names.jsonl --metric l2");
    refused(&place, "bench s.rvf --queries one.npy -k 1 --truth short.npy", 2, "id_type", "string ids");
    assert_eq!(place.ok("bench s.rvf --queries one.npy -k 1")["rows"][0]["recall"], 1.0);
}

#[test]
fn deep_verification_finds_an_index_sound() {
    let place = place();
    place.ok("index a.rvf");
    place.ok("delete a.rvf --id 5,6");
    let report = place.ok("verify a.rvf --deep");
    assert_eq!((&report["sound"], &report["findings"], &report["deep"]), (&json!(true), &json!([]), &json!(true)));
    assert_eq!(place.ok("verify a.rvf")["deep"], false);
}

/// Catches a search that fails, or is wrong in silence, where a graph is not what its facts say.
#[test]
fn a_damaged_graph_is_told_worked_around_and_built_anew() {
    let place = place();
    place.ok("index a.rvf");
    let exact = place.ok("query a.rvf --id 7 --exact")["hits"].clone();
    let graph = place.ok("info a.rvf")["graphs"][0]["segment"].clone();
    let facts = place.ok(&format!("inspect a.rvf --segment {graph}"))["sections"][0]["offset"].as_u64().unwrap();
    let mut bytes = place.bytes("a.rvf");
    bytes[facts as usize] ^= 1;
    place.write("a.rvf", bytes);
    let said = place.run(&words("query a.rvf --input queries.npy")).stderr;
    assert_eq!((said.lines().count(), said.contains("rvf index a.rvf")), (1, true), "{said}");
    let found = place.ok("query a.rvf --id 7");
    assert_eq!((&found["hits"], &found["exact"]), (&exact, &json!(true)));
    assert!(place.run(&["info", "a.rvf"]).stderr.contains("damaged graphs"));
    assert_eq!(place.exits("verify a.rvf", 1)["sound"], false);
    assert_eq!(place.ok("index a.rvf")["written"], true);
    assert_eq!(place.run(&words("query a.rvf --id 7")).stderr, "");
    assert_eq!(place.ok("query a.rvf --id 7")["exact"], false);
}

/// Whether a program takes interrupts itself.
#[cfg(target_os = "linux")]
fn catches_interrupts(program: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{program}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.is_some_and(|bits| u64::from_str_radix(bits.trim(), 16).is_ok_and(|bits| bits & 2 != 0))
}

/// Runs the line, interrupts it when it is `ready`; the hint of its error.
#[cfg(target_os = "linux")]
fn interrupted(place: &Place, line: &str, ready: impl Fn(u32) -> bool) -> String {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    let mut command = place.command(&words(line));
    let child = command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while !ready(child.id()) {
        assert!(Instant::now() < until, "{line} did not begin");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let answer = Answer::of(child.wait_with_output().unwrap());
    let error: Value = serde_json::from_str(&answer.stderr).unwrap_or_else(|_| panic!("{answer:?}"));
    assert_eq!((answer.exit, error["error"]["kind"].as_str()), (3, Some("interrupted")), "{answer:?}");
    error["error"]["hint"].as_str().unwrap().to_owned()
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_leaves_the_records_without_the_index() {
    let place = Place::new();
    place.write("rows.npy", npy(40_000, DIM, &noise(40_000 * DIM, 3)));
    place.ok("import a.rvf rows.npy --metric l2 --no-index");
    let before = place.bytes("a.rvf");
    assert!(interrupted(&place, "index a.rvf", catches_interrupts).contains("run it again"));
    assert_eq!(place.bytes("a.rvf"), before);
    assert_eq!(place.ok("verify a.rvf")["findings"], json!([]));

    place.write("one.npy", npy(1, DIM, &noise(DIM, 4)));
    let path = place.path("a.rvf");
    let imported = |_| {
        let count = rvf_engine::Reader::open(&path).unwrap().count();
        // The import itself looks for an interrupt once more, right after its commit.
        std::thread::sleep(std::time::Duration::from_millis(50));
        count == 40_001
    };
    let hint = interrupted(&place, "import a.rvf one.npy", imported);
    assert!(hint.contains("`rvf index a.rvf` builds the index"), "{hint}");
    let info = place.ok("info a.rvf");
    assert_eq!((&info["count"], &info["indexed"]), (&json!(40_001), &json!(0)));
}

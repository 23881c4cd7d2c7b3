//! Stores that another program cuts while a command reads them, and commands that read nothing unverified.

use super::{Answer, Place, npy};
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStdout, Stdio};
use std::time::{Duration, Instant};

const ROWS: usize = 4000;
const DIM: usize = 16;

/// A folder with `a.rvf`, and 2,000 queries in `q.npy`.
fn place() -> Place {
    let place = Place::new();
    let values = |rows: usize, step: usize| (0..rows * DIM).map(|i| (i * step % 9973) as f32).collect::<Vec<_>>();
    place.write("rows.npy", npy(ROWS, DIM, &values(ROWS, 7919)));
    place.write("q.npy", npy(2000, DIM, &values(2000, 4241)));
    place.ok("import a.rvf rows.npy --metric l2");
    place
}

/// Cuts the store in place; the length after, where it grows again.
fn cut(place: &Place, to: u64, then: Option<u64>) {
    let file = OpenOptions::new().write(true).open(place.path("a.rvf")).unwrap();
    file.set_len(to).unwrap();
    then.into_iter().for_each(|length| file.set_len(length).unwrap());
}

/// Before the first root: what is opened after the cut is no store, rather than the store of an earlier commit.
const EARLY: u64 = 4096 + 1234;

/// Nothing stays, a page, pages and a part of one.
fn ways(whole: u64) -> Vec<(u64, Option<u64>)> {
    [0, 4096, EARLY].into_iter().flat_map(|to| [(to, None), (to, Some(whole))]).collect()
}

fn line(out: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    hits(&line)
}

/// The part of an answer that no clock has a share in.
fn hits(line: &str) -> Value {
    serde_json::from_str::<Value>(line).unwrap()["hits"].take()
}

/// The store is cut between two answers: the command is at a search, or stands still at a full pipe. Catches an answer from zeros, and the end by a signal.
#[cfg(any(target_os = "linux", target_os = "macos"))]
#[test]
fn queries_end_where_the_store_is_cut() {
    let place = place();
    let arguments = ["query", "a.rvf", "--input", "q.npy", "-k", "20", "--json", "--exact"];
    let whole = place.bytes("a.rvf");
    let before: Vec<Value> = place.run(&arguments).stdout.lines().map(hits).collect();
    for way in ways(whole.len() as u64) {
        let mut child = place.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::with_capacity(256, child.stdout.take().unwrap());
        assert_eq!(line(&mut out), before[0]);
        cut(&place, way.0, way.1);
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        let told = rest.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok().map(|_| hits(line)));
        let told: Vec<Value> = told.collect();
        assert!(told.len() < 1999 && told[..] == before[1..=told.len()], "{way:?}");
        let answer = Answer::of(child.wait_with_output().unwrap());
        let error: Value = serde_json::from_str(answer.stderr.lines().last().unwrap()).unwrap();
        assert_eq!((answer.exit, error["error"]["kind"].as_str()), (3, Some("truncated")), "{way:?}");
        place.write("a.rvf", &whole);
    }
}

/// The store is cut at some moment of the command. Whatever the moment: the right answer or a typed error.
#[cfg(any(target_os = "linux", target_os = "macos"))]
#[test]
fn a_store_that_is_cut_at_any_moment_ends_no_command_by_a_signal() {
    let place = place();
    let whole = place.bytes("a.rvf");
    for text in ["get a.rvf 17 --json", "verify a.rvf --deep --json", "export a.rvf o.jsonl --force --json"] {
        let arguments: Vec<&str> = text.split(' ').collect();
        let started = Instant::now();
        let before = place.run(&arguments);
        let took = started.elapsed();
        let exported = std::fs::read(place.path("o.jsonl")).ok();
        assert_eq!(before.exit, 0);
        for (moment, way) in ways(whole.len() as u64).into_iter().cycle().take(24).enumerate() {
            let child = place.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            std::thread::sleep(took.min(Duration::from_millis(300)) * moment as u32 / 24);
            cut(&place, way.0, way.1);
            let answer = Answer::of(child.wait_with_output().unwrap());
            match answer.exit {
                0 => {
                    assert_eq!(answer.stdout, before.stdout, "{text} {way:?}");
                    assert_eq!(std::fs::read(place.path("o.jsonl")).ok(), exported);
                }
                // A store that was cut before verify opened it is judged as it is.
                1 => assert!(text.starts_with("verify"), "{text} {way:?}: {answer:?}"),
                3 | 4 => {
                    let error: Value = serde_json::from_str(answer.stderr.lines().last().unwrap()).unwrap();
                    assert!(error["error"]["hint"].is_string(), "{text} {way:?}: {answer:?}");
                }
                _ => panic!("{text} {way:?}: {answer:?}"),
            }
            place.write("a.rvf", &whole);
        }
    }
}

/// Catches a command that maps in spite of the flag: a bit of a vector, which a mapping does not look at, is refused.
#[test]
fn verified_commands_refuse_a_damaged_store() {
    let place = place();
    let lines = [
        "query a.rvf --id 1",
        "get a.rvf 1",
        "export a.rvf o.npy --force",
        "info a.rvf",
        "log a.rvf",
        "inspect a.rvf",
        "bench a.rvf --queries q.npy --rounds 1 --exact",
    ];
    let sound = place.bytes("a.rvf");
    let at = sound.windows(8).position(|bytes| bytes == [7919f32.to_le_bytes(), 5865f32.to_le_bytes()].concat());
    let mut damaged = sound.clone();
    damaged[at.unwrap()] ^= 1;
    for line in lines {
        place.write("a.rvf", &sound);
        place.ok(&format!("{line} --verified"));
        place.write("a.rvf", &damaged);
        // An export holds against its hash what it copies, mapped or not.
        place.exits(line, if line.starts_with("export") { 4 } else { 0 });
        let line = format!("{line} --verified --json");
        let answer = place.run(&line.split(' ').collect::<Vec<_>>());
        let error: Value = serde_json::from_str(answer.stderr.lines().last().unwrap()).unwrap();
        let error = &error["error"];
        assert_eq!((answer.exit, error["kind"].as_str()), (4, Some("unsound")), "{line}: {answer:?}");
        assert!(error["clause"].is_string() && error["offset"].is_u64(), "{line}: {error}");
    }
}

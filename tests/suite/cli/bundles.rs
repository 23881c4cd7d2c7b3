//! Archives of branches: what goes in comes out, and an archive of a stranger does no harm.

use super::branches::place;
use super::refusal::refused;
use super::{Place, has_keys};
use serde_json::{Value, json};
use std::fs;

const BLOCK: usize = 512;

/// `c.rvf`, a branch of `b.rvf`, a branch of `a.rvf`, which went on since.
fn lineage() -> Place {
    let place = place();
    place.ok("branch a.rvf b.rvf");
    place.ok("delete b.rvf --id 1");
    place.ok("branch b.rvf c.rvf");
    place.ok("update c.rvf --id 2 --set n=20");
    place.ok("delete a.rvf --id 5");
    place
}

/// A file in an archive, by its head: name, type, length; the checksum is made.
fn entry(name: &str, kind: u8, length: u64, content: &[u8]) -> Vec<u8> {
    let mut head = [0; BLOCK];
    head[..name.len()].copy_from_slice(name.as_bytes());
    head[100..108].copy_from_slice(b"0000644\0");
    head[108..116].copy_from_slice(b"0000000\0");
    head[116..124].copy_from_slice(b"0000000\0");
    head[124..136].copy_from_slice(format!("{length:011o}\0").as_bytes());
    head[136..148].copy_from_slice(b"00000000000\0");
    head[148..156].copy_from_slice(b"        ");
    head[156] = kind;
    head[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = [&head[..], content].concat();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    entry(name, b'0', content.len() as u64, content)
}

fn archive(files: &[Vec<u8>]) -> Vec<u8> {
    [files.concat(), vec![0; 2 * BLOCK]].concat()
}

#[test]
fn what_goes_in_comes_out() {
    let place = lineage();
    let done = place.ok("bundle c.rvf c.tar");
    has_keys(&done, &["child", "files", "out", "bytes"]);
    let names = |done: &Value| -> Vec<String> {
        done["files"].as_array().unwrap().iter().map(|file| file["file"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&done), ["c.rvf", "b.rvf", "a.rvf"]);
    // What the parent did later is not in it.
    assert!(done["files"][2]["bytes"].as_u64().unwrap() < place.bytes("a.rvf").len() as u64, "{done}");
    assert_eq!(done["bytes"].as_u64().unwrap(), place.bytes("c.tar").len() as u64);
    refused(&place, "bundle c.rvf c.tar", 2, "exists", "c.tar");

    place.ok("export c.rvf before.jsonl");
    fs::create_dir(place.path("gone")).unwrap();
    for name in ["a.rvf", "b.rvf", "c.rvf"] {
        fs::rename(place.path(name), place.path(&format!("gone/{name}"))).unwrap();
    }
    let taken = place.ok("unbundle c.tar deep");
    has_keys(&taken, &["files", "child"]);
    assert_eq!((&taken["child"], taken["files"].clone()), (&json!("c.rvf"), done["files"].clone()));
    place.ok("export deep/c.rvf after.jsonl");
    assert_eq!(place.bytes("before.jsonl"), place.bytes("after.jsonl"));
    assert_eq!(fs::read_dir(place.path("deep")).unwrap().count(), 3);
    for name in names(&done) {
        assert_eq!(place.ok(&format!("verify deep/{name}"))["findings"], json!([]), "{name}");
    }
    place.ok("delete deep/c.rvf --id 3");

    // A second time something would be replaced.
    let before = place.bytes("deep/c.rvf");
    refused(&place, "unbundle c.tar deep", 2, "exists", "deep/c.rvf");
    assert_eq!((place.bytes("deep/c.rvf"), fs::read_dir(place.path("deep")).unwrap().count()), (before, 3));
}

#[test]
fn branch_bundles_what_it_made_or_what_is_there() {
    let place = place();
    let made = place.ok("branch a.rvf b.rvf --bundle b.tar");
    assert_eq!(made["bundle"]["files"].as_array().unwrap().len(), 2);
    fs::remove_file(place.path("b.tar")).unwrap();
    let before = place.bytes("a.rvf");
    let again = place.ok("branch a.rvf b.rvf --bundle b.tar");
    assert_eq!((&again["file_id"], &again["pinned"]), (&made["file_id"], &json!(true)));
    assert_eq!(place.bytes("a.rvf"), before);
    place.ok("unbundle b.tar there");
    place.ok("import z.rvf ten.jsonl --metric l2");
    refused(&place, "branch a.rvf z.rvf --bundle z.tar", 2, "exists", "z.rvf");
    refused(&place, "branch a.rvf b.rvf --at 2 --bundle z.tar", 2, "exists", "b.rvf");
    assert!(!place.path("z.tar").exists());
}

/// A damaged file does not get into an archive.
/// Catches a parent that is sound as a whole and not as it was at the branch: its pins of then need not be there any more.
#[test]
fn a_parent_that_dropped_an_earlier_pin_is_bundled() {
    let place = place();
    let first = place.ok("branch a.rvf x.rvf")["parent_epoch"].clone();
    place.ok("branch a.rvf b.rvf");
    place.ok(&format!("branch --unpin a.rvf {first}"));
    place.ok("compact a.rvf");
    place.ok("bundle b.rvf b.tar");
    place.ok("unbundle b.tar out");
    assert_eq!(place.ok("verify out/b.rvf --deep")["findings"], json!([]));
    assert_eq!(place.ok("info out/a.rvf")["pinned_epochs"], json!([first]));
    place.ok("compact out/a.rvf");
}

#[test]
fn damage_is_not_bundled() {
    let place = lineage();
    let mut bytes = place.bytes("a.rvf");
    let at = bytes.windows(8).position(|bytes| bytes == [0, 0, 128, 63, 0, 0, 64, 64]).unwrap();
    bytes[at] ^= 1;
    place.write("a.rvf", bytes);
    refused(&place, "bundle c.rvf c.tar", 4, "unsound", "in the parent a.rvf");
    assert!(
        fs::read_dir(place.folder.path())
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().contains("tar") })
    );
}

#[test]
fn archives_of_strangers_are_refused_and_leave_nothing() {
    let place = lineage();
    place.ok("bundle b.rvf b.tar");
    fs::create_dir_all(place.path("s/t")).unwrap();
    // Its parent is found from two folders down, as from where an archive is judged.
    place.ok("branch a.rvf s/t/far.rvf");
    let (a, b) = (place.bytes("b.tar"), place.bytes("b.rvf"));
    let base = a[b.len() + 2 * BLOCK..]
        [..place.ok("inspect a.rvf --at 2")["manifest"]["root_offset"].as_u64().unwrap() as usize + 4096]
        .to_vec();
    let (b, base) = (b.as_slice(), base.as_slice());
    let mut damaged = base.to_vec();
    damaged[base.len() / 2] ^= 1;
    let longer = [base, &[0; 4096]].concat();
    let whole = || vec![file("b.rvf", b), file("a.rvf", base)];
    let with = |more: Vec<u8>| archive(&[whole(), vec![more]].concat());
    let long = "n".repeat(101 - 1) + ".rvf";
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (archive(&[file("../b.rvf", b), file("a.rvf", base)]), "the name is not"),
        (archive(&[file("/tmp/b.rvf", b), file("a.rvf", base)]), "the name is not"),
        (archive(&[file("x/b.rvf", b), file("a.rvf", base)]), "the name is not"),
        (archive(&[file("x\\b.rvf", b), file("a.rvf", base)]), "the name is not"),
        (archive(&[file("..", b), file("a.rvf", base)]), "the name is not"),
        (with(file("B.rvf", b)), "has this name"),
        (with(entry("l.rvf", b'2', 0, b"")), "not a plain file"),
        (with(entry("l.rvf", b'1', 0, b"")), "not a plain file"),
        (with(entry("d", b'5', 0, b"")), "not a plain file"),
        (with(entry("././@LongLink", b'L', 105, long.as_bytes())), "not a plain file"),
        (with(entry("pax", b'x', 20, b"20 path=../b.rvf\n\0\0\0")), "not a plain file"),
        (archive(&[file("b.rvf", b), entry("a.rvf", b'0', 0o77_777_777_777, base)]), "ends before"),
        ([whole().concat(), entry("x.rvf", b'0', 512, b"")].concat(), "ends before"),
        (archive(&[file("b.rvf", b), file("a.rvf", &damaged)]), "fails verification"),
        (archive(&[file("b.rvf", b), file("a.rvf", &longer)]), "follow its last commit"),
        (archive(&[file("b.rvf", b), file("a.rvf", b"no store")]), "not an RVF file"),
        // The parent is where the branch says, but not in the archive.
        (archive(&[file("b.rvf", b)]), "cannot be opened with what is in the archive"),
        (archive(&[file("far.rvf", &place.bytes("s/t/far.rvf"))]), "the parent of this branch is missing"),
        (with(file("a2.rvf", &place.bytes("a.rvf"))), "does not need"),
        (archive(&(0..66).map(|n| file(&format!("{n}.rvf"), b)).collect::<Vec<_>>()), "more files than"),
        (archive(&[]), "holds no file"),
        (vec![7; 4096], "no archive"),
    ];
    fs::create_dir(place.path("to")).unwrap();
    for (number, (bytes, says)) in cases.into_iter().enumerate() {
        place.write("s.tar", bytes);
        let error = refused(&place, "unbundle s.tar to", 4, "archive", says);
        assert_eq!(fs::read_dir(place.path("to")).unwrap().count(), 0, "case {number}: {error}");
    }
    let error = place.run(&["unbundle", "s.tar", "new"]);
    assert!(error.exit == 4 && !place.path("new").exists(), "{error:?}");
    refused(&place, "unbundle none.tar to", 3, "not_found", "none.tar");
    place.write("s.tar", archive(&whole()));
    place.ok("unbundle s.tar to");
}

/// Catches an archive that was cut off behind its last file, and so may lack others.
#[test]
fn an_archive_without_its_end_is_cut_off() {
    let place = lineage();
    place.ok("bundle c.rvf c.tar");
    let whole = place.bytes("c.tar");
    for (number, lacks) in [1, BLOCK, 2 * BLOCK].into_iter().enumerate() {
        place.write("cut.tar", &whole[..whole.len() - lacks]);
        refused(&place, &format!("unbundle cut.tar to{number}"), 4, "archive", "cut off");
        assert!(!place.path(&format!("to{number}")).exists());
    }
    let end = whole.len() - 2 * BLOCK;
    place.write("other.tar", [&whole[..end + BLOCK], &[7; BLOCK]].concat());
    place.exits("unbundle other.tar to", 4);
    // What is written in larger blocks has more empty ones.
    place.write("more.tar", [&whole[..], &[0; 17 * BLOCK]].concat());
    place.ok("unbundle more.tar to");
}

/// Catches what a crash leaves and nobody removes, and a folder in use that is taken for that.
#[test]
fn what_a_crash_left_of_an_unbundling_is_removed() {
    let place = lineage();
    place.ok("bundle c.rvf c.tar");
    fs::create_dir_all(place.path("to/.rvf-unbundle-0-tmp")).unwrap();
    place.write("to/.rvf-unbundle-0-tmp/c.rvf", b"half of it");
    place.write("to/.rvf-unbundle-0-lock-tmp", b"");
    fs::create_dir_all(place.path("to/.rvf-unbundle-1-tmp")).unwrap();
    place.write("to/.rvf-unbundle-1-lock-tmp", b"");
    let held = fs::File::options().write(true).open(place.path("to/.rvf-unbundle-0-lock-tmp")).unwrap();
    held.lock().unwrap();
    place.ok("unbundle c.tar to");
    let names = || {
        let names = fs::read_dir(place.path("to")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    let others = [".rvf-unbundle-0-lock-tmp", ".rvf-unbundle-0-tmp", "a.rvf", "b.rvf", "c.rvf"];
    assert_eq!(names(), others, "that of another is left alone");
    drop(held);
    refused(&place, "unbundle c.tar to", 2, "exists", "c.rvf");
    assert_eq!(names(), others[2..]);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_archive() {
    let place = lineage();
    assert!(std::process::Command::new("mkfifo").arg(place.path("p.tar")).status().unwrap().success());
    refused(&place, "unbundle p.tar to", 3, "io", "not a regular file");
    place.write("e.tar", b"");
    refused(&place, "unbundle e.tar to", 4, "archive", "holds no file");
    // Another file in the archive has the name of the parent: the folder in which it waits is nobody's business.
    place.ok("import z.rvf ten.jsonl --metric l2");
    place.write("s.tar", archive(&[file("b.rvf", &place.bytes("b.rvf")), file("a.rvf", &place.bytes("z.rvf"))]));
    let error = refused(&place, "unbundle s.tar to", 4, "archive", "a.rvf is another file");
    assert!(!error["message"].as_str().unwrap().contains("tmp"), "{error}");
    assert!(!place.path("to").exists());
}

//! Pipes, read-only files, other writers, full disks, Ctrl-C.

use super::{Answer, Place, npy};
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

#[test]
fn a_closed_pipe_ends_the_command_quietly() {
    let place = Place::with_store();
    let many: String = (0..20_000).map(|_| "{\"vector\":[1,2,3]}\n").collect();
    place.write("many.jsonl", many);
    let mut child = place.command(&["query", "a.rvf", "--input", "many.jsonl", "--json"]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let answer = Answer::of(child.wait_with_output().unwrap());
    assert_eq!((answer.exit, answer.stderr.as_str()), (0, ""));
}

#[cfg(unix)]
#[test]
fn read_only_files_are_read_and_not_written() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::with_store();
    fs::set_permissions(place.path("a.rvf"), fs::Permissions::from_mode(0o444)).unwrap();
    let before = place.bytes("a.rvf");
    for line in ["info a.rvf", "query a.rvf --id 1", "get a.rvf 1", "verify a.rvf", "log a.rvf", "export a.rvf o.npy"] {
        place.ok(line);
    }
    let privileged = fs::File::options().write(true).open(place.path("a.rvf")).is_ok();
    if privileged {
        println!("skipped: this user may write any file");
        return;
    }
    let answer = place.run(&["delete", "a.rvf", "--id", "1", "--json"]);
    let error: Value = serde_json::from_str(&answer.stderr).unwrap();
    assert_eq!((answer.exit, error["error"]["kind"].as_str()), (3, Some("io")));
    assert_eq!(place.bytes("a.rvf"), before);
}

#[test]
fn another_writer_is_waited_for_by_the_caller() {
    let place = Place::with_store();
    let writer = rvf_engine::Db::open(place.path("a.rvf")).unwrap();
    let answer = place.run(&["delete", "a.rvf", "--id", "1", "--json"]);
    let error: Value = serde_json::from_str(&answer.stderr).unwrap();
    assert_eq!((answer.exit, error["error"]["kind"].as_str()), (3, Some("locked")));
    place.ok("query a.rvf --id 1");
    drop(writer);
    place.ok("delete a.rvf --id 1");
}

/// Needs the right to mount; says so where it is missing.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_last_commit() {
    let place = Place::new();
    let disk = place.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(&disk).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        println!("skipped: no right to mount a small disk");
        return;
    }
    let outcome = std::panic::catch_unwind(|| {
        place.write("small.npy", npy(4, 3, &[1.; 12]));
        place.write("large.npy", npy(40_000, 3, &vec![1.; 120_000]));
        place.ok("import disk/a.rvf small.npy --metric l2");
        let before = place.bytes("disk/a.rvf");
        let answer = place.run(&["import", "disk/a.rvf", "large.npy", "--batch", "40000", "--json"]);
        let error: Value = serde_json::from_str(&answer.stderr).unwrap();
        assert_eq!((answer.exit, error["error"]["kind"].as_str()), (3, Some("no_space")), "{answer:?}");
        assert_eq!(place.bytes("disk/a.rvf"), before);
        assert_eq!(place.ok("verify disk/a.rvf")["count"], 4);
        assert_eq!(place.run(&["import", "disk/b.rvf", "large.npy", "--metric", "l2", "--batch", "40000"]).exit, 3);
        assert!(!disk.join("b.rvf").exists());
        assert_eq!(place.run(&["export", "disk/a.rvf", "disk/out.npy"]).exit, 0);
    });
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_an_import_between_commits() {
    let place = Place::new();
    place.write("large.npy", npy(200_000, 8, &vec![1.; 1_600_000]));
    let mut import = place.command(&["import", "a.rvf", "large.npy", "--metric", "l2", "--batch", "20", "--json"]);
    let child = import.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while fs::metadata(place.path("a.rvf")).map_or(0, |told| told.len()) < 100_000 {
        assert!(std::time::Instant::now() < until, "the import did not begin");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let answer = Answer::of(child.wait_with_output().unwrap());
    let error: Value = serde_json::from_str(&answer.stderr).unwrap();
    assert_eq!((answer.exit, error["error"]["kind"].as_str()), (3, Some("interrupted")), "{answer:?}");
    let count = place.ok("verify a.rvf")["count"].as_u64().unwrap();
    assert!(count > 0 && count < 200_000 && count.is_multiple_of(20));
}

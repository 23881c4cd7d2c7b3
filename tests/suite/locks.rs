//! The lock of writers: across processes, through every name of a file, over a compaction, and where nothing may be written.

use rvf_engine::{CompactOptions, Db, Error, Id, Metric, OpenOptions, Reader, Schema};
use rvf_format::storage::{Access, FilePlace, Place, Storage};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A store with records 0 to 2 under `store/a.rvf` of a folder.
fn store() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("store")).unwrap();
    let path = folder.path().join("store/a.rvf");
    Db::create(&path, &Schema::new(1, Metric::L2)).unwrap().add(&[1.0f32, 2.0, 3.0]).unwrap();
    (folder, path)
}

fn is_locked(path: &Path) -> bool {
    matches!(Db::open(path), Err(Error::Locked { .. }))
}

/// `rvf delete PATH --id 1` in a process of its own.
fn delete(path: &Path, wait: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rvf-under-test"));
    command.arg("delete").arg(path).args(["--id", "1", "--json"]).args(wait);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn told(output: &Output, exit: i32, word: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{stderr}");
    assert!(stderr.contains(word), "{stderr}");
}

/// Catches a wait that is not asked for, one that ends too early, and one that outlasts the other writer.
#[test]
fn a_second_process_is_told_at_once_or_waits_as_long_as_asked() {
    let (_folder, path) = store();
    let db = Db::open(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    told(&delete(&path, &[]).output().unwrap(), 3, "\"kind\":\"locked\"");
    let start = Instant::now();
    told(&delete(&path, &["--wait", "0.35"]).output().unwrap(), 3, "--wait SECONDS");
    assert!(start.elapsed() >= Duration::from_millis(350), "{:?}", start.elapsed());
    assert_eq!(fs::read(&path).unwrap(), bytes);

    let start = Instant::now();
    let waiting = delete(&path, &["--wait", "600"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(150));
    drop(db);
    told(&waiting.wait_with_output().unwrap(), 0, "");
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    assert_eq!(Reader::open(&path).unwrap().count(), 2);
}

#[test]
fn waits_that_make_no_sense_are_refused() {
    let (_folder, path) = store();
    for wait in ["-1", "-0.001", "nan", "inf", "1e300", "soon", ""] {
        told(&delete(&path, &["--wait", wait]).output().unwrap(), 2, "--wait");
    }
    assert_eq!(Reader::open(&path).unwrap().count(), 3);
    for wait in ["0", "-0", "1e-12", "864000"] {
        let (_folder, path) = store();
        told(&delete(&path, &["--wait", wait]).output().unwrap(), 0, "");
    }
}

/// Catches a writer whose wait cannot be ended.
#[cfg(unix)]
#[test]
fn a_waiting_process_can_be_interrupted() {
    let (_folder, path) = store();
    let _db = Db::open(&path).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rvf-under-test"));
    command.arg("index").arg(&path).args(["--wait", "600", "--json"]);
    let waiting = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(Command::new("kill").args(["-INT", &waiting.id().to_string()]).status().unwrap().success());
    told(&waiting.wait_with_output().unwrap(), 3, "interrupted");
}

/// Catches a lock on a name, or on a file beside the store, where it must be on the file itself.
#[cfg(unix)]
#[test]
fn the_lock_is_seen_through_every_name() {
    let (folder, path) = store();
    let (hard, soft, chain) =
        (folder.path().join("hard.rvf"), folder.path().join("soft.rvf"), folder.path().join("store/chain.rvf"));
    fs::hard_link(&path, &hard).unwrap();
    std::os::unix::fs::symlink(&path, &soft).unwrap();
    std::os::unix::fs::symlink("../soft.rvf", &chain).unwrap();
    let names = [&path, &hard, &soft, &chain];
    for own in names {
        let mut db = Db::open(own).unwrap();
        for other in names {
            assert!(is_locked(other), "{} while {} is open", other.display(), own.display());
        }
        // One name would go on as the old file.
        assert!(matches!(db.compact(&CompactOptions::default()), Err(Error::HardLinks { .. })));
        let count = db.add(&[9.0f32]).unwrap().count;
        assert!(names.iter().all(|name| Reader::open(name).unwrap().count() == count));
    }
    fs::remove_file(&hard).unwrap();
    let mut db = Db::open(&chain).unwrap();
    db.compact(&CompactOptions::default()).unwrap();
    assert!(soft.is_symlink() && chain.is_symlink() && !path.is_symlink());
    assert!(is_locked(&path) && is_locked(&soft) && is_locked(&chain));
}

/// Catches a writer that goes on writing to a file which nobody will find, and one that compacts over a file of another program's.
#[cfg(unix)]
#[test]
fn a_writer_whose_file_was_taken_away_says_so() {
    let (folder, path) = store();
    let away = folder.path().join("away.rvf");
    let moved = |db: &mut Db| {
        let error = db.add(&[4.0f32]).unwrap_err();
        assert!(matches!(error, Error::Moved { .. }) && error.exit_code() == 3, "{error}");
        assert!(matches!(db.delete(&[Id::U64(0)]), Err(Error::Moved { .. })));
        assert!(matches!(db.compact(&CompactOptions::default()), Err(Error::Moved { .. })));
    };
    let mut db = Db::open(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::rename(&path, &away).unwrap();
    moved(&mut db);
    assert!(!path.exists());
    fs::write(&path, b"a file of another program").unwrap();
    moved(&mut db);
    assert_eq!(fs::read(&path).unwrap(), b"a file of another program");
    assert_eq!(fs::read(&away).unwrap(), bytes, "nothing was written");
    // The handle is as good as it was once the file has its name again.
    fs::rename(&away, &path).unwrap();
    assert_eq!(db.add(&[4.0f32]).unwrap().count, 4);
    db.compact(&CompactOptions::default()).unwrap();
    assert_eq!(Reader::open(&path).unwrap().count(), 4);
    fs::remove_file(&path).unwrap();
    moved(&mut db);
}

/// A place where something happens after a file was opened for writing and before its lock is tried.
struct Between {
    act: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Place for Between {
    fn open(&self, path: &Path, access: Access) -> std::io::Result<Arc<dyn Storage>> {
        let storage = FilePlace.open(path, access)?;
        let act = self.act.lock().unwrap().take();
        act.into_iter().for_each(|act| act());
        Ok(storage)
    }

    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        FilePlace.rename(from, to)
    }

    fn remove(&self, path: &Path) -> std::io::Result<()> {
        FilePlace.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> std::io::Result<()> {
        FilePlace.sync_dir(path)
    }

    fn identity(&self, path: &Path) -> std::io::Result<(u64, u64)> {
        FilePlace.identity(path)
    }
}

/// Catches a writer that locks the file of before a compaction and writes where nobody looks any more.
#[test]
fn a_writer_that_waited_for_a_compaction_goes_on_in_the_new_file() {
    let (_folder, path) = store();
    let mut other = Db::open(&path).unwrap();
    let act = Box::new(move || {
        other.delete(&[Id::U64(0)]).unwrap();
        other.compact(&CompactOptions::default()).unwrap();
        other.add(&[4.0f32]).unwrap();
    });
    let place = Arc::new(Between { act: Mutex::new(Some(act)) });
    let mut db = Db::open_with(place, &path, &OpenOptions::default()).unwrap();
    assert_eq!(db.snapshot().epoch(), 5);
    db.add(&[5.0f32]).unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!((reader.epoch(), reader.count()), (6, 4));
    assert!(is_locked(&path));
}

/// The same with a process that waits while another compacts several times.
#[test]
fn a_process_that_waits_over_compactions_loses_nothing() {
    let (_folder, path) = store();
    let mut db = Db::open(&path).unwrap();
    let waiting = delete(&path, &["--wait", "600"]).spawn().unwrap();
    for n in 0..20 {
        db.add(&[n as f32]).unwrap();
        db.compact(&CompactOptions::default()).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(db);
    told(&waiting.wait_with_output().unwrap(), 0, "");
    let reader = Reader::open(&path).unwrap();
    assert_eq!((reader.epoch(), reader.count()), (43, 22));
    assert!(reader.get(&Id::U64(1)).unwrap().is_none());
}

/// Catches a lock that lives as long as a mapping of the file: snapshots outlive the writer that they came from.
#[test]
fn a_snapshot_holds_no_lock() {
    let (_folder, path) = store();
    let mut db = Db::open(&path).unwrap();
    db.add(&[4.0f32]).unwrap();
    let snapshot = db.snapshot();
    drop(db);
    let mut next = Db::open(&path).unwrap();
    next.delete(&[Id::U64(0)]).unwrap();
    assert!(is_locked(&path), "letting go of the old lock must not take the new one away");
    assert_eq!((snapshot.count(), next.snapshot().count()), (4, 3));
    drop(snapshot);
    assert!(is_locked(&path));
}

/// Catches a lock that needs cleaning up: a side file, one that ends by a time limit.
#[test]
fn the_lock_of_a_killed_process_is_free_at_once() {
    let (folder, path) = store();
    let mut command = Command::new(env!("CARGO_BIN_EXE_processes"));
    command.args(["--role", "holder", "--dir"]).arg(folder.path());
    let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "opened\n");
    assert!(is_locked(&path));
    assert_eq!(Reader::open(&path).unwrap().count(), 3, "readers are not blocked");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let mut db = Db::open(&path).unwrap();
    assert_eq!(db.add(&[4.0f32]).unwrap().count, 4);
    assert_eq!(fs::read_dir(folder.path().join("store")).unwrap().count(), 1);
}

/// Catches a panic, and a commit lost, where the operating system refuses to open or to make a file.
#[cfg(unix)]
#[test]
fn what_may_not_be_written_is_a_typed_error() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, path) = store();
    let parent = path.parent().unwrap();
    assert!(matches!(Db::open(parent), Err(Error::Io { action: "opening", .. })));
    assert!(matches!(Db::open(parent.join("none.rvf")), Err(Error::Io { action: "opening", .. })));
    let nowhere = parent.join("none/a.rvf");
    assert!(matches!(Db::create(nowhere, &Schema::new(1, Metric::L2)), Err(Error::Io { action: "creating", .. })));
    let mut db = Db::open(&path).unwrap();
    // A compaction needs another name in the folder: here it has become a folder itself, for any user.
    fs::create_dir(parent.join("a.rvf.compact-tmp")).unwrap();
    assert!(matches!(db.compact(&CompactOptions::default()), Err(Error::Io { .. })));
    assert_eq!(db.add(&[4.0f32]).unwrap().count, 4);
    fs::remove_dir(parent.join("a.rvf.compact-tmp")).unwrap();

    fs::set_permissions(parent, fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    if fs::File::options().write(true).open(&path).is_err() {
        assert!(matches!(db.compact(&CompactOptions::default()), Err(Error::Io { .. })));
        drop(db);
        assert!(matches!(Db::open(&path), Err(Error::Io { action: "opening", .. })));
        let new = parent.join("b.rvf");
        assert!(matches!(Db::create(new, &Schema::new(1, Metric::L2)), Err(Error::Io { action: "creating", .. })));
        assert_eq!(Reader::open(&path).unwrap().count(), 4);
    } else {
        println!("skipped in part: this user may write any file");
    }
    fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).unwrap();
}

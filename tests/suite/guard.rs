//! Files that another program changes while they are read: no answer is made of what is gone, and none is a crash.

use rvf_engine::ingest::Format;
use rvf_engine::{
    CreateOptions, Db, Effort, Error, Hit, Id, IndexOptions, Metric, ReadMode, Reader, Schema, Snapshot,
    contain_faults, verify_path,
};
use rvf_format::storage::{Access, FilePlace, MemoryPlace, Place};
use rvf_tests::hooked::Hooked;
use std::fs::{File, OpenOptions};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;

const DIM: usize = 24;
const ROWS: usize = 6000;

/// A store with a graph, a journal, a tail of rows beside the graph, and five epochs. Its last byte, of a checksum that is another
/// each time, is not zero: a file that loses it and grows again would be the same.
fn store() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| std::iter::repeat_with(made).find(|bytes| bytes.last() != Some(&0)).unwrap())
}

fn made() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rvf");
    let mut db = Db::create(&path, &Schema::new(DIM as u32, Metric::L2)).unwrap();
    let values = |rows: usize| (0..rows * DIM).map(|i| (i * 7919 % 10_007) as f32).collect::<Vec<_>>();
    db.add(&values(ROWS)).unwrap();
    db.index(&IndexOptions::default(), &mut |_, _| ControlFlow::Continue(())).unwrap();
    db.add(&values(10)).unwrap();
    db.delete(&[Id::U64(3)]).unwrap();
    drop(db);
    std::fs::read(path).unwrap()
}

/// Catches a failed commit that makes a file longer, with zeros, which another program cut meanwhile.
#[test]
fn a_failed_commit_only_ever_shortens() {
    let (memory, fails) = (MemoryPlace::default(), Arc::new(AtomicBool::new(false)));
    let (other, failing) = (memory.clone(), fails.clone());
    let place = Hooked::new(memory.clone(), move |_| match failing.swap(false, Ordering::SeqCst) {
        true => {
            other.open(Path::new("a.rvf"), Access::Write)?.set_len(4096)?;
            Err(std::io::Error::other("the device failed"))
        }
        false => Ok(()),
    });
    let options = CreateOptions::default();
    let mut db = Db::create_with(Arc::new(place), "a.rvf", &Schema::new(1, Metric::L2), &options).unwrap();
    fails.store(true, Ordering::SeqCst);
    assert!(matches!(db.add(&[1.0f32]), Err(Error::Io { .. })));
    assert_eq!(memory.bytes(Path::new("a.rvf")).unwrap().len(), 4096);
}

/// Catches a verified reader that answers from an earlier commit because the newest root is damaged.
#[test]
fn a_verified_reader_refuses_what_may_be_a_lost_commit() {
    let copy = Copy::new();
    let mut bytes = store().to_vec();
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    std::fs::write(copy.path(), bytes).unwrap();
    let mapped = Reader::open(copy.path()).unwrap();
    assert!(mapped.tail().unwrap().holds_manifest);
    let refused = Reader::open_verified(copy.path()).err();
    assert!(matches!(refused, Some(Error::Unsound { clause: rvf_engine::Clause::Tail2, .. })), "{refused:?}");
}

/// Catches a commit that is said to be there though another program cut the file under it, and a writer that then cuts what the
/// other one wrote.
#[test]
fn a_commit_on_a_file_that_was_cut_is_none() {
    for at_sync in [1, 2] {
        let copy = Copy::new();
        let (path, syncs) = (copy.path(), Arc::new(AtomicU64::new(0)));
        let (other, counted) = (path.clone(), syncs.clone());
        let place = Hooked::new(FilePlace, move |_| {
            if counted.fetch_add(1, Ordering::SeqCst) + 1 == 1000 + at_sync {
                std::fs::write(&other, [7; 20_000])?;
            }
            Ok(())
        });
        let mut db = Db::open_with(Arc::new(place), &path, &rvf_engine::OpenOptions::default()).unwrap();
        syncs.store(1000, Ordering::SeqCst);
        assert!(matches!(db.add(&[1.0f32; DIM]), Err(Error::Truncated { .. })), "at sync {at_sync}");
        assert!(matches!(db.add(&[1.0f32; DIM]), Err(Error::Poisoned)));
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() >= 20_000 && bytes[..20_000] == [7; 20_000], "what the other program wrote stays");
    }
}

/// Catches a reader or writer that reads through all of a hole behind the newest root: hours, at 1 GiB a second.
#[cfg(target_os = "linux")]
#[test]
fn a_hole_behind_the_newest_root_costs_nothing() {
    const HOLE: u64 = 8 << 40;
    let copy = Copy::new();
    let whole = store().len() as u64;
    // A file system may not hold files of this size.
    if copy.file().set_len(whole + HOLE).is_err() {
        return;
    }
    // Or not tell where its holes are.
    let storage = FilePlace.open(&copy.path(), Access::Read).unwrap();
    if storage.data_from(whole + HOLE / 2) != u64::MAX {
        return;
    }
    let behind = rvf_format::recover::Tail { start: whole, length: HOLE, holds_manifest: false };
    for mode in [ReadMode::Mapped, ReadMode::Verified] {
        let reader = Reader::open_with(Arc::new(FilePlace), copy.path(), mode).unwrap();
        assert_eq!(reader.tail(), Some(behind), "{mode:?}");
    }
    assert_eq!(rvf_engine::salvage_path(copy.path()).unwrap().count, ROWS as u64 + 9);
    let report = verify_path(copy.path(), &mut |_, _| {}).unwrap();
    assert!(report.sound && report.findings.len() == 1 && report.bytes_checked == whole + HOLE);
    assert!(report.findings[0].message.starts_with(&HOLE.to_string()), "{}", report.findings[0].message);
    let db = Db::open(copy.path()).unwrap();
    assert_eq!(db.tail_report().unwrap().length, HOLE);
    assert_eq!(std::fs::metadata(copy.path()).unwrap().len(), whole);
    assert_eq!(db.snapshot().tail(), None);
}

/// A folder with a copy of the store.
struct Copy {
    folder: TempDir,
}

impl Copy {
    fn new() -> Self {
        let copy = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(copy.path(), store()).unwrap();
        copy
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("a.rvf")
    }

    fn file(&self) -> File {
        OpenOptions::new().write(true).open(self.path()).unwrap()
    }
}

/// Ways to cut a file in place: the length, and the length that it is given after.
fn cuts() -> Vec<(u64, Option<u64>)> {
    let whole = store().len() as u64;
    let mut cuts = Vec::new();
    for to in [0, 4096, 4196, whole / 2 / 4096 * 4096 + 1000, whole - 4096, whole - 1] {
        cuts.extend([(to, None), (to, Some(whole)), (to, Some(whole + 8192))]);
    }
    cuts
}

fn cut(file: &File, (to, then): (u64, Option<u64>)) {
    file.set_len(to).unwrap();
    if let Some(length) = then {
        file.set_len(length).unwrap();
    }
}

/// What can be asked of a snapshot, with its answer as text.
type Question = fn(&Snapshot, &Path) -> Result<String, Error>;

const QUESTIONS: [(&str, Question); 10] = [
    ("walk", |snapshot, _| search(snapshot, Effort::Ef(32)).map(|hits| format!("{hits:?}"))),
    ("scan", |snapshot, _| search(snapshot, Effort::Exact).map(|hits| format!("{hits:?}"))),
    ("distance", |snapshot, _| snapshot.search(&QUERY).distance_to(&Id::U64(4711)).map(|found| format!("{found:?}"))),
    ("get", |snapshot, _| snapshot.get(&Id::U64(17)).map(|found| format!("{found:?}"))),
    ("records", |snapshot, _| {
        let all: Result<Vec<_>, Error> = snapshot.records()?.collect();
        all.map(|all| format!("{all:?}"))
    }),
    ("export", |snapshot, out| {
        let done = snapshot.export(out, Some(Format::Jsonl), &mut |_, _| ControlFlow::Continue(()));
        let text = std::fs::read_to_string(out);
        drop(std::fs::remove_file(out));
        done.map(|_| text.unwrap())
    }),
    ("info", |snapshot, _| snapshot.info().map(|info| format!("{info:?}"))),
    ("log", |snapshot, _| snapshot.log(9).map(|log| format!("{log:?}"))),
    ("segments", |snapshot, _| snapshot.segments().map(|segments| format!("{segments:?}"))),
    ("earlier", |snapshot, _| snapshot.at_epoch(2)?.get(&Id::U64(3)).map(|found| format!("{found:?}"))),
];

const QUERY: [f32; DIM] = [5000.0; DIM];

fn search(snapshot: &Snapshot, effort: Effort) -> Result<Vec<Hit>, Error> {
    snapshot.search(&QUERY).k(5).effort(effort).run()
}

/// Catches an answer, or another error, that is made of the zeros in the place of what was cut; and a check that compares with
/// less than the file's length, its end, or the faults that were seen.
#[cfg(any(target_os = "linux", target_os = "macos"))]
#[test]
fn what_is_read_of_a_file_that_is_cut_is_an_error() {
    assert!(contain_faults());
    let whole = store().len() as u64;
    for (name, ask) in QUESTIONS {
        for way in cuts() {
            for warm in [false, true] {
                let copy = Copy::new();
                let out = copy.folder.path().join("out.jsonl");
                let reader = Reader::open(copy.path()).unwrap();
                let before = warm.then(|| ask(&reader, &out).unwrap());
                cut(&copy.file(), way);
                match ask(&reader, &out) {
                    Err(Error::Truncated { at }) => assert!(at < whole, "{name} {way:?}: {at}"),
                    other => panic!("{name} {way:?} warm {warm}: {other:?}; before {before:?}"),
                }
            }
        }
    }
}

/// Catches a handler that gives up after the first page, the first thread or the first mapping.
#[cfg(any(target_os = "linux", target_os = "macos"))]
#[test]
fn many_threads_and_mappings_fault_at_once() {
    assert!(contain_faults());
    let copy = Copy::new();
    let other = Copy::new();
    let sound = Reader::open(other.path()).unwrap();
    let expected = search(&sound, Effort::Exact).unwrap();
    let readers: Vec<Reader> = (0..40).map(|_| Reader::open(copy.path()).unwrap()).collect();
    copy.file().set_len(5000).unwrap();
    std::thread::scope(|scope| {
        for reader in &readers {
            for effort in [Effort::Exact, Effort::Ef(50)] {
                scope.spawn(move || assert!(matches!(search(reader, effort), Err(Error::Truncated { at: 5000 }))));
            }
        }
    });
    drop(readers);
    // The places in the table are free again, and a mapping that takes one over has no mark.
    for _ in 0..3000 {
        drop(Reader::open(other.path()).unwrap());
    }
    assert_eq!(search(&Reader::open(other.path()).unwrap(), Effort::Exact).unwrap(), expected);
    assert_eq!(search(&sound, Effort::Exact).unwrap(), expected);
}

/// Catches a check of the whole mapping: what a writer left uncommitted, the next one cuts while readers go on.
#[cfg(any(target_os = "linux", target_os = "macos"))]
#[test]
fn an_uncommitted_tail_may_go() {
    assert!(contain_faults());
    let copy = Copy::new();
    let whole = store().len() as u64;
    let tailed = || {
        copy.file().set_len(whole + 100_000).unwrap();
        Reader::open(copy.path()).unwrap()
    };
    let expected: Vec<String> =
        QUESTIONS.iter().map(|(_, ask)| ask(&tailed(), &copy.folder.path().join("o")).unwrap()).collect();
    for ((name, ask), expected) in QUESTIONS.iter().zip(expected) {
        let reader = tailed();
        drop(Db::open(copy.path()).unwrap());
        assert_eq!(std::fs::metadata(copy.path()).unwrap().len(), whole);
        if *name != "info" {
            assert_eq!(ask(&reader, &copy.folder.path().join("o")).unwrap(), expected, "{name}");
        }
        assert!(reader.tail().is_some());
    }
    copy.file().set_len(whole + 100_000).unwrap();
    let report = verify_path(copy.path(), &mut |done, _| {
        if done > 0 {
            copy.file().set_len(whole).unwrap();
        }
    });
    assert!(report.unwrap().sound);
}

/// Catches an export or a report of what was cut half-way, and an export that leaves a file.
#[cfg(any(target_os = "linux", target_os = "macos"))]
#[test]
fn what_is_cut_half_way_is_no_result() {
    assert!(contain_faults());
    for way in cuts() {
        let copy = Copy::new();
        let reader = Reader::open(copy.path()).unwrap();
        let out = copy.folder.path().join("out.npy");
        let done = reader.export(&out, None, &mut |_, _| {
            cut(&copy.file(), way);
            ControlFlow::Continue(())
        });
        assert!(matches!(done, Err(Error::Truncated { .. })), "{way:?}: {done:?}");
        assert_eq!(std::fs::read_dir(copy.folder.path()).unwrap().count(), 1);
        let copy = Copy::new();
        let mut at_first = true;
        let report = verify_path(copy.path(), &mut |_, _| {
            if std::mem::take(&mut at_first) {
                cut(&copy.file(), way);
            }
        });
        match report {
            Err(Error::Truncated { .. }) => assert!(way.1.is_none(), "{way:?}"),
            // A file as long as before is judged by what is in it now.
            Ok(report) => assert!(way.1.is_some() && !report.sound, "{way:?}: {report:?}"),
            Err(other) => panic!("{way:?}: {other:?}"),
        }
    }
}

/// Catches a reader that stays lost when the file is whole again.
#[cfg(any(target_os = "linux", target_os = "macos"))]
#[test]
fn a_refresh_finds_the_file_that_came_back() {
    assert!(contain_faults());
    let copy = Copy::new();
    let mut reader = Reader::open(copy.path()).unwrap();
    let expected = search(&reader, Effort::Exact).unwrap();
    copy.file().set_len(0).unwrap();
    assert!(search(&reader, Effort::Exact).is_err());
    assert!(reader.refresh().is_err());
    std::fs::write(copy.path(), store()).unwrap();
    assert!(search(&reader, Effort::Exact).is_err());
    assert!(reader.refresh().unwrap());
    assert!(!reader.refresh().unwrap());
    assert_eq!(search(&reader, Effort::Exact).unwrap(), expected);
}

/// Catches a verified reader that maps, that reads the file again, or that loses its mode at a refresh.
#[test]
fn a_verified_reader_needs_the_file_no_more() {
    for way in cuts() {
        let copy = Copy::new();
        let out = copy.folder.path().join("o");
        let mut reader = Reader::open_verified(copy.path()).unwrap();
        assert!(!reader.file().is_mapped() && !reader.refresh().unwrap());
        Db::open(copy.path()).unwrap().delete(&[Id::U64(5)]).unwrap();
        assert!(reader.refresh().unwrap());
        assert!(!reader.file().is_mapped());
        let mapped = Reader::open(copy.path()).unwrap();
        let expected: Vec<String> = QUESTIONS.iter().map(|(_, ask)| ask(&mapped, &out).unwrap()).collect();
        drop(mapped);
        cut(&copy.file(), way);
        for ((name, ask), expected) in QUESTIONS.iter().zip(expected) {
            assert_eq!(ask(&reader, &out).unwrap(), expected, "{name} {way:?}");
        }
    }
}

/// Catches bytes that are used unverified: a bit in a vector, a link, the journal; and a tail that is taken for damage.
#[test]
fn a_verified_reader_refuses_what_is_not_sound() {
    let copy = Copy::new();
    let open = |bytes: &[u8]| {
        std::fs::write(copy.path(), bytes).unwrap();
        Reader::open_with(Arc::new(FilePlace), copy.path(), ReadMode::Verified)
    };
    for at in (4096 + 70..store().len() - 8192).step_by(store().len() / 40) {
        let mut bytes = store().to_vec();
        bytes[at] ^= 0x10;
        match open(&bytes).err() {
            Some(error @ Error::Unsound { findings: 1.., .. }) => {
                assert!(error.clause().is_some() && error.offset().is_some_and(|place| place <= at as u64), "{error}");
            }
            other => panic!("bit 4 of byte {at}: {other:?}"),
        }
    }
    let tailed = [store(), &[7; 5000]].concat();
    assert_eq!(open(&tailed).unwrap().count(), open(store()).unwrap().count());
    assert!(matches!(open(&store()[..4096]).err(), Some(Error::NoRoot)));
    assert!(matches!(open(b"something else").err(), Some(Error::NotRvf)));
}

/// The child of the two tests below: reads a file that is cut, without or with containment, of RVF or not.
#[cfg(unix)]
#[test]
#[ignore = "run by others, in a process of its own"]
fn child_that_faults() {
    let copy = Copy::new();
    let reader = Reader::open(copy.path()).unwrap();
    match std::env::var("RVF_TEST_FAULT").as_deref() {
        // The end of the file is looked at before the search; so it faults in a part, as if it was cut a moment later.
        Ok("bare") => {
            copy.file().set_len(0).unwrap();
            println!("{:?}", reader.file()[8192]);
        }
        Ok("foreign") => {
            assert!(contain_faults());
            // SAFETY: the bytes are read once, by a process that is to end with that.
            let foreign = unsafe { memmap2::Mmap::map(&File::open(copy.path()).unwrap()) }.unwrap();
            copy.file().set_len(0).unwrap();
            println!("{:?}", foreign[8192]);
        }
        other => panic!("{other:?}"),
    }
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn signal_of_child(fault: &str) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "guard::child_that_faults", "--ignored"]).env("RVF_TEST_FAULT", fault);
    child.output().unwrap().status.signal()
}

#[cfg(target_os = "linux")]
const SIGBUS: i32 = 7;
#[cfg(target_os = "macos")]
const SIGBUS: i32 = 10;

/// What holds by default, so that nobody is told otherwise.
#[cfg(any(target_os = "linux", target_os = "macos"))]
#[test]
fn a_fault_that_nobody_contains_ends_the_process() {
    assert_eq!(signal_of_child("bare"), Some(SIGBUS));
}

/// Catches a handler that swallows, or repeats for ever, the faults of others.
#[cfg(any(target_os = "linux", target_os = "macos"))]
#[test]
fn a_fault_elsewhere_is_left_to_others() {
    assert_eq!(signal_of_child("foreign"), Some(SIGBUS));
}

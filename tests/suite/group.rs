//! Group commit: threads that write at the same time share commits, get what they would have got alone, and fail together.

use rvf_engine::{Db, Error, Id, Metric, Reader, Schema, Shared};
use rvf_format::storage::MemoryPlace;
use rvf_tests::hooked::Hooked;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const PATH: &str = "group.rvf";
const THREADS: u64 = 8;
const EACH: u64 = 25;

fn shared(place: &Hooked) -> Shared {
    let db = Db::create_with(Arc::new(place.clone()), PATH, &Schema::new(2, Metric::L2), &Default::default());
    db.unwrap().into_shared()
}

/// Time in which others queue up.
fn slow(_: u64) -> io::Result<()> {
    std::thread::sleep(Duration::from_millis(1));
    Ok(())
}

fn kind(error: &Error) -> &'static str {
    assert!(matches!(error, Error::Group { .. }), "{error:?}");
    error.kind()
}

/// Handles move between threads: a compile-time promise.
#[test]
fn handles_are_sent_and_shared() {
    fn is_shared<T: Send + Sync + Clone>() {}
    is_shared::<Shared>();
}

/// Catches commits that are not shared, syncs beyond two a commit, and an answer before the medium has what it answers for.
#[test]
fn threads_share_commits_and_see_what_they_put() {
    let place = Hooked::new(MemoryPlace::default(), slow);
    let shared = shared(&place);
    let before = place.syncs();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (shared, place) = (shared.clone(), place.clone());
            scope.spawn(move || {
                for n in 0..EACH {
                    let id = thread * EACH + n;
                    let done = shared.put(id, &[id as f32, 1.0]).unwrap();
                    assert_eq!((done.accepted, done.replaced, done.deleted, done.missing), (1, 0, 0, 0));
                    let seen = shared.snapshot();
                    assert!(seen.epoch() >= done.epoch);
                    assert_eq!(seen.get(&Id::U64(id)).unwrap().unwrap().vector, [id as f32, 1.0]);
                    assert_eq!(seen.at_epoch(done.epoch).unwrap().count(), done.count);
                    let reader =
                        Reader::open_with(Arc::new(place.place.clone()), PATH, rvf_engine::ReadMode::Mapped).unwrap();
                    assert!(reader.get(&Id::U64(id)).unwrap().is_some(), "{id} is not on the medium");
                }
            });
        }
    });
    let (syncs, commits) = (place.syncs() - before, shared.snapshot().epoch() - 1);
    assert_eq!(syncs, 2 * commits);
    assert!(commits * 2 < THREADS * EACH, "{commits} commits of {} requests", THREADS * EACH);
    assert_eq!(shared.snapshot().count(), THREADS * EACH);
    assert_eq!(shared.into_inner().unwrap().snapshot().count(), THREADS * EACH);
}

/// Catches a group that takes in what does not fit, and one that a refused request spoils.
#[test]
fn what_does_not_fit_is_refused_at_its_own_door() {
    let place = Hooked::new(MemoryPlace::default(), slow);
    let shared = shared(&place);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let shared = shared.clone();
            scope.spawn(move || match thread % 4 {
                0 => assert!(matches!(shared.put(thread, &[1.0]), Err(Error::Dimension { .. }))),
                1 => assert!(matches!(shared.put(thread, &[1.0, f32::NAN]), Err(Error::NotFinite { .. }))),
                2 => assert!(matches!(shared.put("text", &[1.0, 2.0]), Err(Error::IdKind { .. }))),
                _ => assert_eq!(shared.put(thread, &[1.0, 2.0]).unwrap().accepted, 1),
            });
        }
    });
    assert_eq!(shared.snapshot().count(), THREADS / 4);
    assert!(shared.snapshot().epoch() <= 1 + THREADS / 4);
}

/// Puts ids of a thread's own until something goes wrong: how many were acknowledged, and the error.
fn put_until_refused(shared: &Shared, thread: u64) -> (u64, Error) {
    for n in 0..10_000 {
        if let Err(error) = shared.put(thread * 10_000 + n, &[n as f32, 1.0]) {
            return (n, error);
        }
    }
    panic!("nothing went wrong");
}

fn check_acknowledged(place: &MemoryPlace, acknowledged: &[u64]) {
    let db = Db::open_with(Arc::new(place.clone()), PATH, &Default::default()).unwrap();
    for (thread, count) in acknowledged.iter().enumerate() {
        for n in 0..*count {
            let id = Id::U64(thread as u64 * 10_000 + n);
            assert!(db.snapshot().get(&id).unwrap().is_some(), "{id} was acknowledged and is lost");
        }
    }
}

/// Catches a failure that only the leader hears of, a handle that goes on after a failed sync, and records acknowledged in vain.
#[test]
fn a_failed_sync_reaches_all_and_poisons_the_handle() {
    let fails = Arc::new(AtomicBool::new(false));
    let failing = fails.clone();
    let place = Hooked::new(MemoryPlace::default(), move |number| {
        slow(number)?;
        failing.fetch_or(number > 21, Ordering::SeqCst);
        if failing.load(Ordering::SeqCst) { Err(io::Error::other("no medium")) } else { Ok(()) }
    });
    let shared = shared(&place);
    let ends: Vec<(u64, Error)> = std::thread::scope(|scope| {
        let spawn = |thread| {
            let shared = shared.clone();
            scope.spawn(move || put_until_refused(&shared, thread))
        };
        let threads: Vec<_> = (0..THREADS).map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let kinds: Vec<&str> = ends.iter().map(|(_, error)| kind(error)).collect();
    assert!(kinds.contains(&"io") && kinds.iter().all(|kind| ["io", "poisoned"].contains(kind)), "{kinds:?}");
    let count = shared.snapshot().count();
    assert_eq!(kind(&shared.put(7, &[1.0, 2.0]).unwrap_err()), "poisoned");
    assert_eq!(kind(&shared.delete(7).unwrap_err()), "poisoned", "also where nothing was to be done");
    assert_eq!(shared.snapshot().count(), count, "what was committed can still be read");
    drop(shared);
    check_acknowledged(&place.place, &ends.iter().map(|(acknowledged, _)| *acknowledged).collect::<Vec<_>>());
}

/// Catches followers that sleep for ever when their leader is gone, and a file that stays locked.
#[test]
fn a_leader_that_panics_leaves_nobody_waiting() {
    let place = Hooked::new(MemoryPlace::default(), |number| {
        slow(number)?;
        assert!(number != 24, "the medium panics");
        Ok(())
    });
    let shared = shared(&place);
    let (mut acknowledged, mut panics) = (vec![0; THREADS as usize], 0);
    std::thread::scope(|scope| {
        let spawn = |thread| {
            let shared = shared.clone();
            scope.spawn(move || put_until_refused(&shared, thread))
        };
        let threads: Vec<_> = (0..THREADS).map(spawn).collect();
        for (thread, end) in threads.into_iter().enumerate() {
            match end.join() {
                Ok((count, error)) => {
                    assert_eq!(kind(&error), "poisoned");
                    acknowledged[thread] = count;
                }
                Err(_) => panics += 1,
            }
        }
    });
    assert_eq!(panics, 1);
    assert_eq!(kind(&shared.put(7, &[1.0, 2.0]).unwrap_err()), "poisoned");
    assert!(shared.snapshot().count() > 0);
    // The handle is still here, and the file can be opened by another.
    check_acknowledged(&place.place, &acknowledged);
    assert!(shared.into_inner().is_none());
    assert!(place.place.bytes(Path::new(PATH)).is_some());
}

#[test]
fn the_writer_comes_back_from_its_last_handle_only() {
    let place = Hooked::new(MemoryPlace::default(), |_| Ok(()));
    let first = shared(&place);
    let second = first.clone();
    assert!(first.into_inner().is_none());
    let mut db = second.into_inner().unwrap();
    assert_eq!(db.add(&[1.0f32, 2.0]).unwrap().count, 1);
}

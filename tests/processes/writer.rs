//! A writer: commits batch after batch until it is killed; compacts, indexes, reopens in between.

use crate::model::{DIMENSION, Model, Random, counter, text};
use crate::site::Site;
use rvf_engine::{CompactOptions, CreateOptions, Db, Error, IndexOptions, Metric, OpenOptions, Schema};
use rvf_format::storage::FilePlace;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// Why a writer ended by itself.
pub(crate) enum End {
    /// It was done.
    Clean,
    /// Another one has the file.
    Locked,
}

/// Writes until it is killed, or until it is drawn that it ends.
pub(crate) fn run(site: &Site, model: Model, number: u64, wait: Duration) -> Result<End, String> {
    let mut random = Random::new(&[model.seed, number, 1]);
    let Some(mut db) = open(site, wait)? else { return Ok(End::Locked) };
    let mut n = begin(site, model, &db, random.below(4) == 0)?;
    loop {
        match random.below(100) {
            0..4 => {
                let options = CompactOptions { keep: 1 + random.below(3), output: None };
                db.compact(&options).map_err(text)?;
                println!("compacted");
                check_still(model, &db, n)?;
            }
            4..8 => {
                let options = IndexOptions { m: Some(4), ef_construction: Some(16), threads: Some(1), code: None };
                if db.index(&options, &mut |_, _| ControlFlow::Continue(())).map_err(text)?.written {
                    println!("indexed");
                }
            }
            8..11 => {
                drop(db);
                db = match open(site, wait)? {
                    Some(db) => db,
                    None => return Ok(End::Locked),
                };
                n = begin(site, model, &db, false)?;
            }
            11 => return Ok(End::Clean),
            _ => {
                n += 1;
                commit(site, model, &mut db, n)?;
            }
        }
    }
}

/// Holds the lock of a store that is there until it is killed: for `tests/suite/locks.rs`.
pub(crate) fn hold(site: &Site) -> Result<End, String> {
    let _db = Db::open(site.store()).map_err(text)?;
    println!("opened");
    loop {
        std::thread::park();
    }
}

/// The store, made first if it is not there; nothing if another writer has it.
fn open(site: &Site, wait: Duration) -> Result<Option<Db>, String> {
    let index = IndexOptions { m: Some(4), ef_construction: Some(16), threads: Some(1), code: None };
    // Long audit entries: within a run their WITNESS segments need hash trees.
    let options = OpenOptions { lock_wait: wait, index, actor: "writer".repeat(150), ..OpenOptions::default() };
    let place = Arc::new(FilePlace);
    let opened = match Db::open_with(place.clone(), site.store(), &options) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            let create = CreateOptions { open: options.clone(), ..CreateOptions::default() };
            match Db::create_with(place.clone(), site.store(), &Schema::new(DIMENSION, Metric::L2), &create) {
                // Another writer was faster.
                Err(Error::Exists { .. }) => Db::open_with(place, site.store(), &options),
                created => created,
            }
        }
        opened => opened,
    };
    match opened {
        Ok(db) => Ok(Some(db)),
        Err(Error::Locked { .. }) => Ok(None),
        Err(error) => Err(format!("opening: {error}")),
    }
}

/// What holds whenever a file was opened for writing; the n to go on from.
fn begin(site: &Site, model: Model, db: &Db, whole: bool) -> Result<u64, String> {
    match db.tail_report() {
        Some(tail) if tail.saved.is_some() => println!("tail saved"),
        Some(_) => println!("tail cut"),
        None => println!("opened"),
    }
    site.check_names(&[])?;
    let snapshot = db.snapshot();
    if snapshot.tail().is_some() {
        return Err(format!("a writer left the tail behind epoch {} as it was", snapshot.epoch()));
    }
    let n = if whole { model.check(&snapshot)? } else { counter(&snapshot)? };
    let progress = site.progress()?;
    if n < progress.acknowledged || n > progress.begun {
        return Err(format!("opened at n = {n}, but {progress:?}"));
    }
    // From here on it has been seen.
    site.acknowledge(n)?;
    Ok(n)
}

fn commit(site: &Site, model: Model, db: &mut Db, n: u64) -> Result<(), String> {
    let change = model.change(n);
    let mut batch = db.batch();
    for (id, vector, metadata) in change.puts {
        batch.put_with(id, &vector, metadata).map_err(text)?;
    }
    for (id, fields) in change.updates {
        batch.update(id, fields).map_err(text)?;
    }
    for id in &change.deletes {
        batch.delete(*id).map_err(text)?;
    }
    site.begin(n)?;
    batch.commit().map_err(text)?;
    site.acknowledge(n)?;
    println!("committed");
    match db.index_error() {
        Some(error) => Err(format!("folding: {error}")),
        None => Ok(()),
    }
}

fn check_still(model: Model, db: &Db, n: u64) -> Result<(), String> {
    let found = model.check(&db.snapshot())?;
    if found == n { Ok(()) } else { Err(format!("n is {found} after a compaction, {n} before")) }
}

//! What must hold of an image: it opens at a commit that is allowed, verifies, takes the next commit, and keeps no litter.
//!
//! What happens after recovery depends on the recovered folder alone, so it is worked out once for each such folder.

use super::driver::{COPY, Driver, MAIN, options};
use super::family::CHILD;
use super::medium::{Folder, Op};
use super::place::SimPlace;
use super::states::{Allowed, Note, State};
use rvf_engine::{Clause, Db, ReadMode, Reader};
use rvf_format::storage::Bytes;
use rvf_format::verify::{Report, verify};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;

/// What goes wrong, in words.
pub type Fault = String;

/// What recovery did to an image.
pub struct Recovered {
    /// Its operations.
    pub log: Vec<Op<Note>>,
    /// What it left.
    pub folder: Folder,
}

/// Judges images; remembers what follows recovered folders.
#[derive(Default)]
pub struct Oracle {
    follows: HashMap<[u8; 16], Vec<Arc<State>>>,
}

fn report_of(folder: &Folder, file: &str) -> Result<Report, Fault> {
    let blob = folder.0.get(Path::new(file)).ok_or_else(|| format!("{file} is gone"))?;
    verify(&Bytes::from(blob.bytes.as_slice()), &mut |_, _| {}).map_err(|error| format!("{file} is refused: {error}"))
}

/// Nothing may be found in a file.
fn check_clean(folder: &Folder, file: &str, when: &str) -> Result<(), Fault> {
    match report_of(folder, file)?.findings.first() {
        None => Ok(()),
        Some(finding) => Err(format!("{file} {when}: {} at {}: {}", finding.clause, finding.offset, finding.message)),
    }
}

impl Oracle {
    /// Judges an image; what recovery did.
    ///
    /// # Errors
    /// What does not hold.
    pub fn judge(&mut self, image: &Folder, allowed: &Allowed) -> Result<Recovered, Fault> {
        let mut manifest_in_tail = false;
        let mut reports = Vec::new();
        for (file, expected) in &allowed.0 {
            if expected.returned.is_none() && !image.0.contains_key(Path::new(file)) {
                continue;
            }
            let report = report_of(image, file)?;
            // A file gets its name when it is complete: before the creation returned, no tail either.
            let fresh = expected.returned.is_none() && expected.begun.len() == 1;
            if let Some(finding) = report.findings.iter().find(|_| !report.sound || fresh) {
                return Err(format!("{file}: {} at {}: {}", finding.clause, finding.offset, finding.message));
            }
            manifest_in_tail |= report.findings.iter().any(|finding| finding.clause == Clause::Tail2);
            reports.push((*file, report));
        }
        let place = SimPlace::holding(image);
        for (file, report) in &reports {
            let opened = Db::open_with(Arc::new(place.clone()), file, &options());
            let db = opened.map_err(|error| format!("{file} does not open for writing: {error}"))?;
            if Some(db.snapshot().epoch()) != report.epoch {
                return Err(format!(
                    "{file} verifies as epoch {:?} and opens as {}",
                    report.epoch,
                    db.snapshot().epoch()
                ));
            }
        }
        let recovered = Recovered { log: place.log(), folder: place.folder() };
        let tails = |folder: &Folder| folder.0.keys().filter(|path| is_tail(path)).count();
        if tails(&recovered.folder) > tails(image) && !manifest_in_tail {
            return Err("a tail without a manifest was saved".to_owned());
        }
        self.judge_recovered(&recovered.folder, allowed)?;
        Ok(recovered)
    }

    fn judge_recovered(&mut self, folder: &Folder, allowed: &Allowed) -> Result<(), Fault> {
        let states = match self.follows.entry(folder.hash()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(follow(folder)?),
        };
        for state in states.iter() {
            if !allowed.0.get(state.file).is_some_and(|expected| expected.allows(state)) {
                let (file, epoch, count) = (state.file, state.epoch, state.records.len());
                return Err(format!(
                    "{file} is at epoch {epoch} with {count} records; allowed: {}",
                    allowed.told(file)
                ));
            }
        }
        Ok(())
    }
}

/// Every file that a driver writes, branches behind their parents.
const FILES: [&str; 3] = [MAIN, COPY, CHILD];

fn is_tail(path: &Path) -> bool {
    FILES.iter().any(|file| path.to_string_lossy().starts_with(&format!("{file}.tail-")))
}

/// A name that may stay: a tail that held a manifest, and the beginning of a creation, which the next creation removes.
fn may_stay(path: &Path) -> bool {
    let name = path.to_string_lossy();
    is_tail(path) || FILES.iter().any(|file| name == *file || name == format!("{file}.new-tmp"))
}

/// What a recovered folder holds. It must be clean, and life must go on: the next commit, or the creation of what is not there.
fn follow(folder: &Folder) -> Result<Vec<Arc<State>>, Fault> {
    let mut states = Vec::new();
    let place = SimPlace::holding(folder);
    for file in FILES {
        if folder.0.contains_key(Path::new(file)) {
            check_clean(folder, file, "after recovery")?;
            let reader = Reader::open_with(Arc::new(place.clone()), file, ReadMode::Mapped);
            let state = reader.and_then(|reader| State::of(file, &reader));
            states.push(state.map_err(|error| format!("{file} does not open for reading: {error}"))?);
        }
    }
    check_pinned(&place, folder)?;
    go_on(&place, states.iter().find(|state| state.file == MAIN))?;
    if folder.0.contains_key(Path::new(CHILD)) {
        go_on_in_child(&place).map_err(|error| format!("the branch, after recovery: {error}"))?;
    }
    let after = place.folder();
    for path in after.0.keys() {
        if !may_stay(path) {
            return Err(format!("{} is left behind", path.display()));
        }
    }
    states.iter().try_for_each(|state| check_clean(&after, state.file, "after the next commit"))?;
    Ok(states)
}

/// One more commit, and the export that was interrupted once more.
fn go_on(place: &SimPlace, state: Option<&Arc<State>>) -> Result<(), Fault> {
    let mut driver = Driver::new(place.clone(), 1, state.cloned());
    let done = match state {
        Some(_) => driver.open(),
        None => driver.create(),
    };
    if driver.db.as_ref().is_some_and(|db| db.snapshot().root().is_frozen()) {
        return Ok(());
    }
    let done = done.and_then(|()| driver.put([9999])).and_then(|()| {
        driver.close();
        let interrupted = place.inode(Path::new(&format!("{COPY}.new-tmp"))).is_some();
        if interrupted && place.inode(Path::new(COPY)).is_none() {
            let reader = driver.read()?;
            driver.export(&reader, 1)?;
        }
        driver.read().map(drop)
    });
    done.map_err(|error| format!("after recovery: {error}"))
}

/// A branch that has its name has its commit pinned in its parent, or its parent is frozen.
fn check_pinned(place: &SimPlace, folder: &Folder) -> Result<(), Fault> {
    if !folder.0.contains_key(Path::new(CHILD)) {
        return Ok(());
    }
    let open = |file| Reader::open_with(Arc::new(place.clone()), file, ReadMode::Mapped);
    let pinned = open(MAIN).and_then(|parent| Ok((parent.pinned_epochs()?, open(CHILD)?.parent_ref()?)));
    match pinned.map_err(|error| format!("the pin of a branch: {error}"))? {
        (pinned, Some(needed)) if pinned.contains(&needed.epoch) => Ok(()),
        (pinned, needed) => Err(format!("a branch needs {needed:?}, pinned are {pinned:?}")),
    }
}

/// One more commit in the branch; its parent may be whatever it became.
fn go_on_in_child(place: &SimPlace) -> rvf_engine::Result<()> {
    let mut db = Db::open_with(Arc::new(place.clone()), CHILD, &options())?;
    let count = db.snapshot().count();
    let row = vec![0.5f32; db.snapshot().schema().dimension as usize];
    db.add(&row)?;
    drop(db);
    let reader = Reader::open_with(Arc::new(place.clone()), CHILD, ReadMode::Mapped)?;
    assert_eq!(State::of(CHILD, &reader)?.records.len() as u64, count + 1, "records of the branch");
    Ok(())
}

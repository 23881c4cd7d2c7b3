//! Every call of a workload fails once, in each way that it can; then a reader looks, the next writer goes on, and the power fails.

use super::crash::{Explorer, FEW, go_on};
use super::driver::{COPY, Driver, MAIN};
use super::medium::Op;
use super::place::{Call, Fault, SimPlace, Struck};
use super::states::{Allowed, Note, State};
use rvf_engine::{Error, ReadMode, Reader};
use rvf_format::storage::Bytes;
use rvf_format::verify::verify;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// A call that is to fail: its number among those of the workload, what it is, how it fails.
#[derive(Clone, Copy, Debug)]
pub struct Strike {
    /// Number of the call.
    pub number: usize,
    /// What it is.
    pub call: Call,
    /// How it fails.
    pub fault: Fault,
}

/// Every call of a workload in each way.
pub fn strikes(explorer: &Explorer) -> Vec<Strike> {
    let place = SimPlace::holding(&explorer.start().folder);
    let mut driver = Driver::new(place.clone(), explorer.seed(), explorer.start().state.clone());
    explorer.workload().run(&mut driver).unwrap();
    let calls = place.calls();
    let numbered = calls.into_iter().enumerate();
    numbered
        .flat_map(|(number, call)| call.faults().iter().map(move |fault| Strike { number, call, fault: *fault }))
        .collect()
}

/// Lets one call fail and checks all that must hold then.
///
/// # Errors
/// What does not hold, with the line that reproduces it.
pub fn strike(explorer: &mut Explorer, strike: Strike) -> Result<(), String> {
    struck_run(explorer, strike).map_err(|why| {
        let Strike { number, call, fault } = strike;
        let (name, seed) = (explorer.workload().name, explorer.seed());
        format!(
            "{call:?} fails by {fault:?}: {why}\n  cargo run -p rvf-tests --example crash -- --workload {name} --seed {seed} \
             --call {number} --fault {fault:?}"
        )
    })
}

fn struck_run(explorer: &mut Explorer, strike: Strike) -> Result<(), String> {
    let place = SimPlace::holding(&explorer.start().folder);
    place.fail_at(strike.number, strike.fault);
    place.lie(explorer.lie);
    let mut driver = Driver::new(place.clone(), explorer.seed(), explorer.start().state.clone());
    let workload = explorer.workload();
    let done = catch_unwind(AssertUnwindSafe(|| workload.run(&mut driver))).map_err(|_| "a panic".to_owned())?;
    let struck = place.struck().ok_or("the call did not come again")?;
    if done.is_ok() && must_be_told(struck.call) {
        return Err("nobody was told".to_owned());
    }
    check_reader(explorer, &place, struck, driver.state.as_ref())?;
    if done.is_err() && driver.db.is_some() {
        try_again(&mut driver, struck)?;
    }
    let last = driver.state.clone();
    drop(driver);
    check_kills(explorer, &place.log(), struck)?;
    check_next_writer(explorer, &place, struck, last.as_ref())?;
    let log = place.log();
    explorer.explore(&log, struck.at, None, FEW).map_err(|failure| {
        format!(
            "then the power fails (cut {}, image {}, then {:?}): {}",
            failure.at.cut, failure.at.image, failure.then, failure.why
        )
    })
}

/// The program dies while it deals with the failure, another goes on, and the power fails then.
///
/// But for one case: a program that dies between the failed sync of a root and the cut behind it leaves that root in the page cache,
/// where the medium lacks it. The next writer cannot know, and what it builds on that root may be lost with it (`spec/commit.md`,
/// "What is assumed of the medium").
fn check_kills(explorer: &mut Explorer, log: &[Op<Note>], struck: Struck) -> Result<(), String> {
    let first = explorer.start().state.as_ref().map_or(0, |state| state.epoch);
    for killed in struck.at..log.len() {
        let longer = explorer.log_of_killed(log, killed).map_err(|why| format!("killed at {killed}: {why}"))?;
        let sync_failed = matches!(log.get(killed.wrapping_sub(1)), Some(Op::SyncFailed { .. }));
        if sync_failed && last_epoch(&longer, first) > last_epoch(&log[..killed], first) + 1 {
            continue;
        }
        explorer.explore(&longer, killed, Some(killed), FEW).map_err(|failure| {
            format!("killed at {killed}, power fails at {:?}, {:?}: {}", failure.at, failure.then, failure.why)
        })?;
    }
    Ok(())
}

/// The last commit of the store that returned, in a log; `first` where none did.
fn last_epoch(log: &[Op<Note>], first: u64) -> u64 {
    let returned = log.iter().rev().find_map(|op| match op {
        Op::Note(Note::Returned(state)) if state.file == MAIN => Some(state.epoch),
        _ => None,
    });
    returned.unwrap_or(first)
}

/// Whether a workload must not go on as if nothing had happened.
fn must_be_told(call: Call) -> bool {
    matches!(call, Call::Write | Call::Sync | Call::SetLen | Call::Create | Call::Rename | Call::SyncDir)
}

/// Whether it may be uncertain after this which commit the file is at: the names changed, or a tail could not be cut.
fn is_uncertain(call: Call) -> bool {
    matches!(call, Call::SyncDir | Call::Rename | Call::SetLen)
}

fn allowed_after(explorer: &Explorer, log: &[Op<Note>]) -> Allowed {
    let mut allowed = explorer.allowed();
    for op in log {
        if let Op::Note(note) = op {
            allowed.take(note);
        }
    }
    allowed
}

/// The last commit that returned, or where that is uncertain one that was begun since.
fn check_state(allowed: &Allowed, struck: Struck, last: Option<&Arc<State>>, found: &State) -> Result<(), String> {
    let is_last = last.is_some_and(|last| last.is(found));
    let may_be = is_uncertain(struck.call) && allowed.0.get(MAIN).is_some_and(|expected| expected.allows(found));
    match is_last || may_be {
        true => Ok(()),
        false => Err(format!(
            "at epoch {} with {} records, not at the last commit that returned: {}",
            found.epoch,
            found.records.len(),
            allowed.told(MAIN)
        )),
    }
}

fn check_reader(
    explorer: &Explorer,
    place: &SimPlace,
    struck: Struck,
    last: Option<&Arc<State>>,
) -> Result<(), String> {
    if place.inode(Path::new(MAIN)).is_none() {
        return if last.is_none() { Ok(()) } else { Err("the file lost its name".to_owned()) };
    }
    let reader = Reader::open_with(Arc::new(place.clone()), MAIN, ReadMode::Mapped);
    let found = reader.and_then(|reader| State::of(MAIN, &reader)).map_err(|error| format!("a reader: {error}"))?;
    check_state(&allowed_after(explorer, &place.log()), struck, last, &found)
        .map_err(|why| format!("a reader is {why}"))
}

/// The handle whose call failed takes another commit, or says that it takes no more; after a failed sync it must say so.
fn try_again(driver: &mut Driver, struck: Struck) -> Result<(), String> {
    let own = struck.inode.is_some() && struck.inode == driver.place.inode(Path::new(MAIN));
    match driver.put([7777]) {
        Ok(()) if own && struck.call == Call::Sync => Err("the handle commits after a failed sync".to_owned()),
        // Nothing is uncertain then: the commit was cut off again.
        Err(Error::Poisoned) if own && struck.call == Call::Write => Err("no commit after a failed write".to_owned()),
        Ok(()) | Err(Error::Poisoned) => Ok(()),
        Err(error) => Err(format!("the same handle: {error}")),
    }
}

/// The next writer finds the last commit and makes another; the export that failed can be made again; everything verifies.
fn check_next_writer(
    explorer: &Explorer,
    place: &SimPlace,
    struck: Struck,
    last: Option<&Arc<State>>,
) -> Result<(), String> {
    let told = |error: Error| format!("the next writer: {error}");
    if place.inode(Path::new(MAIN)).is_some() {
        let mut next = Driver::new(place.clone(), 2, None);
        let found = next.adopt().map_err(told)?;
        let allowed = allowed_after(explorer, &place.log());
        check_state(&allowed, struck, last, &found).map_err(|why| format!("the next writer is {why}"))?;
    }
    go_on(place, explorer.seed()).map_err(told)?;
    let exported = allowed_after(explorer, &place.log()).0.contains_key(COPY);
    if exported && place.inode(Path::new(COPY)).is_none() {
        let mut next = Driver::new(place.clone(), 2, None);
        next.adopt().map_err(told)?;
        next.close();
        let reader = next.read().map_err(told)?;
        next.export(&reader, 1).map_err(|error| format!("the next export: {error}"))?;
    }
    for (path, blob) in place.folder().0 {
        let name = path.to_string_lossy().into_owned();
        if name == MAIN || name == COPY {
            let report = verify(&Bytes::from(blob.bytes.as_slice()), &mut |_, _| {});
            let report = report.map_err(|error| format!("{name}: {error}"))?;
            if let Some(finding) = report.findings.first() {
                return Err(format!("{name}: {}: {}", finding.clause, finding.message));
            }
        } else if name.ends_with("-tmp") {
            return Err(format!("{name} is left behind"));
        }
    }
    Ok(())
}

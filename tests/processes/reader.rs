//! A reader: opens, refreshes, and checks all that it sees against the model, until it is killed.

use crate::model::{Model, Random, counter, text};
use crate::site::Site;
use rvf_engine::{Error, Reader, Snapshot};
use std::sync::Arc;
use std::time::Duration;

/// Reads until it is killed.
pub(crate) fn run(site: &Site, model: Model, number: u64) -> Result<(), String> {
    let mut random = Random::new(&[model.seed, number, 2]);
    let mut reader: Option<Reader> = None;
    let mut held: Option<(Arc<Snapshot>, u64)> = None;
    let mut last = 0;
    loop {
        let acknowledged = site.progress()?.acknowledged;
        let reopens = random.below(4) == 0;
        let current = match reader.take() {
            Some(mut reader) if !reopens => {
                reader.refresh().map_err(|error| format!("refreshing: {error}"))?;
                reader
            }
            _ => Reader::open(site.store()).map_err(|error| format!("opening: {error}"))?,
        };
        let snapshot = current.snapshot();
        let n = model.check(&snapshot)?;
        let begun = site.progress()?.begun;
        if n < acknowledged || n > begun || n < last {
            return Err(format!(
                "read n = {n}; acknowledged before: {acknowledged}, begun by now: {begun}, read before: {last}"
            ));
        }
        last = n;
        let walked = model.check_search(&snapshot, n, &mut random)?;
        println!("{}", if walked { "walked" } else { "scanned" });
        if random.below(4) == 0 {
            check_earlier(model, &snapshot, n, &mut random)?;
        }
        held = hold(model, held, (snapshot, n), &mut random)?;
        reader = Some(current);
        std::thread::sleep(Duration::from_millis(random.below(20)));
    }
}

/// An epoch of the recent past is what it was, if compaction has not taken it away.
fn check_earlier(model: Model, snapshot: &Snapshot, n: u64, random: &mut Random) -> Result<(), String> {
    let epoch = snapshot.epoch().saturating_sub(random.below(8)).max(1);
    match snapshot.at_epoch(epoch) {
        Ok(earlier) => {
            let then = model.check(&earlier)?;
            println!("travelled");
            if then <= n { Ok(()) } else { Err(format!("epoch {epoch} has n = {then}, a later one {n}")) }
        }
        Err(Error::NoEpoch { .. }) => Ok(()),
        Err(error) => Err(format!("epoch {epoch}: {error}")),
    }
}

/// Keeps a snapshot open for a while, across commits and compactions, and reads it again.
fn hold(
    model: Model,
    held: Option<(Arc<Snapshot>, u64)>,
    current: (Arc<Snapshot>, u64),
    random: &mut Random,
) -> Result<Option<(Arc<Snapshot>, u64)>, String> {
    let Some((snapshot, n)) = held else { return Ok(Some(current)) };
    if random.below(16) != 0 {
        return Ok(Some((snapshot, n)));
    }
    let again = model.check(&snapshot)?;
    if again != n {
        return Err(format!("a snapshot that had n = {n} has n = {again} now"));
    }
    model.check_search(&snapshot, n, random)?;
    // The newest file does not know the epoch any more: it is another file.
    let outlived = matches!(current.0.at_epoch(snapshot.epoch()), Err(Error::NoEpoch { .. }));
    println!("{}", if outlived { "held over a compaction" } else { "held" });
    Ok(None)
}

/// The newest commit and its n.
pub(crate) fn open_and_count(site: &Site) -> Result<(Arc<Snapshot>, u64), String> {
    let snapshot = Reader::open(site.store()).map_err(text)?.snapshot();
    let n = counter(&snapshot)?;
    Ok((snapshot, n))
}

//! The commit that two sides of a merge go back to.
//!
//! ```text
//! what one side merged of the other last  ->  else the newest commit that both build on (their lineage, their logs)
//! ```
//! The later of two such commits is better: what it holds is no change of either side any more.

use crate::store::Snapshot;
use crate::{Error, Result};

/// # Errors
/// [`Error::NotRelated`]; [`Error::NoEpoch`] if the commit is no longer kept; corruption of what is read.
pub(super) fn ancestor<'s>(theirs: &'s Snapshot, ours: &'s Snapshot) -> Result<Ancestor<'s>> {
    let in_ours = merged_of(ours, theirs)?;
    let in_theirs = merged_of(theirs, ours)?;
    Ok(match (in_ours, in_theirs) {
        // Each holds a merge of the other: the base that knows of the other merge is the later one.
        (Some(a), Some(b)) => match knows(&a, &b)? || !knows(&b, &a)? {
            true => Ancestor::Opened(a),
            false => Ancestor::Opened(b),
        },
        (Some(found), None) | (None, Some(found)) => Ancestor::Opened(found),
        (None, None) => by_lineage(theirs, ours)?,
    })
}

/// The common ancestor.
pub(super) enum Ancestor<'s> {
    /// A layer of one of the sides.
    Layer(&'s Snapshot),
    /// An earlier commit of one of the sides, or of a layer.
    Opened(Box<Snapshot>),
}

impl Ancestor<'_> {
    pub(super) fn snapshot(&self) -> &Snapshot {
        match self {
            Ancestor::Layer(snapshot) => snapshot,
            Ancestor::Opened(snapshot) => snapshot,
        }
    }
}

/// The commit of `other` that was merged into `side` last, if it can still be opened.
fn merged_of(side: &Snapshot, other: &Snapshot) -> Result<Option<Box<Snapshot>>> {
    let merged = side.merged()?;
    let Some(last) = merged.iter().find(|merged| merged.file_id == other.root().file_id) else { return Ok(None) };
    if last.epoch > other.epoch() {
        return Ok(None);
    }
    match other.at_epoch(last.epoch) {
        Ok(found) if found.root().state_hash == last.state_hash => Ok(Some(Box::new(found))),
        // Compacted away, or the epoch of a copy that went its own way.
        Ok(_) | Err(Error::NoEpoch { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether `one` holds `other`, or a later commit of its file.
fn knows(one: &Snapshot, other: &Snapshot) -> Result<bool> {
    let id = other.commit_id();
    Ok(one.merged()?.iter().any(|merged| merged.file_id == id.file_id && merged.epoch >= id.epoch))
}

fn by_lineage<'s>(theirs: &'s Snapshot, ours: &'s Snapshot) -> Result<Ancestor<'s>> {
    for one in theirs.chain() {
        let same = ours.chain().find(|other| other.root().file_id == one.root().file_id);
        if let Some(other) = same {
            return in_file(one, other);
        }
    }
    Err(Error::NotRelated)
}

/// The newest commit that two commits of files with one id share: the earlier one, unless the file was copied and both went on.
fn in_file<'s>(one: &'s Snapshot, other: &'s Snapshot) -> Result<Ancestor<'s>> {
    let (earlier, later) = if one.epoch() <= other.epoch() { (one, other) } else { (other, one) };
    if earlier.commit_id() == later.commit_id() {
        return Ok(Ancestor::Layer(earlier));
    }
    if later.at_epoch(earlier.epoch()).is_ok_and(|found| found.commit_id() == earlier.commit_id()) {
        return Ok(Ancestor::Layer(earlier));
    }
    let (a, b) = (earlier.log(usize::MAX)?, later.log(usize::MAX)?);
    let shared = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a.entry_hash == b.entry_hash).last();
    let (shared, _) = shared.ok_or(Error::NotRelated)?;
    match shared.epoch == earlier.epoch() {
        true => Ok(Ancestor::Layer(earlier)),
        false => Ok(Ancestor::Opened(Box::new(earlier.at_epoch(shared.epoch)?))),
    }
}

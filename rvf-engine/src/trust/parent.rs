//! [`covering_note`]: whether the commit of a parent that a branch uses was signed, by that commit's note or by a later one of the same
//! history.

use super::History;
use crate::sign::{KeyId, PublicKey};
use crate::{CommitId, Finding, Report};
use rvf_format::Clause;

/// The key and the epoch of a note that one of the keys signed and that covers a commit of a file, by what verifying the whole file found.
///
/// # Errors
/// Why there is none, for people.
pub fn covering_note(file: &Report, commit: &CommitId, keys: &[PublicKey]) -> Result<(KeyId, u64), String> {
    // That commits were made on top and not signed says nothing about those below.
    let counts = |finding: &&Finding| !finding.is_tail() && finding.clause != Clause::Sig3;
    if let Some(finding) = file.findings.iter().find(counts) {
        return Err(format!("the file is not sound ({}: {})", finding.clause, finding.message));
    }
    let history = History::of(file).filter(|history| history.file_id() == commit.file_id);
    let history = history.ok_or("the file's history cannot be judged")?;
    let entries = history.trail().entries.iter();
    let index = entries.clone().position(|entry| (entry.epoch, entry.state_hash) == (commit.epoch, commit.state_hash));
    let index = index.ok_or("its history does not have this commit")? as u64;
    for note in file.notes.iter().filter(|note| note.statement().size > index) {
        let signer = keys.iter().find(|key| key.verify(note).is_ok());
        if let Some(key) = signer.filter(|_| history.extends(note.statement()).is_ok()) {
            return Ok((key.id(), note.statement().epoch));
        }
    }
    Err("no note by a key that was given covers this commit".to_owned())
}

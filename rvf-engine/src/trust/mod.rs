//! Whether a file can be trusted: its signatures under keys that were given, and its history beside what was seen of it before.
//!
//! ```text
//! verify: bytes, clauses -> Report { trail, notes }    keys, checkpoint, folder of what was seen
//!                                   |                                 |
//!                                   +--------------> judge <---------+ -> TrustReport: signatures, findings, freshness
//! ```
//! Trust comes from what the verifier was given and never from the file: a file that anybody made can be sound, and signed by a key of its
//! maker's.
//!
//! | file | owns |
//! | --- | --- |
//! | `mod.rs` | [`Trust`], [`TrustReport`]: what is given, what comes of it |
//! | `history.rs` | [`History`]: a file's audit entries beside a note that was seen |
//! | `folder.rs` | [`TrustFolder`]: the newest note seen, by file and key |
//! | `custody.rs` | [`custody`]: whether a file's audit entries say what it says of its parent and of merges |
//! | `parent.rs` | [`covering_note`]: whether a signed note covers the commit that a branch uses |
//! | `proof.rs` | [`EntryProof`], [`ExtensionProof`]: proofs that are checked without the file |
//! | `proof_file.rs` | [`EntryProof`] as JSON |

mod custody;
mod folder;
mod history;
mod parent;
mod proof;
mod proof_file;

pub use custody::{CustodyFault, custody};
pub use folder::TrustFolder;
pub use history::{Departure, History};
pub use parent::covering_note;
pub use proof::{EntryProof, ExtensionProof, ProofError};
pub use proof_file::{MOST_PROOF_BYTES, ProofFileError};

use crate::sign::{Algorithm, PublicKey, SignatureFault};
use crate::{Finding, Report, Result};
use rvf_format::Clause;
use rvf_format::note::Note;
use rvf_format::verify::Trail;
use std::collections::BTreeSet;

/// What a file is judged by.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Keys whose signatures count.
    pub keys: Vec<PublicKey>,
    /// A note that was seen before and kept outside the file.
    pub checkpoint: Option<Note>,
    /// Where the newest note that was seen is remembered, by file and key: read and written only where keys are given.
    pub folder: Option<TrustFolder>,
}

/// Whether a file is at least as new as what was seen of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing was seen of it before.
    #[default]
    Unknown,
    /// It goes on from the newest that was seen.
    Current,
    /// More was seen of it than it holds.
    Stale,
}

impl Freshness {
    /// Its name: unknown, current, stale.
    pub const fn name(self) -> &'static str {
        match self {
            Freshness::Unknown => "unknown",
            Freshness::Current => "current",
            Freshness::Stale => "stale",
        }
    }
}

/// A signed note of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureReport {
    /// Whose it says it is: `rvf-` and the id of the key.
    pub signer: String,
    /// The commit that it is about.
    pub epoch: u64,
    /// What came of judging it by the key of that name; `None` if that was not given.
    pub judged: Option<std::result::Result<(), SignatureFault>>,
    /// Which of its signatures are right, each alone: of the algorithms of [`Algorithm::BOTH`]. Only both together count.
    pub right: Option<[bool; 2]>,
}

impl SignatureReport {
    /// Whether it is right by a key that was given.
    pub fn is_valid(&self) -> bool {
        self.judged == Some(Ok(()))
    }
}

/// What judging a file by keys and by what was seen before found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustReport {
    /// Every signed note, by epoch.
    pub signatures: Vec<SignatureReport>,
    /// SIG-4, SIG-5.
    pub findings: Vec<Finding>,
    /// Whether the file is as new as what was seen.
    pub freshness: Freshness,
    /// Commits that are dated earlier than the one before, by epoch: nothing is wrong with the file, perhaps with a clock.
    pub backwards: Vec<u64>,
    /// Notes that are newly remembered, by the id of the key.
    pub remembered: Vec<String>,
    /// Why what was seen could not be remembered.
    pub memory_error: Option<String>,
    /// Where keys are given: commits after the first that one of them signed which none of them signed. A later signature covers that they
    /// are there, whoever made them.
    pub unsigned: Vec<u64>,
}

/// Judges a file by what verifying its bytes found. What was seen of it is remembered only if nothing at all was found.
///
/// # Errors
/// [`crate::Error::Io`] of the folder. What is wrong with the file, or with what the folder holds, is in the report.
pub fn judge(file: &Report, trust: &Trust) -> Result<TrustReport> {
    let mut report = TrustReport { signatures: signatures(file, trust), ..TrustReport::default() };
    let Some(trail) = &file.trail else { return Ok(report) };
    report.backwards =
        trail.entries.windows(2).filter(|pair| pair[1].time_ns < pair[0].time_ns).map(|pair| pair[1].epoch).collect();
    if !trust.keys.is_empty() {
        report.findings.extend(unsigned(file, &report.signatures));
        report.unsigned = signed_by_none(trail, &report.signatures);
    }
    let Some(history) = History::of(file) else { return Ok(report) };
    if let Some(seen) = &trust.checkpoint {
        check_seen(&history, seen, "the checkpoint", trust, &mut report);
    }
    let folder = trust.folder.as_ref().filter(|_| !trust.keys.is_empty());
    if let Some(folder) = folder {
        for key in &trust.keys {
            match folder.recall(history.file_id(), key)? {
                None => {}
                Some(Ok(seen)) => check_seen(&history, &seen, "what was seen before", trust, &mut report),
                Some(Err(what)) => report.findings.push(finding(Clause::Sig5, what)),
            }
        }
        if file.sound && file.findings.is_empty() && report.findings.is_empty() {
            report.memory_error = remember(file, trust, folder, &mut report).err().map(|error| error.to_string());
        }
    }
    Ok(report)
}

fn finding(clause: Clause, message: String) -> Finding {
    Finding { clause, offset: 0, segment: None, message }
}

fn signatures(file: &Report, trust: &Trust) -> Vec<SignatureReport> {
    let judged = |note: &Note| {
        let signer = note.signatures().first().map_or_else(String::new, |line| line.name.clone());
        let key = trust.keys.iter().find(|key| key.name() == signer);
        let right = key.map(|key| Algorithm::BOTH.map(|algorithm| key.verify_one(note, algorithm).is_ok()));
        SignatureReport { judged: key.map(|key| key.verify(note)), right, epoch: note.statement().epoch, signer }
    };
    file.notes.iter().map(judged).collect()
}

/// The id of the key in the name of a signer of ours.
fn key_of(signer: &str) -> &str {
    signer.strip_prefix("rvf-").unwrap_or(signer)
}

/// SIG-4: the newest commit is signed by a key that was given; and no note in the name of such a key is wrong.
fn unsigned(file: &Report, signatures: &[SignatureReport]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for signature in signatures {
        if let Some(Err(fault)) = signature.judged {
            findings.push(finding(
                Clause::Sig4,
                format!("the note of epoch {}: {fault} ({})", signature.epoch, key_of(&signature.signer)),
            ));
        }
    }
    let Some(newest) = file.epoch else { return findings };
    let of_newest: Vec<&SignatureReport> = signatures.iter().filter(|signature| signature.epoch == newest).collect();
    if of_newest.iter().any(|signature| signature.is_valid())
        || of_newest.iter().any(|s| matches!(s.judged, Some(Err(_))))
    {
        return findings;
    }
    let message = match (of_newest.first(), signatures.iter().rev().find(|signature| signature.is_valid())) {
        (Some(other), _) => {
            format!("epoch {newest} is signed by {}, which is none of the keys that were given", key_of(&other.signer))
        }
        (None, Some(signed)) => {
            format!("epoch {newest} is not signed; the newest that a given key signed is epoch {}", signed.epoch)
        }
        (None, None) => format!("epoch {newest} is not signed by a key that was given, and no earlier one is"),
    };
    findings.push(finding(Clause::Sig4, message));
    findings
}

fn signed_by_none(trail: &Trail, signatures: &[SignatureReport]) -> Vec<u64> {
    let signed: BTreeSet<u64> = signatures.iter().filter(|note| note.is_valid()).map(|note| note.epoch).collect();
    let Some(first) = signed.first() else { return Vec::new() };
    let epochs = trail.entries.iter().map(|entry| entry.epoch);
    epochs.filter(|epoch| epoch > first && !signed.contains(epoch)).collect()
}

/// SIG-5: the file goes on from a note that was seen.
fn check_seen(history: &History<'_>, seen: &Note, what: &str, trust: &Trust, report: &mut TrustReport) {
    let is_signed = trust.keys.iter().any(|key| key.verify(seen).is_ok());
    if !trust.keys.is_empty() && !is_signed {
        report.findings.push(finding(
            Clause::Sig5,
            format!("{what} is not signed by a key that was given: nothing follows from it"),
        ));
        return;
    }
    match history.extends(seen.statement()) {
        Ok(_) if report.freshness == Freshness::Unknown => report.freshness = Freshness::Current,
        Ok(_) => {}
        Err(departure) => {
            if departure.is_behind() {
                report.freshness = Freshness::Stale;
            }
            report
                .findings
                .push(finding(Clause::Sig5, format!("{departure} ({what}: epoch {})", seen.statement().epoch)));
        }
    }
}

fn remember(file: &Report, trust: &Trust, folder: &TrustFolder, report: &mut TrustReport) -> Result<()> {
    for key in &trust.keys {
        let newest = file.notes.iter().rev().find(|note| key.verify(note).is_ok());
        if let Some(note) = newest
            && folder.remember(key, note)?
        {
            report.remembered.push(key.id().to_string());
        }
    }
    Ok(())
}

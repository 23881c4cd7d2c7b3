//! What `rvf verify` says of whose a store is and whether it is the newest: keys, checkpoints, what was seen before.

use super::proofs::read_at_most;
use crate::failure::Failure;
use crate::output::{Ui, plain, time};
use clap::Args;
use rvf_engine::trust::{Freshness, Trust, TrustFolder, TrustReport, covering_note, judge};
use rvf_engine::{Algorithm, Clause, Finding, KeyId, Note, ParentReport, PublicKey, VerifyOptions, VerifyReport};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What a store is judged by.
#[derive(Debug, Args)]
pub(super) struct TrustArgs {
    /// A public key whose signatures count; may be given several times. The newest commit has to be signed by one of them
    #[arg(long, value_name = "PUB")]
    key: Vec<PathBuf>,
    /// What was seen of the store before, as `rvf audit FILE --checkpoint-out F` writes it: the store has to go on from it
    #[arg(long, value_name = "F")]
    checkpoint: Option<PathBuf>,
    /// The folder that remembers the newest state seen of each store, by store and key; with --key only. $RVF_TRUST_DIR unless given, else
    /// rvf/trust in $XDG_CONFIG_HOME or ~/.config
    #[arg(long, value_name = "DIR")]
    trust: Option<PathBuf>,
    /// Of a branch: a signed note of each parent has to cover the commit that is used of it
    #[arg(long, requires = "key")]
    signed_parents: bool,
}

impl TrustArgs {
    /// Reads keys and checkpoint: what cannot be used is told before anything is verified.
    pub(super) fn load(&self, ui: &Ui) -> Result<Trust, Failure> {
        let key = |path: &PathBuf| PublicKey::load(path).map_err(super::key::failure_of(path));
        if self.key.is_empty() && self.trust.is_some() {
            ui.warn("--trust does nothing without --key");
        }
        let folder = self.trust.as_ref().map_or_else(TrustFolder::of_user, |path| Some(TrustFolder::at(path)));
        if !self.key.is_empty() && folder.is_none() {
            ui.warn("no folder to remember in what is seen: set RVF_TRUST_DIR or give --trust DIR");
        }
        Ok(Trust {
            keys: self.key.iter().map(key).collect::<Result<Vec<PublicKey>, Failure>>()?,
            checkpoint: self.checkpoint.as_deref().map(read_note).transpose()?,
            folder,
        })
    }

    /// Judges a store by what verifying it found.
    pub(super) fn judge(&self, report: &VerifyReport, trust: Trust, ui: &Ui) -> Result<Trusted, Failure> {
        let folder = trust.folder.as_ref().map_or(Path::new(""), TrustFolder::path);
        let judged = judge(report, &trust).map_err(|error| {
            let hint = "--trust DIR or RVF_TRUST_DIR names another folder for what is remembered";
            Failure::of(folder)(error).with_hint(hint)
        })?;
        let mut trusted = Trusted { judged, trust, parents: Vec::new() };
        if self.signed_parents {
            trusted.judge_parents(report, ui)?;
        }
        Ok(trusted)
    }
}

/// Reads a signed note.
pub(super) fn read_note(path: &Path) -> Result<Note, Failure> {
    let makes = "check the path; `rvf audit FILE --checkpoint-out F` writes a checkpoint";
    let wrong = |error| Failure::of_io("reading", path, error).if_missing(makes);
    let bytes = read_at_most(path, rvf_format::note::MAX_NOTE).map_err(wrong)?;
    Note::parse(&bytes).map_err(|error| {
        let hint = match bytes.windows(2).any(|pair| pair == b"\r\n") {
            true => "its line ends were changed to CR LF: get it anew as a file of bytes, not of text",
            false => "`rvf audit FILE --checkpoint-out F` writes one; not a byte of it may change",
        };
        Failure::refused("checkpoint_file", format!("not a signed note: {error} ({})", path.display()), hint)
    })
}

/// A store, judged.
pub(super) struct Trusted {
    judged: TrustReport,
    trust: Trust,
    /// Parents whose commit is signed.
    parents: Vec<SignedParent>,
}

struct SignedParent {
    path: PathBuf,
    used: u64,
    key: KeyId,
    epoch: u64,
}

impl Trusted {
    /// SIG-4 of the parents of a branch, each file verified as a whole.
    fn judge_parents(&mut self, report: &VerifyReport, ui: &Ui) -> Result<(), Failure> {
        let options = VerifyOptions { parent_folders: ui.parent_folders.clone(), ..VerifyOptions::default() };
        for ParentReport { path, commit, .. } in &report.parents {
            let whole = rvf_engine::verify_path_with(path, &options, &mut |_, _| {}).map_err(Failure::of(path))?;
            match covering_note(&whole, commit, &self.trust.keys) {
                Ok((key, epoch)) => {
                    self.parents.push(SignedParent { path: path.clone(), used: commit.epoch, key, epoch });
                }
                Err(why) => self.judged.findings.push(Finding {
                    clause: Clause::Sig4,
                    offset: report.parent_named_at,
                    segment: None,
                    message: format!("parent {}, epoch {}: {why}", path.display(), commit.epoch),
                }),
            }
        }
        Ok(())
    }

    /// Why what was seen could not be remembered.
    pub(super) fn memory_error(&self) -> Option<Failure> {
        let why = self.judged.memory_error.as_ref()?;
        let folder = self.trust.folder.as_ref().map_or(Path::new(""), TrustFolder::path).display();
        let hint = "--trust DIR or RVF_TRUST_DIR names another folder for what is remembered";
        Some(Failure::not_now("trust_folder", format!("what was seen is not remembered: {why} ({folder})"), hint))
    }

    /// Whether all that the given keys, and what was seen before, were to show is shown; `None` where neither was given.
    pub(super) fn is_trusted(&self) -> Option<bool> {
        let is_asked = !self.trust.keys.is_empty() || self.trust.checkpoint.is_some();
        is_asked.then_some(self.judged.findings.is_empty())
    }

    pub(super) fn findings(&self) -> &[Finding] {
        &self.judged.findings
    }

    /// What is proven, and what is not and why: of the bytes, of who made them, of whether they are the newest.
    fn claims(&self, report: &VerifyReport) -> Vec<(bool, String)> {
        [self.bytes(report), self.maker(report), self.age(report)].concat()
    }

    /// Adds what it found to the result of verifying.
    pub(super) fn add_to(&self, report: &VerifyReport, value: &mut Value) {
        let claims = self.claims(report);
        let those = |proven: bool| -> Value {
            claims.iter().filter(|(is_proven, _)| *is_proven == proven).map(|(_, what)| json!(what)).collect()
        };
        value["proven"] = those(true);
        value["not_proven"] = those(false);
        let signed = |parent: &SignedParent| {
            json!({
                "path": parent.path.display().to_string(),
                "epoch": parent.used,
                "signed_epoch": parent.epoch,
                "key_id": parent.key.to_string(),
            })
        };
        value["signatures"] = self.signatures();
        value["freshness"] = json!(self.judged.freshness.name());
        value["backwards"] = json!(self.judged.backwards);
        value["remembered"] = json!(self.judged.remembered);
        value["unsigned_epochs"] = json!(self.judged.unsigned);
        value["signed_parents"] = self.parents.iter().map(signed).collect();
    }

    /// One object a note and algorithm.
    fn signatures(&self) -> Value {
        let notes = self.judged.signatures.iter();
        let both = notes.flat_map(|note| (0..).zip(Algorithm::BOTH).map(move |(at, algorithm)| (note, at, algorithm)));
        let object = |(note, at, algorithm): (&rvf_engine::trust::SignatureReport, usize, Algorithm)| {
            json!({
                "key_id": key_id(&note.signer),
                "algorithm": algorithm.name(),
                "epoch": note.epoch,
                "valid": note.right.map(|right| right[at]),
            })
        };
        both.map(object).collect()
    }

    /// In plain words: what is proven, what is not and why.
    pub(super) fn tell(&self, report: &VerifyReport, ui: &Ui) -> Result<(), Failure> {
        for (is_proven, what) in self.claims(report) {
            let label = ui.verdict(is_proven, if is_proven { "proven" } else { "not proven" });
            ui.line(format!("{label}: {}", plain(&what)))?;
        }
        for key in &self.judged.remembered {
            let folder = self.trust.folder.as_ref().map_or(Path::new(""), TrustFolder::path).display();
            ui.line(format!("remembered for key {key}: an older state of this store is told from now on ({folder})"))?;
        }
        if !self.judged.unsigned.is_empty() {
            let epochs: Vec<String> = self.judged.unsigned.iter().take(20).map(u64::to_string).collect();
            let more = if self.judged.unsigned.len() > epochs.len() { ", …" } else { "" };
            ui.line(format!(
                "remark: none of the given keys signed what these epochs did, whoever signed later took it over: {}{more}; `rvf log` and `rvf diff` show it",
                epochs.join(", ")
            ))?;
        }
        for epoch in &self.judged.backwards {
            ui.line(format!(
                "remark: epoch {epoch} is dated earlier than the one before, {}; a clock was wrong, or set",
                dated(report, *epoch)
            ))?;
        }
        Ok(())
    }

    fn bytes(&self, report: &VerifyReport) -> Vec<(bool, String)> {
        let is_whole = report.findings.iter().all(|finding| finding.clause != Clause::Tail2);
        let own_is_sound = report.findings.iter().all(Finding::leaves_sound);
        let bytes = match own_is_sound && is_whole && report.epoch.is_some() {
            true if report.findings.iter().any(Finding::is_tail) => (
                true,
                format!(
                    "every byte up to epoch {} is as it was committed; what follows belongs to no commit",
                    newest(report)
                ),
            ),
            true => (true, "every byte is as it was committed".to_owned()),
            false => (false, "that the bytes are as they were committed: see the findings".to_owned()),
        };
        let has_parent = report.parent_error.is_some() || !report.parents.is_empty();
        let parent = (own_is_sound && has_parent && !report.sound).then(|| {
            (
                false,
                "what it takes from its parent, which is missing, another one or damaged: see the findings".to_owned(),
            )
        });
        let history = match &report.trail {
            Some(trail) => {
                let entries = trail.entries.len();
                (
                    true,
                    format!(
                        "the history is linked, from the first commit to epoch {}; audit entries: {entries}",
                        newest(report)
                    ),
                )
            }
            None => (false, "how the store came about: its audit entries are not all there and linked".to_owned()),
        };
        [bytes, history].into_iter().chain(parent).collect()
    }

    fn maker(&self, report: &VerifyReport) -> Vec<(bool, String)> {
        let signatures = &self.judged.signatures;
        let own_is_sound = report.findings.iter().all(Finding::leaves_sound);
        let valid = signatures.iter().rev().find(|note| note.is_valid() && Some(note.epoch) == report.epoch);
        let own = match (valid, self.trust.keys.is_empty(), signatures.last()) {
            (Some(note), ..) => (
                true,
                format!(
                    "{} by {} at epoch {}, the newest in the file: {}",
                    if own_is_sound { "signed" } else { "what was committed, and the bytes no longer are, is signed" },
                    key_id(&note.signer),
                    note.epoch,
                    Algorithm::BOTH.map(Algorithm::name).join(" and ")
                ),
            ),
            (None, false, _) => (false, "that whoever has the given key made the newest commit: see SIG-4".to_owned()),
            (None, true, Some(note)) => (
                false,
                format!(
                    "who made it: no key was given (--key PUB), and anybody can have made a file that names {}",
                    key_id(&note.signer)
                ),
            ),
            (None, true, None) => (
                false,
                "who made it: it is not signed and no key was given (--key PUB), anybody can have made it".to_owned(),
            ),
        };
        let parent = |parent: &SignedParent| {
            let SignedParent { path, used, key, epoch } = parent;
            (true, format!("parent {}, epoch {used}: signed by {key} at epoch {epoch}", path.display()))
        };
        std::iter::once(own).chain(self.parents.iter().map(parent)).collect()
    }

    fn age(&self, report: &VerifyReport) -> Vec<(bool, String)> {
        let of_checkpoint = self.trust.checkpoint.as_ref().map(|note| note.statement().epoch);
        let departs = self.judged.findings.iter().any(|finding| finding.clause == Clause::Sig5);
        vec![match (self.judged.freshness, of_checkpoint) {
            (_, _) if departs => {
                (false, "that the store goes on from what was seen of it before: see SIG-5".to_owned())
            }
            (Freshness::Current, Some(epoch)) if self.trust.keys.is_empty() => (
                true,
                format!(
                    "it goes on from the checkpoint, epoch {epoch}, whose signatures were not judged without --key"
                ),
            ),
            (Freshness::Current, Some(epoch)) => (true, format!("it goes on from the checkpoint, epoch {epoch}")),
            (Freshness::Current, None) => {
                (true, "it goes on from the newest state that was seen of it before under the given key".to_owned())
            }
            _ => (
                false,
                format!(
                    "that epoch {} is the newest there is: no state of the store was seen before (--checkpoint F{})",
                    newest(report),
                    if self.trust.keys.is_empty() { ", or --key PUB, which remembers" } else { "" }
                ),
            ),
        }]
    }
}

fn newest(report: &VerifyReport) -> u64 {
    report.epoch.unwrap_or(0)
}

fn dated(report: &VerifyReport, epoch: u64) -> String {
    let entries = report.trail.iter().flat_map(|trail| &trail.entries);
    entries.filter(|entry| entry.epoch == epoch).map(|entry| time(entry.time_ns)).next().unwrap_or_default()
}

/// The id of the key in the name of a signer.
pub(super) fn key_id(signer: &str) -> &str {
    signer.strip_prefix("rvf-").unwrap_or(signer)
}

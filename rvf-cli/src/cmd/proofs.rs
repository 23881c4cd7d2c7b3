//! The proofs of `rvf audit`: that a store goes on from a checkpoint, that an entry is in what is signed; and the check of the latter.

use super::Outcome;
use super::audit::signer;
use super::trusted::key_id;
use crate::failure::{Failure, NO};
use crate::output::{Ui, grouped, hex, plain, time};
use crate::progress::Bar;
use rvf_engine::trust::{Departure, EntryProof, History, MOST_PROOF_BYTES};
use rvf_engine::{Error, Note, PublicKey, Snapshot, Statement, VerifyOptions, VerifyReport, verify_path_with};
use rvf_format::digest::{Hash, shake256};
use rvf_format::key_file::{PUBLIC_MAGIC, SECRET_MAGIC};
use rvf_format::limits::SEGMENT_MAGIC;
use rvf_format::payload::witness::Entry;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A store whose bytes were verified.
pub(super) struct Verified(VerifyReport);

impl Verified {
    pub(super) fn of(path: &Path, ui: &Ui) -> Result<Self, Failure> {
        let mut bar = Bar::bytes(ui, "verifying");
        let options = VerifyOptions { parent_folders: ui.parent_folders.clone(), ..VerifyOptions::default() };
        let report = verify_path_with(path, &options, &mut |done, total| {
            let _ = bar.update(done, Some(total));
        });
        drop(bar);
        let report = report.map_err(Failure::of(path))?;
        if !report.findings.is_empty() {
            ui.warn(format!("{0} is not clean: `rvf verify {0}` lists what was found", path.display()));
        }
        Ok(Self(report))
    }

    fn history(&self, path: &Path) -> Result<History<'_>, Failure> {
        History::of(&self.0).ok_or_else(|| {
            let hint = format!("`rvf verify {}` tells what is damaged", path.display());
            Failure::no("history", format!("the audit entries are not all there and linked ({})", path.display()), hint)
        })
    }
}

/// Whether a store goes on from a checkpoint.
pub(super) struct Extension {
    from: (u64, Hash),
    to: (u64, Hash),
    from_epoch: u64,
    hashes: Vec<Hash>,
    pub(super) departure: Option<Departure>,
}

impl Extension {
    pub(super) fn of(verified: &Verified, seen: &Note, path: &Path) -> Result<Self, Failure> {
        let (history, Statement { size, root, epoch, .. }) = (verified.history(path)?, seen.statement());
        let (hashes, departure) = match history.extends(seen.statement()) {
            Ok(hashes) => (hashes, None),
            Err(departure) => (Vec::new(), Some(departure)),
        };
        Ok(Self { from: (*size, *root), to: (history.size(), history.root()), from_epoch: *epoch, hashes, departure })
    }

    pub(super) fn add_to(&self, value: &mut Value) {
        let tree = |(size, root): &(u64, Hash)| json!({ "size": size, "root": hex(root) });
        value["from"] = tree(&self.from);
        value["to"] = tree(&self.to);
        value["extends"] = json!(self.departure.is_none());
        match &self.departure {
            None => value["hashes"] = self.hashes.iter().map(|hash| hex(hash)).collect(),
            Some(departure) => {
                value["departure"] = json!(departure.name());
                value["message"] = json!(departure.to_string());
            }
        }
    }

    pub(super) fn tell(&self, path: &Path, ui: &Ui) -> Result<(), Failure> {
        let (path, epoch) = (plain(&path.display().to_string()), self.from_epoch);
        let Some(departure) = &self.departure else {
            ui.line(format!("{path} goes on from the checkpoint, epoch {epoch}; the proof:"))?;
            let tree = |(size, root): &(u64, Hash)| format!("{} entries, root {}", grouped(*size), hex(root));
            ui.facts(&[("from", tree(&self.from)), ("to", tree(&self.to))])?;
            return self.hashes.iter().try_for_each(|hash| ui.line(format!("hash  {}", hex(hash))));
        };
        let no = ui.verdict(false, "does not go on");
        ui.line(format!("{path} {no} from the checkpoint, epoch {epoch}"))?;
        ui.line(departure)
    }
}

/// The proof of an entry that was written.
pub(super) struct Proved {
    out: PathBuf,
    index: u64,
    epoch: u64,
    signed_epoch: u64,
    signer: String,
}

impl Proved {
    /// Proves an entry by the newest note that states it, and writes the proof.
    pub(super) fn write(
        verified: &Verified,
        snapshot: &Snapshot,
        index: u64,
        (path, out): (&Path, &Path),
        force: bool,
    ) -> Result<Self, Failure> {
        let entries = snapshot.audit_entries().map_err(Failure::of(path))?;
        let entry = usize::try_from(index).ok().and_then(|at| entries.get(at)).ok_or_else(|| {
            let message = format!("there is no audit entry {index}: there are {} ({})", entries.len(), path.display());
            Failure::no("no_entry", message, format!("`rvf audit {}` lists them", path.display()))
        })?;
        let note = snapshot.notes().map_err(Failure::of(path))?.pop();
        let note = note.filter(|note| note.statement().size > index);
        let note =
            note.ok_or_else(|| not_signed(path, &format!("no signed commit has entry {index} in its history")))?;
        let proof = EntryProof::new(&verified.history(path)?, entry, &note).ok_or_else(|| {
            let message = format!("the newest signed note does not state this history ({})", path.display());
            Failure::no("history", message, format!("`rvf verify {}` tells more", path.display()))
        })?;
        write_new(out, proof.to_json().as_bytes(), force, path)?;
        let (epoch, signed_epoch) = (entry.fixed.epoch.get(), note.statement().epoch);
        Ok(Self { out: out.to_owned(), index, epoch, signed_epoch, signer: signer(&note).to_owned() })
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "file": self.out.display().to_string(),
            "index": self.index,
            "epoch": self.epoch,
            "signed_epoch": self.signed_epoch,
            "signer": self.signer,
        })
    }

    pub(super) fn tell(&self, ui: &Ui) -> Result<(), Failure> {
        let Self { out, index, epoch, signed_epoch, signer } = self;
        let out = plain(&out.display().to_string());
        ui.line(format!(
            "wrote {out}: that entry {index}, epoch {epoch}, is in the history that {} signed at epoch {signed_epoch}",
            plain(signer)
        ))
    }
}

/// Checks a proof without the store.
pub(super) fn check(path: &Path, key: Option<&Path>, ui: &Ui) -> Outcome {
    let key = key.map(|key| PublicKey::load(key).map_err(super::key::failure_of(key))).transpose()?;
    let proof = read(path)?;
    let checked = proof.check(key.as_ref());
    let (statement, why) = (proof.note.statement(), checked.as_ref().err().map(ToString::to_string));
    let mut value = json!({
        "valid": why.is_none(),
        "index": proof.index,
        "file_id": hex(&statement.file_id),
        "signed_epoch": statement.epoch,
        "size": statement.size,
        "tree_root": hex(&statement.root),
        "key_id": key.as_ref().map(|key| key.id().to_string()),
    });
    why.iter().for_each(|why| value["why"] = json!(why));
    checked.iter().for_each(|entry| add_entry(entry, &mut value));
    ui.result(&value, || match &checked {
        Ok(entry) => tell_checked(entry, &proof, key.is_some(), ui),
        Err(why) => ui.line(format!("{}: {why}", ui.verdict(false, "proves nothing"))),
    })?;
    Ok(if checked.is_ok() { 0 } else { NO })
}

fn add_entry(entry: &Entry, value: &mut Value) {
    let fixed = &entry.fixed;
    value["epoch"] = json!(fixed.epoch.get());
    value["time"] = json!(time(fixed.time_ns.get()));
    value["operation"] = json!(entry.operation().name());
    value["actor"] = json!(entry.actor);
    value["added"] = json!(fixed.added.get());
    value["deleted"] = json!(fixed.deleted.get());
    value["root_hash"] = json!(hex(&fixed.state_hash));
    value["entry_hash"] = json!(hex(&shake256(&entry.encode())));
}

fn tell_checked(entry: &Entry, proof: &EntryProof, is_signed: bool, ui: &Ui) -> Result<(), Failure> {
    let (statement, fixed) = (proof.note.statement(), &entry.fixed);
    let signer = plain(key_id(signer(&proof.note)));
    let verdict = ui.verdict(true, "proven");
    let (index, size, epoch, file) = (proof.index, statement.size, statement.epoch, hex(&statement.file_id));
    match is_signed {
        true => ui.line(format!(
            "{verdict}: entry {index} is one of the {size} that {signer} signed at epoch {epoch} of file {file}"
        ))?,
        false => {
            ui.line(format!(
                "{verdict}: entry {index} is one of the {size} that the note states for epoch {epoch} of file {file}"
            ))?;
            let not = ui.verdict(false, "not proven");
            ui.line(format!("{not}: that {signer} signed the note, no key was given (--key PUB)"))?;
        }
    }
    ui.facts(&[
        ("epoch", fixed.epoch.get().to_string()),
        ("time", time(fixed.time_ns.get())),
        ("operation", format!("{} +{} -{}", entry.operation().name(), fixed.added, fixed.deleted)),
        ("actor", entry.actor.clone()),
        ("root hash", hex(&fixed.state_hash)),
    ])
}

fn read(path: &Path) -> Result<EntryProof, Failure> {
    let makes = "check the path; `rvf audit FILE --prove INDEX --out F` writes a proof";
    let wrong = |error: io::Error| Failure::of_io("reading", path, error).if_missing(makes);
    let bytes = read_at_most(path, MOST_PROOF_BYTES).map_err(wrong)?;
    EntryProof::from_json(&bytes).map_err(|why| {
        Failure::refused(
            "proof_file",
            format!("not a proof of an audit entry: {} ({})", plain(&why.to_string()), path.display()),
            "`rvf audit FILE --prove INDEX --out F` writes one; `rvf audit --help` says what it holds",
        )
    })
}

/// The bytes of a file, one more than `most` where it is longer: enough to be refused. A pipe, which would keep whoever opens it waiting, is
/// an error.
pub(super) fn read_at_most(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// That something cannot be proven because nobody signed it.
pub(super) fn not_signed(path: &Path, what: &str) -> Failure {
    let hint = format!("`rvf sign {} --key PREFIX.key` signs the newest state", path.display());
    Failure::not_now("not_signed", format!("{what} ({})", path.display()), hint)
}

/// Writes a file that is not there, or whole in the place of one that may be replaced; never of the store.
pub(super) fn write_new(path: &Path, bytes: &[u8], force: bool, store: &Path) -> Result<(), Failure> {
    let exists = || Failure::of(path)(Error::Exists { path: path.to_owned() });
    if path.canonicalize().is_ok_and(|path| store.canonicalize().ok() == Some(path)) {
        return Err(exists().with_hint("name another file: this one is the store"));
    }
    if force && path.exists() {
        if !path.is_file() {
            return Err(exists().with_hint("name another file: this one is a folder, device or pipe"));
        }
        if is_precious(path) {
            return Err(exists().with_hint("name another file: this one is a key or a store, which nothing replaces"));
        }
    }
    let target = if force { beside(path) } else { path.to_owned() };
    let mut file = File::create_new(&target).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists().with_hint("choose another name, or give --force to replace it"),
        _ => Failure::of_io("creating", path, error),
    })?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let written = written.and_then(|()| if force { fs::rename(&target, path) } else { Ok(()) });
    written.map_err(|error| {
        // Why it could not be written is what is told.
        let _ = fs::remove_file(&target);
        Failure::of_io("writing", path, error)
    })
}

/// Whether a file is a key or a store: nobody means to replace one by a proof.
fn is_precious(path: &Path) -> bool {
    let mut start = [0; 8];
    let is_read = File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok();
    is_read && (start == SECRET_MAGIC || start == PUBLIC_MAGIC || start.starts_with(&SEGMENT_MAGIC.to_le_bytes()))
}

/// A name beside a file's that is this process's.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    PathBuf::from(name)
}

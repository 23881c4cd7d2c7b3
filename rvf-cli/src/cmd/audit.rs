//! `rvf audit`: the chain of audit entries, the checkpoint that is signed, and proofs by it.

use super::log::entry_json;
use super::parents::open_with_or_without;
use super::proofs::{self, Extension, Proved, write_new};
use super::trusted::key_id;
use super::{Outcome, proofs::Verified};
use crate::args::ReadArgs;
use crate::failure::{Failure, NO};
use crate::output::{Ui, grouped, hex, plain, short_hex, time};
use clap::Args;
use rvf_engine::{LogEntry, Note, Snapshot};
use rvf_format::digest::Hash;
use rvf_format::merkle::{Edge, leaf};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  rvf audit notes.rvf --limit 5
  rvf audit notes.rvf --checkpoint-out seen.txt      # keep it; rvf verify notes.rvf --checkpoint seen.txt
  rvf audit notes.rvf --proof seen.txt               # that the store goes on from what was seen
  rvf audit notes.rvf --prove 2 --out entry.json     # that a commit is in the history that was signed
  rvf audit --check entry.json --key release.pub     # elsewhere, without the store

A checkpoint is a signed note of C2SP (c2sp.org/tlog-checkpoint); the tree is that of RFC 6962. A leaf is
SHA-256(0x00 || entry_hash), and entry_hash is SHAKE-256 of the entry, 32 bytes.

The proof of an entry is a JSON object:
  entry  the audit entry as it is stored, hexadecimal
  index  its place among the entries, from 0
  path   hashes of the tree from the entry up to the root, each of 64 hexadecimal digits
  note   the signed note whose tree it is, as --checkpoint-out writes it";

/// Show the audit entries of a store, newest first, one a commit; write checkpoints and proofs
///
/// Each entry carries the hash of the one before, and a tree over all of them has one root, which is what `rvf sign` signs.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, override_usage = "rvf audit FILE [OPTIONS]\n       rvf audit --check PROOF --key PUB")]
pub(crate) struct AuditArgs {
    /// The store
    #[arg(required_unless_present = "check")]
    file: Option<PathBuf>,
    /// Show at most so many entries
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    limit: Option<usize>,
    /// Write the newest signed note to F: what `rvf verify --checkpoint F` compares with later
    #[arg(long, value_name = "F")]
    checkpoint_out: Option<PathBuf>,
    /// Prove that the store goes on from a checkpoint; exit code 1 if it does not
    #[arg(long, value_name = "FROM_CHECKPOINT", conflicts_with = "at")]
    proof: Option<PathBuf>,
    /// Prove that the entry with this index is in the history that is signed; --out takes the proof
    #[arg(long, value_name = "INDEX", requires = "out", conflicts_with = "at")]
    prove: Option<u64>,
    /// Where --prove writes
    #[arg(long, value_name = "F", requires = "prove")]
    out: Option<PathBuf>,
    /// Replace files that --checkpoint-out and --out name
    #[arg(long)]
    force: bool,
    /// Check a proof that --prove wrote, without the store; exit code 1 if it proves nothing
    #[arg(long, value_name = "PROOF", conflicts_with_all = ["file", "limit", "checkpoint_out", "proof", "prove", "out", "force", "at"])]
    check: Option<PathBuf>,
    /// With --check: the public key that has to have signed the proof's note
    #[arg(long, value_name = "PUB", requires = "check", required_unless_present = "file")]
    key: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
}

pub(crate) fn run(args: &AuditArgs, ui: &Ui) -> Outcome {
    if let Some(proof) = &args.check {
        return proofs::check(proof, args.key.as_deref(), ui);
    }
    let path = args.file.as_deref().unwrap_or(Path::new(""));
    let opened = open_with_or_without(path, &args.read, ui)?;
    opened.warn(ui);
    let chain = Chain::of(&opened.snapshot, path)?;
    let done = Done::of(args, path, &opened.snapshot, ui)?;
    ui.result(&chain.to_json(args.limit, &done), || match done.is_empty() {
        true => chain.tell(args.limit, ui),
        false => done.tell(path, ui),
    })?;
    Ok(if done.extension.as_ref().is_some_and(|extension| extension.departure.is_some()) { NO } else { 0 })
}

/// The audit entries of a store, newest first.
struct Chain {
    entries: Vec<LogEntry>,
    head: Hash,
    tree_root: Hash,
    signed: Option<u64>,
}

impl Chain {
    fn of(snapshot: &Snapshot, path: &Path) -> Result<Self, Failure> {
        let entries = snapshot.log(usize::MAX).map_err(Failure::of(path))?;
        let mut edge = Edge::default();
        entries.iter().rev().for_each(|entry| edge.push(leaf(&entry.entry_hash)));
        let (head, signed) = (snapshot.root().witness_head, snapshot.signed_epoch());
        Ok(Self { entries, head, tree_root: edge.root(), signed })
    }

    fn shown(&self, limit: Option<usize>) -> impl Iterator<Item = &LogEntry> {
        self.entries.iter().take(limit.unwrap_or(usize::MAX))
    }

    fn to_json(&self, limit: Option<usize>, done: &Done) -> Value {
        let mut value = json!({
            "entries": self.shown(limit).map(entry_json).collect::<Vec<Value>>(),
            "size": self.entries.len(),
            "head": hex(&self.head),
            "tree_root": hex(&self.tree_root),
            "signed": self.signed,
        });
        done.add_to(&mut value);
        value
    }

    fn tell(&self, limit: Option<usize>, ui: &Ui) -> Result<(), Failure> {
        let cells = |entry: &LogEntry| {
            vec![
                entry.index.to_string(),
                entry.epoch.to_string(),
                time(entry.time_ns),
                entry.operation.name(),
                format!("+{}", entry.added),
                format!("-{}", entry.deleted),
                short_hex(&entry.state_hash),
                short_hex(&entry.entry_hash),
                entry.actor.clone(),
            ]
        };
        let rows: Vec<Vec<String>> = self.shown(limit).map(cells).collect();
        let head = ["index", "epoch", "time", "operation", "added", "deleted", "root hash", "entry hash", "actor"];
        ui.table(&head, &rows)?;
        ui.line("")?;
        ui.facts(&[
            ("entries", grouped(self.entries.len() as u64)),
            ("head", hex(&self.head)),
            ("tree root", hex(&self.tree_root)),
            ("signed", self.signed.map_or_else(|| "no".to_owned(), |epoch| format!("epoch {epoch}"))),
        ])
    }
}

/// What was asked besides showing the entries.
#[derive(Default)]
struct Done {
    checkpoint: Option<(PathBuf, Note)>,
    extension: Option<Extension>,
    proved: Option<Proved>,
}

impl Done {
    fn of(args: &AuditArgs, path: &Path, snapshot: &Snapshot, ui: &Ui) -> Result<Self, Failure> {
        let mut done = Self::default();
        let seen = args.proof.as_deref().map(super::trusted::read_note).transpose()?;
        if seen.is_some() || args.prove.is_some() {
            let verified = Verified::of(path, ui)?;
            done.extension = seen.map(|seen| Extension::of(&verified, &seen, path)).transpose()?;
            if let (Some(index), Some(out)) = (args.prove, &args.out) {
                done.proved = Some(Proved::write(&verified, snapshot, index, (path, out), args.force)?);
            }
        }
        if let Some(out) = &args.checkpoint_out {
            let note = newest_note(snapshot, path, ui)?;
            write_new(out, note.render().as_bytes(), args.force, path)?;
            done.checkpoint = Some((out.clone(), note));
        }
        Ok(done)
    }

    fn is_empty(&self) -> bool {
        self.checkpoint.is_none() && self.extension.is_none() && self.proved.is_none()
    }

    fn add_to(&self, value: &mut Value) {
        if let Some((file, note)) = &self.checkpoint {
            let (statement, file) = (note.statement(), file.display().to_string());
            value["checkpoint"] = json!({
                "file": file, "epoch": statement.epoch, "size": statement.size, "root": hex(&statement.root),
                "signer": signer(note),
            });
        }
        self.extension.iter().for_each(|extension| extension.add_to(value));
        self.proved.iter().for_each(|proved| value["proved"] = proved.to_json());
    }

    fn tell(&self, path: &Path, ui: &Ui) -> Result<(), Failure> {
        self.extension.as_ref().map_or(Ok(()), |extension| extension.tell(path, ui))?;
        self.proved.as_ref().map_or(Ok(()), |proved| proved.tell(ui))?;
        let Some((file, note)) = &self.checkpoint else { return Ok(()) };
        let (file, epoch) = (file.display().to_string(), note.statement().epoch);
        ui.line(format!(
            "wrote {}: epoch {epoch} as {} signed it; keep it away from the store",
            plain(&file),
            plain(signer(note))
        ))
    }
}

pub(super) fn signer(note: &Note) -> &str {
    note.signatures().first().map_or("", |line| key_id(&line.name))
}

/// The newest signed note; says so where commits came after it.
fn newest_note(snapshot: &Snapshot, path: &Path, ui: &Ui) -> Result<Note, Failure> {
    let newest = snapshot.notes().map_err(Failure::of(path))?.pop();
    let note = newest
        .ok_or_else(|| proofs::not_signed(path, &format!("no commit is signed, up to epoch {}", snapshot.epoch())))?;
    if note.statement().epoch != snapshot.epoch() {
        ui.warn(format!(
            "epoch {} is signed, and the newest, {}, is not: `rvf sign {} --key PREFIX.key` signs it",
            note.statement().epoch,
            snapshot.epoch(),
            path.display()
        ));
    }
    Ok(note)
}

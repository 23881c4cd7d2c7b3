//! Proofs that are checked without the file: that an audit entry is among those that a note states, that one note's file goes on from another's.

use super::History;
use crate::sign::PublicKey;
use core::fmt;
use rvf_format::digest::{Hash, shake256};
use rvf_format::merkle;
use rvf_format::note::Note;
use rvf_format::payload::witness::Entry;

/// A proof that an audit entry is one of those that a signed note states (RFC 6962, section 2.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryProof {
    /// The entry as it is stored.
    pub entry: Vec<u8>,
    /// Its place among the entries, from 0.
    pub index: u64,
    /// The nodes of the tree that lead from it to the root, from the bottom up.
    pub path: Vec<Hash>,
    /// The note whose tree it is.
    pub note: Note,
}

/// A proof that the tree of one note goes on from that of another (RFC 6962, section 2.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionProof {
    /// The nodes of the tree.
    pub path: Vec<Hash>,
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProofError {
    /// The entry's bytes are no audit entry.
    Entry,
    /// The entry has another index.
    Index,
    /// The path does not lead to the root of the note's tree.
    Path,
    /// The note is not signed by the key.
    Note(crate::sign::SignatureFault),
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProofError::Entry => f.write_str("the entry's bytes are no audit entry"),
            ProofError::Index => f.write_str("the entry has another index than the proof says"),
            ProofError::Path => f.write_str("the entry is not in the tree that the note states"),
            ProofError::Note(fault) => write!(f, "the note: {fault}"),
        }
    }
}

impl std::error::Error for ProofError {}

impl EntryProof {
    /// The proof of an entry, by a note of the same file; `None` if the note states fewer entries, or another tree.
    pub fn new(history: &History<'_>, entry: &Entry, note: &Note) -> Option<Self> {
        let size = usize::try_from(note.statement().size).ok()?;
        let leaves = history.trail().leaves();
        let index = entry.fixed.index.get();
        let path = merkle::inclusion(leaves.get(..size)?, usize::try_from(index).ok()?)?;
        let proof = Self { entry: entry.encode(), index, path, note: note.clone() };
        proof.check(None).is_ok().then_some(proof)
    }

    /// Checks the proof, and the note by a key if one is given. Returns the entry.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn check(&self, key: Option<&PublicKey>) -> Result<Entry, ProofError> {
        let (entry, rest) = Entry::read(&self.entry, 0).map_err(|_| ProofError::Entry)?;
        if !rest.is_empty() {
            return Err(ProofError::Entry);
        }
        if entry.fixed.index.get() != self.index {
            return Err(ProofError::Index);
        }
        let (statement, leaf) = (self.note.statement(), merkle::leaf(&shake256(&self.entry)));
        if !merkle::includes(&leaf, self.index, statement.size, &self.path, &statement.root) {
            return Err(ProofError::Path);
        }
        key.map_or(Ok(()), |key| key.verify(&self.note).map_err(ProofError::Note))?;
        Ok(entry)
    }
}

impl ExtensionProof {
    /// Whether `newer` goes on from `older`, both about one file.
    pub fn check(&self, older: &Note, newer: &Note) -> bool {
        let (old, new) = (older.statement(), newer.statement());
        old.file_id == new.file_id && merkle::extends((old.size, &old.root), (new.size, &new.root), &self.path)
    }
}

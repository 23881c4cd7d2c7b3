//! What is signed, and how signatures stand beneath it: the text of a [`Statement`], and the signed [`Note`].
//!
//! Both are texts of which each has one form: what [`Note::parse`] reads, [`Note::render`] writes again byte for byte
//! (`spec/audit.md`, "Statement and note"). Whether a signature is right is not judged here.

use crate::base64;
use crate::digest::{Hash, hex};
use core::fmt;
use sha2::{Digest, Sha256};

/// Longest note, bytes.
pub const MAX_NOTE: usize = 64 << 10;
/// Most signature lines of a note.
pub const MAX_SIGNATURES: usize = 16;

/// What of a file's history is signed: everything up to one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Of the file.
    pub file_id: [u8; 16],
    /// Number of audit entries; the newest one is that of the signed commit.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
    /// Of the signed commit.
    pub epoch: u64,
    /// State hash of the signed commit.
    pub state_hash: Hash,
    /// Epoch of the signed commit before, 0 without one.
    pub previous: u64,
    /// Which signatures the file asks for.
    pub policy: Policy,
}

/// Which signatures a statement needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Ed25519 and ML-DSA-65, both.
    Ed25519AndMlDsa65,
}

impl Policy {
    /// As the statement writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Policy::Ed25519AndMlDsa65 => "ed25519+ml-dsa-65",
        }
    }
}

/// One signature beneath a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine {
    /// Name of the signer: no spaces, no control characters, no `+`.
    pub name: String,
    /// Which key, as far as four bytes tell: see [`key_hash`].
    pub hash: [u8; 4],
    /// The signature, not empty.
    pub signature: Vec<u8>,
}

/// A statement and signatures of its text, right or wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    statement: Statement,
    text: String,
    signatures: Vec<SignatureLine>,
}

/// Why bytes are no note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteError {
    /// Line of the text, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: NoteFault,
}

/// What is wrong with a line of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoteFault {
    /// The note has more than [`MAX_NOTE`] bytes.
    TooLong,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// The text ends where a line was due, or in the middle of one.
    Cut,
    /// Not `rvf/` and 32 hexadecimal digits in lower case.
    Origin,
    /// Not a decimal number below 2^64, without leading zeros.
    Size,
    /// Not the base64 of 32 bytes.
    Root,
    /// Not `epoch` and a number.
    Epoch,
    /// Not `state` and 64 hexadecimal digits in lower case.
    State,
    /// Not `previous` and a number.
    Previous,
    /// Not `policy ed25519+ml-dsa-65`.
    Policy,
    /// Something after the statement where an empty line was due.
    NotEmpty,
    /// More than [`MAX_SIGNATURES`] signature lines.
    TooMany,
    /// Not a dash (U+2014), a name and a signature, with one space between them.
    Form,
    /// No name that a signer can have.
    Name,
    /// Not the padded base64 of a key hash and a signature.
    Signature,
}

impl Statement {
    /// The text that is signed.
    pub fn render(&self) -> String {
        let mut root = String::new();
        base64::encode_into(&mut root, &self.root);
        format!(
            "rvf/{}\n{}\n{root}\nepoch {}\nstate {}\nprevious {}\npolicy {}\n",
            hex(&self.file_id),
            self.size,
            self.epoch,
            hex(&self.state_hash),
            self.previous,
            self.policy.name(),
        )
    }

    /// Reads the text of a statement, and nothing else.
    ///
    /// # Errors
    /// [`NoteError`] where the text is not what [`Statement::render`] writes.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut lines = Lines { rest: text, line: 0 };
        let statement = Self::read(&mut lines)?;
        if lines.rest.is_empty() { Ok(statement) } else { Err(NoteError { line: 8, fault: NoteFault::NotEmpty }) }
    }

    fn read(lines: &mut Lines) -> Result<Self, NoteError> {
        Ok(Self {
            file_id: lines.value("rvf/", NoteFault::Origin, from_hex)?,
            size: lines.value("", NoteFault::Size, number)?,
            root: lines.value("", NoteFault::Root, |text| base64::decode(text)?.try_into().ok())?,
            epoch: lines.value("epoch ", NoteFault::Epoch, number)?,
            state_hash: lines.value("state ", NoteFault::State, from_hex)?,
            previous: lines.value("previous ", NoteFault::Previous, number)?,
            policy: lines.value("policy ", NoteFault::Policy, policy)?,
        })
    }
}

impl Note {
    /// A note of these signatures.
    ///
    /// # Errors
    /// [`NoteError`] if there is none, one that no note can hold, or if they are too many or too long; the line is the one that it
    /// would have in the note.
    pub fn new(statement: Statement, signatures: Vec<SignatureLine>) -> Result<Self, NoteError> {
        let note = Self { text: statement.render(), statement, signatures };
        Self::parse(note.render().as_bytes())
    }

    /// Reads a note. It holds on to less than the note's own length, and a fixed size for each of at most [`MAX_SIGNATURES`] lines.
    ///
    /// # Errors
    /// [`NoteError`] where the bytes are not what [`Note::render`] writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE {
            return Err(NoteError { line: 1, fault: NoteFault::TooLong });
        }
        let all = core::str::from_utf8(bytes).map_err(|error| {
            let before = bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
            NoteError { line: before + 1, fault: NoteFault::NotUtf8 }
        })?;
        let mut lines = Lines { rest: all, line: 0 };
        let statement = Statement::read(&mut lines)?;
        let text = &all[..all.len() - lines.rest.len()];
        lines.value("", NoteFault::NotEmpty, |text| text.is_empty().then_some(()))?;
        let mut signatures = Vec::new();
        while signatures.is_empty() || !lines.rest.is_empty() {
            if signatures.len() == MAX_SIGNATURES {
                return Err(NoteError { line: lines.line + 1, fault: NoteFault::TooMany });
            }
            signatures.push(SignatureLine::read(&mut lines)?);
        }
        Ok(Self { statement, text: text.to_owned(), signatures })
    }

    /// The note as it is stored and passed on.
    pub fn render(&self) -> String {
        let mut note = format!("{}\n", self.text);
        for line in &self.signatures {
            note.push_str("— ");
            note.push_str(&line.name);
            note.push(' ');
            base64::encode_into(&mut note, &[&line.hash, line.signature.as_slice()].concat());
            note.push('\n');
        }
        note
    }

    /// What is signed.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The text of the statement: the message of every signature.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, 1 to [`MAX_SIGNATURES`], in the order of the note.
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }
}

impl SignatureLine {
    fn read(lines: &mut Lines) -> Result<Self, NoteError> {
        let line = lines.value("— ", NoteFault::Form, Some)?;
        let fail = |fault| NoteError { line: lines.line, fault };
        let (name, signature) = line.split_once(' ').ok_or(fail(NoteFault::Form))?;
        if name.is_empty()
            || name.contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == '+')
        {
            return Err(fail(NoteFault::Name));
        }
        let mut bytes = base64::decode(signature).ok_or(fail(NoteFault::Signature))?;
        let Some((hash, rest)) = bytes.split_first_chunk::<4>().filter(|(_, rest)| !rest.is_empty()) else {
            return Err(fail(NoteFault::Signature));
        };
        let (hash, kept) = (*hash, rest.len());
        bytes.copy_within(4.., 0);
        bytes.truncate(kept);
        Ok(Self { name: name.to_owned(), hash, signature: bytes })
    }
}

/// The name under which a key signs.
pub fn signer_name(key_id: &[u8; 16]) -> String {
    format!("rvf-{}", hex(key_id))
}

/// The hash of a key in a signature line: of its name, of the bytes that stand for the algorithm, of the public key.
pub fn key_hash(name: &str, algorithm: &[u8], public_key: &[u8]) -> [u8; 4] {
    let hasher = Sha256::new().chain_update(name).chain_update(b"\n").chain_update(algorithm).chain_update(public_key);
    let [a, b, c, d, ..] = hasher.finalize().0;
    [a, b, c, d]
}

/// The lines of a text that are not read yet.
struct Lines<'a> {
    rest: &'a str,
    /// Number of the line read last, from 1.
    line: usize,
}

impl<'a> Lines<'a> {
    /// What the next line says behind `word`.
    fn value<T>(
        &mut self,
        word: &str,
        fault: NoteFault,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, NoteError> {
        self.line += 1;
        let cut = NoteError { line: self.line, fault: NoteFault::Cut };
        let (line, rest) = self.rest.split_once('\n').ok_or(cut)?;
        self.rest = rest;
        line.strip_prefix(word).and_then(read).ok_or(NoteError { line: self.line, fault })
    }
}

/// A decimal number without leading zeros.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}

/// Hexadecimal digits in lower case, two for each byte.
fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let pairs: &[[u8; 2]; N] = pairs.try_into().ok().filter(|_| rest.is_empty())?;
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn policy(text: &str) -> Option<Policy> {
    (text == Policy::Ed25519AndMlDsa65.name()).then_some(Policy::Ed25519AndMlDsa65)
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            NoteFault::TooLong => "the note is longer than 64 KiB",
            NoteFault::NotUtf8 => "bytes that are not UTF-8",
            NoteFault::Cut => "the note ends too early",
            NoteFault::Origin => "not `rvf/` and 32 hexadecimal digits",
            NoteFault::Size => "not a number of audit entries",
            NoteFault::Root => "not the base64 of 32 bytes",
            NoteFault::Epoch => "not `epoch` and a number",
            NoteFault::State => "not `state` and 64 hexadecimal digits",
            NoteFault::Previous => "not `previous` and a number",
            NoteFault::Policy => "not `policy ed25519+ml-dsa-65`",
            NoteFault::NotEmpty => "not the empty line behind the statement",
            NoteFault::TooMany => "more than 16 signature lines",
            NoteFault::Form => "not a dash, a name and a signature",
            NoteFault::Name => "not the name of a signer",
            NoteFault::Signature => "not the base64 of a key hash and a signature",
        };
        write!(f, "line {}: {what}", self.line)
    }
}

impl std::error::Error for NoteError {}

#[cfg(test)]
mod tests;

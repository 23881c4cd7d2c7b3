//! Judging a note: [`PublicKey::verify`], [`SignatureFault`].

use super::PublicKey;
use core::fmt;
use rvf_format::note::{Note, SignatureLine};

/// The context string of ML-DSA: a signature of a statement is none of anything else.
pub(super) const CONTEXT: &[u8] = b"rvf-checkpoint-v1";

/// One of the two algorithms of a key pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ML-DSA-65 (FIPS 204).
    MlDsa65,
}

impl Algorithm {
    /// Both, in the order of their lines.
    pub const BOTH: [Algorithm; 2] = [Algorithm::Ed25519, Algorithm::MlDsa65];

    /// Its name, as in the policy line of a statement.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Ed25519 => "ed25519",
            Algorithm::MlDsa65 => "ml-dsa-65",
        }
    }

    /// What stands for it in a key hash.
    pub(super) const fn code(self) -> &'static [u8] {
        match self {
            Algorithm::Ed25519 => b"\x01",
            Algorithm::MlDsa65 => b"\xFFrvf.ml-dsa-65",
        }
    }
}

/// Why a note is not signed by a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureFault {
    /// No signature line has the key's name.
    NoLine,
    /// The key's line of this algorithm is missing: the other one alone is worth nothing.
    Missing(Algorithm),
    /// The key has more than one line of this algorithm.
    Repeated(Algorithm),
    /// The ML-DSA-65 line stands before the Ed25519 line.
    Order,
    /// The signature is not one of this text by this key.
    Wrong(Algorithm),
}

impl fmt::Display for SignatureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignatureFault::NoLine => f.write_str("not signed by this key"),
            SignatureFault::Missing(algorithm) => {
                write!(f, "the {} signature of this key is missing", algorithm.name())
            }
            SignatureFault::Repeated(algorithm) => {
                write!(f, "the {} signature of this key stands there more than once", algorithm.name())
            }
            SignatureFault::Order => f.write_str("the signatures of this key stand in the wrong order"),
            SignatureFault::Wrong(algorithm) => write!(f, "the {} signature of this key is wrong", algorithm.name()),
        }
    }
}

impl std::error::Error for SignatureFault {}

impl PublicKey {
    /// Whether a note is signed by this key, with both algorithms. Lines of other signers say nothing about that.
    ///
    /// # Errors
    /// [`SignatureFault`], the first one.
    pub fn verify(&self, note: &Note) -> Result<(), SignatureFault> {
        let first = self.line_of(note, Algorithm::Ed25519)?;
        let second = self.line_of(note, Algorithm::MlDsa65)?;
        if first > second {
            return Err(SignatureFault::Order);
        }
        Algorithm::BOTH.into_iter().try_for_each(|algorithm| self.verify_one(note, algorithm))
    }

    /// Whether the signature of one algorithm is there once, and right. That alone is worth nothing: see [`PublicKey::verify`].
    ///
    /// # Errors
    /// [`SignatureFault`], not [`SignatureFault::Order`].
    pub fn verify_one(&self, note: &Note, algorithm: Algorithm) -> Result<(), SignatureFault> {
        let at = self.line_of(note, algorithm)?;
        let signature = note.signatures().get(at).map_or(&[][..], |line| &line.signature);
        let message = note.text().as_bytes();
        let right = match algorithm {
            Algorithm::Ed25519 => self.ed25519.verify(message, signature),
            Algorithm::MlDsa65 => self.ml_dsa.verify(message, CONTEXT, signature),
        };
        if right { Ok(()) } else { Err(SignatureFault::Wrong(algorithm)) }
    }

    /// Which line of the note is this key's of an algorithm.
    fn line_of(&self, note: &Note, algorithm: Algorithm) -> Result<usize, SignatureFault> {
        let name = self.name();
        let is_own = |line: &SignatureLine| line.name == name;
        if !note.signatures().iter().any(is_own) {
            return Err(SignatureFault::NoLine);
        }
        let is_meant = |line: &SignatureLine| is_own(line) && line.hash == self.hash(algorithm);
        let mut found = (0..).zip(note.signatures()).filter(|(_, line)| is_meant(line));
        match (found.next(), found.next()) {
            (Some((at, _)), None) => Ok(at),
            (None, _) => Err(SignatureFault::Missing(algorithm)),
            (Some(_), Some(_)) => Err(SignatureFault::Repeated(algorithm)),
        }
    }
}

//! Keys and signatures: a [`SecretKey`] signs a statement about a file's history, a [`PublicKey`] judges the note that comes of it.
//!
//! Every signature is two, Ed25519 and ML-DSA-65, and both must be right: a forger has to break an algorithm that is well understood
//! and one that withstands quantum computers (`spec/audit.md`).
//!
//! | file | owns |
//! | --- | --- |
//! | `key.rs` | [`SecretKey`], [`PublicKey`], [`KeyId`]: making and signing |
//! | `file.rs` | key files: read with care, never overwritten |
//! | `signature.rs` | judging a note, [`SignatureFault`] |
//! | `algorithm.rs` | the two algorithms, bytes in and bytes out |

#[doc(hidden)]
pub mod algorithm;
mod file;
mod key;
mod signature;

use crate::Result;
use core::fmt::Debug;
use rvf_format::note::{Note, Statement};

pub use key::{KeyId, PublicKey, SecretKey};
pub use signature::{Algorithm, SignatureFault};

/// Whoever signs commits: a [`SecretKey`], or something that keeps one elsewhere.
pub trait Signer: Debug + Send + Sync {
    /// Signs a statement, with both algorithms.
    ///
    /// # Errors
    /// [`crate::Error::SigningFailed`].
    fn sign(&self, statement: &Statement) -> Result<Note>;

    /// Whose signatures they are.
    fn key_id(&self) -> KeyId;
}

impl Signer for SecretKey {
    fn sign(&self, statement: &Statement) -> Result<Note> {
        SecretKey::sign(self, statement)
    }

    fn key_id(&self) -> KeyId {
        self.public().id()
    }
}

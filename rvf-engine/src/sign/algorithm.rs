//! The two algorithms, bytes in and bytes out. The only file that names their crates; public for the tests with published vectors.

use ed25519_dalek::Signer;
use ml_dsa::{EncodedVerifyingKey, ExpandedSigningKey, MlDsa65, Seed};
use zeroize::Zeroizing;

/// Bytes of an Ed25519 public key.
pub const ED25519_PUBLIC: usize = 32;
/// Bytes of an ML-DSA-65 public key.
pub const ML_DSA_65_PUBLIC: usize = 1952;

/// An Ed25519 secret key, cleared when it is dropped.
pub struct Ed25519Secret(ed25519_dalek::SigningKey);

impl Ed25519Secret {
    /// The key of a seed (RFC 8032, 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The seed.
    pub fn seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The public half.
    pub fn public(&self) -> Ed25519Public {
        Ed25519Public(self.0.verifying_key())
    }

    /// The signature of a message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).to_bytes().to_vec()
    }
}

/// An Ed25519 public key: encoded canonically, not of small order.
#[derive(Clone)]
pub struct Ed25519Public(ed25519_dalek::VerifyingKey);

impl Ed25519Public {
    /// Reads a key; `None` where the bytes are no point of the curve, another encoding of one, or a point of small order, of
    /// which everyone can make signatures.
    pub fn from_bytes(bytes: &[u8; ED25519_PUBLIC]) -> Option<Self> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).ok()?;
        let canonical = key.to_edwards().compress().to_bytes() == *bytes;
        (canonical && !key.is_weak()).then_some(Self(key))
    }

    /// The key as it is stored.
    pub fn to_bytes(&self) -> [u8; ED25519_PUBLIC] {
        self.0.to_bytes()
    }

    /// Whether a signature is right, judged strictly: one signature has one form, and no point has a small order.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = ed25519_dalek::Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

/// An ML-DSA-65 secret key, cleared when it is dropped.
pub struct MlDsa65Secret {
    seed: Zeroizing<[u8; 32]>,
    key: Box<ExpandedSigningKey<MlDsa65>>,
}

impl MlDsa65Secret {
    /// The key of a seed (xi in FIPS 204, algorithm 1).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let of_crate = Zeroizing::new(Seed::from(*seed));
        Self { seed: Zeroizing::new(*seed), key: Box::new(ExpandedSigningKey::from_seed(&of_crate)) }
    }

    /// The seed.
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The public half.
    pub fn public(&self) -> MlDsa65Public {
        MlDsa65Public(Box::new(self.key.verifying_key()))
    }

    /// The deterministic signature of a message under a context string; `None` where the context has more than 255 bytes, or no
    /// signature is found, which does not happen.
    pub fn sign(&self, message: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let signature = self.key.sign_deterministic(message, context).ok()?;
        Some(signature.encode().to_vec())
    }
}

/// An ML-DSA-65 public key.
#[derive(Clone)]
pub struct MlDsa65Public(Box<ml_dsa::VerifyingKey<MlDsa65>>);

impl MlDsa65Public {
    /// Reads a key: any bytes of this length are one.
    pub fn from_bytes(bytes: &[u8; ML_DSA_65_PUBLIC]) -> Self {
        Self(Box::new(ml_dsa::VerifyingKey::decode(&EncodedVerifyingKey::<MlDsa65>::from(*bytes))))
    }

    /// The key as it is stored.
    pub fn to_bytes(&self) -> [u8; ML_DSA_65_PUBLIC] {
        self.0.encode().into()
    }

    /// Whether a signature is right under a context string.
    pub fn verify(&self, message: &[u8], context: &[u8], signature: &[u8]) -> bool {
        let signature = ml_dsa::Signature::<MlDsa65>::try_from(signature);
        signature.is_ok_and(|signature| self.0.verify_with_context(message, context, &signature))
    }
}

//! The two files of a key pair: the secret seeds, the public keys. Bytes only: whether a seed belongs to a key is judged by who
//! knows the algorithms.

use crate::{digest, layout};
use core::fmt;
use zerocopy::byteorder::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of an Ed25519 public key.
pub const ED25519_PUBLIC: usize = 32;
/// Bytes of an ML-DSA-65 public key.
pub const ML_DSA_65_PUBLIC: usize = 1952;
/// First bytes of a secret key file.
pub const SECRET_MAGIC: [u8; 8] = *b"RVFSECK1";
/// First bytes of a public key file.
pub const PUBLIC_MAGIC: [u8; 8] = *b"RVFPUBK1";
/// Version of both.
pub const KEY_VERSION: u16 = 1;

/// 32 secret bytes, which are never printed.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct Seed(pub [u8; 32]);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(secret)")
    }
}

layout! {
    /// The secret half of a key pair. View it in place, and clear the bytes after use.
    pub struct SecretKeyFile = "secret-key-file", 128 bytes {
        /// [`SECRET_MAGIC`].
        0x00 magic: "[8]" [u8; 8],
        /// [`KEY_VERSION`].
        0x08 version: "u16" U16,
        /// 0.
        0x0A reserved: "[6]" [u8; 6],
        /// Ed25519 seed (RFC 8032, 5.1.5).
        0x10 ed25519_seed: "[32]" Seed,
        /// ML-DSA-65 seed xi (FIPS 204, algorithm 1).
        0x30 ml_dsa_seed: "[32]" Seed,
        /// Of the public keys: [`key_id`].
        0x50 key_id: "[16]" [u8; 16],
        /// BLAKE3 of the bytes before it.
        0x60 checksum: "[32]" [u8; 32],
    }
}

layout! {
    /// The public half of a key pair.
    pub struct PublicKeyFile = "public-key-file", 2048 bytes {
        /// [`PUBLIC_MAGIC`].
        0x000 magic: "[8]" [u8; 8],
        /// [`KEY_VERSION`].
        0x008 version: "u16" U16,
        /// 0.
        0x00A reserved: "[6]" [u8; 6],
        /// Ed25519 public key.
        0x010 ed25519_public: "[32]" [u8; ED25519_PUBLIC],
        /// ML-DSA-65 public key.
        0x030 ml_dsa_public: "[1952]" [u8; ML_DSA_65_PUBLIC],
        /// Of the two: [`key_id`].
        0x7D0 key_id: "[16]" [u8; 16],
        /// BLAKE3 of the bytes before it.
        0x7E0 checksum: "[32]" [u8; 32],
    }
}

/// What is wrong with a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFileFault {
    /// Neither a secret nor a public key.
    NotAKey,
    /// The public key where the secret one was asked for.
    IsPublic,
    /// The secret key where the public one was asked for.
    IsSecret,
    /// Another version than 1.
    Version,
    /// Too short or too long.
    Length {
        /// What it has to be, bytes.
        expected: usize,
    },
    /// Bytes were changed.
    Checksum,
    /// A reserved byte is not zero.
    Reserved,
    /// The key id is not that of the keys.
    KeyId,
    /// No point of the curve, or one with which signatures prove nothing.
    WeakKey,
}

/// The id of a key pair: the first 16 bytes of BLAKE3 over a word of 32 bytes and both public keys.
pub fn key_id(ed25519: &[u8; ED25519_PUBLIC], ml_dsa: &[u8; ML_DSA_65_PUBLIC]) -> [u8; 16] {
    let mut word = [0; 32];
    word[..13].copy_from_slice(b"rvf key id v1");
    let [low, _] = zerocopy::transmute!(digest::blake3_pieces(&[&word, ed25519, ml_dsa]));
    low
}

impl SecretKeyFile {
    /// The file of these seeds.
    pub fn new(ed25519_seed: &[u8; 32], ml_dsa_seed: &[u8; 32], key_id: [u8; 16]) -> Self {
        let mut file = Self::zeroed();
        file.magic = SECRET_MAGIC;
        file.version.set(KEY_VERSION);
        file.ed25519_seed = Seed(*ed25519_seed);
        file.ml_dsa_seed = Seed(*ml_dsa_seed);
        file.key_id = key_id;
        file.checksum = checksum(file.as_bytes());
        file
    }

    /// Views the bytes of a file; its key id is not judged.
    ///
    /// # Errors
    /// [`KeyFileFault`].
    pub fn view(bytes: &[u8]) -> Result<&Self, KeyFileFault> {
        let file: &Self = whole(bytes, SECRET_MAGIC, PUBLIC_MAGIC, KeyFileFault::IsPublic)?;
        if file.reserved == [0; 6] { Ok(file) } else { Err(KeyFileFault::Reserved) }
    }
}

impl PublicKeyFile {
    /// The file of these keys.
    pub fn new(ed25519: &[u8; ED25519_PUBLIC], ml_dsa: &[u8; ML_DSA_65_PUBLIC]) -> Self {
        let mut file = Self::zeroed();
        file.magic = PUBLIC_MAGIC;
        file.version.set(KEY_VERSION);
        file.ed25519_public = *ed25519;
        file.ml_dsa_public = *ml_dsa;
        file.key_id = key_id(ed25519, ml_dsa);
        file.checksum = checksum(file.as_bytes());
        file
    }

    /// Views the bytes of a file, with its key id judged.
    ///
    /// # Errors
    /// [`KeyFileFault`].
    pub fn view(bytes: &[u8]) -> Result<&Self, KeyFileFault> {
        let file: &Self = whole(bytes, PUBLIC_MAGIC, SECRET_MAGIC, KeyFileFault::IsSecret)?;
        match () {
            () if file.reserved != [0; 6] => Err(KeyFileFault::Reserved),
            () if file.key_id != key_id(&file.ed25519_public, &file.ml_dsa_public) => Err(KeyFileFault::KeyId),
            () => Ok(file),
        }
    }
}

/// The first bytes before the length: they say best what a file is that is none of ours.
fn whole<T: FromBytes + KnownLayout + Immutable + Unaligned>(
    bytes: &[u8],
    magic: [u8; 8],
    other: [u8; 8],
    is_other: KeyFileFault,
) -> Result<&T, KeyFileFault> {
    if bytes.starts_with(&other) {
        return Err(is_other);
    }
    if !bytes.starts_with(&magic) {
        return Err(KeyFileFault::NotAKey);
    }
    if bytes.get(8..10).is_some_and(|version| version != KEY_VERSION.to_le_bytes()) {
        return Err(KeyFileFault::Version);
    }
    let file = T::ref_from_bytes(bytes).map_err(|_| KeyFileFault::Length { expected: size_of::<T>() })?;
    if !bytes.ends_with(&checksum(bytes)) {
        return Err(KeyFileFault::Checksum);
    }
    Ok(file)
}

/// Of a file whose last 32 bytes it is.
fn checksum(file: &[u8]) -> [u8; 32] {
    digest::blake3(&file[..file.len().saturating_sub(32)])
}

impl fmt::Display for KeyFileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFileFault::NotAKey => f.write_str("not a key file"),
            KeyFileFault::IsPublic => f.write_str("a public key, where a secret key is needed"),
            KeyFileFault::IsSecret => f.write_str("a secret key, where a public key is needed"),
            KeyFileFault::Version => f.write_str("a key file of another version"),
            KeyFileFault::Length { expected } => write!(f, "a key file of this kind has {expected} bytes"),
            KeyFileFault::Checksum => f.write_str("the key file is damaged: its checksum is wrong"),
            KeyFileFault::Reserved => f.write_str("a reserved byte of the key file is not zero"),
            KeyFileFault::KeyId => f.write_str("the key id is not that of the keys"),
            KeyFileFault::WeakKey => f.write_str("the Ed25519 key is none that a signature can be checked by"),
        }
    }
}

impl std::error::Error for KeyFileFault {}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> (SecretKeyFile, PublicKeyFile) {
        let public = PublicKeyFile::new(&[3; 32], &[4; 1952]);
        (SecretKeyFile::new(&[1; 32], &[2; 32], public.key_id), public)
    }

    fn secret_fault(bytes: &[u8]) -> Option<KeyFileFault> {
        SecretKeyFile::view(bytes).err()
    }

    fn public_fault(bytes: &[u8]) -> Option<KeyFileFault> {
        PublicKeyFile::view(bytes).err()
    }

    #[test]
    fn every_bit_and_every_length_matter() {
        let (secret, public) = files();
        for (file, fault) in
            [(secret.as_bytes(), secret_fault as fn(&[u8]) -> Option<KeyFileFault>), (public.as_bytes(), public_fault)]
        {
            assert_eq!(fault(file), None);
            for bit in 0..file.len() * 8 {
                let mut bytes = file.to_vec();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(fault(&bytes).is_some(), "bit {bit}");
            }
            for length in 0..file.len() {
                assert!(fault(&file[..length]).is_some(), "length {length}");
            }
            let longer = [file, &[0]].concat();
            assert_eq!(fault(&longer), Some(KeyFileFault::Length { expected: file.len() }));
        }
    }

    /// With its checksum made right again, a file still has to be what it says.
    #[test]
    fn what_a_checksum_does_not_see() {
        let resealed = |file: &[u8], at: usize| {
            let mut bytes = file.to_vec();
            bytes[at] ^= 1;
            let end = bytes.len() - 32;
            let sum = checksum(&bytes);
            bytes[end..].copy_from_slice(&sum);
            bytes
        };
        let (secret, public) = files();
        assert_eq!(secret_fault(&resealed(secret.as_bytes(), 0x0F)), Some(KeyFileFault::Reserved));
        assert_eq!(public_fault(&resealed(public.as_bytes(), 0x0A)), Some(KeyFileFault::Reserved));
        assert_eq!(public_fault(&resealed(public.as_bytes(), 0x7D0)), Some(KeyFileFault::KeyId));
        assert_eq!(public_fault(&resealed(public.as_bytes(), 0x10)), Some(KeyFileFault::KeyId));
        assert_eq!(public_fault(&resealed(public.as_bytes(), 0x08)), Some(KeyFileFault::Version));
    }

    #[test]
    fn kinds_are_told_apart_and_secrets_are_not_printed() {
        let (secret, public) = files();
        assert_eq!(secret_fault(public.as_bytes()), Some(KeyFileFault::IsPublic));
        assert_eq!(public_fault(secret.as_bytes()), Some(KeyFileFault::IsSecret));
        assert_eq!(public_fault(b"-----BEGIN PUBLIC KEY-----"), Some(KeyFileFault::NotAKey));
        let printed = format!("{secret:?}");
        assert!(printed.contains("Seed(secret)") && !printed.contains("[1, 1, 1"), "{printed}");
    }
}

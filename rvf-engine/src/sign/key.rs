//! [`SecretKey`], [`PublicKey`], [`KeyId`]: key pairs of Ed25519 and ML-DSA-65.

use super::algorithm::{Ed25519Public, Ed25519Secret, MlDsa65Public, MlDsa65Secret};
use super::file;
use super::signature::{Algorithm, CONTEXT};
use crate::{Error, KeyFault, Result};
use core::fmt;
use rvf_format::key_file::{KeyFileFault, PublicKeyFile, SecretKeyFile, key_id};
use rvf_format::note::{Note, SignatureLine, Statement, key_hash, signer_name};
use std::path::{Path, PathBuf};
use zerocopy::IntoBytes;
use zeroize::{Zeroize, Zeroizing};

/// Which key pair: 16 bytes of a hash over both public keys. Printed as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 16]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The secret half of a key pair, and the public one with it. Its memory is cleared when it is dropped.
///
/// ```
/// use rvf_engine::SecretKey;
/// use rvf_format::note::{Policy, Statement};
/// let key = SecretKey::generate()?;
/// let statement = Statement {
///     file_id: [7; 16], size: 3, root: [1; 32], epoch: 2, state_hash: [2; 32], previous: 0,
///     policy: Policy::Ed25519AndMlDsa65,
/// };
/// let note = key.sign(&statement)?;
/// assert!(note.text().starts_with("rvf/07070707"));
/// assert_eq!(key.public().verify(&note), Ok(()));
/// assert!(SecretKey::generate()?.public().verify(&note).is_err());
/// # Ok::<(), rvf_engine::Error>(())
/// ```
pub struct SecretKey {
    ed25519: Ed25519Secret,
    ml_dsa: MlDsa65Secret,
    public: PublicKey,
}

impl SecretKey {
    /// A new key pair of the operating system's randomness.
    ///
    /// # Errors
    /// [`Error::Io`] if the system gives none.
    pub fn generate() -> Result<Self> {
        let mut seeds = Zeroizing::new([[0; 32]; 2]);
        getrandom::fill(seeds.as_flattened_mut())
            .map_err(|error| Error::io("asking for random bytes", Path::new(""), error.into()))?;
        Ok(Self::from_seeds(&seeds[0], &seeds[1]))
    }

    /// The key pair of two seeds, which are as secret as the key, and should be independent of each other and random.
    pub fn from_seeds(ed25519: &[u8; 32], ml_dsa: &[u8; 32]) -> Self {
        let (ed25519, ml_dsa) = (Ed25519Secret::from_seed(ed25519), MlDsa65Secret::from_seed(ml_dsa));
        let public = PublicKey::of(ed25519.public(), ml_dsa.public());
        Self { ed25519, ml_dsa, public }
    }

    /// Reads a secret key file.
    ///
    /// # Errors
    /// [`Error::Key`] for a file that is not a sound secret key, and on Unix for one that others than its owner may read or
    /// write; [`Error::Io`].
    pub fn load(path: &Path) -> Result<Self> {
        let refuse = |fault| Error::key(path, KeyFault::File(fault));
        let bytes = file::read(path, size_of::<SecretKeyFile>(), file::Readers::OwnerOnly)?;
        let view = SecretKeyFile::view(&bytes).map_err(refuse)?;
        let key = Self::from_seeds(&view.ed25519_seed.0, &view.ml_dsa_seed.0);
        if view.key_id == key.public.id.0 { Ok(key) } else { Err(refuse(KeyFileFault::KeyId)) }
    }

    /// Writes `PREFIX.key`, which only its owner may read, and `PREFIX.pub`, both or neither; returns their paths in this order.
    ///
    /// ```
    /// use rvf_engine::{Error, PublicKey, SecretKey};
    /// let folder = tempfile::tempdir()?;
    /// let key = SecretKey::generate()?;
    /// let (secret, public) = key.save(&folder.path().join("release"))?;
    /// assert!(secret.ends_with("release.key") && public.ends_with("release.pub"));
    /// assert_eq!(SecretKey::load(&secret)?.public().id(), PublicKey::load(&public)?.id());
    /// assert!(matches!(key.save(&folder.path().join("release")), Err(Error::Exists { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Exists`] if one of the two is there; [`Error::Io`].
    pub fn save(&self, prefix: &Path) -> Result<(PathBuf, PathBuf)> {
        let [secret, public] = [".key", ".pub"].map(|ending| {
            let mut name = prefix.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        });
        self.public.save(&public)?;
        self.save_secret(&secret).inspect_err(|_| file::take_back(&public))?;
        Ok((secret, public))
    }

    fn save_secret(&self, path: &Path) -> Result<()> {
        let mut content = SecretKeyFile::new(self.ed25519.seed(), self.ml_dsa.seed(), self.public.id.0);
        let created = file::create(path, content.as_bytes(), file::Readers::OwnerOnly);
        content.as_mut_bytes().zeroize();
        created
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a statement with both algorithms. Both are deterministic: the same key and statement give the same note.
    ///
    /// # Errors
    /// [`Error::SigningFailed`] if what was computed does not verify; it is not given out then.
    pub fn sign(&self, statement: &Statement) -> Result<Note> {
        let text = statement.render();
        let ed25519 = self.ed25519.sign(text.as_bytes());
        let ml_dsa = self.ml_dsa.sign(text.as_bytes(), CONTEXT).ok_or(Error::SigningFailed)?;
        let lines = vec![self.public.line(Algorithm::Ed25519, ed25519), self.public.line(Algorithm::MlDsa65, ml_dsa)];
        let note = Note::new(statement.clone(), lines).map_err(|_| Error::SigningFailed)?;
        // A bit that flipped on the way would not only make the signature useless: two signatures of one text, one of them
        // wrong, can tell the secret key.
        self.public.verify(&note).map_err(|_| Error::SigningFailed)?;
        Ok(note)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public.id)
    }
}

/// The public half of a key pair: judges signatures.
#[derive(Clone)]
pub struct PublicKey {
    pub(super) ed25519: Ed25519Public,
    pub(super) ml_dsa: MlDsa65Public,
    id: KeyId,
    /// Key hashes of the two lines, in the order of [`Algorithm`].
    hashes: [[u8; 4]; 2],
}

impl PublicKey {
    fn of(ed25519: Ed25519Public, ml_dsa: MlDsa65Public) -> Self {
        let (first, second) = (ed25519.to_bytes(), ml_dsa.to_bytes());
        let id = key_id(&first, &second);
        let name = signer_name(&id);
        let hashes =
            [key_hash(&name, Algorithm::Ed25519.code(), &first), key_hash(&name, Algorithm::MlDsa65.code(), &second)];
        Self { ed25519, ml_dsa, id: KeyId(id), hashes }
    }

    /// Reads a public key file.
    ///
    /// # Errors
    /// [`Error::Key`] for a file that is not a sound public key; [`Error::Io`].
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = file::read(path, size_of::<PublicKeyFile>(), file::Readers::All)?;
        let refuse = |fault| Error::key(path, KeyFault::File(fault));
        let view = PublicKeyFile::view(&bytes).map_err(refuse)?;
        let ed25519 = Ed25519Public::from_bytes(&view.ed25519_public).ok_or_else(|| refuse(KeyFileFault::WeakKey))?;
        Ok(Self::of(ed25519, MlDsa65Public::from_bytes(&view.ml_dsa_public)))
    }

    /// Writes a public key file.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let content = PublicKeyFile::new(&self.ed25519.to_bytes(), &self.ml_dsa.to_bytes());
        file::create(path, content.as_bytes(), file::Readers::All)
    }

    /// The Ed25519 half: for tools that check it alone.
    pub fn ed25519(&self) -> [u8; 32] {
        self.ed25519.to_bytes()
    }

    /// The ML-DSA-65 half.
    pub fn ml_dsa_65(&self) -> [u8; 1952] {
        self.ml_dsa.to_bytes()
    }

    /// Which key pair it is of.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The name in its signature lines: `rvf-` and the id.
    pub fn name(&self) -> String {
        signer_name(&self.id.0)
    }

    /// The key hash in the signature line of an algorithm.
    pub(super) fn hash(&self, algorithm: Algorithm) -> [u8; 4] {
        let [ed25519, ml_dsa] = self.hashes;
        match algorithm {
            Algorithm::Ed25519 => ed25519,
            Algorithm::MlDsa65 => ml_dsa,
        }
    }

    fn line(&self, algorithm: Algorithm, signature: Vec<u8>) -> SignatureLine {
        SignatureLine { name: self.name(), hash: self.hash(algorithm), signature }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

//! Signed notes, proofs and key files: what is read is written the same, no changed note is taken for signed, no changed key for another,
//! nothing proven of an entry that is not in the signed tree.

use super::scratch;
use crate::samples;
use crate::signed::{key, note, proofs, statement};
use rvf_engine::sign::algorithm::{Ed25519Public, MlDsa65Public};
use rvf_engine::trust::{EntryProof, ExtensionProof};
use rvf_engine::{Error, KeyFault, Note, PublicKey, SecretKey, Statement};
use rvf_format::key_file::{KeyFileFault, PublicKeyFile, SecretKeyFile};
use std::path::Path;
use std::sync::LazyLock;
use zerocopy::IntoBytes;

/// The only note that key 1 signs.
static SIGNED: LazyLock<Note> = LazyLock::new(note);
static SIGNER: LazyLock<PublicKey> = LazyLock::new(|| key(1).public().clone());
static PROVER: LazyLock<PublicKey> = LazyLock::new(|| key(samples::SIGNER).public().clone());

/// Reads a note: it has one form only, and is signed only if its statement is the one that was signed.
pub fn read_note(bytes: &[u8]) {
    let Ok(note) = Note::parse(bytes) else { return };
    assert_eq!(note.render().as_bytes(), bytes);
    assert_eq!(note.statement().render(), note.text());
    assert_eq!(Statement::parse(note.text()).as_ref(), Ok(note.statement()));
    assert_eq!(Note::new(note.statement().clone(), note.signatures().to_vec()).as_ref(), Ok(&note));
    let forged = SIGNER.verify(&note).is_ok() && *note.statement() != statement(7);
    assert!(!forged, "a forgery");
}

/// Reads a proof of an entry: whatever is proven under the key of the signed sample is an entry of [`proofs`], bit for bit.
pub fn read_proof(bytes: &[u8]) {
    let Ok(proof) = EntryProof::from_json(bytes) else { return };
    assert_eq!(EntryProof::from_json(proof.to_json().as_bytes()).unwrap(), proof);
    let extends = ExtensionProof { path: proof.path.clone() }.check(&proof.note, &proof.note);
    assert!(!extends || proof.path.is_empty());
    // Without a key, the note may state anything, but the entry has to be one.
    if let Ok(entry) = proof.check(None) {
        assert_eq!((entry.encode(), entry.fixed.index.get()), (proof.entry.clone(), proof.index));
    }
    if proof.check(Some(&PROVER)).is_ok() {
        let known = proofs().iter().any(|known| (&known.entry, &known.path) == (&proof.entry, &proof.path));
        assert!(known && proof.note.statement() == proofs()[0].note.statement(), "a forgery");
    }
}

/// Reads a key file: as it is, and what stands in its place as seeds and keys, with right checksums.
pub fn read_key_file(bytes: &[u8]) {
    let folder = scratch();
    let path = folder.path().join("a");
    if let Ok(file) = SecretKeyFile::view(bytes) {
        let again = SecretKeyFile::new(&file.ed25519_seed.0, &file.ml_dsa_seed.0, file.key_id);
        assert_eq!(again.as_bytes(), bytes);
    }
    if let Ok(file) = PublicKeyFile::view(bytes) {
        assert_eq!(PublicKeyFile::new(&file.ed25519_public, &file.ml_dsa_public).as_bytes(), bytes);
    }
    let Some((_, rest)) = bytes.split_first_chunk::<16>() else { return };
    if let Some(([first, second], rest)) = rest.split_first_chunk::<64>().map(|(seeds, rest)| (halves(seeds), rest))
        && let Some(id) = rest.first_chunk()
    {
        secret(&path, &first, &second, *id);
    }
    if let Some((ed25519, rest)) = rest.split_first_chunk()
        && let Some(ml_dsa) = rest.first_chunk()
    {
        public(&path, ed25519, ml_dsa);
    }
}

fn halves(seeds: &[u8; 64]) -> [[u8; 32]; 2] {
    zerocopy::transmute!(*seeds)
}

/// A secret key loads if it has the id of its seeds.
fn secret(path: &Path, first: &[u8; 32], second: &[u8; 32], id: [u8; 16]) {
    write(path, SecretKeyFile::new(first, second, id).as_bytes());
    let right = SecretKey::from_seeds(first, second).public().id().0 == id;
    match SecretKey::load(path) {
        Ok(key) => assert!(right && key.public().id().0 == id),
        Err(error) => assert!(!right && is(&error, KeyFileFault::KeyId), "{error}"),
    }
}

/// A public key loads if its Ed25519 half is good for something, and is saved the same then. What it says of a signature of another
/// key is no.
fn public(path: &Path, ed25519: &[u8; 32], ml_dsa: &[u8; 1952]) {
    let file = PublicKeyFile::new(ed25519, ml_dsa);
    write(path, file.as_bytes());
    let (text, lines) = (SIGNED.text().as_bytes(), SIGNED.signatures());
    let one = Ed25519Public::from_bytes(ed25519);
    match (PublicKey::load(path), &one) {
        (Ok(key), Some(one)) => {
            let again = path.with_extension("again");
            key.save(&again).unwrap();
            assert_eq!(std::fs::read(again).unwrap(), file.as_bytes());
            assert_eq!(one.verify(text, &lines[0].signature), one.to_bytes() == own().0);
        }
        (Err(error), None) => assert!(is(&error, KeyFileFault::WeakKey), "{error}"),
        (loaded, _) => panic!("{loaded:?}"),
    }
    let verified = MlDsa65Public::from_bytes(ml_dsa).verify(text, b"rvf-checkpoint-v1", &lines[1].signature);
    assert_eq!(verified, *ml_dsa == own().1);
}

/// The keys of the signed note.
fn own() -> ([u8; 32], [u8; 1952]) {
    static OWN: LazyLock<([u8; 32], [u8; 1952])> = LazyLock::new(|| {
        let file = crate::signed::public_file(&key(1));
        let file = PublicKeyFile::view(&file).unwrap();
        (file.ed25519_public, file.ml_dsa_public)
    });
    *OWN
}

fn is(error: &Error, fault: KeyFileFault) -> bool {
    matches!(error, Error::Key(error) if matches!(error.fault, KeyFault::File(found) if found == fault))
}

/// Writes a file that only its owner may read.
fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

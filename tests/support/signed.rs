//! Key pairs told by numbers, statements, and what of them is signed: the same in every run.

use crate::samples;
use rvf_engine::trust::{EntryProof, History};
use rvf_engine::{Note, Policy, ReadMode, Reader, SecretKey, Statement};
use rvf_format::digest::blake3;
use rvf_format::storage::MemoryPlace;
use rvf_format::verify::verify;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// The key pair of a number.
pub fn key(number: u8) -> SecretKey {
    let [ed25519, ml_dsa] = seeds(number);
    SecretKey::from_seeds(&ed25519, &ml_dsa)
}

/// Its seeds, of Ed25519 and of ML-DSA-65.
pub fn seeds(number: u8) -> [[u8; 32]; 2] {
    [blake3(&[number, 1]), blake3(&[number, 2])]
}

/// The statement of a number.
pub fn statement(number: u8) -> Statement {
    Statement {
        file_id: [number; 16],
        size: 12,
        root: [0x5C; 32],
        epoch: 11,
        state_hash: [0x0B; 32],
        previous: 3,
        policy: Policy::Ed25519AndMlDsa65,
    }
}

/// Statement 7, signed by key 1: the only one that this key signs here.
pub fn note() -> Note {
    key(1).sign(&statement(7)).unwrap()
}

/// Proofs of the first and of the last entry of [`samples::signed`], by its last note: key [`samples::SIGNER`].
pub fn proofs() -> &'static [EntryProof; 2] {
    static PROOFS: LazyLock<[EntryProof; 2]> = LazyLock::new(|| {
        let place = MemoryPlace::default();
        place.put(Path::new(samples::PATH), samples::signed());
        let reader = Reader::open_with(Arc::new(place), samples::PATH, ReadMode::Mapped).unwrap();
        let report = verify(&samples::signed().as_slice().into(), &mut |_, _| {}).unwrap();
        let (history, snapshot) = (History::of(&report).unwrap(), reader.snapshot());
        let (entries, note) = (snapshot.audit_entries().unwrap(), snapshot.notes().unwrap().pop().unwrap());
        [entries.first(), entries.last()].map(|entry| EntryProof::new(&history, entry.unwrap(), &note).unwrap())
    });
    &PROOFS
}

/// The public key file of a key pair.
pub fn public_file(key: &SecretKey) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pub");
    key.public().save(&path).unwrap();
    std::fs::read(path).unwrap()
}

//! Broken files of the audit: the tree, signed notes, what only a key or an earlier note can tell.

use crate::golden::signing_key;
use rvf_engine::{
    Clause, Clock, CreateOptions, Db, KeyId, Metric, Note, OpenOptions, Schema, SecretKey, Signer, Statement,
};
use rvf_format::storage::MemoryPlace;
use std::path::Path;
use std::sync::Arc;

const PATH: &str = "audit.rvf";

/// Signs something else than it is asked to, with a sound signature.
#[derive(Debug)]
pub struct Liar {
    key: SecretKey,
    lie: fn(&mut Statement),
}

impl Liar {
    /// A signer that changes statements like this.
    pub fn new(lie: fn(&mut Statement)) -> Self {
        Self { key: signing_key(), lie }
    }
}

impl Signer for Liar {
    fn sign(&self, statement: &Statement) -> rvf_engine::Result<Note> {
        let mut statement = statement.clone();
        (self.lie)(&mut statement);
        self.key.sign(&statement)
    }

    fn key_id(&self) -> KeyId {
        self.key.public().id()
    }
}

/// A store in memory with fixed id and time.
pub fn store(place: &MemoryPlace, signer: Option<Arc<dyn Signer>>) -> Db {
    let open = OpenOptions { clock: Clock::Fixed(1 << 60), actor: "audit".into(), signer, ..OpenOptions::default() };
    let options = CreateOptions { model: None, file_id: Some([5; 16]), open };
    Db::create_with(Arc::new(place.clone()), PATH, &Schema::new(2, Metric::L2), &options).unwrap()
}

/// The bytes of the store of [`store`].
pub fn bytes(place: &MemoryPlace) -> Vec<u8> {
    place.bytes(Path::new(PATH)).unwrap()
}

/// A store of three commits, each signed by the key of golden files; the bytes after each.
pub fn signed() -> [Vec<u8>; 3] {
    let place = MemoryPlace::default();
    let mut db = store(&place, Some(Arc::new(signing_key())));
    let first = bytes(&place);
    db.add(&[1.0f32, 2.0, 3.0, 4.0]).unwrap();
    let second = bytes(&place);
    db.add(&[5.0f32, 6.0]).unwrap();
    [first, second, bytes(&place)]
}

/// Another key than that of golden files.
pub fn other_key() -> SecretKey {
    SecretKey::from_seeds(&[0x33; 32], &[0x44; 32])
}

fn signed_by(signer: impl Signer + 'static) -> Vec<u8> {
    let place = MemoryPlace::default();
    let mut db = store(&place, Some(Arc::new(signer)));
    db.add(&[1.0f32, 2.0]).unwrap();
    bytes(&place)
}

/// The broken file of a clause that is about signatures.
pub(crate) fn fixture(clause: Clause) -> Vec<u8> {
    match clause {
        Clause::Sig1 => signed_by(Liar::new(|statement| statement.file_id[0] ^= 1)),
        Clause::Sig2 => signed_by(Liar::new(|statement| statement.root[0] ^= 1)),
        Clause::Sig3 => {
            let place = MemoryPlace::default();
            let mut db = store(&place, None);
            db.sign(Arc::new(signing_key())).unwrap();
            db.add(&[1.0f32, 2.0]).unwrap();
            bytes(&place)
        }
        // Sound, and signed, by another key.
        Clause::Sig4 => signed_by(other_key()),
        // Sound, and signed, and not the newest that was signed.
        Clause::Sig5 => {
            let [_, second, _] = signed();
            second
        }
        other => unreachable!("{other} is not about signatures"),
    }
}

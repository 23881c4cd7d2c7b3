//! Signatures: the algorithms, what is refused of a note, what is refused of a key file.
//!
//! | file | what it checks |
//! | --- | --- |
//! | `mod.rs` | keys and statements to check with |
//! | `vectors.rs` | published vectors of Wycheproof and RFC 8032, another implementation |
//! | `attacks.rs` | one note, changed in every way: each with the fault that it must name |
//! | `key_files.rs` | key files: damaged, exchanged, exposed, none at all |

mod attacks;
mod key_files;
mod vectors;

use rvf_engine::{Policy, SecretKey, Statement};
use rvf_format::digest::blake3;

/// Bytes of hexadecimal digits.
fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn statement(number: u8) -> Statement {
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

/// The key pair of a number.
fn key(number: u8) -> SecretKey {
    let [first, second] = seeds(number);
    SecretKey::from_seeds(&first, &second)
}

/// Its seeds, of Ed25519 and of ML-DSA-65.
fn seeds(number: u8) -> [[u8; 32]; 2] {
    [blake3(&[number, 1]), blake3(&[number, 2])]
}

/// The public key file of a key pair.
fn public_file(key: &SecretKey) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pub");
    key.public().save(&path).unwrap();
    std::fs::read(path).unwrap()
}

//! Signatures: the algorithms, what is refused of a note, what is refused of a key file.
//!
//! | file | what it checks |
//! | --- | --- |
//! | `vectors.rs` | published vectors of Wycheproof and RFC 8032, another implementation |
//! | `attacks.rs` | one note, changed in every way: each with the fault that it must name |
//! | `key_files.rs` | key files: damaged, exchanged, exposed, none at all |

mod attacks;
mod key_files;
mod vectors;

/// Bytes of hexadecimal digits.
fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

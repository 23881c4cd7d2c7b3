//! Support shared by the tests and the fuzz targets.
//!
//! | file | owns |
//! | --- | --- |
//! | `samples.rs` | small valid files, built by the engine, the same bytes in every run |
//! | `taste.rs` | a store whose right answers are not the nearest records: what learning has to find out |
//! | `golden.rs`, `golden_branches.rs`, `golden_learned.rs`, `golden_sets.rs`, `oracle.rs` | golden fixtures and the truth about them |
//! | `fields.rs` | metadata at random, and how it is compared |
//! | `reseal.rs` | hashes and checksums of a changed file made right again |
//! | `corrupt.rs`, `corrupt_branch.rs` | one broken file a clause |
//! | `hand.rs` | files put together without the engine |
//! | `script.rs` | bytes that are read as numbers |
//! | `mutate.rs`, `focus.rs` | changes to a valid file, told by bytes; which structures of which samples |
//! | `published.rs` | the same for files of the published crates |
//! | `inputs.rs`, `seeds.rs` | inputs for the fuzz targets: at random, and those to begin with |
//! | `properties/` | what must hold for any bytes: bodies of the fuzz targets |
//! | `signed.rs` | key pairs, statements, a signed note |
//! | `heap.rs` | an allocator that counts |
//! | `sim/` | a machine that loses power, and one whose calls fail |
//! | `hooked.rs` | a place that says when it syncs |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "support of tests: a panic is how a test fails"
)]

pub mod corrupt;
pub mod corrupt_audit;
pub mod corrupt_branch;
pub mod fields;
pub mod focus;
pub mod golden;
pub mod golden_branches;
pub mod golden_learned;
pub mod golden_sets;
pub mod hand;
pub mod heap;
pub mod hooked;
pub mod indexed;
pub mod inputs;
pub mod mutate;
pub mod oracle;
pub mod properties;
pub mod published;
pub mod reseal;
pub mod samples;
pub mod script;
pub mod seeds;
pub mod signed;
pub mod sim;
pub mod taste;

use std::path::{Path, PathBuf};

/// The folder `fixtures/` of the repository.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

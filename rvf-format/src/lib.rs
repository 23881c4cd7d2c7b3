//! The bytes of an RVF file: segments, payload layouts, manifests, roots, storage. No algorithms live here.
//!
//! The normative description is the folder `spec/`; every structure below is declared once with `layout!` and
//! compared with the specification's tables by the test suite. Every finding about a damaged file carries the
//! [`Clause`] of the sentence that the file breaks.
//!
//! | module | owns |
//! | --- | --- |
//! | [`clause`], [`error`] | clause ids, the error type |
//! | [`mod@layout`], [`limits`], [`kind`], [`schema`] | how structures are declared, fixed numbers, segment kinds, dtypes and metrics |
//! | [`digest`] | the hashes of the format and the group tree |
//! | [`merkle`] | the tree over audit entries, and its proofs |
//! | [`roaring`], [`row_set`] | compressed sets of numbers, of rows |
//! | [`segment`], [`build`] | header, prelude, sections: reading them, building them |
//! | [`identity`] | the FILE segment |
//! | [`root`], [`manifest`], [`state`] | the root page, manifests, the state hash |
//! | [`lineage`] | the parent of a branch, and what was merged into a file |
//! | [`payload`] | what each kind of segment holds |
//! | [`storage`] | where bytes live: file, memory, a shared view |
//! | [`note`], [`base64`], [`key_file`] | what is signed, the text of its signatures; the files of a key pair |
//! | [`recover`], [`chain`] | which root is true; from a root to its live segments |
//! | [`verify`] | every byte of a file against the specification |
//! | [`legacy`] | files of the published RVF crates |

pub mod base64;
pub mod build;
pub mod chain;
pub mod clause;
pub mod digest;
pub mod error;
pub mod identity;
pub mod key_file;
pub mod kind;
pub mod layout;
pub mod legacy;
pub mod limits;
pub mod lineage;
pub mod manifest;
pub mod merkle;
pub mod note;
pub mod payload;
pub mod recover;
pub mod roaring;
pub mod root;
pub mod row_set;
pub mod schema;
pub mod segment;
pub mod state;
pub mod storage;
pub mod verify;

pub use clause::Clause;
pub use error::{Error, Result};
pub use kind::Kind;
pub use schema::{Dtype, IdType, Metric, Schema};

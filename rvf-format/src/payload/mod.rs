//! What each kind of segment holds.
//!
//! | file | kind |
//! | --- | --- |
//! | `vec.rs` | VEC: vectors and ids |
//! | `journal.rs` | JOURNAL: rows that are no longer live |
//! | `meta.rs` | META: facts about the file |
//! | `witness.rs` | WITNESS: audit entries |
//! | `tree.rs` | TREE: hash tree of a segment |
//! | `index.rs` | INDEX: graph over rows |
//! | `quant.rs` | QUANT: codes of rows |

pub mod index;
pub mod journal;
pub mod meta;
pub mod quant;
pub mod tree;
pub mod vec;
pub mod witness;

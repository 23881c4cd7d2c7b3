//! What each kind of segment holds.
//!
//! | file | kind |
//! | --- | --- |
//! | `vec.rs` | VEC: vectors and ids |
//! | `journal.rs` | JOURNAL: rows that are no longer live |
//! | `meta.rs` | META, form 1: facts about the file |
//! | `columns` | META, form 2: metadata of records |
//! | `lookup.rs` | META_IDX: which records have a value |
//! | `witness.rs` | WITNESS: audit entries |
//! | `tree.rs` | TREE: hash tree of a segment |
//! | `index.rs` | INDEX: graph over rows |
//! | `quant.rs` | QUANT: codes of rows |
//! | `cow.rs` | COW_MAP, MEMBERSHIP: which rows of its parents a branch sees |
//! | `refcount.rs` | REFCOUNT: branches of this file |
//! | `feedback.rs` | FEEDBACK: what was shown and chosen |
//! | `tensors.rs` | GRAPH, OVERLAY: what was learned |

pub mod columns;
pub mod cow;
pub mod crypto;
pub mod feedback;
pub mod index;
pub mod journal;
pub mod lookup;
pub mod meta;
pub mod quant;
pub mod refcount;
pub mod tensors;
pub mod tree;
pub mod vec;
pub mod witness;

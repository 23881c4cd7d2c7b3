//! Search that learns: feedback recorded, learned from, and used.
//!
//! ```text
//! Session: search -> Answer (query id, hits, what moved) ... feedback(query id, chosen) -> queue -> Db::record -> FEEDBACK
//! Db::learn: FEEDBACK -> Lessons -> learn::teach (a Corpus is searched) -> adopted only if better -> GRAPH, OVERLAY
//! ```
//!
//! | file | owns |
//! | --- | --- |
//! | `feedback.rs` | [`Feedback`]: its check, recording it |
//! | `corpus.rs` | a snapshot as what learning searches; ids as numbers |
//! | `learned.rs` | [`Learned`]: what a snapshot has learned, ready to be used |
//! | `session.rs` | [`Session`]: searches that use it, and remember what they showed |
//! | `modes.rs` | [`Subgraph`], [`Soft`]: other answers than a list |
//! | `study.rs` | [`Study`]: learning from a snapshot, on any thread |
//! | `learn.rs` | [`Db::learn`], reset, what is told about it |

mod corpus;
mod feedback;
mod learn;
mod learned;
mod modes;
mod session;
mod study;

pub use feedback::Feedback;
pub use learn::{Component, LearnOptions, LearnedInfo, Learning};
pub use learned::{Learned, Moved};
pub use modes::{Edge as GraphEdge, MOST_HOPS, Node as GraphNode, Soft, Subgraph};
pub use session::{Answer, LearnedSearch, QueryId, Session};
pub use study::Study;

pub(super) use learned::tensors;

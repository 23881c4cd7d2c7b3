//! Adapters of queries: a query is turned a little, so that what people choose comes nearer; documents stay where they are.
//!
//! ```text
//! a request:    query -> BaseLora::apply -> MicroLora::apply -> search -> what is chosen -> MicroLora::adapt
//! background:   Trajectory (query, chosen, not chosen) -> Training::step.. -> BaseLora
//!               queries, choices -> Bank::learn; a query -> Bank::find -> what was chosen for queries alike
//!               queries -> Boundary::push: another topic? -> BaseLora::consolidate, Reservoir of what is trained again
//! ```
//! Untrained they are the identity, to the bit. Time, randomness and threads are the caller's.
//!
//! | file | owns |
//! | --- | --- |
//! | `low_rank.rs` | [`LowRank`]: a residual of low rank on the query, and its gradient |
//! | `contrast.rs` | the InfoNCE loss through the adapter, down to the slope of the adapted query |
//! | `trajectory.rs` | [`Trajectory`]: a query, what was chosen and what was not; [`Reservoir`]: a fair sample of the past |
//! | `micro.rs` | [`MicroLora`]: one bounded step a request |
//! | `base.rs` | [`BaseLora`]: what training makes, with what it must not forget |
//! | `fisher.rs` | online EWC on the product of the factors |
//! | `training.rs` | [`Training`]: training in pieces; [`TrainingOptions`], [`TrainingReport`] |
//! | `kmeans.rs` | [`kmeans`]: vectors in groups of like direction |
//! | `bank.rs` | [`Bank`]: patterns of past queries, found, merged, decayed and let go |
//! | `pattern.rs` | [`Pattern`]: queries alike, what was chosen for them, and how far that is to be trusted |
//! | `boundary.rs` | [`Boundary`]: whether queries have moved to another topic |

mod bank;
mod base;
mod boundary;
mod contrast;
mod fisher;
mod kmeans;
mod low_rank;
mod micro;
mod pattern;
mod training;
mod trajectory;

pub use bank::{Bank, FoundPattern};
pub use base::BaseLora;
pub use boundary::Boundary;
pub use kmeans::{Clusters, kmeans};
pub use low_rank::LowRank;
pub use micro::MicroLora;
pub use pattern::Pattern;
pub use training::{Training, TrainingOptions, TrainingReport};
pub use trajectory::{Reservoir, Trajectory};

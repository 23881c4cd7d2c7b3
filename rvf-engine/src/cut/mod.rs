//! Cuts of networks: pure, it sees numbers and no plan, no graph of vectors.
//!
//! | file | owns |
//! | --- | --- |
//! | `between.rs` | [`MaxFlow`]: the most that flows between two nodes, and the cheapest cut between them |

mod between;

pub(crate) use between::{MaxFlow, NO_BOUND};

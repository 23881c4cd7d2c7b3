//! A navigable graph over rows of numbers: built, walked, healed. Sees slices and links; knows no file and no id.
//!
//! The algorithm is HNSW (Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using
//! Hierarchical Navigable Small World graphs", 2018), of which layer 0 is kept:
//!
//! ```text
//! insert(q):  C = walk(q, ef_construction)             algorithm 2, on the graph so far
//!             N = select(q, C, m)                      algorithm 4: diverse neighbours
//!             for each n in N: link q -> n, n -> q; if n has too many links: select(n, its links, degree)
//! walk(q, ef): pool = the nearest of the entry points
//!             while the pool has a node that is not expanded: expand the nearest: measure its neighbours,
//!                                                             keep the ef nearest that were met
//! ```
//! Departures from the paper:
//!
//! 1. **Pivots instead of upper layers** (`cells.rs`). One live node in 32, drawn at random, is an entry point. Their rows
//!    stand side by side, grouped into about sqrt(pivots) cells; a walk begins with the leaders of all cells and the pivots
//!    of the nearest cells, all of it read in sequence. That costs about as much as walking one layer of a few hundred
//!    nodes, and reaches clusters that no long link leads to.
//! 2. **Batches** (`build.rs`). Nodes are inserted a batch at a time: all of a batch search the graph as it was before the
//!    batch, then links are added, grouped by their target. So threads need no locks, and the graph does not depend on how
//!    many there are.
//! 3. **Slack**. Lists grow to 1.5 x `degree` before they are cut down to `degree`, and once more at the end: a cut costs
//!    as much as it looks at, and so comes less often.
//! 4. **Twice** (`build.rs`). Nodes are inserted with half of ef_construction, then all but the first again with all of it, among
//!    all others and the links that they have, choosing up to 1.5 x m. (Measured, docs-text and images, against one pass with
//!    128: 4 % and 7 % fewer distances at recall 0.95, 10 % and 6 % fewer at 0.99, for half as much work more. A first pass with
//!    128, too, gained nothing further.)
//! 5. **Equal rows** (`twins.rs`): only the first is inserted, the others hang from it in a tree.
//! 6. **Reachability is made sure of** (`reach.rs`): what no walk could reach is linked from near it, or becomes a pivot.
//!
//! | file | owns |
//! | --- | --- |
//! | `rows.rs` | [`Rows`]: rows of nodes in place, in one or several runs |
//! | `scorer.rs` | [`Scorer`]: how a row becomes a query against rows of its kind |
//! | `pool.rs`, `visited.rs` | what a walk keeps |
//! | `walk.rs` | [`walk`] |
//! | `manner.rs` | [`Manner`]: how a walk spends its distances; [`Warm`]: where others like it ended |
//! | `among.rs` | [`Among`]: the nearest of some nodes |
//! | `cells.rs` | [`Pivots`]: entry points in cells |
//! | `select.rs` | diverse neighbours |
//! | `twins.rs` | equal rows |
//! | `parallel.rs` | work on several threads |
//! | `build.rs` | [`build`] |
//! | `heal.rs` | the graph of before without the nodes that are gone |
//! | `reach.rs` | what a walk can reach |

mod among;
mod build;
mod cells;
mod heal;
mod manner;
mod parallel;
mod pool;
mod reach;
mod rows;
mod scorer;
mod select;
#[cfg(test)]
mod tests;
mod twins;
mod visited;
mod walk;

pub(crate) use among::{Among, Way};
pub(crate) use build::{Built, Ground, Kept, Params, Stopped, Trial, build};
pub(crate) use cells::Pivots;
pub(crate) use manner::{Manner, Stop, Warm};
pub(crate) use parallel::map as in_parallel;
pub(crate) use rows::{Rows, RunTable};
pub(crate) use scorer::{BitRows, Halves, Numbers, Scorer};
pub(crate) use twins::alone;
pub(crate) use walk::{Entry, Found, Links, Scratch, Stage, Walk};

/// An empty slot of a list of links.
pub(crate) const NO_LINK: u32 = u32::MAX;

//! Attention over the operators of a plan: where a query's budget goes.
//!
//! ```text
//! operators -> Dag -> Mechanism: who is looked at, and by how much more or less -> Attention -> weights of all operators, an embedding
//!                         ^                                                           several -> Ensemble -> one
//!                      Policy: what was observed -> one mechanism, and why
//! ```
//! Edges lead from producers to consumers, so the ancestors of an operator are what it waits for. Pure: it sees numbers, no plan of a search.
//!
//! | file | owns |
//! | --- | --- |
//! | `dag.rs` | [`Dag`]: operators, checked once; order, depth, reachability, slack |
//! | `flow.rs` | how much a plan can carry, and how near each operator is to holding it back |
//! | `mechanism.rs` | [`Mechanism`]: whom each kind of attention looks at, and its bias |
//! | `attention.rs` | [`Attention`]: the one softmax, its weights and their gradients |
//! | `lorentz.rs` | [`Point`]: points, distances and means on the hyperboloid |
//! | `ensemble.rs` | [`Ensemble`]: several mechanisms, weighed by what they earned |
//! | `policy.rs` | [`Policy`]: which mechanism is used, and why |

mod attention;
mod dag;
#[cfg(test)]
mod dag_tests;
mod ensemble;
mod flow;
mod lorentz;
mod mechanism;
mod policy;
#[cfg(test)]
mod tests;

pub use attention::{Attended, Attention, Weights};
pub use dag::{Dag, DagFault, FEATURES, MOST, Operator};
pub use ensemble::Ensemble;
pub use lorentz::{Point, centroid};
pub use mechanism::Mechanism;
pub use policy::{Decision, Observed, Policy, Reason, repeats};

//! Re-ranking of candidates by a graph neural network over their neighbourhood in the index, which the caller copies into plain values.
//!
//! ```text
//! candidates, their neighbours, edges -> Neighbourhood -> GraphRanker -> scores
//!                                                          w(u, v) = sigmoid(alpha * similarity + beta * structure + bias)
//! ```
//!
//! | file | owns |
//! | --- | --- |
//! | `graph.rs` | [`Neighbourhood`]: nodes, features, edges, checked once |
//! | `layer.rs` | the trait of layers, and the learned weights of edges |
//! | `gcn.rs`, `gat.rs`, `sage.rs` | the three layers, with exact gradients |
//! | `linear.rs` | products and layer norms, with exact gradients |
//! | `network.rs` | layers in a row beside a linear part: [`Form`], scores, gradients |
//! | `loss.rs` | the order that feedback judges, and the contrast that the graph judges |
//! | `adam.rs` | steps down a gradient |
//! | `ranker.rs` | [`GraphRanker`]: training, margin, tensors |

mod adam;
mod gat;
mod gcn;
mod graph;
mod layer;
mod linear;
mod loss;
mod network;
mod ranker;
mod sage;
#[cfg(test)]
mod tests;

pub use graph::{Edge, Neighbourhood};
pub use network::{Form, Kind};
pub use ranker::{Attention, GraphList, GraphRanker, Training};

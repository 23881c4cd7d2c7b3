//! Learning from what people choose: what is learned changes the order of results and nothing else, and is shown to be better first.
//!
//! ```text
//! past queries, what was chosen -> Memory -> recall(query, without itself) -> features of candidates -> Ranker -> scores
//!                                                  lists of such, split by query -> train, tune, measure
//! ```
//! Pure: it sees vectors and numbers, no store. Sums and exponentials are the same on every machine, so are the weights.
//!
//! | file | owns |
//! | --- | --- |
//! | `memory.rs` | [`Memory`]: past queries and choices, and what a new query finds in them |
//! | `features.rs` | [`rows`]: what the re-ranker sees of a candidate |
//! | `network.rs` | [`Network`]: a perceptron, its loss and gradients |
//! | `ranker.rs` | [`Ranker`]: training, and the margin by which evidence has to convince |
//! | `margin.rs` | how that margin is chosen |
//! | `gnn/` | [`GraphRanker`]: candidates ranked with what they are near to in the index |
//! | `soft.rs` | [`SoftNeighbours`]: a search whose result has a slope in the query |
//! | `decay.rs` | [`decay`]: what counts less with time; [`new_edges`]: what the edges of a new vector weigh |
//! | `impressions.rs` | [`Impressions`]: what was shown at which place, and what was chosen |
//! | `clicks.rs` | [`ClickModel`]: what makes a document be chosen apart from its place; feedback that foretells nothing is distrusted |
//! | `lessons.rs` | [`Lesson`], [`Corpus`]: feedback as learning sees it, what is searched; the split |
//! | `adapted.rs` | [`Adapted`]: a corpus searched by queries that an adapter moves; training it |
//! | `teach.rs` | [`teach`]: training, tuning, and adopting what improves what was held out |
//! | `measure.rs` | [`ndcg10`], [`bootstrap`]: how good an order is, and whether one is better |
//! | `effort/` | [`Bandit`], [`CostModel`], [`Recall`]: what work costs, how surely settings find enough, which to serve |
//! | `sona/` | adapters of queries: [`MicroLora`] a request, [`BaseLora`] in the background |
//! | `planner/` | attention over the operators of a plan: [`Dag`], [`Mechanism`], [`DagAttention`], [`Ensemble`], [`PlanPolicy`] |
//! | `tensors.rs` | [`Tensors`]: learned weights by name, as they are kept |
//! | `math.rs` | sums that are the same everywhere |

mod adapted;
mod clicks;
mod decay;
mod effort;
mod features;
mod gnn;
mod impressions;
mod lessons;
mod margin;
mod math;
mod measure;
mod memory;
mod network;
mod planner;
mod ranker;
mod soft;
mod sona;
mod teach;
#[cfg(test)]
mod teach_tests;
mod tensors;

pub use adapted::{Adapted, adapter};
pub use clicks::{ClickFit, ClickModel, Foretelling};
pub use decay::{Neighbour, NewEdges, age, decay, new_edges};
pub use effort::{
    Allowance as BurstAllowance, Bandit, Burst, Choice as ArmChoice, CostModel, Cycles, MOST_ARMS, MOST_KINDS,
    Measured, MemoryBound, Options as BanditOptions, PARTS, PageHinkley, Reason as ArmReason, Recall, RobustZ, Turn,
    Work, reward,
};
pub use features::{Candidate, FEATURES, Row, rows, without_evidence};
pub use gnn::{Attention, Edge, Form, GraphList, GraphRanker, Kind, Neighbourhood, Training as GraphTraining};
pub use impressions::{Impressions, PLACES, SIGNALS, Shown, Signals};
pub use lessons::{Corpus, Found, Lesson, Link, MOST as MOST_LESSONS, held_out, list, memory, neighbourhood};
pub use math::{dot, normalise};
pub use measure::{DEPTH, Interval, bootstrap, ndcg10};
pub use memory::{Choice, Evidence, LIKE, Memory, Recalled};
pub use network::{Network, Scale};
pub use planner::{
    Attended, Attention as DagAttention, Dag, DagFault, Decision, Ensemble, FEATURES as OPERATOR_FEATURES,
    MOST as MOST_OPERATORS, Mechanism, Observed, Operator as PlannedOperator, Point, Policy as PlanPolicy,
    Reason as PolicyReason, Weights as DagWeights, centroid, repeats,
};
pub use ranker::{List, Ranker};
pub use soft::SoftNeighbours;
pub use sona::{
    Bank, BaseLora, Boundary, Clusters, FoundPattern, LowRank, MicroLora, Pattern, Reservoir, Training,
    TrainingOptions, TrainingReport, Trajectory, kmeans,
};
pub use teach::{
    Course, MOST_LOSS, NEIGHBOURS, Options as TeachOptions, Reason, TUNED_LOSS, Taught, Verdict, impressions, teach,
};
pub use tensors::{Tensor, Tensors};

//! How much effort a query is worth: what work costs here, how surely an arm finds what it should, which arm to serve, when to doubt it all.
//!
//! ```text
//! a query:    CostModel::cost of each plan; Bandit::choose -> an arm proven to find enough, or the static setting
//! after it:   Measured::observe, Bandit::observe_cost, PageHinkley::push(log cost), RobustZ::score
//! off path:   Burst::may_audit -> Bandit::explore or the served arm, against an exact scan -> Bandit::observe_recall
//!             PageHinkley::push(recall): it fell -> Bandit::discount, Burst::drifted
//! ```
//! Pure and without dice: the same observations in the same order give the same choices. Time comes in as nanoseconds.
//!
//! | file | owns |
//! | --- | --- |
//! | `cost.rs` | [`Work`], [`CostModel`]; [`Cycles`] and [`MemoryBound`], which are told what the machine is like |
//! | `measured.rs` | [`Measured`]: a model corrected by what was measured |
//! | `special.rs` | the regularised incomplete beta function |
//! | `posterior.rs` | [`Recall`]: what audits tell of an arm's recall, and how surely |
//! | `arm.rs` | [`reward`]; what a bandit knows of one arm |
//! | `bandit.rs` | [`Bandit`]: which arm to serve, which one to audit next |
//! | `window.rs` | [`RobustZ`]: a sample unlike the last 256 |
//! | `drift.rs` | [`PageHinkley`]: a mean that moved; [`Burst`], [`Allowance`]: what audits may cost |

mod arm;
mod bandit;
mod cost;
mod drift;
mod measured;
mod posterior;
mod special;
mod window;

pub use arm::reward;
pub use bandit::{Bandit, Choice, MOST_ARMS, Options, Reason};
pub use cost::{CostModel, Cycles, MemoryBound, Work};
pub use drift::{Allowance, Burst, PageHinkley, Turn};
pub use measured::{MOST_KINDS, Measured, PARTS};
pub use posterior::Recall;
pub use window::RobustZ;

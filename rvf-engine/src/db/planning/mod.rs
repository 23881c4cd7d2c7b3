//! Planning that learns: [`AdaptivePlanner`] serves the cheapest settings that audits have proven to find enough.
//!
//! ```text
//! question -> template -> the arm that is served -> plan         (in a search: some tens of nanoseconds)
//! now and then a question waits to be audited
//! audits, on a thread of the caller's: what a very hard look finds, what the arms find, what that took -> posterior, costs -> which arm is served
//! ```
//!
//! | file | owns |
//! | --- | --- |
//! | `adaptive.rs` | [`AdaptivePlanner`]: templates, what each is served |
//! | `arms.rs` | the settings that are tried |
//! | `template.rs` | what is known of questions of one kind |
//! | `audit.rs` | [`Audited`]: recall that is observed, within a share of what queries take |
//! | `attend.rs` | where the effort goes, of several graphs: attention over the plan |
//! | `state.rs` | what was learned, committed and read again |
//! | `report.rs` | [`PlannerReport`]: what is known, for people |

mod adaptive;
mod arms;
mod attend;
mod audit;
mod report;
mod state;
mod template;

pub use adaptive::{AdaptivePlanner, PlannerOptions};
pub use attend::Attending;
pub use audit::Audited;
pub use report::{ArmReport, PlannerReport, TemplateReport};

//! What is stored: snapshots to read, edits to commit.
//!
//! | file | owns |
//! | --- | --- |
//! | `snapshot.rs` | [`Snapshot`]: one commit of a file, immutable, shared |
//! | `id.rs` | [`Id`]: the name of a record |
//! | `rows.rs` | [`Part`]: the rows of one VEC segment, which of them are live |
//! | `edit.rs` | [`Edit`]: what a commit is to change |
//! | `append.rs` | `Appender`: segments onto the end of a file |
//! | `commit.rs` | [`Store`]: the one door that writes |
//! | `merge.rs` | merging small segments when a full manifest is due |
//! | `audit.rs` | audit entries: reading the log, making the next entry |

pub(crate) mod append;
mod audit;
mod commit;
mod edit;
mod id;
mod merge;
mod rows;
mod snapshot;

pub use audit::LogEntry;
pub(crate) use commit::finish;
pub use commit::{Clock, Context, Store, TailReport, new_root};
pub use edit::{Edit, NewRows};
pub use id::Id;
pub use rows::{Part, RowId};
pub use snapshot::Snapshot;

pub(crate) use audit::entries as audit_entries;

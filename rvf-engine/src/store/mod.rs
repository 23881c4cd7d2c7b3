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
//! | `compaction.rs` | writing a compacted file and putting it in place |
//! | `merge.rs` | merging small segments when a full manifest is due |
//! | `audit.rs` | audit entries: reading the log, making the next entry |

mod append;
mod audit;
mod commit;
pub(crate) mod compaction;
mod edit;
mod id;
mod merge;
mod rows;
mod snapshot;

pub use audit::LogEntry;
pub use commit::{Clock, Context, Store, TailReport, new_root};
pub(crate) use commit::{beside, first_items, random_file_id};
pub use edit::{Edit, NewRows};
pub use id::Id;
pub use rows::{Part, RowId};
pub use snapshot::Snapshot;

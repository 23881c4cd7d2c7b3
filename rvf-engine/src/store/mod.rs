//! What is stored: snapshots to read, edits to commit.
//!
//! | file | owns |
//! | --- | --- |
//! | `snapshot.rs` | [`Snapshot`]: one commit of a file, immutable, shared |
//! | `id.rs` | [`Id`]: the name of a record |
//! | `rows.rs` | [`Part`]: the rows of one VEC segment, which of them are live |
//! | `edit.rs` | [`Edit`]: what a commit is to change |
//! | `graph.rs` | [`Graph`]: an INDEX segment and its codes |
//! | `lineage.rs` | a snapshot and those of its parents: layers, rows that a branch hides |
//! | `parents.rs` | finding the parents of a branch |
//! | `relative.rs` | the path of a parent as its branch names it |
//! | `metadata.rs` | the metadata of rows: META, DELTA and META_IDX segments |
//! | `append.rs` | `Appender`: segments onto the end of a file |
//! | `commit.rs` | [`Store`]: the one door that writes |
//! | `compaction.rs` | writing a compacted file and putting it in place |
//! | `merge.rs` | merging small segments when a full manifest is due |
//! | `moved.rs` | `Run`: rows as they will stand, and where they stood |
//! | `names.rs` | files under their names: locks, temporary files, what interrupted writers left |
//! | `flatten.rs` | all that a snapshot sees, as a file that needs no parent |
//! | `space.rs` | which of a file's bytes are needed |
//! | `feedback.rs` | [`Event`]: feedback, and what of it counts |
//! | `tensors.rs` | what was learned |
//! | `tail.rs` | [`TailReport`]: an uncommitted tail, saved and cut |
//! | `audit.rs` | audit entries: reading the log, making the next entry |

mod append;
mod audit;
mod commit;
pub(crate) mod compaction;
mod edit;
mod feedback;
pub(crate) mod flatten;
mod graph;
mod id;
mod lineage;
mod merge;
mod metadata;
mod moved;
mod names;
mod parents;
mod relative;
mod rows;
mod snapshot;
mod space;
mod tail;
mod tensors;

pub(crate) use audit::AUTOMATIC;
pub use audit::LogEntry;
pub use commit::{Clock, Context, Store, new_root};
pub(crate) use commit::{First, first_items, random_file_id};
pub use edit::{Edit, NewRows};
pub use feedback::Event;
pub(crate) use feedback::draft as feedback_draft;
pub use graph::Graph;
pub(crate) use graph::GraphView;
pub use id::Id;
pub use lineage::CommitId;
pub(crate) use lineage::hex;
pub(crate) use merge::{Gathered, remove_companions};
pub use metadata::Fields;
pub(crate) use metadata::{Columns, drafts as metadata_drafts, note_fields, read_record, unreadable};
pub(crate) use moved::{Origin, Run};
pub(crate) use names::{beside, create_temporary};
pub(crate) use parents::Opening;
pub(crate) use relative::relative;
pub(crate) use rows::{Bits, DeadRows, dead_rows};
pub use rows::{Part, RowId};
pub use snapshot::Snapshot;
pub use tail::TailReport;

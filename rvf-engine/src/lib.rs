//! RVF: an embedded, single-file vector store.
//!
//! One `.rvf` file holds vectors, their ids and the history of commits. It is opened by mapping: nothing is parsed or
//! rebuilt. Every commit is durable when it returns and is checked down to the last bit by [`verify_path`].
//!
//! ```
//! use rvf_engine::{Db, Metric, Reader, Schema};
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("notes.rvf");
//!
//! let mut db = Db::create(&path, &Schema::new(3, Metric::Cosine))?;
//! let mut batch = db.batch();
//! batch.put(7, &[1.0, 0.0, 0.0])?;
//! batch.put(8, &[0.0, 1.0, 0.0])?;
//! let done = batch.commit()?;
//! assert_eq!((done.accepted, done.count), (2, 2));
//!
//! let reader = Reader::open(&path)?;
//! let hits = reader.search(&[0.9f32, 0.1, 0.0]).k(1).run()?;
//! assert_eq!(hits[0].id.to_string(), "7");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Mapped files
//!
//! A file is mapped when it is opened. RVF itself never changes or cuts published bytes; another program that does so while the
//! file is open breaks the contract that mapping rests on. A program that calls [`contain_faults`] at its start gets
//! [`Error::Truncated`] from a file that is cut; [`Reader::open_verified`] reads a file that is not to be trusted.
//!
//! | module | floor | owns |
//! | --- | --- | --- |
//! | [`kernel`] | 1 | distances between numbers |
//! | `value`, [`filter`] | 1 | values of metadata, the language of filters |
//! | `random` | 1 | numbers that look random and are the same everywhere |
//! | `cut` | 1 | flows and cuts of networks |
//! | `hnsw`, `quant` | 2 | graphs over rows, codes of rows |
//! | `sign` | 2 | keys, signatures |
//! | [`trust`] | 4 | a file's signatures and history judged by what the verifier was given |
//! | [`store`] | 3 | snapshots, edits, the commit |
//! | [`learn`] | 4 | learning from what people choose |
//! | [`search`] | 4 | walks and scans |
//! | `index` | 4 | building and renewing graphs |
//! | [`ingest`] | 4 | what enters and leaves a store: checks, vector files, import, export, conversion |
//! | [`mod@salvage`] | 4 | what can be saved of a damaged file |
//! | `branch` | 4 | branches: making them, what differs, merging |
//! | `compact`, `inspect`, `verify` | 4 | compaction, maps of files, findings |
//! | `db` | 5 | the front door: [`Db`], [`Shared`], [`Reader`], [`Batch`] |

#[cfg(target_endian = "big")]
compile_error!("RVF files are little-endian and mapped: big-endian machines are not supported");

mod branch;
mod compact;
mod cut;
mod db;
mod error;
pub mod filter;
mod hnsw;
mod index;
pub mod ingest;
mod inspect;
pub mod kernel;
pub mod learn;
mod quant;
mod random;
pub mod salvage;
pub mod search;
#[doc(hidden)]
pub mod sign;
pub mod store;
pub mod trust;
mod value;
mod verify;

pub use branch::{
    Branched, Bundled, BundledFile, Change, Changed, Conflict, Decision, Diff, KnownBranch, Merged, Pinned, Relative,
    Resolve, Side, bundle, family, unbundle,
};
pub use compact::{CompactOptions, Compacted};
pub use db::{
    AdaptivePlanner, Answer, ArmReport, Attending, Audited, Batch, BranchOptions, Committed, Component, CreateOptions,
    Db, Feedback, Flattened, GraphEdge, GraphNode, LearnOptions, Learned, LearnedInfo, LearnedSearch, Learning,
    MOST_HOPS, Moved, OpenOptions, PlannerOptions, PlannerReport, QueryId, ReadMode, ReadOptions, Reader, Record,
    Session, Shared, Soft, Study, Subgraph, TemplateReport, branch_path, flatten, salvage_path,
};
pub use error::{
    ArchiveError, ArchiveFault, Error, FeedbackFault, KeyError, KeyFault, ParentError, ParentFault, Result,
};
pub use half::f16;
pub use index::{IndexOptions, IndexProgress, Indexed, WalkCode};
pub use inspect::{FieldInfo, GraphInfo, Info, SegmentInfo};
pub use rvf_format::key_file::KeyFileFault;
pub use rvf_format::note::{Note, NoteError, NoteFault, Policy, SignatureLine, Statement};
pub use rvf_format::storage::contain_faults;
pub use rvf_format::verify::{Advice, Finding, Report};
pub use rvf_format::{Clause, Dtype, IdType, Kind, Metric, Schema};
pub use search::{Effort, Explained, Hit, Matches, Planner, QueryVector, Search, Strategy, Trace};
pub use sign::{Algorithm, KeyId, PublicKey, SecretKey, SignatureFault, Signer};
pub use store::{Clock, CommitId, Event, Fields, Id, LogEntry, Snapshot, TailReport};
pub use value::{FieldType, Metadata, Value};
pub use verify::{ParentReport, VerifyOptions, VerifyReport, verify_path, verify_path_with};

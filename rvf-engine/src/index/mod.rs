//! Writing the index: from a snapshot to the edit that adds or renews graphs over its rows.
//!
//! ```text
//! plan: which graphs and parts -> gather small parts -> codes, if they do -> build, carrying on the largest graph
//!       -> curve of effort -> INDEX and QUANT drafts -> Edit
//! ```
//! | file | owns |
//! | --- | --- |
//! | `plan.rs` | which rows a new graph covers, when one is due |
//! | `edit.rs` | the edit of a plan |
//! | `codes.rs` | which codes a graph walks on |
//! | `draft.rs` | one graph: its INDEX draft and that of its codes |
//! | `curve.rs` | the curve of effort: recall by ef, of rows that were held back |
//! | `judge.rs` | what a graph is measured by: exact neighbours of a sample of its rows |

mod codes;
mod curve;
mod draft;
mod edit;
mod judge;
mod plan;

pub(crate) use edit::{edit, reindex};
pub(crate) use plan::{Scope, plan};

use crate::{Error, Result};
use std::ops::ControlFlow;

/// How an index is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexOptions {
    /// Links that a new node chooses at most, 2 to 64; a node has twice as many at most. 16 unless given, or that of the index.
    pub m: Option<usize>,
    /// Nodes that a new node chooses its links from, 8 to 4,096. 128 unless given, or that of the index.
    pub ef_construction: Option<usize>,
    /// Threads; all of the machine's unless given. They do not change the result.
    pub threads: Option<usize>,
}

/// Told how many records are indexed, of how many; may stop the work.
pub type IndexProgress<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// What indexing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Indexed {
    /// Live records that a graph covers now.
    pub indexed: u64,
    /// Graphs.
    pub graphs: u64,
    /// Number of the last commit.
    pub epoch: u64,
    /// Whether anything was written.
    pub written: bool,
}

impl IndexOptions {
    /// Checks the ranges.
    pub(crate) fn check(&self) -> Result<()> {
        let range = |value: Option<usize>, least: usize, most: usize, name: &'static str| match value {
            Some(value) if !(least..=most).contains(&value) => Err(Error::IndexOption { name, value, least, most }),
            _ => Ok(()),
        };
        range(self.m, 2, 64, "m")?;
        range(self.ef_construction, 8, 4096, "ef-construction")?;
        range(self.threads, 1, 1024, "threads")
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}

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

pub(crate) use crate::kernel::as_near_as;
pub(crate) use curve::Curve;
pub(crate) use edit::{edit, reindex, with_curve};
pub(crate) use judge::K as CURVE_K;
pub(crate) use plan::{Scope, plan};

use crate::{Error, Result};
use rvf_format::Schema;
use rvf_format::payload::index::{CODE_STORED, IndexFacts};
use rvf_format::payload::quant::{CODE_SQ4, CODE_SQ8};
use std::ops::ControlFlow;

/// How an index is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexOptions {
    /// Links that a new node chooses at most, 2 to 64, and half as many more once all nodes are there; a node has twice as many at
    /// most. 16 unless given, or that of the index.
    pub m: Option<usize>,
    /// Nodes that a node chooses its links from, 8 to 4,096; half as many while not all nodes are there. 112 unless given, or that of the index.
    pub ef_construction: Option<usize>,
    /// Threads; all of the machine's unless given. They do not change the result.
    pub threads: Option<usize>,
    /// What walks read of a row: measured unless given, when a graph is built and when it has doubled.
    pub code: Option<WalkCode>,
}

/// What a walk reads of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkCode {
    /// The row itself.
    Stored,
    /// A signed byte a component, of rows of f32 and f16 for which that is shorter.
    Sq8,
    /// Four bits a component of a projection to as many or fewer, of rows longer than a cache line that are not binary: the shortest
    /// that does, or the longest where none does.
    Sq4,
}

impl WalkCode {
    /// Its name: stored, sq8, sq4.
    pub fn name(self) -> &'static str {
        match self {
            WalkCode::Stored => "stored",
            WalkCode::Sq8 => "sq8",
            WalkCode::Sq4 => "sq4",
        }
    }

    /// The code of INDEX and QUANT segments.
    pub(crate) fn number(self) -> u8 {
        match self {
            WalkCode::Stored => CODE_STORED,
            WalkCode::Sq8 => CODE_SQ8,
            WalkCode::Sq4 => CODE_SQ4,
        }
    }
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
    pub(crate) fn check_ranges(&self) -> Result<()> {
        let range = |value: Option<usize>, least: usize, most: usize, name: &'static str| match value {
            Some(value) if !(least..=most).contains(&value) => {
                Err(Error::IndexOption { name, value: value.to_string(), must_be: format!("from {least} to {most}") })
            }
            _ => Ok(()),
        };
        range(self.m, 2, 64, "m")?;
        range(self.ef_construction, 8, 4096, "ef-construction")?;
        range(self.threads, 1, 1024, "threads")
    }

    /// Checks the ranges, and that the store can have such codes.
    pub(crate) fn check(&self, schema: &Schema) -> Result<()> {
        self.check_ranges()?;
        let possible = codes::possible(schema);
        match self.code.filter(|code| !possible.contains(code)) {
            None => Ok(()),
            Some(code) => {
                let names: Vec<&str> = possible.into_iter().map(WalkCode::name).collect();
                let must_be = format!("{} for rows of {} {}", names.join(" or "), schema.dimension, schema.dtype);
                Err(Error::IndexOption { name: "code", value: code.name().to_owned(), must_be })
            }
        }
    }

    /// Whether a graph is what these options ask for.
    pub(crate) fn are_met_by(&self, facts: &IndexFacts) -> bool {
        self.m.is_none_or(|m| m == facts.m.get() as usize)
            && self.ef_construction.is_none_or(|ef| ef == facts.ef_construction.get() as usize)
            && self.code.is_none_or(|code| code.number() == facts.code)
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}

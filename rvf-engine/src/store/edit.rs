//! [`Edit`]: what a commit is to change. A value: making one touches no file.

use rvf_format::build::Draft;
use rvf_format::manifest::Facts;
use rvf_format::payload::vec::IdColumn;
use rvf_format::payload::witness::Operation;
use std::borrow::Cow;

/// Rows to be added: packed rows in the store's dtype, and their ids, checked already.
#[derive(Clone, Debug)]
pub struct NewRows<'a> {
    /// Packed rows.
    pub vectors: Cow<'a, [u8]>,
    /// One id a row; no id twice.
    pub ids: IdColumn<'a>,
    /// META and META_IDX of their metadata, where they have any.
    pub metadata: Vec<Draft<'static>>,
}

/// What a commit is to change.
#[derive(Clone, Debug)]
pub struct Edit<'a> {
    /// What the audit entry says was done.
    pub operation: Operation,
    /// Rows to be added.
    pub rows: Vec<NewRows<'a>>,
    /// Row numbers to be made dead, ascending, live now.
    pub dead: Vec<u64>,
    /// Row numbers whose metadata a DELTA among the drafts changes.
    pub changed: Vec<u64>,
    /// Other segments to be added.
    pub drafts: Vec<Draft<'a>>,
    /// Row numbers that VEC segments among the drafts take, from the root's next row on. An edit has either such or new rows.
    pub moved_rows: u64,
    /// Ids of live segments to be removed. Rows in them are gone.
    pub removed: Vec<u64>,
    /// Whether the file takes no commit after this one.
    pub freezes: bool,
    /// Facts to be set; an empty value ends a fact.
    pub facts: Facts,
    /// Parameters of the operation as text; its hash goes into the audit entry.
    pub parameters: String,
    /// The smallest numeric id that is larger than every new one; 0 if none is new.
    pub next_id: u64,
}

impl Edit<'_> {
    /// An edit that changes nothing.
    pub fn new(operation: Operation) -> Self {
        Self {
            operation,
            rows: Vec::new(),
            dead: Vec::new(),
            changed: Vec::new(),
            drafts: Vec::new(),
            moved_rows: 0,
            removed: Vec::new(),
            freezes: false,
            facts: Facts::new(),
            parameters: String::new(),
            next_id: 0,
        }
    }

    /// Rows that it adds.
    pub fn added(&self) -> u64 {
        self.rows.iter().map(|rows| rows.ids.len() as u64).sum()
    }
}

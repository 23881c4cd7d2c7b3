//! Which records of a snapshot a filter finds.
//!
//! ```text
//! each part:   its META -> the filter, column by column -> a bit a row    (three-valued: found, not found, unknown)
//! each DELTA:  likewise; what it says of a row takes the place of what was said before
//! dead rows fall out
//! ```
//!
//! | file | owns |
//! | --- | --- |
//! | `mod.rs` | [`Matches`], [`Snapshot::matches`] |
//! | `tri.rs` | sets of records in three-valued logic |
//! | `eval.rs` | a filter over the records of one segment |
//! | `column.rs` | one test over one column |
//! | `ids.rs` | one test over the ids of records |

mod column;
mod eval;
mod ids;
#[cfg(test)]
mod tests;
mod tri;

use crate::filter::{Filter, IdSort, UnknownField};
use crate::store::{Id, RowId, Snapshot};
use crate::value::FieldType;
use crate::{Error, Result};
use eval::Ground;
use rvf_format::IdType;
use std::sync::OnceLock;

/// The records of one snapshot that a filter finds: made once, used by any number of searches.
#[derive(Clone, Debug)]
pub struct Matches {
    /// Which commit of which file.
    of: ([u8; 16], u64),
    /// A bit a row of each part; empty where none matches.
    parts: Vec<Vec<u64>>,
    /// How many match, of each part.
    counts: Vec<u64>,
    unknown: Vec<UnknownField>,
    /// For each graph a bit a node, set where its row does not match.
    excluded: Vec<OnceLock<Vec<u64>>>,
}

impl Snapshot {
    /// The live records that a filter finds, by what stands in their columns: exactly.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # use rvf_engine::filter::Filter;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// let mut batch = db.batch();
    /// for id in 0..10 {
    ///     batch.put_with(id, &[id as f32, 1.0], [("even", (id % 2 == 0).into()), ("n", (id as i64).into())])?;
    /// }
    /// batch.commit()?;
    /// let snapshot = db.snapshot();
    /// let matches = snapshot.matches(&Filter::parse("even AND n < 6")?)?;
    /// assert_eq!(matches.count(), 3);
    /// let hits = snapshot.search(&[9.0f32, 1.0]).k(2).filter(&matches).run()?;
    /// assert_eq!(hits.iter().map(|hit| hit.id.to_string()).collect::<Vec<_>>(), ["4", "2"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Filter`] for a test that does not go with the type of its field; corruption of what is read.
    pub fn matches(&self, filter: &Filter) -> Result<Matches> {
        self.settle(self.evaluate(filter))
    }

    fn evaluate(&self, filter: &Filter) -> Result<Matches> {
        self.whole()?;
        let fields = self.fields()?;
        let sort = match self.schema().id_type {
            IdType::U64 => IdSort::Number,
            IdType::Str => IdSort::Text,
        };
        let type_of = |name: &str| -> Option<FieldType> { fields.get(name).copied() };
        let checked = filter.check(Some(sort), &type_of, &|| fields.keys().cloned().collect());
        let unknown = checked.map_err(Error::Filter)?;
        let mut parts = Vec::with_capacity(self.parts().len());
        for part in 0..self.parts().len() as u32 {
            let mut found = eval::eval(&Ground::of_part(self, part)?, filter.expr())?.found();
            if let Some(dead) = self.dead()?.get(part as usize).and_then(Option::as_ref) {
                dead.iter().for_each(|row| set(&mut found, row, false));
            }
            parts.push(found);
        }
        self.overlay(filter, &mut parts)?;
        let ones = |part: &Vec<u64>| part.iter().map(|word| u64::from(word.count_ones())).sum();
        let counts = parts.iter().map(ones).collect();
        let root = self.root();
        let excluded = self.graphs().iter().map(|_| OnceLock::new()).collect();
        Ok(Matches { of: (root.file_id, root.epoch()), parts, counts, unknown, excluded })
    }

    /// What DELTA segments say, the oldest first.
    fn overlay(&self, filter: &Filter, parts: &mut [Vec<u64>]) -> Result<()> {
        for delta in self.metas().deltas().iter().rev() {
            let view = delta.view(self)?;
            let found = eval::eval(&Ground::of_delta(self, view), filter.expr())?.found();
            for position in 0..view.count() {
                let Some(at) = self.place_of_row(view.row(position)) else { continue };
                let matches = is_set(&found, position) && !self.is_dead(at)?;
                if let Some(part) = parts.get_mut(at.part as usize) {
                    set(part, at.row, matches);
                }
            }
        }
        Ok(())
    }
}

impl Matches {
    /// How many records there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        let excluded = self.excluded.iter().filter_map(OnceLock::get);
        8 * self.parts.iter().chain(excluded).map(Vec::len).sum::<usize>()
    }

    /// A number by which matches of other filters are told apart: of how many records of each part match.
    pub(crate) fn print(&self) -> u64 {
        let mixed = |print: u64, count: &u64| (print ^ count).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        self.counts.iter().fold(1, mixed)
    }

    /// Whether a row is among them.
    pub(crate) fn has(&self, at: RowId) -> bool {
        self.parts.get(at.part as usize).is_some_and(|part| is_set(part, at.row))
    }

    /// How many there are of a part.
    pub(super) fn count_in(&self, part: u32) -> u64 {
        self.counts.get(part as usize).copied().unwrap_or_default()
    }

    /// The ids of all of them, in the order of rows.
    ///
    /// # Errors
    /// [`Error::OtherSnapshot`]; corruption of what is read.
    pub fn ids(&self, snapshot: &Snapshot) -> Result<Vec<Id>> {
        self.check(snapshot)?;
        snapshot.settle(self.rows().map(|at| snapshot.id_of(at).map(Id::from)).collect())
    }

    /// Fields that the filter names and no record has, with names like theirs.
    pub fn unknown_fields(&self) -> &[UnknownField] {
        &self.unknown
    }

    /// That these are matches of this very snapshot.
    pub(crate) fn check(&self, snapshot: &Snapshot) -> Result<()> {
        let root = snapshot.root();
        if self.of == (root.file_id, root.epoch()) { Ok(()) } else { Err(Error::OtherSnapshot) }
    }

    /// The rows of a part that match, ascending.
    pub(super) fn in_part(&self, part: u32) -> impl Iterator<Item = RowId> + '_ {
        let words = self.parts.get(part as usize).map(Vec::as_slice).unwrap_or_default();
        words.iter().enumerate().flat_map(move |(index, word)| {
            let bits = std::iter::successors(Some(*word), |word| Some(word & word.wrapping_sub(1)));
            let bits = bits.take_while(|word| *word != 0);
            bits.map(move |word| RowId { part, row: index as u32 * 64 + word.trailing_zeros() })
        })
    }

    /// All rows that match.
    pub(crate) fn rows(&self) -> impl Iterator<Item = RowId> + '_ {
        (0..self.parts.len() as u32).flat_map(|part| self.in_part(part))
    }

    /// A bit a node of a graph, by its place among the snapshot's, set where the row does not match; the graph is over so many rows of
    /// each of these parts.
    pub(super) fn excluded(&self, graph: usize, parts: impl Iterator<Item = (u32, u32)> + Clone) -> &[u64] {
        let Some(cell) = self.excluded.get(graph) else { return &[] };
        cell.get_or_init(|| {
            let nodes: usize = parts.clone().map(|(_, rows)| rows as usize).sum();
            let mut words = vec![u64::MAX; nodes.div_ceil(64)];
            let mut start = 0;
            for (part, rows) in parts {
                self.in_part(part).filter(|at| at.row < rows).for_each(|at| set(&mut words, start + at.row, false));
                start += rows;
            }
            words
        })
    }
}

fn is_set(words: &[u64], at: u32) -> bool {
    words.get(at as usize / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
}

fn set(words: &mut [u64], at: u32, on: bool) {
    if let Some(word) = words.get_mut(at as usize / 64) {
        let bit = 1 << (at % 64);
        *word = if on { *word | bit } else { *word & !bit };
    }
}

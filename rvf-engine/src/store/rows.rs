//! The rows of one VEC segment of a snapshot, and which of them are dead.

use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::journal::JournalWord;
use rvf_format::payload::vec::VecView;
use rvf_format::storage::Bytes;
use rvf_format::{Clause, Error, Schema};
use std::borrow::Borrow;
use std::ops::Range;
use std::sync::OnceLock;

/// Where a row is: part of the snapshot, row of the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId {
    /// Index among the snapshot's parts.
    pub part: u32,
    /// Row within the part.
    pub row: u32,
}

/// A damage that was found when something was first touched. Kept, so that each touch reports it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    clause: Clause,
    at: u64,
    what: &'static str,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Corrupt { clause, at, what } => Self { clause, at, what },
            _ => Self { clause: Clause::Vec1, at: 0, what: "a segment cannot be read" },
        }
    }
}

impl From<crate::Error> for Fault {
    fn from(error: crate::Error) -> Self {
        match error {
            crate::Error::Corrupt { clause, at, what } => Self { clause, at, what },
            crate::Error::InParent { source, .. } => Self::from(*source),
            _ => Self { clause: Clause::Vec1, at: 0, what: "a segment cannot be read" },
        }
    }
}

impl From<Fault> for crate::Error {
    fn from(fault: Fault) -> Self {
        crate::Error::Corrupt { clause: fault.clause, at: fault.at, what: fault.what }
    }
}

/// One VEC segment of a snapshot, of its own file or of a parent's. Parsed when first touched.
#[derive(Debug)]
pub struct Part {
    /// Its entry in the manifest.
    pub entry: ManifestEntry,
    /// Of the file that it stands in.
    pub(crate) depth: u32,
    view: OnceLock<Result<VecView, Fault>>,
}

impl Part {
    pub(crate) fn new(entry: ManifestEntry, depth: u32) -> Self {
        Self { entry, depth, view: OnceLock::new() }
    }

    /// The segment in place.
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6, VEC-1.
    pub(crate) fn view<'f>(&self, file: impl FnOnce() -> &'f Bytes, schema: &Schema) -> crate::Result<&VecView> {
        let parsed = self.view.get_or_init(|| {
            let segment = file().slice(self.entry.offset.get() as usize, self.entry.length.get() as usize);
            let missing =
                Error::corrupt(Clause::Man4, self.entry.offset.get(), "a listed segment lies outside the file");
            VecView::parse(segment.ok_or(missing)?, &self.entry, schema).map_err(Fault::from)
        });
        parsed.as_ref().map_err(|fault| (*fault).into())
    }
}

/// Dead rows of each part; `None` where all rows are live.
pub(crate) type DeadRows = Vec<Option<Bits>>;

/// One bit a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
    ones: u32,
}

impl Bits {
    pub(crate) fn set(&mut self, row: u32, rows: u32) {
        self.words.resize((rows as usize).div_ceil(64), 0);
        if let Some(word) = self.words.get_mut(row as usize / 64) {
            let bit = 1 << (row % 64);
            self.ones += u32::from(*word & bit == 0);
            *word |= bit;
        }
    }

    /// Sets the bits of some of `rows` rows.
    pub(crate) fn set_range(&mut self, range: Range<u32>, rows: u32) {
        self.words.resize((rows as usize).div_ceil(64), 0);
        let end = range.end.min(rows);
        let mut at = range.start;
        while at < end {
            let (word, low) = (at as usize / 64, at % 64);
            let count = (64 - low).min(end - at);
            let mask = (u64::MAX >> (64 - count)) << low;
            if let Some(bits) = self.words.get_mut(word) {
                self.ones += (mask & !*bits).count_ones();
                *bits |= mask;
            }
            at += count;
        }
    }

    /// The rows whose bits are set in one of the two only, ascending.
    pub(crate) fn differing<'b>(&'b self, other: &'b Self) -> impl Iterator<Item = u32> + 'b {
        let word = |bits: &Self, at: usize| bits.words.get(at).copied().unwrap_or_default();
        let words = (0..self.words.len().max(other.words.len())).map(move |at| word(self, at) ^ word(other, at));
        ones(words)
    }

    pub(crate) fn get(&self, row: u32) -> bool {
        self.words.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// The rows whose bits are set, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        ones(self.words.iter().copied())
    }

    /// Number of set bits.
    pub(crate) fn ones(&self) -> u32 {
        self.ones
    }
}

/// The places of the bits that are set.
fn ones(words: impl Iterator<Item = u64>) -> impl Iterator<Item = u32> {
    words.enumerate().flat_map(|(index, word)| {
        let bits =
            std::iter::successors((word != 0).then_some(word), |word| Some(word & (word - 1)).filter(|w| *w != 0));
        bits.map(move |word| index as u32 * 64 + word.trailing_zeros())
    })
}

/// Spreads journal words over the parts, whose row ranges do not overlap. Rows of no part are ignored. `check` proves that a
/// part has as many rows as its entry claims, before bits are kept for them.
pub(crate) fn dead_rows<'a, P: Borrow<Part>>(
    parts: &[P],
    words: impl IntoIterator<Item = &'a JournalWord>,
    check: impl Fn(&Part) -> crate::Result<()>,
) -> crate::Result<DeadRows> {
    let mut dead: DeadRows = vec![None; parts.len()];
    mark(parts, &mut dead, words.into_iter().flat_map(ranges_of), check)?;
    Ok(dead)
}

/// The rows of a journal word.
pub(crate) fn ranges_of(word: &JournalWord) -> impl Iterator<Item = Range<u64>> {
    let first = word.word.get().saturating_mul(64);
    ones(std::iter::once(word.mask.get())).map(move |bit| {
        let row = first.saturating_add(u64::from(bit));
        row..row.saturating_add(1)
    })
}

/// Sets the bits of ranges of row numbers, as [`dead_rows`] does.
pub(crate) fn mark<P: Borrow<Part>>(
    parts: &[P],
    dead: &mut DeadRows,
    ranges: impl IntoIterator<Item = Range<u64>>,
    check: impl Fn(&Part) -> crate::Result<()>,
) -> crate::Result<()> {
    let mut by_row: Vec<usize> = (0..parts.len()).collect();
    let entry = |index: usize| &parts[index].borrow().entry;
    by_row.sort_unstable_by_key(|index| entry(*index).base_row.get());
    for range in ranges {
        let first = by_row.partition_point(|index| entry(*index).end_row() <= range.start);
        for index in by_row[first..].iter().copied().take_while(|index| entry(*index).base_row.get() < range.end) {
            let entry = entry(index);
            if dead[index].is_none() {
                check(parts[index].borrow())?;
            }
            let place = |row: u64| row.saturating_sub(entry.base_row.get()).min(u64::from(entry.rows.get())) as u32;
            dead[index].get_or_insert_default().set_range(place(range.start)..place(range.end), entry.rows.get());
        }
    }
    Ok(())
}

//! The rows of one VEC segment of a snapshot, and which of them are dead.

use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::journal::JournalWord;
use rvf_format::payload::vec::VecView;
use rvf_format::storage::Bytes;
use rvf_format::{Clause, Error, Schema};
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
            _ => Self { clause: Clause::Vec1, at: 0, what: "a segment cannot be read" },
        }
    }
}

impl From<Fault> for crate::Error {
    fn from(fault: Fault) -> Self {
        crate::Error::Corrupt { clause: fault.clause, at: fault.at, what: fault.what }
    }
}

/// One VEC segment of a snapshot. Parsed when first touched.
#[derive(Debug)]
pub struct Part {
    /// Its entry in the manifest.
    pub entry: ManifestEntry,
    view: OnceLock<Result<VecView, Fault>>,
}

impl Part {
    pub(crate) fn new(entry: ManifestEntry) -> Self {
        Self { entry, view: OnceLock::new() }
    }

    /// The segment in place.
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6, VEC-1.
    pub(crate) fn view(&self, file: &Bytes, schema: &Schema) -> crate::Result<&VecView> {
        let parsed = self.view.get_or_init(|| {
            let segment = file.slice(self.entry.offset.get() as usize, self.entry.length.get() as usize);
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

    pub(crate) fn get(&self, row: u32) -> bool {
        self.words.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// The rows whose bits are set, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let bits = std::iter::successors((*word != 0).then_some(*word), |word| {
                Some(word & (word - 1)).filter(|w| *w != 0)
            });
            bits.map(move |word| index as u32 * 64 + word.trailing_zeros())
        })
    }

    /// Number of set bits.
    pub(crate) fn ones(&self) -> u32 {
        self.ones
    }
}

/// Spreads journal words over the parts, whose row ranges do not overlap. Rows of no part are ignored. `check` proves that a
/// part has as many rows as its entry claims, before bits are kept for them.
pub(crate) fn dead_rows<'a>(
    parts: &[Part],
    words: impl IntoIterator<Item = &'a JournalWord>,
    check: impl Fn(&Part) -> crate::Result<()>,
) -> crate::Result<DeadRows> {
    let mut by_row: Vec<usize> = (0..parts.len()).collect();
    by_row.sort_unstable_by_key(|index| parts[*index].entry.base_row.get());
    let mut dead: DeadRows = vec![None; parts.len()];
    for word in words {
        let mut mask = word.mask.get();
        while mask != 0 {
            let row = word.word.get().saturating_mul(64).saturating_add(u64::from(mask.trailing_zeros()));
            mask &= mask - 1;
            let after = by_row.partition_point(|index| parts[*index].entry.base_row.get() <= row);
            let Some(index) = after.checked_sub(1).and_then(|place| by_row.get(place)).copied() else { continue };
            let entry = &parts[index].entry;
            if row < entry.end_row() {
                if dead[index].is_none() {
                    check(&parts[index])?;
                }
                dead[index].get_or_insert_default().set((row - entry.base_row.get()) as u32, entry.rows.get());
            }
        }
    }
    Ok(dead)
}

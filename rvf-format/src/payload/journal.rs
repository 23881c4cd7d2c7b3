//! JOURNAL: rows that are no longer live, as words of 64 rows.

use crate::build::Draft;
use crate::segment::Payload;
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, Result, layout};
use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::U64;

layout! {
    /// Dead rows among 64.
    pub struct JournalWord = "journal-word", 16 bytes {
        /// Row number divided by 64.
        0x00 word: "u64" U64,
        /// Bit b: row 64 `word` + b is dead.
        0x08 mask: "u64" U64,
    }
}

const TAG_WORDS: u32 = 1;

/// A draft of a JOURNAL with words by ascending number.
pub fn draft(words: &[JournalWord]) -> Draft<'_> {
    Draft::new(Kind::JOURNAL, 1).section(TAG_WORDS, words.as_bytes())
}

/// The words of ascending rows.
pub fn words_of(rows: impl IntoIterator<Item = u64>) -> Vec<JournalWord> {
    let mut words: Vec<JournalWord> = Vec::new();
    for row in rows {
        let (word, bit) = (row / 64, 1 << (row % 64));
        match words.last_mut().filter(|last| last.word.get() == word) {
            Some(last) => last.mask.set(last.mask.get() | bit),
            None => words.push(JournalWord { word: U64::new(word), mask: U64::new(bit) }),
        }
    }
    words
}

/// A JOURNAL segment in place.
#[derive(Clone, Debug)]
pub struct JournalView {
    words: Bytes,
    at: u64,
}

impl JournalView {
    /// Parses the JOURNAL at file offset `at`.
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6.
    pub fn parse(segment: Bytes, at: u64) -> Result<Self> {
        let payload = Payload::parse(segment, at, Kind::JOURNAL, &[1])?;
        let words = payload.required(TAG_WORDS)?;
        let at = payload.place_of(TAG_WORDS);
        if words.len() % size_of::<JournalWord>() != 0 {
            return Err(Error::corrupt(Clause::Pay6, at, "a journal is not a whole number of words"));
        }
        Ok(Self { words, at })
    }

    /// The words.
    pub fn words(&self) -> &[JournalWord] {
        self.words.as_slice().unwrap_or_default()
    }

    /// Checks that words ascend, are not empty and end below `next_row`.
    ///
    /// # Errors
    /// JNL-1.
    pub fn check(&self, next_row: u64) -> Result<()> {
        let words = self.words();
        let ascending = words.is_sorted_by(|a, b| a.word.get() < b.word.get());
        let in_range = words.iter().all(|word| {
            let highest = 63 - u64::from(word.mask.get().leading_zeros().min(63));
            word.mask.get() != 0 && word.word.get().checked_mul(64).is_some_and(|row| row + highest < next_row)
        });
        if ascending && in_range {
            return Ok(());
        }
        Err(Error::corrupt(Clause::Jnl1, self.at, "journal words are out of order, empty or name rows that never were"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_check() {
        let rows = [3, 64, 65, 1000];
        let words = words_of(rows);
        assert_eq!(words.len(), 3);
        let view = JournalView::parse(Bytes::from(draft(&words).encode(1, 0).unwrap()), 0).unwrap();
        assert_eq!(view.words(), words);
        view.check(1001).unwrap();
        assert_eq!(view.check(1000).unwrap_err().clause(), Some(Clause::Jnl1));
    }
}

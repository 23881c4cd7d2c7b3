//! [`Pattern`]: what LIKE matches with. It knows no fields.
//!
//! A pattern is cut at its `%` into pieces. The first one must begin the text, the last one must end it, and each one
//! between is taken where it occurs first: if any choice works, that one does, so nothing is tried twice. A piece
//! without `_` is found by the search of the standard library, in linear time; one with `_` costs its length for each
//! place, and a filter takes no long ones.

use core::ops::Range;

/// A pattern of LIKE: `%` stands for any run of characters, `_` for one character, and `\` takes the next character as
/// it is. Upper and lower case differ.
///
/// ```
/// use rvf_engine::filter::Pattern;
/// let pattern = Pattern::new("Intro%to _ust");
/// assert!(pattern.matches("Introduction to Rust") && !pattern.matches("introduction to Rust"));
/// assert_eq!(pattern.prefix(), "Intro");
/// assert!(Pattern::new(r"100\%").matches("100%"));
/// ```
#[derive(Clone, Debug)]
pub struct Pattern {
    source: String,
    /// The characters that stand for themselves, one after the other.
    text: String,
    steps: Vec<Step>,
}

/// Text that is not interrupted, a number of characters, or a run. No two of a kind follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// These bytes of the pattern's text. A pattern beyond 4 GiB matches nothing; a filter's is far shorter.
    Text { start: u32, end: u32 },
    /// So many characters.
    Skip(u32),
    /// Any number of characters.
    Run,
}

impl Pattern {
    /// Of this source. A `\` at its end, which a filter refuses, stands for itself.
    pub fn new(source: impl Into<String>) -> Pattern {
        let source = source.into();
        let mut pattern = Pattern { source: String::new(), text: String::new(), steps: Vec::new() };
        let mut characters = source.chars();
        while let Some(character) = characters.next() {
            match character {
                '%' => pattern.push_run(),
                '_' => pattern.push_skip(),
                '\\' => pattern.push_text(characters.next().unwrap_or('\\')),
                _ => pattern.push_text(character),
            }
        }
        pattern.source = source;
        pattern
    }

    /// Whether the whole text fits. The time is linear in both for a pattern without `_`, at worst the product of the
    /// lengths for one with it.
    pub fn matches(&self, text: &str) -> bool {
        self.fit(text).is_some()
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What every text that fits begins with: all that stands before the first wildcard.
    pub fn prefix(&self) -> &str {
        match self.steps.first() {
            Some(step @ Step::Text { .. }) => self.text_of(*step).unwrap_or_default(),
            _ => "",
        }
    }

    /// Whether a text fits if it begins with [`Pattern::prefix`], as for `x%`.
    pub fn is_prefix_only(&self) -> bool {
        matches!(self.steps.as_slice(), [Step::Run] | [Step::Text { .. }, Step::Run])
    }

    /// Whether a text fits if it equals [`Pattern::prefix`]: no wildcard is in the pattern.
    pub fn is_exact(&self) -> bool {
        matches!(self.steps.as_slice(), [] | [Step::Text { .. }])
    }

    /// Whether its last character is a `\` that takes nothing.
    pub(super) fn ends_in_escape(&self) -> bool {
        let trailing = self.source.len() - self.source.trim_end_matches('\\').len();
        trailing % 2 == 1
    }

    /// Characters of the longest piece with `_` that is looked for: between two `%`.
    pub(super) fn longest_sought(&self) -> usize {
        let length = |step: &Step| match step {
            Step::Skip(count) => *count as usize,
            _ => self.text_of(*step).map_or(0, |text| text.chars().count()),
        };
        let pieces: Vec<&[Step]> = self.steps.split(|step| *step == Step::Run).collect();
        let between = pieces.get(1..pieces.len().saturating_sub(1)).unwrap_or_default();
        // Characters that are skipped at its beginning are not looked for.
        let sought = between.iter().map(|piece| match *piece {
            [Step::Skip(_), sought @ ..] | sought => sought,
        });
        let skipping = sought.filter(|piece| piece.iter().any(|step| matches!(step, Step::Skip(_))));
        skipping.map(|piece| piece.iter().map(length).sum()).max().unwrap_or_default()
    }

    fn push_text(&mut self, character: char) {
        let start = place(self.text.len());
        self.text.push(character);
        let now = place(self.text.len());
        match self.steps.last_mut() {
            Some(Step::Text { end, .. }) => *end = now,
            _ => self.steps.push(Step::Text { start, end: now }),
        }
    }

    fn push_skip(&mut self) {
        match self.steps.last_mut() {
            Some(Step::Skip(count)) => *count = count.saturating_add(1),
            _ => self.steps.push(Step::Skip(1)),
        }
    }

    fn push_run(&mut self) {
        if self.steps.last() != Some(&Step::Run) {
            self.steps.push(Step::Run);
        }
    }

    /// `Some` if the text fits.
    fn fit(&self, text: &str) -> Option<()> {
        let mut pieces = self.steps.split(|step| *step == Step::Run);
        let rest = self.strip_front(pieces.next()?, text)?;
        let Some(last) = pieces.next_back() else { return rest.is_empty().then_some(()) };
        let mut rest = self.strip_back(last, rest)?;
        for piece in pieces {
            rest = self.strip_first(piece, rest)?;
        }
        Some(())
    }

    /// What follows the piece at the beginning of `text`.
    fn strip_front<'t>(&self, piece: &[Step], text: &'t str) -> Option<&'t str> {
        piece.iter().try_fold(text, |rest, step| match step {
            Step::Skip(count) => skip(rest, *count),
            _ => rest.strip_prefix(self.text_of(*step)?),
        })
    }

    /// What precedes the piece at the end of `text`.
    fn strip_back<'t>(&self, piece: &[Step], text: &'t str) -> Option<&'t str> {
        piece.iter().rev().try_fold(text, |rest, step| match step {
            Step::Skip(count) => skip_back(rest, *count),
            _ => rest.strip_suffix(self.text_of(*step)?),
        })
    }

    /// What follows the piece where it occurs first in `text`.
    fn strip_first<'t>(&self, piece: &[Step], text: &'t str) -> Option<&'t str> {
        let (mut rest, piece) = match piece {
            [Step::Skip(count), after @ ..] => (skip(text, *count)?, after),
            _ => (text, piece),
        };
        let [first, after @ ..] = piece else { return Some(rest) };
        let first = self.text_of(*first)?;
        loop {
            let found = rest.get(rest.find(first)?..)?;
            if let Some(end) = self.strip_front(after, found.strip_prefix(first)?) {
                return Some(end);
            }
            rest = skip(found, 1)?;
        }
    }

    fn text_of(&self, step: Step) -> Option<&str> {
        let Step::Text { start, end } = step else { return None };
        let bytes: Range<usize> = start as usize..end as usize;
        self.text.get(bytes)
    }
}

/// Two are equal if they are written the same.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

fn place(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// `text` without its first `count` characters, if it has as many.
fn skip(text: &str, count: u32) -> Option<&str> {
    let mut characters = text.chars();
    characters.nth(count.checked_sub(1)? as usize)?;
    Some(characters.as_str())
}

/// `text` without its last `count` characters, if it has as many.
fn skip_back(text: &str, count: u32) -> Option<&str> {
    let mut characters = text.chars();
    characters.nth_back(count.checked_sub(1)? as usize)?;
    Some(characters.as_str())
}

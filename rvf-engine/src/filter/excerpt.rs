//! A line of a filter around a place in it, and the marks under the place. It knows no faults.

use core::fmt;

use super::expr::Span;

/// Most characters of the text that are shown.
const WIDTH: usize = 100;
/// Most characters of a name or a string in a message.
const NAME_WIDTH: usize = 64;
/// Stands where text was cut off.
const CUT: &str = "...";

/// A line of text and a place in it, in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    line: String,
    indent: usize,
    marks: usize,
}

impl Excerpt {
    /// What of `text` is near the place.
    pub(super) fn new(text: &str, span: Span) -> Excerpt {
        let (start, end) = (boundary(text, span.range().start), boundary(text, span.range().end));
        let (before, after) = (text.get(..start).unwrap_or_default(), text.get(start..).unwrap_or_default());
        let (left, right) = shares(count(before.chars().rev()), count(after.chars()));
        let from = before.char_indices().rev().take(left).last().map_or(start, |(at, _)| at);
        let to = after.char_indices().nth(right).map_or(text.len(), |(at, _)| start + at);
        let mut line = String::new();
        if from > 0 {
            line.push_str(CUT);
        }
        let indent = line.len() + left;
        line.extend(text.get(from..to).unwrap_or_default().chars().map(printable));
        if to < text.len() {
            line.push_str(CUT);
        }
        let marks = text.get(start..end.min(to)).map_or(1, |marked| marked.chars().count().max(1));
        Excerpt { line, indent, marks }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.line.trim_end())?;
        write!(f, "{:indent$}{:^<marks$}", "", "", indent = self.indent, marks = self.marks)
    }
}

/// The beginning of a name or a string, for a message.
pub(super) fn shortened(name: &str) -> String {
    let mut characters = name.chars();
    let mut shown: String = characters.by_ref().take(NAME_WIDTH).map(printable).collect();
    if characters.next().is_some() {
        shown.push_str(CUT);
    }
    shown
}

/// Whether a character takes a column of its own and leaves the others where they are.
pub(super) fn is_printable(character: char) -> bool {
    let invisible = matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !character.is_control() && !invisible
}

fn printable(character: char) -> char {
    if is_printable(character) { character } else { ' ' }
}

/// The last place up to `at` that is between two characters.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

/// How many characters before and from the place are shown, of so many that are there.
fn shares(before: usize, after: usize) -> (usize, usize) {
    let half = WIDTH / 2;
    if before <= half {
        return (before, after.min(WIDTH - before));
    }
    let right = after.min(half);
    (before.min(WIDTH - right), right)
}

/// No text is counted further than a line is wide.
fn count(characters: impl Iterator<Item = char>) -> usize {
    characters.take(WIDTH + 1).count()
}

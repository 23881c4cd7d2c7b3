//! Which names may be meant by one that is not there.

use super::expr::FieldRef;

/// Most names that are suggested.
const MOST: usize = 3;
/// Longer names are compared by what they contain alone.
const MOST_CHARS: usize = 64;
/// Most edits between a name and the one that is meant.
const MOST_EDITS: usize = 3;

/// Up to three of `names`, and `id`, that may be meant by `name`, the likeliest first, as they are written in a filter.
pub(super) fn near(name: &str, names: &[String]) -> Vec<String> {
    let wanted = Folded::new(name);
    let rank = |candidate: &str| wanted.edits_to(&Folded::new(candidate));
    let id = rank("id").filter(|edits| *edits == 0).map(|edits| (edits, FieldRef::Id.to_string()));
    let others = names.iter().filter_map(|candidate| {
        let edits = rank(candidate)?;
        Some((edits, FieldRef::Name(candidate.clone()).to_string()))
    });
    let mut found: Vec<(usize, String)> = id.into_iter().chain(others).collect();
    found.sort_unstable();
    found.truncate(MOST);
    found.into_iter().map(|(_, shown)| shown).collect()
}

/// A name in lower case.
struct Folded {
    text: String,
    letters: Vec<char>,
}

impl Folded {
    fn new(name: &str) -> Folded {
        let text = name.to_lowercase();
        let letters = text.chars().take(MOST_CHARS + 1).collect();
        Folded { text, letters }
    }

    /// How many edits lead to the other name; one more than the most if that only contains this one, or is in it.
    fn edits_to(&self, other: &Folded) -> Option<usize> {
        let allowed = (self.letters.len() / 3).clamp(1, MOST_EDITS);
        let close = self.letters.len().abs_diff(other.letters.len()) <= allowed;
        if close && self.letters.len().max(other.letters.len()) <= MOST_CHARS {
            let edits = edits(&self.letters, &other.letters);
            if edits <= allowed {
                return Some(edits);
            }
        }
        let shorter = self.letters.len().min(other.letters.len());
        let contained = self.text.contains(&other.text) || other.text.contains(&self.text);
        (contained && shorter >= 3).then_some(MOST_EDITS + 1)
    }
}

/// The fewest letters to put in, take out or replace, or pairs of neighbours to swap, that make one name the other.
fn edits(from: &[char], to: &[char]) -> usize {
    // Row i holds the edits from the first i letters to the first j, for each j.
    let mut rows = [vec![0; to.len() + 1], (0..=to.len()).collect(), vec![0; to.len() + 1]];
    for (i, letter) in from.iter().enumerate() {
        let [older, old, new] = &mut rows;
        new[0] = i + 1;
        for (j, other) in to.iter().enumerate() {
            let replaced = old[j] + usize::from(letter != other);
            new[j + 1] = replaced.min(old[j + 1] + 1).min(new[j] + 1);
            if i > 0 && j > 0 && *letter == to[j - 1] && from[i - 1] == *other {
                new[j + 1] = new[j + 1].min(older[j - 1] + 1);
            }
        }
        rows.rotate_left(1);
    }
    rows[1][to.len()]
}

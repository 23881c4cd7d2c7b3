//! Filters: conditions on the metadata and the id of a record, as text, as a tree, and as a program puts them together.
//! It knows no files and no columns.
//!
//! ```text
//! source = 'mdn' AND words >= 40 AND (lang IN ('en', 'fr') OR draft IS NULL)
//!     AND NOT title LIKE 'Intro%' AND tags CONTAINS 'api' AND year BETWEEN 2019 AND 2024
//! ```
//!
//! AND binds tighter than OR, and NOT tighter than AND. A record without a field has null there, and what is asked of
//! null is unknown, as in SQL: `NOT lang = 'en'` selects no record without `lang`.
//!
//! | file | owns |
//! | --- | --- |
//! | `expr.rs` | [`Expr`]: the tree |
//! | `build.rs` | [`field`], [`id`]: trees put together by a program |
//! | `lex.rs` | text to tokens |
//! | `parse.rs` | tokens to trees |
//! | `display.rs` | trees to text |
//! | `error.rs` | [`FilterError`]: what can be wrong, and where |
//! | `words.rs` | what errors say, and what they advise |
//! | `excerpt.rs` | the line of the text with the marks under it |
//! | `check.rs` | [`Filter::check`]: the filter held against the fields of a store |
//! | `near.rs` | names that may be meant |
//! | `eval.rs` | [`Expr::eval`]: the filter decided for one record |
//! | `number.rs` | [`cmp_i64`] and others: numbers compared exactly |
//! | `like.rs` | [`Pattern`]: what LIKE matches with |

mod build;
mod check;
mod display;
mod error;
mod eval;
mod excerpt;
mod expr;
mod lex;
mod like;
mod near;
mod number;
mod parse;
#[cfg(test)]
mod tests;
mod words;

use core::fmt;
use core::str::FromStr;

pub use build::{Field, field, id};
pub use check::{IdSort, UnknownField};
pub use error::{Expected, FieldSort, FilterError, FilterFault, Found, LiteralSort};
pub use eval::Operand;
pub use expr::{Expr, FieldRef, Literal, Op, Span, Spanned, Test, TestKind};
pub use like::Pattern;
pub use number::{cmp_f64, cmp_i64, cmp_u64};

/// Most bytes of a filter's text.
pub const MAX_FILTER_BYTES: usize = 1 << 20;
/// Most levels that parentheses and NOT are nested.
pub const MAX_DEPTH: usize = 64;
/// Most values in a filter.
pub const MAX_LITERALS: usize = 65_536;
/// Characters of a pattern between two `%` of which one is `_`, at most: looking for them takes their number for each character of a
/// text.
pub const MAX_LIKE_PIECE: usize = 256;

/// A condition on records that is sound in itself: within the limits, with finite numbers. Two are equal if their trees
/// are.
///
/// ```
/// use rvf_engine::filter::{Filter, field};
/// let filter = Filter::parse("source == 'mdn' and not (lang = 'en')")?;
/// assert_eq!(filter.to_string(), "source = 'mdn' AND NOT lang = 'en'");
/// assert_eq!(filter, Filter::new(field("source").eq("mdn") & !field("lang").eq("en"))?);
/// # Ok::<(), rvf_engine::filter::FilterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Filter {
    root: Expr,
    text: String,
}

impl Filter {
    /// Reads a text.
    ///
    /// # Errors
    /// Every [`FilterFault`] but those of [`Filter::check`].
    pub fn parse(text: &str) -> Result<Filter, FilterError> {
        Ok(Filter { root: parse::parse(text)?, text: text.to_owned() })
    }

    /// A filter of an expression that a program put together. Its text is what the expression prints, and the places in
    /// its tree are those in that text; a chain in a chain of the same kind becomes one, a chain of one part that part.
    ///
    /// # Errors
    /// As for that text: an expression may be nested too deep, have too many or too long values, numbers that are not
    /// finite, strings with U+0000, or an IN without values.
    ///
    /// ```
    /// use rvf_engine::filter::{Filter, FilterFault, field};
    /// let filter = Filter::new(field("words").ge(40) & field("title").like("Intro%"))?;
    /// assert_eq!(filter.text(), "words >= 40 AND title LIKE 'Intro%'");
    /// let error = Filter::new(field("words").ge(f64::NAN)).err().ok_or("passed")?;
    /// assert_eq!(error.kind(), &FilterFault::NotFinite);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(expr: Expr) -> Result<Filter, FilterError> {
        let mut printed = Printed { text: String::new() };
        if fmt::write(&mut printed, format_args!("{expr}")).is_err() {
            return Err(parse::too_long(&printed.text));
        }
        Ok(Filter { root: parse::parse(&printed.text)?, text: printed.text })
    }

    /// The text that it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The tree.
    pub fn expr(&self) -> &Expr {
        &self.root
    }

    /// The tree, to build on.
    pub fn into_expr(self) -> Expr {
        self.root
    }
}

/// Prints an equal filter, in one way of writing.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root
    }
}

/// [`Filter::parse`].
impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Filter, FilterError> {
        Filter::parse(text)
    }
}

/// [`Filter::parse`].
impl TryFrom<&str> for Filter {
    type Error = FilterError;

    fn try_from(text: &str) -> Result<Filter, FilterError> {
        Filter::parse(text)
    }
}

/// [`Filter::new`].
impl TryFrom<Expr> for Filter {
    type Error = FilterError;

    fn try_from(expr: Expr) -> Result<Filter, FilterError> {
        Filter::new(expr)
    }
}

/// What an expression prints, as far as a filter may go: a program may hand over far more.
struct Printed {
    text: String,
}

impl fmt::Write for Printed {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.text.len() + part.len() > MAX_FILTER_BYTES {
            return Err(fmt::Error);
        }
        self.text.push_str(part);
        Ok(())
    }
}

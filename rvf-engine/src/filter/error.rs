//! [`FilterError`]: what can be wrong with a filter, and where in its text. What it says stands in `words.rs`.

use super::check::IdSort;
use super::excerpt::Excerpt;
use super::expr::Span;
use crate::value::FieldType;

/// What is wrong with a filter, and where. It keeps a line of the text, never the whole of it.
///
/// ```
/// use rvf_engine::filter::{Filter, FilterFault};
/// let error = Filter::parse(r#"words > 40 AND source = "mdn""#).err().ok_or("parsed")?;
/// assert!(matches!(error.kind(), FilterFault::QuotedValue { .. }));
/// assert_eq!(error.to_string(), r#"expected a value after '=', found the name "mdn""#);
/// assert_eq!(error.hint(), "strings take single quotes: 'mdn'; double quotes stand around names");
/// let caret = r#"
/// words > 40 AND source = "mdn"
///                         ^^^^^"#;
/// assert_eq!(error.caret(), caret.trim_start());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    // Apart, so that a result is no larger than what it carries when all is well.
    details: Box<Details>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Details {
    fault: FilterFault,
    span: Span,
    excerpt: Excerpt,
}

/// What is wrong. Names and texts in it are cut to 64 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterFault {
    /// The text is longer than [`MAX_FILTER_BYTES`](super::MAX_FILTER_BYTES).
    TooLong,
    /// Parentheses and NOT are nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    TooDeep,
    /// There are more values than [`MAX_LITERALS`](super::MAX_LITERALS).
    TooManyLiterals,
    /// There is nothing in the text.
    Empty,
    /// The character U+0000.
    NulCharacter,
    /// A character that no filter has outside quotes.
    UnknownCharacter {
        /// The character.
        found: char,
    },
    /// A quotation mark of a word processor.
    WrongQuote {
        /// The mark.
        found: char,
    },
    /// An operator of another language.
    WrongOperator {
        /// The operator.
        found: &'static str,
        /// What it is here.
        instead: &'static str,
    },
    /// A `-` in a name without quotes.
    HyphenInName {
        /// The name, or the difference that was meant.
        name: String,
    },
    /// A string that does not end.
    UnterminatedString,
    /// A quoted name that does not end.
    UnterminatedName,
    /// A string, and right after it more text: a quote in it was not doubled.
    QuoteInString,
    /// Digits that are no number.
    BadNumber {
        /// The digits.
        found: String,
    },
    /// A whole number beyond i64 (for ids, u64), or a decimal beyond f64.
    NumberOutOfRange,
    /// A number that is not finite.
    NotFinite,
    /// A pattern that ends in a `\`, which takes no character.
    LoneEscape,
    /// A pattern has more characters between two `%`, a `_` among them, than [`MAX_LIKE_PIECE`](super::MAX_LIKE_PIECE).
    PatternTooLong,
    /// The text ends too early.
    UnexpectedEnd {
        /// What should come.
        expected: Expected,
    },
    /// Something stands where something else should.
    Unexpected {
        /// What stands there.
        found: Found,
        /// What should.
        expected: Expected,
    },
    /// A name in double quotes where a value should stand.
    QuotedValue {
        /// The name.
        name: String,
        /// What should stand there.
        expected: Expected,
    },
    /// A value on the left side.
    ValueFirst {
        /// The condition with the field first.
        instead: String,
    },
    /// A parenthesis that is never closed.
    UnclosedParenthesis,
    /// An IN without values.
    EmptyList,
    /// NULL as a value: nothing equals it.
    NullComparison {
        /// `IS NULL` or `IS NOT NULL`.
        instead: &'static str,
    },
    /// A value of another type than the field.
    TypeClash {
        /// The field, as it is written in a filter.
        field: String,
        /// What it holds.
        field_type: FieldSort,
        /// What it is compared with.
        found: LiteralSort,
    },
    /// A question that fields of this type do not answer.
    OperatorClash {
        /// The field, as it is written in a filter.
        field: String,
        /// What it holds.
        field_type: FieldSort,
        /// The operator; "a condition" for a field that stands alone.
        operator: &'static str,
    },
}

/// What stands where something else should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A name without quotes.
    Word(String),
    /// A name in double quotes.
    Name(String),
    /// A string.
    Text(String),
    /// A number, as it is written.
    Number(String),
    /// A keyword.
    Keyword(&'static str),
    /// An operator, a parenthesis or a comma.
    Symbol(&'static str),
}

/// What should stand somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A condition, after this: `AND`, `(`; after nothing at the beginning.
    Condition(&'static str),
    /// An operator after a field.
    Operator,
    /// A value, after this.
    Value(&'static str),
    /// A string, after this.
    Text(&'static str),
    /// The `(` of a list.
    List,
    /// A `,` or the end of a list.
    ListGoesOn,
    /// The AND between two bounds.
    UpperBound,
    /// NULL, or NOT NULL.
    Null,
    /// The NULL of IS NOT NULL.
    NotNull,
    /// IN, LIKE, BETWEEN or CONTAINS after the NOT behind a field.
    NegatedOperator,
    /// AND, OR, or the end of the text.
    ChainOrEnd,
    /// AND, OR, or the end of the parentheses.
    ChainOrClose,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldSort {
    /// A field of the metadata.
    Metadata(FieldType),
    /// The id.
    Id(IdSort),
}

/// What a value in a filter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiteralSort {
    /// TRUE or FALSE.
    Bool,
    /// A number.
    Number,
    /// Text.
    Text,
}

impl FilterError {
    /// At a place in `text`.
    pub(super) fn new(text: &str, span: Span, fault: FilterFault) -> FilterError {
        FilterError { details: Box::new(Details { fault, span, excerpt: Excerpt::new(text, span) }) }
    }

    /// What is wrong.
    pub fn kind(&self) -> &FilterFault {
        &self.details.fault
    }

    /// Where: bytes of the text.
    pub fn span(&self) -> Span {
        self.details.span
    }

    /// What to do about it, in one line.
    pub fn hint(&self) -> String {
        self.details.fault.hint()
    }

    /// Two lines: the text, or what of it is near the place, and marks under what is wrong. Characters that do not
    /// print are shown as spaces; one column is one character.
    pub fn caret(&self) -> String {
        self.details.excerpt.to_string()
    }
}

impl std::error::Error for FilterError {}

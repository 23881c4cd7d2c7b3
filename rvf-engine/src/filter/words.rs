//! What each fault of a filter is called, and the hint that goes with it: one line each.

use core::fmt;

use super::check::IdSort;
use super::error::{Expected, FieldSort, FilterError, FilterFault, Found, LiteralSort};
use super::excerpt::is_printable;
use super::{MAX_DEPTH, MAX_FILTER_BYTES, MAX_LIKE_PIECE, MAX_LITERALS};
use crate::value::FieldType;

impl FilterFault {
    pub(super) fn hint(&self) -> String {
        let hint = match self {
            FilterFault::TooLong | FilterFault::TooManyLiterals => {
                "search several times, with a part of the values each"
            }
            FilterFault::TooDeep => "leave out parentheses: AND binds tighter than OR, and NOT tighter than AND",
            FilterFault::Empty => "write a condition such as words >= 40, or leave the filter out",
            FilterFault::NulCharacter => "leave the character out",
            FilterFault::UnknownCharacter { found: '+' | '-' | '*' | '/' } => {
                "there is no arithmetic: a field is compared with a value"
            }
            FilterFault::UnknownCharacter { .. } => {
                "strings take single quotes; names of more than letters, digits, '_' and '.' take double quotes"
            }
            FilterFault::WrongQuote { .. } => "use plain quotes: ' around strings, \" around names",
            FilterFault::WrongOperator { instead, .. } => return format!("write {instead}"),
            FilterFault::HyphenInName { name } => return format!("put the name in double quotes: \"{name}\""),
            FilterFault::UnterminatedString => "end it with '; a quote inside a string is written ''",
            FilterFault::UnterminatedName => "end it with \"; a double quote inside a name is written \"\"",
            FilterFault::QuoteInString => "a quote inside a string is written ''",
            FilterFault::BadNumber { found } => {
                return format!("numbers look like -12 or 2.5e3; dates and other texts take single quotes: '{found}'");
            }
            FilterFault::NumberOutOfRange => {
                "whole numbers end at 9223372036854775807 (for ids, 18446744073709551614), decimals at about 1.8e308"
            }
            FilterFault::NotFinite => "compare with a finite number",
            FilterFault::LoneEscape => r"write \\ for a backslash",
            FilterFault::PatternTooLong => "leave out some, or put % in place of some _",
            FilterFault::UnexpectedEnd { expected } => expected.hint(),
            FilterFault::Unexpected { found, expected } => return unexpected_hint(found, *expected),
            FilterFault::QuotedValue { name, .. } => {
                let text = name.replace('\'', "''");
                return format!("strings take single quotes: '{text}'; double quotes stand around names");
            }
            FilterFault::ValueFirst { instead } => return format!("put the field first: {instead}"),
            FilterFault::UnclosedParenthesis => "close it with ')'",
            FilterFault::EmptyList => "name at least one value: IN ('a', 'b')",
            FilterFault::NullComparison { instead } => return format!("nothing equals NULL; write {instead}"),
            FilterFault::TypeClash { field_type, .. } => value_hint(*field_type),
            FilterFault::OperatorClash { field, field_type, operator } => {
                return operator_hint(field, *field_type, operator);
            }
        };
        hint.to_owned()
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(f)
    }
}

impl fmt::Display for FilterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilterFault::TooLong => write!(f, "the filter is longer than {MAX_FILTER_BYTES} bytes"),
            FilterFault::TooDeep => write!(f, "parentheses and NOT are nested deeper than {MAX_DEPTH} levels"),
            FilterFault::TooManyLiterals => write!(f, "the filter has more than {MAX_LITERALS} values"),
            FilterFault::Empty => f.write_str("the filter is empty"),
            FilterFault::NulCharacter => f.write_str("the character U+0000"),
            FilterFault::UnknownCharacter { found } if !is_printable(*found) => {
                write!(f, "the character U+{:04X} means nothing here", u32::from(*found))
            }
            FilterFault::UnknownCharacter { found } => write!(f, "the character {found} means nothing here"),
            FilterFault::WrongQuote { found } => write!(f, "the quotation mark {found} is not a plain one"),
            FilterFault::WrongOperator { found, .. } => write!(f, "there is no operator {found}"),
            FilterFault::HyphenInName { name } => write!(f, "a '-' in the name {name}"),
            FilterFault::UnterminatedString => f.write_str("the string has no closing quote"),
            FilterFault::UnterminatedName => f.write_str("the name has no closing double quote"),
            FilterFault::QuoteInString => f.write_str("the string ends before this"),
            FilterFault::BadNumber { found } => write!(f, "{found} is no number"),
            FilterFault::NumberOutOfRange => f.write_str("the number is out of range"),
            FilterFault::NotFinite => f.write_str("the number is not finite"),
            FilterFault::LoneEscape => f.write_str(r"the pattern ends in a \ that takes no character"),
            FilterFault::PatternTooLong => {
                write!(f, "more than {MAX_LIKE_PIECE} characters between two % of the pattern, a _ among them")
            }
            FilterFault::UnexpectedEnd { expected } => write!(f, "expected {expected}"),
            FilterFault::Unexpected { found, expected } => write!(f, "expected {expected}, found {found}"),
            FilterFault::QuotedValue { name, expected } => write!(f, "expected {expected}, found the name \"{name}\""),
            FilterFault::ValueFirst { .. } => f.write_str("a condition begins with a field, not with a value"),
            FilterFault::UnclosedParenthesis => f.write_str("the parenthesis is not closed"),
            FilterFault::EmptyList => f.write_str("IN has no values"),
            FilterFault::NullComparison { .. } => f.write_str("NULL is not a value to compare with"),
            FilterFault::TypeClash { field, field_type, found } => write!(f, "{found}, but {field} {field_type}"),
            FilterFault::OperatorClash { field, field_type, operator } => {
                write!(f, "{operator} does not go with {field}, which {field_type}")
            }
        }
    }
}

impl Expected {
    fn hint(self) -> &'static str {
        match self {
            Expected::Condition(_) => "conditions look like words >= 40, lang IN ('en', 'fr') or draft IS NULL",
            Expected::Operator => "operators are =, !=, <, <=, >, >=, IN, LIKE, BETWEEN, CONTAINS and IS NULL",
            Expected::Value(_) => "values look like 'text', 40, 2.5 or TRUE",
            Expected::Text("LIKE") => "put the pattern in single quotes: LIKE 'Intro%'",
            Expected::Text(_) => "put the string in single quotes: CONTAINS 'api'",
            Expected::List => "put the values in parentheses: IN ('a', 'b')",
            Expected::ListGoesOn => "values of a list are separated by commas: IN ('a', 'b')",
            Expected::UpperBound => "name both bounds: BETWEEN 1 AND 9",
            Expected::Null | Expected::NotNull => {
                "IS asks for NULL alone: draft IS NULL, draft IS NOT NULL; write = for a value"
            }
            Expected::NegatedOperator => "write NOT before the field: NOT words = 40",
            Expected::ChainOrEnd | Expected::ChainOrClose => "join conditions by AND or OR",
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Condition("") => f.write_str("a condition"),
            Expected::Condition(after) => write!(f, "a condition after {}", Quoted(after)),
            Expected::Operator => f.write_str("an operator after the field"),
            Expected::Value(after) => write!(f, "a value after {}", Quoted(after)),
            Expected::Text(after) => write!(f, "a string after {}", Quoted(after)),
            Expected::List => f.write_str("'(' after IN"),
            Expected::ListGoesOn => f.write_str("',' or ')' after the value"),
            Expected::UpperBound => f.write_str("AND and the upper bound after BETWEEN"),
            Expected::Null => f.write_str("NULL or NOT NULL after IS"),
            Expected::NotNull => f.write_str("NULL after IS NOT"),
            Expected::NegatedOperator => f.write_str("IN, LIKE, BETWEEN or CONTAINS after NOT"),
            Expected::ChainOrEnd => f.write_str("AND, OR or the end"),
            Expected::ChainOrClose => f.write_str("AND, OR or ')'"),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Word(word) => f.write_str(word),
            Found::Name(name) => write!(f, "the name \"{name}\""),
            Found::Text(text) => write!(f, "the string '{text}'"),
            Found::Number(number) => write!(f, "the number {number}"),
            Found::Keyword(word) | Found::Symbol(word) => Quoted(word).fmt(f),
        }
    }
}

impl fmt::Display for FieldSort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldSort::Metadata(FieldType::Bool) => f.write_str("is a bool"),
            FieldSort::Metadata(FieldType::I64) => f.write_str("is a whole number"),
            FieldSort::Metadata(FieldType::F64) => f.write_str("is a number"),
            FieldSort::Metadata(FieldType::Str) => f.write_str("is a string"),
            FieldSort::Metadata(FieldType::List) => f.write_str("is a list of strings"),
            FieldSort::Metadata(FieldType::Bytes) => f.write_str("is bytes"),
            FieldSort::Id(IdSort::Number) => f.write_str("is a whole number in this store"),
            FieldSort::Id(IdSort::Text) => f.write_str("is a string in this store"),
        }
    }
}

impl fmt::Display for LiteralSort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LiteralSort::Bool => "the value is a bool",
            LiteralSort::Number => "the value is a number",
            LiteralSort::Text => "the value is a string",
        })
    }
}

/// A keyword as it is, a sign in quotes.
struct Quoted<'w>(&'w str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return f.write_str(self.0);
        }
        write!(f, "'{}'", self.0)
    }
}

fn unexpected_hint(found: &Found, expected: Expected) -> String {
    let hint = match (expected, found) {
        (Expected::Value(_) | Expected::Text(_), Found::Word(word)) => {
            return format!("strings take single quotes: '{word}'");
        }
        (Expected::Value(_), Found::Keyword("NOT")) => "write NOT before the field: NOT words = 40",
        (Expected::Condition(_), Found::Keyword("NULL")) => "write IS NULL after a field: draft IS NULL",
        (Expected::Condition(_), Found::Keyword(word)) => {
            return format!(
                "a condition begins with a field; double quotes make a name of a keyword: \"{}\"",
                word.to_lowercase()
            );
        }
        (Expected::Condition(_), Found::Symbol(")")) => "put a condition before it",
        (Expected::Operator, Found::Symbol("(")) => {
            "there are no functions; conditions look like words >= 40 or title LIKE 'Intro%'"
        }
        (Expected::Null, Found::Keyword("TRUE")) => "write the field alone: draft",
        (Expected::Null, Found::Keyword("FALSE")) => "write NOT draft",
        (Expected::ChainOrEnd, Found::Symbol(")")) => "leave it out, or open a parenthesis before it",
        _ => expected.hint(),
    };
    hint.to_owned()
}

fn value_hint(field_type: FieldSort) -> &'static str {
    match field_type {
        FieldSort::Metadata(FieldType::Bool) => "compare it with TRUE or FALSE",
        FieldSort::Metadata(FieldType::I64 | FieldType::F64) | FieldSort::Id(IdSort::Number) => {
            "compare it with a number, without quotes"
        }
        FieldSort::Metadata(FieldType::Str) | FieldSort::Id(IdSort::Text) => {
            "compare it with a string, in single quotes"
        }
        FieldSort::Metadata(FieldType::List) => "write CONTAINS and a string, in single quotes",
        FieldSort::Metadata(FieldType::Bytes) => "bytes take IS NULL alone",
    }
}

fn operator_hint(field: &str, field_type: FieldSort, operator: &str) -> String {
    match field_type {
        FieldSort::Metadata(FieldType::Bool) => format!("write {field} or NOT {field}"),
        FieldSort::Metadata(FieldType::List) => format!("write {field} CONTAINS 'api'"),
        FieldSort::Metadata(FieldType::Bytes) => format!("write {field} IS NULL or {field} IS NOT NULL"),
        FieldSort::Metadata(FieldType::Str) | FieldSort::Id(IdSort::Text) if operator == "CONTAINS" => {
            format!("write {field} LIKE '%api%'")
        }
        FieldSort::Metadata(FieldType::Str) | FieldSort::Id(IdSort::Text) => format!("write {field} = 'text'"),
        FieldSort::Metadata(FieldType::I64 | FieldType::F64) | FieldSort::Id(IdSort::Number) => {
            format!("write {field} = 40")
        }
    }
}

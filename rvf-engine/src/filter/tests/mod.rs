//! The language held to its rules.
//!
//! | file | holds |
//! | --- | --- |
//! | `grammar.rs` | what is read, and as which tree |
//! | `mistakes.rs` | what is said of texts that are wrong, word by word |
//! | `limits.rs` | texts and trees at the limits and beyond |
//! | `logic.rs` | three-valued logic, comparisons, patterns |
//! | `checks.rs` | filters held against fields |
//! | `properties.rs` | what holds for random trees, texts, patterns and numbers |

mod checks;
mod grammar;
mod limits;
mod logic;
mod mistakes;
mod properties;

use super::{Expr, Filter, FilterError, FilterFault, Literal};

fn tree(text: &str) -> Expr {
    match Filter::parse(text) {
        Ok(filter) => filter.into_expr(),
        Err(error) => panic!("{error}; {}\n{}", error.hint(), error.caret()),
    }
}

fn refused(text: &str) -> FilterError {
    match Filter::parse(text) {
        Ok(filter) => panic!("{text} is read as {filter}"),
        Err(error) => error,
    }
}

fn fault(text: &str) -> FilterFault {
    refused(text).kind().clone()
}

fn text(text: &str) -> Literal {
    Literal::Str(text.to_owned())
}

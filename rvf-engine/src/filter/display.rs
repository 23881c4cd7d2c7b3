//! Trees as text. What is printed is read back as the same tree, with no more parentheses than it needs.
//!
//! Nothing recurs: a program may have nested a tree deeper than any filter, and it is printed all the same.

use core::fmt;

use super::expr::{Expr, FieldRef, Literal, Op, Spanned, Test, TestKind};
use super::lex::is_word;

/// What is still to be printed.
enum Piece<'e> {
    Words(&'static str),
    Expr(&'e Expr, Binding),
}

/// How tight an expression binds.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Binding {
    Or,
    And,
    Not,
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut waiting = vec![Piece::Expr(self, Binding::Or)];
        while let Some(piece) = waiting.pop() {
            match piece {
                Piece::Words(words) => f.write_str(words)?,
                Piece::Expr(expr, least) => print(expr, least, &mut waiting, f)?,
            }
        }
        Ok(())
    }
}

/// Prints the beginning of an expression that must bind at least so tight, and pushes the rest.
fn print<'e>(expr: &'e Expr, least: Binding, waiting: &mut Vec<Piece<'e>>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (parts, between, binding) = match bare(expr) {
        Expr::Test(test) => return print_test(test, false, f),
        Expr::Constant(true) => return f.write_str("TRUE"),
        Expr::Constant(false) => return f.write_str("FALSE"),
        Expr::Not(part) => match bare(part) {
            Expr::Test(test) if test.kind.has_negation() => return print_test(test, true, f),
            part => {
                waiting.push(Piece::Expr(part, Binding::Not));
                return f.write_str("NOT ");
            }
        },
        Expr::And(parts) if parts.is_empty() => return f.write_str("TRUE"),
        Expr::Or(parts) if parts.is_empty() => return f.write_str("FALSE"),
        Expr::And(parts) => (parts, " AND ", Binding::And),
        Expr::Or(parts) => (parts, " OR ", Binding::Or),
    };
    if binding < least {
        f.write_str("(")?;
        waiting.push(Piece::Words(")"));
    }
    for (index, part) in parts.iter().enumerate().rev() {
        waiting.push(Piece::Expr(part, binding));
        if index > 0 {
            waiting.push(Piece::Words(between));
        }
    }
    Ok(())
}

/// The expression itself; for a chain of one part, that part.
fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::And(parts) | Expr::Or(parts) = expr {
        let [part] = parts.as_slice() else { break };
        expr = part;
    }
    expr
}

impl TestKind {
    /// Whether NOT stands behind the field.
    fn has_negation(&self) -> bool {
        !matches!(self, TestKind::Compare(..) | TestKind::IsTrue)
    }
}

fn print_test(test: &Test, negated: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}", test.field)?;
    let not = if negated { " NOT" } else { "" };
    match &test.kind {
        TestKind::IsTrue => Ok(()),
        TestKind::IsNull => write!(f, " IS{not} NULL"),
        TestKind::Compare(op, literal) => write!(f, " {op} {}", literal.value),
        TestKind::In(literals) => print_list(not, literals, f),
        TestKind::Between(low, high) => write!(f, "{not} BETWEEN {} AND {}", low.value, high.value),
        TestKind::Like(pattern) => {
            write!(f, "{not} LIKE ")?;
            print_quoted(pattern.source(), '\'', f)
        }
        TestKind::Contains(text) => {
            write!(f, "{not} CONTAINS ")?;
            print_quoted(text, '\'', f)
        }
    }
}

fn print_list(not: &str, literals: &[Spanned<Literal>], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{not} IN (")?;
    for (index, literal) in literals.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        write!(f, "{comma}{}", literal.value)?;
    }
    f.write_str(")")
}

/// Between quotes, of which each one inside is doubled.
fn print_quoted(text: &str, quote: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{quote}")?;
    for (index, part) in text.split(quote).enumerate() {
        if index > 0 {
            write!(f, "{quote}{quote}")?;
        }
        f.write_str(part)?;
    }
    write!(f, "{quote}")
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Bool(true) => f.write_str("TRUE"),
            Literal::Bool(false) => f.write_str("FALSE"),
            Literal::I64(number) => number.fmt(f),
            Literal::U64(number) => number.fmt(f),
            // With a point or an exponent, and read back as the same number.
            Literal::F64(number) => write!(f, "{number:?}"),
            Literal::Str(text) => print_quoted(text, '\'', f),
        }
    }
}

/// As it is written in a filter: in double quotes if it needs them.
impl fmt::Display for FieldRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldRef::Id => f.write_str("id"),
            FieldRef::Name(name) if name != "id" && is_word(name) => f.write_str(name),
            FieldRef::Name(name) => print_quoted(name, '"', f),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

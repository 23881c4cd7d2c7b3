//! Filters put together by a program: [`field`], [`id`], and how expressions are joined. It checks nothing.

use core::ops::{BitAnd, BitOr, Not};

use super::expr::{Expr, FieldRef, Literal, Op, Span, Spanned, Test, TestKind};
use super::like::Pattern;

/// A field that waits for what is asked of it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Field {
    field: FieldRef,
}

/// A chain of expressions.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Chain {
    /// All are true.
    And,
    /// One is true.
    Or,
}

/// Begins a test of a field of the metadata, whatever its name is. The record's own id is [`id`].
///
/// ```
/// use rvf_engine::filter::{Filter, field};
/// let words = field("words").between(40, 400);
/// let expr = (words | field("draft").is_true()) & !field("lang").is_in(["en", "fr"]) & field("source").eq("mdn");
/// let filter = Filter::new(expr)?;
/// let text = "(words BETWEEN 40 AND 400 OR draft) AND lang NOT IN ('en', 'fr') AND source = 'mdn'";
/// assert_eq!(filter.text(), text);
/// assert_eq!(filter, Filter::parse(text)?);
/// # Ok::<(), rvf_engine::filter::FilterError>(())
/// ```
pub fn field(name: impl Into<String>) -> Field {
    Field { field: FieldRef::Name(name.into()) }
}

/// Begins a test of the record's id.
///
/// ```
/// use rvf_engine::filter::id;
/// assert_eq!(id().lt(100).to_string(), "id < 100");
/// ```
pub fn id() -> Field {
    Field { field: FieldRef::Id }
}

impl Field {
    /// It equals the value.
    pub fn eq(self, value: impl Into<Literal>) -> Expr {
        self.compare(Op::Eq, value)
    }

    /// It differs from the value.
    pub fn ne(self, value: impl Into<Literal>) -> Expr {
        self.compare(Op::Ne, value)
    }

    /// It is less than the value.
    pub fn lt(self, value: impl Into<Literal>) -> Expr {
        self.compare(Op::Lt, value)
    }

    /// It is less than the value or equals it.
    pub fn le(self, value: impl Into<Literal>) -> Expr {
        self.compare(Op::Le, value)
    }

    /// It is greater than the value.
    pub fn gt(self, value: impl Into<Literal>) -> Expr {
        self.compare(Op::Gt, value)
    }

    /// It is greater than the value or equals it.
    pub fn ge(self, value: impl Into<Literal>) -> Expr {
        self.compare(Op::Ge, value)
    }

    /// It equals one of the values; at least one is needed.
    pub fn is_in<L: Into<Literal>>(self, values: impl IntoIterator<Item = L>) -> Expr {
        let values = values.into_iter().map(|value| Spanned::nowhere(value.into()));
        self.test(TestKind::In(values.collect()))
    }

    /// It fits the pattern: see [`Pattern`].
    pub fn like(self, pattern: impl Into<String>) -> Expr {
        self.test(TestKind::Like(Spanned::nowhere(Pattern::new(pattern))))
    }

    /// It lies between the two, or equals one of them.
    pub fn between(self, low: impl Into<Literal>, high: impl Into<Literal>) -> Expr {
        self.test(TestKind::Between(Spanned::nowhere(low.into()), Spanned::nowhere(high.into())))
    }

    /// It is a list that has this string.
    pub fn contains(self, text: impl Into<String>) -> Expr {
        self.test(TestKind::Contains(Spanned::nowhere(text.into())))
    }

    /// It has no value.
    pub fn is_null(self) -> Expr {
        self.test(TestKind::IsNull)
    }

    /// It has a value.
    pub fn is_not_null(self) -> Expr {
        self.is_null().negate()
    }

    /// It is a bool that is true.
    pub fn is_true(self) -> Expr {
        self.test(TestKind::IsTrue)
    }

    fn compare(self, op: Op, value: impl Into<Literal>) -> Expr {
        self.test(TestKind::Compare(op, Spanned::nowhere(value.into())))
    }

    fn test(self, kind: TestKind) -> Expr {
        Expr::Test(Test { field: self.field, span: Span::default(), kind })
    }
}

impl Expr {
    /// Both are true. A chain of AND grows instead of nesting.
    pub fn and(self, other: Expr) -> Expr {
        Chain::And.join(self, other)
    }

    /// One of them is true. A chain of OR grows instead of nesting.
    pub fn or(self, other: Expr) -> Expr {
        Chain::Or.join(self, other)
    }

    /// It is false; unknown stays unknown.
    pub fn negate(self) -> Expr {
        Expr::Not(Box::new(self))
    }
}

impl Chain {
    fn join(self, first: Expr, second: Expr) -> Expr {
        let mut parts = Vec::new();
        self.append(&mut parts, first);
        self.append(&mut parts, second);
        self.of(parts)
    }

    /// Appends an expression to the parts of a chain; part by part if it is such a chain itself.
    pub(super) fn append(self, parts: &mut Vec<Expr>, mut part: Expr) {
        match (self, &mut part) {
            // What begins a chain is taken over as it is: growing it step by step copies nothing.
            (Chain::And, Expr::And(inner)) | (Chain::Or, Expr::Or(inner)) if parts.is_empty() => {
                *parts = core::mem::take(inner);
            }
            (Chain::And, Expr::And(inner)) | (Chain::Or, Expr::Or(inner)) => parts.append(inner),
            _ => parts.push(part),
        }
    }

    /// The chain of these parts.
    pub(super) fn of(self, parts: Vec<Expr>) -> Expr {
        match self {
            Chain::And => Expr::And(parts),
            Chain::Or => Expr::Or(parts),
        }
    }
}

impl Not for Expr {
    type Output = Expr;

    fn not(self) -> Expr {
        self.negate()
    }
}

impl BitAnd for Expr {
    type Output = Expr;

    fn bitand(self, other: Expr) -> Expr {
        self.and(other)
    }
}

impl BitOr for Expr {
    type Output = Expr;

    fn bitor(self, other: Expr) -> Expr {
        self.or(other)
    }
}

macro_rules! literal_from {
    ($($type:ty => $variant:ident,)*) => {$(
        impl From<$type> for Literal {
            fn from(value: $type) -> Self {
                Literal::$variant(value.into())
            }
        }
    )*};
}

literal_from! {
    bool => Bool, i64 => I64, i32 => I64, u32 => I64, f64 => F64, &str => Str, String => Str, &String => Str,
}

/// [`Literal::I64`] where the number fits, as it is read from a text.
impl From<u64> for Literal {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Literal::U64(value), Literal::I64)
    }
}

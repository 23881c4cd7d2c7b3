//! The tree of a filter: [`Expr`] and what its leaves hold. It reads no text and no records.
//!
//! A chain of AND or OR is one node, however long: a tree is as deep as its text is nested, at most
//! [`MAX_DEPTH`](super::MAX_DEPTH) levels.

use core::cmp::Ordering;
use core::mem;
use core::ops::{Deref, Range};

use super::like::Pattern;

/// A condition on records: true, false or unknown for each.
///
/// A program may nest it deeper than a filter goes. Such a tree can be dropped, printed and given to
/// [`Filter::new`](super::Filter::new), which refuses it; the rest may overflow the stack.
///
/// ```
/// use rvf_engine::filter::{Expr, Filter};
/// let filter = Filter::parse("draft AND words > 40 AND NOT lang = 'en'")?;
/// let Expr::And(parts) = filter.expr() else { return Err("no chain".into()) };
/// assert!(parts.len() == 3 && matches!(parts[2], Expr::Not(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// All are true. In a [`Filter`](super::Filter) at least two, and none of them a chain of AND.
    And(Vec<Expr>),
    /// One is true. In a [`Filter`](super::Filter) at least two, and none of them a chain of OR.
    Or(Vec<Expr>),
    /// It is false; unknown stays unknown.
    Not(Box<Expr>),
    /// A test of one field.
    Test(Test),
    /// The same for every record.
    Constant(bool),
}

/// A test of one field. Two are equal if they ask the same, wherever they stand.
#[derive(Clone, Debug)]
pub struct Test {
    /// Whose value is tested.
    pub field: FieldRef,
    /// Where the field stands in the text.
    pub span: Span,
    /// What is asked of the value.
    pub kind: TestKind,
}

/// What a test asks. Every kind but `IsNull` is unknown for a field that is null.
#[derive(Clone, Debug, PartialEq)]
pub enum TestKind {
    /// The value compares so with the literal.
    Compare(Op, Spanned<Literal>),
    /// The value equals one of the literals.
    In(Vec<Spanned<Literal>>),
    /// The text fits the pattern.
    Like(Spanned<Pattern>),
    /// The value lies between the two, or equals one of them.
    Between(Spanned<Literal>, Spanned<Literal>),
    /// The list has this string.
    Contains(Spanned<String>),
    /// There is no value.
    IsNull,
    /// The value is true.
    IsTrue,
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldRef {
    /// The id of the record: `id`.
    Id,
    /// A field of its metadata, by name; one that is called id is written `"id"`.
    Name(String),
}

/// A value in a filter. There is none for null: see [`TestKind::IsNull`].
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// TRUE or FALSE.
    Bool(bool),
    /// A whole number.
    I64(i64),
    /// A whole number above `i64::MAX`.
    U64(u64),
    /// A number that is written with a point or an exponent.
    F64(f64),
    /// Text.
    Str(String),
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// `=`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// A part of a text: bytes from `start` up to `end`. Of nothing in particular if both are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

/// Something, and where it stands in the text. Two are equal if the things are, wherever they stand.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    /// The thing.
    pub value: T,
    /// Its place.
    pub span: Span,
}

impl Expr {
    /// The tests in it, from left to right.
    ///
    /// ```
    /// use rvf_engine::filter::{FieldRef, Filter};
    /// let filter = Filter::parse("draft OR NOT (id = 7 AND words > 40)")?;
    /// let fields: Vec<&FieldRef> = filter.expr().tests().map(|test| &test.field).collect();
    /// assert_eq!(fields, [&FieldRef::Name("draft".into()), &FieldRef::Id, &FieldRef::Name("words".into())]);
    /// # Ok::<(), rvf_engine::filter::FilterError>(())
    /// ```
    pub fn tests(&self) -> impl Iterator<Item = &Test> {
        let mut waiting = vec![self];
        core::iter::from_fn(move || {
            while let Some(expr) = waiting.pop() {
                match expr {
                    Expr::And(parts) | Expr::Or(parts) => waiting.extend(parts.iter().rev()),
                    Expr::Not(part) => waiting.push(part),
                    Expr::Test(test) => return Some(test),
                    Expr::Constant(_) => {}
                }
            }
            None
        })
    }

    /// Moves those of its parts that have parts themselves to `waiting`, and drops the others.
    fn take_apart(&mut self, waiting: &mut Vec<Expr>) {
        match self {
            Expr::And(parts) | Expr::Or(parts) => waiting.extend(parts.drain(..).filter(Expr::has_parts)),
            Expr::Not(part) if part.has_parts() => waiting.push(mem::replace(part, Expr::Constant(false))),
            Expr::Not(_) | Expr::Test(_) | Expr::Constant(_) => {}
        }
    }

    fn has_parts(&self) -> bool {
        matches!(self, Expr::And(_) | Expr::Or(_) | Expr::Not(_))
    }
}

/// Without recursion: a program may have nested it however deep.
impl Drop for Expr {
    fn drop(&mut self) {
        let mut waiting = Vec::new();
        self.take_apart(&mut waiting);
        while let Some(mut expr) = waiting.pop() {
            expr.take_apart(&mut waiting);
        }
    }
}

impl Op {
    /// Whether it is true of a value that compares so with the literal.
    ///
    /// ```
    /// use core::cmp::Ordering;
    /// use rvf_engine::filter::Op;
    /// assert!(Op::Le.holds(Ordering::Less) && Op::Le.holds(Ordering::Equal) && !Op::Le.holds(Ordering::Greater));
    /// ```
    pub fn holds(self, ordering: Ordering) -> bool {
        match self {
            Op::Eq => ordering.is_eq(),
            Op::Ne => ordering.is_ne(),
            Op::Lt => ordering.is_lt(),
            Op::Le => ordering.is_le(),
            Op::Gt => ordering.is_gt(),
            Op::Ge => ordering.is_ge(),
        }
    }

    /// Whether it asks which of two values comes first.
    pub fn is_order(self) -> bool {
        !matches!(self, Op::Eq | Op::Ne)
    }

    /// How it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Op::Eq => "=",
            Op::Ne => "!=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
        }
    }

    /// The one that says the same with the sides swapped.
    pub(super) fn mirrored(self) -> Op {
        match self {
            Op::Eq | Op::Ne => self,
            Op::Lt => Op::Gt,
            Op::Le => Op::Ge,
            Op::Gt => Op::Lt,
            Op::Ge => Op::Le,
        }
    }
}

impl Span {
    /// From the byte `start` up to `end` of a text that is no longer than a filter may be.
    pub(super) fn new(start: usize, end: usize) -> Span {
        let byte = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Span { start: byte(start), end: byte(end) }
    }

    /// The bytes, for `text.get(span.range())`.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl<T> Spanned<T> {
    /// Something that stands in no text.
    pub(super) fn nowhere(value: T) -> Spanned<T> {
        Spanned { value, span: Span::default() }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Test {
    fn eq(&self, other: &Self) -> bool {
        self.field == other.field && self.kind == other.kind
    }
}

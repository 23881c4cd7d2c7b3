//! A filter decided for one record, in the three-valued logic of SQL. It is the plain reading of the language: what
//! every faster way must agree with.

use core::cmp::Ordering;

use super::expr::{Expr, FieldRef, Literal, Op, Test, TestKind};
use super::number::{cmp_f64, cmp_i64, cmp_u64};
use crate::value::Value;

/// What a record has for a field.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'v> {
    /// A field of the metadata; null if the record has none.
    Value(&'v Value),
    /// The id of a record in a store of numbers.
    IdNumber(u64),
    /// The id of a record in a store of strings.
    IdText(&'v str),
}

impl Expr {
    /// Whether it is true of the record that `value_of` tells the fields of; `None` if that is unknown. A filter
    /// selects the records for which it is true.
    ///
    /// A comparison with null, or of values of two types, is unknown; so is its negation.
    ///
    /// ```
    /// use rvf_engine::Value;
    /// use rvf_engine::filter::{FieldRef, Filter, Operand};
    /// let (words, null) = (Value::I64(50), Value::Null);
    /// let record = |field: &FieldRef| match field {
    ///     FieldRef::Id => Operand::IdNumber(7),
    ///     FieldRef::Name(name) if name == "words" => Operand::Value(&words),
    ///     FieldRef::Name(_) => Operand::Value(&null),
    /// };
    /// let eval = |text: &str| Filter::parse(text).map(|filter| filter.expr().eval(&record));
    /// assert_eq!(eval("words >= 40 AND id IN (7, 8)")?, Some(true));
    /// assert_eq!(eval("lang = 'en'")?, None);
    /// assert_eq!(eval("NOT lang = 'en'")?, None);
    /// assert_eq!(eval("lang = 'en' OR words = 50")?, Some(true));
    /// # Ok::<(), rvf_engine::filter::FilterError>(())
    /// ```
    pub fn eval<'v>(&self, value_of: &dyn Fn(&FieldRef) -> Operand<'v>) -> Option<bool> {
        match self {
            Expr::And(parts) => all(parts.iter().map(|part| part.eval(value_of))),
            Expr::Or(parts) => any(parts.iter().map(|part| part.eval(value_of))),
            Expr::Not(part) => part.eval(value_of).map(|value| !value),
            Expr::Test(test) => test.eval(value_of(&test.field)),
            Expr::Constant(value) => Some(*value),
        }
    }
}

impl Test {
    /// Whether it is true of this value; `None` if that is unknown.
    pub fn eval(&self, operand: Operand<'_>) -> Option<bool> {
        self.kind.eval(operand)
    }
}

impl TestKind {
    /// Whether it is true of this value; `None` if that is unknown.
    pub fn eval(&self, operand: Operand<'_>) -> Option<bool> {
        match (self, operand) {
            (TestKind::IsNull, _) => Some(matches!(operand, Operand::Value(Value::Null))),
            (TestKind::IsTrue, Operand::Value(Value::Bool(value))) => Some(*value),
            (TestKind::Compare(op, literal), _) => compare(*op, operand, literal),
            (TestKind::In(literals), _) => any(literals.iter().map(|literal| compare(Op::Eq, operand, literal))),
            (TestKind::Between(low, high), _) => {
                all([compare(Op::Ge, operand, low), compare(Op::Le, operand, high)].into_iter())
            }
            (TestKind::Like(pattern), Operand::Value(Value::Str(text))) => Some(pattern.matches(text)),
            (TestKind::Like(pattern), Operand::IdText(text)) => Some(pattern.matches(text)),
            (TestKind::Contains(text), Operand::Value(Value::List(list))) => Some(list.contains(text)),
            (TestKind::IsTrue | TestKind::Like(_) | TestKind::Contains(_), _) => None,
        }
    }
}

/// False if one is false, or else unknown if one is unknown.
fn all(mut values: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let decided = values.try_fold(Some(true), |so_far, value| match value {
        Some(false) => Err(()),
        Some(true) => Ok(so_far),
        None => Ok(None),
    });
    decided.unwrap_or(Some(false))
}

/// True if one is true, or else unknown if one is unknown.
fn any(values: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    all(values.map(|value| value.map(|value| !value))).map(|value| !value)
}

fn compare(op: Op, operand: Operand<'_>, literal: &Literal) -> Option<bool> {
    let ordering = match operand {
        Operand::Value(Value::I64(value)) => cmp_i64(*value, literal),
        Operand::Value(Value::F64(value)) => cmp_f64(*value, literal),
        Operand::Value(Value::Str(value)) => cmp_text(value, literal),
        Operand::Value(Value::Bool(value)) if !op.is_order() => cmp_bool(*value, literal),
        Operand::Value(Value::Bool(_) | Value::List(_) | Value::Bytes(_) | Value::Null) => None,
        Operand::IdNumber(value) => cmp_u64(value, literal),
        Operand::IdText(value) => cmp_text(value, literal),
    };
    ordering.map(|ordering| op.holds(ordering))
}

/// By bytes.
fn cmp_text(value: &str, literal: &Literal) -> Option<Ordering> {
    match literal {
        Literal::Str(text) => Some(value.cmp(text)),
        _ => None,
    }
}

fn cmp_bool(value: bool, literal: &Literal) -> Option<Ordering> {
    match literal {
        Literal::Bool(other) => Some(value.cmp(other)),
        _ => None,
    }
}

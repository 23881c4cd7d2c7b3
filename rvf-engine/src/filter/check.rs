//! A filter held against the fields of a store: which it names that are not there, and what cannot be asked of them.

use core::{fmt, slice};
use std::collections::HashSet;

use super::error::{FieldSort, FilterError, FilterFault, LiteralSort};
use super::expr::{FieldRef, Literal, Span, Spanned, Test, TestKind};
use super::near::near;
use super::{Filter, excerpt::shortened};
use crate::value::FieldType;

/// Unknown fields that get suggestions; looking for them takes time for each name of the store.
const MOST_SUGGESTED: usize = 16;

/// What the ids of a store are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdSort {
    /// Whole numbers.
    Number,
    /// Strings.
    Text,
}

/// A field of a filter that no record has: every test of it but IS NULL is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// Its name.
    pub name: String,
    /// Up to three fields that may be meant, the likeliest first, as they are written in a filter.
    pub near: Vec<String>,
}

/// What values of a field can be asked.
#[derive(Clone, Copy, PartialEq)]
enum Class {
    Bool,
    Number,
    Text,
    List,
    Bytes,
}

impl Filter {
    /// Holds the filter against a store: `id_sort` is what its ids are, if that is settled, `fields` tells the type of
    /// a field, and `names` lists the fields; that is asked for only if one is not there.
    ///
    /// Returns the fields that no record has, each once: they are a warning, since a store may get them later.
    ///
    /// # Errors
    /// [`FilterFault::TypeClash`] and [`FilterFault::OperatorClash`], at the value, or at a field that stands alone.
    ///
    /// ```
    /// use rvf_engine::FieldType;
    /// use rvf_engine::filter::{Filter, IdSort};
    /// let fields = |name: &str| (name == "words").then_some(FieldType::I64);
    /// let names = || vec!["words".to_owned()];
    /// let check = |text: &str| Filter::parse(text)?.check(Some(IdSort::Number), &fields, &names);
    /// assert_eq!(check("words >= 2.5 AND id < 100")?, []);
    /// assert_eq!(check("wrods >= 40")?[0].near, ["words"]);
    /// let error = check("words >= '40'").err().ok_or("passed")?;
    /// assert_eq!(error.to_string(), "the value is a string, but words is a whole number");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check(
        &self,
        id_sort: Option<IdSort>,
        fields: &dyn Fn(&str) -> Option<FieldType>,
        names: &dyn Fn() -> Vec<String>,
    ) -> Result<Vec<UnknownField>, FilterError> {
        let mut known = None;
        let mut seen = HashSet::new();
        let mut unknown = Vec::new();
        for test in self.expr().tests() {
            let sort = match &test.field {
                FieldRef::Id => id_sort.map(FieldSort::Id),
                FieldRef::Name(name) => fields(name).map(FieldSort::Metadata),
            };
            match (sort, &test.field) {
                (Some(sort), _) => {
                    test.check(sort).map_err(|(span, fault)| FilterError::new(self.text(), span, fault))?;
                }
                (None, FieldRef::Name(name)) if seen.insert(name) => {
                    let near = if unknown.len() < MOST_SUGGESTED {
                        near(name, known.get_or_insert_with(names))
                    } else {
                        Vec::new()
                    };
                    unknown.push(UnknownField { name: name.clone(), near });
                }
                (None, _) => {}
            }
        }
        Ok(unknown)
    }
}

impl fmt::Display for UnknownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no record has a field {}", FieldRef::Name(shortened(&self.name)))?;
        match self.near.as_slice() {
            [] => Ok(()),
            [one] => write!(f, "; is {one} meant?"),
            [more @ .., last] => write!(f, "; is {} or {last} meant?", more.join(", ")),
        }
    }
}

impl Test {
    fn check(&self, sort: FieldSort) -> Result<(), (Span, FilterFault)> {
        let class = Class::of(sort);
        if !class.answers(&self.kind) {
            let literal = self.literals().next().map(|literal| literal.span);
            let span = literal.or(self.kind.string_span()).unwrap_or(self.span);
            let operator = self.kind.operator();
            return Err((span, FilterFault::OperatorClash { field: self.shown(), field_type: sort, operator }));
        }
        let clash = self.literals().find(|literal| class != LiteralSort::of(literal).class());
        clash.map_or(Ok(()), |literal| {
            let found = LiteralSort::of(literal);
            Err((literal.span, FilterFault::TypeClash { field: self.shown(), field_type: sort, found }))
        })
    }

    fn literals(&self) -> impl Iterator<Item = &Spanned<Literal>> {
        let (list, pair) = match &self.kind {
            TestKind::Compare(_, literal) => (slice::from_ref(literal), None),
            TestKind::In(literals) => (literals.as_slice(), None),
            TestKind::Between(low, high) => (slice::from_ref(low), Some(high)),
            TestKind::Like(_) | TestKind::Contains(_) | TestKind::IsNull | TestKind::IsTrue => (&[][..], None),
        };
        list.iter().chain(pair)
    }

    fn shown(&self) -> String {
        match &self.field {
            FieldRef::Id => FieldRef::Id.to_string(),
            FieldRef::Name(name) => FieldRef::Name(shortened(name)).to_string(),
        }
    }
}

impl TestKind {
    fn operator(&self) -> &'static str {
        match self {
            TestKind::Compare(op, _) => op.symbol(),
            TestKind::In(_) => "IN",
            TestKind::Between(..) => "BETWEEN",
            TestKind::Like(_) => "LIKE",
            TestKind::Contains(_) => "CONTAINS",
            TestKind::IsNull => "IS NULL",
            TestKind::IsTrue => "a condition",
        }
    }

    fn string_span(&self) -> Option<Span> {
        match self {
            TestKind::Like(pattern) => Some(pattern.span),
            TestKind::Contains(text) => Some(text.span),
            _ => None,
        }
    }
}

impl Class {
    fn of(sort: FieldSort) -> Class {
        match sort {
            FieldSort::Metadata(FieldType::Bool) => Class::Bool,
            FieldSort::Metadata(FieldType::I64 | FieldType::F64) | FieldSort::Id(IdSort::Number) => Class::Number,
            FieldSort::Metadata(FieldType::Str) | FieldSort::Id(IdSort::Text) => Class::Text,
            FieldSort::Metadata(FieldType::List) => Class::List,
            FieldSort::Metadata(FieldType::Bytes) => Class::Bytes,
        }
    }

    fn answers(self, kind: &TestKind) -> bool {
        let ordered = matches!(self, Class::Number | Class::Text);
        match kind {
            TestKind::IsNull => true,
            TestKind::IsTrue => self == Class::Bool,
            TestKind::Like(_) => self == Class::Text,
            TestKind::Contains(_) => self == Class::List,
            TestKind::Compare(op, _) if !op.is_order() => ordered || self == Class::Bool,
            TestKind::In(_) => ordered || self == Class::Bool,
            TestKind::Compare(..) | TestKind::Between(..) => ordered,
        }
    }
}

impl LiteralSort {
    fn of(literal: &Literal) -> LiteralSort {
        match literal {
            Literal::Bool(_) => LiteralSort::Bool,
            Literal::I64(_) | Literal::U64(_) | Literal::F64(_) => LiteralSort::Number,
            Literal::Str(_) => LiteralSort::Text,
        }
    }

    fn class(self) -> Class {
        match self {
            LiteralSort::Bool => Class::Bool,
            LiteralSort::Number => Class::Number,
            LiteralSort::Text => Class::Text,
        }
    }
}

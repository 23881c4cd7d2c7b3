//! A filter over the records of one segment.

use super::column::test_column;
use super::ids::test_ids;
use super::tri::Tri;
use crate::Result;
use crate::filter::{Expr, FieldRef, Test, TestKind};
use crate::store::{RowId, Snapshot};
use rvf_format::payload::columns::ColumnsView;
use rvf_format::payload::lookup::LookupView;

/// The records that a filter is evaluated over.
pub(super) struct Ground<'s> {
    pub(super) snapshot: &'s Snapshot,
    /// How many there are.
    pub(super) count: u32,
    /// Their metadata, if they have any.
    pub(super) columns: Option<&'s ColumnsView>,
    pub(super) lookup: Option<&'s LookupView>,
    /// The part that they are all rows of; else they are those of a DELTA.
    pub(super) part: Option<u32>,
}

impl<'s> Ground<'s> {
    /// The rows of a part.
    pub(super) fn of_part(snapshot: &'s Snapshot, part: u32) -> Result<Self> {
        // Parsed, so that the number of rows is proven.
        let count = snapshot.view(part)?.count();
        let (mut columns, mut lookup) = (None, None);
        if let Some(meta) = snapshot.metas().of_part(part) {
            columns = Some(meta.view(snapshot)?);
            lookup = meta.lookup(snapshot)?;
        }
        Ok(Self { snapshot, count, columns, lookup, part: Some(part) })
    }

    /// The rows of a DELTA.
    pub(super) fn of_delta(snapshot: &'s Snapshot, columns: &'s ColumnsView) -> Self {
        Self { snapshot, count: columns.count(), columns: Some(columns), lookup: None, part: None }
    }

    /// The place of a record; `None` for a row that is not there any more.
    pub(super) fn row(&self, position: u32) -> Option<RowId> {
        match (self.part, self.columns) {
            (Some(part), _) => Some(RowId { part, row: position }),
            (None, Some(columns)) => self.snapshot.place_of_row(columns.row(position)),
            (None, None) => None,
        }
    }
}

/// Of which records the expression holds. Goes as deep as the expression, which is bounded.
pub(super) fn eval(ground: &Ground<'_>, expr: &Expr) -> Result<Tri> {
    match expr {
        Expr::And(parts) => fold(ground, parts, true, Tri::and),
        Expr::Or(parts) => fold(ground, parts, false, Tri::or),
        Expr::Not(inner) => Ok(eval(ground, inner)?.negated()),
        Expr::Constant(value) => Ok(Tri::constant(ground.count, *value)),
        Expr::Test(test) => eval_test(ground, test),
    }
}

fn fold(ground: &Ground<'_>, parts: &[Expr], empty: bool, join: impl Fn(&mut Tri, &Tri)) -> Result<Tri> {
    let Some((first, rest)) = parts.split_first() else { return Ok(Tri::constant(ground.count, empty)) };
    let mut all = eval(ground, first)?;
    for part in rest {
        join(&mut all, &eval(ground, part)?);
    }
    Ok(all)
}

fn eval_test(ground: &Ground<'_>, test: &Test) -> Result<Tri> {
    let FieldRef::Name(name) = &test.field else { return test_ids(ground, &test.kind) };
    let found = ground.columns.and_then(|columns| Some((columns, columns.find(name)?)));
    match found {
        Some((columns, at)) => test_column(columns, at, ground.lookup, &test.kind),
        // No record has the field: it is null.
        None if matches!(test.kind, TestKind::IsNull) => Ok(Tri::constant(ground.count, true)),
        None => Ok(Tri::unknown(ground.count)),
    }
}

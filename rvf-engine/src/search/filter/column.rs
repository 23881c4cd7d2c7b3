//! One test over one column: by the index of its values where there is one, else value by value.

// A list of one range is meant as such.
#![allow(clippy::single_range_in_vec_init)]

use super::tri::{Tri, all, from_bytes};
use crate::Result;
use crate::filter::{Literal, Op, Operand, Pattern, TestKind, cmp_f64, cmp_i64};
use crate::store::unreadable;
use crate::value::Value;
use core::cmp::Ordering;
use core::ops::Range;
use rvf_format::payload::columns::{Column, ColumnsView, FieldKind, Numbers};
use rvf_format::payload::lookup::LookupView;

/// More entries of a dictionary than this are not looked up one by one: all codes are compared instead.
const MOST_POSTINGS: usize = 256;

/// A column with its index.
struct Indexed<'s> {
    column: Column<'s>,
    /// The index, and the place of the field in it.
    lookup: Option<(&'s LookupView, usize)>,
}

/// Of which records the test of the field at a place holds.
pub(super) fn test_column(
    columns: &ColumnsView,
    at: usize,
    lookup: Option<&LookupView>,
    kind: &TestKind,
) -> Result<Tri> {
    let unread = || unreadable(columns);
    let column = columns.column_at(at).ok_or_else(unread)?;
    let count = columns.count();
    let known = column.presence().map_or_else(|| all(count), |bytes| from_bytes(bytes, count));
    if matches!(kind, TestKind::IsNull) {
        let present = Tri::among(all(count), known);
        return Ok(present.negated());
    }
    let indexed = Indexed { column, lookup: lookup.map(|lookup| (lookup, at)) };
    let found = match column.kind() {
        FieldKind::Bool => Some(indexed.bools(kind).ok_or_else(unread)?),
        FieldKind::I64 | FieldKind::F64 => Some(indexed.numbers(kind).ok_or_else(unread)?),
        FieldKind::Str => Some(indexed.strings(kind).ok_or_else(unread)?),
        FieldKind::List => Some(indexed.lists(kind).ok_or_else(unread)?),
        FieldKind::Bytes => None,
    };
    // The test was checked against the type of the field.
    let Some(mut yes) = found else { return Ok(Tri::unknown(count)) };
    yes.iter_mut().zip(&known).for_each(|(yes, known)| *yes &= known);
    Ok(Tri::among(known, yes))
}

impl Indexed<'_> {
    fn none(&self) -> Vec<u64> {
        vec![0; (self.column.count() as usize).div_ceil(64)]
    }

    fn bools(&self, kind: &TestKind) -> Option<Vec<u64>> {
        let set = from_bytes(self.column.bits()?, self.column.count());
        let is = |value: bool| kind.eval(Operand::Value(&Value::Bool(value))) == Some(true);
        let unset = || all(self.column.count()).iter().zip(&set).map(|(all, set)| all & !set).collect();
        Some(match (is(true), is(false)) {
            (true, true) => all(self.column.count()),
            (true, false) => set,
            (false, true) => unset(),
            (false, false) => self.none(),
        })
    }

    fn numbers(&self, kind: &TestKind) -> Option<Vec<u64>> {
        let numbers = self.column.numbers()?;
        let compare = |record: u32, literal: &Literal| match numbers {
            Numbers::I64(base, above) => cmp_i64(base.wrapping_add_unsigned(above.get(record)?), literal),
            Numbers::F64(values) => cmp_f64(values.get(record as usize)?.get(), literal),
        };
        let mut yes = self.none();
        if let Some((lookup, at)) = self.lookup {
            let order = lookup.by_number(at)?;
            let below =
                |literal: &Literal| order.partition_point(|r| compare(r.get(), literal) == Some(Ordering::Less));
            let upto =
                |literal: &Literal| order.partition_point(|r| compare(r.get(), literal) != Some(Ordering::Greater));
            for range in ranges(kind, order.len(), &below, &upto) {
                order.get(range)?.iter().for_each(|record| super::set(&mut yes, record.get(), true));
            }
            return Some(yes);
        }
        for record in (0..self.column.count()).filter(|record| self.column.is_present(*record)) {
            let at = |literal: &Literal| compare(record, literal);
            let holds = match kind {
                TestKind::Compare(op, literal) => at(literal).is_some_and(|order| op.holds(order)),
                TestKind::In(literals) => literals.iter().any(|literal| at(literal) == Some(Ordering::Equal)),
                TestKind::Between(low, high) => {
                    at(low).is_some_and(Ordering::is_ge) && at(high).is_some_and(Ordering::is_le)
                }
                _ => false,
            };
            super::set(&mut yes, record, holds);
        }
        Some(yes)
    }

    fn strings(&self, kind: &TestKind) -> Option<Vec<u64>> {
        let entries = self.entries_of(kind)?;
        // Long texts are in no dictionary: each is compared.
        let first = u64::from(self.column.entries());
        let mut texts = Vec::new();
        for text in 0..self.column.texts() {
            let value = core::str::from_utf8(self.column.text(text)?).ok()?;
            // An id of text is compared as any string is.
            if kind.eval(Operand::IdText(value)) == Some(true) {
                texts.push(first + u64::from(text));
            }
        }
        let many: usize = entries.iter().map(|range| range.len()).sum();
        let mut yes = self.none();
        if let Some((lookup, at)) = self.lookup.filter(|_| many <= MOST_POSTINGS) {
            entries.iter().flat_map(Clone::clone).try_for_each(|entry| {
                lookup.posting(at, entry)?.insert_into(&mut yes);
                Some(())
            })?;
            if texts.is_empty() {
                return Some(yes);
            }
        }
        let mut wanted = vec![0u64; (first + u64::from(self.column.texts())).div_ceil(64) as usize];
        let all = entries.into_iter().flatten().chain(texts.into_iter().map(|text| text as u32));
        all.for_each(|code| super::set(&mut wanted, code, true));
        let codes = self.column.codes()?;
        for record in 0..self.column.count() {
            if super::is_set(&wanted, codes.get(record)? as u32) {
                super::set(&mut yes, record, true);
            }
        }
        Some(yes)
    }

    /// The entries of the dictionary that the test is true of, as ranges of codes.
    fn entries_of(&self, kind: &TestKind) -> Option<Vec<Range<u32>>> {
        let count = self.column.entries();
        if let TestKind::Like(pattern) = kind {
            return self.entries_like(pattern);
        }
        // Where entries that are equal begin, or end: a search that takes equal ones for greater, or for less.
        let place = |literal: &Literal, equal: Ordering| {
            let text = if let Literal::Str(text) = literal { text.as_bytes() } else { &[] };
            self.column.search_entries(|entry| entry.cmp(text).then(equal)).unwrap_or_else(|at| at) as usize
        };
        let below = |literal: &Literal| place(literal, Ordering::Greater);
        let upto = |literal: &Literal| place(literal, Ordering::Less);
        let found = ranges(kind, count as usize, &below, &upto);
        Some(found.into_iter().map(|range| range.start as u32..range.end as u32).collect())
    }

    fn entries_like(&self, pattern: &Pattern) -> Option<Vec<Range<u32>>> {
        let prefix = pattern.prefix().as_bytes();
        let starts = |entry: &[u8]| match entry.get(..prefix.len()) {
            Some(start) => start.cmp(prefix),
            None => entry.cmp(prefix),
        };
        let first = self.column.search_entries(|entry| starts(entry).then(Ordering::Greater)).unwrap_or_else(|at| at);
        let end = self.column.search_entries(|entry| starts(entry).then(Ordering::Less)).unwrap_or_else(|at| at);
        if pattern.is_prefix_only() {
            return Some(vec![first..end]);
        }
        let mut found: Vec<Range<u32>> = Vec::new();
        for code in first..end {
            if !pattern.matches(core::str::from_utf8(self.column.entry(code)?).ok()?) {
                continue;
            }
            match found.last_mut().filter(|last| last.end == code) {
                Some(last) => last.end = code + 1,
                None => found.push(code..code + 1),
            }
        }
        Some(found)
    }

    fn lists(&self, kind: &TestKind) -> Option<Vec<u64>> {
        let mut yes = self.none();
        let TestKind::Contains(text) = kind else { return Some(yes) };
        let Ok(entry) = self.column.find_entry(text.as_bytes()) else { return Some(yes) };
        if let Some((lookup, at)) = self.lookup {
            lookup.posting(at, entry)?.insert_into(&mut yes);
            return Some(yes);
        }
        let codes = self.column.item_codes()?;
        for record in 0..self.column.count() {
            let (first, end) = self.column.items(record)?;
            let has = (first..end).any(|at| codes.get(at) == Some(u64::from(entry)));
            super::set(&mut yes, record, has);
        }
        Some(yes)
    }
}

/// The places in an order of `count` values of which a test holds: `below` is the number of values that are less than a literal,
/// `upto` the number of those that are not greater.
fn ranges(
    kind: &TestKind,
    count: usize,
    below: &dyn Fn(&Literal) -> usize,
    upto: &dyn Fn(&Literal) -> usize,
) -> Vec<Range<usize>> {
    match kind {
        TestKind::Compare(op, literal) => match op {
            Op::Eq => vec![below(literal)..upto(literal)],
            Op::Ne => vec![0..below(literal), upto(literal)..count],
            Op::Lt => vec![0..below(literal)],
            Op::Le => vec![0..upto(literal)],
            Op::Gt => vec![upto(literal)..count],
            Op::Ge => vec![below(literal)..count],
        },
        TestKind::In(literals) => literals.iter().map(|literal| below(literal)..upto(literal)).collect(),
        TestKind::Between(low, high) => {
            let (first, end) = (below(low), upto(high));
            vec![first..end.max(first)]
        }
        _ => Vec::new(),
    }
}

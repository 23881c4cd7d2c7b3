//! META-3: what columns hold.

use super::{Codes, Column, ColumnsView, FieldKind, Numbers};
use crate::{Clause, Error, Result};

impl ColumnsView {
    /// Checks every value: see META-3.
    ///
    /// # Errors
    /// META-3.
    pub fn check(&self) -> Result<()> {
        let wrong = |what| Err(Error::corrupt(Clause::Meta3, self.at, what));
        if self.row_numbers().is_some_and(|rows| !rows.windows(2).all(|two| two[0].get() < two[1].get())) {
            return wrong("rows of metadata do not ascend");
        }
        for column in self.columns() {
            if let Err(what) = check_column(&column) {
                return wrong(what);
            }
        }
        Ok(())
    }
}

fn check_column(column: &Column<'_>) -> core::result::Result<(), &'static str> {
    let facts = column.facts();
    let count = column.count();
    let present = column.presence().map_or(count, |bits| bits.iter().map(|byte| byte.count_ones()).sum());
    if present != column.present()
        || present == 0
        || facts.reserved.get() != 0
        || has_loose_bits(column.presence(), count)
    {
        return Err("the presence of values is not what the field says");
    }
    let has_strings = matches!(column.kind(), FieldKind::Str | FieldKind::List);
    if (column.entries() > 0 && !has_strings)
        || (column.texts() > 0 && !matches!(column.kind(), FieldKind::Str | FieldKind::Bytes))
    {
        return Err("a field holds what is not of its kind");
    }
    check_strings(column)?;
    match column.kind() {
        FieldKind::Bool => check_bools(column),
        FieldKind::I64 | FieldKind::F64 => check_numbers(column),
        FieldKind::Str | FieldKind::Bytes => {
            let codes = column.codes().ok_or("codes cannot be read")?;
            check_codes(codes, u64::from(column.entries()) + u64::from(column.texts()))
        }
        FieldKind::List => check_lists(column),
    }
}

/// Entries ascend strictly and are UTF-8, as are long texts of strings.
fn check_strings(column: &Column<'_>) -> core::result::Result<(), &'static str> {
    let is_text = |bytes: &[u8]| column.kind() == FieldKind::Bytes || core::str::from_utf8(bytes).is_ok();
    let mut last: Option<&[u8]> = None;
    for code in 0..column.entries() {
        let entry = column.entry(code).ok_or("an entry of a dictionary cannot be read")?;
        if !is_text(entry) || last.is_some_and(|last| last >= entry) {
            return Err("entries of a dictionary are not strings in ascending order");
        }
        last = Some(entry);
    }
    for text in 0..column.texts() {
        if !column.text(text).is_some_and(is_text) {
            return Err("a long text is malformed");
        }
    }
    Ok(())
}

fn check_bools(column: &Column<'_>) -> core::result::Result<(), &'static str> {
    let bits = column.bits().ok_or("bits cannot be read")?;
    let beyond =
        column.presence().is_some_and(|presence| bits.iter().zip(presence).any(|(bits, there)| bits & !there != 0));
    match beyond || has_loose_bits(Some(bits), column.count()) {
        true => Err("a bit is set where no value is"),
        false => Ok(()),
    }
}

fn check_numbers(column: &Column<'_>) -> core::result::Result<(), &'static str> {
    let absent = |at: usize| !column.is_present(at as u32);
    match column.numbers().ok_or("numbers cannot be read")? {
        Numbers::I64(base, codes) => {
            for at in 0..column.count() {
                let above = codes.get(at).ok_or("numbers cannot be read")?;
                let fits = base.checked_add_unsigned(above).is_some();
                if !fits || (above != 0 && absent(at as usize)) {
                    return Err("a number is out of range, or stands where no value is");
                }
            }
        }
        Numbers::F64(values) => {
            for (at, value) in values.iter().enumerate() {
                if !value.get().is_finite() || (value.get().to_bits() != 0 && absent(at)) {
                    return Err("a number is not finite, or stands where no value is");
                }
            }
        }
    }
    Ok(())
}

fn check_codes(codes: Codes<'_>, end: u64) -> core::result::Result<(), &'static str> {
    for at in 0..codes.len() as u32 {
        if codes.get(at).is_none_or(|code| code >= end) {
            return Err("a code stands for no entry");
        }
    }
    Ok(())
}

fn check_lists(column: &Column<'_>) -> core::result::Result<(), &'static str> {
    let mut last = 0;
    for position in 0..column.count() {
        let (first, end) = column.items(position).ok_or("a list cannot be read")?;
        if first != last || (first != end && !column.is_present(position)) {
            return Err("lists do not follow each other");
        }
        last = end;
    }
    if last != column.facts().item_count.get() {
        return Err("lists do not hold all items");
    }
    check_codes(column.item_codes().ok_or("items cannot be read")?, u64::from(column.entries()))
}

/// Whether a bit beyond the last record is set.
fn has_loose_bits(bits: Option<&[u8]>, count: u32) -> bool {
    let used = count % 8;
    used != 0 && bits.and_then(|bits| bits.last()).is_some_and(|last| last >> used != 0)
}

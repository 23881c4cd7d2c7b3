//! Numbers compared as the mathematical numbers that they are: nothing is rounded. It knows no fields.
//!
//! `9007199254740993` differs from `9007199254740992.0`, though it would become the same f64; `-0.0` equals `0`.

use core::cmp::Ordering;

use super::expr::Literal;

/// From here on a number is greater than every whole number that is compared.
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// Compares a whole number with a literal; `None` if that is no number.
///
/// ```
/// use core::cmp::Ordering;
/// use rvf_engine::filter::{Literal, cmp_i64};
/// let [number, decimal] = [9_007_199_254_740_993, 9_007_199_254_740_992];
/// assert_eq!(cmp_i64(number, &Literal::F64(decimal as f64)), Some(Ordering::Greater));
/// assert_eq!(cmp_i64(0, &Literal::F64(-0.0)), Some(Ordering::Equal));
/// assert_eq!(cmp_i64(1, &Literal::Str("1".into())), None);
/// ```
pub fn cmp_i64(value: i64, literal: &Literal) -> Option<Ordering> {
    cmp_whole(value.into(), literal)
}

/// Compares a whole number without a sign, such as an id, with a literal; `None` if that is no number.
///
/// ```
/// use core::cmp::Ordering;
/// use rvf_engine::filter::{Literal, cmp_u64};
/// assert_eq!(cmp_u64(u64::MAX, &Literal::F64(18_446_744_073_709_551_616.0)), Some(Ordering::Less));
/// assert_eq!(cmp_u64(0, &Literal::I64(-1)), Some(Ordering::Greater));
/// ```
pub fn cmp_u64(value: u64, literal: &Literal) -> Option<Ordering> {
    cmp_whole(value.into(), literal)
}

/// Compares a number with a literal; `None` if one of them is no number.
///
/// ```
/// use core::cmp::Ordering;
/// use rvf_engine::filter::{Literal, cmp_f64};
/// assert_eq!(cmp_f64(0.5, &Literal::I64(1)), Some(Ordering::Less));
/// assert_eq!(cmp_f64(f64::NAN, &Literal::I64(1)), None);
/// ```
pub fn cmp_f64(value: f64, literal: &Literal) -> Option<Ordering> {
    match literal {
        Literal::F64(other) => value.partial_cmp(other),
        Literal::I64(whole) => whole_with_decimal((*whole).into(), value).map(Ordering::reverse),
        Literal::U64(whole) => whole_with_decimal((*whole).into(), value).map(Ordering::reverse),
        Literal::Bool(_) | Literal::Str(_) => None,
    }
}

fn cmp_whole(value: i128, literal: &Literal) -> Option<Ordering> {
    match literal {
        Literal::I64(other) => Some(value.cmp(&(*other).into())),
        Literal::U64(other) => Some(value.cmp(&(*other).into())),
        Literal::F64(other) => whole_with_decimal(value, *other),
        Literal::Bool(_) | Literal::Str(_) => None,
    }
}

/// For whole numbers of i64 and u64.
fn whole_with_decimal(whole: i128, decimal: f64) -> Option<Ordering> {
    if decimal.is_nan() {
        return None;
    }
    if decimal >= TWO_TO_64 {
        return Some(Ordering::Less);
    }
    if decimal < -TWO_TO_64 {
        return Some(Ordering::Greater);
    }
    let floor = decimal.floor();
    // Exact: within the bounds above, and without a fraction.
    match whole.cmp(&(floor as i128)) {
        Ordering::Equal if decimal > floor => Some(Ordering::Less),
        ordering => Some(ordering),
    }
}

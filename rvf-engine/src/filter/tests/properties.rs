//! What holds for random trees, texts, patterns and numbers.

use core::cmp::Ordering;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{
    Expr, FieldRef, Filter, Literal, MAX_DEPTH, Operand, Pattern, cmp_f64, cmp_i64, cmp_u64, field, id,
};
use crate::{FieldType, Value};

/// Texts with what the language is made of.
fn words() -> impl Strategy<Value = String> {
    let parts = [
        "a",
        "id",
        "\"",
        "'",
        "\\",
        "%",
        "_",
        "(",
        ")",
        ",",
        "=",
        "!",
        "<",
        ">",
        "-",
        "+",
        "1",
        "2.5",
        "e",
        ".",
        " ",
        "\n",
        " AND ",
        " OR ",
        " NOT ",
        " IN ",
        " LIKE ",
        " BETWEEN ",
        " CONTAINS ",
        " IS ",
        " NULL ",
        " TRUE ",
        "'x'",
        "a = 1",
        "ä",
        "日",
        "\u{0}",
        "\u{2018}",
        "&&",
        "NaN",
        "18446744073709551615",
    ];
    vec(prop::sample::select(parts.to_vec()), 0..24).prop_map(|parts| parts.concat())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![words(), any::<String>()].prop_map(|text| text.replace('\0', " "))
}

fn number() -> impl Strategy<Value = f64> {
    let edges = [0.0, -0.0, 0.5, -1.5, 9_007_199_254_740_992.0, 9.3e18, -9.3e18, 1.9e19, f64::MAX, f64::MIN_POSITIVE];
    prop_oneof![
        prop::sample::select(edges.to_vec()),
        any::<i64>().prop_map(|whole| whole as f64),
        (any::<i64>(), -3..3_i64)
            .prop_map(|(whole, steps)| f64::from_bits((whole as f64).to_bits().wrapping_add_signed(steps))),
        any::<f64>(),
    ]
    .prop_filter("finite", |number| number.is_finite())
}

fn whole() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), -3..3_i64, number().prop_map(|number| number as i64)]
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        any::<bool>().prop_map(Literal::from),
        whole().prop_map(Literal::from),
        any::<u64>().prop_map(Literal::from),
        number().prop_map(Literal::from),
        text().prop_map(Literal::from),
        "[ab%_]{0,3}".prop_map(Literal::from),
    ]
}

fn test() -> impl Strategy<Value = Expr> {
    let name = prop_oneof!["[abc]", text(), Just("id".to_owned()), Just("NOT".to_owned())];
    let name = prop_oneof![4 => name.prop_map(Some), 1 => Just(None)];
    let named = || name.clone().prop_map(|name| name.map_or_else(id, field));
    // A pattern that ends in half an escape is refused.
    let pattern = text().prop_map(|text| text.replace('\\', r"\\"));
    prop_oneof![
        (named(), literal(), 0..6).prop_map(|(field, literal, op)| match op {
            0 => field.eq(literal),
            1 => field.ne(literal),
            2 => field.lt(literal),
            3 => field.le(literal),
            4 => field.gt(literal),
            _ => field.ge(literal),
        }),
        (named(), vec(literal(), 1..4)).prop_map(|(field, literals)| field.is_in(literals)),
        (named(), pattern).prop_map(|(field, pattern)| field.like(pattern)),
        (named(), literal(), literal()).prop_map(|(field, low, high)| field.between(low, high)),
        (named(), text()).prop_map(|(field, text)| field.contains(text)),
        named().prop_map(|field| field.is_null()),
        named().prop_map(|field| field.is_true()),
        any::<bool>().prop_map(Expr::Constant),
    ]
}

/// Any tree, those that no text is read as among them.
fn expr() -> impl Strategy<Value = Expr> {
    test().prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Expr::And),
            vec(inner.clone(), 0..4).prop_map(Expr::Or),
            inner.prop_map(Expr::negate),
        ]
    })
}

/// The tree that a text of this one is read as.
fn normal(expr: &Expr) -> Expr {
    let joined = |parts: &[Expr], none: bool, grow: fn(Expr, Expr) -> Expr| {
        // A chain without parts inside a chain of its kind is printed, so it stays a constant.
        parts.iter().map(normal).reduce(grow).unwrap_or(Expr::Constant(none))
    };
    match expr {
        Expr::And(parts) => joined(parts, true, Expr::and),
        Expr::Or(parts) => joined(parts, false, Expr::or),
        Expr::Not(part) => normal(part).negate(),
        other => other.clone(),
    }
}

/// How a decimal compares with a whole number, by the digits of both: mantissa and power of two.
fn compare_by_digits(whole: i128, decimal: f64) -> Ordering {
    let bits = decimal.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32;
    let fraction = i128::from(bits & ((1 << 52) - 1));
    let (mantissa, power) = if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    let mantissa = if decimal.is_sign_negative() { -mantissa } else { mantissa };
    if power > 64 {
        return 0.cmp(&mantissa);
    }
    if power >= 0 {
        return whole.cmp(&(mantissa << power));
    }
    if power < -60 {
        // Less than 1 in amount.
        return whole.cmp(&0).then(0.cmp(&mantissa));
    }
    (whole << -power).cmp(&mantissa)
}

/// LIKE by dynamic programming, over the characters of the text and the elements of the pattern.
fn like(pattern: &str, text: &str) -> bool {
    let mut elements = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        elements.push(match character {
            '\\' => (Some(characters.next().unwrap_or('\\')), false),
            '%' => (None, true),
            '_' => (None, false),
            other => (Some(other), false),
        });
    }
    let text: Vec<char> = text.chars().collect();
    // fits[j]: the elements so far fit the first j characters.
    let mut fits = vec![false; text.len() + 1];
    fits[0] = true;
    for (character, run) in elements {
        let before = fits.clone();
        for j in 0..=text.len() {
            fits[j] = match (character, run) {
                (_, true) => before[j] || j > 0 && fits[j - 1],
                (None, _) => j > 0 && before[j - 1],
                (Some(character), _) => j > 0 && before[j - 1] && text[j - 1] == character,
            };
        }
    }
    fits[text.len()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn trees_are_read_as_they_are_printed(expr in expr()) {
        let filter = Filter::new(expr.clone()).unwrap();
        prop_assert_eq!(filter.expr(), &normal(&expr));
        prop_assert_eq!(filter.to_string(), filter.text(), "printed twice, it is the same");
        let again = Filter::parse(&filter.to_string()).unwrap();
        prop_assert_eq!(&again, &filter);
    }

    #[test]
    fn reading_changes_no_answer(expr in expr(), values in vec(value(), 4)) {
        let filter = Filter::new(expr.clone()).unwrap();
        let value_of = |field: &FieldRef| match field {
            FieldRef::Id => Operand::IdNumber(7),
            FieldRef::Name(name) => Operand::Value(&values[name.len() % 4]),
        };
        prop_assert_eq!(filter.expr().eval(&value_of), expr.eval(&value_of));
        prop_assert_eq!(expr.clone().negate().eval(&value_of), expr.eval(&value_of).map(|value| !value));
    }

    #[test]
    fn texts_are_read_or_refused(text in prop_oneof![words(), any::<String>()]) {
        match Filter::parse(&text) {
            Ok(filter) => {
                prop_assert_eq!(filter.text(), &text);
                let again = Filter::parse(&filter.to_string()).unwrap();
                prop_assert_eq!(&again, &filter);
                let checked = filter.check(None, &|name| (name == "a").then_some(FieldType::I64), &|| vec!["a".into()]);
                prop_assert!(checked.map_or_else(|error| said(&error, &text), |_| true));
            }
            Err(error) => prop_assert!(said(&error, &text), "{error:?}"),
        }
    }

    #[test]
    fn bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..64)) {
        let text = String::from_utf8_lossy(&bytes);
        let refused = Filter::parse(&text).err();
        prop_assert!(refused.is_none_or(|error| said(&error, &text)));
    }

    #[test]
    fn patterns_fit_what_they_should(pattern in r"[ab_%\\]{0,8}", text in "[abä%]{0,10}") {
        let read = Pattern::new(pattern.as_str());
        let fits = like(&pattern, &text);
        prop_assert_eq!(read.matches(&text), fits, "{} LIKE {}", text, pattern);
        prop_assert!(!fits || text.starts_with(read.prefix()));
        if read.is_exact() {
            prop_assert_eq!(fits, text == read.prefix());
        }
        if read.is_prefix_only() {
            prop_assert_eq!(fits, text.starts_with(read.prefix()));
        }
    }

    #[test]
    fn numbers_compare_exactly(whole in whole(), large in any::<u64>(), decimal in number(), other in number()) {
        let expected = compare_by_digits(whole.into(), decimal);
        prop_assert_eq!(cmp_i64(whole, &decimal.into()), Some(expected));
        prop_assert_eq!(cmp_f64(decimal, &whole.into()), Some(expected.reverse()));
        let expected = compare_by_digits(large.into(), decimal);
        prop_assert_eq!(cmp_u64(large, &decimal.into()), Some(expected));
        prop_assert_eq!(cmp_f64(decimal, &large.into()), Some(expected.reverse()));
        prop_assert_eq!(cmp_i64(whole, &large.into()), Some(i128::from(whole).cmp(&large.into())));
        prop_assert_eq!(cmp_u64(large, &whole.into()), Some(i128::from(large).cmp(&whole.into())));
        prop_assert_eq!(cmp_f64(decimal, &other.into()), decimal.partial_cmp(&other));
    }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        whole().prop_map(Value::from),
        number().prop_map(Value::from),
        "[ab]{0,3}".prop_map(Value::from),
        vec("[ab]{0,3}", 0..3).prop_map(Value::from),
    ]
}

/// Whether an error says where and what, in two lines of bounded width.
fn said(error: &super::FilterError, text: &str) -> bool {
    let caret = error.caret();
    let lines: Vec<&str> = caret.split('\n').collect();
    let [line, marks] = lines.as_slice() else { return false };
    let (start, end) = (error.span().range().start, error.span().range().end);
    let narrow = line.chars().count() <= 106 && marks.chars().count() <= 107 && marks.ends_with('^');
    let plain = !error.to_string().contains('\n') && !error.hint().is_empty();
    narrow && plain && start <= end && text.get(start..end).is_some()
}

#[test]
fn normal_trees_are_within_the_depth() {
    let deepest = (0..MAX_DEPTH).fold(field("a").is_true(), |expr, _| expr.negate());
    assert_eq!(normal(&deepest), deepest);
}

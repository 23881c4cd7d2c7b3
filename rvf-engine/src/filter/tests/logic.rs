//! Three-valued logic, comparisons, patterns.

use core::cmp::Ordering;
use std::collections::BTreeMap;

use super::super::{Expr, FieldRef, Literal, Operand, Pattern, cmp_f64, cmp_i64, cmp_u64, field};
use super::{text, tree};
use crate::Value;

const TRUE: Option<bool> = Some(true);
const FALSE: Option<bool> = Some(false);
const UNKNOWN: Option<bool> = None;

/// Decides for a record with one field of each type, and fields `n`ull, `t`rue and `f`alse.
fn eval(written: &str) -> Option<bool> {
    eval_with_id(written, Operand::IdNumber(7))
}

fn eval_with_id(written: &str, id: Operand<'_>) -> Option<bool> {
    let list = ["api", "web"].map(str::to_owned).to_vec();
    let fields = BTreeMap::from([
        ("t", Value::Bool(true)),
        ("f", Value::Bool(false)),
        ("whole", Value::I64(40)),
        ("large", Value::I64(9_007_199_254_740_993)),
        ("decimal", Value::F64(2.5)),
        ("zero", Value::F64(-0.0)),
        ("text", Value::Str("mdn".into())),
        ("empty", Value::Str(String::new())),
        ("list", Value::List(list)),
        ("bytes", Value::Bytes(vec![1])),
    ]);
    let null = Value::Null;
    tree(written).eval(&|field| match field {
        FieldRef::Id => id,
        FieldRef::Name(name) => Operand::Value(fields.get(name.as_str()).unwrap_or(&null)),
    })
}

#[test]
fn and_or_not_follow_kleene() {
    let values = [("t", TRUE), ("f", FALSE), ("n", UNKNOWN)];
    let table = [
        // a, b, AND, OR
        (TRUE, TRUE, TRUE, TRUE),
        (TRUE, FALSE, FALSE, TRUE),
        (TRUE, UNKNOWN, UNKNOWN, TRUE),
        (FALSE, TRUE, FALSE, TRUE),
        (FALSE, FALSE, FALSE, FALSE),
        (FALSE, UNKNOWN, FALSE, UNKNOWN),
        (UNKNOWN, TRUE, UNKNOWN, TRUE),
        (UNKNOWN, FALSE, FALSE, UNKNOWN),
        (UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN),
    ];
    let name = |value: Option<bool>| values.iter().find(|row| row.1 == value).unwrap().0;
    for (a, b, and, or) in table {
        let (left, right) = (name(a), name(b));
        assert_eq!(eval(&format!("{left} AND {right}")), and, "{left} AND {right}");
        assert_eq!(eval(&format!("{left} OR {right}")), or, "{left} OR {right}");
        assert_eq!(eval(&format!("{left} AND {right} AND t")), and, "{left} AND {right} AND t");
        assert_eq!(eval(&format!("n AND {left} AND f")), FALSE);
        assert_eq!(eval(&format!("n OR {left} OR t")), TRUE);
    }
    for (name, value) in values {
        assert_eq!(eval(&format!("NOT {name}")), value.map(|value| !value));
        assert_eq!(eval(&format!("NOT NOT {name}")), value);
    }
    assert_eq!(Expr::And(Vec::new()).eval(&|_| Operand::IdNumber(0)), TRUE);
    assert_eq!(Expr::Or(Vec::new()).eval(&|_| Operand::IdNumber(0)), FALSE);
}

#[test]
fn null_is_unknown_to_every_test_but_is_null() {
    for test in ["= 1", "!= 1", "< 1", "IN (1, 'a')", "LIKE '%'", "BETWEEN 1 AND 2", "CONTAINS 'a'", ""] {
        assert_eq!(eval(&format!("n {test}")), UNKNOWN, "{test}");
        assert_eq!(eval(&format!("NOT n {test}")), UNKNOWN, "NOT {test}");
    }
    for test in ["NOT IN (1)", "NOT LIKE '%'", "NOT BETWEEN 1 AND 2", "NOT CONTAINS 'a'"] {
        assert_eq!(eval(&format!("n {test}")), UNKNOWN, "{test}");
    }
    assert_eq!((eval("n IS NULL"), eval("n IS NOT NULL")), (TRUE, FALSE));
    for name in ["t", "whole", "decimal", "text", "empty", "list", "bytes", "id"] {
        assert_eq!((eval(&format!("{name} IS NULL")), eval(&format!("{name} IS NOT NULL"))), (FALSE, TRUE), "{name}");
    }
}

#[test]
fn tests_decide() {
    let cases = [
        ("whole = 40", TRUE),
        ("whole != 40", FALSE),
        ("whole = 40.0", TRUE),
        ("whole < 40.5 AND whole <= 40 AND whole >= 40 AND whole > 39.5", TRUE),
        ("whole < 40", FALSE),
        ("whole IN (1, 40)", TRUE),
        ("whole NOT IN (1, 40)", FALSE),
        ("whole IN (1, 2)", FALSE),
        ("whole BETWEEN 40 AND 40", TRUE),
        ("whole BETWEEN 41 AND 39", FALSE),
        ("whole NOT BETWEEN 1 AND 2", TRUE),
        ("decimal BETWEEN 2 AND 3 AND decimal > 2 AND decimal = 2.50", TRUE),
        ("large = 9007199254740993", TRUE),
        ("large = 9007199254740992.0", FALSE),
        ("large > 9007199254740992.0", TRUE),
        ("zero = 0 AND zero = 0.0 AND zero >= 0", TRUE),
        ("text = 'mdn' AND text != 'MDN' AND text > 'mdm' AND text < 'mdna' AND text >= 'M'", TRUE),
        ("text BETWEEN 'm' AND 'n'", TRUE),
        ("text IN ('x', 'mdn')", TRUE),
        ("text LIKE 'm%' AND text NOT LIKE 'M%'", TRUE),
        ("empty = '' AND empty LIKE '' AND empty LIKE '%' AND empty < 'a'", TRUE),
        ("list CONTAINS 'api' AND list NOT CONTAINS 'ap'", TRUE),
        ("t = TRUE AND f = FALSE AND t != FALSE AND t IN (TRUE) AND NOT f", TRUE),
        // Types that clash are unknown.
        ("whole = '40'", UNKNOWN),
        ("NOT whole = '40'", UNKNOWN),
        ("text = 40", UNKNOWN),
        ("t = 1", UNKNOWN),
        ("t > FALSE", UNKNOWN),
        ("t BETWEEN FALSE AND TRUE", UNKNOWN),
        ("list = 'api'", UNKNOWN),
        ("text CONTAINS 'm'", UNKNOWN),
        ("whole LIKE '4%'", UNKNOWN),
        ("whole", UNKNOWN),
        ("bytes = 'a'", UNKNOWN),
        ("whole IN ('40', 40)", TRUE),
        ("whole IN ('40', 41)", UNKNOWN),
        ("whole BETWEEN 'a' AND 1", FALSE),
        ("whole BETWEEN 1 AND 'a'", UNKNOWN),
    ];
    for (written, expected) in cases {
        assert_eq!(eval(written), expected, "{written}");
    }
}

#[test]
fn ids_compare() {
    let largest = u64::MAX - 1;
    let number = |written: &str| eval_with_id(written, Operand::IdNumber(largest));
    assert_eq!(number("id = 18446744073709551614"), TRUE);
    assert_eq!(number("id < 18446744073709551615 AND id > 9223372036854775807 AND id > -1"), TRUE);
    assert_eq!(number("id < 1e300 AND id < 18446744073709551616.0 AND id > 0.5"), TRUE);
    assert_eq!(number("id IN (1, 18446744073709551614)"), TRUE);
    assert_eq!(number("id = '1'"), UNKNOWN);
    assert_eq!(number("id LIKE '%'"), UNKNOWN);
    let string = |written: &str| eval_with_id(written, Operand::IdText("doc-7"));
    assert_eq!(string("id = 'doc-7' AND id LIKE 'doc%' AND id > 'doc' AND id IN ('x', 'doc-7')"), TRUE);
    assert_eq!(string("id = 7"), UNKNOWN);
    assert_eq!(string("\"id\" = 'doc-7'"), UNKNOWN, "a field of the metadata that is not there");
}

#[test]
fn numbers_compare_as_they_are() {
    use Ordering::{Equal, Greater, Less};
    let whole = |value: i64, other: f64| cmp_i64(value, &Literal::F64(other));
    let two_53 = 9_007_199_254_740_992_i64;
    let cases = [
        (two_53 + 1, two_53 as f64, Greater),
        (two_53, two_53 as f64, Equal),
        (-two_53 - 1, -two_53 as f64, Less),
        (i64::MAX, i64::MAX as f64, Less),
        (i64::MAX, (i64::MAX as f64).next_down(), Greater),
        (i64::MIN, i64::MIN as f64, Equal),
        (i64::MIN, (i64::MIN as f64).next_down(), Greater),
        (i64::MIN, (i64::MIN as f64).next_up(), Less),
        (0, -0.0, Equal),
        (0, f64::from_bits(1), Less),
        (0, -f64::from_bits(1), Greater),
        (-1, -1.5, Greater),
        (-2, -1.5, Less),
        (1, 1.5, Less),
        (0, f64::MAX, Less),
        (0, f64::MIN, Greater),
        (0, f64::INFINITY, Less),
        (0, f64::NEG_INFINITY, Greater),
    ];
    for (value, other, expected) in cases {
        assert_eq!(whole(value, other), Some(expected), "{value} and {other:?}");
        assert_eq!(cmp_f64(other, &Literal::I64(value)), Some(expected.reverse()), "{other:?} and {value}");
    }
    assert_eq!(cmp_u64(u64::MAX, &Literal::F64(u64::MAX as f64)), Some(Less));
    assert_eq!(cmp_u64(u64::MAX, &Literal::F64((u64::MAX as f64).next_down())), Some(Greater));
    assert_eq!(cmp_u64(u64::MAX, &Literal::U64(u64::MAX)), Some(Equal));
    assert_eq!(cmp_i64(-1, &Literal::U64(u64::MAX)), Some(Less));
    assert_eq!(cmp_f64(-0.0, &Literal::F64(0.0)), Some(Equal));
    assert_eq!(cmp_f64(1e19, &Literal::U64(1 << 63)), Some(Greater));
    for none in [text("1"), Literal::Bool(true), Literal::F64(f64::NAN)] {
        assert_eq!((cmp_i64(1, &none), cmp_u64(1, &none), cmp_f64(1.0, &none)), (None, None, None));
    }
    assert_eq!(cmp_f64(f64::NAN, &Literal::F64(f64::NAN)), None);
}

#[test]
fn patterns_match() {
    let cases = [
        ("", &[""][..], &["a"][..]),
        ("abc", &["abc"], &["", "ab", "abcd", "xabc", "ABC"]),
        ("a%", &["a", "ab"], &["", "ba"]),
        ("%a", &["a", "ba", "aa"], &["", "ab"]),
        ("%", &["", "x", "a\nb"], &[]),
        ("%%a%%", &["a", "xax"], &["x"]),
        ("_", &["a", "ä", "日"], &["", "ab"]),
        ("__%", &["ab", "abc", "日本"], &["a", ""]),
        ("%_%", &["a"], &[""]),
        ("_%_", &["ab", "axb"], &["a"]),
        ("a_c", &["abc", "aäc"], &["ac", "abbc"]),
        ("%ab%ab%", &["abab", "xabyabz"], &["ab", "aba"]),
        ("a%a", &["aa", "aba"], &["a"]),
        ("ab%bc", &["abbc", "abxbc"], &["abc"]),
        ("%a_b%", &["aab", "aaxb", "xxaxbxx"], &["ab", "aaaxxb"]),
        ("%_b_%", &["abc", "bbb"], &["b", "ab", "ba"]),
        (r"50\%", &["50%"], &["500", r"50\%"]),
        (r"a\_%", &["a_", "a_b"], &["ab"]),
        (r"a\\b", &[r"a\b"], &["ab", r"a\\b"]),
        (r"\a", &["a"], &[r"\a"]),
        ("%日_語%", &["日本語", "私の日本語です"], &["日語"]),
    ];
    for (source, fits, misses) in cases {
        let pattern = Pattern::new(source);
        for text in fits {
            assert!(pattern.matches(text), "{text} LIKE {source}");
        }
        for text in misses {
            assert!(!pattern.matches(text), "{text} NOT LIKE {source}");
        }
    }
}

#[test]
fn patterns_tell_their_prefix() {
    let cases = [
        ("", "", true, false),
        ("abc", "abc", true, false),
        ("abc%", "abc", false, true),
        ("abc%%", "abc", false, true),
        ("%", "", false, true),
        ("_", "", false, false),
        ("ab_%", "ab", false, false),
        ("ab%c", "ab", false, false),
        ("%c", "", false, false),
        (r"5\%x%", "5%x", false, true),
        (r"5\%", "5%", true, false),
        ("ä_", "ä", false, false),
    ];
    for (source, prefix, exact, prefix_only) in cases {
        let pattern = Pattern::new(source);
        assert_eq!(
            (pattern.prefix(), pattern.is_exact(), pattern.is_prefix_only()),
            (prefix, exact, prefix_only),
            "{source}"
        );
        assert_eq!(pattern.source(), source);
    }
    let lone = Pattern::new("a\\");
    assert!(lone.matches("a\\"), "outside filters");
    assert_eq!(field("a").like("a\\").to_string(), "a LIKE 'a\\'");
}

//! What is read, and as which tree.

use super::super::{Expr, FieldRef, Filter, Literal, Op, TestKind, field, id};
use super::{fault, text, tree};
use crate::filter::FilterFault;

#[test]
fn the_example_is_read() {
    let read = tree(
        "source = 'mdn' AND words >= 40 AND (lang IN ('en','fr') OR draft IS NULL) AND NOT title LIKE 'Intro%' \
         AND tags CONTAINS 'api' AND year BETWEEN 2019 AND 2024",
    );
    let built = field("source").eq("mdn")
        & field("words").ge(40)
        & (field("lang").is_in(["en", "fr"]) | field("draft").is_null())
        & !field("title").like("Intro%")
        & field("tags").contains("api")
        & field("year").between(2019, 2024);
    assert_eq!(read, built);
    assert!(matches!(&read, Expr::And(parts) if parts.len() == 6));
}

#[test]
fn not_binds_tighter_than_and_and_that_tighter_than_or() {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| field(name).is_true());
    let (a, b, c, d) = (|| a.clone(), || b.clone(), || c.clone(), || d.clone());
    let cases = [
        ("a OR b AND c OR d", Expr::Or(vec![a(), Expr::And(vec![b(), c()]), d()])),
        ("a AND b OR c AND d", Expr::Or(vec![Expr::And(vec![a(), b()]), Expr::And(vec![c(), d()])])),
        ("(a OR b) AND c", Expr::And(vec![Expr::Or(vec![a(), b()]), c()])),
        ("NOT a AND b", Expr::And(vec![!a(), b()])),
        ("NOT a OR b", Expr::Or(vec![!a(), b()])),
        ("NOT (a AND b)", !Expr::And(vec![a(), b()])),
        ("NOT NOT a", !!a()),
        ("NOT a = 1 AND b", Expr::And(vec![!field("a").eq(1), b()])),
        ("a AND b AND c", Expr::And(vec![a(), b(), c()])),
        ("a AND (b AND c) AND d", Expr::And(vec![a(), b(), c(), d()])),
        ("(a OR b) OR (c OR d)", Expr::Or(vec![a(), b(), c(), d()])),
        ("((a))", a()),
    ];
    for (written, expected) in cases {
        assert_eq!(tree(written), expected, "{written}");
    }
}

#[test]
fn builders_grow_chains() {
    let parts = || ["a", "b", "c", "d"].map(|name| field(name).is_true());
    let [a, b, c, d] = parts();
    assert_eq!((a & b) & (c & d), Expr::And(parts().to_vec()));
    let [a, b, c, d] = parts();
    assert_eq!(a | (b | (c | d)), Expr::Or(parts().to_vec()));
    let [a, b, c, _] = parts();
    assert_eq!(((a & b) | c).to_string(), "a AND b OR c");
}

#[test]
fn every_test_is_read_and_negated() {
    let cases = [
        ("a = 1", field("a").eq(1)),
        ("a == 1", field("a").eq(1)),
        ("a != 1", field("a").ne(1)),
        ("a <> 1", field("a").ne(1)),
        ("a<1", field("a").lt(1)),
        ("a<=1", field("a").le(1)),
        ("a>-1", field("a").gt(-1)),
        ("a >= +1", field("a").ge(1)),
        ("a IN (1, 2.5, 'x', TRUE)", field("a").is_in([1.into(), 2.5.into(), text("x"), true.into()])),
        ("a LIKE 'x%'", field("a").like("x%")),
        ("a BETWEEN 1 AND 2", field("a").between(1, 2)),
        ("a BETWEEN 1 AND 2 AND b", field("a").between(1, 2) & field("b").is_true()),
        ("a CONTAINS 'x'", field("a").contains("x")),
        ("a IS NULL", field("a").is_null()),
        ("a IS NOT NULL", field("a").is_not_null()),
        ("a NOT IN (1)", !field("a").is_in([1])),
        ("a NOT LIKE 'x'", !field("a").like("x")),
        ("a NOT BETWEEN 1 AND 2", !field("a").between(1, 2)),
        ("a NOT CONTAINS 'x'", !field("a").contains("x")),
        ("NOT a NOT IN (1)", !!field("a").is_in([1])),
        ("a", field("a").is_true()),
        ("a = TRUE", field("a").eq(true)),
        ("TRUE", Expr::Constant(true)),
        ("NOT false", !Expr::Constant(false)),
    ];
    for (written, expected) in cases {
        assert_eq!(tree(written), expected, "{written}");
    }
    assert_ne!(tree("a = 1"), tree("b = 1"));
    assert_ne!(tree("a = 1"), tree("a = 1.0"));
}

#[test]
fn keywords_have_no_case_and_fields_have() {
    assert_eq!(tree("a In (1) aNd nOt b iS nOt nUlL or TruE"), tree("a IN (1) AND NOT b IS NOT NULL OR TRUE"));
    assert_ne!(tree("Words = 1"), tree("words = 1"));
}

#[test]
fn names_are_words_or_quoted() {
    let name = |written: &str| match tree(written) {
        Expr::Test(ref test) => test.field.clone(),
        ref other => panic!("{other}"),
    };
    let cases = [
        ("a.b_2", "a.b_2"),
        ("_x", "_x"),
        ("größe", "größe"),
        ("число2", "число2"),
        ("\"in\"", "in"),
        ("\"two words\"", "two words"),
        ("\"say \"\"x\"\"\"", "say \"x\""),
        ("\"my-field\"", "my-field"),
        ("\"id\"", "id"),
        ("ID", "ID"),
        ("\"\"", ""),
        ("\"it's\"", "it's"),
    ];
    for (written, expected) in cases {
        assert_eq!(name(written), FieldRef::Name(expected.to_owned()), "{written}");
    }
    assert_eq!(name("id"), FieldRef::Id);
    assert_eq!(tree("id = 7 AND \"id\" = 7"), id().eq(7) & field("id").eq(7));
    for (shown, name) in [("\"id\"", "id"), ("\"In\"", "In"), ("\"2x\"", "2x"), ("\"\"", ""), ("x.y", "x.y")] {
        assert_eq!(field(name).is_true().to_string(), shown);
    }
}

#[test]
fn literals_keep_what_is_written() {
    let literal = |written: &str| match tree(&format!("a = {written}")) {
        Expr::Test(ref test) => match &test.kind {
            TestKind::Compare(Op::Eq, literal) => literal.value.clone(),
            other => panic!("{other:?}"),
        },
        ref other => panic!("{other}"),
    };
    let cases = [
        ("0", Literal::I64(0)),
        ("-0", Literal::I64(0)),
        ("007", Literal::I64(7)),
        ("9223372036854775807", Literal::I64(i64::MAX)),
        ("-9223372036854775808", Literal::I64(i64::MIN)),
        ("9223372036854775808", Literal::U64(1 << 63)),
        ("18446744073709551615", Literal::U64(u64::MAX)),
        ("+18446744073709551614", Literal::U64(u64::MAX - 1)),
        ("1.0", Literal::F64(1.0)),
        (".5", Literal::F64(0.5)),
        ("5.", Literal::F64(5.0)),
        ("-2.5e-3", Literal::F64(-0.0025)),
        ("1E+2", Literal::F64(100.0)),
        ("1e-999", Literal::F64(0.0)),
        ("1.7976931348623157e308", Literal::F64(f64::MAX)),
        ("9007199254740993.0", Literal::F64(9_007_199_254_740_992.0)),
        ("''", text("")),
        ("'it''s'", text("it's")),
        ("''''", text("'")),
        ("'a\nb\t\"%'", text("a\nb\t\"%")),
        ("'日本'", text("日本")),
        ("true", Literal::Bool(true)),
    ];
    for (written, expected) in cases {
        assert_eq!(literal(written), expected, "{written}");
    }
    let Literal::F64(zero) = literal("-0.0") else { panic!("no decimal") };
    assert!(zero == 0.0 && zero.is_sign_negative());
    for written in ["-9223372036854775809", "18446744073709551616", "1e309", "-1e309"] {
        assert_eq!(fault(&format!("a = {written}")), FilterFault::NumberOutOfRange, "{written}");
    }
}

#[test]
fn places_are_bytes_of_the_text() {
    let written = "größe = 40 AND \"größe\" BETWEEN 'ä' AND 'ö' AND c LIKE 'x''y'";
    let filter = Filter::parse(written).unwrap();
    let of = |span: crate::filter::Span| written.get(span.range()).unwrap();
    let mut seen = Vec::new();
    for test in filter.expr().tests() {
        seen.push(of(test.span));
        match &test.kind {
            TestKind::Compare(_, literal) => seen.push(of(literal.span)),
            TestKind::Between(low, high) => seen.extend([of(low.span), of(high.span)]),
            TestKind::Like(pattern) => seen.push(of(pattern.span)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, ["größe", "40", "\"größe\"", "'ä'", "'ö'", "c", "'x''y'"]);
    assert_eq!(filter.text(), written);
}

#[test]
fn what_is_printed_has_no_more_parentheses_than_needed() {
    let cases = [
        ("((a = 1)) AND ((b) OR (c AND (d)))", "a = 1 AND (b OR c AND d)"),
        ("NOT (a IN (1,2))", "a NOT IN (1, 2)"),
        ("NOT a = 1", "NOT a = 1"),
        ("NOT (NOT (a AND b))", "NOT NOT (a AND b)"),
        ("NOT a IS NULL", "a IS NOT NULL"),
        ("not(a)or(b)", "NOT a OR b"),
        ("a<>1e2 AND b==-0.5", "a != 100.0 AND b = -0.5"),
        ("a = 1e16 OR a = 18446744073709551615", "a = 1e16 OR a = 18446744073709551615"),
        ("\"a\" LIKE 'it''s \\%'", "a LIKE 'it''s \\%'"),
    ];
    for (written, printed) in cases {
        let filter = Filter::parse(written).unwrap();
        assert_eq!(filter.to_string(), printed);
        assert_eq!(Filter::parse(printed).unwrap(), filter);
    }
}

#[test]
fn expressions_of_programs_become_sound_filters() {
    let a = || field("a").is_true();
    let odd = Expr::And(vec![
        Expr::And(vec![a()]),
        Expr::Or(vec![Expr::Or(vec![a(), a()]), Expr::And(vec![])]),
        Expr::And(vec![Expr::Not(Box::new(Expr::Or(vec![a().negate()]))), Expr::Or(vec![])]),
    ]);
    let filter = Filter::new(odd).unwrap();
    assert_eq!(filter.text(), "a AND (a OR a OR TRUE) AND NOT NOT a AND FALSE");
    assert!(matches!(filter.expr(), Expr::And(parts) if parts.len() == 4));
    let spans: Vec<&str> = filter.expr().tests().map(|test| &filter.text()[test.span.range()]).collect();
    assert_eq!(spans, ["a"; 4]);
    let number = Filter::new(field("a").eq(5u64) | field("a").eq(u64::MAX)).unwrap();
    assert_eq!(number.expr(), &(field("a").eq(5) | field("a").eq(Literal::U64(u64::MAX))));
    let converted: Filter = "a AND b".parse().unwrap();
    assert_eq!(converted, Filter::try_from(a() & field("b").is_true()).unwrap());
    assert_eq!(converted, Filter::try_from("a AND b").unwrap());
}

#[test]
fn expressions_that_no_text_can_say_are_refused() {
    let fault = |expr: Expr| Filter::new(expr).unwrap_err().kind().clone();
    assert_eq!(fault(field("a").eq(f64::NAN)), FilterFault::NotFinite);
    assert_eq!(fault(field("a").between(0, f64::INFINITY)), FilterFault::NotFinite);
    assert_eq!(fault(field("a").is_in([f64::NEG_INFINITY])), FilterFault::NotFinite);
    assert_eq!(fault(field("a").is_in(Vec::<Literal>::new())), FilterFault::EmptyList);
    assert_eq!(fault(field("a").eq("x\0")), FilterFault::NulCharacter);
    assert_eq!(fault(field("a\0").is_true()), FilterFault::NulCharacter);
    assert_eq!(fault(field("a").like("x\\")), FilterFault::LoneEscape);
    let error = Filter::new(field("b").is_true() & field("a").lt(f64::NEG_INFINITY)).unwrap_err();
    assert_eq!(error.caret(), "b AND a < -inf\n          ^^^^");
}

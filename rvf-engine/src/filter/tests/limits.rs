//! Texts and trees at the limits and beyond.

use std::time::{Duration, Instant};

use super::super::{
    Expr, Filter, FilterFault, Literal, MAX_DEPTH, MAX_FILTER_BYTES, MAX_LIKE_PIECE, MAX_LITERALS, Pattern, Span, field,
};
use super::{fault, refused, tree};

/// What takes longer than this hangs; on a machine that does other things, too.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn text_may_have_a_mebibyte() {
    let padded = |bytes: usize| format!("a{}", " ".repeat(bytes - 1));
    assert_eq!(tree(&padded(MAX_FILTER_BYTES)), field("a").is_true());
    assert_eq!(fault(&padded(MAX_FILTER_BYTES + 1)), FilterFault::TooLong);
    // A character of two bytes lies over the limit.
    let error = refused(&format!("{}äää", padded(MAX_FILTER_BYTES - 1)));
    assert_eq!(error.kind(), &FilterFault::TooLong);
    assert!(error.caret().len() < 300, "{}", error.caret());
}

#[test]
fn nesting_may_have_64_levels() {
    let nested = |levels: usize| format!("{}a{}", "(".repeat(levels), ")".repeat(levels));
    let negated = |levels: usize| format!("{}a", "NOT ".repeat(levels));
    let mixed = |levels: usize| format!("{}a{}", "NOT (b OR ".repeat(levels / 2), ")".repeat(levels / 2));
    let of_alternation = |levels: usize| format!("{}a{}", "b OR c AND (".repeat(levels), ")".repeat(levels));
    for text in [nested(64), negated(64), mixed(64), of_alternation(64)] {
        let filter = Filter::parse(&text).unwrap();
        assert_eq!(Filter::new(filter.expr().clone()).unwrap(), filter);
    }
    assert_eq!(MAX_DEPTH, 64);
    for text in [nested(65), negated(65), mixed(66), of_alternation(65), nested(500_000), "(NOT ".repeat(200_000)] {
        assert_eq!(fault(&text), FilterFault::TooDeep, "{}", &text[..20]);
    }
    assert_eq!(refused(&nested(70)).span(), Span { start: 64, end: 65 });
    assert_eq!(refused(&negated(70)).span(), Span { start: 256, end: 259 });
    // Beside each other, not in each other.
    let wide = vec![nested(63); 1000].join(" OR NOT ");
    assert!(matches!(&tree(&wide), Expr::Or(parts) if parts.len() == 1000));
}

#[test]
fn trees_of_programs_may_have_64_levels() {
    let deep = |levels: usize| (0..levels).fold(field("a").is_true(), |expr, _| !expr);
    assert_eq!(Filter::new(deep(64)).unwrap().text(), format!("{}a", "NOT ".repeat(64)));
    assert_eq!(Filter::new(deep(65)).unwrap_err().kind(), &FilterFault::TooDeep);
    let alternating = |levels: usize| {
        let grow = |expr: Expr, _| (expr & field("b").is_true()) | field("c").is_true();
        (0..levels).fold(field("a").is_true(), grow)
    };
    assert!(Filter::new(alternating(65)).is_ok(), "the outermost one needs no parentheses");
    assert_eq!(Filter::new(alternating(66)).unwrap_err().kind(), &FilterFault::TooDeep);
    // Neither printing nor dropping recurs.
    let abyss = || deep(1_000_000) & alternating(100_000);
    assert_eq!(Filter::new(abyss()).unwrap_err().kind(), &FilterFault::TooLong);
    assert!(abyss().to_string().len() > 4_000_000);
    drop(abyss());
    let wrapped = (0..100_000).fold(field("a").is_true(), |expr, _| Expr::And(vec![expr]));
    assert_eq!(Filter::new(wrapped).unwrap().text(), "a");
}

#[test]
fn chains_are_one_node() {
    let start = Instant::now();
    for word in [" AND ", " OR "] {
        let text = vec!["abc"; 100_000].join(word);
        let filter = Filter::parse(&text).unwrap();
        let copy = filter.clone();
        match copy.expr() {
            Expr::And(parts) | Expr::Or(parts) => assert_eq!(parts.len(), 100_000),
            other => panic!("{other}"),
        }
        assert_eq!(copy, filter);
        assert_eq!(copy.to_string(), text);
        assert_eq!(copy.expr().tests().count(), 100_000);
        let (yes, no) = (crate::Value::Bool(true), crate::Value::Bool(false));
        assert_eq!(copy.expr().eval(&|_| super::super::Operand::Value(&yes)), Some(true));
        assert_eq!(copy.expr().eval(&|_| super::super::Operand::Value(&no)), Some(false));
    }
    let built = (0..100_000).fold(field("a").is_true(), |expr, _| expr & field("a").is_true());
    assert!(matches!(Filter::new(built).unwrap().expr(), Expr::And(parts) if parts.len() == 100_001));
    // A long chain in every level of parentheses.
    let nested = format!("{}{}{}", "a OR (".repeat(64), vec!["a"; 150_000].join(" OR "), ")".repeat(64));
    assert!(matches!(&tree(&nested), Expr::Or(parts) if parts.len() == 150_064));
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn values_may_be_65536() {
    let list = |count: usize| format!("a IN ({})", vec!["1"; count].join(","));
    assert!(Filter::parse(&list(MAX_LITERALS)).is_ok());
    let error = refused(&list(MAX_LITERALS + 1));
    assert_eq!(error.kind(), &FilterFault::TooManyLiterals);
    assert_eq!(error.span().start as usize, "a IN (".len() + 2 * MAX_LITERALS);
    for part in ["a LIKE ''", "a CONTAINS ''", "a = 1", "a BETWEEN 1 AND 2", "a IN (1)"] {
        let mut values = vec![part; 16].join(" AND ");
        values.push_str(" AND ");
        let room = MAX_LITERALS - 16 * if part.contains("BETWEEN") { 2 } else { 1 };
        assert!(Filter::parse(&format!("{values}{}", list(room))).is_ok(), "{part}");
        assert_eq!(fault(&format!("{values}{}", list(room + 1))), FilterFault::TooManyLiterals, "{part}");
    }
    let built = field("a").is_in(vec![7; MAX_LITERALS + 1]);
    assert_eq!(Filter::new(built).unwrap_err().kind(), &FilterFault::TooManyLiterals);
    let large = field("a").eq("x".repeat(MAX_FILTER_BYTES));
    assert_eq!(Filter::new(large).unwrap_err().kind(), &FilterFault::TooLong);
}

#[test]
fn patterns_end_soon() {
    let start = Instant::now();
    let text = "a".repeat(200_000);
    for pattern in ["%a".repeat(10_000), format!("%{}", "a".repeat(100_000)), "%_a".repeat(1000)] {
        assert!(Pattern::new(pattern.as_str()).matches(&text));
        assert!(!Pattern::new(format!("{pattern}%b")).matches(&text));
        assert!(!Pattern::new(format!("{pattern}b%")).matches(&text));
    }
    let stars = format!("%{}b%", "a_".repeat(500));
    assert!(!Pattern::new(stars).matches(text.get(..50_000).unwrap()));
    assert!(Pattern::new("%".repeat(MAX_FILTER_BYTES)).matches(&text));
    assert!(!Pattern::new("_".repeat(MAX_FILTER_BYTES)).matches(&text));
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn long_tokens_are_read_and_shown_in_part() {
    let long = "x".repeat(500_000);
    assert_eq!(tree(&long), field(long.as_str()).is_true());
    assert_eq!(tree(&format!("a = '{long}'")), field("a").eq(long.as_str()));
    assert_eq!(tree(&format!("a = {}7", "0".repeat(500_000))), field("a").eq(7));
    assert_eq!(tree(&format!("a = 0.{}", "1".repeat(500_000))), field("a").eq(Literal::F64(1.0 / 9.0)));
    for text in [
        format!("a = {long}"),
        format!("a = \"{long}\""),
        format!("'{long}' = a"),
        format!("1 = {long}"),
        format!("a '{long}'"),
        format!("a = 1{long}"),
        format!("a-{long} = 1"),
        format!("a = '{long}"),
        format!("\"{long}"),
    ] {
        let error = refused(&text);
        let said = format!("{error}{}{}", error.hint(), error.caret());
        assert!(said.len() < 700, "{} bytes: {}", said.len(), &said[..700]);
    }
}

#[test]
fn patterns_that_would_be_tried_at_each_place_are_short() {
    let like = |pattern: &str| format!("a LIKE '{pattern}'");
    let half = "é".repeat(MAX_LIKE_PIECE / 2);
    let skipped = "_".repeat(MAX_LIKE_PIECE / 2);
    assert!(Filter::parse(&like(&format!("%{half}{skipped}%x%"))).is_ok());
    assert_eq!(fault(&like(&format!("%x%{half}{skipped}_%"))), FilterFault::PatternTooLong);
    assert_eq!(refused(&like(&format!("%{half}_{half}%"))).span().start, 7);
    // Looked for at one place, or without `_`.
    let long = "ab".repeat(MAX_LIKE_PIECE);
    for pattern in
        [format!("{long}_"), format!("{long}_%"), format!("%_{long}"), format!("%{long}%"), format!("%__{long}%")]
    {
        assert!(Filter::parse(&like(&pattern)).is_ok(), "{}", &pattern[..8]);
    }
}

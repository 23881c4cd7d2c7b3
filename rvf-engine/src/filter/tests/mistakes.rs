//! What is said of texts that are wrong, word by word.

use super::super::{Filter, FilterFault, Span, field};
use super::refused;

/// A text, the marks under it, the message, the hint.
type Case = (&'static str, &'static str, &'static str, &'static str);

fn check(cases: &[Case]) {
    for (text, marks, message, hint) in cases {
        let error = refused(text);
        let caret = error.caret();
        let (line, found) = caret.split_once('\n').unwrap();
        assert_eq!((line, found), (text.trim_end(), *marks), "{text}");
        assert_eq!((error.to_string().as_str(), error.hint().as_str()), (*message, *hint), "{text}");
    }
}

#[test]
fn other_languages() {
    check(&[
        ("a = 1 && b = 2", "      ^^", "there is no operator &&", "write AND"),
        ("a || b", "  ^^", "there is no operator ||", "write OR"),
        ("!draft", "^", "there is no operator !", "write NOT"),
        ("a AND ! b = 1", "      ^", "there is no operator !", "write NOT"),
        ("a =< 3", "  ^^", "there is no operator =<", "write <="),
        ("größe ≤ 5", "      ^", "there is no operator ≤", "write <="),
        ("a =~ 'x.*'", "  ^^", "there is no operator =~", "write LIKE"),
        (
            "source = \"mdn\"",
            "         ^^^^^",
            "expected a value after '=', found the name \"mdn\"",
            "strings take single quotes: 'mdn'; double quotes stand around names",
        ),
        (
            "a LIKE \"it's%\"",
            "       ^^^^^^^",
            "expected a string after LIKE, found the name \"it's%\"",
            "strings take single quotes: 'it''s%'; double quotes stand around names",
        ),
        (
            "source = ‘mdn’",
            "         ^",
            "the quotation mark ‘ is not a plain one",
            "use plain quotes: ' around strings, \" around names",
        ),
        (
            "`a` = 1",
            "^",
            "the quotation mark ` is not a plain one",
            "use plain quotes: ' around strings, \" around names",
        ),
        (
            "a = 5 - 3",
            "      ^",
            "the character - means nothing here",
            "there is no arithmetic: a field is compared with a value",
        ),
        (
            "a = 3;",
            "     ^",
            "the character ; means nothing here",
            "strings take single quotes; names of more than letters, digits, '_' and '.' take double quotes",
        ),
        (
            "lower(a) = 'x'",
            "     ^",
            "expected an operator after the field, found '('",
            "there are no functions; conditions look like words >= 40 or title LIKE 'Intro%'",
        ),
        ("a IS TRUE", "     ^^^^", "expected NULL or NOT NULL after IS, found TRUE", "write the field alone: draft"),
    ]);
}

#[test]
fn values() {
    check(&[
        (
            "words > 1 AND source =",
            "                      ^",
            "expected a value after '='",
            "values look like 'text', 40, 2.5 or TRUE",
        ),
        ("source =   ", "        ^", "expected a value after '='", "values look like 'text', 40, 2.5 or TRUE"),
        (
            "source == mdn",
            "          ^^^",
            "expected a value after '==', found mdn",
            "strings take single quotes: 'mdn'",
        ),
        (
            "a CONTAINS api",
            "           ^^^",
            "expected a string after CONTAINS, found api",
            "strings take single quotes: 'api'",
        ),
        (
            "a LIKE 5",
            "       ^",
            "expected a string after LIKE, found the number 5",
            "put the pattern in single quotes: LIKE 'Intro%'",
        ),
        ("a = NULL", "    ^^^^", "NULL is not a value to compare with", "nothing equals NULL; write IS NULL"),
        ("a <> null", "     ^^^^", "NULL is not a value to compare with", "nothing equals NULL; write IS NOT NULL"),
        (
            "a IN (1, NULL)",
            "         ^^^^",
            "NULL is not a value to compare with",
            "nothing equals NULL; write IS NULL",
        ),
        ("a LIKE NULL", "       ^^^^", "NULL is not a value to compare with", "nothing equals NULL; write IS NULL"),
        (
            "a BETWEEN NULL AND 1",
            "          ^^^^",
            "NULL is not a value to compare with",
            "nothing equals NULL; write IS NULL",
        ),
        (
            "a = 2024-01-01",
            "    ^^^^^^^^^^",
            "2024-01-01 is no number",
            "numbers look like -12 or 2.5e3; dates and other texts take single quotes: '2024-01-01'",
        ),
        (
            "a = 1_000 OR b",
            "    ^^^^^",
            "1_000 is no number",
            "numbers look like -12 or 2.5e3; dates and other texts take single quotes: '1_000'",
        ),
        ("a > nan", "    ^^^", "the number is not finite", "compare with a finite number"),
        (
            "a > 18446744073709551616",
            "    ^^^^^^^^^^^^^^^^^^^^",
            "the number is out of range",
            "whole numbers end at 9223372036854775807 (for ids, 18446744073709551614), decimals at about 1.8e308",
        ),
        (
            "title = 'it's nice'",
            "            ^",
            "the string ends before this",
            "a quote inside a string is written ''",
        ),
        (
            "title = 'mdn",
            "        ^",
            "the string has no closing quote",
            "end it with '; a quote inside a string is written ''",
        ),
        (
            r"a LIKE 'x\'",
            "       ^^^^",
            r"the pattern ends in a \ that takes no character",
            r"write \\ for a backslash",
        ),
    ]);
}

#[test]
fn sides() {
    check(&[
        ("40 < words", "^^", "a condition begins with a field, not with a value", "put the field first: words > 40"),
        (
            "a AND 'mdn' == \"so\"\"urce\"",
            "      ^^^^^",
            "a condition begins with a field, not with a value",
            "put the field first: \"so\"\"urce\" = 'mdn'",
        ),
        (
            "'api' IN tags",
            "^^^^^",
            "a condition begins with a field, not with a value",
            "put the field first: tags CONTAINS 'api'",
        ),
        (
            "TRUE = draft",
            "^^^^",
            "a condition begins with a field, not with a value",
            "put the field first: draft = TRUE",
        ),
        ("40 >", "^^", "a condition begins with a field, not with a value", "put the field first: field < 40"),
        (
            "a AND 'b'",
            "      ^^^",
            "a condition begins with a field, not with a value",
            "put the field first: field = 'b'",
        ),
        ("NULL", "^^^^", "expected a condition, found NULL", "write IS NULL after a field: draft IS NULL"),
    ]);
}

#[test]
fn names() {
    check(&[
        (
            "a AND my-field = 1",
            "      ^^^^^^^^",
            "a '-' in the name my-field",
            "put the name in double quotes: \"my-field\"",
        ),
        (
            "in = 5",
            "^^",
            "expected a condition, found IN",
            "a condition begins with a field; double quotes make a name of a keyword: \"in\"",
        ),
        (
            "a AND \"b = 1",
            "      ^",
            "the name has no closing double quote",
            "end it with \"; a double quote inside a name is written \"\"",
        ),
    ]);
}

#[test]
fn parentheses_and_lists() {
    let close = "close it with ')'";
    let list = "values of a list are separated by commas: IN ('a', 'b')";
    check(&[
        ("x AND (a = 1 OR (b = 2)", "      ^", "the parenthesis is not closed", close),
        ("a IN ('x', 'y'", "     ^", "the parenthesis is not closed", close),
        (
            "a OR b) AND c",
            "      ^",
            "expected AND, OR or the end, found ')'",
            "leave it out, or open a parenthesis before it",
        ),
        ("(a = 1 b)", "       ^", "expected AND, OR or ')', found b", "join conditions by AND or OR"),
        ("()", " ^", "expected a condition after '(', found ')'", "put a condition before it"),
        ("a IN ( )", "     ^^^", "IN has no values", "name at least one value: IN ('a', 'b')"),
        (
            "a IN 'x'",
            "     ^^^",
            "expected '(' after IN, found the string 'x'",
            "put the values in parentheses: IN ('a', 'b')",
        ),
        ("a IN ('x' 'y')", "          ^^^", "expected ',' or ')' after the value, found the string 'y'", list),
        ("a IN (1,)", "        ^", "expected a value after ',', found ')'", "values look like 'text', 40, 2.5 or TRUE"),
    ]);
}

#[test]
fn joints() {
    let looks = "conditions look like words >= 40, lang IN ('en', 'fr') or draft IS NULL";
    let operators = "operators are =, !=, <, <=, >, >=, IN, LIKE, BETWEEN, CONTAINS and IS NULL";
    let not_first = "write NOT before the field: NOT words = 40";
    check(&[
        ("", "^", "the filter is empty", "write a condition such as words >= 40, or leave the filter out"),
        (" \n ", "^", "the filter is empty", "write a condition such as words >= 40, or leave the filter out"),
        ("a AND", "     ^", "expected a condition after AND", looks),
        ("a OR NOT", "        ^", "expected a condition after NOT", looks),
        ("a = 1 OR (", "          ^", "expected a condition after '('", looks),
        ("words 40", "      ^^", "expected an operator after the field, found the number 40", operators),
        ("a = 1 b = 2", "      ^", "expected AND, OR or the end, found b", "join conditions by AND or OR"),
        ("a NOT = 1", "      ^", "expected IN, LIKE, BETWEEN or CONTAINS after NOT, found '='", not_first),
        ("a = NOT 1", "    ^^^", "expected a value after '=', found NOT", not_first),
        (
            "a BETWEEN 1, 2",
            "           ^",
            "expected AND and the upper bound after BETWEEN, found ','",
            "name both bounds: BETWEEN 1 AND 9",
        ),
        (
            "a BETWEEN 1 AND",
            "               ^",
            "expected a value after AND",
            "values look like 'text', 40, 2.5 or TRUE",
        ),
    ]);
}

#[test]
fn lines_are_cut_around_the_place() {
    let long = "ä".repeat(200);
    let cases = [
        (format!("{long} b"), format!("...{} b\n{}^", "ä".repeat(98), " ".repeat(102))),
        (format!("b b = '{long}'"), format!("b b = '{}...\n  ^", "ä".repeat(93))),
        (
            format!("{long} b = '{long}'"),
            format!("...{} b = '{}...\n{}^", "ä".repeat(49), "ä".repeat(45), " ".repeat(53)),
        ),
        (format!("{} b c", "x".repeat(96)), format!("{} b c\n{}^", "x".repeat(96), " ".repeat(97))),
    ];
    for (text, caret) in cases {
        assert_eq!(refused(&text).caret(), caret);
    }
}

#[test]
fn long_places_are_marked_as_far_as_they_are_shown() {
    let error = refused(&format!("a = \"{}\"", "x".repeat(300)));
    assert_eq!(error.caret(), format!("a = \"{}...\n    {}", "x".repeat(95), "^".repeat(96)));
    assert_eq!(error.span(), Span { start: 4, end: 306 });
}

#[test]
fn lines_show_no_control_characters() {
    let error = refused("a\n=\t\u{1b}[31m");
    assert_eq!(error.caret(), "a =  [31m\n    ^");
    assert_eq!(error.to_string(), "the character U+001B means nothing here");
    let error = refused("a = 'x\u{202e}\r\n' b");
    assert_eq!(error.caret(), "a = 'x   ' b\n           ^");
    let error = refused("a = \u{200b}5");
    assert_eq!(
        (error.caret().as_str(), error.to_string().as_str()),
        ("a =  5\n    ^", "the character U+200B means nothing here")
    );
    let error = refused("a = 'x\0y'");
    assert_eq!((error.caret().as_str(), error.kind()), ("a = 'x y'\n      ^", &FilterFault::NulCharacter));
    let error = refused("a = \"\u{1b}[31m\"");
    assert_eq!(error.to_string(), "expected a value after '=', found the name \" [31m\"");
}

#[test]
fn errors_of_programs_point_into_what_they_print() {
    let error = Filter::new(field("a").eq("x") & field("b").is_in([1.0, f64::NAN])).unwrap_err();
    assert_eq!(error.caret(), "a = 'x' AND b IN (1.0, NaN)\n                       ^^^");
}

//! Filters held against fields.

use std::cell::Cell;

use super::super::{FieldSort, Filter, FilterError, FilterFault, IdSort, LiteralSort, UnknownField};
use crate::FieldType;

const FIELDS: [(&str, FieldType); 8] = [
    ("draft", FieldType::Bool),
    ("words", FieldType::I64),
    ("score", FieldType::F64),
    ("title", FieldType::Str),
    ("lang", FieldType::Str),
    ("tags", FieldType::List),
    ("blob", FieldType::Bytes),
    ("two words", FieldType::I64),
];

fn check(text: &str, ids: Option<IdSort>) -> Result<Vec<UnknownField>, FilterError> {
    let fields = |name: &str| FIELDS.iter().find(|field| field.0 == name).map(|field| field.1);
    let names = || FIELDS.iter().map(|field| field.0.to_owned()).collect();
    Filter::parse(text).unwrap().check(ids, &fields, &names)
}

#[test]
fn what_fields_answer_passes() {
    let sound = [
        "draft AND draft = TRUE AND draft != FALSE AND draft IN (TRUE, FALSE) AND NOT draft",
        "words = 1 AND words < 2.5 AND words IN (1, 2.0) AND words BETWEEN 0.5 AND 7 AND words < 18446744073709551615",
        "score = 1 AND score >= 2.5 AND score IN (1, 2.0) AND score NOT BETWEEN 1 AND 2",
        "title = 'a' AND title < 'b' AND title IN ('a') AND title BETWEEN 'a' AND 'b' AND title LIKE '%'",
        "tags CONTAINS 'a' AND tags NOT CONTAINS 'b'",
        "draft IS NULL OR words IS NULL OR title IS NOT NULL OR tags IS NULL OR blob IS NULL OR id IS NOT NULL",
        "TRUE",
    ];
    for text in sound {
        assert_eq!(check(text, Some(IdSort::Number)), Ok(vec![]), "{text}");
    }
    assert_eq!(
        check("id = 18446744073709551614 AND id < 2.5 AND id IN (1) AND id BETWEEN 1 AND 2", Some(IdSort::Number)),
        Ok(vec![])
    );
    assert_eq!(check("id = 'a' AND id LIKE 'a%' AND id BETWEEN 'a' AND 'b'", Some(IdSort::Text)), Ok(vec![]));
    assert_eq!(check("id = 'a' AND id LIKE 'a%' AND id = 1", None), Ok(vec![]), "not settled yet");
}

#[test]
fn what_they_do_not_answer_is_refused_at_the_value() {
    let number = Some(IdSort::Number);
    let cases = [
        (
            "words = '40'",
            number,
            "        ^^^^",
            "the value is a string, but words is a whole number",
            "compare it with a number, without quotes",
        ),
        (
            "words IN (1, 'x')",
            number,
            "             ^^^",
            "the value is a string, but words is a whole number",
            "compare it with a number, without quotes",
        ),
        (
            "score = TRUE",
            number,
            "        ^^^^",
            "the value is a bool, but score is a number",
            "compare it with a number, without quotes",
        ),
        (
            "title = 40",
            number,
            "        ^^",
            "the value is a number, but title is a string",
            "compare it with a string, in single quotes",
        ),
        (
            "title BETWEEN 'a' AND 2",
            number,
            "                      ^",
            "the value is a number, but title is a string",
            "compare it with a string, in single quotes",
        ),
        (
            "draft = 'true'",
            number,
            "        ^^^^^^",
            "the value is a string, but draft is a bool",
            "compare it with TRUE or FALSE",
        ),
        (
            "\"two words\" = 'x'",
            number,
            "              ^^^",
            "the value is a string, but \"two words\" is a whole number",
            "compare it with a number, without quotes",
        ),
        (
            "draft < TRUE",
            number,
            "        ^^^^",
            "< does not go with draft, which is a bool",
            "write draft or NOT draft",
        ),
        (
            "draft BETWEEN FALSE AND TRUE",
            number,
            "              ^^^^^",
            "BETWEEN does not go with draft, which is a bool",
            "write draft or NOT draft",
        ),
        (
            "tags = 'api'",
            number,
            "       ^^^^^",
            "= does not go with tags, which is a list of strings",
            "write tags CONTAINS 'api'",
        ),
        (
            "tags NOT IN ('api')",
            number,
            "             ^^^^^",
            "IN does not go with tags, which is a list of strings",
            "write tags CONTAINS 'api'",
        ),
        (
            "tags LIKE 'a%'",
            number,
            "          ^^^^",
            "LIKE does not go with tags, which is a list of strings",
            "write tags CONTAINS 'api'",
        ),
        (
            "title CONTAINS 'a'",
            number,
            "               ^^^",
            "CONTAINS does not go with title, which is a string",
            "write title LIKE '%api%'",
        ),
        (
            "words LIKE '4%'",
            number,
            "           ^^^^",
            "LIKE does not go with words, which is a whole number",
            "write words = 40",
        ),
        (
            "lang = 'x' AND words",
            number,
            "               ^^^^^",
            "a condition does not go with words, which is a whole number",
            "write words = 40",
        ),
        (
            "blob = 'x'",
            number,
            "       ^^^",
            "= does not go with blob, which is bytes",
            "write blob IS NULL or blob IS NOT NULL",
        ),
        (
            "id = 'x'",
            number,
            "     ^^^",
            "the value is a string, but id is a whole number in this store",
            "compare it with a number, without quotes",
        ),
        (
            "id LIKE '1%'",
            number,
            "        ^^^^",
            "LIKE does not go with id, which is a whole number in this store",
            "write id = 40",
        ),
        (
            "id = 7",
            Some(IdSort::Text),
            "     ^",
            "the value is a number, but id is a string in this store",
            "compare it with a string, in single quotes",
        ),
        (
            "id",
            Some(IdSort::Text),
            "^^",
            "a condition does not go with id, which is a string in this store",
            "write id = 'text'",
        ),
    ];
    for (text, ids, marks, message, hint) in cases {
        let error = check(text, ids).unwrap_err();
        assert_eq!(error.caret(), format!("{text}\n{marks}"));
        assert_eq!((error.to_string().as_str(), error.hint().as_str()), (message, hint), "{text}");
    }
    let clash = FilterFault::TypeClash {
        field: "words".into(),
        field_type: FieldSort::Metadata(FieldType::I64),
        found: LiteralSort::Text,
    };
    assert_eq!(check("words = ''", None).unwrap_err().kind(), &clash);
}

#[test]
fn unknown_fields_are_a_warning_with_names_that_may_be_meant() {
    let cases: [(&str, &[&str]); 13] = [
        ("wrods", &["words"]),
        ("word", &["words", "\"two words\""]),
        ("Words", &["words", "\"two words\""]),
        ("title2", &["title"]),
        ("titel", &["title"]),
        ("\"lang.code\"", &["lang"]),
        ("tag", &["tags"]),
        ("drfat", &["draft"]),
        ("ID", &["id"]),
        ("\"id\"", &["id"]),
        ("year", &[]),
        ("x", &[]),
        ("\"\"", &[]),
    ];
    for (field, near) in cases {
        let unknown = check(&format!("{field} = 1 OR NOT {field} = 'x'"), None).unwrap();
        assert_eq!(unknown.len(), 1, "each once: {field}");
        assert_eq!(unknown[0].near, near, "{field}");
    }
    let shown = |text: &str| check(text, None).unwrap().iter().map(UnknownField::to_string).collect::<Vec<_>>();
    assert_eq!(shown("wrods"), ["no record has a field wrods; is words meant?"]);
    assert_eq!(
        shown("\"my year\" AND tag"),
        ["no record has a field \"my year\"", "no record has a field tag; is tags meant?"]
    );
}

#[test]
fn three_names_are_suggested_the_likeliest_first() {
    let names = || ["long_name", "names", "name_2", "no", "nmae", "Name"].map(str::to_owned).to_vec();
    let unknown = Filter::parse("name").unwrap().check(None, &|_| None, &names).unwrap();
    assert_eq!(unknown[0].near, ["Name", "names", "nmae"]);
    assert_eq!(unknown[0].to_string(), "no record has a field name; is Name, names or nmae meant?");
}

#[test]
fn names_are_asked_for_once_and_only_if_needed() {
    let asked = Cell::new(0);
    let names = || {
        asked.set(asked.get() + 1);
        vec!["a".to_owned(); 100_000]
    };
    let known = Filter::parse("a AND b AND id = 1").unwrap().check(None, &|_| Some(FieldType::Bool), &names);
    assert_eq!((known, asked.get()), (Ok(vec![]), 0));
    // So many unknown names would take hours to compare.
    let many: Vec<String> = (0..80_000).map(|number| format!("x{number:07}")).collect();
    let unknown = Filter::parse(&many.join(" OR ")).map(|filter| filter.check(None, &|_| None, &names));
    assert_eq!((unknown.unwrap().unwrap().len(), asked.get()), (many.len(), 1));
}

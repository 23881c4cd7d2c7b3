//! `.jsonl`: records, numbers, refusals with their line; and the search for NaN, which JSON cannot hold.

use half::f16;
use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn records_with_ids_and_metadata() {
    let text = "\u{feff}{\"id\":7,\"vector\":[1,-2.5]}\r\n\n  \t\r\n\
        {\"metadata\":{\"tags\":[\"a\",null],\"n\":0.1},\"vector\":[1e-3,-0],\"id\":18446744073709551615}";
    let batches = read(Format::Jsonl, text.as_bytes(), 10).unwrap();
    assert_eq!(batches.len(), 1);
    let batch = &batches[0];
    assert_eq!(batch.ids, Some(Ids::U64(vec![7, u64::MAX])));
    assert_eq!(batch.elements, Elements::F32(vec![1.0, -2.5, 1e-3, -0.0]));
    assert_eq!(batch.metadata, Some(vec![None, Some(json!({"tags": ["a", null], "n": 0.1}))]));
    let Elements::F32(values) = &batch.elements else { panic!("f32") };
    assert!(values[3].is_sign_negative());
}

#[test]
fn batches_number_their_records() {
    let text = "{\"id\":\"a\",\"vector\":[1]}\n".repeat(5);
    let batches = read(Format::Jsonl, text.as_bytes(), 2).unwrap();
    let seen: Vec<_> = batches.iter().map(|batch| (batch.first_record, batch.rows())).collect();
    assert_eq!(seen, [(0, 2), (2, 2), (4, 1)]);
    assert_eq!(batches[2].ids, Some(Ids::Str(vec!["a".to_owned()])));
    let text = "{\"vector\":[1],\"metadata\":null}";
    let batches = read(Format::Jsonl, text.as_bytes(), 2).unwrap();
    assert_eq!((&batches[0].ids, &batches[0].metadata), (&None, &None));
}

#[test]
fn refusals_name_line_and_column() {
    let wide = format!("{{\"vector\":[{}1]}}", "1,".repeat(MAX_DIM));
    let deep = format!("{{\"vector\":[1],\"metadata\":{{\"a\":{}", "[".repeat(1000));
    for (line, wanted) in [
        ("{\"vector\":[1],}", "malformed JSON: trailing comma (input, line 3 column 15)"),
        ("{\"vector\":[1]", "malformed JSON: EOF while parsing"),
        ("{\"vector\":[1]} x", "malformed JSON: trailing characters (input, line 3 column 16)"),
        ("{\"vector\":[NaN]}", "malformed JSON"),
        ("{\"vector\":[1],\"metadata\":{\"a\":\"\\ud800\"}}", "malformed JSON"),
        ("[1]", "the record is not an object (input, line 3 column 1"),
        ("{}", "the record has no \"vector\""),
        ("{\"id\":1}", "the record has no \"vector\" (input, line 3 column 8)"),
        ("{\"vector\":[1],\"vector\":[1]}", "the key \"vector\" stands twice (input, line 3"),
        ("{\"id\":1,\"id\":1,\"vector\":[1]}", "the key \"id\" stands twice"),
        ("{\"vector\":[1],\"metadata\":null,\"metadata\":{}}", "the key \"metadata\" stands twice"),
        ("{\"vector\":[1],\"metadata\":{\"a\":[{\"b\":1,\"b\":2}]}}", "the key \"b\" stands twice"),
        ("{\"vector\":[1],\"text\":1}", "the key \"text\" is not known"),
        ("{\"vector\":{}}", "the vector is not an array of numbers"),
        ("{\"vector\":[1,null]}", "element 1 of the vector is not a number"),
        ("{\"vector\":[1,\"2\"]}", "element 1 of the vector is not a number (input, line 3 column 16)"),
        ("{\"vector\":[]}", "a vector of 0 elements"),
        (&wide, "a vector of 65536 elements (input"),
        ("{\"vector\":[1,2]}", "a vector of 2 elements after vectors of 1 (input, line 3"),
        ("{\"vector\":[1e39]}", "element 0 of the vector is too large for f32 (input, line 3 column 15)"),
        ("{\"vector\":[1,2,-3.5e38]}", "element 2 of the vector is too large for f32"),
        ("{\"vector\":[1e999]}", "element 0 of the vector is too large for f32"),
        ("{\"id\":-1,\"vector\":[1]}", "the id is negative (input, line 3 column 8)"),
        ("{\"id\":-1.5,\"vector\":[1]}", "the id is negative"),
        ("{\"id\":1.5,\"vector\":[1]}", "the id is not written as a whole number"),
        ("{\"id\":1.0,\"vector\":[1]}", "the id is not written as a whole number"),
        ("{\"id\":18446744073709551616,\"vector\":[1]}", "the id is too large"),
        ("{\"id\":1e999,\"vector\":[1]}", "the id is too large"),
        ("{\"id\":null,\"vector\":[1]}", "the id is neither a number nor a string"),
        ("{\"vector\":[1],\"metadata\":[1]}", "the metadata is not an object"),
        (&deep, "malformed JSON: recursion limit exceeded"),
        ("{\"id\":1,\"vector\":[1]}", "a number as id after records with no id (input, line 3"),
    ] {
        let text = format!("{{\"vector\":[1]}}\n\n{line}\n{{\"vector\":[1]}}\n");
        let told = refusal(Format::Jsonl, text.as_bytes());
        assert!(told.contains(wanted) && told.contains("line 3 "), "{told}\nwanted {wanted}");
        let first = refusal(Format::Jsonl, format!("\n{line}\n{{\"vector\":[1]}}").as_bytes());
        assert!(first.contains("line 2 ") || first.contains("line 3 "), "{first}");
    }
}

#[test]
fn ids_of_one_sort() {
    for (here, told) in [("\"a\"", "a string as id after records with a number as id"), ("1.0", "whole number")] {
        let text = format!("{{\"id\":1,\"vector\":[1]}}\n{{\"id\":{here},\"vector\":[1]}}");
        let error = refusal(Format::Jsonl, text.as_bytes());
        assert!(error.contains(told) && error.contains("line 2"), "{error}");
    }
    let error = refusal(Format::Jsonl, b"{\"id\":\"a\",\"vector\":[1]}\n{\"vector\":[1]}");
    assert!(error.contains("no id after records with a string as id (input, line 2"), "{error}");
}

#[test]
fn nothing_but_blank_lines_is_empty() {
    assert!(refusal(Format::Jsonl, b"").contains("the file is empty"));
    assert!(refusal(Format::Jsonl, b"\n \r\n\t\n").contains("the file is empty"));
}

/// Endless blanks: only a bound on the line can end the reading.
#[test]
fn a_line_too_long_ends() {
    let head: &[u8] = b"{\"vector\":[1]}\n";
    let endless = std::io::Read::chain(head, std::io::repeat(b' '));
    let mut source = JsonlSource::new(endless, Path::new(NAME)).unwrap();
    assert_eq!(source.next_batch(1).unwrap().unwrap().rows(), 1);
    let error = told(&source.next_batch(1).unwrap_err());
    assert!(error.contains("a line of more than 64 MiB (input, line 2 column 67108865)"), "{error}");
}

#[test]
fn a_vector_alone() {
    assert_eq!(read_json_vector(" [0.5, 1, -3e2]\n").unwrap(), [0.5, 1.0, -300.0]);
    for (text, wanted) in [
        ("[]", "a vector of 0 elements (line 1"),
        ("", "EOF"),
        ("{}", "the vector is not an array of numbers (line 1 column"),
        ("[1,\n1e40]", "element 1 of the vector is too large for f32 (line 2 column 4)"),
        ("[1] 2", "trailing characters"),
    ] {
        let told = told(&read_json_vector(text).unwrap_err());
        assert!(told.contains(wanted), "{told}\nwanted {wanted}");
    }
}

/// Rounded to f64 first, this number lands half-way between two f32, and then goes to the wrong one.
#[test]
fn numbers_are_rounded_once() {
    let text = "1.00000017881393432617187499";
    let once: f32 = text.parse().unwrap();
    assert_ne!(text.parse::<f64>().unwrap() as f32, once, "the case is a case");
    assert_eq!(read_json_vector(&format!("[{text}]")).unwrap(), [once]);
}

proptest! {
    #[test]
    fn numbers_are_the_nearest_f32(
        whole in "-?(0|[1-9][0-9]{0,24})", fraction in "(\\.[0-9]{1,30})?", power in "([eE][+-]?[0-9]{1,2})?",
    ) {
        let text = format!("{whole}{fraction}{power}");
        let wanted: f32 = text.parse().unwrap();
        match read_json_vector(&format!("[{text}]")) {
            Ok(vector) => prop_assert_eq!(vector[0].to_bits(), wanted.to_bits(), "{}", text),
            Err(_) => prop_assert!(wanted.is_infinite(), "{}", text),
        }
    }

    #[test]
    fn first_non_finite_is_the_first(len in 0..2000_usize, hits in prop::collection::vec(0..2000_usize, 0..4)) {
        let mut floats = vec![f32::MAX; len];
        let mut halves = vec![f16::MIN; len];
        for (index, hit) in hits.iter().filter(|hit| **hit < len).enumerate() {
            floats[*hit] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][index % 3];
            halves[*hit] = [f16::NAN, f16::INFINITY, f16::NEG_INFINITY][index % 3];
        }
        let wanted = hits.into_iter().filter(|hit| *hit < len).min();
        prop_assert_eq!(first_non_finite(&floats), wanted);
        prop_assert_eq!(first_non_finite_f16(&halves), wanted);
    }
}

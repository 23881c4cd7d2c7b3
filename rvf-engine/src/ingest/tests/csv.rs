//! `.csv`: columns and their names, cells and their types, refusals with line and cell, round trips.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::store::Fields;
use crate::value::FieldType;

fn one(text: &str) -> VectorBatch {
    read(Format::Csv, text.as_bytes(), 100).unwrap_or_else(|error| panic!("{}", told(&error))).swap_remove(0)
}

/// The values of the field `a`, which is the column of that name.
fn values(column: &str, cells: &[&str]) -> Vec<Value> {
    let lines: Vec<String> = cells.iter().map(|cell| format!("[1],{cell}\n")).collect();
    let batch = one(&format!("vector,{column}\n{}", lines.concat()));
    let metadata = batch.metadata.unwrap_or(vec![None; cells.len()]);
    metadata.into_iter().map(|fields| fields.map_or(Value::Null, |fields| fields["a"].clone())).collect()
}

#[test]
fn a_table_of_another_program() {
    let text = "\u{feff}id,title,year,score,draft,vector\r\n\
        7,\"Tea, \"\"green\"\"\nand black\",2019,0.5,TRUE,\"[1, -2.5]\"\r\n\
        8,12,2020,1,false,\"[1e-3, -0]\"\r\n\
        \r\n\
        18446744073709551615,,,,,\"[0,0]\"";
    let batch = one(text);
    assert_eq!(batch.ids, Some(Ids::U64(vec![7, 8, u64::MAX])));
    assert_eq!(batch.elements, Elements::F32(vec![1.0, -2.5, 1e-3, -0.0, 0.0, 0.0]));
    assert_eq!(batch.lines, Some(vec![2, 4, 6]));
    let first = json!({"title": "Tea, \"green\"\nand black", "year": 2019, "score": 0.5, "draft": true});
    let second = json!({"title": "12", "year": 2020, "score": 1, "draft": false});
    assert_eq!(batch.metadata, Some(vec![Some(first), Some(second), None]));
}

#[test]
fn elements_may_have_columns_of_their_own() {
    for prefix in ["v", "", "vector_", "dim_"] {
        let text = format!("{prefix}0,id,{prefix}1,v\n1.5,a,-2,x\n0.1,5,1e30,\n");
        let batch = one(&text);
        assert_eq!(batch.elements, Elements::F32(vec![1.5, -2.0, 0.1, 1e30]), "{prefix}");
        assert_eq!(batch.ids, Some(Ids::Str(vec!["a".into(), "5".into()])));
        assert_eq!(batch.metadata, Some(vec![Some(json!({"v": "x"})), None]));
    }
    // With a column `vector`, v0 is a field.
    assert_eq!(one("vector,v0\n[1],2\n").metadata, Some(vec![Some(json!({"v0": 2}))]));
}

#[test]
fn types_are_told_by_cells_or_by_the_header() {
    assert_eq!(values("a", &["5", "", "-7", "0.5"]), [json!(5), Value::Null, json!(-7), json!(0.5)]);
    assert_eq!(values("a", &["x", "5", "true"]), [json!("x"), json!("5"), json!("true")]);
    assert_eq!(values("a", &["007", "NaN"]), [json!("007"), json!("NaN")]);
    assert_eq!(values("a", &["\"\"\"\"\"\""]), [json!("\"\"")], "text without a type is taken as it stands");
    assert_eq!(
        values("a:string", &["5", "\"\"\"\"\"\"", "", "\"\"\"x\"\"\"", "\"\"\"x\""]),
        [json!("5"), json!(""), Value::Null, json!("x"), json!("\"x")]
    );
    assert_eq!(values("a:f64", &["5", "-0.0", "1e300"]), [json!(5.0), json!(-0.0), json!(1e300)]);
    assert_eq!(values("a:i64", &["-9223372036854775808"]), [json!(i64::MIN)]);
    assert_eq!(values("a:list", &["[]", "\"[\"\"x,y\"\",\"\"\"\"]\""]), [json!([]), json!(["x,y", ""])]);
    assert_eq!(values("a:bytes", &["0x", "00fF"]), [json!({"$bytes": ""}), json!({"$bytes": "00fF"})]);
    let named = "metadata.id:i64,metadata.vector,time:zone,metadata.metadata.x,id:string,vector\n1,2,3,4,5,[1]";
    let batch = one(named);
    assert_eq!(batch.metadata, Some(vec![Some(json!({"id": 1, "vector": 2, "time:zone": 3, "metadata.x": 4}))]));
    assert_eq!(batch.ids, Some(Ids::Str(vec!["5".into()])));
}

#[test]
fn refusals_name_line_cell_and_what_to_do() {
    for (text, wanted, hint) in [
        (
            "vector,a\n[1],5\n[1],x\n",
            "the cell \"x\" is no i64, which column \"a\" holds by the cells above it (input, line 3 column 2)",
            "name the column a:string",
        ),
        ("vector,a\n[1],true\n[1],1\n", "the cell \"1\" is no bool", "name the column a:string"),
        (
            "vector,a:i64\n[1],0.5\n",
            "the cell \"0.5\" is no i64, which column \"a\" holds by the header (input, line 2 column 2)",
            "a number",
        ),
        ("vector,a:f64\n[1],9007199254740993\n", "is no f64", "holds exactly"),
        ("vector,a:list\n[1],\"[1]\"\n", "is no list", "JSON array of strings"),
        ("vector,a:bytes\n[1],0x0\n", "is no bytes", "0x00ff"),
        ("vector,a:bool\n[1],yes\n", "is no bool", "true or false"),
        (
            "id,vector\n5,[1]\nx,[1]\n",
            "the cell \"x\" is no number of an id, which column \"id\" holds by the cells above it (input, line 3 column 1)",
            "id:string",
        ),
        ("id,vector\n5,[1]\n-6,[1]\n", "the id is negative", "whole numbers"),
        ("id,vector\n5,[1]\n,[1]\n", "no id", "a number, or every one a string"),
        ("vector\n[1]\n\"[1,2]\"\n", "a vector of 2 elements after vectors of 1 (input, line 3", "same number"),
        ("vector\n\"[1,x]\"\n", "malformed JSON", "line looks like"),
        ("v0,v2\n1,2\n", "the column \"v2\" of elements is out of its turn (input, line 1 column 2)", "v0,v1,v2"),
        ("v0,v1\n1,x\n", "the cell \"x\" is no f32, which column \"v1\"", "range of f32"),
        ("v0\n1e39\n", "is no f32", "range of f32"),
        ("a,b\n1,2\n", "no column of the header holds vectors", "first line"),
        ("vector,a,a:string\n[1],1,1\n", "the column \"a\" stands twice (input, line 1 column 3)", "rename"),
        ("vector,id,id:u64\n[1],1,1\n", "stands twice", "rename"),
        (",vector\n0,[1]\n", "column 1 has no name (input, line 1 column 1)", "index=False"),
        ("vector,a\n[1]\n", "1 cells, where the header has 2 (input, line 2", "cut short"),
        ("vector\n1,2\n", "2 cells, where the header has 1 (input, line 2", "quotes"),
        ("vector\n", "the file is empty", "at least one record"),
    ] {
        let told = refusal(Format::Csv, text.as_bytes());
        let (said, advised) = told.split_once("\nhint: ").unwrap();
        assert!(said.contains(wanted), "{text:?}: {said}\nwanted {wanted}");
        assert!(advised.contains(hint), "{text:?}: {advised}\nwanted {hint}");
    }
    assert!(refusal(Format::Csv, b"vector,a\n[1],\xff\n").contains("the cell of column \"a\" is not UTF-8"));
    assert!(refusal(Format::Csv, b"vector,\xff\n[1],1\n").contains("(input, line 1 column 2)"));
}

/// A quote that is never closed ends at the limit, not at the end of memory.
#[test]
fn a_cell_without_end_is_refused() {
    let endless = std::io::Read::chain(&b"vector,a\n[1],1\n[1],\"x"[..], std::io::repeat(b'x'));
    let error = CsvSource::new(endless, Path::new(NAME)).and_then(|source| drain(Box::new(source), 100)).unwrap_err();
    assert!(matches!(error.fault(), InputFault::Csv(CsvFault::RecordTooLong)), "{error}");
    assert!(matches!(error.place(), Place::Line { line: 3, .. }), "{error}");
}

fn value_of(field: FieldType) -> BoxedStrategy<Value> {
    let text = || prop_oneof![".*", "[\"\\\\,\n\r 0-9\u{0}]{0,6}", Just(String::new())];
    match field {
        FieldType::Bool => any::<bool>().prop_map(Value::from).boxed(),
        FieldType::I64 => any::<i64>().prop_map(Value::from).boxed(),
        FieldType::F64 => any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(Value::from).boxed(),
        FieldType::Str => text().prop_map(Value::from).boxed(),
        FieldType::List => prop::collection::vec(text(), 0..3).prop_map(Value::from).boxed(),
        FieldType::Bytes => "([0-9a-f]{2}){0,4}".prop_map(|digits| json!({"$bytes": digits})).boxed(),
    }
}

fn a_table() -> impl Strategy<Value = (Fields, Vec<String>, Vec<Option<Value>>)> {
    let kind = prop_oneof![
        Just(FieldType::Bool),
        Just(FieldType::I64),
        Just(FieldType::F64),
        Just(FieldType::Str),
        Just(FieldType::List),
        Just(FieldType::Bytes)
    ];
    let name = prop_oneof!["[^\u{0}]{1,5}", "(metadata\\.)?(id|vector|v0|0)(:string)?"];
    prop::collection::btree_map(name, kind, 0..5).prop_flat_map(|fields| {
        let record = fields.iter().map(|(name, field)| {
            prop::option::of(value_of(*field)).prop_map({
                let name = name.clone();
                move |value| value.map(|value| (name.clone(), value))
            })
        });
        let record = record.collect::<Vec<_>>().prop_map(|fields| {
            let fields: serde_json::Map<String, Value> = fields.into_iter().flatten().collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        });
        let rows = prop::collection::vec((record, "[^\u{0}]{1,4}"), 1..6);
        rows.prop_map(move |rows| {
            let (metadata, ids) = rows.into_iter().unzip();
            (fields.clone(), ids, metadata)
        })
    })
}

proptest! {
    /// What a store may hold comes back as it was, names of columns and texts of every sort; the other formats that hold records as well.
    #[test]
    fn what_is_written_reads_back((fields, ids, metadata) in a_table()) {
        let dir = tempfile::tempdir().unwrap();
        let ids = Ids::Str(ids);
        let vectors = Elements::F32(vec![-0.0; ids.len() * 2]);
        let holds_types = Format::ALL.into_iter().filter(|format| format.holds_records());
        for format in holds_types {
            let path = dir.path().join(format!("a.{format}"));
            let options = SinkOptions { dim: 2, element: Element::F32, ids: Some(IdKind::Str), fields: fields.clone() };
            let mut sink = create_sink(&path, None, options).unwrap();
            sink.write(Some(&ids), &vectors, Some(&metadata)).unwrap();
            sink.finish().unwrap();
            let batch = open_source(&path, None).unwrap().next_batch(100).unwrap().unwrap();
            prop_assert_eq!(batch.ids.as_ref(), Some(&ids), "{}", format);
            let none = vec![None; metadata.len()];
            prop_assert_eq!(format!("{:?}", batch.metadata.unwrap_or(none)), format!("{metadata:?}"), "{}", format);
            prop_assert_eq!(&batch.elements, &vectors, "{}", format);
        }
    }
}

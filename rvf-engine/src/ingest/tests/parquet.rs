//! `.parquet`: files of other programs, columns that do not serve, damage. Round trips stand in `csv` and `sinks`.

use half::f16;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::store::Fields;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../fixtures/parquet/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// What the program that wrote the file was told to write.
#[test]
fn files_of_other_programs() {
    for name in ["pyarrow.parquet", "duckdb.parquet"] {
        let batches = read(Format::Parquet, &fixture(name), 2).unwrap();
        let rows: Vec<usize> = batches.iter().map(VectorBatch::rows).collect();
        assert_eq!(rows, [2, 1], "{name}");
        assert_eq!(batches[0].ids, Some(Ids::U64(vec![7, 5])));
        assert_eq!(batches[0].elements, Elements::F32(vec![0.5, -1.0, 0.1, 3.0]));
        let first = json!({"title": "Tea", "year": 2019, "score": 0.5, "draft": true, "tags": ["a", ""], "raw": {"$bytes": "00ff"}});
        assert_eq!(batches[0].metadata, Some(vec![Some(first), None]), "{name}");
        assert_eq!(batches[1].metadata, Some(vec![Some(json!({"title": "", "year": -1, "tags": []}))]), "{name}");
        assert_eq!((batches[1].first_record, &batches[1].lines), (2, &None));
    }
    let batch = read(Format::Parquet, &fixture("pyarrow-bytes.parquet"), 10).unwrap().swap_remove(0);
    assert_eq!(
        (batch.elements, batch.ids),
        (Elements::U8(vec![0, 255, 1, 2]), Some(Ids::Str(vec!["a".into(), "b".into()])))
    );
    let batch = read(Format::Parquet, &fixture("pyarrow-halves.parquet"), 10).unwrap().swap_remove(0);
    assert_eq!(batch.elements, Elements::F32(vec![f16::from_f32(0.1).to_f32(), -2.0]));
}

#[test]
fn refusals_name_the_record_and_the_column() {
    for (name, wanted) in [
        ("pyarrow-dates.parquet", "column \"day\" holds dates or times, where true and false"),
        ("pyarrow-ragged.parquet", "a vector of 1 elements after vectors of 2 (input, record 1)"),
        ("pyarrow-plain.parquet", "no column is named vector (input)"),
        ("pyarrow-large.parquet", "element 1 of the vector is too large for f32 (input, record 0)"),
        ("pyarrow-negative.parquet", "the id is negative (input, record 1)"),
    ] {
        let told = refusal(Format::Parquet, &fixture(name));
        assert!(told.contains(wanted), "{told}\nwanted {wanted}");
    }
    assert!(refusal(Format::Parquet, b"PAR1 and more").contains("cannot be read as parquet"));
}

fn written(element: Element) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let options = SinkOptions { dim: 2, element, ids: Some(IdKind::U64), fields: Fields::new() };
    let mut sink = create_sink(&path, None, options).unwrap();
    for first in [0, 3] {
        let elements = Elements::I8(vec![-128, 127, 0, 1, 2, 3]);
        sink.write(Some(&Ids::U64((first..first + 3).collect())), &elements, None).unwrap();
    }
    assert_eq!(sink.finish().unwrap(), 6);
    std::fs::read(&path).unwrap()
}

/// Elements of 8 bits come back as such, row group after row group.
#[test]
fn bytes_stay_bytes() {
    let bytes = written(Element::I8);
    let mut source = source(Format::Parquet, &bytes).unwrap();
    assert_eq!((source.total(), source.element(), source.dim()), (Some(6), Element::I8, Some(2)));
    let batch = source.next_batch(100).unwrap().unwrap();
    assert_eq!(batch.ids, Some(Ids::U64((0..6).collect())));
    assert_eq!(batch.elements, Elements::I8([-128, 127, 0, 1, 2, 3].repeat(2)));
}

#[test]
fn a_cut_file_is_refused() {
    let bytes = written(Element::I8);
    for cut in 0..bytes.len() {
        assert!(read(Format::Parquet, &bytes[..cut], 10).is_err(), "cut at {cut}");
    }
}

proptest! {
    /// Whatever a byte becomes, there is an answer.
    #[test]
    fn one_byte_changed(at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = fixture("pyarrow.parquet");
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Err(error) = read(Format::Parquet, &bytes, 10) {
            prop_assert!(!told(&error).is_empty());
        }
    }
}

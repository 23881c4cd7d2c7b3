//! Writers: what is written reads back exactly, and a write that fails leaves nothing.

use std::fs;

use half::f16;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::store::Fields;
use crate::value::FieldType;

const DIM: usize = 3;

fn options(element: Element, ids: Option<IdKind>) -> SinkOptions {
    SinkOptions { dim: DIM, element, ids, fields: Fields::new() }
}

/// Two writes of one and two records.
fn write_three(path: &Path, elements: &Elements, ids: Option<&Ids>, metadata: Option<&[Option<Value>]>) -> u64 {
    let (head, tail) = (slice(elements, 0, 1), slice(elements, 1, 3));
    let mut sink = create_sink(path, None, options(elements.element(), ids.map(Ids::kind))).unwrap();
    let part = |range: std::ops::Range<usize>| {
        ids.map(|ids| match ids {
            Ids::U64(ids) => Ids::U64(ids[range].to_vec()),
            Ids::Str(ids) => Ids::Str(ids[range].to_vec()),
        })
    };
    sink.write(part(0..1).as_ref(), &head, metadata.map(|all| &all[..1])).unwrap();
    sink.write(part(1..3).as_ref(), &tail, metadata.map(|all| &all[1..])).unwrap();
    sink.finish().unwrap()
}

fn slice(elements: &Elements, from: usize, to: usize) -> Elements {
    let range = from * DIM..to * DIM;
    match elements {
        Elements::F32(values) => Elements::F32(values[range].to_vec()),
        Elements::F16(values) => Elements::F16(values[range].to_vec()),
        Elements::I8(values) => Elements::I8(values[range].to_vec()),
        Elements::U8(values) => Elements::U8(values[range].to_vec()),
    }
}

fn every_element() -> Vec<Elements> {
    vec![
        Elements::F32(vec![1.0, -0.0, f32::MAX, f32::MIN_POSITIVE, 1e-45, 0.1, 16_777_216.0, -3.5, 1e30]),
        Elements::F16([1.0, -0.0, 65504.0, 6e-8, 0.1, 2.0, 3.0, 4.0, 5.0].map(f16::from_f32).to_vec()),
        Elements::I8(vec![-128, 127, 0, 1, 2, 3, -4, -5, -6]),
        Elements::U8(vec![0, 255, 128, 1, 2, 3, 4, 5, 6]),
    ]
}

fn read_one(path: &Path) -> VectorBatch {
    let mut source = open_source(path, None).unwrap();
    let batch = source.next_batch(10).unwrap().unwrap();
    assert!(source.next_batch(10).unwrap().is_none());
    batch
}

/// The same values as f32, bit by bit.
fn widened(elements: &Elements) -> Vec<u32> {
    match elements {
        Elements::F32(values) => values.iter().map(|value| value.to_bits()).collect(),
        Elements::F16(values) => values.iter().map(|value| value.to_f32().to_bits()).collect(),
        Elements::I8(values) => values.iter().map(|&value| f32::from(value).to_bits()).collect(),
        Elements::U8(values) => values.iter().map(|&value| f32::from(value).to_bits()).collect(),
    }
}

#[test]
fn every_format_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    for elements in every_element() {
        for format in Format::ALL {
            let path = dir.path().join(format!("a.{format}"));
            if format == Format::Bvecs && elements.element() != Element::U8 {
                let error = create_sink(&path, None, options(elements.element(), None)).err().unwrap();
                assert!(matches!(error.fault(), SinkFault::Element { .. }), "{error}");
                continue;
            }
            assert_eq!(write_three(&path, &elements, None, None), 3);
            let batch = read_one(&path);
            assert_eq!(widened(&batch.elements), widened(&elements), "{format}");
            assert_eq!((batch.dim, batch.rows(), &batch.ids, &batch.metadata), (DIM, 3, &None, &None));
            if format == Format::Npy {
                assert_eq!(batch.elements.element(), elements.element());
            }
        }
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), Format::ALL.len(), "no temporary file is left");
}

#[test]
fn golden_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npy");
    let elements = Elements::U8((0..9).collect());
    write_three(&path, &elements, Some(&Ids::Str(vec!["a".into(), "\u{e9}b".into(), String::new()])), None);
    let bytes = fs::read(&path).unwrap();
    let head = b"\x93NUMPY\x01\x00\x76\x00{'descr': '|u1', 'fortran_order': False, 'shape': (3, 3), }";
    assert_eq!(&bytes[..head.len()], head);
    assert!(bytes[head.len()..127].iter().all(|&byte| byte == b' '));
    assert_eq!(bytes[127..], [10, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    let bytes = fs::read(dir.path().join("a.ids.npy")).unwrap();
    let head = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<U2', 'fortran_order': False, 'shape': (3,), }";
    assert_eq!(&bytes[..head.len()], head);
    assert_eq!(&bytes[128..], b"a\0\0\0\0\0\0\0\xe9\0\0\0b\0\0\0\0\0\0\0\0\0\0\0");

    let path = dir.path().join("a.jsonl");
    let elements = Elements::F32(vec![1.0, -0.0, 0.1, 1e-7, 1e30, 16_777_216.0, 0.25, 3.0, 1e-45]);
    let metadata = [None, Some(json!({"a": "\n"})), None];
    write_three(&path, &elements, Some(&Ids::U64(vec![0, 1, u64::MAX])), Some(&metadata));
    let wanted = "{\"id\":0,\"vector\":[1,-0.0,0.1]}\n\
        {\"id\":1,\"vector\":[1e-7,1e30,1.6777216e7],\"metadata\":{\"a\":\"\\n\"}}\n\
        {\"id\":18446744073709551615,\"vector\":[0.25,3,1e-45]}\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), wanted);
}

#[test]
fn ids_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let elements = Elements::U8((0..9).collect());
    let texts = Ids::Str(vec!["\u{1f600}".into(), "quote\" and \\".into(), String::new()]);
    for ids in [Ids::U64(vec![3, 0, u64::MAX]), texts] {
        for name in ["a.npy", "b.fvecs", "c.bvecs"] {
            let path = dir.path().join(name);
            write_three(&path, &elements, Some(&ids), None);
            assert_eq!(read_ids(&ids_companion(&path)).unwrap(), ids);
        }
        let path = dir.path().join("d.jsonl");
        let metadata = [Some(json!({"x": [1, 2.5, null]})), None, Some(json!({}))];
        write_three(&path, &elements, Some(&ids), Some(&metadata));
        let batch = read_one(&path);
        assert_eq!((batch.ids, batch.metadata), (Some(ids), Some(metadata.to_vec())));
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 7);
}

/// Ids and metadata beside the vectors: lines that the reader of metadata takes, and all files or none.
#[test]
fn metadata_stands_beside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.fvecs");
    let fields = Fields::from([("lang".to_owned(), FieldType::Str)]);
    let options = SinkOptions { fields, ..options(Element::F32, Some(IdKind::Str)) };
    let ids = Ids::Str(vec!["\"a\"".into(), "b\nc".into(), "d".into()]);
    let metadata = vec![Some(json!({"lang": "en\u{85}"})), None, Some(json!({}))];
    let vectors = Elements::F32(vec![1.0; 9]);
    let begin = || create_sink(&path, None, options.clone()).unwrap();
    let mut sink = begin();
    sink.write(Some(&ids), &vectors, Some(&metadata)).unwrap();
    drop(sink);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "all or nothing");
    let mut sink = begin();
    sink.write(Some(&ids), &vectors, Some(&metadata)).unwrap();
    assert_eq!(sink.finish().unwrap(), 3);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    let lines = metadata_companion(&path);
    Sidecar::check_count(&lines, 3).unwrap();
    for (count, wanted) in [(2, "more lines of metadata"), (4, "fewer lines of metadata")] {
        assert!(Sidecar::check_count(&lines, count).unwrap_err().to_string().contains(wanted));
    }
    let mut sidecar = Sidecar::open(&lines).unwrap();
    let (mut source, ids) = (open_source(&path, None).unwrap(), read_ids(&ids_companion(&path)).unwrap());
    let batch = sidecar.beside(source.as_mut(), Some(&ids)).next_batch(10).unwrap().unwrap();
    assert_eq!(batch.metadata, Some(vec![metadata[0].clone(), Some(json!({})), Some(json!({}))]));
    sidecar.finish().unwrap();
}

#[test]
fn a_sink_that_is_dropped_leaves_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npy");
    fs::write(&path, "old").unwrap();
    let mut sink = create_sink(&path, None, options(Element::U8, Some(IdKind::Str))).unwrap();
    sink.write(Some(&Ids::Str(vec!["x".into()])), &Elements::U8(vec![1, 2, 3]), None).unwrap();
    assert!(fs::read_dir(dir.path()).unwrap().count() > 1, "it was begun");
    drop(sink);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn what_an_interrupted_writer_left_goes_with_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.fvecs");
    fs::write(dir.path().join(".a.fvecs.rvf-tmp"), "half a file").unwrap();
    let other = create_sink(&path, None, options(Element::F32, None)).unwrap();
    assert_eq!(write_three(&path, &Elements::F32(vec![1.0; 9]), None, None), 3);
    drop(other);
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing is left, and two at a time did not disturb each other"
    );
    assert_eq!(fs::metadata(&path).unwrap().len(), 3 * 16);
}

#[test]
fn an_empty_matrix_is_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npy");
    let sink = create_sink(&path, None, options(Element::F32, Some(IdKind::Str))).unwrap();
    assert_eq!(sink.finish().unwrap(), 0);
    assert_eq!(open_source(&path, None).unwrap().total(), Some(0));
    assert_eq!(read_ids(&ids_companion(&path)).unwrap(), Ids::Str(vec![]));
}

#[test]
fn what_does_not_fit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, ids: Option<&Ids>, elements: &Elements, metadata: Option<&[Option<Value>]>| {
        let mut sink = create_sink(&dir.path().join(name), None, options(Element::F32, Some(IdKind::Str))).unwrap();
        let error = sink.write(ids, elements, metadata).unwrap_err();
        assert!(!error.hint().is_empty());
        error.to_string()
    };
    let one = Elements::F32(vec![1.0, 2.0, 3.0]);
    let id = Ids::Str(vec!["a".into()]);
    let wrong = Elements::F32(vec![1.0, f32::NAN, 3.0]);
    for (told, wanted) in [
        (write("a.jsonl", Some(&id), &wrong, None), "element 1 of record 0 is not finite"),
        (write("a.npy", Some(&id), &one, Some(&[Some(json!({}))])), "metadata was not announced"),
        (write("a.npy", Some(&Ids::Str(vec!["a\0".into()])), &one, None), "the id of record 0 ends in NUL"),
        (write("a.npy", None, &one, None), "ids are None"),
        (write("a.npy", Some(&Ids::Str(vec![])), &one, None), "0 ids or metadata for 1 vectors"),
        (write("a.npy", Some(&id), &Elements::F32(vec![1.0; 4]), None), "4 elements are no whole number"),
        (write("a.fvecs", Some(&id), &Elements::U8(vec![1; 3]), None), "elements are u8, the file holds f32"),
    ] {
        assert!(told.contains(wanted), "{told}\nwanted {wanted}");
    }
    let create = |name: &str, dim| {
        let options = SinkOptions { dim, element: Element::F32, ids: None, fields: Fields::new() };
        create_sink(&dir.path().join(name), None, options).err().unwrap().to_string()
    };
    assert!(
        create("a.tsv", 1).contains("unknown format of vectors \"tsv\": the known ones are npy, fvecs, bvecs, jsonl")
    );
    assert!(create("a.npy", 0).contains("vectors of 0 elements"));
    assert!(create("a.npy", 65_536).contains("vectors of 65536 elements"));
    assert!(create("none/a.npy", 1).contains("cannot write"));
    fs::create_dir(dir.path().join("d.npy")).unwrap();
    assert!(create("d.npy", 1).contains("a directory"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
}

proptest! {
    #[test]
    fn floats_read_back_exactly(bits in prop::collection::vec(any::<u32>(), 3..60)) {
        let values: Vec<f32> = bits.into_iter().map(f32::from_bits).filter(|value| value.is_finite()).collect();
        let elements = Elements::F32(values[..values.len() / DIM * DIM].to_vec());
        prop_assume!(!elements.is_empty());
        let dir = tempfile::tempdir().unwrap();
        for format in [Format::Npy, Format::Fvecs, Format::Jsonl, Format::Csv] {
            let path = dir.path().join(format!("a.{format}"));
            let mut sink = create_sink(&path, None, options(Element::F32, None)).unwrap();
            sink.write(None, &elements, None).unwrap();
            sink.finish().unwrap();
            let batch = open_source(&path, None).unwrap().next_batch(100).unwrap().unwrap();
            prop_assert_eq!(widened(&batch.elements), widened(&elements));
        }
    }
}

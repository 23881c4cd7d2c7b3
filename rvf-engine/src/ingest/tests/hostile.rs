//! Bytes that nobody wrote: arbitrary ones, files cut at every length, claims beyond the file.

use proptest::prelude::*;

use super::*;
use crate::ingest::ids::{id_table_from, ids_from};

/// Reads as everything; only a panic or an allocation that cannot be had is a failure.
fn read_as_everything(bytes: &[u8]) {
    let (len, path) = (bytes.len() as u64, Path::new(NAME));
    for format in Format::ALL {
        for rows in [1, 1000, usize::MAX] {
            if let Ok(batches) = read(format, bytes, rows) {
                let elements: usize = batches.iter().map(|batch| batch.elements.len()).sum();
                // Parquet is compressed.
                let compressed = !["npy", "fvecs", "bvecs", "jsonl", "csv"].contains(&format.name());
                assert!(elements <= bytes.len() || compressed, "{elements} elements out of {len} bytes");
            }
        }
    }
    let _ = ids_from(bytes, len, path);
    let _ = id_table_from(bytes, len, path);
    let _ = read_json_vector(&String::from_utf8_lossy(bytes));
}

fn samples() -> Vec<(Format, Vec<u8>)> {
    vec![
        (Format::Npy, npy("<f4", "(3, 2)", &[1; 24])),
        (Format::Npy, npy_file(2, "{'descr': '<f2', 'fortran_order': True, 'shape': (1, 3)}", &[1; 6])),
        (Format::Fvecs, fvecs(&[&[1.0, 2.0], &[3.0, 4.0]])),
        (Format::Bvecs, bvecs(&[&[1, 2, 3], &[4, 5, 6]])),
        (
            Format::Jsonl,
            b"{\"id\":10,\"vector\":[1.5,2]}\n{\"id\":11,\"vector\":[3,4e1],\"metadata\":{\"a\":1}}".to_vec(),
        ),
        (Format::Csv, b"id,lang:string,vector\n10,\"a\nb\",\"[1.5,2]\"\n11,,\"[3,4e1]\"\n".to_vec()),
    ]
}

#[test]
fn cut_at_every_length() {
    for (format, bytes) in samples() {
        let whole = read(format, &bytes, 10).unwrap();
        for len in 0..bytes.len() {
            match read(format, &bytes[..len], 10) {
                Err(error) => drop(told(&error)),
                // Between two records a file ends well: only these formats have such places.
                Ok(batches) => {
                    assert_ne!(format, Format::Npy, "cut at {len} of {}", bytes.len());
                    let complete = format == Format::Csv && len + 2 >= bytes.len();
                    assert!(batches[0].rows() < whole[0].rows() || complete, "{format} cut at {len}");
                }
            }
        }
    }
    for bytes in [npy("<u8", "(2,)", &[1; 16]), npy("<U2", "(2,)", &[0; 16]), npy("|S2", "(2,)", &[b'a'; 4])] {
        for len in 0..=bytes.len() {
            let read = ids_from(&bytes[..len], len as u64, Path::new(NAME));
            assert_eq!(read.is_ok(), len == bytes.len(), "cut at {len}");
        }
    }
}

/// A file that shrinks after its length was taken.
#[test]
fn shorter_than_its_length() {
    for (format, bytes) in samples().into_iter().filter(|(format, _)| !format.holds_records()) {
        let (len, path) = (bytes.len() as u64, Path::new(NAME));
        for cut in 0..bytes.len() {
            let bytes = &bytes[..cut];
            let source: Result<Box<dyn VectorSource>, _> = match format {
                Format::Npy => NpySource::new(bytes, len, path).map(|source| Box::new(source) as _),
                Format::Fvecs => VecsSource::new(bytes, len, path, Element::F32).map(|source| Box::new(source) as _),
                _ => VecsSource::new(bytes, len, path, Element::U8).map(|source| Box::new(source) as _),
            };
            let error = source.and_then(|source| drain(source, 10)).unwrap_err();
            assert!(matches!(error.fault(), InputFault::Row(RowFault::Truncated { .. })), "{error}");
        }
    }
}

/// Each would ask for more memory than there is, if it were believed.
#[test]
fn claims_beyond_the_file_are_not_believed() {
    const MANY: u64 = 1 << 60;
    for descr in ["<f4", "<f2", "|i1", "|u1"] {
        for shape in
            [format!("({MANY}, 1)"), format!("({MANY}, 65535)"), format!("(1, {MANY})"), format!("({MANY}, {MANY})")]
        {
            let error = read(Format::Npy, &npy(descr, &shape, &[0; 64]), usize::MAX).unwrap_err();
            let fault = error.fault();
            assert!(matches!(
                fault,
                InputFault::Npy(NpyFault::ShortPayload { .. }) | InputFault::Row(RowFault::Dim { .. })
            ));
        }
    }
    for descr in ["<u8", "<i4", "<U4294967295", "|S4294967295", "<U1", "|S1", "<U99999999999"] {
        let bytes = npy(descr, &format!("({MANY},)"), &[0; 64]);
        assert!(ids_from(&bytes[..], bytes.len() as u64, Path::new(NAME)).is_err(), "{descr}");
        let bytes = npy(descr, &format!("({MANY}, {MANY})"), &[0; 64]);
        assert!(id_table_from(&bytes[..], bytes.len() as u64, Path::new(NAME)).is_err(), "{descr}");
    }
    let told = refusal(Format::Npy, b"\x93NUMPY\x02\x00\xff\xff\xff\xff{");
    assert!(told.contains("header of 4294967295 bytes is longer than 1 MiB (input, offset 8)"), "{told}");
    let told = refusal(Format::Npy, b"\x93NUMPY\x02\x00\x00\x00\x10\x00{");
    assert!(told.contains("1048576 bytes needed, 1 there"), "{told}");
    read_as_everything(&[0xff, 0xff, 0, 0, 1]);
}

/// A header of a megabyte that is nothing but dimensions.
#[test]
fn dimensions_are_counted() {
    let shape = format!("({})", "1,".repeat(500_000));
    let dictionary = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}");
    let told = refusal(Format::Npy, &npy_file(2, &dictionary, &[]));
    assert!(told.contains("expected at most 64 dimensions"), "{told}");
}

proptest! {
    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn arbitrary_headers(dictionary in "[{}()'\\[\\]:, a-zTF0-9<|L]{0,80}", version in 1..4_u8) {
        read_as_everything(&npy_file(version, &dictionary, &[0; 16]));
    }

    #[test]
    fn arbitrary_shapes(
        descr in "(<f4|<f2|[|]u1|<u8|<i4|<U[0-9]{1,10}|[|]S[0-9]{1,10})",
        shape in prop::collection::vec(prop_oneof![0..9_u64, any::<u64>()], 0..4),
        payload in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let shape: String = shape.iter().map(|size| format!("{size},")).collect();
        read_as_everything(&npy(&descr, &format!("({shape})"), &payload));
    }

    #[test]
    fn one_byte_changed(which in 0..6_usize, at in any::<prop::sample::Index>(), byte: u8) {
        let (_, mut bytes) = samples().swap_remove(which);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        read_as_everything(&bytes);
    }

    #[test]
    fn arbitrary_json(text in "[\\[\\]{}\":,0-9eE.+\\-a \\n\\\\]{0,120}") {
        read_as_everything(text.as_bytes());
        read_as_everything(format!("id,a,vector\n1,2,[1]\n{text}").as_bytes());
        read_as_everything(format!("{{\"vector\":[1],\"metadata\":{{\"a\":{text}").as_bytes());
    }

    #[test]
    fn a_malformed_line_is_named(before in 0..40_u64, blank in 0..3_usize, batch in 1..9_usize) {
        let good = "{\"vector\":[1]}\n".repeat(before as usize);
        let text = format!("{good}{}{{\"vector\":[1,]}}\n{{\"vector\":[1]}}", "\n".repeat(blank));
        let error = read(Format::Jsonl, text.as_bytes(), batch).unwrap_err();
        prop_assert_eq!(error.place(), Place::Line { line: before + blank as u64 + 1, column: 14 });
    }
}

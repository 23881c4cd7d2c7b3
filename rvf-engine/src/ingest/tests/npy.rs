//! `.npy`: golden bytes, headers that are refused, ids.

use half::f16;

use super::*;
use crate::ingest::ids::{id_table_from, ids_from};

/// `numpy.save` of `numpy.array([[1, -2], [0.5, 0]], '<f4')`, byte by byte from the format's description.
#[rustfmt::skip]
const V1: [u8; 144] = {
    let mut bytes = [b' '; 144];
    let head = *b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }";
    let tail = [10, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0, 0x3f, 0, 0, 0, 0];
    let mut at = 0;
    while at < head.len() { bytes[at] = head[at]; at += 1; }
    at = 0;
    while at < tail.len() { bytes[127 + at] = tail[at]; at += 1; }
    bytes
};

fn only(bytes: &[u8]) -> Elements {
    read(Format::Npy, bytes, 100).unwrap().remove(0).elements
}

#[test]
fn golden_version_1() {
    let source = source(Format::Npy, &V1).unwrap();
    assert_eq!((source.dim(), source.element(), source.total()), (Some(2), Element::F32, Some(2)));
    assert_eq!(only(&V1), Elements::F32(vec![1.0, -2.0, 0.5, 0.0]));
}

#[test]
fn golden_version_2_and_3() {
    let payload = [0xff, 0x80, 0x00];
    let v2 =
        b"\x93NUMPY\x02\x00\x3c\x00\x00\x00{'descr': '|i1', 'fortran_order': False, 'shape': (1, 3), }\n\xff\x80\x00";
    assert_eq!(only(v2), Elements::I8(vec![-1, -128, 0]));
    let v3 =
        b"\x93NUMPY\x03\x00\x3c\x00\x00\x00{'descr': '|u1', 'fortran_order': False, 'shape': (3, 1), }\n\xff\x80\x00";
    assert_eq!(only(v3), Elements::U8(payload.to_vec()));
}

#[test]
fn half_floats_and_loose_headers() {
    let halves = Elements::F16(vec![f16::from_f32(1.0), f16::from_f32(-2.0)]);
    let payload = [0, 0x3c, 0, 0xc0];
    for dictionary in [
        "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 2), }",
        "{\"shape\":(1L,2L),\"fortran_order\":True,\"descr\":\"<f2\"}  \n",
        " { 'fortran_order' : True , 'descr' : '<f2' , 'shape' : ( 2 , 1 ) } ",
    ] {
        assert_eq!(only(&npy_file(1, dictionary, &payload)), halves, "{dictionary}");
    }
}

#[test]
fn batches_number_their_records() {
    let payload: Vec<u8> = (0..14).collect();
    let batches = read(Format::Npy, &npy("|u1", "(7, 2)", &payload), 3).unwrap();
    let seen: Vec<_> = batches.iter().map(|batch| (batch.first_record, batch.rows())).collect();
    assert_eq!(seen, [(0, 3), (3, 3), (6, 1)]);
    assert_eq!(batches[1].elements, Elements::U8((6..12).collect()));
    assert!(read(Format::Npy, &npy("<f4", "(0, 2)", &[]), 3).unwrap().is_empty());
}

#[test]
fn refused_headers_say_what_was_found() {
    let four = [0; 4];
    for (bytes, wanted) in [
        (npy(">f4", "(1, 1)", &four), "big-endian (>f4) (input)\nhint: a.astype('<f4')"),
        (
            npy("<f8", "(1, 1)", &four),
            "elements are <f8; wanted is one of <f4, <f2, |i1, |u1 (input)\nhint: convert it, for instance a.astype('<f4')",
        ),
        (npy(">f8", "(1, 1)", &four), "elements are >f8"),
        (npy("|O", "(1, 1)", &four), "pickled Python objects"),
        (npy("<f4", "()", &four), "has 0 dimensions []; wanted is 2"),
        (npy("<f4", "(1,)", &four), "has 1 dimensions [1]; wanted is 2"),
        (npy("<f4", "(1, 1, 1)", &four), "has 3 dimensions [1, 1, 1]; wanted is 2"),
        (npy("<f4", "(1, 0)", &[]), "a vector of 0 elements"),
        (npy("|u1", "(0, 65536)", &[]), "a vector of 65536 elements"),
        (npy("<f4", "(3, 1)", &[0; 10]), "promises 3 rows of 4 bytes, but 10 bytes follow (input, row 2 at offset 78)"),
        (npy("<f4", "(1, 1)", &[0; 5]), "1 bytes follow the npy array (input, offset 74)"),
        (
            npy_file(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", &four),
            "records of several fields (input, offset 20)",
        ),
        (
            npy_file(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2)}", &[0; 16]),
            "2 by 2 is in Fortran order (input)\nhint: numpy.ascontiguousarray(a)",
        ),
        (npy_file(1, "{'descr': '<f4', 'descr': '<f4'}", &four), "expected each key once"),
        (npy_file(1, "{'descr': '<f4', 'fortran_order': 1}", &four), "expected True or False (input, offset 44)"),
        (npy_file(1, "{'descr': '<f4'}", &four), "expected the keys descr, fortran_order and shape"),
        (npy_file(1, "{'other': 1}", &four), "expected the keys descr"),
        (npy("<f4", "(99999999999999999999, 1)", &four), "expected a size below 2^64"),
        (npy("<f4", "(1, 1)} {", &four), "expected nothing after the dictionary"),
        (npy_file(4, "", &[]), "npy version 4.0 is not known (input, offset 6)"),
        (npy_file(3, "", &[]), "expected a dictionary"),
        (b"PK\x03\x04".to_vec(), "not an npy file"),
    ] {
        let told = refusal(Format::Npy, &bytes);
        assert!(told.contains(wanted), "{told}\nwanted {wanted}");
    }
}

fn ids(bytes: &[u8]) -> Result<Ids, InputError> {
    ids_from(bytes, bytes.len() as u64, Path::new(NAME))
}

#[test]
fn ids_of_every_type() {
    let eight = [7, 0, 0, 0, 0, 0, 0, 0x7f, 1, 0, 0, 0, 0, 0, 0, 0];
    let numbers = Ids::U64(vec![0x7f00_0000_0000_0007, 1]);
    assert_eq!(ids(&npy("<u8", "(2,)", &eight)).unwrap(), numbers);
    assert_eq!(ids(&npy("<i8", "(2,)", &eight)).unwrap(), numbers);
    assert_eq!(ids(&npy("<u4", "(1,)", &[0xff; 4])).unwrap(), Ids::U64(vec![u64::from(u32::MAX)]));
    assert_eq!(ids(&npy("<i4", "(1,)", &[1, 2, 0, 0])).unwrap(), Ids::U64(vec![513]));
    let texts = Ids::Str(vec!["a".to_owned(), "\u{e9}b".to_owned(), String::new()]);
    let utf32 = [b'a', 0, 0, 0, 0, 0, 0, 0, 0xe9, 0, 0, 0, b'b', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(ids(&npy("<U2", "(3,)", &utf32)).unwrap(), texts);
    assert_eq!(ids(&npy("|S3", "(3,)", b"a\0\0\xc3\xa9b\0\0\0")).unwrap(), texts);
    assert_eq!(ids(&npy("<u8", "(0,)", &[])).unwrap(), Ids::U64(vec![]));
}

#[test]
fn refused_ids_say_where() {
    for (bytes, wanted) in [
        (npy("<i8", "(2,)", &[[0; 8], [0xff; 8]].concat()), "-1 is not an id (input, row 1 at offset 76)"),
        (npy("<i4", "(1,)", &[0xfe, 0xff, 0xff, 0xff]), "-2 is not an id"),
        (npy("|S1", "(1,)", &[0xff]), "not valid text (input, row 0"),
        (npy("<U1", "(1,)", &[0, 0xd8, 0, 0]), "not valid text"),
        (npy("<U0", "(1152921504606846976,)", &[]), "elements are <U0"),
        (npy("<f8", "(1,)", &[0; 8]), "hint: convert it, for instance a.astype('<u8')"),
        (npy(">i8", "(1,)", &[0; 8]), "big-endian"),
        (npy("<u8", "(1, 1)", &[0; 8]), "hint: a.ravel()"),
        (npy("<u8", "(3,)", &[0; 8]), "promises 3 rows of 8 bytes, but 8 bytes follow"),
    ] {
        let told = told(&ids(&bytes).unwrap_err());
        assert!(told.contains(wanted), "{told}\nwanted {wanted}");
    }
}

#[test]
fn tables_of_ids() {
    let table = |shape, payload: &[u8]| {
        let bytes = npy("<i4", shape, payload);
        id_table_from(&bytes[..], bytes.len() as u64, Path::new(NAME))
    };
    let payload: Vec<u8> = (0..6_u32).flat_map(u32::to_le_bytes).collect();
    let wanted = IdTable { rows: 2, columns: 3, ids: Ids::U64((0..6).collect()) };
    assert_eq!(table("(2, 3)", &payload).unwrap(), wanted);
    assert!(table("(4294967296, 4294967296)", &payload).is_err());
    assert!(table("(1152921504606846976, 0)", &[]).is_err());
    assert!(table("(6,)", &payload).is_err());
}

//! `.fvecs` and `.bvecs`: rows, dimensions, a last row cut short.

use super::*;

#[test]
fn rows_in_batches() {
    let bytes = fvecs(&[&[1.0, -0.0], &[f32::MAX, f32::MIN_POSITIVE], &[0.1, 3.0]]);
    assert_eq!(&bytes[..8], [2, 0, 0, 0, 0, 0, 0x80, 0x3f]);
    assert_eq!(source(Format::Fvecs, &bytes).unwrap().total(), Some(3));
    let batches = read(Format::Fvecs, &bytes, 2).unwrap();
    assert_eq!(batches.len(), 2);
    assert_eq!(batches[0].elements, Elements::F32(vec![1.0, -0.0, f32::MAX, f32::MIN_POSITIVE]));
    assert_eq!((batches[1].first_record, &batches[1].elements), (2, &Elements::F32(vec![0.1, 3.0])));
    let bytes = bvecs(&[&[0, 255, 7], &[1, 2, 3]]);
    let batches = read(Format::Bvecs, &bytes, 10).unwrap();
    assert_eq!(batches[0].elements, Elements::U8(vec![0, 255, 7, 1, 2, 3]));
    let mut source = source(Format::Bvecs, &bytes).unwrap();
    assert_eq!(source.total(), Some(2));
    source.next_batch(1).unwrap();
    assert_eq!(source.total(), Some(2), "it does not change on the way");
}

#[test]
fn refused_rows_are_named() {
    let two = fvecs(&[&[1.0, 2.0], &[3.0, 4.0]]);
    for (bytes, wanted) in [
        (two[..20].to_vec(), "ends early: 8 bytes needed, 4 there (input, row 1 at offset 12)"),
        (two[..14].to_vec(), "ends early: 4 bytes needed, 2 there (input, row 1 at offset 12)"),
        (two[..3].to_vec(), "4 bytes needed, 3 there (input, row 0 at offset 0)"),
        (fvecs(&[&[1.0], &[1.0, 2.0]]), "a vector of 2 elements after vectors of 1 (input, row 1 at offset 8)"),
        (vec![0; 4], "a vector of 0 elements (input, row 0 at offset 0)"),
        (vec![0xff; 4], "a vector of -1 elements"),
        (vec![0, 0, 1, 0], "a vector of 65536 elements"),
        (vec![], "the file is empty"),
    ] {
        let told = refusal(Format::Fvecs, &bytes);
        assert!(told.contains(wanted), "{told}\nwanted {wanted}");
    }
}

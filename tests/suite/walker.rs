//! The published `rvf-wire` crate walks every file that we write, from header to header, and accepts each content hash.

use rvf_tests::golden::all;

#[test]
fn the_published_reader_walks_our_files() {
    for golden in all() {
        let mut at = 0;
        let mut segments = 0;
        while at < golden.bytes.len() {
            let rest = &golden.bytes[at..];
            let (header, payload) = rvf_wire::read_segment(rest).unwrap();
            rvf_wire::validate_segment(&header, payload).unwrap();
            at += rvf_wire::calculate_padded_size(64, payload.len());
            segments += 1;
        }
        assert_eq!(at, golden.bytes.len());
        assert!(segments >= 3, "{}: FILE, META and MANIFEST at least", golden.name);
    }
}

//! The first byte tells format and options, the rest is a file of vectors or ids, which is imported.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    rvf_tests::properties::importers(input);
});

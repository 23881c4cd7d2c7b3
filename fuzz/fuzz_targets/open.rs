//! The input is a file.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    rvf_tests::properties::open(input);
});

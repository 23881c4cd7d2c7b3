//! The input is a key file.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    rvf_tests::properties::key_file(input);
});

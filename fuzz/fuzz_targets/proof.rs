//! The input is a proof of an audit entry.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    rvf_tests::properties::proof(input);
});

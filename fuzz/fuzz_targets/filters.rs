//! The input is a filter.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    rvf_tests::properties::filters(input);
});

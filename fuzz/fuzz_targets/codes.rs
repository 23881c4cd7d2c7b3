//! The input tells how to change codes of a valid file; its hashes are repaired then, and it is searched.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| {
    rvf_tests::properties::codes(script);
});

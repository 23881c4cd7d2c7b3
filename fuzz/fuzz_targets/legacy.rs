//! The input tells how to change a file of the published crates; its hashes are repaired then, and it is converted.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| {
    rvf_tests::properties::legacy(script);
});

//! The input is a signed note.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    rvf_tests::properties::note(input);
});

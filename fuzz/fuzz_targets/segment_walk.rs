//! The input tells how to change segments of a valid file, manifests aside; its hashes are repaired then.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| {
    rvf_tests::properties::segment_walk(script);
});

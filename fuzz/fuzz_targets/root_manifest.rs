//! The input tells how to change root pages and manifests of a valid file; its hashes are repaired then.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| {
    rvf_tests::properties::root_manifest(script);
});

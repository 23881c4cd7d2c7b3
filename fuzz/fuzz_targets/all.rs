//! All targets in one program: it runs the one whose name it is called by, through a link. For machines without a compiler.
#![no_main]

use rvf_tests::properties::{TARGETS, Target};
use std::path::PathBuf;
use std::sync::OnceLock;

fn target() -> &'static Target {
    let called: PathBuf = std::env::args_os().next().unwrap_or_default().into();
    let name = called.file_name().unwrap_or_default().to_string_lossy().into_owned();
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no target {name}"))
}

static CHOSEN: OnceLock<&Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (CHOSEN.get_or_init(target).run)(input);
});

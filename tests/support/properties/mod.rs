//! What must hold for any bytes: the bodies of the fuzz targets in `fuzz/`, of the runner `examples/fuzz.rs` and of the replay
//! test `suite/fuzz_replay.rs`.
//!
//! | file | owns |
//! | --- | --- |
//! | `store.rs` | reading, verifying and writing a store file |
//! | `graphs.rs` | searches of a store whose graphs or codes were changed |
//! | `published.rs` | files of the published crates: reading, conversion |
//! | `filters.rs` | the language of filters |
//! | `imports.rs` | files of vectors and of ids: reading, importing |
//! | `signatures.rs` | signed notes, proofs and key files |
//!
//! Hostile bytes lead to errors: no panic, no hang. Time and memory are watched by whoever calls.

mod filters;
mod graphs;
mod imports;
mod published;
mod signatures;
mod store;

pub use filters::filter;
pub use graphs::{Then, search_changed};
pub use imports::import;
pub use published::convert;
pub use signatures::{read_key_file, read_note, read_proof};
pub use store::{exercise, survey};

use crate::focus::Focus;
use crate::mutate::mutate;

/// A fuzz target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: that of its program in `fuzz/` and of its folder in `fixtures/corpus`.
    pub name: &'static str,
    /// Runs one input; returns the length of the file that was made of it and read, in bytes.
    pub run: fn(&[u8]) -> usize,
}

/// Every target.
pub const TARGETS: [Target; 12] = [
    Target { name: "open", run: open },
    Target { name: "open_fixed", run: open_fixed },
    Target { name: "root_manifest", run: root_manifest },
    Target { name: "segment_walk", run: segment_walk },
    Target { name: "index_search", run: index_search },
    Target { name: "codes", run: codes },
    Target { name: "legacy", run: legacy },
    Target { name: "importers", run: importers },
    Target { name: "filters", run: filters },
    Target { name: "note", run: note },
    Target { name: "proof", run: proof },
    Target { name: "key_file", run: key_file },
];

/// The input is a file.
pub fn open(input: &[u8]) -> usize {
    exercise(input);
    input.len()
}

/// The input tells how to change a valid file and which hashes to repair then.
pub fn open_fixed(script: &[u8]) -> usize {
    changed(Focus::Whole, script)
}

/// The same, for root pages and manifests.
pub fn root_manifest(script: &[u8]) -> usize {
    changed(Focus::Roots, script)
}

/// The same, for all other segments.
pub fn segment_walk(script: &[u8]) -> usize {
    changed(Focus::Segments, script)
}

/// The same, for graphs: what exact searches find stays as it was.
pub fn index_search(script: &[u8]) -> usize {
    searched(Focus::Index, script)
}

/// The same, for codes.
pub fn codes(script: &[u8]) -> usize {
    searched(Focus::Codes, script)
}

/// The input tells how to change a file of the published crates.
pub fn legacy(script: &[u8]) -> usize {
    let file = crate::published::mutate(script);
    convert(&file);
    file.len()
}

/// The first byte tells format and options, the others are a file of vectors or ids.
pub fn importers(input: &[u8]) -> usize {
    import(input);
    input.len()
}

/// The input is a filter.
pub fn filters(input: &[u8]) -> usize {
    filter(&String::from_utf8_lossy(input));
    input.len()
}

/// The input is a signed note.
pub fn note(input: &[u8]) -> usize {
    read_note(input);
    input.len()
}

/// The input is a proof of an audit entry.
pub fn proof(input: &[u8]) -> usize {
    read_proof(input);
    input.len()
}

/// The input is a key file.
pub fn key_file(input: &[u8]) -> usize {
    read_key_file(input);
    input.len()
}

fn changed(focus: Focus, script: &[u8]) -> usize {
    let file = mutate(focus, script);
    exercise(&file);
    file.len()
}

fn searched(focus: Focus, script: &[u8]) -> usize {
    let file = mutate(focus, script);
    let sample = script.first().copied().unwrap_or_default();
    let then = match script.get(1).copied().unwrap_or_default() % 8 {
        1 => Then::Renew,
        2 => Then::Compact,
        _ => Then::Nothing,
    };
    survey(&file);
    search_changed(focus.sample(sample), &file, then);
    file.len()
}

/// A folder for what only goes through the file system: in memory where the system has such a place.
fn scratch() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("rvf-fuzz-").tempdir_in(parent).unwrap()
}

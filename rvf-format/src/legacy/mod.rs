//! Reads files of the published RVF crates.

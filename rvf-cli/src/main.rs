//! The `rvf` command.
fn main() {}

//! One binary for every test of the workspace.

mod fuzz_replay;
mod hostile;

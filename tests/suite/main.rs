//! One binary for every test of the workspace.

mod golden;
mod spec;
mod walker;

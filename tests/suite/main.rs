//! One binary for every test of the workspace.

mod golden;
mod model;
mod spec;
mod walker;

//! One binary for every test of the workspace.

mod cli;

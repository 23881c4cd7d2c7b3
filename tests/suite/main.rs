//! One binary for every test of the workspace.

mod cli;
mod corrupt;
mod damage;
mod golden;
mod history;
mod model;
mod spec;
mod walker;

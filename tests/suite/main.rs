//! One binary for every test of the workspace.

mod cli;
mod corrupt;
mod damage;
mod fuzz_replay;
mod golden;
mod history;
mod hostile;
mod model;
mod recall;
mod renewal;
mod salvage;
mod spec;
mod tidy;
mod walker;

//! One binary for every test of the workspace.

mod attacks;
mod before_tree;
mod branch;
mod branch_clauses;
mod churn;
mod cli;
mod codes;
#[cfg(target_os = "linux")]
mod cold;
mod corrupt;
mod crash;
mod damage;
mod faults;
mod formats;
mod fuzz_replay;
mod golden;
mod group;
mod guard;
mod history;
mod hostile;
mod learned;
mod locks;
mod model;
mod planned;
mod processes;
mod recall;
mod renewal;
mod salvage;
mod sequences;
mod signatures;
mod spec;
mod tidy;
mod walker;

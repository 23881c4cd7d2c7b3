//! A short share of the process test (`tests/processes/`): writers and readers of one store, killed at random moments.

use std::process::Command;

/// Catches what a kill can bring about: a commit that was acknowledged and is gone, a reader that sees half of one, files left behind.
#[test]
fn killed_processes_lose_nothing() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_processes"));
    let output = command.args(["--seconds", "3", "--kills", "10", "--readers", "4", "--seed", "7"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("kills in"), "{said}");
}

//! The command `rvf` under the name that the suite starts it by.

use std::process::ExitCode;

fn main() -> ExitCode {
    rvf_cli::run()
}

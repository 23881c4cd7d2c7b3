//! The program `rvf`; everything that it does is in the library beside it, so that tests can link it.

use std::process::ExitCode;

fn main() -> ExitCode {
    rvf_cli::run()
}

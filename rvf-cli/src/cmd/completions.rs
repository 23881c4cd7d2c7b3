//! `rvf completions`: a script for the shell.

use super::Outcome;
use crate::args::Cli;
use crate::output::Ui;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Print a script that completes commands and flags in a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf completions bash > ~/.local/share/bash-completion/completions/rvf")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs, ui: &Ui) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "rvf", &mut script);
    ui.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(0)
}

//! The `rvf` command: parses, calls the engine, prints. The library offers everything that it does.
//!
//! | file | owns |
//! | --- | --- |
//! | `args.rs` | global flags, the list of commands, arguments that several share |
//! | `failure.rs` | what is told when a command fails, and the exit code |
//! | `output.rs` | stdout, stderr, tables; sizes and times as text |
//! | `progress.rs` | the progress bar, Ctrl-C |
//! | `cmd/` | one file a command |

mod args;
mod cmd;
mod failure;
mod output;
mod progress;

use args::{Cli, ColorWhen};
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use failure::Failure;
use output::Ui;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command with the arguments of this process.
pub fn run() -> ExitCode {
    // A store that another program cuts is told of, and does not end the command by a signal.
    rvf_engine::contain_faults();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let parsed = Cli::command()
        .color(early_color(&arguments).into())
        .try_get_matches_from(&arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return refused(&error, &arguments),
    };
    let ui = Ui::new(&cli.global);
    let outcome = cmd::run(&cli.command, &ui).and_then(|exit| ui.finish().map(|()| exit));
    match outcome {
        Ok(exit) => ExitCode::from(exit),
        Err(failure) => ui.fail(&failure),
    }
}

/// Help and version go to stdout; anything else is a wrong command line.
fn refused(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A reader that closed the pipe wants no more.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let json = before_dashes(arguments).any(|argument| argument == "--json");
    let ui = Ui::early(json, early_color(arguments));
    ui.fail(&Failure::of_clap(error))
}

fn before_dashes(arguments: &[OsString]) -> impl Iterator<Item = &str> {
    arguments.iter().filter_map(|argument| argument.to_str()).take_while(|argument| *argument != "--")
}

/// The colour wish, also where the rest of the command line cannot be parsed.
fn early_color(arguments: &[OsString]) -> ColorWhen {
    let mut last = ColorWhen::Auto;
    let mut wanted = false;
    for argument in before_dashes(arguments) {
        let value = argument.strip_prefix("--color=").or(wanted.then_some(argument));
        last = value.and_then(ColorWhen::named).unwrap_or(last);
        wanted = argument == "--color";
    }
    last
}

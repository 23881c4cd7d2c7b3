//! One writer and eight readers as processes over one store, killed at random moments:
//! `cargo run -p rvf-tests --bin processes -- --seconds 60 --kills 200 --seed 1`
//!
//! The soak before a release: `cargo run -p rvf-tests --bin processes -- --seconds 1800 --kills 6000`
//!
//! What a batch does is a function of seed and number; when processes are killed is up to the seed and to the machine. A run fails
//! when anything that a child or the controller checks does not hold, when a child ends in another way than it should, and when
//! something was not exercised. The folder is kept then.
//!
//! | file | owns |
//! | --- | --- |
//! | `main.rs` | options; which role this process has |
//! | `model.rs` | what the store must hold after batch n |
//! | `site.rs` | folders, names, progress |
//! | `writer.rs`, `reader.rs` | the children |
//! | `child.rs` | starting, killing, judging a child |
//! | `controller.rs` | who is started and killed when; checks in between |
//! | `tally.rs` | what a run did, and whether that was enough |

mod child;
mod controller;
mod model;
mod reader;
mod site;
mod tally;
mod writer;

use std::error::Error;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Exit code of a writer that found the file locked.
const LOCKED: u8 = 3;
/// Exit code of a child that found something wrong.
const WRONG: u8 = 4;

struct Options {
    seconds: u64,
    kills: u64,
    readers: u64,
    seed: u64,
    dir: Option<PathBuf>,
    role: Option<String>,
    number: u64,
    wait: u64,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = options()?;
    let model = model::Model { seed: options.seed };
    let Some(role) = &options.role else { return Ok(controller::run(&options)?) };
    let site = site::Site { folder: options.dir.clone().ok_or("a child needs --dir")? };
    end_with_controller();
    let outcome = match role.as_str() {
        "writer" => writer::run(&site, model, options.number, Duration::from_secs(options.wait)),
        "reader" => reader::run(&site, model, options.number).map(|()| writer::End::Clean),
        "holder" => writer::hold(&site),
        other => Err(format!("unknown role {other}")),
    };
    Ok(match outcome {
        Ok(writer::End::Clean) => ExitCode::SUCCESS,
        Ok(writer::End::Locked) => ExitCode::from(LOCKED),
        Err(error) => {
            eprintln!("{role} {}: {error}", options.number);
            ExitCode::from(WRONG)
        }
    })
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options =
        Options { seconds: 60, kills: 200, readers: 8, seed: 1, dir: None, role: None, number: 0, wait: 0 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} needs a value"))?;
        match word.as_str() {
            "--seconds" => options.seconds = value.parse()?,
            "--kills" => options.kills = value.parse()?,
            "--readers" => options.readers = value.parse()?,
            "--seed" => options.seed = value.parse()?,
            "--dir" => options.dir = Some(value.into()),
            "--role" => options.role = Some(value),
            "--number" => options.number = value.parse()?,
            "--wait" => options.wait = value.parse()?,
            _ => return Err(format!("unknown option {word}").into()),
        }
    }
    Ok(options)
}

/// A child whose controller is gone, however that ended, ends too: its stdin is closed then.
fn end_with_controller() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
}

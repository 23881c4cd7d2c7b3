//! Runs the fuzz targets without a nightly compiler:
//! `cargo run -p rvf-tests --example fuzz -- --target all --seconds 120 --seed 1`
//!
//! Execution n of a target and seed is always the same as long as the corpus is. A panic, an execution of more than 10 seconds, or
//! one that takes more memory than 4 times the file that it reads and 64 MiB, ends the run with exit code 1, a saved input, and
//! the command that repeats it. Build it without `--release` to have overflows checked too.
//!
//! | option | |
//! | --- | --- |
//! | `--target NAME` | a target, or `all`, which is so unless given |
//! | `--seconds N` | how long, over all targets; 60 unless given |
//! | `--seed N` | where random numbers start; 1 unless given |
//! | `--input PATH` | run one input of the target, or each file of a folder, and stop |
//! | `--save FOLDER` | where a failing input goes; the folder for temporary files unless given |
//! | `--seeds FOLDER` | write the inputs that corpora begin with, a folder a target, and stop |

use rvf_tests::inputs::{Random, input};
use rvf_tests::properties::{TARGETS, Target};
use rvf_tests::seeds::seeds;
use rvf_tests::{fixtures, heap, samples};
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: heap::Counting = heap::Counting;

const MOST_SECONDS: u64 = 10;
const FREE_BYTES: usize = 64 << 20;

struct Options {
    targets: Vec<Target>,
    seconds: u64,
    seed: u64,
    input: Option<PathBuf>,
    save: PathBuf,
    seeds: Option<PathBuf>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = options()?;
    if let Some(folder) = &options.seeds {
        write_seeds(folder)?;
        return Ok(ExitCode::SUCCESS);
    }
    // Built before anything is measured.
    samples::all();
    let current = Current::default();
    watch(current.clone(), options.save.clone());
    if let Some(path) = &options.input {
        let files = if path.is_dir() { files(path)? } else { vec![path.clone()] };
        return replay(&options, &current, &files);
    }
    // The message of a panic is printed once, below.
    std::panic::set_hook(Box::new(|_| {}));
    let share = Duration::from_secs(options.seconds) / options.targets.len() as u32;
    let mut passed = true;
    for target in &options.targets {
        passed &= fuzz(target, share, &options, &current)?;
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn options() -> Result<Options, Box<dyn Error>> {
    let save = std::env::temp_dir();
    let mut options = Options { targets: TARGETS.to_vec(), seconds: 60, seed: 1, input: None, save, seeds: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} needs a value"))?;
        match word.as_str() {
            "--target" if value == "all" => options.targets = TARGETS.to_vec(),
            "--target" => {
                options.targets.retain(|target| target.name == value);
                if options.targets.is_empty() {
                    return Err(format!("no target {value}: {:?}", TARGETS.map(|target| target.name)).into());
                }
            }
            "--seconds" => options.seconds = value.parse()?,
            "--seed" => options.seed = value.parse()?,
            "--input" => options.input = Some(value.into()),
            "--save" => options.save = value.into(),
            "--seeds" => options.seeds = Some(value.into()),
            _ => return Err(format!("unknown option {word}").into()),
        }
    }
    Ok(options)
}

/// Runs one target for a while; whether nothing was wrong.
fn fuzz(target: &Target, share: Duration, options: &Options, current: &Current) -> Result<bool, Box<dyn Error>> {
    let saved = files(&fixtures().join("corpus").join(target.name))?;
    let corpus = saved.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let (start, mut executions) = (Instant::now(), 0);
    let (mut slowest, mut largest) = (Duration::ZERO, 0);
    while start.elapsed() < share {
        let input = input(target, &corpus, &mut Random::new(options.seed, executions));
        let (time, peak) = match current.run(target, &input) {
            Ok(costs) => costs,
            Err(what) => {
                fail(&options.save, target.name, &input, &what);
                println!("in execution {executions} of seed {}", options.seed);
                return Ok(false);
            }
        };
        (slowest, largest) = (slowest.max(time), largest.max(peak));
        executions += 1;
    }
    let rate = executions as f64 / start.elapsed().as_secs_f64();
    println!(
        "{:<14}{executions:>7} executions, {rate:>5.0} a second; at most {slowest:?} and {} KiB each; seed {}",
        target.name,
        largest >> 10,
        options.seed
    );
    Ok(true)
}

/// Runs saved inputs, of one target only.
fn replay(options: &Options, current: &Current, files: &[PathBuf]) -> Result<ExitCode, Box<dyn Error>> {
    let [target] = options.targets.as_slice() else { return Err("--input needs one --target".into()) };
    for path in files {
        if let Err(what) = current.run(target, &std::fs::read(path)?) {
            println!("{what}: {}", path.display());
            return Ok(ExitCode::FAILURE);
        }
    }
    println!("nothing wrong with {} inputs", files.len());
    Ok(ExitCode::SUCCESS)
}

/// Prints what happened and how to see it again.
fn fail(save: &Path, target: &str, input: &[u8], what: &str) {
    let name = rvf_format::digest::hex(&rvf_format::digest::xxh3_128(input)[..8]);
    let path = save.join(format!("fuzz-{target}-{name}"));
    println!("{target}: {what}");
    match std::fs::write(&path, input) {
        Ok(()) => {
            println!("again: cargo run -p rvf-tests --example fuzz -- --target {target} --input {}", path.display())
        }
        Err(error) => println!("the input cannot be saved as {}: {error}", path.display()),
    }
}

/// The execution that runs now, for the thread that watches the time.
#[derive(Clone, Default)]
struct Current(Arc<Mutex<Option<Running>>>);

/// An input at work: since when, for which target.
type Running = (Instant, &'static str, Vec<u8>);

impl Current {
    /// Time and memory that an input takes, or what is wrong with it.
    fn run(&self, target: &Target, input: &[u8]) -> Result<(Duration, usize), String> {
        let began = Instant::now();
        *self.0.lock().unwrap() = Some((began, target.name, input.to_vec()));
        let mut outcome = Ok(0);
        let peak = heap::peak_during(|| outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input))));
        *self.0.lock().unwrap() = None;
        let length = outcome.map_err(|panic| format!("a panic: {}", message(panic.as_ref())))?;
        if peak > length * 4 + FREE_BYTES {
            return Err(format!("{peak} bytes of memory for a file of {length}"));
        }
        Ok((began.elapsed(), peak))
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

/// Ends the process when one execution takes too long.
fn watch(current: Current, save: PathBuf) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let running = current.0.lock().unwrap();
            if let Some((began, target, input)) = running.as_ref()
                && began.elapsed().as_secs() >= MOST_SECONDS
            {
                fail(&save, target, input, "more than 10 seconds");
                std::process::exit(1);
            }
        }
    });
}

/// Files of a folder in the order of their names.
fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

fn write_seeds(folder: &Path) -> std::io::Result<()> {
    for target in TARGETS {
        let folder = folder.join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds(target.name) {
            std::fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}

//! Fuzzes the opener without a nightly compiler:
//! `cargo run -p rvf-tests --example fuzz_open -- --seconds 60 --seed 1`
//!
//! Execution n of a seed is always the same. A panic, an execution of more than 10 seconds, or one that takes more memory than
//! 4 times its input and 64 MiB, ends the run with exit code 1, a saved input, and the command that repeats it (`--at`).
//! Build it without `--release` to have overflows checked too.
//!
//! | option | |
//! | --- | --- |
//! | `--seconds N` | how long; 60 unless given |
//! | `--seed N` | where random numbers start; 1 unless given |
//! | `--at N` | run only execution N of the seed |
//! | `--file PATH` | run one file as input of target `open` |
//! | `--script PATH` | run one file as input of target `open_fixed` |
//! | `--save FOLDER` | where a failing input goes; the folder for temporary files unless given |
//! | `--corpus FOLDER` | write the seed corpus and stop |

use rvf_format::digest;
use rvf_tests::mutate::Script;
use rvf_tests::{heap, properties, samples};
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: heap::Counting = heap::Counting;

const MOST_SECONDS: u64 = 10;
const FREE_BYTES: usize = 64 << 20;

struct Options {
    seconds: u64,
    seed: u64,
    at: Option<u64>,
    file: Option<PathBuf>,
    script: Option<PathBuf>,
    save: PathBuf,
    corpus: Option<PathBuf>,
}

/// One input, and which target it is for.
#[derive(Clone)]
enum Input {
    Open(Vec<u8>),
    OpenFixed(Vec<u8>),
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = options()?;
    if let Some(folder) = &options.corpus {
        write_corpus(folder)?;
        return Ok(ExitCode::SUCCESS);
    }
    samples::all();
    let single = match (&options.file, &options.script) {
        (Some(path), _) => Some(Input::Open(std::fs::read(path)?)),
        (None, Some(path)) => Some(Input::OpenFixed(std::fs::read(path)?)),
        (None, None) => options.at.map(|at| input(options.seed, at)),
    };
    if let Some(single) = single {
        run(&single);
        println!("nothing wrong");
        return Ok(ExitCode::SUCCESS);
    }
    fuzz(&options)
}

fn options() -> Result<Options, Box<dyn Error>> {
    let save = std::env::temp_dir();
    let mut options = Options { seconds: 60, seed: 1, at: None, file: None, script: None, save, corpus: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} needs a value"))?;
        match word.as_str() {
            "--seconds" => options.seconds = value.parse()?,
            "--seed" => options.seed = value.parse()?,
            "--at" => options.at = Some(value.parse()?),
            "--file" => options.file = Some(value.into()),
            "--script" => options.script = Some(value.into()),
            "--save" => options.save = value.into(),
            "--corpus" => options.corpus = Some(value.into()),
            _ => return Err(format!("unknown option {word}").into()),
        }
    }
    Ok(options)
}

fn fuzz(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let current = Arc::new(Current::default());
    watch(current.clone(), options);
    // The message of a panic is printed once, below.
    std::panic::set_hook(Box::new(|_| {}));
    let start = Instant::now();
    let mut executions = 0;
    let mut slowest = Duration::ZERO;
    while start.elapsed().as_secs() < options.seconds {
        let input = input(options.seed, executions);
        current.begin(executions, &input);
        let began = Instant::now();
        let mut outcome = Ok(());
        let peak = heap::peak_during(|| outcome = catch_unwind(AssertUnwindSafe(|| run(&input))));
        slowest = slowest.max(began.elapsed());
        let length = input.file_len();
        if outcome.is_err() || peak > length * 4 + FREE_BYTES {
            let what = if outcome.is_err() { "a panic".to_owned() } else { format!("{peak} bytes for {length}") };
            fail(options, executions, &input, &what);
            return Ok(ExitCode::FAILURE);
        }
        executions += 1;
    }
    let rate = executions as f64 / start.elapsed().as_secs_f64();
    println!("{executions} executions, {rate:.0} a second, the slowest took {slowest:?}; seed {}", options.seed);
    Ok(ExitCode::SUCCESS)
}

fn run(input: &Input) {
    match input {
        Input::Open(file) => properties::open(file),
        Input::OpenFixed(script) => properties::open_fixed(script),
    }
}

impl Input {
    /// Upper bound of the length of the file that is opened.
    fn file_len(&self) -> usize {
        match self {
            Input::Open(file) => file.len(),
            Input::OpenFixed(_) => samples::all().iter().map(Vec::len).max().unwrap_or_default(),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Input::Open(bytes) | Input::OpenFixed(bytes) => bytes,
        }
    }

    fn option(&self) -> &'static str {
        match self {
            Input::Open(_) => "--file",
            Input::OpenFixed(_) => "--script",
        }
    }
}

/// Prints what happened and how to see it again.
fn fail(options: &Options, at: u64, input: &Input, what: &str) {
    let path = options.save.join(format!("fuzz-open-{}-{at}", options.seed));
    let saved = std::fs::write(&path, input.bytes());
    println!("{what} in execution {at} of seed {}", options.seed);
    println!("again: cargo run -p rvf-tests --example fuzz_open -- --seed {} --at {at}", options.seed);
    if saved.is_ok() {
        println!("or:    cargo run -p rvf-tests --example fuzz_open -- {} {}", input.option(), path.display());
    }
}

/// The execution that runs now, for the thread that watches the time.
#[derive(Default)]
struct Current {
    number: AtomicU64,
    input: Mutex<Option<Input>>,
}

impl Current {
    fn begin(&self, number: u64, input: &Input) {
        *self.input.lock().unwrap() = Some(input.clone());
        self.number.store(number, Ordering::Release);
    }
}

/// Ends the process when one execution takes too long.
fn watch(current: Arc<Current>, options: &Options) {
    let (seed, save) = (options.seed, options.save.clone());
    std::thread::spawn(move || {
        let mut last = (u64::MAX, Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let number = current.number.load(Ordering::Acquire);
            if number != last.0 {
                last = (number, Instant::now());
            } else if last.1.elapsed().as_secs() >= MOST_SECONDS {
                let options = Options { seed, save, ..Options::none() };
                if let Some(input) = current.input.lock().unwrap().as_ref() {
                    fail(&options, number, input, "more than 10 seconds");
                }
                std::process::exit(1);
            }
        }
    });
}

impl Options {
    fn none() -> Self {
        Self { seconds: 0, seed: 0, at: None, file: None, script: None, save: PathBuf::new(), corpus: None }
    }
}

/// Input number `at` of a seed: mostly scripts for `open_fixed`, else a changed or random file for `open`.
fn input(seed: u64, at: u64) -> Input {
    let mut random = Random([seed, at, 0]);
    let length = 2 + random.below(90) as usize;
    let script: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
    match random.below(16) {
        0..=11 => Input::OpenFixed(script),
        12..=14 => Input::Open(scattered(&script)),
        _ => Input::Open(noise(&script, &mut random)),
    }
}

/// A sample with bytes changed anywhere and nothing repaired.
fn scattered(script: &[u8]) -> Vec<u8> {
    let mut script = Script::new(script);
    let all = samples::all();
    let mut file = all.get(script.below(6)).cloned().unwrap_or_default();
    while !script.is_empty() {
        let page = script.below(file.len() / 4096) * 4096;
        // Most of a page is padding; its first bytes matter.
        let within = if script.byte() < 0xC0 { script.below(512) } else { script.below(4096) };
        let value = script.byte();
        file.iter_mut().skip(page + within).take(1).for_each(|byte| *byte ^= value);
    }
    if file.first().is_some_and(|first| first % 4 == 3) {
        file.truncate(script.below(file.len()));
    }
    file
}

/// Random bytes behind a magic that a reader looks for.
fn noise(script: &[u8], random: &mut Random) -> Vec<u8> {
    let length = random.below(3 * 4096) as usize;
    let mut file: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
    let starts: [&[u8]; 4] = [b"SFVR\x01\x40", b"SFVR\x01\x05", b"0MVR\x02\0", b"RVF single-file\0"];
    let start = starts[script.len() % starts.len()];
    let place = if script.len().is_multiple_of(3) { 0x100 } else { 0 };
    for (target, byte) in file.iter_mut().skip(place).zip(start) {
        *target = *byte;
    }
    file
}

/// Random numbers: hashes of seed, execution and a counter.
struct Random([u64; 3]);

impl Random {
    fn next(&mut self) -> u64 {
        self.0[2] += 1;
        let [low, high] = *digest::xxh3_128(&self.0.map(u64::to_le_bytes).concat()).as_chunks::<8>().0 else {
            return 0;
        };
        u64::from_le_bytes(low) ^ u64::from_le_bytes(high)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// Small inputs of both targets, each about something else.
fn write_corpus(folder: &Path) -> Result<(), Box<dyn Error>> {
    let (open, fixed) = (folder.join("open"), folder.join("open_fixed"));
    std::fs::create_dir_all(&open)?;
    std::fs::create_dir_all(&fixed)?;
    let bits = samples::bits();
    let files: [(&str, Vec<u8>); 9] = [
        ("empty", Vec::new()),
        ("noise", b"not a vector store".to_vec()),
        ("bits", bits.clone()),
        ("strings", samples::strings()),
        ("identity-only", bits[..4096].to_vec()),
        ("first-header-only", bits[..64].to_vec()),
        ("cut-in-last-root", bits[..bits.len() - 100].to_vec()),
        ("no-first-page", [&[0; 4096], &bits[4096..]].concat()),
        ("root-only", bits[bits.len() - 4096..].to_vec()),
    ];
    for (name, bytes) in files {
        std::fs::write(open.join(name), bytes)?;
    }
    for at in 0..24u64 {
        if let Input::OpenFixed(script) = input(at % 3, at) {
            std::fs::write(fixed.join(format!("script-{at:02}")), script)?;
        }
    }
    // The samples with graphs, with sections filled or made narrower.
    for at in 0..9u8 {
        let mut random = Random([7, u64::from(at), 0]);
        let head = [4 + at % 2, 0, 0xF6 + at % 3];
        let script: Vec<u8> = head.into_iter().chain((0..40).map(|_| random.next() as u8)).collect();
        std::fs::write(fixed.join(format!("graph-{at}")), script)?;
    }
    Ok(())
}

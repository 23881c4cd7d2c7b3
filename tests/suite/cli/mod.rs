//! The `rvf` command, driven as a person or a script drives it.
//!
//! | file | what it checks |
//! | --- | --- |
//! | `mod.rs` | running the command; a folder with a store in it |
//! | `audit.rs` | keys, signing, verifying by keys and by what was seen before, checkpoints and proofs |
//! | `branches.rs` | branches: made, found again, compared, merged, flattened, frozen |
//! | `bundles.rs` | archives of branches, those of strangers too |
//! | `change.rs` | metadata changed, records deleted by ranges and filters, space that comes back |
//! | `cut.rs` | files that another program cuts under a command; `--verified` |
//! | `formats.rs` | formats of vector files: what goes out comes back |
//! | `indexed.rs` | the index: building it, searching by it, measuring it |
//! | `learning.rs` | feedback, what is learned from it, searches in a learned order |
//! | `rescue.rs` | damaged stores: what verify advises, what export saves |
//! | `success.rs` | each command: its JSON keys, its exit code, what it leaves |
//! | `refusal.rs` | bad input: exit code, kind, hint, and the store as it was |
//! | `stream.rs` | pipes, terminals, read-only files, full disks |

mod audit;
mod branches;
mod bundles;
mod change;
mod cut;
mod formats;
mod indexed;
mod learning;
mod refusal;
mod rescue;
mod stream;
mod success;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The command: the library of `rvf-cli` in a program of this package.
fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_rvf-under-test"))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A folder in which commands run.
struct Place {
    folder: TempDir,
}

/// What a command answered.
#[derive(Debug)]
struct Answer {
    exit: i32,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A folder under `target/`: on a disk, where that of the build is.
    #[cfg(target_os = "linux")]
    fn on_disk() -> Self {
        Self { folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() }
    }

    /// A folder with `a.rvf`: 6 vectors of 3 components under cosine, ids 0 to 5.
    fn with_store() -> Self {
        let place = Self::new();
        place.write("six.jsonl", SIX);
        place.ok("import a.rvf six.jsonl --metric cosine");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(self.folder.path());
        command.env_remove("RVF_ACTOR").env_remove("RVF_PARENT_PATH");
        // What is seen of stores is remembered here, and not among what the user has seen.
        command.env("RVF_TRUST_DIR", self.path("trust"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Answer {
        Answer::of(self.command(arguments).output().unwrap())
    }

    /// Runs a line, split at spaces, with --json; it has to exit with 0. The last JSON object of stdout.
    fn ok(&self, line: &str) -> Value {
        self.exits(line, 0)
    }

    /// The same for another exit code that has a result.
    fn exits(&self, line: &str, exit: i32) -> Value {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        arguments.push("--json");
        let answer = self.run(&arguments);
        assert_eq!(answer.exit, exit, "{line}: {answer:?}");
        serde_json::from_str(answer.stdout.lines().last().unwrap_or("null")).unwrap()
    }
}

impl Answer {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { exit: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

const SIX: &str = "\
{\"vector\":[1,0,0]}
{\"vector\":[0,1,0]}
{\"vector\":[0,0,1]}
{\"vector\":[1,1,0]}
{\"vector\":[0,1,1]}
{\"vector\":[1,1,1]}
";

/// An `.npy` file of f32.
fn npy(rows: usize, columns: usize, values: &[f32]) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{header:<117}\n").bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// Every key is there.
fn has_keys(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "no {key:?} in {value}");
    }
}

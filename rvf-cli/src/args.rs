//! Global flags, the list of commands, and arguments that several commands share.

use crate::cmd;
use crate::failure::Failure;
use crate::output::Ui;
use clap::{Args, Parser, Subcommand, ValueEnum};
use rvf_engine::{OpenOptions, ReadMode, ReadOptions, Reader, SecretKey, Signer};
use rvf_format::storage::FilePlace;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Ten days: more is a mistake.
const MOST_WAIT_SECONDS: f64 = 864_000.0;

const AFTER_HELP: &str = "\
Exit codes:
  0  done, or sound
  1  it ran and the answer is no: verify found something, an id is absent
  2  the command line is wrong, or what it names does not fit: a flag, a value, a vector,
     the content of an input file, an epoch that is not kept, a target that exists
  3  it cannot be done now: a file is missing, a folder, or cut by another program; I/O, no space,
     another writer, Ctrl-C
  4  the file is refused: not RVF, a published RVF file, damaged, of a newer version; --verified
     finds something; a parent is missing

Errors are `rvf: WHAT (WHERE)` and `hint: WHAT TO DO` on stderr; with --json {\"error\":{..}}.
A failed command leaves the last committed state of FILE.

Example:
  rvf import notes.rvf vectors.npy --metric cosine && rvf query notes.rvf --id 0 -k 5";

/// An embedded vector store in one file.
#[derive(Debug, Parser)]
#[command(name = "rvf", version, after_help = AFTER_HELP, max_term_width = 120, arg_required_else_help = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Print one JSON object (query: one a line), and errors as JSON on stderr
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// Print results, warnings and errors only
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// Show no progress bar
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) no_progress: bool,
    /// When to use colours
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto", help_heading = "Global options")]
    pub(crate) color: ColorWhen,
    /// A folder to look for parents of branches in, after where a branch says its parent is and its own folder, and before those of
    /// $RVF_PARENT_PATH; may be given several times
    #[arg(long, value_name = "D", global = true, help_heading = "Global options")]
    pub(crate) parent_dir: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    Auto,
    Always,
    Never,
}

impl ColorWhen {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::from_str(name, false).ok()
    }
}

impl From<ColorWhen> for clap::ColorChoice {
    fn from(when: ColorWhen) -> Self {
        match when {
            ColorWhen::Auto => Self::Auto,
            ColorWhen::Always => Self::Always,
            ColorWhen::Never => Self::Never,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(cmd::demo::DemoArgs),
    Create(cmd::create::CreateArgs),
    Import(cmd::import::ImportArgs),
    Index(cmd::index::IndexArgs),
    Query(cmd::query::QueryArgs),
    Bench(cmd::bench::BenchArgs),
    Feedback(cmd::feedback::FeedbackArgs),
    Learn(cmd::learn::LearnArgs),
    Get(cmd::get::GetArgs),
    Update(cmd::update::UpdateArgs),
    Delete(cmd::delete::DeleteArgs),
    Export(cmd::export::ExportArgs),
    Info(cmd::info::InfoArgs),
    Inspect(cmd::inspect::InspectArgs),
    Verify(cmd::verify::VerifyArgs),
    Compact(cmd::compact::CompactArgs),
    Log(cmd::log::LogArgs),
    Branch(cmd::branch::BranchArgs),
    Diff(cmd::diff::DiffArgs),
    Merge(cmd::merge::MergeArgs),
    Lineage(cmd::lineage::LineageArgs),
    Flatten(cmd::flatten::FlattenArgs),
    Freeze(cmd::freeze::FreezeArgs),
    Key(cmd::key::KeyArgs),
    Sign(cmd::sign::SignArgs),
    Audit(cmd::audit::AuditArgs),
    Bundle(cmd::bundle::BundleArgs),
    Unbundle(cmd::bundle::UnbundleArgs),
    Convert(cmd::convert::ConvertArgs),
    Completions(cmd::completions::CompletionsArgs),
}

/// Arguments of commands that commit.
#[derive(Debug, Args)]
pub(crate) struct CommitArgs {
    /// Who commits, for the log; $RVF_ACTOR unless given
    #[arg(long, value_name = "TEXT")]
    actor: Option<String>,
    /// How long to wait for another writer; not at all unless given
    #[arg(long, value_name = "SECONDS", value_parser = parse_wait, allow_negative_numbers = true)]
    wait: Option<Duration>,
}

impl CommitArgs {
    /// Options of a handle whose index is renewed and whose space is given back by the command, so that it can show a bar and stop.
    pub(crate) fn options(&self, ui: &Ui) -> OpenOptions {
        let actor = self.actor.clone().or_else(|| std::env::var("RVF_ACTOR").ok());
        OpenOptions {
            actor: actor.unwrap_or_default(),
            lock_wait: self.wait.unwrap_or_default(),
            parent_folders: ui.parent_folders.clone(),
            manual_index: true,
            manual_compaction: true,
            ..OpenOptions::default()
        }
    }
}

/// Arguments of commands that write.
#[derive(Debug, Args)]
pub(crate) struct WriterArgs {
    #[command(flatten)]
    commit: CommitArgs,
    /// Sign every commit with this secret key, which `rvf key new` made
    #[arg(long, value_name = "PREFIX.key")]
    sign_with: Option<PathBuf>,
}

impl WriterArgs {
    /// Whether a key to sign with is given.
    pub(crate) fn signs(&self) -> bool {
        self.sign_with.is_some()
    }

    /// [`CommitArgs::options`] with the key that signs; nothing is opened or made where the key cannot be used.
    pub(crate) fn options(&self, ui: &Ui) -> Result<OpenOptions, Failure> {
        let load = |path: &PathBuf| SecretKey::load(path).map_err(cmd::key::failure_of(path));
        let key = self.sign_with.as_ref().map(load).transpose()?;
        let signer = key.map(|key| Arc::new(key) as Arc<dyn Signer>);
        Ok(OpenOptions { signer, ..self.commit.options(ui) })
    }
}

/// Seconds, whole or not.
fn parse_wait(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("\"{text}\" is no number"))?;
    match (0.0..=MOST_WAIT_SECONDS).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err(format!("a wait is 0 to {MOST_WAIT_SECONDS} seconds")),
    }
}

/// An epoch, as the command line names it.
pub(crate) fn parse_epoch(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "an epoch is a whole number from 1 on; `rvf log FILE` lists those of a store".to_owned())
}

/// Arguments of commands that read.
#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    /// Read an earlier commit of the file, one that `rvf log` lists as kept
    #[arg(long, value_name = "EPOCH", value_parser = parse_epoch, allow_negative_numbers = true)]
    pub(crate) at: Option<u64>,
    #[command(flatten)]
    pub(crate) mode: ModeArgs,
}

/// How a file is opened for reading.
#[derive(Debug, Default, Args)]
pub(crate) struct ModeArgs {
    /// Read the file as a whole into memory and verify it before use, of a branch its parents as well, each as a whole: for files from
    /// elsewhere or on a share
    #[arg(long)]
    verified: bool,
}

impl ModeArgs {
    pub(crate) fn open(&self, path: &Path, ui: &Ui) -> Result<Reader, Failure> {
        Reader::open_as(Arc::new(FilePlace), path, &self.options(ui)).map_err(Failure::of(path))
    }

    pub(crate) fn options(&self, ui: &Ui) -> ReadOptions {
        let mode = if self.verified { ReadMode::Verified } else { ReadMode::Mapped };
        ReadOptions { mode, parent_folders: ui.parent_folders.clone(), ..ReadOptions::default() }
    }
}

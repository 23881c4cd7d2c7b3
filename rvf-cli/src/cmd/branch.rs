//! `rvf branch`: a new store that goes on from a commit of another and holds what differs.

use super::bundle::{tell_bundle, write_bundle};
use super::{FILTER_HELP, Outcome, filter_of, open_writer};
use crate::args::{ModeArgs, WriterArgs, parse_epoch};
use crate::failure::Failure;
use crate::output::{Ui, grouped, hex, size};
use clap::Args;
use rvf_engine::{BranchOptions, Branched, Bundled, Error, Pinned, Relative, Snapshot, branch_path, family};
use rvf_format::storage::FilePlace;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Make a branch of a store: a new file of a few KiB that holds what will differ, and reads the rest from its parent
///
/// The parent keeps the commit that the branch goes on from, by a commit of its own, until --unpin releases it. It may change
/// and be compacted meanwhile. A parent that cannot be written is branched all the same, with a warning.
#[derive(Debug, Args)]
#[command(
    override_usage = "rvf branch PARENT CHILD [--at EPOCH] [--filter EXPR] [--bundle OUT]\n       rvf branch --unpin PARENT EPOCH",
    after_help = "Examples:\n  rvf branch notes.rvf draft.rvf\n  rvf branch notes.rvf german.rvf --filter \"lang = 'de'\"\n  \
    rvf branch notes.rvf draft.rvf --bundle draft.tar    # and all that the branch needs, in one archive\n  \
    rvf branch --unpin notes.rvf 3"
)]
pub(crate) struct BranchArgs {
    /// The store to go on from
    parent: PathBuf,
    /// The store to be made; with --unpin the epoch to be released
    #[arg(value_name = "CHILD", required_unless_present = "unpin")]
    child: Option<PathBuf>,
    /// Go on from an earlier commit of the parent
    #[arg(long, value_name = "EPOCH", value_parser = parse_epoch, allow_negative_numbers = true)]
    at: Option<u64>,
    /// Only records that this filter finds are seen by the branch, as "lang = 'de' AND words < 40"
    #[arg(long, value_name = "EXPR", long_help = FILTER_HELP)]
    filter: Option<String>,
    /// Also write the branch and what it needs of its parents to an archive; of a branch that is there already this alone
    #[arg(long, value_name = "OUT")]
    bundle: Option<PathBuf>,
    /// Release a commit of PARENT that is kept for branches: the next compaction may drop it
    #[arg(long, conflicts_with_all = ["at", "filter", "bundle"])]
    unpin: bool,
    #[command(flatten)]
    writer: WriterArgs,
}

impl BranchArgs {
    /// The store to be made: the command line has one unless it says --unpin.
    fn child(&self) -> &Path {
        self.child.as_deref().unwrap_or(Path::new(""))
    }
}

pub(crate) fn run(args: &BranchArgs, ui: &Ui) -> Outcome {
    if args.unpin {
        return unpin(args, ui);
    }
    let started = Instant::now();
    let there = args.bundle.is_some() && args.at.is_none() && args.filter.is_none() && args.child().exists();
    let made = if there { Made::before(args, ui)? } else { Made::now(args, ui)? };
    let micros = started.elapsed().as_nanos() as f64 / 1e3;
    let bundled = args.bundle.as_deref().map(|out| write_bundle(args.child(), out, &ModeArgs::default(), ui));
    let bundled = bundled.transpose().map_err(|failure| failure.and("the branch itself stands"))?;
    if let Some(why) = &made.pin_error {
        ui.warn(format!("the commit is not pinned, so a compaction of the parent may drop it: {why}"));
    }
    ui.result(&made.to_json(args, micros, bundled.as_ref()), || made.tell(args, there, bundled.as_ref(), ui))?;
    Ok(0)
}

/// A branch, made just now or there before.
struct Made {
    file_id: [u8; 16],
    parent_epoch: u64,
    count: u64,
    child_bytes: u64,
    pinned: bool,
    pin_error: Option<String>,
}

impl Made {
    fn now(args: &BranchArgs, ui: &Ui) -> Result<Self, Failure> {
        let filter = args.filter.as_deref().map(|text| filter_of(text, &args.parent)).transpose()?;
        let options = BranchOptions { at: args.at, filter, file_id: None, open: args.writer.options(ui)? };
        // The commit that pins is one of the parent.
        ui.writes(&args.parent);
        let done = branch_path(Arc::new(FilePlace), &args.parent, args.child(), &options);
        let Branched { file_id, parent_epoch, count, child_bytes, pinned } = done.map_err(Failure::of(&args.parent))?;
        let is_kept = pinned.is_kept();
        let pin_error = match pinned {
            Pinned::Not(error) => Some(Failure::of(&args.parent)(error).message()),
            Pinned::ByCommit | Pinned::Frozen => None,
        };
        Ok(Self { file_id, parent_epoch, count, child_bytes, pinned: is_kept, pin_error })
    }

    /// The branch that is there.
    fn before(args: &BranchArgs, ui: &Ui) -> Result<Self, Failure> {
        let open = |path: &Path| ModeArgs::default().open(path, ui).map(|reader| reader.snapshot());
        let (parent, child) = (open(&args.parent)?, open(args.child())?);
        let needed = child.parent_ref().map_err(Failure::of(args.child()))?;
        let needed = needed.filter(|needed| needed.file_id == parent.root().file_id).ok_or_else(|| {
            let exists = Failure::of(args.child())(Error::Exists { path: args.child().to_owned() });
            exists.with_hint("it is no branch of the parent that was named: choose another name for the branch")
        })?;
        let pinned = is_kept(&parent, needed.epoch).map_err(Failure::of(&args.parent))?;
        let pin_error = (!pinned).then(|| format!("epoch {} is not pinned in {}", needed.epoch, args.parent.display()));
        Ok(Self {
            file_id: child.root().file_id,
            parent_epoch: needed.epoch,
            count: child.count(),
            child_bytes: child.root().end(),
            pinned,
            pin_error,
        })
    }

    fn to_json(&self, args: &BranchArgs, micros: f64, bundled: Option<&Bundled>) -> Value {
        let mut value = json!({
            "child": args.child().display().to_string(),
            "parent": args.parent.display().to_string(),
            "parent_epoch": self.parent_epoch,
            "pinned": self.pinned,
            "child_bytes": self.child_bytes,
            "micros": micros,
            "file_id": hex(&self.file_id),
            "count": self.count,
        });
        if let Some(why) = &self.pin_error {
            value["pin_error"] = json!(why);
        }
        if let (Some(bundled), Some(out)) = (bundled, &args.bundle) {
            value["bundle"] = super::bundle::to_json(out, bundled);
        }
        value
    }

    fn tell(&self, args: &BranchArgs, there: bool, bundled: Option<&Bundled>, ui: &Ui) -> Result<(), Failure> {
        let (child, parent, epoch) = (args.child().display(), args.parent.display(), self.parent_epoch);
        let (count, bytes) = (grouped(self.count), size(self.child_bytes));
        let (verb, kept) =
            (if there { "is a branch" } else { "branched" }, if self.pinned { ", which keeps it" } else { "" });
        ui.line(format!("{child} {verb} from epoch {epoch} of {parent}{kept}: {count} records, {bytes} of its own"))?;
        match (bundled, &args.bundle) {
            (Some(bundled), Some(out)) => tell_bundle(out, bundled, ui),
            _ => Ok(()),
        }
    }
}

fn is_kept(parent: &Snapshot, epoch: u64) -> rvf_engine::Result<bool> {
    Ok(parent.root().is_frozen() || parent.pinned_epochs()?.binary_search(&epoch).is_ok())
}

fn unpin(args: &BranchArgs, ui: &Ui) -> Outcome {
    let epoch = epoch_of(args)?;
    let mut db = open_writer(&args.parent, &args.writer.options(ui)?, ui)?;
    let losing = branches_here(args, &db.snapshot(), epoch, ui);
    let branches = db.unpin(epoch).map_err(Failure::of(&args.parent))?;
    let now = db.snapshot().epoch();
    let file = args.parent.display().to_string();
    let value = json!({ "file": file, "unpinned": epoch, "branches": branches, "branches_here": losing, "epoch": now });
    for path in &losing {
        ui.warn(format!("{path} goes on from epoch {epoch}: it is lost when a compaction drops that, unless it is flattened or bundled before"));
    }
    ui.result(&value, || {
        ui.line(format!(
            "released epoch {epoch} of {file}, which branches known here go on from: {branches}; epoch {now}"
        ))?;
        match branches {
            0 => Ok(()),
            _ => ui.line("they are lost when a compaction drops it, unless they were flattened or bundled before"),
        }
    })?;
    Ok(0)
}

/// The epoch that --unpin is to release.
fn epoch_of(args: &BranchArgs) -> Result<u64, Failure> {
    let parent = args.parent.display();
    let hint = format!("rvf branch --unpin PARENT EPOCH; `rvf info {parent}` lists the pinned epochs");
    let Some(given) = &args.child else {
        return Err(Failure::usage("usage", "--unpin needs the store and the epoch that it is to release", hint));
    };
    let given = given.display();
    let epoch = given.to_string().parse();
    epoch.map_err(|_| Failure::usage("usage", format!("\"{given}\" is no epoch"), hint))
}

/// The branches that go on from the epoch and lie where they can be seen: beside the store, or in --parent-dir.
fn branches_here(args: &BranchArgs, parent: &Snapshot, epoch: u64, ui: &Ui) -> Vec<String> {
    let id = parent.root().file_id;
    let files = family(&FilePlace, &args.parent, parent, &ui.parent_folders).into_iter();
    let stands = |file: &Relative| file.parent.as_ref().is_some_and(|on| (on.file_id, on.epoch) == (id, epoch));
    files.filter(stands).map(|file| file.path.display().to_string()).collect()
}

//! `rvf delete`: records by their ids, ranges of ids or a filter, in one commit.

use super::choose::ChooseArgs;
use super::upkeep::{Changed, SpaceArgs, settle};
use super::{Outcome, open_writer};
use crate::args::{ModeArgs, WriterArgs};
use crate::failure::Failure;
use crate::output::Ui;
use crate::progress::catch_interrupts;
use clap::Args;
use std::path::PathBuf;

/// Delete records by their ids or by a filter, in one commit; exit code 1 if an id is absent
///
/// They stay readable at earlier epochs until the file is compacted, which it is when enough of it is dead (--no-compact leaves that).
/// When half of the index is deleted, a second commit renews it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rvf delete notes.rvf --id 17,18,30..39\n  \
    rvf delete notes.rvf --filter \"source = 'mdn'\" --dry-run")]
pub(crate) struct DeleteArgs {
    /// The store
    file: PathBuf,
    #[command(flatten)]
    chosen: ChooseArgs,
    /// Say what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    writer: WriterArgs,
    #[command(flatten)]
    space: SpaceArgs,
}

pub(crate) fn run(args: &DeleteArgs, ui: &Ui) -> Outcome {
    if args.chosen.is_empty() {
        let hint = "name records by --id or --filter";
        return Err(Failure::usage("usage", "no record is named", hint));
    }
    let nothing = "nothing was deleted";
    if args.dry_run {
        let snapshot = ModeArgs::default().open(&args.file, ui)?.snapshot();
        let chosen = args.chosen.choose(&snapshot, &args.file, nothing, ui)?;
        let done =
            Changed { count: chosen.found.len() as u64, missing: chosen.missing, snapshot: &snapshot, settled: None };
        return done.tell(["deleted", "would delete"], ui);
    }
    let mut db = open_writer(&args.file, &args.writer.options(ui)?, ui)?;
    let before = db.snapshot();
    let chosen = args.chosen.choose(&before, &args.file, nothing, ui)?;
    let deleted = db.delete(&chosen.found).map_err(Failure::of(&args.file))?.deleted;
    // A store that was left without an index gets none for having fewer records.
    let index = !before.graphs().is_empty();
    catch_interrupts();
    let settled = settle(&mut db, &args.file, index, &args.space, ui)?;
    let snapshot = db.snapshot();
    let done = Changed { count: deleted, missing: chosen.missing, snapshot: &snapshot, settled: Some(settled) };
    done.tell(["deleted", "would delete"], ui)
}

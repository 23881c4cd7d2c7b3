//! `rvf verify`: every byte of a file, then what the bytes mean.

use super::Outcome;
use super::trusted::{TrustArgs, Trusted};
use crate::failure::{Failure, NO};
use crate::output::{Ui, hex, plain, size};
use crate::progress::Bar;
use clap::Args;
use rvf_engine::{Advice, Clause, Error, Finding, ParentReport, VerifyOptions, VerifyReport, verify_path_with};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The rule of the specification by which a parent is taken: none that a file breaks by itself.
const PARENT_RULE: &str = "BRN-3";

/// Check every byte of a store, then what the bytes mean
///
/// Of a branch also the parents: those of their segments that it uses, no others; `rvf verify PARENT` checks a parent as a whole.
/// Exit code 0: sound. 1: something was found; an uncommitted tail is a finding, too, and leaves the store sound. 4: not an RVF file
/// of this version, or a branch whose parent is missing; a key file or checkpoint that is none.
///
/// A sound store is one whose bytes are as whoever wrote it left them. Who that was only a key tells that you got from them by another
/// way than the store (--key), and that no newer state was kept from you only what you saw of the store before: a checkpoint, or an
/// earlier `rvf verify --key`, which remembers the newest state that it found good.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rvf verify notes.rvf\n  rvf verify notes.rvf --deep\n  rvf verify notes.rvf --key release.pub\n  \
    rvf audit notes.rvf --checkpoint-out seen.txt    # later: rvf verify notes.rvf --key release.pub --checkpoint seen.txt"
)]
pub(crate) struct VerifyArgs {
    /// The store
    file: PathBuf,
    /// Also walk every graph of the index, and compare every code with its row
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

pub(crate) fn run(args: &VerifyArgs, ui: &Ui) -> Outcome {
    let trust = args.trust.load(ui)?;
    let mut bar = Bar::bytes(ui, "verifying");
    let report = verify_path_with(
        &args.file,
        &VerifyOptions { deep: args.deep, parent_folders: ui.parent_folders.clone() },
        &mut |done, total| {
            let _ = bar.update(done, Some(total));
        },
    );
    drop(bar);
    let report = report.map_err(Failure::of(&args.file))?;
    let trusted = args.trust.judge(&report, trust, ui)?;
    ui.result(&to_json(args, &report, &trusted), || tell(args, &report, &trusted, ui))?;
    if let Some(error) = report.parent_error {
        return Err(Failure::of(&args.file)(error));
    }
    if let Some(failure) = trusted.memory_error() {
        return Err(failure);
    }
    let is_clean = report.findings.is_empty() && trusted.findings().is_empty();
    Ok(if report.sound && is_clean { 0 } else { NO })
}

fn finding_json(finding: &Finding) -> Value {
    let mut value = json!({
        "clause": finding.clause.to_string(),
        "offset": finding.offset,
        "message": finding.message,
    });
    if let Some(segment) = finding.segment {
        value["segment"] = json!(segment);
    }
    value
}

/// That the parent is missing, or not the one recorded: no finding about the bytes of the file, and one about the branch.
fn parent_finding(report: &VerifyReport) -> Option<(u64, String)> {
    match &report.parent_error {
        Some(Error::Parent(error)) => Some((report.parent_named_at, error.to_string())),
        _ => None,
    }
}

fn parent_json(parent: &ParentReport) -> Value {
    json!({
        "path": parent.path.display().to_string(),
        "file_id": hex(&parent.commit.file_id),
        "epoch": parent.commit.epoch,
        "root_hash": hex(&parent.commit.state_hash),
        "findings": parent.findings.iter().map(finding_json).collect::<Vec<Value>>(),
    })
}

fn to_json(args: &VerifyArgs, report: &VerifyReport, trusted: &Trusted) -> Value {
    let mut findings: Vec<Value> = report.findings.iter().chain(trusted.findings()).map(finding_json).collect();
    findings.extend(
        parent_finding(report)
            .map(|(offset, message)| json!({ "clause": PARENT_RULE, "offset": offset, "message": message })),
    );
    let mut value = json!({
        "sound": report.sound,
        "trusted": trusted.is_trusted(),
        "file_id": report.file_id.map(|id| hex(&id)),
        "findings": findings,
        "parents": report.parents.iter().map(parent_json).collect::<Vec<Value>>(),
        "bytes_checked": report.bytes_checked,
        "epoch": report.epoch,
        "count": report.count,
        "epochs": report.epochs,
        "segments": report.segments,
        "deep": args.deep,
        "advice": advice(args, report),
    });
    trusted.add_to(report, &mut value);
    value
}

fn tell(args: &VerifyArgs, report: &VerifyReport, trusted: &Trusted, ui: &Ui) -> Result<(), Failure> {
    let verdict = match (report.sound, trusted.is_trusted()) {
        (true, Some(false)) => ui.verdict(false, "not to be trusted, though its bytes are sound"),
        (sound, _) => ui.verdict(sound, if sound { "sound" } else { "not sound" }),
    };
    let (bytes, segments, epochs) = (size(report.bytes_checked), report.segments, report.epochs);
    let deep = if args.deep { ", graphs and codes in depth" } else { "" };
    ui.line(format!("{verdict}: {}", args.file.display()))?;
    ui.line(format!("{bytes}, {segments} segments, {epochs} epochs, {} records checked{deep}", report.count))?;
    if let Some(id) = report.file_id {
        ui.line(format!("file id {}", hex(&id)))?;
    }
    for parent in &report.parents {
        let found = if parent.findings.is_empty() { "as it was committed" } else { "damaged" };
        ui.line(format!("parent {}, epoch {}: {found}", parent.path.display(), parent.commit.epoch))?;
        tell_findings(parent.findings.iter().map(cells).collect(), ui)?;
    }
    let of_parent = parent_finding(report);
    let of_parent = of_parent
        .map(|(offset, message)| vec![PARENT_RULE.to_owned(), offset.to_string(), String::new(), plain(&message)]);
    let findings = report.findings.iter().chain(trusted.findings());
    tell_findings(findings.map(cells).chain(of_parent).collect(), ui)?;
    trusted.tell(report, ui)?;
    advice(args, report).into_iter().try_for_each(|advice| ui.line(advice))
}

fn cells(finding: &Finding) -> Vec<String> {
    let segment = finding.segment.map_or_else(String::new, |segment| segment.to_string());
    // What signatures and earlier states say is about the whole file.
    let has_place = !matches!(finding.clause, Clause::Sig3 | Clause::Sig4 | Clause::Sig5);
    let offset = if has_place { finding.offset.to_string() } else { String::new() };
    vec![finding.clause.to_string(), offset, segment, finding.message.clone()]
}

fn tell_findings(rows: Vec<Vec<String>>, ui: &Ui) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    ui.line("")?;
    ui.table(&["clause", "offset", "segment", "finding"], &rows)?;
    ui.line("")
}

/// What to do about findings.
fn advice(args: &VerifyArgs, report: &VerifyReport) -> Vec<String> {
    let of_parent = match &report.parent_error {
        Some(Error::Parent(error)) => Some(error.hint()),
        _ => None,
    };
    report.advice.iter().map(|advice| words(*advice, args)).chain(of_parent).collect()
}

fn words(advice: Advice, args: &VerifyArgs) -> String {
    let file = args.file.display();
    match advice {
        Advice::Salvage => format!(
            "the newest epoch is damaged: restore the file from a copy, or `rvf export {file} OUT --salvage` writes every record that is intact and lists what is lost"
        ),
        Advice::Index => {
            format!("the index is damaged, searches compare its records instead: `rvf index {file}` builds it anew")
        }
        Advice::Sign => {
            format!("the newest commit is not signed, and the store asks for it: `rvf sign {file} --key PREFIX.key`")
        }
        Advice::Branches => format!(
            "the list of branches is damaged, no record and no branch is: `rvf compact {file}` drops it; where a pinned epoch needs it still, `rvf branch --unpin {file} EPOCH` comes first"
        ),
        Advice::Compact => {
            format!("earlier epochs are damaged, the newest is not: `rvf compact {file}` removes what it does not need")
        }
        Advice::Tail => {
            "bytes behind the newest root: the next command that writes to the file cuts them off; if one is at work now, verify again when it has ended".to_owned()
        }
        Advice::LostCommit => format!(
            "a commit behind the newest root may be damaged: before anything is written to the file, `rvf export {file} OUT --salvage` writes what is intact of it, too"
        ),
    }
}

//! `rvf learn`: an order of results from feedback, live only where it is better.

use super::learned::{reason, to_json};
use super::query::{in_input, in_query, place_of, query_of};
use super::{FILTER_HELP, Outcome, matches_of, open_writer, parse_recall};
use crate::args::WriterArgs;
use crate::failure::Failure;
use crate::output::{Ui, duration, grouped};
use clap::{Args, ValueEnum};
use rvf_engine::ingest::open_source;
use rvf_engine::learn::Verdict;
use rvf_engine::{
    AdaptivePlanner, ArmReport, Component, Db, Effort, LearnOptions, Learning, PlannerOptions, TemplateReport,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Learn from recorded feedback; goes live only where held-out feedback improves
///
/// A part of the feedback is held out, whole groups of like queries. What is learned from the rest goes live, in one commit, if it orders results
/// of the held-out queries better with 95 % confidence, and if queries whose right answers were never chosen lose no more than 0.005 nDCG@10.
/// Otherwise it says so and changes nothing. With --queries it is learned what searches like these should spend. The newest 5,000 queries are learned from, older judgements by patterns of them. `rvf query` uses what is live; --plain leaves it out.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rvf learn notes.rvf\n  rvf learn notes.rvf --holdout 0.3 --json\n  \
    rvf learn notes.rvf --queries asked.npy --recall 0.95  # settings that find that much for less\n  \
    rvf learn notes.rvf --reset             # results are again those of a store that never learned\n  \
    rvf learn notes.rvf --reset --feedback  # and the feedback is forgotten as well")]
pub(crate) struct LearnArgs {
    /// The store
    file: PathBuf,
    /// Passes over the feedback
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    epochs: u64,
    /// Share of the feedback that is held out and decides, above 0 and below 0.9
    #[arg(long, value_name = "R", default_value_t = 0.2)]
    holdout: f64,
    /// What is random follows from it: the same feedback and seed learn the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Days after which feedback counts half as much; it never fades unless given. Ages are those at the newest feedback
    #[arg(long, value_name = "DAYS", allow_negative_numbers = true, value_parser = parse_days)]
    half_life: Option<u64>,
    /// Try only this: it has to improve results all the same
    #[arg(long, value_name = "COMPONENT")]
    only: Option<Only>,
    /// Learn to spend less on searches instead: try settings with each vector of this file (.npy, .fvecs, .bvecs, .jsonl, .csv)
    #[arg(long, value_name = "F", conflicts_with_all = ["epochs", "holdout", "seed", "half_life", "only"])]
    queries: Option<PathBuf>,
    /// With --queries: the recall that is promised, above 0 and below 1
    #[arg(long, value_name = "R", default_value_t = 0.98, requires = "queries", value_parser = parse_recall)]
    recall: f64,
    /// With --queries: how many records are asked for
    #[arg(short, value_name = "N", default_value_t = 10, requires = "queries", value_parser = clap::value_parser!(u64).range(1..))]
    k: u64,
    /// With --queries: searches with this filter
    #[arg(long, value_name = "EXPR", requires = "queries", long_help = FILTER_HELP)]
    filter: Option<String>,
    /// Forget what was learned; the feedback stays
    #[arg(long, conflicts_with_all = ["epochs", "holdout", "seed", "half_life", "only", "queries"])]
    reset: bool,
    /// With --reset: forget the feedback, too
    #[arg(long, requires = "reset")]
    feedback: bool,
    #[command(flatten)]
    writer: WriterArgs,
}

/// [`Component`] as a flag's value.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Only {
    Ranker,
    Graph,
    Adapter,
    Clicks,
}

impl Only {
    fn component(self) -> Component {
        match self {
            Only::Ranker => Component::Ranker,
            Only::Graph => Component::Graph,
            Only::Adapter => Component::Adapter,
            Only::Clicks => Component::Clicks,
        }
    }
}

/// Days, whole or not, as seconds.
fn parse_days(text: &str) -> Result<u64, String> {
    let days: f64 = text.parse().map_err(|_| format!("\"{text}\" is no number"))?;
    match (1.0 / 86_400.0..=1e6).contains(&days) {
        true => Ok((days * 86_400.0).round() as u64),
        false => Err("a half-life is above 0 and at most 1,000,000 days".to_owned()),
    }
}

pub(crate) fn run(args: &LearnArgs, ui: &Ui) -> Outcome {
    let mut db = open_writer(&args.file, &args.writer.options(ui)?, ui)?;
    if args.reset {
        let before = db.snapshot().epoch();
        db.reset_learned(args.feedback).map_err(Failure::of(&args.file))?;
        let epoch = db.reset_planner().map_err(Failure::of(&args.file))?;
        let changed = epoch > before;
        let value = json!({
            "file": args.file.display().to_string(), "reset": changed, "feedback": args.feedback, "epoch": epoch,
        });
        ui.result(&value, || {
            let what = if args.feedback { "what was learned and its feedback are" } else { "what was learned is" };
            ui.line(match changed {
                true => format!("{what} forgotten as of epoch {epoch}; earlier epochs hold it until `rvf compact`, those that branches begin at longer"),
                false => format!("there was nothing to forget at epoch {epoch}"),
            })
        })?;
        return Ok(0);
    }
    if let Some(queries) = &args.queries {
        return plan(args, &mut db, queries, ui);
    }
    let options = LearnOptions {
        epochs: usize::try_from(args.epochs).unwrap_or(usize::MAX),
        hold_out: args.holdout,
        seed: args.seed,
        half_life: args.half_life,
        only: args.only.map(Only::component),
        ..LearnOptions::default()
    };
    let done = db.learn(&options).map_err(Failure::of(&args.file))?;
    ui.result(&json_of(args, &done), || tell(&done, ui))?;
    Ok(0)
}

/// Tries settings with each query, and keeps what was found out.
fn plan(args: &LearnArgs, db: &mut Db, queries: &Path, ui: &Ui) -> Outcome {
    let snapshot = db.snapshot();
    let matches = args.filter.as_ref().map(|text| matches_of(text, &snapshot, &args.file, ui)).transpose()?;
    let options = PlannerOptions { learns: false, ..PlannerOptions::default() };
    let planner = AdaptivePlanner::new(snapshot, options).map_err(Failure::of(&args.file))?;
    let mut source = open_source(queries, None).map_err(Failure::of_input)?;
    let (effort, k) = (Effort::Recall(args.recall), usize::try_from(args.k).unwrap_or(usize::MAX));
    let mut studied = 0u64;
    while let Some(batch) = source.next_batch(64).map_err(Failure::of_input)? {
        for row in 0..batch.rows() {
            let done = planner.study(query_of(&batch, row), k, effort, matches.as_ref());
            done.map_err(Failure::of(&args.file))
                .map_err(in_query)
                .map_err(|failure| in_input(failure, queries, &place_of(&batch, row)))?;
            studied += 1;
        }
    }
    if studied == 0 {
        let message = format!("there are no queries in {}", queries.display());
        return Err(Failure::usage("queries", message, "give a file with at least one vector"));
    }
    let report = planner.report();
    let Some(template) = report.templates.first() else {
        let message =
            "nothing can be planned: no record is in question, or every one is compared at a recall of 1".to_owned();
        return Err(Failure::usage(
            "recall",
            message,
            "give a filter that finds records, and a recall below 1, as --recall 0.98",
        ));
    };
    let epoch = db.adopt_planner(&planner).map_err(Failure::of(&args.file))?;
    ui.result(&plan_json(args, template, studied, epoch), || tell_plan(template, studied, epoch, ui))?;
    Ok(0)
}

fn plan_json(args: &LearnArgs, template: &TemplateReport, studied: u64, epoch: u64) -> Value {
    let arm = |arm: &ArmReport| {
        json!({
            "settings": arm.settings, "recall": arm.recall, "sure": arm.sure, "distances": arm.distances,
            "micros": arm.nanos / 1e3,
        })
    };
    json!({
        "file": args.file.display().to_string(),
        "queries": studied,
        "target": template.target,
        "served": template.served,
        "why": template.why,
        "arms": template.arms.iter().map(arm).collect::<Vec<Value>>(),
        "epoch": epoch,
    })
}

fn tell_plan(template: &TemplateReport, studied: u64, epoch: u64, ui: &Ui) -> Result<(), Failure> {
    let row = |(place, arm): (usize, &ArmReport)| {
        let served = if place == template.served { "served" } else { "" };
        let figures = [format!("{:.4}", arm.recall), format!("{:.3}", arm.sure), format!("{:.0}", arm.distances)];
        let mut row = vec![served.to_owned(), arm.settings.clone()];
        row.extend(figures);
        row.push(duration(arm.nanos / 1e3));
        row
    };
    let rows: Vec<Vec<String>> = template.arms.iter().enumerate().filter(|(_, arm)| arm.nanos > 0.0).map(row).collect();
    ui.table(&["", "settings", "recall", "sure", "distances", "time"], &rows)?;
    ui.line("")?;
    ui.line(format!(
        "tried with {} queries for a recall of {}: {}; kept as of epoch {epoch}",
        grouped(studied),
        template.target,
        template.why
    ))
}

fn json_of(args: &LearnArgs, done: &Learning) -> Value {
    let measures = |measured: [f64; 2]| json!({ "ndcg10": measured[0], "mrr10": measured[1] });
    let main = done.main();
    let mut value = json!({
        "file": args.file.display().to_string(),
        "trained_on": main.map_or(0, |verdict| verdict.trained_on),
        "held_out": main.map_or(0, |verdict| verdict.held_out),
        "adopted": done.adopted(),
        "epoch": done.epoch,
        "components": done.verdicts.iter().map(to_json).collect::<Vec<Value>>(),
    });
    value["before"] = measures(main.map_or([0.0; 2], |verdict| verdict.before));
    value["after"] = measures(main.map_or([0.0; 2], |verdict| verdict.after));
    value["reason"] = json!(main.map_or("no_feedback", |verdict| reason(verdict.reason).0));
    value
}

fn tell(done: &Learning, ui: &Ui) -> Result<(), Failure> {
    if done.verdicts.is_empty() {
        return ui.line("there is no feedback of this kind to learn from: `rvf feedback` records it");
    }
    let row = |verdict: &Verdict| {
        let is_judged = verdict.before != [0.0; 2] || verdict.after != [0.0; 2];
        let measured = |measure: f64| if is_judged { format!("{measure:.3}") } else { String::new() };
        let interval = |of: rvf_engine::learn::Interval, count: usize| match count {
            0 => String::new(),
            _ => format!("{:+.3} [{:+.3}, {:+.3}]", of.mean, of.low, of.high),
        };
        vec![
            verdict.component.to_owned(),
            grouped(verdict.trained_on as u64),
            grouped(verdict.held_out as u64),
            measured(verdict.before[0]),
            measured(verdict.after[0]),
            interval(verdict.gain, if is_judged { verdict.held_out } else { 0 }),
            interval(verdict.gain_of_new, verdict.new),
        ]
    };
    let head = ["learned by", "trained on", "held out", "nDCG@10 before", "after", "gain, 95 %", "of new queries"];
    ui.table(&head, &done.verdicts.iter().map(row).collect::<Vec<_>>())?;
    ui.line("")?;
    if done.verdicts.iter().any(|verdict| verdict.component == "clicks") {
        ui.line("The gain of clicks is that of foretelling held-out choices (squared error a result): places sway any order of them.")?;
    }
    for verdict in &done.verdicts {
        let (component, why) = (verdict.component, reason(verdict.reason).1);
        ui.line(match verdict.adopted() {
            true => {
                let new = match verdict.new {
                    0 => "no new query was held out",
                    _ => "new ones are not harmed",
                };
                format!("{component}: live as of epoch {}: {why}; {new}", done.epoch)
            }
            false => format!("{component}: not adopted: {why}"),
        })?;
    }
    Ok(())
}

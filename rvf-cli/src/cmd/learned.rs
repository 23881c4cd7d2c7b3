//! What is told about what a store has learned: `info --learned`, verdicts of `learn`.

use crate::failure::Failure;
use crate::output::{Ui, grouped, time};
use rvf_engine::LearnedInfo;
use rvf_engine::learn::{Interval, Reason, Verdict};
use serde_json::{Value, json};

/// A name for machines, and words.
pub(super) fn reason(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::Improves => ("improves", "held-out queries improve, with 95 % confidence"),
        Reason::TooFew => {
            ("too_few", "there is too little feedback to judge it by: 30 to train on and 10 held out are the least")
        }
        Reason::TooAlike => (
            "too_alike",
            "too much of the feedback is on queries that are nearly the same: they cannot be held out apart",
        ),
        Reason::Unproven => {
            ("unproven", "held-out queries improve, but too few of them are new, and this moves queries of any kind")
        }
        Reason::NoGain => ("no_gain", "held-out queries do not improve with 95 % confidence"),
        Reason::NoBetter => ("no_better", "held-out queries improve, but not surely more than by the ranker"),
        Reason::Surpassed => ("surpassed", "held-out queries improve, and by another component more"),
        Reason::Harms => ("harms", "queries whose right answers were never chosen would lose more than 0.005 nDCG@10"),
        Reason::Distrusted => (
            "distrusted",
            "the feedback is distrusted: choices do not depend on the query, or do not foretell other choices",
        ),
    }
}

fn interval(of: Interval) -> Value {
    json!({ "mean": of.mean, "low": of.low, "high": of.high })
}

/// What was found out about a component.
pub(super) fn to_json(verdict: &Verdict) -> Value {
    let measures = |measured: [f64; 2]| json!({ "ndcg10": measured[0], "mrr10": measured[1] });
    let mut value = json!({
        "component": verdict.component,
        "trained_on": verdict.trained_on,
        "held_out": verdict.held_out,
        "before": measures(verdict.before),
        "after": measures(verdict.after),
        "gain": interval(verdict.gain),
        "gain_of_new": interval(verdict.gain_of_new),
        "new": verdict.new,
        "adopted": verdict.adopted(),
        "reason": reason(verdict.reason).0,
    });
    if let Some(over) = verdict.over_ranker {
        value["over_ranker"] = interval(over);
    }
    value
}

/// `learned` of `info --learned`.
pub(super) fn info_json(info: &LearnedInfo) -> Value {
    let mut value = json!({
        "feedback": info.feedback,
        "outright": info.outright,
        "listed": info.feedback - info.outright,
        "chosen": info.chosen,
        "live": info.live.is_some(),
    });
    if let Some((first, last)) = info.times {
        value["first"] = json!(time(first));
        value["last"] = json!(time(last));
    }
    if let Some((verdict, epoch)) = &info.live {
        value["epoch"] = json!(epoch);
        value["gains"] = to_json(verdict);
    }
    value
}

pub(super) fn tell(info: &LearnedInfo, ui: &Ui) -> Result<(), Failure> {
    let (feedback, outright) = (info.feedback as u64, info.outright as u64);
    let mut facts = vec![(
        "feedback",
        format!(
            "on {} queries: {} judgements, {} lists; {} choices",
            grouped(feedback),
            grouped(outright),
            grouped(feedback - outright),
            grouped(info.chosen as u64)
        ),
    )];
    if let Some((first, last)) = info.times {
        facts.push(("recorded", format!("{} to {}", time(first), time(last))));
    }
    match &info.live {
        None => facts.push(("live", "nothing: results are ordered by distance".to_owned())),
        Some((verdict, epoch)) => {
            let (component, trained, held) = (verdict.component, verdict.trained_on, verdict.held_out);
            facts.push((
                "live",
                format!("{component}, as of epoch {epoch}; trained on {trained} queries, held out {held}"),
            ));
            let (before, after, gain) = (verdict.before[0], verdict.after[0], verdict.gain);
            facts.push((
                "measured",
                format!("nDCG@10 {before:.3} -> {after:.3} ({:+.3} [{:+.3}, {:+.3}])", gain.mean, gain.low, gain.high),
            ));
            if verdict.new > 0 {
                let of_new = verdict.gain_of_new;
                let new = verdict.new;
                facts.push((
                    "new queries",
                    format!("{:+.3} [{:+.3}, {:+.3}] on {new} of them", of_new.mean, of_new.low, of_new.high),
                ));
            }
        }
    }
    ui.facts(&facts)
}

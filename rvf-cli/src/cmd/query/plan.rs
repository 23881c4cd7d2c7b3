//! A plan as it is told: steps, what each reads from, what it was expected to cost and did cost.

use crate::failure::Failure;
use crate::output::{Ui, duration, grouped};
use rvf_engine::search::{Cost, Plan, Settings, Step};
use serde_json::{Value, json};

/// `operators` of `query --explain`.
pub(super) fn operators_json(plan: &Plan) -> Value {
    let cost = |cost: &Cost| {
        json!({
            "distances": cost.distances, "bytes": cost.bytes, "hops": cost.hops, "pages": cost.pages, "words": cost.words,
            "micros": cost.nanos / 1e3,
        })
    };
    let step = |(place, step): (usize, &Step)| {
        let mut value = json!({
            "step": place, "operator": step.operator.name(), "inputs": step.inputs, "estimated": cost(&step.estimated),
        });
        if let Some(graph) = step.graph {
            value["graph"] = json!(graph);
        }
        if let Some(settings) = &step.settings {
            value["settings"] = json!(told(settings));
        }
        if let Some(measured) = &step.measured {
            value["measured"] = cost(measured);
        }
        value
    };
    plan.steps.iter().enumerate().map(step).collect()
}

/// The steps in their order; a step reads from those named before it.
pub(super) fn draw(plan: &Plan, ui: &Ui) -> Result<(), Failure> {
    let row = |(place, step): (usize, &Step)| {
        let inputs: Vec<String> = step.inputs.iter().map(|input| (input + 1).to_string()).collect();
        let cost = |cost: Option<&Cost>| match cost {
            None => [String::new(), String::new()],
            Some(cost) if cost.nanos == 0.0 => [String::new(), String::new()],
            Some(cost) => [grouped(cost.distances as u64), duration(cost.nanos / 1e3)],
        };
        let on = step.graph.map(|graph| format!(" of graph {graph}")).unwrap_or_default();
        let mut row = vec![
            (place + 1).to_string(),
            inputs.join(", "),
            format!("{}{on}", step.operator.name()),
            step.settings.as_ref().map(told).unwrap_or_default(),
        ];
        row.extend(cost(Some(&step.estimated)));
        row.extend(cost(step.measured.as_ref()));
        row
    };
    let rows: Vec<Vec<String>> = plan.steps.iter().enumerate().map(row).collect();
    ui.line("")?;
    ui.table(&["step", "reads", "operator", "settings", "expected distances", "time", "distances", "time"], &rows)
}

fn told(settings: &Settings) -> String {
    let mut told = format!("ef {}, re-ranks k + {}", settings.ef, settings.reranked);
    if settings.slack < f32::INFINITY {
        told += &format!(", slack {:.2}", settings.slack);
    }
    if settings.warmth.begins() {
        told += ", from where others ended";
    }
    told
}

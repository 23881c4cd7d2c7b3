//! How hits are shown to a person: a compact table with the fields that tell records apart, and how they were found.

use super::Searches;
use crate::failure::Failure;
use crate::output::{self, duration, grouped};
use rvf_engine::ingest::value_to_json;
use rvf_engine::{Hit, Metadata, Moved, Strategy, Trace, Value as Field};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Fields that the table has at most, unless all are asked for.
const MOST_FIELDS: usize = 4;
/// Characters of a cell at most, likewise.
const MOST_CHARS: usize = 44;

impl Searches<'_> {
    pub(super) fn table(&self, hits: &[Hit]) -> Result<(), Failure> {
        let metadata: Result<Vec<Metadata>, Failure> = hits.iter().map(|hit| self.metadata_of(hit)).collect();
        let metadata = metadata?;
        let fields = match self.args.with_metadata {
            true => all_fields(&metadata),
            false => telling_fields(&metadata),
        };
        let mut head = vec!["rank", "id", "distance"];
        head.extend(fields.iter().map(String::as_str));
        if self.args.with_vector {
            head.push("vector");
        }
        let mut rows = Vec::new();
        for ((rank, hit), metadata) in hits.iter().enumerate().zip(&metadata) {
            let mut row = vec![(rank + 1).to_string(), hit.id.to_string(), hit.distance.to_string()];
            row.extend(fields.iter().map(|field| self.cell(metadata.get(field))));
            if self.args.with_vector {
                row.push(output::vector(&self.vector_of(hit)?).to_string());
            }
            rows.push(row);
        }
        self.ui.table(&head, &rows)
    }

    fn cell(&self, value: Option<&Field>) -> String {
        let text = match value {
            None => String::new(),
            Some(Field::Str(text)) => text.clone(),
            Some(Field::List(items)) => items.join(", "),
            Some(other) => value_to_json(other).to_string(),
        };
        match text.char_indices().nth(MOST_CHARS) {
            Some((end, _)) if !self.args.with_metadata => format!("{}…", &text[..end]),
            _ => text,
        }
    }

    /// How the records were looked for.
    pub(super) fn plan(&self, trace: &Trace, micros: f64) -> Value {
        let (strategy, why) = self.strategy(trace);
        let mut plan = json!({
            "strategy": strategy,
            "why": why,
            "records": self.snapshot.count(),
            "distances": trace.distances,
            "hops": trace.hops,
            "ef": trace.ef,
            "search_micros": micros,
            "planned": trace.planned,
        });
        if let Some(filtered) = &self.filtered {
            plan["matches"] = json!(filtered.matches.count());
            plan["filter_micros"] = json!(filtered.micros);
        }
        plan
    }

    pub(super) fn explain(&self, trace: &Trace, micros: f64) -> Result<(), Failure> {
        let (strategy, why) = self.strategy(trace);
        let mut facts = Vec::new();
        if let Some(filtered) = &self.filtered {
            let (count, all) = (filtered.matches.count(), self.snapshot.count());
            let share = count as f64 * 100.0 / all.max(1) as f64;
            let took = duration(filtered.micros);
            facts.push((
                "filter",
                format!("{} of {} records match ({share:.2} %), known in {took}", grouped(count), grouped(all)),
            ));
        }
        facts.push(("strategy", strategy.to_owned()));
        facts.push(("why", why));
        let (distances, hops) = (grouped(trace.distances), grouped(trace.hops));
        facts.push(("cost", format!("{distances} distances, {hops} hops, {}", duration(micros))));
        self.ui.line("")?;
        self.ui.facts(&facts)
    }

    /// What moved each result, and by how much.
    pub(super) fn explain_learned(&self, hits: &[Hit], moved: &[Moved]) -> Result<(), Failure> {
        let row = |(place, (hit, moved)): (usize, (&Hit, &Moved))| {
            let (chosen, nearest) = match moved.chosen {
                0 => Default::default(),
                count => (count.to_string(), format!("{:.3}", moved.nearest)),
            };
            let by = moved.score - moved.without;
            vec![
                (place + 1).to_string(),
                hit.id.to_string(),
                (moved.from + 1).to_string(),
                chosen,
                nearest,
                format!("{:.3}", moved.score),
                if by == 0.0 { String::new() } else { format!("{by:+.3}") },
            ]
        };
        let rows: Vec<Vec<String>> = hits.iter().zip(moved).enumerate().map(row).collect();
        let head = ["rank", "id", "by distance", "queries that chose it", "most alike", "score", "by being chosen"];
        self.ui.line("")?;
        self.ui.table(&head, &rows)
    }

    fn strategy(&self, trace: &Trace) -> (&'static str, String) {
        let ef = trace.ef;
        match trace.strategy {
            Some(Strategy::OneByOne) => ("one by one", "measuring each match costs less than a walk".to_owned()),
            Some(Strategy::TwoHops) => {
                ("two hops", format!("a walk among the matches with {ef} candidates; links of others lead on"))
            }
            Some(Strategy::Walk) => ("walk", format!("most records match: a walk over all keeps {ef} matches")),
            None if trace.planned => {
                ("walk", format!("audits have shown that these settings find enough; {ef} candidates are kept"))
            }
            None if !trace.exact => ("walk", format!("a walk keeps {ef} candidates")),
            None => ("exact", "all records that are asked for are compared".to_owned()),
        }
    }
}

/// How a hit was moved.
pub(super) fn moved_json((moved, hit): (&Moved, &Hit)) -> Value {
    json!({
        "id": output::id(&hit.id),
        "from": moved.from,
        "score": output::float(moved.score),
        "by_choices": output::float(moved.score - moved.without),
        "chosen": moved.chosen,
        "nearest": output::float(moved.nearest),
    })
}

fn all_fields(metadata: &[Metadata]) -> Vec<String> {
    let mut fields: Vec<String> = metadata.iter().flat_map(Metadata::keys).cloned().collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}

/// The fields in which the records differ most, those with short values first where they differ in as many.
fn telling_fields(metadata: &[Metadata]) -> Vec<String> {
    let mut seen: BTreeMap<&str, (Vec<String>, usize)> = BTreeMap::new();
    for (name, value) in metadata.iter().flatten() {
        let text = value_to_json(value).to_string();
        let (values, chars) = seen.entry(name).or_default();
        *chars += text.len();
        if !values.contains(&text) {
            values.push(text);
        }
    }
    let mut ranked: Vec<(&str, usize, usize)> =
        seen.into_iter().map(|(name, (values, chars))| (name, values.len(), chars)).collect();
    ranked.sort_by_key(|(_, distinct, chars)| (std::cmp::Reverse(*distinct), *chars));
    ranked.truncate(MOST_FIELDS);
    ranked.into_iter().map(|(name, ..)| name.to_owned()).collect()
}

//! Which records a command is about: by ids, ranges of ids, a filter.

use super::{FILTER_HELP, matches_of, parse_id};
use crate::failure::Failure;
use crate::output::Ui;
use clap::Args;
use rvf_engine::filter::{self, Filter};
use rvf_engine::{Id, IdType, Snapshot};
use std::collections::BTreeSet;
use std::path::Path;

/// Records that a command names. Those of --id and of --filter together.
#[derive(Debug, Args)]
pub(crate) struct ChooseArgs {
    /// Ids of records, and where ids are numbers ranges of them: 5..10 (5 and 10 included), 5.., ..10; may be given several times. An id
    /// that holds a comma is taken whole if a record has it
    #[arg(long, value_name = "ID,..")]
    pub(crate) id: Vec<String>,
    /// Records that this filter finds, as "lang = 'de' AND words < 40"; with --id, those that either names
    #[arg(long, value_name = "EXPR", long_help = FILTER_HELP)]
    pub(crate) filter: Option<String>,
}

/// What was named.
pub(crate) struct Chosen {
    /// Ids of records that are there, each once.
    pub(crate) found: Vec<Id>,
    /// Ids that no record has; of a range none is missing.
    pub(crate) missing: u64,
}

/// Part of what --id gives.
enum Named {
    One(Id),
    Range(u64, u64),
}

impl ChooseArgs {
    pub(crate) fn is_empty(&self) -> bool {
        self.id.is_empty() && self.filter.is_none()
    }

    /// Looks the records up. `nothing` says what is not done where the filter is misspelt.
    pub(crate) fn choose(&self, snapshot: &Snapshot, path: &Path, nothing: &str, ui: &Ui) -> Result<Chosen, Failure> {
        let (mut found, mut missing) = (BTreeSet::new(), BTreeSet::new());
        let is_there = |id: &Id| snapshot.metadata(id).map(|record| record.is_some());
        for named in self.named(snapshot, path)? {
            match named {
                Named::One(id) if is_there(&id).map_err(Failure::of(path))? => drop(found.insert(id)),
                Named::One(id) => drop(missing.insert(id)),
                Named::Range(first, last) => {
                    let range = Filter::new(filter::id().between(first, last));
                    let range = range.map_err(|error| Failure::of(path)(error.into()))?;
                    let matches = snapshot.matches(&range).map_err(Failure::of(path))?;
                    found.extend(matches.ids(snapshot).map_err(Failure::of(path))?);
                }
            }
        }
        if let Some(text) = &self.filter {
            let matches = matches_of(text, snapshot, path, ui)?;
            // What is misspelt must not change anything: a field that no record has is null in all.
            if let Some(field) = matches.unknown_fields().first() {
                let message = format!("{field}: {nothing} ({})", path.display());
                return Err(Failure::usage("unknown_field", message, "`rvf info` lists the fields"));
            }
            found.extend(matches.ids(snapshot).map_err(Failure::of(path))?);
        }
        Ok(Chosen { found: found.into_iter().collect(), missing: missing.len() as u64 })
    }

    fn named(&self, snapshot: &Snapshot, path: &Path) -> Result<Vec<Named>, Failure> {
        let mut all = Vec::new();
        for text in &self.id {
            let whole = Id::parse(text, snapshot.schema().id_type);
            match whole.filter(|id| snapshot.metadata(id).is_ok_and(|record| record.is_some())) {
                Some(id) => all.push(Named::One(id)),
                None => {
                    let parts = text.split(',').map(|part| parse_part(part, snapshot, path));
                    all.extend(parts.collect::<Result<Vec<Named>, Failure>>()?);
                }
            }
        }
        Ok(all)
    }
}

/// An id, or a range of numbers.
fn parse_part(text: &str, snapshot: &Snapshot, path: &Path) -> Result<Named, Failure> {
    let ends = text.split_once("..").filter(|_| snapshot.schema().id_type == IdType::U64);
    let Some((first, last)) = ends else { return parse_id(text, snapshot, path).map(Named::One) };
    let end = |text: &str, open: u64| if text.is_empty() { Some(open) } else { text.parse().ok() };
    match (end(first, 0), end(last, u64::MAX - 1)) {
        (Some(first), Some(last)) if first <= last && text != ".." => Ok(Named::Range(first, last)),
        _ => {
            let message = format!("\"{text}\" is no range of ids ({})", path.display());
            Err(Failure::usage(
                "bad_range",
                message,
                "give both ends, the smaller first, or leave one out: 5..10, 5.., ..10",
            ))
        }
    }
}

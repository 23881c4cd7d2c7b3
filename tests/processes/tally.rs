//! What a run did: counted by name, printed at its end, and judged: a run that exercised nothing proves nothing.

use std::collections::BTreeMap;

/// Each of these must have happened in any run, however short.
const ALWAYS: [&str; 5] = ["committed", "opened", "writers killed", "readers killed", "walked or scanned"];
/// Each of these must have happened in a run of so many kills.
const IN_LONG_RUNS: [(&str, u64); 12] = [
    ("compacted", 100),
    ("indexed", 100),
    ("walked", 100),
    ("travelled", 100),
    ("held", 100),
    ("held over a compaction", 100),
    ("tail cut", 100),
    ("killed in a commit", 50),
    ("verified", 50),
    ("creations killed", 100),
    ("in flight, gone", 100),
    ("told that the file is locked", 100),
];

/// Events and how often they happened.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub(crate) fn count(&mut self, event: &str) {
        *self.0.entry(event.to_owned()).or_default() += 1;
    }

    pub(crate) fn of(&self, event: &str) -> u64 {
        self.0.get(event).copied().unwrap_or_default()
    }

    pub(crate) fn kills(&self) -> u64 {
        self.of("writers killed") + self.of("readers killed") + self.of("creations killed")
    }

    pub(crate) fn print(&self) {
        for (event, count) in &self.0 {
            println!("{count:>8} {event}");
        }
    }

    /// Checks that enough happened.
    pub(crate) fn check(&mut self, kills: u64) -> Result<(), String> {
        let reads = self.of("walked") + self.of("scanned");
        self.0.insert("walked or scanned".to_owned(), reads);
        let long = IN_LONG_RUNS.iter().filter(|(_, least)| kills >= *least).map(|(event, _)| *event);
        let missed: Vec<&str> = ALWAYS.into_iter().chain(long).filter(|event| self.of(event) == 0).collect();
        match (self.kills() >= kills, missed.is_empty()) {
            (false, _) => Err(format!("{} kills, {kills} were asked for", self.kills())),
            (true, false) => Err(format!("never happened: {}", missed.join(", "))),
            (true, true) => Ok(()),
        }
    }
}

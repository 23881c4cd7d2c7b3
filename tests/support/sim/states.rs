//! What a file may hold after a crash: the last commit that returned, or one that was begun since.

use crate::fields::{self, Fields};
use crate::oracle::Records;
use rvf_engine::{Id, Snapshot};
use rvf_format::digest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A commit of a file and what it holds.
#[derive(Debug)]
pub struct State {
    /// Name of the file.
    pub file: &'static str,
    /// Number of the commit.
    pub epoch: u64,
    /// All records.
    pub records: Records,
    /// Their metadata.
    pub fields: Fields,
    /// Hash of them all.
    pub digest: [u8; 16],
}

impl State {
    /// Takes what a commit is to hold.
    pub fn new(file: &'static str, epoch: u64, records: Records, fields: Fields) -> Arc<Self> {
        let digest = digest_of(&records, &fields);
        Arc::new(Self { file, epoch, records, fields, digest })
    }

    /// What a snapshot holds.
    pub fn of(file: &'static str, snapshot: &Snapshot) -> rvf_engine::Result<Arc<Self>> {
        let (mut records, mut fields) = (Records::new(), Fields::new());
        for record in snapshot.records()? {
            let record = record?;
            if !record.metadata.is_empty() {
                fields.insert(record.id.clone(), fields::told(record.metadata));
            }
            records.insert(record.id, record.vector);
        }
        assert_eq!(snapshot.count(), records.len() as u64, "the count of live records");
        Ok(Self::new(file, snapshot.epoch(), records, fields))
    }

    /// Whether two commits are one.
    pub fn is(&self, other: &State) -> bool {
        (self.file, self.epoch, self.digest) == (other.file, other.epoch, other.digest)
    }
}

fn digest_of(records: &Records, fields: &Fields) -> [u8; 16] {
    // Written out, numbers tell all of their bits.
    let mut text = format!("{fields:?}").into_bytes();
    for (id, vector) in records {
        match id {
            Id::U64(number) => text.extend_from_slice(&number.to_le_bytes()),
            Id::Str(name) => text.extend_from_slice(name.as_bytes()),
        }
        text.extend(vector.iter().flat_map(|x| x.to_le_bytes()));
    }
    digest::xxh3_128(&text)
}

/// What the driver notes in the log.
#[derive(Clone, Debug)]
pub enum Note {
    /// A commit was begun.
    Begun(Arc<State>),
    /// It returned.
    Returned(Arc<State>),
    /// A handle that takes no more refused it: it was never begun.
    Refused(Arc<State>),
}

/// What one file may hold.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The last commit that returned; none before creation has.
    pub returned: Option<Arc<State>>,
    /// Commits that were begun since: in flight, or failed.
    pub begun: Vec<Arc<State>>,
}

impl Expected {
    /// Whether the file may be at this commit.
    pub fn allows(&self, found: &State) -> bool {
        self.returned.iter().chain(&self.begun).any(|state| state.is(found))
    }
}

/// What each file may hold.
#[derive(Clone, Debug, Default)]
pub struct Allowed(pub BTreeMap<&'static str, Expected>);

impl Allowed {
    /// A file whose last commit returned long ago.
    pub fn returned(state: Option<&Arc<State>>) -> Self {
        let mut allowed = Self::default();
        state.into_iter().for_each(|state| allowed.take(&Note::Returned(state.clone())));
        allowed
    }

    /// Takes the next note.
    pub fn take(&mut self, note: &Note) {
        match note {
            Note::Begun(state) => self.0.entry(state.file).or_default().begun.push(state.clone()),
            Note::Refused(state) => {
                self.0.entry(state.file).or_default().begun.retain(|begun| !Arc::ptr_eq(begun, state));
            }
            Note::Returned(state) => {
                self.0.insert(state.file, Expected { returned: Some(state.clone()), begun: Vec::new() });
            }
        }
    }

    /// Equal where the same is allowed.
    pub fn hash(&self) -> [u8; 16] {
        let mut text = Vec::new();
        for (file, expected) in &self.0 {
            text.extend_from_slice(file.as_bytes());
            text.push(u8::from(expected.returned.is_some()));
            for state in expected.returned.iter().chain(&expected.begun) {
                text.extend_from_slice(&state.epoch.to_le_bytes());
                text.extend_from_slice(&state.digest);
            }
        }
        digest::xxh3_128(&text)
    }

    /// For messages.
    pub fn told(&self, file: &str) -> String {
        let Some(expected) = self.0.get(file) else { return "nothing".to_owned() };
        let tell = |state: &Arc<State>| format!("epoch {} with {} records", state.epoch, state.records.len());
        let begun: Vec<String> = expected.begun.iter().map(tell).collect();
        format!("{:?}, or begun {begun:?}", expected.returned.as_ref().map(tell))
    }
}

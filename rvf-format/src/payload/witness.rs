//! WITNESS: the audit entries, one a commit, linked by SHAKE-256.

use crate::build::Draft;
use crate::digest::{self, Hash};
use crate::limits::MAX_ACTOR_LEN;
use crate::segment::Payload;
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, Result, layout};
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

layout! {
    /// The fixed part of an audit entry; the actor follows, padded to a multiple of 8.
    pub struct WitnessEntry = "witness-entry", 160 bytes {
        /// Of this structure, the actor and the padding.
        0x00 length: "u32" U32,
        /// 1.
        0x04 version: "u16" U16,
        /// Code of the [`Operation`].
        0x06 operation: "u16" U16,
        /// 0 for the first commit, then consecutive.
        0x08 index: "u64" U64,
        /// Of the commit.
        0x10 epoch: "u64" U64,
        /// Of the commit, nanoseconds since 1970.
        0x18 time_ns: "u64" U64,
        /// Rows that the commit made live.
        0x20 added: "u64" U64,
        /// Rows that it made dead.
        0x28 deleted: "u64" U64,
        /// Live rows after it.
        0x30 count: "u64" U64,
        /// Hash of the entry before.
        0x38 previous: "[32]" [u8; 32],
        /// State hash of the commit.
        0x58 state_hash: "[32]" [u8; 32],
        /// BLAKE3 of the operation's parameters.
        0x78 parameters: "[32]" [u8; 32],
        /// Bytes of the actor.
        0x98 actor_length: "u16" U16,
        /// 0.
        0x9A reserved: "[6]" [u8; 6],
    }
}

const FIXED_LEN: usize = size_of::<WitnessEntry>();
const TAG_ENTRIES: u32 = 1;

/// What a commit did: its code in audit entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation(pub u16);

impl Operation {
    /// Creation of the file.
    pub const CREATE: Operation = Operation(1);
    /// Vectors were added or replaced.
    pub const IMPORT: Operation = Operation(2);
    /// Records were deleted.
    pub const DELETE: Operation = Operation(3);
    /// The index was built or renewed.
    pub const INDEX: Operation = Operation(5);
    /// The file was compacted.
    pub const COMPACT: Operation = Operation(4);
    /// Made from a file of the published crates.
    pub const CONVERT: Operation = Operation(15);
    /// Metadata of records was changed.
    pub const UPDATE: Operation = Operation(14);
    /// The file was made as a branch of another.
    pub const BRANCH: Operation = Operation(6);
    /// Epochs were unpinned that no branch begins at any more.
    pub const UNPIN: Operation = Operation(7);
    /// The file was frozen.
    pub const FREEZE: Operation = Operation(8);
    /// The newest state was signed.
    pub const SIGN: Operation = Operation(9);
    /// What another file has was merged into this one.
    pub const MERGE: Operation = Operation(10);
    /// A branch was made a file of its own.
    pub const FLATTEN: Operation = Operation(16);

    /// What was learned from feedback was adopted, or reset.
    pub const LEARN: Operation = Operation(11);
    /// Feedback was recorded.
    pub const FEEDBACK: Operation = Operation(17);
    /// What a planner of searches has learned was kept.
    pub const PLAN: Operation = Operation(18);

    const NAMES: [&'static str; 18] = [
        "create", "import", "delete", "compact", "index", "branch", "unpin", "freeze", "sign", "merge", "learn",
        "heal", "tier", "update", "convert", "flatten", "feedback", "plan",
    ];

    /// The name in the specification, or the number.
    pub fn name(self) -> String {
        let known = usize::from(self.0).checked_sub(1).and_then(|index| Self::NAMES.get(index));
        known.map_or_else(|| self.0.to_string(), |name| (*name).to_owned())
    }
}

/// An audit entry in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The fixed part.
    pub fixed: WitnessEntry,
    /// Who committed.
    pub actor: String,
}

impl Entry {
    /// The stored bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut actor = self.actor.as_str();
        while actor.len() > MAX_ACTOR_LEN {
            actor = actor.char_indices().next_back().map_or("", |(last, _)| &actor[..last]);
        }
        let length = (FIXED_LEN + actor.len()).next_multiple_of(8);
        let mut fixed = self.fixed;
        fixed.length.set(length as u32);
        fixed.version.set(1);
        fixed.actor_length.set(actor.len() as u16);
        let mut bytes = fixed.as_bytes().to_vec();
        bytes.extend_from_slice(actor.as_bytes());
        bytes.resize(length, 0);
        bytes
    }

    /// The first entry of `bytes` and what follows it; `at` is the file offset of `bytes`.
    ///
    /// # Errors
    /// WIT-1.
    pub fn read(bytes: &[u8], at: u64) -> Result<(Self, &[u8])> {
        let wrong = |what| Error::corrupt(Clause::Wit1, at, what);
        let (fixed, _) = WitnessEntry::read_from_prefix(bytes).map_err(|_| wrong("an audit entry is cut off"))?;
        let actor_length = usize::from(fixed.actor_length.get());
        let length = (FIXED_LEN + actor_length).next_multiple_of(8);
        if fixed.length.get() as usize != length || fixed.version.get() != 1 || fixed.reserved != [0; 6] {
            return Err(wrong("an audit entry has an impossible length, an unknown version or a reserved field set"));
        }
        let (own, rest) = bytes.split_at_checked(length).ok_or(wrong("an audit entry is cut off"))?;
        let (actor, padding) = own[FIXED_LEN..].split_at(actor_length);
        let actor = core::str::from_utf8(actor).map_err(|_| wrong("an actor is not UTF-8"))?;
        if padding.iter().any(|byte| *byte != 0) || actor.len() > MAX_ACTOR_LEN {
            return Err(wrong("an audit entry has padding that is not zero, or an actor that is too long"));
        }
        Ok((Self { fixed, actor: actor.to_owned() }, rest))
    }

    /// SHAKE-256 of the stored bytes.
    pub fn hash(&self) -> Hash {
        digest::shake256(&self.encode())
    }

    /// What the commit did.
    pub fn operation(&self) -> Operation {
        Operation(self.fixed.operation.get())
    }
}

/// All entries of `bytes`, which stand at file offset `at`.
///
/// # Errors
/// WIT-1.
pub fn read_all(bytes: &[u8], at: u64) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (entry, after) = Entry::read(rest, at + (bytes.len() - rest.len()) as u64)?;
        entries.push(entry);
        rest = after;
    }
    Ok(entries)
}

/// A draft of a WITNESS segment with consecutive entries.
pub fn draft(entries: &[Entry]) -> Draft<'static> {
    let bytes: Vec<u8> = entries.iter().flat_map(Entry::encode).collect();
    let first = entries.first().map_or(0, |entry| entry.fixed.index.get());
    Draft::new(Kind::WITNESS, 1).rows(first, entries.len() as u32).section(TAG_ENTRIES, bytes)
}

/// The entries of the WITNESS segment at file offset `at`.
///
/// # Errors
/// PAY-1, PAY-2, PAY-6, WIT-1.
pub fn parse(segment: Bytes, at: u64) -> Result<Vec<Entry>> {
    let payload = Payload::parse(segment, at, Kind::WITNESS, &[1])?;
    read_all(&payload.required(TAG_ENTRIES)?, payload.place_of(TAG_ENTRIES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, actor: &str) -> Entry {
        let mut fixed = WitnessEntry::zeroed();
        fixed.index.set(index);
        fixed.operation.set(2);
        let entry = Entry { fixed, actor: actor.to_owned() };
        Entry::read(&entry.encode(), 0).unwrap().0
    }

    #[test]
    fn round_trip() {
        let entries = vec![entry(4, "ann"), entry(5, ""), entry(6, "zoë@example")];
        let bytes = draft(&entries).encode(1, 0).unwrap();
        assert_eq!(parse(Bytes::from(bytes), 0).unwrap(), entries);
        assert_ne!(entries[0].hash(), entries[1].hash());
    }

    #[test]
    fn long_actors_are_cut_at_a_character() {
        let long = "ö".repeat(MAX_ACTOR_LEN);
        let entry = Entry { fixed: WitnessEntry::zeroed(), actor: long };
        let read = Entry::read(&entry.encode(), 0).unwrap().0;
        assert_eq!(read.actor.len(), MAX_ACTOR_LEN);
    }

    #[test]
    fn names_of_operations() {
        assert_eq!(Operation::CONVERT.name(), "convert");
        assert_eq!(Operation::FLATTEN.name(), "flatten");
        assert_eq!(Operation::PLAN.name(), "plan");
        assert_eq!(Operation(700).name(), "700");
    }
}

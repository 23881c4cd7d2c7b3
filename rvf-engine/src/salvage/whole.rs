//! The newest earlier epoch of a file all of whose records and their metadata are intact.

use crate::store::Snapshot;
use rvf_format::manifest::ManifestEntry;
use rvf_format::storage::Bytes;
use rvf_format::{Kind, chain, digest};
use std::collections::BTreeMap;

/// Epochs that are looked at, from the newest on.
const MOST_EPOCHS: usize = 256;

/// Its number, and how many records it has. Each segment is hashed once.
pub(super) fn newest_whole(file: &Bytes) -> Option<(u64, u64)> {
    // What a branch inherits is not here to be judged.
    let newest = Snapshot::newest(file.clone()).ok().filter(|newest| !newest.root().has_parent())?;
    let mut judged: BTreeMap<u64, bool> = BTreeMap::new();
    let mut is_intact = |entry: &ManifestEntry| {
        let judge = || {
            let bytes = file.slice(entry.offset.get() as usize, entry.length.get() as usize);
            bytes.is_some_and(|bytes| digest::blake3(&bytes) == entry.hash)
        };
        *judged.entry(entry.offset.get()).or_insert_with(judge)
    };
    for root in chain::roots(file, newest.root()).take(MOST_EPOCHS) {
        let snapshot = newest.at_epoch(root.ok()?.epoch()).ok()?;
        let of_records = [Kind::VEC, Kind::JOURNAL, Kind::META, Kind::DELTA];
        let mut of_records = snapshot.state().live.iter().filter(|entry| of_records.contains(&entry.kind()));
        if of_records.all(&mut is_intact) {
            return Some((snapshot.epoch(), snapshot.count()));
        }
    }
    None
}

//! What of a file's bytes is needed, told by its manifest alone: whether compaction would give enough back is asked after each commit.

use super::snapshot::Snapshot;
use crate::{Error, Result};
use rvf_format::Kind;
use rvf_format::limits::{LARGE_ALIGN, LARGE_SECTION};
use rvf_format::manifest::{ManifestEntry, pins};
use std::collections::BTreeMap;

/// Kinds of which dead rows take a share.
const OF_ROWS: [Kind; 6] = [Kind::VEC, Kind::META, Kind::META_IDX, Kind::INDEX, Kind::QUANT, Kind::TREE];

impl Snapshot {
    /// Whether anything was replaced, deleted or changed since the file was compacted last. (A journal goes on until then.)
    pub(crate) fn has_lost_rows(&self) -> bool {
        self.state().live.iter().any(|entry| [Kind::JOURNAL, Kind::DELTA].contains(&entry.kind()))
    }

    /// About the bytes that compaction would leave, those of pinned epochs included. Right after one it is all of them, but for
    /// what rounding to pages takes: so no compaction makes the next one due.
    ///
    /// # Errors
    /// MAN-9; corruption of the pinned epochs' manifests.
    pub(crate) fn needed_bytes(&self) -> Result<u64> {
        let listed = &self.state().live;
        let mut kept: BTreeMap<u64, ManifestEntry> = BTreeMap::new();
        let mut bytes = self.root().manifest_length.get();
        for epoch in pins(&self.state().facts, self.root().manifest_offset.get())? {
            let pinned = match self.at_epoch(epoch) {
                // Of a file that ends with an earlier commit (MAN-9).
                Err(Error::NoEpoch { .. }) => continue,
                pinned => pinned?,
            };
            add(&mut bytes, pinned.root().manifest_length.get());
            kept.extend(pinned.state().live.iter().map(|entry| (entry.segment_id.get(), *entry)));
        }
        let own = self.parts().iter().skip(self.inherited_parts() as usize);
        let rows: u64 = own.map(|part| u64::from(part.entry.rows.get())).sum();
        let is_branch = self.root().has_parent();
        // What a branch holds itself is told by its journals only.
        let live = if is_branch { self.own_live()? } else { self.count() };
        // A root may claim more records than there are rows.
        let share = (live as f64 / rows.max(1) as f64).min(1.0);
        let mut fillers = 0u64;
        let mut apart = 0u64;
        for entry in listed.iter().filter(|entry| !kept.contains_key(&entry.segment_id.get())) {
            let length = entry.length.get();
            match entry.kind() {
                Kind::FILLER => add(&mut fillers, length),
                Kind::JOURNAL => {}
                // In a branch it may be about rows that are not here to take it over.
                Kind::DELTA if !is_branch => {}
                kind if OF_ROWS.contains(&kind) && entry.space.get() == 0 => {
                    add(&mut bytes, (length as f64 * share) as u64);
                }
                _ => add(&mut bytes, length),
            }
            apart += u64::from(length >= LARGE_SECTION as u64);
        }
        // What stands at its offset modulo 2 MiB, for huge pages or because it is kept, may need a FILLER before it.
        apart += kept.len() as u64;
        kept.values().for_each(|entry| add(&mut bytes, entry.length.get()));
        add(&mut bytes, fillers.min(apart.saturating_mul(LARGE_ALIGN)));
        Ok(bytes)
    }
}

/// Adds a length that a manifest claims: segments of a file that was made to deceive may lie over each other, in any number.
fn add(bytes: &mut u64, length: u64) {
    *bytes = bytes.saturating_add(length);
}

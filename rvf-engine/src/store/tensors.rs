//! What was learned, as a snapshot holds it: the tensors of its newest GRAPH and OVERLAY segments.

use super::snapshot::Snapshot;
use crate::Result;
use rvf_format::Kind;
use rvf_format::build::Draft;
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::tensors::{self, TensorsView};

/// A draft of a segment that holds the same tensors.
pub(super) fn draft(kind: Kind, view: &TensorsView) -> Draft<'static> {
    let all: Vec<(&str, Vec<u32>, Vec<f32>)> = view.tensors().collect();
    tensors::draft(kind, all.iter().map(|(name, shape, values)| (*name, &shape[..], &values[..])))
}

impl Snapshot {
    /// The tensors that count of a kind (GRAPH or OVERLAY), and the epoch of the commit that made them: those of the file's own segment with
    /// the largest id, or else of its parent's. `None` where nothing was learned, or it was reset.
    ///
    /// # Errors
    /// Corruption of the segment, which is held against its hash.
    pub(crate) fn tensors(&self, kind: Kind) -> Result<Option<(TensorsView, u64)>> {
        self.settle(self.read_tensors(kind))
    }

    fn read_tensors(&self, kind: Kind) -> Result<Option<(TensorsView, u64)>> {
        match (self.own_tensors(kind).last(), self.parent()) {
            (Some(entry), _) => {
                let view = TensorsView::parse(self.intact(entry)?, entry.offset.get(), kind)?;
                // An empty one says: nothing, whatever the parent says.
                let is_empty = view.tensors().next().is_none();
                Ok((!is_empty).then_some((view, entry.epoch.get())))
            }
            (None, Some(parent)) => parent.read_tensors(kind).map_err(|error| parent.blame(error)),
            (None, None) => Ok(None),
        }
    }

    /// Whether something is learned of a kind; one that cannot be read counts as something.
    pub(crate) fn has_learned(&self, kind: Kind) -> bool {
        self.tensors(kind).map_or(true, |found| found.is_some())
    }

    /// The hash of the segment that counts of a kind, whatever it holds.
    pub(crate) fn learned_hash(&self, kind: Kind) -> Option<[u8; 32]> {
        self.chain().find_map(|layer| layer.own_tensors(kind).last().map(|entry| entry.hash))
    }

    /// Segments of a kind in the file itself, by ascending id: the last one counts.
    pub(crate) fn own_tensors(&self, kind: Kind) -> Vec<ManifestEntry> {
        let mut own: Vec<ManifestEntry> = self.state().of_kind(kind).copied().collect();
        own.sort_by_key(|entry| entry.segment_id.get());
        own
    }
}

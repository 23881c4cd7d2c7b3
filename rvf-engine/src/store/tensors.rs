//! What was learned, as a snapshot holds it: the tensors of its newest GRAPH, OVERLAY and POLICY_KERNEL segments.

use super::edit::Edit;
use super::snapshot::Snapshot;
use crate::Result;
use rvf_format::Kind;
use rvf_format::build::Draft;
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::tensors::{self, Named, TensorsView};
use rvf_format::payload::witness::Operation;

/// A draft of a segment that holds the same tensors.
pub(super) fn draft(kind: Kind, view: &TensorsView) -> Draft<'static> {
    let all: Vec<(&str, Vec<u32>, Vec<f32>)> = view.tensors().collect();
    tensors::draft(kind, all.iter().map(|(name, shape, values)| (*name, &shape[..], &values[..])))
}

/// Whether a file that has no segment of a kind uses its parent's. A POLICY_KERNEL is about the graphs of its own file.
fn is_inherited(kind: Kind) -> bool {
    kind != Kind::POLICY_KERNEL
}

impl Edit<'static> {
    /// An edit that makes these tensors, by ascending name, what the store keeps of its planner: a POLICY_KERNEL in the place of the one before.
    /// Those without values are left out: no segment holds such.
    pub fn plan<'a>(snapshot: &Snapshot, tensors: impl IntoIterator<Item = Named<'a>>) -> Self {
        let mut edit = Self::new(Operation::PLAN);
        let before = snapshot.own_tensors(Kind::POLICY_KERNEL);
        edit.removed.extend(before.iter().map(|entry| entry.segment_id.get()));
        edit.drafts
            .push(tensors::draft(Kind::POLICY_KERNEL, tensors.into_iter().filter(|(.., values)| !values.is_empty())));
        edit
    }
}

impl Snapshot {
    /// The tensors that count of a kind (GRAPH, OVERLAY or POLICY_KERNEL), and the epoch of the commit that made them: those of the file's own
    /// segment with the largest id, or else of its parent's, but of a POLICY_KERNEL. `None` where nothing was learned, or it was reset.
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
            (None, Some(parent)) if is_inherited(kind) => {
                parent.read_tensors(kind).map_err(|error| parent.blame(error))
            }
            (None, _) => Ok(None),
        }
    }

    /// Whether something is learned of a kind; one that cannot be read counts as something.
    pub(crate) fn has_learned(&self, kind: Kind) -> bool {
        self.tensors(kind).map_or(true, |found| found.is_some())
    }

    /// The hash of the segment that counts of a kind, whatever it holds.
    pub(crate) fn learned_hash(&self, kind: Kind) -> Option<[u8; 32]> {
        let layers = if is_inherited(kind) { usize::MAX } else { 1 };
        self.chain().take(layers).find_map(|layer| layer.own_tensors(kind).last().map(|entry| entry.hash))
    }

    /// Segments of a kind in the file itself, by ascending id: the last one counts.
    pub(crate) fn own_tensors(&self, kind: Kind) -> Vec<ManifestEntry> {
        let mut own: Vec<ManifestEntry> = self.state().of_kind(kind).copied().collect();
        own.sort_by_key(|entry| entry.segment_id.get());
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Context, Store};
    use crate::{BranchOptions, Db, Metric, Schema};
    use rvf_format::storage::MemoryPlace;
    use std::path::Path;
    use std::sync::Arc;

    /// What the newest commit of a file keeps of its planner, after these tensors were committed, if any.
    fn kept(place: &MemoryPlace, path: &str, value: Option<f32>) -> Option<Vec<f32>> {
        let (mut store, _) = Store::open(Arc::new(place.clone()), Path::new(path), Context::default()).unwrap();
        if let Some(value) = value {
            let edit = Edit::plan(store.snapshot(), [("plan.version", &[1][..], &[value][..])]);
            store.commit(&edit).unwrap();
        }
        let snapshot = store.snapshot();
        let count = snapshot.own_tensors(Kind::POLICY_KERNEL).len();
        let found = snapshot.tensors(Kind::POLICY_KERNEL).unwrap();
        assert_eq!(
            (count, snapshot.learned_hash(Kind::POLICY_KERNEL).is_some()),
            (usize::from(found.is_some()), found.is_some())
        );
        found.map(|(view, epoch)| {
            assert!(epoch <= snapshot.epoch());
            view.tensors().flat_map(|(.., values)| values).collect()
        })
    }

    #[test]
    fn a_plan_takes_the_place_of_the_one_before_and_no_branch_inherits_it() {
        let place = MemoryPlace::default();
        let mut db =
            Db::create_with(Arc::new(place.clone()), "a.rvf", &Schema::new(1, Metric::L2), &Default::default())
                .unwrap();
        db.add(&[1.0f32, 2.0]).unwrap();
        drop(db);
        assert_eq!(kept(&place, "a.rvf", None), None);
        assert_eq!(kept(&place, "a.rvf", Some(1.0)), Some(vec![1.0]));
        assert_eq!(kept(&place, "a.rvf", Some(2.0)), Some(vec![2.0]));
        let mut db = Db::open_with(Arc::new(place.clone()), "a.rvf", &Default::default()).unwrap();
        db.branch("b.rvf", &BranchOptions::default()).unwrap();
        drop(db);
        assert_eq!(kept(&place, "b.rvf", None), None);
        assert_eq!(kept(&place, "b.rvf", Some(3.0)), Some(vec![3.0]));
        assert_eq!(kept(&place, "a.rvf", None), Some(vec![2.0]));
    }
}

//! [`Run`]: rows as they will stand in one VEC segment, and where they stood in a snapshot.

use super::rows::RowId;
use super::snapshot::Snapshot;
use crate::Result;
use rvf_format::storage::Bytes;

/// The rows of one VEC segment that an index is to cover.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The number of the first row.
    pub(crate) base_row: u64,
    /// Packed rows.
    pub(crate) rows: Bytes,
    /// Where they stand in the snapshot of before.
    pub(crate) origin: Origin,
}

/// Where the rows of a run come from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// They are those of a part, which stays as it is.
    Part(u32),
    /// They were gathered from these places: live rows, in this order.
    Gathered(Vec<RowId>),
}

impl Run {
    /// A part that stays.
    pub(crate) fn of_part(snapshot: &Snapshot, part: u32) -> Result<Self> {
        let view = snapshot.view(part)?;
        let base_row = snapshot.parts().get(part as usize).map_or(0, |part| part.entry.base_row.get());
        Ok(Self { base_row, rows: view.vector_bytes(), origin: Origin::Part(part) })
    }
}

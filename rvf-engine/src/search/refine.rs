//! The last word: distances in binary64, ties by id.

use super::Hit;
use super::exact::op_of;
use super::pool::{Candidate, nearer};
use super::query::Checked;
use crate::kernel::{exact_distance, exact_hamming};
use crate::store::{Id, RowId, Snapshot};
use crate::{Error, Result};
use bytemuck::AnyBitPattern;
use half::f16;
use rvf_format::{Clause, Dtype};

/// The final distance of each candidate, in binary64; the `k` nearest.
pub(super) fn refine(
    snapshot: &Snapshot,
    query: &Checked<'_>,
    candidates: Vec<Candidate>,
    k: usize,
) -> Result<Vec<Hit>> {
    let mut hits = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        hits.push((distance_to(snapshot, query, candidate.at)?, snapshot.id_of(candidate.at)?));
    }
    hits.sort_by(|a, b| nearer(a.0, b.0, || a.1.cmp(&b.1)));
    hits.truncate(k);
    Ok(hits.into_iter().map(|(distance, id)| Hit { id: Id::from(id), distance }).collect())
}

/// The distance that a hit carries.
pub(super) fn distance_to(snapshot: &Snapshot, query: &Checked<'_>, at: RowId) -> Result<f32> {
    let distance = exact(snapshot, query, at)?;
    if distance.is_nan() {
        let place = snapshot.parts().get(at.part as usize).map_or(0, |part| part.entry.offset.get());
        return Err(Error::Corrupt { clause: Clause::Vec2, at: place, what: "a component is not a finite number" });
    }
    let rounded = (distance as f32).clamp(f32::MIN, f32::MAX);
    // Zero has one sign: -0 would sort before 0 and tie with nothing.
    Ok(if rounded == 0.0 { 0.0 } else { rounded })
}

fn exact(snapshot: &Snapshot, query: &Checked<'_>, at: RowId) -> Result<f64> {
    let row = snapshot.view(at.part)?.row(at.row);
    let op = op_of(snapshot.schema().metric);
    let floats: &[f32] = match query {
        Checked::Bits(bits) => {
            let distance = exact_hamming(bits, row).map_err(|_| mismatch(snapshot, at))?;
            return Ok(distance as f64);
        }
        Checked::F32(floats) => floats,
        Checked::I8(_, floats) | Checked::U8(_, floats) => floats,
    };
    let distance = match snapshot.schema().dtype {
        Dtype::F32 => exact_distance(op, floats, cast::<f32>(row)),
        Dtype::F16 => exact_distance(op, floats, cast::<f16>(row)),
        Dtype::I8 => exact_distance(op, floats, cast::<i8>(row)),
        Dtype::U8 | Dtype::Binary => exact_distance(op, floats, row),
    };
    distance.map_err(|_| mismatch(snapshot, at))
}

fn cast<T: AnyBitPattern>(row: &[u8]) -> &[T] {
    bytemuck::try_cast_slice(row).unwrap_or_default()
}

fn mismatch(snapshot: &Snapshot, at: RowId) -> Error {
    let place = snapshot.parts().get(at.part as usize).map_or(0, |part| part.entry.offset.get());
    Error::Corrupt { clause: Clause::Vec1, at: place, what: "rows are not of the query's length" }
}

//! The last word: distances in binary64, ties by id.

use super::Hit;
use super::exact::op_of;
use super::pool::nearer;
use super::query::Checked;
use super::walk::prepared;
use crate::kernel::{Against, Element, Kernels, Query, QueryElement, exact_hamming};
use crate::store::{Id, RowId, Snapshot};
use crate::{Error, Result};
use bytemuck::AnyBitPattern;
use half::f16;
use rvf_format::payload::vec::IdRef;
use rvf_format::{Clause, Dtype, Metric};

/// The `k` nearest of the candidates by their distances in binary64, rounded once; and the rows where they stand.
pub(super) fn refine(
    snapshot: &Snapshot,
    query: &Checked<'_>,
    kernels: Kernels,
    candidates: &[RowId],
    k: usize,
) -> Result<(Vec<Hit>, Vec<RowId>)> {
    let distances = distances(snapshot, query, kernels, candidates)?;
    let mut nearest: Vec<(f32, RowId)> = distances.into_iter().zip(candidates.iter().copied()).collect();
    nearest.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    // Ids are read where they can matter: of the k nearest, and of those as far as the k-th.
    if let Some(last) = k.checked_sub(1).and_then(|last| nearest.get(last)).map(|last| last.0) {
        let ties = nearest[k..].iter().take_while(|other| other.0 == last).count();
        nearest.truncate(k + ties);
    }
    let named: Result<Vec<(f32, IdRef<'_>, RowId)>> =
        nearest.into_iter().map(|(distance, at)| Ok((distance, snapshot.id_of(at)?, at))).collect();
    let mut named = named?;
    named.sort_unstable_by(|a, b| nearer(a.0, b.0, || a.1.cmp(&b.1)));
    let nearest = named.into_iter().take(k);
    Ok(nearest.map(|(distance, id, at)| (Hit { id: Id::from(id), distance }, at)).unzip())
}

/// The distances that hits carry: one a row.
pub(super) fn distances(
    snapshot: &Snapshot,
    query: &Checked<'_>,
    kernels: Kernels,
    rows: &[RowId],
) -> Result<Vec<f32>> {
    let divides = snapshot.schema().metric == Metric::Cosine;
    let exact = match (query, snapshot.schema().dtype) {
        (Checked::Bits(bits), _) => hamming(snapshot, bits, rows)?,
        (Checked::F32(query), dtype) => numbers(snapshot, query, dtype, kernels, rows)?,
        (Checked::I8(query, _), _) if !divides => whole(snapshot, query, kernels, rows)?,
        (Checked::U8(query, _), _) if !divides => whole(snapshot, query, kernels, rows)?,
        (Checked::I8(_, query) | Checked::U8(_, query), dtype) => numbers(snapshot, query, dtype, kernels, rows)?,
    };
    exact.into_iter().zip(rows).map(|(distance, at)| rounded(snapshot, distance, *at)).collect()
}

fn rounded(snapshot: &Snapshot, distance: f64, at: RowId) -> Result<f32> {
    if distance.is_nan() {
        let place = place_of(snapshot, at);
        return Err(Error::Corrupt { clause: Clause::Vec2, at: place, what: "a component is not a finite number" });
    }
    let rounded = (distance as f32).clamp(f32::MIN, f32::MAX);
    // Zero has one sign: -0 would sort before 0 and tie with nothing.
    Ok(if rounded == 0.0 { 0.0 } else { rounded })
}

fn hamming(snapshot: &Snapshot, bits: &[u8], rows: &[RowId]) -> Result<Vec<f64>> {
    let distance = |at: &RowId| {
        let row = snapshot.view(at.part)?.row(at.row);
        exact_hamming(bits, row).map(|distance| distance as f64).map_err(|_| mismatch(snapshot, &[*at]))
    };
    rows.iter().map(distance).collect()
}

fn numbers(snapshot: &Snapshot, query: &[f32], dtype: Dtype, kernels: Kernels, rows: &[RowId]) -> Result<Vec<f64>> {
    match dtype {
        Dtype::F32 => of_element::<f32>(snapshot, query, kernels, rows),
        Dtype::F16 => of_element::<f16>(snapshot, query, kernels, rows),
        Dtype::I8 => of_element::<i8>(snapshot, query, kernels, rows),
        Dtype::U8 | Dtype::Binary => of_element::<u8>(snapshot, query, kernels, rows),
    }
}

fn of_element<T: Element + AnyBitPattern>(
    snapshot: &Snapshot,
    query: &[f32],
    kernels: Kernels,
    rows: &[RowId],
) -> Result<Vec<f64>> {
    let mut distances = Vec::with_capacity(rows.len());
    let op = op_of(snapshot.schema().metric);
    let measured = kernels.exact_distances(op, query, &stored::<T>(snapshot, rows)?, &mut distances);
    measured.map_err(|_| mismatch(snapshot, rows))?;
    Ok(distances)
}

/// Sums of whole numbers, rounded once: the bits that binary64, which holds them exactly, gives, in a fraction of the time. Not
/// for cosine, which divides.
fn whole<T: QueryElement + AnyBitPattern>(
    snapshot: &Snapshot,
    query: &[T],
    kernels: Kernels,
    rows: &[RowId],
) -> Result<Vec<f64>>
where
    Query<T>: Against<T>,
{
    let query = prepared(Query::new(op_of(snapshot.schema().metric), query))?;
    let mut distances = Vec::new();
    let measured = kernels.distances_of(&query, &stored::<T>(snapshot, rows)?, &mut distances);
    measured.map_err(|_| mismatch(snapshot, rows))?;
    Ok(distances.into_iter().map(f64::from).collect())
}

fn stored<'s, T: AnyBitPattern>(snapshot: &'s Snapshot, rows: &[RowId]) -> Result<Vec<&'s [T]>> {
    let mut stored = Vec::with_capacity(rows.len());
    for at in rows {
        stored.push(bytemuck::try_cast_slice(snapshot.view(at.part)?.row(at.row)).unwrap_or_default());
    }
    Ok(stored)
}

fn place_of(snapshot: &Snapshot, at: RowId) -> u64 {
    snapshot.parts().get(at.part as usize).map_or(0, |part| part.entry.offset.get())
}

fn mismatch(snapshot: &Snapshot, rows: &[RowId]) -> Error {
    let what = "rows are not of the query's length";
    Error::Corrupt { clause: Clause::Vec1, at: rows.first().map_or(0, |at| place_of(snapshot, *at)), what }
}

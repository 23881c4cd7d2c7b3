//! The exact scan: every live row, by the best kernel of this CPU, then the nearest again in binary64.
//!
//! ```text
//! rows -> blocks of 256 -> kernel -> nearer than the threshold, live -> pool of k + 32 -> binary64 -> sort -> k hits
//! ```
//! The kernel's f32 sums may swap rows whose distances differ in the last bits; the pool keeps 32 more than asked, and the
//! distances that are returned and ordered by are computed in binary64 and rounded once (`spec/search.md`).

use super::Hit;
use super::pool::{Candidate, Pool, nearer};
use super::query::{Checked, QueryVector};
use crate::kernel::{Against, BitQuery, Kernels, Op, Query, exact_distance, exact_hamming};
use crate::store::{Id, RowId, Snapshot};
use crate::{Error, Result};
use bytemuck::AnyBitPattern;
use half::f16;
use rvf_format::{Clause, Dtype, Metric};
use std::ops::Range;

const BLOCK: usize = 256;
const SLACK: usize = 32;
/// A thread for fewer rows costs more than it saves.
const MIN_ROWS_A_THREAD: u64 = 4096;

pub(super) fn search(
    snapshot: &Snapshot,
    query: &QueryVector<'_>,
    k: usize,
    threads: usize,
    kernels: Kernels,
) -> Result<Vec<Hit>> {
    let checked = query.check(snapshot.schema())?;
    let wanted = k.min(usize::try_from(snapshot.count()).unwrap_or(usize::MAX));
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let capacity = wanted.saturating_add(SLACK);
    let scan = Scan { snapshot, kernels, op: op_of(snapshot.schema().metric) };
    let candidates = match (&checked, snapshot.schema().dtype) {
        (Checked::Bits(bits), _) => scan.run::<u8, _>(&prepared(BitQuery::new(bits))?, capacity, threads)?,
        (Checked::I8(query, _), _) => scan.run::<i8, _>(&prepared(Query::new(scan.op, query))?, capacity, threads)?,
        (Checked::U8(query, _), _) => scan.run::<u8, _>(&prepared(Query::new(scan.op, query))?, capacity, threads)?,
        (Checked::F32(query), Dtype::F32) => {
            scan.run::<f32, _>(&prepared(Query::new(scan.op, query))?, capacity, threads)?
        }
        (Checked::F32(query), Dtype::F16) => {
            scan.run::<f16, _>(&prepared(Query::new(scan.op, query))?, capacity, threads)?
        }
        (Checked::F32(query), Dtype::I8) => {
            scan.run::<i8, _>(&prepared(Query::new(scan.op, query))?, capacity, threads)?
        }
        (Checked::F32(query), _) => scan.run::<u8, _>(&prepared(Query::new(scan.op, query))?, capacity, threads)?,
    };
    refine(snapshot, &checked, candidates, wanted)
}

fn op_of(metric: Metric) -> Op {
    match metric {
        Metric::L2 | Metric::Hamming => Op::L2,
        Metric::Dot => Op::Dot,
        Metric::Cosine => Op::Cosine,
    }
}

/// The query was checked; what a kernel still refuses is a query beyond the range of its arithmetic.
fn prepared<Q>(query: std::result::Result<Q, crate::kernel::KernelError>) -> Result<Q> {
    query.map_err(|_| Error::NotFinite { row: 0, component: 0 })
}

struct Scan<'s> {
    snapshot: &'s Snapshot,
    kernels: Kernels,
    op: Op,
}

/// Consecutive rows of a part.
#[derive(Clone, Debug)]
struct Stretch {
    part: u32,
    rows: Range<u32>,
}

impl<'s> Scan<'s> {
    fn run<T, Q>(&self, query: &Q, capacity: usize, threads: usize) -> Result<Vec<Candidate>>
    where
        T: AnyBitPattern + Sync,
        Q: Against<T> + Sync,
    {
        let shares = self.shares(threads);
        let mut pools = std::thread::scope(|scope| {
            let (first, rest) =
                shares.split_first().map_or((&[][..], &[][..]), |(first, rest)| (first.as_slice(), rest));
            let others: Vec<_> = rest.iter().map(|share| scope.spawn(|| self.scan(query, share, capacity))).collect();
            let mut pools = vec![self.scan(query, first, capacity)];
            pools.extend(others.into_iter().map(|other| other.join().unwrap_or(Err(Error::Interrupted))));
            pools.into_iter()
        });
        let mut all = pools.next().unwrap_or_else(|| Ok(Pool::new(self.snapshot, capacity)))?;
        for pool in pools {
            all.append(pool?);
        }
        all.finish()
    }

    /// The rows, cut into as many shares as there are threads to be.
    fn shares(&self, threads: usize) -> Vec<Vec<Stretch>> {
        let rows: u64 = self.snapshot.parts().iter().map(|part| u64::from(part.entry.rows.get())).sum();
        let threads = (threads as u64).min(rows / MIN_ROWS_A_THREAD).max(1);
        let per_share = rows.div_ceil(threads).max(1);
        let mut shares = vec![Vec::new()];
        let mut room = per_share;
        for (part, source) in self.snapshot.parts().iter().enumerate() {
            let mut start = 0;
            while start < source.entry.rows.get() {
                // Only when there is a row to put into it: an empty share would cost a thread.
                if room == 0 {
                    room = per_share;
                    shares.push(Vec::new());
                }
                let take = u64::from(source.entry.rows.get() - start).min(room) as u32;
                if let Some(share) = shares.last_mut() {
                    share.push(Stretch { part: part as u32, rows: start..start + take });
                }
                start += take;
                room -= u64::from(take);
            }
        }
        shares
    }

    fn scan<T, Q>(&self, query: &Q, share: &[Stretch], capacity: usize) -> Result<Pool<'s>>
    where
        T: AnyBitPattern,
        Q: Against<T>,
    {
        let mut pool = Pool::new(self.snapshot, capacity);
        let mut out = [0f32; BLOCK];
        for stretch in share {
            let view = self.snapshot.view(stretch.part)?;
            let place = self.snapshot.parts()[stretch.part as usize].entry.offset.get();
            let unaligned = Error::Corrupt { clause: Clause::Pay2, at: place, what: "vectors are not aligned" };
            let rows: &[T] = bytemuck::try_cast_slice(view.vectors()).map_err(|_| unaligned)?;
            let width = rows.len() / (view.count() as usize).max(1);
            let dead = self.snapshot.dead()?.get(stretch.part as usize).and_then(Option::as_ref);
            let mut start = stretch.rows.start as usize;
            while start < stretch.rows.end as usize {
                let count = BLOCK.min(stretch.rows.end as usize - start);
                let block = rows.get(start * width..(start + count) * width).unwrap_or_default();
                let distances = &mut out[..count];
                self.kernels.distances(query, block, distances).map_err(|_| Error::Corrupt {
                    clause: Clause::Vec1,
                    at: place,
                    what: "rows are not of the query's length",
                })?;
                for (index, distance) in distances.iter().enumerate() {
                    let row = (start + index) as u32;
                    let distance = distance.min(f32::MAX);
                    if distance <= pool.threshold() && !dead.is_some_and(|dead| dead.get(row)) {
                        pool.push(Candidate { distance, at: RowId { part: stretch.part, row } })?;
                    }
                }
                start += count;
            }
        }
        Ok(pool)
    }
}

/// The final distance of each candidate, in binary64; the `k` nearest.
fn refine(snapshot: &Snapshot, query: &Checked<'_>, candidates: Vec<Candidate>, k: usize) -> Result<Vec<Hit>> {
    let mut hits = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let distance = exact(snapshot, query, candidate.at)?;
        let rounded = (distance as f32).clamp(f32::MIN, f32::MAX);
        // Zero has one sign: -0 would sort before 0 and tie with nothing.
        hits.push((if rounded == 0.0 { 0.0 } else { rounded }, snapshot.id_of(candidate.at)?));
    }
    hits.sort_by(|a, b| nearer(a.0, b.0, || a.1.cmp(&b.1)));
    hits.truncate(k);
    Ok(hits.into_iter().map(|(distance, id)| Hit { id: Id::from(id), distance }).collect())
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

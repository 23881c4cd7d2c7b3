//! The scan: every live row of some parts, by the best kernel of this CPU, then the nearest again in binary64.
//!
//! ```text
//! rows -> blocks of 256 -> kernel -> nearer than the threshold, live -> pool of k + 32 -> binary64 -> sort -> k hits
//! ```
//! The kernel's f32 sums may swap rows whose distances differ in the last bits; the pool keeps 32 more than asked, and the
//! distances that are returned and ordered by are computed in binary64 and rounded once (`spec/search.md`).

use super::pool::{Candidate, Pool};
use super::query::Checked;
use super::walk::prepared;
use crate::kernel::{Against, BitQuery, Kernels, Op, Query};
use crate::store::{RowId, Snapshot};
use crate::{Error, Result};
use bytemuck::AnyBitPattern;
use half::f16;
use rvf_format::{Clause, Dtype, Metric};
use std::ops::Range;

const BLOCK: usize = 256;
/// A thread for fewer rows costs more than it saves.
const MIN_ROWS_A_THREAD: u64 = 4096;

/// Scans the live rows of `parts` with the kernel that fits the query. The pool holds the nearest `capacity` of them.
pub(super) fn scan<'s>(
    snapshot: &'s Snapshot,
    query: &Checked<'_>,
    parts: &[u32],
    capacity: usize,
    threads: usize,
    kernels: Kernels,
) -> Result<Pool<'s>> {
    let scan = Scan { snapshot, kernels };
    let op = op_of(snapshot.schema().metric);
    let shares = scan.shares(parts, threads);
    match (query, snapshot.schema().dtype) {
        (Checked::Bits(bits), _) => scan.run::<u8, _>(&prepared(BitQuery::new(bits))?, capacity, &shares),
        (Checked::I8(query, _), _) => scan.run::<i8, _>(&prepared(Query::new(op, query))?, capacity, &shares),
        (Checked::U8(query, _), _) => scan.run::<u8, _>(&prepared(Query::new(op, query))?, capacity, &shares),
        (Checked::F32(query), dtype) => {
            let query = prepared(Query::new(op, query))?;
            match dtype {
                Dtype::F32 => scan.run::<f32, _>(&query, capacity, &shares),
                Dtype::F16 => scan.run::<f16, _>(&query, capacity, &shares),
                Dtype::I8 => scan.run::<i8, _>(&query, capacity, &shares),
                Dtype::U8 | Dtype::Binary => scan.run::<u8, _>(&query, capacity, &shares),
            }
        }
    }
}

/// Compares `rows`, which lie anywhere. The pool holds the nearest `capacity` of them.
pub(super) fn scan_rows<'s>(
    snapshot: &'s Snapshot,
    query: &Checked<'_>,
    rows: &[RowId],
    capacity: usize,
    kernels: Kernels,
) -> Result<Pool<'s>> {
    let scan = Scan { snapshot, kernels };
    let op = op_of(snapshot.schema().metric);
    match (query, snapshot.schema().dtype) {
        (Checked::Bits(bits), _) => scan.rows::<u8, _>(&prepared(BitQuery::new(bits))?, capacity, rows),
        (Checked::I8(query, _), _) => scan.rows::<i8, _>(&prepared(Query::new(op, query))?, capacity, rows),
        (Checked::U8(query, _), _) => scan.rows::<u8, _>(&prepared(Query::new(op, query))?, capacity, rows),
        (Checked::F32(query), dtype) => {
            let query = prepared(Query::new(op, query))?;
            match dtype {
                Dtype::F32 => scan.rows::<f32, _>(&query, capacity, rows),
                Dtype::F16 => scan.rows::<f16, _>(&query, capacity, rows),
                Dtype::I8 => scan.rows::<i8, _>(&query, capacity, rows),
                Dtype::U8 | Dtype::Binary => scan.rows::<u8, _>(&query, capacity, rows),
            }
        }
    }
}

pub(super) fn op_of(metric: Metric) -> Op {
    match metric {
        Metric::L2 | Metric::Hamming => Op::L2,
        Metric::Dot => Op::Dot,
        Metric::Cosine => Op::Cosine,
    }
}

struct Scan<'s> {
    snapshot: &'s Snapshot,
    kernels: Kernels,
}

/// Consecutive rows of a part.
#[derive(Clone, Debug)]
struct Stretch {
    part: u32,
    rows: Range<u32>,
}

impl<'s> Scan<'s> {
    fn run<T, Q>(&self, query: &Q, capacity: usize, shares: &[Vec<Stretch>]) -> Result<Pool<'s>>
    where
        T: AnyBitPattern + Sync,
        Q: Against<T> + Sync,
    {
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
        Ok(all)
    }

    /// The rows of `parts`, cut into as many shares as there are threads to be.
    fn shares(&self, parts: &[u32], threads: usize) -> Vec<Vec<Stretch>> {
        let sources = || parts.iter().filter_map(|part| Some((*part, self.snapshot.parts().get(*part as usize)?)));
        let rows: u64 = sources().map(|(_, source)| u64::from(source.entry.rows.get())).sum();
        let threads = (threads as u64).min(rows / MIN_ROWS_A_THREAD).max(1);
        let per_share = rows.div_ceil(threads).max(1);
        let mut shares = vec![Vec::new()];
        let mut room = per_share;
        for (part, source) in sources() {
            let mut start = 0;
            while start < source.entry.rows.get() {
                // Only when there is a row to put into it: an empty share would cost a thread.
                if room == 0 {
                    room = per_share;
                    shares.push(Vec::new());
                }
                let take = u64::from(source.entry.rows.get() - start).min(room) as u32;
                if let Some(share) = shares.last_mut() {
                    share.push(Stretch { part, rows: start..start + take });
                }
                start += take;
                room -= u64::from(take);
            }
        }
        shares
    }

    fn rows<T, Q>(&self, query: &Q, capacity: usize, rows: &[RowId]) -> Result<Pool<'s>>
    where
        T: AnyBitPattern,
        Q: Against<T>,
    {
        let mut pool = Pool::new(self.snapshot, capacity);
        let (mut stored, mut distances) = (Vec::with_capacity(BLOCK), Vec::new());
        for block in rows.chunks(BLOCK) {
            stored.clear();
            for at in block {
                stored.push(
                    bytemuck::try_cast_slice::<u8, T>(self.snapshot.view(at.part)?.row(at.row)).unwrap_or_default(),
                );
            }
            let what = "rows are not of the query's length";
            let mismatch = |_| Error::Corrupt { clause: Clause::Vec1, at: 0, what };
            self.kernels.distances_of(query, &stored, &mut distances).map_err(mismatch)?;
            for (distance, at) in distances.iter().zip(block) {
                let distance = distance.min(f32::MAX);
                if distance <= pool.threshold() {
                    pool.push(Candidate { distance, at: *at })?;
                }
            }
        }
        Ok(pool)
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

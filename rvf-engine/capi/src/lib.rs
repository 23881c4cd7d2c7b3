//! The C interface: a store is opened for reading, searched one query at a time or many, closed.
//!
//! ```text
//! rvf_open -> reader -> rvf_search, rvf_search_batch (any number of threads) -> rvf_close
//!    any failure -> a status, and rvf_error_message() of this thread
//! ```
//! `include/rvf.h` is made from this crate by cbindgen; a test holds them equal. No call unwinds into C: a panic becomes
//! [`RVF_INTERNAL`].
//!
//! | file | owns |
//! | --- | --- |
//! | `lib.rs` | opening, searching, closing |
//! | `filter.rs` | which records a filter finds |
//! | `writer.rs` | creating a store, adding to it, indexing it |
//! | `status.rs` | statuses, the last error of a thread |
//! | `input.rs` | what pointers and lengths must be, checked as far as that can be |

mod filter;
mod input;
mod status;
mod writer;

pub use status::{
    RVF_INTERNAL, RVF_NOT_NOW, RVF_OK, RVF_REFUSED, RVF_USAGE, rvf_error_hint, rvf_error_kind, rvf_error_message,
};

pub use filter::{RvfFilter, rvf_filter, rvf_filter_close, rvf_filter_count};
pub use writer::{
    RVF_COSINE, RVF_DOT, RVF_F16, RVF_F32, RVF_I8, RVF_L2, RVF_U8, RvfWriter, rvf_add, rvf_add_json, rvf_create,
    rvf_index, rvf_open_writer, rvf_writer_close,
};

use input::{into, path, reference, slice, slice_mut};
use rvf_engine::{Effort, Error, Id, IdType, Matches, Reader, Snapshot};
use status::{Fault, guarded};
use std::ffi::c_char;
use std::sync::Arc;

/// A store that is open for reading. Any number of threads may search it at a time.
pub struct RvfReader {
    snapshot: Arc<Snapshot>,
}

/// What a store holds.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RvfInfo {
    /// Components of a vector; of a binary store, its bits.
    pub dimension: u32,
    /// Whether ids are numbers (1) or strings (0).
    pub numeric_ids: u32,
    /// Live records.
    pub count: u64,
    /// Number of the commit.
    pub epoch: u64,
    /// Live records that an index covers.
    pub indexed: u64,
}

/// How a search is done. All zero: 10 hits, the default recall, one thread. `exact` goes before `ef`, and `ef` before `recall`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RvfSearch {
    /// Hits a query; 0 for 10.
    pub k: u32,
    /// Candidates that a walk keeps; 0 if `recall` says how hard to look.
    pub ef: u32,
    /// Mean recall@10 to aim at, above 0 and at most 1; 0 for the default.
    pub recall: f32,
    /// 1: compare every record.
    pub exact: u32,
    /// Threads of a batch, 1,024 at most; 0 for 1.
    pub threads: u32,
    /// Only records that it finds; null for all. Made by `rvf_filter` with the same reader.
    pub filter: *const RvfFilter,
}

impl Default for RvfSearch {
    fn default() -> Self {
        Self { k: 0, ef: 0, recall: 0.0, exact: 0, threads: 0, filter: std::ptr::null() }
    }
}

/// Opens the store at `path`, UTF-8, by mapping it. On success `*reader` is to be closed by `rvf_close`; else it is null.
///
/// # Safety
/// `path` is null or a string that ends with NUL; `reader` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvf_open(path: *const c_char, reader: *mut *mut RvfReader) -> i32 {
    guarded(|| {
        // SAFETY: as the caller promises.
        let (reader, path) = unsafe { (into(reader, "reader")?, self::path(path)?) };
        *reader = std::ptr::null_mut();
        let snapshot = Reader::open(path)?.snapshot();
        *reader = Box::into_raw(Box::new(RvfReader { snapshot }));
        Ok(())
    })
}

/// Closes a reader; null is allowed.
///
/// # Safety
/// `reader` came from `rvf_open`, was not closed before, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvf_close(reader: *mut RvfReader) {
    if !reader.is_null() {
        // SAFETY: it was made by `Box::into_raw` in `rvf_open`, and is given back once.
        drop(unsafe { Box::from_raw(reader) });
    }
}

/// What the store holds.
///
/// # Safety
/// `reader` is null or came from `rvf_open` and is open; `info` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvf_info(reader: *const RvfReader, info: *mut RvfInfo) -> i32 {
    guarded(|| {
        // SAFETY: as the caller promises.
        let (reader, info) = unsafe { (reference(reader, "reader")?, into(info, "info")?) };
        let snapshot = &reader.snapshot;
        *info = RvfInfo {
            dimension: snapshot.schema().dimension,
            numeric_ids: u32::from(snapshot.schema().id_type == IdType::U64),
            count: snapshot.count(),
            epoch: snapshot.epoch(),
            indexed: snapshot.indexed(),
        };
        Ok(())
    })
}

/// Finds the nearest records to `query`, `dimension` floats: their ids and distances, nearest first, and how many they are
/// in `*found`: k, or fewer where the store has fewer. The store's ids are numbers.
///
/// # Safety
/// Each pointer is null or valid for its length: `query` for `dimension` floats, `ids` and `distances` for `k` (10 where
/// `search.k` is 0), `search` (null for the defaults), `reader` and `found` for one. `distances` and `found` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvf_search(
    reader: *const RvfReader,
    query: *const f32,
    dimension: usize,
    search: *const RvfSearch,
    ids: *mut u64,
    distances: *mut f32,
    found: *mut usize,
) -> i32 {
    guarded(|| {
        // SAFETY: as the caller promises; null stands for the defaults.
        let how = unsafe { How::of(search.as_ref()) }?;
        // SAFETY: as the caller promises.
        let (reader, query, ids) =
            unsafe { (reference(reader, "reader")?, slice(query, dimension, "query")?, slice_mut(ids, how.k, "ids")?) };
        // SAFETY: as the caller promises; null is allowed.
        let (distances, found) = unsafe { (input::optional(distances, how.k)?, found.as_mut()) };
        let count = one(&reader.snapshot, query, &how, ids, distances)?;
        found.into_iter().for_each(|found| *found = count);
        Ok(())
    })
}

/// Finds the nearest records to each of `count` queries, row-major, on `search.threads` threads. The answers of query i begin
/// at `i * k` of `ids` and `distances`; what a query has fewer than k is filled with the largest id and infinity.
///
/// # Safety
/// Each pointer is null or valid for its length: `queries` for `count * dimension` floats, `ids` and `distances` for
/// `count * k`, `search` (null for the defaults) and `reader` for one. `distances` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvf_search_batch(
    reader: *const RvfReader,
    queries: *const f32,
    count: usize,
    dimension: usize,
    search: *const RvfSearch,
    ids: *mut u64,
    distances: *mut f32,
) -> i32 {
    guarded(|| {
        // SAFETY: as the caller promises; null stands for the defaults.
        let how = unsafe { How::of(search.as_ref()) }?;
        if count == 0 {
            return Ok(());
        }
        let (values, hits) = (input::product(count, dimension)?, input::product(count, how.k)?);
        // SAFETY: as the caller promises.
        let (reader, queries, ids) =
            unsafe { (reference(reader, "reader")?, slice(queries, values, "queries")?, slice_mut(ids, hits, "ids")?) };
        // SAFETY: as the caller promises; null is allowed.
        let distances = unsafe { input::optional(distances, hits)? };
        many(&reader.snapshot, Share { first: 0, queries, ids, distances }, dimension, &how)
    })
}

/// An [`RvfSearch`] that makes sense.
#[derive(Clone, Copy)]
struct How<'f> {
    k: usize,
    effort: Effort,
    threads: usize,
    matches: Option<&'f Matches>,
}

impl<'f> How<'f> {
    /// # Safety
    /// `search.filter` is null or came from `rvf_filter` and is open.
    unsafe fn of(search: Option<&'f RvfSearch>) -> Result<Self, Fault> {
        let search = search.copied().unwrap_or_default();
        // SAFETY: as the caller promises.
        let matches = unsafe { search.filter.as_ref() }.map(|filter| &filter.matches);
        let effort = match search {
            RvfSearch { exact: 1.., .. } => Effort::Exact,
            RvfSearch { ef: 1.., .. } => Effort::Ef(search.ef as usize),
            RvfSearch { recall: 0.0, .. } => Effort::default(),
            RvfSearch { recall, .. } if recall > 0.0 && recall <= 1.0 => Effort::Recall(f64::from(recall)),
            _ => return Err(Fault::usage("recall", "a recall is above 0 and at most 1")),
        };
        let k = if search.k == 0 { 10 } else { search.k as usize };
        Ok(Self { k, effort, threads: search.threads.clamp(1, 1024) as usize, matches })
    }
}

/// One query; how many hits there are.
fn one(
    snapshot: &Snapshot,
    query: &[f32],
    how: &How<'_>,
    ids: &mut [u64],
    mut distances: Option<&mut [f32]>,
) -> Result<usize, Error> {
    if snapshot.schema().id_type != IdType::U64 {
        return Err(Error::IdKind { expected: snapshot.schema().id_type });
    }
    let mut search = snapshot.search(query).k(how.k).effort(how.effort);
    if let Some(matches) = how.matches {
        search = search.filter(matches);
    }
    let hits = search.run()?;
    for (at, hit) in hits.iter().enumerate() {
        if let (Id::U64(id), Some(to)) = (&hit.id, ids.get_mut(at)) {
            *to = *id;
        }
        if let Some(to) = distances.as_deref_mut().and_then(|distances| distances.get_mut(at)) {
            *to = hit.distance;
        }
    }
    Ok(hits.len())
}

/// Consecutive queries and where their answers go.
struct Share<'a> {
    /// The number of the first.
    first: usize,
    queries: &'a [f32],
    ids: &'a mut [u64],
    distances: Option<&'a mut [f32]>,
}

impl<'a> Share<'a> {
    /// Shares of `size` queries of `dimension` components and `k` answers; the last may have fewer.
    fn split(self, size: usize, dimension: usize, k: usize) -> impl Iterator<Item = Share<'a>> {
        let (first, mut distances) = (self.first, self.distances);
        let parts = self.queries.chunks(size * dimension).zip(self.ids.chunks_mut(size * k)).enumerate();
        parts.map(move |(at, (queries, ids))| {
            let own = distances.take().map(|all| {
                let (own, after) = all.split_at_mut(ids.len());
                distances = Some(after);
                own
            });
            Share { first: first + at * size, queries, ids, distances: own }
        })
    }

    /// One query after the other.
    fn answer(self, snapshot: &Snapshot, dimension: usize, how: &How<'_>) -> Result<(), Fault> {
        for query in self.split(1, dimension, how.k) {
            let row = query.first as u64;
            one(snapshot, query.queries, how, query.ids, query.distances).map_err(|error| error.at_row(row))?;
        }
        Ok(())
    }
}

/// Queries in as many shares as there are threads, the first of which is this one.
fn many(snapshot: &Snapshot, mut all: Share<'_>, dimension: usize, how: &How<'_>) -> Result<(), Fault> {
    all.ids.fill(u64::MAX);
    all.distances.iter_mut().for_each(|distances| distances.fill(f32::INFINITY));
    if dimension == 0 {
        return Err(Error::Dimension { expected: snapshot.schema().dimension, found: 0 }.into());
    }
    let size = (all.queries.len() / dimension).div_ceil(how.threads).max(1);
    std::thread::scope(|scope| {
        let mut shares = all.split(size, dimension, how.k);
        let first = shares.next();
        let running: Vec<_> = shares.map(|share| scope.spawn(move || share.answer(snapshot, dimension, how))).collect();
        let first = first.map_or(Ok(()), |share| share.answer(snapshot, dimension, how));
        let ended = running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(Fault::panicked())));
        // All are waited for before the first error counts.
        std::iter::once(first).chain(ended).collect::<Vec<Result<(), Fault>>>().into_iter().collect()
    })
}

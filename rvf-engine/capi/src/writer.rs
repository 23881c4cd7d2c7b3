//! Writing from C: a store is created or opened, vectors are added in commits, the index is built, the writer is closed.

use crate::input::{into, path, product, slice, text};
use crate::status::{Fault, guarded};
use rvf_engine::ingest::door::{IdsRef, Rounding};
use rvf_engine::ingest::metadata_from_text;
use rvf_engine::{CreateOptions, Db, Dtype, IndexOptions, Metadata, Metric, OpenOptions, Schema};
use rvf_format::payload::witness::Operation;
use std::ffi::c_char;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Squared Euclidean distance.
pub const RVF_L2: u32 = 1;
/// Negated inner product.
pub const RVF_DOT: u32 = 2;
/// One minus the cosine.
pub const RVF_COSINE: u32 = 3;

/// Components of 32-bit floats.
pub const RVF_F32: u32 = 1;
/// Components of 16-bit floats; what is added is rounded to them.
pub const RVF_F16: u32 = 2;
/// Components that are whole numbers from -128 to 127.
pub const RVF_I8: u32 = 3;
/// Components that are whole numbers from 0 to 255.
pub const RVF_U8: u32 = 4;

/// A store that is open for writing: it holds the file's lock. One thread at a time may use it.
pub struct RvfWriter {
    db: Db,
}

fn options() -> OpenOptions {
    // The index is built when `rvf_index` asks for it.
    OpenOptions { manual_index: true, ..OpenOptions::default() }
}

fn create(path: &Path, schema: &Schema) -> Result<Db, Fault> {
    let create = CreateOptions { open: options(), ..CreateOptions::default() };
    Ok(Db::create_with(Arc::new(rvf_format::storage::FilePlace), path, schema, &create)?)
}

/// Creates a store of `dimension` components a vector, with ids that are numbers. On success `*writer` is to be closed by
/// `rvf_writer_close`; else it is null.
///
/// # Safety
/// `path` is null or a string that ends with NUL; `writer` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvf_create(
    path: *const c_char,
    dimension: u32,
    metric: u32,
    dtype: u32,
    writer: *mut *mut RvfWriter,
) -> i32 {
    guarded(|| {
        // SAFETY: as the caller promises.
        let (writer, path) = unsafe { (into(writer, "writer")?, self::path(path)?) };
        *writer = std::ptr::null_mut();
        let metric = match metric {
            RVF_L2 => Metric::L2,
            RVF_DOT => Metric::Dot,
            RVF_COSINE => Metric::Cosine,
            _ => return Err(Fault::usage("metric", "one of RVF_L2, RVF_DOT, RVF_COSINE")),
        };
        let dtype = match dtype {
            RVF_F32 => Dtype::F32,
            RVF_F16 => Dtype::F16,
            RVF_I8 => Dtype::I8,
            RVF_U8 => Dtype::U8,
            _ => return Err(Fault::usage("dtype", "one of RVF_F32, RVF_F16, RVF_I8, RVF_U8")),
        };
        let db = create(path, &Schema { dtype, ..Schema::new(dimension, metric) })?;
        *writer = Box::into_raw(Box::new(RvfWriter { db }));
        Ok(())
    })
}

/// Opens a store for writing. On success `*writer` is to be closed by `rvf_writer_close`; else it is null.
///
/// # Safety
/// `path` is null or a string that ends with NUL; `writer` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvf_open_writer(path: *const c_char, writer: *mut *mut RvfWriter) -> i32 {
    guarded(|| {
        // SAFETY: as the caller promises.
        let (writer, path) = unsafe { (into(writer, "writer")?, self::path(path)?) };
        *writer = std::ptr::null_mut();
        let db = Db::open_with(Arc::new(rvf_format::storage::FilePlace), path, &options())?;
        *writer = Box::into_raw(Box::new(RvfWriter { db }));
        Ok(())
    })
}

/// Adds `count` vectors of `dimension` floats, row-major, in one commit: with these ids, which replace records that have them, or,
/// where `ids` is null, with ids that continue from the largest. Numbers that a store of bytes does not hold exactly are refused.
///
/// # Safety
/// `writer` is null or open and used by no other thread; `vectors` is null or valid for `count * dimension` floats; `ids` is null
/// or valid for `count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvf_add(
    writer: *mut RvfWriter,
    vectors: *const f32,
    count: usize,
    dimension: usize,
    ids: *const u64,
) -> i32 {
    guarded(|| {
        // SAFETY: as the caller promises.
        unsafe { add(writer, vectors, (count, dimension), ids, &[]) }
    })
}

/// `rvf_add` with metadata: `metadata` holds `count` strings that end with NUL, each a JSON object of a record's fields, as
/// `{"lang":"de","words":40}`, or null.
///
/// # Safety
/// As for `rvf_add`; `metadata` is null or valid for `count` pointers, each null or a string that ends with NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvf_add_json(
    writer: *mut RvfWriter,
    vectors: *const f32,
    count: usize,
    dimension: usize,
    ids: *const u64,
    metadata: *const *const c_char,
) -> i32 {
    guarded(|| {
        // SAFETY: as the caller promises.
        let texts = unsafe { slice(metadata, count, "metadata")? };
        let mut fields = Vec::with_capacity(count);
        for (row, text) in texts.iter().enumerate() {
            // SAFETY: as the caller promises.
            fields.push(unsafe { fields_of(*text, row as u64)? });
        }
        // SAFETY: as the caller promises.
        unsafe { add(writer, vectors, (count, dimension), ids, &fields) }
    })
}

/// # Safety
/// As for [`rvf_add`].
unsafe fn add(
    writer: *mut RvfWriter,
    vectors: *const f32,
    (count, dimension): (usize, usize),
    ids: *const u64,
    metadata: &[Metadata],
) -> Result<(), Fault> {
    let values = product(count, dimension)?;
    // SAFETY: as the caller promises.
    let (writer, vectors) = unsafe { (into(writer, "writer")?, slice(vectors, values, "vectors")?) };
    let ids = match ids.is_null() {
        true => None,
        // SAFETY: as the caller promises.
        false => Some(IdsRef::U64(unsafe { slice(ids, count, "ids")? })),
    };
    let expected = writer.db.snapshot().schema().dimension;
    if dimension != expected as usize {
        return Err(rvf_engine::Error::Dimension { expected, found: dimension }.into());
    }
    writer.db.import_with((vectors.into(), metadata), ids, Rounding::ToF16, Operation::IMPORT, "")?;
    Ok(())
}

/// # Safety
/// `pointer` is null or a string that ends with NUL.
unsafe fn fields_of(pointer: *const c_char, row: u64) -> Result<Metadata, Fault> {
    if pointer.is_null() {
        return Ok(Metadata::new());
    }
    // SAFETY: as the caller promises.
    let text = unsafe { text(pointer, "metadata")? };
    Ok(metadata_from_text(text).map_err(|error| error.at_row(row))?)
}

/// Brings all records under one index, on `threads` threads (0: all that the machine has).
///
/// # Safety
/// `writer` is null or open and used by no other thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvf_index(writer: *mut RvfWriter, threads: u32) -> i32 {
    guarded(|| {
        // SAFETY: as the caller promises.
        let writer = unsafe { into(writer, "writer")? };
        let threads = if threads == 0 { None } else { Some(threads as usize) };
        let options = IndexOptions { threads, ..IndexOptions::default() };
        writer.db.index(&options, &mut |_, _| ControlFlow::Continue(()))?;
        Ok(())
    })
}

/// Closes a writer and gives the lock back; null is allowed.
///
/// # Safety
/// `writer` came from `rvf_create` or `rvf_open_writer`, was not closed before, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvf_writer_close(writer: *mut RvfWriter) {
    if !writer.is_null() {
        // SAFETY: it was made by `Box::into_raw`, and is given back once.
        drop(unsafe { Box::from_raw(writer) });
    }
}

//! Filters from C: made once, used by any number of searches.

use crate::RvfReader;
use crate::input::{into, reference, text as text_of};
use crate::status::guarded;
use rvf_engine::Matches;
use rvf_engine::filter::Filter;
use std::ffi::c_char;

/// The records of a reader that a filter finds.
pub struct RvfFilter {
    pub(crate) matches: Matches,
}

/// Finds out which records `text`, UTF-8, is true of, as `lang = 'de' AND words >= 40`. On success `*filter` is to be closed by
/// `rvf_filter_close`; else it is null. Fields that no record has are null in all.
///
/// # Safety
/// `reader` is null or open; `text` is null or a string that ends with NUL; `filter` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvf_filter(reader: *const RvfReader, text: *const c_char, filter: *mut *mut RvfFilter) -> i32 {
    guarded(|| {
        // SAFETY: as the caller promises.
        let (filter, reader) = unsafe { (into(filter, "filter")?, reference(reader, "reader")?) };
        *filter = std::ptr::null_mut();
        // SAFETY: as the caller promises.
        let text = unsafe { text_of(text, "text")? };
        let parsed = Filter::parse(text).map_err(rvf_engine::Error::from)?;
        let matches = reader.snapshot.matches(&parsed)?;
        *filter = Box::into_raw(Box::new(RvfFilter { matches }));
        Ok(())
    })
}

/// How many records it finds, in `*count`.
///
/// # Safety
/// `filter` is null or open; `count` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvf_filter_count(filter: *const RvfFilter, count: *mut u64) -> i32 {
    guarded(|| {
        // SAFETY: as the caller promises.
        let (filter, count) = unsafe { (reference(filter, "filter")?, into(count, "count")?) };
        *count = filter.matches.count();
        Ok(())
    })
}

/// Closes a filter; null is allowed.
///
/// # Safety
/// `filter` came from `rvf_filter`, was not closed before, and no search uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvf_filter_close(filter: *mut RvfFilter) {
    if !filter.is_null() {
        // SAFETY: it was made by `Box::into_raw` in `rvf_filter`, and is given back once.
        drop(unsafe { Box::from_raw(filter) });
    }
}

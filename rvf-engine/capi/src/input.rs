//! Pointers and lengths from C, checked as far as that can be: null, alignment, sizes beyond memory.

use crate::status::Fault;
use std::ffi::{CStr, c_char};
use std::path::Path;

fn check<T>(pointer: *const T, count: usize, what: &str) -> Result<(), Fault> {
    if pointer.is_null() {
        return Err(Fault::usage(what, "a null pointer"));
    }
    if !pointer.is_aligned() {
        return Err(Fault::usage(what, "a pointer that is not aligned"));
    }
    match count.checked_mul(size_of::<T>()) {
        Some(bytes) if bytes <= isize::MAX as usize => Ok(()),
        _ => Err(Fault::usage(what, "more elements than fit into memory")),
    }
}

/// `a * b`, if it can be a number of elements.
pub(crate) fn product(a: usize, b: usize) -> Result<usize, Fault> {
    a.checked_mul(b).ok_or_else(|| Fault::usage("count", "more elements than fit into memory"))
}

/// # Safety
/// `pointer` is null, or valid for reading as long as the reference is used.
pub(crate) unsafe fn reference<'a, T>(pointer: *const T, what: &str) -> Result<&'a T, Fault> {
    check(pointer, 1, what)?;
    // SAFETY: not null, aligned; valid as the caller promises.
    Ok(unsafe { &*pointer })
}

/// # Safety
/// `pointer` is null, or valid for writing as long as the reference is used, and nobody else uses it then.
pub(crate) unsafe fn into<'a, T>(pointer: *mut T, what: &str) -> Result<&'a mut T, Fault> {
    check(pointer, 1, what)?;
    // SAFETY: not null, aligned; valid and ours as the caller promises.
    Ok(unsafe { &mut *pointer })
}

/// # Safety
/// `pointer` is null, or valid for reading `count` elements as long as the slice is used.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, count: usize, what: &str) -> Result<&'a [T], Fault> {
    check(pointer, count, what)?;
    // SAFETY: not null, aligned, no larger than memory; valid as the caller promises.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// # Safety
/// `pointer` is null, or valid for writing `count` elements as long as the slice is used, and nobody else uses them then.
pub(crate) unsafe fn slice_mut<'a, T>(pointer: *mut T, count: usize, what: &str) -> Result<&'a mut [T], Fault> {
    check(pointer, count, what)?;
    // SAFETY: not null, aligned, no larger than memory; valid and ours as the caller promises.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, count) })
}

/// # Safety
/// As for [`slice_mut`].
pub(crate) unsafe fn optional<'a, T>(pointer: *mut T, count: usize) -> Result<Option<&'a mut [T]>, Fault> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: as the caller promises.
    unsafe { slice_mut(pointer, count, "distances") }.map(Some)
}

/// # Safety
/// As for [`text`].
pub(crate) unsafe fn path<'a>(pointer: *const c_char) -> Result<&'a Path, Fault> {
    // SAFETY: as the caller promises.
    unsafe { text(pointer, "path") }.map(Path::new)
}

/// # Safety
/// `pointer` is null, or a string that ends with NUL and lives as long as the text is used.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, what: &str) -> Result<&'a str, Fault> {
    check(pointer, 1, what)?;
    // SAFETY: not null; it ends with NUL as the caller promises.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| Fault::usage(what, "not UTF-8"))
}

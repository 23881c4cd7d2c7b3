//! Statuses, and the last error of a thread.

use rvf_engine::Error;
use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Done.
pub const RVF_OK: i32 = 0;
/// The call makes no sense: a null pointer, a query of another dimension, a component that is not finite.
pub const RVF_USAGE: i32 = 2;
/// Not now: the file is missing or cannot be read, or another program cut it.
pub const RVF_NOT_NOW: i32 = 3;
/// The file is refused: no store of this version, or damaged.
pub const RVF_REFUSED: i32 = 4;
/// A defect of the library.
pub const RVF_INTERNAL: i32 = 5;

/// Why a call failed.
pub(crate) struct Fault {
    status: i32,
    kind: &'static str,
    message: String,
    hint: String,
}

impl Fault {
    pub(crate) fn usage(what: &str, message: &str) -> Self {
        Self { status: RVF_USAGE, kind: "usage", message: format!("{what}: {message}"), hint: String::new() }
    }

    pub(crate) fn panicked() -> Self {
        let hint = "this is a defect: please report it".to_owned();
        Self { status: RVF_INTERNAL, kind: "internal", message: "the library panicked".to_owned(), hint }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let mut message = error.to_string();
        if let Some(clause) = error.clause() {
            message = format!("{message} ({clause})");
        }
        Self { status: i32::from(error.exit_code()), kind: error.kind(), message, hint: error.hint() }
    }
}

struct Last {
    kind: CString,
    message: CString,
    hint: CString,
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

/// Runs a call: its status, with the error kept for this thread. A panic is caught.
pub(crate) fn guarded(call: impl FnOnce() -> Result<(), Fault>) -> i32 {
    // What a panic leaves behind is only what the caller passed in to be written.
    let Err(fault) = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(Fault::panicked())) else {
        return RVF_OK;
    };
    let text = |text: &str| CString::new(text.replace('\0', " ")).unwrap_or_default();
    let last = Last { kind: text(fault.kind), message: text(&fault.message), hint: text(&fault.hint) };
    LAST.with(|kept| kept.replace(Some(last)));
    fault.status
}

fn last(part: impl Fn(&Last) -> &CString) -> *const c_char {
    LAST.with(|kept| kept.borrow().as_ref().map_or(c"".as_ptr(), |last| part(last).as_ptr()))
}

/// What went wrong in the last call of this thread that failed; empty if none did. Valid until the next call fails.
#[unsafe(no_mangle)]
pub extern "C" fn rvf_error_message() -> *const c_char {
    last(|last| &last.message)
}

/// The case, for machines: a stable name as `rvf --json` has it.
#[unsafe(no_mangle)]
pub extern "C" fn rvf_error_kind() -> *const c_char {
    last(|last| &last.kind)
}

/// What to do about it.
#[unsafe(no_mangle)]
pub extern "C" fn rvf_error_hint() -> *const c_char {
    last(|last| &last.hint)
}

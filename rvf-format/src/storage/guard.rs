//! Mappings whose file is cut: a table of all mappings, and the handler of SIGBUS that turns a page that went away into zeros
//! and a mark in the table. What the mark means to a reader is decided in `bytes.rs`.
//!
//! ```text
//! a read touches a page that is gone -> SIGBUS -> the slot with the address: mark it, then map zeros over the rest of it
//!                                              -> no slot: whoever handled SIGBUS before, else the process ends
//! ```
//! All of the table is atomics of fixed number: a handler may neither lock nor allocate.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Mappings that are looked after at once. Further ones work, but a fault in them ends the process.
const SLOTS: usize = 1024;

/// Values of [`Slot::start`] that are no addresses: nobody has the slot; somebody is filling it.
const FREE: usize = 0;
const TAKEN: usize = 1;

struct Slot {
    /// Address of the mapping.
    start: AtomicUsize,
    /// Its length, bytes.
    length: AtomicUsize,
    /// From which byte of it on zeros are mapped; `usize::MAX` if none are.
    lost_from: AtomicUsize,
}

static TABLE: [Slot; SLOTS] = [const {
    Slot { start: AtomicUsize::new(FREE), length: AtomicUsize::new(0), lost_from: AtomicUsize::new(usize::MAX) }
}; SLOTS];

/// A mapping in the table. Must be dropped before the mapping is.
pub(super) struct Watch {
    slot: Option<&'static Slot>,
}

impl Watch {
    /// Puts a mapping into the table.
    pub(super) fn new(mapping: &[u8]) -> Self {
        let claim = |slot: &&Slot| slot.start.compare_exchange(FREE, TAKEN, SeqCst, SeqCst).is_ok();
        let slot = TABLE.iter().find(claim);
        if let Some(slot) = slot {
            slot.length.store(mapping.len(), SeqCst);
            slot.lost_from.store(usize::MAX, SeqCst);
            // Last: with an address the slot counts.
            slot.start.store(mapping.as_ptr().addr(), SeqCst);
        }
        Self { slot }
    }

    /// From which byte on the mapping lost its file and reads as zeros; `usize::MAX` if nowhere.
    pub(super) fn lost_from(&self) -> usize {
        self.slot.map_or(usize::MAX, |slot| slot.lost_from.load(SeqCst))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            slot.start.store(FREE, SeqCst);
        }
    }
}

/// From now on, a mapped file that another program cuts ends in an error of the operation that reads it, not in a SIGBUS that ends
/// the process: see `spec/commit.md`, "Files that others change". Says whether that holds: on Linux and macOS. On Windows a mapped
/// file cannot be cut.
///
/// Installs a handler of SIGBUS for the whole process, once; faults that are not in our mappings go to the handler of before. Call
/// it at the start of a program, before others install theirs.
pub fn contain_faults() -> bool {
    signal::install()
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
mod signal {
    use super::{SeqCst, TABLE, TAKEN};
    use std::ffi::{c_int, c_void};
    use std::mem::MaybeUninit;
    use std::ptr;
    use std::sync::OnceLock;

    /// What the handler needs: how long a page is, and who handled SIGBUS before.
    struct Installed {
        page: usize,
        before: libc::sigaction,
    }

    static INSTALLED: OnceLock<Option<Installed>> = OnceLock::new();

    type WithInfo = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
    type WithoutInfo = extern "C" fn(c_int);

    pub(super) fn install() -> bool {
        // The handler may run before the cell is filled: then it returns, and the read faults again.
        INSTALLED.get_or_init(|| look().filter(|_| set_handler())).is_some()
    }

    fn look() -> Option<Installed> {
        // SAFETY: sysconf reads a constant of the system.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: no new action is given, and `before` has room for the old one.
        let asked = unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), before.as_mut_ptr()) };
        // SAFETY: zeros are a valid sigaction (no flags, no handler), and the call before may only have filled it.
        let before = unsafe { before.assume_init() };
        let page = usize::try_from(page).ok().filter(|page| page.is_power_of_two())?;
        (asked == 0).then_some(Installed { page, before })
    }

    fn set_handler() -> bool {
        // SAFETY: zeros are a valid sigaction.
        let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
        action.sa_sigaction = on_bus_error as *const () as usize;
        // Rust's threads have a stack for handlers; a thread that ran out of its own stack has no other.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: `action` is whole, its mask is empty, and `on_bus_error` has the signature that SA_SIGINFO asks for and does only
        // what a handler may: atomics, mmap, sigaction and raise.
        unsafe { libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()) == 0 }
    }

    extern "C" fn on_bus_error(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
        let Some(Some(installed)) = INSTALLED.get() else { return };
        // SAFETY: the system gives a handler with SA_SIGINFO a valid siginfo.
        let cause = unsafe { &*info };
        // SAFETY: si_addr reads a field of the union that is there for SIGBUS; for one that a process sent it is some number, and
        // then the code is another.
        let address = unsafe { cause.si_addr() }.addr();
        if cause.si_code != libc::BUS_ADRERR || !contain(address, installed.page) {
            pass_on(&installed.before, signal, info, context);
        }
    }

    /// Marks the mapping with this address and maps zeros from its page to the end of the mapping; `false` if it is not ours.
    ///
    /// To the end, since after a cut the pages behind are gone, too; so a mapping faults a few times, however it is walked.
    fn contain(address: usize, page: usize) -> bool {
        for slot in &TABLE {
            let start = slot.start.load(SeqCst);
            let length = slot.length.load(SeqCst);
            // Start and length belong together if the start is the same after: the slots of other mappings may change meanwhile. The
            // slot of this address may not, as the thread that faults borrows from the mapping.
            let settled = start > TAKEN && slot.start.load(SeqCst) == start;
            if !settled || address.wrapping_sub(start) >= length {
                continue;
            }
            let first = address & !(page - 1);
            // The mark comes first: who reads a zero finds it.
            slot.lost_from.fetch_min(first.saturating_sub(start), SeqCst);
            return map_zeros(first, start + length - first);
        }
        false
    }

    fn map_zeros(first: usize, length: usize) -> bool {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
        let at = ptr::without_provenance_mut::<c_void>(first);
        // SAFETY: the range lies in one of our mappings, which begins and ends with whole pages and lives while the faulting thread
        // borrows from it; nobody else has memory there. What changes under the borrowed bytes are pages that could not be read, and
        // pages behind them; readers are told by the mark. munmap later takes these pages with the others.
        let mapped = unsafe { libc::mmap(at, length, libc::PROT_READ, flags, -1, 0) };
        mapped != libc::MAP_FAILED
    }

    /// Leaves the signal to whoever handled it before; where nobody did, the process ends by it.
    fn pass_on(before: &libc::sigaction, signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
        let handler = before.sa_sigaction;
        if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
            // To ignore a fault would be to fault for ever: the system ends the process for it, too.
            end_by(signal);
        } else if before.sa_flags & libc::SA_SIGINFO != 0 {
            // SAFETY: whoever installed it said by SA_SIGINFO that it has this signature.
            let handler = unsafe { std::mem::transmute::<usize, WithInfo>(handler) };
            handler(signal, info, context);
        } else {
            // SAFETY: without SA_SIGINFO a handler takes the number alone.
            let handler = unsafe { std::mem::transmute::<usize, WithoutInfo>(handler) };
            handler(signal);
        }
    }

    fn end_by(signal: c_int) {
        // SAFETY: zeros are a valid sigaction; they mean the default action.
        let action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
        // SAFETY: `action` is whole; sigaction may be called in a handler.
        unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
        // SAFETY: raise may be called in a handler. The signal is blocked until the handler returns, and then ends the process.
        unsafe { libc::raise(signal) };
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
mod signal {
    pub(super) fn install() -> bool {
        cfg!(windows)
    }
}

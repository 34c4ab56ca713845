//! Atomic operations on map values.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd, atomic_xchg};
use core::ptr::{read_volatile, write_volatile};

/// How a cursor is replaced.
///
/// Two hooks may look at one socket at once, on two CPUs. Whoever replaces the cursor must learn what it replaced, or
/// bytes are credited twice.
pub(crate) trait Swap {
    /// Puts `new` at `cursor` and gives what was there.
    ///
    /// # Safety
    /// `cursor` must point into a map value.
    unsafe fn swap(cursor: *mut u64, new: u64) -> u64;

    /// Puts `key` at `place` if that is empty; `false` if it is not, or if there is no way to know for sure.
    ///
    /// # Safety
    /// `place` must point into a map value.
    unsafe fn claim(place: *mut u64, key: u64) -> bool;

    /// Adds 1 to `counter` and gives what was there; `None` if others were always first, or if there is no way to know.
    ///
    /// # Safety
    /// `counter` must point into a map value.
    unsafe fn next(counter: *mut u64) -> Option<u64>;
}

/// By one atomic instruction (Linux 5.12 and later; a 5.10 verifier refuses a program that has it).
pub(crate) struct Exchange;

impl Swap for Exchange {
    #[inline(always)]
    unsafe fn swap(cursor: *mut u64, new: u64) -> u64 {
        // SAFETY: the caller passes a pointer into a map value, 8-byte aligned as all fields of a stream are.
        unsafe { atomic_xchg::<u64, { AtomicOrdering::SeqCst }>(cursor, new) }
    }

    #[inline(always)]
    unsafe fn claim(place: *mut u64, key: u64) -> bool {
        // SAFETY: as above.
        unsafe { atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(place, 0, key).0 == 0 }
    }

    #[inline(always)]
    unsafe fn next(counter: *mut u64) -> Option<u64> {
        /// As each of those who are first gets one, this many CPUs must come at the same moment for one to go without.
        const TRIES: u32 = 16;
        for _ in 0..TRIES {
            // SAFETY: as above.
            unsafe {
                let value = read_volatile(counter);
                if replace(counter, value, value + 1) {
                    return Some(value);
                }
            }
        }
        None
    }
}

/// Puts `new` at `cursor` if it is still at `old`; whether it was.
///
/// # Safety
/// `cursor` must point into a map value.
#[inline(always)]
pub(crate) unsafe fn replace(cursor: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: as above.
    unsafe { atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(cursor, old, new).0 == old }
}

/// By a load and a store, for older kernels: exact as long as all looks at one socket are made under its lock.
pub(crate) struct UnderLock;

impl Swap for UnderLock {
    #[inline(always)]
    unsafe fn swap(cursor: *mut u64, new: u64) -> u64 {
        // SAFETY: as above.
        unsafe {
            let old = read_volatile(cursor);
            write_volatile(cursor, new);
            old
        }
    }

    #[inline(always)]
    unsafe fn claim(_place: *mut u64, _key: u64) -> bool {
        false
    }

    #[inline(always)]
    unsafe fn next(_counter: *mut u64) -> Option<u64> {
        None
    }
}

/// Adds to a counter that other programs on this CPU may add to in the middle of ours.
///
/// # Safety
/// `counter` must point into a map value.
#[inline(always)]
pub(crate) unsafe fn add(counter: *mut u64, amount: u64) {
    // SAFETY: the caller passes a pointer into a map value, 8-byte aligned.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, amount) };
}

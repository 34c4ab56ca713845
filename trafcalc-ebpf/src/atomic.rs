//! Atomic operations on map values. Operations that return a value order all accesses before and after them, on every processor
//! (Documentation/atomic_t.txt of the kernel).
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::arch::asm;
use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd, atomic_xchg};
use core::ptr::read_volatile;

/// Stores `new` at `place` and returns the previous value (Linux 5.12 and later).
///
/// # Safety
/// `place` must point into a map value, as for all functions here.
#[inline(always)]
pub(crate) unsafe fn swap(place: *mut u64, new: u64) -> u64 {
    // SAFETY: the caller passes a pointer into a map value, 8-byte aligned as all fields of this size are.
    unsafe { atomic_xchg::<u64, { AtomicOrdering::SeqCst }>(place, new) }
}

/// Stores `new` at `place` if it still holds `old`. Returns whether it did.
///
/// # Safety
/// As for [`swap`].
#[inline(always)]
pub(crate) unsafe fn replace(place: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: as above.
    unsafe { atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(place, old, new).0 == old }
}

/// Adds to a counter to which another program on this CPU may add while it interrupts this one. Orders nothing.
///
/// # Safety
/// As for [`swap`].
#[inline(always)]
pub(crate) unsafe fn add(counter: *mut u64, amount: u64) {
    // SAFETY: as above.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, amount) };
}

/// Sets bits. Orders nothing.
///
/// # Safety
/// As for [`swap`].
#[inline(always)]
pub(crate) unsafe fn set(word: *mut u64, bits: u64) {
    // SAFETY: as above. In assembly, because the compiler would ask for the old value, which this target does not support.
    unsafe { asm!("lock *(u64 *)({word} + 0) |= {bits}", word = in(reg) word, bits = in(reg) bits) };
}

/// Returns `place` as an address that depends on `value`, so that processors with weak ordering (arm64) load from it after `value`. On
/// other processors this costs two instructions, and no memory access.
#[inline(always)]
pub(crate) fn behind<T>(value: u64, place: *mut T) -> *mut T {
    let none: u64;
    // SAFETY: touches no memory. In assembly, because the compiler would fold the result.
    unsafe { asm!("{none} &= 0", none = inlateout(reg) value => none, options(pure, nomem, nostack)) };
    place.wrapping_byte_add(none as usize)
}

/// Increments a counter below `limit` and returns its previous value; `None` at the limit, or if other CPUs won every attempt.
///
/// # Safety
/// As for [`swap`].
#[inline(always)]
pub(crate) unsafe fn next(counter: *mut u64, limit: u64) -> Option<u64> {
    /// Each lost attempt means that another CPU succeeded, so this many CPUs have to collide at once before one fails.
    const TRIES: u32 = 16;
    for _ in 0..TRIES {
        // SAFETY: as above.
        unsafe {
            let value = read_volatile(counter);
            // Checked on the value that is replaced: CPUs that take the last number at once would pass a check before.
            if value >= limit {
                return None;
            }
            if replace(counter, value, value + 1) {
                return Some(value);
            }
        }
    }
    None
}

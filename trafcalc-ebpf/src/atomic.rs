//! Atomic operations on map values. Those that give a value order all accesses before and after them, on every processor
//! (Documentation/atomic_t.txt of the kernel).
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::arch::asm;
use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd, atomic_xchg};
use core::ptr::read_volatile;

/// Puts `new` at `place` and gives what was there (Linux 5.12 and later).
///
/// # Safety
/// `place` must point into a map value, as for all functions here.
#[inline(always)]
pub(crate) unsafe fn swap(place: *mut u64, new: u64) -> u64 {
    // SAFETY: the caller passes a pointer into a map value, 8-byte aligned as all fields of this size are.
    unsafe { atomic_xchg::<u64, { AtomicOrdering::SeqCst }>(place, new) }
}

/// Puts `new` at `place` if it is still `old`; whether it was.
///
/// # Safety
/// As for [`swap`].
#[inline(always)]
pub(crate) unsafe fn replace(place: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: as above.
    unsafe { atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(place, old, new).0 == old }
}

/// Adds to a counter that other programs on this CPU may add to in the middle of ours. Orders nothing.
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
    // SAFETY: as above. In assembler, as the compiler would want the old value, which this target cannot give.
    unsafe { asm!("lock *(u64 *)({word} + 0) |= {bits}", word = in(reg) word, bits = in(reg) bits) };
}

/// `place`, as an address that depends on `value`: what is loaded there is at least as new as `value`, on processors that may
/// else load it before (arm64). One that needs no such order pays two instructions, and no access to memory.
#[inline(always)]
pub(crate) fn behind<T>(value: u64, place: *mut T) -> *mut T {
    let none: u64;
    // SAFETY: touches no memory. In assembler, as the compiler would know the result.
    unsafe { asm!("{none} &= 0", none = inlateout(reg) value => none, options(pure, nomem, nostack)) };
    place.wrapping_byte_add(none as usize)
}

/// Takes the next number of a counter; `None` if others were always first.
///
/// # Safety
/// As for [`swap`].
#[inline(always)]
pub(crate) unsafe fn next(counter: *mut u64) -> Option<u64> {
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

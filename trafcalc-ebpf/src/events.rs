//! Counting rare events.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use crate::atomic;
use crate::maps::EVENTS;

/// Counts a rare event, by an index of `trafcalc_common::maps::event`.
#[inline(always)]
pub(crate) fn count(index: u32) {
    if let Some(count) = EVENTS.get_ptr_mut(index) {
        // SAFETY: `count` points to a map value.
        unsafe { atomic::add(count, 1) };
    }
}

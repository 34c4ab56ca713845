//! Compares the stream of a connection that ends with what the kernel says. See `trafcalc_common::audit`.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::write_volatile;

use trafcalc_common::audit::{agrees, evidence};
use trafcalc_common::connection::{Numbers, Position};
use trafcalc_common::maps::{Stream, event};

use crate::events;
use crate::maps::EVIDENCE;

/// Audits a connection at its end, and counts the result.
#[inline(always)]
pub(crate) fn at_end(stream: &Stream, numbers: &Numbers, last: &Position) {
    events::count(event::AUDITED);
    if !agrees(stream, numbers, last) {
        tell(stream, numbers);
    }
}

/// Counts a mismatch: the stream is that of an earlier connection of this socket, whose end was missed.
#[inline(always)]
pub(crate) fn has_missed_an_end(stream: &Stream, numbers: &Numbers) {
    events::count(event::AUDITED);
    tell(stream, numbers);
}

#[inline(never)]
fn tell(stream: &Stream, numbers: &Numbers) -> i32 {
    events::count(event::MISMATCHED);
    if let Some(place) = EVIDENCE.get_ptr_mut(0) {
        // SAFETY: `place` points to a map value.
        unsafe { write_volatile(place, evidence(stream, numbers)) };
    }
    0
}

//! Whether what was credited for a connection is what the kernel says it moved. Asked once, when it is destroyed.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::{read_volatile, write_volatile};

use trafcalc_common::Numbers;
use trafcalc_common::audit::Audit;
use trafcalc_common::maps::{Stream, event};

use crate::credit;
use crate::maps::EVIDENCE;

/// Compares and counts; nobody can use the socket any more. Of a late stream nobody knows what it owes.
///
/// A function with a frame of its own: the kernel has 512 bytes for all frames together.
#[inline(never)]
pub(crate) fn at_end(stream: *mut Stream, numbers: &Numbers, has_fin: bool) {
    // SAFETY: `stream` points to a map value.
    let stream = unsafe { read_volatile(stream) };
    if stream.flags & Stream::LATE != 0 {
        return;
    }
    credit::event(event::AUDITED);
    let audit = Audit::new(&stream, numbers, has_fin);
    if !audit.agrees() {
        if let Some(evidence) = EVIDENCE.get_ptr_mut(0) {
            // SAFETY: `evidence` points to a map value.
            unsafe { write_volatile(evidence, audit.evidence(&stream, numbers)) };
        }
        credit::event(event::MISMATCHED);
    }
}

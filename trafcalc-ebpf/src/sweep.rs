//! Looking at all streams when the service asks, in place of hooks in the way of each byte.
//!
//! Only where nothing but the user of a socket matters, who is still known later. The service runs this program itself
//! (`BPF_PROG_TEST_RUN`); it is attached to nothing.
#![expect(unsafe_code, reason = "the kernel calls back with raw memory")]

use core::ffi::c_void;
use core::ptr::read_volatile;

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

use crate::settle;
use crate::slots;
use crate::sock::Sock;
use crate::steps::{self, GO_ON, STOP};

/// Slots to look at.
struct Slots {
    first: u32,
    end: u32,
}

/// Looks at the streams in as many slots as a run has steps, from number `arg(0)` on and before `arg(1)`.
#[raw_tracepoint]
pub(crate) fn sweep(context: RawTracePointContext) -> i32 {
    steps::take(look, &mut Slots { first: context.arg(0), end: context.arg(1) });
    0
}

extern "C" fn look(_map: *mut c_void, step: *const u32, _element: *mut u64, slots: *mut Slots) -> i64 {
    // SAFETY: both are there as long as the kernel calls.
    let (number, end) = unsafe { ((*slots).first + read_volatile(step), (*slots).end) };
    if number >= end {
        return STOP;
    }
    let Some(slot) = slots::at(number) else { return STOP };
    let key = slots::key(slot);
    if key != 0 {
        settle::from_outside(Sock::of_key(key), slots::stream(slot), || slots::key(slot) == key);
    }
    GO_ON
}

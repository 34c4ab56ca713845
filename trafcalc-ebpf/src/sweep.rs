//! Looking at all streams when the service asks, in place of hooks in the way of each byte.
//!
//! Only where nothing but the user of a socket matters, who is still known later. The service runs these programs itself
//! (`BPF_PROG_TEST_RUN`); they are attached to nothing.
#![expect(unsafe_code, reason = "the kernel calls back with raw memory")]

use core::ffi::c_void;
use core::ptr::{null_mut, read_volatile};

use aya_ebpf::helpers::generated::bpf_for_each_map_elem;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use trafcalc_common::maps::Stream;

use crate::maps::STREAMS;
use crate::settle;
use crate::sock::Sock;

/// Looks at all streams.
#[raw_tracepoint]
pub(crate) fn sweep(_: RawTracePointContext) -> i32 {
    let streams = (&raw const STREAMS).cast_mut().cast();
    // SAFETY: the kernel calls `look` with a key and a value of the map.
    unsafe { bpf_for_each_map_elem(streams, look as *mut c_void, null_mut(), 0) };
    0
}

/// Called for each stream; 0 is to go on.
extern "C" fn look(_map: *mut c_void, key: *const u64, stream: *mut Stream, _: *mut c_void) -> i64 {
    // SAFETY: points to 8 bytes. A place is given to another stream with its key first.
    let now = || unsafe { read_volatile(key) };
    let key = now();
    settle::from_outside(Sock::of_key(key), stream, || now() == key);
    0
}

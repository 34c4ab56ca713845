//! Looks at every connection before a report. The service runs this program itself (`BPF_PROG_TEST_RUN`); it is attached to nothing.
#![expect(unsafe_code, reason = "the kernel calls back with raw memory")]

use core::ffi::c_void;
use core::ptr::read_volatile;

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use trafcalc_common::maps::{BUCKET_STREAMS, BUCKETS_A_WORD, Stream, table as words};

use crate::atomic;
use crate::bounded_loop::{self, GO_ON, STOP};
use crate::look;
use crate::maps::{BUCKETS, OCCUPIED, SPILL, STEPS, WORD_STEPS, is_acting};
use crate::table;

/// Words of the bitmap.
struct Words {
    first: u32,
    end: u32,
    is_last: bool,
}

/// Buckets of one word.
struct Buckets {
    first: u32,
    /// Buckets whose streams are to be looked at.
    bits: u64,
    /// Buckets that still have a stream.
    occupied: u64,
    is_last: bool,
}

/// Looks at the streams in the buckets of as many bitmap words as a run has steps, from word `arg(0)` on and before word `arg(1)`.
/// `arg(2)` is not 0 for the last sweep of the service. When it begins with the first word, it also looks at the streams in the hash.
#[raw_tracepoint]
pub(crate) fn sweep(context: RawTracePointContext) -> i32 {
    if !is_acting() {
        return 0;
    }
    let (first, end): (u32, u32) = (context.arg(0), context.arg(1));
    let mut is_last = context.arg::<u32>(2) != 0;
    if first == 0 && table::word(words::SPILLED) != 0 {
        bounded_loop::each(&SPILL, spilled, &mut is_last);
    }
    bounded_loop::each(&STEPS, word, &mut Words { first, end, is_last });
    0
}

extern "C" fn spilled(_map: *mut c_void, key: *const u64, _stream: *mut Stream, is_last: *mut bool) -> i64 {
    // SAFETY: both are there as long as the kernel calls.
    let (key, is_last) = unsafe { (read_volatile(key), read_volatile(is_last)) };
    look::look(key, is_last.into());
    GO_ON
}

extern "C" fn word(_map: *mut c_void, step: *const u32, _element: *mut u64, words: *mut Words) -> i64 {
    // SAFETY: both are there as long as the kernel calls.
    let (number, end, is_last) = unsafe { ((*words).first + read_volatile(step), (*words).end, (*words).is_last) };
    if number >= end {
        return STOP;
    }
    let Some(word) = OCCUPIED.get_ptr_mut(number) else { return STOP };
    // SAFETY: points to a map value. The exchange is ordered, so that keys are read after it. The bits that are set again need no
    // order, because no read depends on them.
    unsafe {
        if read_volatile(word) != 0 {
            let mut buckets =
                Buckets { first: number * BUCKETS_A_WORD, bits: atomic::swap(word, 0), occupied: 0, is_last };
            bounded_loop::each(&WORD_STEPS, bucket, &mut buckets);
            atomic::set(word, buckets.occupied);
        }
    }
    GO_ON
}

extern "C" fn bucket(_map: *mut c_void, step: *const u32, _element: *mut u64, buckets: *mut Buckets) -> i64 {
    // SAFETY: both are there as long as the kernel calls.
    let (step, buckets) = unsafe { (read_volatile(step) % BUCKETS_A_WORD, &mut *buckets) };
    let bit = 1_u64 << step;
    if buckets.bits & bit == 0 {
        return GO_ON;
    }
    let Some(bucket) = BUCKETS.get_ptr_mut(buckets.first + step) else { return STOP };
    for index in 0..BUCKET_STREAMS {
        let key = table::holder(bucket, index);
        // The stream may belong to another connection by now, or not be written yet. The look detects both.
        if key != 0 {
            buckets.occupied |= bit;
            look::look(key, buckets.is_last.into());
        }
    }
    GO_ON
}

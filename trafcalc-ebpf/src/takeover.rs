//! Takes over the streams of the former generation of programs, which has a table of its own. Each stream moves with its cursors from
//! that table to ours, so no byte is credited twice or missed.
//!
//! A stream is *claimed* by clearing its key in the former table, which succeeds once. Only then are its cursors read, by an exchange
//! with `NOWHERE`, so that a former program that is still about to move one fails. Two kinds of programs claim streams, both after the
//! service has activated this generation: programs that see each change of state before our others do, so that those find the stream in
//! our table; and [`take_over`], which the service runs to claim all other streams.
//!
//! A connection may end between the claim of [`take_over`] and the insertion of its stream into our table. The program that sees such
//! an end finds nothing to claim, notes the end (`ENDED`), and then looks for the stream again. [`take_over`] inserts the stream and
//! then looks for a note. One of the two always finds the other, and the end sets the cursors to `NOWHERE`, so only one of them
//! credits.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ffi::c_void;
use core::ptr::read_volatile;

use aya_ebpf::programs::RawTracePointContext;
use trafcalc_common::connection::{Change, change, sent_base};
use trafcalc_common::maps::{BUCKET_STREAMS, Bucket, NOT_ACTING, Place, Stream, bucket, event};

use crate::atomic;
use crate::bounded_loop::{self, GO_ON, STOP};
use crate::events;
use crate::life;
use crate::look;
use crate::loopback;
use crate::maps::{ENDED, ENDS, OLD_BUCKETS, OLD_SPILL, STEPS, is_acting, old_bucket_bits};
use crate::sock::Sock;
use crate::table::{self, ANY};

/// A socket is about to go from state `old` to `new`, and is locked.
#[inline(always)]
pub(crate) fn before(sk: Sock, old: u32, new: u32) {
    let change = change(old, new);
    if change == Change::Nothing || loopback::has_local_peer_to_leave_out(sk) {
        return;
    }
    claim_or_note(sk.key(), old, (change == Change::Ends).into());
}

/// Exported like the functions below, so that the verifier checks each only once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn claim_or_note(key: u64, old: u32, ends: u32) -> i32 {
    let is_there = table::find(key).is_some();
    if let Some(stream) = claim(key) {
        // If another program has handled the event before, its stream is the current one.
        if !is_there {
            keep(key, &stream);
        }
    } else if ends != 0 && !is_there {
        let base = sent_base(&Sock::of(key).numbers());
        let _ = ENDED.insert(key, u64::from(base) << 32 | u64::from(old), ANY);
        // The note is visible before the table is read again.
        table::order();
    }
    0
}

/// Claims a stream in the former table, if it is there and no other program claims it.
#[inline(always)]
fn claim(key: u64) -> Option<Stream> {
    if let Some(bucket) = OLD_BUCKETS.get_ptr_mut(bucket(key, old_bucket_bits())) {
        for index in 0..BUCKET_STREAMS {
            if table::holder(bucket, index) == key {
                // SAFETY: points into a map value.
                let is_ours = unsafe { atomic::replace(table::place(bucket, index), key, 0) };
                return is_ours.then(|| take(table::stream(bucket, index)));
            }
        }
    }
    let stream = OLD_SPILL.get_ptr_mut(key)?.cast();
    // Its memory stays valid until this program returns.
    OLD_SPILL.remove(key).ok().map(|()| take(stream))
}

/// Reads a claimed stream and invalidates its cursors. The row of its actor belongs to the former generation, so the new stream starts
/// without an actor.
#[inline(always)]
fn take(stream: *mut Stream) -> Stream {
    // SAFETY: points to a map value.
    let (received, sent) = unsafe {
        let received = atomic::swap(&raw mut (*stream).received, Stream::NOWHERE);
        (received, atomic::swap(&raw mut (*stream).sent, Stream::NOWHERE))
    };
    let rest = look::read(stream);
    Stream { sent, received, ..rest }
}

/// Inserts a stream into our table.
#[inline(always)]
fn keep(key: u64, stream: &Stream) {
    if !table::insert(key, stream) {
        // Keeps its end from crediting it as a whole.
        let _ = ENDS.insert(key, stream.sent_base, ANY);
        events::count(event::LOST);
    }
}

/// A range of buckets of the former table.
struct Buckets {
    first: u32,
    end: u32,
    left: u32,
}

/// Claims the streams in as many buckets of the former table as a run has steps, from number `arg(0)` on and before `arg(1)`, and, when
/// it begins with the first bucket, those in the hash. Returns how many it left for the programs that see changes of state.
///
/// Written without aya's macro, which would discard the return value.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
extern "C" fn take_over(context: *mut c_void) -> u32 {
    let context = RawTracePointContext::new(context);
    if !is_acting() {
        return NOT_ACTING;
    }
    let mut buckets = Buckets { first: context.arg(0), end: context.arg(1), left: 0 };
    if buckets.first == 0 {
        bounded_loop::each(&OLD_SPILL, spilled, &mut buckets);
    }
    bounded_loop::each(&STEPS, step, &mut buckets);
    buckets.left
}

extern "C" fn spilled(_map: *mut c_void, key: *const u64, _place: *mut Place, buckets: *mut Buckets) -> i64 {
    // SAFETY: both are there as long as the kernel calls.
    unsafe { (*buckets).left += move_whole(read_volatile(key)) };
    GO_ON
}

extern "C" fn step(_map: *mut c_void, step: *const u32, _element: *mut u64, buckets: *mut Buckets) -> i64 {
    // SAFETY: both are there as long as the kernel calls.
    let (step, buckets) = unsafe { (read_volatile(step), &mut *buckets) };
    let number = buckets.first + step;
    if number >= buckets.end {
        return STOP;
    }
    let Some(bucket) = OLD_BUCKETS.get_ptr_mut(number) else { return STOP };
    // Not in a loop: before Linux 6.2 the verifier takes a call in a loop for recursion.
    const { assert!(BUCKET_STREAMS == 4, "as many as are moved here") };
    buckets.left += move_holder(bucket, 0) + move_holder(bucket, 1) + move_holder(bucket, 2) + move_holder(bucket, 3);
    GO_ON
}

#[inline(always)]
fn move_holder(bucket: *mut Bucket, index: usize) -> u32 {
    match table::holder(bucket, index) {
        0 => 0,
        key => move_whole(key),
    }
}

/// Moves the stream of `key`, and then handles its end if one was noted. Two calls in sequence and not nested: before Linux 6.12 the
/// frames of all active functions share 512 bytes.
#[inline(always)]
fn move_whole(key: u64) -> u32 {
    let left = move_stream(key);
    end_if_noted(key);
    left
}

/// Moves the stream of a socket that is not locked; returns 1 if the stream is left where it is.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn move_stream(key: u64) -> u32 {
    // A stream that is about to begin would be written by two programs at a time.
    if is_opening(key) {
        return 1;
    }
    let sk = Sock::of(key);
    let is_left_out = loopback::has_local_peer_to_leave_out(sk) || loopback::is_routed_here(sk);
    if let Some(stream) = claim(key)
        && !is_left_out
    {
        keep(key, &stream);
    }
    0
}

#[inline(always)]
fn is_opening(key: u64) -> bool {
    find(key).is_some_and(|stream| look::read(stream).flags & Stream::OPENING != 0)
}

/// The stream of `key` in the former table.
#[inline(always)]
fn find(key: u64) -> Option<*mut Stream> {
    if let Some(bucket) = OLD_BUCKETS.get_ptr_mut(bucket(key, old_bucket_bits())) {
        let bucket: *mut Bucket = bucket;
        for index in 0..BUCKET_STREAMS {
            if table::holder(bucket, index) == key {
                return Some(table::stream(bucket, index));
            }
        }
    }
    OLD_SPILL.get_ptr_mut(key).map(<*mut Place>::cast)
}

/// Handles the end of a connection that ended while its stream was in neither table.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn end_if_noted(key: u64) -> i32 {
    // SAFETY: points to a map value.
    let Some(note) = ENDED.get_ptr(key).map(|note| unsafe { read_volatile(note) }) else { return 0 };
    if let Some(stream) = table::find(key)
        && look::read(stream).sent_base == (note >> 32) as u32
    {
        life::ends(Sock::of(key), stream, note as u32);
    }
    0
}

//! The streams by the address of their socket: an array of small buckets, whose look-up costs no call, and a hash for streams whose
//! bucket is full, which takes memory only as it grows.
//!
//! A bitmap says which buckets may have a stream, so that a sweep costs what is open. An insertion writes the key and then marks the
//! bucket. A sweep clears the mark and then reads the keys. Both do so by an operation that orders the two steps, so no stream is
//! missed.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::{read_volatile, write_volatile};

use trafcalc_common::connection::OPENING;
use trafcalc_common::maps::{BUCKET_STREAMS, BUCKETS_A_WORD, Bucket, Place, Stream, bucket, table};

use crate::atomic;
use crate::credit;
use crate::maps::{BUCKETS, OCCUPIED, SPILL, TABLE, bucket_bits};

/// `BPF_NOEXIST`: insert only.
pub(crate) const NOEXIST: u64 = 1;

/// `BPF_ANY`: insert or replace.
pub(crate) const ANY: u64 = 0;

/// The stream of `key`.
#[inline(always)]
pub(crate) fn find(key: u64) -> Option<*mut Stream> {
    if let Some(bucket) = BUCKETS.get_ptr_mut(bucket(key, bucket_bits())) {
        for index in 0..BUCKET_STREAMS {
            if holder(bucket, index) == key {
                return Some(stream(bucket, index));
            }
        }
    }
    if word(table::SPILLED) == 0 { None } else { SPILL.get_ptr_mut(key).map(<*mut Place>::cast) }
}

/// Inserts `new` as the stream of `key`, which must have none, and whose socket must be locked. Returns whether there was room.
///
/// A separate function, because it is called in several places.
#[inline(never)]
fn insert_into(key: u64, new: &Stream) -> u32 {
    u32::from(place_for(key, new))
}

/// Calls [`insert_into`].
#[inline(always)]
pub(crate) fn insert(key: u64, new: &Stream) -> bool {
    insert_into(key, new) != 0
}

#[inline(always)]
fn place_for(key: u64, new: &Stream) -> bool {
    let number = bucket(key, bucket_bits());
    if let Some(bucket) = BUCKETS.get_ptr_mut(number) {
        for index in 0..BUCKET_STREAMS {
            // SAFETY: points into a map value.
            if holder(bucket, index) == 0 && unsafe { atomic::replace(place(bucket, index), 0, key) } {
                // A hook that was still running when the former connection ended may have left an actor here.
                credit::leaves(stream(bucket, index));
                write(stream(bucket, index), new);
                mark(number);
                return true;
            }
        }
    }
    spill(key, new)
}

/// Writes a stream over one whose cursors are `NOWHERE`, or that no look can know yet.
///
/// `sent` is written last, by an operation that orders everything before it. A look reads `sent` before the rest, so a look that sees
/// the new `sent` sees all of the new stream.
#[inline(always)]
pub(crate) fn write(stream: *mut Stream, new: &Stream) {
    // SAFETY: `stream` points to a map value.
    unsafe {
        let place = stream.cast::<Place>();
        write_volatile(&raw mut (*place).waited, 0);
        write_volatile(&raw mut (*place).owner, 0);
        write_volatile(&raw mut (*place).former, 0);
        write_volatile(&raw mut (*place).writer, 0);
        write_volatile(&raw mut (*stream).written, new.written);
    }
    begin(stream, new);
}

/// Writes the beginning of a connection to its stream, which has existed since the connection opened. Actors that used the socket
/// meanwhile are kept.
#[inline(always)]
pub(crate) fn begin(stream: *mut Stream, new: &Stream) {
    // SAFETY: `stream` points to a map value.
    unsafe {
        write_volatile(&raw mut (*stream.cast::<Place>()).read, new.received as u32);
        write_volatile(&raw mut (*stream).sent_base, new.sent_base);
        write_volatile(&raw mut (*stream).received_base, new.received_base);
        write_volatile(&raw mut (*stream).flags, new.flags);
        write_volatile(&raw mut (*stream).received, new.received);
        atomic::swap(&raw mut (*stream).sent, new.sent);
    }
}

/// Removes the stream of `key`, whose cursors are `NOWHERE`.
#[inline(always)]
pub(crate) fn remove(key: u64) {
    if let Some(bucket) = BUCKETS.get_ptr_mut(bucket(key, bucket_bits())) {
        for index in 0..BUCKET_STREAMS {
            if holder(bucket, index) == key {
                // SAFETY: points into a map value. By an operation that orders: from now on the place may be reused, and all earlier
                // accesses to its stream must be complete, on processors that may otherwise reorder them (arm64).
                unsafe { atomic::swap(place(bucket, index), 0) };
                return;
            }
        }
    }
    if word(table::SPILLED) != 0 && SPILL.remove(key).is_ok() {
        add(table::SPILLED, u64::MAX);
    }
}

/// One of the words of `trafcalc_common::maps::table`.
#[inline(always)]
pub(crate) fn word(index: u32) -> u64 {
    // SAFETY: points to a map value.
    TABLE.get_ptr(index).map_or(0, |word| unsafe { read_volatile(word) })
}

/// Sets one of them.
#[inline(always)]
pub(crate) fn set_word(index: u32, value: u64) {
    if let Some(word) = TABLE.get_ptr_mut(index) {
        // SAFETY: points to a map value.
        unsafe { write_volatile(word, value) };
    }
}

/// A full memory barrier. An exchange, because a comparison that fails orders nothing on arm64.
#[inline(always)]
pub(crate) fn order() {
    if let Some(word) = TABLE.get_ptr_mut(table::ORDER) {
        // SAFETY: points to a map value.
        unsafe { atomic::swap(word, 0) };
    }
}

/// A place whose stream has no actor.
const EMPTY: Place = Place { stream: OPENING, read: 0, waited: 0, owner: 0, former: 0, writer: 0 };

/// Adds to one of them, by a number that may be -1.
#[inline(always)]
pub(crate) fn add(index: u32, change: u64) {
    if let Some(word) = TABLE.get_ptr_mut(index) {
        // SAFETY: points to a map value.
        unsafe { atomic::add(word, change) };
    }
}

#[inline(always)]
fn spill(key: u64, new: &Stream) -> bool {
    // Counted before it is inserted, so that no look-up skips the hash.
    add(table::SPILLED, 1);
    let place = Place { stream: *new, read: new.received as u32, ..EMPTY };
    let is_kept = SPILL.insert(key, &place, NOEXIST).is_ok();
    if !is_kept {
        add(table::SPILLED, u64::MAX);
    }
    is_kept
}

/// Marks a bucket in the bitmap, so that sweeps look at it.
#[inline(always)]
fn mark(number: u32) {
    let Some(word) = OCCUPIED.get_ptr_mut(number / BUCKETS_A_WORD) else { return };
    let bit = 1_u64 << (number % BUCKETS_A_WORD);
    // SAFETY: points to a map value. The exchange that wrote the cursor last orders the key before this. So if a sweep clears the bit
    // while it is read here, that sweep sees the key and sets the bit again.
    unsafe {
        if read_volatile(word) & bit == 0 {
            atomic::set(word, bit);
        }
    }
}

/// The key of a place; 0 if the place is free.
#[inline(always)]
pub(crate) fn holder(bucket: *mut Bucket, index: usize) -> u64 {
    // SAFETY: points into a map value.
    unsafe { read_volatile(place(bucket, index)) }
}

/// The address of the key of a place.
#[inline(always)]
pub(crate) fn place(bucket: *mut Bucket, index: usize) -> *mut u64 {
    // SAFETY: `bucket` points to a map value, and `index` is less than the number of keys.
    unsafe { (&raw mut (*bucket).keys).cast::<u64>().add(index) }
}

/// The address of the stream of a place.
#[inline(always)]
pub(crate) fn stream(bucket: *mut Bucket, index: usize) -> *mut Stream {
    // SAFETY: `bucket` points to a map value, and `index` is less than the number of streams.
    unsafe { (&raw mut (*bucket).streams).cast::<Place>().add(index).cast() }
}

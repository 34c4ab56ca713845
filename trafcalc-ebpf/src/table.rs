//! The streams by the address of their socket. Where they are swept: see `slots`. Where hooks look at each event: an array of
//! small buckets, whose look-up costs no call, and a hash for those whose bucket is full.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::{read_volatile, write_volatile};

use trafcalc_common::maps::{BUCKET_STREAMS, Bucket, Stream, bucket};

use crate::atomic::Swap;
use crate::credit::{EXISTS, NOEXIST};
use crate::maps::{BUCKETS, STREAMS, bucket_bits, sweeps};
use crate::slots;

/// Whether there was room for a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Yes,
    No,
    /// Another CPU came first, and its stream is kept.
    Taken,
}

/// The stream of `key`.
#[inline(always)]
pub(crate) fn find(key: u64) -> Option<*mut Stream> {
    if sweeps() {
        return slots::find(key).map(slots::stream);
    }
    if let Some(bucket) = bucket_of(key) {
        for index in 0..BUCKET_STREAMS {
            if holder(bucket, index) == key {
                return Some(stream(bucket, index));
            }
        }
    }
    STREAMS.get_ptr_mut(key)
}

/// Keeps `stream` as that of `key`.
#[inline(always)]
pub(crate) fn insert<S: Swap>(key: u64, new: &Stream) -> Room {
    if sweeps() {
        return slots::insert::<S>(key, new);
    }
    if let Some(bucket) = bucket_of(key) {
        for index in 0..BUCKET_STREAMS {
            // SAFETY: both point into a map value. Whoever has claimed a place is alone there: nobody else looks for
            // this key, since the socket is locked.
            unsafe {
                if S::claim(place(bucket, index), key) {
                    write_volatile(stream(bucket, index), *new);
                    return Room::Yes;
                }
            }
        }
    }
    match STREAMS.insert(key, new, NOEXIST) {
        Ok(()) => Room::Yes,
        Err(EXISTS) => Room::Taken,
        Err(_) => Room::No,
    }
}

/// Forgets the stream of `key`, if there is one.
#[inline(always)]
pub(crate) fn remove(key: u64) {
    if sweeps() {
        return slots::remove(key);
    }
    if let Some(bucket) = bucket_of(key) {
        for index in 0..BUCKET_STREAMS {
            if holder(bucket, index) == key {
                // SAFETY: points into a map value.
                unsafe { write_volatile(place(bucket, index), 0) };
                return;
            }
        }
    }
    let _ = STREAMS.remove(key);
}

#[inline(always)]
fn bucket_of(key: u64) -> Option<*mut Bucket> {
    BUCKETS.get_ptr_mut(bucket(key, bucket_bits()))
}

/// Whose place it is.
#[inline(always)]
fn holder(bucket: *mut Bucket, index: usize) -> u64 {
    // SAFETY: points into a map value.
    unsafe { read_volatile(place(bucket, index)) }
}

#[inline(always)]
fn place(bucket: *mut Bucket, index: usize) -> *mut u64 {
    // SAFETY: `bucket` points to a map value, and `index` is less than the number of keys.
    unsafe { (&raw mut (*bucket).keys).cast::<u64>().add(index) }
}

#[inline(always)]
fn stream(bucket: *mut Bucket, index: usize) -> *mut Stream {
    // SAFETY: `bucket` points to a map value, and `index` is less than the number of streams.
    unsafe { (&raw mut (*bucket).streams).cast::<Stream>().add(index) }
}

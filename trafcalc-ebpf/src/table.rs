//! The streams by the address of their socket.
//!
//! Where hooks look at each event: an array of small buckets, whose look-up costs no call, and a hash for those whose
//! bucket is full. Where streams are swept: the hash alone, which the kernel walks through by itself.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::{read_volatile, write_volatile};

use trafcalc_common::maps::{BUCKET_STREAMS, Bucket, Stream, bucket};

use crate::atomic::Swap;
use crate::credit::{EXISTS, NOEXIST};
use crate::maps::{BUCKETS, STREAMS, bucket_bits, sweeps};

/// The stream of `key`.
#[inline(always)]
pub(crate) fn find(key: u64) -> Option<*mut Stream> {
    if let Some(bucket) = bucket_of(key) {
        for index in 0..BUCKET_STREAMS {
            if holder(bucket, index) == key {
                return Some(stream(bucket, index));
            }
        }
    }
    STREAMS.get_ptr_mut(key)
}

/// Keeps `stream` as that of `key`, which has none; `false` if there is no room. Another CPU may come first, where sockets
/// are met that nobody has locked: then its stream is kept.
#[inline(always)]
pub(crate) fn insert<S: Swap>(key: u64, new: &Stream) -> bool {
    if let Some(bucket) = bucket_of(key) {
        for index in 0..BUCKET_STREAMS {
            // SAFETY: both point into a map value. Whoever has claimed a place is alone there: nobody else looks for
            // this key, since the socket is locked.
            unsafe {
                if S::claim(place(bucket, index), key) {
                    write_volatile(stream(bucket, index), *new);
                    return true;
                }
            }
        }
    }
    match STREAMS.insert(key, new, NOEXIST) {
        Ok(()) => true,
        Err(error) => error == EXISTS,
    }
}

/// Forgets the stream of `key`, if there is one.
#[inline(always)]
pub(crate) fn remove(key: u64) {
    if let Some(bucket) = bucket_of(key) {
        for index in 0..BUCKET_STREAMS {
            if holder(bucket, index) == key {
                // SAFETY: points into a map value.
                unsafe { write_volatile(place(bucket, index), 0) };
                return;
            }
        }
    }
    if sweeps() {
        bury(key);
    }
    let _ = STREAMS.remove(key);
}

/// Puts the cursors nowhere, so that a sweep that has begun to look at the socket of `key` credits nothing any more: its
/// memory may become another socket, and its place in the hash another stream.
#[inline(always)]
fn bury(key: u64) {
    if let Some(stream) = STREAMS.get_ptr_mut(key) {
        // SAFETY: points to a map value.
        unsafe {
            write_volatile(&raw mut (*stream).sent, Stream::NOWHERE);
            write_volatile(&raw mut (*stream).received, Stream::NOWHERE);
        }
    }
}

#[inline(always)]
fn bucket_of(key: u64) -> Option<*mut Bucket> {
    if sweeps() {
        return None;
    }
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

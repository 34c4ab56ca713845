//! The streams where they are swept: one beside the other, found by a hash, each in a slot that a sweep may look at at any
//! time.
//!
//! A slot has a key as long as its stream is to be swept. It gets it behind the stream, and loses it first: whoever has
//! read something of a slot whose key is still the same has read it of that stream.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::{read_volatile, write_volatile};

use trafcalc_common::maps::{Slot, Stream};

use crate::atomic::Swap;
use crate::credit::{ANY, EXISTS, NOEXIST};
use crate::maps::{FREE_SLOTS, INDEX, SLOTS, USED_SLOTS};
use crate::table::Room;

/// The slot of `key`.
#[inline(always)]
pub(crate) fn find(key: u64) -> Option<*mut Slot> {
    at(number_of(key)?).filter(|&slot| self::key(slot) == key)
}

/// The slot of this number.
#[inline(always)]
pub(crate) fn at(number: u32) -> Option<*mut Slot> {
    SLOTS.get_ptr_mut(number)
}

/// Whose slot it is; 0 if nobody's.
#[inline(always)]
pub(crate) fn key(slot: *mut Slot) -> u64 {
    // SAFETY: `slot` points to a map value.
    unsafe { read_volatile(&raw const (*slot).key) }
}

/// The stream in it.
#[inline(always)]
pub(crate) fn stream(slot: *mut Slot) -> *mut Stream {
    // SAFETY: `slot` points to a map value.
    unsafe { &raw mut (*slot).stream }
}

/// Keeps `new` as the stream of `key`. Sockets may be met that nobody has locked, but by the thread that sweeps: so none is
/// swept while two CPUs both have a slot for one.
#[inline(always)]
pub(crate) fn insert<S: Swap>(key: u64, new: &Stream) -> Room {
    let Some(number) = take::<S>() else { return Room::No };
    // There are no more.
    let Some(slot) = at(number) else { return Room::No };
    // SAFETY: points to a map value. Whoever has taken a slot is alone there.
    unsafe { write_volatile(stream(slot), *new) };
    set_key(slot, key);
    let Err(error) = INDEX.insert(key, number, NOEXIST) else { return Room::Yes };
    // What could not be removed (kernels before 6.7 may be busy) leads to a slot that is nobody's.
    let is_stale = error == EXISTS && find(key).is_none();
    if is_stale && INDEX.insert(key, number, ANY).is_ok() {
        return Room::Yes;
    }
    set_key(slot, 0);
    let _ = FREE_SLOTS.push(number, 0);
    if error == EXISTS { Room::Taken } else { Room::No }
}

/// Forgets the stream of `key`, if there is one.
///
/// Its cursors are put nowhere: a sweep that has begun to look at its socket credits nothing any more, whatever becomes of
/// that piece of memory.
#[inline(always)]
pub(crate) fn remove(key: u64) {
    let Some(number) = number_of(key) else { return };
    let Some(slot) = at(number) else { return };
    if self::key(slot) == key {
        set_key(slot, 0);
        let stream = stream(slot);
        // SAFETY: points to a map value.
        unsafe {
            write_volatile(&raw mut (*stream).sent, Stream::NOWHERE);
            write_volatile(&raw mut (*stream).received, Stream::NOWHERE);
        }
    }
    if INDEX.remove(key).is_ok() {
        let _ = FREE_SLOTS.push(number, 0);
    }
}

#[inline(always)]
fn number_of(key: u64) -> Option<u32> {
    // SAFETY: points to a map value.
    INDEX.get_ptr(key).map(|number| unsafe { read_volatile(number) })
}

#[inline(always)]
fn set_key(slot: *mut Slot, key: u64) {
    // SAFETY: `slot` points to a map value.
    unsafe { write_volatile(&raw mut (*slot).key, key) };
}

/// A slot that nobody has: the one that was left last, so that few are used.
#[inline(always)]
fn take<S: Swap>() -> Option<u32> {
    if let Ok(Some(number)) = FREE_SLOTS.pop() {
        return Some(number);
    }
    // SAFETY: points to a map value.
    unsafe { S::next(USED_SLOTS.get_ptr_mut(0)?) }.and_then(|number| u32::try_from(number).ok())
}

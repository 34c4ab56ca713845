//! The rows of accounts that are finer than a user's: the user of each, and how many streams remember it.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::{read_volatile, write_volatile};

use trafcalc_common::actor::{Actor, Seat};
use trafcalc_common::maps::{OTHER_ROW, event};

use crate::actor_maps::{ACTORS, FREE_ACTORS, SEATS};
use crate::atomic;
use crate::events;
use crate::table::NOEXIST;

/// Adds `change`, which may be -1, to the number of streams that remember a row.
#[inline(always)]
pub(crate) fn count(row: u32, change: u64) {
    if let Some(seat) = SEATS.get_ptr_mut(row) {
        // SAFETY: points to a map value.
        unsafe { atomic::add(&raw mut (*seat).streams, change) };
    }
}

/// Whether the row belongs to the user.
#[inline(always)]
pub(crate) fn has(row: u32, uid: u32) -> bool {
    // SAFETY: points to a map value.
    SEATS.get_ptr(row).is_some_and(|seat: *const Seat| unsafe { read_volatile(&raw const (*seat).uid) } == uid)
}

/// The row of an actor's account. Opens the account if there is none; returns the row of the account for others if there is no room for
/// it.
#[inline(always)]
pub(crate) fn row_of(actor: &Actor) -> u32 {
    match ACTORS.get_ptr(actor) {
        // SAFETY: points to a map value.
        Some(row) => unsafe { read_volatile(row) },
        None => open(actor),
    }
}

#[inline(always)]
fn open(actor: &Actor) -> u32 {
    let Ok(Some(row)) = FREE_ACTORS.pop() else { return OTHER_ROW };
    if let Some(seat) = SEATS.get_ptr_mut(row) {
        // SAFETY: points to a map value. No stream remembers a free row.
        unsafe { write_volatile(&raw mut (*seat).uid, actor.uid()) };
    }
    if ACTORS.insert(actor, row, NOEXIST).is_ok() {
        events::count(event::ACTORS);
        return row;
    }
    // Another CPU opened the account meanwhile.
    let _ = FREE_ACTORS.push(row, 0);
    // SAFETY: points to a map value.
    ACTORS.get_ptr(actor).map_or(OTHER_ROW, |row| unsafe { read_volatile(row) })
}

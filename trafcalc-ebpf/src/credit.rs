//! Crediting bytes to accounts, and counting rare events. Counters are only ever added to.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::{read_volatile, write_volatile};

use trafcalc_common::actor::SKIPPED_ROW;
use trafcalc_common::maps::{OTHER_ROW, Stream, event, owner};

use crate::atomic;
use crate::maps::{ACCOUNTS, EVENTS, NEXT_ROW, ROWS, TALLIES};
use crate::wanted;

/// `BPF_NOEXIST`: insert only, so that of two CPUs that come at once one learns that the other was first.
pub(crate) const NOEXIST: u64 = 1;

/// `BPF_ANY`: insert or replace.
pub(crate) const ANY: u64 = 0;

/// `-EEXIST`: what an insertion says then.
pub(crate) const EXISTS: i32 = -17;

/// How often a CPU tries for a free row when others are before it: as each of them gets one, this many CPUs must meet
/// a new user at the same moment for one to go without, whose bytes then go to the account for others.
const ROW_TRIES: u32 = 16;

/// Credits signed distances of a stream to the account of `uid`.
#[inline(always)]
pub(crate) fn to_user(stream: *mut Stream, uid: u32, sent: i64, received: i64) {
    // SAFETY: `stream` points to a map value.
    let last = unsafe { read_volatile(&raw const (*stream).owner) };
    let row = last as u32;
    if row != OTHER_ROW && last == owner(uid, row) {
        to_row(row, sent, received);
    } else {
        to_another_user(stream, uid, sent, received);
    }
}

/// The stream's first bytes, or the first since it has another owner.
#[inline(never)]
fn to_another_user(stream: *mut Stream, uid: u32, sent: i64, received: i64) -> i32 {
    let row = if wanted::user(uid) { row_of(uid) } else { SKIPPED_ROW };
    // SAFETY: `stream` points to a map value.
    unsafe { write_volatile(&raw mut (*stream).owner, owner(uid, row)) };
    to_row(row, sent, received);
    0
}

/// Credits signed distances to the account for which there is always room.
#[inline(always)]
pub(crate) fn to_other(sent: i64, received: i64) {
    to_row(OTHER_ROW, sent, received);
}

/// Credits signed distances to an account.
#[inline(always)]
pub(crate) fn to_row(row: u32, sent: i64, received: i64) {
    let Some(tally) = TALLIES.get_ptr_mut(row) else { return };
    // SAFETY: `tally` points to a map value.
    unsafe {
        if sent != 0 {
            atomic::add(&raw mut (*tally).sent, sent as u64);
        }
        if received != 0 {
            atomic::add(&raw mut (*tally).received, received as u64);
        }
    }
}

/// The row of a user's account, opened if need be; that for others if there is no room for one more.
#[inline(always)]
pub(crate) fn row_of(uid: u32) -> u32 {
    match ACCOUNTS.get_ptr(uid) {
        // SAFETY: points to a map value.
        Some(row) => unsafe { read_volatile(row) },
        None => open_account(uid),
    }
}

#[inline(always)]
fn open_account(uid: u32) -> u32 {
    let Some(row) = claim_row(uid) else { return OTHER_ROW };
    if TALLIES.get_ptr(row).is_none() {
        let _ = ROWS.remove(row);
        return OTHER_ROW;
    }
    if ACCOUNTS.insert(uid, row, NOEXIST).is_err() {
        // Another CPU opened the account meanwhile.
        let _ = ROWS.remove(row);
        // SAFETY: points to a map value.
        return ACCOUNTS.get_ptr(uid).map_or(OTHER_ROW, |row| unsafe { read_volatile(row) });
    }
    event(event::ACCOUNTS);
    row
}

/// A row that was free and is now the user's.
#[inline(always)]
fn claim_row(uid: u32) -> Option<u32> {
    let next = NEXT_ROW.get_ptr_mut(0)?;
    // SAFETY: points to a map value. It is but a hint; the insertion decides.
    let mut row = unsafe { read_volatile(next) };
    for _ in 0..ROW_TRIES {
        row += 1;
        if ROWS.insert(row, uid, NOEXIST).is_ok() {
            // SAFETY: points to a map value.
            unsafe { write_volatile(next, row) };
            return Some(row);
        }
    }
    None
}

/// Counts a rare event, by an index of `trafcalc_common::maps::event`.
#[inline(always)]
pub(crate) fn event(index: u32) {
    if let Some(count) = EVENTS.get_ptr_mut(index) {
        // SAFETY: `count` points to a map value.
        unsafe { atomic::add(count, 1) };
    }
}

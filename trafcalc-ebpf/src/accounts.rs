//! User accounts. Each account has a row: an index into the per-CPU counters in `TALLIES`. Counters are never reset.
//!
//! When more than three quarters of the rows are in use, the service takes away those that did not change over three readings, and
//! keeps their totals itself. Such a row is reused only after three more readings without a change and, where programs outlive the
//! process, only once all its bytes are reported. So no bytes change their owner.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::read_volatile;

use aya_ebpf::maps::lpm_trie::Key;
use trafcalc_common::actor::filter;
use trafcalc_common::maps::{OTHER_ROW, account, event, table};

use crate::atomic;
use crate::events;
use crate::maps::{ACCOUNTS, FREE_ROWS, SUBORDINATES, TABLE, TALLIES, WANTED_USERS, filters, first_subordinate};
use crate::table::NOEXIST;

/// Credits signed distances to the account of `uid` in a class, if the filters admit that user.
#[inline(always)]
pub(crate) fn credit_user(uid: u32, class: u32, sent: i64, received: i64) {
    let uid = account_holder(uid);
    if is_wanted(uid) {
        credit(row_of(uid, class), sent, received);
    }
}

/// Credits signed distances to an account.
#[inline(always)]
pub(crate) fn credit(row: u32, sent: i64, received: i64) {
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

/// The user to whom bytes of `uid` belong: `uid` itself, or the holder of the range of subordinate uids that contains it.
#[inline(always)]
pub(crate) fn account_holder(uid: u32) -> u32 {
    if uid < first_subordinate() {
        return uid;
    }
    match SUBORDINATES.get(Key::new(u32::BITS, uid.to_be())) {
        Some(&holder) => holder,
        None => uid,
    }
}

/// Whether the filters admit a user.
#[inline(always)]
pub(crate) fn is_wanted(uid: u32) -> bool {
    !filters(filter::USERS) || WANTED_USERS.get_ptr(uid).is_some()
}

/// The row of a user's account in a class. Opens the account if there is none; returns the row of the account for others if there is no
/// room for it.
#[inline(always)]
pub(crate) fn row_of(uid: u32, class: u32) -> u32 {
    let key = account(uid, class);
    match ACCOUNTS.get_ptr(key) {
        // SAFETY: points to a map value.
        Some(row) => unsafe { read_volatile(row) },
        None => open(key),
    }
}

#[inline(never)]
fn open(key: u64) -> u32 {
    let Some(row) = take_row() else { return OTHER_ROW };
    if ACCOUNTS.insert(key, row, NOEXIST).is_ok() {
        events::count(event::ACCOUNTS);
        return row;
    }
    let _ = FREE_ROWS.push(row, 0);
    // Another CPU opened the account meanwhile, or there is no room.
    // SAFETY: points to a map value.
    ACCOUNTS.get_ptr(key).map_or(OTHER_ROW, |row| unsafe { read_volatile(row) })
}

/// A free row: one that was given back, or else one that was never used.
#[inline(always)]
fn take_row() -> Option<u32> {
    if let Ok(Some(row)) = FREE_ROWS.pop() {
        return Some(row);
    }
    let used = TABLE.get_ptr_mut(table::ROWS)?;
    // SAFETY: points to a map value. Row 0 is that of the account for others.
    unsafe { atomic::next(used, crate::maps::user_rows().into()) }.map(|number| number as u32 + 1)
}

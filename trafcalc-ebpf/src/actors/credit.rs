//! Crediting by actor: bytes go to the process that used the socket last.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::{read_volatile, write_volatile};

use trafcalc_common::actor::PASSED_ROW;
use trafcalc_common::connection::{self, Which, ending_before};
use trafcalc_common::maps::{OTHER_ROW, Stream, waits_for_writer};

use crate::accounts;
use crate::actor;
use crate::actor_maps::actors_matter;
use crate::class;
use crate::look;
use crate::maps::offset;
use crate::owner;
use crate::settle;
use crate::sock::Sock;

/// Settles an open connection, unless it is too early to know the owner of its bytes.
#[inline(always)]
pub(crate) fn look(sk: Sock, stream: *mut Stream, is_last_of_owner: bool) {
    let is_told = || is_last_of_owner || !(owner::is_to_come(sk) || is_too_early(stream));
    let owner = |from| is_told().then(|| (remembered_row(sk, stream), from));
    let which = if is_last_of_owner { Which::Both } else { known(sk, stream) };
    if let Some(((row, from), moved)) = look::at(sk, stream, which, owner) {
        share(sk, stream, row, from, moved.sent, moved.received);
    }
}

/// Credits `received` bytes to the account in `row`, and `sent` bytes from position `from` on to the accounts of their writers.
#[inline(always)]
pub(crate) fn share(sk: Sock, stream: *mut Stream, row: u32, from: u64, sent: i64, received: i64) {
    if sent == 0 {
        return accounts::credit(row, 0, received);
    }
    // Read before the former writer: a writer that takes over meanwhile records its predecessor first.
    let writer = actor::writer(stream);
    let of_former = match actor::former(stream) {
        Some(former) => {
            let bytes = ending_before(from, sent, former.end());
            accounts::credit(actor::still(sk, former.row(), account_holder(sk)), bytes, 0);
            if bytes < sent {
                // All bytes of the former writer are transmitted. It must be forgotten before sequence numbers wrap.
                actor::forget_former(stream, former);
            }
            bytes
        }
        None => 0,
    };
    if writer == OTHER_ROW || writer == row {
        accounts::credit(row, sent - of_former, received);
    } else {
        accounts::credit(actor::still(sk, writer, account_holder(sk)), sent - of_former, 0);
        accounts::credit(row, 0, received);
    }
}

/// Which cursors may move: all, except over bytes of a send call that has not returned yet. The first look that finds such bytes leaves
/// them to the next look.
#[inline(always)]
fn known(sk: Sock, stream: *mut Stream) -> Which {
    if !actors_matter() || actor::last_row(stream) == OTHER_ROW {
        return Which::Both;
    }
    let written = settle::written(stream);
    let waits = waits_for_writer(written);
    // SAFETY: `stream` points to a map value.
    unsafe {
        let waited = &raw mut (*actor::place(stream)).waited;
        if read_volatile(waited) == waits {
            return Which::Both;
        }
        if connection::is_behind(sk.load(offset!(snd_nxt)), written) {
            write_volatile(waited, waits);
        }
    }
    Which::WrittenBefore(written)
}

/// Whether no process has used the socket yet and this is the first look that finds it so. A server may be about to accept the
/// connection, and has until the next look to do so; otherwise the bytes would belong to no process.
#[inline(always)]
fn is_too_early(stream: *mut Stream) -> bool {
    if !actors_matter() || actor::last_row(stream) != OTHER_ROW {
        return false;
    }
    // SAFETY: `stream` points to a map value.
    unsafe {
        let is_first = read_volatile(&raw const (*actor::place(stream)).waited) == 0;
        write_volatile(&raw mut (*actor::place(stream)).waited, 1);
        is_first
    }
}

/// Credits the rest at the end of a connection.
#[inline(always)]
pub(crate) fn at_end(sk: Sock, stream: *mut Stream, from: u64, sent: i64, received: i64) {
    if sent != 0 || received != 0 {
        share(sk, stream, remembered_row(sk, stream), from, sent, received);
    }
}

/// Credits a connection that has no stream, unless the filters cannot be evaluated for it.
#[inline(always)]
pub(crate) fn unfollowed(sk: Sock, sent: i64, received: i64) {
    if (sent != 0 || received != 0) && !actor::is_unknown() {
        accounts::credit_user(owner::of(sk), class::of(sk), sent, received);
    }
}

/// The stream is about to be removed, or reused for another connection.
#[inline(always)]
pub(crate) fn leaves(stream: *mut Stream) {
    if actors_matter() {
        actor::leave(stream);
    }
}

/// The look that waits for a first actor has passed.
#[inline(always)]
pub(crate) fn has_waited(stream: *mut Stream) {
    // SAFETY: `stream` points to a map value.
    unsafe { write_volatile(&raw mut (*actor::place(stream)).waited, 1) };
}

/// The socket is about to have another user.
#[inline(always)]
pub(crate) fn changes_user(stream: *mut Stream) {
    if actors_matter() {
        actor::expire(stream);
    }
}

/// The row of the last actor; the row of the socket's user where accounts are told apart by user only.
#[inline(always)]
pub(crate) fn remembered_row(sk: Sock, stream: *mut Stream) -> u32 {
    let uid = account_holder(sk);
    if actors_matter() {
        return actor::remembered(sk, stream, uid);
    }
    if accounts::is_wanted(uid) { accounts::row_of(uid, class::of(sk)) } else { PASSED_ROW }
}

#[inline(always)]
fn account_holder(sk: Sock) -> u32 {
    accounts::account_holder(owner::of(sk))
}

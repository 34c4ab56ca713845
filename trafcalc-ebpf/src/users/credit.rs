//! Crediting by user: bytes go to the user of the socket.

use trafcalc_common::connection::Which;
use trafcalc_common::maps::Stream;

use crate::accounts;
use crate::class;
use crate::look;
use crate::owner;
use crate::sock::Sock;

/// Settles an open connection, unless it waits to be accepted and there are more looks to come.
#[inline(always)]
pub(crate) fn look(sk: Sock, stream: *mut Stream, is_last_of_owner: bool) {
    // User and class are read before the cursors move: after that, the socket may belong to another connection.
    let owner = |_| (is_last_of_owner || !owner::is_to_come(sk)).then(|| (owner::of(sk), class::of(sk)));
    if let Some(((uid, class), moved)) = look::at(sk, stream, Which::Both, owner) {
        accounts::credit_user(uid, class, moved.sent, moved.received);
    }
}

/// Credits the rest at the end of a connection.
#[inline(always)]
pub(crate) fn at_end(sk: Sock, _stream: *mut Stream, _from: u64, sent: i64, received: i64) {
    unfollowed(sk, sent, received);
}

/// Credits a connection that has no stream.
#[inline(always)]
pub(crate) fn unfollowed(sk: Sock, sent: i64, received: i64) {
    if sent != 0 || received != 0 {
        accounts::credit_user(owner::of(sk), class::of(sk), sent, received);
    }
}

/// The stream is about to be removed, or reused for another connection.
#[inline(always)]
pub(crate) fn leaves(_stream: *mut Stream) {}

/// The look that waits for a first actor has passed.
#[inline(always)]
pub(crate) fn has_waited(_stream: *mut Stream) {}

/// The socket is about to have another user.
#[inline(always)]
pub(crate) fn changes_user(_stream: *mut Stream) {}

//! Whom bytes are credited to: the user of the socket.

use trafcalc_common::connection::Which;
use trafcalc_common::maps::Stream;

use crate::accounts;
use crate::class;
use crate::look;
use crate::owner;
use crate::sock::Sock;

/// Looks at an open connection, unless nobody has accepted it yet and there are more looks to come.
#[inline(always)]
pub(crate) fn look(sk: Sock, stream: *mut Stream, is_last_of_owner: bool) {
    // Both are asked before the cursors move: behind that the socket may be another connection's.
    let owner = |_| (is_last_of_owner || !owner::is_to_come(sk)).then(|| (owner::of(sk), class::of(sk)));
    if let Some(((uid, class), moved)) = look::at(sk, stream, Which::Both, owner) {
        accounts::credit_user(uid, class, moved.sent, moved.received);
    }
}

/// Credits what was left at the end of a connection.
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

/// The stream is about to be forgotten, or to be another connection's.
#[inline(always)]
pub(crate) fn leaves(_stream: *mut Stream) {}

/// The time in which somebody may come to act on the stream is over.
#[inline(always)]
pub(crate) fn has_waited(_stream: *mut Stream) {}

/// The socket is about to have another user.
#[inline(always)]
pub(crate) fn changes_user(_stream: *mut Stream) {}

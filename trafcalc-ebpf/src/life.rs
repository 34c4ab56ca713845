//! How a stream begins and ends. Each event may be seen twice (see `hooks::inet_sock_set_state`); the second time nothing is left to do.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::{read_volatile, write_volatile};

use trafcalc_common::connection::{self, Change, OPENING, begun, change, is_of, last_position, unbegun};
use trafcalc_common::maps::{Stream, Tally, event, table as words};
use trafcalc_common::tcp::state;

use crate::atomic;
use crate::audit;
use crate::credit;
use crate::events;
use crate::look;
use crate::loopback;
use crate::sock::Sock;
use crate::table;

/// A socket goes from state `old` to `new`; it is still in `old`, and locked. `IS_FIRST` is whether this is the first
/// program that sees the event.
#[inline(always)]
pub(crate) fn changes<const IS_FIRST: bool>(sk: Sock, old: u32, new: u32) {
    match change(old, new) {
        Change::Nothing => {}
        Change::Opens => opens(sk),
        Change::Begins => begins(sk, old),
        Change::Ends => ends::<IS_FIRST>(sk, old),
    }
}

/// The stream is needed for one bit, which no field of the socket has: whether our SYN is in `bytes_acked`.
#[inline(always)]
fn opens(sk: Sock) {
    match table::find(sk.key()) {
        Some(stream) if flags(stream) & Stream::OPENING != 0 => {}
        Some(stream) => replace(stream, &OPENING),
        None => {
            if sk.is_tcp() && !loopback::has_local_peer_to_leave_out(sk) && !table::insert(sk.key(), &OPENING) {
                refused();
            }
        }
    }
}

#[inline(always)]
fn begins(sk: Sock, old: u32) {
    match table::find(sk.key()) {
        Some(stream) if flags(stream) & Stream::OPENING != 0 => {
            if loopback::is_to_be_left_out(sk) {
                return end(sk.key(), stream);
            }
            table::write(stream, &begun(sk, true));
        }
        Some(stream) => {
            if !is_of(&look::read(stream), sk) {
                // Of an earlier life, whose end nobody saw.
                replace(stream, &begun(sk, old == state::SYN_SENT));
            }
        }
        None => {
            if sk.is_tcp()
                && !loopback::is_to_be_left_out(sk)
                && !table::insert(sk.key(), &begun(sk, old == state::SYN_SENT))
            {
                refused();
            }
        }
    }
}

#[inline(always)]
fn ends<const IS_FIRST: bool>(sk: Sock, old: u32) {
    match table::find(sk.key()) {
        Some(stream) => last_look(sk, stream, old),
        None if old == state::SYN_RECV => ends_unbegun(sk, old),
        None if IS_FIRST && table::word(words::OVERFLOWED) != 0 => drop(ends_unfollowed(sk, old)),
        None => {}
    }
}

#[inline(always)]
fn last_look(sk: Sock, stream: *mut Stream, old: u32) {
    let flags = flags(stream);
    if flags & Stream::ENDED != 0 {
        return end(sk.key(), stream);
    }
    // SAFETY: `stream` points to a map value; only programs that have locked the socket write its flags.
    let before = unsafe {
        write_volatile(&raw mut (*stream).flags, flags | Stream::ENDED);
        let received = atomic::swap(&raw mut (*stream).received, Stream::NOWHERE);
        let sent = atomic::swap(&raw mut (*stream).sent, Stream::NOWHERE);
        Stream { sent, received, flags, ..look::read(stream) }
    };
    if flags & Stream::OPENING != 0 {
        let moved = unbegun(sk, old, true);
        credit::at_end(sk, stream, moved.sent as i64, moved.received as i64);
    } else if before.sent != Stream::NOWHERE && !loopback::came_through_lo(sk) {
        settle(sk, stream, &before, old);
    }
    if old != state::SYN_RECV {
        credit::leaves(stream);
        table::remove(sk.key());
    }
}

#[inline(always)]
fn settle(sk: Sock, stream: *mut Stream, before: &Stream, old: u32) {
    let last = last_position(sk, before, old);
    if before.flags & Stream::LATE == 0 {
        audit::at_end(before, sk, &last);
    }
    let moved = |from: u64, to: u64| to.wrapping_sub(from) as i64;
    credit::at_end(sk, stream, moved(before.sent, last.sent), moved(before.received, last.received));
}

/// A child of a listener that ends before its handshake is over. With fast open it may have moved bytes. The stream that it
/// leaves tells the second program that sees its end.
#[inline(always)]
fn ends_unbegun(sk: Sock, old: u32) {
    if !sk.is_tcp() || loopback::is_to_be_left_out(sk) {
        return;
    }
    let Tally { sent, received } = unbegun(sk, old, false);
    if sent == 0 && received == 0 {
        return;
    }
    let ended = Stream { flags: Stream::ENDED, ..OPENING };
    if table::insert(sk.key(), &ended) {
        credit::unfollowed(sk, sent as i64, received as i64);
    }
}

/// There was no room for the connection: it is credited as a whole, to the user it has at its end.
///
/// Only the first program does so, as nothing tells the second that it has. Whether our SYN is in `bytes_acked` is guessed: a
/// child has the backlog of its listener, and who connects has none.
#[inline(never)]
fn ends_unfollowed(sk: Sock, old: u32) -> i32 {
    if sk.is_tcp() && !loopback::is_to_be_left_out(sk) && !loopback::came_through_lo(sk) {
        let opened = sk.max_ack_backlog() == 0;
        let Tally { sent, received } = unbegun(sk, old, opened);
        credit::unfollowed(sk, sent as i64, received as i64);
    }
    0
}

/// There is no room for a connection that begins.
#[inline(always)]
fn refused() {
    events::count(event::UNFOLLOWED);
    table::add(words::OVERFLOWED, 1);
}

/// Writes over a stream that has no connection any more.
#[inline(always)]
fn replace(stream: *mut Stream, new: &Stream) {
    credit::leaves(stream);
    // SAFETY: `stream` points to a map value.
    unsafe { atomic::swap(&raw mut (*stream).sent, Stream::NOWHERE) };
    table::write(stream, new);
}

/// Forgets a stream: what moves from now on is another connection's.
#[inline(always)]
pub(crate) fn end(key: u64, stream: *mut Stream) {
    credit::leaves(stream);
    // SAFETY: `stream` points to a map value. A look that has begun credits nothing any more.
    unsafe {
        atomic::swap(&raw mut (*stream).received, Stream::NOWHERE);
        atomic::swap(&raw mut (*stream).sent, Stream::NOWHERE);
    }
    table::remove(key);
}

#[inline(always)]
fn flags(stream: *mut Stream) -> u32 {
    // SAFETY: `stream` points to a map value.
    unsafe { read_volatile(&raw const (*stream).flags) }
}

/// Follows a connection that is older than the programs from now on.
#[inline(always)]
pub(crate) fn meet(sk: Sock, now: u32) {
    let stream = if now == state::SYN_SENT { OPENING } else { connection::met(sk) };
    if !sk.is_tcp() || loopback::is_to_be_left_out(sk) || loopback::came_through_lo(sk) {
        return;
    }
    if !table::insert(sk.key(), &stream) {
        refused();
    } else if stream.flags & Stream::LATE != 0 {
        events::count(event::LATE);
    }
}

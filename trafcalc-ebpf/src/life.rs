//! How a stream begins and ends. Each event may be seen twice (see `hooks::inet_sock_set_state`); the second time nothing is left to do.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::{read_volatile, write_volatile};

use trafcalc_common::connection::{Change, OPENING, begun, change, is_of, last_position, met, opened, unbegun};
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
    let change = change(old, new);
    if change == Change::Nothing {
        return;
    }
    let stream = table::find(sk.key());
    match (change, stream) {
        (Change::Ends, Some(stream)) => ends(sk, stream, old),
        (Change::Ends, None) => ends_without_stream::<IS_FIRST>(sk, old),
        (_, Some(stream)) => begins_again(sk, stream, old, change),
        (_, None) => begins(sk, old, change),
    }
}

/// A connection of which nothing is known opens or begins.
///
/// When it opens, a stream is needed for one bit, which no field of the socket has: whether our SYN is in `bytes_acked`.
#[inline(always)]
fn begins(sk: Sock, old: u32, change: Change) {
    if !sk.is_tcp() {
        return;
    }
    let is_left_out = match change {
        Change::Opens => loopback::has_local_peer_to_leave_out(sk),
        _ => loopback::is_to_be_left_out(sk),
    };
    if !is_left_out && !table::insert(sk.key(), &first(sk, old, change)) {
        refused();
    }
}

/// There is a stream: of the connection as it opened, of an earlier program that saw this event, or of an earlier life of which
/// nobody saw the end.
#[inline(always)]
fn begins_again(sk: Sock, stream: *mut Stream, old: u32, change: Change) {
    let is_opening = flags(stream) & Stream::OPENING != 0;
    match change {
        Change::Opens if is_opening => {}
        Change::Begins if is_opening && loopback::is_to_be_left_out(sk) => end(sk.key(), stream),
        Change::Begins if is_opening => table::write(stream, &begun(&sk.numbers(), true)),
        Change::Begins if is_of(&look::read(stream), &sk.numbers()) => {}
        _ => {
            leave(sk.key(), stream);
            table::write(stream, &first(sk, old, change));
        }
    }
}

#[inline(always)]
fn first(sk: Sock, old: u32, change: Change) -> Stream {
    if change == Change::Opens { OPENING } else { begun(&sk.numbers(), old == state::SYN_SENT) }
}

#[inline(always)]
fn ends(sk: Sock, stream: *mut Stream, old: u32) {
    let flags = flags(stream);
    if flags & Stream::ENDED == 0 {
        last_look(sk, stream, flags, old);
    }
    // Without a stream the second program could not tell the end of a child from one that nobody has seen.
    if old != state::SYN_RECV || flags & Stream::ENDED != 0 {
        credit::leaves(sk.key(), stream);
        table::remove(sk.key());
    }
}

#[inline(always)]
fn last_look(sk: Sock, stream: *mut Stream, flags: u32, old: u32) {
    // SAFETY: `stream` points to a map value; only programs that have locked the socket write its flags.
    let before = unsafe {
        write_volatile(&raw mut (*stream).flags, flags | Stream::ENDED);
        let received = atomic::swap(&raw mut (*stream).received, Stream::NOWHERE);
        let sent = atomic::swap(&raw mut (*stream).sent, Stream::NOWHERE);
        Stream { sent, received, flags, ..look::read(stream) }
    };
    if before.sent == Stream::NOWHERE && flags & Stream::OPENING == 0 {
        return;
    }
    let numbers = sk.numbers();
    let is_opening = flags & Stream::OPENING != 0;
    let before = if is_opening { opened(&numbers) } else { before };
    let last = last_position(&numbers, &before, old);
    if loopback::came_through_lo(sk) {
        return;
    }
    if flags & (Stream::LATE | Stream::OPENING) == 0 {
        audit::at_end(&before, &numbers, &last);
    }
    let sent = last.sent.wrapping_sub(before.sent) as i64;
    // A connect that failed before its SYN left has transmitted less than that SYN.
    let sent = if is_opening { sent.max(0) } else { sent };
    credit::at_end(sk, stream, sent, last.received.wrapping_sub(before.received) as i64);
}

#[inline(always)]
fn ends_without_stream<const IS_FIRST: bool>(sk: Sock, old: u32) {
    if old == state::SYN_RECV {
        ends_unbegun(sk);
    } else if IS_FIRST && table::word(words::OVERFLOWED) != 0 {
        ends_unfollowed(sk, old);
    }
}

/// A child of a listener that ends before its handshake is over. With fast open it may have moved bytes. The stream that it
/// leaves tells the second program that sees its end.
#[inline(never)]
fn ends_unbegun(sk: Sock) -> i32 {
    let Tally { sent, received } = unbegun(&sk.numbers(), state::SYN_RECV, false);
    if (sent == 0 && received == 0) || !sk.is_tcp() || loopback::is_to_be_left_out(sk) {
        return 0;
    }
    let ended = Stream { flags: Stream::ENDED, ..OPENING };
    if table::insert(sk.key(), &ended) {
        credit::unfollowed(sk, sent as i64, received as i64);
    }
    0
}

/// There was no room for the connection: it is credited as a whole, to the user it has at its end.
///
/// Only the first program does so, as nothing tells the second that it has. Whether our SYN is in `bytes_acked` is guessed: a
/// child has the backlog of its listener, and who connects has none.
#[inline(never)]
fn ends_unfollowed(sk: Sock, old: u32) -> i32 {
    if sk.is_tcp() && !loopback::is_to_be_left_out(sk) && !loopback::came_through_lo(sk) {
        let opened = sk.max_ack_backlog() == 0;
        let Tally { sent, received } = unbegun(&sk.numbers(), old, opened);
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

/// Forgets a stream: what moves from now on is another connection's.
#[inline(always)]
pub(crate) fn end(key: u64, stream: *mut Stream) {
    leave(key, stream);
    table::remove(key);
}

/// Takes a stream from its connection. A look that has begun credits nothing any more.
#[inline(always)]
fn leave(key: u64, stream: *mut Stream) {
    credit::leaves(key, stream);
    // SAFETY: `stream` points to a map value.
    unsafe {
        atomic::swap(&raw mut (*stream).received, Stream::NOWHERE);
        atomic::swap(&raw mut (*stream).sent, Stream::NOWHERE);
    }
}

#[inline(always)]
fn flags(stream: *mut Stream) -> u32 {
    // SAFETY: `stream` points to a map value.
    unsafe { read_volatile(&raw const (*stream).flags) }
}

/// Follows a connection that is older than the programs from now on.
#[inline(always)]
pub(crate) fn meet(sk: Sock, now: u32) {
    let stream = if now == state::SYN_SENT { OPENING } else { met(&sk.numbers()) };
    if !sk.is_tcp() || loopback::is_to_be_left_out(sk) || loopback::came_through_lo(sk) {
        return;
    }
    if !table::insert(sk.key(), &stream) {
        refused();
    } else if stream.flags & Stream::LATE != 0 {
        events::count(event::LATE);
    }
}

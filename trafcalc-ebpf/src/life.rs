//! How a stream begins and ends. Each event may be seen twice (see `hooks::inet_sock_set_state`); the second time nothing is left to do.
//!
//! Every counted connection has a stream from its beginning. All its totals are in its socket except one bit: whether our SYN is
//! in `bytes_acked`. And a sweep over our table costs what is open, while one over the kernel's table of sockets costs half a
//! millisecond when it is empty and four times as much for each connection. Connections within the host have no stream.
//!
//! A connection for which there was no room has none, either. Its end credits it as a whole, once a word in the map says that
//! there are such connections. Where it began is noted (`ENDS`), so that the other copies of the program know that it was done.
//! Whether our SYN is in `bytes_acked` is then guessed from `sk_max_ack_backlog`: a child has that of its listener.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::read_volatile;

use trafcalc_common::connection::{
    Change, Numbers, OPENING, Position, at_end, begun, change, goes_on, is_of, last_position, met, note_key,
    received_base, sent_base, unbegun,
};
use trafcalc_common::maps::{Stream, Tally, event, table as words};
use trafcalc_common::tcp::state;

use crate::atomic;
use crate::audit;
use crate::credit;
use crate::events;
use crate::log;
use crate::look;
use crate::loopback::{self, OtherEnd};
use crate::maps::{ENDS, NOTES};
use crate::sock::Sock;
use crate::table::{self, ANY};

/// A socket goes from state `old` to `new`; it is still in `old`, and locked.
#[inline(always)]
pub(crate) fn changes(sk: Sock, old: u32, new: u32) {
    let change = change(old, new);
    if change == Change::Nothing {
        return;
    }
    // Most of those that are not counted are known by their addresses, and have no stream.
    if loopback::has_local_peer_to_leave_out(sk) {
        return;
    }
    let stream = table::find(sk.key());
    match (change, stream) {
        (Change::Ends, Some(stream)) => ends(sk, stream, old),
        (Change::Ends, None) => ends_without_stream(sk, old),
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
    let stream = first(sk, old, change);
    // Before it opens there is no route.
    if change == Change::Begins {
        let is_accepted = old == state::SYN_RECV;
        if loopback::is_routed_here(sk) || (is_accepted && loopback::was_led_here(sk)) {
            if is_accepted {
                loopback::note(sk, &stream);
            }
            return;
        }
        log::begins(sk, old, &stream);
    }
    if !table::insert(sk.key(), &stream) {
        refused(sk);
    }
}

/// There is a stream: of the connection as it opened, of an earlier program that saw this event, or of an earlier life of which
/// nobody saw the end.
#[inline(always)]
fn begins_again(sk: Sock, stream: *mut Stream, old: u32, change: Change) {
    let is_opening = flags(stream) & Stream::OPENING != 0;
    match change {
        Change::Opens if is_opening => {}
        Change::Begins if is_opening && loopback::is_routed_here(sk) => end(sk.key(), stream),
        Change::Begins if is_opening => {
            let begun = begun(&sk.numbers(), true);
            log::begins(sk, old, &begun);
            table::begin(stream, &begun);
        }
        Change::Begins if is_of(&look::read(stream), &sk.numbers()) => {}
        _ => {
            let before = look::read(stream);
            if before.sent != Stream::NOWHERE {
                // What it moved since the last look is lost.
                audit::has_missed_an_end(&before, &sk.numbers());
            }
            leave(stream);
            table::write(stream, &first(sk, old, change));
        }
    }
}

#[inline(always)]
fn first(sk: Sock, old: u32, change: Change) -> Stream {
    if change == Change::Opens { OPENING } else { begun(&sk.numbers(), old == state::SYN_SENT) }
}

/// The connection of `stream` ends, from state `old`.
#[inline(always)]
pub(crate) fn ends(sk: Sock, stream: *mut Stream, old: u32) {
    last_look(sk, stream, old);
    credit::leaves(stream);
    table::remove(sk.key());
}

#[inline(always)]
fn last_look(sk: Sock, stream: *mut Stream, old: u32) {
    // SAFETY: `stream` points to a map value.
    let before = unsafe {
        let received = atomic::swap(&raw mut (*stream).received, Stream::NOWHERE);
        let sent = atomic::swap(&raw mut (*stream).sent, Stream::NOWHERE);
        Stream { sent, received, ..look::read(stream) }
    };
    let flags = before.flags;
    if before.sent == Stream::NOWHERE && flags & Stream::OPENING == 0 {
        return;
    }
    let numbers = sk.numbers();
    if may_be_unfollowed(old) {
        // Else the other program would take it for one that nobody has seen.
        is_new_end(sk, &numbers);
    }
    let is_opening = flags & Stream::OPENING != 0;
    let is_of_another = !is_opening && !is_of(&before, &numbers);
    let from = at_end(&numbers, &before, || has_opened(sk));
    let last = last_position(&numbers, &from, old);
    log::ends(sk, old, &Position { sent: from.sent, received: from.received }, &last);
    if from.flags & Stream::SYN_ACKED != 0 && loopback::other_end(sk, &from, true) != OtherEnd::Elsewhere {
        return;
    }
    if flags & (Stream::LATE | Stream::OPENING) == 0 || is_of_another {
        audit::at_end(&before, &numbers, &last);
    }
    let sent = last.sent.wrapping_sub(from.sent) as i64;
    // A connect that failed before its SYN left has transmitted less than that SYN.
    let sent = if is_opening { sent.max(0) } else { sent };
    credit::at_end(sk, stream, from.sent, sent, last.received.wrapping_sub(from.received) as i64);
}

/// A connection ends that has no stream: a child of a listener whose handshake is not over, which with fast open may have moved
/// bytes; one for which there was no room; or one that is not counted, and most are that.
#[inline(always)]
fn ends_without_stream(sk: Sock, old: u32) {
    if may_be_unfollowed(old) {
        ends_unfollowed(sk.key(), old);
    }
    if table::word(words::ADOPTING) != 0 {
        ends_while_adopting(sk.key());
    }
}

/// A connection ends that has no stream, and may get one at this moment: see `adopt`. Exported as [`ends_unfollowed`] is.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn ends_while_adopting(key: u64) -> i32 {
    let _ = ENDS.insert(key, sent_base(&Sock::of(key).numbers()), ANY);
    table::order();
    if let Some(stream) = table::find(key) {
        end(key, stream);
    }
    0
}

/// Whether a program has seen the end of the connection that has this stream.
#[inline(always)]
pub(crate) fn is_noted_as_ended(key: u64, stream: *const Stream) -> bool {
    // SAFETY: both point to map values.
    ENDS.get_ptr(key)
        .is_some_and(|base| unsafe { read_volatile(base) == read_volatile(&raw const (*stream).sent_base) })
}

/// Whether there may be connections that have no stream and yet count.
#[inline(always)]
fn may_be_unfollowed(old: u32) -> bool {
    old == state::SYN_RECV || table::word(words::OVERFLOWED) != 0
}

/// It is credited as a whole, to the user it has at its end. Exported, which has the verifier go through it only once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn ends_unfollowed(key: u64, old: u32) -> i32 {
    let sk = Sock::of(key);
    if !sk.is_tcp() || loopback::is_routed_here(sk) {
        return 0;
    }
    let numbers = sk.numbers();
    let has_opened = old != state::SYN_RECV && has_opened(sk);
    if loopback::other_end(sk, &begun(&numbers, false), has_opened) != OtherEnd::Elsewhere {
        return 0;
    }
    let Tally { sent, received } = unbegun(&numbers, old, has_opened);
    if (sent != 0 || received != 0) && is_new_end(sk, &numbers) {
        if old != state::SYN_RECV {
            events::count(event::UNFOLLOWED);
        }
        log::ends(sk, old, &Position { sent: 0, received: 0 }, &Position { sent, received });
        credit::unfollowed(sk, sent as i64, received as i64);
    }
    0
}

/// Whether our SYN is in `bytes_acked`, where nobody saw the beginning. It is guessed: a child has the backlog of its listener, and
/// who connects has none.
#[inline(always)]
fn has_opened(sk: Sock) -> bool {
    sk.max_ack_backlog() == 0
}

/// Whether no other program has seen to the end of this connection.
#[inline(always)]
fn is_new_end(sk: Sock, numbers: &Numbers) -> bool {
    let base = sent_base(numbers);
    // SAFETY: points to a map value.
    if ENDS.get_ptr(sk.key()).is_some_and(|seen| unsafe { read_volatile(seen) } == base) {
        return false;
    }
    let _ = ENDS.insert(sk.key(), base, ANY);
    true
}

/// There is no room for a connection that begins. Its end is new even if it has the numbers of an earlier one.
#[inline(always)]
fn refused(sk: Sock) {
    let _ = ENDS.remove(sk.key());
    table::add(words::OVERFLOWED, 1);
}

/// Forgets a stream: what moves from now on is another connection's.
#[inline(always)]
pub(crate) fn end(key: u64, stream: *mut Stream) {
    leave(stream);
    table::remove(key);
}

/// Takes a stream from its connection. A look that has begun credits nothing any more.
#[inline(always)]
fn leave(stream: *mut Stream) {
    credit::leaves(stream);
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

/// Follows a connection that is older than the programs, from now on or from where a former process noted.
#[inline(always)]
pub(crate) fn meet(sk: Sock, now: u32) {
    let numbers = steady_numbers(sk);
    if !sk.is_tcp() || loopback::has_local_peer_to_leave_out(sk) || loopback::is_routed_here(sk) {
        return;
    }
    let noted = noted(&numbers);
    let stream = noted.unwrap_or_else(|| met(&numbers));
    log::begins(sk, now, &stream);
    if !table::insert(sk.key(), &stream) {
        // Its end must not credit it as a whole.
        let _ = ENDS.insert(sk.key(), stream.sent_base, ANY);
        events::count(event::LOST);
    } else if noted.is_none() {
        events::count(event::LATE);
    } else if let Some(stream) = table::find(sk.key()) {
        credit::has_waited(stream);
    }
}

/// The stream that a former process noted of this connection when it ended: what moved since is credited by the next look.
#[inline(always)]
fn noted(numbers: &Numbers) -> Option<Stream> {
    let noted = NOTES.get_ptr_mut(note_key(sent_base(numbers), received_base(numbers)))?;
    let noted = look::read(noted);
    goes_on(&noted, numbers).then_some(noted)
}

/// The numbers of a socket that is not locked, of one moment as far as its beginning goes: it is told by two that do not change
/// at the same time.
#[inline(always)]
fn steady_numbers(sk: Sock) -> Numbers {
    let first = sk.numbers();
    let second = sk.numbers();
    if is_of(&begun(&first, false), &second) { second } else { sk.numbers() }
}

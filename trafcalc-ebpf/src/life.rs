//! How a stream begins and ends. Several programs may see the same event (see `hooks::inet_sock_set_state`). The second one finds
//! nothing left to do.
//!
//! Every counted connection has a stream from its beginning. All its totals are in its socket except one bit: whether our SYN is in
//! `bytes_acked`. With streams a sweep costs what is open. A sweep over the kernel's table of sockets costs half a millisecond when
//! that is empty, and four times as much for each connection. Connections within the host have no stream.
//!
//! A connection for which there was no room has no stream either. Its end credits it as a whole, once a word in `TABLE` says that there
//! are such connections. The base of its sequence numbers is noted in `ENDS`, so that the other copies of the program know that its end
//! was handled. Whether our SYN is in `bytes_acked` is then guessed from `sk_max_ack_backlog`, which an accepted socket inherits from
//! its listener.
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

/// A socket is about to change from state `old` to `new`. It is locked, and its state still reads `old`.
#[inline(always)]
pub(crate) fn changes(sk: Sock, old: u32, new: u32) {
    let change = change(old, new);
    if change == Change::Nothing {
        return;
    }
    // Most connections that are not counted are recognised by their addresses, and have no stream.
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

/// A connection without a stream opens or begins.
///
/// When it opens, the stream stores one bit that no field of the socket has: whether our SYN is in `bytes_acked`.
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

/// A connection with a stream opens or begins. The stream is that of the same connection since it opened, or was written by another
/// program that saw this event, or is left from an earlier connection of this socket whose end was missed.
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
                // What the earlier connection moved since the last look is lost.
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
        // Otherwise the other copy of the program, which finds no stream, would credit this connection as one without a stream.
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

/// A connection without a stream ends. It is a child of a listener whose handshake is not over, and which may have moved data over fast
/// open; or there was no room for it; or, most often, it is not counted.
#[inline(always)]
fn ends_without_stream(sk: Sock, old: u32) {
    if may_be_unfollowed(old) {
        ends_unfollowed(sk.key(), old);
    }
    if table::word(words::ADOPTING) != 0 {
        ends_while_adopting(sk.key());
    }
}

/// A connection without a stream ends while older connections are adopted, and may get a stream at this moment: see `adopt`. Exported
/// for the same reason as [`ends_unfollowed`].
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

/// Whether a program has noted the end of the connection that has this stream.
#[inline(always)]
pub(crate) fn is_noted_as_ended(key: u64, stream: *const Stream) -> bool {
    // SAFETY: both point to map values.
    ENDS.get_ptr(key)
        .is_some_and(|base| unsafe { read_volatile(base) == read_volatile(&raw const (*stream).sent_base) })
}

/// Whether connections without a stream may have to be credited.
#[inline(always)]
fn may_be_unfollowed(old: u32) -> bool {
    old == state::SYN_RECV || table::word(words::OVERFLOWED) != 0
}

/// Credits a connection without a stream as a whole, to the user that its socket has at its end. Exported, so that the verifier checks
/// it only once.
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

/// Guesses whether our SYN is in `bytes_acked`, where the beginning was missed: an accepted socket has the backlog of its listener, and
/// a socket that connects has none.
#[inline(always)]
fn has_opened(sk: Sock) -> bool {
    sk.max_ack_backlog() == 0
}

/// Whether no other program has handled the end of this connection. Notes that this one does.
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

/// There is no room for a connection that begins. Its end counts as new even if its numbers are those of an earlier connection.
#[inline(always)]
fn refused(sk: Sock) {
    let _ = ENDS.remove(sk.key());
    table::add(words::OVERFLOWED, 1);
}

/// Removes a stream without crediting: what moves from now on belongs to another connection.
#[inline(always)]
pub(crate) fn end(key: u64, stream: *mut Stream) {
    leave(stream);
    table::remove(key);
}

/// Invalidates the cursors of a stream. A look that has already begun credits nothing after this.
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

/// Gives a connection that is older than the programs a stream: from now on, or from where a former process noted it.
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
        // Keeps its end from crediting it as a whole.
        let _ = ENDS.insert(sk.key(), stream.sent_base, ANY);
        events::count(event::LOST);
    } else if noted.is_none() {
        events::count(event::LATE);
    } else if let Some(stream) = table::find(sk.key()) {
        credit::has_waited(stream);
    }
}

/// The position of this connection that a former process noted when that process ended. The next look credits what moved since.
#[inline(always)]
fn noted(numbers: &Numbers) -> Option<Stream> {
    let noted = NOTES.get_ptr_mut(note_key(sent_base(numbers), received_base(numbers)))?;
    let noted = look::read(noted);
    goes_on(&noted, numbers).then_some(noted)
}

/// The numbers of a socket that is not locked, consistent as far as the beginning of the connection goes. The beginning is computed
/// from pairs of fields that change one after the other, so a third reading is taken if two disagree about it.
#[inline(always)]
fn steady_numbers(sk: Sock) -> Numbers {
    let first = sk.numbers();
    let second = sk.numbers();
    if is_of(&begun(&first, false), &second) { second } else { sk.numbers() }
}

//! How a stream begins and ends.
//!
//! A stream begins when its socket becomes ESTABLISHED and is removed when the socket is destroyed. In between it is
//! settled whenever the state changes: before the socket's own FIN takes a sequence number, and when the peer's has.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::write_volatile;

use trafcalc_common::maps::{Stream, event};
use trafcalc_common::tcp::{has_own_fin, may_send, state, syn_acked};

use crate::actor;
use crate::atomic::Swap;
use crate::audit;
use crate::credit::{self, NOEXIST};
use crate::loopback;
use crate::maps::{UNFOLLOWED, actors_matter, sweeps};
use crate::settle::{self, To, flags};
use crate::sock::Sock;
use crate::table::{self, Room};

/// A socket goes from state `old` to `new`; it is still in `old`, and locked.
#[inline(always)]
pub(crate) fn state_changes<S: Swap>(sk: Sock, old: u32, new: u32) {
    match new {
        // A new life of this piece of memory.
        state::SYN_SENT | state::SYN_RECV | state::LISTEN => forget::<S>(sk),
        state::ESTABLISHED => begins::<S>(sk, old),
        _ => goes_on::<S>(sk, old, new),
    }
}

/// The socket is destroyed: the last look, and the audit.
#[inline(always)]
pub(crate) fn ends<S: Swap>(sk: Sock) {
    if let Some((stream, to)) = find(sk) {
        if let Some(numbers) = settle::both::<S>(sk, stream, to) {
            audit::at_end(stream, &numbers, sk.has_fin());
        }
        forget::<S>(sk);
    }
}

/// A hook came at any moment for a socket without a stream.
#[inline(never)]
pub(crate) fn meet_now<S: Swap>(sk: Sock) {
    if let Some(now) = sk.state() {
        meet::<S>(sk, now);
    }
}

/// A hook came for a socket without a stream: one that is older than the program, or a fast-open child whose bytes
/// come before the handshake is complete, or not a TCP connection at all. It is in state `next`, or about to be.
#[inline(always)]
fn meet<S: Swap>(sk: Sock, next: u32) {
    if !sk.is_tcp() || UNFOLLOWED.get_ptr(sk.key()).is_some() {
        return;
    }
    match sk.state() {
        Some(state::SYN_RECV) => begins::<S>(sk, state::SYN_RECV),
        Some(state::SYN_SENT | state::LISTEN) | None => (),
        Some(_) if sk.has_peer() => begins_late::<S>(sk, next),
        Some(_) => (),
    }
}

#[inline(always)]
fn begins<S: Swap>(sk: Sock, old: u32) {
    if !sk.is_tcp() {
        return;
    }
    // One that was older than the program is of an earlier life, met while that ended.
    if sweeps() && find(sk).is_some_and(|(stream, _)| flags(stream) & Stream::LATE != 0) {
        forget::<S>(sk);
    }
    if find(sk).is_none() {
        let Some(numbers) = sk.numbers() else { return };
        let syn = syn_acked(old, numbers.bytes_acked);
        let (sent, received) = (numbers.sent_origin(syn), numbers.received_origin());
        let stream = Stream {
            sent,
            sent_base: numbers.sent_origin(0),
            received,
            received_base: received,
            flags: ignored(sk) | if syn == 0 { 0 } else { Stream::SYN_ACKED },
            ..NOTHING
        };
        keep::<S>(sk, &stream);
    }
    // With fast open, data may have moved the cursors already.
    if let Some((stream, to)) = find(sk) {
        note_fin(sk, stream);
        settle::both::<S>(sk, stream, to);
    }
}

#[inline(always)]
fn begins_late<S: Swap>(sk: Sock, now: u32) {
    let has_fin = sk.has_fin();
    let Some(numbers) = sk.numbers() else { return };
    let flag = |is_set: bool, flag| if is_set { flag } else { 0 };
    // One whose FIN was read already starts before it, as all others end before it.
    let read_fin = has_fin && numbers.copied_seq == numbers.rcv_nxt;
    let stream = Stream {
        sent: numbers.sent(),
        sent_end: numbers.write_seq,
        received: numbers.received() - u64::from(read_fin),
        received_end: numbers.rcv_nxt.wrapping_sub(1),
        sent_base: numbers.sent_origin(0),
        received_base: numbers.received_origin(),
        flags: Stream::LATE
            | flag(!may_send(now), Stream::SENT_ENDED)
            | flag(has_fin, Stream::RECEIVED_ENDED)
            | flag(now == state::CLOSE, Stream::CLOSED)
            | ignored(sk),
        ..NOTHING
    };
    if keep::<S>(sk, &stream) && stream.flags & Stream::IGNORED == 0 {
        credit::event(event::LATE);
    }
}

#[inline(always)]
fn goes_on<S: Swap>(sk: Sock, old: u32, new: u32) {
    if find(sk).is_none() {
        meet::<S>(sk, new);
        if !sweeps() {
            return;
        }
    }
    let Some((stream, to)) = find(sk) else { return };
    note_fin(sk, stream);
    if has_own_fin(old) && flags(stream) & Stream::SENT_ENDED == 0 {
        // The step here was missed, and the FIN has its number since.
        note_end(sk, stream, 1);
    }
    settle::both::<S>(sk, stream, to);
    if may_send(old) && !may_send(new) {
        note_end(sk, stream, 0);
    }
    if has_own_fin(old) || has_own_fin(new) {
        set(stream, Stream::OWN_FIN);
    }
    if new == state::CLOSE {
        set(stream, Stream::CLOSED);
    }
}

/// Notes how far the application has written, after which `fin` numbers were taken.
#[inline(always)]
fn note_end(sk: Sock, stream: *mut Stream, fin: u32) {
    if let Some(next) = sk.write_seq() {
        // SAFETY: `stream` points to a map value. The end comes before the flag that says it is there.
        unsafe { write_volatile(&raw mut (*stream).sent_end, next.wrapping_sub(fin)) };
        set(stream, Stream::SENT_ENDED);
    }
}

/// Notes the number of the peer's FIN once it has come. `rcv_nxt` has moved past it then, and moves no more.
#[inline(always)]
fn note_fin(sk: Sock, stream: *mut Stream) {
    if flags(stream) & Stream::RECEIVED_ENDED != 0 || !sk.has_fin() {
        return;
    }
    if let Some(next) = sk.rcv_nxt() {
        // SAFETY: `stream` points to a map value. The number comes before the flag that says it is there.
        unsafe { write_volatile(&raw mut (*stream).received_end, next.wrapping_sub(1)) };
        set(stream, Stream::RECEIVED_ENDED);
    }
}

/// Only called with the socket locked, so that no flag gets lost.
#[inline(always)]
fn set(stream: *mut Stream, flag: u32) {
    // SAFETY: `stream` points to a map value.
    unsafe { write_volatile(&raw mut (*stream).flags, flags(stream) | flag) };
}

#[inline(always)]
fn ignored(sk: Sock) -> u32 {
    if loopback::is_to_be_left_out(sk) { Stream::IGNORED } else { 0 }
}

#[inline(always)]
fn find(sk: Sock) -> Option<(*mut Stream, To)> {
    match table::find(sk.key()) {
        Some(stream) => Some((stream, To::Owner)),
        None => UNFOLLOWED.get_ptr_mut(sk.key()).map(|stream| (stream, To::Other)),
    }
}

/// Whether the stream is now kept, and was not before.
#[inline(always)]
fn keep<S: Swap>(sk: Sock, stream: &Stream) -> bool {
    match table::insert::<S>(sk.key(), stream) {
        Room::Yes => return true,
        Room::Taken => return false,
        Room::No => {}
    }
    // Where hooks look at each event, a late one is met again.
    let not_now = if sweeps() { Stream::IGNORED } else { Stream::IGNORED | Stream::LATE };
    if stream.flags & not_now != 0 {
        return false;
    }
    let is_kept = UNFOLLOWED.insert(sk.key(), stream, NOEXIST).is_ok();
    credit::event(if is_kept { event::UNFOLLOWED } else { event::LOST });
    is_kept
}

/// The socket is about to lose its peer and its numbers, and may begin a new life; it is locked. If it was closed already,
/// no change of state tells that.
#[inline(always)]
pub(crate) fn loses_peer<S: Swap>(sk: Sock) {
    if let Some((stream, to)) = find(sk) {
        settle::both::<S>(sk, stream, to);
    }
}

/// Removes the stream, if there is one: what moves from now on is another connection's.
#[inline(always)]
pub(crate) fn forget<S: Swap>(sk: Sock) {
    if actors_matter() {
        if let Some(stream) = table::find(sk.key()) {
            actor::leave::<S>(stream);
        }
    }
    table::remove(sk.key());
    let _ = UNFOLLOWED.remove(sk.key());
}

const NOTHING: Stream = Stream {
    sent: 0,
    received: 0,
    owner: 0,
    sent_end: 0,
    received_end: 0,
    flags: 0,
    sent_base: 0,
    received_base: 0,
    mark_high: 0,
};
